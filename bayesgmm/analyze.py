"""analyze: the whole way in one call."""

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from bayesgmm.compare.comparison import DEFAULT_CI_PROB, Comparison, compare
from bayesgmm.compilation import POSTERIOR, compile_side_by_side
from bayesgmm.data import check_probability, check_resolution, check_seed, validate
from bayesgmm.em.fit import fit_em
from bayesgmm.em.select import Selection, select
from bayesgmm.errors import InputError
from bayesgmm.families import family_named
from bayesgmm.model.priors import Priors
from bayesgmm.posterior.schema import with_groups
from bayesgmm.sampling.sample import sample

SIZES = range(1, 10)
"""Numbers of components that are tried where none is given."""


def analyze(
    X: Any,
    n_components: int | None = None,
    *,
    covariance: str = "VVV",
    priors: Priors | None = None,
    resolution: float | ArrayLike | None = None,
    labels: Any = None,
    draws: int = 1000,
    tune: int | None = None,
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
    n_components : int, optional
        None takes the number from 1 to 9 with the smallest BIC (`select`), in the family of `covariance`; the comparison's
        `tree.attrs["selection"]` says how clearly.
    covariance : str
        One of mclust's names or an alias, as in `fit_em`.
    priors : Priors, optional
        By default scaled from the data.
    resolution : float or (D,), optional
        Rounding step of the columns, for EM and the posterior alike; by default as the ties in the data say, 0 for none.
        `select` chooses the number of components without it.
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
    covariance = family_named(covariance).name
    steps = check_resolution(resolution, dataset)
    check_probability(ci_prob, "ci_prob")
    seed = check_seed(seed)
    known = None if labels is None else _known_labels(labels, dataset.n_samples)
    compile_side_by_side(POSTERIOR, progress)
    fit_stream, sample_stream = np.random.default_rng(seed).spawn(2)
    selected = ""
    fit_seed: int | np.random.Generator = fit_stream
    if n_components is None:
        fit_seed = int(fit_stream.integers(2**63))  # the same for both: fit_em then has the starts of select among its own
        selection = select(dataset, SIZES, covariance=covariance, seed=fit_seed, progress=progress)
        n_components = selection.best.params.n_components
        selected = describe_selection(selection)
    em = fit_em(dataset, n_components, covariance=covariance, n_init=n_init, resolution=steps, seed=fit_seed, progress=progress)
    tree = sample(
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
    if selected:
        tree.attrs["selection"] = selected
    if isinstance(seed, int):
        tree.attrs["seed"] = seed
    if known is not None:
        constants = tree["constant_data"].to_dataset().assign(known_label=("obs", known))
        tree = with_groups(tree, {"constant_data": constants})
    return compare(em, tree, ci_prob=ci_prob)


def describe_selection(selection: Selection) -> str:
    """Which number of components was chosen, by what, among which, and how far behind the next one is: one sentence."""
    name = selection.criterion
    table = selection.table.iloc[: len(selection.fits)]
    sizes = sorted(size for _, size in selection.fits)
    first = table.iloc[0]
    text = f"{_components(first)} chosen by {name.upper()} ({first[name]:.1f}) among {sizes[0]} to {sizes[-1]}"
    if len(table) > 1:
        second = table.iloc[1]
        text += f", {second[name] - first[name]:.1f} ahead of {second['n_components']}"
    missing = [str(size) for _, size in selection.failures]
    return f"{text}; no fit with {', '.join(missing)}" if missing else text


def _components(row: pd.Series) -> str:
    return f"{row['n_components']} component{'' if row['n_components'] == 1 else 's'}"


def _known_labels(labels: Any, n_samples: int) -> np.ndarray:
    known = np.asarray(labels)
    if known.shape != (n_samples,):
        raise InputError(f"labels: got shape {known.shape}; need one label for each of the {n_samples} rows")
    missing = pd.isna(known)
    if missing.any():
        raise InputError(f"labels: {int(missing.sum())} are missing (first in row {int(missing.argmax())}); every row needs one")
    return known.astype(str)
