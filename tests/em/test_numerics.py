"""Numerics of every covariance family: offsets and units far from 1, single precision, outliers, near-singular covariances."""

from typing import Any

import numpy as np
import pytest

from bayesgmm.em.fit import fit_em
from bayesgmm.em.result import EMResult
from bayesgmm.em.run import EMStatus
from bayesgmm.errors import FitError, InputError
from bayesgmm.families import FAMILIES
from bayesgmm.params import MixtureParams
from tests.em.covariance_members import FOURTEEN
from tests.kernels.test_moments import exact_log_likelihood
from tests.problems import Array, random_data, random_params

N_COMPONENTS, N_FEATURES = 2, 3
every_family = pytest.mark.parametrize("name", FOURTEEN)


def problem(n_samples: int = 100, n_features: int = N_FEATURES) -> tuple[Array, Array]:
    """Rows of two overlapping components and rough responsibilities to start from."""
    rng = np.random.default_rng(0)
    params = random_params(rng, N_COMPONENTS, n_features)
    X, labels = random_data(rng, MixtureParams(np.array([0.6, 0.4]), 0.5 * params.means, params.scale_trils), n_samples)
    return X, 0.5 * np.eye(N_COMPONENTS)[labels] + 0.25


def steps(X: Any, name: str, init: Array) -> EMResult:
    return fit_em(X, N_COMPONENTS, covariance=name, init=init, tol=0.0, max_iter=12, accelerate=False)


def assert_same_mixture(actual: MixtureParams, expected: MixtureParams, shift: Any = 0.0) -> None:
    """Weights and covariances to 1e-8 in units of the component's scales; means too, or to the spacing of doubles there."""
    scales = expected.scales
    np.testing.assert_allclose(actual.weights, expected.weights, rtol=0, atol=1e-8)
    # Scales before products: these covariances may be as small as 1e-300.
    np.testing.assert_allclose(actual.scales / scales, 1.0, rtol=0, atol=5e-9)
    np.testing.assert_allclose(actual.correlations, expected.correlations, rtol=0, atol=1e-8)
    np.testing.assert_allclose(actual.covariances / actual.scales[:, :, None] / actual.scales[:, None], actual.correlations)
    difference = np.abs((actual.means - shift) - expected.means)
    assert (difference <= 1e-8 * scales + 2 * np.spacing(np.abs(actual.means))).all()


@every_family
@pytest.mark.parametrize("offset", [1e7, -1e12])
def test_an_offset(name: str, offset: float) -> None:
    """Rows that share an offset lose digits when they are stored, not in the fit."""
    X, init = problem()
    X = (X + offset) - offset  # what is left after storing, exactly
    em, moved = steps(X, name, init), steps(X + offset, name, init)
    assert_same_mixture(moved.params, em.params, offset)
    np.testing.assert_allclose(moved.log_likelihood, em.log_likelihood, rtol=1e-10)


@every_family
@pytest.mark.parametrize("unit", [1e150, 1e-150])
def test_a_unit(name: str, unit: float) -> None:
    X, init = problem()
    em, scaled = steps(X, name, init), steps(X * unit, name, init)
    assert_same_mixture(scaled.params, em.params.affine(np.full(N_FEATURES, unit), np.zeros(N_FEATURES)))
    np.testing.assert_allclose(scaled.log_likelihood, em.log_likelihood - X.size * np.log(unit), rtol=1e-12)


@every_family
@pytest.mark.parametrize("power", [498, -498])
def test_an_offset_and_a_unit(name: str, power: int) -> None:
    """2^498 is about 1e150; products with it are exact."""
    X, init = problem()
    X, unit = (X + 1e12) - 1e12, 2.0**power
    em, moved = steps(X, name, init), steps((X + 1e12) * unit, name, init)
    assert_same_mixture(moved.params, em.params.affine(np.full(N_FEATURES, unit), np.zeros(N_FEATURES)), 1e12 * unit)


@every_family
def test_single_precision_with_an_offset(name: str) -> None:
    X, init = problem()
    stored = (X + 1e3).astype(np.float32)
    em, moved = steps(stored.astype(np.float64) - 1e3, name, init), steps(stored, name, init)
    assert_same_mixture(moved.params, em.params, 1e3)
    assert moved.params.means.dtype == np.float64


@pytest.mark.parametrize("name", [name for name in FOURTEEN if FAMILIES[name].column_equivariant])
def test_columns_of_very_different_units(name: str) -> None:
    X, init = problem()
    units = np.array([1.0, 1e120, 1e-100])
    em, scaled = steps(X, name, init), steps(X * units, name, init)
    assert_same_mixture(scaled.params, em.params.affine(units, np.zeros(N_FEATURES)))


