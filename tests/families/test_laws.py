"""The laws that the family protocol asks for."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bayesgmm.families import FAMILIES
from bayesgmm.families.common_orientation import orientation_gradient_norm
from tests.families.cases import (
    ANY_DIMENSION,
    SEARCHED,
    assert_member,
    expected_log_likelihood,
    perturbed,
    statistics,
)
from tests.problems import Array

LAW = settings(derandomize=True, deadline=None, max_examples=15)
SIZE = st.tuples(st.integers(0, 2**32 - 1), st.integers(1, 5), st.integers(1, 5))  # seed, K, D
Size = tuple[int, int, int]
every_family = pytest.mark.parametrize("name", ANY_DIMENSION)
NESTED = [
    ("EII", "VII"),
    ("EII", "EEI"),
    ("VII", "VEI"),
    ("EEI", "VEI"),
    ("EEI", "EVI"),
    ("VEI", "VVI"),
    ("EVI", "VVI"),
    ("EEI", "EEE"),
    ("VEI", "VEE"),
    ("EEE", "VEE"),
    ("EEE", "EVE"),
    ("EEE", "EEV"),
    ("VEE", "VEV"),
    ("EVE", "EVV"),
    ("VVE", "VVV"),
    ("EEV", "VEV"),
    ("EEV", "EVV"),
    ("VEV", "VVV"),
    ("EVV", "VVV"),
    ("VVI", "VVV"),
    ("EVI", "EVV"),
    ("EVE", "VVV"),
]


def best_value(name: str, counts: Array, scatters: Array) -> float:
    return expected_log_likelihood(counts, scatters, FAMILIES[name].maximise(counts, scatters))


@every_family
@LAW
@given(SIZE)
def test_the_result_is_a_member_of_the_family(name: str, size: Size) -> None:
    counts, scatters = statistics(np.random.default_rng(size[0]), *size[1:])
    before = scatters.copy()
    assert_member(name, FAMILIES[name].maximise(counts, scatters))
    np.testing.assert_array_equal(scatters, before)


@every_family
@LAW
@given(SIZE)
def test_no_other_member_is_better(name: str, size: Size) -> None:
    rng = np.random.default_rng(size[0])
    counts, scatters = statistics(rng, *size[1:])
    best = FAMILIES[name].maximise(counts, scatters)
    top = expected_log_likelihood(counts, scatters, best)
    for step in (1e-3, 1e-2) if name in SEARCHED else (1e-3, 1e-2, 0.1, 1.0):
        for _ in range(5):
            other = perturbed(rng, name, best, step)
            assert expected_log_likelihood(counts, scatters, other) < top + 1e-13 * abs(top)


@pytest.mark.parametrize("name", ["EEE", "VEE", "EVE", "VVE"])
@pytest.mark.parametrize(("n_components", "n_features"), [(1, 4), (2, 2), (3, 5), (9, 6), (4, 12)])
def test_a_common_orientation_is_stationary(name: str, n_components: int, n_features: int) -> None:
    rng = np.random.default_rng([n_components, n_features])
    for _ in range(5):
        counts, scatters = statistics(rng, n_components, n_features)
        covariances = FAMILIES[name].maximise(counts, scatters)
        assert orientation_gradient_norm(counts, scatters, covariances) < 1e-9


def test_the_orientation_gradient_is_a_derivative() -> None:
    rng = np.random.default_rng(3)
    counts, scatters = statistics(rng, 3, 2)
    covariances = FAMILIES["VVE"].maximise(*statistics(rng, 3, 2))
    step = 1e-5
    turn = np.array([[np.cos(step), -np.sin(step)], [np.sin(step), np.cos(step)]])
    forward = expected_log_likelihood(counts, scatters, turn @ covariances @ turn.T)
    backward = expected_log_likelihood(counts, scatters, turn.T @ covariances @ turn)
    slope = (forward - backward) / (2 * step) / counts.sum()
    # A turn by one radian is a generator of norm sqrt(2).
    np.testing.assert_allclose(np.sqrt(2) * orientation_gradient_norm(counts, scatters, covariances), abs(slope), rtol=1e-7)


@every_family
@LAW
@given(SIZE)
def test_a_guess_is_never_better_than_the_answer(name: str, size: Size) -> None:
    """What keeps EM from falling: the guess is the parameters of the iteration before."""
    rng = np.random.default_rng(size[0])
    counts, scatters = statistics(rng, *size[1:])
    others = FAMILIES[name].maximise(*statistics(rng, *size[1:]))
    for guess in (others, perturbed(rng, name, FAMILIES[name].maximise(counts, scatters), 0.1)):
        answer = FAMILIES[name].maximise(counts, scatters, guess)
        assert_member(name, answer)
        value = expected_log_likelihood(counts, scatters, answer)
        assert expected_log_likelihood(counts, scatters, guess) <= value + 1e-13 * abs(value)


@every_family
@LAW
@given(SIZE)
def test_the_answer_is_its_own_answer(name: str, size: Size) -> None:
    counts, scatters = statistics(np.random.default_rng(size[0]), *size[1:])
    best = FAMILIES[name].maximise(counts, scatters)
    again = FAMILIES[name].maximise(counts, scatters, best)
    np.testing.assert_allclose(again, best, rtol=1e-9, atol=1e-9 * np.abs(best).max())


@every_family
@LAW
@given(SIZE)
def test_permuting_the_components(name: str, size: Size) -> None:
    rng = np.random.default_rng(size[0])
    counts, scatters = statistics(rng, *size[1:])
    order = rng.permutation(len(counts))
    moved = FAMILIES[name].maximise(counts[order], scatters[order])
    expected = FAMILIES[name].maximise(counts, scatters)[order]
    np.testing.assert_allclose(moved, expected, rtol=1e-9, atol=1e-9 * np.abs(expected).max())


@every_family
@LAW
@given(SIZE, st.floats(1e-6, 1e6))
def test_one_factor_on_counts_and_scatters_changes_nothing(name: str, size: Size, factor: float) -> None:
    counts, scatters = statistics(np.random.default_rng(size[0]), *size[1:])
    scaled = FAMILIES[name].maximise(factor * counts, factor * scatters)
    expected = FAMILIES[name].maximise(counts, scatters)
    np.testing.assert_allclose(scaled, expected, rtol=1e-9, atol=1e-9 * np.abs(expected).max())


@every_family
@LAW
@given(SIZE, st.floats(1e-100, 1e100))
def test_one_factor_on_the_data(name: str, size: Size, factor: float) -> None:
    counts, scatters = statistics(np.random.default_rng(size[0]), *size[1:])
    expected = FAMILIES[name].maximise(counts, scatters)
    scaled = FAMILIES[name].maximise(counts, factor * scatters) / factor
    np.testing.assert_allclose(scaled, expected, rtol=1e-9, atol=1e-9 * np.abs(expected).max())


@pytest.mark.parametrize("name", [name for name in ANY_DIMENSION if FAMILIES[name].column_equivariant])
@LAW
@given(SIZE)
def test_a_factor_on_each_column(name: str, size: Size) -> None:
    rng = np.random.default_rng(size[0])
    counts, scatters = statistics(rng, *size[1:])
    factors = np.exp(rng.normal(scale=5, size=size[2]))
    outer = np.outer(factors, factors)
    expected = FAMILIES[name].maximise(counts, scatters)
    scaled = FAMILIES[name].maximise(counts, outer * scatters) / outer
    np.testing.assert_allclose(scaled, expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("name", [name for name in ANY_DIMENSION if not FAMILIES[name].column_equivariant])
def test_the_other_families_change_with_the_scale_of_a_column(name: str) -> None:
    counts, scatters = statistics(np.random.default_rng(0), 3, 2)
    outer = np.outer([1.0, 3.0], [1.0, 3.0])
    scaled = FAMILIES[name].maximise(counts, outer * scatters) / outer
    assert not np.allclose(scaled, FAMILIES[name].maximise(counts, scatters), rtol=1e-3)


@pytest.mark.parametrize("name", ["EII", "VII", *(name for name in ANY_DIMENSION if name[2] != "I")])
@LAW
@given(SIZE)
def test_rotating_the_data(name: str, size: Size) -> None:
    rng = np.random.default_rng(size[0])
    counts, scatters = statistics(rng, *size[1:])
    turn = np.linalg.qr(rng.normal(size=(size[2], size[2])))[0]
    best = FAMILIES[name].maximise(counts, scatters)
    turned = FAMILIES[name].maximise(counts, turn @ scatters @ turn.T, turn @ best @ turn.T)
    np.testing.assert_allclose(turned, turn @ best @ turn.T, rtol=1e-9, atol=1e-9 * np.abs(best).max())


@pytest.mark.parametrize("pair", NESTED, ids="<".join)
@LAW
@given(SIZE)
def test_a_larger_family_fits_better(pair: tuple[str, str], size: Size) -> None:
    counts, scatters = statistics(np.random.default_rng(size[0]), *size[1:])
    smaller, larger = (best_value(name, counts, scatters) for name in pair)
    assert smaller <= larger + 1e-13 * abs(larger)


@pytest.mark.parametrize("name", [name for name in ANY_DIMENSION if FAMILIES[name].only_variances])
@LAW
@given(SIZE)
def test_diagonal_families_need_only_the_variances(name: str, size: Size) -> None:
    counts, scatters = statistics(np.random.default_rng(size[0]), *size[1:])
    diagonal = scatters * np.eye(size[2])
    np.testing.assert_array_equal(FAMILIES[name].maximise(counts, diagonal), FAMILIES[name].maximise(counts, scatters))


@pytest.mark.parametrize("name", FAMILIES)
def test_in_one_column_there_are_two_families(name: str) -> None:
    counts, scatters = statistics(np.random.default_rng(1), 4, 1)
    pooled = np.full((4, 1, 1), scatters.sum() / counts.sum())
    expected = pooled if name[0] == "E" else scatters / counts[:, None, None]
    np.testing.assert_allclose(FAMILIES[name].maximise(counts, scatters), expected, rtol=1e-13)
    assert FAMILIES[name].n_covariance_parameters(4, 1) == (1 if name[0] == "E" else 4)
