"""partition: the clustering that the posterior stands for best, how far around it the posterior reaches, and where EM's lies."""

from dataclasses import dataclass
from typing import Any

import arviz_stats as azs
import numpy as np
import xarray as xr
from numpy.typing import NDArray

from bayesgmm.data import check_count, check_probability, check_seed
from bayesgmm.data.dataset import count_of
from bayesgmm.em.result import EMResult
from bayesgmm.errors import InputError
from bayesgmm.partitions.ball import CredibleBall, credible_ball, entry_level
from bayesgmm.partitions.from_draws import labels_of_draws, similarity_of_draws
from bayesgmm.partitions.losses import (
    DrawnLabels,
    ExpectedBinder,
    ExpectedInformation,
    Labels,
    Loss,
    LossName,
    distances,
    drawn_sizes,
    ordered,
    terms_of_information,
)
from bayesgmm.partitions.search import N_POLISHED, best_cut, best_drawn, find_partition
from bayesgmm.posterior.pool import warn_unless_pooled
from bayesgmm.posterior.schema import Draws, em_of, observed_matrix, raw_posterior, recorded_draws
from bayesgmm.posterior.similarity import MAX_BYTES, names_of_rows, refuse_too_large
from bayesgmm.progress import progress_bars

Array = NDArray[np.float64]

ROWS_TO_LINK, DRAWS_TO_LINK = 4000, 250
"""Up to so many rows a start is cut from the average linkage of 1 - similarity, under "vi" that of about so many draws."""
N_ROOMY = 20
"""Clusters that a partition may have under "vi" in any case; twice the number of components, if that is more."""
NAMES = {"vi": "variation of information", "binder": "Binder's loss"}
UNITS = {"vi": " bits", "binder": ""}


@dataclass(frozen=True, eq=False)
class EMPlace:
    """Where EM's partition, every row with its most probable component, lies in the posterior.

    Attributes
    ----------
    labels : (N,)
        Ordered by size.
    expected_loss : float
        As of the point estimate, which has the least.
    distance : float
        From the point estimate.
    level : float
        Share of the drawn partitions that are nearer to the point estimate: EM's is in `credible_ball(prob)` exactly if prob is
        larger.
    """

    labels: Labels
    expected_loss: float
    distance: float
    level: float

    @property
    def n_clusters(self) -> int:
        return int(self.labels.max()) + 1


