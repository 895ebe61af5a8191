"""The compiled density, the PyMC model under nutpie, and the PyMC model under PyMC's own NUTS are one posterior."""

import arviz_stats as azs
import numpy as np
import pytest

import bayesgmm as bg

pytestmark = pytest.mark.statistical

SEED = 20_261_122


@pytest.fixture(scope="module")
def em():
    return bg.fit_em(bg.load_faithful(), 2, seed=SEED)


@pytest.fixture(scope="module")
def own(em):
    return bg.sample(bg.load_faithful(), em, draws=4000, seed=SEED)


@pytest.mark.parametrize("sampler", ["nutpie", "pymc"])
def test_posterior_means_agree(em, own, sampler):
    """Every parameter within 4 Monte-Carlo standard errors of the difference, at an ESS of at least 1000."""
    other = bg.sample(bg.load_faithful(), em, draws=1000, seed=SEED, sampler=sampler)
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
