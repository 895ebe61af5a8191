"""Coordinates in which prior and posterior are nearly normal, component by component: where proposals are Gaussian mixtures.

An empty component follows its prior, an occupied one is close to normal in any smooth coordinates; so these make the prior nearly
normal: cube roots of the weights and of inverse-gamma scales (Wilson and Hilferty 1931), the power 2/3 of half-normal scales,
rows of correlations (multivariate t in the model's coordinates) drawn in radially by sqrt(ln(1 + r^2)) / r. Means are normal as
they are.

Where each component has its own rotation, its coordinates depend on whose reference axes they are relative to, and axes are given
the signs that bring them nearest to those.
"""

from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bayesgmm.model.axes import cayley, cayley_log_density, inverse_cayley
from bayesgmm.model.coordinates import contrasts
from bayesgmm.model.priors import ResolvedPriors
from bayesgmm.model.structure import Structure

Array = NDArray[np.float64]
Orders = NDArray[np.intp]

LARGEST = 600.0
"""Of the squared length of a row of correlations in these coordinates; exp of more than 700 overflows."""


class Scores(NamedTuple):
    """Points u (S, P) in these coordinates v, in every assignment of components to slots; the last slot has fewer coordinates.

    shared (S, R); blocks (S, K, K, B), blocks[n, k, c] being component c in slot k; bonus (S, K, K) and log_jacobian (S,): of
    the assignment s, ln |dv / du| is log_jacobian + sum_k bonus[k, s_k].
    """

    shared: Array
    blocks: Array
    bonus: Array
    log_jacobian: Array
    size: int

    @property
    def groups(self) -> list[slice]:
        """The columns of what all components share, and of each slot."""
        shared, width = self.shared.shape[1], self.blocks.shape[3]
        ends = [0, *range(shared, self.size, width), self.size]
        return [slice(*pair) for pair in pairwise(ends)]

    def arranged(self, orders: Orders) -> Array:
        """v (S, P) with component orders[n, k] in slot k."""
        n_points, n_slots = orders.shape
        chosen = self.blocks[np.arange(n_points)[:, None], np.arange(n_slots), orders]
        return np.concatenate([self.shared, chosen.reshape(n_points, -1)], axis=1)[:, : self.size]


class _Parts(NamedTuple):
    """Coordinates of the model, by what they are of.

    logits (S, K - 1), means (S, K, D), log_scales (S, K or 1, D or 1), volumes (S, K - 1 or 0), shapes (S, K - 1 or 0, D - 1),
    axes (S, n_axes, D (D - 1) / 2).
    """

    logits: Array
    means: Array
    log_scales: Array
    volumes: Array
    shapes: Array
    axes: Array


def _parts(u: Array, structure: Structure) -> _Parts:
    n_points, n_components, n_features = len(u), structure.n_components, structure.n_features
    y, means, log_scales, volumes, shapes, axes = np.split(u, np.cumsum(structure.sizes)[:-1], axis=1)
    return _Parts(
        y,
        means.reshape(n_points, n_components, n_features),
        log_scales.reshape(n_points, *structure.scales_shape),
        volumes,
        shapes.reshape(n_points, -1, max(n_features - 1, 1)),
        axes.reshape(n_points, structure.n_axes, structure.n_pairs),
    )


