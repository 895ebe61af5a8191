"""Long runs of the Gibbs sampler and of annealing on real data, for comparison: `python -m tests.statistical.long_runs NAME ...`.

Each name, as galaxies-6-gibbs or iris-3-annealing, is a data set, K and the method: VVV, default priors and resolution. What was
measured goes into tests/reference/evidence_long_runs.json beside what is there. One takes 1 to 10 minutes. The Gibbs sampler does
not leave the region where it begins where regions are far apart, as in four columns: there it is no reference.
"""

import json
import sys
from pathlib import Path

import numpy as np

import bayesgmm as bg
from bayesgmm.evidence.chart import make_atlas
from bayesgmm.evidence.regions import recorded
from bayesgmm.kernels.occupied import subsets_of_draws
from bayesgmm.model.specification import specify
from bayesgmm.posterior.occupied import occupied_by_draw
from tests.data_sets import data_set
from tests.statistical.annealing import N_RESAMPLED, annealed_log_evidence, mode_shares
from tests.statistical.gibbs import gibbs_run, log_evidence_step, sequential_log_evidence

SEED = 20_261_122
REFERENCE = Path(__file__).parents[1] / "reference"
RESULTS = REFERENCE / "evidence_long_runs.json"
N_ORDERS, SEQUENTIAL_SWEEPS = 12, 4000
N_RUNS, SWEEPS = 8, 150_000
N_PARTICLES, N_TEMPERATURES = 800, 60


def by_gibbs(X: np.ndarray, n_components: int) -> dict:
    """ln p(X) row by row; the step from K - 1 and its values run by run; shares of occupied components and their errors."""
    target = specify(X, n_components, None, None, None).target
    rng = np.random.default_rng([SEED, n_components])
    value, error, _ = sequential_log_evidence(target, rng, n_sweeps=SEQUENTIAL_SWEEPS, n_orders=N_ORDERS)
    runs = [gibbs_run(target, stream, SWEEPS, thin=1000) for stream in rng.spawn(N_RUNS)]
    occupied = np.array([run.occupied_shares for run in runs])
    out = {
        "log_evidence": [value, error],
        "occupied": occupied.mean(axis=0).tolist(),
        "occupied_errors": (occupied.std(axis=0, ddof=1) / np.sqrt(N_RUNS)).tolist(),
        "settings": f"{N_ORDERS} orders of {SEQUENTIAL_SWEEPS} sweeps a row; {N_RUNS} runs of {SWEEPS} sweeps; seed {SEED}",
    }
    if n_components > 1:
        out["step"] = list(log_evidence_step(target, np.array([run.log_empty for run in runs])))
    return out


def by_annealing(X: np.ndarray, n_components: int) -> dict:
    """ln p(X), the share of the posterior nearest to each mode of the atlas, and shares of occupied components."""
    rng = np.random.default_rng([SEED, n_components])
    em = bg.fit_em(X, n_components, seed=SEED, progress=False)
    target = specify(X, em, None, None, None).target
    atlas = make_atlas(target, em, rng)
    annealed = annealed_log_evidence(target, atlas, rng, n_particles=N_PARTICLES, n_temperatures=N_TEMPERATURES)
    shares = mode_shares(target, atlas, annealed, rng)
    draws = recorded(target, annealed.resampled(rng, N_RESAMPLED))
    return {
        "log_evidence": [annealed.log_value, annealed.standard_error],
        "relative_ess": annealed.relative_ess,
        "modes": [
            {"weights": atlas.modes[place].params.weights.round(3).tolist(), "share": float(shares[place])}
            for place in np.flatnonzero(shares)
        ],
        "occupied": occupied_by_draw(subsets_of_draws(X, *draws)).mean(axis=0).tolist(),
        "settings": f"{N_PARTICLES} particles, {N_TEMPERATURES} temperatures, seed {SEED}",
    }


def main(names: list[str]) -> None:
    for name in names:
        data, n_components, method = name.rsplit("-", 2)
        measured = {"gibbs": by_gibbs, "annealing": by_annealing}[method](data_set(data), int(n_components))
        print(name, measured, flush=True)
        results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
        results.setdefault(data, {}).setdefault(n_components, {})[method] = measured
        RESULTS.write_text(json.dumps(results, indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
