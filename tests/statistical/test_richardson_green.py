"""Richardson and Green's (1997) posterior of the number of components of the galaxies, by a Gibbs sampler with nothing of ours.

Their model, with K held fast: weights ~ Dirichlet(1), means ~ Normal(m, sd R), precisions ~ Gamma(2, rate beta), beta ~
Gamma(0.2, rate 10/R^2), m the middle and R the range of the data. Evidences by two ways that share the sampler only.

From K - 1 to K: a mixture of K with no row in the last component is one of K - 1, so that for Dirichlet(a) weights

    p(y | K - 1) c_K = p(y | K) P(component K holds no row | y, K),
    c_K = Gamma(K a) Gamma(N + (K - 1) a) / (Gamma((K - 1) a) Gamma(N + K a)) = (K - 1) / (N + K - 1) for a = 1,

which is what becomes of the beta-binomial prior of the last component's count. Where the probability is too small to be met
(K <= 4 here): importance sampling from the average of the full conditionals at states of the sampler, over all orders of the
components (Frühwirth-Schnatter 2004; Lee and Robert 2016).
"""

from functools import cache
from itertools import permutations
from typing import NamedTuple

import numpy as np
import pytest
from scipy import stats
from scipy.special import gammaln, logsumexp

import bayesgmm as bg

pytestmark = pytest.mark.statistical

SEED = 20_261_122
ALPHA, G, H_OF_SQUARED_RANGE = 2.0, 0.2, 10.0
SEPARATE, N_STATES, N_DRAWS = 4, 300, 2000
"""Up to this many components, evidences are by importance sampling, from this many states and by this many draws."""

MOST, BRIDGED = 14, 8
"""Components up to which the sampler goes; and the package, where those above are taken from the sampler."""

PUBLISHED = {3: 0.061, 4: 0.128, 5: 0.182, 6: 0.199, 7: 0.160, 8: 0.109, 9: 0.071, 10: 0.040, 11: 0.023, 12: 0.013}
"""p(k | y) of the galaxies, k uniform on 1..30: Richardson and Green (1997), table 1; 0.000 for k = 1 and 2."""


class States(NamedTuple):
    """Allocations' counts and sums, means, precisions and beta of S states of the sampler: (S, K), beta (S, 1).

    `squares` are the sums of squares about the means.
    """

    counts: np.ndarray
    sums: np.ndarray
    squares: np.ndarray
    beta: np.ndarray


class Evidences(NamedTuple):
    """ln p(y | K) less that of K = 1, and the standard error of the last step to it, for K = 1, 2, ...; and ln p(y | 1)."""

    log_values: np.ndarray
    errors: np.ndarray
    log_of_one: float

    @property
    def posterior(self):
        """p(K | y) for a uniform prior on these K."""
        return np.exp(self.log_values - logsumexp(self.log_values))


class Model(NamedTuple):
    """Data (N,), and the numbers of the priors."""

    y: np.ndarray
    middle: float
    precision: float
    h: float


def model_of(y):
    extent = np.ptp(y)
    return Model(y, (y.max() + y.min()) / 2, extent**-2, H_OF_SQUARED_RANGE / extent**2)