@pytest.mark.parametrize("name", [name for name in FOURTEEN if not FAMILIES[name].column_equivariant])
def test_columns_of_different_units_keep_their_meaning(name: str) -> None:
    """Families that single columns cannot be rescaled in see the data as they are: the large column decides."""
    X, init = problem()
    units = np.array([1.0, 1e3, 1.0])
    em = steps(X * units, name, init)
    exact = float(exact_log_likelihood(X * units, em.params.weights, em.params.means, em.params.scale_trils))
    np.testing.assert_allclose(em.log_likelihood, exact, rtol=1e-12)
    assert not np.allclose(em.params.weights, steps(X, name, init).params.weights, atol=1e-3)


@every_family
@pytest.mark.parametrize("distance", [1e3, 1e5])
def test_a_far_group(name: str, distance: float) -> None:
    """The log-likelihood does not fall, and is that of the parameters to all digits."""
    X, _ = problem()
    X[:20] += distance
    em = steps(X, name, 0.9 * np.eye(2)[np.repeat([0, 1], [20, 80])] + 0.05)
    assert (np.diff(em.trace) >= 0).all()
    np.testing.assert_allclose(em.params.weights, [0.2, 0.8], rtol=1e-12)
    exact = float(exact_log_likelihood(X, em.params.weights, em.params.means, em.params.scale_trils))
    np.testing.assert_allclose(em.log_likelihood, exact, rtol=1e-12)


@pytest.mark.parametrize("name", ["EII", "EEI", "EEE", "EEV"])
@pytest.mark.parametrize("distance", [1e4, 1e6])
def test_an_extreme_outlier(name: str, distance: float) -> None:
    """Families that share volume and shape do not collapse, whether the row gets a component of its own or not."""
    X, init = problem()
    X[0] = distance
    em = fit_em(X, N_COMPONENTS, covariance=name, init=init)
    assert em.converged
    exact = float(exact_log_likelihood(X, em.params.weights, em.params.means, em.params.scale_trils))
    np.testing.assert_allclose(em.log_likelihood, exact, rtol=1e-12)


@every_family
def test_an_outlier_beyond_all_proportion(name: str) -> None:
    """All other rows are one point to those with a double for each: a fit or an error, never NaN."""
    X, init = problem()
    X[0] = 1e30
    try:
        em = fit_em(X, N_COMPONENTS, covariance=name, init=init)
    except FitError as error:
        said = str(error)
    else:
        said = "narrower than 1e-07 of the columns' spread"
        assert np.isfinite(em.log_likelihood)
        assert np.isfinite(em.params.covariances).all()
    assert "narrower than 1e-07 of the columns' spread" in said


@every_family
@pytest.mark.parametrize("condition", [1e3, 1e6])
def test_ill_conditioned_data(name: str, condition: float) -> None:
    """Rows whose covariance has this condition number: the log-likelihood equals a sum in 50 digits to 1e-12."""
    X, init = problem(60)
    rotation = np.linalg.qr(np.random.default_rng(1).normal(size=(N_FEATURES, N_FEATURES)))[0]
    rows = X * np.geomspace(1.0, condition**-0.5, N_FEATURES) @ rotation.T
    em = fit_em(rows, N_COMPONENTS, covariance=name, init=init)
    assert em.status is EMStatus.CONVERGED
    exact = float(exact_log_likelihood(rows, em.params.weights, em.params.means, em.params.scale_trils))
    assert abs(em.log_likelihood - exact) <= 1e-12 * abs(exact)


def test_ill_conditioned_data_have_the_fit_of_the_well_conditioned() -> None:
    """VVV follows every invertible map; the error is the square of the condition number of the map, in units of 1e-16."""
    X, init = problem()
    rotation = np.linalg.qr(np.random.default_rng(1).normal(size=(N_FEATURES, N_FEATURES)))[0]
    transform = rotation * np.geomspace(1.0, 1e-3, N_FEATURES)
    em, moved = steps(X, "VVV", init), steps(X @ transform.T, "VVV", init)
    back = np.linalg.inv(transform)
    np.testing.assert_allclose(back @ moved.params.covariances @ back.T, em.params.covariances, rtol=1e-8, atol=1e-8)
    np.testing.assert_allclose(moved.log_likelihood, em.log_likelihood - len(X) * np.log(1e-3**1.5), rtol=1e-10)


@pytest.mark.parametrize("unit", [1e-320, 1e-160, 1e160, 1e308])
def test_units_beyond_double_precision_are_refused(unit: float) -> None:
    X, init = problem()
    with pytest.raises(InputError, match="beyond what double precision can square: change its unit"):
        steps(np.clip(X, -1, 1) * unit, "VVV", init)


def test_a_component_that_flattens_out_is_a_collapse() -> None:
    """EVV lets a component of three rows grow without end in two directions while it shrinks in the third."""
    rng = np.random.default_rng(0)
    X = np.vstack([rng.normal(size=(60, 3)), [[9.0, 0.0, 0.0], [0.0, 9.0, 0.0], [0.0, 0.0, 9.0]]])
    soft = 0.98 * np.eye(2)[np.repeat([0, 1], [60, 3])] + 0.01
    with pytest.raises(FitError, match=r"shrank onto a point, line or plane \(it holds 3 rows\)"):
        fit_em(X, 2, covariance="EVV", init=soft)
