from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import xarray as xr

import bayesgmm as bg
from bayesgmm.em.membership_errors import membership_errors
from bayesgmm.kernels import reference as twin
from bayesgmm.params import MixtureParams
from bayesgmm.posterior import assignments as module
from bayesgmm.posterior.assignments import flips
from tests.posterior import constructed
from tests.posterior.constructed import SETTINGS, make_problem
from tests.posteriors import made_tree, scrambled, separated_params


@pytest.fixture(scope="module")
def tree():
    rng = np.random.default_rng(61)
    params = separated_params()
    close = type(params)(params.weights, params.means / 4, params.scale_trils)
    return bg.relabel(scrambled(made_tree(close, rng, n_samples=60, n_draws=100), rng)[0], reference=close)


def with_em(tree, em):
    return xr.DataTree.from_dict({**{name: child.to_dataset() for name, child in tree.children.items()}, "em": em.to_dataset()})


@pytest.fixture(scope="module")
def both(tree):
    """With an EM fit, against which it is relabelled."""
    return bg.relabel(with_em(tree, bg.fit_em(tree["observed_data"]["X"].values, 3, seed=62, n_init=5)))


def brute_force(tree, X):
    posterior = tree["posterior"]
    trils = np.linalg.cholesky(posterior["covariances"].values)
    weights, means = posterior["weights"].values, posterior["means"].values
    return np.array([twin.responsibilities(X, weights[c, d], means[c, d], trils[c, d]) for c in range(4) for d in range(100)])


def entropy(probabilities):
    return -(probabilities * np.log(probabilities)).sum(axis=-1)


def test_summaries_equal_brute_force(tree):
    X = np.vstack([tree["observed_data"]["X"].values, np.random.default_rng(1).normal(scale=0.5, size=(40, 2))])
    gamma = brute_force(tree, X)
    result = bg.assignments(tree, X, ci_prob=0.9)
    np.testing.assert_allclose(result["membership"].values, gamma.mean(axis=0), rtol=1e-10)
    np.testing.assert_allclose(result["membership_lower"].values, np.quantile(gamma, 0.05, axis=0), rtol=1e-9)
    np.testing.assert_allclose(result["membership_upper"].values, np.quantile(gamma, 0.95, axis=0), rtol=1e-9)
    np.testing.assert_array_equal(result["label"].values, gamma.mean(axis=0).argmax(axis=1))
    np.testing.assert_allclose(result["expected_entropy"].values, entropy(gamma).mean(axis=0), rtol=1e-9)
    same = gamma.argmax(axis=2) == gamma.mean(axis=0).argmax(axis=1)
    np.testing.assert_allclose(result["label_share"].values, same.mean(axis=0), rtol=1e-12)
    assert result["label_share"].min() < 0.9


def test_entropy_splits_into_overlap_and_parameters(tree):
    """H(E gamma) = E H(gamma) + I, and I >= 0 by Jensen's inequality."""
    result = bg.assignments(tree)
    parts = result["expected_entropy"] + result["mutual_information"]
    np.testing.assert_allclose(parts.values, result["entropy"].values, rtol=1e-10, atol=1e-14)
    assert (result["mutual_information"] >= 0).all()
    assert (result["entropy"] <= np.log(3) + 1e-12).all()


def test_block_size_does_not_matter(tree, monkeypatch):
    whole = bg.assignments(tree)
    monkeypatch.setattr(module, "BYTES_AT_ONCE", 7 * 8 * 400 * 3)
    monkeypatch.setattr(module, "BYTES_PER_TASK", 2 * 8 * 400 * 3)
    assert bg.assignments(tree).equals(whole)


def test_new_rows_equal_to_old_ones(both):
    """The standard errors too: their information is that of the tree's own data."""
    X = both["observed_data"]["X"].values
    xr.testing.assert_equal(bg.assignments(both, X[:5]), bg.assignments(both).isel(obs=slice(5)))


def test_new_rows_must_fit_the_columns(tree):
    columns = [str(name) for name in tree["posterior"]["feature"].values]
    frame = pd.DataFrame([[0.0, 1.0], [2.0, 3.0]], columns=columns)
    assert bg.assignments(tree, frame).sizes["obs"] == 2
    with pytest.raises(bg.InputError, match="3 columns"):
        bg.assignments(tree, np.ones((4, 3)))
    with pytest.raises(bg.InputError, match="in another order"):
        bg.assignments(tree, frame[columns[::-1]])
    with pytest.raises(bg.InputError, match="missing 'column 1'; not seen in the fit 'other'"):
        bg.assignments(tree, frame.rename(columns={"column 1": "other"}))
    frame.iloc[1, 0] = np.nan
    with pytest.raises(bg.InputError, match="row 1"):
        bg.assignments(tree, frame)


def test_em_beside_the_posterior(both):
    X, em = both["observed_data"]["X"].values, module.em_of(both)
    result = bg.assignments(both)
    np.testing.assert_allclose(result["em_membership"].values, em.responsibilities(X), rtol=1e-12)
    np.testing.assert_array_equal(result["em_membership_se"].values, membership_errors(em, X, X).values)
    assert (result["em_membership_se"].max("obs") > 0.01).all()
    np.testing.assert_array_equal(result["flips"].values, result["label"].values != em.predict(X))


@pytest.mark.slow
def test_components_in_another_order(both):
    order = [2, 0, 1]
    em = module.em_of(both)
    moved = replace(em, runs=tuple(replace(run, params=run.params and run.params.permuted(order)) for run in em.runs))
    groups = {name: both[name].to_dataset() for name in ("posterior", "observed_data")}
    groups["posterior"] = groups["posterior"].isel(cluster=order).assign_coords(cluster=np.arange(3))
    found = bg.assignments(with_em(xr.DataTree.from_dict(groups), moved))
    expected = bg.assignments(both)
    for name, variable in expected.data_vars.items():
        values = variable.values[:, order] if "cluster" in variable.dims else variable.values
        seen = np.array(order)[found[name].values] if name in ("label", "em_label") else found[name].values
        np.testing.assert_allclose(seen, values, rtol=1e-6, atol=1e-12, err_msg=str(name))


