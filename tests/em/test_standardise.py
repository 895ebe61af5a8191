"""Means and standard deviations of columns, whatever their units, and the rows in those units."""

from fractions import Fraction

import numpy as np
import pytest

from bayesgmm.data import validate
from bayesgmm.em.standardise import CHUNK_ROWS, column_moments, common_unit, standardised_rows
from bayesgmm.errors import InputError
from bayesgmm.families import family_named
from tests.problems import Array


def data(n_samples: int, n_features: int = 3) -> Array:
    rng = np.random.default_rng(n_samples)
    return rng.normal(size=(n_samples, n_features)) * rng.uniform(0.5, 5, n_features) + rng.normal(size=n_features)


@pytest.mark.parametrize("n_samples", [2, 100, CHUNK_ROWS - 1, CHUNK_ROWS, CHUNK_ROWS + 1, 3 * CHUNK_ROWS + 17])
def test_equal_to_numpy(n_samples: int) -> None:
    X = data(n_samples)
    location, scale = column_moments(validate(X), None)
    np.testing.assert_allclose(location, X.mean(axis=0), rtol=1e-12, atol=1e-13)
    np.testing.assert_allclose(scale, X.std(axis=0), rtol=1e-12)


@pytest.mark.parametrize("n_samples", [5, CHUNK_ROWS + 1, 3 * CHUNK_ROWS])
def test_weighted(n_samples: int) -> None:
    X = data(n_samples)
    row_weights: Array = np.random.default_rng(0).integers(0, 4, n_samples) * 0.5
    row_weights[0] = 1.0
    location, scale = column_moments(validate(X), row_weights)
    mean = np.average(X, axis=0, weights=row_weights)
    np.testing.assert_allclose(location, mean, rtol=1e-12, atol=1e-13)
    np.testing.assert_allclose(scale, np.sqrt(np.average((X - mean) ** 2, axis=0, weights=row_weights)), rtol=1e-12)


def test_rows_of_weight_0_are_not_there() -> None:
    """Not even as extremes, or where a whole chunk of rows has no weight."""
    X = data(2 * CHUNK_ROWS)
    row_weights = np.ones(len(X))
    row_weights[: CHUNK_ROWS + 5] = 0.0
    X[3] = 1e250
    location, scale = column_moments(validate(X), row_weights)
    rest = X[CHUNK_ROWS + 5 :]
    np.testing.assert_allclose(location, rest.mean(axis=0), rtol=1e-12, atol=1e-13)
    np.testing.assert_allclose(scale, rest.std(axis=0), rtol=1e-12)


@pytest.mark.parametrize("unit", [2.0**-500, 2.0**500])
def test_a_power_of_2_changes_no_bit(unit: float) -> None:
    X = data(200)
    moments, scaled = (column_moments(validate(rows), None) for rows in (X, X * unit))
    np.testing.assert_array_equal(scaled, np.multiply(moments, unit))


@pytest.mark.parametrize("offset", [1e7, 1e12, -1e15])
def test_an_offset_costs_no_digit(offset: float) -> None:
    """Against exact sums of the stored numbers."""
    X = data(50, 2) + offset
    location, scale = column_moments(validate(X), None)
    for j, column in enumerate(X.T):
        values = [Fraction(value) for value in column]
        mean = sum(values) / len(values)
        variance = sum((value - mean) ** 2 for value in values) / len(values)
        assert abs(location[j] - float(mean)) <= np.spacing(abs(offset))
        np.testing.assert_allclose(scale[j], np.sqrt(float(variance)), rtol=1e-13)


def test_columns_of_very_different_units() -> None:
    units = np.array([1e-150, 1.0, 1e150])
    location, scale = column_moments(validate(data(100) * units), None)
    np.testing.assert_allclose(location, data(100).mean(axis=0) * units, rtol=1e-12)
    np.testing.assert_allclose(scale, data(100).std(axis=0) * units, rtol=1e-12)


def test_a_range_that_overflows() -> None:
    """The largest minus the smallest value is beyond double precision: refused, with the column, and without a warning."""
    X = np.column_stack([np.arange(10.0), np.where(np.arange(10) % 2, 1.7e308, -1.7e308)])
    with pytest.raises(InputError, match=r"column 'x1' has values up to 1.7e\+308 and a spread of 1.7e\+308, beyond what"):
        column_moments(validate(X), None)


def test_a_spread_that_underflows() -> None:
    X = np.column_stack([np.arange(10.0), 1e-310 * np.arange(10.0)])
    with pytest.raises(InputError, match=r"column 'x1' .* change its unit"):
        column_moments(validate(X), None)


class TestCommonUnit:
    def test_root_mean_square(self) -> None:
        np.testing.assert_allclose(common_unit(np.array([3.0, 4.0])), np.sqrt(12.5), rtol=1e-15)
        assert common_unit(np.array([7.0])) == 7.0

    @pytest.mark.parametrize("unit", [1e-300, 1e300])
    def test_squares_do_not_overflow(self, unit: float) -> None:
        np.testing.assert_allclose(common_unit(np.array([3.0, 4.0]) * unit), np.sqrt(12.5) * unit, rtol=1e-14)


class TestRows:
    def test_each_column_in_its_own_unit(self) -> None:
        dataset = validate(data(100))
        rows = standardised_rows(dataset, None, family_named("VVV"))
        np.testing.assert_array_equal([rows.location, rows.scale], column_moments(dataset, None))
        Z = (rows.X - rows.location) / rows.scale
        np.testing.assert_allclose(Z.mean(axis=0), 0.0, atol=1e-14)
        np.testing.assert_allclose(Z.std(axis=0), 1.0, rtol=1e-13)
        assert rows.weights.size == 0

    @pytest.mark.parametrize("name", ["EII", "VII", "EVE", "VVE", "EEV", "VEV"])
    def test_one_unit_for_all_where_columns_cannot_be_rescaled(self, name: str) -> None:
        dataset = validate(data(100))
        rows = standardised_rows(dataset, None, family_named(name))
        assert len(set(rows.scale)) == 1
        Z = (rows.X - rows.location) / rows.scale
        np.testing.assert_allclose((Z**2).mean(), 1.0, rtol=1e-13)

    def test_nothing_is_copied(self) -> None:
        dataset = validate(data(100))
        row_weights = np.arange(100.0)
        rows = standardised_rows(dataset, row_weights, family_named("VVV"))
        assert np.shares_memory(rows.X, dataset.X)
        assert np.shares_memory(rows.weights, row_weights)
