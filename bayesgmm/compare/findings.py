"""What the comparison says, in sentences whose every number is in the tables."""

import numpy as np
import pandas as pd
import xarray as xr

from bayesgmm.compare.calibration import Calibration
from bayesgmm.data.dataset import count_of
from bayesgmm.em.result import EMResult
from bayesgmm.em.run import EMStatus
from bayesgmm.params import Array
from bayesgmm.posterior.diagnose import Diagnosis
from bayesgmm.posterior.regions import modes_without_draws, region_table
from bayesgmm.posterior.schema import N_OCCUPIED

CLOSE_SHIFT = 0.5
FAR_SHIFT = 1.0
UNCERTAIN_MEMBERSHIP = 0.9
LISTED = 5
NOTICEABLE = 0.01
"""Share of the posterior from which on a mode without draws is worth a sentence."""


def write_findings(
    em: EMResult,
    diagnosis: Diagnosis,
    parameters: pd.DataFrame,
    memberships: xr.Dataset,
    predictive: pd.DataFrame,
    known: Calibration | None,
    resolution: Array,
    tree: xr.DataTree,
) -> tuple[str, ...]:
    """Sentences on convergence, regions, optima, parameters, memberships, prediction and known labels, in this order.

    `resolution` (D,) is that of `tree`, the posterior.
    """
    findings = [
        _on_convergence(diagnosis),
        *_on_regions(tree),
        *_on_modes_without_draws(tree),
        _on_optima(em),
        _on_parameters(parameters),
        *_on_resolution(em, resolution),
        *_on_bounds(parameters),
        _on_labels(memberships),
        _on_uncertainty(memberships),
        _on_prediction(predictive),
    ]
    if known is not None:
        findings.append(_on_known_labels(known))
    return tuple(findings)


def _on_convergence(diagnosis: Diagnosis) -> str:
    remarks = [f" {remark[0].upper()}{remark[1:]}." for remark in diagnosis.remarks]
    care = "" if diagnosis.ok else "Read the posterior with care. "
    return "".join([care, diagnosis.verdict, *remarks])


def _on_regions(tree: xr.DataTree) -> list[str]:
    table = region_table(tree)
    if table is None:
        return []
    decimals = _decimals(table["share_error"].max())
    shares = _joined([f"{value:.{decimals}%}" for value in table["share"]])
    errors = [f"{value:.{decimals}%}" for value in table["share_error"]]
    error = f"standard error {errors[0]}" if len(set(errors)) == 1 else f"standard errors {_joined(errors)}"
    if table["standard_error"].isna().any():
        error += ", without those of regions with too few draws to measure"
    weights = "; ".join(_spaced(weights) for weights in table["weights"])
    off = (table["of_draws"] - table["share"]).abs().max() > NOTICEABLE
    draws = (
        f"of the draws, they have {_joined([f'{v:.1%}' for v in table['of_draws']])}" if off else "the draws are in proportion"
    )
    if N_OCCUPIED in table:
        numbers = table[N_OCCUPIED].tolist()
        if len(numbers) == 1:
            so_far = "of what was sampled before the interruption" if tree.attrs.get("interrupted", 0) else "of the posterior"
            return [f"In next to all {so_far} the number of components that hold rows is {numbers[0]}."]
        parts = _joined([str(k) for k in numbers])
        return [
            f"By how many components hold rows the posterior is a sum of {len(numbers)} parts: {parts} of them do in "
            f"{shares} of it ({error}), and {draws}. Each part was sampled by itself, and every chain has the same "
            "share of each, so that R-hat says nothing of the proportions; their standard error does."
        ]
    return [
        f"The posterior has {len(table)} regions that chains do not travel between: by bridge sampling they hold {shares} of it "
        f"({error}), and {draws}. The weights of their leading modes are {weights}. Every chain has the same share of each, so "
        "that R-hat says nothing of the proportions; their standard error does."
    ]


def _on_modes_without_draws(tree: xr.DataTree) -> list[str]:
    table = modes_without_draws(tree, NOTICEABLE)
    if table.empty:
        return []
    each = _listed([f"mode {place} (weights {_spaced(row['weights'])}) {row['share']:.1%}" for place, row in table.iterrows()])
    return [f"No draws are of modes that hold a noticeable share of the posterior, by Laplace's estimate: {each}."]


def _decimals(error: float) -> int:
    """Of a percentage, so that its standard error has one significant digit; one decimal at least, four at most."""
    return int(np.clip(-np.floor(np.log10(100 * error)), 1, 4)) if error > 0 else 1


def _spaced(weights: tuple[float, ...]) -> str:
    return " ".join(f"{weight:.2f}" for weight in weights[:12])


def _joined(texts: list[str]) -> str:
    return " and ".join([", ".join(texts[:-1]), texts[-1]])


def _on_optima(em: EMResult) -> str:
    n_failed = sum(run.params is None for run in em.runs)
    n_short = sum(run.status is EMStatus.SHORT for run in em.runs)
    n_unfinished = sum(run.status is EMStatus.MAX_ITER for run in em.runs)
    failed = f" {count_of(n_failed, 'start')} collapsed onto too few points." if n_failed else ""
    narrow = f" {'; '.join(em.unresolved).capitalize()}." if em.unresolved else ""
    unfinished = f" {count_of(n_unfinished, 'start')} stopped before converging." if n_unfinished else ""
    short = f" {count_of(n_short, 'start')} fell behind in the short runs and went no further." if n_short else ""
    spurious = f" It may be spurious: {'; '.join(em.spurious)}." if em.spurious else ""
    interrupted = " The fit was interrupted before the last start." if em.interrupted else ""
    rest = f"{spurious}{narrow}{short}{failed}{unfinished}{interrupted}"
    if not em.converged:
        return f"EM did not converge: {em.status}.{rest}"
    best, n_runs = em.modes[0], len(em.runs) - n_short
    if len(em.modes) == 1:
        if n_runs == 1:
            return f"EM found one optimum, from one start.{rest}"
        return (
            f"EM found one optimum: {'all' if best.n_runs == n_runs else f'{best.n_runs} of'} {n_runs} starts reached it.{rest}"
        )
    return (
        f"EM found {len(em.modes)} distinct optima: {best.n_runs} of {n_runs} starts reached the best, and the second is "
        f"{best.log_likelihood - em.modes[1].log_likelihood:.2f} nats below it.{rest}"
    )


