"""Which observations belong together, and how surely: the similarity matrix, its rows ordered by the best partition."""

from dataclasses import dataclass
from typing import Literal, overload

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from bayesgmm.errors import InputError
from bayesgmm.plots.geometry import Array
from bayesgmm.plots.style import COMPONENT_COLOURS, HAIRLINE, INK, MUTED, WIDTH, house_style, new_figure
from bayesgmm.posterior.partition import NAMES, Partition, partition_of
from bayesgmm.posterior.pool import warn_unless_pooled
from bayesgmm.posterior.schema import observed_matrix
from bayesgmm.posterior.similarity import MAX_BYTES, refuse_too_large, similarity_of

STRIPS = {"vi": "VI", "binder": "Binder"}
MAX_OUTLINED = 60
"""Clusters that are outlined; more would blacken the picture."""


@dataclass(frozen=True, eq=False)
class SimilarityData:
    """The matrix in the order it is drawn in."""

    order: NDArray[np.intp]  # (N,) rows of the data, cluster by cluster, within each from the core to the doubtful
    similarity: Array  # (N, N) in that order
    labels: NDArray[np.intp]  # (N,) clusters in that order, not decreasing
    em_labels: NDArray[np.intp] | None  # (N,) in that order, by the cluster they mostly stand for; None without an EM fit
    boundaries: NDArray[np.intp]  # where a new cluster begins, N at the end
    loss: str


def similarity_data(matrix: Array, best: Partition) -> SimilarityData:
    """Rows ordered by the partition, then by their mean similarity to the rows of their own cluster, highest first."""
    together = best.labels[:, None] == best.labels
    own = (matrix * together).sum(axis=1) / together.sum(axis=1)
    order = np.lexsort((-own, best.labels))
    em_labels = None if best.em is None else _matched(best.em.labels, best.labels)[order]
    return SimilarityData(
        order=order,
        similarity=matrix[np.ix_(order, order)],
        labels=best.labels[order],
        em_labels=em_labels,
        boundaries=np.cumsum(np.bincount(best.labels)),
        loss=best.loss,
    )


def _matched(labels: NDArray[np.intp], reference: NDArray[np.intp]) -> NDArray[np.intp]:
    """The labels renamed to those of the reference that agree on most rows, one to one; new ones for the clusters left over."""
    table = np.zeros((labels.max() + 1, reference.max() + 1), dtype=np.intp)
    np.add.at(table, (labels, reference), 1)
    rows, columns = linear_sum_assignment(table, maximize=True)
    names = np.full(len(table), -1)
    names[rows] = columns
    names[names < 0] = table.shape[1] + np.arange(len(table) - len(rows))
    return names[labels]


@overload
def plot_similarity(tree: xr.DataTree, best: Partition | None = ..., *, figure_data: Literal[False] = ...) -> Figure: ...
@overload
def plot_similarity(tree: xr.DataTree, best: Partition | None = ..., *, figure_data: Literal[True]) -> SimilarityData: ...
def plot_similarity(tree: xr.DataTree, best: Partition | None = None, *, figure_data: bool = False) -> Figure | SimilarityData:
    """The posterior similarity matrix as a map, rows ordered by the best partition, with that and EM's partition as strips.

    Parameters
    ----------
    tree : DataTree
        As for `similarity`.
    best : Partition, optional
        Of the same rows, which it orders; by default that of `partition(tree)`.
    figure_data : bool
        Return what would be drawn instead of drawing it.

    Returns
    -------
    matplotlib.figure.Figure or SimilarityData

    Warns
    -----
    SamplingWarning
        If the chains are steady in different modes, and were not weighed (`chain_weights`, `pool`).

    Raises
    ------
    InputError
        If the matrix would take more than 4 GiB, or `best` is of another number of rows.
    """
    n_samples = len(observed_matrix(tree))
    refuse_too_large(n_samples, MAX_BYTES, "take fewer rows")
    if best is not None and len(best.labels) != n_samples:
        raise InputError(
            f"plot_similarity: best is a partition of {len(best.labels)} rows, the tree has {n_samples}; "
            "give the partition of this tree, or none"
        )
    warn_unless_pooled(tree, "plot_similarity")
    data = similarity_data(similarity_of(tree).values, partition_of(tree) if best is None else best)
    if figure_data:
        return data
    with house_style():
        figure = new_figure(WIDTH + 0.3)
        axes = figure.subplots()
        _draw_map(axes, data)
        strips = {STRIPS[data.loss]: data.labels} | ({} if data.em_labels is None else {"EM": data.em_labels})
        for i, (name, labels) in enumerate(reversed(strips.items())):
            _draw_strip(axes.inset_axes((-0.055 * (i + 1), 0, 0.04, 1)), name, labels)
        return figure


def _draw_strip(axes: Axes, name: str, labels: NDArray[np.intp]) -> None:
    colours = ListedColormap(COMPONENT_COLOURS)
    column = labels[:, None] % len(COMPONENT_COLOURS)
    axes.imshow(column, cmap=colours, vmin=-0.5, vmax=len(COMPONENT_COLOURS) - 0.5, aspect="auto", interpolation="nearest")
    axes.set_xticks([0], [name], rotation=90)
    axes.tick_params(length=0)
    axes.set_yticks([])
    axes.spines[:].set_visible(False)


def _draw_map(axes: Axes, data: SimilarityData) -> None:
    n_samples, n_clusters = len(data.labels), len(data.boundaries)
    image = axes.imshow(data.similarity, cmap="Greys", vmin=0, vmax=1, interpolation="nearest" if n_samples < 400 else "auto")
    if n_clusters <= MAX_OUTLINED:
        for start, stop in zip([0, *data.boundaries[:-1]], data.boundaries, strict=True):
            corners = np.array([start, stop])[[0, 1, 1, 0, 0]] - 0.5, np.array([start, stop])[[0, 0, 1, 1, 0]] - 0.5
            axes.plot(*corners, color=INK, lw=1.0, clip_on=False)
    axes.set_title("probability of belonging together")
    axes.set_xlabel(
        f"{n_samples} observations, ordered by the {n_clusters} cluster{'s' if n_clusters > 1 else ''}\n"
        f"of least expected {NAMES[data.loss]}",
        fontsize=9,
        color=MUTED,
    )
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set_visible(True)
    axes.spines[:].set_color(HAIRLINE)
    bar = axes.figure.colorbar(image, ax=axes, orientation="horizontal", fraction=0.035, pad=0.02, aspect=40)
    bar.outline.set_visible(False)
    bar.ax.tick_params(length=0, labelcolor=INK)
