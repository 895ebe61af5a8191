import numpy as np
import pandas as pd
import pytest
import xarray as xr
from scipy.special import logsumexp

import bayesgmm as bg
from bayesgmm.compare.agreement import label_agreement
from bayesgmm.compare.calibration import calibration
from bayesgmm.compare.findings import write_findings

pytestmark = pytest.mark.usefixtures("few_starts")

FAITHFUL = bg.load_faithful()


@pytest.fixture(scope="module")
def em():
    return bg.fit_em(FAITHFUL, 2, seed=95)


@pytest.fixture(scope="module")
def tree(em):
    return bg.sample(FAITHFUL, em, draws=500, seed=96)


@pytest.fixture(scope="module")
def comparison(em, tree):
    return bg.compare(em, tree)


def without(tree, *names):
    return xr.DataTree.from_dict({name: child.to_dataset() for name, child in tree.children.items() if name not in names})


@pytest.mark.slow
def test_a_tree_without_em_is_labelled_with_the_fit_given(em, tree, comparison):
    bare = without(tree, "em", "relabelling", "posterior_raw")
    again = bg.compare(em, bare)
    pd.testing.assert_frame_equal(again.parameters, comparison.parameters)
    np.testing.assert_array_equal(again.assignments["flips"].values, comparison.assignments["flips"].values)


def test_another_fit_of_the_same_data_decides_the_labels(em, tree, comparison):
    start = em.params.permuted([1, 0])
    swapped = bg.fit_em(FAITHFUL, 2, init=start)
    other = bg.compare(swapped, tree)
    assert other.parameters["shift"].abs().max() < 0.5
    assert other.parameters.loc["weights[0]", "mean"] == pytest.approx(comparison.parameters.loc["weights[1]", "mean"], rel=1e-12)


def test_a_tree_in_another_order_is_put_in_ems(em, tree, comparison):
    reversed_names = tree["relabelling"]["permutation"].values[..., ::-1]
    ordered = bg.relabel(tree, method="given", permutation=reversed_names)
    assert (ordered["posterior"]["weights"].values == tree["posterior"]["weights"].values[..., ::-1]).all()
    again = bg.compare(em, ordered)
    pd.testing.assert_frame_equal(again.parameters, comparison.parameters)


def test_a_fit_of_other_data_of_the_same_shape_is_refused(tree):
    other = bg.fit_em(FAITHFUL * 1.1, 2, seed=0)
    with pytest.raises(bg.InputError, match="not of the same analysis"):
        bg.compare(other, tree)


def test_interval_probability_is_checked(em, tree):
    with pytest.raises(bg.InputError, match="ci_prob must be a number between 0 and 1; got 95"):
        bg.compare(em, tree, ci_prob=95)


def test_predictive_figures(em, tree, comparison):
    pointwise = tree["log_likelihood"]["X"].values.reshape(-1, 272)
    value = comparison.predictive["value"]
    assert value["em_log_likelihood"] == em.log_likelihood
    assert value["elpd_aic"] == pytest.approx(-em.aic / 2, rel=1e-12)
    assert value["lppd"] == pytest.approx((logsumexp(pointwise, axis=0) - np.log(len(pointwise))).sum(), rel=1e-12)
    importance = -(logsumexp(-pointwise, axis=0) - np.log(len(pointwise))).sum()  # plain importance sampling, no smoothing
    assert value["elpd_loo"] == pytest.approx(importance, abs=0.1)
    assert value["p_loo"] == pytest.approx(value["lppd"] - value["elpd_loo"], rel=1e-6)
    assert "elpd_loo is reliable" in comparison.predictive.loc["largest_pareto_k", "note"]


def test_few_draws_leave_the_loo_rows_unknown(em):
    few = bg.compare(em, bg.sample(FAITHFUL, em, draws=4, tune=20, seed=97))
    assert np.isnan(few.predictive.loc["elpd_loo", "value"])
    assert "fewer than 25 draws" in few.predictive.loc["elpd_loo", "note"]
    assert "too few draws" in few.findings[-1]


