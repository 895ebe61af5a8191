"""Where chains start: spread around the optima that EM found."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bayesgmm.data import validate
from bayesgmm.em.initialise import STARTS, start_from_memberships, start_sample
from bayesgmm.em.result import EMResult
from bayesgmm.em.run import run_em
from bayesgmm.em.standardise import column_moments
from bayesgmm.em.step import Collapsed, MStep
from bayesgmm.errors import SamplingError
from bayesgmm.families import family_named
from bayesgmm.kernels.rows import rows_of
from bayesgmm.params import MixtureParams

Array = NDArray[np.float64]

LOG_LIKELIHOOD_RANGE = float(np.log(100.0))
"""Optima whose likelihood is within this of the best one (in nats) get chains of their own."""

BOOTSTRAP_ITERATIONS = 50


@dataclass(frozen=True)
class ChainStart:
    """Where one chain starts, and a few words on why."""

    params: MixtureParams
    origin: str


def chain_starts(X: Array, em: EMResult | None, n_components: int, rng: np.random.Generator, n_chains: int) -> list[ChainStart]:
    """One start per chain: in turn from each EM optimum near the best, or from random partitions where there is no EM fit."""
    streams = rng.spawn(n_chains)
    if em is None:
        return [ChainStart(_from_partition(X, n_components, stream), "random partition") for stream in streams]
    optima = _optima(em)
    return [
        ChainStart(_bootstrap_replicate(X, optima[c % len(optima)], em.covariance, stream), f"EM optimum {c % len(optima)}")
        for c, stream in enumerate(streams)
    ]


def _optima(em: EMResult) -> Sequence[MixtureParams]:
    near = [mode.params for mode in em.modes if mode.log_likelihood >= em.log_likelihood - LOG_LIKELIHOOD_RANGE]
    return near or [em.params]


def _bootstrap_replicate(X: Array, params: MixtureParams, covariance: str, rng: np.random.Generator) -> MixtureParams:
    """The optimum of the data under random exponential row weights, reached from `params`.

    Such replicates are spread as the posterior is, to first order, without a Hessian (weighted-likelihood bootstrap, Newton and
    Raftery 1994). Where the weights make a component collapse, `params` itself.
    """
    location, scale = X.mean(axis=0), X.std(axis=0)
    run = run_em(
        rows_of(X, rng.exponential(size=len(X)), location, scale),
        params.affine(1 / scale, -location / scale),
        MStep(family_named(covariance)),
        tol=1e-3,
        max_iter=BOOTSTRAP_ITERATIONS,
    )
    return params if run.params is None else run.params.affine(scale, location)


def _from_partition(X: Array, n_components: int, rng: np.random.Generator) -> MixtureParams:
    dataset = validate(X)
    location, scale = column_moments(dataset, None)
    sample = start_sample(dataset, None, rng)
    memberships = STARTS["k-means++"](sample, n_components, rng)
    start = start_from_memberships(sample.scaled, memberships, MStep(family_named("VVV")))
    if isinstance(start, Collapsed):
        raise SamplingError(f"no random partition of the data gives {n_components} proper components: {start}")
    return start.affine(scale, location)
