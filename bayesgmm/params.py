"""MixtureParams: the parameters of one Gaussian mixture, the currency that every room understands."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bayesgmm.errors import InputError

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class MixtureParams:
    """Weights, means and lower Cholesky factors of the covariances of a Gaussian mixture.

    The shapes are the same for every covariance family. The arrays are read-only copies.

    Parameters
    ----------
    weights : (K,)
        Mixing weights, at least 0, summing to 1 (to 1e-8; stored divided by their sum).
    means : (K, D)
        Component means, in the units of the data.
    scale_trils : (K, D, D)
        Lower triangular L_k with positive diagonal, Sigma_k = L_k L_k'.

    Raises
    ------
    InputError
        If shapes do not fit, a number is not finite, a weight is negative, the weights do not sum to 1, or a scale_tril is not
        lower triangular with positive diagonal.
    """

    weights: Array
    means: Array
    scale_trils: Array

    def __post_init__(self) -> None:
        weights = np.array(self.weights, dtype=np.float64)
        means = np.array(self.means, dtype=np.float64)
        scale_trils = np.array(self.scale_trils, dtype=np.float64)
        _check_shapes(weights, means, scale_trils)
        _check_values(weights, means, scale_trils)
        if abs(weights.sum() - 1) > weights.size * np.finfo(np.float64).eps:  # so that a copy is equal to the last bit
            weights = weights / weights.sum()
        for name, array in (("weights", weights), ("means", means), ("scale_trils", scale_trils)):
            array.flags.writeable = False
            object.__setattr__(self, name, array)

    @classmethod
    def unchecked(cls, weights: Array, means: Array, scale_trils: Array) -> Self:
        """Parameters from arrays known to be valid, neither copied nor locked: for the loops of this library only."""
        params = object.__new__(cls)
        vars(params).update(weights=weights, means=means, scale_trils=scale_trils)
        return params

    @classmethod
    def from_covariances(cls, weights: ArrayLike, means: ArrayLike, covariances: ArrayLike) -> Self:
        """Parameters with the given covariances (K, D, D), which must be symmetric and positive definite."""
        covariances = np.asarray(covariances, dtype=np.float64)
        if covariances.ndim != 3 or covariances.shape[1] != covariances.shape[2]:
            raise InputError(f"MixtureParams: covariances must be a (K, D, D) array; got shape {covariances.shape}")
        _check_finite("covariances", covariances)
        scale_trils = []
        for k, covariance in enumerate(covariances):
            sizes = np.sqrt(np.abs(np.diag(covariance)))
            if (np.abs(covariance - covariance.T) > 1e-8 * np.outer(sizes, sizes)).any():
                raise InputError(f"MixtureParams: the covariance of component {k} is not symmetric; got {covariance}")
            try:
                scale_trils.append(np.linalg.cholesky(covariance))
            except np.linalg.LinAlgError:
                smallest = np.linalg.eigvalsh(covariance)[0]
                raise InputError(
                    f"MixtureParams: the covariance of component {k} is not positive definite "
                    f"(smallest eigenvalue {smallest:.3g})"
                ) from None
        return cls(np.asarray(weights, dtype=np.float64), np.asarray(means, dtype=np.float64), np.array(scale_trils))

    @property
    def n_components(self) -> int:
        return self.means.shape[0]

    @property
    def n_features(self) -> int:
        return self.means.shape[1]

    @property
    def covariances(self) -> Array:
        """Sigma_k = L_k L_k', shape (K, D, D)."""
        return self.scale_trils @ self.scale_trils.swapaxes(1, 2)

    @property
    def precision_trils(self) -> Array:
        """Upper triangular L_k^{-T}, shape (K, D, D): Sigma_k^{-1} = U_k U_k', scikit-learn's `precisions_cholesky_`."""
        return np.tril(np.linalg.inv(self.scale_trils)).swapaxes(1, 2)

    @property
    def precisions(self) -> Array:
        """Sigma_k^{-1}, shape (K, D, D)."""
        factors = self.precision_trils
        return factors @ factors.swapaxes(1, 2)

    @property
    def scales(self) -> Array:
        """Marginal standard deviations, shape (K, D)."""
        return np.sqrt((self.scale_trils**2).sum(axis=2))

    @property
    def correlations(self) -> Array:
        """Correlation matrices, shape (K, D, D)."""
        rows = self.scale_trils / self.scales[:, :, None]
        return rows @ rows.swapaxes(1, 2)

    def permuted(self, order: Sequence[int] | NDArray[np.intp]) -> Self:
        """The same mixture with its components in another order: component k of the result is component order[k] of this one."""
        order = np.asarray(order)
        if order.dtype.kind not in "iu" or sorted(order.tolist()) != list(range(self.n_components)):
            raise InputError(f"permuted: order must be a permutation of 0, ..., {self.n_components - 1}; got {order.tolist()}")
        return type(self)(self.weights[order], self.means[order], self.scale_trils[order])

    def affine(self, scale: Array, shift: Array) -> Self:
        """The mixture of scale * x + shift where x follows this mixture; scale (D,) positive, shift (D,)."""
        return type(self)(self.weights, self.means * scale + shift, self.scale_trils * scale[:, None])

    def recorded(self, resolution: Array) -> Self:
        """The mixture of the values as recorded, where each column was rounded to a step of `resolution` (D,), in its units.

        Rounding adds an error of variance h^2 / 12 (Sheppard 1898): covariances Sigma_k + diag(h^2) / 12. This mixture itself
        where all steps are 0.
        """
        if not np.any(resolution):
            return self
        noise = np.asarray(resolution) / np.sqrt(12)
        sizes = np.hypot(self.scales, noise)
        rows = self.scale_trils / sizes[:, :, None]
        rounding = (noise / sizes)[:, :, None] ** 2 * np.eye(self.n_features)
        scale_trils = sizes[:, :, None] * np.linalg.cholesky(rows @ rows.swapaxes(1, 2) + rounding)
        return type(self)(self.weights, self.means, scale_trils)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, MixtureParams):
            return NotImplemented
        return all(np.array_equal(getattr(self, name), getattr(other, name)) for name in ("weights", "means", "scale_trils"))

    __hash__ = None  # type: ignore[assignment]  # compared by value, holds arrays


