"""sample: starts, settings, interruption, what the tree holds."""

from dataclasses import replace

import numpy as np
import pytest

import bayesgmm as bg
from bayesgmm.em.modes import same_optimum
from bayesgmm.model import nuts
from bayesgmm.model.native import native_model
from bayesgmm.model.start import chain_starts
from bayesgmm.params import MixtureParams
from tests.problems import random_data, random_params

FAITHFUL = bg.load_faithful()


@pytest.fixture(scope="module")
def em():
    return bg.fit_em(FAITHFUL, 2, seed=81)


def test_tree_groups_agree_with_each_other(em):
    tree = bg.sample(FAITHFUL, em, draws=30, tune=100, chains=2, seed=82)
    X = FAITHFUL.to_numpy(dtype=float)
    posterior = tree["posterior"].to_dataset()
    draw = posterior.isel(chain=1, draw=7)
    params = MixtureParams.from_covariances(draw["weights"].values, draw["means"].values, draw["covariances"].values)
    np.testing.assert_allclose(params.scales, draw["scales"].values, rtol=1e-10)
    np.testing.assert_allclose(params.correlations, draw["correlations"].values, rtol=1e-10, atol=1e-12)
    pointwise = tree["log_likelihood"]["X"].isel(chain=1, draw=7).values
    joint = [
        np.log(w) - 0.5 * np.einsum("nd,de,ne->n", X - m, np.linalg.inv(c), X - m) - 0.5 * np.linalg.slogdet(2 * np.pi * c)[1]
        for w, m, c in zip(params.weights, params.means, params.covariances, strict=True)
    ]
    np.testing.assert_allclose(pointwise, np.logaddexp(*joint), rtol=1e-10)
    raw, order = tree["posterior_raw"]["means"].values, tree["relabelling"]["permutation"].values
    np.testing.assert_array_equal(np.take_along_axis(raw, order[..., None], axis=2), posterior["means"].values)
    resolved = bg.Priors().resolved(X, 2)
    trils = np.linalg.cholesky(posterior["correlations"].values)
    expected = resolved.log_density(posterior["weights"].values, posterior["means"].values, posterior["scales"].values, trils)
    for name, values in expected.items():
        np.testing.assert_allclose(tree["log_prior"][name].values, values, rtol=1e-8)
    assert {"diverging", "energy", "lp", "n_steps", "tree_depth", "reached_max_treedepth", "step_size"} <= set(
        tree["sample_stats"].data_vars
    )


def test_number_of_components_runs_em_first():
    tree = bg.sample(FAITHFUL, 2, draws=20, tune=50, chains=1, seed=83)
    assert tree["em"].attrs["log_likelihood"] == pytest.approx(-1130.26396, abs=1e-4)


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


def test_where_em_collapses_chains_start_from_partitions():
    X = np.array([[0.0, 1.0], [0.3, 0.2], [1.0, 0.1], [5.0, 5.2], [5.5, 6.0]])
    with pytest.raises(bg.FitError, match="every one of the 10 EM starts collapsed"):
        bg.fit_em(X, 2, seed=0)
    tree = bg.sample(X, 2, draws=50, tune=100, chains=2, seed=85)
    assert "em" not in tree.children
    assert "random partition" in tree.attrs["starts"]
    assert np.isfinite(tree["log_likelihood"]["X"].values).all()
    assert "em_membership" not in bg.assignments(tree)


def test_starts_are_spread_around_the_optimum_and_do_not_depend_on_units(em):
    X = FAITHFUL.to_numpy(dtype=float)
    starts = chain_starts(X, em, 2, np.random.default_rng(86), 4)
    assert len({start.params.means.tobytes() for start in starts}) == 4
    for start in starts:
        assert np.abs((start.params.means - em.params.means) / em.params.scales).max() < 1.0
    scale, shift = np.array([60.0, 0.1]), np.array([5.0, -3.0])
    moved = bg.fit_em(X * scale + shift, 2, seed=81)
    for start, other in zip(starts, chain_starts(X * scale + shift, moved, 2, np.random.default_rng(86), 4), strict=True):
        np.testing.assert_allclose(other.params.means, start.params.means * scale + shift, rtol=1e-5)
        np.testing.assert_allclose(other.params.scale_trils, start.params.scale_trils * scale[:, None], rtol=1e-4, atol=1e-7)


def test_near_optima_get_chains_in_turn():
    """Old Faithful with K = 3 has two optima 0.7 nats apart, once the best of all is left out."""
    every = bg.fit_em(FAITHFUL, 3, init="random_from_data", n_long=10, seed=0)
    em = replace(every, runs=tuple(run for run in every.runs if run.log_likelihood < -1118))
    near = [mode for mode in em.modes if mode.log_likelihood > em.log_likelihood - np.log(100)]
    assert len(near) >= 2
    starts = chain_starts(FAITHFUL.to_numpy(dtype=float), em, 3, np.random.default_rng(88), 2 * len(near))
    assert [start.origin for start in starts] == [f"EM optimum {c % len(near)}" for c in range(2 * len(near))]
    assert not same_optimum(near[0].params, near[1].params)


