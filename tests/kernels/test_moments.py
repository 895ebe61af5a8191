"""The fused E-step: against the NumPy twin and an exact computation, and the laws of sums over rows."""

from decimal import Decimal, localcontext

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bayesgmm.kernels import reference
from bayesgmm.kernels.density import compute_log_density
from bayesgmm.kernels.moments import Moments, add_moments, compute_moments
from bayesgmm.kernels.rows import rows_of
from tests.kernels.cases import SIZES, arrays_of, case, layouts
from tests.problems import Array

LAW = settings(derandomize=True, deadline=None, max_examples=30)
SIZE = st.tuples(st.integers(1, 400), st.integers(1, 3), st.integers(1, 3))  # N, D, K


def assert_close(actual: Moments, expected: Moments, tolerance: float) -> None:
    """Equal to `tolerance` times the sum of the absolute values that were added up."""
    size = max(float(expected.counts.sum()), 1.0)
    spread = np.abs(expected.scatters).max() + size
    np.testing.assert_allclose(
        actual.log_likelihood, expected.log_likelihood, rtol=tolerance, atol=tolerance * size, err_msg="log_likelihood"
    )
    for name in ("counts", "sums", "scatters"):
        np.testing.assert_allclose(
            getattr(actual, name), getattr(expected, name), rtol=tolerance, atol=tolerance * spread, err_msg=name
        )


def assert_identical(actual: Moments, expected: Moments) -> None:
    for name in Moments._fields:
        np.testing.assert_array_equal(getattr(actual, name), getattr(expected, name), name)


@pytest.mark.parametrize(("n_samples", "n_features", "n_components"), SIZES)
def test_equal_to_the_twin(n_samples: int, n_features: int, n_components: int) -> None:
    X, params = case(n_samples, n_features, n_components)
    row_weights = np.random.default_rng(0).integers(0, 4, n_samples) / 2
    tolerance = 1e-12 if n_features < 17 else 1e-10  # the condition of the 17-dimensional scale_trils
    for weights in (None, row_weights):
        moments = compute_moments(rows_of(X, weights), *arrays_of(params))
        twin = reference.moments(X, *arrays_of(params), np.ones(n_samples) if weights is None else weights)
        assert_close(moments, twin, tolerance)
        np.testing.assert_array_equal(moments.scatters, moments.scatters.swapaxes(1, 2))


def test_counts_add_up_to_the_weights() -> None:
    X, params = case(500, 5, 3)
    row_weights = np.random.default_rng(0).uniform(0, 2, 500)
    np.testing.assert_allclose(
        compute_moments(rows_of(X, row_weights), *arrays_of(params)).counts.sum(), row_weights.sum(), rtol=1e-14
    )


def test_log_likelihood_is_the_sum_of_log_densities() -> None:
    X, params = case(1000, 2, 3)
    total = compute_log_density(X, *arrays_of(params)).sum()
    np.testing.assert_allclose(compute_moments(rows_of(X), *arrays_of(params)).log_likelihood, total, rtol=1e-14)


def test_any_memory_layout() -> None:
    X, params = case(300, 2, 3)
    compiled = len(add_moments.signatures)
    for same in layouts(X).values():
        assert_identical(compute_moments(rows_of(same), *arrays_of(params)), compute_moments(rows_of(X), *arrays_of(params)))
    assert len(add_moments.signatures) == max(compiled, 1)


@pytest.mark.parametrize("n_threads", [2, 3, 8])
def test_threads_change_no_bit(n_threads: int) -> None:
    X, params = case(40_000, 2, 3)
    row_weights = np.random.default_rng(0).uniform(0, 2, len(X))
    for weights in (None, row_weights):
        one = compute_moments(rows_of(X, weights), *arrays_of(params), n_threads=1)
        assert_identical(compute_moments(rows_of(X, weights), *arrays_of(params), n_threads=n_threads), one)


