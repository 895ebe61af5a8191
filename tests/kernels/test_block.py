"""The inlined exponential against NumPy's."""

import numpy as np

from bayesgmm.kernels.block import exp_nonpositive


def exp_of(x: np.ndarray) -> np.ndarray:
    return np.array([exp_nonpositive(value) for value in x])


def test_exp_is_within_2_ulp_down_to_minus_708() -> None:
    rng = np.random.default_rng(0)
    x = np.concatenate([-rng.uniform(0, 708, 20_000), -np.logspace(-320, 2.85, 2_000), [-708.0]])
    exact = np.exp(x.astype(np.longdouble))  # 11 bits more where the platform has them
    error = np.abs(exp_of(x) - exact) / np.spacing(np.exp(x))
    assert error.max() < 2


def test_exp_at_the_edges() -> None:
    np.testing.assert_array_equal(exp_of(np.array([0.0, -0.0, -5e-324])), 1.0)
    np.testing.assert_array_equal(exp_of(np.array([np.nextafter(-708.0, -np.inf), -745.0, -1e300, -np.inf])), 0.0)
    assert exp_nonpositive(-708.0) > 0


def test_exp_never_falls() -> None:
    x = np.sort(-np.random.default_rng(1).uniform(0, 50, 20_000))
    assert (np.diff(exp_of(x)) >= 0).all()
