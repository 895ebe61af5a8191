"""n_components_posterior: how many components, by evidence, beside the criteria that point estimates allow."""

import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import arviz_stats as azs
import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from bayesgmm.data import check_count, check_resolution, check_seed, validate
from bayesgmm.em.bootstrap_lrt import bootstrap_lrt
from bayesgmm.em.result import EMResult
from bayesgmm.errors import InputError, SamplingError
from bayesgmm.evidence.bridge import Estimate, share_errors
from bayesgmm.evidence.chart import fit_whole
from bayesgmm.evidence.empty import extensible
from bayesgmm.model.priors import Priors
from bayesgmm.posterior.occupied import MOST_COMPONENTS, log_ratio_by_empty, occupied_components
from bayesgmm.sampling.log_evidence import log_evidence
from bayesgmm.sampling.sample import sample
from bayesgmm.sampling.tree import target_of

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class NComponentsPosterior:
    """What is known of the number of components.

    Attributes
    ----------
    table : DataFrame
        One row per number of components K: ``prior`` p(K); ``log_evidence`` ln p(X | K), its ``standard_error`` and ``method``
        ("bridge"; where that takes too long "gain by empty", the one before plus gain_by_empty, or "not measured", and then no
        probability is known); ``probability`` p(K | X) and its ``probability_error``; ``mean_occupied``, the posterior mean of
        the number of components that hold rows, given K; ``bic``, ``icl`` and ``aic`` of the EM fit (smaller is better);
        ``elpd_loo`` and ``elpd_loo_error``, the expected log predictive density of rows left out (larger is better),
        ``elpd_behind_error``, the error of the difference from the best, row by row, and ``bad_k``, how many rows' importance
        weights are too uneven for it; ``p_value`` of the bootstrap test of K against K + 1, where it was asked for;
        ``gain_by_empty`` and its ``gain_by_empty_error``, an independent estimate of the gain in log evidence over K - 1.
    occupied : DataFrame
        p(m components hold rows | X, K), one row per K, one column per m.
    trees : dict of int to DataTree
        The posterior for each K.
    """

    table: pd.DataFrame
    occupied: pd.DataFrame
    trees: dict[int, xr.DataTree]

    @property
    def best(self) -> int:
        """The number of components with the largest probability."""
        return int(self.table["probability"].idxmax())

    @property
    def log_bayes_factors(self) -> pd.DataFrame:
        """ln of the Bayes factor of the row's number of components over the column's, in nats."""
        values = self.table["log_evidence"].to_numpy()
        return pd.DataFrame(values[:, None] - values, index=self.table.index, columns=self.table.index)

    @property
    def n_occupied(self) -> pd.Series:
        """p(m components hold rows | X), whatever the number of components of the model."""
        weights = self.table["probability"].to_numpy()
        return pd.Series(weights @ self.occupied.to_numpy(), index=self.occupied.columns, name="probability")

    def __repr__(self) -> str:
        shown = ", ".join(f"{size}: {value:.3f}" for size, value in self.table["probability"].items())
        return f"NComponentsPosterior: p(K | X) = {{{shown}}}"


def n_components_posterior(
    X: Any,
    n_components: int | Iterable[int] = range(1, 8),
    *,
    covariance: str = "VVV",
    priors: Priors | None = None,
    resolution: float | ArrayLike | None = None,
    prior: Mapping[int, float] | ArrayLike | None = None,
    draws: int = 1000,
    tune: int | None = None,
    chains: int = 4,
    cores: int | None = None,
    n_init: int = 10,
    n_boot: int = 0,
    seed: int | np.random.Generator | None = None,
    progress: bool | None = None,
) -> NComponentsPosterior:
    """Posterior probabilities of the number of components, beside BIC, ICL, LOO and the bootstrap test.

    Parameters
    ----------
    X : (N, D) array or frame
    n_components : int or iterable of int
        The numbers that are compared.
    covariance, priors, resolution, draws, tune, chains, cores
        As in `sample`. The priors of weights and components are the same for every K.
    prior : mapping of int to float, or one number for each of n_components, optional
        p(K), relative to its sum; by default all are equally probable.
    n_init : int
        EM starts for each K.
    n_boot : int
        Samples of the bootstrap likelihood-ratio test for each K; 0 leaves the test out.
    seed : int, Generator or None
        The same seed gives the same result.
    progress : bool, optional
        Show progress; by default when standard error is a terminal.

    Returns
    -------
    NComponentsPosterior

    Raises
    ------
    InputError
        Bad data or arguments.
    FitError, SamplingError
        Some number of components could not be fitted or sampled.
    KeyboardInterrupt
        By Ctrl-C during EM; one during sampling ends with the numbers of components that were reached.

    Notes
    -----
    p(K | X) is proportional to p(K) p(X | K), with p(X | K) from `log_evidence`. Evidence depends on the priors of the
    components, on their widths above all: make them wider and fewer components win. ``gain_by_empty`` rests on another identity,
    by which the evidence of one component fewer shows in how often one of K is empty; it is precise where components are often
    empty, and useless (infinite, or with a large error) where they never are. It is NaN in families whose components are not
    independent a priori, and where K - 1 was not asked for.
    """
    dataset = validate(X)
    given = _checked_sizes(n_components)
    order = np.argsort(given)
    sizes, log_prior = [given[i] for i in order], _checked_prior(prior, given)[order]
    check_count(n_boot, "n_boot", minimum=0)
    steps = check_resolution(resolution, dataset)
    rng = np.random.default_rng(check_seed(seed))
    trees: dict[int, xr.DataTree] = {}
    fits: dict[int, EMResult] = {}
    for size in sizes:
        fit_stream, sample_stream = rng.spawn(2)
        em = fit_whole(dataset, size, covariance=covariance, n_init=n_init, resolution=steps, seed=fit_stream, progress=progress)
        trees[size] = sample(
            dataset,
            em,
            priors=priors,
            resolution=steps,
            draws=draws,
            tune=tune,
            chains=chains,
            cores=cores,
            seed=sample_stream,
            progress=progress,
        )
        fits[size] = em
        if trees[size].attrs["interrupted"]:
            break
    log_prior = log_prior[[sizes.index(size) for size in trees]]
    table = _evidence_columns(trees, log_prior, rng)
    occupied = pd.DataFrame({size: occupied_components(tree)["probability"] for size, tree in trees.items()}).T.fillna(0.0)
    table["mean_occupied"] = occupied.to_numpy() @ occupied.columns.to_numpy(dtype=float)
    for criterion in ("bic", "icl", "aic"):
        table[criterion] = [getattr(em, criterion) for em in fits.values()]
    table = table.join(_leave_one_out(trees))
    if n_boot:
        tests = bootstrap_lrt(
            dataset,
            covariance=covariance,
            max_components=max(sizes) + 1,
            n_boot=n_boot,
            level=None,
            seed=rng.spawn(1)[0],
            progress=progress,
        ).set_index("n_components_null")
        table["p_value"] = tests["p_value"].reindex(table.index)
    return NComponentsPosterior(table, occupied.rename_axis(index="n_components", columns="occupied"), trees)


