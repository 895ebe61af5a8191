"""Random posteriors over partitions of a few rows, and the whole truth about them by enumeration."""

from collections.abc import Iterator

import numpy as np
import xarray as xr

from bayesgmm.partitions.losses import ExpectedBinder, ExpectedInformation, Loss
from bayesgmm.partitions.search import best_cut, best_drawn, find_partition
from bayesgmm.posterior.schema import posterior_dataset


def all_partitions(n: int) -> np.ndarray:
    """Every partition of n rows, once: restricted growth strings (Bell(n), n)."""

    def grown(prefix: list[int]) -> Iterator[list[int]]:
        if len(prefix) == n:
            yield prefix
            return
        for label in range(max(prefix, default=-1) + 2):
            yield from grown([*prefix, label])

    return np.array(list(grown([])))


def random_memberships(rng: np.random.Generator, n: int) -> np.ndarray:
    """Memberships (S, N, K) of draws that agree more or less: noisy logits of one table, or next to nothing in common."""
    n_draws, n_components = rng.integers(1, 60), rng.integers(2, 7)
    clarity, noise = rng.choice([0.3, 1.0, 3.0]), rng.choice([0.1, 1.0, 3.0])
    logits = clarity * rng.standard_normal((n, n_components)) + noise * rng.standard_normal((n_draws, n, n_components))
    memberships = np.exp(logits)
    memberships /= memberships.sum(axis=2, keepdims=True)
    return rng.permuted(memberships, axis=2) if rng.random() < 0.2 else memberships


def overlapping_tree(seed: int, n_components: int, *, n_samples: int | None = None, n_draws: int = 200) -> xr.DataTree:
    """Unit spheres around means of standard deviation 1.2 in two dimensions; draws as spread as given the memberships."""
    rng = np.random.default_rng(seed)
    n = int(rng.integers(60, 161)) if n_samples is None else n_samples
    means = rng.normal(scale=1.2, size=(n_components, 2))
    X = means[rng.integers(n_components, size=n)] + rng.normal(size=(n, 2))
    shape, rows = (4, n_draws // 4), n / n_components
    weights = rng.dirichlet(np.full(n_components, rows), size=shape)
    drawn = means + rng.normal(size=(*shape, n_components, 2)) / np.sqrt(rows)
    scale_trils = np.eye(2) * np.exp(rng.normal(size=(*shape, n_components, 1, 1)) / np.sqrt(2 * rows))
    posterior = posterior_dataset(weights, drawn, scale_trils, ["a", "b"])
    return xr.DataTree.from_dict({"posterior": posterior, "observed_data": xr.Dataset({"X": (("obs", "feature"), X)})})


def drawn_labels(rng: np.random.Generator, memberships: np.ndarray) -> np.ndarray:
    """One allocation per draw, by rows (N, S)."""
    u = rng.random(memberships.shape[:2])[:, :, None]
    labels = (memberships.cumsum(axis=2) < u).sum(axis=2).clip(max=memberships.shape[2] - 1)
    return np.ascontiguousarray(labels.T.astype(np.uint8))


def similarity_by_loop(memberships: np.ndarray) -> np.ndarray:
    n = memberships.shape[1]
    together = [[np.mean([g[i] @ g[j] for g in memberships]) for j in range(n)] for i in range(n)]
    return np.where(np.eye(n, dtype=bool), 1.0, together)


def expected_information(partitions: np.ndarray, by_row: np.ndarray) -> np.ndarray:
    """Mean VI in bits of each of the partitions (P, N): over rows, log2 of the sizes of the row's clusters and of their meet."""
    out = np.zeros((len(partitions), by_row.shape[1]))
    for i in range(len(by_row)):
        own = partitions == partitions[:, [i]]
        drawn = by_row == by_row[i]
        both = own.astype(float) @ drawn.astype(float)
        out += np.log2(own.sum(axis=1))[:, None] + np.log2(drawn.sum(axis=0)) - 2 * np.log2(both)
    return out.mean(axis=1) / len(by_row)


def expected_binder(partitions: np.ndarray, similarity: np.ndarray) -> np.ndarray:
    """2 / N^2 times the expected number of pairs i < j that are together in one partition only."""
    i, j = np.triu_indices(len(similarity), 1)
    together = partitions[:, i] == partitions[:, j]
    return np.where(together, 1 - similarity[i, j], similarity[i, j]).sum(axis=1) * 2 / len(similarity) ** 2


def share_of_optima(n_posteriors: int, largest: int, seed: int) -> dict[str, float]:
    """Share of random posteriors of 2 to `largest` rows whose partition of least expected loss is found, by loss.

    Starts are those of `partition` without EM's.
    """
    rng = np.random.default_rng(seed)
    n_found = {"vi": 0, "binder": 0}
    for _ in range(n_posteriors):
        n = int(rng.integers(2, largest + 1))
        memberships = random_memberships(rng, n)
        by_row, similarity = drawn_labels(rng, memberships), similarity_by_loop(memberships)
        every = all_partitions(n)
        losses: dict[str, Loss] = {"vi": ExpectedInformation(by_row), "binder": ExpectedBinder(similarity)}
        least = {"vi": expected_information(every, by_row).min(), "binder": expected_binder(every, similarity).min()}
        for name, loss in losses.items():
            starts = [*best_drawn(loss, by_row, n), *best_cut(loss, similarity, n), *[np.full(n, -1)] * 14]
            found = find_partition(loss, starts, n, np.random.default_rng(0))
            n_found[name] += loss.expected(found) < least[name] + 1e-10
    return {name: n / n_posteriors for name, n in n_found.items()}
