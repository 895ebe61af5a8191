"""Standard errors by information and sandwich: closed forms, laws, messages."""

import numpy as np
import pytest

from bayesgmm.datasets import load_faithful
from bayesgmm.em.fit import fit_em
from bayesgmm.em.mle import fit_mle
from bayesgmm.em.prior import ConjugatePrior
from bayesgmm.em.standard_errors import standard_errors
from bayesgmm.errors import InputError
from bayesgmm.params import MixtureParams
from tests.problems import random_data

KINDS = ("weights", "means", "covariances", "scales", "correlations")
X = load_faithful()
TWO = MixtureParams(
    np.array([0.4, 0.6]), np.array([[0.0, 0.0], [4.0, 1.0]]), np.array([[[1.0, 0.0], [0.5, 1.0]], [[0.7, 0.0], [-0.2, 0.6]]])
)


@pytest.fixture(scope="module")
def em():
    return fit_em(X, 2, seed=0)


def assert_same(errors, others, *, factor=1.0, rtol=1e-6):
    for kind in KINDS:
        np.testing.assert_allclose(getattr(errors, kind), factor * getattr(others, kind), rtol=rtol, atol=1e-12, err_msg=kind)


def test_one_component_is_the_normal_distribution():
    """se(mean) = s / sqrt(N), var(s^2) = 2 s^4 / N, var(s_12) = (s_11 s_22 + s_12^2) / N, se(r) = (1 - r^2) / sqrt(N)."""
    one = fit_em(X, 1, seed=0)
    errors = standard_errors(one, X)
    n_samples, covariance, correlation = len(X), one.params.covariances[0], one.params.correlations[0, 0, 1]
    np.testing.assert_allclose(errors.means[0], one.params.scales[0] / np.sqrt(n_samples), rtol=1e-10)
    expected = np.sqrt((np.outer(np.diag(covariance), np.diag(covariance)) + covariance**2) / n_samples)
    np.testing.assert_allclose(errors.covariances[0], expected, rtol=1e-10)
    np.testing.assert_allclose(errors.scales[0], one.params.scales[0] / np.sqrt(2 * n_samples), rtol=1e-10)
    np.testing.assert_allclose(errors.correlations[0, 0, 1], (1 - correlation**2) / np.sqrt(n_samples), rtol=1e-10)
    np.testing.assert_array_equal(errors.weights, [0.0])
    assert errors.table.loc["weights[0]"].tolist() == [1.0, 0.0, 1.0, 1.0]
    np.testing.assert_array_equal(errors.responsibilities(X), 0.0)


def test_one_component_sandwich_of_a_mean_is_the_same():
    one = fit_em(X, 1, seed=0)
    np.testing.assert_allclose(
        standard_errors(one, X, method="sandwich").means[0], one.params.scales[0] / np.sqrt(len(X)), rtol=1e-10
    )


@pytest.mark.parametrize("method", ["information", "sandwich"])
def test_doubled_rows_halve_variances(em, method):
    errors = standard_errors(em, X, method=method)
    doubled = np.tile(X.to_numpy(), (2, 1))
    twice = fit_em(doubled, 2, init=em.params)
    weighted = fit_em(X, 2, init=em.params, sample_weight=np.full(len(X), 2.0))
    assert_same(standard_errors(twice, doubled, method=method), errors, factor=np.sqrt(0.5), rtol=1e-4)
    with_weights = standard_errors(weighted, X, method=method, sample_weight=np.full(len(X), 2.0))
    assert_same(with_weights, standard_errors(twice, doubled, method=method), rtol=1e-6)


@pytest.mark.parametrize("method", ["information", "sandwich"])
def test_whole_weights_repeat_rows(em, method):
    counts = np.random.default_rng(0).integers(0, 4, len(X))
    repeated = np.repeat(X.to_numpy(), counts, axis=0)
    weighted = fit_em(X, 2, init=em.params, sample_weight=counts)
    plain = fit_em(repeated, 2, init=em.params)
    assert_same(
        standard_errors(weighted, X, method=method, sample_weight=counts),
        standard_errors(plain, repeated, method=method),
        rtol=1e-5,
    )


@pytest.mark.parametrize("covariance", ["EII", "VEI", "EEE", "VVE", "VEV", "VVV"])
def test_components_have_no_order(covariance):
    fitted = fit_em(X, 2, covariance=covariance, seed=0)
    other = fit_em(X, 2, covariance=covariance, init=fitted.params.permuted([1, 0]))
    errors, others = standard_errors(fitted, X), standard_errors(other, X)
    for kind in KINDS:
        np.testing.assert_allclose(getattr(others, kind)[::-1], getattr(errors, kind), rtol=1e-4, atol=1e-9)


