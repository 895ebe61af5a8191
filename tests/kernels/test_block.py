"""The inlined exponential and logarithm against NumPy's."""

import numpy as np
from numba import njit

from bayesgmm.kernels.block import exp_nonpositive, log_from_one


@njit
def exp_of(x):
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
    assert exp_of(np.array([-708.0]))[0] > 0


def test_exp_never_falls() -> None:
    x = np.sort(-np.random.default_rng(1).uniform(0, 50, 20_000))
    assert (np.diff(exp_of(x)) >= 0).all()


@njit
def log_of(x):
    return np.array([log_from_one(value) for value in x])


def test_log_is_within_2_ulp_from_1_on() -> None:
    rng = np.random.default_rng(0)
    near = 1 + np.logspace(-15.9, 0, 5_000)  # where it is small itself
    powers = 2.0 ** np.arange(1, 200)
    beside = np.concatenate([np.nextafter(powers, 0), powers, powers * np.sqrt(2), np.nextafter(powers * np.sqrt(2), 0)])
    x = np.concatenate([near, rng.uniform(1, 100, 10_000), np.geomspace(1.5, 1e300, 5_000), beside])
    exact = np.log(x.astype(np.longdouble))
    assert (np.abs(log_of(x) - exact) / np.spacing(np.log(x))).max() < 2


def test_log_at_1() -> None:
    np.testing.assert_array_equal(log_of(np.array([1.0, np.nextafter(1.0, 2.0)])), [0.0, np.finfo(float).eps])
