"""build_model gives a plain PyMC model: names, dims, prior and posterior predictive, pointwise log-likelihood."""

import numpy as np
import pymc as pm
import pytest
import xarray as xr
from scipy import stats

import bayesgmm as bg
from tests.problems import random_data, random_params

FAST = {"mode": "FAST_COMPILE"}  # the Python linker: seconds of compilation saved, same numbers


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(31)
    return random_data(rng, random_params(rng, 2, 2), 60)[0]


@pytest.fixture(scope="module")
def model(data):
    return bg.build_model(data, 2)


@pytest.fixture(scope="module")
def prior(model):
    with model:
        return pm.sample_prior_predictive(2000, random_seed=32, compile_kwargs=FAST)


def test_variables_and_dims_are_named(model):
    assert isinstance(model, pm.Model)
    assert [variable.name for variable in model.free_RVs] == ["weights", "means", "scales", "correlation_trils"]
    assert {variable.name for variable in model.deterministics} == {"correlations", "covariances"}
    assert [variable.name for variable in model.observed_RVs] == ["X"]
    assert model.named_vars_to_dims["means"] == ("cluster", "feature")
    assert model.named_vars_to_dims["covariances"] == ("cluster", "feature", "feature_bis")
    assert model.named_vars_to_dims["X"] == ("obs", "feature")


def test_column_names_are_coordinates():
    frame = bg.load_faithful()
    model = bg.build_model(frame, 2)
    assert list(model.coords["feature"]) == ["eruptions", "waiting"]
    assert len(model.coords["obs"]) == 272


def test_prior_draws_follow_the_priors_as_described(data, prior):
    """Kolmogorov-Smirnov against SciPy's distributions at level 1e-4 each; the seed is fixed."""
    draws = prior["prior"].to_dataset()
    resolved = bg.Priors().resolved(data, 2)
    weights = draws["weights"].sel(cluster=0).values.ravel()
    assert stats.kstest(weights, stats.uniform().cdf).pvalue > 1e-4
    for d in range(2):
        means = draws["means"].isel(cluster=0, feature=d).values.ravel()
        assert stats.kstest(means, stats.norm(resolved.mean_loc[d], resolved.mean_scale[d]).cdf).pvalue > 1e-4
        scales = draws["scales"].isel(cluster=1, feature=d).values.ravel()
        expected = stats.invgamma(2.0, scale=resolved.scale_params["beta"][d])
        assert stats.kstest(scales, expected.cdf).pvalue > 1e-4
    correlation = draws["correlations"].values[0, :, 0, 0, 1]
    lkj_marginal = stats.beta(2.0, 2.0, loc=-1, scale=2)  # LKJ(eta) in two dimensions: Beta(eta, eta) on (-1, 1)
    assert stats.kstest(correlation, lkj_marginal.cdf).pvalue > 1e-4
    scale_products = draws["scales"].values[0, :, 0, 0] * draws["scales"].values[0, :, 0, 1]
    np.testing.assert_allclose(draws["covariances"].values[0, :, 0, 0, 1], correlation * scale_products, rtol=1e-9)


def test_prior_predictive_is_the_mixture_of_its_own_draw(prior):
    """Each simulated data set, standardised by its own mixture's mean and covariance, has mean 0 and variance 1."""
    draws, simulated = prior["prior"].to_dataset(), prior["prior_predictive"]["X"].values[0]
    weights, means, covariances = (draws[name].values[0] for name in ("weights", "means", "covariances"))
    centre = np.einsum("sk,skd->sd", weights, means)
    deviations = means - centre[:, None]
    variance = np.einsum("sk,skdd->sd", weights, covariances) + np.einsum("sk,skd->sd", weights, deviations**2)
    assert simulated.shape == (2000, 60, 2)
    z = np.sqrt(60) * (simulated.mean(axis=1) - centre) / np.sqrt(variance)
    assert abs(z.mean()) < 4 / np.sqrt(z.size)
    assert z.var() == pytest.approx(1.0, abs=0.1)


def test_posterior_predictive_and_pointwise_log_likelihood(data, model):
    em = bg.fit_em(data, 2, seed=33)
    tree = bg.sample(data, em, draws=20, tune=100, chains=2, seed=34)
    values = tree["posterior_raw"].to_dataset()
    correlation_trils = np.linalg.cholesky(values["correlations"].values)
    square = ("chain", "draw", "cluster", "feature", "feature_bis")
    trace = values[["weights", "means", "scales"]].assign(correlation_trils=(square, correlation_trils))
    with model:
        predictive = pm.sample_posterior_predictive(
            trace, random_seed=35, progressbar=False, compile_kwargs=FAST, var_names=["X"]
        )
        pointwise = pm.compute_log_likelihood(
            xr.DataTree.from_dict({"posterior": trace}), progressbar=False, extend_inferencedata=False, compile_kwargs=FAST
        )
    assert predictive["posterior_predictive"]["X"].dims == ("chain", "draw", "obs", "feature")
    assert np.isfinite(predictive["posterior_predictive"]["X"].values).all()
    np.testing.assert_allclose(pointwise["X"].values, tree["log_likelihood"]["X"].values, rtol=1e-9)


def test_one_column_has_no_correlations():
    model = bg.build_model(bg.load_galaxies(), 3)
    assert [variable.name for variable in model.free_RVs] == ["weights", "means", "scales"]


def test_covariance_must_agree_with_the_fit(data):
    em = bg.fit_em(data, 2, seed=33)
    assert bg.build_model(data, em).coords["cluster"][-1] == 1
    with pytest.raises(bg.InputError, match="covariance is 'EEE' but the EM fit has 'VVV'"):
        bg.build_model(data, em, covariance="EEE")


def test_families_without_a_model_are_refused(data):
    tied = bg.fit_em(data, 2, covariance="EEE", n_init=1, seed=33)
    for use in (bg.build_model, bg.sample):
        with pytest.raises(bg.InputError, match="the EM fit has covariance 'EEE'; the posterior has the family VVV"):
            use(data, tied)
    with pytest.raises(bg.InputError, match="covariance is 'tied'; the posterior has the family VVV"):
        bg.build_model(data, 2, covariance="tied")


def test_free_variances_of_one_column_are_the_full_family():
    galaxies = bg.load_galaxies()
    assert bg.build_model(galaxies, bg.fit_em(galaxies, 2, covariance="V", seed=1)).coords["cluster"][-1] == 1
    with pytest.raises(bg.InputError, match="the EM fit has covariance 'E'"):
        bg.build_model(galaxies, bg.fit_em(galaxies, 2, covariance="E", n_init=1, seed=1))
