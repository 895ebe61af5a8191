"""sample and extend: starts, settings, interruption, what the tree holds, every family."""

import importlib
import warnings
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats
from scipy.special import gammaln

import bayesgmm as bg
from bayesgmm.data import check_resolution, validate
from bayesgmm.evidence.chart import WORTHWHILE, make_atlas
from bayesgmm.kernels.density import compute_log_density
from bayesgmm.model.coordinates import from_mixture
from bayesgmm.model.specification import specify
from bayesgmm.params import MixtureParams
from bayesgmm.sampling import nuts
from bayesgmm.sampling.chains import run_own_density
from bayesgmm.sampling.start import ChainStart, chain_starts
from bayesgmm.sampling.tree import target_of
from tests.em.covariance_members import FOURTEEN
from tests.families.cases import assert_member
from tests.problems import random_data, random_params
from tests.representatives import representative_values, representatives

pytestmark = pytest.mark.usefixtures("few_starts")

FAITHFUL = bg.load_faithful()
extend_module = importlib.import_module("bayesgmm.sampling.extend")


def sampled(*arguments, **settings):
    """A short run, of which nothing is asked but its draws: warnings about them are beside the point."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", bg.SamplingWarning)
        return bg.sample(*arguments, **settings)


def sampled_more(*arguments, **settings):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", bg.SamplingWarning)
        return bg.extend(*arguments, **settings)


@pytest.fixture(scope="module")
def em():
    return bg.fit_em(FAITHFUL, 2, seed=81)


@pytest.fixture(scope="module")
def tree(em):
    return sampled(FAITHFUL, em, draws=30, tune=100, chains=2, seed=82)


def params_of(draw):
    return MixtureParams.from_covariances(draw["weights"].values, draw["means"].values, draw["covariances"].values)


def assert_likelihood_is_that_of_the_draws(tree, resolution):
    """Pointwise values of a draw against its covariances widened by the rounding."""
    X = tree["observed_data"]["X"].values
    np.testing.assert_allclose(tree["constant_data"]["resolution"].values, resolution, rtol=1e-9)
    for chain, draw in ((0, 0), (-1, -1)):
        params = params_of(tree["posterior"].to_dataset().isel(chain=chain, draw=draw)).recorded(np.asarray(resolution))
        expected = compute_log_density(X, params.weights, params.means, params.scale_trils)
        np.testing.assert_allclose(tree["log_likelihood"]["X"].isel(chain=chain, draw=draw), expected, rtol=1e-8)


def test_tree_groups_agree_with_each_other(tree):
    X = FAITHFUL.to_numpy(dtype=float)
    posterior = tree["posterior"].to_dataset()
    draw = posterior.isel(chain=1, draw=7)
    params = params_of(draw)
    np.testing.assert_allclose(params.scales, draw["scales"].values, rtol=1e-10)
    np.testing.assert_allclose(params.correlations, draw["correlations"].values, rtol=1e-10, atol=1e-12)
    assert_likelihood_is_that_of_the_draws(tree, check_resolution(None, validate(FAITHFUL)))
    raw, order = tree["posterior_raw"]["means"].values, tree["relabelling"]["permutation"].values
    np.testing.assert_array_equal(np.take_along_axis(raw, order[..., None], axis=2), posterior["means"].values)
    priors = bg.Priors().resolved(X, 2)
    expected = priors.log_density(from_mixture(params, priors.structure))
    assert set(tree["log_prior"].data_vars) == set(expected)
    for name, value in expected.items():
        assert float(tree["log_prior"][name].isel(chain=1, draw=7)) == pytest.approx(float(value), rel=1e-8)
    statistics = {"diverging", "energy", "lp", "n_steps", "tree_depth", "reached_max_treedepth", "step_size"}
    assert statistics <= set(tree["sample_stats"].data_vars)
    assert tree["sample_stats"].attrs["sampling_time"] > 0


def test_modes_are_part_of_the_tree(tree):
    modes = tree["modes"].to_dataset()
    assert float(modes["share"].sum()) == pytest.approx(1.0)
    assert modes["visited"].dims == ("chain", "check")
    assert (modes["started_in"] == 0).all()
    assert (modes["visited"] == 0).all()
    assert (modes["check"] >= 15).all()
    evidence = modes["log_evidence"].values
    np.testing.assert_allclose(modes["share"].values, np.exp(evidence - np.logaddexp.reduce(evidence)), rtol=1e-9)
    assert str(modes["origin"].values[0]) in tree.attrs["starts"]


@pytest.mark.slow
def test_laplace_evidence_is_near_the_exact_one():
    """One column, one component: the integral over mean and scale on a grid; two components count both orders of the labels."""
    X = np.random.default_rng(97).normal(3.0, 2.0, size=(60, 1))
    target = specify(X, 1, None, bg.Priors(scale_prior="log_normal"), 0.0).target
    mode = sampled(X, 1, priors=bg.Priors(scale_prior="log_normal"), resolution=0.0, draws=20, chains=2, seed=98)["modes"]
    mean, log_scale = np.meshgrid(np.linspace(1.0, 5.0, 161), np.linspace(0.0, 1.4, 161), indexing="ij")
    heights = [target.log_density(np.array(u))[0] for u in zip(mean.ravel(), log_scale.ravel(), strict=True)]
    exact = np.logaddexp.reduce(heights) + np.log(4.0 / 160 * 1.4 / 160)
    assert float(mode["log_evidence"][0]) == pytest.approx(exact, abs=0.05)
    apart = np.vstack([X, X + 100.0])
    pair = specify(apart, 2, None, None, 0.0).target
    em = bg.fit_em(apart, 2, seed=99)
    (mapped, *_) = make_atlas(pair, em, np.random.default_rng(0)).modes
    tree = sampled(apart, em, resolution=0.0, draws=20, chains=2, seed=99)
    assert float(tree["modes"]["log_evidence"][0]) == pytest.approx(mapped.mode.log_mass + np.log(2.0), abs=1e-3)


def test_the_tree_says_what_was_sampled_from(tree):
    target = target_of(tree)
    expected = specify(FAITHFUL, 2, None, None, None).target
    rng = np.random.default_rng(83)
    for u in rng.normal(size=(3, expected.structure.n_coordinates)):
        assert target.log_density(u)[0] == pytest.approx(expected.log_density(u)[0], rel=1e-12)
    assert tree.attrs["covariance"] == "VVV"
    assert "weights ~ Dirichlet(1, 1)" in tree.attrs["priors"]


def test_the_same_seed_gives_the_same_draws(em, tree):
    again = sampled(FAITHFUL, em, draws=30, tune=100, chains=2, cores=1, seed=82)
    np.testing.assert_array_equal(again["posterior_raw"]["means"].values, tree["posterior_raw"]["means"].values)
    other = sampled(FAITHFUL, em, draws=30, tune=100, chains=2, seed=83)
    assert (other["posterior_raw"]["means"].values != tree["posterior_raw"]["means"].values).any()


def test_number_of_components_runs_em_first():
    tree = sampled(FAITHFUL, 2, draws=20, tune=50, chains=1, seed=83, resolution=0.0)
    assert tree["em"].attrs["log_likelihood"] == pytest.approx(-1130.26396, abs=1e-4)
    assert_likelihood_is_that_of_the_draws(tree, [0.0, 0.0])


@pytest.mark.parametrize("family", representative_values(FOURTEEN, 0, 9, 13, others=pytest.mark.slow))
def test_every_family_is_sampled(family):
    rng = np.random.default_rng(84)
    X, _ = random_data(rng, random_params(rng, 2, 2), 60)
    tree = sampled(X, 2, covariance=family, draws=30, tune=60, chains=2, seed=85, resolution=(0.5, 0.0))
    assert tree.attrs["covariance"] == family
    posterior = tree["posterior"].to_dataset()
    assert np.isfinite(tree["log_likelihood"]["X"].values).all()
    assert_likelihood_is_that_of_the_draws(tree, [0.5, 0.0])
    for draw in (0, 29):
        assert_member(family, posterior["covariances"].values[1, draw])
    assert (posterior["means"].std(("chain", "draw")) > 0).all()


@pytest.mark.parametrize(
    ("family", "n_components", "n_features"),
    representatives([("VEV", 3, 1), ("E", 2, 1), ("EVE", 1, 3), ("VVE", 2, 3)], 0, 1, 2, others=pytest.mark.slow),
)
def test_other_sizes_are_sampled(family, n_components, n_features):
    rng = np.random.default_rng(86)
    X, _ = random_data(rng, random_params(rng, n_components, n_features), 80)
    tree = sampled(X, n_components, covariance=family, draws=20, tune=60, chains=1, seed=87)
    assert tree["posterior"]["covariances"].shape == (1, 20, n_components, n_features, n_features)
    assert_likelihood_is_that_of_the_draws(tree, np.zeros(n_features))


def test_one_dimension_and_one_component():
    tree = bg.sample(bg.load_galaxies(), 1, seed=84)
    posterior = tree["posterior"]
    assert (posterior["weights"] == 1).all()
    assert (posterior["correlations"] == 1).all()
    mean = float(posterior["means"].mean())
    assert mean == pytest.approx(bg.load_galaxies().to_numpy().mean(), abs=0.3)
    diagnosis = bg.diagnose(tree)
    assert np.isnan(diagnosis.quantities.loc["weight_entropy", "r_hat"])
    assert diagnosis.ok, diagnosis.verdict
    assert "problems" not in tree.attrs


def test_the_family_and_resolution_of_the_fit_are_taken(em):
    tied = bg.fit_em(FAITHFUL, 2, covariance="EEE", n_init=1, seed=88, resolution=(0.05, 2.0))
    tree = sampled(FAITHFUL, tied, draws=10, tune=50, chains=1, seed=89)
    assert tree.attrs["covariance"] == "EEE"
    assert_likelihood_is_that_of_the_draws(tree, [0.05, 2.0])
    with pytest.raises(bg.InputError, match="covariance is 'VVI' but the EM fit has 'VVV'"):
        bg.sample(FAITHFUL, em, covariance="VVI")
    with pytest.raises(bg.InputError, match="positive at 0"):
        bg.sample(FAITHFUL, em, priors=bg.Priors(scale_prior="half_normal"), resolution=0.0)


def test_where_em_collapses_chains_start_from_partitions():
    X = np.array([[0.0, 1.0], [0.3, 0.2], [1.0, 0.1], [5.0, 5.2], [5.5, 6.0]])
    with pytest.raises(bg.FitError, match="every one of the 10 EM starts collapsed"):
        bg.fit_em(X, 2, seed=0)
    tree = sampled(X, 2, draws=50, tune=100, chains=2, seed=85)
    assert "em" not in tree.children
    assert "random partition" in tree.attrs["starts"]
    assert np.isfinite(tree["log_likelihood"]["X"].values).all()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", bg.SamplingWarning)  # 50 draws of each chain
        assert "em_membership" not in bg.assignments(tree)


def test_extend_appends_draws_and_sorts_all_labels_together(tree):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", bg.SamplingWarning)
        longer = bg.extend(tree, 20, tune=50, seed=90)
    assert longer["posterior"].sizes["draw"] == longer.attrs["draws"] == 50
    assert longer["posterior"]["draw"].values.tolist() == list(range(50))
    assert tree["posterior"].sizes["draw"] == tree.attrs["draws"] == 30
    for group in ("posterior_raw", "sample_stats", "log_likelihood", "log_prior"):
        for name, values in tree[group].data_vars.items():
            assert longer[group].sizes["draw"] == 50
            np.testing.assert_array_equal(longer[group][name].isel(draw=slice(30)).values, values.values)
    assert_likelihood_is_that_of_the_draws(longer, tree["constant_data"]["resolution"].values)
    raw, order = longer["posterior_raw"]["means"].values, longer["relabelling"]["permutation"].values
    np.testing.assert_array_equal(np.take_along_axis(raw, order[..., None], axis=2), longer["posterior"]["means"].values)
    assert (longer["modes"]["started_in"] == tree["modes"]["started_in"]).all()
    assert longer["sample_stats"].attrs["sampling_time"] > tree["sample_stats"].attrs["sampling_time"]
    assert longer["em"].attrs["log_likelihood"] == tree["em"].attrs["log_likelihood"]


def test_extend_goes_on_where_the_chains_ended(tree, monkeypatch):
    starts = []

    def noted(target, atlas, places, *arguments, **settings):
        starts.extend(target.mixture_at(start.u) for start in places)
        return run_own_density(target, atlas, places, *arguments, **settings)

    monkeypatch.setattr(extend_module, "run_own_density", noted)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", bg.SamplingWarning)
        bg.extend(tree, 4, tune=10, seed=91)
    assert len(starts) == tree["posterior_raw"].sizes["chain"]
    for chain, start in enumerate(starts):
        last = tree["posterior_raw"].to_dataset().isel(chain=chain, draw=-1)
        for name in ("weights", "means", "covariances"):
            np.testing.assert_allclose(getattr(start, name), last[name].values, rtol=1e-8)


def test_extend_needs_a_tree_of_sample(tree):
    without = tree.copy()
    del without["modes"]
    with pytest.raises(bg.InputError, match="the tree was not made by `sample`"):
        bg.extend(without)
    with pytest.raises(bg.InputError, match="draws must be a whole number of at least 4"):
        bg.extend(tree, 3)


def test_a_component_narrower_than_the_data_can_be_is_warned_of():
    """A prior that presses one component onto equal rows."""
    rng = np.random.default_rng(92)
    X = rng.normal(size=(40, 2))
    X[:20] = X[0]
    narrow = bg.Priors(scale_prior="log_normal", scale_params={"mu": -12.0, "sigma": 1.5})
    with pytest.warns(bg.SamplingWarning, match="narrower than 0.0001 of the data's spread") as caught:
        tree = bg.sample(X, 2, covariance="VVI", priors=narrow, resolution=0.0, draws=20, tune=60, chains=1, seed=93)
    (sentence,) = [str(warning.message) for warning in caught if issubclass(warning.category, bg.SamplingWarning)]
    problems = tree.attrs["problems"].split("; ")
    assert any(problem.startswith("in ") and "a component is narrower" in problem for problem in problems)
    assert sentence.endswith(".")


class _Clock:
    """`time` whose sleep interrupts at the n-th poll."""

    def __init__(self, real, polls):
        self.real, self.left = real, polls
        self.perf_counter = real.perf_counter

    def sleep(self, seconds):
        self.left -= 1
        if self.left < 0:
            raise KeyboardInterrupt
        self.real.sleep(min(seconds, 0.01))


@pytest.mark.slow
def test_interruption_returns_the_draws_made_by_then(em, monkeypatch):
    monkeypatch.setattr(nuts, "time", _Clock(nuts.time, 30))
    with pytest.warns(bg.SamplingWarning, match="Sampling was interrupted: the draws are those made by then"):
        tree = bg.sample(FAITHFUL, em, draws=1_000_000, tune=50, chains=2, cores=2, seed=89)
    assert tree.attrs["interrupted"] == 1
    assert 1 < tree["posterior"].sizes["draw"] < 1_000_000
    assert any("interrupted" in reason for reason in bg.diagnose(tree).reasons)


def test_interruption_before_any_draw_is_an_interruption(em, monkeypatch):
    monkeypatch.setattr(nuts, "time", _Clock(nuts.time, 0))
    with pytest.raises(KeyboardInterrupt):
        bg.sample(FAITHFUL, em, draws=1000, tune=1_000_000, chains=2, seed=90)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"draws": 0}, "draws must be a whole number of at least 4"),
        ({"chains": 0}, "chains must be a whole number of at least 1"),
        ({"tune": -1}, "tune must be"),
        ({"cores": 0}, "cores must be"),
        ({"sampler": "stan"}, "choose 'auto', 'nutpie' or 'pymc'"),
        ({"target_accept": 1.0}, "between 0 and 1"),
        ({"resolution": -1.0}, "resolution"),
        ({"resolution": (0.1, 0.1, 0.1)}, "resolution"),
    ],
)
def test_settings_are_checked(em, arguments, words):
    with pytest.raises(bg.InputError, match=words):
        bg.sample(FAITHFUL, em, **arguments)


@pytest.mark.parametrize("seed", [-1, 1.5, "a"])
def test_seeds_are_checked(em, seed):
    with pytest.raises(bg.InputError, match="seed must be a whole number of at least 0"):
        bg.sample(FAITHFUL, em, seed=seed)


def test_other_data_than_the_fit_is_refused(em):
    with pytest.raises(bg.InputError, match=r"missing .eruptions., .waiting.; not seen in the fit .velocity."):
        bg.sample(bg.load_galaxies(), em)


def test_weighted_and_reordered_fits_are_refused(em):
    weights = np.ones(272)
    weights[0] = 2.0
    weighted = bg.fit_em(FAITHFUL, 2, sample_weight=weights, seed=0)
    with pytest.raises(bg.InputError, match="fit again without sample_weight"):
        bg.sample(FAITHFUL, weighted)
    with pytest.raises(bg.InputError, match="in another order"):
        bg.sample(FAITHFUL[["waiting", "eruptions"]], em)
    with pytest.raises(bg.InputError, match="the EM fit has 272 rows, X has 100"):
        bg.sample(FAITHFUL.head(100), em)


def test_starts_are_spread_around_the_mode(em):
    target = specify(FAITHFUL, em, None, None, None).target
    atlas = make_atlas(target, em, np.random.default_rng(94))
    starts = chain_starts(target, atlas, 4, np.random.default_rng(95))
    means = [target.mixture_at(start.u).means for start in starts]
    assert len({array.tobytes() for array in means}) == 4
    for array in means:
        assert np.abs((array - em.params.means) / em.params.scales).max() < 1.0


def test_a_chain_that_cannot_start_is_named(em):
    target = specify(FAITHFUL, em, None, None, None).target
    atlas = make_atlas(target, em, np.random.default_rng(96))
    hopeless = ChainStart(0, np.full(target.structure.n_coordinates, 1e6))
    settings = nuts.NutsSettings(draws=10, tune=10, cores=1, target_accept=0.9)
    with pytest.raises(bg.SamplingError, match="chain 0 could not be sampled"):
        run_own_density(target, atlas, [hopeless], [1], settings, False)


def test_unequal_concentrations_say_which_component_is_the_large_one():
    """Two groups of 140 and 60 rows: the posterior is the same with both names swapped, and so must be what is found of it.

    The other order of the components holds e^-44 of the posterior, and is left alone.
    """
    rng = np.random.default_rng(101)
    X = np.concatenate([rng.normal(0, 1, 140), rng.normal(10, 1, 60)])[:, None]
    trees = [
        sampled(X, 2, priors=bg.Priors(concentration=concentration), draws=200, chains=2, seed=102)
        for concentration in ((60.0, 3.0), (3.0, 60.0))
    ]
    for large, tree in enumerate(trees):
        weights = tree["posterior_raw"]["weights"].mean(("chain", "draw")).values
        assert weights[large] == pytest.approx((140 + 60) / (200 + 63), abs=0.02)
    evidence = [tree["modes"]["log_evidence"].values for tree in trees]
    np.testing.assert_allclose(evidence[0], evidence[1], atol=1e-3)
    assert gain_of_the_better_order((60.0, 3.0), (140, 60)) > WORTHWHILE
    assert evidence[0].shape == (1,)


@pytest.mark.slow
def test_the_other_order_of_unequal_concentrations_is_a_mode_and_a_region():
    """With groups well apart its share is known: counts and concentrations, paired the other way in the Dirichlet-multinomial."""
    rng = np.random.default_rng(101)
    X = np.concatenate([rng.normal(0, 1, 140), rng.normal(10, 1, 60)])[:, None]
    concentration = (4.0, 1.5)
    tree = sampled(X, 2, priors=bg.Priors(concentration=concentration), draws=300, chains=2, seed=102)
    gain = gain_of_the_better_order(concentration, (140, 60))
    assert 1.0 < gain < 3.0
    modes, regions = tree["modes"].to_dataset(), tree["regions"].to_dataset()
    assert modes["log_evidence"].values[0] - modes["log_evidence"].values[1] == pytest.approx(gain, abs=0.05)
    values, errors = regions["log_evidence"].values, regions["standard_error"].values
    assert (errors < 0.1).all()
    assert values[0] - values[1] == pytest.approx(gain, abs=4 * np.hypot(*errors))
    small = tree["posterior_raw"]["weights"].values[..., 0] < 0.5
    np.testing.assert_array_equal(regions["of_draw"].values, small.astype(int))
    assert small.mean() == pytest.approx(1 / (1 + np.exp(gain)), abs=0.02)


def gain_of_the_better_order(concentration, counts):
    """ln p(allocation | concentration), a number of rows and a concentration paired as given, over the other pairing."""
    a, n = np.array(concentration), np.array(counts)
    return (gammaln(a + n) - gammaln(a + n[::-1])).sum()


def test_evidence_counts_the_copies_of_rotations():
    """One component in two columns, EEV: Laplace's estimate against importance sampling of one of the four rotated copies."""
    X = np.random.default_rng(103).normal(size=(60, 2)) @ np.array([[2.0, 0.0], [1.0, 0.5]]).T
    tree = sampled(X, 1, covariance="EEV", resolution=0.0, draws=20, chains=2, seed=104)
    target = target_of(tree)
    mode = make_atlas(target, bg.fit_em(X, 1, covariance="EEV"), np.random.default_rng(0)).modes[0].mode
    rng = np.random.default_rng(105)
    size, n_draws = len(mode.u), 4000
    z = rng.standard_t(5, size=(n_draws, size))
    log_proposal = stats.t(5).logpdf(z).sum(axis=1) - np.linalg.slogdet(mode.metric)[1]
    ratios = np.array([target.log_density(mode.u + mode.metric @ row)[0] for row in z]) - log_proposal
    one_copy = np.logaddexp.reduce(ratios) - np.log(n_draws)
    assert float(tree["modes"]["log_evidence"][0]) == pytest.approx(one_copy + np.log(4), abs=0.1)


