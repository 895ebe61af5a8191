"""Components that hold no rows: their probability, where they are, and their mass against exact evidences."""

from dataclasses import replace
from itertools import product
from math import lgamma

import numpy as np
import pytest
from scipy import stats

import bayesgmm as bg
from bayesgmm.em.modes import same_optimum
from bayesgmm.evidence.atlas import map_from
from bayesgmm.evidence.empty import (
    LEAST_RATIO,
    LOOSER,
    beside_empty,
    extensible,
    log_empty,
    log_ratios,
    looser_target,
    smaller_target,
    with_empty,
)
from bayesgmm.model.coordinates import constrain
from bayesgmm.model.specification import specify
from tests.problems import random_data, random_params
from tests.statistical.exact import random_problem, solve

IRIS = bg.load_iris().select_dtypes("number").to_numpy()


def test_probability_of_empty_components_by_simulation():
    """Weights from the prior, then the probability that N rows all avoid two given components of three."""
    rng = np.random.default_rng(1)
    for concentration, n_samples in ((0.3, 4), (1.0, 3), (2.0, 2)):
        weights = rng.dirichlet(np.full(3, concentration), size=200_000)
        held = weights[:, 0] ** n_samples
        error = held.std() / np.sqrt(len(held))
        assert np.exp(log_empty(3, 1, n_samples, concentration)) == pytest.approx(held.mean(), abs=4 * error)


def test_probabilities_of_empty_components_chain():
    """One empty of three, and then one of the two left, is two empty of three; none empty is sure, and no rows are in none."""
    chained = log_empty(3, 2, 50, 0.7) + log_empty(2, 1, 50, 0.7)
    assert log_empty(3, 1, 50, 0.7) == pytest.approx(chained, rel=1e-12)
    assert log_empty(4, 4, 50, 0.7) == 0.0
    assert log_empty(4, 2, 0, 0.7) == pytest.approx(0.0, abs=1e-12)


def test_uniform_weights_of_two_components():
    """With one of two components empty under uniform weights: 1 / (N + 1)."""
    assert log_empty(2, 1, 9, 1.0) == pytest.approx(-np.log(10), rel=1e-12)


@pytest.mark.parametrize(
    ("family", "priors", "expected"),
    [
        ("VVV", bg.Priors(), True),
        ("EEE", bg.Priors(), True),
        ("VII", bg.Priors(scale_prior="hierarchical_gamma"), True),  # any K of its scales are as they are among more
        ("VVV", bg.Priors(concentration=(1.0, 2.0, 3.0)), False),
        ("VEI", bg.Priors(), False),
        ("EVI", bg.Priors(), False),
        ("EVV", bg.Priors(), False),
        ("VEV", bg.Priors(), False),
        ("EVE", bg.Priors(), False),
    ],
)
def test_where_an_empty_component_changes_nothing_for_the_others(family, priors, expected):
    assert extensible(specify(IRIS, 3, family, priors, 0.1).target) is expected


def test_scales_with_a_common_rate_are_the_same_among_fewer():
    """What `extensible` says of them: the density of two of three is that of two."""
    priors = bg.Priors(scale_prior="hierarchical_gamma").resolved(IRIS[:, :1], 3, "V")
    distribution = priors.scale_distribution
    log_third = np.linspace(-12, 12, 20_001)
    two = np.array([[0.4], [1.3]])
    three = np.concatenate([np.tile(two, (len(log_third), 1, 1)), np.exp(log_third)[:, None, None]], axis=1)
    integral = np.exp(distribution.joint_logpdf(three)[:, 0] + log_third).sum() * (log_third[1] - log_third[0])
    assert np.log(integral) == pytest.approx(distribution.joint_logpdf(two)[0], abs=1e-6)


