"""The compiled density against the PyMC model and against its parts, for every family and prior; gradients both ways."""

from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np
import pymc as pm
import pytensor
import pytest
from pytensor.graph.replace import clone_replace

from bayesgmm.kernels import c_functions
from bayesgmm.kernels.c_functions import pack
from bayesgmm.kernels.density import compute_log_density
from bayesgmm.model.build import _scales, assemble
from bayesgmm.model.coordinates import constrain, covariances, log_jacobian
from bayesgmm.model.density import density_arguments
from bayesgmm.model.priors import Priors
from bayesgmm.model.scale_priors import SCALE_PARAMETERS
from bayesgmm.model.specification import specify
from bayesgmm.model.target import Target
from bayesgmm.sampling.start import ChainStart
from bayesgmm.sampling.through_pymc import _flat_start
from tests.em.covariance_members import FOURTEEN
from tests.problems import random_data, random_params
from tests.representatives import representative_values, representatives

PRIORS = {
    "inverse_gamma": Priors(),
    "half_normal": Priors(concentration=0.5, scale_prior="half_normal", lkj_eta=1.0, log_ratio_scale=0.5),
    "half_student_t": Priors(scale_prior="half_student_t", lkj_eta=4.0, mean_loc=1.0, mean_scale=5.0),
    "log_normal": Priors(concentration=2.0, scale_prior="log_normal", log_ratio_scale=1.5),
    "hierarchical_gamma": Priors(scale_prior="hierarchical_gamma", log_ratio_scale=0.5),
}
RESOLUTIONS = {name: 0.4 * (i % 2) for i, name in enumerate(FOURTEEN)}
"""Half of the families with rounded data, those with correlations and those with rotations among both."""

FAST = "FAST_COMPILE"  # the Python linker: seconds of compilation saved, same numbers
N_POINTS = 100


def random_X(n_components, n_features):
    rng = np.random.default_rng(21)
    return random_data(rng, random_params(rng, n_components, n_features), 12)[0]


@dataclass(frozen=True, eq=False)
class Twin:
    """The target, its PyMC model, and the model's value variables as a function of the free parameters."""

    target: Target
    model: pm.Model
    forward: Any

    def values(self, u):
        """PyMC's unconstrained values at coordinates u, in the order of its value variables."""
        parameters = constrain(u, self.target.structure)._asdict()
        shapes = {
            variable.name: [len(self.model.coords[dim]) for dim in self.model.named_vars_to_dims[variable.name]]
            for variable in self.model.free_RVs
        }
        return self.forward(*[parameters[name].reshape(shape) for name, shape in shapes.items()])

    def point(self, u):
        return {variable.name: value for variable, value in zip(self.model.value_vars, self.values(u), strict=True)}

    def density_without_jacobian(self, u):
        structure = self.target.structure
        return self.target.log_density(u)[0] - log_jacobian(constrain(u, structure), structure)


@cache
def twin(family, scale_prior="inverse_gamma", n_components=2, n_features=2):
    X = random_X(n_components, n_features)
    specification = specify(X, n_components, family, PRIORS[scale_prior], RESOLUTIONS[family])
    model = assemble(specification)
    inputs = [variable.type() for variable in model.free_RVs]
    outputs = []
    for variable, value in zip(model.free_RVs, inputs, strict=True):
        transform = model.rvs_to_transforms[variable]
        outputs.append(value if transform is None else transform.forward(value, *variable.owner.inputs))
    forward = pytensor.function(inputs, outputs, mode=FAST, on_unused_input="ignore")
    return Twin(specification.target, model, forward)


def scale_log_prior(model, priors):
    """PyMC's log-density of these scales as a function of the model's own value variable."""
    with pm.Model(coords=model.coords) as alone:
        _scales(priors)
    (value,) = alone.value_vars
    (mine,) = [variable for variable in model.value_vars if variable.name == value.name]
    return clone_replace(alone.logp(jacobian=False), {value: mine})


def random_points(structure, size=N_POINTS):
    return np.random.default_rng(22).normal(scale=0.7, size=(size, structure.n_coordinates))


def assert_same(ours, theirs):
    assert abs(ours - theirs) < 1e-8 * max(1.0, abs(theirs))


def assert_equals_pymc(pair):
    logp = pair.model.compile_logp(jacobian=False, mode=FAST)
    for u in random_points(pair.target.structure):
        assert_same(pair.density_without_jacobian(u), float(logp(pair.point(u))))


