"""Claim: effective draws come 50 times faster than from `pm.Mixture` with nutpie and 8 times faster than from NumPyro.

Same data, same priors, as many chains, the same two processors, one run. Peers start at the EM optimum with their own defaults.
The least bulk effective sample size is over weights, means and covariances, relabelled alike. "Before sampling" is compilation
for the peers, whose relabelling is not counted, and for ours all that a call of `sample` does beside sampling. Ours takes a
turn before and after each peer and its median counts; each peer runs once. Aims for ours: 3,000 effective draws a second of
sampling at (1000, 2, 3), 200 at (20000, 4, 5). NumPyro takes part where it is installed; its chains run all at once.
Run: uv run --group numpyro python benchmarks/sampling_is_faster_than_pymc_mixture.py [--cases small large alone coffee]
"""

import argparse
import statistics
import time
from importlib.util import find_spec
from typing import NamedTuple

import numpy as np
import nutpie
from clusters import clusters
from machine import describe_machine, processors, table_head
from numpy.typing import NDArray
from peers import (
    compiled_at,
    gradient_of,
    least_ess,
    microseconds,
    mixture_of_components,
    relabelled,
    show,
    values_at,
)

import bayesgmm as bg
from bayesgmm.model.native import Place
from bayesgmm.model.target import Target

HAS_NUMPYRO = find_spec("numpyro") is not None
if HAS_NUMPYRO:
    from peer_numpyro import gradient_in_numpyro, mixture_in_numpyro, prepare, run_numpyro

CHAINS, CORES, DRAWS = 4, 2, 1000
NUTPIE_TUNE, NUMPYRO_TUNE = 400, 1000
"""Of nutpie by default, and as many as draws, as NumPyro's examples have."""


class Case(NamedTuple):
    """Data, and the draws of the peers: fewer where they take long, because effective draws per second are compared."""

    shape: tuple[int, int, int]
    peer_draws: int
    numpyro_tune: int


CASES = {"small": Case((1_000, 2, 3), 1000, NUMPYRO_TUNE), "large": Case((20_000, 4, 5), 250, 500)}
ALONE = {"alone": (20_000, 4, 5), "coffee": (100_000, 4, 5)}


class Problem(NamedTuple):
    """Data, the EM fit at which the peers start, and what is sampled from."""

    X: NDArray[np.float64]
    em: bg.EMResult
    target: Target

    @property
    def values(self) -> dict[str, NDArray[np.float64]]:
        return values_at(self.em.params, self.target.priors)


class Outcome(NamedTuple):
    """Seconds, least effective sample size, gradients per draw, and the time of one gradient in microseconds."""

    before: float
    sampling: float
    ess: float
    gradients: float
    gradient: float

    @property
    def speed(self) -> float:
        return self.ess / self.sampling


def problem_of(shape: tuple[int, int, int]) -> Problem:
    X, _ = clusters(*shape)
    em = bg.fit_em(X, shape[2], seed=0)
    return Problem(X, em, Target(X, bg.Priors().resolved(X, shape[2]), np.zeros(shape[1])))


def ours(problem: Problem, seed: int) -> Outcome:
    start = time.perf_counter()
    tree = bg.sample(problem.X, problem.em, resolution=0, draws=DRAWS, chains=CHAINS, cores=CORES, seed=seed, progress=False)
    whole = time.perf_counter() - start
    statistics_of = tree["sample_stats"]
    u = problem.target.coordinates_of(problem.em.params)
    gradient = gradient_of(problem.target.native_model(Place(np.zeros_like(u), np.eye(len(u)), u)), u)
    sampling = statistics_of.attrs["sampling_time"]
    ess = least_ess(tree["posterior"].to_dataset())
    return Outcome(whole - sampling, sampling, ess, float(statistics_of["n_steps"].mean()), microseconds(gradient))


