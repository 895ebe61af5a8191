"""GaussianMixture: scikit-learn's contract, and agreement with scikit-learn's own class of that name."""

import pickle
import warnings
from typing import Any

import numpy as np
import pandas as pd
import pytest
import sklearn.mixture
from sklearn import config_context
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
from bayesgmm.families import FAMILIES
from bayesgmm.params import MixtureParams
from tests.problems import Array

FAITHFUL = load_faithful()
START = MixtureParams(np.array([0.5, 0.5]), np.array([[2.0, 55.0], [4.0, 80.0]]), np.array([np.diag([0.5, 6.0])] * 2))
IMPOSSIBLE = {
    "check_sample_weight_equivalence_on_dense_data": "15 rows in 30 dimensions: no covariance has the maximum likelihood"
}


@parametrize_with_checks(
    [GaussianMixture(), GaussianMixture(reg_covar=1e-6)],
    expected_failed_checks=lambda estimator: {} if estimator.reg_covar else IMPOSSIBLE,
)
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
        """The shorter of two runs to one optimum comes first here."""
        seed = int(np.random.RandomState(0).randint(2**31 - 1))  # what random_state means to scikit-learn
        em = fit_em(FAITHFUL, 2, n_init=2, seed=seed)
        assert sorted(fitted.result_.runs, key=lambda run: run.init) == sorted(em.runs, key=lambda run: run.init)
        assert fitted.n_iter_ == min(run.n_iter for run in em.runs)

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
        with pytest.raises(NotFittedError, match="This GaussianMixture instance is not fitted yet"):
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
            {"init_params": "k-means"},
            {"reg_covar": -1e-6},
            {"means_init": 3},
            {"warm_start": "yes"},
            {"verbose": "much"},
            {"verbose_interval": 0},
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
        with pytest.warns(ConvergenceWarning, match="Best performing initialization did not converge.* raise max_iter"):
            model = GaussianMixture(3, max_iter=2, n_init=1, random_state=0).fit(FAITHFUL)
        assert not model.converged_
        assert model.n_iter_ == 2

    def test_a_collapse_of_all_starts_is_an_error(self) -> None:
        four = np.repeat(np.random.default_rng(0).normal(size=(4, 2)), 5, axis=0)
        with pytest.raises(FitError, match=r"increase reg_covar.*EM starts collapsed") as caught:
            GaussianMixture(4, n_init=2, random_state=0).fit(four)
        assert isinstance(caught.value, ValueError)
        model = GaussianMixture(4, n_init=2, random_state=0, reg_covar=1e-4).fit(four)
        np.testing.assert_allclose(model.covariances_, np.array([np.eye(2)] * 4) * 1e-4, rtol=1e-9, atol=1e-15)

    def test_a_failed_fit_leaves_the_last_one(self) -> None:
        model = GaussianMixture(2, n_init=1, random_state=0).fit(FAITHFUL)
        before = dict(vars(model))
        with pytest.raises(ValueError, match=r"ill-defined.*only 1 distinct row"):
            model.fit(np.ones((20, 3)))
        assert vars(model) == before


class TestCovarianceTypes:
    @pytest.mark.parametrize("covariance_type", ["full", "tied", "diag", "spherical"])
    def test_shapes_are_scikit_learns(self, covariance_type: str) -> None:
        ours = GaussianMixture(2, covariance_type=covariance_type, n_init=1, random_state=0).fit(FAITHFUL)
        theirs = sklearn.mixture.GaussianMixture(
            2, covariance_type=covariance_type, reg_covar=0.0, tol=1e-12, max_iter=1000, **init_of(ours)
        ).fit(FAITHFUL)
        for name in ("weights_", "means_", "covariances_", "precisions_", "precisions_cholesky_"):
            assert getattr(ours, name).shape == getattr(theirs, name).shape
            np.testing.assert_allclose(getattr(ours, name), getattr(theirs, name), rtol=1e-4, atol=1e-12)
        assert ours._n_parameters() == theirs._n_parameters()
        np.testing.assert_allclose(ours.bic(FAITHFUL), theirs.bic(FAITHFUL), rtol=1e-10)

    @pytest.mark.parametrize("covariance_type", [name for name in FAMILIES if len(name) == 3])
    def test_mclusts_names_give_full_matrices(self, covariance_type: str) -> None:
        model = GaussianMixture(2, covariance_type=covariance_type, n_init=1, random_state=0).fit(FAITHFUL)
        assert model.covariances_.shape == model.precisions_.shape == model.precisions_cholesky_.shape == (2, 2, 2)
        np.testing.assert_allclose(model.covariances_ @ model.precisions_, [np.eye(2)] * 2, atol=1e-12)
        assert model.result_.covariance == covariance_type

    @pytest.mark.parametrize("covariance_type", ["E", "V"])
    def test_one_column(self, covariance_type: str) -> None:
        model = GaussianMixture(2, covariance_type=covariance_type, n_init=1, random_state=0).fit(FAITHFUL[["eruptions"]])
        assert model.covariances_.shape == (2, 1, 1)
        with pytest.raises(ValueError, match="which is for one column"):
            model.fit(FAITHFUL)

    def test_shapes_are_those_of_the_fit(self) -> None:
        model = GaussianMixture(2, covariance_type="tied", n_init=1, random_state=0).fit(FAITHFUL)
        assert model.set_params(covariance_type="full").covariances_.shape == (2, 2)


