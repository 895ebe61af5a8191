"""Which mode a draw is of, which modes are one region, and the mass of a region."""

from dataclasses import replace
from itertools import permutations

import numpy as np
import pytest

import bayesgmm as bg
from bayesgmm.evidence.chart import make_atlas
from bayesgmm.evidence.regions import NOWHERE, locator_of, mass_of, merged_by_traffic, orders_like
from bayesgmm.model.specification import specify
from tests.statistical.exact import ExactProblem, solve

IRIS = bg.load_iris().select_dtypes("number").to_numpy()


@pytest.fixture(scope="module")
def iris():
    em = bg.fit_em(IRIS, 3, seed=3)
    target = specify(IRIS, em, None, None, None).target
    return target, make_atlas(target, em, np.random.default_rng(4))


def around(mapped, rng, n_draws, width=0.5):
    mode = mapped.mode
    return mode.u + width * rng.standard_normal((n_draws, len(mode.u))) @ mode.metric.T


def permuted(target, u, rng):
    """The same mixtures with their components in random orders."""
    orders = [rng.permutation(target.structure.n_components) for _ in u]
    return np.array([target.coordinates_of(target.mixture_at(one).permuted(order)) for one, order in zip(u, orders, strict=True)])


@pytest.mark.slow
def test_draws_around_a_mode_are_of_it_whatever_their_labels(iris):
    target, atlas = iris
    locator = locator_of(target, atlas)
    rng = np.random.default_rng(5)
    full = [place for place, mapped in enumerate(atlas.modes) if not mapped.n_empty and atlas.shares[place] > 1e-6]
    assert len(full) > 1
    for place in full:
        u = around(atlas.modes[place], rng, 40)
        np.testing.assert_array_equal(locator.places(u), place)
        np.testing.assert_array_equal(locator.places(permuted(target, u, rng)), place)


def test_draws_with_an_empty_component_are_of_a_place_with_one(iris):
    target, atlas = iris
    locator = locator_of(target, atlas)
    place = next(place for place, mapped in enumerate(atlas.modes) if mapped.n_empty == 1)
    found = locator.places(around(atlas.modes[place], np.random.default_rng(6), 40, width=0.3))
    assert (found == place).mean() > 0.9
    np.testing.assert_array_equal(locator.n_empty[found[found != NOWHERE]], 1)


def test_far_points_are_nowhere(iris):
    """Beyond FAR; a few standard deviations more than usual are not."""
    target, atlas = iris
    locator = locator_of(target, atlas)
    rng = np.random.default_rng(7)
    assert (locator.places(around(atlas.modes[0], rng, 20, width=1.0)) == 0).all()
    far = np.tile(atlas.modes[0].mode.u, (5, 1))
    far[:, 2:14] += 50.0  # all means, away from the data
    np.testing.assert_array_equal(locator.places(far), NOWHERE)
    halfway = 0.5 * (atlas.modes[0].mode.u + permuted(target, atlas.modes[0].mode.u[None], np.random.default_rng(0))[0])
    assert locator.places(halfway[None])[0] == NOWHERE


def test_a_single_point_and_no_points(iris):
    target, atlas = iris
    locator = locator_of(target, atlas)
    assert locator.places(atlas.modes[0].mode.u[None]).tolist() == [0]
    assert locator.places(np.empty((0, target.structure.n_coordinates))).shape == (0,)


def test_modes_between_which_chains_travel_are_one_region():
    there_and_back = [0, 0, 1, 1, 0, 1, 0, 2]
    assert merged_by_traffic([np.array(there_and_back)] * 2, 4) == [[0, 1], [2], [3]]


def test_one_way_or_by_one_chain_is_not_traffic():
    assert merged_by_traffic([np.array([0, 0, 1, 1, 1])] * 10, 2) == [[0], [1]]  # often, but never back
    assert merged_by_traffic([np.array([0, 1, 0, 0])], 2) == [[0], [1]]
    assert merged_by_traffic([np.tile([0, 1, 0], 5), np.tile([1, 0, 1], 5)], 2) == [[0, 1]]


def test_most_of_the_chains_there_must_travel():
    travels, stays, elsewhere = np.array([0, 1, 0, 1, 0]), np.zeros(5, dtype=int), np.full(5, 2)
    assert merged_by_traffic([travels, travels, stays, elsewhere, elsewhere], 3) == [[0, 1], [2]]
    assert merged_by_traffic([travels, travels, stays, stays], 3) == [[0], [1], [2]]


def test_traffic_links_through_others():
    chains = [np.array([0, 1, 0, 1, 2, 1, 2, 1])] * 2
    assert merged_by_traffic(chains, 4) == [[0, 1, 2], [3]]


