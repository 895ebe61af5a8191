"""Coordinates of the mixtures of one covariance family around an estimate: as many as the family has free parameters.

Sigma_k(theta) = R_k (exp(B_k) exp(A_k) exp(B_k)' + F_k) R_k' with B_k, A_k (diagonal) and F_k linear in theta, 0 at the estimate.
Volumes and shapes move A ("middle"), rotations and forms of determinant 1 move B ("left"), free matrices move F ("linear").
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import expm

from bayesgmm.params import MixtureParams

Array = NDArray[np.float64]


class Directions(NamedTuple):
    """What some coordinates do to one component: their place in theta (p,), and derivatives of B, A and F, each (p, D, D)."""

    places: NDArray[np.intp]
    left: Array
    middle: Array
    linear: Array

    @property
    def first(self) -> Array:
        """First derivatives of R_k^{-1} Sigma_k R_k^{-T} at 0, (p, D, D), symmetric."""
        return self.left + self.left.swapaxes(1, 2) + self.middle + self.linear

    def second(self, gradient: Array) -> Array:
        """sum_ij gradient_ij d2 (R_k^{-1} Sigma_k R_k^{-T})_ij / d theta d theta at 0, (p, p), for a symmetric gradient (D, D).

        The second differential of exp(B) exp(A) exp(B)' is B B + A A + B' B' + 2 (B A + B B' + A B').
        """

        def trace_of(first: Array, second: Array) -> Array:
            return (gradient @ first).reshape(len(first), -1) @ second.swapaxes(1, 2).reshape(len(second), -1).T

        left, middle = self.left, self.middle
        form = trace_of(left, 2 * left + 4 * middle + 2 * left.swapaxes(1, 2)) + trace_of(middle, middle)
        return (form + form.T) / 2


@dataclass(frozen=True, eq=False)
class Coordinates:
    """Coordinates theta (P,) around an estimate, which is at theta = 0.

    In order: K - 1 log ratios ln(pi_k / pi_{K-1}) less those of the estimate; means R_k^{-1} (mu_k - mean of the estimate),
    K D of them; then those of the covariances. They have no units; `to_data_units` turns them into those that `names` says.

    Attributes
    ----------
    params : MixtureParams
        The estimate.
    names : tuple of str, P of them
        "log_ratio[0]", "means[0, column]", "covariances[0, column, column]", "log_volume[0]", "log_shape[0, axis]",
        "log_form[0, axis, axis]", "rotation[0, axis, axis]"; without a component where all components share the coordinate.
    roots, inverse_roots : (K, D, D)
        R_k and their inverses.
    directions : tuple of Directions
        What the coordinates of the covariances do, per component.
    """

    params: MixtureParams
    names: tuple[str, ...]
    roots: Array
    inverse_roots: Array
    directions: tuple[Directions, ...]

    @property
    def size(self) -> int:
        return len(self.names)

    def mean_places(self, component: int) -> NDArray[np.intp]:
        """Where the means of a component are, (D,)."""
        n_components, n_features = self.params.means.shape
        return n_components - 1 + component * n_features + np.arange(n_features)

    def at(self, theta: Array) -> tuple[Array, Array, Array]:
        """Weights (K,), means (K, D) and covariances (K, D, D) at theta (P,)."""
        n_components = self.params.n_components
        logits = np.log(self.params.weights)
        logits[:-1] += theta[: n_components - 1]
        weights = np.exp(logits - logits.max())
        means, covariances = [], []
        for k, (root, directions) in enumerate(zip(self.roots, self.directions, strict=True)):
            means.append(self.params.means[k] + root @ theta[self.mean_places(k)])
            left, middle, linear = (np.tensordot(theta[directions.places], part, 1) for part in directions[1:])
            covariances.append(root @ (expm(left) @ expm(middle) @ expm(left).T + linear) @ root.T)
        return weights / weights.sum(), np.array(means), np.array(covariances)

    def to_data_units(self) -> Array:
        """The matrix (P, P) that brings the means and covariances in theta to the units of the data."""
        rows, columns = np.tril_indices(self.params.n_features)
        out = np.eye(self.size)
        for k, (root, directions) in enumerate(zip(self.roots, self.directions, strict=True)):
            places = self.mean_places(k)
            out[np.ix_(places, places)] = root
            free = directions.linear.any(axis=(1, 2))
            if free.any():
                places = directions.places[free]
                moved = root @ directions.linear[free] @ root.T
                out[np.ix_(places, places)] = moved[:, rows, columns].T
        return out


def coordinates_around(params: MixtureParams, family: str, columns: tuple[str, ...]) -> Coordinates:
    """Coordinates of the family of this name (mclust's) around a member of it, whose weights must be positive."""
    chart = CHARTS[family]
    roots = chart.roots(params.scale_trils)
    sizes = np.linalg.norm(roots, axis=1)
    clusters = range(params.n_components)
    names = [f"log_ratio[{k}]" for k in clusters[:-1]]
    names += [f"means[{k}, {column}]" for k in clusters for column in columns]
    collected: list[list[Directions]] = [[] for _ in clusters]
    for piece in chart.pieces:
        labels = piece.labels(columns)
        for k in clusters:
            places = len(names) + np.arange(len(labels)) + (k * len(labels) if piece.own else 0)
            collected[k].append(Directions(places, *piece.generators(sizes[k])))
        names += [_name(piece.kind, k, label) for k in (clusters if piece.own else [None]) for label in labels]
    directions = tuple(Directions(*(np.concatenate(parts) for parts in zip(*found, strict=True))) for found in collected)
    return Coordinates(params, tuple(names), roots, np.linalg.inv(roots), directions)


def _name(kind: str, component: int | None, label: tuple[str, ...]) -> str:
    place = ", ".join([*([] if component is None else [str(component)]), *label])
    return f"{kind}[{place}]" if place else kind


def _volume(sizes: Array) -> tuple[Array, Array, Array]:
    """The logarithm of lambda."""
    identity = np.eye(len(sizes))[None]
    return np.zeros_like(identity), identity, np.zeros_like(identity)


def _shape(sizes: Array) -> tuple[Array, Array, Array]:
    """Logarithms of all but the last diagonal entry of the shape, whose determinant stays 1."""
    middle = _traceless_diagonals(len(sizes))
    return np.zeros_like(middle), middle, np.zeros_like(middle)


def _rotation(sizes: Array) -> tuple[Array, Array, Array]:
    """Skew-symmetric S in Q exp(S), for R = Q diag(sizes): B = diag(1 / sizes) S diag(sizes)."""
    left = _pairs(len(sizes), -1.0) * (sizes[None, None, :] / sizes[None, :, None])
    return left, np.zeros_like(left), np.zeros_like(left)


def _form(sizes: Array) -> tuple[Array, Array, Array]:
    """Symmetric T of trace 0: R exp(T) R', which keeps the determinant."""
    left = np.concatenate([_traceless_diagonals(len(sizes)), _pairs(len(sizes), 1.0)]) / 2
    return left, np.zeros_like(left), np.zeros_like(left)


def _matrix(sizes: Array) -> tuple[Array, Array, Array]:
    """Symmetric F: R (I + F) R', any symmetric matrix; the lower triangle by rows."""
    rows, columns = np.tril_indices(len(sizes))
    linear = np.zeros((len(rows), len(sizes), len(sizes)))
    linear[np.arange(len(rows)), rows, columns] = linear[np.arange(len(rows)), columns, rows] = 1.0
    return np.zeros_like(linear), np.zeros_like(linear), linear


def _traceless_diagonals(n_features: int) -> Array:
    out = np.zeros((n_features - 1, n_features, n_features))
    first = np.arange(n_features - 1)
    out[first, first, first], out[first, -1, -1] = 1.0, -1.0
    return out


def _pairs(n_features: int, sign: float) -> Array:
    rows, columns = np.tril_indices(n_features, -1)
    out = np.zeros((len(rows), n_features, n_features))
    out[np.arange(len(rows)), rows, columns], out[np.arange(len(rows)), columns, rows] = 1.0, sign
    return out


def _no_labels(_columns: tuple[str, ...]) -> list[tuple[str, ...]]:
    return [()]


def _axis_labels(columns: tuple[str, ...]) -> list[tuple[str, ...]]:
    return [(str(axis),) for axis in range(len(columns) - 1)]


def _pair_labels(columns: tuple[str, ...]) -> list[tuple[str, ...]]:
    return [(str(i), str(j)) for i, j in zip(*np.tril_indices(len(columns), -1), strict=True)]


def _form_labels(columns: tuple[str, ...]) -> list[tuple[str, ...]]:
    return [*((str(axis), str(axis)) for axis in range(len(columns) - 1)), *_pair_labels(columns)]


def _matrix_labels(columns: tuple[str, ...]) -> list[tuple[str, ...]]:
    return [(columns[i], columns[j]) for i, j in zip(*np.tril_indices(len(columns)), strict=True)]


def _axes_of_the_data(scale_trils: Array) -> Array:
    """R_k of diagonal covariances."""
    return scale_trils * np.eye(scale_trils.shape[1])


def _factors(scale_trils: Array) -> Array:
    """Cholesky factors: equal up to a factor where the covariances are."""
    return scale_trils.copy()


def own_axes(scale_trils: Array) -> Array:
    """R_k = Q_k diag(sizes), widest axis first."""
    axes, sizes, _ = np.linalg.svd(scale_trils)
    return axes * sizes[:, None, :]


def shared_axes(scale_trils: Array) -> Array:
    """R_k = Q diag(sizes_k), with the Q that diagonalises all covariances.

    Q are the eigenvectors of a weighted sum of them; of several, so that one has no equal eigenvalues where the family has none.
    """
    relative = scale_trils / np.linalg.norm(scale_trils, axis=(1, 2))[:, None, None]
    covariances = relative @ relative.swapaxes(1, 2)
    candidates = []
    for trial in range(8):
        combination = np.cos(np.arange(len(covariances)) * (trial + 1.0)) if trial else np.ones(len(covariances))
        _, axes = np.linalg.eigh(np.tensordot(combination, covariances, 1))
        rotated = axes.T @ covariances @ axes
        off_diagonal = rotated * (1 - np.eye(len(axes)))
        candidates.append((float(np.abs(off_diagonal).max()), trial, axes))
    axes = min(candidates)[2]
    sizes = np.linalg.norm(axes.T @ scale_trils, axis=2)
    return axes * sizes[:, None, :]


@dataclass(frozen=True)
class Piece:
    """Coordinates of one aspect of the covariances, one set for each component (`own`) or one for all."""

    kind: str
    generators: Callable[[Array], tuple[Array, Array, Array]]
    labels: Callable[[tuple[str, ...]], list[tuple[str, ...]]]
    own: bool


@dataclass(frozen=True)
class Chart:
    """How the coordinates of one family are made: square roots of the covariances, and the aspects that are free."""

    roots: Callable[[Array], Array]
    pieces: tuple[Piece, ...]


COMMON_VOLUME, OWN_VOLUME = (Piece("log_volume", _volume, _no_labels, own) for own in (False, True))
COMMON_SHAPE, OWN_SHAPE = (Piece("log_shape", _shape, _axis_labels, own) for own in (False, True))
COMMON_ROTATION, OWN_ROTATION = (Piece("rotation", _rotation, _pair_labels, own) for own in (False, True))
COMMON_FORM, OWN_FORM = (Piece("log_form", _form, _form_labels, own) for own in (False, True))
COMMON_MATRIX, OWN_MATRIX = (Piece("covariances", _matrix, _matrix_labels, own) for own in (False, True))

CHARTS: dict[str, Chart] = {
    "E": Chart(_axes_of_the_data, (COMMON_VOLUME,)),
    "V": Chart(_axes_of_the_data, (OWN_VOLUME,)),
    "EII": Chart(_axes_of_the_data, (COMMON_VOLUME,)),
    "VII": Chart(_axes_of_the_data, (OWN_VOLUME,)),
    "EEI": Chart(_axes_of_the_data, (COMMON_VOLUME, COMMON_SHAPE)),
    "VEI": Chart(_axes_of_the_data, (OWN_VOLUME, COMMON_SHAPE)),
    "EVI": Chart(_axes_of_the_data, (COMMON_VOLUME, OWN_SHAPE)),
    "VVI": Chart(_axes_of_the_data, (OWN_VOLUME, OWN_SHAPE)),
    "EEE": Chart(_factors, (COMMON_MATRIX,)),
    "VEE": Chart(_factors, (OWN_VOLUME, COMMON_FORM)),
    "EVE": Chart(shared_axes, (COMMON_VOLUME, OWN_SHAPE, COMMON_ROTATION)),
    "VVE": Chart(shared_axes, (OWN_VOLUME, OWN_SHAPE, COMMON_ROTATION)),
    "EEV": Chart(own_axes, (COMMON_VOLUME, COMMON_SHAPE, OWN_ROTATION)),
    "VEV": Chart(own_axes, (OWN_VOLUME, COMMON_SHAPE, OWN_ROTATION)),
    "EVV": Chart(_factors, (COMMON_VOLUME, OWN_FORM)),
    "VVV": Chart(_factors, (OWN_MATRIX,)),
}
