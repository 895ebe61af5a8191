"""fit_em: the symmetries of maximum likelihood, starts and restarts, and what it refuses."""

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import multivariate_normal

from bayesgmm.data import validate
from bayesgmm.datasets import load_faithful, load_iris
from bayesgmm.em import fit
from bayesgmm.em.fit import fit_em
from bayesgmm.em.initialise import AUTO_CYCLE, AUTO_FIRST
from bayesgmm.em.prior import ConjugatePrior
from bayesgmm.em.result import EMResult
from bayesgmm.em.run import EMRun, EMStatus, run_em
from bayesgmm.errors import FitError, InputError
from bayesgmm.params import MixtureParams
from tests.problems import Array, random_data, random_params

LAW = settings(derandomize=True, deadline=None, max_examples=10)
SEED = st.integers(0, 2**32 - 1)
FAITHFUL = load_faithful()


def problem(seed: int, n_samples: int = 150, n_components: int = 3, n_features: int = 2) -> tuple[Array, Array]:
    """Rows of a mixture and rough responsibilities to start from."""
    rng = np.random.default_rng(seed)
    X, labels = random_data(rng, random_params(rng, n_components, n_features), n_samples)
    return X, 0.6 * np.eye(n_components)[labels] + 0.4 * rng.dirichlet(np.ones(n_components), n_samples)


def steps(X: Any, init: Array, **options: Any) -> EMResult:
    """Exactly 20 iterations from given responsibilities: what two fits have in common does not depend on when they stop."""
    return fit_em(X, init.shape[1], init=init, tol=0.0, max_iter=20, accelerate=False, **options)


def assert_same_mixture(actual: MixtureParams, expected: MixtureParams, tolerance: float = 1e-9) -> None:
    """Each number to `tolerance` in units of the component's own scales."""
    scales = expected.scales
    np.testing.assert_allclose(actual.weights, expected.weights, rtol=0, atol=tolerance)
    np.testing.assert_allclose(actual.means / scales, expected.means / scales, rtol=tolerance, atol=tolerance)
    np.testing.assert_allclose(actual.scales, scales, rtol=tolerance)
    np.testing.assert_allclose(actual.correlations, expected.correlations, rtol=0, atol=tolerance)


