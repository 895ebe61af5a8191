"""Gaussian mixtures over the parameters of mixtures, summed over all orders of their components.

A point is K blocks of coordinates, one per component, and coordinates that they share. A density over labelled points is made
label-symmetric by summing it over the K! assignments of blocks to slots. The slots are filled one after the other; squared
whitened distances only grow on the way, so that whole branches too far from the best sum found are left out.
"""

import numpy as np
from numba import njit

from bayesgmm.kernels.cache import ENTRY, INTERNAL

NEGLIGIBLE = 20.0
"""Terms smaller than the largest by e to this power are left out: a relative error below 1e-5 even for 5040 terms."""


@njit(**ENTRY)
def log_sum_over_orders(  # noqa: C901 - a search through a tree, in one loop because numba compiles recursion badly
    shared, blocks, bonus, log_weights, means, trils, most_steps, out, orders, components, distances, complete
):
    r"""ln of the sum over orders s and mixture components j of w_j N(v_s; m_j, L_j L_j') e^(sum_k bonus[k, s_k]).

    Parameters
    ----------
    shared : (S, R)
    blocks : (S, K, K, B)
        blocks[n, k, c] are the coordinates of component c in slot k; the last slot uses only as many of the first of them as are
        left of P.
    bonus : (S, K, K)
        What is added to the logarithm where component c is in slot k.
    log_weights, means, trils : (J,), (J, P), (J, P, P)
        Of the Gaussian mixture over v = (shared, slot 0, ..., slot K - 1).
    most_steps : int
        Of the search for one point and one j; components that could all be exchanged for one another need K! of them.
    out, orders, components, distances, complete : (S,), (S, K), (S,), (S,), (S,)
        Filled with the sum and, of its largest term, the order (component orders[n, k] is in slot k), j and the squared distance
        of v from the mean in units of the covariance; and whether no search was broken off.
    """
    n_points, n_slots = blocks.shape[0], blocks.shape[1]
    width, n_shared = blocks.shape[3], shared.shape[1]
    size = means.shape[1]
    constants = np.empty(len(log_weights))
    for j in range(len(log_weights)):
        constants[j] = log_weights[j] - 0.5 * size * np.log(2 * np.pi)
        for i in range(size):
            constants[j] -= np.log(trils[j, i, i])
    z, squares, gains = np.empty(size), np.empty(n_slots + 1), np.empty(n_slots + 1)
    most, chosen, used = np.empty(n_slots + 1), np.empty(n_slots, np.int64), np.empty(n_slots, np.bool_)
    for n in range(n_points):
        most[n_slots] = 0.0
        for k in range(n_slots - 1, -1, -1):
            largest = bonus[n, k, 0]
            for c in range(1, n_slots):
                largest = max(largest, bonus[n, k, c])
            most[k] = most[k + 1] + largest
        best, total = -np.inf, 0.0
        components[n], distances[n], complete[n] = -1, np.inf, True
        for j in range(len(log_weights)):
            squares[0], gains[0] = _extend(z, shared[n], means[j], trils[j], 0, n_shared), constants[j]
            for c in range(n_slots):
                used[c] = False
            slot, steps = 0, 0
            chosen[0] = -1
            while slot >= 0:
                if steps == most_steps:
                    complete[n] = False
                    break
                steps += 1
                if chosen[slot] >= 0:
                    used[chosen[slot]] = False
                chosen[slot] += 1
                while chosen[slot] < n_slots and used[chosen[slot]]:
                    chosen[slot] += 1
                c = chosen[slot]
                if c == n_slots:
                    slot -= 1
                    continue
                used[c] = True
                begin = n_shared + slot * width
                end = min(begin + width, size)
                gain = gains[slot] + bonus[n, slot, c]
                limit = 2 * (gain + most[slot + 1] - best + NEGLIGIBLE)  # of the squared distance; infinite at first
                square = squares[slot]
                if not square <= limit:
                    continue
                square += _extend(z, blocks[n, slot, c], means[j], trils[j], begin, end)
                if not square <= limit:
                    continue
                if slot < n_slots - 1:
                    squares[slot + 1], gains[slot + 1] = square, gain
                    slot += 1
                    chosen[slot] = -1
                    continue
                value = gain - 0.5 * square
                if value > best:
                    total = total * np.exp(best - value) + 1.0
                    best = value
                    components[n], distances[n] = j, square
                    for k in range(n_slots):
                        orders[n, k] = chosen[k]
                else:
                    total += np.exp(value - best)
        out[n] = best + np.log(total)


@njit(**INTERNAL, inline="always")
def _extend(z, values, mean, tril, begin, end):
    """Forward substitution for the coordinates begin, ..., end - 1, given z before them; return the sum of squares of these."""
    square = 0.0
    for i in range(begin, end):
        value = values[i - begin] - mean[i]
        for m in range(i):
            value -= tril[i, m] * z[m]
        z[i] = value / tril[i, i]
        square += z[i] * z[i]
    return square
