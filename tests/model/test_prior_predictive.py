"""sample_prior: parameters from the priors, and data sets from them, in NumPy."""

import numpy as np
import pytest
from scipy import stats

import bayesgmm as bg
from bayesgmm.model.prior_predictive import MAX_ROWS
from tests.em.covariance_members import FOURTEEN
from tests.problems import random_data, random_params

LEVEL = 1e-4  # of each Kolmogorov-Smirnov test; seeds are fixed


@pytest.fixture(scope="module")
def X():
    rng = np.random.default_rng(1)
    return random_data(rng, random_params(rng, 2, 3), 60)[0]


@pytest.mark.parametrize("family", FOURTEEN)
def test_every_family_has_its_groups(X, family):
    tree = bg.sample_prior(X, 2, covariance=family, draws=20, seed=0)
    assert set(tree.children) == {"prior", "prior_predictive", "observed_data", "constant_data"}
    prior, simulated = tree["prior"], tree["prior_predictive"]["X"]
    assert set(prior.data_vars) == {"weights", "means", "covariances", "scales", "correlations"}
    assert dict(prior.sizes) == {"chain": 1, "draw": 20, "cluster": 2, "feature": 3, "feature_bis": 3}
    assert simulated.dims == ("chain", "draw", "obs", "feature")
    assert simulated.shape == (1, 20, *X.shape)
    assert np.isfinite(simulated).all()
    assert tree.attrs == {"covariance": family, "priors": bg.Priors().describe(X, 2, family)}
    np.testing.assert_array_equal(tree["observed_data"]["X"], X)


@pytest.mark.parametrize("resolution", [0.0, 0.3])
@pytest.mark.parametrize("family", ["VVV", "VVE", "VEV"])
def test_spreads_may_differ_by_more_than_the_precision_of_numbers(X, family, resolution):
    """Scales with a common rate may be tiny together in one direction and not in another."""
    priors = bg.Priors(scale_prior="hierarchical_gamma", scale_params={"alpha": 2.0, "g": 0.1, "h": 1.0})
    tree = bg.sample_prior(X, 2, covariance=family, priors=priors, resolution=resolution, draws=1000, seed=8)
    semi_axes = priors.resolved(X, 2, family).draw(np.random.default_rng(8), 1000).scales
    assert (semi_axes.min(axis=-1) / semi_axes.max(axis=-1)).min() < 1e-9
    assert np.isfinite(tree["prior_predictive"]["X"]).all()
    expected = np.square(semi_axes[:, 0]).sum(axis=-1)  # what rotations leave as it is, and VVV sums up from its columns
    if family != "VEV":  # whose components have volumes besides
        np.testing.assert_allclose(np.trace(tree["prior"]["covariances"].values[0, :, 0], axis1=-2, axis2=-1), expected)


def test_the_draws_follow_the_priors(X):
    tree = bg.sample_prior(X, 2, priors=bg.Priors(concentration=2.0), draws=2000, seed=1)
    prior, priors = tree["prior"], bg.Priors(concentration=2.0).resolved(X, 2)
    assert stats.kstest(prior["weights"][0, :, 0], stats.beta(2, 2).cdf).pvalue > LEVEL
    for d in range(3):
        of_scales = stats.invgamma(priors.scale_params["alpha"][d], scale=priors.scale_params["beta"][d]).cdf
        assert stats.kstest(prior["scales"][0, :, 1, d], of_scales).pvalue > LEVEL
        of_means = stats.norm(priors.mean_loc[d], priors.mean_scale[d]).cdf
        assert stats.kstest(prior["means"][0, :, 1, d], of_means).pvalue > LEVEL


def test_a_data_set_is_drawn_from_its_own_mixture():
    """Each data set's mean, less its mixture's, over its standard error is standard normal."""
    X = np.random.default_rng(2).normal(size=(400, 2))
    tree = bg.sample_prior(X, 1, draws=1000, seed=3)
    simulated, prior = tree["prior_predictive"]["X"][0], tree["prior"]
    errors = (simulated.mean("obs") - prior["means"][0, :, 0]) / (prior["scales"][0, :, 0] / np.sqrt(400))
    for d in range(2):
        assert stats.kstest(errors[:, d], "norm").pvalue > LEVEL


def test_the_data_sets_are_of_recorded_values(X):
    """With a resolution far above the prior's spread, the spread of a data set is that of rounding."""
    narrow = bg.Priors(mean_scale=1e-3, scale_prior="log_normal", scale_params={"mu": np.log(1e-3), "sigma": 0.1})
    tree = bg.sample_prior(X, 2, priors=narrow, resolution=6.0, draws=50, seed=4)
    np.testing.assert_array_equal(tree["constant_data"]["resolution"], [6.0, 6.0, 6.0])
    spread = tree["prior_predictive"]["X"].std(["chain", "draw", "obs"])
    np.testing.assert_allclose(spread, 6.0 / np.sqrt(12), rtol=0.05)
    assert float(tree["prior"]["scales"].max()) < 0.01


def test_large_data_give_smaller_data_sets():
    X = np.random.default_rng(5).normal(size=(MAX_ROWS + 1, 1))
    simulated = bg.sample_prior(X, 2, draws=3, seed=0)["prior_predictive"]
    assert simulated.attrs == {"rows": MAX_ROWS, "rows_of_the_data": MAX_ROWS + 1}
    assert simulated.sizes["obs"] == MAX_ROWS


def test_the_same_seed_gives_the_same_draws(X):
    first, second = (bg.sample_prior(X, 2, draws=5, seed=6) for _ in range(2))
    assert first.identical(second)
    assert not first.identical(bg.sample_prior(X, 2, draws=5, seed=7))


def test_a_fit_gives_its_components_and_family():
    X = bg.load_faithful()
    em = bg.fit_em(X, 2, covariance="VEI", seed=0)
    tree = bg.sample_prior(X, em, draws=5, seed=0)
    assert tree.attrs["covariance"] == "VEI"
    assert tree["prior"].sizes["cluster"] == 2
    assert list(tree["prior"]["feature"].values) == ["eruptions", "waiting"]


def test_bad_arguments_are_refused(X):
    with pytest.raises(bg.InputError, match="draws must be a whole number of at least 1; got 0"):
        bg.sample_prior(X, 2, draws=0)
    with pytest.raises(bg.InputError, match="n_components must be"):
        bg.sample_prior(X, 0)
