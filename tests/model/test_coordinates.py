"""Coordinates of the fourteen families: back and forth, their Jacobian, and which covariances they can say."""

import numpy as np
import pytest
from scipy.linalg import null_space

import bayesgmm as bg
from bayesgmm.families import family_named
from bayesgmm.model.coordinates import (
    centred_on,
    constrain,
    contrasts,
    covariances,
    from_mixture,
    log_jacobian,
    to_mixture,
    unconstrain,
)
from bayesgmm.model.structure import ROTATED, structure_of
from bayesgmm.params import MixtureParams
from tests.em.covariance_members import FOURTEEN, random_member
from tests.families.cases import assert_member
from tests.problems import random_data, random_params

SIZES = [(1, 1), (3, 1), (1, 3), (2, 2), (3, 3)]
every_family = pytest.mark.parametrize("family", FOURTEEN)
every_size = pytest.mark.parametrize(("n_components", "n_features"), SIZES)


def random_coordinates(rng, structure, *batch):
    return rng.normal(scale=0.7, size=(*batch, structure.n_coordinates))


def free_parameters(parameters, structure):
    """As many numbers as there are free parameters, in any basis of the spaces that the parts fill."""
    n_components, n_features = structure.n_components, structure.n_features
    by_component, by_column = null_space(np.ones((1, n_components))), null_space(np.ones((1, n_features)))
    out = [parameters.weights[:-1], parameters.means, parameters.scales, parameters.rotations]
    if structure.own_volumes:
        out.append(by_component.T @ parameters.log_volumes)
    if structure.own_shapes:
        out.append(by_component.T @ parameters.log_shapes @ by_column)
    if structure.axes == "correlations":
        out.append(parameters.correlation_trils[:, *np.tril_indices(n_features, -1)])
    return np.concatenate([np.ravel(part) for part in out])


@every_family
@every_size
def test_coordinates_are_as_many_as_the_family_has_parameters(family, n_components, n_features):
    structure = structure_of(family, n_components, n_features)
    of_covariances = family_named(family).n_covariance_parameters(n_components, n_features)
    assert structure.n_coordinates == n_components - 1 + n_components * n_features + of_covariances


@every_family
@every_size
def test_coordinates_round_trip_over_batches(family, n_components, n_features):
    structure = structure_of(family, n_components, n_features)
    u = random_coordinates(np.random.default_rng(1), structure, 4, 5)
    parameters = constrain(u, structure)
    np.testing.assert_allclose(unconstrain(parameters, structure), u, rtol=1e-9, atol=1e-9)
    one = constrain(u[2, 3], structure)
    for batched, single in zip(parameters, one, strict=True):
        np.testing.assert_allclose(batched[2, 3], single, rtol=1e-13)
    np.testing.assert_allclose(covariances(parameters, structure)[2, 3], covariances(one, structure), rtol=1e-12)


@every_family
@every_size
def test_parts_satisfy_their_constraints(family, n_components, n_features):
    structure = structure_of(family, n_components, n_features)
    parameters = constrain(random_coordinates(np.random.default_rng(2), structure), structure)
    assert parameters.weights.sum() == pytest.approx(1.0, rel=1e-14)
    assert parameters.scales.shape == structure.scales_shape
    assert (parameters.scales > 0).all()
    if structure.own_volumes:
        assert parameters.log_volumes.shape == (n_components,)
        assert abs(parameters.log_volumes.sum()) < 1e-14
    if structure.own_shapes:
        assert parameters.log_shapes.shape == (n_components, n_features)
        np.testing.assert_allclose(parameters.log_shapes.sum(axis=0), 0.0, atol=1e-14)
        np.testing.assert_allclose(parameters.log_shapes.sum(axis=1), 0.0, atol=1e-14)
    if structure.axes == "correlations":
        assert parameters.correlation_trils.shape == (structure.n_axes, n_features, n_features)
        np.testing.assert_allclose((parameters.correlation_trils**2).sum(axis=-1), 1.0, rtol=1e-14)


@every_family
@every_size
def test_log_jacobian_is_that_of_the_map(family, n_components, n_features):
    structure = structure_of(family, n_components, n_features)
    u = random_coordinates(np.random.default_rng(3), structure)

    def free(v):
        return free_parameters(constrain(v, structure), structure)

    jacobian = np.array([(free(u + step) - free(u - step)) / 2e-5 for step in 1e-5 * np.eye(len(u))])
    assert jacobian.shape == (structure.n_coordinates, structure.n_coordinates)
    expected = np.linalg.slogdet(jacobian)[1]
    assert log_jacobian(constrain(u, structure), structure) == pytest.approx(expected, rel=1e-7, abs=1e-7)


@every_family
@every_size
def test_covariances_are_members_of_the_family(family, n_components, n_features):
    structure = structure_of(family, n_components, n_features)
    for u in random_coordinates(np.random.default_rng(4), structure, 5):
        assert_member(family, covariances(constrain(u, structure), structure))


