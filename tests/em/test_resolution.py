"""EM of values recorded to a known step: laws of the step, its optimum, and data rounded until they tie."""

from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from scipy.optimize import minimize
from scipy.stats import norm

from bayesgmm.data import validate
from bayesgmm.datasets import load_faithful, load_iris
from bayesgmm.em.coordinates import coordinates_around
from bayesgmm.em.fit import fit_em, make_problem
from bayesgmm.em.information import information_at
from bayesgmm.em.modes import same_optimum
from bayesgmm.em.noise import SEPARABLE, without_noise
from bayesgmm.em.prior import ConjugatePrior
from bayesgmm.em.record import em_result_from_dataset
from bayesgmm.em.result import EMResult
from bayesgmm.em.run import EMStatus, run_em
from bayesgmm.em.standard_errors import standard_errors
from bayesgmm.em.step import MStep, em_step
from bayesgmm.errors import InputError
from bayesgmm.families import FAMILIES, family_named
from bayesgmm.kernels.density import compute_log_density
from bayesgmm.kernels.rows import rows_of
from bayesgmm.params import Array, MixtureParams
from tests.em.covariance_members import FOURTEEN, random_member
from tests.problems import random_data
from tests.representatives import representatives

IRIS = load_iris().select_dtypes("number").to_numpy()
FAITHFUL = load_faithful().to_numpy()


def rounded(X: Array, step: Array | float) -> Array:
    return np.round(X / step) * step


def problem(family: str, n_features: int = 3) -> tuple[Array, MixtureParams, MixtureParams]:
    """Rows from one member of the family, rounded to 1 in the first column and to 0.7 in the last; that member, and another."""
    rng = np.random.default_rng(3)
    truth = random_member(rng, family, 2, n_features)
    X = random_data(rng, truth, 300)[0]
    X[:, 0], X[:, -1] = rounded(X[:, 0], 1.0), rounded(X[:, -1], 0.7)
    return X, truth, random_member(rng, family, 2, n_features)


NOISE = np.array([1.0, 0.0, 0.49]) / 12


@pytest.mark.parametrize("prior", [None, ConjugatePrior()], ids=["likelihood", "prior"])
@pytest.mark.parametrize("family", FOURTEEN)
def test_the_objective_never_falls(family: str, prior: ConjugatePrior | None) -> None:
    X, _, start = problem(family)
    fitted = make_problem(validate(X), 2, family_named(family), prior=prior, resolution=np.array([1.0, 0.0, 0.7]))
    start = start.affine(1 / fitted.rows.scale, -fitted.rows.location / fitted.rows.scale)
    run = run_em(fitted.rows, start, fitted.m_step, tol=1e-6, max_iter=200, accelerate=False)
    assert run.params is not None, run.reason
    assert run.n_iter > 5
    assert (np.diff(run.trace) > 0).all()


@pytest.mark.parametrize("family", FOURTEEN)
def test_the_gradient_vanishes_at_the_optimum(family: str) -> None:
    """By the closed form of the gradient of the recorded likelihood, which is tested against differences elsewhere."""
    X, truth, _ = problem(family)
    resolution = np.array([1.0, 0.0, 0.7])
    em = fit_em(X, 2, covariance=family, init=truth, tol=1e-10, resolution=resolution)
    assert em.converged
    assert em.unresolved == ()
    coordinates = coordinates_around(em.params, family, em.columns)
    information = information_at(X, np.ones(len(X)), coordinates, resolution)
    np.testing.assert_allclose(information.log_likelihood, em.log_likelihood, rtol=1e-12)
    gain = information.gradient @ np.linalg.solve(information.observed, information.gradient) / 2
    assert 0 <= gain < 1e-7


