"""The step that columns were recorded to: found in rounded data, checked where given."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bayesgmm.data import check_resolution, detect_resolution, validate
from bayesgmm.datasets import load_faithful, load_galaxies, load_iris
from bayesgmm.errors import InputError


def found(values: object) -> float:
    return float(detect_resolution(np.asarray(values, dtype=np.float64)[:, None])[0])


@settings(derandomize=True, deadline=None, max_examples=200)
@given(
    st.sampled_from([0.001, 0.01, 0.1, 0.5, 0.25, 1.0, 10.0, 1000.0]), st.integers(-100_000, 100_000), st.integers(0, 2**32 - 1)
)
def test_the_grid_is_found_exactly(step: float, first: int, seed: int) -> None:
    """Neighbours on the grid somewhere in the data, ties elsewhere; 12 digits of the largest value are left of the step."""
    places = np.random.default_rng(seed).integers(-50, 50, 60)
    values = (first + np.concatenate([places, [3, 4, 4]])) * step
    assert found(values) == step


def test_noise_of_the_arithmetic_is_no_gap() -> None:
    assert found([0.1 + 0.2, 0.3, 0.2, 0.1]) == 0.1
    assert found([7.1, 7.2, 7.2, 5.9 + 1.0]) == 0.1
    assert found(np.array([0.1, 0.2, 0.2, 0.7], dtype=np.float32)) == pytest.approx(0.1, rel=1e-6)


def test_columns_of_real_data() -> None:
    assert detect_resolution(load_iris().select_dtypes("number").to_numpy()).tolist() == [0.1] * 4
    assert detect_resolution(load_faithful().to_numpy()).tolist() == [0.001, 1.0]
    assert detect_resolution(load_galaxies().to_numpy()).tolist() == [0.0]  # 82 velocities, all different


def test_what_does_not_tie_has_no_step() -> None:
    normal = np.random.default_rng(0).normal(size=1000)
    assert found(normal) == 0.0
    assert found([1.0, 2.0, 3.0]) == 0.0
    assert found([5.0, 5.0]) == 0.0
    assert found([0.0, 0.0]) == 0.0
    assert found([4.0]) == 0.0


def test_ties_among_continuous_values_are_no_grid() -> None:
    """Copied rows, values cut off at 0, logarithms of rounded values."""
    normal = np.random.default_rng(0).normal(size=1000)
    rounded = np.round(np.exp(normal), 1) + 0.1
    for values in (np.concatenate([normal, normal[:100]]), np.maximum(normal, 0.0), np.log(rounded)):
        assert len(np.unique(values)) < len(values)
        assert found(values) == 0.0
    assert found(rounded) == pytest.approx(0.1)


def test_units_go_through() -> None:
    iris = load_iris().select_dtypes("number").to_numpy()
    for unit in (1 / 2.54, 1e-30, 1e30, np.pi):
        np.testing.assert_allclose(detect_resolution(iris * unit), 0.1 * unit, rtol=1e-9)
    np.testing.assert_allclose(detect_resolution(iris + 1e6), 0.1, rtol=1e-5)


def test_a_number_is_for_every_column_and_none_is_detected() -> None:
    faithful = validate(load_faithful())
    assert check_resolution(None, faithful).tolist() == [0.001, 1.0]
    assert check_resolution(0, faithful).tolist() == [0.0, 0.0]
    assert check_resolution(np.float32(0.5), faithful).tolist() == [0.5, 0.5]
    assert check_resolution([0, 10], faithful).tolist() == [0.0, 10.0]
    assert check_resolution((0.5, 1.0), faithful).dtype == np.float64


@pytest.mark.parametrize(
    ("resolution", "said"),
    [
        (-0.1, r"resolution of column 'eruptions' is -0\.1: it is the step .* at least 0"),
        ([0.1, np.nan], "resolution of column 'waiting' is nan"),
        (np.inf, "resolution of column 'eruptions' is inf"),
        ([0.1, 0.1, 0.1], r"or one for each of the 2 columns; got an array of shape \(3,\)"),
        ([[0.1, 0.1]], r"got an array of shape \(1, 2\)"),
        ([], r"got an array of shape \(0,\)|got \[\]"),
        ("auto", "or one for each of the 2 columns; got 'auto'"),
        (True, "got True"),
        ([0.1, "x"], r"got \[0\.1, 'x'\]"),
        ([True, False], r"got \[True, False\]"),
        ([[0.1], [0.1, 0.2]], r"got \[\[0\.1\], \[0\.1, 0\.2\]\]"),
        ({"waiting": 1.0}, "got {'waiting': 1.0}"),
    ],
)
def test_refusals(resolution: object, said: str) -> None:
    with pytest.raises(InputError, match=said):
        check_resolution(resolution, validate(load_faithful()))
