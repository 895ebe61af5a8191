"""The map of the similarity matrix: rows in the order of the partition, EM's clusters in matching colours."""

import dataclasses

import numpy as np
import pytest

from bayesgmm.compare.comparison import Comparison
from bayesgmm.errors import InputError, SamplingWarning
from bayesgmm.plots.similarity import _matched, plot_similarity, similarity_data
from bayesgmm.plots.style import WIDTH
from bayesgmm.plots.svg import to_svg
from bayesgmm.posterior.partition import Partition, partition
from bayesgmm.posterior.similarity import similarity
from tests.fake_comparison import make_comparison
from tests.partitions.posteriors import overlapping_tree
from tests.posterior import constructed
from tests.posterior.constructed import SETTINGS, make_problem


@pytest.fixture(scope="module")
def three() -> Comparison:
    return make_comparison(3, 2, n_samples=60)


@pytest.fixture(scope="module")
def best(three: Comparison) -> Partition:
    return partition(three.tree)


def test_the_map_is_the_matrix_in_the_order_of_the_partition(three: Comparison, best: Partition) -> None:
    data = plot_similarity(three.tree, best, figure_data=True)
    matrix = similarity(three.tree).values
    assert sorted(data.order) == list(range(60))
    np.testing.assert_array_equal(data.similarity, matrix[data.order][:, data.order])
    np.testing.assert_array_equal(data.labels, best.labels[data.order])
    assert (np.diff(data.labels) >= 0).all()
    assert list(data.boundaries) == [np.sum(best.labels <= c) for c in range(best.n_clusters)]
    start = 0
    for stop in data.boundaries:
        within = data.similarity[start:stop, start:stop].mean(axis=1)
        assert (np.diff(within) <= 1e-12).all()
        start = stop


def test_em_clusters_take_the_name_of_what_they_mostly_are(three: Comparison, best: Partition) -> None:
    reference = np.array([0, 0, 0, 1, 1, 2])
    np.testing.assert_array_equal(_matched(np.array([1, 1, 1, 0, 0, 2]), reference), reference)
    np.testing.assert_array_equal(_matched(np.array([0, 0, 0, 0, 0, 1]), reference), [0, 0, 0, 0, 0, 2])
    np.testing.assert_array_equal(_matched(np.array([0, 3, 0, 1, 1, 2]), reference), [0, 3, 0, 1, 1, 2])
    data = similarity_data(similarity(three.tree).values, best)
    assert data.em_labels is not None
    assert best.em is not None
    np.testing.assert_array_equal(
        data.em_labels[:, None] == data.em_labels, best.em.labels[data.order][:, None] == best.em.labels[data.order]
    )
    assert similarity_data(similarity(three.tree).values, dataclasses.replace(best, em=None)).em_labels is None


def test_a_partition_of_other_rows_is_refused(three: Comparison) -> None:
    other = partition(overlapping_tree(0, 2, n_samples=59, n_draws=20))
    with pytest.raises(InputError, match="best is a partition of 59 rows, the tree has 60"):
        plot_similarity(three.tree, other)


@pytest.mark.slow
def test_stuck_chains_are_warned_of_once_where_the_picture_is_asked_for() -> None:
    stuck = constructed.one_chain_stuck(make_problem(SETTINGS[0]))
    with pytest.warns(SamplingWarning) as caught:
        plot_similarity(stuck, figure_data=True)
    assert [warning.filename for warning in caught] == [__file__]
    assert str(caught[0].message).startswith("plot_similarity takes the draws of all chains together")


def test_it_is_drawn(any_comparison: Comparison) -> None:
    figure = plot_similarity(any_comparison.tree)
    assert figure.get_figwidth() == WIDTH
    svg = to_svg(figure, "x", "a figure")
    assert svg.startswith("<svg")
    for text in ("EM", "VI", "observations, ordered by the"):
        assert text in svg


def test_without_an_em_fit_there_is_one_strip(three: Comparison, best: Partition) -> None:
    (axes,) = plot_similarity(three.tree, dataclasses.replace(best, em=None)).axes[:1]
    assert len(axes.child_axes) == 1


def test_many_clusters_are_not_outlined(three: Comparison, best: Partition) -> None:
    outlined, apart = (
        plot_similarity(three.tree, best),
        plot_similarity(three.tree, dataclasses.replace(best, labels=np.arange(60))),
    )
    assert len(outlined.axes[0].lines) == best.n_clusters
    assert len(apart.axes[0].lines) == 60