@pytest.mark.slow
def test_more_draws_keep_what_is_known_of_the_old_ones():
    """Modes, starts and checks of the first run stay, in the order of the new table."""
    galaxies = bg.load_galaxies()
    first = sampled(galaxies, 5, draws=40, chains=3, seed=106)
    first["modes"]["visited"][1, 0] = first["modes"].sizes["mode"] - 1
    more = sampled_more(first, 20, seed=107)
    old, new = first["modes"].to_dataset(), more["modes"].to_dataset()
    n_checks = old.sizes["check"]
    assert new["check"].values[:n_checks].tolist() == old["check"].values.tolist()
    assert new["check"].values[n_checks:].min() >= 40
    for c in range(3):
        np.testing.assert_allclose(
            new["weights"].values[new["started_in"].values[c]], old["weights"].values[old["started_in"].values[c]], atol=0.01
        )
        np.testing.assert_allclose(
            new["weights"].values[new["visited"].values[c, 0]], old["weights"].values[old["visited"].values[c, 0]], atol=0.01
        )


def test_an_interrupted_extension_keeps_the_chains_that_went_on(tree, monkeypatch):
    def first_chain_only(*arguments, **settings):
        raw = run_own_density(*arguments, **settings)
        return replace(raw, u=raw.u[1:], chains=raw.chains[1:], statistics=raw.statistics.isel(chain=[1]), interrupted=True)

    monkeypatch.setattr(extend_module, "run_own_density", first_chain_only)
    more = sampled_more(tree, 20, seed=108)
    assert more["posterior"].sizes["chain"] == more["modes"].sizes["chain"] == more.attrs["chains"] == 1
    np.testing.assert_array_equal(more["posterior_raw"]["means"].values[0, :30], tree["posterior_raw"]["means"].values[1])
    assert more.attrs["interrupted"] == 1
