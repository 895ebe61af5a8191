"""Rows: standardised and weighted while a block is loaded, as if it had been done before."""

import numpy as np
import pytest

from bayesgmm.kernels.moments import Moments, compute_moments
from bayesgmm.kernels.rows import Rows, rows_of
from tests.kernels.cases import arrays_of, case


def assert_identical(actual: Moments, expected: Moments) -> None:
    for name in Moments._fields:
        np.testing.assert_array_equal(getattr(actual, name), getattr(expected, name), name)


@pytest.mark.parametrize("n_features", [1, 2, 3, 4, 9])
@pytest.mark.parametrize(("offset", "factor"), [(0.0, 1.0), (3.0, 0.1), (1e12, 1.0), (0.0, 1e150), (0.0, 1e-150), (-1e12, 1e5)])
def test_equal_to_rows_standardised_before(n_features: int, offset: float, factor: float) -> None:
    Z, params = case(300, n_features, 3)
    X = offset + factor * Z
    location, scale = X.mean(axis=0), factor * np.linspace(0.5, 2.0, n_features)
    row_weights = np.random.default_rng(0).uniform(0, 2, len(X))
    actual = compute_moments(rows_of(X, row_weights, location, scale), *arrays_of(params))
    assert_identical(actual, compute_moments(rows_of((X - location) / scale, row_weights), *arrays_of(params)))


@pytest.mark.parametrize("n_features", [2, 5])
def test_no_weights_are_weights_of_1(n_features: int) -> None:
    X, params = case(300, n_features, 3)
    rows = rows_of(X)
    assert rows.weights.shape == (0,)
    assert_identical(compute_moments(rows, *arrays_of(params)), compute_moments(rows_of(X, np.ones(len(X))), *arrays_of(params)))


def test_the_matrix_is_not_copied() -> None:
    X, _ = case(300, 2, 3)
    weights = np.ones(300)
    X.flags.writeable = weights.flags.writeable = False
    rows = rows_of(X, weights)
    assert np.shares_memory(rows.X, X)
    assert np.shares_memory(rows.weights, weights)


def test_the_memory_outlives_its_owner() -> None:
    X, _ = case(300, 2, 3)
    expected = X.copy()
    X.flags.writeable = False
    rows = rows_of(X)
    del X
    np.testing.assert_array_equal(rows.X, expected)


def test_every_array_is_of_one_type() -> None:
    rows = rows_of(np.asfortranarray(np.arange(6).reshape(3, 2)), np.arange(6.0)[::2], [1, 2], np.float32([1, 2]))
    assert isinstance(rows, Rows)
    for array in rows:
        assert array.dtype == np.float64
        assert array.flags.c_contiguous
        assert array.flags.writeable