class TestLaws:
    @LAW
    @given(SEED)
    def test_no_trace_falls(self, seed: int) -> None:
        """In the units that EM works in they strictly increase (test_run.py); changing to those of the data rounds."""
        X, _ = problem(seed)
        em = fit_em(X, 3, n_init=3, seed=seed)
        assert all((np.diff(run.trace) >= 0).all() for run in em.runs)
        assert em.log_likelihood == em.trace[-1]

    @LAW
    @given(SEED)
    def test_permuting_the_start_permutes_the_fit(self, seed: int) -> None:
        X, init = problem(seed)
        order = np.random.default_rng(seed).permutation(3)
        em, moved = steps(X, init), steps(X, init[:, order])
        assert_same_mixture(moved.params, em.params.permuted(order))
        np.testing.assert_allclose(moved.log_likelihood, em.log_likelihood, rtol=1e-12)

    @LAW
    @given(SEED)
    def test_the_order_of_the_rows_does_not_matter(self, seed: int) -> None:
        X, init = problem(seed)
        order = np.random.default_rng(seed).permutation(len(X))
        assert_same_mixture(steps(X[order], init[order]).params, steps(X, init).params)

    @LAW
    @given(SEED, st.floats(-6, 6), st.booleans())
    def test_scale_and_shift_per_column(self, seed: int, exponent: float, mirrored: bool) -> None:
        X, init = problem(seed)
        scale, shift = np.array([10.0**exponent, 3.0]), np.array([1.0, -50.0])
        em, moved = steps(X, init), steps(X * [-scale[0] if mirrored else scale[0], scale[1]] + shift, init)
        if not mirrored:
            # The shift of 50 takes 2 of 16 digits of X, a scale of 1e-6 beside a shift of 1 takes 6.
            assert_same_mixture(moved.params, em.params.affine(scale, shift), 1e-11 * max(1.0, 10.0**-exponent * 100))
        np.testing.assert_allclose(moved.log_likelihood, em.log_likelihood - len(X) * np.log(scale).sum(), rtol=1e-7)

    @LAW
    @given(SEED)
    def test_any_invertible_map_of_the_rows(self, seed: int) -> None:
        """The family has no preferred directions: rotation and shear too."""
        X, init = problem(seed)
        rng = np.random.default_rng(seed)
        transform = np.linalg.qr(rng.normal(size=(2, 2)))[0] @ np.array([[2.0, 0.7], [0.0, 0.5]])
        em, moved = steps(X, init), steps(X @ transform.T + 1.0, init)
        covariances = transform @ em.params.covariances @ transform.T
        expected = MixtureParams.from_covariances(em.params.weights, em.params.means @ transform.T + 1.0, covariances)
        assert_same_mixture(moved.params, expected)
        log_det = np.log(abs(np.linalg.det(transform)))
        np.testing.assert_allclose(moved.log_likelihood, em.log_likelihood - len(X) * log_det, rtol=1e-11)

    @pytest.mark.parametrize("power", [-300, -10, 7, 300])
    def test_a_power_of_2_changes_no_bit(self, power: int) -> None:
        """Own starts included: the standardised data are the same."""
        X, _ = problem(0)
        factor = 2.0**power
        em, scaled = (fit_em(rows, 2, n_init=3, seed=0) for rows in (X, X * factor))
        assert scaled.params == em.params.affine(np.full(2, factor), np.zeros(2))
        assert [run.init for run in scaled.runs] == [run.init for run in em.runs]

    @pytest.mark.parametrize("scale", [1e-100, 1e100])
    def test_extreme_units(self, scale: float) -> None:
        em, scaled = (fit_em(FAITHFUL * factor, 2, n_init=2, seed=0) for factor in (1.0, scale))
        np.testing.assert_allclose(scaled.log_likelihood, em.log_likelihood - FAITHFUL.size * np.log(scale), rtol=1e-12)
        # The stopping rule may end one iteration earlier or later.
        assert_same_mixture(scaled.params, em.params.affine(np.full(2, scale), np.zeros(2)), 1e-5)

    @pytest.mark.parametrize("offset", [1e7, 1e12])
    def test_a_large_offset(self, offset: float) -> None:
        """Rows that share an offset lose digits when they are stored, not in the fit."""
        X, init = problem(0)
        X = (X + offset) - offset  # what is left after storing
        em, moved = steps(X, init), steps(X + offset, init)
        np.testing.assert_allclose(moved.params.covariances, em.params.covariances, rtol=1e-9)
        np.testing.assert_allclose(moved.params.means - offset, em.params.means, rtol=0, atol=2 * np.spacing(offset))
        np.testing.assert_allclose(moved.log_likelihood, em.log_likelihood, rtol=1e-10)

    @LAW
    @given(SEED)
    def test_a_row_weight_is_a_number_of_copies(self, seed: int) -> None:
        X, init = problem(seed)
        copies = np.random.default_rng(seed).integers(0, 4, len(X))
        weighted = steps(X, init, sample_weight=copies)
        repeated = steps(np.repeat(X, copies, axis=0), np.repeat(init, copies, axis=0))
        assert_same_mixture(weighted.params, repeated.params, 1e-10)
        for name in ("log_likelihood", "bic", "aic", "icl", "total_weight"):
            np.testing.assert_allclose(getattr(weighted, name), getattr(repeated, name), rtol=1e-10)
        assert (weighted.n_samples, repeated.n_samples) == (len(X), copies.sum())

    def test_doubling_the_rows_doubles_the_log_likelihood(self) -> None:
        X, init = problem(0)
        em, doubled = steps(X, init), steps(np.vstack([X, X]), np.vstack([init, init]))
        assert_same_mixture(doubled.params, em.params, 1e-10)
        np.testing.assert_allclose(doubled.trace, 2 * em.trace, rtol=1e-12)

    @pytest.mark.parametrize("init", ["auto", "kmeans", "k-means++", "random_from_data"])
    @pytest.mark.parametrize("stray", [1e9, 1e100])
    def test_a_row_of_weight_0_counts_for_nothing(self, init: str, stray: float) -> None:
        X, _ = problem(0, n_components=2)
        strays = np.vstack([X, [[stray, -stray]]])
        sample_weight = np.append(np.ones(len(X)), 0.0)
        em = fit_em(strays, 2, init=init, n_init=3, seed=0, sample_weight=sample_weight)
        expected = fit_em(X, 2, n_init=3, seed=0)
        np.testing.assert_allclose(em.log_likelihood, expected.log_likelihood, rtol=1e-9)
        np.testing.assert_allclose(em.icl, expected.icl, rtol=1e-6)


