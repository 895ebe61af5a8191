"""The figure of the number of components: one scale for all criteria, 0 where each is best, and what each chooses."""

import dataclasses

import numpy as np
import pandas as pd
import pytest

import bayesgmm as bg
from bayesgmm.plots.n_components import LEAST_SHOWN, plot_n_components
from bayesgmm.plots.style import WIDTH
from bayesgmm.plots.svg import to_svg
from bayesgmm.sampling.n_components import NComponentsPosterior


@pytest.fixture(scope="module")
def result() -> NComponentsPosterior:
    """K = 2 to 5; evidence chooses 4, BIC and ICL 3, leave-one-out 5, where some rows' weights are too uneven."""
    evidence = np.array([-250.0, -223.0, -221.0, -222.0])
    probability = np.exp(evidence - np.logaddexp.reduce(evidence))
    table = pd.DataFrame(
        {
            "prior": 0.25,
            "log_evidence": evidence,
            "standard_error": [0.01, 0.02, 0.03, 0.2],
            "probability": probability,
            "probability_error": 0.02 * probability,
            "bic": [470.0, 442.0, 444.0, 445.0],
            "icl": [470.0, 443.0, 460.0, 462.0],
            "elpd_loo": [-230.0, -212.0, -211.0, -210.0],
            "elpd_loo_error": 9.0,
            "elpd_behind_error": 9.0,
            "bad_k": [0, 0, 0, 3],
            "p_value": [0.01, 0.04, 0.06, 0.5],
        },
        index=pd.Index([2, 3, 4, 5], name="n_components"),
    )
    occupied = pd.DataFrame(np.tril(np.full((4, 5), 0.1), 1) + np.eye(4, 5, 1) * 0.5, index=table.index, columns=range(1, 6))
    return NComponentsPosterior(table, occupied.div(occupied.sum(axis=1), axis=0), {})


def test_every_criterion_is_nats_below_its_best(result: NComponentsPosterior) -> None:
    data = plot_n_components(result, figure_data=True)
    lines = {line.name: line for line in data.lines}
    np.testing.assert_allclose(lines["evidence"].values, [-29, -2, 0, -1])
    np.testing.assert_allclose(lines["BIC"].values, [-14, 0, -1, -1.5])
    np.testing.assert_allclose(lines["ICL"].values, [-13.5, 0, -8.5, -9.5])
    np.testing.assert_allclose(lines["LOO"].values, [-20, -2, -1, 0])
    assert {name: line.best for name, line in lines.items()} == {"evidence": 4, "BIC": 3, "ICL": 3, "LOO": 5}
    assert lines["LOO"].doubtful.tolist() == [False, False, False, True]
    assert np.isnan(lines["BIC"].errors).all()
    assert (lines["evidence"].errors == result.table["standard_error"]).all()


def test_probabilities_are_those_of_the_result(result: NComponentsPosterior) -> None:
    data = plot_n_components(result, figure_data=True)
    assert data.n_components == (2, 3, 4, 5)
    assert data.best == result.best == 4
    np.testing.assert_array_equal(data.probability, result.table["probability"])
    np.testing.assert_array_equal(data.occupied_probability, result.n_occupied)
    assert data.n_occupied == (1, 2, 3, 4, 5)
    assert data.first_accepted == 4


def test_the_range_holds_what_can_be_chosen(result: NComponentsPosterior) -> None:
    data = plot_n_components(result, figure_data=True)
    every = np.concatenate([line.values for line in data.lines])
    assert every.min() < data.lowest_shown <= -LEAST_SHOWN
    assert "values below the axis" in to_svg(plot_n_components(result), "x", "a figure")
    near = dataclasses.replace(result, table=result.table.iloc[1:].assign(icl=443.0), occupied=result.occupied.iloc[1:])
    lowest = plot_n_components(near, figure_data=True).lowest_shown
    assert lowest == min(line.values.min() for line in plot_n_components(near, figure_data=True).lines)


def test_figures_are_drawn(result: NComponentsPosterior) -> None:
    figure = plot_n_components(result)
    assert figure.get_figwidth() == WIDTH
    svg = to_svg(figure, "x", "a figure")
    for text in (
        "Most probable: 4, 66.5%",
        "evidence",
        "BIC",
        "ICL",
        "LOO",
        "bootstrap test",
        "0.06",
        "hollow: not reliable",
        "nats below the best",
    ):
        assert text in svg


def test_without_a_test_and_with_one_size(result: NComponentsPosterior) -> None:
    table = result.table.drop(columns="p_value").iloc[[0]].assign(probability=1.0, probability_error=0.0)
    alone = NComponentsPosterior(table, result.occupied.iloc[[0]], {})
    data = plot_n_components(alone, figure_data=True)
    assert data.p_values is None
    assert data.first_accepted is None
    assert [line.best for line in data.lines] == [2] * 4
    assert "bootstrap" not in to_svg(plot_n_components(alone), "x", "a figure")


def test_a_test_that_rejects_all_chooses_none(result: NComponentsPosterior) -> None:
    rejected = dataclasses.replace(result, table=result.table.assign(p_value=[0.01, 0.01, 0.01, np.nan]))
    assert plot_n_components(rejected, figure_data=True).first_accepted is None
    assert ">0.01<" in to_svg(plot_n_components(rejected), "x", "a figure")


def test_what_is_no_result_is_refused() -> None:
    with pytest.raises(bg.InputError, match="plot_n_components draws what n_components_posterior returns; got NoneType"):
        plot_n_components(None)
