"""The compiled density against the PyMC model, its priors against SciPy and PyMC, its coordinates against numerical Jacobians."""

import numpy as np
import pytest

from bayesgmm.data import validate
from bayesgmm.kernels.density import compute_log_density
from bayesgmm.model.build import assemble
from bayesgmm.model.coordinates import Parameters, constrain, log_jacobian, n_coordinates, unconstrain
from bayesgmm.model.density import density_arguments, log_posterior
from bayesgmm.model.priors import Priors
from tests.problems import random_data, random_params

PRIORS = [
    Priors(),
    Priors(concentration=0.5, scale_prior="half_normal", scale_params={"sigma": 2.0}, lkj_eta=1.0),
    Priors(scale_prior="half_student_t", lkj_eta=4.0, mean_loc=1.0, mean_scale=5.0),
    Priors(scale_prior="log_normal"),
]
SHAPES = [(1, 1), (2, 1), (1, 2), (2, 2), (3, 3), (2, 5)]


def density_with_gradient(u, X, resolved):
    gradient = np.empty_like(u)
    return log_posterior(u, X, np.ones(len(X)), *density_arguments(resolved), gradient), gradient


@pytest.mark.parametrize("priors", PRIORS, ids=lambda priors: priors.scale_prior)
@pytest.mark.parametrize(("n_components", "n_features"), SHAPES)
def test_density_is_likelihood_plus_prior_plus_jacobian(priors, n_components, n_features):
    rng = np.random.default_rng(21)
    X, _ = random_data(rng, random_params(rng, n_components, n_features), 30)
    resolved = priors.resolved(X, n_components)
    for u in rng.normal(scale=0.7, size=(5, n_coordinates(n_components, n_features))):
        parameters = constrain(u, n_components, n_features)
        likelihood = compute_log_density(X, parameters.weights, parameters.means, parameters.scale_trils).sum()
        prior = sum(resolved.log_density(*parameters).values())
        value, gradient = density_with_gradient(u, X, resolved)
        assert value == pytest.approx(likelihood + prior + log_jacobian(parameters), rel=1e-12, abs=1e-9)
        steps = 1e-6 * np.eye(len(u))
        differences = [
            (density_with_gradient(u + step, X, resolved)[0] - density_with_gradient(u - step, X, resolved)[0]) / 2e-6
            for step in steps
        ]
        np.testing.assert_allclose(gradient, differences, rtol=2e-5, atol=2e-5)


@pytest.mark.parametrize(("n_components", "n_features"), SHAPES)
def test_log_jacobian_is_that_of_the_map(n_components, n_features):
    """Against the determinant of finite differences of the free parameters: K - 1 weights, means, scales, C's lower triangle."""
    rng = np.random.default_rng(22)
    u = rng.normal(scale=0.7, size=n_coordinates(n_components, n_features))
    lower = np.tril_indices(n_features, -1)

    def free(v):
        parameters = constrain(v, n_components, n_features)
        triangles = parameters.correlation_trils[:, *lower]
        return np.concatenate([parameters.weights[:-1], parameters.means.ravel(), parameters.scales.ravel(), triangles.ravel()])

    jacobian = np.array([(free(u + step) - free(u - step)) / 2e-6 for step in 1e-6 * np.eye(len(u))])
    expected = np.linalg.slogdet(jacobian)[1]
    assert log_jacobian(constrain(u, n_components, n_features)) == pytest.approx(expected, rel=1e-7, abs=1e-7)


def test_coordinates_round_trip_over_batches():
    rng = np.random.default_rng(23)
    u = rng.normal(size=(4, 7, n_coordinates(3, 4)))
    parameters = constrain(u, 3, 4)
    np.testing.assert_allclose(unconstrain(parameters), u, rtol=1e-10, atol=1e-10)
    np.testing.assert_allclose(parameters.weights.sum(axis=-1), 1.0, rtol=1e-14)
    np.testing.assert_allclose((parameters.correlation_trils**2).sum(axis=-1), 1.0, rtol=1e-14)


@pytest.mark.parametrize("priors", PRIORS, ids=lambda priors: priors.scale_prior)
@pytest.mark.parametrize(("n_components", "n_features"), [(2, 1), (2, 3)])
def test_density_equals_the_pymc_model(priors, n_components, n_features):
    """Without Jacobians, at random points: the compiled density and `model.compile_logp()` are one posterior."""
    rng = np.random.default_rng(24)
    X, _ = random_data(rng, random_params(rng, n_components, n_features), 25)
    resolved = priors.resolved(X, n_components)
    model = assemble(validate(X), resolved)
    point_logp = model.compile_logp(jacobian=False, mode="FAST_COMPILE")
    for u in rng.normal(scale=0.7, size=(3, n_coordinates(n_components, n_features))):
        parameters = constrain(u, n_components, n_features)
        value, _ = density_with_gradient(u, X, resolved)
        theirs = float(point_logp(unconstrained_point(model, parameters)))
        assert value - log_jacobian(parameters) == pytest.approx(theirs, rel=1e-8, abs=1e-8)


def unconstrained_point(model, parameters: Parameters):
    """PyMC's value variables at the given parameters."""
    values = parameters._asdict()
    point = {}
    for variable in model.free_RVs:
        transform, value = model.rvs_to_transforms[variable], values[variable.name]
        if transform is not None:
            value = transform.forward(value, *variable.owner.inputs).eval(mode="FAST_COMPILE")
        point[model.rvs_to_values[variable].name] = value
    return point
