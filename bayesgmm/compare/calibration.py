"""calibration: do memberships mean what they say, judged by labels that were known beforehand."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from scipy.stats import binomtest
from sklearn.metrics import adjusted_rand_score

from bayesgmm.data import check_count
from bayesgmm.data.dataset import count_of
from bayesgmm.errors import InputError

Array = NDArray[np.float64]
Labels = NDArray[np.intp]

METHODS = {"EM": "em_membership", "posterior": "membership"}
SCORES = ["method", "brier", "log_score", "adjusted_rand", "n_misplaced", "calibration_error", "n_ruled_out"]
RELIABILITY = ["method", "bin_lower", "bin_upper", "mean_probability", "frequency", "lower", "upper", "count"]


@dataclass(frozen=True, eq=False)
class Calibration:
    """Memberships against known labels, EM and the posterior side by side.

    Attributes
    ----------
    scores : DataFrame
        One row per method: brier, log_score (nats, smaller is better for both; inf where a known label has probability 0, in
        n_ruled_out rows), adjusted_rand (of the hard clusters), n_misplaced (rows whose most probable label is another) and
        calibration_error.
    reliability : DataFrame
        One row per method and bin of the probability of the most probable label: bin_lower, bin_upper, mean_probability,
        frequency with which that label is the known one, its Wilson interval lower, upper, and count. Without empty bins.
    matching : DataFrame
        method, cluster, label: the known label that each component stands for.
    n_known, n_missing : int
        Rows with a known label, and those without, which are left out.
    ci_prob : float
        Probability of the intervals.
    notes : tuple of str
        What a reader should know: labels left out, labels without a component, infinite scores; empty if nothing.
    """

    scores: pd.DataFrame
    reliability: pd.DataFrame
    matching: pd.DataFrame
    n_known: int
    n_missing: int
    ci_prob: float
    notes: tuple[str, ...]

    def __repr__(self) -> str:
        head = f"Calibration against {self.n_known} known labels"
        return "\n".join([head, self.scores.to_string(index=False), *(f"- {note}" for note in self.notes)])


def calibration(memberships: xr.Dataset, known: Any, *, n_bins: int = 10) -> Calibration:
    r"""Scores and reliability of memberships against known labels.

    Parameters
    ----------
    memberships : Dataset
        As `assignments` returns it, of the data or of new rows.
    known : (N,) array_like
        The known label of each row, of any kind; None or NaN where it is missing.
    n_bins : int
        Equally wide bins of the probability, from 0 to 1.

    Returns
    -------
    Calibration

    Raises
    ------
    InputError
        If there is not one label for each row, or every one is missing.

    Notes
    -----
    Components stand for labels by the one-to-one matching with the largest sum of memberships, for each method its own. A
    component left over stands for the label that is commonest in it; a label without a component has probability 0. With p_nl
    the sum of the memberships of the components that stand for l, y_n the known label and q_n = max_l p_nl::

        brier             = mean_n sum_l (p_nl - [l = y_n])^2                     in [0, 2]; Brier (1950)
        log_score         = -mean_n ln p_{n, y_n}
        calibration_error = sum_bins (count / N) |frequency - mean q_n|           Guo, Pleiss, Sun and Weinberger (2017)

    The labels choose the matching, so that with few rows all scores are a little too good.
    """
    check_count(n_bins, "n_bins")
    if "membership" not in memberships:
        raise InputError(
            f"calibration needs what assignments returns; the dataset has {', '.join(map(str, memberships)) or 'nothing'}"
        )
    codes, labels = _coded(known, memberships.sizes["obs"])
    there = codes >= 0
    n_known, n_missing = int(np.count_nonzero(there)), int(np.count_nonzero(~there))
    ci_prob = float(memberships.attrs.get("ci_prob", 0.95))
    of_known = memberships.transpose("obs", "cluster").isel(obs=there)
    judged = [
        _judged(method, of_known[name], codes[there], labels, n_bins, ci_prob)
        for method, name in METHODS.items()
        if name in memberships
    ]
    left_out = f"{n_missing} of {len(codes)} rows have no known label and are left out"
    return Calibration(
        scores=pd.concat([part.scores for part in judged], ignore_index=True),
        reliability=pd.concat([part.reliability for part in judged], ignore_index=True),
        matching=pd.concat([part.matching for part in judged], ignore_index=True),
        n_known=n_known,
        n_missing=n_missing,
        ci_prob=ci_prob,
        notes=tuple(note for note in (left_out if n_missing else "", *(part.note for part in judged)) if note),
    )


class _Judged(NamedTuple):
    """What one method adds to the tables, and what there is to note."""

    scores: pd.DataFrame
    reliability: pd.DataFrame
    matching: pd.DataFrame
    note: str


def _judged(method: str, membership: xr.DataArray, codes: Labels, labels: NDArray[Any], n_bins: int, ci_prob: float) -> _Judged:
    """One method's memberships (N, K) of the rows whose labels (N,) are known."""
    label_of = _matched(membership.values, codes, len(labels))
    probabilities = membership.values @ np.eye(len(labels))[label_of]
    bins = _reliability(probabilities, codes, n_bins, ci_prob)
    scores = _scores(probabilities, codes, bins)
    scores["adjusted_rand"] = float(adjusted_rand_score(codes, membership.values.argmax(axis=1)))
    n_ruled_out, without = scores["n_ruled_out"], ", ".join(map(str, np.delete(labels, label_of)))
    why = f" (no component stands for {without})" if without else ""
    note = f"{method} gives the known label of {count_of(n_ruled_out, 'row')} a probability of 0{why}: its log score is infinite"
    return _Judged(
        scores=pd.DataFrame([{"method": method, **scores}])[SCORES],
        reliability=bins.assign(method=method)[RELIABILITY],
        matching=pd.DataFrame({"method": method, "cluster": membership["cluster"].values, "label": labels[label_of]}),
        note=note if n_ruled_out else "",
    )


