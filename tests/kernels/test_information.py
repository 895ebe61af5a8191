"""The moments of the information against plain sums over rows."""

import numpy as np
import pytest

from bayesgmm.kernels import information
from bayesgmm.kernels.information import compute_information_moments, n_quadratic_features, quadratic_features
from bayesgmm.kernels.reference import log_density, responsibilities
from tests.kernels.cases import case


def plain_features(z):
    return np.array([[1.0, *row, *(row[i] * row[j] for i in range(len(row)) for j in range(i + 1))] for row in z])


@pytest.mark.parametrize(
    ("n_samples", "n_features", "n_components"), [(1, 1, 1), (63, 2, 3), (64, 2, 1), (65, 1, 2), (200, 4, 3)]
)
def test_moments_are_sums_over_rows(monkeypatch, n_samples, n_features, n_components):
    monkeypatch.setattr(information, "BLOCK_ENTRIES", 1)  # blocks of 64 rows
    X, params = case(n_samples, n_features, n_components)
    weights = np.random.default_rng(1).exponential(size=n_samples)
    inverse_roots = np.linalg.inv(params.scale_trils)
    found = compute_information_moments(X, params.weights, params.means, params.scale_trils, inverse_roots, weights)
    arguments = (X, params.weights, params.means, params.scale_trils)
    gamma = responsibilities(*arguments)
    features = [plain_features((X - mean) @ inverse.T) for mean, inverse in zip(params.means, inverse_roots, strict=True)]
    np.testing.assert_allclose(found.log_likelihood, weights @ log_density(*arguments), rtol=1e-12)
    for k in range(n_components):
        np.testing.assert_allclose(
            found.within[k], (features[k].T * (weights * gamma[:, k])) @ features[k], rtol=1e-10, atol=1e-12
        )
        for m in range(n_components):
            expected = (features[k].T * (weights * gamma[:, k] * gamma[:, m])) @ features[m]
            np.testing.assert_allclose(found.between[k, :, m], expected, rtol=1e-10, atol=1e-12)


def test_features_are_counted():
    X, params = case(5, 3, 2)
    features = quadratic_features(X, params.means, np.linalg.inv(params.scale_trils))
    assert features.shape == (2, n_quadratic_features(3), 5)
    assert n_quadratic_features(3) == 10


def test_moments_of_parts_add_up():
    X, params = case(300, 3, 2)
    weights = np.random.default_rng(2).exponential(size=300)
    arguments = (params.weights, params.means, params.scale_trils, np.linalg.inv(params.scale_trils))
    whole = compute_information_moments(X, *arguments, weights)
    first = compute_information_moments(X[:100], *arguments, weights[:100])
    second = compute_information_moments(X[100:], *arguments, weights[100:])
    for total, one, other in zip(whole, first, second, strict=True):
        np.testing.assert_allclose(total, one + other, rtol=1e-12, atol=1e-11)
