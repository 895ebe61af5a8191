"""The figure of a selection: what it draws is the table, and it is drawn for every kind of grid."""

import dataclasses
import xml.etree.ElementTree as ET

import numpy as np
import pytest

import bayesgmm as bg
from bayesgmm.em.select import Selection
from bayesgmm.families import FAMILIES
from bayesgmm.plots.selection import STRUCTURES, _look, plot_selection, selection_data
from bayesgmm.plots.style import WIDTH
from bayesgmm.plots.svg import to_svg
from bayesgmm.report.selection import write_selection


@pytest.fixture(scope="module")
def selection() -> Selection:
    names = ["EII", "VVI", "EEE", "VVV"]
    return bg.select(bg.load_faithful(), range(1, 5), covariance=names, n_init=1, tol=1e-2, seed=0)


def without(selection: Selection, *cells: tuple[str, int]) -> Selection:
    fits = {cell: fit for cell, fit in selection.fits.items() if cell not in cells}
    return dataclasses.replace(selection, fits=fits, failures=dict.fromkeys(cells, "collapsed"))


def test_every_family_has_a_place_and_a_look_of_its_own() -> None:
    placed = [name for *_, families in STRUCTURES for name in families]
    assert sorted(placed) == sorted(FAMILIES)
    looks = {name: _look(name) for name in placed if name not in ("E", "V")}
    assert len(set(looks.values())) == len(looks)
    assert _look("E") != _look("V")


def test_lines_are_the_grid_and_the_best_is_the_best(selection: Selection) -> None:
    data = plot_selection(selection, figure_data=True)
    assert data.n_components == (1, 2, 3, 4)
    for line in data.lines:
        np.testing.assert_array_equal(line.values, selection.grid[line.covariance].to_numpy())
    assert data.best[:2] == (selection.best.covariance, selection.best.params.n_components)
    assert data.best[2] == selection.best.bic
    assert data.shown[0] < data.best[2] < data.shown[1]


def test_a_failure_is_a_gap_with_a_note(selection: Selection) -> None:
    failed = without(selection, ("VVV", 3))
    data = selection_data(failed)
    assert data.failed == (("VVV", 3),)
    line = next(line for line in data.lines if line.covariance == "VVV")
    np.testing.assert_array_equal(np.isnan(line.values), [False, False, True, False])
    assert "no fit: VVV with 3" in to_svg(plot_selection(failed), "x", "")
    assert "no fit" not in to_svg(plot_selection(selection), "x", "")


def test_values_far_above_are_counted_not_drawn_small(selection: Selection) -> None:
    data = selection_data(selection)
    values = selection.grid.to_numpy()
    assert data.n_above == (values > data.shown[1]).sum() > 0
    assert f"{data.n_above} worse fits above the axis" in to_svg(plot_selection(selection), "x", "")


def test_all_values_are_shown_where_they_lie_together(selection: Selection) -> None:
    near = without(selection, *[cell for cell in selection.fits if cell[0] == "EII" or cell[1] == 1])
    assert selection_data(near).n_above == 0


@pytest.mark.parametrize("criterion", ["bic", "icl", "aic", "nec"])
def test_a_figure_of_every_criterion(selection: Selection, criterion: str) -> None:
    figure = plot_selection(dataclasses.replace(selection, criterion=criterion))
    assert figure.get_figwidth() == WIDTH
    svg = to_svg(figure, "x", "")
    assert f"{criterion.upper()} (smaller is better)" in svg
    assert "best: " in svg


def test_what_is_no_selection_is_refused() -> None:
    with pytest.raises(bg.InputError, match="plot_selection draws the Selection that select returns; got NoneType"):
        bg.plot_selection(None)


def test_a_single_fit_is_drawn() -> None:
    single = bg.select(bg.load_galaxies(), 2, covariance="V", n_init=1, seed=0)
    assert "best: V, 2 components" in to_svg(plot_selection(single), "x", "")


def test_files_hold_the_table_and_a_picture_that_stands_alone(selection: Selection, tmp_path) -> None:
    table, picture = write_selection(selection, tmp_path)
    assert table.read_text().splitlines()[0].startswith("covariance,n_components,log_likelihood")
    assert len(table.read_text().splitlines()) == 1 + len(selection.table)
    assert ET.fromstring(picture.read_text()).tag == "{http://www.w3.org/2000/svg}svg"
    first = picture.read_bytes()
    write_selection(selection, tmp_path)
    assert picture.read_bytes() == first
