"""The ops of `likelihood` in JAX, for samplers that differentiate the model themselves (NumPyro, BlackJAX).

Imported where JAX is installed: importing it tells PyTensor of the two ops.
"""

import jax
import jax.numpy as jnp
from jax.scipy.linalg import solve_triangular
from jax.scipy.special import logsumexp
from pytensor.link.jax.dispatch import jax_funcify

from bayesgmm.model.likelihood import MixtureLogDensity, MixtureScore


@jax_funcify.register(MixtureLogDensity)
def _jax_log_density(op, **kwargs):
    return _log_density


@jax_funcify.register(MixtureScore)
def _jax_score(op, **kwargs):
    return _score


def _log_density(X, weights, means, scale_trils):
    n_components, n_features = means.shape
    identities = jnp.broadcast_to(jnp.eye(n_features), (n_components, n_features, n_features))
    inverses = solve_triangular(scale_trils, identities, lower=True)
    whitened = jnp.einsum("kij,nkj->nki", inverses, X[:, None, :] - means)
    log_volumes = jnp.log(jnp.diagonal(scale_trils, axis1=1, axis2=2)).sum(axis=1)
    log_densities = -0.5 * (whitened**2).sum(axis=2) - log_volumes - 0.5 * n_features * jnp.log(2 * jnp.pi)
    return logsumexp(log_densities, axis=1, b=weights)


def _total(X, weights, means, scale_trils, row_weights):
    return row_weights @ _log_density(X, weights, means, scale_trils)


def _score(X, weights, means, scale_trils, row_weights):
    value, gradients = jax.value_and_grad(_total, argnums=(1, 2, 3))(X, weights, means, scale_trils, row_weights)
    return value, *gradients
