"""Parts of a start that the caller of `GaussianMixture` gives: weights_init, means_init, precisions_init."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import solve_triangular
from sklearn.utils import check_array

from bayesgmm.em.fit import Problem
from bayesgmm.em.initialise import given_parameters
from bayesgmm.em.step import Collapsed
from bayesgmm.errors import InputError
from bayesgmm.params import MixtureParams

Array = NDArray[np.float64]


@dataclass(frozen=True)
class GivenStart:
    """Weights (K,), means (K, D) and Cholesky factors of covariances (K, D, D) to start from, where given."""

    weights: Array | None
    means: Array | None
    scale_trils: Array | None

    def standardised(self, problem: Problem) -> "GivenStart | Collapsed":
        """The same in the coordinates of the problem's rows, with covariances of its family."""
        rows, n_components = problem.rows, problem.n_components
        filled = MixtureParams(
            np.full(n_components, 1 / n_components) if self.weights is None else self.weights,
            np.tile(rows.location, (n_components, 1)) if self.means is None else self.means,
            np.tile(np.diag(rows.scale), (n_components, 1, 1)) if self.scale_trils is None else self.scale_trils,
        )
        standard = given_parameters(filled, n_components, rows, problem.m_step)
        if isinstance(standard, Collapsed):
            return standard
        return GivenStart(
            self.weights,
            None if self.means is None else standard.means,
            None if self.scale_trils is None else standard.scale_trils,
        )

    def put_into(self, start: MixtureParams | Collapsed) -> MixtureParams | Collapsed:
        """The start with the given parts in place of its own."""
        if isinstance(start, Collapsed):
            return start
        return MixtureParams(
            start.weights if self.weights is None else self.weights,
            start.means if self.means is None else self.means,
            start.scale_trils if self.scale_trils is None else self.scale_trils,
        )


def check_given_start(
    weights: Any, means: Any, precisions: Any, covariance_type: str, n_components: int, n_features: int
) -> GivenStart:
    """The given parts, checked; InputError in scikit-learn's words, and ours after them."""
    return GivenStart(
        None if weights is None else _check_weights(weights, n_components),
        None if means is None else _check_array(means, (n_components, n_features), "means_init", "means"),
        None if precisions is None else _check_precisions(precisions, covariance_type, n_components, n_features),
    )


def _check_array(value: Any, shape: tuple[int, ...], name: str, short_name: str) -> Array:
    array = check_array(value, dtype=np.float64, ensure_2d=False, allow_nd=True, input_name=name)
    if array.shape != shape:
        raise InputError(f"The parameter '{short_name}' should have the shape of {shape}, but got {array.shape}")
    return array


def _check_weights(value: Any, n_components: int) -> Array:
    weights = _check_array(value, (n_components,), "weights_init", "weights")
    if (weights < 0).any() or (weights > 1).any():
        k = int(np.argmax(np.abs(weights - 0.5)))
        raise InputError(  # scikit-learn calls the minimum the maximum, and its own tests expect that
            f"The parameter 'weights' should be in the range [0, 1], but got max value {weights.min():.5f}, "
            f"min value {weights.max():.5f}: weights_init[{k}] is {weights[k]:.6g}"
        )
    if abs(weights.sum() - 1) > 1e-6:  # what single precision leaves of 1
        raise InputError(f"The parameter 'weights' should be normalized, but got sum(weights) = {weights.sum():.5f}")
    return weights / weights.sum()


def _check_precisions(value: Any, covariance_type: str, n_components: int, n_features: int) -> Array:
    """Cholesky factors of the covariances (K, D, D) from precisions in the shape that `covariance_type` gives them."""
    shapes: dict[str, tuple[int, ...]] = {
        "tied": (n_features, n_features),
        "diag": (n_components, n_features),
        "spherical": (n_components,),
    }
    shape = shapes.get(covariance_type, (n_components, n_features, n_features))
    name = f"{covariance_type} precision"
    precisions = _check_array(value, shape, "precisions_init", name)
    if covariance_type in ("diag", "spherical"):
        if not (precisions > 0).all():
            where = [int(i) for i in np.argwhere(~(precisions > 0))[0]]
            raise InputError(f"'{name}' should be positive: precisions_init{where} is {precisions[tuple(where)]:.6g}")
        scales = np.broadcast_to((precisions**-0.5).reshape(n_components, -1), (n_components, n_features))
        return scales[:, :, None] * np.eye(n_features)
    if covariance_type == "tied":
        return np.tile(_scale_tril(precisions, name, ""), (n_components, 1, 1))
    return np.array([_scale_tril(precision, name, f"[{k}]") for k, precision in enumerate(precisions)])


def _scale_tril(precision: Array, name: str, where: str) -> Array:
    """L of the covariance L L' whose inverse is `precision`, without inverting it."""
    said = f"'{name}' should be symmetric, positive-definite"
    if not np.allclose(precision, precision.T):
        raise InputError(f"{said}: precisions_init{where} is not symmetric")
    try:
        reversed_tril = np.linalg.cholesky(precision[::-1, ::-1])
    except np.linalg.LinAlgError:
        smallest = np.linalg.eigvalsh(precision)[0]
        raise InputError(f"{said}: precisions_init{where} has the eigenvalue {smallest:.3g}") from None
    return solve_triangular(reversed_tril[::-1, ::-1].T, np.eye(len(precision)), lower=True)
