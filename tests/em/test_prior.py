"""Maximum a posteriori EM: the formulas of Fraley and Raftery (2007), the prior's density, and what it prevents."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy.stats import invwishart, multivariate_normal

from bayesgmm.em.fit import fit_em
from bayesgmm.em.prior import ConjugatePrior
from bayesgmm.em.result import EMResult
from bayesgmm.errors import FitError, InputError
from bayesgmm.params import MixtureParams
from tests.em.covariance_members import FOURTEEN, random_member
from tests.problems import Array, random_data, random_params

N_COMPONENTS, N_FEATURES = 3, 2
every_family = pytest.mark.parametrize("name", FOURTEEN)
GIVEN = ConjugatePrior(shrinkage=2.5, mean=[0.3, -0.2], degrees_of_freedom=5.5, scale=[[1.2, 0.3], [0.3, 0.8]])


def problem(seed: int = 0, n_samples: int = 90) -> tuple[Array, Array]:
    """Rows of a mixture and the components they came from, each of them occupied."""
    rng = np.random.default_rng(seed)
    X, _ = random_data(rng, random_params(rng, N_COMPONENTS, N_FEATURES), n_samples)
    return X, np.arange(n_samples) % 10 % N_COMPONENTS  # a poor partition, of groups that are not of one size


def resolved(prior: ConjugatePrior, X: Array) -> tuple[float, Array, float, Array]:
    """Shrinkage, mean, degrees of freedom and scale, with the defaults of section 3.2 of the paper."""
    n_features = X.shape[1]
    mean = X.mean(axis=0) if prior.mean is None else np.asarray(prior.mean)
    nu = n_features + 2 if prior.degrees_of_freedom is None else prior.degrees_of_freedom
    scale = np.cov(X.T, bias=True) / N_COMPONENTS ** (2 / n_features) if prior.scale is None else np.asarray(prior.scale)
    return prior.shrinkage, mean, nu, scale


def parts(X: Array, labels: Array, prior: ConjugatePrior) -> tuple[Array, Array, Array]:
    """Counts, means and, for each group, Lambda + W_k + kappa n_k / (kappa + n_k) d d' without Lambda."""
    kappa, mean, _, _ = resolved(prior, X)
    groups = [X[labels == k] for k in range(N_COMPONENTS)]
    counts = np.array([len(group) for group in groups])
    means = np.array([(group.sum(axis=0) + kappa * mean) / (len(group) + kappa) for group in groups])
    scatters = []
    for group in groups:
        n, shift = len(group), group.mean(axis=0) - mean
        scatters.append(n * np.cov(group.T, bias=True) + kappa * n / (kappa + n) * np.outer(shift, shift))
    return counts, means, np.array(scatters)


@pytest.mark.parametrize("prior", [ConjugatePrior(), GIVEN, ConjugatePrior(shrinkage=0.0)])
class TestMStep:
    """From given labels, before the first iteration: table 1 of the paper."""

    def test_own_covariances(self, prior: ConjugatePrior) -> None:
        X, labels = problem()
        em = fit_em(X, N_COMPONENTS, covariance="VVV", init=labels, max_iter=0, prior=prior)
        kappa, _, nu, scale = resolved(prior, X)
        counts, means, scatters = parts(X, labels, prior)
        # Where the means have no prior, the term ln |Sigma_k| / 2 that it brings is missing.
        denominators = nu + counts + N_FEATURES + (2 if kappa > 0 else 1)
        np.testing.assert_allclose(em.params.weights, counts / len(X), rtol=1e-13)
        np.testing.assert_allclose(em.params.means, means, rtol=1e-11, atol=1e-12)
        np.testing.assert_allclose(em.params.covariances, (scale + scatters) / denominators[:, None, None], rtol=1e-11)

    def test_one_covariance(self, prior: ConjugatePrior) -> None:
        X, labels = problem()
        em = fit_em(X, N_COMPONENTS, covariance="EEE", init=labels, max_iter=0, prior=prior)
        kappa, _, nu, scale = resolved(prior, X)
        _, means, scatters = parts(X, labels, prior)
        denominator = nu + len(X) + N_FEATURES + 1 + (N_COMPONENTS if kappa > 0 else 0)
        np.testing.assert_allclose(em.params.means, means, rtol=1e-11, atol=1e-12)
        np.testing.assert_allclose(em.params.covariances, [(scale + scatters.sum(axis=0)) / denominator] * 3, rtol=1e-11)