def places(X, family, n_components, n_occupied, priors=None, resolution=0.0, em_seed=2):
    """The larger and the smaller posterior, the mode of this and what it is among the others empty."""
    target = specify(X, n_components, family, priors, resolution).target
    em = bg.fit_em(X, n_occupied, covariance=family, seed=em_seed, resolution=resolution)
    smaller = smaller_target(target, em.params)
    mapped = map_from(smaller, em.params, "EM", 7)
    return target, smaller, mapped, with_empty(target, smaller, mapped)


@pytest.mark.parametrize("family", ["VVV", "VVI", "EEE", "VII", "EEI", "EII"])
@pytest.mark.parametrize("n_empty", [1, 2])
def test_occupied_components_are_as_they_were_and_the_others_small(family, n_empty):
    X = IRIS[:, :3]
    target, _, mapped, place = places(X, family, 2 + n_empty, 2, resolution=0.1)
    params, inner = place.params, mapped.params
    assert place.n_empty == n_empty
    assert place.n_starts == 7
    assert place.origin == f"EM with 2 of {2 + n_empty} components, the others empty"
    np.testing.assert_allclose(params.weights[:2] / params.weights[:2].sum(), inner.weights, rtol=1e-9)
    np.testing.assert_allclose(params.means[:2], inner.means, rtol=1e-12)
    np.testing.assert_allclose(params.covariances[:2], inner.covariances, rtol=1e-9)
    np.testing.assert_allclose(params.weights[2:], params.weights[2])  # a row's worth at most
    assert 0.2 < params.weights[2] * len(X) < 1.0
    np.testing.assert_allclose(params.means[2:], np.tile(target.priors.mean_loc, (n_empty, 1)))
    if target.structure.cluster_scales:
        medians = target.priors.scale_distribution.ppf(0.5) * np.ones(3)
        np.testing.assert_allclose(params.scales[2:], np.tile(medians, (n_empty, 1)), rtol=1e-9)
    if target.structure.own_axes:
        np.testing.assert_allclose(params.correlations[2:], np.tile(np.eye(3), (n_empty, 1, 1)), atol=1e-12)
    if not target.structure.cluster_scales and family[0] == "E":
        np.testing.assert_allclose(params.covariances, np.tile(inner.covariances[:1], (2 + n_empty, 1, 1)), rtol=1e-9)


@pytest.mark.parametrize("family", ["VVV", "VVI", "EEE", "VII"])
def test_the_metric_is_the_modes_own_beside_the_prior(family):
    """Draws of the normal approximation: means of the occupied as in the smaller one, of the empty as in the prior."""
    X = IRIS[:, :2]
    target, _, mapped, place = places(X, family, 3, 2, resolution=0.1)
    spread = place.mode.metric @ place.mode.metric.T
    means = slice(2, 2 + 4)
    smaller = (mapped.mode.metric @ mapped.mode.metric.T)[1:5, 1:5]
    np.testing.assert_allclose(spread[means, means], smaller, rtol=1e-6, atol=1e-10)
    np.testing.assert_allclose(spread[6:8, 6:8], np.diag(target.priors.mean_scale**2), rtol=1e-6)
    np.testing.assert_allclose(spread[6:8, means], 0.0, atol=1e-9)
    logits = np.array([[1.0, 0.0], [0.0, 1.0], [-1.0, -1.0]])
    ratio = (
        (logits[2] - logits[:2].T @ mapped.params.weights) @ spread[:2, :2] @ (logits[2] - logits[:2].T @ mapped.params.weights)
    )
    assert ratio == pytest.approx(np.pi**2 / 6, rel=1e-5)  # trigamma(1): of ln of a Gamma(1) weight
    assert np.isfinite(np.linalg.slogdet(place.mode.metric)[1])


def test_masses_follow_from_the_smaller_model():
    """C(K, k) choices of the empty ones, each with its probability; of the same mode, whatever was found of it."""
    _, _, mapped, place = places(IRIS, "VVV", 4, 2, resolution=0.1)
    concentration, n_samples = 1.0, len(IRIS)
    whole, part = 4 * concentration, 2 * concentration
    expected = np.log(6) + lgamma(whole) + lgamma(n_samples + part) - lgamma(part) - lgamma(n_samples + whole)
    assert place.log_mass - mapped.log_mass == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(("n_components", "n_features"), [(2, 1), (3, 1)])
