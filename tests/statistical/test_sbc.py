"""Simulation-based calibration of the default sampler, and of the test itself.

Set BAYESGMM_SBC_FOLDER to a folder to keep the simulations there: a run that is broken off then goes on where it ended.
"""

import json
import os
from functools import cache

import numpy as np
import pytest

from tests.representatives import representatives
from tests.statistical import sbc

pytestmark = pytest.mark.statistical

ALPHA = 0.01
ADJUSTED = ALPHA / (len(sbc.QUANTITIES) * len(sbc.CONFIGURATIONS))
"""Of each ECDF, so that all of them together stay inside their bands with probability 0.99 at least (Bonferroni)."""
FEW = 40
"""Simulations that CI makes of one configuration."""


CASES = [(sbc.CONFIGURATIONS[1], FEW), *((configuration, sbc.N_SIMULATIONS) for configuration in sbc.CONFIGURATIONS)]


@cache
def gamma_of(n_simulations):
    return sbc.coverage_level(n_simulations, ADJUSTED)


@pytest.mark.parametrize(
    ("configuration", "n_simulations"), representatives(CASES, 0), ids=[f"{configuration.name}-{n}" for configuration, n in CASES]
)
def test_ranks_are_uniform(configuration, n_simulations, tmp_path):
    """The ECDF of each quantity's ranks within its band."""
    gamma = gamma_of(n_simulations)
    rows = sbc.results(configuration, os.environ.get("BAYESGMM_SBC_FOLDER", tmp_path), n_simulations)
    assert len(rows) == n_simulations
    tails = sbc.least_tails(sbc.ecdf_counts([row["ranks"] for row in rows]), len(rows))
    for quantity, tail in zip(sbc.QUANTITIES, tails, strict=True):
        print(f"{configuration.name}, {quantity}: least tail {tail:.2g}; outside the band below {gamma:.2g}; seed {sbc.SEED}")
    assert (tails >= gamma).all()


def test_a_broken_run_goes_on(tmp_path):
    configuration = sbc.CONFIGURATIONS[0]
    kept = [{"simulation": i, "ranks": [i] * len(sbc.QUANTITIES)} for i in range(2)]
    text = "\n".join(map(json.dumps, kept)) + '\n{"simulation": 2, "ra'
    sbc.cache_file(configuration, tmp_path).write_text(text, encoding="utf-8")
    rows = sbc.results(configuration, tmp_path, n_simulations=3)
    assert rows[:2] == kept
    assert rows[2] == sbc.calibrate(configuration, 2)
    assert sbc.results(configuration, tmp_path, n_simulations=3) == rows


@pytest.mark.exhaustive
def test_bands_hold_uniform_ranks_and_no_others():
    """At 1% a handful of 1000 sets of uniform ranks leave; those of a posterior 1.5 times too narrow, or shifted, mostly do."""
    rng = np.random.default_rng(sbc.SEED)
    n, size, gamma = sbc.N_SIMULATIONS, (sbc.N_SIMULATIONS, 1000), gamma_of(sbc.N_SIMULATIONS)
    loose = sbc.coverage_level(n, ALPHA)
    uniform = sbc.least_tails(sbc.ecdf_counts(rng.integers(sbc.N_KEPT + 1, size=size)), n)
    assert 0 < (uniform < loose).sum() <= 25
    draws = rng.standard_normal((100, n, sbc.N_KEPT))
    truth = rng.standard_normal((100, n, 1))
    narrow = sbc.ecdf_counts((draws / 1.5 < truth).sum(axis=2).T)
    shifted = sbc.ecdf_counts((draws + 0.5 < truth).sum(axis=2).T)
    assert (sbc.least_tails(narrow, n) < gamma).mean() > 0.5
    assert (sbc.least_tails(shifted, n) < gamma).mean() > 0.9


def test_counts_and_bands_agree():
    """A count is within the band where its tail is not below gamma."""
    n, gamma = 50, 0.02
    low, high = sbc.band(n, gamma)
    for count in range(n + 1):
        for at in (0, 40, sbc.N_KEPT - 1):
            counts = np.round(n * sbc.levels()).astype(int)
            counts[at] = count
            inside = low[at] - 1e-12 <= count / n <= high[at] + 1e-12
            others = sbc.least_tails(np.round(n * sbc.levels()).astype(int), n) >= gamma
            assert others
            assert inside == (sbc.least_tails(counts, n) >= gamma)
