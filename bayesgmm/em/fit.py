"""fit_em: EM from several starts."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from math import ceil
from threading import Event
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bayesgmm import em
from bayesgmm.compilation import EM, compile_side_by_side
from bayesgmm.data import (
    Dataset,
    check_count,
    check_resolution,
    check_row_weights,
    check_seed,
    is_number,
    require_fittable,
    validate,
)
from bayesgmm.em.bounds import BOUNDABLE
from bayesgmm.em.initialise import (
    StartSample,
    check_init,
    given_parameters,
    start_from_rows,
    start_sample,
    starting_memberships,
    starting_points,
)
from bayesgmm.em.prior import ConjugatePrior, resolve_prior
from bayesgmm.em.result import EMResult
from bayesgmm.em.run import EMRun, EMStatus, run_em
from bayesgmm.em.standardise import standardised_rows
from bayesgmm.em.step import SMALLEST_SCALE, Collapsed, MStep
from bayesgmm.errors import FitError, InputError
from bayesgmm.families import CovarianceFamily, family_named, require_dimension
from bayesgmm.kernels.density import compute_classification
from bayesgmm.kernels.moments import compute_moments
from bayesgmm.kernels.rows import Rows, rows_of
from bayesgmm.kernels.threads import available_threads
from bayesgmm.params import MixtureParams
from bayesgmm.progress import progress_bars

Array = NDArray[np.float64]

TIED = 1e-9
"""Runs that differ by fewer nats are equally good."""

SHORT_ITERATIONS = 15
"""EM iterations of every start before the best ones go on."""


def fit_em(
    X: Any,
    n_components: int,
    *,
    covariance: str = "VVV",
    init: str | Array | MixtureParams = "auto",
    n_init: int = 10,
    n_long: int | None = None,
    tol: float = 1e-8,
    max_iter: int = 10_000,
    sample_weight: Any = None,
    prior: ConjugatePrior | None = None,
    max_eigenvalue_ratio: float | None = None,
    resolution: Any = 0.0,
    accelerate: bool = True,
    seed: int | np.random.Generator | None = None,
    progress: bool | None = None,
) -> EMResult:
    r"""Maximum-likelihood fit of a Gaussian mixture by EM from several starts.

    Parameters
    ----------
    X : (N, D) array or frame
        NumPy, pandas, polars, pyarrow or xarray; column names are kept.
    n_components : int
        K, at least 1.
    covariance : str
        One of mclust's names (EII, VII, EEI, VEI, EVI, VVI, EEE, VEE, EVE, VVE, EEV, VEV, EVV, VVV; E and V for one column), or
        "spherical" (VII), "diag" (VVI), "tied" (EEE), "full" (VVV).
    init : str, (N, K) responsibilities, (N,) labels, or MixtureParams
        "auto" takes hierarchical clustering first, then "kmeans", "k-means++", "random_from_data" and others in turn; any of
        these names takes that one alone. Anything given replaces all starts by that one.
    n_init : int
        Number of starts; a single component needs, and is given, only one.
    n_long : int, optional
        How many starts, the best after a short run, go on to their limit; None takes a third of them, at least 2.
    tol : float
        A run ends when its total log-likelihood is, by Aitken's estimate, within `tol` nats of its limit.
    max_iter : int
        Iterations of one run at most.
    sample_weight : (N,), optional
        Non-negative weights of the rows; a whole number counts as that many copies of the row.
    prior : ConjugatePrior, optional
        Maximum a posteriori instead of maximum likelihood.
    max_eigenvalue_ratio : float, optional
        Upper bound on the ratio of the largest to the smallest eigenvalue of the covariances, with every column in units of its
        standard deviation (VVI, VVV) or all in one unit (V, VII); for these families.
    resolution : None, float or (D,)
        The step h that the values of each column were rounded to: recorded values then have covariance Sigma_k + diag(h^2) / 12,
        `params` are those of the true values, and the likelihood is bounded. 0 is classical maximum likelihood; None takes the
        smallest gap between distinct values of each column in which values tie.
    accelerate : bool
        Also try extrapolated steps, which reach the same optimum in fewer iterations; False takes EM steps only.
    seed : int, Generator or None
        The same seed gives the same result.
    progress : bool, optional
        Show a progress bar; by default when standard error is a terminal.

    Returns
    -------
    EMResult
        The best run's parameters, and every run, collapsed ones included.

    Raises
    ------
    InputError
        Bad data or arguments; the message names the column, row or argument.
    FitError
        Every start collapsed; the message lists the reasons.

    Notes
    -----
    The columns are centred and brought to unit scale first, which changes no estimate; families that single columns cannot be
    rescaled in are given one unit for all columns. No floor is put under the covariances. Above 5,000 rows, starts and short
    runs use a random sample of that many. Ctrl-C returns the best of the finished runs, with status INTERRUPTED.

    With a resolution a component may come out with no spread in some direction (`EMResult.unresolved`). E, V, EEI, VVI, EEE and
    VVV reach such an optimum in a few iterations, the other families, or any with a prior or bound, only slowly.
    """
    dataset = validate(X)
    n_components = check_count(n_components, "n_components")
    family = family_named(covariance)
    check_settings(n_init, n_long, tol, max_iter)
    check_init(init)
    seed = check_seed(seed)
    row_weights = None if sample_weight is None else check_row_weights(sample_weight, dataset.n_samples)
    problem = make_problem(
        dataset,
        n_components,
        family,
        row_weights=row_weights,
        prior=prior,
        max_eigenvalue_ratio=max_eigenvalue_ratio,
        resolution=check_resolution(resolution, dataset),
    )
    starts: Iterable[tuple[str, MixtureParams | Collapsed]]
    sample = None
    if isinstance(init, str):
        rng = np.random.default_rng(seed)
        sample = start_sample(dataset, row_weights, rng.spawn(1)[0])
        n_init = n_init if n_components > 1 else 1
        starts = starting_points(starting_memberships(init, n_init, sample, n_components, rng), sample, problem.m_step)
    elif isinstance(init, MixtureParams):
        starts, n_init = [("given parameters", given_parameters(init, n_components, problem.rows, problem.m_step))], 1
    else:
        memberships = em.labels.given_memberships(np.asarray(init), dataset.n_samples, n_components)
        starts, n_init = [("given responsibilities", start_from_rows(problem.rows, memberships, problem.m_step))], 1
    settings = RunSettings(tol, max_iter, available_threads(), accelerate)
    return fit_starts(problem, starts, n_init, settings, n_long=n_long, sample=sample, progress=progress)


@dataclass(frozen=True)
class Problem:
    """What is fitted: the data as EM sees them and the M-step, in the same coordinates; prior and resolution as given."""

    dataset: Dataset
    rows: Rows
    n_components: int
    m_step: MStep
    prior: ConjugatePrior | None = None
    resolution: tuple[float, ...] = ()

    @property
    def total_weight(self) -> float:
        """Sum of the row weights."""
        return float(self.rows.weights.sum()) if self.rows.weights.size else float(self.dataset.n_samples)

    @property
    def log_scale(self) -> float:
        """What the log-likelihood of the standardised rows exceeds that of the data by."""
        return self.total_weight * float(np.log(self.rows.scale).sum())


@dataclass(frozen=True)
class RunSettings:
    """When a run ends, on how many threads it works, whether it extrapolates, and what says that no further run is to begin."""

    tol: float
    max_iter: int
    n_threads: int = 1
    accelerate: bool = True
    stop: Event | None = None


def make_problem(
    dataset: Dataset,
    n_components: int,
    family: CovarianceFamily,
    *,
    row_weights: Array | None = None,
    prior: ConjugatePrior | None = None,
    floor: float = 0.0,
    max_eigenvalue_ratio: float | None = None,
    resolution: Array | None = None,
) -> Problem:
    """The data and the M-step in standardised coordinates; InputError where they cannot be fitted.

    `floor` is added to the diagonals of the covariances, in squared units of the data; `resolution` (D,) is in these units.
    """
    require_dimension(family, dataset.n_features)
    check_fittable(dataset, 1 if floor > 0 else n_components, row_weights)  # with a floor, components may share a place
    if max_eigenvalue_ratio is not None:
        _check_bound(max_eigenvalue_ratio, family)
    rows = standardised_rows(dataset, row_weights, family)
    pseudo_rows = None
    if prior is not None:
        covariance = _total_covariance(rows)
        pseudo_rows = resolve_prior(prior, n_components, family, rows.location, rows.scale, covariance)
    scaled_floor = floor / rows.scale**2 if floor > 0 else None
    steps = np.zeros(dataset.n_features) if resolution is None else resolution
    noise = (steps / rows.scale) ** 2 / 12 if steps.any() else None
    m_step = MStep(family, pseudo_rows, scaled_floor, max_eigenvalue_ratio, noise)
    return Problem(dataset, rows, n_components, m_step, prior, tuple(steps.tolist()))


def fit_starts(
    problem: Problem,
    starts: Iterable[tuple[str, MixtureParams | Collapsed]],
    n_starts: int,
    settings: RunSettings,
    *,
    n_long: int | None = None,
    sample: StartSample | None = None,
    progress: bool | None = None,
) -> EMResult:
    """Short runs from all starts (on the sample, where it is not all rows), long ones from the best.

    Raises FitError where every start collapsed.
    """
    compile_side_by_side(EM, progress)
    n_long = max(2, ceil(n_starts / 3)) if n_long is None else n_long
    runs: list[EMRun] = []
    interrupted = False
    with progress_bars(progress) as bars:
        task = bars.add_task("EM starts", total=n_starts + min(n_long, n_starts), note="")

        def one_more() -> None:
            best = max((run.log_likelihood for run in runs if run.params), default=np.nan)
            bars.update(task, advance=1, note=f"best log-likelihood {best - problem.log_scale:.4f}")

        try:
            for name, start in starts:
                runs.append(_short_run(problem, start, name, settings, sample))
                one_more()
            runs.sort(key=_rank)
            n_done = 0
            for i, run in enumerate(runs):
                if n_done == n_long:
                    break
                runs[i] = _long_run(problem, run, settings)
                n_done += runs[i].params is not None
                one_more()
        except KeyboardInterrupt:
            if not any(run.params for run in runs):
                raise
            interrupted = True
    return result_of(problem, runs, interrupted=interrupted)


def _short_run(
    problem: Problem, start: MixtureParams | Collapsed, name: str, settings: RunSettings, sample: StartSample | None
) -> EMRun:
    """A few EM iterations from one start; on the sample first, where that is not all rows."""
    if isinstance(start, Collapsed):
        return EMRun(None, np.nan, np.empty(0), EMStatus.COLLAPSED, name, str(start))
    n_iter = min(SHORT_ITERATIONS, settings.max_iter)
    if sample is not None and not sample.is_whole:
        rows = rows_of(sample.in_units_of(problem.m_step), sample.weights)
        start = _run(rows, start, problem.m_step, settings, n_iter, name).params or start
        n_iter = 0
    run = _run(problem.rows, start, problem.m_step, settings, n_iter, name)
    unfinished = run.status is EMStatus.MAX_ITER and run.n_iter < settings.max_iter
    return replace(run, status=EMStatus.SHORT, reason=f"left after {run.n_iter} iterations") if unfinished else run


def _long_run(problem: Problem, short: EMRun, settings: RunSettings) -> EMRun:
    """The short run, gone on with to its limit."""
    if short.status is not EMStatus.SHORT:
        return short
    assert short.params is not None  # for the type checker: a run that was left has parameters
    run = _run(problem.rows, short.params, problem.m_step, settings, settings.max_iter - short.n_iter, short.init)
    return replace(run, trace=np.concatenate([short.trace[:-1], run.trace]))


def _run(rows: Rows, start: MixtureParams, m_step: MStep, settings: RunSettings, max_iter: int, name: str) -> EMRun:
    if settings.stop is not None and settings.stop.is_set():
        raise KeyboardInterrupt
    return run_em(
        rows,
        start,
        m_step,
        tol=settings.tol,
        max_iter=max_iter,
        n_threads=settings.n_threads,
        init=name,
        accelerate=settings.accelerate,
    )


def _rank(run: EMRun) -> float:
    """Key that sorts runs best first, by what they maximise to TIED nats; collapsed ones last.

    Runs that found the same stay in the order of their starts: rounding must not decide which component is called which.
    """
    return float(-np.round(run.trace[-1] / TIED)) if run.params is not None else np.inf


def result_of(problem: Problem, runs: list[EMRun], *, interrupted: bool = False) -> EMResult:
    """The runs in the units of the data, best first; FitError where none has parameters."""
    rows, log_scale = problem.rows, problem.log_scale
    runs = sorted(runs, key=_rank)
    best = runs[0].params
    if best is None:
        reasons = "; ".join(f"{count} x {reason}" for reason, count in Counter(run.reason for run in runs).items())
        raise FitError(
            f"every one of the {len(runs)} EM starts collapsed: {reasons}. The likelihood is unbounded there, or the "
            f"component is narrower than {SMALLEST_SCALE:g} of the columns' spread. Use fewer components, another start, a "
            "simpler covariance family or a prior, or remove repeated rows and constant combinations of columns."
        )
    recorded = problem.m_step.recorded(best)
    classification = compute_classification(
        rows, recorded.weights, recorded.means, recorded.scale_trils, n_threads=available_threads()
    )
    return EMResult(
        runs=tuple(
            replace(
                run,
                params=None if run.params is None else run.params.affine(rows.scale, rows.location),
                log_likelihood=run.log_likelihood - log_scale,
                trace=run.trace - log_scale,
            )
            for run in runs
        ),
        covariance=problem.m_step.family.name,
        columns=problem.dataset.columns,
        n_samples=problem.dataset.n_samples,
        total_weight=problem.total_weight,
        classification_log_likelihood=classification[0],
        entropy=classification[1],
        interrupted=interrupted,
        prior=problem.prior,
        max_eigenvalue_ratio=problem.m_step.max_eigenvalue_ratio,
        resolution=problem.resolution,
    )


def _total_covariance(rows: Rows) -> Array:
    """Covariance (D, D) of all rows, in their coordinates."""
    n_features = rows.X.shape[1]
    moments = compute_moments(rows, np.ones(1), np.zeros((1, n_features)), np.eye(n_features)[None])
    mean = moments.sums[0] / moments.counts[0]
    return moments.scatters[0] / moments.counts[0] - np.outer(mean, mean)


def check_fittable(dataset: Dataset, n_components: int, row_weights: Array | None) -> None:
    """Raise InputError where the rows of positive weight cannot be fitted."""
    if row_weights is None or row_weights.all():
        require_fittable(dataset, n_components)
        return
    try:
        require_fittable(replace(dataset, X=dataset.X[row_weights > 0]), n_components)
    except InputError as error:
        raise InputError(f"{error} (rows with a sample_weight of 0 are not counted)") from None


def check_settings(n_init: int, n_long: int | None, tol: float, max_iter: int) -> None:
    """Raise InputError, naming the argument, where a setting is no number that it could be."""
    check_count(n_init, "n_init")
    if n_long is not None:
        check_count(n_long, "n_long")
    check_count(max_iter, "max_iter", minimum=0)
    if not (is_number(tol) and np.isfinite(tol) and tol >= 0):
        raise InputError(f"tol must be a number of at least 0, in nats of total log-likelihood; got {tol!r}")


def _check_bound(max_eigenvalue_ratio: float, family: CovarianceFamily) -> None:
    if not (is_number(max_eigenvalue_ratio) and max_eigenvalue_ratio >= 1):
        raise InputError(f"max_eigenvalue_ratio must be a number of at least 1; got {max_eigenvalue_ratio!r}")
    if family.name not in BOUNDABLE:
        raise InputError(
            f"max_eigenvalue_ratio bounds the eigenvalues of {', '.join(BOUNDABLE)}; covariance is {family.name}: "
            "use one of these, or a prior"
        )
