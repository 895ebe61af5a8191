"""select: the table and its order, criteria, failures as rows, and what it refuses."""

import os
import signal
from itertools import count
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.stats import entropy

from bayesgmm.datasets import load_faithful, load_galaxies
from bayesgmm.em import select as module
from bayesgmm.em.fit import fit_em
from bayesgmm.em.prior import ConjugatePrior
from bayesgmm.em.result import EMResult
from bayesgmm.em.select import INTERRUPTED, Selection, _fit_cell, select
from bayesgmm.errors import BayesGMMError, FitError, InputError
from tests.em.covariance_members import FOURTEEN
from tests.problems import Array

FAITHFUL = load_faithful()
GALAXIES = load_galaxies()
COLUMNS = [
    "covariance", "n_components", "log_likelihood", "n_parameters", "bic", "icl", "aic", "nec", "status", "advice",
]  # fmt: skip


@pytest.fixture(scope="module")
def grid() -> Selection:
    return select(FAITHFUL, [1, 2, 3], n_init=2, seed=0, progress=False)


def repeated_rows() -> Array:
    """Four places, five rows at each."""
    return np.repeat(np.random.default_rng(0).normal(size=(4, 2)), 5, axis=0)


class TestTable:
    def test_every_cell_has_a_row(self, grid: Selection) -> None:
        table = grid.table
        assert list(table.columns) == COLUMNS
        cells = set(zip(table["covariance"], table["n_components"], strict=True))
        assert cells == {(name, size) for name in FOURTEEN for size in (1, 2, 3)}
        assert len(table) == 42
        assert set(grid.fits) == cells
        assert grid.failures == {}

    def test_the_numbers_are_those_of_the_fits(self, grid: Selection) -> None:
        for row in grid.table.itertuples():
            em = grid.fits[row.covariance, row.n_components]
            for number in ("log_likelihood", "n_parameters", "bic", "icl", "aic"):
                assert getattr(row, number) == getattr(em, number)
            assert row.status == "converged"
            assert (em.covariance, em.params.n_components) == (row.covariance, row.n_components)

    @pytest.mark.parametrize("criterion", ["bic", "icl", "aic", "nec"])
    def test_best_first(self, grid: Selection, criterion: str) -> None:
        by = Selection(grid.fits, grid.failures, criterion)
        values = by.table[criterion].dropna()
        assert values.is_monotonic_increasing
        assert by.table[criterion].iloc[len(values) :].isna().all()
        first = by.table.iloc[0]
        assert by.best is by.fits[first["covariance"], first["n_components"]]
        assert f"Selection by {criterion}: 42 fits, 0 failures; best is {by.best.covariance} with" in repr(by)

    def test_equal_values_go_to_the_smaller_model(self, grid: Selection) -> None:
        """With one component EEE, VEE, EVE, ... are one model; nec is 1 for all, whatever their size."""
        by = Selection({cell: em for cell, em in grid.fits.items() if cell[1] == 1}, {}, "nec")
        assert by.table["n_parameters"].is_monotonic_increasing
        assert by.best.covariance == "EII"

    def test_the_best_on_old_faithful(self, grid: Selection) -> None:
        """mclust's choice too: EEE with three components, at a log-likelihood of -1126.3159 once it has converged."""
        assert (grid.best.covariance, grid.best.params.n_components) == ("EEE", 3)
        np.testing.assert_allclose(grid.best.log_likelihood, -1126.3159, atol=1e-4)

    def test_grid(self, grid: Selection) -> None:
        wide = grid.grid
        assert list(wide.columns) == list(FOURTEEN)
        assert list(wide.index) == [1, 2, 3]
        for name in FOURTEEN:
            np.testing.assert_array_equal(wide[name], [grid.fits[name, size].bic for size in (1, 2, 3)])

    def test_one_component_is_one_model_in_each_shape_and_orientation(self, grid: Selection) -> None:
        for same in (["EII", "VII"], ["EEI", "VEI", "EVI", "VVI"], [name for name in FOURTEEN if name[2] in "EV"]):
            np.testing.assert_allclose([grid.fits[name, 1].bic for name in same], grid.fits[same[0], 1].bic, rtol=1e-12)

    def test_normalised_entropy(self, grid: Selection) -> None:
        """E(K) / (l(K) - l(1)), from the responsibilities."""
        for name in ("EII", "EEE", "VVV"):
            assert grid.nec(name, 1) == 1.0
            for size in (2, 3):
                em = grid.fits[name, size]
                total = entropy(em.responsibilities(FAITHFUL), axis=1).sum()
                expected = total / (em.log_likelihood - grid.fits[name, 1].log_likelihood)
                np.testing.assert_allclose(grid.nec(name, size), expected, rtol=1e-9)

    def test_no_normalised_entropy_without_a_single_component(self) -> None:
        selection = select(FAITHFUL, [2, 3], covariance="EEE", n_init=1, seed=0, progress=False)
        assert selection.table["nec"].isna().all()
        assert selection.table["bic"].notna().all()

    def test_spurious_optima_are_named(self) -> None:
        """Six groups of galaxies with variances of their own: one of them is two galaxies (mclust finds it too)."""
        selection = select(GALAXIES, 6, covariance="V", n_init=12, n_long=12, seed=0, progress=False)
        (advice,) = selection.table["advice"]
        assert "holds only" in advice
        assert "rows in 1 column" in advice
        sound = select(FAITHFUL, 2, covariance="VVV", n_init=2, seed=0, progress=False)
        assert list(sound.table["advice"]) == [""]

    def test_an_unfinished_fit_says_so(self) -> None:
        selection = select(FAITHFUL, 3, covariance="VVV", n_init=1, max_iter=2, seed=0, progress=False)
        assert list(selection.table["status"]) == ["max_iter"]
        assert "raise max_iter" in selection.table["advice"].iloc[0]


