"""What is said of draws that something speaks against, on trees made for it, without MCMC."""

import numpy as np
import pytest
import xarray as xr

from bayesgmm.posterior.problems import chains_apart, sampling_problems, smallest_bfmi
from tests.posteriors import made_tree, separated_params

N_CHAINS, N_DRAWS = 4, 250
SAMPLES = ("chain", "draw")
TOGETHER = np.zeros((N_CHAINS, N_DRAWS), dtype=int)


@pytest.fixture(scope="module")
def bare():
    return made_tree(separated_params(), np.random.default_rng(1), n_samples=60)


def with_group(tree, name, dataset):
    groups = {group: child.to_dataset() for group, child in tree.children.items()}
    out = xr.DataTree.from_dict({**groups, name: dataset})
    out.attrs = dict(tree.attrs)
    return out


def statistics(**marked):
    """Statistics of well-behaved chains, with some draws marked, {name: [(chain, draw), ...]}."""
    energy = np.random.default_rng(2).normal(size=(N_CHAINS, N_DRAWS))
    values = {"energy": (SAMPLES, energy)}
    for name in ("diverging", "reached_max_treedepth"):
        flags = np.zeros((N_CHAINS, N_DRAWS), dtype=bool)
        for place in marked.get(name, []):
            flags[place] = True
        values[name] = (SAMPLES, flags)
    return xr.Dataset(values)


def modes(shares, visited):
    """An atlas of modes with two components each, and the mode of some draws of each chain."""
    weights = [[0.25, 0.75 - 0.1 * i] for i in range(len(shares))]
    return xr.Dataset(
        {
            "share": ("mode", np.array(shares, dtype=float)),
            "weights": (("mode", "cluster"), np.array(weights)),
            "visited": (("chain", "check"), np.array(visited)),
        }
    )


def of_modes(tree, shares, visited):
    tree = with_group(tree, "modes", modes(shares, visited))
    return [*sampling_problems(tree), *chains_apart(tree)]


def test_good_draws_have_no_problems(bare):
    assert sampling_problems(bare) == []
    assert sampling_problems(with_group(bare, "sample_stats", statistics())) == []
    assert of_modes(bare, [1.0], [[0, 0], [0, 0]]) == []


def test_interruption_is_said(bare):
    tree = bare.copy()
    tree.attrs["interrupted"] = 1
    assert sampling_problems(tree) == ["sampling was interrupted: the draws are those made by then"]


def test_divergences_are_counted_and_placed(bare):
    marked = [(0, 3), (2, 7), (2, 9)]
    (problem,) = sampling_problems(with_group(bare, "sample_stats", statistics(diverging=marked)))
    assert problem.startswith("3 of 1000 draws diverged (chains 0, 2): raise target_accept")
    everywhere = [(c, 5) for c in range(N_CHAINS)]
    (problem,) = sampling_problems(with_group(bare, "sample_stats", statistics(diverging=everywhere)))
    assert problem.startswith("4 of 1000 draws diverged (every chain)")


def test_cut_trajectories_are_counted_and_placed(bare):
    (problem,) = sampling_problems(with_group(bare, "sample_stats", statistics(reached_max_treedepth=[(1, 0)])))
    assert problem == "1 of 1000 trajectories reached the largest tree depth (chain 1): tune longer"


def test_slow_energies_are_said(bare):
    stats = statistics()
    stats["energy"][2] = np.cumsum(np.random.default_rng(3).normal(size=N_DRAWS))
    assert smallest_bfmi(stats, TOGETHER) < 0.1
    (problem,) = sampling_problems(with_group(bare, "sample_stats", stats))
    assert problem.startswith(f"the energy of some chain mixes slowly (BFMI {smallest_bfmi(stats, TOGETHER):.2f}, below 0.3)")


def test_bfmi_of_independent_energies_is_two():
    """Successive differences have twice the variance."""
    assert smallest_bfmi(statistics(), TOGETHER) == pytest.approx(2.0, abs=0.3)
    assert np.isnan(smallest_bfmi(xr.Dataset(), TOGETHER))
    still = xr.Dataset({"energy": (SAMPLES, np.ones((2, 5)))})
    assert np.isnan(smallest_bfmi(still, TOGETHER))


