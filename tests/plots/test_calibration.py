"""The reliability diagram shows the table's bins and scores, for one method and two, few bins and many."""

import numpy as np
import pytest

from bayesgmm.compare.calibration import Calibration, calibration
from bayesgmm.plots.calibration import plot_calibration
from bayesgmm.plots.style import WIDTH
from bayesgmm.plots.svg import to_svg
from tests.compare.test_calibration import calibrated, dataset


def made(n_samples: int = 300, *, n_labels: int = 3, with_em: bool = True, n_bins: int = 10) -> Calibration:
    membership, codes = calibrated(np.random.default_rng(4), n_samples, n_labels)
    return calibration(dataset(membership, membership**2 if with_em else None), codes, n_bins=n_bins)


def test_panels_hold_the_table() -> None:
    result = made()
    panels = plot_calibration(result, figure_data=True)
    assert [panel.method for panel in panels] == ["EM", "posterior"]
    for panel in panels:
        bins = result.reliability[result.reliability["method"] == panel.method]
        for name in ("mean_probability", "frequency", "lower", "upper", "count"):
            np.testing.assert_array_equal(getattr(panel, name), bins[name])
        np.testing.assert_array_equal(panel.edges, bins[["bin_lower", "bin_upper"]])
        (brier,) = result.scores.loc[result.scores["method"] == panel.method, "brier"]
        assert panel.brier == brier


@pytest.mark.parametrize(
    "result",
    [
        pytest.param(made(), id="both"),
        pytest.param(made(with_em=False, n_bins=30), id="posterior-many-bins"),
        pytest.param(made(5000, n_labels=2), id="many-rows"),
        pytest.param(made(1), id="one-row"),
        pytest.param(made(40, n_labels=1), id="one-label"),
    ],
)
def test_a_figure_is_drawn(result: Calibration) -> None:
    figure = plot_calibration(result)
    assert figure.get_figwidth() == WIDTH
    svg = to_svg(figure, "x", "a figure")
    assert svg.endswith("</svg>")
    counts = result.reliability["count"]
    if result.reliability.groupby("method").size().max() <= 10:
        assert all(f"{count:,}" in svg for count in counts)
    assert f"Brier {result.scores['brier'].iloc[0]:.3f}" in svg


def test_an_infinite_score_is_drawn() -> None:
    result = calibration(dataset([[0.7, 0.3]] * 4 + [[0.2, 0.8]] * 4), list("aaabbcbb"))
    assert "log score ∞" in to_svg(plot_calibration(result), "x", "")
