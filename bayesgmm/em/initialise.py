"""Starting points of EM, on standardised data."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import chain, cycle, islice, repeat

import numpy as np
from numpy.typing import NDArray

from bayesgmm import em
from bayesgmm.data import Dataset
from bayesgmm.em.hierarchical import Merge, MergeTree, hierarchical_labels, merge_tree
from bayesgmm.em.standardise import column_moments, common_unit
from bayesgmm.em.step import Collapsed, Estimates, MStep
from bayesgmm.errors import InputError
from bayesgmm.kernels.agglomerate import agglomerate, agglomerate_spheres
from bayesgmm.kernels.rows import Rows
from bayesgmm.params import MixtureParams

Array = NDArray[np.float64]
Labels = NDArray[np.intp]

SAMPLE_ROWS = 5_000
"""Starting partitions and short runs use at most this many rows, drawn at random."""
TREE_ROWS, SAMPLED_TREE_ROWS = 2_000, 500
"""Rows of a hierarchical clustering: of all rows, and of a sample, where its n^2 costs would need more memory than the sample."""

LARGE_GROUP = 10
"""Rows for each of D + 1 that make the own covariance of a group its start."""


@dataclass(frozen=True, eq=False)
class StartSample:
    """The rows that starts are made from: all that count, or a random sample of them.

    Attributes
    ----------
    scaled, unscaled : (n, D)
        Centred; in units of each column's standard deviation, and in one unit for all columns.
    weights : (n,)
        Weights of these rows.
    is_whole : bool
        Whether these are all rows of the data.
    seed : int
        Of the random choices that all starts share.
    """

    scaled: Array
    unscaled: Array
    weights: Array
    is_whole: bool
    seed: int

    @cached_property
    def n_distinct(self) -> int:
        """Number of distinct rows."""
        return len(np.unique(self.scaled, axis=0))

    @cached_property
    def tree(self) -> MergeTree:
        """The hierarchical clustering of the rows into ellipsoids, made once for every number of components."""
        return self._merged(agglomerate)

    @cached_property
    def tree_of_spheres(self) -> MergeTree:
        """The hierarchical clustering of the rows into spheres."""
        return self._merged(agglomerate_spheres)

    @cached_property
    def line(self) -> MergeTree:
        """The order of the rows along their first principal component."""
        return self._merged(None)

    def _merged(self, merge: Merge | None) -> MergeTree:
        max_rows = TREE_ROWS if self.is_whole else SAMPLED_TREE_ROWS
        return merge_tree(self.scaled, self.weights, np.random.default_rng(self.seed), merge, max_rows=max_rows)

    def in_units_of(self, m_step: MStep) -> Array:
        """The rows in the coordinates in which `m_step` works."""
        return self.scaled if m_step.family.column_equivariant else self.unscaled


def start_sample(dataset: Dataset, row_weights: Array | None, rng: np.random.Generator) -> StartSample:
    """The rows of positive weight, or SAMPLE_ROWS of them."""
    location, scale = column_moments(dataset, row_weights)
    chosen = _rows_of_sample(dataset.n_samples, row_weights, rng)
    centred = dataset.X[chosen] - location
    weights = np.ones(len(chosen)) if row_weights is None else row_weights[chosen]
    return StartSample(
        centred / scale, centred / common_unit(scale), weights, len(chosen) == dataset.n_samples, int(rng.integers(2**63))
    )


def _rows_of_sample(n_samples: int, row_weights: Array | None, rng: np.random.Generator) -> Labels:
    """Indices of the rows of positive weight, or of SAMPLE_ROWS of them, in ascending order."""
    counting = None if row_weights is None else np.flatnonzero(row_weights)
    n_counting = n_samples if counting is None else len(counting)
    chosen = np.arange(n_counting) if n_counting <= SAMPLE_ROWS else np.sort(rng.choice(n_counting, SAMPLE_ROWS, replace=False))
    return chosen if counting is None else counting[chosen]


Start = Callable[[StartSample, int, np.random.Generator], Array]
"""Memberships (n, K) of the rows of a sample; a row of zeros is left out."""


def hierarchical_start(sample: StartSample, n_components: int, rng: np.random.Generator) -> Array:
    """Model-based agglomerative clustering into ellipsoids; the same whatever the stream."""
    return _cut(sample.tree, sample, n_components)


def hierarchical_spheres_start(sample: StartSample, n_components: int, rng: np.random.Generator) -> Array:
    """Model-based agglomerative clustering into spheres; the same whatever the stream."""
    return _cut(sample.tree_of_spheres, sample, n_components)


def quantile_start(sample: StartSample, n_components: int, rng: np.random.Generator) -> Array:
    """Groups between quantiles of the first principal component, or of the one column; the same whatever the stream."""
    return _cut(sample.line, sample, n_components)


def kmeans_start(sample: StartSample, n_components: int, rng: np.random.Generator) -> Array:
    """Lloyd's k-means from one k-means++ start."""
    return _kmeans(sample.scaled, sample.weights, n_components, rng)


