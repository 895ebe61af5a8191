"""The criterion against the number of components, one line per covariance family."""

from dataclasses import dataclass
from typing import Literal, overload

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.legend import Legend
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from bayesgmm.em.select import Selection
from bayesgmm.errors import InputError
from bayesgmm.families import FAMILIES
from bayesgmm.plots.geometry import Array
from bayesgmm.plots.style import COMPONENT_COLOURS, INK, MUTED, house_style, new_figure

ZOOM = 2.5
"""The axis ends this many times as far from the best value as the median fit is, where some lie beyond."""

STRUCTURES: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    ("spherical", COMPONENT_COLOURS[4], ("EII", "VII", "E", "V")),
    ("axis-aligned", COMPONENT_COLOURS[2], ("EEI", "VEI", "EVI", "VVI")),
    ("common axes", COMPONENT_COLOURS[0], ("EEE", "VEE", "EVE", "VVE")),
    ("own axes", COMPONENT_COLOURS[1], ("EEV", "VEV", "EVV", "VVV")),
)
"""How components may lie, its colour, and the families that let them; within one, families differ by line and marker."""

LINES = (("-", "o"), ((0, (5, 1.5)), "s"), ((0, (1.2, 1.2)), "^"), ((0, (5, 1.5, 1.2, 1.5)), "D"))


@dataclass(frozen=True, eq=False)
class FamilyLine:
    """One family's values of the criterion; NaN where it could not be fitted."""

    covariance: str
    values: Array  # (number of sizes,)


@dataclass(frozen=True, eq=False)
class SelectionData:
    """The lines, families in the order of their structure, the best fit, and the range of values that is shown."""

    criterion: str
    n_components: tuple[int, ...]
    lines: tuple[FamilyLine, ...]
    best: tuple[str, int, float]  # family, number of components, value of the criterion
    failed: tuple[tuple[str, int], ...]
    shown: tuple[float, float]
    n_above: int  # fits whose value lies above the range shown


def selection_data(selection: Selection) -> SelectionData:
    """The criterion of every fit; InputError where `selection` is not what `select` returns."""
    if not isinstance(selection, Selection):
        raise InputError(f"plot_selection draws the Selection that select returns; got {type(selection).__name__}")
    table = selection.table
    sizes = tuple(sorted(int(size) for size in table["n_components"].unique()))
    values = table.set_index(["covariance", "n_components"])[selection.criterion].to_dict()
    names = [name for *_, families in STRUCTURES for name in families if name in set(table["covariance"])]
    lines = tuple(
        FamilyLine(name, np.array([values.get((name, size), np.nan) for size in sizes], dtype=np.float64)) for name in names
    )
    every = np.concatenate([line.values for line in lines])
    shown = _range_shown(lines)
    best = table.iloc[0]
    return SelectionData(
        criterion=selection.criterion,
        n_components=sizes,
        lines=lines,
        best=(str(best["covariance"]), int(best["n_components"]), float(best[selection.criterion])),
        failed=tuple(sorted(selection.failures, key=lambda cell: (list(FAMILIES).index(cell[0]), cell[1]))),
        shown=shown,
        n_above=int(np.sum(every > shown[1])),
    )


def _range_shown(lines: tuple[FamilyLine, ...]) -> tuple[float, float]:
    """From a little below the best value to the largest, or less far where a few lie so high that the rest would be flat."""
    every = np.concatenate([line.values for line in lines])
    known = every[np.isfinite(every)]
    lowest, highest = known.min(), known.max()
    upper = lowest + ZOOM * (np.median(known) - lowest)
    upper = highest if upper <= lowest or highest - lowest < 1.5 * (upper - lowest) else upper
    room = 0.08 * max(upper - lowest, 1e-6 * max(abs(lowest), 1.0))
    return float(lowest - 1.5 * room), float(upper + room)