@pytest.mark.parametrize("family", representative_values(FOURTEEN, 0, others=pytest.mark.slow))
def test_density_equals_the_pymc_model_under_every_scale_prior(family):
    """The whole model under the first kind; for the others, its scales' term exchanged for that of the kind."""
    pair = twin(family)
    kinds = [Priors(scale_prior=kind).resolved(pair.target.X, 2, family) for kind in SCALE_PARAMETERS]
    terms = [scale_log_prior(pair.model, priors) for priors in kinds]
    logp = pytensor.function(pair.model.value_vars, [pair.model.logp(jacobian=False), *terms], mode=FAST)
    others = [replace(pair, target=replace(pair.target, priors=priors)) for priors in kinds]
    for u in random_points(pair.target.structure):
        whole, first, *rest = map(float, logp(*pair.values(u)))
        for other, term in zip(others, [first, *rest], strict=True):
            assert_same(other.density_without_jacobian(u), whole - first + term)


@pytest.mark.parametrize("scale_prior", representative_values(list(PRIORS)[1:], 0, others=pytest.mark.slow))
@pytest.mark.parametrize("family", representative_values(["VVV", "VEI"], 1, others=pytest.mark.slow))
def test_density_equals_the_whole_pymc_model(family, scale_prior):
    assert_equals_pymc(twin(family, scale_prior))


@pytest.mark.parametrize(
    ("family", "n_components", "n_features"),
    representatives([("EVV", 3, 3), ("VEV", 3, 3), ("VVE", 3, 3), ("VVV", 1, 3), ("VEE", 3, 1)], 2, 4, others=pytest.mark.slow),
)
def test_density_equals_the_whole_pymc_model_in_other_sizes(family, n_components, n_features):
    assert_equals_pymc(twin(family, "half_student_t", n_components, n_features))


def test_chains_through_pymc_start_where_they_should():
    pair = twin("EVV")
    (u,) = random_points(pair.target.structure, 1)
    flat = _flat_start(pair.model, ChainStart(0, u), pair.target.structure)
    np.testing.assert_allclose(flat, np.concatenate([np.ravel(value) for value in pair.values(u)]), rtol=1e-12)


GRADIENTS = [*((family, "inverse_gamma") for family in ("VVV", "EVV", "VEI", "VVE", "EEV")), ("VVV", "hierarchical_gamma")]


@pytest.mark.parametrize(("family", "scale_prior"), representatives(GRADIENTS, 2, others=pytest.mark.slow))
def test_gradient_equals_that_of_pymc(family, scale_prior):
    """Along random directions of u, pushed through parameters to PyMC's coordinates by differences."""
    pair = twin(family, scale_prior)
    structure = pair.target.structure
    slope_of = pair.model.compile_dlogp(jacobian=False, mode=FAST)
    assert pair.model.continuous_value_vars == pair.model.value_vars
    rng = np.random.default_rng(23)
    step = 1e-5
    for u in random_points(structure, 5):
        slope, gradient = slope_of(pair.point(u)), pair.target.log_density(u)[1]
        for direction in rng.normal(size=(3, len(u))):
            ahead, behind = pair.values(u + step * direction), pair.values(u - step * direction)
            push = np.concatenate([np.ravel(a - b) for a, b in zip(ahead, behind, strict=True)]) / (2 * step)
            jacobians = [log_jacobian(constrain(u + sign * step * direction, structure), structure) for sign in (1, -1)]
            ours = gradient @ direction - (jacobians[0] - jacobians[1]) / (2 * step)
            assert ours == pytest.approx(slope @ push, rel=1e-6, abs=1e-6 * np.linalg.norm(slope))


@pytest.mark.parametrize("scale_prior", PRIORS)
@pytest.mark.parametrize("family", FOURTEEN)
@pytest.mark.parametrize(("n_components", "n_features"), [(1, 1), (3, 1), (1, 3), (2, 2), (3, 3)])
def test_density_is_likelihood_plus_priors_plus_jacobian(family, scale_prior, n_components, n_features):
    X = random_X(n_components, n_features)
    priors = PRIORS[scale_prior].resolved(X, n_components, family)
    target = Target(X, priors, np.linspace(0.0, RESOLUTIONS[family], n_features))
    for u in random_points(target.structure, 3):
        parameters = constrain(u, target.structure)
        recorded = covariances(parameters, target.structure) + np.diag(target.resolution**2 / 12)
        likelihood = compute_log_density(X, parameters.weights, parameters.means, np.linalg.cholesky(recorded)).sum()
        expected = likelihood + sum(priors.log_density(parameters).values()) + log_jacobian(parameters, target.structure)
        value, gradient = target.log_density(u)
        assert value == pytest.approx(float(expected), rel=1e-11, abs=1e-9)
        steps = 1e-5 * np.eye(len(u))
        differences = [(target.log_density(u + step)[0] - target.log_density(u - step)[0]) / 2e-5 for step in steps]
        np.testing.assert_allclose(gradient, differences, rtol=1e-6, atol=1e-6 * max(1.0, np.abs(gradient).max()))


