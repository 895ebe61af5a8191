"""The evidence figures of docs/validation.md: ten seeds of `log_evidence`, beside a second method that was run long.

Full covariances, default priors and resolution, 4 chains of 1000 draws. The second methods share no draws and no proposal with
it: annealing from the atlas and a Gibbs sampler (tests/statistical/long_runs.py, whose results tests/reference keeps).

Run from the project's root: uv run python -m docs.scripts.evidence_figures [NAME ...]
Data sets that are named are measured, in some ten minutes each, and kept beside the figure; the table and the figure are made of
all that is kept.
"""

# ruff: noqa: T201 - a script talks to its reader

import json
import sys
import warnings
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

import bayesgmm as bg
from bayesgmm.errors import SamplingWarning
from tests.data_sets import REFERENCE, data_set

CELLS = {"iris": range(1, 5), "faithful": range(1, 5), "galaxies": range(1, 7), "acidity": range(1, 5), "crabs": range(2, 5)}
N_SEEDS = 10
FIGURES = Path(__file__).parents[1] / "figures"
KEPT, FIGURE = FIGURES / "validation-evidence.json", FIGURES / "validation-evidence.png"
AGREEMENT = 0.15
"""Nats within which the two methods are to agree."""


def measured(X: np.ndarray, n_components: int) -> dict[str, list]:
    """For each seed the log evidence, its standard error, and the probability of each number of occupied components."""
    out: dict[str, list] = {"log_evidence": [], "standard_error": [], "occupied": []}
    for seed in range(N_SEEDS):
        tree = bg.sample(X, bg.fit_em(X, n_components, seed=seed), seed=seed)
        evidence = bg.log_evidence(tree, seed=seed)
        out["log_evidence"].append(round(evidence.log_value, 4))
        out["standard_error"].append(round(evidence.standard_error, 4))
        out["occupied"].append(bg.occupied_components(tree)["probability"].round(5).tolist())
    return out


def second_method(known: dict, name: str, n_components: int) -> tuple[str, dict] | None:
    """The more precise of the long runs."""
    runs = known.get(name, {}).get(str(n_components), {})
    return min(runs.items(), key=lambda run: run[1]["log_evidence"][1], default=None)


def table(kept: dict, known: dict) -> None:
    """Print one row for each cell that is kept."""
    head = "log evidence, mean of ten seeds | their sd | mean standard error | second method | difference | occupied"
    print(f"| data | K | {head} |")
    print("|---" * 8 + "|")
    for name, sizes in CELLS.items():
        for n_components in (size for size in sizes if str(size) in kept.get(name, {})):
            ours = kept[name][str(n_components)]
            values = np.array(ours["log_evidence"])
            line = f"{values.mean():.3f} | {values.std(ddof=1):.3f} | {np.mean(ours['standard_error']):.3f}"
            if (other := second_method(known, name, n_components)) is not None:
                method, run = other
                value, error = run["log_evidence"]
                apart = abs(np.mean(ours["occupied"], axis=0) - run["occupied"]).max()
                line += f" | {method} {value:.3f} ± {error:.3f} | {values.mean() - value:+.3f} | {apart:.4f}"
            print(f"| {name} | {n_components} | {line} |")


def draw(kept: dict, known: dict) -> None:
    """Each seed less the second method, with the latter's error."""
    cells = [(name, size) for name, sizes in CELLS.items() for size in sizes if str(size) in kept.get(name, {})]
    figure, axes = plt.subplots(figsize=(7.5, 0.28 * len(cells) + 1.2), layout="constrained")
    axes.axvspan(-AGREEMENT, AGREEMENT, color="0.93", linewidth=0)
    axes.axvline(0, color="0.6", linewidth=0.8)
    for place, (name, size) in enumerate(cells):
        if (other := second_method(known, name, size)) is None:
            continue
        value, error = other[1]["log_evidence"]
        axes.errorbar(0, place + 0.25, xerr=2 * error, color="0.5", capsize=2, linewidth=1)
        offsets = np.array(kept[name][str(size)]["log_evidence"]) - value
        axes.plot(offsets, np.full(len(offsets), place), "o", color="C0", markersize=4, alpha=0.6, markeredgewidth=0)
    axes.set_yticks(range(len(cells)), [f"{name}, K = {size}" for name, size in cells])
    axes.invert_yaxis()
    axes.set_xlabel(
        "ln p(X) by ten seeds, less the second method's\n(grey: twice its standard error to either side; band: 0.15 nats)"
    )
    figure.savefig(FIGURE, dpi=120)


def main(names: list[str]) -> None:
    """Measure the named data sets, then the table and the figure."""
    warnings.simplefilter("ignore", SamplingWarning)
    known = json.loads((REFERENCE / "evidence_long_runs.json").read_text())
    for name in names:
        X = data_set(name)
        for n_components in CELLS[name]:
            result = measured(X, n_components)
            print(name, n_components, result["log_evidence"], flush=True)
            kept = json.loads(KEPT.read_text()) if KEPT.exists() else {}
            kept.setdefault(name, {})[str(n_components)] = result
            KEPT.write_text(json.dumps(kept, indent=1, sort_keys=True) + "\n")
    kept = json.loads(KEPT.read_text())
    table(kept, known)
    draw(kept, known)


if __name__ == "__main__":
    main(sys.argv[1:])
