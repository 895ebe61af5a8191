"""Mixtures that belong to a given covariance family."""

import numpy as np
from scipy.linalg import expm

from bayesgmm.params import MixtureParams
from tests.problems import random_params

FOURTEEN = ("EII", "VII", "EEI", "VEI", "EVI", "VVI", "EEE", "VEE", "EVE", "VVE", "EEV", "VEV", "EVV", "VVV")


def random_member(rng: np.random.Generator, family: str, n_components: int, n_features: int) -> MixtureParams:
    """A random mixture of one of the fourteen families: volumes, shapes and orientations as its letters say."""
    base = random_params(rng, n_components, n_features)
    volume, shape, orientation = family

    def repeated(letter, draw):
        return np.array([draw()] * n_components) if letter == "E" else np.array([draw() for _ in range(n_components)])

    def random_shape():
        logs = rng.normal(0, 0.6, n_features)
        return np.exp(logs - logs.mean())

    def random_rotation():
        square = rng.normal(size=(n_features, n_features))
        return expm(square - square.T)

    volumes = repeated(volume, lambda: np.exp(rng.normal(0, 0.4)))
    shapes = np.ones((n_components, n_features)) if shape == "I" else repeated(shape, random_shape)
    rotations = np.array([np.eye(n_features)] * n_components) if orientation == "I" else repeated(orientation, random_rotation)
    covariances = volumes[:, None, None] * (rotations * shapes[:, None, :]) @ rotations.swapaxes(1, 2)
    return MixtureParams.from_covariances(base.weights, base.means, (covariances + covariances.swapaxes(1, 2)) / 2)
