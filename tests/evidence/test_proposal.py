"""Proposals: densities that integrate to one, know no labels, and are those of their draws."""

from dataclasses import replace
from itertools import permutations, product

import numpy as np
import pytest
from scipy import stats
from scipy.special import logsumexp

from bayesgmm.evidence.normal_scores import scores_of
from bayesgmm.evidence.proposal import Proposal, _gaussians, _one, fit_proposal
from bayesgmm.model.target import Target
from bayesgmm.params import MixtureParams
from tests.em.covariance_members import FOURTEEN
from tests.evidence.test_normal_scores import points, priors_of, renamed
from tests.problems import random_params
from tests.representatives import representative_values


def proposal_around(priors, u, width, n_gaussians=2, seed=0):
    """Gaussians of this width in the scores of u (P,), with components in an order that is not theirs."""
    slots = np.arange(priors.structure.n_components)[::-1].copy()
    v = scores_of(u[None], priors, slots).arranged(slots[None])[0]
    gaussians = random_params(np.random.default_rng(seed), n_gaussians, len(v))
    means = v + 0.3 * width * gaussians.means
    return Proposal(priors, slots, MixtureParams(gaussians.weights, means, width * gaussians.scale_trils))


def target_of(priors, seed=0):
    X = np.random.default_rng(seed).normal(size=(20, priors.structure.n_features))
    return Target(X, priors, np.zeros(X.shape[1]))


