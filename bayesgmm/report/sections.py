"""What each section of the report says: a Comparison in, tables and short texts out."""

import math
from collections import Counter

import numpy as np
import pandas as pd

from bayesgmm.compare.comparison import Comparison
from bayesgmm.em.result import EMResult
from bayesgmm.plots.geometry import most_separated
from bayesgmm.plots.style import short_label
from bayesgmm.posterior.diagnose import Diagnosis
from bayesgmm.posterior.regions import has_modes, mode_table, region_table
from bayesgmm.posterior.schema import N_OCCUPIED, observed_matrix
from bayesgmm.posterior.structures import ELSEWHERE
from bayesgmm.report.numbers import MISSING, count, decimals_for, fixed, interval, probability, signed, significant
from bayesgmm.report.table import MAX_TEXT, Column, Row, RowGroup, Table, single_group

MAX_UNCERTAIN_ROWS = 10
MAX_VALUE_COLUMNS = 3
MAX_WORST_PARAMETERS = 8
MAX_SENTENCE = 1000
MAX_MODES = 12
KIND_TITLES = {
    "weights": "Weights: the share of each component",
    "means": "Means",
    "scales": "Scales: marginal standard deviations",
    "correlations": "Correlations",
}


def summary_line(comparison: Comparison) -> str:
    """What was fitted, in one line."""
    em, diagnosis = comparison.em, comparison.diagnosis
    n_components, n_features = em.params.means.shape
    names = ", ".join(short_label(column) for column in em.columns[:6])
    more = f" and {n_features - 6} more" if n_features > 6 else ""
    starts, chains = _plural(len(em.runs), "start"), _plural(diagnosis.n_chains, "chain")
    return (
        f"{em.n_samples:,} observations of {_plural(n_features, 'feature')} ({names}{more}); "
        f"{_plural(n_components, 'Gaussian component')}, covariance family {em.covariance}; "
        f"EM with {starts}, {chains} of {diagnosis.n_draws:,} posterior draws"
    )


def _plural(n: int, noun: str) -> str:
    return f"{n:,} {noun}{'' if n == 1 else 's'}"


def verdict_and_findings(comparison: Comparison) -> tuple[str, list[str]]:
    """The sentence on convergence, which goes into the banner, and all other findings."""
    verdict = comparison.diagnosis.verdict
    on_convergence = [finding for finding in comparison.findings if verdict in finding] or [verdict]
    others = [finding for finding in comparison.findings if verdict not in finding]
    return short_label(" ".join(on_convergence), MAX_SENTENCE), [short_label(text, MAX_SENTENCE) for text in others]


def parameter_table(comparison: Comparison) -> Table:
    """EM beside the posterior for every parameter, grouped by kind; digits follow the posterior sd."""
    columns = ("parameter", "EM", "posterior mean", "sd", f"{comparison.ci_prob:.0%} interval", "shift")
    groups = []
    for kind, rows in comparison.parameters.groupby("kind", sort=False):
        title = KIND_TITLES.get(str(kind), str(kind))
        groups.append(RowGroup(title, tuple(_parameter_row(str(label), row) for label, row in rows.iterrows())))
    headings = tuple(Column(title, numeric=i > 0) for i, title in enumerate(columns))
    return Table("EM estimate and posterior of every parameter", headings, tuple(groups))


def _parameter_row(label: str, row: pd.Series) -> Row:
    decimals = decimals_for(row["sd"])
    cells = (
        short_label(label, MAX_TEXT),
        fixed(row["em"], decimals),
        fixed(row["mean"], decimals),
        fixed(row["sd"], decimals),
        interval(row["lower"], row["upper"], decimals),
        signed(row["shift"]),
    )
    moved = math.isfinite(row["shift"]) and abs(row["shift"]) > 1.0
    return Row(cells, "moved by more than one posterior sd" if moved else "")


def component_table(comparison: Comparison) -> Table:
    """How many observations each component has, by label and in expectation, for both methods."""
    assignments = comparison.assignments
    n_components = comparison.em.params.n_components
    by_label = [np.bincount(assignments[name].values.astype(int), minlength=n_components) for name in ("em_label", "label")]
    expected = [assignments[name].sum("obs").values for name in ("em_membership", "membership")]
    rows = [
        Row((f"component\u00a0{k}", *(count(sizes[k]) for sizes in by_label), *(f"{sizes[k]:,.1f}" for sizes in expected)))
        for k in range(n_components)
    ]
    titles = ("", "EM labels", "posterior labels", "expected by EM", "expected by posterior")
    return single_group("Size of each component", tuple(Column(t, i > 0) for i, t in enumerate(titles)), rows)


