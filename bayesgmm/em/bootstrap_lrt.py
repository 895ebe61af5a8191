"""bootstrap_lrt: tests of K against K + 1 components."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import chain
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bayesgmm.data import Dataset, check_count, check_probability, check_row_weights, check_seed, validate
from bayesgmm.em.fit import SHORT_ITERATIONS, Problem, RunSettings, check_fittable, check_settings, fit_starts, make_problem
from bayesgmm.em.initialise import (
    SAMPLE_ROWS,
    StartSample,
    start_sample,
    starting_memberships,
    starting_points,
)
from bayesgmm.em.refinements import refinements
from bayesgmm.em.resampling import WORTH_THREADS
from bayesgmm.em.result import EMResult, sample_mixture
from bayesgmm.em.run import EMRun, run_em
from bayesgmm.em.step import Collapsed, MStep
from bayesgmm.errors import FitError, InputError
from bayesgmm.families import CovarianceFamily, family_named
from bayesgmm.kernels.rows import rows_of
from bayesgmm.kernels.threads import available_threads
from bayesgmm.params import MixtureParams
from bayesgmm.progress import progress_bars

Array = NDArray[np.float64]

REPLICATE_TOL, REPLICATE_ITERATIONS = 1e-3, 2000
"""Where the runs on a bootstrap sample end: distance to the limit in nats, and iterations."""

REPLICATE_LONG = 2
"""How many starts of K + 1 components on a bootstrap sample, the best after a short run, go on to their limit."""

ROWS_PER_COMPONENT = 2
"""The weights of the rows must sum to at least as many for each component, for samples of that size to be fitted."""

DEFAULT_LEVEL = 0.05

COLUMNS = [
    "n_components_null",
    "log_likelihood_null",
    "log_likelihood_alternative",
    "statistic",
    "p_value",
    "critical_value",
    "n_boot",
    "n_failed",
    "advice",
]


def bootstrap_lrt(
    X: Any,
    *,
    covariance: str = "VVV",
    max_components: int = 9,
    n_boot: int = 999,
    level: float | None = DEFAULT_LEVEL,
    n_init: int = 10,
    tol: float = 1e-5,
    max_iter: int = 10_000,
    sample_weight: Any = None,
    seed: int | np.random.Generator | None = None,
    progress: bool | None = None,
) -> pd.DataFrame:
    """Parametric bootstrap likelihood-ratio tests of K against K + 1 components, K = 1, 2, ... (McLachlan 1987).

    The statistic 2 (l_{K+1} - l_K) has no chi-squared distribution, as K components lie on the border of K + 1 (McLachlan and
    Peel 2000, section 6.4). It is compared with the same statistic of samples drawn from the fitted K components.

    Parameters
    ----------
    X : (N, D) array or frame
    covariance : str
        As in `fit_em`; the same family under both hypotheses.
    max_components : int
        Components of the largest mixture that is fitted, at least 2.
    n_boot : int
        Samples drawn for each K.
    level : float, optional
        Stop after the first K whose p-value is above this; None goes on to `max_components`.
    n_init, tol, max_iter, sample_weight
        As in `fit_em`, for the fits of the data. Each sample has as many rows as the weights sum to, at least 2 for each
        component.
    seed : int, Generator or None
        The same seed gives the same table, whatever the number of threads.
    progress : bool, optional
        Show a progress bar; by default when standard error is a terminal.

    Returns
    -------
    DataFrame
        One row per K: n_components_null (K), log_likelihood_null, log_likelihood_alternative (nats), statistic (at least 0),
        p_value, critical_value (what the statistic must exceed to be significant at `level`, or at 0.05 where that is None; NaN
        where there are too few samples to say), n_boot (samples fitted), n_failed (those among them in which every start
        collapsed; they do not count) and advice. The p-value is (1 + number of samples with as large a statistic) / (1 + number
        of samples); it is NaN where no sample could be fitted, and the tests end. Where K + 1 components cannot be fitted to the
        data, the numbers are NaN, the tests end, and the advice is the reason. Ctrl-C returns the samples done by then.

    Raises
    ------
    InputError
        Bad data or arguments.
    FitError
        A single component cannot be fitted.

    Notes
    -----
    K + 1 components start at the K found before, with one of them cut in two or a new one where the data exceed the fitted
    density most, and for the data themselves at `n_init` starts of `fit_em` too. Samples are searched less than the data, so that
    their statistics are a little low: by a few hundredths for families with common covariances; by a tenth, at the median and at
    the upper tail, where each component has its own. Take a p-value just below `level` with care.
    """
    dataset = validate(X)
    family = family_named(covariance)
    if check_count(max_components, "max_components") < 2:
        raise InputError("max_components is 1; give at least 2, as one component is tested against two")
    check_count(n_boot, "n_boot")
    check_settings(n_init, None, tol, max_iter)
    if level is not None:
        check_probability(level, "level")
        if level * (n_boot + 1) < 1:
            raise InputError(
                f"with n_boot={n_boot} no p-value can be below {1 / (n_boot + 1):.3g}: for level={level:g} give at least "
                f"{int(np.ceil(1 / level)) - 1}"
            )
    row_weights = None if sample_weight is None else check_row_weights(sample_weight, dataset.n_samples)
    sample_stream, *streams = np.random.default_rng(check_seed(seed)).spawn(1 + max_components)
    check_fittable(dataset, 1, row_weights)
    _require_row_counts(row_weights, 2)
    sample = start_sample(dataset, row_weights, sample_stream)
    data = _Data(dataset, family, row_weights, sample, n_init, RunSettings(tol, max_iter, available_threads()))
    return _test_in_turn(data, streams, n_boot, level, progress)


@dataclass(frozen=True, eq=False)
class _Data:
    """What is fitted for every K, and how."""

    dataset: Dataset
    family: CovarianceFamily
    row_weights: Array | None
    sample: StartSample
    n_init: int
    settings: RunSettings

    def problem(self, n_components: int) -> Problem:
        return make_problem(self.dataset, n_components, self.family, row_weights=self.row_weights)

    def fit(self, n_components: int, null: MixtureParams | None, rng: np.random.Generator) -> EMResult:
        """The best of the usual starts and, where there is a null mixture (in the units of the data), of its refinements."""
        problem = self.problem(n_components)
        _require_row_counts(self.row_weights, n_components)
        n_init = self.n_init if n_components > 1 else 1
        memberships = starting_memberships("auto", n_init, self.sample, n_components, rng)
        starts = starting_points(memberships, self.sample, problem.m_step)
        if null is None:
            return fit_starts(problem, starts, n_init, self.settings, sample=self.sample, progress=False)
        standard = null.affine(1 / problem.rows.scale, -problem.rows.location / problem.rows.scale)
        Z = self.sample.in_units_of(problem.m_step)
        refined = list(refinements(Z, self.sample.weights, standard, problem.m_step, rng))
        every = chain(refined, starts)
        n_starts = len(refined) + n_init
        return fit_starts(problem, every, n_starts, self.settings, n_long=n_starts, sample=self.sample, progress=False)


def _require_row_counts(row_weights: Array | None, n_components: int) -> None:
    """Raise InputError where samples of as many rows as the weights sum to are too small for K components."""
    if row_weights is not None and row_weights.sum() < ROWS_PER_COMPONENT * n_components:
        raise InputError(
            f"sample_weight sums to {row_weights.sum():.3g}, which is the number of rows of each bootstrap sample: weights must "
            f"count rows here, and sum to at least {ROWS_PER_COMPONENT * n_components} for {n_components} components; "
            "do not normalise them"
        )


class _Bootstrap(NamedTuple):
    """Statistics of the samples, NaN for those that failed, and whether the user stopped before the last one."""

    statistics: Array
    interrupted: bool


def _test_in_turn(
    data: _Data, streams: list[np.random.Generator], n_boot: int, level: float | None, progress: bool | None
) -> pd.DataFrame:
    rows: list[dict[str, Any]] = []
    null = data.fit(1, None, streams[0])
    with progress_bars(progress) as bars:
        for n_components, stream in enumerate(streams[1:], start=1):
            task = bars.add_task(f"K = {n_components} against {n_components + 1}", total=n_boot, note="fitting the data")
            fit_stream, boot_stream = stream.spawn(2)
            try:
                alternative = data.fit(n_components + 1, null.params, fit_stream)
            except (FitError, InputError) as error:
                rows.append({"n_components_null": n_components, "log_likelihood_null": null.log_likelihood, "advice": str(error)})
                break
            report = partial(bars.update, task, advance=1, note="")
            bootstrap = _bootstrap(data.problem(n_components), null.params, boot_stream.spawn(n_boot), report)
            rows.append(_row(null, alternative, bootstrap, level))
            p_value = rows[-1]["p_value"]
            accepted = level is not None and p_value > level
            if accepted or np.isnan(p_value) or bootstrap.interrupted or alternative.interrupted:
                break
            null = alternative
    return pd.DataFrame(rows, columns=COLUMNS).astype({"n_boot": "Int64", "n_failed": "Int64"})


def _row(null: EMResult, alternative: EMResult, bootstrap: _Bootstrap, level: float | None) -> dict[str, Any]:
    # With one component doubled, K + 1 components have the likelihood of K: less is no maximum.
    log_likelihood = max(alternative.log_likelihood, null.log_likelihood)
    statistic = 2 * (log_likelihood - null.log_likelihood)
    drawn = np.sort(bootstrap.statistics[~np.isnan(bootstrap.statistics)])
    advice = [f"K = {fit.params.n_components}: {sign}" for fit in (null, alternative) for sign in fit.spurious]
    advice += [f"K = {fit.params.n_components}: {fit.status}" for fit in (null, alternative) if not fit.converged]
    if len(bootstrap.statistics) and not len(drawn):
        advice.append(
            f"no p-value, so neither accepted nor rejected: in all {len(bootstrap.statistics)} samples every start collapsed; "
            "use a simpler covariance family"
        )
    if bootstrap.interrupted:
        advice.append(f"stopped by the user after {len(bootstrap.statistics)} samples")
    return {
        "n_components_null": null.params.n_components,
        "log_likelihood_null": null.log_likelihood,
        "log_likelihood_alternative": log_likelihood,
        "statistic": statistic,
        "p_value": (1 + np.sum(drawn >= statistic)) / (1 + len(drawn)) if len(drawn) else np.nan,
        "critical_value": _critical_value(drawn, DEFAULT_LEVEL if level is None else level),
        "n_boot": len(bootstrap.statistics),
        "n_failed": len(bootstrap.statistics) - len(drawn),
        "advice": "; ".join(advice),
    }


def _critical_value(drawn: Array, level: float) -> float:
    """The statistic of the sample that observed statistics must exceed to be significant; NaN where there are too few samples."""
    n_above = int(level * (1 + len(drawn)) + 1e-9)  # 1 + the number of samples that may be as large
    return float(drawn[len(drawn) - n_above]) if 1 <= n_above <= len(drawn) else np.nan


def _bootstrap(
    problem: Problem, null: MixtureParams, streams: list[np.random.Generator], report: Callable[[], object]
) -> _Bootstrap:
    """The statistic of each of the samples drawn from `null` (in the units of the data)."""
    rows = problem.rows
    standard = null.affine(1 / rows.scale, -rows.location / rows.scale)
    n_drawn = max(round(problem.total_weight), 1)
    n_threads = available_threads() if rows.X.size * problem.n_components >= WORTH_THREADS else 1
    statistics: list[float] = []
    pool = ThreadPoolExecutor(n_threads, thread_name_prefix="bayesgmm-bootstrap")
    draw = partial(replicate_statistic, standard, problem.m_step, n_drawn)
    try:
        for statistic in pool.map(draw, streams) if n_threads > 1 else map(draw, streams):
            statistics.append(statistic)
            report()
    except KeyboardInterrupt:
        return _Bootstrap(np.array(statistics), interrupted=True)
    finally:
        pool.shutdown(cancel_futures=True)
    return _Bootstrap(np.array(statistics), interrupted=False)


def replicate_statistic(null: MixtureParams, m_step: MStep, n_samples: int, rng: np.random.Generator) -> float:
    """2 (l_{K+1} - l_K) of `n_samples` rows drawn from `null`; NaN where all starts of K or of K + 1 collapse."""
    Z, _ = sample_mixture(null, n_samples, rng)
    rows = rows_of(Z)
    fitted = run_em(rows, null, m_step, tol=REPLICATE_TOL, max_iter=REPLICATE_ITERATIONS)
    if fitted.params is None:
        return np.nan
    first = Z[:SAMPLE_ROWS]
    runs = [
        run_em(rows, start, m_step, tol=REPLICATE_TOL, max_iter=SHORT_ITERATIONS)
        for _, start in refinements(first, np.ones(len(first)), fitted.params, m_step, rng)
        if not isinstance(start, Collapsed)
    ]
    found = sorted((run for run in runs if run.params is not None), key=_log_likelihood, reverse=True)
    finished: list[float] = []
    for run in found:
        assert run.params is not None  # for the type checker: filtered above
        longer = run_em(rows, run.params, m_step, tol=REPLICATE_TOL, max_iter=REPLICATE_ITERATIONS)
        finished += [longer.log_likelihood] if longer.params is not None else []
        if len(finished) == REPLICATE_LONG:
            break
    return 2 * max(max(finished) - fitted.log_likelihood, 0.0) if finished else np.nan


def _log_likelihood(run: EMRun) -> float:
    return run.log_likelihood