def test_chains_in_different_modes_are_said(bare):
    (problem,) = of_modes(bare, [0.7, 0.3], [[0, 0], [0, 0], [1, 1], [0, 0]])
    assert problem.startswith("the chains are in different modes and do not travel between them (")
    assert "chains 0, 1, 3 in mode 0 (weights 0.75 0.25, share 0.7)" in problem
    assert "chain 2 in mode 1 (weights 0.65 0.25, share 0.3)" in problem


def test_chains_that_travel_are_no_problem(bare):
    """They share a mode, or each shares one with a third; a check that found none, -1, says nothing."""
    assert of_modes(bare, [0.7, 0.3], [[0, 0], [1, 1], [0, 1]]) == []
    assert of_modes(bare, [0.7, 0.3], [[0, 1], [1, 0], [0, 1]]) == []
    assert of_modes(bare, [0.7, 0.3], [[0, 1], [0, 0], [0, -1]]) == []
    assert of_modes(bare, [1.0], [[-1, -1], [0, 0]]) == []


def test_every_chain_where_next_to_nothing_is(bare):
    (problem,) = of_modes(bare, [0.999, 0.001], [[1, 1], [1, 1]])
    where = "of 4 draws looked at, 4 (every chain) are in mode 1 (weights 0.65 0.25, share 0.001), which Laplace's estimate"
    assert problem.startswith(f"{where} gives less than 1% of the posterior")


def test_a_chain_that_fell_in_where_next_to_nothing_is(bare):
    (problem,) = of_modes(bare, [0.999, 0.001], [[0, 0, 0, 0], [0, 0, 1, 1]])
    assert problem.startswith("of 8 draws looked at, 2 (chain 1) are in mode 1")
    assert of_modes(bare, [0.98, 0.02], [[0, 0, 0, 0], [0, 0, 1, 1]]) == []


def test_chains_that_come_back_from_there_travel(bare):
    """They are where Laplace's estimate says next to nothing is, and come and go: the estimate is at fault."""
    assert of_modes(bare, [0.999, 0.001], [[0, 1, 0, 1], [1, 1, 1, 0]]) == []
    (problem,) = of_modes(bare, [0.999, 0.001], [[0, 0, 0, 1], [1, 1, 1, -1]])
    assert problem.startswith("of 8 draws looked at, 4 (every chain) are in mode 1")


def test_one_chain_where_next_to_nothing_is(bare):
    problems = of_modes(bare, [0.999, 0.001], [[0, 0], [1, 1]])
    assert len(problems) == 2
    assert problems[0].startswith("of 4 draws looked at, 2 (chain 1) are in mode 1")
    assert problems[1].startswith("the chains are in different modes")


def with_narrow_component(tree, width):
    posterior = tree["posterior"].to_dataset().copy(deep=True)
    spread = tree["observed_data"]["X"].values.std(axis=0)
    posterior["covariances"][{"chain": 1, "draw": 4, "cluster": 2}] = np.diag((width * spread) ** 2)
    return with_group(tree, "posterior", posterior)


def test_collapsed_components_are_counted_and_placed(bare):
    (problem,) = sampling_problems(with_narrow_component(bare, 0.9e-4))
    assert problem.startswith("in 1 of 1000 draws (chain 1) a component is narrower than 0.0001 of the data's spread")
    assert "give the resolution of the columns" in problem
    assert sampling_problems(with_narrow_component(bare, 1.1e-4)) == []


def test_oblique_collapse_is_seen(bare):
    """Variances of the columns are large, but x0 - x1 hardly varies."""
    posterior = bare["posterior"].to_dataset().copy(deep=True)
    spread = bare["observed_data"]["X"].values.std(axis=0)
    posterior["covariances"][{"chain": 0, "draw": 0, "cluster": 0}] = np.array([[1, 1 - 1e-10], [1 - 1e-10, 1]]) * np.outer(
        spread, spread
    )
    (problem,) = sampling_problems(with_group(bare, "posterior", posterior))
    assert problem.startswith("in 1 of 1000 draws (chain 0)")


