"""The laws that the family protocol asks for, and the names under which families go."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bayesgmm.errors import InputError
from bayesgmm.families import ALIASES, FAMILIES, family_named
from tests.problems import Array

LAW = settings(derandomize=True, deadline=None, max_examples=30)
SIZE = st.tuples(st.integers(0, 2**32 - 1), st.integers(1, 5), st.integers(1, 5))  # seed, K, D
every_family = pytest.mark.parametrize("name", FAMILIES)


def statistics(rng: np.random.Generator, n_components: int, n_features: int) -> tuple[Array, Array]:
    """Counts (K,) and positive definite scatters (K, D, D)."""
    counts = rng.uniform(1, 50, n_components)
    factors = rng.normal(size=(n_components, n_features, n_features + 2))
    return counts, counts[:, None, None] * factors @ factors.swapaxes(1, 2)


def expected_log_likelihood(counts: Array, scatters: Array, covariances: Array) -> float:
    """Expected complete-data log-likelihood, up to what does not depend on the covariances."""
    log_det = np.linalg.slogdet(covariances)[1]
    traces = np.trace(np.linalg.solve(covariances, scatters), axis1=1, axis2=2)
    return float(-0.5 * (counts * log_det + traces).sum())


def perturbed(rng: np.random.Generator, covariances: Array, size: float) -> Array:
    """Other symmetric positive definite matrices: L (I + E) (I + E)' L' with small E."""
    trils = np.linalg.cholesky(covariances)
    factors = trils @ (np.eye(covariances.shape[1]) + size * rng.normal(size=covariances.shape))
    return factors @ factors.swapaxes(1, 2)


@every_family
@LAW
@given(SIZE)
def test_no_other_covariances_are_better(name: str, size: tuple[int, int, int]) -> None:
    rng = np.random.default_rng(size[0])
    counts, scatters = statistics(rng, *size[1:])
    best = FAMILIES[name].maximise(counts, scatters)
    top = expected_log_likelihood(counts, scatters, best)
    for step in (1e-3, 1e-2, 0.1, 1.0):
        for _ in range(5):
            other = perturbed(rng, best, step)
            # Second order in the step, of which 1e-3 squared times a count of 1 is far above rounding.
            assert expected_log_likelihood(counts, scatters, other) < top


@every_family
@LAW
@given(SIZE)
def test_permuting_the_components(name: str, size: tuple[int, int, int]) -> None:
    rng = np.random.default_rng(size[0])
    counts, scatters = statistics(rng, *size[1:])
    order = rng.permutation(len(counts))
    moved = FAMILIES[name].maximise(counts[order], scatters[order])
    np.testing.assert_array_equal(moved, FAMILIES[name].maximise(counts, scatters)[order])


@every_family
@LAW
@given(SIZE, st.floats(1e-6, 1e6))
def test_one_factor_on_counts_and_scatters_changes_nothing(name: str, size: tuple[int, int, int], factor: float) -> None:
    counts, scatters = statistics(np.random.default_rng(size[0]), *size[1:])
    scaled = FAMILIES[name].maximise(factor * counts, factor * scatters)
    np.testing.assert_allclose(scaled, FAMILIES[name].maximise(counts, scatters), rtol=1e-14)


def test_the_unconstrained_maximum_is_scatter_over_count() -> None:
    X = np.random.default_rng(0).normal(size=(30, 3))
    deviations = X - X.mean(axis=0)
    covariances = family_named("VVV").maximise(np.array([30.0]), (deviations.T @ deviations)[None])
    np.testing.assert_allclose(covariances[0], np.cov(X.T, bias=True), rtol=1e-13)


@pytest.mark.parametrize(("n_components", "n_features", "number"), [(1, 1, 1), (2, 2, 6), (3, 2, 9), (1, 5, 15), (4, 3, 24)])
def test_number_of_free_covariance_parameters(n_components: int, n_features: int, number: int) -> None:
    assert family_named("VVV").n_covariance_parameters(n_components, n_features) == number


@every_family
def test_a_family_knows_its_name(name: str) -> None:
    assert FAMILIES[name].name == name
    assert family_named(name) is FAMILIES[name]


def test_an_alias_is_another_name_of_a_family() -> None:
    assert family_named("full") is family_named("VVV")
    assert set(ALIASES.values()) <= set(FAMILIES)


@pytest.mark.parametrize("name", ["vvv", "FULL", "", "XYZ", None, 3, ["VVV"]])
def test_an_unknown_name_lists_the_choices(name: object) -> None:
    with pytest.raises(InputError) as caught:
        family_named(name)  # type: ignore[arg-type]
    assert str(caught.value).startswith(f"covariance is {name!r}; choose one of: VVV")
    assert "full (= VVV)" in str(caught.value)
