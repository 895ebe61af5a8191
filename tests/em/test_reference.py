"""EM on Old Faithful against mclust and scikit-learn; tests/reference/README.md says how their figures were made."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bayesgmm.datasets import load_faithful, load_galaxies, load_iris
from bayesgmm.em.fit import fit_em
from bayesgmm.em.result import EMResult
from bayesgmm.em.select import select
from bayesgmm.families.common_orientation import orientation_gradient_norm
from bayesgmm.params import MixtureParams

FOLDER = Path(__file__).parents[1] / "reference"
MCLUST: dict[str, Any] = json.loads((FOLDER / "faithful_mclust.json").read_text(encoding="utf-8"))
SKLEARN: dict[str, Any] = json.loads((FOLDER / "faithful_sklearn.json").read_text(encoding="utf-8"))
MSTEP: dict[str, Any] = {
    name: json.loads((FOLDER / f"mstep_{name}.json").read_text(encoding="utf-8"))
    for name in ("faithful", "iris", "galaxies", "acidity")
}
GRID: dict[str, Any] = json.loads((FOLDER / "grid_mclust.json").read_text(encoding="utf-8"))
X = load_faithful()
DATA = {
    "faithful": X.to_numpy(),
    "iris": load_iris().drop(columns="species").to_numpy(),
    "galaxies": load_galaxies().to_numpy(),
    "acidity": np.array(MSTEP["acidity"]["X"]),
}


def assert_params(actual: MixtureParams, weights: Any, means: Any, covariances: Any, tolerance: float) -> None:
    """Equal in the order of the first mean."""
    order = np.argsort(np.array(means)[:, 0])
    actual = actual.permuted(np.argsort(actual.means[:, 0]))
    np.testing.assert_allclose(actual.weights, np.array(weights)[order], rtol=tolerance)
    np.testing.assert_allclose(actual.means, np.array(means)[order], rtol=tolerance)
    np.testing.assert_allclose(actual.covariances, np.array(covariances)[order], rtol=tolerance)


@pytest.mark.parametrize(("init", "cell"), [("labels", "mstep_hard"), ("z_soft", "mstep_soft")])
def test_one_m_step_is_mclusts(init: str, cell: str) -> None:
    em = fit_em(X, 3, init=np.array(MCLUST[init]), max_iter=0)
    theirs = MCLUST[cell]["VVV"]
    np.testing.assert_allclose(em.log_likelihood, theirs["loglik_obs"], rtol=1e-13)
    assert_params(em.params, theirs["pro"], theirs["mean"], theirs["sigma"], 1e-12)


def test_the_same_path_as_mclust() -> None:
    """Its 229 iterations are an M-step and an E-step each, the first of them our start: 228 of ours lead to the same point."""
    theirs = MCLUST["me_soft"]["VVV"]
    em = fit_em(X, 3, init=np.array(MCLUST["z_soft"]), tol=0.0, max_iter=theirs["iterations"] - 1, accelerate=False)
    np.testing.assert_allclose(em.log_likelihood, theirs["loglik_estep"], rtol=1e-13)
    assert_params(em.params, theirs["pro"], theirs["mean"], theirs["sigma"], 1e-11)
    np.testing.assert_allclose(em.responsibilities(X), theirs["z"], rtol=1e-9, atol=1e-12)
    assert em.n_parameters == theirs["df"]
    np.testing.assert_allclose(em.bic, -theirs["bic"], rtol=1e-13)  # mclust reports the negative


def test_the_limit_of_that_path() -> None:
    """mclust stops 7.5e-9 nats before the limit, 5e-5 in the smallest weight of this flat optimum; we stop 1e-11 before it."""
    theirs = MCLUST["me_soft"]["VVV"]
    start = np.array(MCLUST["z_soft"])
    em, limit = fit_em(X, 3, init=start), fit_em(X, 3, init=start, tol=0.0, accelerate=False)
    assert em.converged
    assert abs(em.log_likelihood - limit.log_likelihood) < 1e-8
    assert_params(em.params, limit.params.weights, limit.params.means, limit.params.covariances, 1e-5)
    assert em.log_likelihood > theirs["loglik_estep"]
    assert_params(em.params, theirs["pro"], theirs["mean"], theirs["sigma"], 1e-4)


@pytest.mark.parametrize(("n_components", "tolerance"), [(2, 1e-7), (3, 5e-6)])
def test_the_optimum_of_scikit_learn(n_components: int, tolerance: float) -> None:
    """Own starts, as far as rounding lets EM go. The parameters differ by the root of what the log-likelihood does, 2e-11."""
    theirs = SKLEARN[f"k{n_components}"]["full"]["exact"]
    em = fit_em(X, n_components, init="kmeans", n_init=1, tol=0.0, seed=0)
    np.testing.assert_allclose(em.log_likelihood, theirs["loglik"], rtol=1e-13)
    assert_params(em.params, theirs["weights"], theirs["means"], theirs["covariances"], tolerance)
    for criterion in ("bic", "aic", "n_parameters"):
        np.testing.assert_allclose(getattr(em, criterion), theirs[criterion], rtol=1e-13)


@pytest.mark.parametrize("n_components", [2, 3])
def test_the_default_tolerance_reaches_it_to_1e_8(n_components: int) -> None:
    theirs = SKLEARN[f"k{n_components}"]["full"]["exact"]
    start = MixtureParams.from_covariances(theirs["weights"], theirs["means"], theirs["covariances"])
    there = fit_em(X, n_components, init=start)
    assert abs(there.log_likelihood - theirs["loglik"]) < 1e-10
    assert_params(there.params, theirs["weights"], theirs["means"], theirs["covariances"], 1e-6)
    near = fit_em(X, n_components, init="kmeans", n_init=1, seed=0)
    assert abs(near.log_likelihood - theirs["loglik"]) < 2e-8


@pytest.mark.parametrize(("data", "name"), [(data, name) for data, theirs in GRID.items() for name in theirs["limit_of_me_soft"]])
def test_every_family_reaches_mclusts_limit(data: str, name: str) -> None:
    """From the same responsibilities, to 1e-8 relative.

    mclust's VVE is not converged, so that ours is to be at least as high, and a stationary point.
    """
    soft = np.array(MSTEP[data]["z_soft"])
    em = fit_em(DATA[data], soft.shape[1], covariance=name, init=soft)
    theirs = GRID[data]["limit_of_me_soft"][name]
    assert em.converged
    if name == "VVE":
        assert em.log_likelihood > theirs - 1e-8 * abs(theirs)
        assert gradient_norm(em, DATA[data]) < 1e-6  # per row; mclust's M-step alone leaves 0.1 to 0.2
    else:
        np.testing.assert_allclose(em.log_likelihood, theirs, rtol=1e-8)


def gradient_norm(em: EMResult, X: Any) -> float:
    """Of the log-likelihood over common rotations, per row."""
    gamma = em.responsibilities(X)
    deviations = X[:, None, :] - em.params.means
    scatters = np.einsum("nk,nki,nkj->kij", gamma, deviations, deviations)
    return orientation_gradient_norm(gamma.sum(axis=0), scatters, np.ascontiguousarray(em.params.covariances))


@pytest.mark.statistical  # some 500 fits a data set, all their starts to the limit
@pytest.mark.parametrize("data", GRID)
def test_bic_is_at_least_as_good_as_mclusts(data: str) -> None:
    """Every cell of mclust's default grid where both converge, with its loose tolerance allowed for: 0.01 in BIC."""
    selection = select(DATA[data], seed=1, n_init=12, n_long=12, progress=False)
    worse = {
        (data, name, size): (-theirs, fit.bic)
        for name, row in GRID[data]["bic"].items()
        for size, theirs in enumerate(row, start=1)
        if theirs is not None and (fit := selection.fits.get((name, size))) is not None and fit.bic > -theirs + 0.01
    }
    assert not worse
