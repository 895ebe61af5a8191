"""Draws of several regions put together: shares, order, statistics, interruption."""

from dataclasses import replace

import numpy as np
import pytest
import xarray as xr

import bayesgmm as bg
from bayesgmm.evidence.atlas import Atlas, MappedMode
from bayesgmm.evidence.bridge import Estimate
from bayesgmm.evidence.laplace import PosteriorMode
from bayesgmm.sampling import combine
from bayesgmm.sampling.chains import RawDraws
from bayesgmm.sampling.combine import FEWEST_IN_REGION, sample_whole
from bayesgmm.sampling.explore import Exploration, Region
from bayesgmm.sampling.nuts import NutsSettings
from bayesgmm.sampling.start import ChainStart


class _ByFirst:
    """A locator to which the first coordinate says the place."""

    def inside(self, u, modes):
        return np.isin(u[:, 0].astype(int), modes)


class _Chains:
    """In place of NUTS: u = (place, number of the draw, chain), all of the mode that the chain starts in, but for strays.

    A mode's draws are numbered on from call to call.
    """

    def __init__(self, *, strays=None, interrupted_at=None, made=None, lost_chain=None):
        self.calls, self.strays, self.interrupted_at = [], strays or {}, interrupted_at
        self.made, self.lost_chain = made, lost_chain

    def __call__(self, starts, seeds, settings):
        call = len(self.calls)
        self.calls.append((starts, seeds, settings))
        interrupted = call == self.interrupted_at
        n_draws = self.made if interrupted and self.made else settings.draws
        chains = [c for c in range(len(starts)) if not (interrupted and c == self.lost_chain)]
        u = np.zeros((len(chains), n_draws, 3))
        before = sum(other.draws for others, _, other in self.calls[:-1] if others[0].mode == starts[0].mode)
        for row, chain in enumerate(chains):
            u[row, :, 0], u[row, :, 1], u[row, :, 2] = starts[chain].mode, before + np.arange(n_draws), chain
            u[row, self.strays.get(chain, slice(0)), 0] = -1
        names = {"lp": u[:, :, 1] + 1000 * u[:, :, 0], "diverging": u[:, :, 1] % 7 == 0}
        if starts[0].mode:
            names["only_here"] = u[:, :, 1]
        statistics = xr.Dataset({name: (("chain", "draw"), values) for name, values in names.items()})
        return RawDraws(u, tuple(chains), statistics, 1.5, interrupted)


def exploration(shares):
    """One region for each share, of one mode."""
    params = None
    mode = PosteriorMode(np.zeros(3), 0.0, np.eye(3), 0)
    modes = tuple(MappedMode(mode, params, "made", float(np.log(share))) for share in shares)
    regions = tuple(
        Region((place,), Estimate(float(np.log(share)), 0.01), np.zeros((5, 3))) for place, share in enumerate(shares)
    )
    return Exploration(Atlas(modes, symmetric=True), _ByFirst(), regions)


def starts_of(_target, _atlas, n_chains, _rng, modes):
    return [ChainStart(modes[0], np.zeros(3)) for _ in range(n_chains)]


@pytest.fixture(autouse=True)
def _no_posterior(monkeypatch):
    """Regions keep the masses that they have; chains start nowhere in particular."""
    monkeypatch.setattr(combine, "chain_starts", starts_of)
    monkeypatch.setattr(combine, "weighed", lambda _target, _atlas, _locator, region, _rng: region)


def whole_of(shares, chains, *, draws=400, n_chains=3, seed=1):
    settings = NutsSettings(draws=draws, tune=10, cores=1, target_accept=0.9)
    return sample_whole(None, exploration(shares), chains, settings, n_chains, np.random.default_rng(seed))


def test_every_chain_has_the_share_of_every_region_to_a_draw():
    shares = np.array([0.7, 0.2513, 0.0487])
    whole = whole_of(shares, _Chains())
    assert whole.raw.u.shape == (3, 400, 3)
    assert whole.raw.chains == (0, 1, 2)
    for chain in range(3):
        counts = np.bincount(whole.region[chain], minlength=3)
        assert (np.abs(counts - 400 * shares) < 1).all()
    np.testing.assert_array_equal(whole.raw.u[:, :, 0], whole.region)
    assert whole.raw.seconds == 4.5
    assert whole.started_in == (0, 0, 0)


def test_draws_of_a_region_are_in_order_of_their_own_chain_and_spread_over_it():
    whole = whole_of([0.6, 0.4], _Chains())
    for chain in range(3):
        for region in range(2):
            of_region = whole.raw.u[chain, whole.region[chain] == region]
            assert (np.diff(of_region[:, 1]) > 0).all()
            assert (of_region[:, 2] == chain).all()
            assert of_region[0, 1] == 0
    first, second = np.array_split(whole.region[0], 2)
    assert abs(first.mean() - second.mean()) < 0.15  # spread over the whole chain


