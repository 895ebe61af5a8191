"""Short chains from every mode that matters, the regions that they show, and what each holds."""

import importlib
from dataclasses import replace

import numpy as np
import pytest

import bayesgmm as bg
from bayesgmm.em.modes import same_optimum
from bayesgmm.evidence.bridge import Estimate
from bayesgmm.evidence.chart import make_atlas
from bayesgmm.evidence.regions import locator_of
from bayesgmm.model.specification import specify
from bayesgmm.sampling.chains import run_own_density
from bayesgmm.sampling.explore import MATTERS, PILOT_CHAINS, Region, explore, seeds_of, weighed

explore_module = importlib.import_module("bayesgmm.sampling.explore")


@pytest.fixture(scope="module")
def charted(mirrored):
    em = bg.fit_em(mirrored, 2, covariance="VVI", seed=2, resolution=0.0)
    target = specify(mirrored, em, None, None, None).target
    return target, make_atlas(target, em, np.random.default_rng(3))


@pytest.fixture(scope="module")
def found(charted):
    return explore(*charted, np.random.default_rng(4), 2, False)


def test_halves_of_a_square_are_two_regions_of_equal_mass(found):
    assert [region.modes for region in found.regions] in ([(0,), (1,)], [(1,), (0,)])
    (one, error), (other, other_error) = (region.evidence for region in found.regions)
    assert one >= other
    assert max(error, other_error) < 0.1
    assert one - other == pytest.approx(0.0, abs=4 * np.hypot(error, other_error))
    assert found.shares.sum() == pytest.approx(1.0)


def test_draws_of_a_region_are_of_its_modes(found, charted):
    target, _ = charted
    for region in found.regions:
        assert found.locator.inside(region.u, region.modes).all()
        assert len(region.u) >= explore_module.FEWEST_MET
        scales = np.array([target.mixture_at(u).scales for u in region.u[::25]])
        assert (scales.argmin(axis=2) == scales.argmin(axis=2)[0, 0]).all()  # narrow along one column, the same in all


@pytest.mark.slow
def test_the_same_generator_gives_the_same_regions(found, charted):
    again = explore(*charted, np.random.default_rng(4), 1, False)
    for one, other in zip(found.regions, again.regions, strict=True):
        assert one.evidence == other.evidence
        np.testing.assert_array_equal(one.u, other.u)


def test_chains_start_only_in_modes_that_matter(charted, monkeypatch):
    target, atlas = charted
    started = []

    def noted(*arguments):
        started.extend(start.mode for start in arguments[2])
        return run_own_density(*arguments)

    monkeypatch.setattr(explore_module, "run_own_density", noted)
    explore(target, atlas, np.random.default_rng(5), 2, False)
    expected = [place for place, share in enumerate(atlas.shares) if share >= MATTERS]
    assert len(expected) < len(atlas.modes)
    assert sorted(started) == sorted(expected * PILOT_CHAINS)


def test_a_mode_alone_is_the_region_without_any_chain(charted, monkeypatch):
    target, atlas = charted
    alone = replace(atlas, modes=(atlas.modes[0], *atlas.modes[2:]))
    monkeypatch.setattr(explore_module, "run_own_density", None)
    exploration = explore(target, alone, np.random.default_rng(6), 1, False)
    (region,) = exploration.regions
    assert region.modes == (0,)
    assert region.evidence.log_value == atlas.modes[0].log_mass
    assert np.isnan(region.evidence.standard_error)
    assert region.u.shape == (0, target.structure.n_coordinates)


@pytest.mark.slow
def test_modes_that_chains_meet_are_added(charted, monkeypatch):
    """One half of the square is unknown to the atlas, and a chain ends there: its mode is found, and is a region."""
    target, atlas = charted
    first, second, third = atlas.modes[:3]
    partial = replace(atlas, modes=(first, replace(third, log_mass=first.log_mass)))

    def astray(*arguments):
        raw = run_own_density(*arguments)
        noise = np.random.default_rng(0).standard_normal(raw.u[-1].shape)
        return replace(raw, u=np.concatenate([raw.u[:-1], [second.mode.u + 0.5 * noise @ second.mode.metric.T]]))

    monkeypatch.setattr(explore_module, "run_own_density", astray)
    exploration = explore(target, partial, np.random.default_rng(7), 2, False)
    (place,) = [place for place, mapped in enumerate(exploration.atlas.modes) if same_optimum(mapped.params, second.params)]
    assert place == 2
    assert exploration.atlas.modes[place].origin == "met while sampling"
    assert (place,) in [region.modes for region in exploration.regions]


def test_regions_of_few_draws_keep_the_estimates_of_their_modes(charted):
    target, atlas = charted
    region = Region((0, 1), Estimate(0.0, 0.0), np.zeros((4 * target.structure.n_coordinates - 1, 9)))
    evidence = weighed(target, atlas, locator_of(target, atlas), region, np.random.default_rng(8)).evidence
    assert evidence.log_value == pytest.approx(np.logaddexp(atlas.modes[0].log_mass, atlas.modes[1].log_mass))
    assert np.isnan(evidence.standard_error)


def test_regions_that_cannot_be_bridged_keep_them_too(charted, monkeypatch):
    target, atlas = charted
    monkeypatch.setattr(explore_module, "mass_of", lambda *_: Estimate(1e4, np.inf))
    region = Region((1,), Estimate(0.0, 0.0), np.zeros((100, 9)))
    evidence = weighed(target, atlas, locator_of(target, atlas), region, np.random.default_rng(9)).evidence
    assert evidence.log_value == pytest.approx(atlas.modes[1].log_mass)


def test_an_interruption_while_exploring_is_an_interruption(charted, monkeypatch):
    monkeypatch.setattr(
        explore_module, "run_own_density", lambda *arguments: replace(run_own_density(*arguments), interrupted=True)
    )
    with pytest.raises(KeyboardInterrupt):
        explore(*charted, np.random.default_rng(10), 2, False)


def test_chains_that_all_are_far_from_every_mode_make_one_region(charted, monkeypatch):
    def far(*arguments):
        raw = run_own_density(*arguments)
        return replace(raw, u=raw.u + 1e3 * np.eye(9)[1])

    target, atlas = charted
    monkeypatch.setattr(explore_module, "run_own_density", far)
    monkeypatch.setattr(explore_module, "place_of_draw", lambda _target, atlas, *_: (atlas, None))
    (region,) = explore(target, atlas, np.random.default_rng(12), 2, False).regions
    assert region.modes == tuple(range(len(atlas.modes)))


def test_seeds_are_distinct():
    seeds = seeds_of(np.random.default_rng(11), 50)
    assert len(set(seeds)) == 50
    assert all(isinstance(seed, int) and seed >= 0 for seed in seeds)
