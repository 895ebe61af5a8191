"""assignments: which component each observation belongs to, and how sure that is."""

from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from bayesgmm.data import check_columns, check_probability, validate
from bayesgmm.em.membership_errors import membership_errors
from bayesgmm.em.result import EMResult
from bayesgmm.errors import InputError
from bayesgmm.kernels.draws import responsibilities_of_draws
from bayesgmm.kernels.threads import available_threads
from bayesgmm.posterior.pool import warn_unless_pooled
from bayesgmm.posterior.relabel import em_order
from bayesgmm.posterior.schema import Draws, em_of, group, observed_matrix, recorded_draws

Array = NDArray[np.float64]
Variables = dict[str, tuple[tuple[str, ...], NDArray[Any]] | tuple[tuple[str, ...], NDArray[Any], dict[str, str]]]

BYTES_AT_ONCE = 64 * 2**20
"""Memory for the responsibilities of all draws over one block of rows."""

BYTES_PER_TASK = 2**21
"""The part of them that one thread summarises at a time."""

BY_CLUSTER, BY_ROW = ("obs", "cluster"), ("obs",)


def assignments(tree: xr.DataTree, X: Any = None, *, ci_prob: float = 0.95) -> xr.Dataset:
    """Posterior memberships of each observation, with EM's beside them.

    Parameters
    ----------
    tree : DataTree
        Relabelled, as `sample` returns it.
    X : (N, D) array or frame, optional
        New observations; by default those of the tree.
    ci_prob : float
        Probability of the equal-tailed intervals.

    Returns
    -------
    Dataset
        Over (obs, cluster): ``membership`` (posterior mean of gamma_nk), ``membership_lower``, ``membership_upper``. Over obs:
        ``label`` (most probable component) and ``label_share`` (share of the draws in which it is that); ``entropy`` of the mean
        membership, split into ``expected_entropy`` (components overlap) and ``mutual_information`` (parameters are uncertain), in
        nats. Where the tree carries an EM fit also ``em_membership`` with standard errors ``em_membership_se``, ``em_label``,
        ``em_entropy`` and ``flips`` (whether the two labels differ), with EM's components in the order of the posterior's.

        The standard errors are NaN where the fit has none; the attribute ``note`` of the variable says why, or what speaks
        against them. A row so far away that its density is 0 in every draw has memberships, entropy and ``label_share`` of 0.

    Warns
    -----
    SamplingWarning
        If the chains are steady in different modes, and were not weighed (`chain_weights`, `pool`).

    Raises
    ------
    InputError
        If X does not fit the columns, the tree lacks what is needed, or its EM fit has another number of components.

    Notes
    -----
    H(E gamma) = E H(gamma) + I(z; theta): the decomposition of predictive uncertainty of Depeweg et al. (2018), equation 2.

    Plug-in memberships and their delta-method standard errors: `bayesgmm.em.membership_errors`. The information is that of the
    tree's own data for new observations too.
    """
    check_probability(ci_prob, "ci_prob")
    columns = [str(name) for name in group(tree, "posterior")["feature"].values]
    rows = observed_matrix(tree) if X is None else _new_rows(X, columns)
    warn_unless_pooled(tree, "assignments")
    return memberships_of(tree, rows, ci_prob)


def memberships_of(tree: xr.DataTree, rows: Array, ci_prob: float) -> xr.Dataset:
    """What `assignments` returns, of rows (N, D) that were checked, whether or not the chains mix."""
    posterior = group(tree, "posterior")
    found = _summaries(rows, recorded_draws(tree, posterior), ci_prob)
    entropy = _entropy(found.membership)
    variables: Variables = {
        "membership": (BY_CLUSTER, found.membership),
        "membership_lower": (BY_CLUSTER, found.lower),
        "membership_upper": (BY_CLUSTER, found.upper),
        "label": (BY_ROW, found.label),
        "label_share": (BY_ROW, found.label_share),
        "entropy": (BY_ROW, entropy),
        "expected_entropy": (BY_ROW, found.expected_entropy),
        "mutual_information": (BY_ROW, np.maximum(entropy - found.expected_entropy, 0.0)),
    }
    em = em_of(tree)
    if em is not None:
        variables |= _of_em(em, tree, rows, found)
    coords = {"obs": np.arange(len(rows)), "cluster": posterior["cluster"].values}
    return xr.Dataset(variables, coords=coords, attrs={"ci_prob": ci_prob, "ci_kind": "eti"})


