import numpy as np
import pytest
import xarray as xr

import bayesgmm as bg
from bayesgmm.kernels import reference as twin
from bayesgmm.posterior import assignments as module
from tests.posteriors import made_tree, scrambled, separated_params


@pytest.fixture(scope="module")
def tree():
    rng = np.random.default_rng(61)
    params = separated_params()
    close = type(params)(params.weights, params.means / 4, params.scale_trils)
    return bg.relabel(scrambled(made_tree(close, rng, n_samples=60, n_draws=100), rng)[0], reference=close)


def brute_force(tree, X):
    posterior = tree["posterior"]
    trils = np.linalg.cholesky(posterior["covariances"].values)
    weights, means = posterior["weights"].values, posterior["means"].values
    return np.array([twin.responsibilities(X, weights[c, d], means[c, d], trils[c, d]) for c in range(4) for d in range(100)])


def entropy(probabilities):
    return -(probabilities * np.log(probabilities)).sum(axis=-1)


def test_summaries_equal_brute_force(tree):
    gamma = brute_force(tree, tree["observed_data"]["X"].values)
    result = bg.assignments(tree, ci_prob=0.9)
    np.testing.assert_allclose(result["membership"].values, gamma.mean(axis=0), rtol=1e-10)
    np.testing.assert_allclose(result["membership_lower"].values, np.quantile(gamma, 0.05, axis=0), rtol=1e-9)
    np.testing.assert_allclose(result["membership_upper"].values, np.quantile(gamma, 0.95, axis=0), rtol=1e-9)
    np.testing.assert_array_equal(result["label"].values, gamma.mean(axis=0).argmax(axis=1))
    np.testing.assert_allclose(result["expected_entropy"].values, entropy(gamma).mean(axis=0), rtol=1e-9)


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
    assert bg.assignments(tree).equals(whole)


def test_new_rows(tree):
    X = tree["observed_data"]["X"].values
    result = bg.assignments(tree, X[:5])
    np.testing.assert_allclose(result["membership"].values, bg.assignments(tree)["membership"].values[:5], rtol=1e-12)
    with pytest.raises(bg.InputError, match="3 columns"):
        bg.assignments(tree, np.ones((4, 3)))


def test_em_beside_the_posterior(tree):
    X = tree["observed_data"]["X"].values
    em = bg.fit_em(X, 3, seed=62)
    groups = {name: child.to_dataset() for name, child in tree.children.items()}
    both = bg.relabel(xr.DataTree.from_dict({**groups, "em": em.to_dataset()}))
    result = bg.assignments(both)
    np.testing.assert_allclose(result["em_membership"].values, em.responsibilities(X), rtol=1e-12)
    np.testing.assert_array_equal(result["flips"].values, result["label"].values != em.predict(X))


@pytest.mark.parametrize("ci_prob", [0, 1, 95])
def test_interval_probability_is_checked(tree, ci_prob):
    with pytest.raises(bg.InputError, match="ci_prob must be a number between 0 and 1"):
        bg.assignments(tree, ci_prob=ci_prob)
