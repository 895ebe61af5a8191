"""analyze: the whole way in one call."""

from typing import Any

import numpy as np
import pandas as pd

from bayesgmm.compare.comparison import DEFAULT_CI_PROB, Comparison, compare
from bayesgmm.data import check_probability, check_seed, validate
from bayesgmm.em.fit import fit_em
from bayesgmm.errors import InputError
from bayesgmm.model.priors import Priors
from bayesgmm.model.sample import sample
from bayesgmm.posterior.schema import with_groups


def analyze(
    X: Any,
    n_components: int,
    *,
    covariance: str = "VVV",
    priors: Priors | None = None,
    labels: Any = None,
    draws: int = 1000,
    tune: int = 1000,
    chains: int = 4,
    cores: int | None = None,
    n_init: int = 10,
    ci_prob: float = DEFAULT_CI_PROB,
    seed: int | np.random.Generator | None = None,
    progress: bool | None = None,
) -> Comparison:
    """Fit by EM, sample the posterior from there, and compare.

    Parameters
    ----------
    X : (N, D) array or frame
    n_components : int
    covariance : str
        "VVV" or "full".
    priors : Priors, optional
        By default scaled from the data.
    labels : (N,), optional
        Known labels. They take no part in the fit; both partitions are compared with them.
    draws, tune, chains, cores : int
        As in `sample`.
    n_init : int
        EM starts.
    ci_prob : float
        Probability of the intervals.
    seed : int, Generator or None
        The same seed gives the same analysis.
    progress : bool, optional
        Show progress; by default when standard error is a terminal.

    Returns
    -------
    Comparison
        Its `tree` is the posterior; `write_report` and the plot functions take it.

    Raises
    ------
    InputError
        Bad data or arguments.
    FitError
        Every EM start collapsed.
    """
    dataset = validate(X)
    check_probability(ci_prob, "ci_prob")
    seed = check_seed(seed)
    known = None if labels is None else _known_labels(labels, dataset.n_samples)
    fit_stream, sample_stream = np.random.default_rng(seed).spawn(2)
    em = fit_em(dataset, n_components, covariance=covariance, n_init=n_init, seed=fit_stream, progress=progress)
    tree = sample(
        dataset,
        em,
        priors=priors,
        draws=draws,
        tune=tune,
        chains=chains,
        cores=cores,
        seed=sample_stream,
        progress=progress,
    )
    if isinstance(seed, int):
        tree.attrs["seed"] = seed
    if known is not None:
        constants = tree["constant_data"].to_dataset().assign(known_label=("obs", known))
        tree = with_groups(tree, {"constant_data": constants})
    return compare(em, tree, ci_prob=ci_prob)


def _known_labels(labels: Any, n_samples: int) -> np.ndarray:
    known = np.asarray(labels)
    if known.shape != (n_samples,):
        raise InputError(f"labels: got shape {known.shape}; need one label for each of the {n_samples} rows")
    missing = pd.isna(known)
    if missing.any():
        raise InputError(f"labels: {int(missing.sum())} are missing (first in row {int(missing.argmax())}); every row needs one")
    return known.astype(str)