def test_log_priors_of_batches_are_those_of_their_draws():
    rng = np.random.default_rng(24)
    X = random_X(3, 3)
    for family in FOURTEEN:
        priors = Priors().resolved(X, 3, family)
        u = rng.normal(size=(4, 2, priors.structure.n_coordinates))
        batched = priors.log_density(constrain(u, priors.structure))
        single = priors.log_density(constrain(u[3, 1], priors.structure))
        assert batched.keys() == single.keys()
        for name, values in batched.items():
            assert values.shape == (4, 2)
            assert values[3, 1] == pytest.approx(float(single[name]), rel=1e-12)


def test_doubled_rows_double_the_likelihood():
    """Density of the data twice, less that of the data, is the log-likelihood; and so for the gradients."""
    X = random_X(2, 2)
    for family in ("VVV", "EVE"):
        target = Target(X, Priors().resolved(X, 2, family), np.zeros(2))
        (u,) = random_points(target.structure, 1)
        params = target.mixture_at(u)
        likelihood = compute_log_density(X, params.weights, params.means, params.scale_trils).sum()
        twice = replace(target, X=np.vstack([X, X]))
        assert twice.log_density(u)[0] - target.log_density(u)[0] == pytest.approx(likelihood, rel=1e-10)


@pytest.mark.parametrize("family", ["VVV", "VVI", "VVE"])
def test_a_collapsed_component_has_no_density_unless_values_are_rounded(family):
    X = random_X(2, 2)
    priors = PRIORS["half_normal"].resolved(X, 2, family)
    exact, rounded = (Target(X, priors, np.full(2, step)) for step in (0.0, 0.1))
    (u,) = random_points(exact.structure, 1)
    scales_at = sum(exact.structure.sizes[:2])
    u[scales_at : scales_at + 2] = -1000.0
    assert exact.log_density(u)[0] == -np.inf
    value, gradient = rounded.log_density(u)
    assert np.isfinite(value)
    assert np.isfinite(gradient).all()


def test_components_that_vanish_together_have_a_density_where_values_are_rounded():
    """ln of the hierarchical prior of K scales of which m are e^-t, by ln of each: -t (2g + 2 alpha (K - m)), and a constant."""
    X = random_X(3, 1)
    alpha, g, t = 1.5, 0.3, 800.0
    priors = Priors(scale_prior="hierarchical_gamma", scale_params={"alpha": alpha, "g": g, "h": 2.0}).resolved(X, 3, "VVV")
    target = Target(X, priors, np.ones(1))
    (u,) = random_points(target.structure, 1)
    for m in (1, 2, 3):
        values = []
        for depth in (t, t + 50.0):
            u[-m:] = -depth
            value, gradient = target.log_density(u)
            assert np.isfinite(gradient).all()
            assert gradient[-m:].sum() == pytest.approx(2 * g + 2 * alpha * (3 - m), rel=1e-10)
            values.append(value)
        assert values[1] - values[0] == pytest.approx(-50.0 * (2 * g + 2 * alpha * (3 - m)), rel=1e-10)


@pytest.mark.parametrize("concentration", [0.5, 1.0, 2.0])
def test_where_weights_underflow_the_c_function_says_so(concentration):
    """And does not leave the value that was there: NUTS would take that for the density."""
    X = random_X(3, 2)
    target = specify(X, 3, "VVV", Priors(concentration=concentration), None).target
    u = np.random.default_rng(22).normal(size=target.structure.n_coordinates)
    u[0], u[1] = 1600.0, -800.0
    data = pack(X, *density_arguments(target.priors, target.resolution), np.zeros(len(u)), np.eye(len(u)))
    gradient, value = np.zeros(len(u)), np.array([123.0])
    status = c_functions._by_address()(len(u), *(array.ctypes.data for array in (u, gradient, value, data)))
    assert status != c_functions._OK or value[0] == -np.inf
    assert target.log_density(u)[0] == -np.inf


def test_data_for_the_c_functions_hold_every_array_once():
    """The flat array's offsets rise from its header to its end."""
    X = random_X(2, 2)
    target = Target(X, Priors().resolved(X, 2, "VVV"), np.zeros(2))
    size = target.structure.n_coordinates
    data = pack(X, *density_arguments(target.priors, target.resolution), np.arange(size, dtype=float), np.eye(size))
    assert data[0] == len(X)
    assert data[1:3].tolist() == [2, 2]
    np.testing.assert_array_equal(data[-X.size :], X.ravel())
    np.testing.assert_array_equal(data[-X.size - len(X) : -X.size], 1.0)
    np.testing.assert_array_equal(data[-X.size - len(X) - size**2 : -X.size - len(X)].reshape(size, size), np.eye(size))
