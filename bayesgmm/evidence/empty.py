"""Empty components: where a smaller mixture is with others beside it that hold no rows, and how much mass is there."""

from dataclasses import replace
from math import lgamma

import numpy as np
from numpy.typing import NDArray
from scipy.special import polygamma

from bayesgmm.evidence.atlas import MappedMode
from bayesgmm.evidence.laplace import PosteriorMode
from bayesgmm.evidence.regions import recorded
from bayesgmm.kernels.occupied import subsets_of_draws
from bayesgmm.model.coordinates import centred_on, constrain, unconstrain
from bayesgmm.model.structure import structure_of
from bayesgmm.model.target import Target
from bayesgmm.params import MixtureParams
from bayesgmm.posterior.occupied import log_empty, occupied_by_draw

Array = NDArray[np.float64]

STEP = 1e-4

LOOSER = 0.5
"""Concentration under which parts of a sparse posterior are sampled: a larger one leaves few small components among the draws, a
smaller one makes chains stay where components are empty."""

LEAST_RATIO = 1e-300
"""Smallest weight of an empty component relative to all occupied ones: much below it floating point ends."""

LEAST_DIAGONAL = 1e-5
"""Smallest diagonal of the Cholesky factor of an empty component's correlations, for the same reason."""

QUANTILES = np.array([0.1587, 0.5, 0.8413])
"""One standard deviation of a normal distribution below its middle, the middle, and one above."""


def extensible(target: Target) -> bool:
    """Whether components are exchangeable and independent a priori, so that an empty one changes nothing for the others.

    Rotations are left out: their coordinates are relative to axes of a mixture, which differ with its size.
    """
    structure = target.structure
    tied = structure.own_volumes or structure.own_shapes or structure.equal_determinants
    return target.priors.symmetric and not tied and structure.axes != "rotations"


def smaller_target(target: Target, occupied: MixtureParams) -> Target:
    """The posterior of the same data under the same priors with as many components as `occupied`."""
    priors, n_components = target.priors, occupied.n_components
    structure = centred_on(structure_of(priors.structure.family, n_components, priors.structure.n_features), occupied)
    return replace(target, priors=replace(priors, structure=structure, concentration=priors.concentration[:n_components]))


def with_empty(target: Target, smaller: Target, mapped: MappedMode) -> MappedMode:
    """A mode among fewer components as a place of the larger posterior: the others follow their prior.

    It need not be a local maximum there; its metric is the mode's own beside the widths of the prior. Its mass is that of the
    mode among k times the number of choices of the empty ones times the probability that they are empty: those two are exact.
    """
    n_components, n_occupied = target.structure.n_components, smaller.structure.n_components
    concentration, n_samples = float(target.priors.concentration[0]), len(target.X)
    centre, widths = _of_empty(target, n_occupied)
    size = len(mapped.mode.u)

    def composed(joint: Array) -> Array:
        return _composed(joint[..., :size], joint[..., size:], target, smaller)

    joint = np.concatenate([mapped.mode.u, centre])
    steps = STEP * np.diag(np.concatenate([np.ones(size), widths]))
    jacobian = ((composed(joint + steps) - composed(joint - steps)) / (2 * np.diag(steps)[:, None])).T
    spread = np.zeros((len(joint), len(joint)))
    spread[:size, :size], spread[size:, size:] = mapped.mode.metric, np.diag(widths)
    u = composed(joint[None])[0]
    mode = PosteriorMode(u, target.log_density(u)[0], jacobian @ spread, mapped.mode.n_guarded)
    choices = _log_choices(n_components, n_occupied)
    log_mass = mapped.log_mass + choices + log_empty(n_components, n_occupied, n_samples, concentration)
    origin = f"{mapped.origin} with {n_occupied} of {n_components} components, the others empty"
    return MappedMode(mode, target.mixture_at(u), origin, log_mass, mapped.n_starts, n_components - n_occupied)


def looser_target(target: Target, n_components: int) -> Target:
    """The posterior of the same data and so many components, with the concentration LOOSER and the other priors the same."""
    priors = target.priors
    structure = structure_of(priors.structure.family, n_components, priors.structure.n_features)
    return replace(target, priors=replace(priors, structure=structure, concentration=np.full(n_components, LOOSER)))


def log_ratios(target: Target, looser: Target, u: Array) -> Array:
    r"""ln of what the posterior of k components is multiplied by, in all, for that of K of which exactly k hold rows.

    At coordinates u (S, P) of the `looser_target` of k components; shape (S,). In all of the C(K, k) sets of k components, with
    weights Dirichlet(a), and Dirichlet(b) among the k, whose densities are D_a and D_b,

        C(K, k) P(the other K - k are empty) D_a(w) / D_b(w) P(all k hold rows | u, X):

    a component that holds no row follows its prior and does not touch the others. Where a weight w vanishes the factor is of the
    order of w^(a - b + 1): bounded, however small a.
    """
    n_components, n_occupied = target.structure.n_components, looser.structure.n_components
    concentration, n_samples = float(target.priors.concentration[0]), len(target.X)
    known = float(looser.priors.concentration[0])
    draws = recorded(looser, u)
    all_occupied = np.maximum(occupied_by_draw(subsets_of_draws(target.X, *draws))[:, -1], 0.0)
    normaliser = _log_beta(n_occupied, known) - _log_beta(n_occupied, concentration)
    constant = _log_choices(n_components, n_occupied) + log_empty(n_components, n_occupied, n_samples, concentration) + normaliser
    with np.errstate(divide="ignore"):
        return constant + (concentration - known) * np.log(draws.weights).sum(axis=1) + np.log(all_occupied)