class TestAnswer:
    def test_one_component_in_closed_form(self) -> None:
        X, _ = problem(0, n_features=3)
        em = fit_em(X, 1, seed=0)
        covariance = np.cov(X.T, bias=True)
        np.testing.assert_allclose(em.params.weights, [1.0])
        np.testing.assert_allclose(em.params.means[0], X.mean(axis=0), rtol=1e-12)
        np.testing.assert_allclose(em.params.covariances[0], covariance, rtol=1e-12)
        expected = -0.5 * len(X) * (np.linalg.slogdet(2 * np.pi * covariance)[1] + 3)
        np.testing.assert_allclose(em.log_likelihood, expected, rtol=1e-13)
        assert em.n_parameters == 9

    def test_one_weighted_component_in_closed_form(self) -> None:
        X, _ = problem(0)
        sample_weight = np.random.default_rng(0).uniform(0, 2, len(X))
        em = fit_em(X, 1, seed=0, sample_weight=sample_weight)
        np.testing.assert_allclose(em.params.means[0], np.average(X, axis=0, weights=sample_weight), rtol=1e-12)
        np.testing.assert_allclose(em.params.covariances[0], np.cov(X.T, aweights=sample_weight, bias=True), rtol=1e-12)

    @pytest.mark.parametrize("weighted", [False, True])
    def test_log_likelihood_is_that_of_the_parameters(self, weighted: bool) -> None:
        X, _ = problem(0)
        sample_weight = np.random.default_rng(0).uniform(0, 2, len(X)) if weighted else np.ones(len(X))
        em = fit_em(X, 2, n_init=4, seed=0, sample_weight=sample_weight if weighted else None)
        for found in (*em.runs, *em.modes, em):
            joint = [
                np.log(weight) + multivariate_normal(mean, covariance).logpdf(X)
                for weight, mean, covariance in zip(
                    found.params.weights, found.params.means, found.params.covariances, strict=True
                )
            ]
            np.testing.assert_allclose(found.log_likelihood, sample_weight @ np.logaddexp(*joint), rtol=1e-12)
        assert em.log_likelihood > max(run.log_likelihood for run in em.runs) - 1e-9

    def test_finds_well_separated_clusters_where_they_are(self) -> None:
        rng = np.random.default_rng(0)
        truth = MixtureParams(
            np.array([0.5, 0.3, 0.2]), np.array([[0.0, 0.0], [20.0, 0.0], [0.0, 20.0]]), np.array([np.eye(2)] * 3)
        )
        X, labels = random_data(rng, truth, 3000)
        em = fit_em(X, 3, seed=0)
        assert len(em.modes) == 1 or em.modes[0].log_likelihood > em.modes[1].log_likelihood
        order = np.argsort(em.params.means @ [1.0, 2.0])
        fitted = em.params.permuted(order)
        counts = np.bincount(labels)
        # No overlap: the estimates are the sample moments of the clusters themselves.
        np.testing.assert_allclose(fitted.weights, counts / 3000, atol=1e-9)
        np.testing.assert_allclose(fitted.means, [X[labels == k].mean(axis=0) for k in range(3)], atol=1e-9)
        np.testing.assert_allclose(fitted.covariances, [np.cov(X[labels == k].T, bias=True) for k in range(3)], atol=1e-8)

    def test_criteria(self) -> None:
        em = fit_em(FAITHFUL, 2, n_init=1, seed=0)
        assert em.n_parameters == 1 + 4 + 6
        np.testing.assert_allclose(em.aic, -2 * em.log_likelihood + 22, rtol=1e-15)
        np.testing.assert_allclose(em.bic, -2 * em.log_likelihood + 11 * np.log(272), rtol=1e-15)
        uncertainty = -np.log(em.responsibilities(FAITHFUL).max(axis=1)).sum()
        np.testing.assert_allclose(em.icl, em.bic + 2 * uncertainty, rtol=1e-12)

    def test_no_iteration_gives_the_start(self) -> None:
        start = MixtureParams(np.array([0.4, 0.6]), np.array([[2.0, 55.0], [4.0, 80.0]]), np.array([np.diag([0.5, 5.0])] * 2))
        em = fit_em(FAITHFUL, 2, init=start, max_iter=0)
        assert_same_mixture(em.params, start, 1e-13)
        assert (em.n_iter, em.status, em.modes) == (0, EMStatus.MAX_ITER, ())
        assert not em.converged

    @pytest.mark.parametrize("kind", [pd.DataFrame, pl.DataFrame])
    def test_column_names_are_kept(self, kind: Callable[[Any], Any]) -> None:
        em = fit_em(kind(FAITHFUL.to_dict("list")), 2, n_init=1, seed=0)
        assert em.columns == ("eruptions", "waiting")
        assert em == fit_em(FAITHFUL, 2, n_init=1, seed=0)
        assert em.params == fit_em(FAITHFUL.to_numpy(), 2, n_init=1, seed=0).params


