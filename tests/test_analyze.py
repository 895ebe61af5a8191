"""The whole way on Old Faithful, against the reference figures."""

import io
import json
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from rich.console import Console

import bayesgmm as bg

pytestmark = pytest.mark.usefixtures("few_starts")

REFERENCE = Path(__file__).parent / "reference"


@pytest.fixture(scope="module")
def comparison():
    return bg.analyze(bg.load_faithful(), n_components=2, seed=0)


def test_em_log_likelihood_is_the_reference(comparison):
    """scikit-learn 1.9.1 with reg_covar=0, converged."""
    reference = json.loads((REFERENCE / "faithful_sklearn.json").read_text())
    assert comparison.em.log_likelihood == pytest.approx(find_exact_full_k2(reference), abs=1e-6)


def find_exact_full_k2(reference):
    node = reference["k2"]["full"]
    return node["exact"]["loglik"]


def test_chains_converged_without_divergences(comparison):
    diagnosis = comparison.diagnosis
    assert diagnosis.ok, diagnosis.verdict
    assert diagnosis.quantities["r_hat"].max() < 1.01
    assert diagnosis.n_divergences == 0


def test_posterior_means_are_within_one_sd_of_em(comparison):
    assert len(comparison.parameters) == 12
    assert comparison.parameters["shift"].abs().max() < 1.0


def test_table_is_what_the_tree_says(comparison):
    row = comparison.parameters.loc["means[1, waiting]"]
    draws = comparison.tree["posterior"]["means"].sel(cluster=1, feature="waiting").values.ravel()
    assert row["em"] == comparison.em.params.means[1, 1]
    assert row["mean"] == pytest.approx(draws.mean(), rel=1e-12)
    assert row["sd"] == pytest.approx(draws.std(ddof=1), rel=1e-12)
    np.testing.assert_allclose([row["lower"], row["upper"]], np.quantile(draws, [0.025, 0.975]), rtol=1e-12)
    assert row["shift"] == pytest.approx((row["mean"] - row["em"]) / row["sd"], rel=1e-12)


def test_findings_say_what_agrees(comparison):
    text = " ".join(comparison.findings)
    assert "Nothing speaks against convergence" in text
    assert "agree closely on all 12 parameters" in text
    assert "Both put all 272 observations into the same components" in text
    assert "EM found one optimum" in text


def test_every_group_of_the_contract_is_there(comparison):
    groups = {
        "posterior", "posterior_raw", "relabelling", "sample_stats", "log_likelihood", "log_prior",
        "observed_data", "constant_data", "em",
    }  # fmt: skip
    tree = comparison.tree
    assert groups <= set(tree.children)
    assert tree["posterior"]["covariances"].dims == ("chain", "draw", "cluster", "feature", "feature_bis")
    assert tree["log_likelihood"]["X"].dims == ("chain", "draw", "obs")
    assert list(tree["posterior"]["feature"].values) == ["eruptions", "waiting"]


@pytest.mark.slow
def test_same_seed_same_analysis():
    X = bg.load_faithful()
    first, second = (bg.analyze(X, 2, draws=50, tune=100, seed=5) for _ in range(2))
    assert first.tree["posterior_raw"].to_dataset().equals(second.tree["posterior_raw"].to_dataset())
    assert first.parameters.equals(second.parameters)


@pytest.mark.slow
def test_saved_and_loaded_tree_gives_the_same_comparison(comparison, tmp_path):
    path = bg.save(comparison.tree, tmp_path / "analysis.nc")
    loaded = bg.load(path)
    for name, child in comparison.tree.children.items():
        xr.testing.assert_identical(loaded[name].to_dataset(), child.to_dataset())
    assert loaded.attrs == comparison.tree.attrs
    again = bg.compare(comparison.em, loaded)
    assert again.findings == comparison.findings


@pytest.mark.slow
def test_known_labels_take_no_part_in_the_fit_but_in_the_comparison():
    iris = bg.load_iris()
    with_labels = bg.analyze(
        iris.drop(columns="species"), 2, labels=iris["species"] == "setosa", draws=100, tune=200, chains=2, seed=3
    )
    assert list(with_labels.agreement["method"]) == ["EM", "posterior"]
    assert (with_labels.agreement["adjusted_rand"] == 1.0).all()
    assert "Against the known labels" in with_labels.findings[-1]


@pytest.mark.slow
def test_without_a_number_of_components_bic_chooses_it():
    X = bg.load_faithful()
    comparison = bg.analyze(X, draws=50, tune=100, chains=2, seed=4)
    table = bg.select(X, covariance="VVV", seed=4).table
    assert comparison.em.params.n_components == table["n_components"][0] == 2
    gap = table["bic"][1] - table["bic"][0]
    said = comparison.tree.attrs["selection"]
    assert said.startswith(f"2 components chosen by BIC ({table['bic'][0]:.1f}) among 1 to 9")
    assert gap > 5
    stream = io.StringIO()
    bg.print_summary(comparison, Console(file=stream, width=100))
    assert said in stream.getvalue()


def test_a_given_number_of_components_is_no_selection(comparison):
    assert "selection" not in comparison.tree.attrs


def test_one_resolution_serves_em_and_the_posterior():
    comparison = bg.analyze(bg.load_faithful().round(0), 2, covariance="EEI", draws=20, tune=50, chains=2, n_init=2, seed=3)
    assert comparison.em.resolution == (1.0, 1.0)
    np.testing.assert_array_equal(comparison.tree["constant_data"]["resolution"].values, [1.0, 1.0])
    assert comparison.tree.attrs["covariance"] == comparison.em.covariance == "EEI"


def test_labels_of_the_wrong_length_are_refused():
    with pytest.raises(bg.InputError, match=r"labels: got shape \(3,\); need one label for each of the 272 rows"):
        bg.analyze(bg.load_faithful(), 2, labels=[1, 2, 3])


def test_compare_refuses_a_fit_of_other_data(comparison):
    other = bg.fit_em(bg.load_faithful().head(100), 2, seed=0)
    with pytest.raises(bg.InputError, match="not of the same analysis"):
        bg.compare(other, comparison.tree)
