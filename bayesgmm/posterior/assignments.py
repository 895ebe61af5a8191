"""assignments: which component each observation belongs to, and how sure that is."""

from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from bayesgmm.data import check_columns, check_probability, validate
from bayesgmm.em.result import EMResult
from bayesgmm.kernels.draws import responsibilities_of_draws
from bayesgmm.posterior.schema import Draws, em_of, group, observed_matrix, recorded_draws

Array = NDArray[np.float64]

BYTES_AT_ONCE = 256 * 2**20
"""Memory for the responsibilities of all draws over one block of rows."""


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
        ``label`` (most probable component); ``entropy`` of the mean membership, split into ``expected_entropy`` (components
        overlap) and ``mutual_information`` (parameters are uncertain), in nats. Where the tree carries an EM fit also
        ``em_membership``, ``em_label``, ``em_entropy`` and ``flips`` (whether the two labels differ).

    Notes
    -----
    H(E gamma) = E H(gamma) + I(z; theta): the decomposition of predictive uncertainty of Depeweg et al. (2018), equation 2.
    """
    check_probability(ci_prob, "ci_prob")
    posterior = group(tree, "posterior")
    rows = observed_matrix(tree) if X is None else _new_rows(X, [str(name) for name in posterior["feature"].values])
    summaries = _summaries(rows, recorded_draws(tree, posterior), ci_prob)
    by_cluster, by_row = ("obs", "cluster"), ("obs",)
    membership = summaries["membership"]
    entropy, expected = _entropy(membership), summaries["expected_entropy"]
    variables: dict[str, tuple[tuple[str, ...], NDArray[Any]]] = {
        "membership": (by_cluster, membership),
        "membership_lower": (by_cluster, summaries["lower"]),
        "membership_upper": (by_cluster, summaries["upper"]),
        "label": (by_row, membership.argmax(axis=1)),
        "entropy": (by_row, entropy),
        "expected_entropy": (by_row, expected),
        "mutual_information": (by_row, np.maximum(entropy - expected, 0.0)),
    }
    em = em_of(tree)
    if em is not None:
        variables |= _of_em(em, rows, membership)
    coords = {"obs": np.arange(len(rows)), "cluster": posterior["cluster"].values}
    return xr.Dataset(variables, coords=coords, attrs={"ci_prob": ci_prob, "ci_kind": "eti"})


def _new_rows(X: Any, columns: list[str]) -> Array:
    dataset = validate(X)
    check_columns(dataset, columns)
    return dataset.X


def _summaries(X: Array, draws: Draws, ci_prob: float) -> dict[str, Array]:
    n_draws, n_components = draws.weights.shape
    out: dict[str, Array] = {name: np.empty((len(X), n_components)) for name in ("membership", "lower", "upper")}
    out["expected_entropy"] = np.empty(len(X))
    tails = [(1 - ci_prob) / 2, (1 + ci_prob) / 2]
    n_rows = max(BYTES_AT_ONCE // (8 * n_draws * n_components), 1)
    for first in range(0, len(X), n_rows):
        block = slice(first, first + n_rows)
        gamma = responsibilities_of_draws(X[block], *draws)
        out["membership"][block] = gamma.mean(axis=0)
        out["lower"][block], out["upper"][block] = np.quantile(gamma, tails, axis=0)
        out["expected_entropy"][block] = _entropy(gamma).mean(axis=0)
    return out


def _of_em(em: EMResult, X: Array, membership: Array) -> dict[str, tuple[tuple[str, ...], NDArray[Any]]]:
    em_membership = em.responsibilities(X)
    em_label = em_membership.argmax(axis=1)
    return {
        "em_membership": (("obs", "cluster"), em_membership),
        "em_label": (("obs",), em_label),
        "em_entropy": (("obs",), _entropy(em_membership)),
        "flips": (("obs",), em_label != membership.argmax(axis=1)),
    }


def _entropy(probabilities: Array) -> Array:
    """-sum_k p_k ln p_k over the last axis, with 0 ln 0 = 0."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return -np.where(probabilities > 0, probabilities * np.log(probabilities), 0.0).sum(axis=-1)
