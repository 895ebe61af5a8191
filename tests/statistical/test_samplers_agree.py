"""The compiled density, the PyMC model under nutpie, and the PyMC model under PyMC's own NUTS are one posterior."""

import arviz_stats as azs
import numpy as np
import pytest

import bayesgmm as bg
from tests.representatives import representatives

pytestmark = pytest.mark.statistical

SEED = 20_261_122


FAITHFUL = bg.load_faithful()
PETALS = bg.load_iris()[["petal_length", "petal_width"]]
CASES = [(FAITHFUL, "VVV", "nutpie"), (FAITHFUL, "VVV", "pymc"), (PETALS, "EVV", "nutpie"), (PETALS, "VEV", "nutpie")]


@pytest.mark.parametrize(
    ("X", "covariance", "sampler"),
    representatives(CASES, 0),
    ids=[f"{X.columns[0]}-{covariance}-{sampler}" for X, covariance, sampler in CASES],
)
def test_posterior_means_agree(X, covariance, sampler):
    """Every parameter within 4 Monte-Carlo standard errors of the difference, at an ESS of at least 1000."""
    em = bg.fit_em(X, 2, covariance=covariance, seed=SEED)
    own = bg.sample(X, em, draws=4000, seed=SEED)
    other = bg.sample(X, em, draws=2000, seed=SEED, sampler=sampler)
    names = ["weights", "means", "scales", "correlations"]
    for name in names:
        difference = (other["posterior"][name].mean(("chain", "draw")) - own["posterior"][name].mean(("chain", "draw"))).values
        errors = [azs.mcse(tree, var_names=name, method="mean")[name].values for tree in (own, other)]
        free = np.hypot(*errors) > 0  # the diagonals of correlations are fixed
        ess = azs.ess(other, var_names=name, method="mean")[name].values
        assert ess[free].min() > 1000
        z = difference[free] / np.hypot(*errors)[free]
        print(f"{sampler}, {name}: largest |z| {abs(z).max():.2f}")
        assert abs(z).max() < 4
    assert bg.diagnose(other).ok, bg.diagnose(other).verdict