def test_masses_of_empty_components_against_exact_evidences(n_components, n_features):
    """p(X | K) P(one component holds all rows | X, K) is the choice of that component times its probability times p(X | 1)."""
    problem = random_problem(
        np.random.default_rng(3), n_features=n_features, n_components=n_components, scale_prior="inverse_gamma", n_samples=6
    )
    whole, single = solve(problem), solve(replace(problem, n_components=1))
    concentration = float(problem.priors.concentration)
    expected = np.log(n_components) + log_empty(n_components, 1, 6, concentration) + single.log_evidence
    assert whole.log_evidence + np.log(whole.occupied[0]) == pytest.approx(expected, abs=1e-3)


def test_places_follow_the_units():
    """Other units of the columns: the same place in them, the same share."""
    unit, shift = np.array([100.0, 0.01, 7.0]), np.array([3.0, -2.0, 50.0])
    X = IRIS[:, :3]
    _, _, mapped, place = places(X, "VVV", 3, 2, resolution=0.1)
    moved = specify(X * unit + shift, 3, "VVV", None, 0.1 * unit).target
    smaller = smaller_target(moved, mapped.params.affine(unit, shift))
    other = with_empty(moved, smaller, map_from(smaller, mapped.params.affine(unit, shift), "EM"))
    assert same_optimum(other.params, place.params.affine(unit, shift))
    jacobian = -len(X) * np.log(unit).sum()
    assert other.log_mass == pytest.approx(place.log_mass + jacobian, abs=0.05)
    assert other.mode.log_density == pytest.approx(
        place.mode.log_density + jacobian - 3 * np.log(unit).sum(), abs=0.05
    )  # three means each


def test_one_column():
    rng = np.random.default_rng(4)
    X, _ = random_data(rng, random_params(rng, 2, 1), 80)
    _, _, mapped, place = places(X, "V", 3, 2)
    np.testing.assert_allclose(place.params.means[:2], mapped.params.means)
    np.testing.assert_allclose(place.params.covariances[:2], mapped.params.covariances, rtol=1e-9)
    _, _, mapped, place = places(X, "E", 3, 1)
    np.testing.assert_allclose(place.params.covariances, np.tile(mapped.params.covariances, (3, 1, 1)), rtol=1e-9)


def sparse(X, family, n_components, n_occupied, concentration):
    """The posterior of K components under a sparse prior, that of k with a looser one, and points of the latter."""
    target = specify(X, n_components, family, bg.Priors(concentration=concentration), 0.1).target
    looser = looser_target(target, n_occupied)
    u = looser.coordinates_of(bg.fit_em(X if len(X) > 9 else IRIS[:, : X.shape[1]], n_occupied, covariance=family, seed=1).params)
    return target, looser, u + 0.3 * np.random.default_rng(5).standard_normal((3000, len(u)))


@pytest.mark.parametrize("n_occupied", [1, 2, 3])
def test_ratios_by_all_allocations(n_occupied):
    """The probability that all k hold rows by enumeration; the two densities of the weights by SciPy; the empty ones' own."""
    X, concentration = IRIS[[0, 60, 120, 140], :2], 0.05
    target, looser, u = sparse(X, "VVV", 3, n_occupied, concentration)
    ratios = log_ratios(target, looser, u)
    likely = np.argsort(-ratios)[:500:100]  # the sums over sets lose what is below 1e-16
    for point, ratio in zip(u[likely], ratios[likely], strict=True):
        mixture = looser.mixture_at(point).recorded(target.resolution)
        densities = np.column_stack(
            [
                w * stats.multivariate_normal(m, c).pdf(X)
                for w, m, c in zip(mixture.weights, mixture.means, mixture.covariances, strict=True)
            ]
        )
        gamma = densities / densities.sum(axis=1, keepdims=True)
        allocations = [z for z in product(range(n_occupied), repeat=len(X)) if len(set(z)) == n_occupied]
        all_hold = sum(gamma[np.arange(len(X)), list(z)].prod() for z in allocations)
        assert all_hold > 1e-8
        expected = np.log(all_hold) + log_empty(3, n_occupied, len(X), concentration) + np.log([3, 3, 1][n_occupied - 1])
        if n_occupied > 1:
            weights = mixture.weights / mixture.weights.sum()
            of_sparse, of_looser = (stats.dirichlet(np.full(n_occupied, a)).logpdf(weights) for a in (concentration, LOOSER))
            expected += of_sparse - of_looser
        assert ratio == pytest.approx(expected, abs=1e-12 / all_hold)


