"""Groupings of rows among draws: what they are, whose they are, and how they are described."""

import numpy as np
import pytest
import xarray as xr

import bayesgmm as bg
from bayesgmm.kernels.draws import classes_of_draws
from bayesgmm.params import MixtureParams
from bayesgmm.posterior.chains import chain_groups, pairwise_r_hat
from bayesgmm.posterior.groupings import Grouping, coinciding, describe
from bayesgmm.posterior.invariants import invariants
from bayesgmm.posterior.schema import Draws, with_groups
from bayesgmm.posterior.structures import ELSEWHERE, MAX_STRUCTURES, find_structures
from tests.posterior import constructed
from tests.posterior.constructed import N_DRAWS, SETTINGS, make_problem, second_grouping, still, tree_of, without_first
from tests.posteriors import made_tree, scrambled, separated_params


def structures_of(tree):
    return find_structures(tree, invariants(tree)["log_likelihood"].values)


def as_draws(params):
    return Draws(params.weights[None], params.means[None], params.scale_trils[None])


def mixture(weights, means, spreads):
    """In one dimension."""
    scale_trils = np.asarray(spreads, dtype=float)[:, None, None]
    return MixtureParams(np.asarray(weights, dtype=float), np.asarray(means, dtype=float)[:, None], scale_trils)


def test_permutations_of_one_mode_are_one_structure():
    rng = np.random.default_rng(1)
    tree, orders = scrambled(made_tree(separated_params(4), rng, n_draws=60), rng)
    found = structures_of(tree)
    assert len(found.table) == 1
    assert (found.place == 0).all()
    assert found.labels_vary
    names = np.take_along_axis(orders, found.permutation, axis=2)  # the true component of each sorted one
    assert (names == names[0, 0]).all()
    assert not found.empty.any()
    assert not found.coinciding.any()
    assert found.passages.tolist() == [0, 0, 0, 0]


@pytest.mark.slow
def test_switches_are_changes_of_order_within_a_structure():
    problem = make_problem(SETTINGS[0])
    found = structures_of(constructed.switched_slowly(problem))
    assert np.nansum(found.switches, axis=1).tolist() == [2, 2, 2, 2]
    assert np.flatnonzero(found.switches[0] == 1).tolist() == [350, 750]
    assert np.isnan(found.switches[:, 0]).all()
    between = structures_of(constructed.switched_between_chains(problem))
    assert np.nansum(between.switches) == 0
    assert between.labels_vary
    assert not structures_of(constructed.well_mixed(problem)).labels_vary


@pytest.mark.slow
def test_draws_of_several_regions_are_followed_region_by_region():
    """Two groupings, a region each, mixed at random: no chain went from one to the other, nor did labels switch."""
    problem = make_problem(SETTINGS[0])
    which = still(0)
    which[:, 1::2] = 1
    swapped = np.where(problem.labels < 2, 1 - problem.labels, problem.labels)
    for second, passages in ((second_grouping(problem), which.shape[1] - 1), (swapped, 0)):
        tree = tree_of(problem, [problem.labels, second], which)
        alone = structures_of(tree)
        assert alone.passages.tolist() == [passages] * len(which)
        regions = xr.Dataset({"of_draw": (("chain", "draw"), which)})
        apart = structures_of(with_groups(tree, {"regions": regions}))
        assert apart.passages.tolist() == [0] * len(which)
        assert np.nansum(apart.switches) == 0


def test_each_draw_is_in_its_structure():
    problem = make_problem(SETTINGS[0])
    which = still(0)
    which[2, 100:400] = 1
    which[3] = 2
    tree = tree_of(problem, [problem.labels, second_grouping(problem), without_first(problem)], which)
    found = structures_of(tree)
    assert len(found.table) == 3
    place_of = [int(np.bincount(found.place[which == i] + 1).argmax()) - 1 for i in range(3)]
    assert sorted(place_of) == [0, 1, 2]
    assert (found.place == np.array(place_of)[which]).mean() > 0.99
    assert found.passages[[0, 1, 3]].tolist() == [0, 0, 0]
    assert found.passages[2] == 2
    np.testing.assert_allclose(found.shares().sum(axis=1), 1, atol=0.01)
    assert found.empty[3].mean() > 0.95
    assert not found.empty[:3].any()
    table = found.table.loc[place_of]
    np.testing.assert_allclose(table["share"], [(which == i).mean() for i in range(3)], atol=0.01)
    assert table["evidence"].isna().all()