@every_family
@every_size
def test_every_member_of_the_family_has_coordinates(family, n_components, n_features):
    """Members made from volumes, shapes and orientations, not by the coordinates themselves."""
    rng = np.random.default_rng(5)
    structure = structure_of(family, n_components, n_features)
    for _ in range(5):
        params = random_member(rng, family, n_components, n_features)
        parameters = from_mixture(params, structure)
        back = to_mixture(constrain(unconstrain(parameters, structure), structure), structure)
        np.testing.assert_allclose(back.weights, params.weights, rtol=1e-12)
        np.testing.assert_allclose(back.means, params.means, rtol=1e-12)
        np.testing.assert_allclose(back.covariances, params.covariances, rtol=1e-8, atol=1e-10)


@every_family
@every_size
def test_from_mixture_reverses_to_mixture(family, n_components, n_features):
    structure = structure_of(family, n_components, n_features)
    for u in random_coordinates(np.random.default_rng(6), structure, 5):
        params = to_mixture(constrain(u, structure), structure)
        back = to_mixture(from_mixture(params, structure), structure)
        np.testing.assert_allclose(back.covariances, params.covariances, rtol=1e-9, atol=1e-11)
        if structure.axes != "rotations":  # the order and signs of rotated axes are free
            np.testing.assert_allclose(unconstrain(from_mixture(params, structure), structure), u, rtol=1e-8, atol=1e-8)


@every_family
@pytest.mark.parametrize("n_features", [2, 3])
def test_em_fits_have_coordinates(family, n_features):
    rng = np.random.default_rng(7)
    X, _ = random_data(rng, random_params(rng, 3, n_features), 150)
    em = bg.fit_em(X, 3, covariance=family, n_init=2, seed=8)
    structure = structure_of(family, 3, n_features)
    back = to_mixture(constrain(unconstrain(from_mixture(em.params, structure), structure), structure), structure)
    np.testing.assert_allclose(back.weights, em.params.weights, rtol=1e-10)
    np.testing.assert_allclose(back.means, em.params.means, rtol=1e-12)
    np.testing.assert_allclose(back.covariances, em.params.covariances, rtol=1e-8, atol=1e-9)


@pytest.mark.parametrize("family", ROTATED)
def test_axes_are_taken_near_the_columns(family):
    """Of all orders and signs of nearly aligned axes, the rotation near the identity, whose coordinates are small."""
    structure = structure_of(family, 2, 3)
    rng = np.random.default_rng(9)
    u = random_coordinates(rng, structure)
    n_rotations = structure.sizes[-1]
    u[-n_rotations:] = 0.03 * rng.normal(size=n_rotations)
    rotations = from_mixture(to_mixture(constrain(u, structure), structure), structure).rotations
    np.testing.assert_allclose(rotations.ravel(), np.sinh(u[-n_rotations:]), rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("family", ROTATED)
def test_centred_on_a_mixture_its_rotations_are_zero(family):
    """Axes far from the columns: coordinates relative to them are 0 there, and lead back to the same covariances."""
    structure = structure_of(family, 2, 3)
    params = to_mixture(constrain(random_coordinates(np.random.default_rng(10), structure), structure), structure)
    centred = centred_on(structure, params)
    parameters = from_mixture(params, centred)
    np.testing.assert_allclose(parameters.rotations, 0.0, atol=1e-7)
    np.testing.assert_allclose(to_mixture(parameters, centred).covariances, params.covariances, rtol=1e-8, atol=1e-10)
    np.testing.assert_allclose(np.linalg.det(centred.reference_axes), 1.0, rtol=1e-12)


def test_a_mixture_outside_the_family_gets_a_neighbour():
    """Two correlations and two volumes under EEE: the coordinates are finite, and of a member."""
    params = MixtureParams.from_covariances(
        np.array([0.4, 0.6]), np.zeros((2, 2)), np.array([[[1.0, 0.2], [0.2, 1.0]], [[2.0, 0.5], [0.5, 1.0]]])
    )
    for family in FOURTEEN:
        structure = structure_of(family, 2, 2)
        near = to_mixture(from_mixture(params, structure), structure)
        assert_member(family, near.covariances)
        volumes = np.sqrt(np.linalg.det(near.covariances))
        assert volumes.min() > 0.9
        assert volumes.max() < 1.5


@pytest.mark.parametrize("size", [1, 2, 5])
def test_contrasts_are_orthonormal_and_sum_to_zero(size):
    basis = contrasts(size)
    assert basis.shape == (size, size - 1)
    np.testing.assert_allclose(basis.T @ basis, np.eye(size - 1), atol=1e-14)
    np.testing.assert_allclose(basis.sum(axis=0), 0.0, atol=1e-14)


def test_names_and_aliases_give_one_structure():
    assert structure_of("full", 3, 2).sizes == structure_of("VVV", 3, 2).sizes
    assert structure_of("tied", 3, 2).family == structure_of("EEE", 3, 2).family == "EEE"
    assert structure_of("V", 3, 1).sizes == structure_of("VVV", 3, 1).sizes == structure_of("VII", 3, 1).sizes
    with pytest.raises(bg.InputError, match="covariance is 'XYZ'; choose one of"):
        structure_of("XYZ", 2, 2)