@overload
def plot_selection(selection: Selection, *, figure_data: Literal[False] = ...) -> Figure: ...
@overload
def plot_selection(selection: Selection, *, figure_data: Literal[True]) -> SelectionData: ...
def plot_selection(selection: Selection, *, figure_data: bool = False) -> Figure | SelectionData:
    """The criterion against the number of components, one line per covariance family, the best fit ringed and named.

    Colours stand for how components may lie, lines and markers for the family. A fit that failed is a gap, which
    the note names. Values far above the best lie outside the axis, and the note says how many.

    Parameters
    ----------
    selection : Selection
    figure_data : bool
        Return what would be drawn instead of drawing it.

    Returns
    -------
    matplotlib.figure.Figure or SelectionData

    Raises
    ------
    InputError
        If `selection` is something else.
    """
    data = selection_data(selection)
    if figure_data:
        return data
    with house_style():
        groups = _groups(data)
        legend_height = 0.06 + 0.17 * (1 + max(len(names) for _, names in groups))
        figure = new_figure(3.7 + legend_height)
        axes, below = figure.subplots(2, height_ratios=[3.7, legend_height])
        _draw_lines(axes, data)
        _draw_best(axes, data)
        _draw_legend(below, groups)
        note = _note(data)
        if note:
            axes.set_title(note, fontsize=8.5, fontweight="normal", color=MUTED)
        return figure


def _draw_lines(axes: Axes, data: SelectionData) -> None:
    for line in data.lines:
        colour, dashes, marker = _look(line.covariance)
        axes.plot(data.n_components, line.values, color=colour, ls=dashes, lw=1.2, marker=marker, ms=3.5)
    axes.set_ylim(*data.shown)
    axes.set_xlim(data.n_components[0] - 0.4, data.n_components[-1] + 0.4)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel("number of components")
    axes.set_ylabel(f"{data.criterion.upper()} (smaller is better)")
    axes.grid(axis="y")


def _draw_best(axes: Axes, data: SelectionData) -> None:
    family, size, value = data.best
    axes.plot([size], [value], "o", mfc="none", mec=INK, mew=1.3, ms=11, zorder=5)
    late = size > np.mean(data.n_components)
    axes.annotate(
        f"best: {family}, {size} component{'' if size == 1 else 's'}",
        (size, value),
        xytext=(-10 if late else 10, -9),
        textcoords="offset points",
        ha="right" if late else "left",
        va="center",
        fontsize=9.0,
        fontweight="bold",
    )


def _look(family: str) -> tuple[str, object, str]:
    """Colour, dashes and marker of a family."""
    colour, families = next((colour, families) for _, colour, families in STRUCTURES if family in families)
    dashes, marker = LINES[families.index(family) % 2 if family in ("E", "V") else families.index(family)]
    return colour, dashes, marker


def _draw_legend(axes: Axes, groups: list[tuple[str, list[str]]]) -> None:
    """One column per structure, headed by its name; empty axes hold them side by side."""
    axes.set_axis_off()
    for i, (title, names) in enumerate(groups):
        looks = [_look(name) for name in names]
        lines = [Line2D([], [], color=colour, ls=dashes, marker=marker, lw=1.2, ms=3.5) for colour, dashes, marker in looks]
        legend = Legend(
            axes,
            lines,
            names,
            title=title,
            loc="upper left",
            bbox_to_anchor=(i / len(STRUCTURES) - 0.06, 1.0),
            alignment="left",
            handlelength=2.6,
            labelspacing=0.25,
            borderpad=0.0,
            borderaxespad=0.0,
            title_fontsize=9.0,
        )
        legend.set_in_layout(False)
        axes.add_artist(legend)


def _groups(data: SelectionData) -> list[tuple[str, list[str]]]:
    """The names of the families drawn, by structure."""
    drawn = [line.covariance for line in data.lines]
    groups = [(title, [name for name in families if name in drawn]) for title, _, families in STRUCTURES]
    return [(title, names) for title, names in groups if names]


def _note(data: SelectionData) -> str:
    """What the picture cannot show: fits that failed, and values above the axis."""
    parts = []
    if data.failed:
        listed = ", ".join(f"{family} with {size}" for family, size in data.failed[:4])
        more = f" and {len(data.failed) - 4} more" if len(data.failed) > 4 else ""
        parts.append(f"no fit: {listed}{more}")
    if data.n_above:
        parts.append(f"{data.n_above} worse fit{'' if data.n_above == 1 else 's'} above the axis")
    return "; ".join(parts)
