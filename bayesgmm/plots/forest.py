"""Forest plot: every parameter's posterior interval with EM's value on it."""

from collections.abc import Callable
from typing import Literal, overload

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from bayesgmm.compare.comparison import Comparison
from bayesgmm.plots.geometry import most_separated
from bayesgmm.plots.style import EM_COLOUR, MUTED, component_colour, house_style, new_figure, short_label
from bayesgmm.posterior.labels import ParameterLabel, parameter_labels

MAX_FEATURES = 4
MAX_CORRELATIONS = 12
INNER_PROB = 0.5


def forest_data(comparison: Comparison) -> pd.DataFrame:
    """The rows of the forest plot, in drawing order.

    Features: at most the four that separate the components most. Correlations: at most the 12 among those features with
    the largest shift.

    Returns
    -------
    pandas.DataFrame
        Indexed by parameter label; columns `panel` (its title), `row` (its name within the panel), `cluster`, `em`,
        `mean`, `lower`, `upper` (as in `Comparison.parameters`), `inner_lower`, `inner_upper` (equal-tailed 50%).
        `attrs["n_omitted"]` is the number of parameters left out.
    """
    em, table, posterior = comparison.em, comparison.parameters, comparison.tree["posterior"].to_dataset()
    kept = {em.columns[i] for i in most_separated(em, MAX_FEATURES)} | {None}
    labels = [label for label in parameter_labels(posterior) if {label.feature, label.feature_bis} <= kept]
    correlations = [label.text for label in labels if label.kind == "correlations"]
    by_shift = table.loc[correlations, "shift"].abs().sort_values(ascending=False, kind="stable").index
    dropped = set(by_shift[MAX_CORRELATIONS:])
    labels = sorted((label for label in labels if label.text not in dropped), key=_panel_order(em.columns))

    tails = [(1 - INNER_PROB) / 2, (1 + INNER_PROB) / 2]
    inner = np.array([np.quantile(label.select(posterior).values, tails) for label in labels])
    rows = table.loc[[label.text for label in labels], ["cluster", "em", "mean", "lower", "upper"]].assign(
        panel=[_panel(label) for label in labels],
        row=[_row_name(label) for label in labels],
        inner_lower=inner[:, 0],
        inner_upper=inner[:, 1],
    )
    rows.attrs["n_omitted"] = len(table) - len(rows)
    return rows


def _panel_order(columns: tuple[str, ...]) -> Callable[[ParameterLabel], tuple[int, int]]:
    """Parameters of one panel share an axis, so they share a unit: means and scales by feature, the other kinds whole."""
    kinds = ("weights", "means", "scales", "correlations")

    def key(label: ParameterLabel) -> tuple[int, int]:
        has_own_panel = label.feature is not None and label.kind != "correlations"
        return kinds.index(label.kind), columns.index(str(label.feature)) if has_own_panel else 0

    return key


def _panel(label: ParameterLabel) -> str:
    if label.kind in ("weights", "correlations"):
        return label.kind
    return f"{label.kind} of {short_label(label.feature, 22)}"


def _row_name(label: ParameterLabel) -> str:
    if label.kind == "correlations":
        return f"{label.cluster}: {short_label(label.feature, 12)}, {short_label(label.feature_bis, 12)}"
    return f"component {label.cluster}"


@overload
def plot_forest(comparison: Comparison, *, figure_data: Literal[False] = ...) -> Figure: ...
@overload
def plot_forest(comparison: Comparison, *, figure_data: Literal[True]) -> pd.DataFrame: ...
def plot_forest(comparison: Comparison, *, figure_data: bool = False) -> Figure | pd.DataFrame:
    """Posterior intervals of the parameters with EM's values as open diamonds, one panel per quantity and unit.

    Thin line: the interval of `Comparison.parameters` (95% unless chosen otherwise); thick line: 50%; dot: posterior mean.

    Parameters
    ----------
    comparison : Comparison
    figure_data : bool
        Return what would be drawn instead of drawing it.

    Returns
    -------
    matplotlib.figure.Figure or pandas.DataFrame
    """
    data = forest_data(comparison)
    if figure_data:
        return data
    panels = list(data.groupby("panel", sort=False))
    heights = [0.52 + 0.21 * len(rows) for _, rows in panels]
    with house_style():
        figure = new_figure(0.5 + sum(heights))
        grid = figure.subplots(len(panels), squeeze=False, height_ratios=heights)[:, 0]
        for axes, (title, rows) in zip(grid, panels, strict=True):
            axes.set_title(title)
            _draw_panel(axes, rows)
        if data.attrs["n_omitted"]:
            note = f"{data.attrs['n_omitted']} further parameters are in the table"
            figure.suptitle(note, fontsize=9, color=MUTED)
        _add_legend(figure, comparison.ci_prob)
        return figure


def _draw_panel(axes: Axes, rows: pd.DataFrame) -> None:
    y = range(len(rows))
    colours = [component_colour(int(k)) for k in rows["cluster"]]
    axes.hlines(y, rows["lower"], rows["upper"], colors=colours, lw=1.1)
    axes.hlines(y, rows["inner_lower"], rows["inner_upper"], colors=colours, lw=3.4, capstyle="round")
    axes.scatter(rows["mean"], y, s=36, c=colours, edgecolors="white", linewidths=0.8, zorder=3)
    axes.plot(rows["em"], y, "D", mfc="none", mec=EM_COLOUR, mew=1.1, ms=6.5, zorder=4)
    axes.set_yticks(range(len(rows)), rows["row"])
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.grid(axis="x")
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    axes.locator_params(axis="x", nbins=6)


def _add_legend(figure: Figure, ci_prob: float) -> None:
    handles = [
        Line2D([], [], color=MUTED, lw=1.1, label=f"{ci_prob:.0%} interval"),
        Line2D([], [], color=MUTED, lw=3.4, label=f"{INNER_PROB:.0%} interval"),
        Line2D([], [], ls="", marker="o", color=MUTED, label="posterior mean"),
        Line2D([], [], ls="", marker="D", mfc="none", mec=EM_COLOUR, label="EM"),
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=2)
