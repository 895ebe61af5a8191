"""Runs that ended in one optimum are one mode, whatever the order of their components."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bayesgmm.datasets import load_faithful
from bayesgmm.em.fit import fit_em
from bayesgmm.em.modes import distinct_modes, matching_order, same_optimum
from bayesgmm.em.prior import ConjugatePrior
from bayesgmm.em.run import EMRun, EMStatus
from bayesgmm.params import MixtureParams
from tests.problems import random_params

EXACT = np.zeros(2)
LAW = settings(derandomize=True, deadline=None, max_examples=30)


def run_at(params: MixtureParams | None, log_likelihood: float, status: EMStatus = EMStatus.CONVERGED) -> EMRun:
    return EMRun(params, log_likelihood, np.array([log_likelihood - 1, log_likelihood]), status, "random")


def mixture(seed: int = 0, n_components: int = 3) -> MixtureParams:
    return random_params(np.random.default_rng(seed), n_components, 2)


@LAW
@given(st.integers(0, 2**32 - 1), st.integers(1, 6))
def test_matching_undoes_a_permutation(seed: int, n_components: int) -> None:
    params = mixture(seed, n_components)
    order = np.random.default_rng(seed).permutation(n_components)
    moved = params.permuted(order)
    assert moved.permuted(matching_order(moved, params)) == params
    assert same_optimum(moved, params)


def test_permuted_optima_merge() -> None:
    params = mixture()
    nudged = params.affine(np.full(2, 1 + 1e-6), np.full(2, 1e-6))
    runs = [
        run_at(params, -100.0),
        run_at(params.permuted([2, 0, 1]), -100.0 + 1e-9),
        run_at(nudged.permuted([1, 0, 2]), -100.0 - 1e-9),
    ]
    (mode,) = distinct_modes(runs, 200.0, EXACT)
    assert mode.n_runs == 3
    assert mode.log_likelihood == -100.0 + 1e-9  # of the best of them
    assert mode.params == params.permuted([2, 0, 1])


@pytest.mark.parametrize("log_likelihood", [-100.0, -100.5])
def test_distinct_optima_stay_apart_even_at_one_height(log_likelihood: float) -> None:
    first, second = mixture(0), mixture(1)
    modes = distinct_modes([run_at(second, log_likelihood), run_at(first, -100.0), run_at(second, log_likelihood)], 200.0, EXACT)
    assert sorted(mode.n_runs for mode in modes) == [1, 2]
    assert [mode.log_likelihood for mode in modes] == sorted((-100.0, log_likelihood), reverse=True)


def test_one_place_at_two_heights_is_two_modes() -> None:
    assert len(distinct_modes([run_at(mixture(), -100.0), run_at(mixture(), -101.0)], 200.0, EXACT)) == 2


def test_a_mode_differs_in_any_of_its_parameters() -> None:
    params = mixture()
    weights = params.weights[[1, 2, 0]]
    means = params.means + np.array([[0.0, 0.0], [0.3, 0.0], [0.0, 0.0]]) * params.scales
    scale_trils = params.scale_trils.copy()
    scale_trils[2] *= 1.2
    others = [
        MixtureParams(weights, params.means, params.scale_trils),
        MixtureParams(params.weights, means, params.scale_trils),
        MixtureParams(params.weights, params.means, scale_trils),
    ]
    assert not any(same_optimum(other, params) for other in others)


def test_only_converged_runs_count() -> None:
    runs = [run_at(mixture(), -100.0, EMStatus.MAX_ITER), run_at(None, np.nan, EMStatus.COLLAPSED)]
    assert distinct_modes(runs, 200.0, EXACT) == ()


def test_faithful_has_one_optimum_for_two_components_and_several_for_three() -> None:
    two, three = (fit_em(load_faithful(), k, n_init=8, n_long=8, seed=1) for k in (2, 3))
    assert [mode.n_runs for mode in two.modes] == [8]
    assert len(three.modes) >= 2
    assert sum(mode.n_runs for mode in three.modes) == 8
    assert three.modes[0].log_likelihood == three.log_likelihood
    assert three.modes[0].params == three.params


def test_components_about_one_centre_are_told_apart_by_their_spread() -> None:
    """Means that differ by less than they are uncertain must not decide which component is which."""
    wide, narrow = 9.0 * np.eye(2), np.eye(2)
    reference = MixtureParams.from_covariances([0.5, 0.5], [[0.0, 0.0], [0.1, 0.0]], [wide, narrow])
    replicate = MixtureParams.from_covariances([0.5, 0.5], [[0.1, 0.0], [0.0, 0.0]], [wide, narrow])
    np.testing.assert_array_equal(matching_order(replicate, reference), [0, 1])
    np.testing.assert_array_equal(matching_order(replicate.permuted([1, 0]), reference), [1, 0])


def test_under_a_prior_the_best_mode_is_the_best_run() -> None:
    X = np.random.default_rng(3).normal(size=(30, 2))
    for seed in range(5):
        em = fit_em(X, 4, prior=ConjugatePrior(shrinkage=1.0), n_long=10, seed=seed)
        assert em.modes[0].params == em.params


def test_optima_that_differ_below_the_rounding_are_one() -> None:
    """The likelihood of values rounded to 1 does not tell a spread of 1e-3 from one of 1e-6."""
    first = mixture()
    shrunk = [MixtureParams(first.weights, first.means, factor * first.scale_trils) for factor in (1e-3, 1e-6)]
    runs = [run_at(params, -100.0) for params in shrunk]
    assert len(distinct_modes(runs, 200.0, EXACT)) == 2
    (mode,) = distinct_modes(runs, 200.0, np.ones(2))
    assert mode.n_runs == 2
    assert mode.params == shrunk[0]