@pytest.mark.parametrize("family", FOURTEEN)
def test_no_error_is_the_classical_step(family: str) -> None:
    X, _, start = problem(family)
    classical, _ = em_step(start, rows_of(X), MStep(family_named(family)))
    with_tiny_noise, _ = em_step(start, rows_of(X), MStep(family_named(family), noise=np.full(3, 1e-13)))
    assert isinstance(classical, MixtureParams)
    assert isinstance(with_tiny_noise, MixtureParams)
    np.testing.assert_allclose(with_tiny_noise.covariances, classical.covariances, rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("family", sorted(set(SEPARABLE) & set(FOURTEEN)))
def test_both_ways_find_one_optimum(family: str) -> None:
    """Noise taken off in the M-step, and true values expected in the E-step, which a bound that never binds calls for."""
    X, truth, _ = problem(family)
    direct = MStep(family_named(family), noise=NOISE)
    expected = MStep(family_named(family), noise=NOISE, max_eigenvalue_ratio=1e300)
    assert direct.takes_noise_off
    assert not expected.takes_noise_off
    first, second = (run_em(rows_of(X), truth, m_step, tol=1e-11, max_iter=10_000) for m_step in (direct, expected))
    assert first.params is not None
    assert second.params is not None
    np.testing.assert_allclose(first.log_likelihood, second.log_likelihood, rtol=1e-12)
    np.testing.assert_allclose(first.params.covariances, second.params.covariances, rtol=1e-4, atol=1e-5)


def test_brute_force_in_one_column() -> None:
    rng = np.random.default_rng(5)
    x = rounded(np.concatenate([rng.normal(0, 0.5, 60), rng.normal(3, 1.0, 90)]), 0.8)
    em = fit_em(x[:, None], 2, resolution=None, tol=1e-12, seed=0)
    assert em.resolution == (0.8,)

    def cost(theta: Array) -> float:
        weight = 1 / (1 + np.exp(-theta[0]))
        scales = np.sqrt(np.exp(2 * theta[3:]) + 0.8**2 / 12)
        return -float(
            np.logaddexp(
                np.log(weight) + norm.logpdf(x, theta[1], scales[0]), np.log1p(-weight) + norm.logpdf(x, theta[2], scales[1])
            ).sum()
        )

    found = [minimize(cost, rng.normal([0, 0, 3, -0.5, 0], 0.3), method="BFGS", options={"gtol": 1e-8}).fun for _ in range(5)]
    assert em.log_likelihood == pytest.approx(-min(found), abs=1e-8)


def test_one_component_has_the_variance_less_that_of_rounding() -> None:
    x = rounded(np.random.default_rng(0).normal(size=500), 0.5)
    for covariance in ("E", "V"):
        em = fit_em(x[:, None], 1, covariance=covariance, resolution=0.5)
        np.testing.assert_allclose(em.params.covariances[0, 0, 0], x.var() - 0.25 / 12, rtol=1e-12)
    narrow = fit_em(x[:, None], 1, resolution=100.0)
    assert len(narrow.unresolved) == 1
    assert narrow.converged


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize(
    ("X", "n_components"),
    representatives([(rounded(IRIS, 0.5), 3), (rounded(FAITHFUL, [1.0, 10.0]), 2)], 1, others=pytest.mark.slow),
    ids=["iris", "faithful"],
)
def test_heavily_rounded_data_do_not_collapse(name: str, X: Array, n_components: int) -> None:
    X = X[:, -1:] if name in ("E", "V") else X
    em = fit_em(X, n_components, covariance=name, resolution=None, seed=0, n_init=4, max_iter=500)
    assert all(run.params is not None for run in em.runs)
    assert em.converged or (name not in SEPARABLE and em.status is EMStatus.MAX_ITER)
    assert np.isfinite(em.params.scale_trils).all()


def test_an_optimum_at_the_edge() -> None:
    """A group of one single value: no spread beyond rounding, and the likelihood says so without growing without bound."""
    x = np.concatenate([np.zeros(40), rounded(np.random.default_rng(1).normal(6, 2, 60), 1.0)])[:, None]
    em = fit_em(x, 2, resolution=None, seed=0)
    assert em.converged
    assert em.unresolved == (
        f"component {em.predict([[0.0]])[0]} is in some direction no wider than the rounding of the values alone makes it",
    )
    with pytest.raises(InputError, match=r"no wider than the rounding.*use method='bootstrap'"):
        standard_errors(em, x)
    assert np.isfinite(standard_errors(em, x, method="weighted_bootstrap", n_boot=20, seed=0).means).all()


@pytest.mark.parametrize("family", ["VVV", "VEE", "EII"])
def test_units_do_not_matter(family: str) -> None:
    X = FAITHFUL
    factors = np.array([60.0, 60.0]) if family == "EII" else np.array([60.0, 0.01])
    em = fit_em(X, 2, covariance=family, resolution=[0.5, 10.0], seed=0)
    scaled = fit_em(X * factors + 3.0, 2, covariance=family, resolution=[0.5, 10.0] * factors, seed=0)
    np.testing.assert_allclose(
        scaled.params.covariances, em.params.affine(factors, np.zeros(2)).covariances, rtol=1e-6, atol=1e-12
    )
    assert scaled.log_likelihood == pytest.approx(em.log_likelihood - len(X) * np.log(factors).sum(), rel=1e-10)


def test_everything_is_said_of_recorded_values() -> None:
    em = fit_em(FAITHFUL, 2, resolution=[0.5, 10.0], seed=0)
    recorded = em.recorded_params
    np.testing.assert_allclose(
        recorded.covariances - em.params.covariances, np.diag([0.25, 100.0]) / 12 * np.ones((2, 1, 1)), atol=1e-12
    )
    density = compute_log_density(FAITHFUL, recorded.weights, recorded.means, recorded.scale_trils)
    np.testing.assert_allclose(em.log_density(FAITHFUL), density)
    assert em.log_likelihood == pytest.approx(density.sum(), rel=1e-12)
    gamma = em.responsibilities(FAITHFUL)
    assert em.classification_log_likelihood == pytest.approx(np.log(gamma.max(axis=1)).sum(), rel=1e-9)
    sampled, labels = em.sample(200_000, 0)
    np.testing.assert_allclose(np.cov(sampled[labels == 0].T), recorded.covariances[0], rtol=0.03)
    assert same_optimum(em.modes[0].params, em.params)


def test_a_result_keeps_its_resolution(tmp_path: Path) -> None:
    em = fit_em(FAITHFUL, 2, resolution=None, seed=0)
    assert em.resolution == (0.001, 1.0)
    path = tmp_path / "em.nc"
    em.to_dataset().to_netcdf(path, engine="h5netcdf")
    again = em_result_from_dataset(xr.load_dataset(path, engine="h5netcdf"))
    assert isinstance(again, EMResult)
    assert again == em
    assert fit_em(FAITHFUL, 2, seed=0).resolution == (0.0, 0.0)
    assert "resolution" not in fit_em(FAITHFUL, 2, seed=0).to_dataset()


def test_zero_is_the_classical_fit() -> None:
    assert fit_em(FAITHFUL, 2, seed=0, resolution=[0.0, 0]) == fit_em(FAITHFUL, 2, seed=0)


@pytest.mark.slow
def test_standard_errors_of_little_rounding_are_those_of_none() -> None:
    rng = np.random.default_rng(2)
    X = random_data(rng, random_member(rng, "VVV", 2, 2), 400)[0]
    exact, step = fit_em(X, 2, seed=0), 1e-4
    em = fit_em(X, 2, seed=0, resolution=step)
    for method in ("information", "sandwich"):
        ours, classical = (standard_errors(fit, X, method=method) for fit in (em, exact))
        np.testing.assert_allclose(ours.covariances, classical.covariances, rtol=1e-5, atol=1e-9)
        np.testing.assert_allclose(ours.responsibilities(X[:9]), classical.responsibilities(X[:9]), rtol=1e-4, atol=1e-9)
    ours, classical = (standard_errors(fit, X, method="bootstrap", n_boot=10, seed=0) for fit in (em, exact))
    np.testing.assert_allclose(ours.scales, classical.scales, rtol=1e-4)
    np.testing.assert_allclose(ours.responsibilities(X[:9]), classical.responsibilities(X[:9]), rtol=1e-3, atol=1e-9)


def test_taking_noise_off() -> None:
    """Where the covariance exceeds the noise in all directions it is the difference, else the bounded maximum."""
    rng = np.random.default_rng(4)
    noise = np.array([0.5, 0.0, 1.0])
    square = rng.normal(size=(3, 3))
    wide = square @ square.T + 3 * np.eye(3)
    np.testing.assert_allclose(without_noise(wide[None], noise)[0], wide - np.diag(noise), rtol=1e-12, atol=1e-12)
    small = np.array([[0.2, 0.1, 0.3], [0.1, 0.5, 0.2], [0.3, 0.2, 2.0]])
    best = without_noise(small[None], noise)[0]

    def value(covariance: Array) -> float:
        recorded = covariance + np.diag(noise)
        return float(-np.linalg.slogdet(recorded)[1] - np.trace(np.linalg.solve(recorded, small)))

    assert np.linalg.eigvalsh(best)[0] > 0
    for _ in range(200):
        root = np.linalg.cholesky(best) + rng.choice([1e-3, 1e-2, 0.1, 1.0]) * np.tril(rng.normal(size=(3, 3)))
        assert value(root @ root.T) < value(best) + 1e-6
