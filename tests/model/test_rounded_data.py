"""Data rounded until they tie everywhere: a proper posterior, sampled without trouble, the same from different seeds."""

import arviz_stats as azs
import numpy as np
import pytest

import bayesgmm as bg
from bayesgmm.posterior.invariants import invariants
from bayesgmm.posterior.schema import resolution_of

pytestmark = pytest.mark.usefixtures("few_starts")

FAITHFUL = bg.load_faithful().to_numpy(dtype=float)
IRIS = bg.load_iris().select_dtypes("number").to_numpy(dtype=float)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("X", "step"),
    [(np.round(IRIS / 0.5) * 0.5, np.full(4, 0.5)), (np.round(FAITHFUL / [0.5, 10.0]) * [0.5, 10.0], np.array([0.5, 10.0]))],
    ids=["iris to 0.5 cm", "faithful to half a minute and 10 minutes"],
)
def test_heavily_rounded_data(X, step):
    first, second = (bg.sample(X, 2, draws=500, seed=seed) for seed in (1, 2))
    for tree in (first, second):
        np.testing.assert_allclose(resolution_of(tree), step)
        assert "problems" not in tree.attrs  # no divergence, no collapse, no chains apart
        assert int(tree["sample_stats"]["diverging"].sum()) == 0
    means, errors = ([], [])
    for tree in (first, second):
        series = invariants(tree)
        means.append(series.mean(("chain", "draw")).to_array().values)
        errors.append(azs.mcse(series, method="mean").to_array().values)
    z = (means[0] - means[1]) / np.hypot(*errors)
    assert np.abs(z).max() < 4
