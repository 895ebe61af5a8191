"""The ops in JAX against the same ops in numba, and NumPyro on the model; skipped without NumPyro.

Run: uv run --group numpyro pytest -n 0 tests/model/test_likelihood_jax.py
"""

import numpy as np
import pymc as pm
import pytensor
import pytensor.tensor as pt
import pytest

from bayesgmm.model.build import build_model
from bayesgmm.model.likelihood import mixture_log_density, mixture_score
from tests.problems import random_data, random_params

jax = pytest.importorskip("jax")
pytest.importorskip("numpyro")

CASES = [(1, 1), (2, 2), (3, 4)]


def mixture_inputs():
    return [pt.dmatrix("X"), pt.dvector("weights"), pt.dmatrix("means"), pt.dtensor3("scale_trils")]


@pytest.mark.parametrize(("n_components", "n_features"), CASES)
def test_values_and_gradients_equal_the_kernel(n_components, n_features):
    rng = np.random.default_rng(21)
    params = random_params(rng, n_components, n_features)
    X, _ = random_data(rng, params, 50)
    arguments = (X, params.weights, params.means, params.scale_trils, rng.exponential(size=50))
    inputs = [*mixture_inputs(), pt.dvector("row_weights")]
    outputs = [mixture_log_density(*inputs[:4]), *mixture_score(*inputs)]
    in_jax, in_kernel = (pytensor.function(inputs, outputs, mode=mode)(*arguments) for mode in ("JAX", "FAST_COMPILE"))
    for ours, kernel in zip(in_jax, in_kernel, strict=True):
        np.testing.assert_allclose(ours, kernel, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("covariance", ["VVV", "EVE"])
def test_jax_differentiates_the_model_as_pytensor_does(covariance):
    jaxified = pytest.importorskip("pymc.sampling.jax").get_jaxified_logp
    rng = np.random.default_rng(22)
    X, _ = random_data(rng, random_params(rng, 2, 2), 40)
    model = build_model(X, 2, covariance=covariance)
    point = model.initial_point()
    point = {name: value + rng.normal(scale=0.3, size=np.shape(value)) for name, value in point.items()}
    ordered = [point[variable.name] for variable in model.value_vars]
    value, gradients = jax.jit(jax.value_and_grad(jaxified(model)))(ordered)
    assert float(value) == pytest.approx(float(model.compile_logp(mode="FAST_COMPILE")(point)), rel=1e-8)
    flat = np.concatenate([np.ravel(gradient) for gradient in gradients])
    np.testing.assert_allclose(flat, model.compile_dlogp(mode="FAST_COMPILE")(point), rtol=1e-8, atol=1e-8)


def test_numpyro_samples_the_model():
    rng = np.random.default_rng(23)
    X = np.concatenate([rng.normal(size=(40, 1)), rng.normal(loc=8.0, size=(40, 1))])
    with build_model(X, 2):
        tree = pm.sample(
            200, tune=200, chains=1, nuts_sampler="numpyro", random_seed=24, progressbar=False, compute_convergence_checks=False
        )
    means = np.sort(tree["posterior"]["means"].mean(("chain", "draw")).values.ravel())
    np.testing.assert_allclose(means, [X[:40].mean(), X[40:].mean()], atol=0.3)
