"""Replicates of an EM fit: the same rows with other weights, each fitted from the estimate and matched to its components."""

from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bayesgmm.em.modes import matching_order
from bayesgmm.em.run import EMRun, run_em
from bayesgmm.em.step import MStep
from bayesgmm.errors import FitError, InputError
from bayesgmm.kernels.density import compute_responsibilities
from bayesgmm.kernels.rows import Rows, rows_of
from bayesgmm.kernels.threads import available_threads
from bayesgmm.params import MixtureParams
from bayesgmm.progress import progress_bars

Array = NDArray[np.float64]

WORTH_THREADS = 2**16
"""Rows times components times columns from which replicates run in threads: below, the interpreter's lock eats the gain."""


@dataclass(frozen=True, eq=False)
class Replicates:
    """Parameters of the B replicates that have any, components in the order of the estimate's.

    Attributes
    ----------
    weights, means, covariances : (B, K), (B, K, D), (B, K, D, D)
    counts : (B,)
        How many replicates each stands for: more than 1 where the jackknife leaves out one of several equal rows.
    failures : tuple of (str, int)
        Why replicates have no parameters, and how many of them.
    n_stopped : int
        Replicates among the B that EM left before the limit.
    interrupted : bool
        Whether the user stopped before the last replicate.
    """

    weights: Array
    means: Array
    covariances: Array
    counts: Array
    failures: tuple[tuple[str, int], ...]
    n_stopped: int
    interrupted: bool

    @property
    def n_failed(self) -> int:
        return sum(count for _, count in self.failures)

    def recorded_params(self, resolution: Array) -> Iterator[MixtureParams]:
        """One replicate after the other, as mixtures of values recorded in steps of `resolution` (D,)."""
        noise = np.diag(resolution**2) / 12
        for weights, means, covariances in zip(self.weights, self.means, self.covariances, strict=True):
            yield MixtureParams.unchecked(weights.copy(), means.copy(), np.linalg.cholesky(covariances + noise))


class Plan(NamedTuple):
    """How the rows of each replicate are weighted, weights_of(i) (N,), and how often the replicate counts, counts (B,)."""

    weights_of: Callable[[int], Array]
    counts: Array


def bootstrap_plan(
    draw: Callable[[Array, np.random.Generator], Array], row_weights: Array, n_replicates: int, rng: np.random.Generator
) -> Plan:
    """Replicates whose row weights are draws, each from a generator of its own."""
    generators = rng.spawn(n_replicates)
    return Plan(lambda i: draw(row_weights, generators[i]), np.ones(n_replicates))


def jackknife_plan(row_weights: Array) -> Plan:
    """One replicate for every row, without one copy of it; InputError unless the weights are whole numbers."""
    broken = row_weights != np.round(row_weights)
    if broken.any():
        raise InputError(
            "method='jackknife' leaves out one copy of a row at a time, so that sample_weight must hold whole numbers; got "
            f"{row_weights[np.argmax(broken)]:.6g} in row {int(np.argmax(broken))}. Use 'weighted_bootstrap' or 'sandwich'"
        )
    counting = np.flatnonzero(row_weights)
    return Plan(lambda i: row_weights - (np.arange(len(row_weights)) == counting[i]), row_weights[counting])


def multinomial_weights(row_weights: Array, rng: np.random.Generator) -> Array:
    """How often each row is drawn when as many rows as there are (the sum of the weights) are drawn with replacement, (N,)."""
    total = row_weights.sum()
    n_draws = max(round(total), 1)
    return rng.multinomial(n_draws, row_weights / total) * (total / n_draws)


def exponential_weights(row_weights: Array, rng: np.random.Generator) -> Array:
    """A weight from Exp(1) for each row, normalised to the old sum, (N,); a row of weight w gets the sum of w such, a Gamma(w).

    The weighted likelihood bootstrap (Newton and Raftery 1994; O'Hagan, Murphy, Scrucca and Gormley 2019).
    """
    drawn = rng.standard_gamma(row_weights)
    return drawn * (row_weights.sum() / drawn.sum())


