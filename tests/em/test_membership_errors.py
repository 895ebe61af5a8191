"""Standard errors of EM's plug-in memberships: finite differences of everything, laws, hard cases, reasons."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.special import logsumexp
from scipy.stats import multivariate_normal

from bayesgmm.datasets import load_faithful
from bayesgmm.em import membership_errors as module
from bayesgmm.em.coordinates import coordinates_around
from bayesgmm.em.fit import fit_em
from bayesgmm.em.membership_errors import membership_errors
from bayesgmm.em.mle import fit_mle
from bayesgmm.em.prior import ConjugatePrior
from bayesgmm.params import MixtureParams
from tests.representatives import representative_values

FAITHFUL = load_faithful()
X = FAITHFUL.to_numpy()
NEW = np.array([[3.0, 65.0], [2.6, 70.0], [3.4, 62.0], [5.0, 90.0]])
"""Between the groups, and in one."""


@pytest.fixture(scope="module")
def em():
    return fit_em(FAITHFUL, 2, seed=0)


def joint_log_density(rows, weights, means, covariances):
    """ln pi_k N(x_n; mu_k, Sigma_k) by SciPy, (N, K)."""
    parts = zip(weights, means, covariances, strict=True)
    return np.column_stack([np.log(w) + multivariate_normal(m, c).logpdf(rows) for w, m, c in parts])


def by_finite_differences(em, rows, resolution=None):
    """Second differences of the log-likelihood, inverted, and first differences of the memberships."""
    coordinates = coordinates_around(em.params, em.covariance, em.columns)
    rounding = 0.0 if resolution is None else np.diag(np.square(resolution)) / 12

    def joint(theta, at):
        weights, means, covariances = coordinates.at(theta)
        return joint_log_density(at, weights, means, covariances + rounding)

    def total(theta):
        return logsumexp(joint(theta, X), axis=1).sum()

    def memberships(theta):
        parts = joint(theta, rows)
        return np.exp(parts - logsumexp(parts, axis=1, keepdims=True))

    step, size = 2e-3, coordinates.size
    moves = step * np.eye(size)
    hessian = np.array([[total(a + b) - total(a - b) - total(b - a) + total(-a - b) for a in moves] for b in moves]) / (
        4 * step**2
    )
    slopes = np.array([memberships(a / 10) - memberships(-a / 10) for a in moves]) / (0.2 * step)
    return np.sqrt(np.einsum("pnk,pq,qnk->nk", slopes, np.linalg.inv(-hessian), slopes))


@pytest.mark.parametrize("family", representative_values(["EII", "EEE", "VVE", "VVV"], 0, 1, 3, others=pytest.mark.slow))
def test_finite_differences(family):
    fit = fit_em(FAITHFUL, 2, covariance=family, seed=0, tol=1e-10)
    found = membership_errors(fit, FAITHFUL, NEW)
    assert found.note == ""
    np.testing.assert_allclose(found.values, by_finite_differences(fit, NEW), rtol=1e-3, atol=1e-9)


def test_finite_differences_with_a_resolution():
    steps = [0.5, 10.0]
    fit, exact = (fit_em(FAITHFUL, 2, covariance="EII", resolution=given, seed=0, tol=1e-10) for given in (steps, None))
    found = membership_errors(fit, FAITHFUL, NEW).values
    np.testing.assert_allclose(found, by_finite_differences(fit, NEW, steps), rtol=1e-3, atol=1e-9)
    assert np.abs(found[:3] / membership_errors(exact, FAITHFUL, NEW).values[:3] - 1).min() > 0.01


def test_a_resolution_that_free_covariances_take_up_changes_nothing(em):
    """Sigma_k + H is as free as Sigma_k."""
    rounded = fit_em(FAITHFUL, 2, resolution=[0.1, 1.0], init=em.params, tol=1e-10)
    np.testing.assert_allclose(
        membership_errors(rounded, FAITHFUL, NEW).values, membership_errors(em, FAITHFUL, NEW).values, rtol=1e-4
    )


def test_new_rows_equal_to_old_ones(em):
    np.testing.assert_array_equal(
        membership_errors(em, FAITHFUL, X[7:20]).values, membership_errors(em, FAITHFUL, X).values[7:20]
    )


def test_of_two_components_the_errors_are_equal(em):
    """gamma_n1 + gamma_n2 = 1."""
    errors = membership_errors(em, FAITHFUL, NEW).values
    np.testing.assert_allclose(errors[:, 0], errors[:, 1], rtol=1e-9, atol=1e-15)
    assert (errors[:3] > 1e-4).all()


def test_components_in_another_order(em):
    runs = tuple(replace(run, params=run.params.permuted([1, 0])) for run in em.runs)
    other = membership_errors(replace(em, runs=runs), FAITHFUL, NEW).values
    np.testing.assert_allclose(other, membership_errors(em, FAITHFUL, NEW).values[:, ::-1], rtol=1e-8)


def test_other_units(em):
    scale, shift = np.array([1e-3, 40.0]), np.array([5.0, -1e3])
    moved = fit_em(X * scale + shift, 2, init=em.params.affine(scale, shift), tol=1e-10)
    found = membership_errors(moved, X * scale + shift, NEW * scale + shift).values
    np.testing.assert_allclose(found, membership_errors(em, FAITHFUL, NEW).values, rtol=1e-3)


def test_every_row_four_times_halves_the_errors(em):
    many = np.tile(X, (4, 1))
    fit = fit_em(many, 2, init=em.params)
    np.testing.assert_allclose(
        membership_errors(fit, many, NEW).values, membership_errors(em, FAITHFUL, NEW).values / 2, rtol=1e-3
    )


def test_one_component_is_certain():
    np.testing.assert_array_equal(membership_errors(fit_em(FAITHFUL, 1), FAITHFUL, NEW).values, np.zeros((4, 1)))


@pytest.mark.parametrize("distance", [1e3, 1e5, 1e80, 1e160])
def test_far_rows_are_certain(em, distance):
    rows = np.array([[distance, 0.0], [0.0, -distance]])
    assert (em.responsibilities(rows).min(axis=1) < 1e-200).all()
    found = membership_errors(em, FAITHFUL, rows).values
    assert (found >= 0).all()
    assert (found < 1e-200).all()


def empty_component(em):
    """A fit whose last component has lost its weight."""
    params = em.params
    three = MixtureParams(
        np.append(params.weights, 0.0),
        np.vstack([params.means, X.mean(axis=0)]),
        np.concatenate([params.scale_trils, [np.eye(2)]]),
    )
    return replace(em, runs=(replace(em.runs[0], params=three),))


@pytest.mark.parametrize(
    ("make", "data", "said"),
    [
        (lambda _: fit_em(X, 2, max_iter=3, seed=0), X, "not at its limit"),
        (lambda _: fit_em(X, 2, prior=ConjugatePrior(), seed=0), X, "fitted with a prior"),
        (lambda _: fit_em(X, 2, sample_weight=np.linspace(1, 2, len(X)), seed=0), X, "not those that em was fitted to"),
        (lambda _: fit_mle(X, np.where(X[:, 0] < 3, "short", "long")), X, "labelled data"),
        (lambda em: em, X[:-1], "not those that em was fitted to"),
        (empty_component, X, "weight of component 2 is 0"),
    ],
)
def test_what_has_no_standard_errors_says_why(em, make, data, said):
    fit = make(em)
    found = membership_errors(fit, data, NEW)
    assert found.values.shape == (4, fit.params.n_components)
    assert np.isnan(found.values).all()
    assert said in found.note


def test_a_singular_information_says_so():
    """Two components at one place: the likelihood is flat in the weights."""
    rng = np.random.default_rng(4)
    rows = rng.standard_normal((60, 2))
    one = fit_em(rows, 1).params
    twin = MixtureParams(np.array([0.5, 0.5]), np.repeat(one.means, 2, 0), np.repeat(one.scale_trils, 2, 0))
    found = membership_errors(fit_em(rows, 2, init=twin), rows, rows)
    assert np.isnan(found.values).all()
    assert "singular" in found.note or "not positive definite" in found.note


def test_a_large_information_is_not_computed_unasked(em, monkeypatch):
    monkeypatch.setattr(module, "MOST_PARAMETERS", 10)
    found = membership_errors(em, FAITHFUL, NEW)
    assert np.isnan(found.values).all()
    assert "11 free parameters, more than 10" in found.note


def test_an_estimate_beside_the_maximum_is_noted(em):
    runs = (replace(em.runs[0], params=em.params.affine(np.ones(2), np.array([0.0, 0.1]))),)
    beside = replace(em, runs=runs)
    log_likelihood = float(beside.log_density(X).sum())
    beside = replace(beside, runs=(replace(runs[0], log_likelihood=log_likelihood),))
    found = membership_errors(beside, FAITHFUL, NEW)
    assert np.isfinite(found.values).all()
    assert "no maximum of the likelihood" in found.note
