"""bootstrap_lrt: laws of the statistic and its p-value, and mclust's tests of the same hypotheses."""

import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import bayesgmm as bg
from bayesgmm.em import bootstrap_lrt as module
from tests.representatives import representative_values

MCLUST = json.loads((Path(__file__).parents[1] / "reference" / "bootstrap_lrt_mclust.json").read_text())["results"]
DATA = {"faithful": bg.load_faithful, "iris": lambda: bg.load_iris().drop(columns="species")}


@pytest.fixture(scope="module")
def faithful_table():
    return bg.bootstrap_lrt(bg.load_faithful(), covariance="EEE", max_components=4, n_boot=39, level=None, seed=1)


@pytest.mark.slow
def test_each_null_is_the_alternative_before(faithful_table):
    for before, after in pairwise(faithful_table.itertuples()):
        assert after.n_components_null == before.n_components_null + 1
        assert after.log_likelihood_null == before.log_likelihood_alternative
    np.testing.assert_allclose(
        faithful_table["statistic"],
        2 * (faithful_table["log_likelihood_alternative"] - faithful_table["log_likelihood_null"]),
    )


def test_two_and_three_components_are_needed(faithful_table):
    """mclust's p-values of both are the smallest that its 499 samples allow."""
    assert list(faithful_table["p_value"][:2]) == [1 / 40, 1 / 40]
    assert (faithful_table["n_boot"] == 39).all()
    assert (faithful_table["n_failed"] == 0).all()


def test_log_likelihoods_are_at_least_mclusts(faithful_table):
    reference = next(case for case in MCLUST if (case["dataset"], case["model"]) == ("faithful", "EEE"))
    mclust = faithful_table["log_likelihood_null"][0] + np.cumsum(reference["LRTS"][:3]) / 2
    assert (faithful_table["log_likelihood_alternative"] >= mclust - 1e-6).all()


@pytest.mark.slow
def test_bootstrap_statistics_are_at_least_mclusts():
    """The 95% point of the statistic between one and two components, both of whose nulls are known in closed form.

    mclust's is from 499 samples, ours from 199; the standard error of such a quantile is about 1 here.
    """
    reference = next(case for case in MCLUST if (case["dataset"], case["model"]) == ("faithful", "EEE"))
    table = bg.bootstrap_lrt(bg.load_faithful(), covariance="EEE", max_components=2, n_boot=199, n_init=1, seed=2)
    assert table["critical_value"][0] > reference["q95"][0] - 3
    assert table["critical_value"][0] < reference["q95"][0] + 5


def test_one_group_is_accepted_and_the_tests_stop_there():
    X = np.random.default_rng(3).normal(size=(80, 2))
    table = bg.bootstrap_lrt(X, covariance="EII", max_components=4, n_boot=39, n_init=2, seed=4)
    assert list(table["n_components_null"]) == [1]
    assert table["p_value"][0] > 0.05
    assert table["statistic"][0] >= 0
    assert table["statistic"][0] < table["critical_value"][0]


def test_p_value_counts_the_samples_that_reach_the_statistic(monkeypatch):
    drawn = iter([1.0, 5.0, np.nan, 1e9, 1e10, 2.0, 3.0, 4.0, 0.0, 7.0])
    monkeypatch.setattr(module, "replicate_statistic", lambda *_: next(drawn))
    table = bg.bootstrap_lrt(bg.load_faithful(), covariance="EEE", max_components=2, n_boot=10, level=0.2, n_init=1, seed=0)
    assert (table["n_boot"][0], table["n_failed"][0]) == (10, 1)
    assert table["p_value"][0] == (1 + 2) / (1 + 9)
    assert table["critical_value"][0] == 1e9


def test_at_the_critical_value_significance_begins(monkeypatch):
    drawn = iter(np.arange(99.0))
    monkeypatch.setattr(module, "replicate_statistic", lambda *_: next(drawn))
    table = bg.bootstrap_lrt(bg.load_faithful(), covariance="EII", max_components=2, n_boot=99, n_init=1, seed=0)
    above = table["critical_value"][0] + 0.5
    assert (1 + np.sum(np.arange(99.0) >= above)) / 100 <= 0.05
    assert (1 + np.sum(np.arange(99.0) >= above - 1)) / 100 > 0.05


def test_same_seed_same_table_on_any_number_of_threads(monkeypatch):
    X = bg.load_faithful().head(60)
    arguments = {"covariance": "EEE", "max_components": 3, "n_boot": 7, "level": None, "n_init": 2, "seed": 5}
    first = bg.bootstrap_lrt(X, **arguments)
    monkeypatch.setattr(module, "WORTH_THREADS", 1)
    monkeypatch.setattr(module, "available_threads", lambda: 3)
    pd.testing.assert_frame_equal(bg.bootstrap_lrt(X, **arguments), first)