@pytest.mark.parametrize("covariance", ["VVI", "EEE", "VVV"])
@pytest.mark.parametrize(("scale", "shift"), [([3.0, 0.01], [7.0, -20.0]), ([1e120, 1e-120], [0.0, 0.0])])
def test_units_are_followed(covariance, scale, shift):
    """x -> scale x + shift multiplies errors of means and scales by scale, and leaves those without units."""
    scale, shift = np.array(scale), np.array(shift)
    fitted = fit_em(X, 2, covariance=covariance, seed=0)
    moved = X.to_numpy() * scale + shift
    errors = standard_errors(fitted, X)
    others = standard_errors(fit_em(moved, 2, covariance=covariance, init=fitted.params.affine(scale, shift)), moved)
    for kind in KINDS:
        unit = {"means": scale, "scales": scale, "covariances": np.outer(scale, scale)}.get(kind, 1.0)
        np.testing.assert_allclose(getattr(others, kind) / unit, getattr(errors, kind), rtol=1e-4, atol=1e-9, err_msg=kind)


def test_turning_the_data_turns_the_covariance_of_a_mean(em):
    turn = np.array([[0.8, -0.6], [0.6, 0.8]])
    turned = X.to_numpy() @ turn.T
    start = MixtureParams.from_covariances(em.params.weights, em.params.means @ turn.T, turn @ em.params.covariances @ turn.T)
    matrix = standard_errors(em, X).covariance_matrix
    other = standard_errors(fit_em(turned, 2, init=start), turned).covariance_matrix
    np.testing.assert_allclose(other[1:3, 1:3], turn @ matrix[1:3, 1:3] @ turn.T, rtol=1e-4)


def test_the_covariance_matrix_belongs_to_the_errors(em):
    errors = standard_errors(em, X)
    names, diagonal = errors.coordinates.names, np.sqrt(np.diag(errors.covariance_matrix))
    assert len(names) == em.n_parameters
    np.testing.assert_allclose(diagonal[names.index("means[1, waiting]")], errors.means[1, 1], rtol=1e-10)
    np.testing.assert_allclose(
        diagonal[names.index("covariances[0, waiting, eruptions]")], errors.covariances[0, 1, 0], rtol=1e-10
    )
    weight = em.params.weights[0]
    np.testing.assert_allclose(diagonal[0] * weight * (1 - weight), errors.weights[0], rtol=1e-10)


def test_information_and_sandwich_agree_where_the_model_is_true():
    """Both estimate one covariance matrix.

    The mean of N squared scores has a relative standard error of sqrt(kappa / N), where kappa is below 30 for scores that are
    quadratic in a normal variable; a standard error has half of it. Four of these.
    """
    rng = np.random.default_rng(3)
    n_samples = 200_000
    rows, _ = random_data(rng, TWO, n_samples)
    fitted = fit_em(rows, 2, init=TWO)
    information, sandwich = standard_errors(fitted, rows), standard_errors(fitted, rows, method="sandwich")
    assert_same(sandwich, information, rtol=4 * 0.5 * np.sqrt(30 / n_samples))
    z = (fitted.params.means - TWO.means) / information.means
    assert np.abs(z).max() < 4


def test_they_differ_where_it_is_not():
    """Laplace-like tails: the variance of a variance is twice and a half what normality says."""
    rows = np.random.default_rng(4).laplace(size=(20_000, 1))
    fitted = fit_em(rows, 1)
    ratio = standard_errors(fitted, rows, method="sandwich").covariances / standard_errors(fitted, rows).covariances
    assert abs(ratio[0, 0, 0] - np.sqrt(2.5)) < 0.15


def test_table(em):
    table = standard_errors(em, X, ci_prob=0.9).table
    assert list(table.columns) == ["estimate", "standard_error", "lower", "upper"]
    assert table.index.name == "parameter"
    assert {"weights[1]", "means[0, eruptions]", "scales[1, waiting]", "correlations[0, eruptions, waiting]"} <= set(table.index)
    assert len(table) == 2 + 4 + 4 + 2
    assert (table["lower"] < table["estimate"]).all()
    assert (table["estimate"] < table["upper"]).all()
    reach = table.loc["means[0, waiting]", "upper"] - table.loc["means[0, waiting]", "estimate"]
    np.testing.assert_allclose(reach, 1.6448536 * table.loc["means[0, waiting]", "standard_error"], rtol=1e-7)


