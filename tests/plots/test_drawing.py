"""Figures are drawn for every shape of problem, without touching matplotlib's settings, and as SVG that can share a page."""

import dataclasses
import re
from collections.abc import Callable

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.figure import Figure

from bayesgmm.compare.comparison import Comparison
from bayesgmm.plots.density import plot_density
from bayesgmm.plots.diagnostics import plot_diagnostics
from bayesgmm.plots.entropy import plot_entropy
from bayesgmm.plots.forest import plot_forest
from bayesgmm.plots.memberships import plot_memberships
from bayesgmm.plots.predictive import plot_predictive
from bayesgmm.plots.style import COMPONENT_COLOURS, WIDTH, component_colour, component_marker, short_label
from bayesgmm.plots.svg import to_svg
from tests.fake_comparison import HOSTILE_COLUMNS, make_comparison


def diagnostics_of(comparison: Comparison) -> Figure:
    return plot_diagnostics(comparison.diagnosis)


PLOTS: list[Callable[[Comparison], Figure]] = [
    plot_density,
    plot_forest,
    plot_memberships,
    plot_entropy,
    plot_predictive,
    diagnostics_of,
]


@pytest.mark.parametrize("plot", PLOTS, ids=lambda plot: plot.__name__)
def test_a_figure_is_drawn(plot: Callable[[Comparison], Figure], any_comparison: Comparison) -> None:
    figure = plot(any_comparison)
    assert figure.get_figwidth() == WIDTH
    svg = to_svg(figure, "x", "a figure")
    assert svg.startswith("<svg")
    assert svg.endswith("</svg>")


@pytest.mark.slow
def test_a_figure_shows_itself_in_a_notebook(comparison: Comparison) -> None:
    picture, size = plot_density(comparison)._repr_png_()
    assert picture.startswith(b"\x89PNG")
    assert size["width"] == int(WIDTH * 100)


def test_drawing_leaves_settings_and_open_figures_alone(comparison: Comparison) -> None:
    before, open_before = dict(mpl.rcParams), plt.get_fignums()
    with mpl.rc_context({"text.usetex": True, "axes.facecolor": "black"}):
        plot_forest(comparison)._repr_png_()
        assert mpl.rcParams["axes.facecolor"] == "black"
    assert dict(mpl.rcParams) == before
    assert plt.get_fignums() == open_before


def test_column_names_appear_as_they_are() -> None:
    names = ("$\\alpha$ & <b>", "na_me^{2")
    svg = to_svg(plot_density(make_comparison(2, 2, columns=names)), "x", "")
    assert "$\\alpha$ &amp; &lt;b&gt;" in svg
    assert "na_me^{2" in svg


def test_an_observation_with_another_label_is_ringed_and_explained(comparison: Comparison) -> None:
    flips = comparison.assignments["flips"].copy(data=np.arange(comparison.em.n_samples) < 3)
    flipped = dataclasses.replace(comparison, assignments=comparison.assignments.assign(flips=flips))
    assert "label differs from EM&#x27;s" in to_svg(plot_density(flipped), "x", "").replace("'", "&#x27;")
    assert "label differs" not in to_svg(plot_density(comparison), "x", "")


@pytest.mark.slow
def test_many_points_are_pixels_inside_the_vector_figure() -> None:
    few = to_svg(plot_density(make_comparison(2, 2, n_samples=100, n_draws=8)), "x", "")
    many = to_svg(plot_density(make_comparison(2, 2, n_samples=2500, n_draws=8)), "x", "")
    assert "<image" not in few
    assert "<image" in many


def test_two_svgs_share_no_id(comparison: Comparison) -> None:
    first, second = (to_svg(plot(comparison), plot.__name__, "") for plot in (plot_density, plot_forest))
    ids = re.findall(r'\bid="([^"]+)"', first), re.findall(r'\bid="([^"]+)"', second)
    assert not set(ids[0]) & set(ids[1])
    for svg, own in ((first, ids[0]), (second, ids[1])):
        assert len(own) == len(set(own))
        assert set(re.findall(r'(?:href="#|url\(#)([^")]+)', svg)) <= set(own)


def test_svg_of_the_same_comparison_is_the_same(comparison: Comparison) -> None:
    first, second = (to_svg(plot_density(comparison), "density", "") for _ in range(2))
    assert first == second


def test_a_label_that_looks_like_markup_is_not_edited() -> None:
    name = 'd="1.23456789" id="x"'
    svg = to_svg(plot_density(make_comparison(2, 2, columns=(name, "y"))), "x", 'says "hi" <now>')
    assert 'd="1.23456789"' in svg or "d=&quot;1.23456789&quot;" in svg
    assert 'aria-label="says &quot;hi&quot; &lt;now&gt;"' in svg


@pytest.mark.parametrize("name", [*HOSTILE_COLUMNS, "", "\ud800", "a\u202eb", "\x00\x1b[31m", "👩‍🔬" * 40])
def test_short_labels_are_short_printable_and_writable(name: str) -> None:
    label = short_label(name)
    assert len(label) <= 28
    assert not re.search(r"[\x00-\x1f\x7f\u202a-\u202e\u2066-\u2069]", label)
    label.encode("utf-8")


def test_a_long_label_keeps_both_ends() -> None:
    assert short_label("abcdefghij" * 5, 11) == "abcde…fghij"


def test_components_stay_apart_beyond_the_palette() -> None:
    n = 2 * len(COMPONENT_COLOURS)
    looks = {(component_colour(k), component_marker(k)) for k in range(n)}
    assert len(looks) == n
