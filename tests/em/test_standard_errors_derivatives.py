"""Coordinates of every family, and the closed-form derivatives in them against finite differences."""

import numpy as np
import pytest

from bayesgmm.em.coordinates import CHARTS, coordinates_around
from bayesgmm.em.information import delta_errors, information_at, responsibility_errors, square_root
from bayesgmm.em.intervals import quantities_of
from bayesgmm.families import FAMILIES, family_named
from bayesgmm.kernels.density import compute_log_density, compute_responsibilities
from tests.em.covariance_members import FOURTEEN, random_member
from tests.problems import random_data, random_params
from tests.representatives import representative_values

SIZES = [(3, 3), (2, 1), (1, 2)]  # D, K
CASES = [(family, *size) for family in FOURTEEN for size in SIZES]


def problem(family, n_features, n_components, n_samples=60):
    """Rows that the mixture does not fit well, so that no term of the derivatives vanishes."""
    rng = np.random.default_rng(1)
    params = random_member(rng, family, n_components, n_features)
    X = random_data(rng, params, n_samples)[0] + 0.3 * rng.normal(size=(n_samples, n_features))
    return X, rng.gamma(2.0, size=n_samples), coordinates_around(params, family, tuple("abc"[:n_features]))


def row_log_density(X, coordinates, theta, rounding=0.0):
    weights, means, covariances = coordinates.at(theta)
    return compute_log_density(X, weights, means, np.linalg.cholesky(covariances + rounding))


def central(function, size, step=1e-5):
    """First derivatives by central differences, parameters last."""
    moves = step * np.eye(size)
    return np.moveaxis([(function(move) - function(-move)) / (2 * step) for move in moves], 0, -1)


def second_difference(function, direction, step):
    """The second derivative of a number along a direction, by central differences."""
    return (function(step * direction) - 2 * function(0 * direction) + function(-step * direction)) / step**2


def test_every_family_has_a_chart():
    assert CHARTS.keys() == FAMILIES.keys()


@pytest.mark.parametrize(("family", "n_features", "n_components"), [*CASES, ("E", 1, 3), ("V", 1, 3)])
def test_as_many_coordinates_as_parameters(family, n_features, n_components):
    params = random_params(np.random.default_rng(0), n_components, n_features)
    coordinates = coordinates_around(params, family, tuple("abc"[:n_features]))
    covariance = family_named(family).n_covariance_parameters(n_components, n_features)
    assert coordinates.size == n_components - 1 + n_components * n_features + covariance
    assert len(set(coordinates.names)) == coordinates.size


