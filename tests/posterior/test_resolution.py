"""A tree with a resolution: every density of the data is that of recorded values, every covariance that of the true ones."""

import numpy as np
import pytest
import xarray as xr

import bayesgmm as bg
from bayesgmm.compare.findings import write_findings
from bayesgmm.em.fit import fit_em
from bayesgmm.posterior.invariants import invariants
from bayesgmm.posterior.schema import raw_posterior, recorded_draws, resolution_of
from tests.fake_comparison import make_comparison
from tests.posteriors import made_tree, scrambled, separated_params

STEPS = np.array([3.0, 0.0])


def with_resolution(tree: xr.DataTree, steps: np.ndarray) -> xr.DataTree:
    groups = {name: child.to_dataset() for name, child in tree.children.items()}
    return xr.DataTree.from_dict({**groups, "constant_data": xr.Dataset({"resolution": ("feature", steps)})})


def widened(tree: xr.DataTree, steps: np.ndarray) -> xr.DataTree:
    """The tree with the covariances of recorded values in place of a resolution."""
    groups = {name: child.to_dataset() for name, child in tree.children.items()}
    posterior = groups["posterior"]
    covariances = posterior["covariances"] + xr.DataArray(np.diag(steps**2) / 12, dims=("feature", "feature_bis"))
    groups["posterior"] = posterior.drop_vars(["scales", "correlations"]).assign(covariances=covariances)
    return xr.DataTree.from_dict(groups)


@pytest.fixture(scope="module")
def bare() -> xr.DataTree:
    rng = np.random.default_rng(7)
    params = separated_params()
    close = type(params)(params.weights, params.means / 4, params.scale_trils)
    return scrambled(made_tree(close, rng, n_samples=60, n_draws=100), rng)[0]


def test_a_tree_that_says_nothing_has_exact_values(bare: xr.DataTree) -> None:
    assert resolution_of(bare).tolist() == [0.0, 0.0]
    assert resolution_of(with_resolution(bare, STEPS)).tolist() == STEPS.tolist()
    draws = recorded_draws(bare, raw_posterior(bare))
    np.testing.assert_array_equal(
        draws.scale_trils, np.linalg.cholesky(bare["posterior"]["covariances"].values.reshape(-1, 3, 2, 2))
    )


def test_densities_are_those_of_the_widened_mixture(bare: xr.DataTree) -> None:
    """Invariants, labels and memberships, against a tree whose covariances are those of recorded values."""
    ours, theirs = with_resolution(bare, STEPS), widened(bare, STEPS)
    xr.testing.assert_allclose(invariants(ours), invariants(theirs), rtol=1e-10)
    assert float(np.abs(invariants(ours)["log_likelihood"] - invariants(bare)["log_likelihood"]).min()) > 1.0
    relabelled, reference = bg.relabel(ours), bg.relabel(theirs)
    xr.testing.assert_equal(relabelled["relabelling"].to_dataset(), reference["relabelling"].to_dataset())
    xr.testing.assert_allclose(bg.assignments(relabelled), bg.assignments(reference), rtol=1e-9)


def test_covariances_stay_those_of_the_true_values(bare: xr.DataTree) -> None:
    tree = with_resolution(bare, STEPS)
    relabelled = bg.relabel(tree)
    xr.testing.assert_equal(relabelled["posterior_raw"].to_dataset(), tree["posterior"].to_dataset())
    np.testing.assert_array_equal(
        np.sort(relabelled["posterior"]["scales"].values, axis=2), np.sort(tree["posterior"]["scales"].values, axis=2)
    )


def test_the_reference_is_seen_through_the_rounding(bare: xr.DataTree) -> None:
    """MixtureParams are of true values; an EM fit brings its own resolution."""
    X, tree = bare["observed_data"]["X"].values, with_resolution(bare, STEPS)
    em = fit_em(X, 3, resolution=STEPS, seed=0)
    by_fit = bg.relabel(tree, reference=em)["relabelling"].to_dataset()
    by_params = bg.relabel(tree, reference=em.params)["relabelling"].to_dataset()
    by_recorded = bg.relabel(widened(bare, STEPS), reference=em.recorded_params)["relabelling"].to_dataset()
    xr.testing.assert_equal(by_fit, by_params)
    xr.testing.assert_equal(by_fit, by_recorded)


def test_a_draw_without_spread_is_fine_where_values_are_rounded(bare: xr.DataTree) -> None:
    posterior = bare["posterior"].to_dataset().copy(deep=True)
    posterior["covariances"][{"chain": 0, "draw": 0, "cluster": 0}] = np.zeros((2, 2))
    tree = xr.DataTree.from_dict({"posterior": posterior, "observed_data": bare["observed_data"].to_dataset()})
    with pytest.raises(bg.InputError, match="not positive definite"):
        invariants(tree)
    assert np.isfinite(invariants(with_resolution(tree, np.array([1.0, 1.0])))["log_likelihood"]).all()


def test_a_comparison_says_when_the_two_took_different_resolutions() -> None:
    comparison = make_comparison()
    parts = (comparison.diagnosis, comparison.parameters, comparison.assignments, comparison.predictive, comparison.agreement)
    same = write_findings(comparison.em, *parts, np.zeros(2), comparison.tree)
    assert same == comparison.findings
    other = write_findings(comparison.em, *parts, np.array([0.5, 0.0]), comparison.tree)
    (said,) = set(other) - set(same)
    assert said.startswith("EM took the values for exact, the posterior for rounded to 0.5, 0: their variances differ")
