"""Mixture problems that tests of several rooms share."""

import numpy as np
from numpy.typing import NDArray

from bayesgmm.params import MixtureParams

Array = NDArray[np.float64]


def random_params(rng: np.random.Generator, n_components: int, n_features: int) -> MixtureParams:
    """A mixture with means of order 1 and covariances of order 1, not too ill-conditioned."""
    scale_trils = np.tril(rng.normal(scale=0.4, size=(n_components, n_features, n_features)))
    diagonal = np.arange(n_features)
    scale_trils[:, diagonal, diagonal] = rng.uniform(0.5, 1.5, size=(n_components, n_features))
    return MixtureParams(
        rng.dirichlet(np.full(n_components, 3.0)), rng.normal(scale=2.0, size=(n_components, n_features)), scale_trils
    )


def random_data(rng: np.random.Generator, params: MixtureParams, n_samples: int) -> tuple[Array, NDArray[np.intp]]:
    """Rows of the mixture and the components they came from."""
    labels = rng.choice(params.n_components, size=n_samples, p=params.weights)
    noise = rng.standard_normal((n_samples, params.n_features))
    return params.means[labels] + np.einsum("nij,nj->ni", params.scale_trils[labels], noise), labels