def test_standard_errors_that_there_are_none_of_say_why(both):
    em = replace(module.em_of(both), prior=bg.ConjugatePrior())
    errors = bg.assignments(with_em(both, em))["em_membership_se"]
    assert errors.isnull().all()
    assert "fitted with a prior" in errors.attrs["note"]
    assert "note" not in bg.assignments(both)["em_membership_se"].attrs


def test_an_em_fit_with_other_components_is_refused(tree):
    with pytest.raises(bg.InputError, match="the EM fit of the tree has 2 components, its posterior 3"):
        bg.assignments(with_em(tree, bg.fit_em(tree["observed_data"]["X"].values, 2, seed=0)))


def test_one_component():
    tree = made_tree(separated_params(1), np.random.default_rng(3), n_draws=5, n_samples=20)
    result = bg.assignments(with_em(tree, bg.fit_em(tree["observed_data"]["X"].values, 1)))
    for name in ("membership", "membership_lower", "membership_upper", "label_share", "em_membership"):
        assert (result[name] == 1).all()
    for name in ("entropy", "expected_entropy", "mutual_information", "label", "em_membership_se", "flips"):
        assert (result[name] == 0).all()


def test_far_rows(both):
    """Certain in every draw where the density is merely tiny; without membership where it is 0 in double precision."""
    result = bg.assignments(both, np.array([[1e4, 0.0], [1e200, 0.0]]))
    np.testing.assert_allclose(result["membership"].sum("cluster"), [1, 0], rtol=1e-12)
    assert result["label_share"].values[0] > 0.9
    assert result["label_share"].values[1] == 0
    assert (result["em_membership_se"] < 1e-200).all()
    assert (result["expected_entropy"] < 1e-200).all()


def test_an_empty_component():
    """Of weight 0 in every draw: nobody is in it, and the others are as without it."""
    rng = np.random.default_rng(5)
    params = separated_params(2)
    tree = made_tree(MixtureParams(params.weights, params.means / 5, params.scale_trils), rng, n_draws=50)
    posterior = tree["posterior"].to_dataset()
    empty = posterior.isel(cluster=[0]).assign_coords(cluster=[2])
    empty["weights"] = 0 * empty["weights"]
    larger = xr.DataTree.from_dict(
        {"posterior": xr.concat([posterior, empty], "cluster"), "observed_data": tree["observed_data"].to_dataset()}
    )
    result = bg.assignments(larger)
    assert (result["membership"].sel(cluster=2) == 0).all()
    xr.testing.assert_allclose(result.isel(cluster=slice(2)), bg.assignments(tree), rtol=1e-12)


def test_flips(both):
    """Of a set in which three labels by EM were exchanged."""
    memberships = bg.assignments(both)
    rows = np.argsort(memberships["membership"].max("cluster").values)[[0, 20, -1]]
    em_label = memberships["label"].values.copy()
    em_label[rows] = (memberships["label"].values[rows] + 1) % 3
    other = memberships.assign(em_label=("obs", em_label), flips=("obs", em_label != memberships["label"].values))
    table = flips(other)
    assert table["obs"].tolist() == rows[::-1].tolist()
    assert table["probability"].is_monotonic_decreasing
    for row in table.itertuples():
        at = memberships.isel(obs=row.obs)
        assert (row.label, row.em_label) == (at["label"], em_label[row.obs])
        assert row.em_probability == at["em_membership"][row.em_label]
        assert row.em_standard_error == at["em_membership_se"][row.em_label]
        assert (row.lower, row.probability, row.upper) == tuple(
            at[name][row.label] for name in ("membership_lower", "membership", "membership_upper")
        )
        assert (row.label_share, row.mutual_information) == (at["label_share"], at["mutual_information"])


def test_nobody_flips(both):
    memberships = bg.assignments(both)
    none = flips(memberships.assign(flips=memberships["flips"] & False))
    assert len(none) == 0
    assert list(none.columns[:3]) == ["obs", "em_label", "em_probability"]


def test_flips_need_an_em_fit(tree):
    with pytest.raises(bg.InputError, match="no memberships by EM"):
        flips(bg.assignments(tree))


@pytest.mark.parametrize("ci_prob", [0, 1, 95])
def test_interval_probability_is_checked(tree, ci_prob):
    with pytest.raises(bg.InputError, match="ci_prob must be a number between 0 and 1"):
        bg.assignments(tree, ci_prob=ci_prob)


def test_ems_components_follow_another_order(both):
    """Where the clusters were named otherwise than by EM, its components go along."""
    turned = both["relabelling"]["permutation"].values[..., [2, 0, 1]]
    result, expected = bg.assignments(bg.relabel(both, method="given", permutation=turned)), bg.assignments(both)
    for name in ("membership", "em_membership", "em_membership_se"):
        np.testing.assert_allclose(result[name].values, expected[name].values[:, [2, 0, 1]], rtol=1e-9)
    np.testing.assert_array_equal(result["flips"], expected["flips"])


@pytest.mark.slow
def test_chains_in_different_modes_are_not_taken_together_silently():
    stuck = constructed.one_chain_stuck(make_problem(SETTINGS[0]))
    with pytest.warns(bg.SamplingWarning, match="assignments takes the draws of all chains together, but R-hat"):
        bg.assignments(stuck)