def test_an_interrupted_test_says_how_many_samples_it_has(monkeypatch):
    drawn = iter([1.0, 2.0, 3.0])

    def draw(*_):
        try:
            return next(drawn)
        except StopIteration:
            raise KeyboardInterrupt from None

    monkeypatch.setattr(module, "replicate_statistic", draw)
    table = bg.bootstrap_lrt(bg.load_faithful(), covariance="EEE", n_boot=99, n_init=1, seed=0)
    assert len(table) == 1
    assert table["n_boot"][0] == 3
    assert table["p_value"][0] == 0.25
    assert "stopped by the user after 3 samples" in table["advice"][0]


def test_data_that_allow_no_more_components_end_with_the_reason():
    X = np.array([[0.0], [1.0], [5.0], [6.0]])
    table = bg.bootstrap_lrt(X, covariance="E", max_components=9, n_boot=3, level=None, n_init=1, seed=6)
    assert table["advice"].iloc[-1] != ""
    assert np.isnan(table["p_value"].iloc[-1])


@pytest.mark.parametrize("level", [0.05, None])
def test_without_a_fitted_sample_nothing_is_accepted(monkeypatch, level):
    monkeypatch.setattr(module, "replicate_statistic", lambda *_: np.nan)
    table = bg.bootstrap_lrt(bg.load_faithful(), covariance="EII", max_components=4, n_boot=19, level=level, n_init=1, seed=0)
    assert len(table) == 1
    assert np.isnan(table["p_value"][0])
    assert np.isnan(table["critical_value"][0])
    assert (table["n_boot"][0], table["n_failed"][0]) == (19, 19)
    assert "neither accepted nor rejected: in all 19 samples every start collapsed" in table["advice"][0]


def test_normalised_weights_are_refused():
    X = bg.load_faithful().head(120)
    with pytest.raises(bg.InputError, match=r"sample_weight sums to 1, .* weights must count rows here, and sum to at least 4"):
        bg.bootstrap_lrt(X, sample_weight=np.full(120, 1 / 120))


def test_weights_of_too_few_rows_end_the_tests():
    X = bg.load_faithful().head(120)
    arguments = {"covariance": "EII", "max_components": 4, "n_boot": 3, "level": None, "n_init": 1, "seed": 0}
    table = bg.bootstrap_lrt(X, sample_weight=np.full(120, 5 / 120), **arguments)
    assert list(table["n_components_null"]) == [1, 2]
    assert np.isnan(table["p_value"][1])
    assert "sum to at least 6 for 3 components" in table["advice"][1]


def test_data_that_cannot_be_fitted_are_named():
    X = bg.load_faithful()
    with pytest.raises(bg.InputError, match=r"1 constant column out of 3: 'one' \(always 1\)"):
        bg.bootstrap_lrt(X.assign(one=1.0))
    with pytest.raises(bg.InputError, match=r"X has 1 row, .*rows with a sample_weight of 0 are not counted"):
        bg.bootstrap_lrt(X, sample_weight=np.eye(len(X))[3])


def test_whole_weights_stand_for_repeated_rows():
    X = bg.load_faithful().head(40)
    weights = np.tile([1, 3], 20)
    arguments = {"covariance": "EII", "max_components": 2, "n_boot": 3, "level": None, "n_init": 3, "seed": 7}
    weighted = bg.bootstrap_lrt(X, sample_weight=weights, **arguments)
    repeated = bg.bootstrap_lrt(X.loc[X.index.repeat(weights)], **arguments)
    np.testing.assert_allclose(weighted["statistic"], repeated["statistic"], rtol=1e-6)
    np.testing.assert_allclose(weighted["log_likelihood_null"], repeated["log_likelihood_null"], rtol=1e-10)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"max_components": 1}, "max_components is 1; give at least 2"),
        ({"n_boot": 9}, "no p-value can be below 0.1: for level=0.05 give at least 19"),
        ({"level": 2.0}, "level"),
        ({"n_boot": 0}, "n_boot"),
        ({"covariance": "XXX"}, "covariance is 'XXX'"),
    ],
)
def test_bad_arguments_are_named(arguments, words):
    with pytest.raises(bg.InputError, match=words):
        bg.bootstrap_lrt(bg.load_faithful(), **arguments)


@pytest.mark.statistical
@pytest.mark.parametrize("case", representative_values(MCLUST, 1), ids=lambda case: f"{case['dataset']}-{case['model']}")
def test_mclust_at_full_size(case):
    """Log-likelihoods at least mclust's for every K; decisions of level 0.05 the same while both nulls are the same optimum.

    A p-value that differs by more than four standard errors must come from an optimum that mclust misses: a larger statistic.
    """
    table = bg.bootstrap_lrt(
        DATA[case["dataset"]](), covariance=case["model"], max_components=5, n_boot=499, level=None, seed=123
    )
    mclust = table["log_likelihood_null"][0] + np.cumsum(case["LRTS"][:4]) / 2
    assert (table["log_likelihood_alternative"] >= mclust - 1e-3).all()
    for k, row in enumerate(table.itertuples()):
        theirs = case["p"][k]
        error = np.sqrt(2 * max(theirs * (1 - theirs), 0.002) / 499)
        same_optima = abs(row.statistic - case["LRTS"][k]) < 0.1
        if same_optima:
            assert abs(row.p_value - theirs) < 4 * error, (row, theirs)