def test_what_is_narrower_than_the_rounding_has_not_collapsed(bare):
    narrow = with_narrow_component(bare, 1e-6)
    constants = xr.Dataset({"resolution": ("feature", np.array([0.1, 0.1]))})
    assert len(sampling_problems(narrow)) == 1
    assert sampling_problems(with_group(narrow, "constant_data", constants)) == []


def test_several_problems_are_several_sentences(bare):
    tree = with_group(with_narrow_component(bare, 1e-6), "sample_stats", statistics(diverging=[(0, 0)]))
    tree = with_group(tree, "modes", modes([0.995, 0.005], [[0], [1], [1], [1]]))
    tree.attrs["interrupted"] = 1
    starts = [problem.split()[0] for problem in sampling_problems(tree)]
    assert starts == ["sampling", "1", "of", "in"]


def test_regions_that_were_weighed_are_no_problem(bare):
    """Draws of a small region are in proportion, whatever Laplace's estimate; chains in modes of one region are not apart."""
    small = modes([0.999, 0.001], [[1, 1], [0, 0]])
    assert len([*sampling_problems(with_group(bare, "modes", small)), *chains_apart(with_group(bare, "modes", small))]) == 2
    tree = with_group(bare, "modes", small.assign(region=("mode", [0, 0])))
    assert [*sampling_problems(tree), *chains_apart(tree)] == []
    two = with_group(bare, "modes", small.assign(region=("mode", [0, 1])))
    assert sampling_problems(two) == []
    assert len(chains_apart(two)) == 1
    of_draw = xr.Dataset({"of_draw": (SAMPLES, np.zeros((N_CHAINS, N_DRAWS), dtype=int))})
    assert chains_apart(with_group(two, "regions", of_draw)) == []


def regions_of(of_draw, shares):
    return xr.Dataset({"of_draw": of_draw, "share": ("region", np.array(shares))})


def test_regions_without_draws_and_of_draws_taken_twice_are_said(bare):
    of_draw = xr.DataArray(np.zeros((N_CHAINS, N_DRAWS), dtype=int), dims=SAMPLES)
    of_draw[:, 100:] = 1
    assert sampling_problems(with_group(bare, "regions", regions_of(of_draw, [0.4, 0.595, 0.005]))) == []
    (problem,) = sampling_problems(with_group(bare, "regions", regions_of(of_draw, [0.3, 0.5, 0.2])))
    assert problem == "region 2 has 20.0% of the posterior and no draws: sample again, or longer"
    posterior = bare["posterior"].to_dataset()
    twice = posterior.isel(draw=np.r_[0:100, 100:175, 100:175]).assign_coords(draw=posterior["draw"])
    tree = with_group(with_group(bare, "posterior", twice), "regions", regions_of(of_draw, [0.4, 0.6]))
    (problem,) = sampling_problems(tree)
    assert problem.startswith("the 600 draws of region 1 are 300, some taken more than once")


def test_energies_are_judged_within_regions(bare):
    """Two regions with slow energies, their draws mixed at random: together they look independent."""
    rng = np.random.default_rng(5)
    region = (rng.random((N_CHAINS, N_DRAWS)) < 0.5).astype(int)
    slow = np.cumsum(rng.normal(size=(N_CHAINS, N_DRAWS)), axis=1) / 10
    stats = xr.Dataset({"energy": (SAMPLES, np.where(region == 1, slow + 50, slow))})
    of_draw = xr.DataArray(region, dims=SAMPLES)
    assert smallest_bfmi(stats, TOGETHER) > 1.5
    assert smallest_bfmi(stats, region) < 0.2
    tree = with_group(with_group(bare, "sample_stats", stats), "regions", regions_of(of_draw, [0.5, 0.5]))
    (problem,) = sampling_problems(tree)
    assert problem.startswith("the energy of some chain mixes slowly")
    few = np.where(region.cumsum(axis=1) > 20, 0, region)
    assert np.isfinite(smallest_bfmi(statistics(), few))
