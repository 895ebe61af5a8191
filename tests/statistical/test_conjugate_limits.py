"""One component: posteriors in closed form or by quadrature on a grid, with SciPy's densities and none of the package's.

D = 1: the mean for a scale held fast is Normal; mean and scale together by quadrature, for every prior of the scale. D = 2: the
means for scales held fast are Normal, and the correlation is by quadrature; the covariance with three free parameters, by
correlation (VVV) and by rotation (EEV), is by quadrature with the mean integrated out.
"""

import numpy as np
import pytest
from scipy import stats

import bayesgmm as bg
from bayesgmm.posterior.schema import flat_draws, raw_posterior
from tests.statistical.test_exact_posteriors import z_scores

pytestmark = [
    pytest.mark.statistical,
    pytest.mark.filterwarnings("ignore::bayesgmm.errors.SamplingWarning"),  # a divergence in 16,000 draws; judged by the z-scores
]

SEED = 20_261_122
LEVELS = np.array([0.05, 0.25, 0.5, 0.75, 0.95])
MEAN_LOC, MEAN_SCALE = 1.0, 1.5
FAST = 1e-3
"""Standard deviation of ln scale, where scales are held fast."""
SCALE_PRIORS = {
    "inverse_gamma": ({"alpha": 2.0, "beta": 1.0}, stats.invgamma(2.0, scale=1.0)),
    "half_normal": ({"sigma": 1.2}, stats.halfnorm(scale=1.2)),
    "half_student_t": ({"nu": 3.0, "sigma": 1.2}, stats.t(3.0, scale=1.2)),  # twice this, folded: the factor has no say
    "log_normal": ({"mu": -0.2, "sigma": 0.6}, stats.lognorm(0.6, scale=np.exp(-0.2))),
}


def data(n_features, n_samples=7):
    """Rows few enough for priors to matter."""
    mixing = np.array([[1.0, 0.0], [0.8, 0.6]])[:n_features, :n_features]
    return np.random.default_rng(SEED).normal(size=(n_samples, n_features)) @ mixing.T


def priors_with(scale_prior, parameters, **others):
    return bg.Priors(mean_loc=MEAN_LOC, mean_scale=MEAN_SCALE, scale_prior=scale_prior, scale_params=parameters, **others)


def check(name, X, priors, quantities, covariance="VVV", resolution=0.0):
    """`quantities(means (S, D), covariances (S, D, D))` gives (S, quantity) and what each is on average."""
    tree = bg.sample(X, 1, covariance=covariance, priors=priors, resolution=resolution, draws=4000, tune=500, chains=4, seed=SEED)
    raw = raw_posterior(tree)
    _, means, factors = flat_draws(raw)
    values, known = quantities(means[:, 0], (factors @ factors.swapaxes(-1, -2))[:, 0])
    z, ess = z_scores(values.reshape(raw.sizes["chain"], raw.sizes["draw"], -1), known)
    print(f"{name}: least ESS {ess.min():.0f}, largest |z| {abs(z).max():.2f} of {len(z)}, seed {SEED}")
    assert ess.min() > 1000
    assert abs(z).max() < 4


def summaries(draws, mean, sd, quantiles):
    """Columns whose averages are the mean, the variance about it, and the levels of the quantiles; and these."""
    return np.column_stack([draws, (draws - mean) ** 2, draws[:, None] < quantiles]), np.array([mean, sd**2, *LEVELS])


def on_grid(draws, nodes, weights):
    """Summaries by a density's weights on increasing nodes, one dimension."""
    weights = weights / weights.sum()
    mean = weights @ nodes
    middle = np.cumsum(weights) - weights / 2
    return summaries(draws, mean, np.sqrt(weights @ (nodes - mean) ** 2), np.interp(LEVELS, middle, nodes))


def together(*parts):
    values, known = zip(*parts, strict=True)
    return np.column_stack(values), np.concatenate(known)


def normal_mean(X, variances):
    """Mean and standard deviation of each column's posterior mean, for known variances of recorded values."""
    precision = len(X) / variances + MEAN_SCALE**-2
    return (X.sum(axis=0) / variances + MEAN_LOC * MEAN_SCALE**-2) / precision, precision**-0.5


@pytest.mark.parametrize("n_features", [1, 2])
@pytest.mark.parametrize("resolution", [0.0, 1.5])
def test_means_are_normal_where_scales_are_held_fast(n_features, resolution):
    X, scales = data(n_features), np.array([0.9, 1.4])[:n_features]
    mean, sd = normal_mean(X, scales**2 + resolution**2 / 12)

    def quantities(means, _):
        columns = range(n_features)
        return together(*(summaries(means[:, d], mean[d], sd[d], stats.norm(mean[d], sd[d]).ppf(LEVELS)) for d in columns))

    priors = priors_with("log_normal", {"mu": np.log(scales), "sigma": FAST})
    name = f"means, D = {n_features}, resolution {resolution}"
    check(name, X, priors, quantities, covariance="EEI", resolution=resolution)


