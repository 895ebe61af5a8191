"""select: covariance families times numbers of components, compared by an information criterion."""

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from functools import cached_property
from threading import Event, Lock
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bayesgmm.data import Dataset, check_count, check_row_weights, check_seed, validate
from bayesgmm.em.criteria import CRITERIA
from bayesgmm.em.fit import RunSettings, check_settings, fit_starts, make_problem
from bayesgmm.em.initialise import StartSample, check_init, start_sample, starting_memberships, starting_points
from bayesgmm.em.prior import ConjugatePrior
from bayesgmm.em.result import EMResult
from bayesgmm.errors import BayesGMMError, FitError, InputError
from bayesgmm.families import FAMILIES, ONE_COLUMN, family_named, require_dimension
from bayesgmm.kernels.threads import available_threads
from bayesgmm.progress import progress_bars

Array = NDArray[np.float64]
Cell = tuple[str, int]
"""A covariance family and a number of components."""

THREADED_SIZE = 5000
"""Data of fewer numbers are fitted in one thread: their EM steps are so short that threads only wait for each other."""

INTERRUPTED = "not fitted: interrupted by the user"


@dataclass(frozen=True, eq=False)
class Selection:
    """Every fit of a grid of families and numbers of components.

    Attributes
    ----------
    fits : dict
        EMResult of each (covariance, n_components) that could be fitted.
    failures : dict
        Why the others could not.
    criterion : str
        What `best` minimises.
    interrupted : bool
        Whether the user stopped before the last fit.
    """

    fits: dict[Cell, EMResult]
    failures: dict[Cell, str]
    criterion: str
    interrupted: bool = False

    @cached_property
    def table(self) -> pd.DataFrame:
        """One row per fit, best first, failures last with their reason.

        Columns: covariance, n_components, log_likelihood, n_parameters, bic, icl, aic, nec (smaller is better in all four),
        status, advice. nec is NaN where the family's single component could not be fitted.
        """
        rows = [self._row(cell, fit) for cell, fit in self.fits.items()]
        rows += [
            {"covariance": covariance, "n_components": n_components, "status": "failed", "advice": reason}
            for (covariance, n_components), reason in self.failures.items()
        ]
        columns = ["covariance", "n_components", "log_likelihood", "n_parameters", *CRITERIA, "status", "advice"]
        table = pd.DataFrame(rows, columns=columns).astype({"n_parameters": "Int64"})
        return table.sort_values([self.criterion, "n_parameters"], kind="stable", ignore_index=True)

    @property
    def grid(self) -> pd.DataFrame:
        """The criterion with one row per number of components and one column per family; NaN for failures."""
        grid = self.table.pivot_table(index="n_components", columns="covariance", values=self.criterion, dropna=False)
        return grid[[name for name in FAMILIES if name in grid.columns]]

    @property
    def best(self) -> EMResult:
        """The fit with the smallest criterion."""
        first = self.table.iloc[0]
        return self.fits[first["covariance"], int(first["n_components"])]

    def nec(self, covariance: str, n_components: int) -> float:
        """Normalised entropy E(K) / (l(K) - l(1)), 1 for K = 1 (Biernacki, Celeux and Govaert 1999): smaller is better."""
        single = self.fits.get((covariance, 1))
        if n_components == 1:
            return 1.0
        fit = self.fits[covariance, n_components]
        gain = fit.log_likelihood - single.log_likelihood if single else np.nan
        return fit.entropy / gain if gain > 0 else np.nan

    def _row(self, cell: Cell, fit: EMResult) -> dict[str, Any]:
        return {
            "covariance": cell[0],
            "n_components": cell[1],
            "log_likelihood": fit.log_likelihood,
            "n_parameters": fit.n_parameters,
            "bic": fit.bic,
            "icl": fit.icl,
            "aic": fit.aic,
            "nec": self.nec(*cell),
            "status": fit.status.name.lower(),
            "advice": "; ".join([*([] if fit.converged else [str(fit.status)]), *fit.spurious]),
        }

    def __repr__(self) -> str:
        best = self.best
        return (
            f"Selection by {self.criterion}: {len(self.fits)} fits, {len(self.failures)} failures; best is {best.covariance} "
            f"with {best.params.n_components} components ({self.criterion} {self.table[self.criterion].iloc[0]:.2f})"
        )


