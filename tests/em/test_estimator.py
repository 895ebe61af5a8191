"""GaussianMixture: scikit-learn's contract, and agreement with scikit-learn's own class of that name."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
import sklearn.mixture
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from bayesgmm.datasets import load_faithful
from bayesgmm.em.estimator import GaussianMixture
from bayesgmm.em.fit import fit_em
from bayesgmm.errors import FitError
from bayesgmm.params import MixtureParams
from tests.problems import Array

FAITHFUL = load_faithful()
START = MixtureParams(np.array([0.5, 0.5]), np.array([[2.0, 55.0], [4.0, 80.0]]), np.array([np.diag([0.5, 6.0])] * 2))
IMPOSSIBLE = {
    "check_sample_weight_equivalence_on_dense_data": "15 rows in 30 dimensions: no covariance has the maximum likelihood"
}


@parametrize_with_checks([GaussianMixture()], expected_failed_checks=lambda _: IMPOSSIBLE)
def test_scikit_learns_contract(estimator: Any, check: Any) -> None:
    check(estimator)


def theirs_at(params: MixtureParams, **options: Any) -> sklearn.mixture.GaussianMixture:
    return sklearn.mixture.GaussianMixture(
        params.n_components,
        reg_covar=0.0,
        weights_init=params.weights,
        means_init=params.means,
        precisions_init=params.precisions,
        **options,
    )


class TestAgainstScikitLearn:
    def test_the_same_path(self) -> None:
        """As many steps of theirs as of ours lead from one start to one place."""
        ours = fit_em(FAITHFUL, 2, init=START, tol=0.0, max_iter=4)
        theirs = theirs_at(START, tol=1e-300, max_iter=4)
        with pytest.warns(ConvergenceWarning, match="did not converge"):
            theirs.fit(FAITHFUL)
        np.testing.assert_allclose(ours.params.weights, theirs.weights_, rtol=1e-11)
        np.testing.assert_allclose(ours.params.means, theirs.means_, rtol=1e-11)
        np.testing.assert_allclose(ours.params.covariances, theirs.covariances_, rtol=1e-10)

    def test_the_same_answer(self) -> None:
        ours = GaussianMixture(2, tol=0.0, n_init=1, random_state=0).fit(FAITHFUL)
        theirs = theirs_at(ours.result_.params, tol=1e-12, max_iter=1000).fit(FAITHFUL)
        np.testing.assert_allclose(ours.weights_, theirs.weights_, rtol=1e-6)
        np.testing.assert_allclose(ours.means_, theirs.means_, rtol=1e-6)
        np.testing.assert_allclose(ours.covariances_, theirs.covariances_, rtol=1e-6)
        np.testing.assert_allclose(ours.precisions_, theirs.precisions_, rtol=1e-6)
        np.testing.assert_allclose(ours.precisions_cholesky_, theirs.precisions_cholesky_, rtol=1e-6, atol=1e-15)
        np.testing.assert_allclose(ours.lower_bound_, theirs.lower_bound_, rtol=1e-12)
        for method in ("score", "aic", "bic"):
            np.testing.assert_allclose(getattr(ours, method)(FAITHFUL), getattr(theirs, method)(FAITHFUL), rtol=1e-12)
        np.testing.assert_allclose(ours.score_samples(FAITHFUL), theirs.score_samples(FAITHFUL), rtol=1e-6)
        np.testing.assert_allclose(ours.predict_proba(FAITHFUL), theirs.predict_proba(FAITHFUL), rtol=1e-6, atol=1e-9)
        np.testing.assert_array_equal(ours.predict(FAITHFUL), theirs.predict(FAITHFUL))


@pytest.fixture(scope="module")
def fitted() -> GaussianMixture:
    return GaussianMixture(2, n_init=2, random_state=0).fit(FAITHFUL)


class TestAttributes:
    def test_the_result_is_fit_ems(self, fitted: GaussianMixture) -> None:
        seed = int(np.random.RandomState(0).randint(2**31 - 1))  # what random_state means to scikit-learn
        assert fitted.result_ == fit_em(FAITHFUL, 2, n_init=2, seed=seed)

    def test_bounds_are_per_row(self, fitted: GaussianMixture) -> None:
        np.testing.assert_allclose(fitted.lower_bound_, fitted.result_.log_likelihood / 272, rtol=1e-15)
        np.testing.assert_allclose(fitted.lower_bound_, fitted.score(FAITHFUL), rtol=1e-12)
        assert len(fitted.lower_bounds_) == fitted.n_iter_
        assert fitted.lower_bounds_[-1] == fitted.lower_bound_
        assert fitted.converged_

    def test_names_of_features(self, fitted: GaussianMixture) -> None:
        assert fitted.feature_names_in_.tolist() == ["eruptions", "waiting"]
        assert fitted.n_features_in_ == 2
        assert fitted.result_.columns == ("eruptions", "waiting")
        with pytest.raises(ValueError, match="feature names should match"):
            fitted.predict(FAITHFUL[["waiting", "eruptions"]])
        with pytest.warns(UserWarning, match="does not have valid feature names"):
            fitted.predict(FAITHFUL.to_numpy())
        assert GaussianMixture(n_init=1).fit(FAITHFUL.to_numpy()).result_.columns == ("x0", "x1")

    def test_samples(self, fitted: GaussianMixture) -> None:
        X, labels = fitted.sample(5000)
        assert X.shape == (5000, 2)
        errors = np.sqrt(fitted.weights_ * (1 - fitted.weights_) / 5000)
        assert (np.abs(np.bincount(labels) / 5000 - fitted.weights_) < 4 * errors).all()

    @pytest.mark.parametrize(
        "method", ["predict", "predict_proba", "score_samples", "score", "aic", "bic", "sample", "means_", "converged_"]
    )
    def test_not_fitted(self, method: str) -> None:
        with pytest.raises(NotFittedError, match="this GaussianMixture is not fitted: call fit first"):
            getattr(GaussianMixture(2), method)(FAITHFUL)
        assert not hasattr(GaussianMixture(2), "weights_")


class TestParameters:
    def test_clone_and_get_and_set(self) -> None:
        model = GaussianMixture(3, tol=1e-3, n_init=2, random_state=7)
        assert clone(model).get_params() == model.get_params()
        assert model.set_params(n_components=2, max_iter=5) is model
        assert (model.get_params()["n_components"], model.max_iter) == (2, 5)

    @pytest.mark.parametrize(
        "options",
        [
            {"n_components": 0},
            {"n_components": 1.5},
            {"covariance_type": "round"},
            {"tol": -1.0},
            {"max_iter": -1},
            {"n_init": 0},
            {"init_params": "kmeans"},
            {"random_state": "a"},
        ],
    )
    def test_a_bad_one_is_named_by_fit(self, options: dict[str, Any]) -> None:
        (name,) = options
        with pytest.raises(ValueError, match=f"The '{name}' parameter of GaussianMixture must be"):
            GaussianMixture(**options).fit(FAITHFUL)

    def test_the_same_random_state_gives_the_same_fit(self) -> None:
        fits = [GaussianMixture(3, n_init=2, tol=1e-3, random_state=3).fit(FAITHFUL).result_ for _ in range(2)]
        assert fits[0] == fits[1]

    def test_max_iter_is_a_warning(self) -> None:
        with pytest.warns(ConvergenceWarning, match="GaussianMixture: stopped at max_iter .* raise max_iter"):
            model = GaussianMixture(3, max_iter=2, n_init=1, random_state=0).fit(FAITHFUL)
        assert not model.converged_
        assert model.n_iter_ == 2

    def test_a_collapse_of_all_starts_is_an_error(self) -> None:
        with pytest.raises(FitError, match="EM starts collapsed"):
            GaussianMixture(4, n_init=2, random_state=0).fit(np.repeat(np.random.default_rng(0).normal(size=(4, 2)), 5, axis=0))


class TestSampleWeight:
    def weights(self) -> Array:
        return np.random.default_rng(0).integers(0, 3, len(FAITHFUL)).astype(float)

    def test_a_weight_is_a_number_of_copies(self) -> None:
        """One optimum, so that both fits end there whatever their starts; to the root of what rounding leaves of 1e3 nats."""
        weights = self.weights()
        model = GaussianMixture(2, tol=0.0, n_init=2, random_state=0)
        weighted = clone(model).fit(FAITHFUL, sample_weight=weights)
        repeated = clone(model).fit(FAITHFUL.loc[np.repeat(FAITHFUL.index, weights.astype(int))])
        order, other = np.argsort(weighted.means_[:, 0]), np.argsort(repeated.means_[:, 0])
        np.testing.assert_allclose(weighted.means_[order], repeated.means_[other], rtol=1e-6)
        np.testing.assert_allclose(weighted.covariances_[order], repeated.covariances_[other], rtol=1e-5)
        np.testing.assert_allclose(weighted.lower_bound_, repeated.lower_bound_, rtol=1e-12)

    def test_one_number_for_all_rows(self) -> None:
        fits = [GaussianMixture(1, n_init=1).fit(FAITHFUL, sample_weight=weight) for weight in (None, 1.0, np.ones(272))]
        np.testing.assert_allclose(fits[1].covariances_, fits[0].covariances_, rtol=1e-13)
        np.testing.assert_array_equal(fits[1].covariances_, fits[2].covariances_)

    @pytest.mark.parametrize(
        ("sample_weight", "said"),
        [
            (np.ones(5), r"sample_weight.shape == \(5,\), expected \(272,\)"),
            (np.zeros(272), "at least one non-zero number"),
            (np.full(272, -1.0), "Negative values in data passed to `sample_weight`"),
            (np.full(272, np.nan), "sample_weight contains NaN"),
        ],
    )
    def test_refusals(self, sample_weight: Array, said: str) -> None:
        with pytest.raises(ValueError, match=said):
            GaussianMixture(2, n_init=1).fit(FAITHFUL, sample_weight=sample_weight)


class TestInScikitLearn:
    def test_pipeline(self) -> None:
        """Standardised columns: the densities shift by the scales, the memberships stay."""
        pipeline = make_pipeline(StandardScaler(), GaussianMixture(2, n_init=2, tol=0.0, random_state=0)).fit(FAITHFUL)
        plain = GaussianMixture(2, n_init=2, tol=0.0, random_state=0).fit(FAITHFUL)
        shift = np.log(FAITHFUL.std(ddof=0)).sum()
        np.testing.assert_allclose(pipeline.score(FAITHFUL), plain.score(FAITHFUL) + shift, rtol=1e-12)
        np.testing.assert_allclose(pipeline.predict_proba(FAITHFUL), plain.predict_proba(FAITHFUL), atol=1e-6)

    def test_grid_search_finds_the_number_of_clusters(self) -> None:
        rng = np.random.default_rng(0)
        X = np.vstack([rng.normal(size=(60, 2)), rng.normal(size=(60, 2)) + 12.0])
        X = X[rng.permutation(120)]
        model = GaussianMixture(n_init=2, tol=1e-4, random_state=0)
        search = GridSearchCV(model, {"n_components": [1, 2, 3]}, cv=4).fit(X)
        assert search.best_params_ == {"n_components": 2}
        assert search.best_estimator_.converged_

    def test_fit_predict(self) -> None:
        model = GaussianMixture(2, n_init=2, random_state=0)
        np.testing.assert_array_equal(model.fit_predict(FAITHFUL), model.predict(FAITHFUL))

    def test_float32_and_lists(self) -> None:
        model = GaussianMixture(1, n_init=1).fit(FAITHFUL.to_numpy(dtype=np.float32))
        np.testing.assert_allclose(model.means_[0], FAITHFUL.mean(), rtol=1e-6)
        np.testing.assert_allclose(GaussianMixture(1, n_init=1).fit(FAITHFUL.to_numpy().tolist()).means_[0], FAITHFUL.mean())

    def test_the_frame_is_not_changed(self) -> None:
        frame = FAITHFUL.copy()
        GaussianMixture(2, n_init=1, random_state=0).fit(frame).predict(frame)
        pd.testing.assert_frame_equal(frame, FAITHFUL)
