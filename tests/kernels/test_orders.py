"""Sums over all orders of components against plain ones over `itertools.permutations`."""

from itertools import permutations

import numpy as np
import pytest
from scipy.special import logsumexp
from scipy.stats import multivariate_normal

from bayesgmm.kernels.orders import log_sum_over_orders
from tests.problems import random_params


def problem(rng, n_components, *, n_shared=2, width=3, dropped=1, n_gaussians=2, n_points=6):
    """Random points, bonuses and Gaussians; the last slot uses `dropped` coordinates fewer."""
    size = n_shared + n_components * width - dropped
    gaussians = random_params(rng, n_gaussians, size)
    shared = rng.normal(size=(n_points, n_shared))
    blocks = rng.normal(size=(n_points, n_components, n_components, width))
    bonus = rng.normal(size=(n_points, n_components, n_components))
    return shared, blocks, bonus, np.log(gaussians.weights), gaussians.means, gaussians.scale_trils


def fast(shared, blocks, bonus, *gaussians):
    n_points, n_components = bonus.shape[:2]
    out = (
        np.empty(n_points),
        np.zeros((n_points, n_components), dtype=np.intp),
        np.empty(n_points, dtype=np.intp),
        np.empty(n_points),
    )
    complete = np.empty(n_points, dtype=np.bool_)
    log_sum_over_orders(shared, blocks, bonus, *gaussians, 10**6, *out, complete)
    assert complete.all()
    return out


def slow(shared, blocks, bonus, log_weights, means, trils):
    """The same by definition: every order, every Gaussian."""
    n_points, n_components = bonus.shape[:2]
    slots, size = np.arange(n_components), means.shape[1]
    out = []
    for n in range(n_points):
        terms, keys = [], []
        for order in permutations(range(n_components)):
            v = np.concatenate([shared[n], *blocks[n, slots, list(order)]])[:size]
            for j in range(len(log_weights)):
                covariance = trils[j] @ trils[j].T
                gain = log_weights[j] + bonus[n, slots, list(order)].sum()
                terms.append(gain + multivariate_normal(means[j], covariance).logpdf(v))
                keys.append((order, j, (v - means[j]) @ np.linalg.solve(covariance, v - means[j])))
        out.append((logsumexp(terms), *keys[int(np.argmax(terms))]))
    return [np.array(column) for column in zip(*out, strict=True)]


def assert_same(arguments):
    found, expected = fast(*arguments), slow(*arguments)
    np.testing.assert_allclose(found[0], expected[0], rtol=0, atol=1e-6)
    np.testing.assert_array_equal(found[1], expected[1])
    np.testing.assert_array_equal(found[2], expected[2])
    np.testing.assert_allclose(found[3], expected[3], rtol=1e-8)


@pytest.mark.parametrize("n_components", [1, 2, 3, 4])
@pytest.mark.parametrize(
    ("n_shared", "width", "dropped", "n_gaussians"), [(2, 3, 1, 1), (0, 2, 1, 3), (3, 4, 2, 2), (1, 1, 0, 2)]
)
def test_sums_and_largest_terms(n_components, n_shared, width, dropped, n_gaussians):
    rng = np.random.default_rng(10 * n_components + width)
    shape = {"n_shared": n_shared, "width": width, "dropped": dropped, "n_gaussians": n_gaussians}
    assert_same(problem(rng, n_components, **shape))


def test_orders_that_are_ruled_out_do_not_count():
    """Bonuses of minus infinity: here all but two of six orders, and of the last point all but one."""
    rng = np.random.default_rng(1)
    arguments = problem(rng, 3)
    bonus = arguments[2]
    bonus[:, 2, [0, 1]] = -np.inf
    bonus[-1, 0, 1] = -np.inf
    assert_same(arguments)
    assert fast(*arguments)[1][-1].tolist() == [0, 1, 2]


def test_where_no_order_is_possible_there_is_no_density():
    arguments = problem(np.random.default_rng(2), 2)
    arguments[2][0] = -np.inf
    arguments[0][1] = np.nan  # coordinates that are no point
    arguments[1][2] = np.inf
    found = fast(*arguments)
    np.testing.assert_array_equal(found[0][:3], -np.inf)
    np.testing.assert_array_equal(found[2][:3], -1)
    np.testing.assert_array_equal(found[3][:3], np.inf)
    assert np.isfinite(found[0][3:]).all()


def test_names_of_components_do_not_matter():
    """Components renamed, with their coordinates in every slot and their bonuses: the same sum, the largest term renamed."""
    rng = np.random.default_rng(3)
    shared, blocks, bonus, *gaussians = problem(rng, 4)
    names = rng.permutation(4)
    before = fast(shared, blocks, bonus, *gaussians)
    after = fast(shared, np.ascontiguousarray(blocks[:, :, names]), np.ascontiguousarray(bonus[:, :, names]), *gaussians)
    np.testing.assert_allclose(after[0], before[0], rtol=0, atol=1e-6)
    np.testing.assert_array_equal(names[after[1]], before[1])


def test_terms_left_out_are_negligible():
    """Four equal components: no term is left out, though each is the largest in turn; far ones: all others are."""
    rng = np.random.default_rng(4)
    shared, blocks, bonus, *gaussians = problem(rng, 4)
    equal = np.repeat(blocks[:, :, :1], 4, axis=2)
    one = fast(shared, np.ascontiguousarray(equal), np.zeros_like(bonus), *gaussians)[0]
    alone = np.full_like(bonus, -np.inf)
    alone[:, np.arange(4), np.arange(4)] = 0.0
    single = fast(shared, np.ascontiguousarray(equal), alone, *gaussians)[0]
    np.testing.assert_allclose(one, single + np.log(24), rtol=0, atol=1e-10)
    assert_same((shared, 30 * blocks, bonus, *gaussians))


def test_a_search_that_is_broken_off_says_so():
    """Five components that could all be exchanged need 5! leaves; with fewer steps the sum is a part of it."""
    shared, blocks, bonus, *gaussians = problem(np.random.default_rng(21), 5, n_points=3)
    blocks, bonus = np.broadcast_to(blocks[:, :1, :1], blocks.shape).copy(), 0 * bonus
    whole, *_ = fast(shared, blocks, bonus, *gaussians)
    out = (np.empty(3), np.zeros((3, 5), dtype=np.intp), np.empty(3, dtype=np.intp), np.empty(3), np.empty(3, dtype=np.bool_))
    log_sum_over_orders(shared, blocks, bonus, *gaussians, 40, *out)
    assert not out[-1].any()
    assert (out[0] < whole).all()