@dataclass(frozen=True, eq=False, repr=False)
class Partition:
    """A point estimate of the partition of the rows, with the drawn partitions around it.

    Attributes
    ----------
    labels : (N,)
        0, 1, ... from the largest cluster to the smallest, ties by their first rows.
    loss : "vi" or "binder"
    expected_loss : float
        Posterior expectation of the distance between the estimate and the partition of the rows.
    z : (S, N)
        One allocation for each posterior draw, drawn from its memberships; labels as in the draw.
    distances : (S,)
        Of the drawn partitions from the estimate, rounded to 12 decimals. Under "vi" their mean is the expected loss; under
        "binder" only up to the noise of drawing the allocations, which the expected loss is free of.
    monte_carlo_error : float
        Standard error of the mean of `distances`, given the estimate, from their effective sample size; NaN if chains have fewer
        than four draws. Under "vi" that is the error of `expected_loss`, under "binder" more than it.
    max_clusters : int
        Most clusters that the estimate was allowed.
    obs : (N,)
        The rows' names: obs of the tree's data.
    em : EMPlace or None
        Where EM's partition lies, if the tree carries an EM fit.
    """

    labels: Labels
    loss: LossName
    expected_loss: float
    z: DrawnLabels
    distances: Array
    monte_carlo_error: float
    max_clusters: int
    obs: NDArray[Any]
    em: EMPlace | None

    @property
    def n_clusters(self) -> int:
        return int(self.labels.max()) + 1

    def credible_ball(self, prob: float = 0.95) -> CredibleBall:
        """The smallest ball around the estimate with at least `prob` of the drawn partitions, and its bounds."""
        return credible_ball(self.z.T, self.distances, check_probability(prob, "prob"))

    @property
    def summary(self) -> str:
        """A few sentences."""
        ball, unit = self.credible_ball(), UNITS[self.loss]
        sizes = ", ".join(str(size) for size in np.bincount(self.labels)[:8]) + (", ..." if self.n_clusters > 8 else "")
        fewest, most = ball.n_clusters
        between = count_of(fewest, "cluster") if fewest == most else f"{fewest} to {most} clusters"
        expected = f"expected {NAMES[self.loss]} {self.expected_loss:.4g}{unit}"
        if self.loss == "vi" and np.isfinite(self.monte_carlo_error):
            expected += f" (Monte-Carlo error {self.monte_carlo_error:.2g})"
        sentences = [
            f"{count_of(self.n_clusters, 'cluster')} of {sizes} rows: {expected}.",
            f"The 95% credible ball has radius {ball.radius:.4g}{unit}; partitions in it have {between}.",
        ]
        sentences += self._about_bound()
        if self.em is not None:
            sentences.append(self._about_em(self.em))
        return " ".join(sentences)

    def _about_bound(self) -> list[str]:
        """Nothing, unless the bound on the clusters may have kept a better partition out."""
        if self.max_clusters >= len(self.labels):
            return []
        said = []
        if self.n_clusters == self.max_clusters:
            said.append(f"max_clusters = {self.max_clusters} is reached: more clusters may cost less.")
        apart = _expected_information_apart(self.z) if self.loss == "vi" else np.inf
        if apart < self.expected_loss:
            said.append(
                f"Every row apart, which max_clusters = {self.max_clusters} rules out, would cost {apart:.4g} bits: the "
                "posterior knows little of which rows belong together."
            )
        return said

    def _about_em(self, em: EMPlace) -> str:
        unit = UNITS[self.loss]
        if em.distance == 0.0:
            return "EM's partition is the same."
        among = {0.0: "is as near as the nearest drawn partition or nearer", 1.0: "is farther than every drawn partition"}
        place = among.get(em.level, f"enters the credible ball at level {em.level:.3g}")
        return (
            f"EM's partition ({count_of(em.n_clusters, 'cluster')}) is {em.distance:.4g}{unit} away, has expected loss "
            f"{em.expected_loss:.4g}{unit}, and {place}."
        )

    def __repr__(self) -> str:
        return f"Partition({self.summary})"

    def to_dataset(self) -> xr.Dataset:
        """Over obs: ``label``, and ``em_label`` where there is an EM fit; over sample: ``distance``, and ``z`` with obs."""
        variables: dict[str, tuple[tuple[str, ...], NDArray[Any]]] = {
            "label": (("obs",), self.labels),
            "z": (("sample", "obs"), self.z),
            "distance": (("sample",), self.distances),
        }
        names = ("loss", "expected_loss", "monte_carlo_error", "max_clusters")
        attrs: dict[str, Any] = {name: getattr(self, name) for name in names}
        if self.em is not None:
            variables["em_label"] = (("obs",), self.em.labels)
            attrs |= {"em_expected_loss": self.em.expected_loss, "em_distance": self.em.distance, "em_level": self.em.level}
        coords = {"obs": self.obs, "sample": np.arange(len(self.z))}
        return xr.Dataset(variables, coords=coords, attrs=attrs)


def partition(
    tree: xr.DataTree,
    *,
    loss: LossName = "vi",
    seed: int | np.random.Generator = 0,
    n_starts: int = 16,
    max_clusters: int | None = None,
    progress: bool | None = None,
) -> Partition:
    """The partition of the rows with at most max_clusters clusters that has the least posterior expected loss.

    Parameters
    ----------
    tree : DataTree
        From any sampler; relabelled or not. The names of the components play no role under "binder"; under "vi" they decide which
        allocations a seed draws, but not their distribution.
    loss : "vi" or "binder"
        Variation of information in bits, its expectation the mean over the drawn partitions; or Binder's loss with equal costs,
        its expectation from the similarity matrix, scaled as in salso: 2 / N^2 times the number of pairs that differ.
    seed : int or Generator
        For drawing an allocation for each posterior draw, and for the search. The same tree and number give the same result.
        Under "vi" another seed's expected loss is another by about `monte_carlo_error` or less.
    n_starts : int
        Local searches: from EM's partition, the best three drawn ones and the best cut of average linkage, as far as there are
        such; the others allocate rows one after another in random order.
    max_clusters : int, optional
        Most clusters that the partition may have. By default no bound under "binder"; under "vi" 20, or twice the number of
        components if that is more, as else every row apart, or nearly, wins where the posterior knows next to nothing.
        `summary` says so where the bound is reached, or every row apart would cost less.
    progress : bool, optional
        Show progress; by default when standard error is a terminal.

    Warns
    -----
    SamplingWarning
        If the chains are steady in different modes, and were not weighed (`chain_weights`, `pool`).

    Raises
    ------
    InputError
        If an argument is not one of the above, or under "binder" if the similarity matrix would take more than 4 GiB.

    Notes
    -----
    A pass of the search over the rows takes time in proportion to N S C under "vi", with C the clusters so far (at most
    max_clusters), and to N^2 under "binder". Memory: N S labels; under "vi" 12 S K max_clusters bytes for each thread; under
    "binder" 16 N^2 bytes.
    """
    if loss not in NAMES:
        raise InputError(f"partition: loss is {loss!r}; choose 'vi' or 'binder'")
    rng, n_starts = np.random.default_rng(check_seed(seed)), check_count(n_starts, "n_starts")
    if max_clusters is not None:
        max_clusters = check_count(max_clusters, "max_clusters")
    if loss == "binder":
        advice = "take fewer rows, or use loss='vi', which does without the matrix"
        refuse_too_large(len(observed_matrix(tree)), MAX_BYTES, advice)
    warn_unless_pooled(tree, "partition")
    return partition_of(tree, loss, rng, n_starts, max_clusters, progress)


