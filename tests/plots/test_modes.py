"""The strips hold the grouping of each draw, and the bars the shares of the table."""

import numpy as np
import pytest
import xarray as xr

import bayesgmm as bg
from bayesgmm.plots.modes import MAX_COLUMNS, plot_modes
from bayesgmm.plots.style import WIDTH
from bayesgmm.plots.svg import to_svg
from bayesgmm.posterior.schema import with_groups
from tests.posterior import constructed
from tests.posterior.constructed import SETTINGS, make_problem


@pytest.fixture(scope="module")
def stuck():
    return constructed.one_chain_stuck(make_problem(SETTINGS[0]))


@pytest.mark.slow
def test_the_data_are_those_of_the_diagnosis(stuck):
    diagnosis = bg.diagnose(stuck)
    data = plot_modes(diagnosis, figure_data=True)
    assert data.place.shape == (4, MAX_COLUMNS)
    assert data.n_draws == 1000
    assert (data.place[:, 0] == diagnosis.structures.place[:, 0]).all()
    assert (data.place[:, -1] == diagnosis.structures.place[:, -1]).all()
    np.testing.assert_array_equal(data.share, diagnosis.structures.table["share"])
    assert np.isnan(data.evidence).all()


@pytest.mark.slow
def test_figures_are_drawn(stuck):
    diagnosis = bg.diagnose(stuck)
    figure = plot_modes(diagnosis)
    assert figure.get_figwidth() == WIDTH
    svg = to_svg(figure, "x", "a figure")
    assert all(description in svg for description in diagnosis.structures.table["description"])
    assert "by evidence" not in svg
    centre = stuck["posterior"].to_dataset().isel(chain=[0]).mean("draw").rename(chain="mode")
    modes = centre[["weights", "means", "covariances"]].assign(share=("mode", [1.0]))
    with_evidence = bg.diagnose(with_groups(stuck, {"modes": modes.drop_vars("mode")}))
    assert "by evidence" in to_svg(plot_modes(with_evidence), "x", "a figure")


def test_short_chains_and_one_chain_are_drawn(stuck):
    few = with_groups(stuck, {"posterior": stuck["posterior"].to_dataset().isel(chain=[0], draw=slice(30))})
    data = plot_modes(bg.diagnose(few), figure_data=True)
    assert data.place.shape == (1, 30)
    assert isinstance(few, xr.DataTree)
    assert to_svg(plot_modes(bg.diagnose(few)), "x", "a figure").endswith("</svg>")