def gibbs(model, n_components, rng, *, chains, warmup, draws, keep):
    """P(a given component holds no row | all parameters), averaged over components: (draws, chains); and `keep` states."""
    y, shape = model.y, (chains, n_components)
    means, weights = rng.choice(y, shape), np.full(shape, 1 / n_components)
    precisions, beta = rng.gamma(ALPHA, 10 * model.precision, shape), np.full((chains, 1), 0.1 / model.precision)
    empty, states = np.empty((draws, chains)), []
    kept = set(np.linspace(warmup, warmup + draws, -(-keep // chains), endpoint=False, dtype=int).tolist())
    for draw in range(warmup + draws):
        log_density = np.log(weights * np.sqrt(precisions))[..., None] - 0.5 * precisions[..., None] * (y - means[..., None]) ** 2
        cumulated = np.exp(log_density - log_density.max(axis=1, keepdims=True)).cumsum(axis=1)
        cumulated /= cumulated[:, -1:]
        if draw >= warmup:
            empty[draw - warmup] = (1 - np.diff(cumulated, axis=1, prepend=0.0)).prod(axis=2).mean(axis=1)
        labels = (cumulated < rng.random((chains, 1, len(y)))).sum(axis=1)
        member = labels[:, None] == np.arange(n_components)[:, None]
        counts, sums = member.sum(axis=2), member @ y
        weights = rng.gamma(1.0 + counts)
        weights /= weights.sum(axis=1, keepdims=True)
        total = counts * precisions + model.precision
        means = (precisions * sums + model.precision * model.middle) / total + rng.normal(size=shape) / np.sqrt(total)
        squares = (member * (y - means[..., None]) ** 2).sum(axis=2)
        if draw in kept:
            states.append(States(counts, sums, squares, beta))
        precisions = rng.gamma(ALPHA + counts / 2) / (beta + squares / 2)
        beta = rng.gamma(G + n_components * ALPHA, size=(chains, 1)) / (model.h + precisions.sum(axis=1, keepdims=True))
    return empty, States(*map(np.concatenate, zip(*states, strict=True)))


def log_evidence(model, states, rng, size):
    """ln p(y), and its standard error, by draws from the average of the full conditionals at these states in every order."""
    chosen = rng.integers(len(states.counts), size=size)
    weights = rng.gamma(1.0 + states.counts[chosen])
    weights /= weights.sum(axis=1, keepdims=True)
    precisions = rng.gamma(ALPHA + states.counts[chosen] / 2) / (states.beta[chosen] + states.squares[chosen] / 2)
    total = states.counts[chosen] * precisions + model.precision
    centre = (precisions * states.sums[chosen] + model.precision * model.middle) / total
    means = centre + rng.normal(size=centre.shape) / np.sqrt(total)
    log_ratio = log_joint(model, weights, means, precisions) - log_proposal(model, states, weights, means, precisions)
    ratio = np.exp(log_ratio - log_ratio.max())
    return log_ratio.max() + np.log(ratio.mean()), ratio.std() / ratio.mean() / np.sqrt(size)


def log_joint(model, weights, means, precisions):
    """ln p(y, weights, means, precisions), beta integrated out; parameters (..., K)."""
    n_components = weights.shape[-1]
    scales = precisions[..., None, :] ** -0.5
    rows = np.log(weights)[..., None, :] + stats.norm(means[..., None, :], scales).logpdf(model.y[:, None])
    shape = G + n_components * ALPHA
    of_precisions = G * np.log(model.h) - gammaln(G) + gammaln(shape) - n_components * gammaln(ALPHA)
    of_precisions += (ALPHA - 1) * np.log(precisions).sum(axis=-1) - shape * np.log(model.h + precisions.sum(axis=-1))
    of_means = stats.norm(model.middle, model.precision**-0.5).logpdf(means).sum(axis=-1)
    return logsumexp(rows, axis=-1).sum(axis=-1) + of_precisions + of_means + gammaln(n_components)


def log_proposal(model, states, weights, means, precisions):
    """ln of the average over states and orders, (size,): terms (size, S, K, K) of component i in the place of component k."""
    counts, sums, squares = (part[None, :, None, :] for part in (states.counts, states.sums, states.squares))
    weight, mean, precision = (part[:, None, :, None] for part in (weights, means, precisions))
    total = counts * precision + model.precision
    centre = (precision * sums + model.precision * model.middle) / total
    shape, rate = ALPHA + counts / 2, states.beta[None, :, None, :] + squares / 2
    terms = counts * np.log(weight) - gammaln(1.0 + counts)
    terms = terms + 0.5 * np.log(total / (2 * np.pi)) - 0.5 * total * (mean - centre) ** 2
    terms += shape * np.log(rate) - gammaln(shape) + (shape - 1) * np.log(precision) - rate * precision
    places = np.arange(weights.shape[1])
    orders = [terms[:, :, list(order), places].sum(axis=-1) for order in permutations(places)]
    constant = gammaln(len(model.y) + len(places)) - np.log(len(orders) * len(states.counts))
    return logsumexp(np.concatenate(orders, axis=1), axis=1) + constant


def gibbs_log_evidences(y, max_components, *, seed=SEED, chains=100, warmup=500, draws=3000, separate=SEPARATE):
    """`Evidences` of K = 1, ..., max_components for y (N,): by importance sampling up to `separate`, then from K - 1 to K."""
    model, values, errors = model_of(np.asarray(y, dtype=float)), [], []
    for n_components in range(1, max_components + 1):
        rng = np.random.default_rng([seed, n_components])
        empty, states = gibbs(model, n_components, rng, chains=chains, warmup=warmup, draws=draws, keep=N_STATES)
        if n_components <= separate:
            value, error = log_evidence(model, states, rng, N_DRAWS)
        else:
            log_odds = np.log((n_components - 1) / (len(model.y) + n_components - 1))
            value, error = values[-1] + log_odds - np.log(empty.mean()), empty.mean(axis=0).std() / empty.mean() / np.sqrt(chains)
        values.append(value)
        errors.append(error)
    return Evidences(np.array(values) - values[0], np.array(errors), values[0])


@cache
def gibbs_on_the_galaxies():
    return gibbs_log_evidences(bg.load_galaxies().to_numpy().ravel(), MOST)


def errors_against(evidences, reference):
    """Standard errors of ln p(y | K) - ln p(y | reference), reference <= SEPARATE: from there on, errors of the steps add up."""
    steps = np.where(np.arange(1, len(evidences.errors) + 1) > SEPARATE, evidences.errors, 0.0) ** 2
    own = evidences.errors[np.minimum(np.arange(len(evidences.errors)), SEPARATE - 1)] ** 2
    return np.sqrt(own + np.cumsum(steps) + evidences.errors[reference - 1] ** 2)


def test_one_component_against_quadrature():
    """The mean in closed form, the scale by a trapezoid sum under the package's prior."""
    y = bg.load_galaxies().to_numpy().ravel()
    model, n = model_of(y), len(y)
    prior = bg.Priors(scale_prior="hierarchical_gamma").resolved(y[:, None], 1).scale_distribution
    log_scale = np.linspace(np.log(np.ptp(y)) - 5, np.log(np.ptp(y)) + 5, 4001)
    variance, spread = np.exp(2 * log_scale), np.exp(2 * log_scale) / n + 1 / model.precision
    log_density = -0.5 * (n - 1) * np.log(2 * np.pi * variance) - 0.5 * np.log(n) - 0.5 * n * y.var() / variance
    log_density += -0.5 * np.log(2 * np.pi * spread) - 0.5 * (y.mean() - model.middle) ** 2 / spread
    log_density += prior.joint_logpdf(np.exp(log_scale)[:, None, None])[:, 0] + log_scale
    expected = logsumexp(log_density) + np.log(log_scale[1] - log_scale[0])
    rng = np.random.default_rng(SEED)
    _, states = gibbs(model, 1, rng, chains=100, warmup=100, draws=100, keep=N_STATES)
    value, error = log_evidence(model, states, rng, N_DRAWS)
    print(f"ln p(y | 1) = {value:.4f}, by quadrature {expected:.4f}, standard error {error:.5f}, seed {SEED}")
    assert error < 0.001
    assert abs(value - expected) < 4 * error


def test_two_ways_agree_on_few_rows():
    """Every eighth galaxy, of which components often hold none."""
    y = np.sort(bg.load_galaxies().to_numpy().ravel())[::8]
    separate = gibbs_log_evidences(y, 4, draws=2000, separate=4)
    stepwise = gibbs_log_evidences(y, 4, draws=2000, separate=1)
    difference = np.diff(separate.log_values) - np.diff(stepwise.log_values)
    error = np.sqrt(separate.errors[1:] ** 2 + separate.errors[:-1] ** 2 + stepwise.errors[1:] ** 2)
    print("steps of ln p(y | K):", np.diff(stepwise.log_values).round(3), "differ by", difference.round(3), "+-", error.round(3))
    assert error.max() < 0.05
    assert (abs(difference) < 4 * error).all()


@pytest.mark.exhaustive
def test_published_posterior_of_the_number_of_components():
    evidences = gibbs_on_the_galaxies()
    found = evidences.posterior
    print("ln p(y | K) - ln p(y | 1):", evidences.log_values.round(2), "+-", evidences.errors.round(3))
    print("p(K | y):", found.round(3), "published:", PUBLISHED)
    assert evidences.errors.max() < 0.06
    assert found[:2].sum() < 0.0005
    for n_components, published in PUBLISHED.items():
        assert abs(found[n_components - 1] - published) < 0.02


@pytest.mark.exhaustive
@pytest.mark.filterwarnings("ignore::bayesgmm.errors.SamplingWarning")  # slow chains with many components; judged by the figures
def test_evidences_of_the_package():
    """Bridge sampling, without the sampler above, and with it for what share K > BRIDGED have; each of 1 to 8 against it."""
    X = bg.load_galaxies()
    y = X.to_numpy().ravel()
    priors = bg.Priors(mean_loc=(y.max() + y.min()) / 2, mean_scale=np.ptp(y), scale_prior="hierarchical_gamma")
    table = bg.n_components_posterior(X, range(1, BRIDGED + 1), priors=priors, resolution=0, seed=SEED, progress=False).table
    gibbs = gibbs_on_the_galaxies()
    ours = table["log_evidence"].to_numpy() - table["log_evidence"][3]
    theirs = gibbs.log_values - gibbs.log_values[2]
    own = table["standard_error"].to_numpy()
    error = np.hypot(np.hypot(own, own[2]), errors_against(gibbs, 3)[:BRIDGED])
    whole = np.concatenate([ours, ours[-1] + theirs[BRIDGED:] - theirs[BRIDGED - 1]])
    found = np.exp(whole - logsumexp(whole))
    print("\nln p(y | K) - ln p(y | 3):", ours.round(3), "by Gibbs:", theirs[:BRIDGED].round(3), "error:", error.round(3))
    print(f"p(K | y), seed {SEED}:", found.round(3), "by Gibbs:", gibbs.posterior.round(3), "published:", PUBLISHED)
    for n_components in range(3, 9):
        assert abs(found[n_components - 1] - PUBLISHED[n_components]) < 0.04
    others = np.arange(1, BRIDGED + 1) != 3
    assert (abs(ours - theirs[:BRIDGED])[others] < 3 * error[others]).all()
    assert abs(table["log_evidence"][1] - gibbs.log_of_one) < 3 * np.hypot(table["standard_error"][1], gibbs.errors[0])


@pytest.mark.exhaustive
def test_the_slip_in_a_common_copy_of_the_data_hardly_matters():
    """Other copies have 26.69 for 26.96: no probability moves by more than 0.03."""
    y = bg.load_galaxies().to_numpy().ravel()
    slipped = np.where(np.isclose(y, 26.96), 26.69, y)
    assert (slipped != y).sum() == 1
    ours, theirs = (gibbs_log_evidences(data, 10, draws=1500).posterior for data in (y, slipped))
    print("p(K | y):", ours.round(3), "with the slip:", theirs.round(3))
    assert abs(ours - theirs).max() < 0.03