def partition_of(
    tree: xr.DataTree,
    loss: LossName = "vi",
    seed: int | np.random.Generator = 0,
    n_starts: int = 16,
    max_clusters: int | None = None,
    progress: bool | None = None,
) -> Partition:
    """What `partition` returns, of arguments that were checked, whether or not the chains mix."""
    rng = np.random.default_rng(seed)
    X, draws = observed_matrix(tree), recorded_draws(tree, raw_posterior(tree))
    limit = _max_clusters(max_clusters, loss, len(X), draws.weights.shape[1])
    by_row = labels_of_draws(X, *draws, rng)
    objective: Loss = ExpectedInformation(by_row) if loss == "vi" else ExpectedBinder(similarity_of_draws(X, *draws))
    em_labels = _em_labels(em_of(tree), X)
    of_em = [] if em_labels is None or em_labels.max() >= limit else [em_labels]
    at_random = [np.full(len(X), -1, dtype=np.intp)] * n_starts
    starts = [*of_em, *best_drawn(objective, by_row, limit), *_cut_start(objective, X, draws, limit), *at_random][:n_starts]
    with progress_bars(progress) as bars:
        task = bars.add_task("searching partitions", total=n_starts + N_POLISHED, note="")
        labels = find_partition(objective, starts, limit, rng, lambda: bars.advance(task))
    to_estimate = distances(labels, by_row, loss)
    error = _error_of_mean(to_estimate.reshape(raw_posterior(tree).sizes["chain"], -1))
    em = None if em_labels is None else _place(em_labels, objective, labels, to_estimate, loss)
    expected = objective.expected(labels)
    return Partition(labels, loss, expected, by_row.T, to_estimate, error, limit, names_of_rows(tree), em)


def _max_clusters(max_clusters: int | None, loss: LossName, n_samples: int, n_components: int) -> int:
    if max_clusters is not None:
        return min(max_clusters, n_samples)
    return n_samples if loss == "binder" else min(max(N_ROOMY, 2 * n_components), n_samples)


def _error_of_mean(series: Array) -> float:
    """Standard error of the mean of a series (chain, draw), from its effective sample size (Vehtari et al. 2021)."""
    return float(azs.mcse(series, method="mean"))


def _expected_information_apart(z: NDArray[np.unsignedinteger]) -> float:
    """Mean variation of information, in bits, of the partition with every row apart from allocations (S, N)."""
    n_samples = z.shape[1]
    sizes = drawn_sizes(np.ascontiguousarray(z.T))
    return float(terms_of_information(n_samples)[sizes].sum(axis=1).mean() / n_samples)


def _em_labels(em: EMResult | None, X: Array) -> Labels | None:
    return None if em is None else ordered(em.responsibilities(X).argmax(axis=1))


def _cut_start(objective: Loss, X: Array, draws: Draws, limit: int) -> list[Labels]:
    """The best cut of average linkage, if there are few enough rows for it."""
    if len(X) > ROWS_TO_LINK:
        return []
    if isinstance(objective, ExpectedBinder):
        matrix = objective.similarity
    else:
        step = max(len(draws.weights) // DRAWS_TO_LINK, 1)
        matrix = similarity_of_draws(X, *(array[::step] for array in draws))
    return best_cut(objective, matrix, min(limit, N_ROOMY))


def _place(em_labels: Labels, objective: Loss, labels: Labels, to_estimate: Array, loss: LossName) -> EMPlace:
    one = em_labels[:, None].astype(np.min_scalar_type(int(em_labels.max())))
    distance = float(distances(labels, one, loss)[0])
    return EMPlace(em_labels, objective.expected(em_labels), distance, entry_level(to_estimate, distance))
