"""How many components: their posterior probability, above the evidence and the criteria on one scale, and what each chooses."""

from dataclasses import dataclass
from typing import Literal, overload

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter
from numpy.typing import NDArray

from bayesgmm.errors import InputError
from bayesgmm.plots.geometry import Array
from bayesgmm.plots.style import (
    COMPONENT_COLOURS,
    HAIRLINE,
    INK,
    MUTED,
    POSTERIOR_COLOUR,
    house_style,
    new_figure,
)
from bayesgmm.sampling.n_components import NComponentsPosterior

ZOOM = 2.5
"""The axis of the criteria ends this many times as far below the best value as the median is, where some lie beyond."""

LEAST_SHOWN = 5.0
"""Nats that it shows at least."""

LEVEL = 0.05
"""At which a number of components is rejected by the bootstrap test."""

MOST_NUMBERED = 9
"""Numbers of components with their p-values in figures."""

LOOKS = {
    "evidence": (POSTERIOR_COLOUR, "-", "o"),
    "LOO": (COMPONENT_COLOURS[2], (0, (5, 1.5)), "s"),
    "BIC": (COMPONENT_COLOURS[0], (0, (1.2, 1.2)), "^"),
    "ICL": (COMPONENT_COLOURS[1], (0, (5, 1.5, 1.2, 1.5)), "D"),
}
"""Colour, dashes and marker of each criterion."""


@dataclass(frozen=True, eq=False)
class CriterionLine:
    """One criterion for each number of components, in nats below its best, which is 0."""

    name: str
    values: Array  # (number of sizes,), as are the next two
    errors: Array  # standard errors of the criterion itself; NaN where it has none
    doubtful: NDArray[np.bool_]  # where the estimate is not reliable
    best: int


@dataclass(frozen=True, eq=False)
class NComponentsData:
    """Probabilities of the number of components and of occupied ones, the criteria, and the bootstrap test, if it was made."""

    n_components: tuple[int, ...]
    probability: Array  # (number of sizes,), as is the next
    probability_error: Array
    best: int
    n_occupied: tuple[int, ...]
    occupied_probability: Array  # (number of n_occupied,)
    lines: tuple[CriterionLine, ...]
    p_values: Array | None  # (number of sizes,)
    first_accepted: int | None
    lowest_shown: float


def n_components_data(result: NComponentsPosterior) -> NComponentsData:
    """The numbers of the figure, from the table; BIC and ICL, which are deviances, halved and with their sign changed."""
    if not isinstance(result, NComponentsPosterior):
        raise InputError(f"plot_n_components draws what n_components_posterior returns; got {type(result).__name__}")
    table, occupied = result.table, result.n_occupied
    columns = {name: table[name].to_numpy(dtype=float) for name in table.columns}
    known, none = np.full(len(table), np.nan), np.zeros(len(table), dtype=bool)
    criteria = {
        "evidence": (columns["log_evidence"], columns["standard_error"], none),
        "LOO": (columns["elpd_loo"], columns["elpd_behind_error"], columns["bad_k"] > 0),
        "BIC": (-columns["bic"] / 2, known, none),
        "ICL": (-columns["icl"] / 2, known, none),
    }
    sizes = tuple(int(size) for size in table.index)
    lines = tuple(
        CriterionLine(name, values - np.nanmax(values), errors, doubtful, sizes[int(np.nanargmax(values))])
        for name, (values, errors, doubtful) in criteria.items()
    )
    p_values = columns.get("p_value")
    return NComponentsData(
        n_components=sizes,
        probability=columns["probability"],
        probability_error=columns["probability_error"],
        best=result.best,
        n_occupied=tuple(int(size) for size in occupied.index),
        occupied_probability=occupied.to_numpy(dtype=float),
        lines=lines,
        p_values=p_values,
        first_accepted=None if p_values is None else next((s for s, p in zip(sizes, p_values, strict=True) if p >= LEVEL), None),
        lowest_shown=_lowest_shown(lines),
    )


def _lowest_shown(lines: tuple[CriterionLine, ...]) -> float:
    """All values, or fewer where a few lie so low that the rest would be flat."""
    every = np.concatenate([line.values for line in lines])
    below = -every[np.isfinite(every)]
    shown = max(ZOOM * float(np.median(below)), LEAST_SHOWN)
    return -float(max(below.max(), 1.0) if below.max() < 1.5 * shown else shown)


