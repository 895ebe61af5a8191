"""Distinct optima among EM runs, whatever the order of their components."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy
from numpy.typing import NDArray

from bayesgmm.em.run import EMRun
from bayesgmm.em.spurious import spurious_signs
from bayesgmm.params import Array, MixtureParams


@dataclass(frozen=True)
class EMMode:
    """One optimum of the likelihood modulo label permutation, how many restarts ended in it, and signs that it is spurious."""

    params: MixtureParams
    log_likelihood: float
    n_runs: int
    spurious: tuple[str, ...] = ()


def matching_order(params: MixtureParams, reference: MixtureParams) -> NDArray[np.intp]:
    """The order that brings the components of `params` closest to those of `reference`: params.permuted(order) matches.

    Closeness is Jeffreys' divergence between two components, the sum of both Kullback-Leibler divergences: groups about one
    centre are told apart by their covariances.
    """
    shifts = params.means[None, :, :] - reference.means[:, None, :]
    theirs, ours = reference.precisions, params.precisions
    distances = np.einsum("jki,jil,jkl->jk", shifts, theirs, shifts) + np.einsum("jki,kil,jkl->jk", shifts, ours, shifts)
    traces = np.einsum("jil,kil->jk", theirs, params.covariances) + np.einsum("kil,jil->jk", ours, reference.covariances)
    _, order = scipy.optimize.linear_sum_assignment(distances + traces)
    return order


def same_optimum(params: MixtureParams, reference: MixtureParams) -> bool:
    """Whether two sets of parameters are one mixture up to label permutation and the precision of EM's stopping rule."""
    return same_components(params.permuted(matching_order(params, reference)), reference)


def same_components(params: MixtureParams, reference: MixtureParams) -> bool:
    """Whether two sets of parameters agree, component by component, up to the precision of EM's stopping rule."""
    scales = reference.scales
    return bool(
        np.allclose(params.weights, reference.weights, rtol=0, atol=0.01)
        and np.allclose(params.means / scales, reference.means / scales, rtol=0, atol=0.05)
        and np.allclose(params.scales, scales, rtol=0.05)
        and np.allclose(params.correlations, reference.correlations, rtol=0, atol=0.05)
    )


def distinct_modes(runs: Sequence[EMRun], total_weight: float, resolution: Array) -> tuple[EMMode, ...]:
    """The distinct optima of the converged runs, best first (under a prior: by log-likelihood plus log prior density).

    Optima are compared, and judged spurious, by the mixtures of recorded values: the likelihood does not see more.
    """
    groups: list[list[EMRun]] = []
    finished = [run for run in runs if run.params is not None and run.converged]
    for run in sorted(finished, key=lambda run: -run.trace[-1]):
        home = next((group for group in groups if same_mode(run, group[0], resolution)), None)
        if home is None:
            groups.append([run])
        else:
            home.append(run)
    best = [group[0] for group in groups]
    return tuple(
        EMMode(_params(run), run.log_likelihood, len(group), spurious_signs(_params(run).recorded(resolution), total_weight))
        for run, group in zip(best, groups, strict=True)
    )


def same_mode(one: EMRun | EMMode, other: EMRun | EMMode, resolution: Array) -> bool:
    """Whether two finished runs ended in one optimum."""
    close = abs(one.log_likelihood - other.log_likelihood) <= 1e-3
    return close and same_optimum(_params(one).recorded(resolution), _params(other).recorded(resolution))


def _params(run: EMRun | EMMode) -> MixtureParams:
    assert run.params is not None  # for the type checker: only finished runs come here
    return run.params
