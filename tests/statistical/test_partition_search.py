"""The partition of least expected loss against all partitions of up to nine rows, and against a longer search of more rows."""

import numpy as np
import pytest

from bayesgmm.partitions import search
from bayesgmm.partitions.losses import ExpectedInformation
from bayesgmm.posterior.partition import partition
from tests.partitions.posteriors import overlapping_tree, share_of_optima

pytestmark = pytest.mark.statistical

SMALL_REGRET, LARGE_REGRET = 0.001, 0.01
"""Bits, of some two to three that the partitions below cost."""


def test_the_optimum_is_found_in_99_of_100_cases():
    shares = share_of_optima(n_posteriors=500, largest=9, seed=20_261_122)
    print(f"optimum found in {shares['vi']:.1%} of 500 posteriors under VI, {shares['binder']:.1%} under Binder's loss")
    assert min(shares.values()) >= 0.99


def test_a_longer_search_finds_little_that_is_better(monkeypatch):
    """Of 20 posteriors of 60 to 160 rows, half of twelve components that overlap much, where the bound on clusters is reached."""
    regrets = []
    for seed in range(20):
        tree = overlapping_tree(seed, 12 if seed % 2 else 3 + seed // 2 % 9)
        found = partition(tree)
        X = tree["observed_data"]["X"].values
        loss = ExpectedInformation(np.ascontiguousarray(found.z.T))
        starts = [found.labels, *search.best_drawn(loss, loss.by_row, found.max_clusters), *[np.full(len(X), -1)] * 100]
        with monkeypatch.context() as patched:
            patched.setattr(search, "N_POLISHED", 8)
            patched.setattr(search, "N_VAIN", 40)
            best = search.find_partition(loss, starts, found.max_clusters, np.random.default_rng(77))
        regrets.append(found.expected_loss - loss.expected(best))
    print(f"worse than 100 starts, 8 of them polished longer: mean {np.mean(regrets):.5f}, most {max(regrets):.5f} bits; "
          f"by more than 1e-6 in {np.sum(np.array(regrets) > 1e-6)} of {len(regrets)}")  # fmt: skip
    assert min(regrets) > -1e-12
    assert np.mean(np.array(regrets) < SMALL_REGRET) >= 0.8
    assert max(regrets) < LARGE_REGRET
