"""Normal scores: there and back, Jacobians by differences, and the prior nearly normal in them."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

import bayesgmm as bg
from bayesgmm.evidence.normal_scores import coordinates_of, scores_of
from bayesgmm.model.axes import cayley, inverse_cayley
from bayesgmm.model.coordinates import Parameters, constrain, unconstrain
from bayesgmm.model.scale_priors import SCALE_PARAMETERS
from tests.em.covariance_members import FOURTEEN

STEP = 1e-6


def priors_of(family, scale_prior="inverse_gamma", *, n_components=3, n_features=3, seed=0):
    """Default priors for some data; rotations relative to axes of their own."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(50, n_features)) * np.array([1.0, 3.0, 0.5])[:n_features]
    priors = bg.Priors(scale_prior=scale_prior).resolved(X, n_components, family)
    structure = priors.structure
    if structure.axes != "rotations":
        return priors
    axes = stats.special_ortho_group(n_features, seed=seed).rvs(structure.n_axes).reshape(structure.n_axes, n_features, -1)
    return replace(priors, structure=replace(structure, reference_axes=axes))


def points(priors, n_points, seed=1):
    """Scales near their prior median, everything else near 0, where no two axes are swapped."""
    structure = priors.structure
    u = 0.2 * np.random.default_rng(seed).standard_normal((n_points, structure.n_coordinates))
    begin = sum(structure.sizes[:2])
    medians = np.log(priors.scale_distribution.ppf(0.5)) * np.ones(structure.scales_shape)
    u[:, begin : begin + structure.sizes[2]] += medians.ravel()
    return u


def renamed(u, priors, names):
    """Coordinates of the same mixtures, axes in the same order, with component names[k] in place of component k."""
    structure = priors.structure
    old = constrain(u, structure)
    rotations = old.rotations
    if structure.axes == "rotations" and structure.own_axes:
        matrices = structure.reference_axes @ cayley(rotations, structure.n_features)
        rotations = inverse_cayley(structure.reference_axes.swapaxes(1, 2) @ matrices[:, names])
    new = Parameters(
        old.weights[:, names],
        old.means[:, names],
        old.scales[:, names] if structure.cluster_scales else old.scales,
        old.log_volumes[:, names] if structure.own_volumes else old.log_volumes,
        old.log_shapes[:, names] if structure.own_shapes else old.log_shapes,
        old.correlation_trils[:, names] if structure.axes == "correlations" and structure.own_axes else old.correlation_trils,
        rotations,
    )
    return unconstrain(new, structure)


@pytest.mark.parametrize("family", FOURTEEN)
@pytest.mark.parametrize("scale_prior", SCALE_PARAMETERS)
def test_there_and_back_and_jacobians(family, scale_prior):
    """In the labelling of the slots the map is inverted; in every labelling its determinant is that of differences."""
    priors = priors_of(family, scale_prior)
    size, slots = priors.structure.n_coordinates, np.array([1, 2, 0])
    u = points(priors, 4)
    scores = scores_of(u, priors, slots)
    v = scores.arranged(np.tile(slots, (4, 1)))
    assert v.shape == u.shape
    back, possible = coordinates_of(v, priors, slots)
    assert possible.all()
    np.testing.assert_allclose(back, u, rtol=0, atol=1e-9)
    near = u[0] + STEP * np.concatenate([np.eye(size), -np.eye(size)])
    around = scores_of(near, priors, slots)
    for order in (slots, np.array([0, 1, 2]), np.array([2, 1, 0])):
        moved = around.arranged(np.tile(order, (len(near), 1)))
        jacobian = (moved[:size] - moved[size:]) / (2 * STEP)
        expected = scores.log_jacobian[0] + scores.bonus[0, np.arange(3), order].sum()
        assert np.linalg.slogdet(jacobian)[1] == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize(("family", "n_components", "n_features"), [("V", 1, 1), ("E", 3, 1), ("VVV", 1, 2), ("VEV", 2, 2)])
def test_small_problems(family, n_components, n_features):
    priors = priors_of(family, n_components=n_components, n_features=n_features)
    slots = np.arange(n_components)[::-1]
    u = points(priors, 5)
    v = scores_of(u, priors, slots).arranged(np.tile(slots, (5, 1)))
    back, possible = coordinates_of(v, priors, slots)
    assert possible.all()
    np.testing.assert_allclose(back, u, rtol=0, atol=1e-10)


@pytest.mark.parametrize("family", ["VVV", "VII", "EVI", "VEI", "EEE"])
def test_an_assignment_is_a_renaming(family):
    """A draw with its components renamed has, in the slots so renamed, the scores of the draw as it was."""
    priors = priors_of(family)
    u, slots, names = points(priors, 2), np.arange(3), np.array([2, 0, 1])
    orders = np.array([[1, 0, 2], [2, 1, 0]])
    before, after = scores_of(u, priors, slots), scores_of(renamed(u, priors, names), priors, slots)
    np.testing.assert_allclose(after.arranged(orders), before.arranged(names[orders]), rtol=1e-12, atol=1e-12)


def test_scores_that_no_point_has_are_said_to_be_none():
    priors = priors_of("VVV", "half_normal", n_components=2, n_features=2)
    slots = np.arange(2)
    v = np.repeat(scores_of(points(priors, 1), priors, slots).arranged(slots[None]), 5, axis=0)
    v[1, 5] = 1.01  # a weight above one
    v[2, 5] = -0.1
    v[3, 2] = -0.5  # a scale's power
    v[4, 4] = 26.0  # correlations: exp of the square overflows
    u, possible = coordinates_of(v, priors, slots)
    assert possible.tolist() == [True, False, False, False, False]
    np.testing.assert_array_equal(np.isfinite(u).all(axis=1), possible)


@pytest.mark.parametrize("scale_prior", ["inverse_gamma", "half_normal", "half_student_t"])
def test_the_prior_of_scales_is_nearly_normal(scale_prior):
    """Skewness and excess kurtosis of the score, against those of the scale's logarithm."""
    priors = priors_of("V", scale_prior, n_components=1, n_features=1)
    scales = np.log(priors.scale_distribution.ppf((np.arange(4000) + 0.5) / 4000))
    u = np.column_stack([np.zeros(4000), scales])
    score = scores_of(u, priors, np.zeros(1, dtype=int)).arranged(np.zeros((4000, 1), dtype=int))[:, 1]
    assert abs(stats.skew(score)) < 0.5
    assert abs(stats.kurtosis(score)) < 0.7
    assert abs(stats.skew(score)) < 0.6 * abs(stats.skew(scales))


def test_rows_of_correlations_have_no_long_tails():
    """LKJ(1) in three columns: the model's coordinates are t, these are not."""
    priors = replace(priors_of("EEE", n_components=1), lkj_eta=1.0)
    drawn = priors.draw(np.random.default_rng(3), 4000)
    u = unconstrain(drawn, priors.structure)
    v = scores_of(u, priors, np.zeros(1, dtype=int)).arranged(np.zeros((4000, 1), dtype=int))
    scores, of_model = v[:, 3:6], u[:, 6:]  # shared coordinates are first there, axes last here
    assert (np.abs(stats.kurtosis(scores)) < 1.0).all()
    assert (stats.kurtosis(of_model) > 10.0).all()