@LAW
@given(SIZE, st.floats(0, 1))
def test_moments_of_two_parts_add_up(size: tuple[int, int, int], where: float) -> None:
    X, params = case(*size)
    cut = round(where * len(X))
    row_weights = np.random.default_rng(0).uniform(0, 2, len(X))
    parts = [compute_moments(rows_of(X[part], row_weights[part]), *arrays_of(params)) for part in (slice(cut), slice(cut, None))]
    assert_close(parts[0] + parts[1], compute_moments(rows_of(X, row_weights), *arrays_of(params)), 1e-13)


@LAW
@given(SIZE)
def test_doubling_the_weights_doubles_everything(size: tuple[int, int, int]) -> None:
    X, params = case(*size)
    row_weights = np.random.default_rng(0).uniform(0, 2, len(X))
    once, twice = (compute_moments(rows_of(X, factor * row_weights), *arrays_of(params)) for factor in (1.0, 2.0))
    assert_identical(twice, Moments(*(2 * part for part in once)))  # a factor of 2 rounds nothing


@LAW
@given(SIZE)
def test_a_weight_is_a_number_of_copies(size: tuple[int, int, int]) -> None:
    X, params = case(*size)
    copies = np.random.default_rng(0).integers(0, 4, len(X))
    weighted = compute_moments(rows_of(X, copies.astype(float)), *arrays_of(params))
    assert_close(weighted, compute_moments(rows_of(np.repeat(X, copies, axis=0)), *arrays_of(params)), 1e-13)


@pytest.mark.parametrize("n_features", [2, 3, 4, 7, 33])
def test_only_variances_are_the_diagonals(n_features: int) -> None:
    X, params = case(300, n_features, 3)
    rows = rows_of(X, np.random.default_rng(0).uniform(0, 2, len(X)))
    full, diagonal = (compute_moments(rows, *arrays_of(params), only_variances=only) for only in (False, True))
    assert_identical(diagonal, full._replace(scatters=full.scatters * np.eye(n_features)))


