"""n_components_posterior: what the table holds, priors of the number, arguments."""

import importlib
import warnings

import numpy as np
import pandas as pd
import pytest

import bayesgmm as bg
from bayesgmm.sampling.n_components import NComponentsPosterior

COLUMNS = [
    "prior",
    "log_evidence",
    "standard_error",
    "method",
    "probability",
    "probability_error",
    "gain_by_empty",
    "gain_by_empty_error",
    "mean_occupied",
    "bic",
    "icl",
    "aic",
    "elpd_loo",
    "elpd_loo_error",
    "elpd_behind_error",
    "bad_k",
]


@pytest.fixture(scope="module")
def groups():
    """Twenty rows in each of two groups, six standard deviations apart."""
    rng = np.random.default_rng(1)
    return np.concatenate([rng.normal(0, 1, 20), rng.normal(6, 1, 20)])[:, None]


def compared(*arguments, **settings):
    """Few draws, of which nothing is asked but that they are used."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", bg.SamplingWarning)
        few = {"draws": 400, "tune": 100, "chains": 2, "n_init": 3, "resolution": 0.0, "progress": False, **settings}
        return bg.n_components_posterior(*arguments, **few)


@pytest.fixture(scope="module")
def found(groups):
    return compared(groups, (3, 1, 2), prior={1: 2.0, 2: 1.0, 3: 1.0, 4: 5.0}, seed=2)


@pytest.mark.slow
def test_two_groups_are_found(found):
    table = found.table
    assert table.index.tolist() == [1, 2, 3]
    assert table.index.name == "n_components"
    assert list(table.columns) == COLUMNS
    assert found.best == table["probability"].idxmax() == 2
    assert table["bic"].idxmin() == 2
    assert table["elpd_loo"].idxmax() in (2, 3)
    np.testing.assert_allclose(table["prior"], [0.5, 0.25, 0.25])
    assert "2: " in repr(found)


def test_probabilities_are_prior_times_evidence(found):
    table = found.table
    assert table["probability"].sum() == pytest.approx(1.0)
    unscaled = np.log(table["prior"]) + table["log_evidence"]
    np.testing.assert_allclose(np.log(table["probability"]), unscaled - np.logaddexp.reduce(unscaled), atol=1e-10)
    assert (table["standard_error"] < 0.3).all()
    assert table["probability_error"].between(0, 0.5).all()
    factors = found.log_bayes_factors
    np.testing.assert_allclose(factors, -factors.T)
    assert factors.loc[2, 1] == pytest.approx(table.loc[2, "log_evidence"] - table.loc[1, "log_evidence"])


def test_evidences_are_those_of_the_trees(found):
    for size, tree in found.trees.items():
        assert tree["posterior"].sizes["cluster"] == size
        evidence = bg.log_evidence(tree, seed=3)
        error = np.hypot(evidence.standard_error, found.table.loc[size, "standard_error"])
        assert found.table.loc[size, "log_evidence"] == pytest.approx(evidence.log_value, abs=4 * error)


def test_occupied_components(found):
    occupied = found.occupied
    assert occupied.index.tolist() == occupied.columns.tolist() == [1, 2, 3]
    np.testing.assert_allclose(occupied.sum(axis=1), 1.0)
    assert (np.triu(occupied, 1) == 0).all()
    np.testing.assert_allclose(found.table["mean_occupied"], occupied @ [1, 2, 3])
    np.testing.assert_allclose(found.n_occupied, found.table["probability"] @ occupied)
    assert found.n_occupied.sum() == pytest.approx(1.0)
    for size, tree in found.trees.items():
        np.testing.assert_allclose(occupied.loc[size].iloc[:size], bg.occupied_components(tree)["probability"])


def test_gains_by_empty_components_are_those_of_the_evidence(found):
    """Where a third component is often empty; of one component there is none fewer."""
    table = found.table
    assert np.isnan(table.loc[1, "gain_by_empty"])
    gain = table.loc[3, "log_evidence"] - table.loc[2, "log_evidence"]
    error = np.hypot(table.loc[3, "gain_by_empty_error"], np.hypot(*table.loc[[2, 3], "standard_error"]))
    assert error < 0.5
    assert table.loc[3, "gain_by_empty"] == pytest.approx(gain, abs=4 * error)


@pytest.mark.slow
def test_the_same_seed_gives_the_same_table_and_one_number_will_do(groups):
    one, other = (compared(groups, 2, seed=4) for _ in range(2))
    pd.testing.assert_frame_equal(one.table, other.table)
    assert one.table.index.tolist() == [2]
    assert one.table.loc[2, "probability"] == 1.0
    assert one.table.loc[2, "probability_error"] == 0.0
    assert np.isnan(one.table.loc[2, "gain_by_empty"])


@pytest.mark.slow
def test_families_whose_components_depend_on_one_another_have_no_gain_by_empty():
    X = np.random.default_rng(5).normal(size=(30, 2))
    table = compared(X, (1, 2), covariance="VEI", draws=60, seed=6).table
    assert table["gain_by_empty"].isna().all()
    assert np.isfinite(table["log_evidence"]).all()


@pytest.mark.slow
def test_the_bootstrap_test_is_there_when_asked_for(groups):
    found = compared(groups, (1, 2), draws=50, n_boot=9, seed=7)
    assert list(found.table.columns) == [*COLUMNS, "p_value"]
    assert found.table.loc[1, "p_value"] == pytest.approx(0.1)  # the smallest that nine samples allow
    assert found.table.loc[2, "p_value"] > 0.1


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"n_components": ()}, "n_components is empty"),
        ({"n_components": 0}, "n_components must be a whole number of at least 1"),
        ({"n_components": (1, 2.5)}, "n_components must be a whole number"),
        ({"prior": {1: 0.5}}, "prior has no value for n_components 2"),
        ({"prior": [1.0]}, "prior must be 2 positive numbers"),
        ({"prior": [1.0, 0.0]}, "prior must be 2 positive numbers"),
        ({"prior": [1.0, np.nan]}, "prior must be 2 positive numbers"),
        ({"resolution": -1.0}, "resolution"),
        ({"seed": -1}, "seed must be"),
        ({"draws": 0}, "draws must be"),
        ({"n_boot": -1}, "n_boot must be"),
    ],
)
def test_arguments_are_checked(groups, arguments, words):
    with pytest.raises(bg.InputError, match=words):
        bg.n_components_posterior(groups, **{"n_components": (1, 2), "draws": 50, "n_init": 1, "progress": False} | arguments)


@pytest.mark.slow
def test_a_prior_goes_with_its_numbers_in_the_order_given(groups):
    found = compared(groups, (2, 1, 2), prior=[3.0, 1.0], draws=50, seed=8)  # each number once
    assert found.table["prior"].to_dict() == {1: 0.25, 2: 0.75}


def test_probable_numbers_of_a_table_made_by_hand():
    """Best, Bayes factors and occupied components follow from the table."""
    index = pd.Index([2, 4], name="n_components")
    table = pd.DataFrame({"probability": [0.2, 0.8], "log_evidence": [-10.0, -8.0]}, index=index)
    occupied = pd.DataFrame([[0.1, 0.9, 0.0, 0.0], [0.0, 0.5, 0.25, 0.25]], index=index, columns=[1, 2, 3, 4])
    made = NComponentsPosterior(table, occupied, {})
    assert made.best == 4
    assert made.log_bayes_factors.loc[4, 2] == 2.0
    np.testing.assert_allclose(made.n_occupied, [0.02, 0.58, 0.2, 0.2])
    assert repr(made) == "NComponentsPosterior: p(K | X) = {2: 0.200, 4: 0.800}"


@pytest.mark.slow
def test_evidence_that_cannot_be_bridged_goes_on_from_the_one_before(groups, monkeypatch):
    """By how often a component is empty, and the table says so."""

    def refused(tree, **settings):
        if tree["posterior"].sizes["cluster"] == 3:
            raise bg.SamplingError("too many orders")
        return bg.log_evidence(tree, **settings)

    monkeypatch.setattr(importlib.import_module("bayesgmm.sampling.n_components"), "log_evidence", refused)
    table = compared(groups, (2, 3), seed=2).table
    assert table["method"].tolist() == ["bridge", "gain by empty"]
    assert table.loc[3, "log_evidence"] == pytest.approx(table.loc[2, "log_evidence"] + table.loc[3, "gain_by_empty"])
    assert table.loc[3, "standard_error"] > table.loc[2, "standard_error"]