def test_em_is_the_reference_and_modes_bring_their_evidence():
    problem = make_problem(SETTINGS[0])
    tree = constructed.one_chain_stuck(problem)
    em = bg.fit_em(problem.X, problem.n_components, seed=1)
    posterior = tree["posterior"].to_dataset()
    centres = [posterior.isel(chain=chain).mean("draw") for chain in (1, 0)]
    names = ("weights", "means", "covariances")
    variables = {name: (("mode", *centres[0][name].dims), np.stack([centre[name] for centre in centres])) for name in names}
    modes = xr.Dataset({**variables, "share": ("mode", [0.3, 0.7])})
    found = structures_of(with_groups(tree, {"em": em.to_dataset(), "modes": modes}))
    assert found.table["description"].iloc[0] == "the reference"
    assert found.table["modes"].tolist() == [(1,), (0,)]
    assert found.table["evidence"].tolist() == pytest.approx([0.7, 0.3])
    assert (found.place[1] == 1).mean() > 0.99


@pytest.mark.parametrize(
    ("params", "words"),
    [
        (mixture([0.6, 0.2, 0.2], [5, 18, 22], [6, 1, 1]), "0 and 1 of the reference are together"),
        (mixture([0.66, 0.33, 0.01], [5, 20, 60], [5.5, 1, 1]), "1 component holds next to no row"),
        (mixture([0.6, 0.2, 0.2], [5, 18, 22], [6, 1, 1]), "part of 2 is apart"),
    ],
)
def test_other_groupings_in_words(params, words):
    reference = mixture([0.3, 0.3, 0.4], [0, 10, 20], [1, 1, 2])
    rng = np.random.default_rng(3)
    X = np.concatenate([rng.normal(0, 1, 30), rng.normal(10, 1, 30), rng.normal(20, 2, 40)])[:, None]
    grouping, pivot = (
        Grouping(classes_of_draws(X, *draws)[0], coinciding(draws)) for draws in map(as_draws, (params, reference))
    )
    assert words in describe(grouping, pivot)


def test_coinciding_components():
    """Equal spreads: exp(-(distance / sd)^2 / 8) > 0.8 from 1.336 standard deviations down."""
    for distance, expected in ((1.33, True), (1.35, False)):
        draws = Draws(np.full((1, 2), 0.5), np.array([[[0.0], [distance]]]), np.ones((1, 2, 1, 1)))
        assert coinciding(draws)[0, 0, 1] == expected
    wide = Draws(np.full((1, 2), 0.5), np.zeros((1, 2, 2)), np.array([np.eye(2), 3 * np.eye(2)])[None])
    assert not coinciding(wide)[0, 0, 1]  # sqrt(9) / 5 = 0.6
    assert coinciding(wide)[0, 0, 0]


def test_twins_count_as_one():
    """Rows shared otherwise by two components in one place are not grouped otherwise."""
    found = structures_of(constructed.two_coincide(make_problem(SETTINGS[0])))
    assert found.coinciding.mean() > 0.95
    assert (found.place == 0).mean() > 0.95


def test_a_scale_mixture_is_one_structure():
    """Two groups about one centre: their overlap is near the bound for coinciding, on which the structure must not depend."""
    rng = np.random.default_rng(8)
    labels = np.repeat([0, 1], [600, 400])
    problem = constructed.Problem((rng.standard_normal(1000) * np.array([1.0, 2.5])[labels])[:, None], labels, 2, rng)
    which = np.zeros((2, 300), dtype=int)
    found = structures_of(tree_of(problem, [labels], which))
    assert 0 < found.coinciding.mean() < 1
    assert (found.place == 0).mean() > 0.99


