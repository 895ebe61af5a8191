"""Posteriors that fall apart in regions."""

import numpy as np
import pytest

import bayesgmm as bg


@pytest.fixture(scope="session")
def mirrored():
    """Four groups at the corners of a square, the same with its columns swapped: (48, 2).

    Two components with axes along the columns halve it one way or the other, in equal parts of the posterior.
    """
    rng = np.random.default_rng(1)
    corners = np.repeat([[3.0, 3.0], [3.0, -3.0], [-3.0, 3.0], [-3.0, -3.0]], 6, axis=0)
    half = corners + 0.8 * rng.normal(size=(24, 2))
    return np.concatenate([half, half[:, ::-1]])


@pytest.fixture(scope="session")
def two_regions(mirrored):
    """A tree with draws of both."""
    return bg.sample(mirrored, 2, covariance="VVI", resolution=0.0, draws=200, chains=2, seed=1, progress=False)
