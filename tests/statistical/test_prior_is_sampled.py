"""Without data the posterior is the prior: every family, through the compiled density and NUTS, and by `ResolvedPriors.draw`.

What is held to is in closed form: moments of the Dirichlet and Normal, quantiles of the scales, moments of LKJ correlations and
of uniform rotations (Diaconis and Shahshahani 1994 for traces), and E ln|Sigma_k|.
"""

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.special import digamma

import bayesgmm as bg
from bayesgmm.evidence.atlas import Atlas, MappedMode
from bayesgmm.evidence.laplace import PosteriorMode
from bayesgmm.model.axes import cayley
from bayesgmm.model.coordinates import constrain, covariances, unconstrain
from bayesgmm.model.target import Target
from bayesgmm.sampling.chains import run_own_density
from bayesgmm.sampling.nuts import NutsSettings
from bayesgmm.sampling.start import ChainStart
from tests.representatives import representatives
from tests.statistical.test_exact_posteriors import z_scores

pytestmark = pytest.mark.statistical

SEED = 20_261_122
CHAINS, DRAWS, TUNE = 8, 2000, 500
K = 3
FAMILIES = ("EII", "VII", "EEI", "VEI", "EVI", "VVI", "EEE", "VEE", "EVV", "VVV", "EVE", "VVE", "EEV", "VEV")
SIZES = [("E", 1), ("V", 1), *((family, 3) for family in FAMILIES), *((family, 2) for family in ("VVV", "EVV", *FAMILIES[10:]))]
KINDS = ("inverse_gamma", "half_normal", "half_student_t", "log_normal")
CASES = [
    *((*size, KINDS[i % 4]) for i, size in enumerate(SIZES)),
    *((family, 3, "hierarchical_gamma") for family in ("VII", "VVV", "EEI")),
]
IN_CI = (10, 11, 15, 23)
"""Of CASES: EVV, VVV and VEV, whose axes are of the three kinds, and a prior of the scales together."""
LEVELS = np.array([0.1, 0.5, 0.9])


def prior_of(family, n_features, kind):
    """Numbers that differ between components and columns where the family allows it."""
    by_column = family not in ("E", "V", "EII", "VII", "EVE", "VVE", "EEV", "VEV")
    unit = np.exp(np.arange(n_features) - 1.0) if by_column else 1.0
    parameters = {
        "inverse_gamma": {"alpha": 3.0, "beta": unit},
        "half_normal": {"sigma": unit},
        "half_student_t": {"nu": 4.0, "sigma": unit},
        "log_normal": {"mu": np.log(unit), "sigma": 0.7},
        "hierarchical_gamma": {"alpha": 3.0, "g": 1.5, "h": unit**-2},
    }
    priors = bg.Priors(
        concentration=[0.8, 1.5, 3.0],
        mean_loc=np.arange(n_features),
        mean_scale=1.0 + np.arange(n_features),
        scale_prior=kind,
        scale_params=parameters[kind],
        lkj_eta=1.7,
        log_ratio_scale=0.6,
    )
    return priors.resolved(
        np.repeat([[0.0], [1.0]], n_features, axis=1), K, family
    )  # all numbers are given: the data are not used


def known_quantities(priors, parameters):
    """(values (..., quantity), what they are on average (quantity,)) of parameters with any leading batch."""
    structure = priors.structure
    values, known = [], []

    def add(value, expected):
        expected = np.atleast_1d(np.asarray(expected, dtype=float))
        values.append(value.reshape(*parameters.weights.shape[:-1], len(expected)))
        known.append(expected)

    alpha, total = priors.concentration, priors.concentration.sum()
    add(parameters.weights, alpha / total)
    add(parameters.weights**2, alpha * (alpha + 1) / (total * (total + 1)))
    z = (parameters.means - priors.mean_loc) / priors.mean_scale
    add(z.mean(axis=-2), np.zeros(structure.n_features))
    add((z**2).mean(axis=-2), np.ones(structure.n_features))
    for level in LEVELS:
        below = parameters.scales < priors.scale_distribution.ppf(np.full(structure.scales_shape[1], level))
        add(below.mean(axis=-2), np.full(structure.scales_shape[1], level))
    ratio = priors.log_ratio_scale**2
    if structure.own_volumes:
        add(parameters.log_volumes[..., 0], 0.0)
        add((parameters.log_volumes**2), np.full(K, ratio * (1 - 1 / K)))
    if structure.own_shapes:
        add(parameters.log_shapes[..., 0, 0], 0.0)
        add((parameters.log_shapes**2).mean(axis=-1), np.full(K, ratio * (1 - 1 / K) * (1 - 1 / structure.n_features)))
    log_correlation = 0.0
    if structure.axes == "correlations":
        log_correlation = _add_correlations(add, priors, parameters.correlation_trils)
    elif structure.axes == "rotations":
        _add_rotations(add, cayley(parameters.rotations, structure.n_features))
    log_scale = np.broadcast_to(_mean_log_scale(priors), structure.n_features).sum()
    log_determinants = np.linalg.slogdet(covariances(parameters, structure))[1]
    add(log_determinants.mean(axis=-1), 2 * log_scale + log_correlation)
    return np.concatenate(values, axis=-1), np.concatenate(known)


