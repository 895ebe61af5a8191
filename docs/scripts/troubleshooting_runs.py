"""What docs/troubleshooting.md is about: default runs on the shipped data and crabs, and what is said of them.

Run from the project's root: uv run python -m docs.scripts.troubleshooting_runs
"""

# ruff: noqa: T201 - a script talks to its reader

import textwrap
import warnings

import bayesgmm as bg
from tests.data_sets import data_set

GALAXIES, FAITHFUL = bg.load_galaxies(), bg.load_faithful()
IRIS = bg.load_iris().select_dtypes("number")
RUNS = [
    ("Old Faithful", FAITHFUL, 2, "VVV"),
    ("iris", IRIS, 2, "VVV"),
    ("iris", IRIS, 3, "VVV"),
    ("Old Faithful", FAITHFUL, 3, "VVV"),
    *(("galaxies", GALAXIES, size, "VVV") for size in (3, 4, 5, 6)),
    ("iris", IRIS, 3, "EEV"),
    ("iris", IRIS, 3, "VEV"),
    *(("crabs", data_set("crabs"), 4, family) for family in ("VVV", "EEE", "EEV")),
]
SEEDS = (1, 2)


def main() -> None:
    """Sample every case with both seeds and print the verdicts."""
    warnings.simplefilter("ignore", bg.SamplingWarning)  # the verdict repeats it
    for name, X, n_components, covariance in RUNS:
        for seed in SEEDS:
            tree = bg.sample(X, n_components, covariance=covariance, seed=seed, progress=False)
            shares = " ".join(f"{share:.2f}" for share in tree["modes"]["share"].values[:5])
            steps = float(tree["sample_stats"]["n_steps"].mean())
            print(f"{name}, K = {n_components}, {covariance}, seed {seed}: {steps:.0f} steps a draw, shares {shares}", flush=True)
            diagnosis = bg.diagnose(tree)
            named = " ".join(condition.name for condition in diagnosis.conditions)
            print(f"  {named}; labels switch in {diagnosis.switching_rate:.2%} of successive draws of one structure", flush=True)
            print(textwrap.indent(repr(diagnosis), "  "), flush=True)


if __name__ == "__main__":
    main()
