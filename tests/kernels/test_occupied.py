"""How many components hold rows: sums over subsets against all K^N allocations."""

from itertools import product
from math import comb

import numpy as np
import pytest

from bayesgmm.kernels.density import compute_log_density
from bayesgmm.kernels.occupied import subsets_of_draws
from tests.problems import random_data, random_params


def responsibilities(X, params):
    """(N, K), by the densities of single components."""
    one = np.ones(1)
    log_terms = np.log(params.weights) + np.stack(
        [compute_log_density(X, one, params.means[[k]], params.scale_trils[[k]]) for k in range(params.n_components)], axis=1
    )
    terms = np.exp(log_terms - log_terms.max(axis=1, keepdims=True))
    return terms / terms.sum(axis=1, keepdims=True)


def by_enumeration(gamma):
    """The same sums from the probability of every allocation: one that uses m components is in C(K - m, j - m) sets of j."""
    n_samples, n_components = gamma.shape
    out = np.zeros(n_components + 1)
    for labels in product(range(n_components), repeat=n_samples):
        used = len(set(labels))
        probability = gamma[np.arange(n_samples), list(labels)].prod()
        for j in range(used, n_components + 1):
            out[j] += probability * comb(n_components - used, j - used)
    return out


@pytest.mark.parametrize(("n_components", "n_samples"), [(1, 4), (2, 6), (3, 5), (4, 5)])
def test_sums_over_subsets_are_those_over_allocations(n_components, n_samples):
    rng = np.random.default_rng(n_components)
    draws = [random_params(rng, n_components, 2) for _ in range(3)]
    X, _ = random_data(rng, draws[0], n_samples)
    arrays = [np.stack([getattr(params, name) for params in draws]) for name in ("weights", "means", "scale_trils")]
    found = subsets_of_draws(X, *arrays)
    np.testing.assert_allclose(found, [by_enumeration(responsibilities(X, params)) for params in draws], rtol=1e-9)
    np.testing.assert_allclose(found[:, n_components], 1.0, rtol=1e-12)
    np.testing.assert_array_equal(found[:, 0], 0.0)


def test_many_rows_leave_no_component_empty():
    """Probabilities that are no numbers any more are 0, and nothing else is."""
    rng = np.random.default_rng(5)
    params = random_params(rng, 2, 1)
    X, _ = random_data(rng, params, 5000)
    (found,) = subsets_of_draws(X, params.weights[None], params.means[None], params.scale_trils[None])
    np.testing.assert_allclose(found, [0.0, 0.0, 1.0], atol=1e-9)
