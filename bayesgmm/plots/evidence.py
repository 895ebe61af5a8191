"""The atlas of the posterior: how much each mode holds, how that is known, and the sizes of its components."""

from dataclasses import dataclass
from textwrap import wrap
from typing import Literal, overload

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from bayesgmm.errors import InputError
from bayesgmm.evidence.bridge import Estimate, share_errors
from bayesgmm.plots.style import HAIRLINE, INK, MUTED, component_colour, house_style, new_figure, short_label
from bayesgmm.posterior.regions import UNSAMPLED
from bayesgmm.posterior.schema import N_OCCUPIED
from bayesgmm.sampling.log_evidence import Evidence

MOST_MODES = 12
"""Modes drawn, the largest first."""

SMALLEST_SHARE = 1e-6
"""The axis ends here; an arrow stands for a mode with less."""

HEADING, STRIP, LINE, GAP = 0.3, 0.26, 0.15, 0.1
"""Inches that the heading of a region, the strip of a mode and each line under it take, and between modes."""

LONGEST_LINE = 84


@dataclass(frozen=True, eq=False)
class ModeRow:
    """One mode; `share_error` is NaN where it is Laplace's estimate alone."""

    mode: int
    region: int
    share: float
    share_error: float
    n_starts: int
    weights: tuple[float, ...]
    description: str


@dataclass(frozen=True, eq=False)
class RegionRow:
    """Modes between which chains travelled, or with as many components that hold rows, `n_occupied`.

    `standard_error` is of ln of the region's mass.
    """

    region: int
    share: float
    share_error: float
    standard_error: float
    modes: tuple[ModeRow, ...]
    n_occupied: int | None = None


@dataclass(frozen=True, eq=False)
class EvidenceData:
    """Regions, largest first, then the modes of none; how many small modes are left out, and their share."""

    log_value: float
    standard_error: float
    regions: tuple[RegionRow, ...]
    not_measured: tuple[ModeRow, ...]
    n_left_out: int
    share_left_out: float


def evidence_data(evidence: Evidence) -> EvidenceData:
    """The numbers of the figure; shares of regions have their error by the delta method, and lend it to their modes."""
    if not isinstance(evidence, Evidence):
        raise InputError(f"plot_evidence draws the Evidence that log_evidence returns; got {type(evidence).__name__}")
    modes = evidence.modes.sort_values("share", ascending=False, kind="stable")
    home = modes["region"].to_numpy()
    numbers = [int(region) for region in dict.fromkeys(home) if region != UNSAMPLED]
    shares = np.array([modes["share"][home == region].sum() for region in numbers])
    errors = np.array([modes["standard_error"][home == region].iloc[0] for region in numbers])
    by_region = share_errors([Estimate(float(np.log(share)), error) for share, error in zip(shares, errors, strict=True)])
    relative = dict(zip(numbers, by_region / shares, strict=True))
    rows = [
        ModeRow(
            mode=int(number),
            region=int(row["region"]),
            share=float(row["share"]),
            share_error=float(row["share"] * relative.get(int(row["region"]), np.nan)),
            n_starts=int(row["starts"]),
            weights=tuple(map(float, row["weights"])),
            description=str(row["description"]),
        )
        for number, row in modes.iterrows()
    ]
    shown = rows[:MOST_MODES]
    regions = tuple(
        RegionRow(number, float(share), float(error), float(standard_error), members, _n_occupied(modes, number))
        for number, share, error, standard_error in zip(numbers, shares, by_region, errors, strict=True)
        if (members := tuple(row for row in shown if row.region == number))
    )
    return EvidenceData(
        log_value=evidence.log_value,
        standard_error=evidence.standard_error,
        regions=regions,
        not_measured=tuple(row for row in shown if row.region == UNSAMPLED),
        n_left_out=len(rows) - len(shown),
        share_left_out=float(sum(row.share for row in rows[MOST_MODES:])),
    )


@overload
def plot_evidence(evidence: Evidence, *, figure_data: Literal[False] = ...) -> Figure: ...
@overload
def plot_evidence(evidence: Evidence, *, figure_data: Literal[True]) -> EvidenceData: ...
def plot_evidence(evidence: Evidence, *, figure_data: bool = False) -> Figure | EvidenceData:
    """The modes of the posterior by region: their component sizes, and their share of the posterior on a logarithmic axis.

    A filled dot is a mode of a region: the region's share is measured, with its standard error, and divided among the
    region's modes by Laplace's estimates. An open diamond is a mode of no region, by Laplace's estimate alone. Under each, how
    many EM starts led there, and how it groups the rows.

    Parameters
    ----------
    evidence : Evidence
    figure_data : bool
        Return what would be drawn instead of drawing it.

    Returns
    -------
    matplotlib.figure.Figure or EvidenceData

    Raises
    ------
    InputError
        If `evidence` is something else.
    """
    data = evidence_data(evidence)
    if figure_data:
        return data
    rows, headings, height = _layout(data)
    with house_style():
        figure = new_figure(height + 0.9)
        strips, shares = figure.subplots(1, 2, sharey=True, width_ratios=[1.0, 1.9])
        for place, row in rows:
            _draw_weights(strips, place, row)
            _draw_share(shares, place, row)
        for place, text, colour in headings:
            strips.text(0, place, text, fontsize=9, fontweight="bold", color=colour, va="center").set_in_layout(False)
        _finish(strips, shares, data, height)
        return figure


