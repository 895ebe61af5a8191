"""The atlas of posterior modes, and where chains start in it."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

import bayesgmm as bg
from bayesgmm.em.modes import matching_order, same_optimum
from bayesgmm.evidence import chart
from bayesgmm.evidence.atlas import Atlas, atlas_of, log_copies, map_from, place_of_draw
from bayesgmm.evidence.chart import make_atlas
from bayesgmm.model.specification import specify
from bayesgmm.model.target import Target
from bayesgmm.params import MixtureParams
from bayesgmm.sampling.start import chain_starts
from tests.data_sets import data_set
from tests.representatives import representative_values, representatives

IRIS = bg.load_iris().select_dtypes("number").to_numpy()


def atlas_for(X, family, seed=3, **arguments):
    em = bg.fit_em(X, 3, covariance=family, init="random_from_data", n_long=10, seed=seed)
    target = specify(X, em, None, None, arguments.get("resolution")).target
    return em, target, make_atlas(target, em, np.random.default_rng(4))


@pytest.fixture(scope="module")
def iris():
    return atlas_for(IRIS, "VVV")


def test_modes_are_stationary_and_distinct(iris):
    _, target, atlas = iris
    assert len(atlas.modes) > 1
    for i, mapped in enumerate(atlas.modes):
        value, gradient = target.log_density(mapped.mode.u)
        assert value == mapped.mode.log_density
        if not mapped.n_empty:  # beside empty components it need not be: they follow the prior
            assert np.abs(gradient @ mapped.mode.metric).max() < 2e-2  # in posterior standard deviations
        assert atlas.place_of(mapped.params) == i
        np.testing.assert_allclose(target.mixture_at(mapped.mode.u).covariances, mapped.params.covariances, rtol=1e-12)


def test_shares_sum_to_one_and_fall(iris):
    _, _, atlas = iris
    assert atlas.shares.sum() == pytest.approx(1.0, rel=1e-12)
    assert (np.diff(atlas.shares) <= 0).all()
    masses = np.array([mapped.log_mass for mapped in atlas.modes])
    np.testing.assert_allclose(np.log(atlas.shares), masses - np.logaddexp.reduce(masses), rtol=1e-10, atol=1e-10)


def test_masses_are_those_of_laplace_and_all_copies(iris):
    """6 orders of three different components; a place with empty ones has its mass from elsewhere."""
    _, _, atlas = iris
    full = [mapped for mapped in atlas.modes if not mapped.n_empty]
    assert 0 < len(full) < len(atlas.modes)
    for mapped in full:
        assert mapped.log_mass == pytest.approx(mapped.mode.log_mass + np.log(6), abs=1e-3)  # of starts that met, the larger one


def test_equal_components_have_fewer_copies(iris):
    _, target, atlas = iris
    params = atlas.modes[0].params
    assert log_copies(target, params) == pytest.approx(np.log(6))
    twins = MixtureParams(np.array([0.3, 0.3, 0.4]), params.means[[0, 0, 1]], params.scale_trils[[0, 0, 1]])
    assert log_copies(target, twins) == pytest.approx(np.log(3))
    told_apart = replace(target, priors=replace(target.priors, concentration=np.array([1.0, 2.0, 3.0])))
    assert log_copies(told_apart, params) == 0.0


def test_the_species_hold_most_of_the_posterior_of_iris(iris):
    _, _, atlas = iris
    assert np.sort(atlas.modes[0].params.weights) == pytest.approx([0.30, 0.33, 0.36], abs=0.02)
    assert atlas.shares[0] > 0.9
    assert atlas.modes[0].n_starts > 0


def test_modes_lie_uphill_from_the_optima(iris):
    """A mode that two optima lead to has the origin of one of them, and the starts of both."""
    em, target, atlas = iris
    origins = Counter(mapped.origin.rstrip("0123456789") for mapped in atlas.modes)
    assert origins["EM optimum "] > 0
    assert set(origins) <= {
        "EM optimum ",
        "EM from random starts",
        "EM from k-means++ starts",
        "EM with 1 of 3 components, the others empty",
        "EM with 2 of 3 components, the others empty",
    }
    for mapped in atlas.modes:
        assert mapped.n_empty == (3 - int(mapped.origin[8]) if mapped.origin.startswith("EM with") else 0)
        if mapped.origin.startswith("EM optimum "):
            start = em.modes[int(mapped.origin.removeprefix("EM optimum "))]
            assert mapped.mode.log_density >= target.log_density(target.coordinates_of(start.params))[0]
            assert mapped.n_starts >= start.n_runs


def test_copies_of_a_mode_are_one(iris):
    _, target, atlas = iris
    best = atlas.modes[0]
    turned = map_from(target, best.params.permuted(np.array([2, 0, 1])), "turned")
    assert same_optimum(turned.params, best.params)
    assert turned.mode.log_mass == pytest.approx(best.mode.log_mass, abs=1e-3)
    assert len(atlas_of([*atlas.modes, turned], symmetric=True).modes) == len(atlas.modes)


def test_draws_are_placed_uphill(iris):
    _, target, atlas = iris
    rng = np.random.default_rng(5)
    for place in [place for place, mapped in enumerate(atlas.modes) if not mapped.n_empty][:2]:
        mapped = atlas.modes[place]
        u = mapped.mode.u + 0.1 * mapped.mode.metric @ rng.standard_normal(len(mapped.mode.u))
        same, found = place_of_draw(target, atlas, u, mapped.mode.metric)
        assert (same, found) == (atlas, place)
    without = Atlas(atlas.modes[1:], symmetric=True)
    mapped = atlas.modes[0]
    more, found = place_of_draw(target, without, mapped.mode.u, mapped.mode.metric)
    assert found == len(without.modes)
    assert more.modes[-1].origin == "met while sampling"
    assert same_optimum(more.modes[-1].params, mapped.params)


def test_chains_start_in_proportion_to_the_shares(iris):
    """With masses 0.6, 0.3 and 0.1 of the posterior, ten chains start six to three to one."""
    _, target, atlas = iris
    first = atlas.modes[0]
    shifts = np.log([0.6, 0.3, 0.1])
    shared = Atlas(tuple(replace(first, log_mass=first.log_mass + shift) for shift in shifts), symmetric=True)
    np.testing.assert_allclose(shared.shares, [0.6, 0.3, 0.1])
    starts = chain_starts(target, shared, 10, np.random.default_rng(6))
    assert Counter(start.mode for start in starts) == {0: 6, 1: 3, 2: 1}
    assert len({start.u.tobytes() for start in starts}) == 10
    starts = chain_starts(target, shared, 8, np.random.default_rng(6), (1, 2))  # among two of them
    assert Counter(start.mode for start in starts) == {1: 6, 2: 2}


def test_chains_start_in_the_basin_of_their_mode(iris):
    _, target, atlas = iris
    for start in chain_starts(target, atlas, 6, np.random.default_rng(7)):
        mapped = atlas.modes[start.mode]
        assert np.isfinite(target.log_density(start.u)[0])
        assert place_of_draw(target, atlas, start.u, mapped.mode.metric)[1] == start.mode
        z = np.linalg.solve(mapped.mode.metric, start.u - mapped.mode.u)
        assert 0 < z @ z < 100  # chi-squared with 44 degrees of freedom


@pytest.mark.parametrize("family", representative_values(["VVV", "VEI", "EVE"], 1, others=pytest.mark.slow))
def test_modes_follow_the_units(family):
    """Columns in other units (one common unit where axes rotate): the same modes and shares, in those units."""
    unit = np.array([100.0, 0.01, 1.0, 7.0]) if family != "EVE" else np.full(4, 25.0)
    shift = np.array([3.0, -2.0, 0.0, 50.0])
    _, target, atlas = atlas_for(IRIS, family, resolution=0.1)
    moved = specify(IRIS * unit + shift, 3, family, None, 0.1 * unit).target
    moved = replace(moved, priors=replace(moved.priors, structure=target.structure))  # rotations from the same reference
    atlas = Atlas(tuple(mapped for mapped in atlas.modes if not mapped.n_empty), symmetric=True)
    found = [map_from(moved, mapped.params.affine(unit, shift), mapped.origin) for mapped in atlas.modes]
    other = atlas_of(found, symmetric=True)
    if target.structure.axes != "rotations":  # of which the same mode may have several, with other Laplace estimates
        np.testing.assert_allclose(other.shares, atlas.shares, rtol=1e-2, atol=1e-6)
    assert len(other.modes) == len(atlas.modes)
    for mapped in atlas.modes:
        place = other.place_of(mapped.params.affine(unit, shift))
        assert place is not None
        twin = other.modes[place]
        assert same_optimum(twin.params, mapped.params.affine(unit, shift))
        twin = replace(twin, params=twin.params.permuted(matching_order(twin.params, mapped.params.affine(unit, shift))))
        scales = mapped.params.scales
        np.testing.assert_allclose((twin.params.means - shift) / unit / scales, mapped.params.means / scales, atol=5e-3)


def test_without_a_fit_partitions_are_followed():
    target = specify(IRIS, 3, "EEE", None, None).target
    atlas = make_atlas(target, None, np.random.default_rng(9))
    assert all(mapped.origin.startswith("random partition") for mapped in atlas.modes)
    assert np.isfinite(atlas.shares).all()


def test_starts_of_one_mode_are_counted_together(iris):
    """The larger of two estimates of its mass is kept, with where that came from."""
    _, _, atlas = iris
    first = replace(atlas.modes[0], n_starts=3, origin="here")
    again = replace(first, n_starts=2, origin="there", log_mass=first.log_mass + 1.0)
    (merged,) = atlas_of([first, again], symmetric=True).modes
    assert (merged.n_starts, merged.origin, merged.log_mass) == (5, "there", again.log_mass)


@pytest.mark.parametrize("seed", representative_values(range(3), 0, others=pytest.mark.slow))
@pytest.mark.parametrize(
    ("name", "n_components", "weights"),
    representatives(
        [("crabs", 2, (0.5, 0.5)), ("crabs", 3, (0.5, 0.5, 0.0)), ("galaxies", 3, (0.61, 0.3, 0.09))], 2, others=pytest.mark.slow
    ),
)
def test_modes_that_few_starts_lead_to_are_there(name, n_components, weights, seed):
    """That of crabs has all but a thousandth of the posterior; that of the galaxies a fifth."""
    X = data_set(name)
    em = bg.fit_em(X, n_components, seed=seed)
    modes = make_atlas(specify(X, em, None, None, None).target, em, np.random.default_rng(seed)).modes
    found = [mode for mode in modes if np.abs(np.sort(mode.params.weights)[::-1] - weights).max() < 0.02]
    assert found
    assert found[0].log_mass > modes[0].log_mass - 7.0
    if name == "crabs":
        assert found[0] is modes[0]


def test_more_starts_find_other_optima_and_count_those_found_before():
    X = data_set("crabs")
    em = bg.fit_em(X, 2, seed=0)
    target = specify(X, em, None, None, None).target
    before = [(mode, "EM") for mode in em.modes]
    after = chart._with_more_starts(before, target, em, 2, np.random.default_rng(1))
    assert len(after) > len(before)
    assert all(candidate.n_starts >= mode.n_runs for candidate, (mode, _) in zip(after, before, strict=False))
    total = sum(chart.MORE_STARTS.values()) + sum(mode.n_runs for mode in em.modes)
    assert 0.8 * total < sum(candidate.n_starts for candidate in after) <= total
    for i, candidate in enumerate(after):
        assert not any(same_optimum(candidate.params, other.params) for other in after[:i])


def test_large_data_are_given_fewer_starts(monkeypatch):
    asked = []
    monkeypatch.setattr(chart, "_modes_of", lambda *_, **settings: asked.append(settings["n_init"]) or ())
    em = bg.fit_em(IRIS, 3, seed=0)
    target = specify(IRIS, em, None, None, None).target
    chart._with_more_starts([], target, em, 3, np.random.default_rng(1))
    many = replace(target, X=np.tile(IRIS, (20, 1)))
    chart._with_more_starts([], many, em, 3, np.random.default_rng(1))
    chart._with_more_starts([], target, em, 1, np.random.default_rng(1))
    assert asked == [60, 30, 8, 4]


@pytest.mark.slow
def test_a_start_whose_mass_is_next_to_nothing_is_not_followed(iris, monkeypatch):
    """Guesses of log mass lower than the largest by more than WORTHWHILE."""
    em, target, atlas = iris
    monkeypatch.setattr(chart, "WORTHWHILE", 1.0)
    assert 0 < len(make_atlas(target, em, np.random.default_rng(4)).modes) < len(atlas.modes)


def test_no_finite_start_is_an_error(iris, monkeypatch):
    em, hopeless, _ = iris
    monkeypatch.setattr(Target, "log_density", lambda _target, u: (-np.inf, np.zeros(len(u))))
    with pytest.raises(bg.SamplingError, match="not finite at any EM optimum"):
        make_atlas(hopeless, em, np.random.default_rng(10))