def test_statistics_go_with_their_draws():
    """Those that every region's chains have."""
    whole = whole_of([0.6, 0.4], _Chains())
    assert set(whole.raw.statistics.data_vars) == {"lp", "diverging"}
    np.testing.assert_array_equal(whole.raw.statistics["lp"], whole.raw.u[:, :, 1] + 1000 * whole.raw.u[:, :, 0])
    np.testing.assert_array_equal(whole.raw.statistics["diverging"], whole.raw.u[:, :, 1] % 7 == 0)
    assert whole.raw.statistics["diverging"].dtype == bool


def test_regions_have_draws_to_spare_and_those_worth_none_are_left_out():
    chains = _Chains()
    whole = whole_of([0.6, 0.3989, 0.0011], chains)
    assert [settings.draws for _, _, settings in chains.calls] == [288, 192]
    assert [region.modes for region in whole.exploration.regions] == [(0,), (1,), (2,)]  # the last one as it was explored
    assert len(whole.exploration.regions[2].u) == 5
    small = _Chains()
    whole = whole_of([0.99, 0.01], small)
    assert [settings.draws for _, _, settings in small.calls] == [420, FEWEST_IN_REGION]
    assert (whole.region == 1).sum(axis=1).tolist() == [4, 4, 4]


def test_a_region_alone_is_the_chains_as_they_are():
    """Also draws that are nearest to other modes; its mass is left for the asking."""
    chains = _Chains(strays={1: slice(10, 20)})
    whole = whole_of([1.0], chains)
    assert len(chains.calls) == 1
    assert (whole.raw.u[1, 10:20, 0] == -1).all()
    np.testing.assert_array_equal(whole.region, 0)
    assert len(whole.exploration.regions) == 1
    assert "lp" in whole.raw.statistics


def test_draws_outside_of_their_region_are_not_of_the_sample_and_the_others_are_in_order():
    whole = whole_of([0.6, 0.4], _Chains(strays={1: slice(100, 120)}))
    np.testing.assert_array_equal(whole.raw.u[:, :, 0], whole.region)
    of_region = whole.raw.u[whole.region == 0]
    assert not ((of_region[:, 2] == 1) & (of_region[:, 1] >= 100) & (of_region[:, 1] < 120)).any()
    assert (np.diff(of_region[:, 1] + 10_000 * of_region[:, 2]) > 0).all()


def test_a_chain_that_left_its_region_has_draws_of_the_others_and_hardly_any_twice():
    """Two of three chains have too few draws for three: more are made."""
    chains = _Chains(strays={2: slice(None)})
    whole = whole_of([0.6, 0.4], chains)
    np.testing.assert_array_equal(whole.raw.u[:, :, 0], whole.region)
    assert len(chains.calls) > 2
    assert len(np.unique(whole.raw.u.reshape(-1, 3), axis=0)) >= 0.99 * 3 * 400


def test_a_region_whose_chains_all_left_it_has_no_draws():
    class Leaving(_Chains):
        def __call__(self, starts, seeds, settings):
            raw = super().__call__(starts, seeds, settings)
            if starts[0].mode == 1:
                raw.u[:, :, 0] = 0
            return raw

    whole = whole_of([0.6, 0.3, 0.1], Leaving())
    assert [region.modes for region in whole.exploration.regions] == [(0,), (1,), (2,)]
    assert (np.abs(np.bincount(whole.region[0]) - [400 * 6 / 7, 0, 400 / 7]) < 1).all()
    np.testing.assert_array_equal(whole.raw.u[:, :, 0], whole.region)


def test_chains_that_all_are_far_from_every_mode_are_an_error():
    with pytest.raises(bg.SamplingError, match="no chain stayed in the region"):
        whole_of([0.6, 0.4], _Chains(strays=dict.fromkeys(range(3), slice(None))))


def test_masses_estimated_anew_are_the_shares(monkeypatch):
    """After the chains the second region turns out to be the larger one: it comes first."""
    new = {(0,): -1.0, (1,): 0.0}

    def weighed(_target, _atlas, _locator, region, _rng):
        assert len(region.u) > 100
        return replace(region, evidence=Estimate(new[region.modes], 0.02))

    monkeypatch.setattr(combine, "weighed", weighed)
    whole = whole_of([0.6, 0.4], _Chains())
    assert [region.modes for region in whole.exploration.regions] == [(1,), (0,)]
    share = np.exp(-1.0) / (1 + np.exp(-1.0))
    assert abs((whole.region[0] == 1).sum() - 400 * share) < 1
    np.testing.assert_array_equal(whole.raw.u[:, :, 0], 1 - whole.region)


GROWN = {(0,): np.log(0.6), (1,): np.log(0.4)}


def _grown(_target, _atlas, _locator, region, _rng):
    return replace(region, evidence=Estimate(float(GROWN[region.modes]), 0.02))