def _log_beta(n_components: int, concentration: float) -> float:
    """ln of the integral of prod_k w_k^(a - 1) over the simplex."""
    return n_components * lgamma(concentration) - lgamma(n_components * concentration)


def beside_empty(target: Target, looser: Target, u: Array, rng: np.random.Generator) -> Array:
    """Draws (S, P) of the larger posterior: those of k components that hold all rows, u, and the others drawn given that.

    The weights of all occupied components together and of each empty one are Dirichlet(N + k a, a, ..., a), as independent gamma
    variates over their sum; weights below LEAST_RATIO are given that. The empty components follow their prior.
    """
    structure, n_occupied = target.structure, looser.structure.n_components
    concentration, n_draws = float(target.priors.concentration[0]), len(u)
    known, drawn = constrain(u, looser.structure), target.priors.draw(rng, n_draws)
    n_empty = structure.n_components - n_occupied
    log_gamma = np.log(rng.gamma(concentration + 1.0, size=(n_draws, n_empty))) - rng.exponential(
        1.0 / concentration, size=(n_draws, n_empty)
    )
    log_gamma_of_occupied = np.log(rng.gamma(len(target.X) + n_occupied * concentration, size=(n_draws, 1)))
    ratios = np.exp(np.maximum(log_gamma - log_gamma_of_occupied, np.log(LEAST_RATIO)))
    weights = np.concatenate([known.weights, ratios], axis=1)

    def beside(of_occupied: Array, of_all: Array) -> Array:
        return np.concatenate([of_occupied, of_all[:, n_occupied:]], axis=1)

    trils = drawn.correlation_trils
    if structure.axes == "correlations":
        trils = np.where(np.eye(structure.n_features) > 0, np.maximum(trils, LEAST_DIAGONAL), trils)
    parameters = known._replace(
        weights=weights / weights.sum(axis=1, keepdims=True),
        means=beside(known.means, drawn.means),
        scales=beside(known.scales, drawn.scales) if structure.cluster_scales else known.scales,
        correlation_trils=(beside(known.correlation_trils, trils) if structure.own_axes else known.correlation_trils),
    )
    return unconstrain(parameters, structure)


def _log_choices(n_components: int, n_occupied: int) -> float:
    return lgamma(n_components + 1) - lgamma(n_occupied + 1) - lgamma(n_components - n_occupied + 1)


def _of_empty(target: Target, n_occupied: int) -> tuple[Array, Array]:
    """Centre and widths of the coordinates of the empty components, one after the other.

    Of each: ln of its weight over that of all occupied ones, mean, ln scales, axes.
    """
    priors, structure = target.priors, target.structure
    concentration = float(priors.concentration[0])
    occupied = len(target.X) + n_occupied * concentration
    parts = [np.array([np.log(concentration / occupied)]), priors.mean_loc]
    widths = [np.array([np.sqrt(polygamma(1, concentration))]), priors.mean_scale]
    if structure.cluster_scales:
        low, middle, high = np.log(priors.scale_distribution.ppf(QUANTILES[:, None]))
        parts.append(middle)
        widths.append((high - low) / 2)
    if structure.own_axes:
        degrees = 2 * priors.lkj_eta + structure.n_features - 1
        parts.append(np.zeros(structure.n_pairs))
        widths.append(np.full(structure.n_pairs, 1 / np.sqrt(degrees)))
    n_empty = structure.n_components - n_occupied
    return np.tile(np.concatenate(parts), n_empty), np.tile(np.concatenate(widths), n_empty)


def _composed(u: Array, empty: Array, target: Target, smaller: Target) -> Array:
    """Coordinates (S, P) of the larger posterior from those of the occupied and of the empty components."""
    structure = target.structure
    n_points, n_features, columns = len(u), structure.n_features, structure.scales_shape[1]
    y, means, log_scales, _, _, axes = np.split(u, np.cumsum(smaller.structure.sizes)[:-1], axis=1)
    ends = np.cumsum([1, n_features, columns if structure.cluster_scales else 0])
    ratios, more_means, more_scales, more_axes = np.split(
        empty.reshape(n_points, structure.n_components - smaller.structure.n_components, -1), ends, axis=2
    )
    logits = np.concatenate([y, -y.sum(axis=1, keepdims=True)], axis=1)
    logits = np.concatenate([logits, np.logaddexp.reduce(logits, axis=1, keepdims=True) + ratios[:, :, 0]], axis=1)
    logits -= logits.mean(axis=1, keepdims=True)
    pieces = (logits[:, :-1], means, more_means, log_scales, more_scales, axes, more_axes)
    return np.concatenate([piece.reshape(n_points, -1) for piece in pieces], axis=1)