class TestStarts:
    def test_the_same_seed_gives_the_same_result(self) -> None:
        fits = [fit_em(FAITHFUL, 3, n_init=4, seed=5, max_iter=50) for _ in range(2)]
        assert fits[0] == fits[1]
        assert fits[0] == fit_em(FAITHFUL, 3, n_init=4, seed=np.random.default_rng(5), max_iter=50)
        assert fits[0] != fit_em(FAITHFUL, 3, n_init=4, seed=6, max_iter=50)

    @pytest.mark.parametrize("init", ["auto", "random_from_data", "k-means++"])
    def test_a_start_does_not_depend_on_n_init(self, init: str) -> None:
        fits = [fit_em(FAITHFUL, 3, init=init, n_init=n, n_long=n, seed=5, max_iter=30) for n in (1, 3, 6)]
        assert [len(em.runs) for em in fits] == [1, 3, 6]
        for fewer, more in pairwise(fits):
            assert all(run in more.runs for run in fewer.runs)
            assert more.log_likelihood >= fewer.log_likelihood - 1e-9

    def test_auto_takes_the_methods_in_turn(self) -> None:
        em = fit_em(FAITHFUL, 2, n_init=7, seed=0)
        names = [run.init for run in em.runs]
        assert {name: names.count(name) for name in set(names)} == dict.fromkeys([*AUTO_FIRST, *AUTO_CYCLE[:5]], 1)
        assert {run.init for run in fit_em(FAITHFUL, 2, init="random_from_data", n_init=3, seed=0).runs} == {"random_from_data"}

    def test_rounding_does_not_name_the_components(self) -> None:
        """All starts end at one optimum; which of them comes first must not depend on its last digit."""
        em = fit_em(FAITHFUL, 2, seed=0)
        for factor in (3.0, 1e100, 0.1):
            np.testing.assert_allclose(fit_em(FAITHFUL * factor, 2, seed=0).params.weights, em.params.weights, rtol=1e-4)

    def test_runs_come_best_first(self) -> None:
        em = fit_em(FAITHFUL, 4, n_init=6, seed=0, tol=1e-3)
        values = [run.log_likelihood for run in em.runs]
        assert (np.diff(values) < 1e-9).all()
        assert [mode.log_likelihood for mode in em.modes] == sorted({m.log_likelihood for m in em.modes}, reverse=True)
        assert sum(mode.n_runs for mode in em.modes) == sum(run.converged for run in em.runs)

    def test_labels_are_hard_responsibilities(self) -> None:
        labels = np.where(FAITHFUL["eruptions"] < 3, "short", "long")
        hard = np.column_stack([labels == "long", labels == "short"]).astype(float)  # in the order of the sorted names
        fits = [fit_em(FAITHFUL, 2, init=init) for init in (labels, labels.tolist(), pd.Series(labels), hard, pd.DataFrame(hard))]
        assert all(em == fits[0] for em in fits)
        assert fits[0].runs[0].init == "given responsibilities"
        assert fits[0].params.means[0, 0] > fits[0].params.means[1, 0]

    def test_given_parameters_at_the_optimum_stay(self) -> None:
        em = fit_em(FAITHFUL, 2, seed=0, n_init=1)
        again = fit_em(FAITHFUL, 2, init=em.params)
        assert again.n_iter <= 3
        assert again.runs[0].init == "given parameters"
        np.testing.assert_allclose(again.log_likelihood, em.log_likelihood, rtol=1e-11)

    def test_the_argument_is_not_changed(self) -> None:
        X = FAITHFUL.to_numpy(copy=True)
        fit_em(X, 2, n_init=1, seed=0)
        np.testing.assert_array_equal(X, FAITHFUL)
        X[0, 0] = 1.0  # still writable