def unscaled_kmeans_start(sample: StartSample, n_components: int, rng: np.random.Generator) -> Array:
    """Lloyd's k-means on columns in one common unit."""
    return _kmeans(sample.unscaled, sample.weights, n_components, rng)


def kmeans_plus_plus_start(sample: StartSample, n_components: int, rng: np.random.Generator) -> Array:
    """Nearest of K rows chosen far apart (Arthur and Vassilvitskii 2007)."""
    return _kmeans_plus_plus(sample.scaled, sample.weights, n_components, rng)


def unscaled_kmeans_plus_plus_start(sample: StartSample, n_components: int, rng: np.random.Generator) -> Array:
    """Nearest of K rows chosen far apart, on columns in one common unit."""
    return _kmeans_plus_plus(sample.unscaled, sample.weights, n_components, rng)


def random_rows_start(sample: StartSample, n_components: int, rng: np.random.Generator) -> Array:
    """Nearest of K distinct rows drawn at random."""
    distinct = np.unique(sample.scaled, axis=0)
    return _one_hot(nearest(sample.scaled, rng.choice(distinct, n_components, replace=False)), n_components)


def random_start(sample: StartSample, n_components: int, rng: np.random.Generator) -> Array:
    """Responsibilities drawn uniformly from the simplex for every row."""
    return rng.dirichlet(np.ones(n_components), size=len(sample.weights))


STARTS: dict[str, Start] = {
    "hierarchical": hierarchical_start,
    "hierarchical_spheres": hierarchical_spheres_start,
    "quantiles": quantile_start,
    "kmeans": kmeans_start,
    "k-means++": kmeans_plus_plus_start,
    "random_from_data": random_rows_start,
    "random": random_start,
    "kmeans_unscaled": unscaled_kmeans_start,
    "k-means++_unscaled": unscaled_kmeans_plus_plus_start,
}
AUTO_FIRST = ("hierarchical", "hierarchical_spheres")
AUTO_FIRST_OF_ONE_COLUMN = ("hierarchical", "quantiles")
AUTO_CYCLE = ("kmeans", "k-means++", "random_from_data", "kmeans_unscaled", "k-means++_unscaled", "random")
"""What init="auto" takes in turn after two starts that do not vary: the best guess first, then wider and wider."""


def starting_memberships(
    init: str, n_init: int, sample: StartSample, n_components: int, rng: np.random.Generator
) -> Iterator[tuple[str, Array]]:
    """(name, memberships (n, K) of the rows of the sample) of each start.

    Start i has a random stream of its own, so that it is the same whatever n_init is.
    """
    first = AUTO_FIRST if sample.scaled.shape[1] > 1 else AUTO_FIRST_OF_ONE_COLUMN
    every = chain(first, cycle(AUTO_CYCLE)) if init == "auto" else repeat(init)
    names = list(islice(every, n_init))
    for name, stream in zip(names, rng.spawn(n_init), strict=True):
        possible = name if sample.n_distinct >= n_components else "random"  # which alone needs no distinct rows
        yield possible, STARTS[possible](sample, n_components, stream)


def starting_points(
    memberships: Iterable[tuple[str, Array]], sample: StartSample, m_step: MStep
) -> Iterator[tuple[str, MixtureParams | Collapsed]]:
    """(name, start) of each run, in the coordinates of `m_step`."""
    for name, groups in memberships:
        yield name, start_from_memberships(sample.in_units_of(m_step), groups * sample.weights[:, None], m_step)


def check_init(init: object) -> None:
    """Raise InputError where `init` is text, but neither "auto" nor the name of a start."""
    if isinstance(init, str) and init != "auto" and init not in STARTS:
        raise InputError(
            f"init is {init!r}; choose 'auto', {', '.join(map(repr, STARTS))}, "
            "or give labels (N,), responsibilities (N, K) or MixtureParams"
        )