def init_of(model: GaussianMixture) -> dict[str, Array]:
    return {"weights_init": model.weights_, "means_init": model.means_, "precisions_init": model.precisions_}


class TestStarts:
    @pytest.mark.parametrize("covariance_type", ["full", "tied", "diag", "spherical", "VVE", "EEV"])
    def test_a_fit_given_back_is_a_start(self, covariance_type: str) -> None:
        model = GaussianMixture(3, covariance_type=covariance_type, n_init=2, random_state=0).fit(FAITHFUL)
        again = clone(model).set_params(max_iter=0, **init_of(model)).fit(FAITHFUL)
        np.testing.assert_allclose(again.lower_bound_, model.lower_bound_, rtol=1e-12)
        np.testing.assert_allclose(again.covariances_, model.covariances_, rtol=1e-6, atol=1e-12)
        assert (again.n_iter_, again.converged_, again.lower_bounds_) == (0, False, [])

    def test_parts_take_the_place_of_the_starts(self) -> None:
        start = GaussianMixture(2, max_iter=0, random_state=0).fit(FAITHFUL)
        given = clone(start).set_params(means_init=START.means, weights_init=START.weights).fit(FAITHFUL)
        np.testing.assert_allclose(given.means_, START.means, rtol=1e-13)
        np.testing.assert_array_equal(given.weights_, START.weights)
        covariances = [run.params.covariances for run in start.result_.runs if run.params]
        assert any(np.allclose(given.covariances_, other, rtol=1e-12) for other in covariances)

    @pytest.mark.parametrize(
        ("options", "said"),
        [
            ({"weights_init": [0.5, 0.6]}, r"should be normalized, but got sum\(weights\) = 1.10000"),
            ({"weights_init": [-0.5, 1.5]}, r"in the range \[0, 1\].*: weights_init\[0\] is -0.5"),
            ({"means_init": np.zeros((3, 2))}, r"'means' should have the shape of \(2, 2\), but got \(3, 2\)"),
            ({"means_init": np.full((2, 2), np.nan)}, "means_init contains NaN"),
            ({"precisions_init": -np.array([np.eye(2)] * 2)}, r"positive-definite: precisions_init\[0\] has the eigenvalue -1"),
            (
                {"precisions_init": np.array([[[1.0, 0.5], [0.0, 1.0]]] * 2)},
                r"symmetric.*: precisions_init\[0\] is not symmetric",
            ),
            ({"precisions_init": [1.0, 0.0], "covariance_type": "spherical"}, r"positive: precisions_init\[1\] is 0"),
        ],
    )
    def test_refusals(self, options: dict[str, Any], said: str) -> None:
        with pytest.raises(ValueError, match=said):
            GaussianMixture(2, **options).fit(FAITHFUL)

    def test_warm_start_goes_on(self) -> None:
        whole = GaussianMixture(2, n_init=1, random_state=0).fit(FAITHFUL)
        model = GaussianMixture(2, n_init=1, max_iter=1, warm_start=True, random_state=0, tol=1e-10)
        with pytest.warns(ConvergenceWarning, match="did not converge"):
            bounds = [model.fit(FAITHFUL).lower_bound_ for _ in range(3)]
        with warnings.catch_warnings(action="ignore", category=ConvergenceWarning):
            while not model.converged_:
                bounds.append(model.fit(FAITHFUL).lower_bound_)
        assert (np.diff(bounds) >= 0).all()
        np.testing.assert_allclose(model.lower_bound_, whole.lower_bound_, rtol=1e-9)
        with pytest.raises(ValueError, match="warm_start: the last fit has means of shape"):
            model.set_params(n_components=3).fit(FAITHFUL)

    def test_a_collapse_in_the_last_iteration_is_no_convergence(self) -> None:
        start = {"weights_init": [0.01, 0.99], "means_init": [FAITHFUL.iloc[0], FAITHFUL.mean()], "precisions_init": [1e6, 1e-2]}
        model = GaussianMixture(2, covariance_type="spherical", **start)
        with pytest.raises(FitError, match="shrank onto a point"):
            model.fit(FAITHFUL)
        with pytest.warns(ConvergenceWarning, match="did not converge"):
            model.set_params(max_iter=1).fit(FAITHFUL)
        assert not model.converged_