def scores_of(u: Array, priors: ResolvedPriors, slots: Orders) -> Scores:
    """The points u (S, P); slot k has the reference axes of component slots[k]."""
    structure = priors.structure
    n_points, n_components = len(u), structure.n_components
    parts = _parts(u, structure)
    logits = np.concatenate([parts.logits, -parts.logits.sum(axis=1, keepdims=True)], axis=1)
    log_weights = logits - np.logaddexp.reduce(logits, axis=1, keepdims=True)
    weight_slopes = -np.log(3) - 2 / 3 * log_weights  # ln of d pi^(1/3) / d pi
    scales, scale_slopes = _scale_scores(parts.log_scales, priors)
    bonus = np.zeros((n_points, n_components, n_components))
    bonus[:, -1] -= weight_slopes
    log_jacobian = np.log(n_components) + (log_weights + weight_slopes).sum(axis=1) + scale_slopes.sum(axis=(1, 2))
    n_ratios = structure.sizes[3] + structure.sizes[4]
    if n_ratios:  # the contrasts of K values of sum 0, in place of their first K - 1
        log_jacobian = log_jacobian - n_ratios / (2 * (n_components - 1)) * np.log(n_components)
    own: list[Array] = [parts.means]
    shared: list[Array] = []
    (own if structure.cluster_scales else shared).append(scales)
    if structure.axes == "correlations":
        axes, axis_slopes = _inwards(parts.axes, structure.n_features)
        log_jacobian = log_jacobian + axis_slopes.sum(axis=1)
        (own if structure.own_axes else shared).append(axes)
    if structure.own_shapes:
        own.append(contrasts(n_components) @ parts.shapes)
    if structure.own_volumes:
        own.append((parts.volumes @ contrasts(n_components).T)[:, :, None])
    own.append(np.exp(log_weights / 3)[:, :, None])
    blocks = np.repeat(np.concatenate(own, axis=2)[:, None], n_components, axis=1)
    if structure.axes == "rotations":
        axes, log_uniform = _relative_axes(parts.axes, structure, slots)
        log_jacobian = log_jacobian + _log_uniform(parts.axes, structure.n_features).sum(axis=1)
        if structure.own_axes:
            blocks, bonus = np.concatenate([axes, blocks], axis=3), bonus - log_uniform
        else:
            shared.append(axes[:, 0])
            log_jacobian = log_jacobian - log_uniform[:, 0, 0]
    return Scores(
        np.concatenate([np.zeros((n_points, 0)), *(part.reshape(n_points, -1) for part in shared)], axis=1),
        np.ascontiguousarray(blocks),
        bonus,
        log_jacobian,
        structure.n_coordinates,
    )


def coordinates_of(v: Array, priors: ResolvedPriors, slots: Orders) -> tuple[Array, NDArray[np.bool_]]:
    """The points u (S, P) whose scores with component slots[k] in slot k are v (S, P), and whether there is such a point.

    Where there is none, u is not finite.
    """
    structure = priors.structure
    n_points, n_components, n_features = len(v), structure.n_components, structure.n_features
    of_columns = structure.scales_shape[1]
    n_pairs = structure.n_pairs if structure.n_axes else 0
    own_axes = structure.own_axes and structure.n_axes > 0
    dropped = structure.own_shapes * (n_features - 1) + structure.own_volumes + 1
    n_shared = (0 if structure.cluster_scales else of_columns) + (0 if own_axes else n_pairs)
    shared = v[:, :n_shared]
    blocks = np.concatenate([v[:, n_shared:], np.zeros((n_points, dropped))], axis=1).reshape(n_points, n_components, -1)
    blocks = blocks[:, np.argsort(slots)]
    last = int(slots[-1])
    blocks[:, last, -dropped:-1] = -np.delete(blocks[:, :, -dropped:-1], last, axis=1).sum(axis=1)
    with np.errstate(all="ignore"):
        weights = blocks[:, :, -1] ** 3
        weights[:, last] = 1 - np.delete(weights, last, axis=1).sum(axis=1)
        logits = np.log(weights)
        logits = (logits - logits.mean(axis=1, keepdims=True))[:, :-1]
        at = 0
        if own_axes and structure.axes == "rotations":
            axes, at = blocks[:, :, :n_pairs], n_pairs
        means, at = blocks[:, :, at : at + n_features], at + n_features
        if structure.cluster_scales:
            scales, at = blocks[:, :, at : at + of_columns], at + of_columns
        else:
            scales, shared = shared[:, None, :of_columns], shared[:, of_columns:]
        if not own_axes:
            axes = shared.reshape(n_points, structure.n_axes, n_pairs)
        elif structure.axes == "correlations":
            axes, at = blocks[:, :, at : at + n_pairs], at + n_pairs
        if structure.axes == "correlations":
            axes = _outwards(axes, n_features)
        shapes = blocks[:, :, at : at + n_features - 1] if structure.own_shapes else np.zeros((n_points, n_components, 0))
        volumes = blocks[:, :, -2] if structure.own_volumes else np.zeros((n_points, n_components))
        pieces = [
            logits,
            means,
            _log_scales(scales, priors),
            volumes @ contrasts(n_components) if structure.own_volumes else np.zeros((n_points, 0)),
            contrasts(n_components).T @ shapes,
            axes,
        ]
        u = np.concatenate([piece.reshape(n_points, -1) for piece in pieces], axis=1)
    return u, np.isfinite(u).all(axis=1)