def _layout(data: EvidenceData) -> tuple[list[tuple[float, ModeRow]], list[tuple[float, str, str]], float]:
    """Where modes and headings stand, in inches from the top, the headings' text and colour, and the height."""
    groups = [(f"{_name(region)}: {_share_text(region)}", _colour(region.region), region.modes) for region in data.regions]
    if data.not_measured:
        groups.append(("Not measured: Laplace's estimate alone", MUTED, data.not_measured))
    rows: list[tuple[float, ModeRow]] = []
    headings: list[tuple[float, str, str]] = []
    place = 0.0
    for text, colour, members in groups:
        headings.append((place + HEADING / 2, text, colour))
        place += HEADING
        for row in members:
            rows.append((place + STRIP / 2, row))
            place += STRIP + LINE * len(_note(row)) + GAP
    return rows, headings, place


def _n_occupied(modes: pd.DataFrame, region: int) -> int | None:
    return int(modes[N_OCCUPIED][modes["region"] == region].iloc[0]) if N_OCCUPIED in modes else None


def _name(region: RegionRow) -> str:
    if region.n_occupied is None:
        return f"Region {region.region}"
    return f"{region.n_occupied} component{'s hold' if region.n_occupied > 1 else ' holds'} rows"


def _share_text(region: RegionRow) -> str:
    if not np.isfinite(region.standard_error):
        return f"{percentage(region.share)} of the posterior, too few draws to measure"
    error = f" ± {100 * region.share_error:.1g}%" if region.share_error > 0 else ""
    return f"{percentage(region.share)}{error} of the posterior"


def percentage(share: float) -> str:
    """A share in per cent with two significant digits of what it holds or lacks, whichever is less."""
    if not 0 < share < 1:
        return f"{100 * share:.0f}%"
    if share > 0.99995:
        return ">99.99%"
    if share < SMALLEST_SHARE:
        return f"<{100 * SMALLEST_SHARE:.4f}%"
    digits = int(np.clip(1 - np.floor(np.log10(100 * min(share, 1 - share))), 0, 5))
    return f"{100 * share:.{digits}f}%"


def _note(row: ModeRow) -> list[str]:
    """How many starts led to a mode and what it is like, in lines."""
    starts = f"{row.n_starts} EM start{'' if row.n_starts == 1 else 's'}" if row.n_starts else "no EM start"
    return wrap(f"mode {row.mode}, {starts}: {short_label(row.description, 2 * LONGEST_LINE - 30)}", LONGEST_LINE)


def _colour(region: int) -> str:
    return MUTED if region == UNSAMPLED else component_colour(region)


def _draw_weights(axes: Axes, place: float, row: ModeRow) -> None:
    """A strip of the components' sizes, in shades, largest first."""
    left = 0.0
    for i, weight in enumerate(row.weights):
        axes.barh(place, weight, 0.2, left, color=_colour(row.region), alpha=max(0.6 - 0.13 * i, 0.12), ec="white", lw=0.8)
        if weight >= 0.2:
            axes.text(left + weight / 2, place, f"{weight:.2f}", ha="center", va="center", fontsize=7.5, color=INK)
        left += weight
    for i, line in enumerate(_note(row)):
        text = axes.text(0, place + STRIP / 2 + (i + 0.4) * LINE, line, fontsize=7.5, color=MUTED, va="center")
        text.set_in_layout(False)


def _draw_share(axes: Axes, place: float, row: ModeRow) -> None:
    shown, colour = max(row.share, SMALLEST_SHARE), _colour(row.region)
    marker = "<" if row.share < SMALLEST_SHARE else "D" if row.region == UNSAMPLED else "o"
    axes.plot([shown], [place], marker, color=colour, mfc="white" if row.region == UNSAMPLED else colour, ms=6, zorder=3)
    if row.share_error > 0:
        low, high = (max(row.share + side * row.share_error, SMALLEST_SHARE) for side in (-1, 1))
        axes.plot([low, high], [place, place], color=INK, lw=1.3, zorder=4)
    nats = f" ({np.log(row.share):.1f} nats)".replace("-", "\u2212") if 0 < row.share < 0.1 else ""
    known = percentage(row.share) if row.share > 0 else f"<{100 * SMALLEST_SHARE:.4f}%"
    side = -1 if row.share > 1e-3 else 1
    axes.annotate(
        f"{known}{nats}",
        (shown, place),
        (8 * side, 0),
        textcoords="offset points",
        fontsize=8,
        va="center",
        ha="left" if side > 0 else "right",
    )


def _finish(strips: Axes, shares: Axes, data: EvidenceData, height: float) -> None:
    strips.set_xlim(0, 1)
    strips.set_ylim(height, 0)
    strips.set_axis_off()
    title = f"ln p(X) = {data.log_value:.2f}, standard error {data.standard_error:.2g} nats".replace("-", "\u2212")
    strips.set_title(title).set_in_layout(False)
    strips.set_zorder(shares.get_zorder() + 1)  # the text runs on across the other axes
    shares.set_xscale("log")
    shares.set_xlim(SMALLEST_SHARE / 2, 2)
    shares.xaxis.set_major_locator(LogLocator(100))
    shares.xaxis.set_minor_locator(NullLocator())
    shares.xaxis.set_major_formatter(FuncFormatter(lambda share, _: f"{100 * share:.6g}%" if share <= 1 else ""))
    left_out = f"\n{data.n_left_out} more modes hold {percentage(data.share_left_out)}" if data.n_left_out else ""
    shares.set_xlabel(f"share of the posterior{left_out}")
    shares.tick_params(axis="y", left=False, labelleft=False)
    shares.spines["left"].set_visible(False)
    shares.axvline(1, color=HAIRLINE, lw=0.8)
