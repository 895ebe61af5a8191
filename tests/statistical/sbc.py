"""Simulation-based calibration of the sampler (Talts, Betancourt, Simpson, Vehtari and Gelman 2018).

Parameters are drawn from the prior and data from the parameters; the rank of what was drawn among nearly independent draws of
the posterior is then uniform on 0..L, for any quantity. Quantities here do not depend on the order of the components; some depend
on the data, without which a sampler that returned the prior would pass (Modrák et al. 2025).

Results are appended to a file as they come; a run that was broken off goes on where it ended. From the repository root:

    python -m tests.statistical.sbc FOLDER
"""

import hashlib
import json
import multiprocessing
import sys
import warnings
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import arviz_stats as azs
import numpy as np
import xarray as xr
from scipy import stats

import bayesgmm as bg
from bayesgmm.errors import FitError
from bayesgmm.evidence.chart import make_atlas
from bayesgmm.kernels.draws import log_density_of_draws, responsibilities_of_draws
from bayesgmm.kernels.threads import available_threads
from bayesgmm.model.coordinates import constrain, covariances
from bayesgmm.model.specification import specify
from bayesgmm.model.target import Target
from bayesgmm.sampling.chains import run_own_density
from bayesgmm.sampling.nuts import NutsSettings
from bayesgmm.sampling.start import chain_starts

SEED = 20_261_122
N_SIMULATIONS = 200
N_KEPT = 99
"""L: draws of a posterior that are ranked against, so that a rank has 100 possible values."""
TUNE, DRAWS, LONGEST, LEAST_ESS = 200, 1000, 4000, 150
"""Draws of each chain; the longest where some quantity's ESS is below the least."""
EXAMINED = 500
"""Draws of each chain, evenly spaced, whose quantities are computed."""
QUANTITIES = (
    "log-likelihood",
    "entropy of weights",
    "log density at the centre",
    "log density to the side",
    "co-assignment",
    "log det of total covariance",
    "log of smallest |Σ|",
)


@dataclass(frozen=True)
class Configuration:
    """A model with priors whose numbers are all given, and the size and rounding step (0: none) of its data."""

    name: str
    n_samples: int
    n_features: int
    n_components: int
    covariance: str
    priors: bg.Priors
    step: float = 0.0

    def target(self, X):
        return Target(X, self.priors.resolved(X, self.n_components, self.covariance), np.full(self.n_features, self.step))


CONFIGURATIONS = (
    Configuration(
        "one-column",
        30,
        1,
        2,
        "VVV",
        bg.Priors(1.0, 0.0, 3.0, "inverse_gamma", {"alpha": 3.0, "beta": 2.0}),
    ),
    Configuration(
        "full",
        40,
        2,
        2,
        "VVV",
        bg.Priors(2.0, 0.0, 3.0, "half_normal", {"sigma": 1.5}),
    ),
    Configuration(
        "equal-volumes",
        60,
        2,
        3,
        "EVV",
        bg.Priors(3.0, 0.0, 3.0, "log_normal", {"mu": 0.0, "sigma": 0.5}, lkj_eta=1.5, log_ratio_scale=0.6),
    ),
    Configuration(
        "rotations-rounded",
        40,
        2,
        2,
        "VEV",
        bg.Priors(2.0, 0.0, 3.0, "inverse_gamma", {"alpha": 3.0, "beta": 2.0}, log_ratio_scale=0.6),
        step=0.5,
    ),
)


def simulate(configuration, rng):
    """Parameters from the prior, as coordinates' arrays with a batch of one, and data (N, D) from them."""
    target = configuration.target(np.eye(2, configuration.n_features))  # the priors take no number from it
    truth = target.priors.draw(rng, 1)
    labels = rng.choice(configuration.n_components, size=configuration.n_samples, p=truth.weights[0])
    factors = np.linalg.cholesky(covariances(truth, target.structure)[0])
    noise = rng.standard_normal((configuration.n_samples, configuration.n_features))
    X = truth.means[0, labels] + np.einsum("nij,nj->ni", factors[labels], noise)
    return truth, np.round(X / configuration.step) * configuration.step if configuration.step else X


