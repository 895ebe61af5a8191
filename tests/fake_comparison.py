"""A Comparison without EM's iterations or MCMC: known parameters, draws scattered around them as a posterior would be."""

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from scipy.stats import wishart

from bayesgmm.compare.comparison import Comparison, compare
from bayesgmm.em.result import EMResult, sample_mixture
from bayesgmm.em.run import EMRun, EMStatus
from bayesgmm.kernels.density import compute_log_density, compute_responsibilities
from bayesgmm.kernels.draws import log_density_of_draws
from bayesgmm.params import MixtureParams
from bayesgmm.posterior.schema import posterior_dataset

Array = NDArray[np.float64]

HOSTILE_COLUMNS = ("$$", "<script>alert('x')</script>", "[red]\U0001f525\n_^{", "x" * 10_000)


def make_params(n_components: int, n_features: int, rng: np.random.Generator) -> MixtureParams:
    weights = np.arange(1.0, n_components + 1)
    places = rng.permuted(np.tile(np.arange(n_components), (n_features, 1)), axis=1).T
    factors = np.tril(rng.normal(scale=0.35, size=(n_components, n_features, n_features)))
    diagonal = np.arange(n_features)
    factors[:, diagonal, diagonal] = rng.uniform(0.8, 1.3, size=(n_components, n_features))
    return MixtureParams(weights / weights.sum(), 10.0 + 2.6 * places, factors)


def make_comparison(
    n_components: int = 2,
    n_features: int = 2,
    *,
    n_samples: int = 120,
    columns: tuple[str, ...] | None = None,
    data: tuple[Array, MixtureParams] | None = None,
    converged: bool = True,
    known_labels: bool = False,
    n_chains: int = 4,
    n_draws: int = 120,
    seed: int = 0,
) -> Comparison:
    """A small Comparison; `data` gives the rows and EM's parameters instead of made-up ones."""
    rng = np.random.default_rng(seed)
    if data is None:
        params = make_params(n_components, n_features, rng)
        data = sample_mixture(params, n_samples, rng)[0], params
    X, params = data
    em = _em_result(X, params, columns or tuple(f"x{d}" for d in range(X.shape[1])))
    weights, means, scale_trils = _draws(len(X), params, n_chains * n_draws, rng)
    if not converged:
        means[:n_draws] += 3.0 * params.scales  # the first chain found another place
    chains = [array.reshape(n_chains, n_draws, *array.shape[1:]) for array in (weights, means, scale_trils)]
    log_likelihood = log_density_of_draws(X, weights, means, scale_trils).reshape(n_chains, n_draws, -1)
    groups = {
        "posterior": posterior_dataset(*chains, em.columns),
        "log_likelihood": xr.Dataset({"X": (("chain", "draw", "obs"), log_likelihood)}),
        "observed_data": xr.Dataset({"X": (("obs", "feature"), X)}, coords={"feature": list(em.columns)}),
        "em": em.to_dataset(),
    }
    if known_labels:
        kinds = [f"<b>kind</b> {k}" for k in em.predict(X)]
        groups["constant_data"] = xr.Dataset({"known_label": ("obs", kinds)})
    tree = xr.DataTree.from_dict(groups)
    tree.attrs = {
        "seed": 1,
        "sampler": "auto",
        "draws": n_draws,
        "chains": n_chains,
        "priors": "weights: Dirichlet(1, 1)\nmeans: Normal, one row per feature\nscales: InverseGamma\ncorrelations: LKJ(2)",
        "starts": "chain 0: EM optimum 1; chain 1: EM optimum 1",
        "pymc_version": "6.4.0",
    }
    with np.errstate(invalid="ignore", divide="ignore"):  # quantities that are constant, as with K = 1, have no R-hat
        return compare(em, tree)


def _em_result(X: Array, params: MixtureParams, names: tuple[str, ...]) -> EMResult:
    best = float(compute_log_density(X, params.weights, params.means, params.scale_trils).sum())
    lesser = MixtureParams(params.weights, params.means + 2.0 * params.scales, params.scale_trils)
    trace = best - 30.0 * 0.6 ** np.arange(12)
    trace[-1] = best
    runs = [EMRun(params, best, trace, EMStatus.CONVERGED, "k-means++")] * 7
    runs += [EMRun(lesser, best - 12.5, trace - 12.5, EMStatus.CONVERGED, "random")] * 2
    reason = "component 1 collapsed onto row 17"
    runs.append(EMRun(None, np.nan, trace[:9] - 40.0, EMStatus.COLLAPSED, "random", reason))
    gamma = compute_responsibilities(X, params.weights, params.means, params.scale_trils)
    return EMResult(
        runs=tuple(runs),
        covariance="VVV",
        columns=names,
        n_samples=len(X),
        total_weight=float(len(X)),
        classification_log_likelihood=float(np.log(gamma.max(axis=1)).sum()),
        entropy=float(-np.sum(gamma * np.log(np.maximum(gamma, 1e-300)))),
    )


def _draws(n_samples: int, params: MixtureParams, n_draws: int, rng: np.random.Generator) -> tuple[Array, Array, Array]:
    n_components, n_features = params.means.shape
    sizes = params.weights * n_samples
    weights = rng.dirichlet(sizes + 1.0, size=n_draws)
    means = np.empty((n_draws, n_components, n_features))
    scale_trils = np.empty((n_draws, n_components, n_features, n_features))
    for k in range(n_components):
        df = max(sizes[k], n_features + 3.0)
        covariances = wishart(df, params.covariances[k] / df).rvs(n_draws, random_state=rng)
        scale_trils[:, k] = np.linalg.cholesky(covariances.reshape(n_draws, n_features, n_features))
        noise = rng.standard_normal((n_draws, n_features)) / np.sqrt(sizes[k])
        means[:, k] = params.means[k] + noise @ params.scale_trils[k].T
    return weights, means, scale_trils
