"""Priors on correlation matrices (LKJ) and on rotations (uniform): densities, constants, draws."""

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln, multigammaln

Array = NDArray[np.float64]


def lkj_log_constant(eta: float, n_features: int) -> float:
    """ln of the normalising constant of LKJ(eta) on correlation matrices (Lewandowski, Kurowicka and Joe 2009, section 3)."""
    k = np.arange(1, n_features)
    beta = eta + (n_features - 1 - k) / 2
    return float((gammaln(eta + (n_features - 1) / 2) - k / 2 * np.log(np.pi) - gammaln(beta)).sum())


def lkj_log_density(correlation_trils: Array, eta: float) -> Array:
    """ln LKJ(eta) of Cholesky factors (..., D, D), by their strictly lower triangles; shape (...)."""
    n_features = correlation_trils.shape[-1]
    log_diagonal = np.log(np.diagonal(correlation_trils, axis1=-2, axis2=-1))
    exponents = 2 * eta - 2 + n_features - np.arange(1, n_features + 1)
    return lkj_log_constant(eta, n_features) + (exponents * log_diagonal).sum(axis=-1)


def draw_lkj_trils(rng: np.random.Generator, eta: float, n_features: int, size: tuple[int, ...]) -> Array:
    """Cholesky factors (*size, D, D) of correlation matrices from LKJ(eta).

    Row i (from 0) has i entries whose squared length is Beta(i / 2, eta + (D - 1 - i) / 2), in a uniform direction (the onion of
    Lewandowski, Kurowicka and Joe 2009, section 3.2).
    """
    trils = np.zeros((*size, n_features, n_features))
    trils[..., 0, 0] = 1.0
    for i in range(1, n_features):
        squares = rng.beta(i / 2, eta + (n_features - 1 - i) / 2, size=size)
        direction = rng.standard_normal((*size, i))
        direction /= np.linalg.norm(direction, axis=-1, keepdims=True)
        trils[..., i, :i] = np.sqrt(squares)[..., None] * direction
        trils[..., i, i] = np.sqrt(1 - squares)
    return trils


def skew(rotations: Array, n_features: int) -> Array:
    """Skew-symmetric matrices (..., D, D) with the lower triangles `rotations` (..., D (D - 1) / 2), row by row."""
    out = np.zeros((*rotations.shape[:-1], n_features, n_features))
    rows, columns = np.tril_indices(n_features, -1)
    out[..., rows, columns], out[..., columns, rows] = rotations, -rotations
    return out


def cayley(rotations: Array, n_features: int) -> Array:
    """Rotations (I - S)(I + S)^-1, (..., D, D), of the skew-symmetric S with lower triangles (..., D (D - 1) / 2).

    Every rotation but those that turn some plane by half a turn is one of these, once.
    """
    identity = np.eye(n_features)
    return 2 * np.linalg.inv(identity + skew(rotations, n_features)) - identity


def inverse_cayley(matrices: Array) -> Array:
    """The lower triangles of S = (I + Q)^-1 (I - Q) of rotations Q (..., D, D)."""
    n_features = matrices.shape[-1]
    identity = np.eye(n_features)
    rows, columns = np.tril_indices(n_features, -1)
    return np.linalg.solve(identity + matrices, identity - matrices)[..., rows, columns]


def cayley_log_constant(n_features: int) -> float:
    """ln of 2^(D (D - 1) / 2) over the volume of the rotations, 2^(D - 1) pi^(D^2 / 2) / Gamma_D(D / 2)."""
    volume = (n_features - 1) * np.log(2) + n_features**2 / 2 * np.log(np.pi) - multigammaln(n_features / 2, n_features)
    return float(n_features * (n_features - 1) / 2 * np.log(2) - volume)


def cayley_log_density(rotations: Array, n_features: int) -> Array:
    """ln of the density of S under which the rotation is uniform, c / det(I + S)^(D - 1); shape (...).

    From dQ = -2 (I + S)^-1 dS (I + S)^-1 and the volume of the rotation group (Chikuse 2003, sections 1.4 and A.3).
    """
    _, log_determinant = np.linalg.slogdet(np.eye(n_features) + skew(rotations, n_features))
    return cayley_log_constant(n_features) - (n_features - 1) * log_determinant


def draw_cayley(rng: np.random.Generator, n_features: int, size: tuple[int, ...]) -> Array:
    """Lower triangles (*size, D (D - 1) / 2) of S for uniform rotations: the orthogonal factor of a Gaussian matrix."""
    matrices, triangles = np.linalg.qr(rng.standard_normal((*size, n_features, n_features)))
    matrices = matrices * np.sign(np.diagonal(triangles, axis1=-2, axis2=-1))[..., None, :]
    matrices[..., :, 0] *= np.sign(np.linalg.det(matrices))[..., None]
    return inverse_cayley(matrices)