def test_label_agreement_by_hand():
    known = np.array(["a", "a", "a", "b", "b", "c"])
    table = label_agreement(known, {"EM": np.array([1, 1, 0, 0, 0, 2]), "posterior": np.array([2, 2, 2, 1, 1, 0])})
    assert table["n_misplaced"].tolist() == [1, 0]
    assert table["adjusted_rand"].tolist()[1] == 1.0
    # pairs together in both: 2; expected 4 * 4 / 15; maximum (4 + 2 + ...) by Hubert and Arabie (1985), equation 5
    together, rows, columns, pairs = 1 + 1, 3 + 1, 1 + 3, 15
    expected = rows * columns / pairs
    assert table["adjusted_rand"].tolist()[0] == pytest.approx((together - expected) / ((rows + columns) / 2 - expected))


def test_known_labels_are_scored_as_by_calibration(em, tree, comparison):
    known = np.where(FAITHFUL["eruptions"] < 3, "short", "long")
    groups = {name: child.to_dataset() for name, child in tree.children.items()}
    constants = groups.get("constant_data", xr.Dataset()).assign(known_label=("obs", known))
    labelled = bg.compare(em, xr.DataTree.from_dict({**groups, "constant_data": constants}))
    scores = calibration(comparison.assignments, known).scores
    pd.testing.assert_frame_equal(labelled.agreement, scores[["method", "adjusted_rand", "n_misplaced", "brier", "log_score"]])
    brier = scores["brier"]
    assert f"is {brier[0]:.3f} (EM) and {brier[1]:.3f} (posterior)." in labelled.findings[-1]
    assert comparison.agreement is None


def test_findings_on_disagreement(em, comparison):
    parameters = comparison.parameters.copy()
    parameters.loc["means[0, waiting]", ["shift", "em", "lower", "upper"]] = [3.2, 10.0, 50.0, 60.0]
    memberships = comparison.assignments.copy(deep=True)
    memberships["flips"][{"obs": [3, 9]}] = True
    parts = (comparison.diagnosis, parameters, memberships, comparison.predictive, None, np.zeros(2), comparison.tree)
    text = " ".join(write_findings(em, *parts))
    assert "disagree on 1 of 12 parameters by more than 1 posterior standard deviation: means[0, waiting] (+3.2)" in text
    assert "EM's estimate lies outside the posterior interval for means[0, waiting]." in text
    assert "2 observations of 272 change component: row 3, row 9." in text


def test_findings_on_several_optima_and_unfinished_starts(comparison):
    several = bg.fit_em(FAITHFUL, 3, seed=0)
    tables = (comparison.parameters, comparison.assignments, comparison.predictive)
    parts = (comparison.diagnosis, *tables, None, np.zeros(2), comparison.tree)
    best = several.modes[0]
    assert f"EM found {len(several.modes)} distinct optima: {best.n_runs} of 4 starts" in write_findings(several, *parts)[1]
    stopped = bg.fit_em(FAITHFUL, 3, seed=0, max_iter=3)
    said = write_findings(stopped, *parts)[1]
    assert said.startswith("EM did not converge")
    assert "10 starts stopped before converging" in said


@pytest.mark.slow
def test_a_generator_may_be_the_seed_and_the_tree_can_be_saved(tmp_path):
    comparison = bg.analyze(FAITHFUL, 2, draws=20, tune=50, chains=2, seed=np.random.default_rng(5))
    assert bg.load(bg.save(comparison.tree, tmp_path / "tree.nc")).attrs["seed"] == "not given"


def test_missing_labels_are_refused():
    labels = np.array(["a"] * 271 + [None], dtype=object)
    with pytest.raises(bg.InputError, match=r"labels: 1 are missing \(first in row 271\)"):
        bg.analyze(FAITHFUL, 2, labels=labels)
