"""fit_em in every covariance family: the symmetries of maximum likelihood."""

from itertools import product
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bayesgmm.em.fit import fit_em
from bayesgmm.em.result import EMResult
from bayesgmm.families import FAMILIES
from bayesgmm.params import MixtureParams
from tests.em.covariance_members import FOURTEEN
from tests.families.cases import assert_member
from tests.problems import Array, random_data, random_params

LAW = settings(derandomize=True, deadline=None, max_examples=3)
SEED = st.integers(0, 2**32 - 1)
N_COMPONENTS, N_FEATURES = 3, 3
WEIGHTS = np.array([0.4, 0.35, 0.25])
every_family = pytest.mark.parametrize("name", FOURTEEN)
by_columns = pytest.mark.parametrize("name", [name for name in FOURTEEN if FAMILIES[name].column_equivariant])
turning = pytest.mark.parametrize("name", [name for name in FOURTEEN if name[1:] == "II" or name[2] != "I"])

LARGER = {"E": "V", "I": "E"}
"""The next larger choice for a letter; a common volume goes with E, so that I occurs in the last two only."""


def problem(seed: int, n_samples: int = 120) -> tuple[Array, Array]:
    """Rows of overlapping components of similar sizes, where EM is slow, and rough responsibilities to start from."""
    rng = np.random.default_rng(seed)
    params = random_params(rng, N_COMPONENTS, N_FEATURES)
    X, labels = random_data(rng, MixtureParams(WEIGHTS, 0.5 * params.means, params.scale_trils), n_samples)
    rough = rng.dirichlet(np.ones(N_COMPONENTS), n_samples)
    return X, 0.4 * np.eye(N_COMPONENTS)[labels] + 0.6 * rough


def steps(X: Any, name: str, init: Any, max_iter: int = 12, **options: Any) -> EMResult:
    """A fixed number of EM steps: what two fits have in common does not depend on when they stop."""
    return fit_em(X, N_COMPONENTS, covariance=name, init=init, tol=0.0, max_iter=max_iter, accelerate=False, **options)


def assert_same_mixture(actual: MixtureParams, expected: MixtureParams, tolerance: float = 1e-9) -> None:
    """Each number to `tolerance` in units of the component's own scales."""
    scales = expected.scales
    np.testing.assert_allclose(actual.weights, expected.weights, rtol=0, atol=tolerance)
    np.testing.assert_allclose(actual.means / scales, expected.means / scales, rtol=tolerance, atol=tolerance)
    np.testing.assert_allclose(actual.scales, scales, rtol=tolerance)
    np.testing.assert_allclose(actual.correlations, expected.correlations, rtol=0, atol=tolerance)


@every_family
@LAW
@given(SEED)
def test_permuting_the_start_permutes_the_fit(name: str, seed: int) -> None:
    X, init = problem(seed)
    order = np.random.default_rng(seed).permutation(N_COMPONENTS)
    em, moved = steps(X, name, init), steps(X, name, init[:, order])
    assert_same_mixture(moved.params, em.params.permuted(order))
    np.testing.assert_allclose(moved.trace, em.trace, rtol=1e-11)


@every_family
@LAW
@given(SEED, st.floats(-3, 3))
def test_shift_and_one_common_factor(name: str, seed: int, exponent: float) -> None:
    X, init = problem(seed)
    factor, shift = 10.0**exponent, 10.0**exponent * np.array([1.0, -50.0, 300.0])
    em, moved = steps(X, name, init), steps(factor * X + shift, name, init)
    # The shift takes 3 of 16 digits of X.
    assert_same_mixture(moved.params, em.params.affine(np.full(N_FEATURES, factor), shift))
    np.testing.assert_allclose(moved.trace, em.trace - X.size * np.log(factor), rtol=1e-10, atol=1e-8)


@by_columns
@LAW
@given(SEED)
def test_a_factor_for_each_column(name: str, seed: int) -> None:
    X, init = problem(seed)
    factors = 10.0 ** np.random.default_rng(seed).uniform(-4, 4, N_FEATURES)
    em, moved = steps(X, name, init), steps(factors * X, name, init)
    assert_same_mixture(moved.params, em.params.affine(factors, np.zeros(N_FEATURES)))
    np.testing.assert_allclose(moved.trace, em.trace - len(X) * np.log(factors).sum(), rtol=1e-10, atol=1e-8)