class TestChoice:
    @pytest.mark.parametrize(
        ("covariance", "names"),
        [
            ("EEE", ["EEE"]),
            ("full", ["VVV"]),
            (["VVV", "EEE"], ["EEE", "VVV"]),
            (("tied", "EEE", "diag"), ["EEE", "VVI"]),
        ],
    )
    def test_names(self, covariance: Any, names: list[str]) -> None:
        selection = select(FAITHFUL, 2, covariance=covariance, n_init=1, seed=0, progress=False)
        assert sorted(selection.fits) == [(name, 2) for name in sorted(names)]

    def test_one_column(self) -> None:
        selection = select(GALAXIES, range(1, 4), n_init=1, seed=0, progress=False)
        assert list(selection.grid.columns) == ["E", "V"]
        assert set(selection.fits) == {(name, size) for name in "EV" for size in (1, 2, 3)}

    @pytest.mark.parametrize("n_components", [2, [2], (2, 2), np.array([2]), iter([2]), np.int64(2)])
    def test_numbers_of_components(self, n_components: Any) -> None:
        selection = select(FAITHFUL, n_components, covariance="EII", n_init=1, seed=0, progress=False)
        assert list(selection.fits) == [("EII", 2)]


class TestAgreement:
    def test_the_same_seed_gives_the_same_fits(self) -> None:
        first, second = (select(FAITHFUL, [1, 3], covariance=["VEV", "VVV"], seed=3, progress=False) for _ in range(2))
        assert first.fits == second.fits
        pd.testing.assert_frame_equal(first.table, second.table)

    @pytest.mark.parametrize("weighted", [False, True])
    def test_a_cell_is_what_fit_em_finds(self, weighted: bool) -> None:
        row_weights = np.random.default_rng(0).uniform(0, 2, len(FAITHFUL)) if weighted else None
        options: dict[str, Any] = {"n_init": 4, "tol": 1e-6, "sample_weight": row_weights, "seed": 3, "progress": False}
        selection = select(FAITHFUL, [1, 2], covariance=["EEV", "VVV"], **options)
        for (name, size), em in selection.fits.items():
            assert em == fit_em(FAITHFUL, size, covariance=name, **options)

    def test_weights_are_copies(self) -> None:
        """Started by clustering, which has no randomness; the rows in another order change no more than rounding."""
        copies = np.random.default_rng(0).integers(0, 3, len(FAITHFUL))
        options: dict[str, Any] = {"covariance": ["EEE", "VVV"], "init": "hierarchical", "n_init": 1, "tol": 1e-8, "seed": 0}
        weighted = select(FAITHFUL, [1, 2], sample_weight=copies, progress=False, **options)
        repeated = select(FAITHFUL.loc[np.repeat(FAITHFUL.index, copies)], [1, 2], progress=False, **options)
        for cell, em in weighted.fits.items():
            np.testing.assert_allclose(em.bic, repeated.fits[cell].bic, rtol=1e-9)

    def test_a_prior_is_passed_on(self) -> None:
        prior = ConjugatePrior(shrinkage=1.0)
        selection = select(FAITHFUL, 2, covariance="VVV", prior=prior, n_init=2, seed=0, tol=1e-6, progress=False)
        expected = fit_em(FAITHFUL, 2, covariance="VVV", prior=prior, n_init=2, seed=0, tol=1e-6, progress=False)
        assert selection.best == expected