@overload
def plot_n_components(result: NComponentsPosterior, *, figure_data: Literal[False] = ...) -> Figure: ...
@overload
def plot_n_components(result: NComponentsPosterior, *, figure_data: Literal[True]) -> NComponentsData: ...
def plot_n_components(result: NComponentsPosterior, *, figure_data: bool = False) -> Figure | NComponentsData:
    """Posterior of the number of components, evidence and criteria on one scale, and the number that each of them chooses.

    Above, p(K | X), with its standard error, beside the probability of as many components that hold rows. In the middle, log
    evidence, leave-one-out log density, -BIC/2 and -ICL/2, each relative to its best: higher is better, 0 is chosen. Bars are
    standard errors of evidence and of the leave-one-out density; most of the latter is common to all K. A hollow marker is a
    leave-one-out estimate that is not reliable. Below, one row per criterion, with its choice; that of the bootstrap test is the
    first number that is not rejected at 5%.

    Parameters
    ----------
    result : NComponentsPosterior
    figure_data : bool
        Return what would be drawn instead of drawing it.

    Returns
    -------
    matplotlib.figure.Figure or NComponentsData

    Raises
    ------
    InputError
        If `result` is something else.
    """
    data = n_components_data(result)
    if figure_data:
        return data
    n_rows = len(data.lines) + (0 if data.p_values is None else 2)
    heights = (1.5, 2.3, 0.21 * n_rows)
    with house_style():
        figure = new_figure(sum(heights) + 1.3)
        bars, lines, choices = figure.subplots(3, sharex=True, height_ratios=heights)
        _draw_probabilities(bars, data)
        _draw_lines(lines, data)
        _draw_choices(choices, data)
        shown = [m for m, p in zip(data.n_occupied, data.occupied_probability, strict=True) if p > 1e-3]
        sizes = sorted({*data.n_components, *shown})
        choices.set_xlim(sizes[0] - 0.6, sizes[-1] + 0.6)
        choices.set_xticks(sizes if len(sizes) <= 15 else sizes[:: len(sizes) // 8])
        choices.set_xlabel("number of components K")
        figure.legend(*bars.get_legend_handles_labels(), loc="outside upper left", ncols=2, handlelength=1.2)
        return figure


def _draw_probabilities(axes: Axes, data: NComponentsData) -> None:
    sizes = np.array(data.n_components)
    axes.bar(sizes - 0.19, data.probability, 0.36, color=POSTERIOR_COLOUR, label="p(K | X)")
    axes.errorbar(sizes - 0.19, data.probability, data.probability_error, fmt="none", ecolor=INK, elinewidth=1.1, capsize=2)
    axes.bar(
        np.array(data.n_occupied) + 0.19, data.occupied_probability, 0.36, color=HAIRLINE, label="p(K components hold rows | X)"
    )
    axes.set_ylim(0, 1.12 * max(data.probability.max(), data.occupied_probability.max()))
    axes.yaxis.set_major_formatter(PercentFormatter(1.0))
    axes.set_title(f"Most probable: {data.best}, {_percent(data.probability[data.n_components.index(data.best)])}")
    axes.set_ylabel("probability")


def _percent(value: float) -> str:
    return ">99.9%" if 0.9995 <= value < 1 else f"{100 * value:.1f}%"


def _draw_lines(axes: Axes, data: NComponentsData) -> None:
    sizes = np.array(data.n_components)
    for i, line in enumerate(data.lines):
        colour, dashes, marker = LOOKS[line.name]
        x = sizes + 0.06 * (i - (len(data.lines) - 1) / 2)
        axes.errorbar(x, line.values, line.errors, fmt="none", ecolor=colour, alpha=0.35, elinewidth=2.5, zorder=1)
        axes.plot(x, line.values, color=colour, ls=dashes, lw=1.2, alpha=0.8)
        axes.plot(x, line.values, marker, color=colour, ms=4, ls="")
        axes.plot(x[line.doubtful], line.values[line.doubtful], marker, mfc="white", mec=colour, ms=4, ls="", zorder=3)
    axes.axhline(0, color=MUTED, lw=0.8)
    room = 0.07 * -data.lowest_shown
    axes.set_ylim(data.lowest_shown - room, 1.5 * room)
    axes.set_ylabel("nats below the best")
    axes.grid(axis="y")
    axes.set_title(_note(data), fontsize=8.5, fontweight="normal", color=MUTED)


def _note(data: NComponentsData) -> str:
    """What the lines need to be read."""
    n_below = int(sum((line.values < data.lowest_shown).sum() for line in data.lines))
    doubtful = ["hollow: not reliable"] if any(line.doubtful.any() for line in data.lines) else []
    below = [f"{n_below} value{'' if n_below == 1 else 's'} below the axis"] if n_below else []
    more = "; ".join([*doubtful, *below])
    return "higher is better; bars: ± standard error" + (f"\n{more}" if more else "")


def _draw_choices(axes: Axes, data: NComponentsData) -> None:
    """One row per criterion, coloured as its line, with a filled marker where its choice is."""
    sizes = np.array(data.n_components)
    names = [line.name for line in data.lines]
    for row, line in enumerate(data.lines):
        colour, dashes, marker = LOOKS[line.name]
        axes.plot([0, 1], [row, row], color=colour, ls=dashes, lw=1.0, alpha=0.35, transform=axes.get_yaxis_transform())
        axes.plot([line.best], [row], marker, color=colour, ms=8, mec="white", mew=1)
    if data.p_values is not None:
        if data.first_accepted is not None:
            axes.plot([data.first_accepted], [len(names)], "P", color=INK, ms=8, mec="white", mew=1)
        names.append("bootstrap test")
        if len(sizes) <= MOST_NUMBERED:
            for size, p_value in zip(sizes, data.p_values, strict=True):
                text = "" if np.isnan(p_value) else "<0.001" if p_value < 5e-4 else f"{p_value:.2g}"
                axes.text(size, len(names), text, ha="center", va="center", fontsize=7.5, color=MUTED)
            names.append("its p-values")
    axes.set_yticks(range(len(names)), names)
    for label, name in zip(axes.get_yticklabels(), names, strict=True):
        label.set_color(LOOKS[name][0] if name in LOOKS else INK)
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.spines["left"].set_visible(False)
    axes.tick_params(axis="y", length=0)
    axes.set_title("Choices", fontsize=9)
