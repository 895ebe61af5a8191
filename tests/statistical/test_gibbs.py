"""The plain Gibbs sampler, and the evidences that follow from it, against posteriors known exactly."""

from dataclasses import replace

import numpy as np
import pytest

from bayesgmm.model.specification import specify
from tests.statistical.exact import random_problem, solve
from tests.statistical.gibbs import gibbs_run, log_evidence_step, sequential_log_evidence

pytestmark = [pytest.mark.statistical, pytest.mark.exhaustive]  # it is the second method that is tested here

SEED = 20_261_122
N_RUNS, N_SWEEPS = 8, 60_000
CASES = [
    ("VVV", 1, 3, "log_normal"),
    ("VII", 2, 3, "half_normal"),
    ("VVV", 2, 3, "inverse_gamma"),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: "-".join(map(str, case)))
def test_exact_problems(case):
    """Everything within 4 standard errors between independent runs, and the error of the evidence below 0.05."""
    covariance, n_features, n_components, scale_prior = case
    rng = np.random.default_rng([SEED, CASES.index(case)])
    problem = random_problem(
        rng, covariance=covariance, n_features=n_features, n_components=n_components, scale_prior=scale_prior, n_samples=7
    )
    target = specify(problem.X, n_components, covariance, problem.priors, problem.resolution).target
    known, smaller = solve(problem), solve(replace(problem, n_components=n_components - 1))
    runs = [gibbs_run(target, stream, N_SWEEPS) for stream in rng.spawn(N_RUNS)]

    step, step_error = log_evidence_step(target, np.array([run.log_empty for run in runs]))
    whole, whole_error, _ = sequential_log_evidence(target, rng, n_sweeps=3000, n_orders=10)
    first, second = np.triu_indices(len(problem.X), 1)
    z = {
        "step": np.array((step - (known.log_evidence - smaller.log_evidence)) / step_error),
        "evidence": np.array((whole - known.log_evidence) / whole_error),
        "occupied": between_runs([run.occupied_shares for run in runs], known.occupied),
        "co-assignment": between_runs([run.co_assignment[first, second] for run in runs], known.co_assignment[first, second]),
    }
    print(f"\n{case}: step {step:.3f} ± {step_error:.3f}, evidence {whole:.3f} ± {whole_error:.3f}", end="")
    print("", *(f"largest |z| of {name} {abs(values).max(initial=0):.2f}" for name, values in z.items()), sep="; ")
    assert max(step_error, whole_error) < 0.05
    assert abs(z["step"]) < 4
    assert abs(z["evidence"]) < 4
    assert abs(z["occupied"]).max(initial=0) < 5  # eight runs: errors have seven degrees of freedom
    assert abs(z["co-assignment"]).max(initial=0) < 6  # and here there are 21 of them


def between_runs(values, known):
    """(mean - known) / standard error; entries that next to nothing moves are left out."""
    values = np.array(values)
    keep = (known > 0.01) & (known < 0.99)
    return (values.mean(axis=0) - known)[keep] / (values.std(axis=0, ddof=1)[keep] / np.sqrt(len(values)))