class TestObjective:
    @pytest.mark.parametrize("prior", [ConjugatePrior(), GIVEN, ConjugatePrior(shrinkage=0.0)])
    @pytest.mark.parametrize("name", ["VVV", "EEE"])
    def test_log_likelihood_plus_log_prior(self, name: str, prior: ConjugatePrior) -> None:
        """Up to a constant: differences between two mixtures, against SciPy's densities."""
        X, _ = problem()
        kappa, mean, nu, scale = resolved(prior, X)

        def expected(params: MixtureParams) -> float:
            covariances = params.covariances if name == "VVV" else params.covariances[:1]
            total = sum(invwishart(nu, scale).logpdf(covariance) for covariance in covariances)
            if kappa > 0:
                pairs = zip(params.means, params.covariances, strict=True)
                total += sum(multivariate_normal(mean, covariance / kappa).logpdf(m) for m, covariance in pairs)
            return float(total)

        rng = np.random.default_rng(1)
        first, second = (random_member(rng, name, N_COMPONENTS, N_FEATURES) for _ in range(2))
        fits = [fit_em(X, N_COMPONENTS, covariance=name, init=p, max_iter=0, prior=prior) for p in (first, second)]
        ours = [em.trace[0] - em.log_likelihood for em in fits]
        np.testing.assert_allclose(ours[1] - ours[0], expected(second) - expected(first), rtol=1e-10)
        without = fit_em(X, N_COMPONENTS, covariance=name, init=first, max_iter=0)
        np.testing.assert_allclose(fits[0].log_likelihood, without.log_likelihood, rtol=1e-13)

    @every_family
    @pytest.mark.parametrize("accelerate", [False, True])
    def test_it_never_falls(self, name: str, accelerate: bool) -> None:
        X, labels = problem(1)
        prior = ConjugatePrior(shrinkage=0.5)
        em = fit_em(X, N_COMPONENTS, covariance=name, init=labels, prior=prior, accelerate=accelerate, tol=1e-3, max_iter=80)
        assert (np.diff(em.trace) >= 0).all()

    @pytest.mark.parametrize("name", ["VVV", "EEE", "VVI", "EII"])
    def test_the_limit_is_a_maximum(self, name: str) -> None:
        """Means and volumes moved a little either way."""
        X, labels = problem(1)
        prior = ConjugatePrior(shrinkage=1.0)
        em = fit_em(X, N_COMPONENTS, covariance=name, init=labels, prior=prior, tol=1e-9)

        def objective(params: MixtureParams) -> float:
            return fit_em(X, N_COMPONENTS, covariance=name, init=params, prior=prior, max_iter=0).trace[0]

        best = objective(em.params)
        np.testing.assert_allclose(best, em.trace[-1], rtol=1e-12)
        weights, means, trils = em.params.weights, em.params.means, em.params.scale_trils
        for step in (-1e-2, 1e-2):
            assert objective(MixtureParams(weights, means + step * em.params.scales, trils)) < best
            assert objective(MixtureParams(weights, means, trils * (1 + step))) < best


