"""build_model gives a plain PyMC model: names, dims, predictive draws, pointwise densities, interventions, extensions."""

import importlib.util

import numpy as np
import pymc as pm
import pytest
import xarray as xr
from pymc.model_graph import ModelGraph
from scipy import stats

import bayesgmm as bg
from bayesgmm.kernels.density import compute_log_density
from bayesgmm.model.coordinates import covariances, unconstrain
from bayesgmm.model.structure import structure_of
from bayesgmm.sampling.through_pymc import _parameters, values_of
from tests.problems import random_data, random_params
from tests.representatives import representative_values

MODE = "FAST_COMPILE"  # the Python linker: seconds of compilation saved, same numbers
FAST = {"mode": MODE}
CASES = [*((family, "inverse_gamma") for family in ("VVV", "EVV", "VEE", "EEV")), ("VVV", "hierarchical_gamma")]
N_PRIOR = 1000
LEVEL = 1e-4  # of each Kolmogorov-Smirnov test; seeds are fixed


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(31)
    return random_data(rng, random_params(rng, 2, 2), 30)[0]


@pytest.fixture(scope="module", params=representative_values(CASES, 0, 2, others=pytest.mark.slow), ids="-".join)
def case(request):
    return request.param


@pytest.fixture(scope="module")
def family(case):
    return case[0]


@pytest.fixture(scope="module")
def priors(case):
    return bg.Priors(scale_prior=case[1])


@pytest.fixture(scope="module")
def model(data, family, priors):
    return bg.build_model(data, 2, covariance=family, priors=priors)


@pytest.fixture(scope="module")
def prior(model):
    with model:
        return pm.sample_prior_predictive(N_PRIOR, random_seed=32, compile_kwargs=FAST)


@pytest.fixture(scope="module")
def own_draws(data, family, priors):
    """The library's draws from the same prior, and the structure."""
    resolved = priors.resolved(data, 2, family)
    return resolved.draw(np.random.default_rng(33), N_PRIOR), resolved


def trace_of(model, draws):
    """One chain of draws as a posterior group."""
    values = {}
    for variable in model.free_RVs:
        dims = model.named_vars_to_dims[variable.name]
        shape = [len(model.coords[dim]) for dim in dims]
        values[variable.name] = (("chain", "draw", *dims), getattr(draws, variable.name).reshape(1, -1, *shape))
    coords = {dim: list(labels) for dim, labels in model.coords.items() if dim != "obs"}
    return xr.Dataset(values, coords=coords)


VARIABLES = {
    "VVV": ["weights", "means", "scales", "correlation_trils"],
    "EVV": ["weights", "means", "scales", "log_shapes", "correlation_trils"],
    "VEE": ["weights", "means", "scales", "log_volumes", "correlation_trils"],
    "EEV": ["weights", "means", "scales", "rotations"],
}


def test_variables_and_dims_are_named(model, family):
    assert isinstance(model, pm.Model)
    assert [variable.name for variable in model.free_RVs] == VARIABLES[family]
    assert {variable.name for variable in model.deterministics} == {"correlations", "covariances"}
    assert [variable.name for variable in model.observed_RVs] == ["X"]
    dims = model.named_vars_to_dims
    assert dims["means"] == ("cluster", "feature")
    assert dims["scales"] == (("cluster", "feature") if family == "VVV" else ("feature",))
    assert dims["covariances"] == ("cluster", "feature", "feature_bis")
    assert dims["X"] == ("obs", "feature")
    if "correlation_trils" in dims:
        assert ("cluster" in dims["correlation_trils"]) == (family != "VEE")


def test_the_graph_can_be_drawn(model, family):
    graph = ModelGraph(model).make_compute_graph()

    def ancestors(name):
        return graph[name].union(*(ancestors(parent) for parent in graph[name]))

    assert ancestors("X") >= set(VARIABLES[family])
    drawing = pm.model_to_graphviz(model).source if importlib.util.find_spec("graphviz") else pm.model_to_mermaid(model)
    assert all(name in drawing for name in VARIABLES[family])


def test_prior_draws_are_those_of_the_library(model, prior, own_draws):
    """Two samples of each free variable and of the covariances, entry by entry, at level 1e-4."""
    draws, priors = own_draws
    theirs = prior["prior"].to_dataset()
    expected = {name: value for name, value in draws._asdict().items() if name in theirs}
    assert set(expected) == {variable.name for variable in model.free_RVs}
    expected["covariances"] = covariances(draws, priors.structure)
    for name, ours in expected.items():
        ours, other = ours.reshape(N_PRIOR, -1), theirs[name].values.reshape(N_PRIOR, -1)
        assert ours.shape == other.shape
        for mine, entry in zip(ours.T, other.T, strict=True):
            if mine.std() > 0:
                assert stats.ks_2samp(mine, entry).pvalue > LEVEL, name
            else:
                np.testing.assert_allclose(entry, mine)


