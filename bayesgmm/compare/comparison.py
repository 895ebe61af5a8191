"""compare: the EM fit and the posterior side by side."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from bayesgmm.compare.calibration import Calibration, calibration
from bayesgmm.compare.findings import write_findings
from bayesgmm.compare.parameters import parameter_table
from bayesgmm.compare.predictive import predictive_table
from bayesgmm.data import check_probability
from bayesgmm.em.result import EMResult
from bayesgmm.errors import InputError
from bayesgmm.posterior.assignments import memberships_of
from bayesgmm.posterior.diagnose import Diagnosis, diagnose
from bayesgmm.posterior.relabel import em_order, relabel
from bayesgmm.posterior.schema import em_of, group, observed_matrix, resolution_of, with_derived, with_groups, with_log_likelihood

DEFAULT_CI_PROB = 0.95


@dataclass(frozen=True)
class Comparison:
    """EM and the posterior of one data set.

    Attributes
    ----------
    em : EMResult
    tree : DataTree
        As `sample` returns it.
    diagnosis : Diagnosis
    parameters : DataFrame
        One row per scalar parameter: kind, cluster, feature, feature_bis, em (estimate), mean, sd, lower, upper (posterior, with
        an equal-tailed interval), shift = (mean - em) / sd.
    assignments : Dataset
        See `bayesgmm.assignments`.
    predictive : DataFrame
        Log-likelihood by EM, log pointwise predictive density, and leave-one-out estimates, in nats: value, standard_error, note.
    calibration : Calibration or None
        Where known labels were given: both methods' memberships against them.
    findings : tuple of str
        What agrees and what does not, in sentences.
    ci_prob : float
        Probability of every interval.
    """

    em: EMResult
    tree: xr.DataTree
    diagnosis: Diagnosis
    parameters: pd.DataFrame
    assignments: xr.Dataset
    predictive: pd.DataFrame
    calibration: Calibration | None
    findings: tuple[str, ...]
    ci_prob: float

    @property
    def agreement(self) -> pd.DataFrame | None:
        """Where known labels were given: adjusted Rand index, misplaced rows, Brier and log score of both methods."""
        if self.calibration is None:
            return None
        return self.calibration.scores[["method", "adjusted_rand", "n_misplaced", "brier", "log_score"]]

    def __repr__(self) -> str:
        lines = [
            f"Comparison of {self.em!r}",
            f"with {self.diagnosis.n_chains} x {self.diagnosis.n_draws} posterior draws",
        ]
        return "\n".join([*lines, *(f"- {finding}" for finding in self.findings)])


def compare(em: EMResult, tree: xr.DataTree, *, ci_prob: float = DEFAULT_CI_PROB) -> Comparison:
    """Set an EM fit beside the posterior that `sample` drew from it.

    Parameters
    ----------
    em : EMResult
    tree : DataTree
        Of the same data (without row weights) and number of components. Where it was labelled otherwise than with this fit,
        it is relabelled with `em` first. If its `constant_data` holds `known_label (obs)`, both partitions are compared
        with it.
    ci_prob : float
        Probability of the equal-tailed intervals.

    Raises
    ------
    InputError
        If the two do not belong together.
    """
    check_probability(ci_prob, "ci_prob")
    _check_same_data(em, tree)
    if em_of(tree) != em or (em_order(tree, em) != np.arange(em.params.n_components)).any():
        tree = relabel(with_groups(tree, {"em": em.to_dataset()}))
    tree = with_log_likelihood(tree)
    posterior = with_derived(group(tree, "posterior"))
    diagnosis = diagnose(tree)
    table = parameter_table(em, posterior, ci_prob)
    memberships = memberships_of(tree, observed_matrix(tree), ci_prob)  # the diagnosis says if chains do not mix
    predictive = predictive_table(em, tree)
    known = _calibration(tree, memberships)
    findings = write_findings(em, diagnosis, table, memberships, predictive, known, resolution_of(tree), tree)
    return Comparison(em, tree, diagnosis, table, memberships, predictive, known, findings, ci_prob)


def _check_same_data(em: EMResult, tree: xr.DataTree) -> None:
    posterior, X = group(tree, "posterior"), observed_matrix(tree)
    shape = (posterior.sizes["cluster"], posterior.sizes["feature"])
    same = em.params.means.shape == shape and em.n_samples == len(X) == em.total_weight
    if not same or not np.isclose(em.log_density(X).sum(), em.log_likelihood, rtol=1e-6, atol=1e-4):
        raise InputError(
            f"compare: the EM fit has K, D = {em.params.means.shape}, {em.n_samples} rows and log-likelihood "
            f"{em.log_likelihood:.6g}; the tree has K, D = {shape} and {len(X)} rows, and the fit's log-likelihood is another "
            "there: they are not of the same analysis"
        )


def _calibration(tree: xr.DataTree, memberships: xr.Dataset) -> Calibration | None:
    constants: Any = tree["constant_data"].to_dataset() if "constant_data" in tree.children else {}
    if "known_label" not in constants:
        return None
    return calibration(memberships, constants["known_label"].values)
