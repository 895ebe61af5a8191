"""Traces and rank histograms of the label-invariant quantities, which show whether the chains agree."""

from dataclasses import dataclass
from typing import Literal, overload

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray
from scipy.stats import rankdata

from bayesgmm.plots.geometry import Array, thinned_trace
from bayesgmm.plots.style import CHAIN_COLOURS, MUTED, house_style, new_figure, short_label
from bayesgmm.posterior.diagnose import Diagnosis

MAX_QUANTITIES = 6
N_BINS = 20


@dataclass(frozen=True, eq=False)
class DiagnosticPanel:
    """One label-invariant quantity: its draws, how each chain's ranks spread over the bins, and the verdict's numbers."""

    name: str
    draws: Array  # (chain, draw)
    rank_counts: NDArray[np.intp]  # (chain, bin): draws of a chain whose pooled rank falls in the bin
    expected_count: float
    r_hat: float
    ess_bulk: float
    ess_tail: float


def diagnostics_data(diagnosis: Diagnosis) -> tuple[DiagnosticPanel, ...]:
    """One panel per quantity in `Diagnosis.series`; at most six, those with the largest R-hat, in the order of the table."""
    table = diagnosis.quantities
    names = [name for name in table.index if name in diagnosis.series]
    worst = table.loc[names, "r_hat"].fillna(np.inf).sort_values(ascending=False, kind="stable").index[:MAX_QUANTITIES]
    panels = []
    for name in (name for name in names if name in worst):
        draws = np.asarray(diagnosis.series[name].transpose("chain", "draw").values, dtype=np.float64)
        n_bins = min(N_BINS, draws.shape[1])
        r_hat, ess_bulk, ess_tail = (float(table.loc[name, column]) for column in ("r_hat", "ess_bulk", "ess_tail"))
        counts, expected = _rank_counts(draws, n_bins), draws.shape[1] / n_bins
        panels.append(DiagnosticPanel(str(name), draws, counts, expected, r_hat, ess_bulk, ess_tail))
    return tuple(panels)


def _rank_counts(draws: Array, n_bins: int) -> NDArray[np.intp]:
    """Counts of pooled ranks per chain (Vehtari et al. 2021): uniform when the chains agree. Shape (chain, bin)."""
    ranks = rankdata(draws, method="average").reshape(draws.shape)
    edges = np.linspace(0.5, draws.size + 0.5, n_bins + 1)
    return np.array([np.histogram(chain, edges)[0] for chain in ranks])


@overload
def plot_diagnostics(diagnosis: Diagnosis, *, figure_data: Literal[False] = ...) -> Figure: ...
@overload
def plot_diagnostics(diagnosis: Diagnosis, *, figure_data: Literal[True]) -> tuple[DiagnosticPanel, ...]: ...
def plot_diagnostics(diagnosis: Diagnosis, *, figure_data: bool = False) -> Figure | tuple[DiagnosticPanel, ...]:
    """Trace (left) and rank histogram (right) of each label-invariant quantity of the raw draws, one colour per chain.

    Chains that agree have overlapping traces and flat rank lines.

    Parameters
    ----------
    diagnosis : Diagnosis
    figure_data : bool
        Return what would be drawn instead of drawing it.

    Returns
    -------
    matplotlib.figure.Figure or tuple of DiagnosticPanel
    """
    data = diagnostics_data(diagnosis)
    if figure_data:
        return data
    with house_style():
        figure = new_figure(0.3 + 1.55 * max(len(data), 1))
        if not data:
            figure.text(0.5, 0.5, "no label-invariant quantity was recorded", ha="center")
            return figure
        grid = figure.subplots(len(data), 2, squeeze=False, width_ratios=[1.7, 1.0], sharex="col")
        for (trace, ranks), panel in zip(grid, data, strict=True):
            _draw_trace(trace, panel)
            _draw_ranks(ranks, panel)
        grid[-1, 0].set_xlabel("draw")
        grid[-1, 1].set_xlabel("rank among all draws")
        return figure


def _draw_trace(axes: Axes, panel: DiagnosticPanel) -> None:
    for chain, draws in enumerate(panel.draws):
        axes.plot(*thinned_trace(draws), color=_chain_colour(chain), lw=0.5, alpha=0.75)
    axes.set_title(short_label(panel.name, 30))
    axes.set_xlim(0, panel.draws.shape[1] - 1)
    axes.locator_params(nbins=4)


def _draw_ranks(axes: Axes, panel: DiagnosticPanel) -> None:
    n_bins = panel.rank_counts.shape[1]
    edges = np.linspace(0, 1, n_bins + 1)
    for chain, counts in enumerate(panel.rank_counts):
        axes.stairs(counts / panel.expected_count, edges, baseline=None, color=_chain_colour(chain), lw=1.0)
    axes.axhline(1.0, color=MUTED, lw=0.8, ls=":")
    axes.set_ylim(0, max(2.0, 1.05 * panel.rank_counts.max() / panel.expected_count))
    axes.set_xlim(0, 1)
    axes.set_xticks([0, 0.5, 1], ["first", "", "last"])
    axes.set_yticks([0, 1, 2])
    numbers = f"R-hat {_number(panel.r_hat, '.3f')}\nESS {_number(panel.ess_bulk, ',.0f')} / {_number(panel.ess_tail, ',.0f')}"
    axes.set_title(numbers, fontsize=8.5, fontweight="normal")


def _number(value: float, spec: str) -> str:
    return format(value, spec) if np.isfinite(value) else "–"


def _chain_colour(chain: int) -> str:
    return CHAIN_COLOURS[chain % len(CHAIN_COLOURS)]