def with_repeated_row() -> Array:
    """60 rows of noise and a pair of equal ones some way off: the likelihood of a component on the pair is unbounded."""
    return np.vstack([np.random.default_rng(0).normal(size=(60, 2)), [[4.0, 4.0], [4.0, 4.0]]])


class TestCollapse:
    def test_a_collapsed_start_does_not_stop_the_others(self) -> None:
        em = fit_em(with_repeated_row(), 2, seed=0)
        collapsed = [run for run in em.runs if run.status is EMStatus.COLLAPSED]
        assert len(em.runs) == 10
        assert 0 < len(collapsed) < 10
        assert em.runs[-len(collapsed) :] == tuple(collapsed)  # last
        assert em.converged
        assert np.isfinite(em.log_likelihood)
        for run in collapsed:
            assert run.params is None
            assert run.reason.startswith(("component 0 shrank onto a point", "component 1 shrank onto a point"))

    def test_all_collapsed(self) -> None:
        labels = np.repeat([0, 1], [60, 2])
        with pytest.raises(FitError) as caught:
            fit_em(with_repeated_row(), 2, init=labels)
        said = str(caught.value)
        assert said.startswith("every one of the 1 EM starts collapsed: 1 x component 1 shrank onto a point, line or plane")
        assert "(it holds 2 rows)" in said
        assert "or remove repeated rows" in said

    def test_equal_reasons_are_counted(self) -> None:
        rows = np.repeat(np.random.default_rng(0).normal(size=(4, 2)), 5, axis=0)
        with pytest.raises(
            FitError, match=r"every one of the 6 EM starts collapsed: 6 x component 0 shrank .* \(it holds 5 rows\)"
        ):
            fit_em(rows, 4, n_init=6, seed=0)

    def test_an_empty_component(self) -> None:
        init = np.tile([1.0, 0.0], (272, 1))
        with pytest.raises(FitError, match="component 1 became empty"):
            fit_em(FAITHFUL, 2, init=init)


