"""fit_em: EM from several starts."""

from collections import Counter
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bayesgmm.data import Dataset, check_count, check_row_weights, check_seed, require_fittable, validate
from bayesgmm.em.initialise import given_responsibilities, starting_points
from bayesgmm.em.result import EMResult
from bayesgmm.em.run import EMRun, EMStatus, run_em
from bayesgmm.em.step import SMALLEST_SCALE, Collapsed
from bayesgmm.errors import FitError, InputError
from bayesgmm.families import CovarianceFamily, family_named
from bayesgmm.kernels.density import compute_responsibilities
from bayesgmm.kernels.threads import available_threads
from bayesgmm.params import MixtureParams
from bayesgmm.progress import progress_bars

Array = NDArray[np.float64]


def fit_em(
    X: Any,
    n_components: int,
    *,
    covariance: str = "VVV",
    init: str | Array | MixtureParams = "auto",
    n_init: int = 10,
    tol: float = 1e-8,
    max_iter: int = 10_000,
    sample_weight: Any = None,
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
        "VVV" or its alias "full": every component has its own covariance matrix.
    init : str, (N, K) responsibilities, (N,) labels, or MixtureParams
        "auto" takes "k-means", "k-means++" and "random" in turn. Anything given replaces all starts by that one.
    n_init : int
        Number of starts.
    tol : float
        A run ends when its total log-likelihood is, by Aitken's estimate, within `tol` nats of its limit.
    max_iter : int
        Iterations of one run at most.
    sample_weight : (N,), optional
        Non-negative weights of the rows; a whole number counts as that many copies of the row.
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
    The columns are centred and scaled first, which changes no estimate: EM for this family is affine equivariant. No floor is put
    under the covariances. Ctrl-C returns the best of the finished runs, with status INTERRUPTED.
    """
    dataset = validate(X)
    n_components = check_count(n_components, "n_components")
    family = family_named(covariance)
    _check_settings(n_init, tol, max_iter)
    seed = check_seed(seed)
    row_weights = None if sample_weight is None else check_row_weights(sample_weight, dataset.n_samples)
    unit_weights = np.ones(dataset.n_samples) if row_weights is None else row_weights
    _require_fittable(dataset, n_components, unit_weights)
    location, scale = _standardisation(dataset, unit_weights)
    counting = unit_weights > 0
    Z, counting_weights = (dataset.X[counting] - location) / scale, unit_weights[counting]

    if not isinstance(init, str | MixtureParams):
        init = given_responsibilities(np.asarray(init), dataset.n_samples, n_components)[counting]
    starts = starting_points(init, n_init, Z, n_components, counting_weights, family, (location, scale), seed)
    log_scale = unit_weights.sum() * np.log(scale).sum()
    runs: list[EMRun] = []
    interrupted = False
    with progress_bars(progress) as bars:
        task = bars.add_task("EM starts", total=n_init if isinstance(init, str) else 1, note="")
        try:
            for name, start in starts:
                runs.append(_run(Z, start, family, counting_weights, tol, max_iter, name))
                best = max((run.log_likelihood for run in runs if run.params), default=np.nan)
                bars.update(task, advance=1, note=f"best log-likelihood {best - log_scale:.4f}")
        except KeyboardInterrupt:
            if not any(run.params for run in runs):
                raise
            interrupted = True
    return _result(runs, dataset, covariance, (location, scale), unit_weights, interrupted)


def _run(
    Z: Array,
    start: MixtureParams | Collapsed,
    family: CovarianceFamily,
    row_weights: Array | None,
    tol: float,
    max_iter: int,
    name: str,
) -> EMRun:
    if isinstance(start, Collapsed):
        return EMRun(None, np.nan, np.empty(0), EMStatus.COLLAPSED, name, str(start))
    return run_em(
        Z,
        start,
        family,
        row_weights=row_weights,
        tol=tol,
        max_iter=max_iter,
        n_threads=available_threads(),
        init=name,
    )


def _result(
    runs: list[EMRun],
    dataset: Dataset,
    covariance: str,
    standardisation: tuple[Array, Array],
    row_weights: Array,
    interrupted: bool,
) -> EMResult:
    """The runs in the units of the data, best first."""
    location, scale = standardisation
    log_scale = float(row_weights.sum() * np.log(scale).sum())
    runs = sorted(runs, key=lambda run: -np.inf if np.isnan(run.log_likelihood) else run.log_likelihood, reverse=True)
    if runs[0].params is None:
        reasons = "; ".join(f"{count} x {reason}" for reason, count in Counter(run.reason for run in runs).items())
        raise FitError(
            f"every one of the {len(runs)} EM starts collapsed: {reasons}. The likelihood is unbounded there, or the "
            f"component is narrower than {SMALLEST_SCALE:g} of the columns' spread. Use fewer components or another start, or "
            "remove repeated rows and constant combinations of columns."
        )
    original_units = tuple(
        replace(
            run,
            params=None if run.params is None else run.params.affine(scale, location),
            log_likelihood=run.log_likelihood - log_scale,
            trace=run.trace - log_scale,
        )
        for run in runs
    )
    params = original_units[0].params
    assert params is not None  # for the type checker: checked above
    counting = row_weights > 0
    X = dataset.X if counting.all() else dataset.X[counting]
    largest = compute_responsibilities(X, params.weights, params.means, params.scale_trils).max(axis=1)
    return EMResult(
        runs=original_units,
        covariance=family_named(covariance).name,
        columns=dataset.columns,
        n_samples=dataset.n_samples,
        total_weight=float(row_weights.sum()),
        classification_log_likelihood=float(row_weights[counting] @ np.log(largest)),
        interrupted=interrupted,
    )


def _standardisation(dataset: Dataset, row_weights: Array) -> tuple[Array, Array]:
    """Weighted mean and standard deviation of each column, (D,), over the rows that count."""
    counting = row_weights > 0
    X, row_weights = dataset.X[counting], row_weights[counting]
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        largest = np.abs(X).max(axis=0)
        location = largest * np.average(X / largest, axis=0, weights=row_weights)
        spread = np.abs(X - location).max(axis=0)
        scale = spread * np.sqrt(np.average(((X - location) / spread) ** 2, axis=0, weights=row_weights))
        usable = np.isfinite(scale) & (scale > 0) & np.isfinite(1 / scale)
    if not usable.all():
        column = int(np.argmin(usable))
        raise InputError(
            f"column {dataset.columns[column]!r} has values up to {largest[column]:.3g} and a spread of {spread[column]:.3g}, "
            "beyond what double precision can square: change its unit"
        )
    return location, scale


def _require_fittable(dataset: Dataset, n_components: int, row_weights: Array) -> None:
    """Raise InputError where the rows of positive weight cannot be fitted."""
    counting = row_weights > 0
    if counting.all():
        require_fittable(dataset, n_components)
        return
    try:
        require_fittable(replace(dataset, X=dataset.X[counting]), n_components)
    except InputError as error:
        raise InputError(f"{error} (rows with a sample_weight of 0 are not counted)") from None


def _check_settings(n_init: int, tol: float, max_iter: int) -> None:
    check_count(n_init, "n_init")
    check_count(max_iter, "max_iter", minimum=0)
    is_number = isinstance(tol, int | float | np.integer | np.floating) and not isinstance(tol, bool)
    if not (is_number and np.isfinite(tol) and tol >= 0):
        raise InputError(f"tol must be a number of at least 0, in nats of total log-likelihood; got {tol!r}")