def test_a_switch_on_the_way_through_another_structure_is_a_switch():
    problem = make_problem(SETTINGS[0])
    which = still(0)[:1]
    which[0, 400:500] = 1
    orders = np.tile(np.arange(3), (1, N_DRAWS, 1))
    orders[0, 450:] = [2, 0, 1]
    tree = constructed.permuted_draws(tree_of(problem, [problem.labels, second_grouping(problem)], which), orders)
    found = structures_of(tree)
    assert np.flatnonzero(found.switches[0] == 1).tolist() == [450, 500]


def test_few_rows_in_many_columns_are_not_empty():
    rng = np.random.default_rng(9)
    labels = np.repeat([0, 1, 2], 10)
    problem = constructed.Problem(rng.standard_normal((30, 10)) + 20.0 * labels[:, None], labels, 3, rng)
    assert not structures_of(tree_of(problem, [labels], np.zeros((2, 50), dtype=int))).empty.any()


def test_the_only_component_is_never_empty():
    rng = np.random.default_rng(10)
    problem = constructed.Problem(rng.standard_normal((2, 2)), np.zeros(2, dtype=int), 1, rng)
    assert not structures_of(tree_of(problem, [problem.labels], np.zeros((2, 20), dtype=int))).empty.any()


def test_a_large_table_is_sampled():
    rng = np.random.default_rng(5)
    tree, _ = scrambled(made_tree(separated_params(), rng, n_chains=2, n_draws=15, n_samples=5000), rng)
    found = structures_of(tree)
    assert (found.place == 0).all()
    assert not found.empty.any()


def test_a_small_component_that_a_sample_of_rows_misses_is_not_empty():
    params = mixture([0.998, 0.002], [0, 50], [1, 1])
    tree = made_tree(params, np.random.default_rng(6), n_chains=1, n_draws=10, n_samples=20_000)
    assert not structures_of(tree).empty.any()


def test_draws_of_rare_structures_are_elsewhere():
    """When every draw cuts the rows in three along a direction of its own, the table ends and says so."""
    problem = make_problem(SETTINGS[5])
    along = problem.X @ problem.rng.normal(size=(5, 60))
    partitions = [np.searchsorted(np.quantile(column, [0.2, 0.7]), column) for column in along.T]
    found = structures_of(tree_of(problem, partitions, problem.rng.integers(60, size=(4, 100))))
    assert (found.place == ELSEWHERE).any()
    assert len(found.table) == MAX_STRUCTURES
    assert found.table["share"].sum() + (found.place == ELSEWHERE).mean() == pytest.approx(1)


def test_pairs_and_groups_of_chains():
    rng = np.random.default_rng(7)
    draws = rng.normal(size=(5, 400))
    draws[[1, 4]] += 3.0
    series = xr.Dataset({"a": (("chain", "draw"), draws), "b": (("chain", "draw"), rng.normal(size=(5, 400)))})
    pairwise = pairwise_r_hat(series)
    np.testing.assert_array_equal(pairwise, pairwise.T)
    assert chain_groups(pairwise) == ((0, 2, 3), (1, 4))
    assert (np.diag(pairwise) < 1.05).all()
    assert pairwise.loc[0, 1] > 1.5
    drifting = xr.Dataset({"a": (("chain", "draw"), np.linspace(0, 5, 400) + rng.normal(size=(1, 400)))})
    assert pairwise_r_hat(drifting).loc[0, 0] > 1.3


def test_chains_that_stand_still():
    series = xr.Dataset({"a": (("chain", "draw"), np.repeat([[1.0], [1.0], [2.0]], 50, axis=1))})
    assert chain_groups(pairwise_r_hat(series)) == ((0, 1), (2,))


@pytest.mark.slow
def test_chains_table():
    problem = make_problem(SETTINGS[0])
    diagnosis = bg.diagnose(constructed.one_chain_stuck(problem))
    table = diagnosis.chains
    assert diagnosis.groups == ((0, 2, 3), (1,))
    assert table["group"].tolist() == [0, 1, 0, 0]
    assert table["structure"].nunique() == 2
    assert (table["share"] > 0.99).all()
    assert diagnosis.share_elsewhere == pytest.approx(0.25 if table["structure"][0] == 0 else 0.75, abs=0.01)
    assert diagnosis.n_draws == N_DRAWS