def student_mixture(u, rng, n_points):
    """Points of multivariate t distributions beside those of each u (labelling, S, P), in equal numbers, and their ln density."""
    parts = [stats.multivariate_t(one.mean(axis=0), np.cov(one.T), df=5, seed=rng) for one in u]
    z = np.concatenate([part.rvs(n_points // len(parts)) for part in parts])
    return z, logsumexp([part.logpdf(z) for part in parts], axis=0) - np.log(len(parts))


def assert_integral(log_ratio, expected):
    """Importance sampling: the mean of e^log_ratio within four standard errors, which are small."""
    ratio = np.exp(log_ratio)
    error = ratio.std() / np.sqrt(len(ratio))
    assert error < 0.04 * expected
    assert ratio.mean() == pytest.approx(expected, abs=4 * error)


@pytest.mark.parametrize("family", FOURTEEN)
def test_names_of_components_do_not_matter(family):
    """Against the posterior density, which is the same in every order: the coordinates of rotations are not."""
    priors = priors_of(family)
    target = target_of(priors)
    (u,) = points(priors, 1, seed=2)
    proposal = proposal_around(priors, u, 0.1)
    copies = [renamed(u[None], priors, np.array(order))[0] for order in permutations(range(3))]
    ratios = [target.log_density(copy)[0] - proposal.log_density(copy[None])[0] for copy in copies]
    np.testing.assert_allclose(ratios, ratios[0], rtol=0, atol=1e-6)


@pytest.mark.parametrize("scale_prior", ["inverse_gamma", "half_student_t", "log_normal", "hierarchical_gamma"])
def test_the_integral_in_one_column_is_one(scale_prior):
    """Two components: both labellings together."""
    priors = priors_of("V", scale_prior, n_components=2, n_features=1)
    assert_integrates_to_one(priors, 0.1)


@pytest.mark.parametrize("family", ["EII", "VVI", "EVI", "VEI", "EEE", "EVV", "VVV"])
def test_the_integral_in_two_columns_is_one(family):
    assert_integrates_to_one(priors_of(family, n_components=2, n_features=2), 0.1)


def assert_integrates_to_one(priors, width):
    """Up to what of the Gaussians is outside of the support."""
    rng = np.random.default_rng(3)
    (u,) = points(priors, 1, seed=4)
    u[0] = 0.4
    proposal = proposal_around(priors, u, width)
    drawn, possible = proposal.draw(30_000, rng)
    drawn = drawn[possible]
    z, log_g = student_mixture([drawn, renamed(drawn, priors, np.array([1, 0]))], rng, 60_000)
    assert possible.mean() > 0.8
    assert_integral(proposal.log_density(z) - log_g, possible.mean())


@pytest.mark.slow
@pytest.mark.parametrize("n_components", [1, 2])
def test_axes_have_signs_but_one_order(n_components):
    """Rotated families: turned by any angle, of each component, the sum of all signs; the other order of the two axes is left.

    That is a copy of the same mixtures and would be as much again: the density integrates to one half.
    """
    priors = priors_of("VEV", n_components=n_components, n_features=2)
    rng = np.random.default_rng(5)
    (u,) = points(priors, 1, seed=6)
    proposal = proposal_around(priors, u, 0.15)
    drawn, possible = proposal.draw(30_000, rng)
    assert possible.mean() > 0.8
    drawn, n_axes = drawn[possible], priors.structure.n_axes
    labellings = [renamed(drawn, priors, np.array(order)) for order in permutations(range(n_components))]
    z, log_g = student_mixture([one[:, :-n_axes] for one in labellings], rng, 160_000)
    tangents = np.tan(rng.uniform(-np.pi, np.pi, (len(z), n_axes)) / 2)
    log_g = log_g - (np.log(np.pi) + 0.5 * np.log1p(tangents**2)).sum(axis=1)
    assert_integral(proposal.log_density(np.hstack([z, np.arcsinh(tangents)])) - log_g, possible.mean() / 2)


def test_signs_of_axes_do_not_matter():
    """Half a turn of the axes of a component: the same mixture, and the same density but for that of the coordinates."""
    priors = priors_of("EEV", n_components=2, n_features=2)
    target = target_of(priors)
    (u,) = points(priors, 1, seed=7)
    proposal = proposal_around(priors, u, 0.2)
    ratios = []
    for signs in product([0, 1], repeat=2):
        turned = u.copy()
        for k in np.flatnonzero(signs):
            tangent = np.sinh(u[-2 + k])
            turned[-2 + k] = np.arcsinh(-1 / tangent)  # tan of half the angle, and that of a quarter turn more
        ratios.append(target.log_density(turned)[0] - proposal.log_density(turned[None])[0])
    np.testing.assert_allclose(ratios, ratios[0], rtol=0, atol=1e-6)


def test_where_the_prior_tells_components_apart_one_order_counts():
    """Twice the symmetric density in the labelling of the slots, which are as they are; nothing in the other."""
    symmetric = priors_of("VVV", n_components=2, n_features=2)
    (u,) = points(symmetric, 1)
    u[1:3] += 5.0
    unequal = replace(symmetric, concentration=np.array([1.0, 2.0]))
    one, both = proposal_around(unequal, u, 0.1), proposal_around(symmetric, u, 0.1)
    assert one.log_density(u[None]) == pytest.approx(both.log_density(u[None]) + np.log(2), abs=1e-6)
    swapped = renamed(u[None], symmetric, np.array([1, 0]))
    assert both.log_density(swapped) == pytest.approx(both.log_density(u[None]), abs=1e-6)
    assert one.log_density(swapped)[0] < one.log_density(u[None])[0] - 100


def test_a_proposal_is_fitted_to_draws():
    """Draws of known Gaussians, named at random: names and density are found."""
    priors = priors_of("VVI", n_components=3, n_features=2)
    rng = np.random.default_rng(8)
    (u,) = points(priors, 1)
    u[:2] = [0.1, 0.4]
    u[2:8] += np.array([-6.0, 0.0, 0.0, 6.0, 6.0, 0.0])
    truth = proposal_around(priors, u, 0.03, n_gaussians=1)
    drawn, possible = truth.draw(2000, rng)
    drawn = drawn[possible]
    names = np.array([rng.permutation(3) for _ in drawn])
    named = np.concatenate([renamed(one[None], priors, order) for one, order in zip(drawn, names, strict=True)])
    orders = np.argsort(names, axis=1)
    orders[:100] = orders[:100, ::-1]  # a few are wrong at first
    fitted = fit_proposal(named, orders, priors, rng)
    terms = fitted.terms(named)
    assert (np.sort(fitted.slots) == np.arange(3)).all()
    found = terms.orders[:, np.argsort(fitted.slots)]
    assert (found == np.argsort(names, axis=1)).mean() > 0.99
    lost = truth.log_density(named) - terms.log_density
    assert abs(lost.mean()) < 0.8  # Kullback-Leibler, of 14 dimensions
    assert 10 < terms.distances.mean() < 20


@pytest.mark.parametrize(("across", "gain"), [(0.0, 0.6), (0.1, 0.8), (1.0, 1.05)])
def test_many_parameters_are_taken_for_independent_groups_of_them(across, gain):
    """As far as they are: the Gaussian of few draws is nearer to the truth than that of their covariance, or as near."""
    rng = np.random.default_rng(12)
    groups = [slice(0, 3), *(slice(3 + 20 * k, 23 + 20 * k) for k in range(3))]
    mixing = np.tile(across, (63, 63))
    for group in groups:
        mixing[group, group] = 1.0
    tril = np.tril(0.15 * mixing * rng.normal(size=(63, 63)), -1) + np.diag(rng.uniform(0.5, 2.0, 63))
    v = rng.standard_normal((400, 63)) @ tril.T
    found = _one(v, groups)

    def divergence(covariance):
        ratio = np.linalg.solve(covariance, tril @ tril.T)
        return 0.5 * (np.trace(ratio) - 63 - np.linalg.slogdet(ratio)[1])

    assert divergence(found.covariances[0]) < gain * divergence(np.cov(v.T))


def test_a_chain_that_hardly_moved_has_a_proposal():
    priors = priors_of("VVV", n_components=3, n_features=2)
    rng = np.random.default_rng(13)
    few = points(priors, 4)
    orders = np.tile(np.arange(3), (40, 1))
    proposal = fit_proposal(np.repeat(few, 10, axis=0), orders, priors, rng)
    assert np.isfinite(proposal.log_density(few)).all()


@pytest.mark.parametrize("size", representative_values([1, 5, 17], 0, 1, others=pytest.mark.slow))
def test_fewer_gaussians_where_one_gets_no_points(size):
    """Nearly all draws in one place: EM empties one of the Gaussians that it starts there."""
    groups = [slice(0, size)]
    found = []
    for seed in range(8):
        rng = np.random.default_rng(seed)
        v = np.where(rng.random((2000, 1)) < 0.995, 1e-6, 1.0) * rng.normal(size=(2000, size))
        found.append(_gaussians(v, 12, groups, rng))
    assert min(mixture.n_components for mixture in found) < 12
    for mixture in found:
        assert np.isfinite(mixture.means).all()
        assert (np.diagonal(mixture.scale_trils, axis1=1, axis2=2) > 0).all()


def test_a_draw_and_its_density_belong_together():
    """The mean of 1/q over draws in a box is the box's volume: here of the first mean and weight of two components."""
    priors = priors_of("E", n_components=2, n_features=1)
    (u,) = points(priors, 1)
    u[1:3] = [-3.0, 3.0]
    proposal = proposal_around(priors, u, 0.3, n_gaussians=1)
    drawn, possible = proposal.draw(60_000, np.random.default_rng(9))
    low, high = np.quantile(drawn[possible], [0.3, 0.7], axis=0)
    inside = ((drawn > low) & (drawn < high)).all(axis=1) & possible
    inverse = np.zeros(len(drawn))
    inverse[inside] = np.exp(-proposal.log_density(drawn[inside]) - np.log(2))  # of two labellings, this one is drawn
    error = inverse.std() / np.sqrt(len(inverse))
    assert error < 0.1 * np.prod(high - low)
    assert inverse.mean() == pytest.approx(np.prod(high - low), abs=4 * error)


def test_the_largest_term_says_where_a_point_is():
    """Two Gaussians far apart: which is nearest, and how far in squared standard deviations."""
    priors = priors_of("VVI", n_components=2, n_features=2)
    slots = np.arange(2)
    u = points(priors, 2)
    u[1, 1:5] += 20.0
    v = scores_of(u, priors, slots).arranged(np.tile(slots, (2, 1)))
    proposal = Proposal(priors, slots, MixtureParams(np.array([0.2, 0.8]), v, np.tile(0.1 * np.eye(9), (2, 1, 1))))
    terms = proposal.terms(u)
    assert terms.nearest.tolist() == [0, 1]
    np.testing.assert_allclose(terms.distances, 0.0, atol=1e-12)
    moved = u.copy()
    moved[:, 1] += 0.3
    np.testing.assert_allclose(proposal.terms(moved).distances, 9.0, rtol=1e-9)
