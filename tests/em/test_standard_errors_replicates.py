"""Standard errors by bootstrap and jackknife: closed forms, laws, failures, interruption."""

import numpy as np
import pytest

from bayesgmm.datasets import load_faithful
from bayesgmm.em import resampling
from bayesgmm.em import standard_errors as standard_errors_module
from bayesgmm.em.fit import fit_em
from bayesgmm.em.prior import ConjugatePrior
from bayesgmm.em.resampling import exponential_weights, multinomial_weights, spread
from bayesgmm.em.standard_errors import standard_errors
from bayesgmm.errors import FitError, InputError

KINDS = ("weights", "means", "covariances", "scales", "correlations")
BOOTSTRAPS = ("bootstrap", "weighted_bootstrap")
X = load_faithful()


@pytest.fixture(scope="module")
def em():
    return fit_em(X, 2, seed=0)


@pytest.fixture(scope="module")
def one():
    return fit_em(X, 1, seed=0)


def assert_same(errors, others, *, rtol):
    for kind in KINDS:
        np.testing.assert_allclose(getattr(errors, kind), getattr(others, kind), rtol=rtol, atol=1e-12, err_msg=kind)


def test_jackknife_of_one_mean(one):
    """The jackknife's standard error of a mean is s / sqrt(N) with N - 1 in s (Efron and Tibshirani 1993, chapter 11)."""
    errors = standard_errors(one, X, method="jackknife")
    np.testing.assert_allclose(errors.means[0], X.std(ddof=1) / np.sqrt(len(X)), rtol=1e-8)
    np.testing.assert_array_equal(errors.correlations[0].diagonal(), 0.0)
    np.testing.assert_array_equal(errors.weights, [0.0])


@pytest.mark.parametrize("method", BOOTSTRAPS)
def test_bootstrap_of_one_mean(one, method):
    """s / sqrt(N), within 4 of the 1 / sqrt(2 B) that a standard deviation of B replicates is off by."""
    errors = standard_errors(one, X, method=method, n_boot=400, seed=1)
    np.testing.assert_allclose(errors.means[0], X.std(ddof=0) / np.sqrt(len(X)), rtol=4 / np.sqrt(800))
    assert len(errors.replicates.weights) == 400


@pytest.mark.parametrize("method", [*BOOTSTRAPS, "jackknife"])
def test_replicates_agree_with_the_sandwich(em, method):
    """To first order they estimate the same: within 1 / sqrt(N) of the second order and 4 / sqrt(2 B) of chance."""
    errors = standard_errors(em, X, method=method, n_boot=200, seed=2)
    n_random = 200 if method in BOOTSTRAPS else np.inf
    sandwich = standard_errors(em, X, method="sandwich")
    assert_same(errors, sandwich, rtol=1 / np.sqrt(len(X)) + 4 / np.sqrt(2 * n_random))
    assert errors.n_failed == 0
    assert errors.notes == ()
    assert errors.covariance_matrix is None


def test_jackknife_of_whole_weights_repeats_rows(em):
    counts = np.random.default_rng(0).integers(0, 3, len(X))
    repeated = np.repeat(X.to_numpy(), counts, axis=0)
    weighted = fit_em(X, 2, init=em.params, sample_weight=counts)
    plain = fit_em(repeated, 2, init=em.params)
    errors = standard_errors(weighted, X, method="jackknife", sample_weight=counts)
    assert_same(errors, standard_errors(plain, repeated, method="jackknife"), rtol=1e-3)
    assert errors.replicates.counts.sum() == counts.sum()


def test_jackknife_needs_whole_weights(em):
    weights = np.full(len(X), 1.5)
    fitted = fit_em(X, 2, init=em.params, sample_weight=weights)
    with pytest.raises(InputError, match=r"whole numbers; got 1.5 in row 0"):
        standard_errors(fitted, X, method="jackknife", sample_weight=weights)