@pytest.mark.parametrize("resolution", [0.0, 1.0])
@pytest.mark.parametrize("scale_prior", SCALE_PRIORS)
def test_mean_and_scale_in_one_column(scale_prior, resolution):
    X = data(1)
    parameters, scale_density = SCALE_PRIORS[scale_prior]
    mean, log_scale = np.linspace(-5.0, 6.0, 1201), np.linspace(-7.0, 4.0, 1101)
    variance = np.exp(2 * log_scale) + resolution**2 / 12
    squares = ((X - mean) ** 2).sum(axis=0)
    log_density = -0.5 * len(X) * np.log(variance) - 0.5 * squares[:, None] / variance
    log_density += stats.norm(MEAN_LOC, MEAN_SCALE).logpdf(mean)[:, None]
    log_density += scale_density.logpdf(np.exp(log_scale)) + log_scale
    weights = np.exp(log_density - log_density.max())

    def quantities(means, covariances):
        log_scales = 0.5 * np.log(covariances[:, 0, 0])
        return together(on_grid(means[:, 0], mean, weights.sum(axis=1)), on_grid(log_scales, log_scale, weights.sum(axis=0)))

    check(f"{scale_prior}, resolution {resolution}", X, priors_with(scale_prior, parameters), quantities, resolution=resolution)


def log_evidence(X, covariances):
    """ln p(X | covariances (..., 2, 2)), the mean integrated over its prior, up to a constant."""
    n, centre = len(X), X.mean(axis=0)
    scatter = (X - centre).T @ (X - centre)
    spread = MEAN_SCALE**2 * np.eye(2) + covariances / n
    offset = centre - MEAN_LOC
    squares = np.einsum("...ij,ij->...", np.linalg.inv(covariances), scatter)
    squares += np.einsum("...ij,i,j->...", np.linalg.inv(spread), offset, offset)
    return -0.5 * ((n - 1) * np.linalg.slogdet(covariances)[1] + np.linalg.slogdet(spread)[1] + squares)


def by_correlation(scale_1, scale_2, correlation):
    cross = correlation * scale_1 * scale_2
    return np.stack([scale_1**2, cross, cross, scale_2**2], axis=-1).reshape(*np.shape(cross), 2, 2)


@pytest.mark.parametrize("lkj_eta", [1.0, 3.0])
def test_correlation_where_scales_are_held_fast(lkj_eta):
    X, scales = data(2), np.array([0.9, 1.4])
    correlation = np.linspace(-1, 1, 4003)[1:-1]
    log_density = log_evidence(X, by_correlation(*scales[:, None] * np.ones_like(correlation), correlation))
    log_density += (lkj_eta - 1) * np.log1p(-(correlation**2))
    weights = np.exp(log_density - log_density.max())

    def quantities(_, covariances):
        sd_1, sd_2 = np.sqrt(covariances[:, 0, 0]), np.sqrt(covariances[:, 1, 1])
        return on_grid(covariances[:, 0, 1] / (sd_1 * sd_2), correlation, weights)

    priors = priors_with("log_normal", {"mu": np.log(scales), "sigma": FAST}, lkj_eta=lkj_eta)
    check(f"correlation, eta = {lkj_eta}", X, priors, quantities)


def by_rotation(axis_1, axis_2, angle):
    """Semi-axis 1 at this angle from the first column."""
    cos, sin = np.cos(angle), np.sin(angle)
    cross = cos * sin * (axis_1**2 - axis_2**2)
    entries = [(axis_1 * cos) ** 2 + (axis_2 * sin) ** 2, cross, cross, (axis_1 * sin) ** 2 + (axis_2 * cos) ** 2]
    return np.stack(entries, axis=-1).reshape(*np.shape(cross), 2, 2)


@pytest.mark.parametrize(("covariance", "resolution"), [("VVV", 0.0), ("VVV", 0.8), ("EEV", 0.0), ("VVE", 0.8)])
def test_free_covariances_in_two_columns(covariance, resolution):
    """Trapezoid sums over the logarithms of two scales, or semi-axes, and the angle or the correlation's artanh."""
    X = data(2, n_samples=25)  # with few rows any angle will do, and rotations are sampled slowly
    eta, mu, sigma = 2.0, -0.2, 0.6
    log_scale = np.linspace(mu - 6 * sigma, mu + 6 * sigma, 91)
    rotated = covariance != "VVV"
    third = np.linspace(0, np.pi, 121)[:-1] if rotated else np.linspace(-6, 6, 121)
    a, b, c = np.meshgrid(log_scale, log_scale, third, indexing="ij")
    sigmas = by_rotation(np.exp(a), np.exp(b), c) if rotated else by_correlation(np.exp(a), np.exp(b), np.tanh(c))
    log_density = log_evidence(X, sigmas + np.eye(2) * resolution**2 / 12) - 0.5 * ((a - mu) ** 2 + (b - mu) ** 2) / sigma**2
    if not rotated:
        log_density -= 2 * eta * np.log(np.cosh(c))  # (1 - r^2)^(eta - 1) and dr = (1 - r^2) dc
    weights = np.exp(log_density - log_density.max())
    weights /= weights.sum()

    def features(covariances):
        log_1, log_2 = np.log(covariances[..., 0, 0]), np.log(covariances[..., 1, 1])
        correlation = covariances[..., 0, 1] * np.exp(-0.5 * (log_1 + log_2))
        log_determinant = np.linalg.slogdet(covariances)[1]
        return np.stack(
            [log_1, log_1**2, log_2, log_2**2, correlation, correlation**2, log_determinant, log_determinant**2], axis=-1
        )

    known = np.einsum("abc,abcf->f", weights, features(sigmas))
    priors = priors_with("log_normal", {"mu": mu, "sigma": sigma}, lkj_eta=eta)
    name = f"{covariance}, resolution {resolution}"
    check(name, X, priors, lambda _, covariances: (features(covariances), known), covariance, resolution)
