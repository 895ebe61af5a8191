"""Delta-method errors of memberships against their spread over data sets drawn from the fit."""

import numpy as np
import pytest
from scipy.special import logit

from bayesgmm.datasets import load_faithful
from bayesgmm.em.fit import fit_em
from bayesgmm.em.membership_errors import membership_errors

pytestmark = pytest.mark.statistical

N_SAMPLES, N_REPLICATES, TIMES = 20_000, 400, 20
"""So many rows that the first order is all there is. The errors are of a fit to TIMES as many, near the truth."""

ROWS = np.array([[3.0, 65.0], [2.8, 68.0], [3.2, 66.0], [2.5, 72.0]])


def test_memberships_spread_over_data_sets_as_the_delta_method_says():
    """On the logit scale, where the spread is normal: d logit(gamma) = d gamma / (gamma (1 - gamma)).

    The standard deviation over R replicates has a relative Monte-Carlo error of 1 / sqrt(2 (R - 1)).
    """
    rng = np.random.default_rng(20_261_122)
    truth = fit_em(load_faithful(), 2, seed=0)

    def drawn(n_samples):
        X = truth.sample(n_samples, rng)[0]
        return X, fit_em(X, 2, init=truth.params, tol=1e-9)

    many, fit = drawn(TIMES * N_SAMPLES)
    gamma = fit.responsibilities(ROWS)[:, 0]
    errors = np.sqrt(TIMES) * membership_errors(fit, many, ROWS).values[:, 0] / (gamma * (1 - gamma))
    replicates = [drawn(N_SAMPLES)[1].responsibilities(ROWS)[:, 0] for _ in range(N_REPLICATES)]
    ratios = logit(replicates).std(axis=0, ddof=1) / errors
    chance = 1 / np.sqrt(2 * (N_REPLICATES - 1))
    print(f"gamma {gamma.round(3).tolist()}, spread over error {ratios.round(3).tolist()}, +- {chance:.3f}")
    assert np.abs(ratios - 1).max() < 4 * chance