@pytest.mark.parametrize("draw", [multinomial_weights, exponential_weights])
@pytest.mark.parametrize("row_weights", [np.ones(50), np.tile([0.0, 0.5, 1.0, 2.0, 4.0], 10)])
def test_drawn_weights(draw, row_weights):
    """The sum is kept, each has its row's weight for a mean, and (for whole weights) about that for a variance."""
    rng = np.random.default_rng(3)
    drawn = np.array([draw(row_weights, rng) for _ in range(4000)])
    np.testing.assert_allclose(drawn.sum(axis=1), row_weights.sum(), rtol=1e-12)
    sampling_error = np.sqrt(row_weights / len(drawn))
    assert (np.abs(drawn.mean(axis=0) - row_weights) <= 5 * sampling_error + 1e-12).all()
    np.testing.assert_allclose(drawn.var(axis=0), row_weights, rtol=0.35)


@pytest.mark.parametrize("method", BOOTSTRAPS)
def test_the_seed_decides(em, method):
    first, again, other = (standard_errors(em, X, method=method, n_boot=5, seed=seed) for seed in (1, 1, 2))
    assert_same(first, again, rtol=0)
    assert not np.array_equal(first.means, other.means)


def test_threads_change_nothing(em, monkeypatch):
    first = standard_errors(em, X, method="bootstrap", n_boot=8, seed=1)
    monkeypatch.setattr(resampling, "WORTH_THREADS", 0)
    monkeypatch.setattr(resampling, "available_threads", lambda: 3)
    assert_same(standard_errors(em, X, method="bootstrap", n_boot=8, seed=1), first, rtol=0)


def test_replicates_are_matched(em, monkeypatch):
    """Errors do not depend on the order in which a replicate has its components."""
    plain = standard_errors(em, X, method="bootstrap", n_boot=10, seed=1)
    fit = resampling.refit
    calls = iter(range(100))

    def swapped(*arguments):
        run = fit(*arguments)
        return resampling.replace(run, params=run.params.permuted([1, 0])) if next(calls) % 2 else run

    monkeypatch.setattr(resampling, "refit", swapped)
    assert_same(standard_errors(em, X, method="bootstrap", n_boot=10, seed=1), plain, rtol=1e-12)


def test_collapsed_replicates_are_counted():
    """The narrow component holds three rows: one replicate in 27 or so draws fewer than two distinct ones of them."""
    rng = np.random.default_rng(4)
    rows = np.concatenate([rng.normal(size=30), [20.0, 20.1, 20.2]])[:, None]
    start = np.repeat([0, 1], [30, 3])
    fitted = fit_em(rows, 2, init=start)
    errors = standard_errors(fitted, rows, method="bootstrap", n_boot=100, seed=5)
    n_kept = len(errors.replicates.weights)
    assert 0 < errors.n_failed == 100 - n_kept
    assert {reason for reason, _ in errors.replicates.failures} <= {
        "component 1 shrank onto a point, line or plane",
        "component 1 became empty",
    }
    assert f"{errors.replicates.failures[0][1]} replicates collapsed" in errors.notes[0]
    assert f"{n_kept} replicates, {errors.n_failed} collapsed" in repr(errors)


def test_all_collapsed():
    rows = np.concatenate([np.linspace(-1, 1, 8), [20.0, 20.1]])[:, None]
    fitted = fit_em(rows, 2, init=np.repeat([0, 1], [8, 2]))
    errors = standard_errors(fitted, rows, method="jackknife")  # without either of the two rows the other is a point
    assert errors.n_failed == 2
    three = fit_em(np.array([[0.0], [0.1], [5.0], [5.1]]), 2, init=np.array([0, 0, 1, 1]))
    with pytest.raises(FitError, match=r"0 of 4 replicates have parameters \(2 x component"):
        standard_errors(three, np.array([[0.0], [0.1], [5.0], [5.1]]), method="jackknife")


def test_interruption_keeps_what_was_done(em, monkeypatch):
    fit = resampling.refit
    calls = iter(range(100))

    def interrupted(*arguments):
        if next(calls) == 7:
            raise KeyboardInterrupt
        return fit(*arguments)

    monkeypatch.setattr(resampling, "refit", interrupted)
    errors = standard_errors(em, X, method="bootstrap", n_boot=50, seed=1)
    assert errors.interrupted
    assert len(errors.replicates.weights) == 7
    assert "interrupted after 7 replicates" in errors.notes
    monkeypatch.undo()
    assert_same(errors, standard_errors(em, X, method="bootstrap", n_boot=50, seed=1), rtol=2.0)


