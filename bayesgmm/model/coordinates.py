"""Free parameters of the model and their unconstrained coordinates, as NumPy over any batch of draws.

The coordinates are u = (y, means, ln scales, v, w, x), raveled and joined, with

- weights = softmax(y_1, ..., y_{K-1}, -sum y);
- log_volumes = B_K v and log_shapes = B_K w B_D', where the columns of the contrasts B_n (n, n - 1) are orthonormal and sum to 0;
- x: row i of the Cholesky factor of a correlation matrix = (x_i1, ..., x_i,i-1, 1) divided by its length; or rotations = sinh x,
  the lower triangle of the skew-symmetric matrix whose Cayley transform is a rotation (`axes`): x has no heavy tails.
"""

from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from scipy.special import softmax

from bayesgmm.em.coordinates import own_axes, shared_axes
from bayesgmm.model.axes import cayley, inverse_cayley
from bayesgmm.model.structure import Structure
from bayesgmm.params import MixtureParams

Array = NDArray[np.float64]


class Parameters(NamedTuple):
    """The free parameters, named as the variables of the PyMC model; parts that a family does not have are empty.

    weights (..., K), means (..., K, D), scales (..., K or 1, D or 1), log_volumes (..., K), log_shapes (..., K, D),
    correlation_trils (..., K or 1, D, D), rotations (..., K or 1, D (D - 1) / 2).
    """

    weights: Array
    means: Array
    scales: Array
    log_volumes: Array
    log_shapes: Array
    correlation_trils: Array
    rotations: Array


def contrasts(size: int) -> Array:
    """Orthonormal columns that sum to 0, (size, size - 1) (Helmert's)."""
    out = np.zeros((size, max(size - 1, 0)))
    for column in range(size - 1):
        out[: column + 1, column] = 1.0
        out[column + 1, column] = -(column + 1.0)
        out[:, column] /= np.sqrt((column + 1.0) * (column + 2.0))
    return out


def constrain(u: Array, structure: Structure) -> Parameters:
    """Parameters of coordinates u (..., n_coordinates)."""
    batch, n_components, n_features = u.shape[:-1], structure.n_components, structure.n_features
    y, means, log_scales, v, w, x = np.split(u, np.cumsum(structure.sizes)[:-1], axis=-1)
    logits = np.concatenate([y, -y.sum(axis=-1, keepdims=True)], axis=-1)
    none = np.zeros((*batch, 0))
    shapes = w.reshape(*batch, n_components - 1, n_features - 1) if structure.own_shapes else none
    x = x.reshape(*batch, structure.n_axes, structure.n_pairs)
    return Parameters(
        softmax(logits, axis=-1),
        means.reshape(*batch, n_components, n_features),
        np.exp(log_scales).reshape(*batch, *structure.scales_shape),
        v @ contrasts(n_components).T if structure.own_volumes else none,
        contrasts(n_components) @ shapes @ contrasts(n_features).T if structure.own_shapes else none,
        _correlation_trils(x, n_features) if structure.axes == "correlations" else none,
        np.sinh(x) if structure.axes == "rotations" else none,
    )


def _correlation_trils(x: Array, n_features: int) -> Array:
    rows = np.zeros((*x.shape[:-1], n_features, n_features))
    lower = np.tril_indices(n_features, -1)
    rows[..., lower[0], lower[1]] = x
    rows[..., np.arange(n_features), np.arange(n_features)] = 1.0
    return rows / np.sqrt((rows**2).sum(axis=-1, keepdims=True))


def unconstrain(parameters: Parameters, structure: Structure) -> Array:
    """Coordinates (..., n_coordinates) of parameters; the reverse of `constrain`."""
    batch, n_components, n_features = parameters.weights.shape[:-1], structure.n_components, structure.n_features
    logits = np.log(parameters.weights)
    pieces = [(logits - logits.mean(axis=-1, keepdims=True))[..., :-1], parameters.means, np.log(parameters.scales)]
    if structure.own_volumes:
        pieces.append(parameters.log_volumes @ contrasts(n_components))
    if structure.own_shapes:
        pieces.append(contrasts(n_components).T @ parameters.log_shapes @ contrasts(n_features))
    if structure.axes == "correlations":
        lower = np.tril_indices(n_features, -1)
        trils = parameters.correlation_trils
        rows = trils / np.diagonal(trils, axis1=-2, axis2=-1)[..., None]
        pieces.append(rows[..., lower[0], lower[1]])
    elif structure.axes == "rotations":
        pieces.append(np.arcsinh(parameters.rotations))
    return np.concatenate([piece.reshape(*batch, -1) for piece in pieces], axis=-1)


def log_jacobian(parameters: Parameters, structure: Structure) -> Array:
    """ln |d parameters / d u|.

    The simplex is measured by its first K - 1 weights, a correlation matrix's Cholesky factor by its strictly lower triangle,
    log_volumes and log_shapes by lengths in the space that they fill, in which v and w are rotated only.
    """
    n_components, n_features = structure.n_components, structure.n_features
    out = np.log(n_components) + np.log(parameters.weights).sum(axis=-1) + np.log(parameters.scales).sum(axis=(-1, -2))
    if structure.axes == "correlations":
        log_diagonal = np.log(np.diagonal(parameters.correlation_trils, axis1=-2, axis2=-1))
        out = out + ((np.arange(n_features) + 2) * log_diagonal).sum(axis=(-1, -2))
    elif structure.axes == "rotations":
        out = out + 0.5 * np.log1p(parameters.rotations**2).sum(axis=(-1, -2))
    return out