def uncertain_table(comparison: Comparison) -> Table:
    """The observations whose membership is least certain, most uncertain first; flips are flagged."""
    assignments, em = comparison.assignments.transpose("obs", "cluster", ...), comparison.em
    X = observed_matrix(comparison.tree)
    shown = most_separated(em, MAX_VALUE_COLUMNS)
    order = np.argsort(-assignments["entropy"].values, kind="stable")[:MAX_UNCERTAIN_ROWS]
    rows = []
    for n in (int(n) for n in order):
        here = assignments.isel(obs=n)
        k, k_em = int(here["label"]), int(here["em_label"])
        mean, lower, upper = (
            probability(float(here[name][k])) for name in ("membership", "membership_lower", "membership_upper")
        )
        cells = (
            f"{n:,}",
            *(significant(float(value)) for value in X[n, shown]),
            f"{k_em}: {probability(float(here['em_membership'][k_em]))}",
            f"{k}: {mean} [{lower}, {upper}]",
            *(f"{float(here[part]):.3f}" for part in ("entropy", "expected_entropy", "mutual_information")),
        )
        rows.append(Row(cells, "label differs" if bool(here["flips"]) else ""))
    names = (short_label(em.columns[d]) for d in shown)
    titles = ("row", *names, "EM", "posterior", "entropy", "overlap", "doubt")
    caption = "The observations that are hardest to place: component and its probability"
    return single_group(caption, tuple(Column(title) for title in titles), rows)


def predictive_table(comparison: Comparison) -> Table:
    """How well both predict, in nats."""
    rows = [
        Row((short_label(name, MAX_TEXT), fixed(row["value"], 2), fixed(row["standard_error"], 2), short_label(row["note"], 120)))
        for name, row in comparison.predictive.iterrows()
    ]
    columns = (Column("measure", False), Column("value"), Column("standard error"), Column("note", False))
    return single_group("Fit to these data and to new data", columns, rows)


def quantities_table(diagnosis: Diagnosis) -> Table:
    """Convergence of the label-invariant quantities of the raw draws."""
    return _convergence_table("Label-invariant quantities of the raw draws", "quantity", diagnosis.quantities)


def relabelled_table(diagnosis: Diagnosis) -> Table:
    """Convergence of the parameters after relabelling: the eight with the largest R-hat."""
    worst = diagnosis.relabelled.sort_values("r_hat", ascending=False, kind="stable", na_position="last")
    n_shown, n_all = min(len(worst), MAX_WORST_PARAMETERS), len(worst)
    which = "All parameters" if n_shown == n_all else f"The {n_shown} of {n_all:,} parameters with the largest R-hat"
    return _convergence_table(f"{which}, after relabelling", "parameter", worst.iloc[:n_shown])


def _convergence_table(caption: str, name: str, frame: pd.DataFrame) -> Table:
    rows = [
        Row((short_label(label, MAX_TEXT), fixed(row["r_hat"], 3), count(row["ess_bulk"]), count(row["ess_tail"])))
        for label, row in frame.iterrows()
    ]
    return single_group(caption, (Column(name, False), Column("R-hat"), Column("bulk ESS"), Column("tail ESS")), rows)


def structures_table(diagnosis: Diagnosis) -> Table | None:
    """The groupings of rows that occur among the draws; None if there is one."""
    table = diagnosis.structures.table
    if len(table) == 1:
        return None
    rows = [
        Row(
            (
                str(place),
                f"{100 * row['share']:.1f}%",
                significant(100 * row["evidence"], 2) + ("%" if math.isfinite(row["evidence"]) else ""),
                ", ".join(f"{weight:.2f}" for weight in row["weights"][:12]),
                short_label(row["description"], 200),
            )
        )
        for place, row in table.iterrows()
    ]
    rest = 100 * float((diagnosis.structures.place == ELSEWHERE).mean())
    rows += [Row((MISSING, f"{rest:.1f}%", MISSING, MISSING, "none of these"))] if rest > 0 else []
    columns = (Column("grouping"), Column("of the draws"), Column("by evidence"), Column("weights"), Column("description", False))
    return single_group("Groupings of the rows among the draws", columns, rows)


def regions_table(comparison: Comparison) -> Table | None:
    """The regions, or strata by how many components hold rows, that the draws were put together from; None if there is one."""
    table = region_table(comparison.tree)
    if table is None:
        return None
    decimals = decimals_for(100 * table["share_error"].max())
    strata = N_OCCUPIED in table
    rows = [
        Row(
            (
                str(row[N_OCCUPIED] if strata else region),
                f"{fixed(100 * row['share'], decimals)}%",
                f"{fixed(100 * row['share_error'], decimals)}%" if math.isfinite(row["standard_error"]) else MISSING,
                fixed(row["log_evidence"], 2),
                significant(row["standard_error"], 2),
                f"{100 * row['of_draws']:.1f}%",
                ", ".join(f"{weight:.2f}" for weight in row["weights"][:12]),
            )
        )
        for region, row in table.iterrows()
    ]
    first = "hold rows" if strata else "region"
    titles = (first, "of the posterior", "standard error", "log evidence", "standard error", "of the draws", "weights")
    caption = "The posterior by how many components hold rows" if strata else "Regions of the posterior"
    return single_group(caption, tuple(Column(title) for title in titles), rows)


