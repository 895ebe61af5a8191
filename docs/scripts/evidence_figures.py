"""The evidence figures of docs/validation.md: ten seeds of `log_evidence`, beside a second method where one was run long.

Full covariances, default priors and resolution, 4 chains of 1000 draws. The second methods share no draws and no proposal with
it: annealing from the atlas and a Gibbs sampler (tests/statistical/long_runs.py, whose results tests/reference keeps).
Run from the project's root: uv run python -m docs.scripts.evidence_figures [NAME ...]
"""

# ruff: noqa: T201 - a script talks to its reader

import json
import sys
import warnings

import numpy as np

import bayesgmm as bg
from bayesgmm.errors import SamplingWarning
from tests.data_sets import REFERENCE, data_set

CELLS = {"iris": range(1, 5), "faithful": range(1, 5), "galaxies": range(1, 7), "acidity": range(1, 5), "crabs": range(2, 5)}
N_SEEDS = 10


def main(names: list[str]) -> None:
    """The rows of the named data sets, or of all."""
    warnings.simplefilter("ignore", SamplingWarning)
    known = json.loads((REFERENCE / "evidence_long_runs.json").read_text())
    print("| data | K | log evidence, mean of ten seeds | their sd | mean standard error | second method |")
    print("|---|---|---|---|---|---|")
    for name in names or CELLS:
        X = data_set(name)
        for n_components in CELLS[name]:
            values, errors = [], []
            for seed in range(N_SEEDS):
                em = bg.fit_em(X, n_components, seed=seed)
                evidence = bg.log_evidence(bg.sample(X, em, seed=seed), seed=seed)
                values.append(evidence.log_value)
                errors.append(evidence.standard_error)
            others = known.get(name, {}).get(str(n_components), {})
            found = [(method, *measured["log_evidence"]) for method, measured in others.items()]
            said = "; ".join(f"{method} {value:.2f} ± {error:.2f}" for method, value, error in found)
            ours = f"{np.mean(values):.3f} | {np.std(values, ddof=1):.3f} | {np.mean(errors):.3f}"
            print(f"| {name} | {n_components} | {ours} | {said} |", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