@pytest.mark.parametrize(("family", "n_features", "n_components"), CASES)
def test_the_estimate_is_at_zero(family, n_features, n_components):
    _, _, coordinates = problem(family, n_features, n_components)
    weights, means, covariances = coordinates.at(np.zeros(coordinates.size))
    np.testing.assert_allclose(weights, coordinates.params.weights, rtol=1e-14)
    np.testing.assert_array_equal(means, coordinates.params.means)
    np.testing.assert_allclose(covariances, coordinates.params.covariances, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("family", FOURTEEN)
def test_coordinates_stay_in_the_family(family):
    """A member is its own M-step: no other member fits its own covariances better."""
    _, _, coordinates = problem(family, 3, 3)
    theta = np.random.default_rng(2).normal(scale=0.15, size=coordinates.size)
    weights, _, covariances = coordinates.at(theta)
    counts = 100.0 * weights
    again = family_named(family).maximise(counts, counts[:, None, None] * covariances, covariances.copy())
    np.testing.assert_allclose(again, covariances, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(("family", "n_features", "n_components"), CASES)
def test_first_derivatives(family, n_features, n_components):
    X, row_weights, coordinates = problem(family, n_features, n_components)
    information = information_at(X, row_weights, coordinates)
    scores = central(lambda theta: row_log_density(X, coordinates, theta), coordinates.size)
    np.testing.assert_allclose(information.gradient, row_weights @ scores, rtol=1e-7, atol=1e-6)
    np.testing.assert_allclose(information.score_products, (scores.T * row_weights) @ scores, rtol=1e-7, atol=1e-6)
    np.testing.assert_allclose(
        information.log_likelihood, row_weights @ row_log_density(X, coordinates, np.zeros(coordinates.size)), rtol=1e-13
    )


@pytest.mark.parametrize(("family", "n_features", "n_components"), CASES)
def test_second_derivatives(family, n_features, n_components):
    """Along every coordinate and as many random directions.

    Richardson's extrapolation of differences with steps h and h / 2 has an error of h^4, and 1e-16 * 300 / h^2 by rounding.
    """
    X, row_weights, coordinates = problem(family, n_features, n_components)
    observed = information_at(X, row_weights, coordinates).observed

    def total(theta):
        return row_weights @ row_log_density(X, coordinates, theta)

    random = np.random.default_rng(7).normal(size=observed.shape) / np.sqrt(len(observed))
    for direction in (*np.eye(len(observed)), *random):
        coarse, fine = (second_difference(total, direction, step) for step in (4e-3, 2e-3))
        error = direction @ observed @ direction + (4 * fine - coarse) / 3
        assert abs(error) < 1e-6 * np.abs(observed).max()


@pytest.mark.parametrize("family", representative_values(FOURTEEN, 0, 9, 13, others=pytest.mark.slow))
def test_derivatives_with_a_resolution(family):
    """The likelihood of recorded values, in the coordinates of the true ones; one column is exact."""
    X, row_weights, coordinates = problem(family, 3, 2)
    resolution = np.array([2.0, 0.0, 1.0])
    rounding = np.diag(resolution**2) / 12
    information = information_at(X, row_weights, coordinates, resolution)
    scores = central(lambda theta: row_log_density(X, coordinates, theta, rounding), coordinates.size)
    np.testing.assert_allclose(information.gradient, row_weights @ scores, rtol=1e-7, atol=1e-6)
    np.testing.assert_allclose(information.score_products, (scores.T * row_weights) @ scores, rtol=1e-7, atol=1e-6)

    def gradient(theta):
        return row_weights @ central(lambda move: row_log_density(X, coordinates, theta + move, rounding), coordinates.size, 1e-4)

    observed = -central(gradient, coordinates.size, 1e-3)
    np.testing.assert_allclose(information.observed, observed, rtol=0, atol=1e-5 * np.abs(observed).max())

    root = square_root(np.linalg.inv(information.score_products))

    def memberships(theta):
        weights, means, covariances = coordinates.at(theta)
        return compute_responsibilities(X, weights, means, np.linalg.cholesky(covariances + rounding))

    expected = np.linalg.norm(central(memberships, coordinates.size) @ root, axis=-1)
    found = responsibility_errors(X, coordinates, root, resolution)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-8)


@pytest.mark.parametrize("family", FOURTEEN)
def test_delta_method(family):
    X, row_weights, coordinates = problem(family, 3, 3)
    root = square_root(np.linalg.inv(information_at(X, row_weights, coordinates).score_products))
    errors = delta_errors(coordinates, root)
    params = coordinates.params
    units = {"means": params.scales, "scales": params.scales, "covariances": params.scales[:, :, None] * params.scales[:, None]}
    for kind in errors._fields:
        slopes = central(lambda theta, kind=kind: getattr(quantities_of(*coordinates.at(theta)), kind), coordinates.size)
        expected = np.linalg.norm(slopes @ root, axis=-1) / units.get(kind, 1.0)
        np.testing.assert_allclose(getattr(errors, kind), expected, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("family", ["EEI", "VVE", "VVV"])
def test_delta_method_for_memberships(family):
    X, row_weights, coordinates = problem(family, 2, 3)
    root = square_root(np.linalg.inv(information_at(X, row_weights, coordinates).score_products))

    def memberships(theta):
        weights, means, covariances = coordinates.at(theta)
        return compute_responsibilities(X, weights, means, np.linalg.cholesky(covariances))

    expected = np.linalg.norm(central(memberships, coordinates.size) @ root, axis=-1)
    np.testing.assert_allclose(responsibility_errors(X, coordinates, root), expected, rtol=1e-5, atol=1e-8)


@pytest.mark.parametrize(("family", "free"), [("VVV", 18), ("EEE", 6)])
def test_data_units(family, free):
    """`to_data_units` takes a small theta to the change of means and covariances that `at` makes."""
    _, _, coordinates = problem(family, 3, 3)
    theta = 1e-3 * np.random.default_rng(3).normal(size=coordinates.size)
    moved = coordinates.to_data_units() @ theta
    _, means, covariances = coordinates.at(theta)
    np.testing.assert_allclose(moved[2:11], (means - coordinates.params.means).ravel(), rtol=1e-10)
    rows, columns = np.tril_indices(3)
    change = (covariances - coordinates.params.covariances)[:, rows, columns].ravel()[:free]
    np.testing.assert_allclose(moved[11:], change, rtol=1e-9, atol=1e-14)
    first = "covariances[0, a, a]" if family == "VVV" else "covariances[a, a]"
    assert coordinates.names[:3] == ("log_ratio[0]", "log_ratio[1]", "means[0, a]")
    assert coordinates.names[11] == first