def test_a_region_that_turns_out_to_be_larger_is_drawn_from_again(monkeypatch):
    monkeypatch.setattr(combine, "weighed", _grown)
    chains = _Chains()
    whole = whole_of([0.9, 0.1], chains)
    assert [settings.draws for _, _, settings in chains.calls] == [420, FEWEST_IN_REGION, 12]
    assert np.bincount(whole.region[0]).tolist() == [240, 160]
    assert len(np.unique(whole.raw.u.reshape(-1, 3), axis=0)) == 3 * 400
    np.testing.assert_array_equal(whole.raw.u[:, :, 0], whole.region)


@pytest.mark.parametrize("lost_chain", [None, 1])
def test_an_interruption_while_drawing_again_keeps_what_there_was(monkeypatch, lost_chain):
    """With fewer draws in all, in the new proportions."""
    monkeypatch.setattr(combine, "weighed", _grown)
    whole = whole_of([0.9, 0.1], _Chains(interrupted_at=2, made=6, lost_chain=lost_chain))
    assert whole.raw.interrupted
    n_chains, n_draws, _ = whole.raw.u.shape
    assert n_chains == 3
    assert n_draws == pytest.approx((FEWEST_IN_REGION + (6 if lost_chain is None else 4)) / 0.4, abs=1)
    assert (np.abs(np.bincount(whole.region[0]) - [0.6 * n_draws, 0.4 * n_draws]) < 1).all()
    assert len(np.unique(whole.raw.u.reshape(-1, 3), axis=0)) == 3 * n_draws


def test_ctrl_c_before_the_first_draw_of_a_further_region_keeps_the_others():
    class Stopped(_Chains):
        def __call__(self, starts, seeds, settings):
            if len(self.calls) == 1:
                raise KeyboardInterrupt
            return super().__call__(starts, seeds, settings)

    whole = whole_of([0.7, 0.3], Stopped())
    assert whole.raw.interrupted
    assert (whole.region == 0).all()


def test_an_interruption_in_the_second_region_keeps_the_shares():
    """With so many draws as 45 of two of its chains allow."""
    whole = whole_of([0.7, 0.3], _Chains(interrupted_at=1, made=45, lost_chain=0))
    assert whole.raw.interrupted
    assert whole.raw.chains == (0, 1, 2)
    assert whole.started_in == (0, 0, 0)
    assert whole.raw.u.shape[1] == pytest.approx(100, abs=1)
    assert (np.abs(np.bincount(whole.region[0]) - [70, 30]) <= 1).all()


def test_an_interruption_in_the_first_of_several_regions_leaves_that():
    chains = _Chains(interrupted_at=0, made=40)
    whole = whole_of([0.7, 0.3], chains)
    assert len(chains.calls) == 1
    assert whole.raw.interrupted
    assert [region.modes for region in whole.exploration.regions] == [(0,), (1,)]
    assert whole.raw.u.shape[:2] == (3, 40)
    assert (whole.region == 0).all()


def test_ctrl_c_while_a_region_is_weighed_keeps_its_draws(monkeypatch):
    def weighed(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(combine, "weighed", weighed)
    whole = whole_of([0.7, 0.3], _Chains())
    assert whole.raw.interrupted
    assert (whole.region == 0).all()
    assert whole.raw.u.shape[1] > 300


def test_ctrl_c_before_any_draw_is_inside_is_an_interruption():
    with pytest.raises(KeyboardInterrupt):
        whole_of([0.7, 0.3], _Chains(interrupted_at=0, made=5, strays=dict.fromkeys(range(3), slice(None))))


def test_too_few_draws_of_a_region_are_taken_more_than_once():
    """Chains that leave at once, again and again: of the second region there are six draws in each call."""
    chains = _Chains()

    class Leaving(_Chains):
        def __call__(self, starts, seeds, settings):
            raw = chains(starts, seeds, settings)
            if starts[0].mode == 1:
                raw.u[:, 2:, 0] = 0
            return raw

    whole = whole_of([0.6, 0.4], Leaving())
    assert whole.raw.u.shape[:2] == (3, 400)
    assert np.bincount(whole.region[0]).tolist() == [240, 160]
    assert len(np.unique(whole.raw.u[whole.region == 1], axis=0)) == 18


def test_the_same_generator_gives_the_same_sample():
    one, other = (whole_of([0.5, 0.5], _Chains(), seed=2) for _ in range(2))
    np.testing.assert_array_equal(one.region, other.region)
    np.testing.assert_array_equal(one.raw.u, other.raw.u)


@pytest.mark.parametrize("total", [1, 7, 1000])
def test_whole_numbers_are_within_one_of_their_shares(total):
    rng = np.random.default_rng(3)
    for _ in range(20):
        shares = rng.dirichlet(np.full(5, 0.5))
        counts = combine.whole_numbers(shares, total)
        assert counts.sum() == total
        assert (np.abs(counts - shares * total) < 1).all()
