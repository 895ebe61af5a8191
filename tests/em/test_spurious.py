"""Signs of spurious optima."""

import numpy as np
import pytest

from bayesgmm.em.spurious import NARROW, spurious_signs
from bayesgmm.params import MixtureParams
from tests.problems import random_params


def mixture(weights: list[float], variances: list[list[float]]) -> MixtureParams:
    n_components, n_features = np.shape(variances)
    means = np.arange(n_components * n_features, dtype=float).reshape(n_components, n_features)
    return MixtureParams.from_covariances(weights, means, [np.diag(values) for values in variances])


def test_a_sound_mixture_has_none() -> None:
    rng = np.random.default_rng(0)
    for n_components, n_features in [(1, 1), (2, 3), (5, 2)]:
        assert spurious_signs(random_params(rng, n_components, n_features), 1000.0) == ()


@pytest.mark.parametrize(("n_rows", "n_signs"), [(3.4, 1), (3.6, 0)])
def test_few_rows(n_rows: float, n_signs: int) -> None:
    """D + 1.5 is the limit: 3.5 rows in two columns."""
    weight = n_rows / 100
    signs = spurious_signs(mixture([1 - weight, weight], [[1.0, 1.0], [1.0, 1.0]]), 100.0)
    assert signs == (f"component 1 holds only {n_rows} rows in 2 columns",) * n_signs


@pytest.mark.parametrize(("variance", "n_signs"), [(0.4 * NARROW, 1), (0.6 * NARROW, 0)])
def test_a_narrow_direction(variance: float, n_signs: int) -> None:
    """Against the average variance in that direction, here 1/2 for the two components together."""
    signs = spurious_signs(mixture([0.5, 0.5], [[1.0, variance], [1.0, 1.0]]), 1000.0)
    assert len(signs) == n_signs
    if signs:
        times = np.sqrt((1 + variance) / 2 / variance)
        assert signs[0] == f"component 0 is {times:.3g} times narrower than the average in one direction"


def test_a_narrow_data_set_is_no_sign() -> None:
    """Every component is flat in the same direction: the data are."""
    assert spurious_signs(mixture([0.5, 0.5], [[1.0, 1e-9], [1.0, 1e-9]]), 1000.0) == ()


def test_a_direction_between_the_columns() -> None:
    narrow = np.array([[1.0, 1.0 - 1e-6], [1.0 - 1e-6, 1.0]])
    params = MixtureParams.from_covariances([0.5, 0.5], np.zeros((2, 2)), [narrow, np.eye(2)])
    (sign,) = spurious_signs(params, 1000.0)
    assert sign.startswith("component 0 is ")


def test_both_signs_in_the_order_of_the_components() -> None:
    signs = spurious_signs(mixture([0.01, 0.98, 0.01], [[1e-8, 1.0], [1.0, 1.0], [1.0, 1.0]]), 200.0)
    assert [sign.split(" is ")[0].split(" holds")[0] for sign in signs] == ["component 0", "component 0", "component 2"]


@pytest.mark.parametrize("unit", [1e-100, 1e-3, 1e100])
def test_units_do_not_matter(unit: float) -> None:
    """Nor does any invertible map of the rows."""
    params = mixture([0.02, 0.98], [[1e-6, 1.0], [1.0, 1.0]])
    expected = spurious_signs(params, 100.0)
    assert len(expected) == 2
    assert spurious_signs(params.affine(np.array([unit, 7.0]), np.array([3.0, -1.0])), 100.0) == expected
    transform = np.array([[2.0, 0.3], [-0.4, 1.0]])
    covariances = transform @ params.covariances @ transform.T
    assert spurious_signs(MixtureParams.from_covariances(params.weights, params.means, covariances), 100.0) == expected
