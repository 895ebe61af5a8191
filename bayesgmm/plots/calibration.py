"""Reliability diagram: how often a label is right beside the probability it was given, EM and posterior side by side."""

from dataclasses import dataclass
from typing import Literal, overload

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from bayesgmm.compare.calibration import Calibration
from bayesgmm.plots.geometry import Array
from bayesgmm.plots.style import (
    EM_COLOUR,
    HAIRLINE,
    MUTED,
    POSTERIOR_COLOUR,
    add_legend_below,
    house_style,
    new_figure,
)

COLOURS = {"EM": EM_COLOUR, "posterior": POSTERIOR_COLOUR}
MARKERS = {"EM": "D", "posterior": "o"}
MAX_COUNTS = 12
"""Bins above which the counts are bars only, without their numbers."""


@dataclass(frozen=True, eq=False)
class ReliabilityPanel:
    """One method's bins, from the least to the most probable; none without rows."""

    method: str
    edges: Array  # (B, 2)
    mean_probability: Array  # (B,) as are the next four
    frequency: Array
    lower: Array
    upper: Array
    count: Array
    brier: float
    log_score: float


def reliability_data(calibration: Calibration) -> tuple[ReliabilityPanel, ...]:
    """A panel for each method."""
    panels = []
    for score in calibration.scores.itertuples():
        bins = calibration.reliability[calibration.reliability["method"] == score.method]
        arrays = {name: bins[name].to_numpy() for name in ("mean_probability", "frequency", "lower", "upper", "count")}
        edges = bins[["bin_lower", "bin_upper"]].to_numpy()
        panels.append(ReliabilityPanel(score.method, edges, **arrays, brier=score.brier, log_score=score.log_score))
    return tuple(panels)


@overload
def plot_calibration(calibration: Calibration, *, figure_data: Literal[False] = ...) -> Figure: ...
@overload
def plot_calibration(calibration: Calibration, *, figure_data: Literal[True]) -> tuple[ReliabilityPanel, ...]: ...
def plot_calibration(calibration: Calibration, *, figure_data: bool = False) -> Figure | tuple[ReliabilityPanel, ...]:
    """Frequency with which the most probable label is the known one, by its probability, above the number of rows in each bin.

    Memberships that mean what they say lie on the diagonal; below it they promise too much.

    Parameters
    ----------
    calibration : Calibration
    figure_data : bool
        Return what would be drawn instead of drawing it.

    Returns
    -------
    matplotlib.figure.Figure or tuple of ReliabilityPanel
    """
    data = reliability_data(calibration)
    if figure_data:
        return data
    with house_style():
        figure = new_figure(3.9)
        grid = figure.subplots(2, len(data), squeeze=False, sharex=True, sharey="row", height_ratios=[2.6, 1.0])
        for (above, below), panel in zip(grid.T, data, strict=True):
            _draw_reliability(above, panel, f"{calibration.ci_prob:.0%} interval")
            _draw_counts(below, panel)
        start = min(float(panel.edges[0, 0]) for panel in data)
        grid[0, 0].set_xlim(start - 0.03 * (1 - start), 1 + 0.03 * (1 - start))
        grid[0, 0].set_ylabel("share that is right")
        grid[1, 0].set_ylabel("rows (log)")
        largest = max(float(panel.count.max()) for panel in data)
        grid[1, 0].set_ylim(0.5, largest * (2 * largest) ** 0.7)  # room for the numbers above the bars
        add_legend_below(grid[0, -1], n_columns=3)
        return figure


def _draw_reliability(axes: Axes, panel: ReliabilityPanel, interval: str) -> None:
    colour = COLOURS[panel.method]
    axes.plot([0, 1], [0, 1], color=MUTED, lw=0.8, ls=":", label="calibrated")
    axes.vlines(panel.mean_probability, panel.lower, panel.upper, color=colour, alpha=0.35, lw=4, label=interval)
    axes.plot(
        panel.mean_probability,
        panel.frequency,
        MARKERS[panel.method],
        color=colour,
        mec="white",
        mew=0.6,
        ms=6,
        ls="",
        label="observed frequency",
    )
    axes.set_title(panel.method, pad=16)
    scores = f"Brier {panel.brier:.3f}, log score {panel.log_score:.3f}".replace("inf", "∞")
    axes.annotate(scores, (0, 1), (0, 4), xycoords="axes fraction", textcoords="offset points", fontsize=8, color=MUTED)
    axes.set_ylim(-0.04, 1.04)
    axes.set_yticks([0, 0.5, 1])
    axes.yaxis.set_major_formatter(PercentFormatter(1.0))
    axes.grid(axis="y")


def _draw_counts(axes: Axes, panel: ReliabilityPanel) -> None:
    """Bars on a logarithmic axis: most rows are in the last bin."""
    width = panel.edges[:, 1] - panel.edges[:, 0]
    bars = axes.bar(panel.edges[:, 0], panel.count, width=0.9 * width, align="edge", color=HAIRLINE)
    axes.set_yscale("log")
    axes.set_yticks([])
    axes.minorticks_off()
    if len(panel.count) <= MAX_COUNTS:
        axes.bar_label(bars, fmt="{:,.0f}", fontsize=7, padding=2, rotation=90 if panel.count.max() >= 1000 else 0)
    axes.set_xlabel("probability of the label", fontsize=9)
    axes.xaxis.set_major_formatter(PercentFormatter(1.0))