@pytest.mark.parametrize("family", ["VVV", "VVI", "EEE", "VII"])
def test_empty_components_are_drawn_beside_the_others(family):
    """Those that hold rows keep their parameters and relative weights; the others are draws of what is left of the prior."""
    X, concentration, n_occupied, n_components = IRIS[:, :3], 0.3, 2, 4
    target, looser, u = sparse(X, family, n_components, n_occupied, concentration)
    known = constrain(u, looser.structure)
    found = constrain(beside_empty(target, looser, u, np.random.default_rng(6)), target.structure)
    held = found.weights[:, :n_occupied].sum(axis=1)
    np.testing.assert_allclose(found.weights[:, :n_occupied] / held[:, None], known.weights, rtol=1e-9)
    np.testing.assert_allclose(found.means[:, :n_occupied], known.means, rtol=1e-9)
    expected = stats.beta(len(X) + n_occupied * concentration, (n_components - n_occupied) * concentration)
    level = 1e-3
    assert stats.kstest(held, expected.cdf).pvalue > level
    first = found.weights[:, n_occupied] / found.weights[:, n_occupied:].sum(axis=1)
    assert stats.kstest(first, stats.beta(concentration, concentration).cdf).pvalue > level
    for d in range(3):
        prior = stats.norm(target.priors.mean_loc[d], target.priors.mean_scale[d])
        assert stats.kstest(found.means[:, 3, d], prior.cdf).pvalue > level
    if target.structure.cluster_scales:
        np.testing.assert_allclose(found.scales[:, :n_occupied], known.scales, rtol=1e-9)
        below = target.priors.scale_distribution.cdf(found.scales[:, 3])
        assert stats.kstest(below[:, 0], stats.uniform.cdf).pvalue > level
    else:
        np.testing.assert_allclose(found.scales, known.scales, rtol=1e-9)
    if target.structure.own_axes:
        correlation = found.correlation_trils[:, 3, 1, 0]
        shape = target.priors.lkj_eta + 0.5  # of one correlation among three columns: eta - 1 + D / 2
        assert stats.kstest((1 + correlation) / 2, stats.beta(shape, shape).cdf).pvalue > level


def test_weights_of_nearly_nothing_stay_above_it():
    target, looser, u = sparse(IRIS[:, :1], "V", 3, 2, 1e-4)
    found = beside_empty(target, looser, u, np.random.default_rng(7))
    weights = constrain(found, target.structure).weights
    assert np.isfinite(found).all()
    assert weights.min() == pytest.approx(LEAST_RATIO, rel=1e-6)
    assert np.isfinite(target.log_densities(found)).all()


def test_correlations_of_nearly_one_stay_below_it():
    target = specify(IRIS[:, :3], 4, "VVV", bg.Priors(concentration=0.05, lkj_eta=0.02), 0.1).target
    looser = looser_target(target, 2)
    u = looser.coordinates_of(bg.fit_em(IRIS[:, :3], 2, seed=1).params)
    found = beside_empty(target, looser, np.tile(u, (500, 1)), np.random.default_rng(8))
    assert np.isfinite(found).all()
    assert all(np.isfinite(target.mixture_at(point).scale_trils).all() for point in found[:50])
