"""The ops against PyMC's own mixture and against finite differences."""

import numpy as np
import pymc as pm
import pytensor
import pytensor.tensor as pt
import pytest

from bayesgmm.model.likelihood import MixtureLogDensity, MixtureScore, mixture_log_density
from tests.problems import random_data, random_params
from tests.representatives import representative_values

MODES = {(2, 2): "NUMBA"}  # of our ops: one case through the compiled graph, the others through their own `perform`, for speed
CASES = [(2, 1), (2, 2), (3, 3), (2, 5)]


@pytest.fixture(
    scope="module", params=representative_values(CASES, 0, others=pytest.mark.slow), ids=lambda case: f"K{case[0]}D{case[1]}"
)
def functions(request):
    """(ours, PyMC's) log-likelihood and gradients as functions of (X, weights, means, scale_trils)."""
    n_components, _ = request.param
    inputs = [pt.dmatrix("X"), pt.dvector("weights"), pt.dmatrix("means"), pt.dtensor3("scale_trils")]
    X, weights, means, scale_trils = inputs
    components = [pm.MvNormal.dist(means[k], chol=scale_trils[k]) for k in range(n_components)]
    theirs = pm.logp(pm.Mixture.dist(weights, components), X)
    compiled = []
    for pointwise, mode in ((mixture_log_density(*inputs), MODES.get(request.param, "FAST_COMPILE")), (theirs, "FAST_COMPILE")):
        total = pointwise.sum()
        outputs = [pointwise, total, *pytensor.grad(total, inputs[1:])]
        compiled.append(pytensor.function(inputs, outputs, on_unused_input="ignore", mode=mode))
    return (*compiled, request.param)


def writable(X, params):
    """Arrays of one type for all calls: numba compiles the graph anew for read-only ones."""
    return [np.array(values) for values in (X, params.weights, params.means, params.scale_trils)]


def test_value_and_gradient_equal_pymc_mixture(functions):
    ours, theirs, (n_components, n_features) = functions
    rng = np.random.default_rng(11)
    for _ in range(5):
        params = random_params(rng, n_components, n_features)
        X, _ = random_data(rng, params, 40)
        arguments = writable(X, params)
        mine, reference = ours(*arguments), theirs(*arguments)
        np.testing.assert_allclose(mine[0], reference[0], rtol=1e-10, atol=1e-8)
        np.testing.assert_allclose(mine[1], reference[1], rtol=1e-10, atol=1e-8)
        np.testing.assert_allclose(mine[2], reference[2], rtol=1e-8, atol=1e-8)
        np.testing.assert_allclose(mine[3], reference[3], rtol=1e-8, atol=1e-8)
        np.testing.assert_allclose(mine[4], np.tril(reference[4]), rtol=1e-8, atol=1e-8)


def test_gradient_equals_finite_differences(functions):
    ours, _, (n_components, n_features) = functions
    rng = np.random.default_rng(12)
    params = random_params(rng, n_components, n_features)
    X, _ = random_data(rng, params, 40)
    arguments = writable(X, params)
    gradients = ours(*arguments)[2:]
    for position, gradient in enumerate(gradients, start=1):
        for index in np.ndindex(*gradient.shape):
            if position == 3 and index[2] > index[1]:
                assert gradient[index] == 0.0
                continue
            step = 1e-6
            values = []
            for sign in (1, -1):
                moved = [np.array(argument) for argument in arguments]
                moved[position][index] += sign * step
                values.append(float(ours(*moved)[1]))
            assert gradient[index] == pytest.approx((values[0] - values[1]) / (2 * step), rel=1e-5, abs=1e-5)


def test_row_cotangents_weight_the_rows():
    rng = np.random.default_rng(13)
    params = random_params(rng, 2, 2)
    X, weights, at, scale_trils = writable(random_data(rng, params, 6)[0], params)
    row_weights = rng.exponential(size=6)
    means = pt.dmatrix("means")
    single = mixture_log_density(X, weights, means, scale_trils)
    gradient = pytensor.function([means], pytensor.grad((row_weights * single).sum(), means), mode="FAST_COMPILE")(at)
    rows = [pytensor.grad(single[n], means) for n in range(6)]
    row_gradient = np.array(pytensor.function([means], rows, mode="FAST_COMPILE")(at))
    np.testing.assert_allclose(gradient, np.einsum("n,nkd->kd", row_weights, row_gradient), rtol=1e-9, atol=1e-9)


def test_sum_and_gradient_take_one_pass():
    rng = np.random.default_rng(14)
    params = random_params(rng, 2, 2)
    X, _ = random_data(rng, params, 30)
    means = pt.dmatrix("means")
    total = mixture_log_density(X, params.weights, means, params.scale_trils).sum()
    function = pytensor.function([means], [total, pytensor.grad(total, means)], mode="FAST_RUN")
    ops = [node.op for node in function.maker.fgraph.toposort()]
    assert sum(isinstance(op, MixtureScore) for op in ops) == 1
    assert not any(isinstance(op, MixtureLogDensity) for op in ops)


def test_second_derivatives_are_refused_in_words():
    means = pt.dmatrix("means")
    total = mixture_log_density(np.zeros((3, 2)), np.ones(1), means, np.eye(2)[None]).sum()
    with pytest.raises(NotImplementedError, match="first derivatives only"):
        pytensor.grad(pytensor.grad(total, means).sum(), means)