def _check_shapes(weights: Array, means: Array, scale_trils: Array) -> None:
    fits = means.ndim == 2 and weights.shape == means.shape[:1] and scale_trils.shape == (*means.shape, means.shape[-1])
    if fits and means.size > 0:
        return
    expected = "a non-empty (K, D) array"
    if means.ndim == 2 and means.size > 0:
        n_components, n_features = means.shape
        expected = f"{means.shape}, so weights must be ({n_components},) and scale_trils {(n_components, n_features, n_features)}"
        raise InputError(f"MixtureParams: means are {expected}; got {weights.shape} and {scale_trils.shape}")
    raise InputError(f"MixtureParams: means must be {expected}; got shape {means.shape}")


def _check_finite(name: str, array: Array) -> None:
    finite = np.isfinite(array)
    if not finite.all():
        where = tuple(int(i) for i in np.argwhere(~finite)[0])
        raise InputError(f"MixtureParams: {name}{list(where)} is {array[where]}; all values must be finite")


def _check_values(weights: Array, means: Array, scale_trils: Array) -> None:
    for name, array in (("weights", weights), ("means", means), ("scale_trils", scale_trils)):
        _check_finite(name, array)
    if (weights < 0).any():
        k = int(np.argmin(weights))
        raise InputError(f"MixtureParams: weights[{k}] is {weights[k]:.6g}; weights cannot be negative")
    if abs(weights.sum() - 1) > 1e-8:
        raise InputError(f"MixtureParams: the weights sum to {weights.sum():.10g}; they must sum to 1")
    diagonals = np.diagonal(scale_trils, axis1=1, axis2=2)
    if (diagonals <= 0).any():
        k, d = (int(i) for i in np.argwhere(diagonals <= 0)[0])
        raise InputError(
            f"MixtureParams: scale_trils[{k}, {d}, {d}] is {diagonals[k, d]:.6g}; Cholesky factors have positive diagonals"
        )
    upper = np.triu(scale_trils, 1)
    if upper.any():
        k, i, j = (int(i) for i in np.argwhere(upper)[0])
        raise InputError(
            f"MixtureParams: scale_trils[{k}, {i}, {j}] is {upper[k, i, j]:.6g}; Cholesky factors are lower triangular"
        )