def test_interruption_returns_the_draws_made_by_then(em, monkeypatch):
    polls = iter(range(1000))

    def sleep(_: float) -> None:
        if next(polls) == 100:
            raise KeyboardInterrupt

    class Clock:
        pass

    Clock.sleep = staticmethod(lambda seconds: (real(0.01), sleep(seconds)))
    real = nuts.time.sleep
    monkeypatch.setattr(nuts, "time", Clock)
    tree = bg.sample(FAITHFUL, em, draws=1_000_000, tune=50, chains=2, cores=2, seed=89)
    assert tree.attrs["interrupted"] == 1
    assert 1 < tree["posterior"].sizes["draw"] < 1_000_000
    assert any("interrupted" in reason for reason in bg.diagnose(tree).reasons)


def test_interruption_before_any_draw_is_an_interruption(em, monkeypatch):
    def sleep(_: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(nuts.time, "sleep", sleep)
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
    ],
)
def test_settings_are_checked(em, arguments, words):
    with pytest.raises(bg.InputError, match=words):
        bg.sample(FAITHFUL, em, **arguments)


def test_other_data_than_the_fit_is_refused(em):
    with pytest.raises(bg.InputError, match=r"missing .eruptions., .waiting.; not seen in the fit .velocity."):
        bg.sample(bg.load_galaxies(), em)


def test_priors_follow_the_units_of_the_data():
    rng = np.random.default_rng(91)
    X, _ = random_data(rng, random_params(rng, 2, 2), 50)
    scale, shift = np.array([100.0, 0.01]), np.array([7.0, -2.0])
    first, second = bg.Priors().resolved(X, 2), bg.Priors().resolved(X * scale + shift, 2)
    np.testing.assert_allclose(second.mean_loc, first.mean_loc * scale + shift, rtol=1e-12)
    np.testing.assert_allclose(second.mean_scale, first.mean_scale * scale, rtol=1e-12)
    np.testing.assert_allclose(second.scale_params["beta"], first.scale_params["beta"] * scale, rtol=1e-12)
    assert (second.scale_params["alpha"] == first.scale_params["alpha"]).all()


def test_priors_say_what_they_are():
    text = bg.Priors().resolved(FAITHFUL.to_numpy(dtype=float), 2).describe(("eruptions", "waiting"))
    assert "weights ~ Dirichlet(1, 1)" in text
    assert "means of waiting ~ Normal(70.9, sd 33.92)" in text
    assert "98% between" in text
    assert bg.Priors(mean_scale=np.array([1.0, 2.0])) == bg.Priors(mean_scale=(1.0, 2.0))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"scale_prior": "uniform"}, "choose one of inverse_gamma"),
        ({"scale_params": {"sigma": 1.0}}, "scale_params of inverse_gamma are alpha, beta; got sigma"),
        ({"lkj_eta": 0.0}, "lkj_eta must be a positive number"),
    ],
)
def test_priors_are_checked_at_birth(arguments, words):
    with pytest.raises(bg.InputError, match=words):
        bg.Priors(**arguments)


@pytest.mark.parametrize(
    ("priors", "words"),
    [
        (bg.Priors(concentration=(1.0, 1.0, 1.0)), "concentration has 3 values; give one number or 2"),
        (bg.Priors(concentration=-1.0), "concentration must be positive"),
        (bg.Priors(mean_scale=(1.0, 0.0)), "mean_scale must be positive"),
    ],
)
def test_priors_are_checked_against_the_data(priors, words):
    with pytest.raises(bg.InputError, match=words):
        priors.resolved(FAITHFUL.to_numpy(dtype=float), 2)


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


@pytest.mark.parametrize("seed", [-1, 1.5, "a"])
def test_seeds_are_checked(em, seed):
    with pytest.raises(bg.InputError, match="seed must be a whole number of at least 0"):
        bg.sample(FAITHFUL, em, seed=seed)


def test_a_chain_that_cannot_start_is_named():
    X = FAITHFUL.to_numpy(dtype=float)
    model = native_model(X, bg.Priors().resolved(X, 2))
    hopeless = nuts.started_at(model, np.full(model.n_dim, 1e6))
    settings = nuts.NutsSettings(draws=10, tune=10, cores=1, target_accept=0.9)
    with pytest.raises(bg.SamplingError, match="chain 0 could not be sampled"):
        nuts.run_chains([hopeless], [1], settings, show_progress=False)