class TestEffect:
    def with_a_repeated_row(self) -> tuple[Array, Array]:
        rng = np.random.default_rng(0)
        return np.vstack([rng.normal(size=(60, 2)), [[4.0, 4.0], [4.0, 4.0]]]), np.repeat([0, 1], [60, 2])

    @every_family
    def test_no_component_collapses(self, name: str) -> None:
        X, labels = self.with_a_repeated_row()
        em = fit_em(X, 2, covariance=name, init=labels, prior=ConjugatePrior(), tol=1e-6)
        assert em.converged
        np.testing.assert_allclose(em.params.weights[1], 2 / 62, atol=0.01)

    @pytest.mark.parametrize("name", ["VII", "VVI", "VVV", "EVV", "VEE"])
    def test_without_it_one_does(self, name: str) -> None:
        X, labels = self.with_a_repeated_row()
        with pytest.raises(FitError, match="collapsed"):
            fit_em(X, 2, covariance=name, init=labels)

    def test_a_good_fit_hardly_changes(self) -> None:
        rng = np.random.default_rng(0)
        X, labels = random_data(rng, random_params(rng, 2, 2), 5000)
        plain, penalised = (fit_em(X, 2, init=labels, prior=prior) for prior in (None, ConjugatePrior()))
        np.testing.assert_allclose(penalised.params.weights, plain.params.weights, atol=5e-3)
        np.testing.assert_allclose(penalised.params.means, plain.params.means, atol=2e-2)
        assert plain.log_likelihood - 1 < penalised.log_likelihood < plain.log_likelihood

    def test_much_shrinkage_brings_all_means_to_the_prior_mean(self) -> None:
        X, labels = problem()
        em = fit_em(X, N_COMPONENTS, init=labels, prior=ConjugatePrior(shrinkage=1e9, mean=[7.0, -3.0]), max_iter=5)
        np.testing.assert_allclose(em.params.means, [[7.0, -3.0]] * N_COMPONENTS, atol=1e-5)

    def test_no_shrinkage_leaves_the_means_alone(self) -> None:
        X, labels = problem()
        em = fit_em(X, N_COMPONENTS, init=labels, prior=ConjugatePrior(shrinkage=0.0), max_iter=0)
        np.testing.assert_allclose(em.params.means, [X[labels == k].mean(axis=0) for k in range(3)], rtol=1e-12)


class TestUnits:
    def fit(self, X: Array, labels: Array, name: str, prior: ConjugatePrior) -> EMResult:
        return fit_em(X, N_COMPONENTS, covariance=name, init=labels, prior=prior, tol=0.0, max_iter=10, accelerate=False)

    @pytest.mark.parametrize("name", ["VVV", "VVI", "EEE", "VII"])
    @pytest.mark.parametrize("given", [False, True])
    def test_the_fit_follows_the_units(self, name: str, given: bool) -> None:
        """Per column where the family does; the default prior is made of the data, a given one is in their units."""
        X, labels = problem()
        scale, shift = (np.array([2.0, 2.0]) if name == "VII" else np.array([1e3, 0.02])), np.array([5.0, -1.0])
        priors = [ConjugatePrior(), ConjugatePrior()]
        if given:
            mean, matrix = np.array([0.5, 1.0]), np.array([[2.0, 0.3], [0.3, 1.0]])
            moved = ConjugatePrior(1.0, mean * scale + shift, 6.0, matrix * np.outer(scale, scale))
            priors = [ConjugatePrior(1.0, mean, 6.0, matrix), moved]
        em = self.fit(X, labels, name, priors[0])
        moved_em = self.fit(X * scale + shift, labels, name, priors[1])
        expected = em.params.affine(scale, shift)
        np.testing.assert_allclose(moved_em.params.weights, expected.weights, rtol=1e-9)
        np.testing.assert_allclose(moved_em.params.means, expected.means, rtol=1e-9, atol=1e-11)
        np.testing.assert_allclose(moved_em.params.scales, expected.scales, rtol=1e-9)
        np.testing.assert_allclose(moved_em.params.correlations, expected.correlations, rtol=0, atol=1e-9)


