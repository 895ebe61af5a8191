"""Claim: inside one mode, whitening by the Hessian is never more than 10% worse than nutpie's own adaptation.

The same compiled density, starts and seeds on both sides: ours as `sample` runs it, nutpie in the raw coordinates with its
defaults. What counts is the least bulk effective sample size of label-invariant quantities per evaluation of the gradient,
warm-up included; the ratio after the warm-up stands beside it. A case holds if the median over its seeds is at least 0.9. The
highest R-hat of both sides and all seeds tells where chains are in different modes, so that sample sizes mean little.
Run: uv run python benchmarks/whitening_is_never_worse.py
"""

import statistics
import warnings
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import arviz_stats
import numpy as np
import nutpie
import xarray as xr
from machine import describe_machine, processors, table_head, table_line
from numpy.typing import NDArray

import bayesgmm as bg
from bayesgmm.errors import PriorWarning
from bayesgmm.evidence.chart import make_atlas
from bayesgmm.model.coordinates import constrain, covariances
from bayesgmm.model.native import COORDINATES, Place
from bayesgmm.model.specification import specify
from bayesgmm.model.target import Target
from bayesgmm.posterior.invariants import invariants
from bayesgmm.posterior.schema import posterior_dataset
from bayesgmm.sampling.start import chain_starts

LOADERS = {"galaxies": bg.load_galaxies, "faithful": bg.load_faithful, "iris": bg.load_iris}
FEW = 20
CASES = [
    *(("galaxies", k, None) for k in (3, 4, 5, 6)),
    ("faithful", 2, None),
    ("faithful", 3, None),
    ("iris", 2, None),
    ("faithful", 2, FEW),
    ("iris", 2, FEW),
]
CHAINS, CORES, DRAWS = 4, 2, 1000
OURS = {"tune": 200, "target_accept": 0.9}
"""As `sample` has them."""
NUTPIE = {"tune": 400, "target_accept": 0.8}
"""nutpie's defaults."""
SEEDS = range(5)
LEAST_RATIO = 0.9


class Side(NamedTuple):
    """Least effective sample size, highest R-hat, gradients of the warm-up and of the draws, and divergences."""

    ess: float
    r_hat: float
    warm_up: int
    drawing: int
    divergences: int

    @property
    def yield_of_all(self) -> float:
        return self.ess / (self.warm_up + self.drawing)

    @property
    def yield_of_draws(self) -> float:
        return self.ess / self.drawing


def data_of(name: str, rows: int | None) -> NDArray[np.float64]:
    X = np.ascontiguousarray(LOADERS[name]().select_dtypes("number").to_numpy(float))
    return X if rows is None else X[np.random.default_rng(5).permutation(len(X))[:rows]]


def run_side(target: Target, places: Sequence[Place], settings: dict[str, float], seed: int) -> Side:
    def run(chain: int) -> xr.DataTree:
        model = target.native_model(places[chain])
        return nutpie.sample(
            model, draws=DRAWS, chains=1, cores=1, seed=CHAINS * seed + chain, progress_bar=False, save_warmup=True, **settings
        )

    with ThreadPoolExecutor(CORES) as pool:
        traces = list(pool.map(run, range(len(places))))
    u = np.stack([p.origin + t["posterior"][COORDINATES].values[0] @ p.metric.T for p, t in zip(places, traces, strict=True)])
    quantities = invariants(tree_of(target, u))
    steps = {name: sum(int(trace[name]["n_steps"].sum()) for trace in traces) for name in ("warmup_sample_stats", "sample_stats")}
    return Side(
        min(float(size) for size in arviz_stats.ess(quantities, method="bulk").values()),
        max(float(value) for value in arviz_stats.rhat(quantities).values()),
        *steps.values(),
        sum(int(trace["sample_stats"]["diverging"].sum()) for trace in traces),
    )


def tree_of(target: Target, u: NDArray[np.float64]) -> xr.DataTree:
    """What `invariants` needs."""
    parameters = constrain(u, target.structure)
    scale_trils = np.linalg.cholesky(covariances(parameters, target.structure))
    columns = [f"x{d}" for d in range(target.X.shape[1])]
    return xr.DataTree.from_dict(
        {
            "posterior": posterior_dataset(parameters.weights, parameters.means, scale_trils, columns),
            "observed_data": xr.Dataset({"X": (("obs", "feature"), target.X)}),
            "constant_data": xr.Dataset({"resolution": ("feature", target.resolution)}),
        }
    )


def sides(target: Target, em: bg.EMResult, seed: int) -> tuple[Side, Side]:
    """Ours and nutpie's, one after the other, from the same starts."""
    rng = np.random.default_rng(seed)
    atlas = make_atlas(target, em, rng)
    starts = chain_starts(target, atlas, CHAINS, rng)
    modes = [atlas.modes[start.mode].mode for start in starts]
    zero, identity = np.zeros_like(starts[0].u), np.eye(len(starts[0].u))
    whitened = [Place(m.u, m.metric, np.linalg.solve(m.metric, s.u - m.u)) for m, s in zip(modes, starts, strict=True)]
    raw = [Place(zero, identity, start.u) for start in starts]
    return run_side(target, whitened, OURS, seed), run_side(target, raw, NUTPIE, seed)


def show(name: str, n_components: int, rows: int | None) -> bool:
    """Print a case; whether it passes."""
    X = data_of(name, rows)
    em = bg.fit_em(X, n_components, seed=0)
    target = specify(X, em, None, None, None).target
    pairs = [sides(target, em, seed) for seed in SEEDS]
    ratio, after = (
        statistics.median(getattr(ours, name) / getattr(theirs, name) for ours, theirs in pairs)
        for name in ("yield_of_all", "yield_of_draws")
    )
    cells = [f"{name}{'' if rows is None else f', {rows} rows'}", n_components]
    for side in zip(*pairs, strict=True):
        medians = [statistics.median(getattr(run, name) for run in side) for name in ("ess", "warm_up", "drawing", "divergences")]
        cells += [f"{value:.0f}" for value in medians]
    worst = max(side.r_hat for pair in pairs for side in pair)
    verdict = "holds" if ratio >= LEAST_RATIO else "FAILS"
    print(table_line(*cells, f"{worst:.3f}", f"{ratio:.2f}", f"{after:.2f}", verdict), flush=True)
    return ratio >= LEAST_RATIO


def main() -> None:
    warnings.simplefilter("ignore", PriorWarning)
    print(describe_machine("bayesgmm", "nutpie", "numba"))
    print(f"{CHAINS} chains of {DRAWS} draws, {len(SEEDS)} seeds; ours {OURS}, nutpie's {NUTPIE}\n")
    columns = [
        f"{side} {what}" for side in ("our", "nutpie's") for what in ("ESS", "warm-up gradients", "gradients", "divergences")
    ]
    print(table_head("data", "K", *columns, "highest R-hat", "ratio", "after the warm-up", "at least 0.9"))
    passed = [show(*case) for case in CASES]
    print(f"\n{sum(passed)} of {len(passed)} cases hold")


if __name__ == "__main__":
    with processors(CORES):
        main()