def test_prior_predictive_is_the_mixture_of_its_own_draw(prior):
    """Each simulated data set, standardised by its own mixture's mean and covariance, has mean 0 and variance 1."""
    draws, simulated = prior["prior"].to_dataset(), prior["prior_predictive"]["X"].values[0]
    weights, means, spreads = (draws[name].values[0] for name in ("weights", "means", "covariances"))
    centre = np.einsum("sk,skd->sd", weights, means)
    deviations = means - centre[:, None]
    variance = np.einsum("sk,skdd->sd", weights, spreads) + np.einsum("sk,skd->sd", weights, deviations**2)
    assert simulated.shape == (N_PRIOR, 30, 2)
    z = np.sqrt(30) * (simulated.mean(axis=1) - centre) / np.sqrt(variance)
    assert abs(z.mean()) < 4 / np.sqrt(z.size)
    assert z.var() == pytest.approx(1.0, abs=0.15)


def test_posterior_predictive_and_pointwise_densities(data, model, own_draws):
    """PyMC's own functions on a trace of free variables, against the library's numbers."""
    draws, priors = own_draws
    some = type(draws)(*(part[:5] for part in draws))
    trace = trace_of(model, some)
    tree = xr.DataTree.from_dict({"posterior": trace})
    with model:
        predictive = pm.sample_posterior_predictive(
            trace, random_seed=35, progressbar=False, compile_kwargs=FAST, var_names=["X", "covariances"]
        )["posterior_predictive"]
        pointwise = pm.stats.compute_log_likelihood(tree, progressbar=False, extend_inferencedata=False, compile_kwargs=FAST)
        log_prior = pm.stats.compute_log_prior(tree, progressbar=False, extend_inferencedata=False, compile_kwargs=FAST)
    assert predictive["X"].dims == ("chain", "draw", "obs", "feature")
    assert np.isfinite(predictive["X"].values).all()
    expected = covariances(some, priors.structure)
    np.testing.assert_allclose(predictive["covariances"].values[0], expected, rtol=1e-9, atol=1e-12)
    for draw, (weights, means, spreads) in enumerate(zip(some.weights, some.means, expected, strict=True)):
        ours = compute_log_density(data, weights, means, np.linalg.cholesky(spreads))
        np.testing.assert_allclose(pointwise["X"].values[0, draw], ours, rtol=1e-8)
    for name, values in priors.log_density(some).items():
        theirs = log_prior[name].values[0].reshape(5, -1).sum(axis=1)
        np.testing.assert_allclose(theirs, values, rtol=1e-8, atol=1e-8)


def test_draws_of_pymc_come_back_as_coordinates(model, own_draws):
    draws, priors = own_draws
    structure = priors.structure
    back = unconstrain(_parameters(trace_of(model, draws), structure), structure)
    np.testing.assert_allclose(back[0], unconstrain(draws, structure), rtol=1e-12)
    first = type(draws)(*(part[0] for part in draws))
    values = values_of(model, first)
    for variable in model.free_RVs:
        assert values[variable.name].shape == tuple(len(model.coords[dim]) for dim in model.named_vars_to_dims[variable.name])


@pytest.mark.slow
def test_do_and_observe(model):
    fixed = pm.do(model, {"means": np.array([[0.0, 1.0], [2.0, 3.0]])})
    assert "means" not in [variable.name for variable in fixed.free_RVs]
    with fixed:
        drawn = pm.sample_prior_predictive(2, random_seed=36, var_names=["X"], compile_kwargs=FAST)
    assert np.isfinite(drawn["prior_predictive"]["X"].values).all()
    seen = pm.observe(model, {"weights": np.array([0.3, 0.7])})
    assert {variable.name for variable in seen.observed_RVs} == {"X", "weights"}
    of_weights = seen.compile_logp(vars=[seen["weights"]], mode=MODE)
    assert float(of_weights(seen.initial_point())) == pytest.approx(0.0, abs=1e-12)  # uniform on the simplex of two


@pytest.mark.slow
def test_users_extend_the_model(data):
    """A potential on the weights, and a regression on them of something measured."""
    model = bg.build_model(data, 2)
    before = float(model.compile_logp(mode=MODE)(model.initial_point()))
    with model:
        pm.Potential("few_in_the_second", -10.0 * model["weights"][1])
        slope = pm.Normal("slope")
        pm.Normal("measured", slope * model["weights"], 0.1, observed=np.array([0.2, 0.4]), dims="cluster")
    point = model.initial_point()
    expected = -10.0 * 0.5 + stats.norm.logpdf(0.0) + stats.norm(0.0, 0.1).logpdf([0.2, 0.4]).sum()  # slope 0, weights 1/2
    assert float(model.compile_logp(mode=MODE)(point)) == pytest.approx(before + expected, rel=1e-10)
    slopes = model.compile_dlogp(mode=MODE)(point)
    assert len(slopes) == structure_of("VVV", 2, 2).n_coordinates + 1
    assert np.isfinite(slopes).all()


