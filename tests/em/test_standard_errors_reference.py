"""Bootstrap and jackknife against mclust's; tests/reference/README.md says how their figures were made, and what they miss."""

import json
from pathlib import Path

import numpy as np

from bayesgmm.datasets import load_faithful, load_iris
from bayesgmm.em.fit import fit_em
from bayesgmm.em.resampling import spread
from bayesgmm.em.standard_errors import standard_errors
from bayesgmm.kernels.density import compute_log_density, compute_responsibilities
from bayesgmm.params import MixtureParams

MCLUST = json.loads((Path(__file__).parents[1] / "reference" / "bootstrap_mclust.json").read_text(encoding="utf-8"))
DATA = {"faithful": load_faithful().to_numpy(), "iris": load_iris().drop(columns="species").to_numpy()}


def their_estimate(name):
    estimate = MCLUST[name]["estimate"]
    covariances = np.array(estimate["sigma"])
    return MixtureParams.from_covariances(estimate["pro"], estimate["mean"], (covariances + covariances.swapaxes(1, 2)) / 2)


def excess(errors, name, method):
    """Ours over theirs, by kind."""
    theirs = MCLUST[name][method]["se"]
    return [
        errors.weights / np.array(theirs["pro"]),
        errors.means / np.array(theirs["mean"]),
        errors.covariances / np.array(theirs["variance"]),
    ]


def chance(errors, n_theirs):
    """Relative standard error of the ratio of two bootstrap standard errors, by kind: sqrt((kurtosis - 1) / 4 (1/B + 1/B'))."""
    replicates = errors.replicates
    out = []
    for values in (replicates.weights, replicates.means, replicates.covariances):
        z = (values - values.mean(axis=0)) / values.std(axis=0)
        out.append(np.sqrt(((z**4).mean(axis=0) - 1) / 4 * (1 / len(values) + 1 / n_theirs)))
    return out


def test_jackknife_of_well_separated_components():
    """Iris, VEV, 2: EM takes two iterations to its limit, so that even a loose tolerance is tight."""
    fitted = fit_em(DATA["iris"], 2, covariance="VEV", init=their_estimate("iris"))
    errors = standard_errors(fitted, DATA["iris"], method="jackknife")
    for ratio in excess(errors, "iris", "jk"):
        np.testing.assert_allclose(ratio, 1.0, rtol=1e-4)


def test_bootstrap_of_well_separated_components():
    fitted = fit_em(DATA["iris"], 2, covariance="VEV", init=their_estimate("iris"))
    errors = standard_errors(fitted, DATA["iris"], method="bootstrap", n_boot=150, seed=1)
    for ratio, error in zip(excess(errors, "iris", "bs"), chance(errors, 999), strict=True):
        assert (np.abs(ratio - 1) < 4 * error).all()


def test_jackknife_of_overlapping_components_is_the_sandwich():
    """Faithful, EEE, 3: both are first-order approximations to one thing; mclust's own is smaller by up to 2.6 times."""
    fitted = fit_em(DATA["faithful"], 3, covariance="EEE", init=their_estimate("faithful"))
    errors = standard_errors(fitted, DATA["faithful"], method="jackknife")
    sandwich = standard_errors(fitted, DATA["faithful"], method="sandwich")
    np.testing.assert_allclose(errors.weights, sandwich.weights, rtol=0.03)
    np.testing.assert_allclose(errors.means, sandwich.means, rtol=0.03)
    weights, means, _ = excess(errors, "faithful", "jk")
    np.testing.assert_allclose(weights, [2.6, 1.0, 2.05], rtol=0.02)
    np.testing.assert_allclose(means[1], 1.0, rtol=1e-3)


def test_mclusts_jackknife_is_that_of_an_em_stopped_at_once():
    """Its stopping rule, a relative change of l below 1e-5, is met after two or three iterations, before a replicate has moved.

    That rule gives its figures, up to the E-step that lies between the memberships and the parameters that it reports.
    """
    X, estimate = DATA["faithful"], their_estimate("faithful")
    start = compute_responsibilities(X, estimate.weights, estimate.means, estimate.scale_trils)
    found = [stopped_early(np.delete(X, n, axis=0), np.delete(start, n, axis=0)) for n in range(len(X))]
    theirs, counts = MCLUST["faithful"]["jk"]["se"], np.ones(len(X))
    np.testing.assert_allclose(
        spread(np.array([weights for weights, _ in found]), counts, jackknife=True), theirs["pro"], rtol=0.02
    )
    np.testing.assert_allclose(spread(np.array([means for _, means in found]), counts, jackknife=True), theirs["mean"], rtol=0.02)


def stopped_early(X, memberships):
    """Weights and means by EM with one common covariance matrix, stopped as mclust stops by default."""
    before = np.inf
    while True:
        counts = memberships.sum(axis=0)
        means = (memberships.T @ X) / counts[:, None]
        total = X.T @ X - (means.T * counts) @ means
        trils = np.array([np.linalg.cholesky(total / len(X))] * len(counts))
        log_likelihood = compute_log_density(X, counts / len(X), means, trils).sum()
        if abs(log_likelihood - before) <= 1e-5 * (1 + abs(log_likelihood)):
            return counts / len(X), means
        memberships, before = compute_responsibilities(X, counts / len(X), means, trils), log_likelihood
