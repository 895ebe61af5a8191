"""EM on Old Faithful against mclust and scikit-learn; tests/reference/README.md says how their figures were made."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bayesgmm.datasets import load_faithful
from bayesgmm.em.fit import fit_em
from bayesgmm.params import MixtureParams

FOLDER = Path(__file__).parents[1] / "reference"
MCLUST: dict[str, Any] = json.loads((FOLDER / "faithful_mclust.json").read_text(encoding="utf-8"))
SKLEARN: dict[str, Any] = json.loads((FOLDER / "faithful_sklearn.json").read_text(encoding="utf-8"))
X = load_faithful()


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
    em = fit_em(X, 3, init=np.array(MCLUST["z_soft"]), tol=0.0, max_iter=theirs["iterations"] - 1)
    np.testing.assert_allclose(em.log_likelihood, theirs["loglik_estep"], rtol=1e-13)
    assert_params(em.params, theirs["pro"], theirs["mean"], theirs["sigma"], 1e-11)
    np.testing.assert_allclose(em.responsibilities(X), theirs["z"], rtol=1e-9, atol=1e-12)
    assert em.n_parameters == theirs["df"]
    np.testing.assert_allclose(em.bic, -theirs["bic"], rtol=1e-13)  # mclust reports the negative


def test_the_limit_of_that_path() -> None:
    """mclust stops 7e-9 nats before the limit, which is 1e-5 in the parameters of this flat optimum."""
    theirs = MCLUST["me_soft"]["VVV"]
    em = fit_em(X, 3, init=np.array(MCLUST["z_soft"]))
    assert em.converged
    assert abs(em.log_likelihood - theirs["loglik_estep"]) < 1e-8
    assert_params(em.params, theirs["pro"], theirs["mean"], theirs["sigma"], 2e-5)


@pytest.mark.parametrize(("n_components", "tolerance"), [(2, 1e-7), (3, 5e-6)])
def test_the_optimum_of_scikit_learn(n_components: int, tolerance: float) -> None:
    """Own starts, as far as rounding lets EM go. The parameters differ by the root of what the log-likelihood does, 2e-11."""
    theirs = SKLEARN[f"k{n_components}"]["full"]["exact"]
    em = fit_em(X, n_components, init="k-means", n_init=1, tol=0.0, seed=0)
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
    near = fit_em(X, n_components, init="k-means", n_init=1, seed=0)
    assert abs(near.log_likelihood - theirs["loglik"]) < 2e-8


@pytest.mark.parametrize("n_components", range(1, 10))
def test_bic_is_at_least_as_good_as_mclusts(n_components: int) -> None:
    """From starts of our own, without its hierarchical clustering. Its tolerance is loose, hence up to 0.1; so is ours here."""
    theirs = MCLUST["bic"]["VVV"][str(n_components)]
    em = fit_em(X, n_components, n_init=10, tol=0.01, seed=1)
    assert em.n_parameters == theirs["df"]
    assert em.bic <= -theirs["bic"] + 0.1
