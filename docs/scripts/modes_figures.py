"""The figures of docs/theory/modes-and-evidence.md: where the posteriors of iris, crabs and Old Faithful have their mass.

Run from the project's root: uv run python -m docs.scripts.modes_figures
"""

# ruff: noqa: T201 - a script talks to its reader

import time
import warnings

import numpy as np

import bayesgmm as bg
from bayesgmm.errors import SamplingWarning
from bayesgmm.evidence.atlas import map_from
from bayesgmm.evidence.chart import make_atlas
from bayesgmm.model.specification import specify
from tests.data_sets import data_set

N_STARTS = 400


def places(name: str, n_components: int) -> None:
    """The modes with the largest shares."""
    X = data_set(name)
    tree = bg.sample(X, bg.fit_em(X, n_components, seed=0), seed=0)
    evidence = bg.log_evidence(tree, seed=0)
    print(f"\n{name}, K = {n_components}: {evidence}")
    print(
        evidence.modes[["share", "log_evidence", "standard_error", "region", "starts", "weights", "description"]]
        .head(5)
        .to_string()
    )


def starts_that_lead_to_the_best(name: str, n_components: int) -> None:
    """How often EM ends in each optimum, by the kind of its starts."""
    for kind in ("random", "k-means++"):
        em = bg.fit_em(data_set(name), n_components, init=kind, n_init=N_STARTS, n_long=N_STARTS, seed=0)
        found = ", ".join(f"{mode.log_likelihood:.2f}: {mode.n_runs / N_STARTS:.1%}" for mode in em.modes[:3])
        print(f"{name}, K = {n_components}, {kind} starts, log-likelihood: {found}")


def laplace_of_empty_components(name: str, n_components: int) -> None:
    """Laplace's approximation at the mode uphill, in the coordinates of all components, less the mass by the identity."""
    X = data_set(name)
    em = bg.fit_em(X, n_components, seed=0)
    target = specify(X, em, None, None, None).target
    best = make_atlas(target, em, np.random.default_rng(0)).modes[0]
    laplace = map_from(target, best.params, "uphill")
    assert laplace is not None
    print(f"{name}, K = {n_components}, {best.n_empty} empty: {laplace.log_mass - best.log_mass:+.1f} nats from the identity")


def sparse() -> None:
    """Old Faithful with a small concentration, by strata and by chains of all components: occupied components and evidence."""
    X = data_set("faithful")
    for sampler, n_seeds in (("auto", 4), ("nutpie", 3)):
        for seed in range(n_seeds):
            began = time.perf_counter()
            tree = bg.sample(X, 3, priors=bg.Priors(concentration=0.01), sampler=sampler, seed=seed)
            seconds = time.perf_counter() - began
            three = bg.occupied_components(tree).loc[3]
            print(
                f"faithful, K = 3, concentration 0.01, sampler {sampler}, seed {seed}: three hold rows "
                f"{three['probability']:.3f} ± {three['standard_error']:.3f}; {bg.log_evidence(tree, seed=seed)}; {seconds:.0f} s"
            )


if __name__ == "__main__":
    warnings.simplefilter("ignore", SamplingWarning)
    places("iris", 3)
    places("crabs", 4)
    starts_that_lead_to_the_best("crabs", 2)
    laplace_of_empty_components("crabs", 4)
    sparse()