def _coded(known: Any, n_samples: int) -> tuple[Labels, NDArray[Any]]:
    """The labels as numbers (N,), -1 where missing, and what the numbers stand for."""
    values = np.asarray(known, dtype=object)
    if values.shape != (n_samples,):
        raise InputError(f"known must hold one label for each of the {n_samples} rows; got shape {values.shape}")
    codes, labels = pd.factorize(values, sort=True)  # so that the order of the rows decides no tie
    if len(labels) == 0:
        raise InputError(f"known: all {n_samples} labels are missing; nothing can be said against them")
    return codes, labels


def _matched(membership: Array, codes: Labels, n_labels: int) -> Labels:
    """The label that each component stands for, (K,)."""
    shared = np.eye(n_labels)[codes].T @ membership
    label_of = shared.argmax(axis=0)
    labels, clusters = linear_sum_assignment(shared, maximize=True)
    label_of[clusters] = labels
    return label_of


def _scores(probabilities: Array, codes: Labels, bins: pd.DataFrame) -> dict[str, Any]:
    of_known = probabilities[np.arange(len(codes)), codes]
    misses = (bins["frequency"] - bins["mean_probability"]).abs()
    with np.errstate(divide="ignore"):
        log_score = -float(np.log(of_known).mean())
    return {
        "brier": float(((probabilities - np.eye(probabilities.shape[1])[codes]) ** 2).sum(axis=1).mean()),
        "log_score": log_score + 0.0,  # no -0
        "calibration_error": float((misses * bins["count"]).sum() / len(codes)),
        "n_misplaced": int(np.count_nonzero(probabilities.argmax(axis=1) != codes)),
        "n_ruled_out": int(np.count_nonzero(of_known == 0)),
    }


def _reliability(probabilities: Array, codes: Labels, n_bins: int, ci_prob: float) -> pd.DataFrame:
    """How often the most probable label is the known one, by its probability."""
    edges = np.arange(n_bins + 1) / n_bins
    probability = probabilities.max(axis=1)
    rows = pd.DataFrame({"probability": probability, "right": probabilities.argmax(axis=1) == codes})
    groups = rows.groupby(np.digitize(probability, edges[1:-1]))
    table = groups.agg(mean_probability=("probability", "mean"), frequency=("right", "mean"), count=("right", "size"))
    intervals = [
        binomtest(n_right, count).proportion_ci(ci_prob, method="wilson")
        for n_right, count in zip(groups["right"].sum(), table["count"], strict=True)
    ]
    places = table.index.to_numpy()
    return table.assign(
        bin_lower=edges[places],
        bin_upper=edges[places + 1],
        lower=[interval.low for interval in intervals],
        upper=[interval.high for interval in intervals],
    )