def _mean_log_scale(priors):
    size = priors.structure.scales_shape[1]
    return [quad(lambda q, d=d: np.log(priors.scale_distribution.ppf(np.full(size, q))[d]), 0, 1)[0] for d in range(size)]


def _add_correlations(add, priors, trils):
    """Moments of (r + 1)/2 ~ Beta(a, a), a = eta + (D - 2)/2, of each pair; return E ln|R|."""
    n_features, eta = priors.structure.n_features, priors.lkj_eta
    correlations = (trils @ trils.swapaxes(-1, -2))[..., *np.tril_indices(n_features, -1)].mean(axis=-2)
    squares = (trils @ trils.swapaxes(-1, -2))[..., *np.tril_indices(n_features, -1)] ** 2
    n_pairs, a = priors.structure.n_pairs, eta + (n_features - 2) / 2
    add(correlations, np.zeros(n_pairs))
    add(squares.mean(axis=-2), np.full(n_pairs, 1 / (2 * a + 1)))
    row = np.arange(1, n_features)
    rest = eta + (n_features - 1 - row) / 2
    return (digamma(rest) - digamma(row / 2 + rest)).sum()


def _add_rotations(add, matrices):
    """Of each of the K or 1 rotations; the columns of a uniform rotation are uniform on the sphere."""
    n_features = matrices.shape[-1]
    trace = np.trace(matrices, axis1=-2, axis2=-1).mean(axis=-1)
    squares = (matrices**2).mean(axis=-3)
    add(trace, 0.0)
    add((np.trace(matrices, axis1=-2, axis2=-1) ** 2).mean(axis=-1), 2.0 if n_features == 2 else 1.0)
    add(matrices[..., 0, 0].mean(axis=-1), 0.0)
    add(matrices[..., 1, 0].mean(axis=-1), 0.0)
    add(squares[..., 0, 0], 1 / n_features)
    add(squares[..., 1, 0], 1 / n_features)
    add((matrices[..., 0, 0] ** 4).mean(axis=-1), 3 / (n_features * (n_features + 2)))


def sampled_prior(priors, rng):
    """Coordinates (chain, draw, P) by NUTS in the units of the prior's quartiles, started at draws of the prior."""
    n_features = priors.structure.n_features
    target = Target(np.zeros((0, n_features)), priors, np.zeros(n_features))
    u = unconstrain(priors.draw(rng, 4000), priors.structure)
    low, middle, high = np.quantile(u, [0.16, 0.5, 0.84], axis=0)
    mode = PosteriorMode(middle, target.log_density(middle)[0], np.diag((high - low) / 2), 0)
    atlas = Atlas((MappedMode(mode, target.mixture_at(middle), "the prior", 0.0),), symmetric=True)
    starts = [ChainStart(0, u[chain]) for chain in range(CHAINS)]
    seeds = [SEED + chain for chain in range(CHAINS)]
    return run_own_density(target, atlas, starts, seeds, NutsSettings(DRAWS, TUNE, CHAINS, 0.9), progress=False)


@pytest.mark.parametrize(("family", "n_features", "kind"), representatives(CASES, *IN_CI))
def test_nuts_on_the_density_without_data(family, n_features, kind):
    priors = prior_of(family, n_features, kind)
    raw = sampled_prior(priors, np.random.default_rng(SEED))
    values, known = known_quantities(priors, constrain(raw.u, priors.structure))
    z, ess = z_scores(values, known)
    print(
        f"{family}, D = {n_features}, {priors.scale_prior}: least ESS {ess.min():.0f} of {CHAINS * DRAWS}, "
        f"divergences {int(raw.statistics['diverging'].sum())}, largest |z| {abs(z).max():.2f} of {len(z)}, seed {SEED}"
    )
    assert ess.min() > 400
    assert abs(z).max() < 4


@pytest.mark.parametrize(("family", "n_features", "kind"), CASES)
def test_draws_of_the_prior(family, n_features, kind):
    """Independent draws: the standard error is that of a mean."""
    priors = prior_of(family, n_features, kind)
    values, known = known_quantities(priors, priors.draw(np.random.default_rng(SEED), 50_000))
    z = (values.mean(axis=0) - known) / (values.std(axis=0) / np.sqrt(len(values)))
    assert abs(z).max() < 4