class TestRegCovar:
    @pytest.mark.parametrize("covariance_type", ["full", "tied", "diag", "spherical"])
    def test_it_is_scikit_learns(self, covariance_type: str) -> None:
        """One of their iterations from where ours ended stays there, though the likelihood falls on the way to that place."""
        ours = GaussianMixture(2, covariance_type=covariance_type, reg_covar=0.1, tol=1e-12, random_state=0).fit(FAITHFUL)
        theirs = sklearn.mixture.GaussianMixture(
            2, covariance_type=covariance_type, reg_covar=0.1, tol=0.1, max_iter=2, **init_of(ours)
        ).fit(FAITHFUL)
        np.testing.assert_allclose(ours.means_, theirs.means_, rtol=1e-6)
        np.testing.assert_allclose(ours.covariances_, theirs.covariances_, rtol=1e-5)
        assert ours.converged_


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
        model = GaussianMixture(n_init=5, tol=1e-4, random_state=0)
        search = GridSearchCV(model, {"n_components": [1, 2, 3]}, cv=4).fit(X)
        assert search.best_params_ == {"n_components": 2}
        assert search.best_estimator_.converged_

    def test_fit_predict(self) -> None:
        model = GaussianMixture(2, n_init=2, random_state=0)
        np.testing.assert_array_equal(model.fit_predict(FAITHFUL), model.predict(FAITHFUL))

    def test_float32_and_lists(self) -> None:
        X = FAITHFUL.to_numpy(dtype=np.float32)
        model = GaussianMixture(1, n_init=1).fit(X)
        np.testing.assert_allclose(model.means_[0], FAITHFUL.mean(), rtol=1e-6)
        single = (model.weights_, model.means_, model.covariances_, model.precisions_, model.precisions_cholesky_)
        assert {array.dtype for array in (*single, model.score_samples(X), model.predict_proba(X))} == {np.dtype(np.float32)}
        assert model.score_samples(X.astype(float)).dtype == np.float64
        np.testing.assert_allclose(GaussianMixture(1, n_init=1).fit(FAITHFUL.to_numpy().tolist()).means_[0], FAITHFUL.mean())

    def test_the_frame_is_not_changed(self) -> None:
        frame = FAITHFUL.copy()
        GaussianMixture(2, n_init=1, random_state=0).fit(frame).predict(frame)
        pd.testing.assert_frame_equal(frame, FAITHFUL)

    def test_pickle(self, fitted: GaussianMixture) -> None:
        again = pickle.loads(pickle.dumps(fitted))
        assert again.result_ == fitted.result_
        np.testing.assert_array_equal(again.predict_proba(FAITHFUL), fitted.predict_proba(FAITHFUL))

    def test_html(self, fitted: GaussianMixture) -> None:
        assert "n_components" in fitted._repr_html_()
        assert "lower_bound_" in fitted._repr_html_()
        assert "lower_bound_" not in GaussianMixture()._repr_html_()

    def test_verbose(self, capsys: pytest.CaptureFixture[str]) -> None:
        GaussianMixture(3, n_init=1, random_state=0, verbose=2, verbose_interval=5).fit(FAITHFUL)
        lines = capsys.readouterr().out.splitlines()
        assert lines[0].startswith("  Iteration 5\t mean log-likelihood -4.1")
        assert lines[-1].startswith("Initialization 0 (hierarchical): converged after ")

    def test_sample_weight_is_routed(self) -> None:
        weights = np.random.default_rng(0).integers(1, 3, len(FAITHFUL)).astype(float)
        with config_context(enable_metadata_routing=True):
            model = GaussianMixture(2, n_init=1, random_state=0).set_fit_request(sample_weight=True)
            scaler = StandardScaler().set_fit_request(sample_weight=True)
            routed = make_pipeline(scaler, model.set_score_request(sample_weight=True)).fit(FAITHFUL, sample_weight=weights)
            score = routed.score(FAITHFUL, sample_weight=weights)
        fit = routed[-1]
        assert fit.result_.total_weight == weights.sum()
        np.testing.assert_allclose(score, fit.lower_bound_, rtol=1e-12)