@every_family
def test_mirrored_columns_and_columns_in_another_order(name: str) -> None:
    X, init = problem(0)
    order, signs = np.array([2, 0, 1]), np.array([1.0, -1.0, -1.0])
    em, moved = steps(X, name, init), steps(signs * X[:, order], name, init)
    covariances = em.params.covariances[:, order][:, :, order] * np.outer(signs, signs)
    expected = MixtureParams.from_covariances(em.params.weights, signs * em.params.means[:, order], covariances)
    assert_same_mixture(moved.params, expected)
    np.testing.assert_allclose(moved.trace, em.trace, rtol=1e-11)


@turning
@LAW
@given(SEED)
def test_a_rotation(name: str, seed: int) -> None:
    X, init = problem(seed)
    rotation = np.linalg.qr(np.random.default_rng(seed).normal(size=(N_FEATURES, N_FEATURES)))[0]
    em, moved = steps(X, name, init), steps(X @ rotation.T, name, init)
    covariances = rotation @ em.params.covariances @ rotation.T
    expected = MixtureParams.from_covariances(em.params.weights, em.params.means @ rotation.T, covariances)
    assert_same_mixture(moved.params, expected)
    np.testing.assert_allclose(moved.trace, em.trace, rtol=1e-11)


@every_family
@LAW
@given(SEED)
def test_no_trace_falls(name: str, seed: int) -> None:
    X, init = problem(seed)
    plain = steps(X, name, init, max_iter=60)
    accelerated = fit_em(X, N_COMPONENTS, covariance=name, init=init, tol=0.0, max_iter=100)
    for em in (plain, accelerated):
        assert (
            np.diff(em.trace) >= 0
        ).all()  # increases below the rounding of the Jacobian, which is added later, leave no trace
        assert em.log_likelihood == em.trace[-1]


@every_family
def test_doubling_the_rows_doubles_the_log_likelihood(name: str) -> None:
    X, init = problem(1)
    em, doubled = steps(X, name, init), steps(np.vstack([X, X]), name, np.vstack([init, init]))
    assert_same_mixture(doubled.params, em.params)
    np.testing.assert_allclose(doubled.trace, 2 * em.trace, rtol=1e-11)


@every_family
@LAW
@given(SEED)
def test_a_row_weight_is_a_number_of_copies(name: str, seed: int) -> None:
    X, init = problem(seed)
    copies = np.random.default_rng(seed).integers(0, 4, len(X))
    weighted = steps(X, name, init, sample_weight=copies)
    repeated = steps(np.repeat(X, copies, axis=0), name, np.repeat(init, copies, axis=0))
    assert_same_mixture(weighted.params, repeated.params, 1e-10)
    for number in ("log_likelihood", "bic", "aic", "icl", "entropy", "total_weight"):
        np.testing.assert_allclose(getattr(weighted, number), getattr(repeated, number), rtol=1e-10)


@every_family
@LAW
@given(SEED)
def test_the_fit_is_a_member_of_the_family(name: str, seed: int) -> None:
    X, init = problem(seed)
    em = fit_em(X * [1.0, 20.0, 0.3], N_COMPONENTS, covariance=name, init=init, tol=1e-6)
    assert_member(name, em.params.covariances)


@pytest.mark.parametrize(
    ("name", "larger"),
    [
        (a, b)
        for a, b in product(FOURTEEN, repeat=2)
        if sum(x != y for x, y in zip(a, b, strict=True)) == 1
        and all(x == y or LARGER.get(x) == y for x, y in zip(a, b, strict=True))
    ],
)
def test_a_larger_family_fits_at_least_as_well(name: str, larger: str) -> None:
    """Started where the smaller family ended, it has the same log-likelihood before the first step and more after it."""
    X, init = problem(2)
    em = steps(X, name, init)
    there, beyond = (steps(X, larger, em.params, max_iter=n) for n in (0, 15))
    assert em.n_parameters < there.n_parameters
    np.testing.assert_allclose(there.log_likelihood, em.log_likelihood, rtol=1e-11)
    assert_same_mixture(there.params, em.params)
    assert beyond.log_likelihood > em.log_likelihood


@every_family
def test_one_column_and_one_component(name: str) -> None:
    """With one component, families differ by shape and orientation only; with one column, by volume only."""
    X, init = problem(3)
    one_component = fit_em(X, 1, covariance=name)
    same = name[1:].replace("V", "E")
    assert_same_mixture(one_component.params, fit_em(X, 1, covariance=f"E{same}").params, 1e-12)
    one_column = steps(X[:, :1], name, init)
    # A common spectrum of one entry is the volume; what shapes and orientations say is empty.
    assert_same_mixture(one_column.params, steps(X[:, :1], name[0], init).params, 1e-12)
