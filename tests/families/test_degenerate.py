"""Singular and extreme scatters, unlucky starts: an answer or NaN, never an exception or an endless search."""

import numpy as np
import pytest

from bayesgmm.families import FAMILIES
from bayesgmm.families.common_orientation import orientation_gradient_norm
from tests.families.cases import ANY_DIMENSION, assert_member, expected_log_likelihood, statistics
from tests.problems import Array

every_family = pytest.mark.parametrize("name", ANY_DIMENSION)


def collapsed(kind: str, n_features: int) -> Array:
    """Scatters (3, D, D) of which some or all are singular."""
    scatters = statistics(np.random.default_rng(0), 3, n_features)[1]
    vector = np.arange(1.0, n_features + 1)
    match kind:
        case "one zero":
            scatters[1] = 0.0
        case "all zero":
            scatters[:] = 0.0
        case "one line":
            scatters[2] = np.outer(vector, vector)
        case "all lines":
            for k in range(3):
                scatters[k] = np.outer(vector**k, vector**k)
        case "constant column":
            scatters[:, 0, :] = scatters[:, :, 0] = 0.0
        case "not a number":
            scatters[0] = np.nan
        case "infinite":
            scatters[0] = np.inf
        case "negative rounding":
            scatters[0] = -1e-16 * np.eye(n_features)
    return scatters


@every_family
@pytest.mark.parametrize(
    "kind",
    ["one zero", "all zero", "one line", "all lines", "constant column", "not a number", "infinite", "negative rounding"],
)
@pytest.mark.parametrize("n_features", [1, 2, 5])
def test_singular_scatters_do_not_raise(name: str, kind: str, n_features: int) -> None:
    counts, scatters = np.array([5.0, 4.0, 3.0]), collapsed(kind, n_features)
    guess = FAMILIES[name].maximise(*statistics(np.random.default_rng(1), 3, n_features))
    with np.errstate(all="ignore"):
        for covariances in (FAMILIES[name].maximise(counts, scatters), FAMILIES[name].maximise(counts, scatters, guess)):
            assert covariances.shape == scatters.shape


@every_family
def test_an_empty_component_does_not_raise(name: str) -> None:
    scatters = statistics(np.random.default_rng(0), 3, 2)[1]
    scatters[0] = 0.0
    with np.errstate(all="ignore"):
        assert FAMILIES[name].maximise(np.array([0.0, 4.0, 3.0]), scatters).shape == (3, 2, 2)


@pytest.mark.parametrize("name", ["EEI", "VEI", "EEE", "VEE"])
def test_a_singular_component_is_no_harm_where_the_shape_is_shared(name: str) -> None:
    # A line of n_k rows in a shape of D dimensions has a proper volume as long as D n_k < n.
    counts, scatters = np.array([7.0, 6.0, 3.0]), collapsed("one line", 4)
    covariances = FAMILIES[name].maximise(counts, scatters)
    assert_member(name, covariances)
    assert np.linalg.eigvalsh(covariances).min() > 0.0


@pytest.mark.parametrize("name", ["VEI", "VEE", "VEV"])
def test_volumes_of_any_ratio(name: str) -> None:
    """Newton's method for the volumes reaches the stationary point tr(W_k Sigma_k^-1) = D n_k."""
    rng = np.random.default_rng(2)
    counts, scatters = statistics(rng, 5, 3)
    counts *= [1.0, 1e-3, 1e3, 1.0, 1e6]
    scatters *= 10.0 ** np.array([0.0, 12.0, -12.0, 6.0, -30.0])[:, None, None]
    covariances = FAMILIES[name].maximise(counts, scatters)
    assert_member(name, covariances)
    traces = np.trace(np.linalg.solve(covariances, scatters), axis1=1, axis2=2)
    np.testing.assert_allclose(traces, 3 * counts, rtol=1e-10)


@pytest.mark.parametrize("name", ["EEV", "VEV"])
def test_small_eigenvalues_of_badly_scaled_columns_keep_their_digits(name: str) -> None:
    """One component: the maximum is W / n itself, here with columns whose scales differ by 1e10."""
    counts, scatters = statistics(np.random.default_rng(4), 1, 4)
    outer = np.multiply.outer(scale := 10.0 ** np.array([0, 5, -5, 2]), scale)
    covariances = FAMILIES[name].maximise(counts, outer * scatters) / outer
    np.testing.assert_allclose(covariances[0], scatters[0] / counts[0], rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", ["EVE", "VVE"])
def test_common_axes_are_found_exactly(name: str) -> None:
    rng = np.random.default_rng(5)
    axes = np.linalg.qr(rng.normal(size=(6, 6)))[0]
    counts = np.array([10.0, 20.0, 30.0])
    scatters = axes @ (counts[:, None, None] * (rng.lognormal(size=(3, 6))[:, :, None] * axes.T))
    covariances = FAMILIES[name].maximise(counts, scatters)
    volumes = np.exp(np.linalg.slogdet(scatters)[1] / 6)
    expected = (
        scatters / counts[:, None, None] if name == "VVE" else scatters * (volumes.sum() / counts.sum() / volumes)[:, None, None]
    )
    np.testing.assert_allclose(covariances, expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("name", ["EVE", "VVE"])
def test_a_start_at_a_maximum_of_the_angle_is_left(name: str) -> None:
    """Axes at 45 degrees to the right ones: no slope, but the worst of all angles."""
    counts = np.array([10.0, 12.0])
    scatters = np.array([[[5.0, 4.0], [4.0, 5.0]], [[3.0, -2.0], [-2.0, 3.0]]])
    guess = np.array([[[1.0, 0.0], [0.0, 2.0]], [[2.0, 0.0], [0.0, 1.0]]])
    covariances = FAMILIES[name].maximise(counts, scatters, guess)
    assert abs(covariances[0, 0, 1]) > 0.1
    np.testing.assert_allclose(covariances, FAMILIES[name].maximise(counts, scatters), rtol=1e-12)


@pytest.mark.parametrize("name", ["EVE", "VVE"])
def test_a_round_guess_leaves_the_axes_open(name: str) -> None:
    counts, scatters = statistics(np.random.default_rng(6), 3, 5)
    round_guess = np.tile(np.eye(5), (3, 1, 1)) * np.array([1.0, 2.0, 3.0])[:, None, None]
    covariances = FAMILIES[name].maximise(counts, scatters, round_guess)
    assert orientation_gradient_norm(counts, scatters, covariances) < 1e-10
    spheres = FAMILIES["VII"].maximise(counts, scatters)
    if name == "VVE":
        assert expected_log_likelihood(counts, scatters, covariances) > expected_log_likelihood(counts, scatters, spheres)
