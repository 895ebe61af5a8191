"""Sufficient statistics for the families' tests, and what it means to be a member of a family."""

import numpy as np

from bayesgmm.families import FAMILIES, ONE_COLUMN
from tests.problems import Array

ANY_DIMENSION = tuple(name for name in FAMILIES if name not in ONE_COLUMN)
SEARCHED = ("EVE", "VVE")
"""The families whose M-step may have several local optima."""


def statistics(rng: np.random.Generator, n_components: int, n_features: int) -> tuple[Array, Array]:
    """Counts (K,) and positive definite scatters (K, D, D)."""
    counts = rng.uniform(1, 50, n_components)
    factors = rng.normal(size=(n_components, n_features, n_features + 2))
    return counts, counts[:, None, None] * factors @ factors.swapaxes(1, 2)


def expected_log_likelihood(counts: Array, scatters: Array, covariances: Array) -> float:
    """Expected complete-data log-likelihood, up to what does not depend on the covariances."""
    log_det = np.linalg.slogdet(covariances)[1]
    traces = np.trace(np.linalg.solve(covariances, scatters), axis1=1, axis2=2)
    return float(-0.5 * (counts * log_det + traces).sum())


def decomposed(name: str, covariances: Array) -> tuple[Array, Array]:
    """Spectra (K, D) and axes (K, D, D), as columns, of the members of a family."""
    n_components, n_features, _ = covariances.shape
    match name[2]:
        case "I":
            axes = np.tile(np.eye(n_features), (n_components, 1, 1))
        case "E":
            traces = np.trace(covariances, axis1=1, axis2=2)
            mixture = np.einsum("k,kij->ij", np.sqrt(np.arange(2, n_components + 2)) / traces, covariances)
            axes = np.tile(np.linalg.eigh(mixture)[1], (n_components, 1, 1))
        case _:
            axes = np.linalg.eigh(covariances)[1]
    return np.einsum("kij,kil,klj->kj", axes, covariances, axes), axes


def perturbed(rng: np.random.Generator, name: str, covariances: Array, size: float) -> Array:
    """Other members of the family: volumes, shapes and orientations moved as far as each may move."""
    n_components, n_features, _ = covariances.shape
    spectra, axes = decomposed(name, covariances)
    copies = {"E": 1, "V": n_components}
    volumes = rng.normal(size=(copies[name[0]], 1))
    shapes = rng.normal(size=(copies.get(name[1], 1), n_features)) if name[1] != "I" else np.zeros((1, n_features))
    spectra = spectra * np.exp(size * (volumes + shapes - shapes.mean(axis=1, keepdims=True)))
    if name[2] != "I":
        angles = rng.normal(size=(copies[name[2]], n_features, n_features))
        half = 0.5 * size * (angles - angles.swapaxes(1, 2))
        axes = np.linalg.solve(np.eye(n_features) - half, np.eye(n_features) + half) @ axes  # Cayley: a rotation
    return axes @ (spectra[:, :, None] * axes.swapaxes(1, 2))


def assert_member(name: str, covariances: Array) -> None:
    """Volumes, shapes and orientations that the name says are equal are equal."""
    n_features = covariances.shape[1]
    volumes = np.exp(np.linalg.slogdet(covariances)[1] / n_features)
    shapes = np.linalg.eigvalsh(covariances) / volumes[:, None]
    if name[0] == "E":
        np.testing.assert_allclose(volumes, volumes[0], rtol=1e-10)
    if name[1] == "E":
        np.testing.assert_allclose(shapes, np.broadcast_to(shapes[0], shapes.shape), rtol=1e-9)
    if name[1] == "I":
        np.testing.assert_allclose(shapes, 1.0, rtol=1e-10)
    if name[2] == "I":
        np.testing.assert_array_equal(covariances * (1 - np.eye(n_features)), 0.0)
    if name[2] == "E":
        unit = covariances / np.trace(covariances, axis1=1, axis2=2)[:, None, None]
        np.testing.assert_allclose(unit @ unit[0], unit[0] @ unit, atol=1e-13)
    np.testing.assert_allclose(covariances, covariances.swapaxes(1, 2), rtol=1e-13, atol=1e-15 * np.abs(covariances).max())