def refit(rows: Rows, row_weights: Array, params: MixtureParams, m_step: MStep, tol: float, max_iter: int) -> EMRun:
    """EM from `params` on the rows with these weights (N,) in place of their own; parameters in the units of the data."""
    reweighted = rows_of(rows.X, row_weights, rows.location, rows.scale)
    start = params.affine(1 / rows.scale, -rows.location / rows.scale)
    run = run_em(reweighted, start, m_step, tol=tol, max_iter=max_iter)
    return run if run.params is None else replace(run, params=run.params.affine(rows.scale, rows.location))


def fit_replicates(
    rows: Rows,
    params: MixtureParams,
    m_step: MStep,
    plan: Plan,
    *,
    tol: float,
    max_iter: int,
    progress: bool | None,
) -> Replicates:
    """Fit every replicate from `params`; in threads where that pays.

    Raises
    ------
    FitError
        If fewer than two replicates have parameters; the message lists the reasons.
    """

    def fit(i: int) -> EMRun:
        return refit(rows, plan.weights_of(i), params, m_step, tol, max_iter)

    n_threads = available_threads() if rows.X.size * params.n_components >= WORTH_THREADS else 1
    runs: list[EMRun] = []
    interrupted = False
    pool = ThreadPoolExecutor(n_threads, thread_name_prefix="bayesgmm-replicates")
    try:
        with progress_bars(progress) as bars:
            task = bars.add_task("EM replicates", total=len(plan.counts), note="")
            every = range(len(plan.counts))
            for run in pool.map(fit, every) if n_threads > 1 else map(fit, every):
                runs.append(run)
                failed = sum(run.params is None for run in runs)
                bars.update(task, advance=1, note=f"{failed} collapsed" if failed else "")
    except KeyboardInterrupt:
        if sum(run.params is not None for run in runs) < 2:
            raise
        interrupted = True
    finally:
        pool.shutdown(cancel_futures=True)
    return _collect(runs, params, plan.counts, interrupted=interrupted)


def _collect(runs: list[EMRun], params: MixtureParams, counts: Array, *, interrupted: bool) -> Replicates:
    aligned = [run.params.permuted(matching_order(run.params, params)) for run in runs if run.params is not None]
    reasons: Counter[str] = Counter()
    for run, count in zip(runs, counts, strict=False):
        if run.params is None:
            reasons[run.reason.split(" (")[0]] += int(count)
    if len(aligned) < 2:
        listed = "; ".join(f"{count} x {reason}" for reason, count in reasons.items())
        raise FitError(
            f"standard_errors: {len(aligned)} of {len(runs)} replicates have parameters ({listed}): use fewer components"
        )
    return Replicates(
        weights=np.array([found.weights for found in aligned]),
        means=np.array([found.means for found in aligned]),
        covariances=np.array([found.covariances for found in aligned]),
        counts=np.array([count for run, count in zip(runs, counts, strict=False) if run.params is not None]),
        failures=tuple(reasons.most_common()),
        n_stopped=sum(run.params is not None and not run.converged for run in runs),
        interrupted=interrupted,
    )


def spread(values: Array, counts: Array, *, jackknife: bool) -> Array:
    """Standard errors from replicates: values (B, ...), each counted counts (B,) times; shape (...).

    Standard deviation of bootstrap replicates, or (n - 1) / sqrt(n) times that of jackknife replicates (Efron and Tibshirani
    1993, chapters 6 and 11).
    """
    total = counts.sum()
    deviations = values - np.tensordot(counts, values, 1) / total
    sum_of_squares = np.tensordot(counts, deviations**2, 1)
    return np.sqrt(sum_of_squares * (total - 1) / total if jackknife else sum_of_squares / (total - 1))


def replicated_responsibilities(X: Array, replicates: Replicates, resolution: Array, *, jackknife: bool) -> Array:
    """Standard errors of gamma_nk from the replicates, (N, K), a block of rows at a time."""
    n_replicates, n_components = replicates.weights.shape
    out = np.empty((len(X), n_components))
    step = max(2**20 // (n_replicates * n_components), 1)
    every = list(replicates.recorded_params(resolution))
    for first in range(0, len(X), step):
        block = X[first : first + step]
        gamma = [compute_responsibilities(block, params.weights, params.means, params.scale_trils) for params in every]
        out[first : first + step] = spread(np.array(gamma), replicates.counts, jackknife=jackknife)
    return out
