import numpy as np

from bayesgmm.kernels.partitions import count_pairs, descend_information, draw_labels
from bayesgmm.partitions.losses import terms_of_information


def test_pairs_are_counted_and_rows_without_a_place_are_not():
    rng = np.random.default_rng(1)
    labels, by_row = rng.integers(-1, 3, 40), rng.integers(0, 4, (40, 6)).astype(np.uint8)
    counts = np.zeros((6, 4, 3), dtype=np.int32)
    count_pairs(labels, by_row, counts)
    for s in range(6):
        for k in range(4):
            for c in range(3):
                assert counts[s, k, c] == ((by_row[:, s] == k) & (labels == c)).sum()


def test_labels_are_drawn_by_inversion():
    """Label k where u is between the sums of the memberships before k and up to k; the last where rounding leaves u above all."""
    memberships = np.array([[[0.2, 0.5, 0.3], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.5, 0.5 - 1e-9, 0.0]]])
    by_row = np.zeros((4, 2), dtype=np.uint8)
    draw_labels(memberships, np.array([[0.7, 0.999, 0.0, 1 - 1e-10]]), by_row, 1)
    np.testing.assert_array_equal(by_row, [[0, 2], [0, 0], [0, 1], [0, 2]])
    u = np.linspace(0, 1, 1000, endpoint=False)[:, None] * np.ones(1)
    by_row = np.zeros((1, 1000), dtype=np.uint8)
    draw_labels(np.tile(memberships[:, :1], (1000, 1, 1)), u, by_row, 0)
    np.testing.assert_array_equal(np.bincount(by_row[0]), [200, 500, 300])


def merge_by_loop(counts, sizes, terms):
    """The pair a < b whose union changes sum_c f(n_c) - 2 / S sum_scl f(n_scl) least, and that change."""
    changes = {}
    for b in range(len(sizes)):
        for a in range(b):
            joint = sum(terms[n[a] + n[b]] - terms[n[a]] - terms[n[b]] for draw in counts for n in draw)
            changes[a, b] = terms[sizes[a] + sizes[b]] - terms[sizes[a]] - terms[sizes[b]] - 2 / len(counts) * joint
    return min(changes.items(), key=lambda item: item[1])


def test_descent_ends_where_no_merge_helps_and_merges_where_one_does():
    """More than 255 labels, in two bytes: two halves of the rows that are together in every draw become one cluster each."""
    rng = np.random.default_rng(2)
    terms = terms_of_information(41)
    truth = np.repeat([0, 1], 20)
    by_row = np.ascontiguousarray(np.array([rng.permutation(300)[truth] for _ in range(30)]).T.astype(np.uint16))
    labels = np.repeat(np.arange(8), 5)
    counts = np.zeros((30, 300, 8), dtype=np.int32)
    count_pairs(labels, by_row, counts)
    (a, b), change = merge_by_loop(counts, np.bincount(labels), terms)
    assert change < 0
    assert truth[labels == a][0] == truth[labels == b][0]
    descend_information(labels, np.arange(40), by_row, 300, 8, terms)
    np.testing.assert_array_equal(labels[:, None] == labels, truth[:, None] == truth)