def test_interruption_before_anything_is_raised(em, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(resampling, "refit", interrupted)
    with pytest.raises(KeyboardInterrupt):
        standard_errors(em, X, method="bootstrap", n_boot=50, seed=1)


def test_percentile_intervals(em):
    errors = standard_errors(em, X, method="bootstrap", n_boot=40, seed=1, ci_prob=0.8)
    draws = errors.replicates.means[:, 1, 0]
    row = errors.table.loc["means[1, eruptions]"]
    np.testing.assert_allclose(row[["lower", "upper"]].to_numpy(float), np.quantile(draws, [0.1, 0.9]), rtol=1e-12)
    np.testing.assert_allclose(row["standard_error"], draws.std(ddof=1), rtol=1e-10)


def test_memberships(em):
    """From the replicates: 0 where a row is certain, and close to the delta method where the two are smooth."""
    errors = standard_errors(em, X, method="jackknife")
    found, expected = errors.responsibilities(X), standard_errors(em, X, method="sandwich").responsibilities(X)
    assert found.shape == (len(X), 2)
    doubtful = em.responsibilities(X).min(axis=1) > 0.01
    np.testing.assert_allclose(found[doubtful], expected[doubtful], rtol=0.2)


def test_spread_of_bootstrap_and_jackknife():
    values = np.random.default_rng(6).normal(size=(9, 2, 3))
    np.testing.assert_allclose(spread(values, np.ones(9), jackknife=False), values.std(axis=0, ddof=1), rtol=1e-13)
    np.testing.assert_allclose(spread(values, np.ones(9), jackknife=True), values.std(axis=0) * np.sqrt(8), rtol=1e-13)


@pytest.mark.parametrize("method", [*BOOTSTRAPS, "jackknife"])
def test_a_prior_that_fixes_the_estimate_leaves_no_error(method):
    """Means and covariances of a prior of a billion rows are the prior's, whatever rows are drawn."""
    firm = ConjugatePrior(1e9, [3.5, 71.0], 1e9, np.diag([1e9, 1e11]))
    fitted = fit_em(X, 1, prior=firm)
    free = standard_errors(fit_em(X, 1), X, method="sandwich")
    errors = standard_errors(fitted, X, method=method, n_boot=4, seed=1)
    assert (errors.means < 1e-5 * free.means).all()
    assert (errors.scales < 1e-5 * free.scales).all()
    assert errors.notes == ()


def test_replicates_have_the_prior_of_the_original_data(one):
    """The mean of one component is (N x + t m) / (N + t), x being the replicate's: with t = N its error is half the free one.

    The default m is the mean of the original rows; were it the replicate's, the errors would be the same.
    """
    n_samples = len(X)
    shrunk = standard_errors(fit_em(X, 1, prior=ConjugatePrior(shrinkage=n_samples)), X, method="bootstrap", n_boot=20, seed=1)
    free = standard_errors(one, X, method="bootstrap", n_boot=20, seed=1)
    np.testing.assert_allclose(shrunk.means, free.means / 2, rtol=1e-9)
    assert shrunk.notes == ()


@pytest.mark.parametrize("method", [*BOOTSTRAPS, "jackknife"])
def test_replicates_keep_the_bound(method):
    """2, where the replicates of a free fit have ratios of 3.5 to 7."""
    fitted = fit_em(X, 2, seed=0, n_init=2, max_eigenvalue_ratio=2.0)
    errors = standard_errors(fitted, X, method=method, n_boot=6, seed=1)
    assert errors.notes == ()
    scale = X.to_numpy().std(axis=0)
    eigenvalues = np.linalg.eigvalsh(errors.replicates.covariances / np.outer(scale, scale))
    np.testing.assert_allclose(eigenvalues.max(axis=(1, 2)) / eigenvalues.min(axis=(1, 2)), 2.0, rtol=1e-9)


def test_a_fit_that_was_stopped_is_noted():
    stopped = fit_em(X, 2, seed=0, n_init=1, max_iter=3)
    notes = standard_errors(stopped, X, method="bootstrap", n_boot=3, seed=1).notes
    assert any("no maximum" in note for note in notes)


def test_replicates_left_before_their_limit_are_noted(em, monkeypatch):
    monkeypatch.setattr(standard_errors_module, "REFIT_MAX_ITER", 1)
    notes = standard_errors(em, X, method="bootstrap", n_boot=4, seed=1).notes
    assert notes == ("4 replicates were left before their limit, after 1 iterations",)