def _on_parameters(parameters: pd.DataFrame) -> str:
    shifts = parameters["shift"].abs().dropna()
    if shifts.empty:
        return "There is no free parameter to compare."
    far = shifts[shifts > FAR_SHIFT].sort_values(ascending=False)
    worst = str(shifts.idxmax())
    if far.empty:
        manner = "closely" if shifts.max() <= CLOSE_SHIFT else "well"
        return (
            f"EM and the posterior agree {manner} on all {len(shifts)} parameters: the posterior mean is never more than "
            f"{shifts.max():.2f} posterior standard deviations from EM's estimate (most for {worst})."
        )
    names = _listed([f"{name} ({parameters.loc[name, 'shift']:+.1f})" for name in far.index])
    return (
        f"EM and the posterior disagree on {len(far)} of {len(shifts)} parameters by more than {FAR_SHIFT:.0f} posterior "
        f"standard deviation: {names}. A maximum need not be near the mean where the posterior is skewed, several modes are "
        "mixed, or the prior counts."
    )


def _on_resolution(em: EMResult, resolution: Array) -> list[str]:
    if np.array_equal(em.resolution, resolution):
        return []
    ours, theirs = (
        f"rounded to {_listed([f'{step:g}' for step in steps])}" if np.any(steps) else "exact"
        for steps in (em.resolution, resolution)
    )
    return [
        f"EM took the values for {ours}, the posterior for {theirs}: their variances differ by that of rounding, a twelfth of "
        "the squared step. Give both the same resolution to compare scales and correlations."
    ]


def _on_bounds(parameters: pd.DataFrame) -> list[str]:
    outside = parameters[(parameters["em"] < parameters["lower"]) | (parameters["em"] > parameters["upper"])]
    if outside.empty:
        return []
    return [f"EM's estimate lies outside the posterior interval for {_listed([str(name) for name in outside.index])}."]


def _on_labels(memberships: xr.Dataset) -> str:
    n_samples = memberships.sizes["obs"]
    rows = np.flatnonzero(memberships["flips"].values)
    if len(rows) == 0:
        return f"Both put all {n_samples} observations into the same components."
    which = _listed([f"row {memberships['obs'].values[row]}" for row in rows])
    return f"{count_of(len(rows), 'observation')} of {n_samples} {'changes' if len(rows) == 1 else 'change'} component: {which}."


def _on_uncertainty(memberships: xr.Dataset) -> str:
    largest = memberships["membership"].max("cluster").values
    em_largest = memberships["em_membership"].max("cluster").values
    unsure, em_unsure = int((largest < UNCERTAIN_MEMBERSHIP).sum()), int((em_largest < UNCERTAIN_MEMBERSHIP).sum())
    entropy = float(memberships["entropy"].sum())
    share = float(memberships["mutual_information"].sum()) / entropy if entropy > 0 else 0.0
    who = "Every observation has" if unsure == 0 else f"All but {unsure} of {len(largest)} observations have"
    return (
        f"{who} a component with a posterior membership of at least {UNCERTAIN_MEMBERSHIP:.0%} "
        f"(by EM: {'every one' if em_unsure == 0 else f'all but {em_unsure}'}). Of the total uncertainty about memberships, "
        f"{share:.0%} comes from not knowing the parameters, which EM's plug-in memberships leave out; the rest is overlap of "
        "the components."
    )


def _on_prediction(predictive: pd.DataFrame) -> str:
    value = predictive["value"]
    if not np.isfinite(value["elpd_loo"]):
        return "There are too few draws to estimate how well the posterior predicts rows left out."
    note = str(predictive.loc["largest_pareto_k", "note"])
    difference = value["elpd_loo"] - value["elpd_aic"]
    return (
        f"Leaving out one row at a time, the posterior predicts the data with a log density of {value['elpd_loo']:.1f} "
        f"(effective parameters {value['p_loo']:.1f}), {abs(difference):.1f} nats {'above' if difference >= 0 else 'below'} "
        f"what AIC estimates for EM; {note}."
    )


def _on_known_labels(known: Calibration) -> str:
    rows = list(known.scores.itertuples())
    parts = [
        f"{row.method} misplaces {count_of(int(row.n_misplaced), 'row')} (adjusted Rand index {row.adjusted_rand:.3f})"
        for row in rows
    ]
    scores = " and ".join(f"{row.brier:.3f} ({row.method})" for row in rows)
    notes = "".join(f" {note[0].upper()}{note[1:]}." for note in known.notes)
    return (
        f"Against the known labels of {count_of(known.n_known, 'row')}, {' and '.join(parts)}. The Brier score of the "
        f"memberships, smaller where they are surer of the right label, is {scores}.{notes}"
    )


def _listed(names: list[str]) -> str:
    shown = ", ".join(names[:LISTED])
    return shown if len(names) <= LISTED else f"{shown} and {len(names) - LISTED} more"
