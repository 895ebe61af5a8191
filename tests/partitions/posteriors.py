"""Random posteriors over partitions of a few rows, and the whole truth about them by enumeration."""

from collections.abc import Iterator

import numpy as np


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
    """Memberships (S, N, K) of draws that agree more or less: perturbed logits of one table, labels switched at will."""
    n_draws, n_components = rng.integers(1, 60), rng.integers(1, 6)
    clarity, noise = rng.choice([0.3, 1.0, 3.0]), rng.choice([0.1, 1.0, 3.0])
    logits = clarity * rng.standard_normal((n, n_components)) + noise * rng.standard_normal((n_draws, n, n_components))
    memberships = np.exp(logits)
    return rng.permuted(memberships / memberships.sum(axis=2, keepdims=True), axis=2) if rng.random() < 0.2 else memberships / (
        memberships.sum(axis=2, keepdims=True)
    )


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
    """Mean VI in bits of each of the partitions (P, N), row by row: log2 of the sizes of each row's clusters and of their meet."""
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