class TestFailures:
    def test_a_cell_that_cannot_be_fitted_is_a_row(self) -> None:
        """Four components on four places are spheres of no size, and there are no five places."""
        selection = select(repeated_rows(), [1, 4, 5], covariance=["EII", "VVV"], n_init=2, seed=0, progress=False)
        assert set(selection.fits) == {("EII", 1), ("VVV", 1)}
        assert set(selection.failures) == {(name, size) for name in ("EII", "VVV") for size in (4, 5)}
        assert "every one of the 2 EM starts collapsed" in selection.failures["VVV", 4]
        assert "too few for n_components=5" in selection.failures["EII", 5].replace("distinct rows", "rows")
        failed = selection.table.iloc[2:]
        assert list(failed["status"]) == ["failed"] * 4
        assert failed[["log_likelihood", "bic", "icl", "aic", "nec", "n_parameters"]].isna().all(axis=None)
        assert [selection.failures[row.covariance, row.n_components] for row in failed.itertuples()] == list(failed["advice"])
        assert selection.grid.loc[4:].isna().all(axis=None)
        assert selection.grid.shape == (3, 2)

    def test_small_data(self) -> None:
        """The large families collapse where the small ones do not."""
        X = np.random.default_rng(0).normal(size=(12, 3))
        selection = select(X, [1, 4], covariance=["EII", "EEE", "VVV"], n_init=2, seed=0, progress=False)
        assert ("VVV", 4) in selection.failures
        assert {("EII", 1), ("EII", 4), ("VVV", 1)} <= set(selection.fits)

    def test_nothing_can_be_fitted(self) -> None:
        with pytest.raises(FitError, match=r"none of the 2 mixtures could be fitted: EII, K = 4: every .*; VVV, K = 4: "):
            select(repeated_rows(), 4, covariance=["EII", "VVV"], n_init=1, seed=0, progress=False)

    @pytest.mark.parametrize("number", [1, 3])
    def test_an_interruption_keeps_what_is_done(self, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
        complete = select(FAITHFUL, [1, 2, 3], covariance=["EII", "EEE"], n_init=1, seed=0, progress=False)
        calls = iter(range(1000))
        fit_cell = module._fit_cell

        def interrupted(*args: Any) -> EMResult:
            if next(calls) == number:
                raise KeyboardInterrupt
            return fit_cell(*args)

        monkeypatch.setattr(module, "_fit_cell", interrupted)
        monkeypatch.setattr(module, "available_threads", lambda: 1)
        selection = select(FAITHFUL, [1, 2, 3], covariance=["EII", "EEE"], n_init=1, seed=0, progress=False)
        assert selection.interrupted
        assert not complete.interrupted
        assert 1 <= len(selection.fits) < 6
        assert all(complete.fits[cell] == em for cell, em in selection.fits.items())
        assert len(selection.table) == 6
        assert set(selection.failures.values()) == {"not fitted: interrupted by the user"}


class TestRefusals:
    @pytest.mark.parametrize(
        ("options", "said"),
        [
            ({"criterion": "BIC"}, "criterion is 'BIC'; choose one of 'bic', 'icl', 'aic', 'nec'"),
            ({"covariance": "VVX"}, "covariance is 'VVX'; choose one of: EII, "),
            ({"covariance": None}, "covariance is None; choose one of: EII, "),
            ({"covariance": ["EEE", 3]}, "covariance is 3; choose one of: EII, "),
            ({"covariance": []}, "covariance names no family; give 'all', a name, or names"),
            ({"n_components": []}, "n_components names no number of components"),
            ({"n_components": 0}, "n_components must be a whole number of at least 1; got 0"),
            ({"n_components": [1, 2.5]}, "n_components must be a whole number of at least 1; got 2.5"),
            ({"init": np.zeros(272)}, "select: init must be the name of a start"),
            ({"init": "k-means"}, "init is 'k-means'; choose 'auto'"),
            ({"n_init": 0}, "n_init must be a whole number of at least 1; got 0"),
            ({"n_long": 0}, "n_long must be a whole number of at least 1; got 0"),
            ({"tol": -1.0}, "tol must be a number of at least 0"),
            ({"max_iter": 1.5}, "max_iter must be a whole number of at least 0"),
            ({"sample_weight": np.ones(5)}, r"sample_weight must hold one number per row, shape \(272,\)"),
            ({"seed": -1}, "seed"),
        ],
    )
    def test_a_bad_argument(self, options: dict[str, Any], said: str) -> None:
        with pytest.raises(InputError, match=said):
            select(FAITHFUL, **({"n_components": 2, "covariance": "EII", "n_init": 1} | options))

    def test_a_family_for_one_column(self) -> None:
        with pytest.raises(BayesGMMError, match="'V', which is for one column; X has 2: use 'VII' instead"):
            select(FAITHFUL, 2, covariance="V")


@pytest.mark.slow
def test_a_signal_stops_all_fits_and_keeps_what_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C in earnest: the main thread is interrupted while others fit, after three cells."""
    finished = count(1)

    def fit_and_signal(*args: Any) -> EMResult:
        em = _fit_cell(*args)
        if next(finished) == 3:
            os.kill(os.getpid(), signal.SIGINT)
        return em

    monkeypatch.setattr(module, "_fit_cell", fit_and_signal)
    rng = np.random.default_rng(0)
    X = rng.normal(size=(2000, 3)) + 3 * rng.integers(3, size=(2000, 1))
    selection = select(X, range(1, 10), n_init=5, tol=0.0, max_iter=200, seed=0, progress=False)
    assert selection.interrupted
    assert len(selection.fits) >= 3
    assert len(selection.failures) > 100
    assert set(selection.failures.values()) == {INTERRUPTED}
