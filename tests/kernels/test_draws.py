"""Kernels over many draws equal the kernels of one draw, draw by draw."""

import numpy as np
import pytest

from bayesgmm.kernels import reference
from bayesgmm.kernels.density import compute_log_density, compute_responsibilities
from bayesgmm.kernels.draws import classes_of_draws, log_density_of_draws, log_likelihood_of_draws, responsibilities_of_draws
from tests.problems import Array, random_params


def draws(n_draws: int, n_components: int = 3, n_features: int = 2) -> tuple[Array, tuple[Array, Array, Array]]:
    rng = np.random.default_rng([n_draws, n_components, n_features])
    each = [random_params(rng, n_components, n_features) for _ in range(n_draws)]
    stacked = tuple(np.array([getattr(p, name) for p in each]) for name in ("weights", "means", "scale_trils"))
    return rng.normal(scale=3, size=(150, n_features)), stacked  # type: ignore[return-value]  # three arrays


@pytest.mark.parametrize("n_draws", [1, 63, 64, 129, 200])
def test_equal_to_one_draw_at_a_time(n_draws: int) -> None:
    X, stacked = draws(n_draws)
    density, responsibilities = log_density_of_draws(X, *stacked), responsibilities_of_draws(X, *stacked)
    assert density.shape == (n_draws, 150)
    assert responsibilities.shape == (n_draws, 150, 3)
    for s, one in enumerate(zip(*stacked, strict=True)):
        np.testing.assert_array_equal(density[s], compute_log_density(X, *one))
        np.testing.assert_array_equal(responsibilities[s], compute_responsibilities(X, *one))


@pytest.mark.parametrize(("n_components", "n_features"), [(1, 1), (3, 2), (4, 5)])
def test_equal_to_the_twin(n_components: int, n_features: int) -> None:
    X, stacked = draws(10, n_components, n_features)
    density, responsibilities = log_density_of_draws(X, *stacked), responsibilities_of_draws(X, *stacked)
    for s, one in enumerate(zip(*stacked, strict=True)):
        np.testing.assert_allclose(density[s], reference.log_density(X, *one), rtol=1e-12)
        np.testing.assert_allclose(responsibilities[s], reference.responsibilities(X, *one), rtol=1e-11, atol=1e-14)


def test_log_likelihood_is_the_sum() -> None:
    X, stacked = draws(70)
    np.testing.assert_allclose(log_likelihood_of_draws(X, *stacked), log_density_of_draws(X, *stacked).sum(axis=1), rtol=1e-13)


@pytest.mark.parametrize("n_draws", [1, 129])
def test_classes_are_the_most_probable_components(n_draws: int) -> None:
    X, stacked = draws(n_draws)
    classes, expected = classes_of_draws(X, *stacked)
    assert classes.shape == (n_draws, len(X))
    for s, one in enumerate(zip(*stacked, strict=True)):
        gamma = reference.responsibilities(X, *one)
        np.testing.assert_array_equal(classes[s], gamma.argmax(axis=1))
        np.testing.assert_allclose(expected[s], gamma.sum(axis=0), rtol=1e-11)