def flips(memberships: xr.Dataset) -> pd.DataFrame:
    """The observations whose most probable component is another by EM than by the posterior, and how sure each was.

    Parameters
    ----------
    memberships : Dataset
        As `assignments` returns it.

    Returns
    -------
    DataFrame
        One row per such observation, the surest of its new component first: obs; em_label, em_probability and
        em_standard_error (NaN where EM has none) of EM's component; label, probability, lower, upper (posterior mean and
        interval), label_share (share of draws that agree) of the posterior's; mutual_information, in nats. Empty where none
        differs.

    Raises
    ------
    InputError
        If the memberships have none of EM beside them.
    """
    if "flips" not in memberships:
        raise InputError("flips: there are no memberships by EM to compare with; relabel the tree with an EM fit in its em group")
    changed = memberships.transpose("obs", "cluster").isel(obs=np.flatnonzero(memberships["flips"].values))
    every = np.arange(changed.sizes["obs"])
    em_label, label = changed["em_label"].values, changed["label"].values
    table = pd.DataFrame(
        {
            "obs": changed["obs"].values,
            "em_label": em_label,
            "em_probability": changed["em_membership"].values[every, em_label],
            "em_standard_error": changed["em_membership_se"].values[every, em_label],
            "label": label,
            "probability": changed["membership"].values[every, label],
            "lower": changed["membership_lower"].values[every, label],
            "upper": changed["membership_upper"].values[every, label],
            "label_share": changed["label_share"].values,
            "mutual_information": changed["mutual_information"].values,
        }
    )
    return table.sort_values("probability", ascending=False, kind="stable", ignore_index=True)


def _new_rows(X: Any, columns: list[str]) -> Array:
    dataset = validate(X)
    check_columns(dataset, columns)
    return dataset.X


class _Summaries(NamedTuple):
    """Of gamma_nk over the draws: mean and interval (n, K); the rest (n,)."""

    membership: Array
    lower: Array
    upper: Array
    label: NDArray[np.intp]
    label_share: Array
    expected_entropy: Array


def _summaries(X: Array, draws: Draws, ci_prob: float) -> _Summaries:
    n_rows = max(BYTES_AT_ONCE // (8 * draws.weights.size), 1)
    with ThreadPoolExecutor(available_threads()) as pool:
        blocks = (X[first : first + n_rows] for first in range(0, len(X), n_rows))
        found = [part for block in blocks for part in _of_block(block, draws, ci_prob, pool)]
    return _Summaries(*(np.concatenate(parts) for parts in zip(*found, strict=True)))


def _of_block(X: Array, draws: Draws, ci_prob: float, pool: ThreadPoolExecutor) -> list[_Summaries]:
    """The summaries of the rows of one block, a few rows each."""
    gamma = responsibilities_of_draws(X, *draws)
    n_rows = max(BYTES_PER_TASK // (8 * draws.weights.size), 1)
    tasks = [gamma[:, first : first + n_rows] for first in range(0, len(X), n_rows)]
    return list(pool.map(partial(_summarised, ci_prob=ci_prob), tasks))


def _summarised(gamma: Array, ci_prob: float) -> _Summaries:
    """The summaries of a few rows, gamma (S, n, K)."""
    gamma = np.ascontiguousarray(gamma.transpose(2, 1, 0))
    membership = gamma.mean(axis=-1).T
    label = membership.argmax(axis=1)
    chosen = gamma[label, np.arange(len(label))]
    label_share = ((chosen == gamma.max(axis=0)) & (chosen > 0)).mean(axis=-1)
    expected_entropy = _entropy(gamma, axis=0).mean(axis=-1)
    gamma.sort(axis=-1)
    lower, upper = (_quantile_of_sorted(gamma, (1 + side * ci_prob) / 2).T for side in (-1, 1))
    return _Summaries(membership, lower, upper, label, label_share, expected_entropy)


def _quantile_of_sorted(values: Array, probability: float) -> Array:
    """The quantile over the last axis by linear interpolation, as np.quantile's, which takes three times as long to find it."""
    position = probability * (values.shape[-1] - 1)
    below = int(position)
    above = min(below + 1, values.shape[-1] - 1)
    return values[..., below] + (position - below) * (values[..., above] - values[..., below])


def _of_em(em: EMResult, tree: xr.DataTree, X: Array, found: _Summaries) -> Variables:
    if em.params.n_components != found.membership.shape[1]:
        raise InputError(
            f"the EM fit of the tree has {em.params.n_components} components, its posterior {found.membership.shape[1]}"
        )
    order = em_order(tree, em)
    em_membership = em.responsibilities(X)[:, order]
    em_label = em_membership.argmax(axis=1)
    errors = membership_errors(em, observed_matrix(tree), X)
    return {
        "em_membership": (BY_CLUSTER, em_membership),
        "em_membership_se": (BY_CLUSTER, errors.values[:, order], {"note": errors.note} if errors.note else {}),
        "em_label": (BY_ROW, em_label),
        "em_entropy": (BY_ROW, _entropy(em_membership)),
        "flips": (BY_ROW, em_label != found.label),
    }


def _entropy(probabilities: Array, axis: int = -1) -> Array:
    """-sum_k p_k ln p_k over an axis, with 0 ln 0 = 0."""
    return -(probabilities * np.log(np.maximum(probabilities, np.finfo(np.float64).tiny))).sum(axis=axis)