class TestInterrupt:
    def interrupt_at(self, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
        calls = iter(range(1000))

        def interrupted(*args: Any, **options: Any) -> EMRun:
            if next(calls) == number:
                raise KeyboardInterrupt
            return run_em(*args, **options)

        monkeypatch.setattr(fit, "run_em", interrupted)

    def test_the_finished_runs_are_returned(self, monkeypatch: pytest.MonkeyPatch) -> None:
        complete = fit_em(FAITHFUL, 2, n_init=2, seed=0)
        self.interrupt_at(monkeypatch, 2)
        em = fit_em(FAITHFUL, 2, n_init=10, seed=0)
        assert em.status is EMStatus.INTERRUPTED
        assert em.interrupted
        assert em.runs == complete.runs
        assert "interrupted by the user" in str(em.status)

    def test_nothing_finished(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.interrupt_at(monkeypatch, 0)
        with pytest.raises(KeyboardInterrupt):
            fit_em(FAITHFUL, 2, n_init=10, seed=0)


OTHER = MixtureParams(np.ones(1), np.zeros((1, 2)), np.eye(2)[None])
ROW_5 = np.full((272, 2), 0.5)
ROW_5[5] = [0.5, 0.6]
NEGATIVE = np.full((272, 2), 0.5)
NEGATIVE[[7, 9]] = [-0.5, 1.5]


def test_a_component_flat_to_rounding_does_not_make_em_fall() -> None:
    """A common orientation with a component of three rows in four columns: its scatter is singular but for rounding."""
    X = load_iris().drop(columns="species")
    em = fit_em(X, 9, covariance="EVE", n_init=5, n_long=5, tol=1e-5, seed=0)
    assert all((np.diff(run.trace) >= 0).all() for run in em.runs)


def test_a_sample_of_tied_rows_may_have_too_few_distinct_ones() -> None:
    Z = np.zeros((15_000, 2))
    Z[:3] = [[1, 2], [3, 1], [5, 5]]
    assert fit_em(Z, 3, covariance="EII", n_init=3, seed=0).params.n_components == 3


@pytest.mark.parametrize("covariance", ["VII", "VVI", "VVV"])
def test_a_prior_and_a_bound_together(covariance: str) -> None:
    rng = np.random.default_rng(0)
    X = np.r_[rng.normal(size=(20, 2)) * [1, 0.05], rng.normal(size=(8, 2)) * [0.05, 2] + 2, rng.normal(size=(3, 2)) * 0.01]
    em = fit_em(X, 3, covariance=covariance, prior=ConjugatePrior(), max_eigenvalue_ratio=1.5, seed=0)
    assert all((np.diff(run.trace) >= 0).all() for run in em.runs)


class TestRefusals:
    @pytest.mark.parametrize(
        ("options", "said"),
        [
            (
                {"init": "k-means"},
                "init is 'k-means'; choose 'auto', 'hierarchical', .*'kmeans', 'k-means.*', 'random', .*or give labels",
            ),
            ({"init": np.zeros(272)}, "the label vector has 1 distinct labels, but n_components is 2"),
            ({"init": np.array([0, 1, 1])}, r"init: labels must have shape \(272,\), one for each row; got shape \(3,\)"),
            ({"init": [None] * 100 + ["a"] * 172}, "the label vector has 100 missing labels"),
            ({"init": np.array([np.nan, 1.0] * 136)}, "the label vector has 136 missing labels"),
            ({"init": np.full((272, 3), 1 / 3)}, r"the responsibilities have shape \(272, 3\); need \(272, 2\)"),
            ({"init": np.full((5, 2), 0.5)}, r"the responsibilities have shape \(5, 2\); need \(272, 2\)"),
            ({"init": [["a", "b"]] * 272}, r"init: the responsibilities must be numbers; the first row is \['a', 'b'\]"),
            ({"init": np.array(["a", 1] * 136, dtype=object)}, r"init: the label vector holds int and str, .* cannot be sorted"),
            ({"prior": "default"}, r"prior must be a ConjugatePrior, .*; got 'default'"),
            ({"prior": True}, r"prior must be a ConjugatePrior, .*; got True"),
            ({"init": None}, r"the responsibilities have shape \(\); need \(272, 2\)"),
            ({"init": ROW_5}, r"row 5 of the responsibilities is \[0.5 0.6\]; .* sum to 1 \(1 rows are not\)"),
            ({"init": NEGATIVE}, r"row 7 of the responsibilities is \[-0.5  1.5\]; .* \(2 rows are not\)"),
            ({"init": np.full((272, 2), np.nan)}, r"row 0 of the responsibilities is \[nan nan\]; .* \(272 rows are not\)"),
            ({"init": OTHER}, r"MixtureParams have means of shape \(1, 2\); n_components and the data need \(2, 2\)"),
            ({"covariance": "VVX"}, "covariance is 'VVX'; choose one of: EII, VII, .*VVV, .*diag"),
            ({"covariance": "E"}, "covariance is 'E', which is for one column; X has 2: use 'EII' instead"),
            ({"n_long": 0}, "n_long must be a whole number of at least 1; got 0"),
            ({"max_eigenvalue_ratio": 0.5}, "max_eigenvalue_ratio must be a number of at least 1; got 0.5"),
            ({"max_eigenvalue_ratio": 5.0, "covariance": "EEE"}, "bounds the eigenvalues of V, VII, VVI, VVV; covariance is EEE"),
            ({"n_init": 0}, "n_init must be a whole number of at least 1; got 0"),
            ({"n_init": 2.0}, "n_init must be a whole number of at least 1; got 2.0 of type float"),
            ({"max_iter": -1}, "max_iter must be a whole number of at least 0; got -1"),
            ({"max_iter": 1e4}, "max_iter must be a whole number of at least 0; got 10000.0 of type float"),
            ({"max_iter": True}, "max_iter must be a whole number of at least 0; got True, a truth value"),
            ({"tol": -1e-8}, "tol must be a number of at least 0, in nats of total log-likelihood; got -1e-08"),
            ({"tol": np.nan}, "tol must be a number of at least 0, .*; got nan"),
            ({"tol": np.inf}, "tol must be a number of at least 0, .*; got inf"),
            ({"tol": "1e-8"}, "tol must be a number of at least 0, .*; got '1e-8'"),
            ({"tol": None}, "tol must be a number of at least 0, .*; got None"),
            ({"tol": True}, "tol must be a number of at least 0, .*; got True"),
            ({"sample_weight": np.ones(5)}, r"sample_weight must hold one number per row, shape \(272,\); got shape \(5,\)"),
            ({"sample_weight": np.append(np.ones(271), -1)}, "1 of 272 are negative, the first in row 271"),
        ],
    )
    def test_a_bad_argument(self, options: dict[str, Any], said: str) -> None:
        with pytest.raises(InputError, match=said):
            fit_em(FAITHFUL, 2, **({"n_init": 1, "seed": 0} | options))

    @pytest.mark.parametrize("n_components", [0, -1, 2.0, "2", None, True])
    def test_a_bad_number_of_components(self, n_components: Any) -> None:
        with pytest.raises(InputError, match="n_components must be a whole number of at least 1; got"):
            fit_em(FAITHFUL, n_components)

    @pytest.mark.parametrize("tol", [0, np.int64(0), np.float32(0.01), 1])
    def test_any_real_number_will_do_for_tol(self, tol: Any) -> None:
        assert fit_em(FAITHFUL, 1, n_init=1, seed=0, tol=tol, max_iter=np.int64(5)).params.n_components == 1

    def test_too_few_rows(self) -> None:
        with pytest.raises(InputError, match="X has 272 rows, too few for n_components=273"):
            fit_em(FAITHFUL, 273)

    @pytest.mark.parametrize("init", ["auto", "kmeans", "k-means++", "random_from_data"])
    def test_rows_of_weight_0_are_not_counted(self, init: str) -> None:
        sample_weight = np.append([1.0, 1.0], np.zeros(270))
        with pytest.raises(InputError, match=r"X has 2 rows, too few for n_components=3: .* \(rows with a sample_weight of 0"):
            fit_em(FAITHFUL, 3, init=init, n_init=1, sample_weight=sample_weight, seed=0)

    def test_a_column_that_is_constant_among_the_rows_that_count(self) -> None:
        X = pd.DataFrame({"a": [1.0, 2.0, 3.0, 4.0], "b": [5.0, 5.0, 5.0, 6.0]})
        with pytest.raises(InputError, match=r"1 constant column out of 2: 'b' \(always 5\)"):
            fit_em(X, 1, sample_weight=[1, 1, 1, 0])

    def test_a_dataset_passes(self) -> None:
        dataset = validate(FAITHFUL)
        assert fit_em(dataset, 1, seed=0, n_init=1) == fit_em(FAITHFUL, 1, seed=0, n_init=1)
