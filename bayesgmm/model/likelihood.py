"""The mixture's log-likelihood as PyTensor ops over the fused kernel.

`mixture_log_density` gives one value per row, so that pointwise quantities, per-row weights and `pm.Potential`s behave as in any
PyMC model. When only its sum over rows enters the log-posterior, a rewrite replaces the sum by the value that the score op has
computed already: one pass over the data gives the log-likelihood and its gradient.
"""

import numpy as np
import pytensor.tensor as pt
from numba import njit
from pytensor.gradient import DisconnectedType, grad_not_implemented
from pytensor.graph.basic import Apply
from pytensor.graph.op import Op
from pytensor.graph.rewriting.basic import node_rewriter
from pytensor.link.numba.dispatch.basic import register_funcify_default_op_cache_key
from pytensor.tensor.math import Sum
from pytensor.tensor.rewriting.basic import register_canonicalize

from bayesgmm.kernels.block import CODE_VERSION, matrix, vector
from bayesgmm.kernels.cache import ENTRY
from bayesgmm.kernels.density import compute_log_density, fill_densities
from bayesgmm.kernels.score import score_of_trils


class MixtureLogDensity(Op):
    """ln p(x_n) of every row: (X (N, D), weights (K,), means (K, D), scale_trils (K, D, D)) -> (N,)."""

    __props__ = ()
    gufunc_signature = "(n,d),(k),(k,d),(k,d,d)->(n)"

    def make_node(self, X, weights, means, scale_trils):
        inputs = [pt.as_tensor(value, dtype="float64") for value in (X, weights, means, scale_trils)]
        return Apply(self, inputs, [pt.vector(shape=(inputs[0].type.shape[0],), dtype="float64")])

    def infer_shape(self, node, shapes):
        return [(shapes[0][0],)]

    def perform(self, node, inputs, outputs):
        outputs[0][0] = compute_log_density(*inputs)

    def pullback(self, inputs, outputs, cotangents):
        _, *gradients = mixture_score(*inputs, cotangents[0])
        return [grad_not_implemented(self, 0, inputs[0], "the data are not differentiated"), *gradients]


class MixtureScore(Op):
    """Weighted log-likelihood and its gradient: (X, weights, means, scale_trils, row_weights) -> (), (K,), (K, D), (K, D, D)."""

    __props__ = ()
    gufunc_signature = "(n,d),(k),(k,d),(k,d,d),(n)->(),(k),(k,d),(k,d,d)"

    def make_node(self, X, weights, means, scale_trils, row_weights):
        inputs = [pt.as_tensor(value, dtype="float64") for value in (X, weights, means, scale_trils, row_weights)]
        return Apply(self, inputs, [pt.dscalar(), *(variable.type() for variable in inputs[1:4])])

    def infer_shape(self, node, shapes):
        return [(), *shapes[1:4]]

    def pullback(self, inputs, outputs, cotangents):
        value_cotangent, *score_cotangents = cotangents
        if not all(isinstance(cotangent.type, DisconnectedType) for cotangent in score_cotangents):
            raise NotImplementedError("The mixture likelihood has first derivatives only; a Hessian was asked for.")
        X, weights, means, scale_trils, _ = inputs
        gradients = [value_cotangent * gradient for gradient in outputs[1:]]
        row_gradient = value_cotangent * mixture_log_density(X, weights, means, scale_trils)
        return [grad_not_implemented(self, 0, X, "the data are not differentiated"), *gradients, row_gradient]

    def perform(self, node, inputs, outputs):
        for storage, value in zip(outputs, score_of_trils(*map(np.ascontiguousarray, inputs)), strict=True):
            storage[0] = np.asarray(value)


mixture_log_density = MixtureLogDensity()
mixture_score = MixtureScore()


@njit(**ENTRY)
def _log_density(X, weights, means, scale_trils):
    n_components, n_features = means.shape
    location, scale, out = vector(n_features), vector(n_features), vector(X.shape[0])
    for i in range(n_features):
        scale[i] = 1.0
    start = np.int64(0)  # a literal would have fill_densities compiled again
    fill_densities(X, location, scale, start, X.shape[0], weights, means, scale_trils, out, matrix(start, n_components))
    return out


@register_funcify_default_op_cache_key(MixtureLogDensity)
def _numba_log_density(op, node, **kwargs):
    return _log_density, CODE_VERSION


@register_funcify_default_op_cache_key(MixtureScore)
def _numba_score(op, node, **kwargs):
    @njit(nogil=True, error_model="numpy")
    def mixture_score_values(X, weights, means, scale_trils, row_weights):
        value, d_weights, d_means, d_scale_trils = score_of_trils(X, weights, means, scale_trils, row_weights)
        return np.asarray(value), d_weights, d_means, d_scale_trils

    return mixture_score_values, CODE_VERSION


@register_canonicalize
@node_rewriter([Sum])
def sum_of_log_densities(fgraph, node):
    """sum_n ln p(x_n) is the first output of the score op with unit weights, which the gradient needs in any case."""
    (summed,) = node.inputs
    if summed.owner is None or not isinstance(summed.owner.op, MixtureLogDensity):
        return None
    return [mixture_score(*summed.owner.inputs, pt.ones((summed.owner.inputs[0].shape[0],)))[0]]
