"""The figure of the evidence: its numbers are the table's, regions together, and every kind of mode is drawn."""

import dataclasses

import numpy as np
import pytest

import bayesgmm as bg
from bayesgmm.plots.evidence import MOST_MODES, percentage, plot_evidence
from bayesgmm.plots.style import WIDTH
from bayesgmm.plots.svg import to_svg
from tests.regions import made_evidence


def test_modes_stand_with_their_region() -> None:
    data = plot_evidence(made_evidence(), figure_data=True)
    assert [[row.mode for row in region.modes] for region in data.regions] == [[0, 1], [2]]
    assert [row.mode for row in data.not_measured] == [3, 4]
    assert [region.share for region in data.regions] == pytest.approx([0.8, 0.19])
    assert data.regions[0].modes[1].weights == (0.5, 0.25, 0.25)
    assert (data.log_value, data.standard_error) == (-100.0, 0.02)


def test_the_error_of_a_share_is_by_the_delta_method() -> None:
    """Of two regions, s1 s2 sqrt(e1^2 + e2^2) for both; their modes have their part of it, others none."""
    data = plot_evidence(made_evidence(), figure_data=True)
    first, second = (share / 0.99 for share in (0.8, 0.19))
    expected = first * second * np.hypot(0.02, 0.05)
    assert [region.share_error for region in data.regions] == pytest.approx([expected] * 2)
    assert [row.share_error for row in data.regions[0].modes] == pytest.approx([expected * 5 / 8, expected * 3 / 8])
    assert all(np.isnan(row.share_error) for row in data.not_measured)


def test_small_modes_are_counted() -> None:
    data = plot_evidence(made_evidence(n_small=20), figure_data=True)
    assert sum(len(region.modes) for region in data.regions) + len(data.not_measured) == MOST_MODES
    assert data.n_left_out == 25 - MOST_MODES
    assert data.share_left_out == pytest.approx(1e-41 * data.n_left_out)


def test_what_is_drawn() -> None:
    svg = to_svg(plot_evidence(made_evidence()), "x", "a figure")
    assert "ln p(X) = −100.00, standard error 0.02 nats" in svg
    assert "Region 0: 80% ± 0.8% of the posterior" in svg
    assert "mode 2, 3 EM starts: 0 and 1 of the reference are together" in svg
    assert "mode 3, no EM start: " in svg
    assert "&lt;0.0001% (−92.1 nats)" in svg
    assert "more modes hold" not in svg
    assert "13 more modes hold" in to_svg(plot_evidence(made_evidence(n_small=20)), "x", "a figure")


def test_one_mode_and_a_region_that_was_not_measured_are_drawn() -> None:
    evidence = made_evidence()
    alone = dataclasses.replace(evidence, modes=evidence.modes.iloc[:1].assign(share=1.0))
    figure = plot_evidence(alone)
    assert figure.get_figwidth() == WIDTH
    assert "Region 0: 100% of the posterior" in to_svg(figure, "x", "a figure")
    unknown = evidence.modes.assign(standard_error=[0.02, 0.02, *[np.nan] * 3])
    svg = to_svg(plot_evidence(dataclasses.replace(evidence, modes=unknown)), "x", "a figure")
    assert "Region 1: 19% of the posterior, too few draws to measure" in svg


def test_shares_have_two_digits_of_what_is_rarer() -> None:
    shares = [0.0, 1e-9, 2.6e-4, 0.0824, 0.5, 0.991, 0.99934, 0.99999, 1.0]
    texts = ["0%", "<0.0001%", "0.026%", "8.2%", "50%", "99.10%", "99.934%", ">99.99%", "100%"]
    assert [percentage(share) for share in shares] == texts


def test_what_is_no_evidence_is_refused() -> None:
    with pytest.raises(bg.InputError, match="plot_evidence draws the Evidence that log_evidence returns; got NoneType"):
        plot_evidence(None)
