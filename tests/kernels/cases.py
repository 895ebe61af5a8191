"""Mixtures and data for the kernels, with the sizes at which loops over rows begin, end and are cut."""

import numpy as np

from bayesgmm.kernels.block import BLOCK_ROWS
from bayesgmm.kernels.threads import CHUNK_ROWS
from bayesgmm.params import MixtureParams
from tests.problems import Array, random_data, random_params

BLOCK_EDGES = (1, BLOCK_ROWS - 1, BLOCK_ROWS, BLOCK_ROWS + 1)
CHUNK_EDGES = (CHUNK_ROWS - 1, CHUNK_ROWS, CHUNK_ROWS + 1, 16 * CHUNK_ROWS + 1)
SIZES = [(n, d, k) for n in BLOCK_EDGES for d in (1, 2, 3, 4, 5, 8, 17) for k in (1, 3)] + [(n, 2, 3) for n in CHUNK_EDGES]
SIZES += [(n, 33, 3) for n in (BLOCK_ROWS // 2 + 1, BLOCK_ROWS + 1)]


def arrays_of(params: MixtureParams) -> tuple[Array, Array, Array]:
    """Writable copies, as samplers hand them to the kernels: numba compiles anew for read-only arrays."""
    return params.weights.copy(), params.means.copy(), params.scale_trils.copy()


def case(n_samples: int, n_features: int, n_components: int, seed: int = 0) -> tuple[Array, MixtureParams]:
    rng = np.random.default_rng([seed, n_samples, n_features, n_components])
    params = random_params(rng, n_components, n_features)
    return random_data(rng, params, n_samples)[0], params


def layouts(X: Array) -> dict[str, Array]:
    """The same matrix in other memory: each is a type of its own to numba."""
    n_samples, n_features = X.shape
    wide = np.full((2 * n_samples, 3 * n_features), np.nan)
    wide[::2, ::3] = X
    read_only = X.copy()
    read_only.flags.writeable = False
    return {
        "Fortran order": np.asfortranarray(X),
        "strided": wide[::2, ::3],
        "negative strides": X[::-1, ::-1].copy()[::-1, ::-1],
        "read-only": read_only,
    }