@pytest.mark.parametrize("n_features", [5, 8, 33])
def test_factors_with_zeros(n_features: int) -> None:
    """Columns of zeros at the left of a factor's tiles are passed over: diagonal, block-diagonal and arrow-shaped factors."""
    X, params = case(200, n_features, 3)
    weights, means, trils = arrays_of(params)
    trils[0] = np.diag(np.diag(trils[0]))
    trils[1, n_features // 2 :, : n_features // 2] = 0.0
    trils[2, : n_features - 1] *= np.eye(n_features)[:-1]
    moments = compute_moments(rows_of(X), weights, means, trils)
    assert_close(moments, reference.moments(X, weights, means, trils, np.ones(len(X))), 1e-11)


@pytest.mark.parametrize("gap", [0.0, 5.0, 9.0, 10.0, 30.0])
def test_well_separated_components(gap: float) -> None:
    """Rows that are negligible for a component are left out of its moments, which changes nothing beyond rounding."""
    rng = np.random.default_rng(0)
    means = np.zeros((3, 5))
    means[1, 2], means[2, 4] = gap, 2 * gap
    X = means[rng.integers(3, size=500)] + rng.normal(size=(500, 5))
    trils = np.tile(np.eye(5), (3, 1, 1))
    weights = np.array([0.6, 0.4 - 1e-5, 1e-5])
    moments = compute_moments(rows_of(X), weights, means, trils)
    assert_close(moments, reference.moments(X, weights, means, trils, np.ones(500)), 1e-14)


def test_no_rows_have_no_moments() -> None:
    _, params = case(1, 2, 3)
    moments = compute_moments(rows_of(np.empty((0, 2))), *arrays_of(params))
    assert moments.log_likelihood == 0.0
    assert not any(part.any() for part in moments[1:])


def test_a_row_of_weight_0_counts_for_nothing_even_where_its_density_is_0() -> None:
    X, params = case(200, 2, 3)
    row_weights = np.ones(202)
    row_weights[[0, 130]] = 0.0
    with_strays = np.insert(X, [0, 129], [[1e200, -1e200], [1e300, 0.0]], axis=0)
    assert compute_log_density(with_strays, *arrays_of(params))[[0, 130]].tolist() == [-np.inf, -np.inf]
    assert_close(
        compute_moments(rows_of(with_strays, row_weights), *arrays_of(params)),
        compute_moments(rows_of(X), *arrays_of(params)),
        1e-14,
    )


def test_a_row_of_density_0_makes_the_likelihood_0() -> None:
    X, params = case(200, 2, 3)
    X[7] = 1e200
    assert compute_moments(rows_of(X), *arrays_of(params)).log_likelihood == -np.inf


@pytest.mark.parametrize("empty", [0, 1, 2])
def test_a_component_of_weight_0_gets_nothing(empty: int) -> None:
    X, params = case(200, 2, 3)
    weights = params.weights.copy()
    weights[empty] = 0.0
    rest = np.delete(np.arange(3), empty)
    moments = compute_moments(rows_of(X), weights, params.means, params.scale_trils)
    without = compute_moments(rows_of(X), weights[rest], params.means[rest], params.scale_trils[rest])
    assert not any(part[empty].any() for part in moments[1:])
    assert_identical(Moments(moments.log_likelihood, *(part[rest] for part in moments[1:])), without)


def test_a_narrow_component_far_from_the_origin_costs_no_digits() -> None:
    """Sums about the component's own mean: relative error stays at rounding with a mean of 1e6 scales."""
    rng = np.random.default_rng(0)
    X = 1.0 + 2.0**-20 * rng.integers(-3, 4, size=(300, 2))
    tril = 2.0**-20 * np.array([[1.0, 0.0], [0.5, 1.0]])
    moments = compute_moments(rows_of(X), np.ones(1), np.ones((1, 2)), tril[None])
    deviations = X - 1.0  # exact
    np.testing.assert_allclose(moments.scatters[0], deviations.T @ deviations, rtol=1e-14)


def exact_log_likelihood(X: Array, weights: Array, means: Array, scale_trils: Array) -> Decimal:
    """The same sum in 50 digits, from the floats as they are."""
    with localcontext(prec=50):
        two_pi = 2 * Decimal("3.14159265358979323846264338327950288419716939937510582097494")
        total = Decimal(0)
        for row in X:
            density = Decimal(0)
            for weight, mean, tril in zip(weights, means, scale_trils, strict=True):
                z: list[Decimal] = []
                for i in range(len(mean)):
                    rest = sum((Decimal(tril[i, j]) * z[j] for j in range(i)), Decimal(0))
                    z.append((Decimal(row[i]) - Decimal(mean[i]) - rest) / Decimal(tril[i, i]))
                determinant = two_pi ** (Decimal(len(mean)) / 2)
                for i in range(len(mean)):
                    determinant *= Decimal(tril[i, i])
                density += Decimal(weight) * (-sum((value**2 for value in z), Decimal(0)) / 2).exp() / determinant
            total += density.ln()
        return total


@pytest.mark.parametrize("condition", [1.0, 1e6, 1e10])
@pytest.mark.parametrize("n_features", [3, 6])
def test_ill_conditioned_covariances(n_features: int, condition: float) -> None:
    """The condition number of the covariances is `condition`, that of their scale_trils its root."""
    rng = np.random.default_rng(0)
    orthogonal = np.linalg.qr(rng.normal(size=(2, n_features, n_features)))[0]
    spread = np.geomspace(1.0, 1 / np.sqrt(condition), n_features)
    trils = np.linalg.qr((orthogonal * spread).swapaxes(1, 2))[1].swapaxes(1, 2)
    trils = np.tril(trils * np.sign(np.diagonal(trils, axis1=1, axis2=2))[:, None, :])
    np.testing.assert_allclose(np.linalg.cond(trils) ** 2, condition, rtol=1e-5)
    weights, means = np.array([0.3, 0.7]), rng.normal(size=(2, n_features))
    labels = np.repeat([0, 1], 25)
    X = means[labels] + np.einsum("nij,nj->ni", trils[labels], rng.normal(size=(50, n_features)))
    exact = float(exact_log_likelihood(X, weights, means, trils))
    actual = compute_moments(rows_of(X), weights, means, trils).log_likelihood
    assert abs(actual - exact) <= 1e-12 * abs(exact)