def start_from_memberships(Z: Array, memberships: Array, m_step: MStep) -> MixtureParams | Collapsed:
    """The family's M-step from (weighted) memberships (n, K), small groups drawn towards the pooled covariance.

    A group of fewer than LARGE_GROUP (D + 1) rows gets D + 1 pseudo-rows with the pooled within-group covariance (plus a little
    of the total one), so that it starts with a proper covariance. This is a start only: EM's limit does not depend on it.
    """
    counts, means, scatters = weighted_estimates(Z, memberships)
    n_features = Z.shape[1]
    occupied = counts > 0
    means[~occupied] = (counts @ np.nan_to_num(means)) / counts.sum()
    scatters[~occupied] = 0.0
    pooled = scatters.sum(axis=0) / counts.sum() + 1e-3 * np.eye(n_features)
    smoothed = counts + 1e-3 * counts.sum()
    n_pseudo = np.where(counts < LARGE_GROUP * (n_features + 1), n_features + 1.0, 0.0)[:, None, None]
    covariances = (scatters + n_pseudo * pooled) / (counts[:, None, None] + n_pseudo)
    return m_step.start(Estimates(smoothed, means, smoothed[:, None, None] * covariances))


def start_from_rows(rows: Rows, memberships: Array, m_step: MStep) -> MixtureParams | Collapsed:
    """The family's exact M-step from given memberships (N, K)."""
    weighted = memberships * rows.weights[:, None] if rows.weights.size else memberships
    return m_step.start(weighted_estimates((rows.X - rows.location) / rows.scale, weighted))


def weighted_estimates(Z: Array, weighted: Array) -> Estimates:
    """Counts, means and scatters of the groups with weighted memberships (n, K); NaN for one without rows."""
    counts = weighted.sum(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        means = (weighted.T @ Z) / counts[:, None]
    scatters = np.empty((len(counts), Z.shape[1], Z.shape[1]))
    for k, mean in enumerate(means):
        deviations = Z - mean
        scatters[k] = (weighted[:, k, None] * deviations).T @ deviations
    return Estimates(counts, means, scatters)


def given_parameters(params: MixtureParams, n_components: int, rows: Rows, m_step: MStep) -> MixtureParams | Collapsed:
    """A user's parameters in the coordinates of the rows, with the covariances that the family allows.

    Where theirs are not of the family, the family's nearest in Kullback-Leibler divergence.
    """
    expected = (n_components, rows.X.shape[1])
    if params.means.shape != expected:
        raise InputError(
            f"init: the MixtureParams have means of shape {params.means.shape}; n_components and the data need {expected}"
        )
    standard = params.affine(1 / rows.scale, -rows.location / rows.scale)
    if m_step.family.name == "VVV" and m_step.max_eigenvalue_ratio is None:
        return standard
    counts = np.maximum(standard.weights, 1e-6)
    plain = MStep(m_step.family, max_eigenvalue_ratio=m_step.max_eigenvalue_ratio)
    projected = plain.maximise(Estimates(counts, standard.means, counts[:, None, None] * standard.covariances), standard)
    if isinstance(projected, Collapsed):
        return projected
    return MixtureParams(standard.weights, standard.means, projected.scale_trils)


def nearest(X: Array, centres: Array) -> Labels:
    """Index of the nearest of the centres (K, D) to each row, (N,)."""
    distances = np.array([((X - centre) ** 2).sum(axis=1) for centre in centres])
    return distances.argmin(axis=0)


def _cut(tree: MergeTree, sample: StartSample, n_components: int) -> Array:
    rows, labels = hierarchical_labels(tree, n_components)
    memberships = np.zeros((len(sample.weights), n_components))
    memberships[rows, labels] = 1.0
    return memberships


def _kmeans(X: Array, row_weights: Array, n_components: int, rng: np.random.Generator) -> Array:
    return _one_hot(em.kmeans.kmeans_labels(X, row_weights, n_components, _random_state(rng)), n_components)


def _kmeans_plus_plus(X: Array, row_weights: Array, n_components: int, rng: np.random.Generator) -> Array:
    return _one_hot(nearest(X, em.kmeans.far_rows(X, row_weights, n_components, _random_state(rng))), n_components)


def _one_hot(labels: NDArray[np.integer], n_components: int) -> Array:
    return np.eye(n_components)[labels]


def _random_state(rng: np.random.Generator) -> int:
    return int(rng.integers(2**31 - 1))
