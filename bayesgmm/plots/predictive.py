"""Posterior predictive check: each feature's data under the densities that the posterior draws imply."""

from dataclasses import dataclass
from typing import Literal, overload

from matplotlib.figure import Figure

from bayesgmm.compare.comparison import Comparison
from bayesgmm.plots.geometry import Array, most_separated
from bayesgmm.plots.marginal import MarginalBand, draw_marginal, marginal_band
from bayesgmm.plots.style import MUTED, add_legend_below, house_style, new_figure, short_label
from bayesgmm.posterior.schema import observed_matrix

MAX_FEATURES = 6


@dataclass(frozen=True, eq=False)
class PredictiveData:
    """What `plot_predictive` draws: one band per shown feature."""

    observations: Array  # (N, D)
    columns: tuple[str, ...]
    bands: tuple[MarginalBand, ...]
    n_omitted: int


def predictive_data(comparison: Comparison) -> PredictiveData:
    """Marginal mixture densities of the features, at most the six that separate the components most."""
    em = comparison.em
    shown = most_separated(em, MAX_FEATURES)
    return PredictiveData(
        observations=observed_matrix(comparison.tree),
        columns=tuple(str(column) for column in em.columns),
        bands=tuple(marginal_band(comparison, int(feature)) for feature in shown),
        n_omitted=em.params.n_features - len(shown),
    )


@overload
def plot_predictive(comparison: Comparison, *, figure_data: Literal[False] = ...) -> Figure: ...
@overload
def plot_predictive(comparison: Comparison, *, figure_data: Literal[True]) -> PredictiveData: ...
def plot_predictive(comparison: Comparison, *, figure_data: bool = False) -> Figure | PredictiveData:
    """Histogram of each feature with the posterior band of its density and EM's density.

    Parameters
    ----------
    comparison : Comparison
    figure_data : bool
        Return what would be drawn instead of drawing it.

    Returns
    -------
    matplotlib.figure.Figure or PredictiveData
    """
    data = predictive_data(comparison)
    if figure_data:
        return data
    with house_style():
        figure = new_figure(0.6 + 1.9 * len(data.bands))
        panels = figure.subplots(len(data.bands), squeeze=False)[:, 0]
        for axes, band in zip(panels, data.bands, strict=True):
            draw_marginal(axes, data.observations[:, band.feature], band)
            axes.set_xlabel(short_label(data.columns[band.feature], 48))
        if data.n_omitted:
            note = f"{len(panels)} features that separate the components most; {data.n_omitted} not shown"
            figure.suptitle(note, fontsize=9, color=MUTED)
        add_legend_below(panels[0], n_columns=2)
        return figure