def pymc_mixture(problem: Problem, case: Case) -> Outcome:
    start = time.perf_counter()
    compiled = compiled_at(mixture_of_components(problem.X, problem.target.priors), problem.values)
    before = time.perf_counter() - start
    start = time.perf_counter()
    tree = nutpie.sample(
        compiled, draws=case.peer_draws, tune=NUTPIE_TUNE, chains=CHAINS, cores=CORES, seed=1, progress_bar=False
    )
    sampling = time.perf_counter() - start
    ess = least_ess(relabelled(tree["posterior"].to_dataset(), problem.X, problem.em))
    gradient = microseconds(gradient_of(compiled, compiled.initial_point_func(0)))
    return Outcome(before, sampling, ess, float(tree["sample_stats"]["n_steps"].mean()), gradient)


def in_numpyro(problem: Problem, case: Case) -> Outcome:
    model = mixture_in_numpyro(problem.X, problem.target.priors)
    run = run_numpyro(model, problem.values, case.numpyro_tune, case.peer_draws, CHAINS, seed=1)
    ess = least_ess(relabelled(run.posterior, problem.X, problem.em))
    return Outcome(run.compilation, run.sampling, ess, run.gradients, microseconds(gradient_in_numpyro(model, problem.values)))


def compare(name: str, case: Case) -> None:
    problem = problem_of(case.shape)
    peers = {"pm.Mixture, nutpie": pymc_mixture}
    if HAS_NUMPYRO:
        peers["NumPyro"] = in_numpyro
    turns, outcomes = [ours(problem, seed=0)], {}
    for turn, (system, run) in enumerate(peers.items(), start=1):
        outcomes[system] = run(problem, case)
        turns.append(ours(problem, seed=turn))
    medians = Outcome(*(statistics.median(column) for column in zip(*turns, strict=True)))
    speed = statistics.median(turn.speed for turn in turns)
    tunes = {"ours": 200, "pm.Mixture, nutpie": NUTPIE_TUNE, "NumPyro": case.numpyro_tune}
    for system, outcome in {"ours": medians, **outcomes}.items():
        draws = DRAWS if system == "ours" else case.peer_draws
        own_speed = speed if system == "ours" else outcome.speed
        figures = f"{outcome.before:.1f}", f"{outcome.sampling:.2f}", f"{outcome.gradients:.1f}", f"{outcome.ess:.0f}"
        show(
            f"{name} {case.shape}",
            system,
            f"{CHAINS} x ({tunes[system]} + {draws})",
            *figures,
            f"{own_speed:.1f}",
            f"{outcome.gradient:.1f}",
            f"{speed / own_speed:.1f}",
            f"{outcome.gradient / medians.gradient:.1f}",
        )


def alone(name: str) -> None:
    shape = ALONE[name]
    X, _ = clusters(*shape)
    start = time.perf_counter()
    em = bg.fit_em(X, shape[2], seed=0)
    fitted = time.perf_counter()
    tree = bg.sample(X, em, resolution=0, draws=DRAWS, chains=CHAINS, cores=CORES, seed=0, progress=False)
    done = time.perf_counter()
    sampling, ess = tree["sample_stats"].attrs["sampling_time"], least_ess(tree["posterior"].to_dataset())
    print(
        f"\n{name} {shape}, ours, {CHAINS} x {DRAWS} draws: EM {fitted - start:.1f} s, `sample` {done - fitted:.1f} s, of which "
        f"sampling {sampling:.1f} s; least ESS {ess:.0f}, {ess / sampling:.0f} a second of sampling"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description="Effective draws per second, beside pm.Mixture and NumPyro")
    parser.add_argument("--cases", nargs="+", choices=[*CASES, *ALONE], default=[*CASES, *ALONE])
    chosen = parser.parse_args().cases
    if HAS_NUMPYRO:
        prepare(CHAINS)
    packages = ("bayesgmm", "pymc", "nutpie", *(("numpyro", "jax") if HAS_NUMPYRO else ()))
    print(describe_machine(*packages), end="\n\n")
    columns = ("chains x (warm-up + draws)", "before sampling (s)", "sampling (s)", "gradients per draw", "least ESS", "ESS/s")
    if set(chosen) & set(CASES):
        print(table_head("N, D, K", "system", *columns, "gradient (us)", "ESS/s, ours to theirs", "gradient, theirs to ours"))
    for name in chosen:
        if name in CASES:
            compare(name, CASES[name])
        else:
            alone(name)


if __name__ == "__main__":
    with processors(CORES):
        main()