def _checked_sizes(n_components: int | Iterable[int]) -> list[int]:
    """Each number once, in the order given."""
    given = list(n_components) if isinstance(n_components, Iterable) else [n_components]
    sizes = list(dict.fromkeys(check_count(size, "n_components") for size in given))
    if not sizes:
        raise InputError("n_components_posterior: n_components is empty; give the numbers to compare, such as range(1, 8)")
    if max(sizes) > MOST_COMPONENTS:
        raise InputError(
            f"n_components_posterior: {max(sizes)} components are too many to say which hold rows; {MOST_COMPONENTS} is the most"
        )
    return sizes


def _checked_prior(prior: Mapping[int, float] | ArrayLike | None, sizes: list[int]) -> Array:
    """ln p(K) of each size."""
    if prior is None:
        values = np.ones(len(sizes))
    elif isinstance(prior, Mapping):
        missing = [size for size in sizes if size not in prior]
        if missing:
            raise InputError(f"n_components_posterior: prior has no value for n_components {', '.join(map(str, missing))}")
        values = np.array([prior[size] for size in sizes], dtype=np.float64)
    else:
        values = np.asarray(prior, dtype=np.float64)
    if values.shape != (len(sizes),) or not (np.isfinite(values).all() and (values > 0).all()):
        raise InputError(
            f"n_components_posterior: prior must be {len(sizes)} positive numbers, one for each of n_components; "
            f"got {np.array2string(values)}"
        )
    return np.log(values / values.sum())


def _evidence_columns(trees: dict[int, xr.DataTree], log_prior: Array, rng: np.random.Generator) -> pd.DataFrame:
    gains = {size: _gain_by_empty(size, trees) for size in trees}
    estimates: dict[int, Estimate] = {}
    methods = []
    for size, tree in trees.items():
        try:
            evidence = log_evidence(tree, seed=rng)
        except SamplingError:
            gain, error = gains[size]
            before = estimates.get(size - 1, Estimate(np.nan, np.nan))
            known = bool(np.isfinite(error) and np.isfinite(before.log_value))
            estimates[size] = Estimate(
                before.log_value + gain if known else np.nan,
                float(np.hypot(before.standard_error, error)) if known else np.nan,
            )
            methods.append("gain by empty" if known else "not measured")
        else:
            estimates[size] = Estimate(evidence.log_value, evidence.standard_error)
            methods.append("bridge")
    values, errors = np.array(list(estimates.values())).T
    unscaled = values + log_prior
    return pd.DataFrame(
        {
            "prior": np.exp(log_prior),
            "log_evidence": values,
            "standard_error": errors,
            "method": methods,
            "probability": np.exp(unscaled - np.logaddexp.reduce(unscaled)),
            "probability_error": share_errors([Estimate(*pair) for pair in zip(unscaled, errors, strict=True)]),
            "gain_by_empty": [gain for gain, _ in gains.values()],
            "gain_by_empty_error": [error for _, error in gains.values()],
        },
        index=pd.Index(trees, name="n_components"),
    )


def _gain_by_empty(size: int, trees: dict[int, xr.DataTree]) -> tuple[float, float]:
    target = target_of(trees[size])
    if size - 1 not in trees or not extensible(target):
        return np.nan, np.nan
    return log_ratio_by_empty(trees[size], float(target.priors.concentration[0]))


def _leave_one_out(trees: dict[int, xr.DataTree]) -> pd.DataFrame:
    """Pareto-smoothed importance sampling (Vehtari, Gelman and Gabry 2017), and how far each is behind the best, row by row."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of large Pareto k, which the table counts
        estimates = {size: azs.loo(tree, pointwise=True) for size, tree in trees.items()}
    rows = np.array([loo.elpd_i.values.ravel() for loo in estimates.values()])
    behind = rows - rows[rows.sum(axis=1).argmax()]
    return pd.DataFrame(
        {
            "elpd_loo": [float(loo.elpd) for loo in estimates.values()],
            "elpd_loo_error": [float(loo.se) for loo in estimates.values()],
            "elpd_behind_error": np.sqrt(rows.shape[1] * behind.var(axis=1)),
            "bad_k": [int((loo.pareto_k > loo.good_k).sum()) for loo in estimates.values()],
        },
        index=pd.Index(trees, name="n_components"),
    )