def test_rounding_widens_what_is_recorded_only(data):
    """The simulated values of one draw have covariance Sigma + diag(h^2) / 12; `covariances` is Sigma."""
    model = bg.build_model(data, 1, resolution=(6.0, 0.0), covariance="EEE")
    assert model["resolution"].get_value().tolist() == [6.0, 0.0]
    spread = np.array([[1.0, 0.3], [0.3, 0.5]])
    scales = np.sqrt(np.diag(spread))
    tril = np.linalg.cholesky(spread / np.outer(scales, scales))
    square = ("chain", "draw", "feature", "feature_bis")
    trace = xr.Dataset(
        {
            "weights": (("chain", "draw", "cluster"), np.ones((1, 100, 1))),
            "means": (("chain", "draw", "cluster", "feature"), np.zeros((1, 100, 1, 2))),
            "scales": (("chain", "draw", "feature"), np.tile(scales, (1, 100, 1))),
            "correlation_trils": (square, np.tile(tril, (1, 100, 1, 1))),
        },
        coords={dim: list(model.coords[dim]) for dim in ("cluster", "feature", "feature_bis")},
    )
    with model:
        drawn = pm.sample_posterior_predictive(
            trace, random_seed=37, progressbar=False, compile_kwargs=FAST, var_names=["X", "covariances"]
        )["posterior_predictive"]
    np.testing.assert_allclose(drawn["covariances"].values[0, 0, 0], spread, rtol=1e-12)
    rows = drawn["X"].values.reshape(-1, 2)
    np.testing.assert_allclose(np.cov(rows.T), spread + np.diag([3.0, 0.0]), atol=0.25)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("family", "shape"), [("VVV", (2, 2)), ("VII", (2,)), ("EII", ()), ("EEI", (2,)), ("VVE", (2, 2)), ("VEI", (2,))]
)
def test_scales_that_share_their_beta_have_the_dims_of_others(data, family, shape):
    """PyMC's density of the scales is the library's for every shape; chains may start at PyMC's initial point."""
    hierarchical = bg.Priors(scale_prior="hierarchical_gamma")
    model = bg.build_model(data, 2, covariance=family, priors=hierarchical)
    assert model.named_vars_to_dims["scales"] == bg.build_model(data, 2, covariance=family).named_vars_to_dims["scales"]
    start = model.initial_point()
    assert start["scales_log__"].shape == shape
    resolved = hierarchical.resolved(data, 2, family)
    scales = np.exp(start["scales_log__"]).reshape(resolved.structure.scales_shape)
    np.testing.assert_allclose(scales, np.broadcast_to(resolved.scale_distribution.ppf(0.5), scales.shape))
    density = float(model.compile_logp(vars=[model["scales"]], jacobian=False, mode=MODE)(start))
    assert density == pytest.approx(resolved.scale_distribution.joint_logpdf(scales).sum(), rel=1e-10)


def test_column_names_are_coordinates():
    model = bg.build_model(bg.load_faithful(), 2)
    assert list(model.coords["feature"]) == ["eruptions", "waiting"]
    assert len(model.coords["obs"]) == 272
    np.testing.assert_allclose(model["resolution"].get_value(), [0.001, 1.0], rtol=1e-9)


def test_one_column_has_no_axes():
    model = bg.build_model(bg.load_galaxies(), 3, covariance="VEV")
    assert [variable.name for variable in model.free_RVs] == ["weights", "means", "scales"]


def test_the_fit_brings_its_family_and_resolution(data):
    em = bg.fit_em(data, 2, covariance="EEE", n_init=1, seed=33, resolution=0.5)
    model = bg.build_model(data, em)
    assert model.named_vars_to_dims["scales"] == ("feature",)
    assert model["resolution"].get_value().tolist() == [0.5, 0.5]
    assert "resolution" not in bg.build_model(data, em, resolution=0.0).named_vars  # nothing to change without effect
    with pytest.raises(bg.InputError, match="covariance is 'VVV' but the EM fit has 'EEE'"):
        bg.build_model(data, em, covariance="VVV")


def test_families_of_one_column():
    galaxies = bg.load_galaxies()
    assert bg.build_model(galaxies, 2, covariance="V").named_vars_to_dims["scales"] == ("cluster", "feature")
    em = bg.fit_em(galaxies, 2, covariance="E", n_init=1, seed=1)
    assert "cluster" not in bg.build_model(galaxies, em).named_vars_to_dims["scales"]
    with pytest.raises(bg.InputError, match="which is for one column"):
        bg.build_model(bg.load_faithful(), 2, covariance="V")


def test_a_prior_that_is_improper_on_tied_values_is_refused():
    faithful = bg.load_faithful()
    priors = bg.Priors(scale_prior="half_normal")
    with pytest.raises(bg.InputError, match=r"rows are equal in eruptions, and the scale prior half_normal is positive at 0"):
        bg.build_model(faithful, 2, priors=priors, resolution=0.0)
    assert bg.build_model(faithful, 2, priors=priors).named_vars_to_dims["X"] == ("obs", "feature")


def test_oblique_ties_are_warned_of():
    rng = np.random.default_rng(38)
    steps = rng.permutation(3000)[:60].reshape(30, 2)
    steps[:8, 1] = 7 - steps[:8, 0]
    with pytest.warns(bg.PriorWarning, match=r"agree in 1 x0 \+1 x1: .* lkj_eta above"):
        bg.build_model(0.1 * steps, 2, resolution=0.0)
    bg.build_model(0.1 * steps, 2, resolution=0.1)