def select(
    X: Any,
    n_components: int | Iterable[int] = range(1, 10),
    *,
    covariance: str | Sequence[str] = "all",
    criterion: str = "bic",
    init: str = "auto",
    n_init: int = 5,
    n_long: int | None = None,
    tol: float = 1e-4,
    max_iter: int = 10_000,
    sample_weight: Any = None,
    prior: ConjugatePrior | None = None,
    seed: int | np.random.Generator | None = None,
    progress: bool | None = None,
) -> Selection:
    """Fit every family with every number of components, and rank the fits.

    Parameters
    ----------
    X : (N, D) array or frame
    n_components : int or iterable of int
    covariance : "all", a name, or names
        "all" means mclust's fourteen families, or E and V for a single column.
    criterion : str
        "bic", "icl", "aic" or "nec"; smaller is better in all of them.
    init, n_init, n_long, tol, max_iter, sample_weight, prior
        As in `fit_em`; starting partitions are shared by the families. Refit the best with `fit_em` for a smaller
        tolerance or more starts.
    seed : int, Generator or None
    progress : bool, optional

    Returns
    -------
    Selection
        A family that cannot be fitted with some number of components is a row of its table, with the reason. Ctrl-C returns the
        fits finished by then.

    Raises
    ------
    InputError
        Bad data or arguments.
    FitError
        Not one cell could be fitted.
    """
    dataset = validate(X)
    families = _families(covariance, dataset.n_features)
    sizes = _sizes(n_components)
    if criterion not in CRITERIA:
        raise InputError(f"criterion is {criterion!r}; choose one of {', '.join(map(repr, CRITERIA))}")
    if not isinstance(init, str):
        raise InputError(
            "select: init must be the name of a start, since it serves every number of components; use fit_em for your own"
        )
    check_init(init)
    check_settings(n_init, n_long, tol, max_iter)
    row_weights = None if sample_weight is None else check_row_weights(sample_weight, dataset.n_samples)
    checked = check_seed(seed)
    base_seed = int(checked.integers(2**63)) if isinstance(checked, np.random.Generator) else checked
    make_problem(dataset, 1, family_named(families[0]), row_weights=row_weights, prior=prior)  # raises for bad data or prior
    sample = start_sample(dataset, row_weights, np.random.default_rng(base_seed).spawn(1)[0])
    if criterion == "nec" and 1 not in sizes:
        raise InputError("criterion 'nec' compares with a single component: let n_components include 1")
    partitions = _Partitions(sample, init, n_init, base_seed)
    n_threads = available_threads() if dataset.X.size >= THREADED_SIZE else 1
    stop = Event()
    settings = RunSettings(tol, max_iter, n_threads=1, stop=stop)

    def fit(cell: Cell) -> EMResult | str:
        try:
            return _fit_cell(dataset, cell, row_weights, prior, partitions, settings, n_long)
        except BayesGMMError as error:
            return str(error)

    cells = [(name, size) for size in sizes for name in families]
    return _fit_all(cells, fit, criterion, stop, n_threads, progress)


def _fit_cell(
    dataset: Dataset,
    cell: Cell,
    row_weights: Array | None,
    prior: ConjugatePrior | None,
    partitions: "_Partitions",
    settings: RunSettings,
    n_long: int | None,
) -> EMResult:
    problem = make_problem(dataset, cell[1], family_named(cell[0]), row_weights=row_weights, prior=prior)
    memberships = partitions.of(cell[1])
    starts = starting_points(memberships, partitions.sample, problem.m_step)
    return fit_starts(problem, starts, len(memberships), settings, n_long=n_long, sample=partitions.sample, progress=False)


class _Partitions:
    """The starting partitions of each number of components, made once for all families."""

    def __init__(self, sample: StartSample, init: str, n_init: int, seed: int | None) -> None:
        self.sample = sample
        self._init, self._n_init, self._seed = init, n_init, seed
        self._found: dict[int, list[tuple[str, Array]]] = {}
        self._lock = Lock()

    def of(self, n_components: int) -> list[tuple[str, Array]]:
        with self._lock:
            if n_components not in self._found:
                rng = np.random.default_rng(self._seed)
                rng.spawn(1)  # the stream of the sample, as in fit_em
                n_init = self._n_init if n_components > 1 else 1
                self._found[n_components] = list(starting_memberships(self._init, n_init, self.sample, n_components, rng))
            return self._found[n_components]


def _fit_all(
    cells: list[Cell],
    fit: Callable[[Cell], EMResult | str],
    criterion: str,
    stop: Event,
    n_threads: int,
    progress: bool | None,
) -> Selection:
    """Fit the cells in threads; when the user interrupts, no further EM run begins and what is done is kept."""
    found: dict[Cell, EMResult | str] = {}
    interrupted = False
    with progress_bars(progress) as bars, ThreadPoolExecutor(n_threads, thread_name_prefix="bayesgmm-select") as pool:
        task = bars.add_task("families x components", total=len(cells), note="")
        futures = {pool.submit(fit, cell): cell for cell in reversed(cells)}  # the long ones first
        try:
            for future in as_completed(futures):
                found[futures[future]] = future.result()
                bars.update(task, advance=1, note=f"{futures[future][0]}, K = {futures[future][1]}")
        except KeyboardInterrupt:
            stop.set()
            pool.shutdown(wait=True, cancel_futures=True)
            done = {cell: future for future, cell in futures.items() if future.done() and not future.cancelled()}
            found |= {cell: future.result() for cell, future in done.items() if future.exception() is None}
            if not any(isinstance(fit, EMResult) for fit in found.values()):
                raise
            interrupted = True
    fits = {cell: found[cell] for cell in cells if isinstance(found.get(cell), EMResult)}
    failures = {cell: str(found.get(cell, INTERRUPTED)) for cell in cells if cell not in fits}
    if not fits:
        reasons = "; ".join(f"{name}, K = {size}: {reason}" for (name, size), reason in list(failures.items())[:3])
        raise FitError(f"none of the {len(cells)} mixtures could be fitted: {reasons}")
    return Selection({cell: fit for cell, fit in fits.items() if isinstance(fit, EMResult)}, failures, criterion, interrupted)


def _families(covariance: str | Sequence[str], n_features: int) -> list[str]:
    if isinstance(covariance, str) and covariance == "all":
        return list(ONE_COLUMN) if n_features == 1 else [name for name in FAMILIES if name not in ONE_COLUMN]
    names = list(covariance) if isinstance(covariance, Iterable) and not isinstance(covariance, str) else [covariance]
    if not names:
        raise InputError("covariance names no family; give 'all', a name, or names")
    families = [family_named(name) for name in names]
    for family in families:
        require_dimension(family, n_features)
    return list(dict.fromkeys(family.name for family in families))


def _sizes(n_components: int | Iterable[int]) -> list[int]:
    given = list(n_components) if isinstance(n_components, Iterable) else [n_components]
    sizes = sorted({check_count(size, "n_components") for size in given})
    if not sizes:
        raise InputError("n_components names no number of components; give for example range(1, 10)")
    return sizes