def atlas_table(comparison: Comparison) -> Table | None:
    """The modes of the posterior that the tree knows of, the largest first; None if there is one."""
    if not has_modes(comparison.tree) or comparison.tree["modes"].sizes["mode"] == 1:
        return None
    table = mode_table(comparison.tree)
    ordered = table.sort_values("share", ascending=False, kind="stable")
    rows = [
        Row(
            (
                str(mode),
                _share(row["share"]),
                str(row["region"]) if row["region"] >= 0 else MISSING,
                count(row["starts"]),
                ", ".join(f"{weight:.2f}" for weight in row["weights"][:12]),
                short_label(row["description"], 200),
            )
        )
        for mode, row in ordered.iloc[:MAX_MODES].iterrows()
    ]
    rest = ordered["share"].iloc[MAX_MODES:]
    more = f"{len(rest)} smaller ones"
    rows += [Row((MISSING, _share(float(rest.sum())), MISSING, MISSING, MISSING, more))] if len(rest) else []
    titles = ("mode", "of the posterior", "region", "EM starts", "weights", "description")
    return single_group("Modes of the posterior", tuple(Column(title, title != "description") for title in titles), rows)


def _share(value: float) -> str:
    return "<0.0001%" if 0 < value < 1e-6 else f"{significant(100 * value, 4 if value >= 0.1 else 2)}%"


def sampler_facts(diagnosis: Diagnosis) -> list[tuple[str, str]]:
    """Numbers of the sampler itself."""
    switching = significant(100 * diagnosis.switching_rate, 3)
    return [
        ("chains × draws", f"{diagnosis.n_chains:,} × {diagnosis.n_draws:,}"),
        ("divergent transitions", count(diagnosis.n_divergences)),
        ("trajectories cut at the largest depth", count(diagnosis.n_max_depth)),
        ("smallest BFMI of a chain", fixed(diagnosis.min_bfmi, 2)),
        ("labels changed between draws", f"{switching}%" if math.isfinite(diagnosis.switching_rate) else switching),
    ]


def em_facts(em: EMResult) -> list[tuple[str, str]]:
    """Numbers of the EM fit."""
    return [
        ("log-likelihood", fixed(em.log_likelihood, 3)),
        ("free parameters", count(em.n_parameters)),
        ("BIC (smaller is better)", fixed(em.bic, 2)),
        ("AIC", fixed(em.aic, 2)),
        ("ICL", fixed(em.icl, 2)),
        ("iterations of the best start", count(em.n_iter)),
        ("status", em.status.value),
    ]


def modes_table(em: EMResult) -> Table:
    """The distinct optima that EM found and how many starts reached each."""
    rows = [
        Row(
            (
                str(i),
                fixed(mode.log_likelihood, 3),
                fixed(mode.log_likelihood - em.log_likelihood, 3) if i > 1 else "best",
                f"{mode.n_runs:,} of {len(em.runs):,}",
                ", ".join(f"{weight:.3f}" for weight in mode.params.weights[:12]),
            )
        )
        for i, mode in enumerate(em.modes, start=1)
    ]
    columns = (Column("optimum"), Column("log-likelihood"), Column("below the best"), Column("starts"), Column("weights"))
    return single_group("Distinct optima of the likelihood", columns, rows)


def unfinished_table(em: EMResult) -> Table | None:
    """Starts that ended elsewhere than in an optimum, by reason; None if there were none."""
    reasons = Counter(
        (run.init, run.status.name.lower().replace("_", " "), short_label(run.reason or run.status.value, 200))
        for run in em.runs
        if not run.converged
    )
    rows = [Row((f"{n:,}", short_label(init), status, reason)) for (init, status, reason), n in reasons.most_common(20)]
    columns = (Column("starts"), Column("kind of start", False), Column("outcome", False), Column("reason", False))
    return single_group("Starts that did not converge", columns, rows) if rows else None


def attribute_texts(comparison: Comparison) -> tuple[list[str], list[str], list[tuple[str, str]]]:
    """Lines about priors and about starts, and every other attribute of the tree as (name, value), sorted."""
    attributes = {str(name): value for name, value in comparison.tree.attrs.items()}
    priors = _lines(str(attributes.pop("priors", "")))
    starts = _lines(str(attributes.pop("starts", "")).replace("; ", "\n"))
    others = [(short_label(name.replace("_", " "), MAX_TEXT), short_label(value, 300)) for name, value in attributes.items()]
    return priors, starts, sorted(others)


def _lines(text: str) -> list[str]:
    return [short_label(line, 400) for line in text.splitlines() if line.strip()]