def _scale_scores(log_scales: Array, priors: ResolvedPriors) -> tuple[Array, Array]:
    """Scores of ln sigma, nearly normal under the prior, and ln of their derivative by ln sigma."""
    parameters = priors.scale_params
    if priors.scale_prior == "inverse_gamma":
        root = np.exp((np.log(parameters["beta"]) - log_scales) / 3)
        return -root, np.log(root / 3)
    if priors.scale_prior == "half_normal":
        root = np.exp(2 / 3 * (log_scales - np.log(parameters["sigma"])))
        return root, np.log(2 / 3 * root)
    if priors.scale_prior == "half_student_t":
        ratio = np.exp(2 * (log_scales - np.log(parameters["sigma"]))) / parameters["nu"]
        squares = parameters["nu"] * np.log1p(ratio)  # near chi-squared with one degree of freedom
        return np.cbrt(squares), np.log(2 / 3 * parameters["nu"] * ratio / (1 + ratio)) - 2 / 3 * np.log(squares)
    return log_scales, np.zeros_like(log_scales)


def _log_scales(scores: Array, priors: ResolvedPriors) -> Array:
    """The reverse of `_scale_scores`; not finite for scores that no scale has."""
    parameters = priors.scale_params
    if priors.scale_prior == "inverse_gamma":
        return np.log(parameters["beta"]) - 3 * np.log(-scores)
    if priors.scale_prior == "half_normal":
        return np.log(parameters["sigma"]) + 1.5 * np.log(scores)
    if priors.scale_prior == "half_student_t":
        nu = parameters["nu"]
        return np.log(parameters["sigma"]) + 0.5 * np.log(nu * np.expm1(np.where(scores > 0, scores, np.nan) ** 3 / nu))
    return scores


def _inwards(axes: Array, n_features: int) -> tuple[Array, Array]:
    """Rows of correlations (..., pairs) drawn in, and ln of the determinant of that (...)."""
    out, slopes, at = np.empty_like(axes), np.zeros(axes.shape[:-1]), 0
    for i in range(1, n_features):
        row = axes[..., at : at + i]
        squares = (row**2).sum(axis=-1)
        drawn = np.sqrt(np.where(squares > 0, np.log1p(squares) / np.where(squares > 0, squares, 1.0), 1.0))
        out[..., at : at + i] = drawn[..., None] * row
        slopes += (i - 2) * np.log(drawn) - np.log1p(squares)
        at += i
    return out, slopes


def _outwards(axes: Array, n_features: int) -> Array:
    """The reverse of `_inwards`; NaN for rows that are too long."""
    out, at = np.empty_like(axes), 0
    for i in range(1, n_features):
        row = axes[..., at : at + i]
        squares = (row**2).sum(axis=-1)
        squares = np.where(squares < LARGEST, squares, np.nan)
        drawn = np.sqrt(np.where(squares == 0, 1.0, np.expm1(squares) / np.where(squares == 0, 1.0, squares)))
        out[..., at : at + i] = drawn[..., None] * row
        at += i
    return out


def _relative_axes(axes: Array, structure: Structure, slots: Orders) -> tuple[Array, Array]:
    """Coordinates (S, slots, n_axes, pairs) of rotations relative to the reference of each slot, and ln of the uniform density.

    Of the signs of the axes, those that bring them nearest to the reference.
    """
    references = structure.reference_axes[slots] if structure.own_axes else structure.reference_axes
    matrices = structure.reference_axes @ cayley(np.sinh(axes), structure.n_features)
    turned = references.swapaxes(1, 2)[None, :, None] @ matrices[:, None]
    diagonals = np.diagonal(turned, axis1=-2, axis2=-1)
    signs = np.where(diagonals < 0, -1.0, 1.0)
    improper = signs.prod(axis=-1, keepdims=True) < 0
    smallest = np.arange(structure.n_features) == np.abs(diagonals).argmin(axis=-1)[..., None]
    signs = np.where(improper & smallest, -signs, signs)
    relative = np.arcsinh(inverse_cayley(turned * signs[..., None, :]))
    return relative, _log_uniform(relative, structure.n_features)


def _log_uniform(axes: Array, n_features: int) -> Array:
    """ln of the density of the coordinates (..., pairs) of a uniform rotation, shape (...)."""
    rotations = np.sinh(axes)
    return cayley_log_density(rotations, n_features) + 0.5 * np.log1p(rotations**2).sum(axis=-1)