def test_chains_that_do_not_forget_where_they_were_do_not_link():
    """Although each looks in at the other mode now and then, or both at a third."""
    rng = np.random.default_rng(7)
    home = np.repeat([0, 0, 1, 1], 200).reshape(4, 200)
    visits = rng.random(home.shape) < 0.1
    assert merged_by_traffic(list(np.where(visits, 1 - home, home)), 2) == [[0], [1]]
    through = merged_by_traffic(list(np.where(visits, 2, home)), 3)
    assert through in ([[0, 2], [1]], [[0], [1, 2]])
    mixed = rng.integers(0, 2, home.shape)
    assert merged_by_traffic(list(np.where(visits, 2, mixed)), 3) == [[0, 1, 2]]


def test_draws_on_the_way_do_not_interrupt_traffic():
    """Far from every mode between two of them; a chain that is nowhere throughout says nothing."""
    way = [0, NOWHERE, 1, NOWHERE, NOWHERE, 0, 1, NOWHERE, 0]
    assert merged_by_traffic([np.array(way), np.array(way), np.full(9, NOWHERE)], 3) == [[0, 1], [2]]
    assert merged_by_traffic([np.array([0, NOWHERE, 0, NOWHERE, 0])], 1) == [[0]]


def test_jumps_from_one_chain_to_the_next_do_not_count():
    assert merged_by_traffic([np.zeros(5, dtype=int), np.ones(5, dtype=int)] * 3, 2) == [[0], [1]]


def test_orders_bring_components_to_those_of_a_reference(iris):
    target, atlas = iris
    rng = np.random.default_rng(8)
    mapped = atlas.modes[0]
    orders = [np.array(order) for order in permutations(range(3))]
    (u,) = around(mapped, rng, 1, width=0.3)
    named = np.array([target.coordinates_of(target.mixture_at(u).permuted(order)) for order in orders])
    found = orders_like(target, named, mapped.params)
    np.testing.assert_array_equal(found, [np.argsort(order) for order in orders])
    told_apart = replace(target, priors=replace(target.priors, concentration=np.array([1.0, 2.0, 3.0])))
    np.testing.assert_array_equal(orders_like(told_apart, named, mapped.params), np.tile(np.arange(3), (6, 1)))


def importance_draws(target, mapped, rng, n_draws, n_proposed=20_000, df=4):
    """Independent draws of the posterior around a mode: resampled from a multivariate t, for problems of few dimensions."""
    size = len(mapped.mode.u)
    z = rng.standard_normal((n_proposed, size)) * np.sqrt(df / rng.chisquare(df, (n_proposed, 1)))
    u = mapped.mode.u + 1.2 * z @ mapped.mode.metric.T
    log_t = -(df + size) / 2 * np.log1p((z**2).sum(axis=1) / df)
    log_p = np.array([target.log_density(one)[0] for one in u])
    weights = np.exp(log_p - log_t - (log_p - log_t).max())
    assert 1 / ((weights / weights.sum()) ** 2).sum() > 0.2 * n_proposed
    return u[rng.choice(n_proposed, n_draws, p=weights / weights.sum())]


@pytest.mark.slow
def test_the_mass_of_one_component_is_the_exact_evidence():
    """One column, one component: draws resampled, one more than the pieces that they are cut into."""
    X = np.random.default_rng(9).normal(3.0, 2.0, size=(12, 1))
    priors = bg.Priors(mean_loc=2.0, mean_scale=3.0, scale_params={"alpha": 2.0, "beta": 1.5})
    exact = solve(ExactProblem(X, 1, priors, np.zeros(1)))
    target = specify(X, 1, "VVV", priors, 0.0).target
    rng = np.random.default_rng(10)
    (mapped, *_) = make_atlas(target, bg.fit_em(X, 1, seed=0, resolution=0.0), rng).modes
    value, error = mass_of(target, importance_draws(target, mapped, rng, 1201), mapped.params, rng)
    assert error < 0.02
    assert value == pytest.approx(exact.log_evidence, abs=max(4 * error, exact.change["log_evidence"]))


def test_the_mass_of_a_part_is_that_part_of_the_whole():
    """Draws with a mean below some number, and `inside` that says so: their share of all draws, in the mass."""
    X = np.random.default_rng(11).normal(size=(20, 1))
    target = specify(X, 1, "VVV", None, 0.0).target
    rng = np.random.default_rng(12)
    (mapped, *_) = make_atlas(target, bg.fit_em(X, 1, seed=0, resolution=0.0), rng).modes
    u = importance_draws(target, mapped, rng, 4000)
    whole = mass_of(target, u, mapped.params, rng)
    limit = np.quantile(u[:, 0], 0.3)
    part = mass_of(target, u[u[:, 0] < limit], mapped.params, rng, lambda points: points[:, 0] < limit)
    error = np.hypot(whole.standard_error, part.standard_error)
    assert np.hypot(error, np.sqrt(0.7 / 0.3 / 4000)) < 0.05
    assert part.log_value - whole.log_value == pytest.approx(np.log(0.3), abs=4 * np.hypot(error, np.sqrt(0.7 / 0.3 / 4000)))
