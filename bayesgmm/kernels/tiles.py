"""Triangular solves and symmetric products in tiles that stay in registers, for four features and more.

Feature counts are padded to a multiple of the tile: padded columns are 0, padded rows of a factor are those of the identity.
"""

from numba import njit

from bayesgmm.kernels.cache import INTERNAL
from bayesgmm.kernels.lanes import add_to, load, minus, minus_product, plus, plus_product, spread, spread_item, store, times, zero

TILE = 4
"""Rows and columns of a tile; a tile's columns are one vector, or two side by side."""


@njit(**INTERNAL)
def _solve_diagonal(trils, row, inverses, k, i, a0, a1, a2, a3):
    """The tile on the diagonal, by substitution: rows i, ..., i + 3 of L^{-1} applied to what is left of them."""
    a0 = times(a0, spread(inverses, k, i))
    a1 = times(minus_product(a1, spread(trils, row + 1, i), a0), spread(inverses, k, i + 1))
    a2 = minus_product(a2, spread(trils, row + 2, i), a0)
    a3 = minus_product(a3, spread(trils, row + 3, i), a0)
    a2 = times(minus_product(a2, spread(trils, row + 2, i + 1), a1), spread(inverses, k, i + 2))
    a3 = minus_product(a3, spread(trils, row + 3, i + 1), a1)
    a3 = times(minus_product(a3, spread(trils, row + 3, i + 2), a2), spread(inverses, k, i + 3))
    return a0, a1, a2, a3


@njit(**INTERNAL)
def _squares(total, a0, a1, a2, a3):
    return plus_product(plus_product(plus_product(plus_product(total, a0, a0), a1, a1), a2, a2), a3, a3)


@njit(**INTERNAL)
def whiten(x, n_rows, mixture, k, z, distances):
    """z = L_k^{-1} (x - mu_k) by forward substitution, feature-major (D, B), and its squared lengths into distances[k].

    n_rows is taken up to the next multiple of 8.
    """
    means, inverses, trils = mixture.means, mixture.inverses, mixture.scale_trils
    for i in range(0, x.shape[0], TILE):
        row = k * x.shape[0] + i
        begin = mixture.begins[row]
        m0, m1, m2, m3 = spread(means, k, i), spread(means, k, i + 1), spread(means, k, i + 2), spread(means, k, i + 3)
        for b in range(0, n_rows, 8):
            a0, c0 = minus(load(x, i, b), m0), minus(load(x, i, b + 4), m0)
            a1, c1 = minus(load(x, i + 1, b), m1), minus(load(x, i + 1, b + 4), m1)
            a2, c2 = minus(load(x, i + 2, b), m2), minus(load(x, i + 2, b + 4), m2)
            a3, c3 = minus(load(x, i + 3, b), m3), minus(load(x, i + 3, b + 4), m3)
            for j in range(begin, i):
                a, c = load(z, j, b), load(z, j, b + 4)
                f0, f1, f2, f3 = (
                    spread(trils, row, j),
                    spread(trils, row + 1, j),
                    spread(trils, row + 2, j),
                    spread(trils, row + 3, j),
                )
                a0, c0 = minus_product(a0, f0, a), minus_product(c0, f0, c)
                a1, c1 = minus_product(a1, f1, a), minus_product(c1, f1, c)
                a2, c2 = minus_product(a2, f2, a), minus_product(c2, f2, c)
                a3, c3 = minus_product(a3, f3, a), minus_product(c3, f3, c)
            a0, a1, a2, a3 = _solve_diagonal(trils, row, inverses, k, i, a0, a1, a2, a3)
            c0, c1, c2, c3 = _solve_diagonal(trils, row, inverses, k, i, c0, c1, c2, c3)
            store(z, i, b, a0)
            store(z, i, b + 4, c0)
            store(z, i + 1, b, a1)
            store(z, i + 1, b + 4, c1)
            store(z, i + 2, b, a2)
            store(z, i + 2, b + 4, c2)
            store(z, i + 3, b, a3)
            store(z, i + 3, b + 4, c3)
            store(distances, k, b, _squares(load(distances, k, b) if i > 0 else zero(), a0, a1, a2, a3))
            store(distances, k, b + 4, _squares(load(distances, k, b + 4) if i > 0 else zero(), c0, c1, c2, c3))


@njit(**INTERNAL)
def _add_tiles(y, weighted, n_rows, i, j, row, scatters):
    """Rows i, ..., i + 3 and columns j, ..., j + 7 of weighted' y added to scatters[row, j], ..."""
    a0, a1, a2, a3 = zero(), zero(), zero(), zero()
    c0, c1, c2, c3 = zero(), zero(), zero(), zero()
    for b in range(n_rows):
        a, c = load(y, b, j), load(y, b, j + 4)
        f0, f1, f2, f3 = (
            spread(weighted, b, i),
            spread(weighted, b, i + 1),
            spread(weighted, b, i + 2),
            spread(weighted, b, i + 3),
        )
        a0, c0 = plus_product(a0, f0, a), plus_product(c0, f0, c)
        a1, c1 = plus_product(a1, f1, a), plus_product(c1, f1, c)
        a2, c2 = plus_product(a2, f2, a), plus_product(c2, f2, c)
        a3, c3 = plus_product(a3, f3, a), plus_product(c3, f3, c)
    add_to(scatters, row, j, a0)
    add_to(scatters, row, j + 4, c0)
    add_to(scatters, row + 1, j, a1)
    add_to(scatters, row + 1, j + 4, c1)
    add_to(scatters, row + 2, j, a2)
    add_to(scatters, row + 2, j + 4, c2)
    add_to(scatters, row + 3, j, a3)
    add_to(scatters, row + 3, j + 4, c3)


@njit(**INTERNAL)
def add_products(y, weighted, n_rows, k, n_padded, scatters):
    """Add the lower triangle of weighted' y, both row-major (B, D), to rows k D, ..., of scatters (K D, D); more is scratch."""
    for i in range(0, n_padded, TILE):
        for j in range(0, i + 1, 2 * TILE):
            _add_tiles(y, weighted, n_rows, i, j, k * n_padded + i, scatters)


@njit(**INTERNAL)
def gather(rows, chosen, weights, n_rows, means, k, n_padded, y, weighted, sums, squares):
    """Chosen rows minus mu_k into y, times their weights into weighted; column sums of weighted and weighted * y to row k.

    n_rows must be even: two sums side by side hide the latency of one.
    """
    for i in range(0, n_padded, TILE):
        mean = load(means, k, i)
        sum_a, sum_c, squares_a, squares_c = zero(), zero(), zero(), zero()
        for b in range(0, n_rows, 2):
            a, c = minus(load(rows, chosen[b], i), mean), minus(load(rows, chosen[b + 1], i), mean)
            weighted_a, weighted_c = times(a, spread_item(weights, b)), times(c, spread_item(weights, b + 1))
            store(y, b, i, a)
            store(y, b + 1, i, c)
            store(weighted, b, i, weighted_a)
            store(weighted, b + 1, i, weighted_c)
            sum_a, sum_c = plus(sum_a, weighted_a), plus(sum_c, weighted_c)
            squares_a, squares_c = plus_product(squares_a, weighted_a, a), plus_product(squares_c, weighted_c, c)
        add_to(sums, k, i, plus(sum_a, sum_c))
        add_to(squares, k, i, plus(squares_a, squares_c))