def log_axis_scales(parameters: Parameters, structure: Structure) -> Array:
    """ln s_kd (..., K, D): marginal standard deviations, or semi-axes where the axes are rotations; see `structure`."""
    batch = parameters.weights.shape[:-1]
    shape = (*batch, structure.n_components, structure.n_features)
    out = np.broadcast_to(np.log(parameters.scales), shape)
    if structure.own_volumes:
        out = out + parameters.log_volumes[..., None]
    if structure.own_shapes:
        out = out + parameters.log_shapes
    if structure.equal_determinants:
        out = out - relative_log_determinants(parameters.correlation_trils)[..., None]
    return out


def relative_log_determinants(correlation_trils: Array) -> Array:
    """ln|R_k| / 2D less the mean of these over the components, (..., K)."""
    own = np.log(np.diagonal(correlation_trils, axis1=-2, axis2=-1)).mean(axis=-1)
    return own - own.mean(axis=-1, keepdims=True)


def factors(parameters: Parameters, structure: Structure) -> Array:
    """T_k (..., K, D, D) with Sigma_k = T_k T_k': lower triangular but where the axes are rotations."""
    scales = np.exp(log_axis_scales(parameters, structure))
    if structure.axes == "rotations":
        return structure.reference_axes @ cayley(parameters.rotations, structure.n_features) * scales[..., None, :]
    axes = parameters.correlation_trils if structure.axes == "correlations" else np.eye(structure.n_features)
    return scales[..., None] * axes


def covariances(parameters: Parameters, structure: Structure) -> Array:
    """Sigma_k (..., K, D, D)."""
    roots = factors(parameters, structure)
    return roots @ roots.swapaxes(-1, -2)


def to_mixture(parameters: Parameters, structure: Structure) -> MixtureParams:
    """The mixture of parameters without a batch."""
    return MixtureParams.from_covariances(parameters.weights, parameters.means, covariances(parameters, structure))


def from_mixture(params: MixtureParams, structure: Structure) -> Parameters:
    """The parameters of a mixture that belongs to the family; of one that does not, of one near it."""
    if structure.axes != "rotations":
        return from_draws(params.weights, params.means, params.scale_trils, structure)
    matrices, scales = _axes_near(structure.reference_axes, params, structure.own_axes)
    rotations = inverse_cayley(structure.reference_axes.swapaxes(1, 2) @ matrices)
    return _parted(params.weights, params.means, np.log(scales), np.zeros(0), rotations, structure)


def from_draws(weights: Array, means: Array, scale_trils: Array, structure: Structure) -> Parameters:
    """The same for any batch of mixtures, (..., K), (..., K, D), (..., K, D, D); not for families with rotations."""
    scales = np.sqrt((scale_trils**2).sum(axis=-1))
    trils = np.zeros(0)
    if structure.axes == "correlations":
        trils = scale_trils / scales[..., None]
        trils = trils if structure.own_axes else trils[..., :1, :, :]
    return _parted(weights, means, np.log(scales), trils, np.zeros(0), structure)


def _parted(weights: Array, means: Array, log_scales: Array, trils: Array, rotations: Array, structure: Structure) -> Parameters:
    """Parameters with ln s_kd (..., K, D) parted into what is shared and what is not."""
    if structure.equal_determinants:
        log_scales = log_scales + relative_log_determinants(trils)[..., None]
    shared = tuple(axis for axis, size in zip((-2, -1), structure.scales_shape, strict=True) if size == 1)
    common = log_scales.mean(axis=shared, keepdims=True) if shared else log_scales
    rest, none = log_scales - common, np.zeros(0)
    return Parameters(
        weights,
        means,
        np.exp(common),
        rest.mean(axis=-1) if structure.own_volumes else none,
        rest - rest.mean(axis=-1, keepdims=True) if structure.own_shapes else none,
        trils,
        rotations,
    )


def centred_on(structure: Structure, params: MixtureParams) -> Structure:
    """The structure with the axes of a mixture for reference; the same structure where it has no rotations."""
    if structure.axes != "rotations":
        return structure
    return replace(structure, reference_axes=_axes_near(structure.reference_axes, params, structure.own_axes)[0])


def _axes_near(reference: Array, params: MixtureParams, own: bool) -> tuple[Array, Array]:
    """Rotations A_k (K or 1, D, D) and semi-axes (K, D), in that order and with those signs which bring A_k near a reference."""
    roots = own_axes(params.scale_trils) if own else shared_axes(params.scale_trils)
    semi_axes = np.linalg.norm(roots, axis=1)
    matrices = (roots / semi_axes[:, None, :])[: len(reference)]
    cosines = reference.swapaxes(1, 2) @ matrices
    _, order = linear_sum_assignment(-np.abs(cosines).sum(axis=0))
    matrices, semi_axes, cosines = matrices[:, :, order], semi_axes[:, order], cosines[:, :, order]
    diagonals = np.diagonal(cosines, axis1=1, axis2=2)
    signs = np.where(diagonals < 0, -1.0, 1.0)
    turned = np.linalg.det(matrices * signs[:, None, :]) < 0
    signs[turned, np.abs(diagonals[turned]).argmin(axis=1)] *= -1
    return matrices * signs[:, None, :], semi_axes