def quantities(target, parameters):
    """(draw, quantity) of parameters with one batch axis, all of recorded values; in the order of QUANTITIES."""
    X, structure = target.X, target.structure
    recorded = covariances(parameters, structure) + np.diag(target.resolution**2) / 12
    mixture = parameters.weights, parameters.means, np.linalg.cholesky(recorded)
    centre, width = target.priors.mean_loc, target.priors.mean_scale
    points = log_density_of_draws(np.stack([centre, centre + width]), *mixture)
    first, second = np.moveaxis(
        responsibilities_of_draws(X, *mixture)[:, : len(X) // 2 * 2].reshape(len(recorded), -1, 2, structure.n_components), 2, 0
    )
    deviations = parameters.means - np.einsum("sk,skd->sd", parameters.weights, parameters.means)[:, None]
    total = np.einsum("sk,skij->sij", parameters.weights, recorded + deviations[..., None] * deviations[..., None, :])
    return np.stack(
        [
            log_density_of_draws(X, *mixture).sum(axis=1),
            stats.entropy(parameters.weights, axis=-1),
            points[:, 0],
            points[:, 1],
            (first * second).sum(axis=-1).mean(axis=-1),
            np.linalg.slogdet(total)[1],
            np.linalg.slogdet(recorded)[1].min(axis=-1),
        ],
        axis=-1,
    )


def specified(configuration, X, rng):
    """What is sampled from, as `sample` specifies it after EM, and the EM fit, if there is one."""
    n_components, family = configuration.n_components, configuration.covariance
    try:
        em = bg.fit_em(X, n_components, covariance=family, n_init=6, seed=rng)
    except FitError:
        em = None
    specification = specify(X, em or n_components, family, configuration.priors, np.full(X.shape[1], configuration.step))
    return specification.target, em


def posterior_of(configuration, X, rng):
    """Quantities (chain, draw, quantity) of draws made as `sample` makes them by default, and how it went."""
    target, em = specified(configuration, X, rng)
    structure = target.structure
    atlas = make_atlas(target, em, rng)
    n_chains = 2 if len(atlas.modes) == 1 else 4
    starts = chain_starts(target, atlas, n_chains, rng)
    seeds = [int(seed) for seed in rng.integers(2**31 - 1, size=n_chains)]
    draws = DRAWS
    while True:
        raw = run_own_density(target, atlas, starts, seeds, NutsSettings(draws, TUNE, n_chains, 0.9), progress=False)
        u = raw.u[:, :: draws // EXAMINED]
        values = quantities(target, constrain(u.reshape(-1, u.shape[2]), structure)).reshape(*u.shape[:2], -1)
        ess = least_ess(values)
        if ess >= LEAST_ESS or draws >= LONGEST:
            return values, {
                "ess": round(ess),
                "modes": len(atlas.modes),
                "divergences": int(raw.statistics["diverging"].sum()),
                "draws": n_chains * draws,
            }
        draws = LONGEST


def least_ess(values):
    """The least bulk effective sample size over the quantities of values (chain, draw, quantity)."""
    tree = xr.DataTree.from_dict({"posterior": xr.Dataset({"value": (("chain", "draw", "quantity"), values)})})
    return float(azs.ess(tree)["value"].min())


def calibrate(configuration, simulation):
    """Ranks (quantity,) in 0..N_KEPT of one simulation, and how its posterior was sampled."""
    rng = np.random.default_rng([SEED, simulation, *configuration.name.encode()])
    truth, X = simulate(configuration, rng)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        values, account = posterior_of(configuration, X, rng)
    pooled = values.reshape(-1, len(QUANTITIES))
    kept = pooled[np.linspace(0, len(pooled) - 1, N_KEPT).round().astype(int)]
    known = quantities(configuration.target(X), truth)
    ranks = (kept < known).sum(axis=0)
    ranks += rng.integers((kept == known).sum(axis=0) + 1)  # rows far apart are together, or not, with certainty in every draw
    return {"simulation": simulation, "ranks": ranks.tolist(), **account}


def cache_file(configuration, folder):
    """Where results are kept: a file of its own for each configuration, seed and state of the code that is calibrated."""
    digest = hashlib.sha256(f"{configuration} {SEED} {TUNE} {DRAWS} {LONGEST} {LEAST_ESS} {EXAMINED} {N_KEPT}".encode())
    package = Path(bg.__file__).parent
    for source in sorted(path for room in ("kernels", "families", "em", "model") for path in (package / room).rglob("*.py")):
        digest.update(source.read_bytes())
    return Path(folder) / f"sbc-{configuration.name}-{digest.hexdigest()[:12]}.jsonl"


def results(configuration, folder, n_simulations=N_SIMULATIONS):
    """All simulations of a configuration, those in the folder read and the others run."""
    file = cache_file(configuration, folder)
    file.parent.mkdir(parents=True, exist_ok=True)
    lines = file.read_text(encoding="utf-8").splitlines(keepends=True) if file.exists() else []
    whole = [line for line in lines if line.endswith("\n")]  # a run may have been broken off within a line
    found = {row["simulation"]: row for row in map(json.loads, whole)}
    missing = [simulation for simulation in range(n_simulations) if simulation not in found]
    if missing:
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(available_threads(), context) as pool, file.open("w", encoding="utf-8") as out:
            out.writelines(whole)
            out.flush()
            for row in pool.map(calibrate, [configuration] * len(missing), missing):
                found[row["simulation"]] = row
                out.write(json.dumps(row) + "\n")
                out.flush()
    return [found[simulation] for simulation in range(n_simulations)]


def levels():
    """Where the ECDF of ranks is looked at: i / (L + 1), i = 1..L."""
    return np.arange(1, N_KEPT + 1) / (N_KEPT + 1)


def ecdf_counts(ranks):
    """How many of the ranks (simulation, ...) lie below i = 1..L, shape (..., L)."""
    return (np.asarray(ranks)[..., None] < np.arange(1, N_KEPT + 1)).sum(axis=0)


def least_tails(counts, n_simulations):
    """Twice the smaller binomial tail, beyond and at each count of counts (..., L), at its least over the levels."""
    values = np.arange(n_simulations + 1)[:, None]
    below, above = stats.binom.cdf(values, n_simulations, levels()), stats.binom.sf(values - 1, n_simulations, levels())
    table = 2 * np.minimum(below, above)
    return table[counts, np.arange(N_KEPT)].min(axis=-1)


def coverage_level(n_simulations, alpha, replicates=200_000):
    """gamma such that an ECDF of uniform ranks leaves its pointwise 1 - gamma intervals anywhere with probability alpha.

    Säilynoja, Bürkner and Vehtari (2022), by simulation of the ranks.
    """
    rng = np.random.default_rng(SEED)
    tails = []
    for _ in range(20):
        histograms = rng.multinomial(n_simulations, np.full(N_KEPT + 1, 1 / (N_KEPT + 1)), size=replicates // 20)
        tails.append(least_tails(histograms.cumsum(axis=1)[:, :-1], n_simulations))
    return np.quantile(np.concatenate(tails), alpha, method="lower")


def band(n_simulations, gamma):
    """Lowest and highest share (L,) of ranks below each level within the pointwise intervals."""
    return [stats.binom.ppf(tail, n_simulations, levels()) / n_simulations for tail in (gamma / 2, 1 - gamma / 2)]


if __name__ == "__main__":
    for each in CONFIGURATIONS:
        print(each.name, len(results(each, sys.argv[1])))
