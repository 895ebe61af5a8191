"""Starting points of EM, on standardised data."""

from collections.abc import Callable, Iterator

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.cluster import KMeans, kmeans_plusplus

from bayesgmm.em.step import Collapsed, maximise
from bayesgmm.errors import InputError
from bayesgmm.families import CovarianceFamily
from bayesgmm.kernels.moments import Moments
from bayesgmm.params import MixtureParams

Array = NDArray[np.float64]
Labels = NDArray[np.intp]
Start = Callable[[Array, int, Array, np.random.Generator], Labels]


def kmeans_plus_plus_labels(X: Array, n_components: int, row_weights: Array, rng: np.random.Generator) -> Labels:
    """Nearest of K rows chosen far apart (Arthur and Vassilvitskii 2007)."""
    centres, _ = kmeans_plusplus(X, n_components, sample_weight=row_weights, random_state=_random_state(rng))
    return nearest(X, centres)


def kmeans_labels(X: Array, n_components: int, row_weights: Array, rng: np.random.Generator) -> Labels:
    """Lloyd's k-means from one k-means++ start."""
    kmeans = KMeans(n_components, n_init=1, random_state=_random_state(rng))
    return kmeans.fit(X, sample_weight=row_weights).labels_.astype(np.intp)


def random_labels(X: Array, n_components: int, row_weights: Array, rng: np.random.Generator) -> Labels:
    """Nearest of K distinct rows drawn at random."""
    distinct = np.unique(X[row_weights > 0], axis=0)
    return nearest(X, rng.choice(distinct, n_components, replace=False))


STARTS: dict[str, Start] = {
    "k-means": kmeans_labels,
    "k-means++": kmeans_plus_plus_labels,
    "random": random_labels,
}
AUTO_CYCLE = ("k-means", "k-means++", "random")
"""What init="auto" takes in turn: the best guess first, then wider and wider."""


def starting_points(
    init: str | Array | MixtureParams,
    n_init: int,
    Z: Array,
    n_components: int,
    row_weights: Array,
    family: CovarianceFamily,
    standardisation: tuple[Array, Array],
    seed: int | np.random.Generator | None,
) -> Iterator[tuple[str, MixtureParams | Collapsed]]:
    """(name, start) of each run on the standardised data Z = (X - location) / scale.

    Start i has a random stream of its own, so that it is the same whatever n_init is.
    """
    if isinstance(init, MixtureParams):
        location, scale = standardisation
        if init.means.shape != (n_components, Z.shape[1]):
            raise InputError(
                f"init: the MixtureParams have means of shape {init.means.shape}; "
                f"n_components and the data need {(n_components, Z.shape[1])}"
            )
        return iter([("given parameters", init.affine(1 / scale, -location / scale))])
    if not isinstance(init, str):
        start = start_from_responsibilities(Z, init * row_weights[:, None], family)
        return iter([("given responsibilities", start)])
    if init != "auto" and init not in STARTS:
        raise InputError(
            f"init is {init!r}; choose 'auto', {', '.join(map(repr, STARTS))}, "
            "or give labels (N,), responsibilities (N, K) or MixtureParams"
        )
    names = AUTO_CYCLE if init == "auto" else (init,)
    streams = np.random.default_rng(seed).spawn(n_init)

    def drawn() -> Iterator[tuple[str, MixtureParams]]:
        for i, stream in enumerate(streams):
            name = names[i % len(names)]
            labels = STARTS[name](Z, n_components, row_weights, stream)
            yield name, start_from_labels(Z, labels, n_components, row_weights)

    return drawn()


def nearest(X: Array, centres: Array) -> Labels:
    """Index of the nearest of the centres (K, D) to each row, (N,)."""
    distances = np.array([((X - centre) ** 2).sum(axis=1) for centre in centres])
    return distances.argmin(axis=0)


def start_from_labels(X: Array, labels: Labels, n_components: int, row_weights: Array) -> MixtureParams:
    """Weights, means and covariances of the labelled groups, each drawn towards the pooled covariance.

    Every group gets D + 1 pseudo-rows with the pooled within-group covariance (plus a little of the total one), so that a group
    of few rows starts with a proper covariance. This is a start only: EM's limit does not depend on it.
    """
    n_features = X.shape[1]
    counts = np.zeros(n_components)
    means = np.zeros((n_components, n_features))
    scatters = np.zeros((n_components, n_features, n_features))
    for k in range(n_components):
        rows, weights = X[labels == k], row_weights[labels == k]
        counts[k] = weights.sum()
        if counts[k] > 0:
            means[k] = weights @ rows / counts[k]
            scatters[k] = (weights[:, None] * (rows - means[k])).T @ (rows - means[k])
    pooled = scatters.sum(axis=0) / counts.sum() + 1e-3 * np.eye(n_features)
    pseudo_rows = n_features + 1
    covariances = (scatters + pseudo_rows * pooled) / (counts + pseudo_rows)[:, None, None]
    smoothed = counts + 1e-3 * counts.sum()
    return MixtureParams(smoothed / smoothed.sum(), means, np.linalg.cholesky(covariances))


def given_responsibilities(init: NDArray[np.generic], n_samples: int, n_components: int) -> Array:
    """A user's labels (N,) or responsibilities (N, K) as responsibilities, checked."""
    if init.ndim == 1:
        if pd.isna(init).any():
            raise InputError(f"init: the label vector has {int(pd.isna(init).sum())} missing labels; label every row")
        labels, codes = np.unique(init, return_inverse=True)
        if len(init) != n_samples or len(labels) != n_components:
            raise InputError(
                f"init: the label vector has {len(init)} entries and {len(labels)} distinct labels; "
                f"the data have {n_samples} rows and n_components is {n_components}"
            )
        return np.eye(n_components)[codes]
    if init.shape != (n_samples, n_components):
        raise InputError(f"init: the responsibilities have shape {init.shape}; need {(n_samples, n_components)}")
    responsibilities = init.astype(np.float64)
    bad = ~(np.isclose(responsibilities.sum(axis=1), 1.0, atol=1e-6) & (responsibilities >= 0).all(axis=1))
    if bad.any():
        row = int(np.argmax(bad))
        raise InputError(
            f"init: row {row} of the responsibilities is {responsibilities[row]}; rows must be non-negative and sum to 1 "
            f"({int(bad.sum())} rows are not)"
        )
    return responsibilities


def start_from_responsibilities(Z: Array, responsibilities: Array, family: CovarianceFamily) -> MixtureParams | Collapsed:
    """The M-step from given (weighted) responsibilities, about the centre of the standardised data."""
    centre = np.zeros((responsibilities.shape[1], Z.shape[1]))
    moments = Moments(
        np.nan,
        responsibilities.sum(axis=0),
        responsibilities.T @ Z,
        np.einsum("nk,ni,nj->kij", responsibilities, Z, Z, optimize=True),
    )
    return maximise(moments, centre, family)


def _random_state(rng: np.random.Generator) -> int:
    return int(rng.integers(2**31 - 1))