class TestValue:
    def test_priors_are_compared_by_value(self) -> None:
        same = ConjugatePrior(2.5, np.array([0.3, -0.2]), 5.5, ((1.2, 0.3), (0.3, 0.8)))
        assert same == GIVEN
        assert ConjugatePrior() == ConjugatePrior()
        assert ConjugatePrior() != "prior"

    @pytest.mark.parametrize(
        "change",
        [
            {"shrinkage": 1.0},
            {"mean": [0.3, -0.1]},
            {"mean": [0.3]},
            {"mean": None},
            {"degrees_of_freedom": None},
            {"scale": np.eye(2)},
            {"scale": None},
        ],
    )
    def test_any_difference_counts(self, change: dict[str, Any]) -> None:
        assert replace(GIVEN, **change) != GIVEN

    def test_arrays_are_read_only_copies(self) -> None:
        mean, scale = np.array([1, 2]), np.eye(2)
        prior = ConjugatePrior(mean=mean, scale=scale)
        mean[0], scale[0, 0] = 7, 7.0
        assert prior == ConjugatePrior(mean=[1.0, 2.0], scale=np.eye(2))
        for array in (prior.mean, prior.scale):
            assert isinstance(array, np.ndarray)
            assert array.dtype == np.float64
            assert not array.flags.writeable

    def test_it_has_no_hash(self) -> None:
        with pytest.raises(TypeError, match="unhashable"):
            hash(GIVEN)


class TestRefusals:
    @pytest.mark.parametrize("shrinkage", [-1, np.nan, np.inf, "1", None, True])
    def test_shrinkage(self, shrinkage: Any) -> None:
        with pytest.raises(InputError, match="ConjugatePrior: shrinkage must be a number of at least 0; got"):
            ConjugatePrior(shrinkage=shrinkage)

    @pytest.mark.parametrize("degrees_of_freedom", [0, -1.0, np.nan, np.inf, "4", True])
    def test_degrees_of_freedom(self, degrees_of_freedom: Any) -> None:
        with pytest.raises(InputError, match="ConjugatePrior: degrees_of_freedom must be a positive number; got"):
            ConjugatePrior(degrees_of_freedom=degrees_of_freedom)

    @pytest.mark.parametrize(
        ("given", "said"),
        [
            ({"mean": [1.0, np.nan]}, r"mean must be finite numbers of shape \(D,\); got \[1.0, nan\]"),
            ({"mean": ["a", "b"]}, r"mean must be finite numbers of shape \(D,\); got \['a', 'b'\]"),
            ({"mean": 1.0}, r"mean must be finite numbers of shape \(D,\); got 1.0"),
            ({"scale": [1.0, 2.0]}, r"scale must be finite numbers of shape \(D, D\); got \[1.0, 2.0\]"),
            ({"scale": [[1.0], [2.0, 3.0]]}, r"scale must be finite numbers of shape \(D, D\)"),
            ({"scale": [[np.inf]]}, r"scale must be finite numbers of shape \(D, D\)"),
        ],
    )
    def test_arrays(self, given: dict[str, Any], said: str) -> None:
        with pytest.raises(InputError, match=f"ConjugatePrior: {said}"):
            ConjugatePrior(**given)

    @pytest.mark.parametrize(
        ("prior", "said"),
        [
            (ConjugatePrior(degrees_of_freedom=1.0), "degrees_of_freedom is 1; with 2 columns it must exceed 1"),
            (ConjugatePrior(mean=[1.0]), r"mean must have shape \(2,\) for these data; got shape \(1,\)"),
            (ConjugatePrior(scale=np.eye(3)), r"scale must have shape \(2, 2\) for these data; got shape \(3, 3\)"),
            (ConjugatePrior(scale=[[1.0, 2.0], [2.0, 1.0]]), "scale must be symmetric and positive definite"),
            (ConjugatePrior(scale=[[1.0, 0.5], [0.0, 1.0]]), "scale must be symmetric and positive definite"),
            (ConjugatePrior(scale=np.zeros((2, 2))), "scale must be symmetric and positive definite"),
        ],
    )
    def test_what_only_the_data_show(self, prior: ConjugatePrior, said: str) -> None:
        X, labels = problem()
        with pytest.raises(InputError, match=f"ConjugatePrior: {said}"):
            fit_em(X, N_COMPONENTS, init=labels, prior=prior)