def test_intervals_stay_inside():
    rows = np.random.default_rng(5).normal(size=(12, 2)) @ np.array([[1.0, 0.98], [0.0, 0.1]])
    rows[:3] += 30.0
    table = standard_errors(fit_em(rows, 2, covariance="EEE", seed=0), rows, ci_prob=0.999).table
    assert table.filter(like="weights", axis=0)[["lower", "upper"]].stack().between(0, 1).all()
    assert (table.filter(like="scales", axis=0)["lower"] > 0).all()
    assert table.filter(like="correlations", axis=0)[["lower", "upper"]].stack().between(-1, 1).all()


def test_a_saddle_is_named():
    """Two equal components are a stationary point of EM, and no maximum."""
    one = fit_em(X, 1, seed=0).params
    saddle = MixtureParams(np.array([0.5, 0.5]), np.tile(one.means, (2, 1)), np.tile(one.scale_trils, (2, 1, 1)))
    stuck = fit_em(X, 2, init=saddle)
    with pytest.raises(InputError, match=r"not positive definite.*smallest eigenvalue -.*\[[01].*fewer components"):
        standard_errors(stuck, X)


def test_round_components_have_no_orientation():
    """EEV at equal eigenvalues: a rotation changes nothing."""
    corners = np.array([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]])
    rows = np.concatenate([np.tile(corners, (10, 1)), 50.0 + np.tile(corners, (10, 1))])
    start = MixtureParams(np.full(2, 0.5), np.array([[0.0, 0.0], [50.0, 50.0]]), np.array([np.eye(2)] * 2))
    with pytest.raises(InputError, match=r"singular.*rotation\["):
        standard_errors(fit_em(rows, 2, covariance="EEV", init=start), rows)


def test_a_fit_that_was_stopped_is_noted():
    stopped = fit_em(X, 2, seed=0, n_init=1, max_iter=3)
    errors = standard_errors(stopped, X)
    assert "max_iter" in errors.notes[0]
    assert any("no maximum" in note for note in errors.notes)
    assert "no maximum" in repr(errors)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"X": X.iloc[:-1]}, "not those that em was fitted to"),
        ({"X": X + 1.0}, "not those that em was fitted to"),
        ({"X": X.rename(columns={"waiting": "pause"})}, "pause"),
        ({"sample_weight": np.full(len(X), 2.0)}, "not those that em was fitted to"),
        ({"method": "magic"}, "choose one of: information, sandwich"),
        ({"n_boot": 1}, "n_boot must be a whole number of at least 2"),
        ({"ci_prob": 95}, "ci_prob must be a number between 0 and 1"),
        ({"seed": -1}, "seed"),
    ],
)
def test_arguments_are_checked(em, arguments, said):
    with pytest.raises(InputError, match=said):
        standard_errors(em, **{"X": X, **arguments})


@pytest.mark.parametrize("method", ["information", "sandwich"])
@pytest.mark.parametrize(
    ("fitted_with", "said"),
    [({"prior": ConjugatePrior()}, "a prior"), ({"max_eigenvalue_ratio": 4.0}, "at their bound, max_eigenvalue_ratio=4")],
)
def test_a_prior_and_an_active_bound_are_refused(method, fitted_with, said):
    with pytest.raises(InputError, match=rf"method='{method}' is for maximum likelihood.*{said}.*method='bootstrap'"):
        standard_errors(fit_em(X, 2, seed=0, n_init=2, **fitted_with), X, method=method)


@pytest.mark.parametrize("method", ["information", "sandwich"])
def test_a_bound_that_is_not_reached_changes_nothing(em, method):
    bounded = fit_em(X, 2, init=em.params, max_eigenvalue_ratio=1e3)
    assert_same(standard_errors(bounded, X, method=method), standard_errors(em, X, method=method), rtol=1e-4)


@pytest.mark.parametrize("method", ["information", "sandwich", "bootstrap", "weighted_bootstrap", "jackknife"])
def test_labelled_data_are_refused(em, method):
    with pytest.raises(InputError, match=r"fit of labelled data \(fit_mle\).*bootstrap rows and labels together"):
        standard_errors(fit_mle(X, em.predict(X)), X, method=method, n_boot=2)


def test_repr(em):
    errors = standard_errors(em, X)
    weights = ", ".join(f"{weight:.3f} ± 0.029" for weight in em.params.weights)
    assert repr(errors) == f"StandardErrors(information, VVV, K=2, D=2: weights {weights})"
