"""EMResult: what it says about new rows, its own samples, and its round trip through a Dataset."""

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from bayesgmm.datasets import load_faithful
from bayesgmm.em.fit import fit_em
from bayesgmm.em.prior import ConjugatePrior
from bayesgmm.em.record import em_result_from_dataset
from bayesgmm.em.result import EMResult, sample_mixture
from bayesgmm.em.run import EMStatus
from bayesgmm.errors import InputError
from bayesgmm.kernels import reference
from bayesgmm.params import MixtureParams
from tests.problems import random_params

FAITHFUL = load_faithful()


@pytest.fixture(scope="module")
def em() -> EMResult:
    return fit_em(FAITHFUL, 2, n_init=3, seed=0)


@pytest.fixture(scope="module")
def em_with_collapse() -> EMResult:
    X = np.vstack([np.random.default_rng(0).normal(size=(60, 2)), [[4.0, 4.0], [4.0, 4.0]]])
    result = fit_em(X, 2, n_long=10, seed=0)
    assert {run.status for run in result.runs} == {EMStatus.CONVERGED, EMStatus.COLLAPSED}
    return result


class TestNewRows:
    def test_equal_to_the_twin(self, em: EMResult) -> None:
        arrays = (em.params.weights, em.params.means, em.params.scale_trils)
        X = FAITHFUL.to_numpy()
        responsibilities = reference.responsibilities(X, *arrays)
        np.testing.assert_allclose(em.log_density(FAITHFUL), reference.log_density(X, *arrays), rtol=1e-12)
        np.testing.assert_allclose(em.responsibilities(FAITHFUL), responsibilities, rtol=1e-10, atol=1e-14)
        np.testing.assert_array_equal(em.predict(FAITHFUL), responsibilities.argmax(axis=1))
        np.testing.assert_allclose(em.log_density(FAITHFUL).sum(), em.log_likelihood, rtol=1e-13)

    @pytest.mark.parametrize("method", ["responsibilities", "log_density", "predict"])
    def test_columns_must_be_those_of_the_fit(self, em: EMResult, method: str) -> None:
        with pytest.raises(InputError, match=r"in another order \('waiting', 'eruptions'\)"):
            getattr(em, method)(FAITHFUL[["waiting", "eruptions"]])
        with pytest.raises(InputError, match="missing 'waiting'"):
            getattr(em, method)(FAITHFUL[["eruptions"]])
        with pytest.raises(InputError, match=r"not seen in the fit 'extra'"):
            getattr(em, method)(FAITHFUL.assign(extra=1.0))
        with pytest.raises(InputError, match="X has 3 columns, but the mixture was fitted to 2"):
            getattr(em, method)(np.zeros((4, 3)))

    def test_an_array_without_names_will_do(self, em: EMResult) -> None:
        np.testing.assert_array_equal(em.predict(FAITHFUL.to_numpy()), em.predict(FAITHFUL))

    def test_one_row(self, em: EMResult) -> None:
        np.testing.assert_allclose(em.responsibilities([[2.0, 54.0]]).sum(), 1.0, rtol=1e-15)


class TestSample:
    def test_means_and_covariances_within_their_standard_errors(self) -> None:
        params = random_params(np.random.default_rng(0), 3, 2)
        n = 200_000
        X, labels = sample_mixture(params, n, np.random.default_rng(1))
        counts = np.bincount(labels, minlength=3)
        errors = np.sqrt(n * params.weights * (1 - params.weights))
        assert (np.abs(counts - n * params.weights) < 4 * errors).all()
        for k in range(3):
            rows, covariance = X[labels == k], params.covariances[k]
            assert (np.abs(rows.mean(axis=0) - params.means[k]) < 4 * params.scales[k] / np.sqrt(counts[k])).all()
            # Var of a sample covariance of normals: (S_ii S_jj + S_ij^2) / n.
            error = np.sqrt((np.outer(np.diag(covariance), np.diag(covariance)) + covariance**2) / counts[k])
            assert (np.abs(np.cov(rows.T) - covariance) < 4 * error).all()

    def test_the_mean_log_density_of_a_sample_is_minus_the_entropy(self) -> None:
        """One component, where the entropy is known; the variance of ln p is D / 2."""
        params = random_params(np.random.default_rng(0), 1, 3)
        X, _ = sample_mixture(params, 100_000, np.random.default_rng(0))
        density = reference.log_density(X, params.weights, params.means, params.scale_trils)
        entropy = 0.5 * np.linalg.slogdet(2 * np.pi * np.e * params.covariances[0])[1]
        assert abs(density.mean() + entropy) < 4 * np.sqrt(1.5 / 100_000)

    def test_order_is_random_and_seeds_are_kept(self, em: EMResult) -> None:
        X, labels = em.sample(500, seed=1)
        again, same = em.sample(500, seed=1)
        other, _ = em.sample(500, seed=np.random.default_rng(2))
        np.testing.assert_array_equal(X, again)
        np.testing.assert_array_equal(labels, same)
        assert X.shape == other.shape == (500, 2)
        assert (other != X).any()
        assert (np.diff(labels) != 0).sum() > 50

    def test_a_component_of_weight_0_is_never_drawn(self) -> None:
        params = random_params(np.random.default_rng(0), 2, 2)
        alone = MixtureParams(np.array([0.0, 1.0]), params.means, params.scale_trils)
        assert set(sample_mixture(alone, 1000, np.random.default_rng(0))[1].tolist()) == {1}

    @pytest.mark.parametrize("n", [0, -1, 2.0, "3", True])
    def test_refusals(self, em: EMResult, n: int) -> None:
        with pytest.raises(InputError, match="sample: n must be a whole number of at least 1; got"):
            em.sample(n)


class TestDataset:
    @pytest.mark.parametrize("name", ["em", "em_with_collapse"])
    def test_round_trip(self, name: str, request: pytest.FixtureRequest) -> None:
        em: EMResult = request.getfixturevalue(name)
        again = em_result_from_dataset(em.to_dataset())
        assert again == em
        assert again.modes == em.modes
        assert (again.bic, again.icl, again.n_iter, str(again.status)) == (em.bic, em.icl, em.n_iter, str(em.status))

    def test_round_trip_through_bytes(self, em_with_collapse: EMResult) -> None:
        """Everything in it can be written to netCDF."""
        stored = em_with_collapse.to_dataset().to_netcdf(engine="h5netcdf")
        with xr.open_dataset(stored, engine="h5netcdf") as dataset:
            assert em_result_from_dataset(dataset) == em_with_collapse

    def test_round_trip_of_an_interrupted_fit_with_other_names(self) -> None:
        frame = FAITHFUL.rename(columns={"eruptions": "a/b", "waiting": '<é ">'})
        em = replace(fit_em(frame, 1, n_init=1, max_iter=0, sample_weight=np.full(272, 0.5), seed=0), interrupted=True)
        again = em_result_from_dataset(em.to_dataset())
        assert again == em
        assert again.status is EMStatus.INTERRUPTED
        assert again.total_weight == 136.0
        assert again.columns == ("a/b", '<é ">')

    @pytest.mark.parametrize(
        "fitted_with",
        [
            {"prior": ConjugatePrior()},
            {"prior": ConjugatePrior(1, [3.0, 70.0], 6, [[0.5, 1.0], [1.0, 40.0]])},
            {"prior": ConjugatePrior(0.0, degrees_of_freedom=5.5), "max_eigenvalue_ratio": 12},
            {"max_eigenvalue_ratio": 1e3},
        ],
    )
    def test_what_it_was_fitted_with_is_kept(self, fitted_with: dict[str, Any]) -> None:
        em = fit_em(FAITHFUL, 2, init="kmeans", n_init=1, seed=0, **fitted_with)
        assert (em.prior, em.max_eigenvalue_ratio) == (fitted_with.get("prior"), fitted_with.get("max_eigenvalue_ratio"))
        stored = em.to_dataset().to_netcdf(engine="h5netcdf")
        with xr.open_dataset(stored, engine="h5netcdf") as dataset:
            assert em_result_from_dataset(dataset) == em

    def test_maximum_likelihood_stores_nothing_of_a_prior_or_bound(self, em: EMResult) -> None:
        dataset = em.to_dataset()
        assert not [name for name in (*dataset.variables, *dataset.attrs) if "prior" in str(name) or "ratio" in str(name)]
        assert (em.prior, em.max_eigenvalue_ratio) == (None, None)

    def test_the_parameters_are_labelled(self, em: EMResult) -> None:
        dataset = em.to_dataset()
        assert dataset["means"].sel(cluster=1, feature="waiting") == em.params.means[1, 1]
        covariance = dataset["covariances"].sel(cluster=0, feature="waiting", feature_bis="eruptions")
        assert covariance == em.params.covariances[0, 1, 0]
        assert dataset["weights"].dims == ("cluster",)
        assert dataset["scales"].dims == ("cluster", "feature")
        assert dataset["correlations"].dims == ("cluster", "feature", "feature_bis")
        assert dataset.attrs["log_likelihood"] == em.log_likelihood

    def test_a_collapsed_run_has_missing_numbers(self, em_with_collapse: EMResult) -> None:
        dataset = em_with_collapse.to_dataset()
        collapsed = (dataset["run_status"] == "COLLAPSED").to_numpy()
        assert collapsed.any()
        np.testing.assert_array_equal(np.isnan(dataset["run_log_likelihood"]), collapsed)
        np.testing.assert_array_equal(np.isnan(dataset["run_means"]).all(dim=("cluster", "feature")), collapsed)


def test_repr_says_what_matters(em: EMResult) -> None:
    text = repr(em)
    assert text.startswith("EMResult(VVV, K=2, D=2, N=272: log_likelihood=-1130.2640, bic=2322.19, converged after ")
    assert "3 runs, 1 distinct optima" in text


def test_results_are_compared_by_value(em: EMResult) -> None:
    assert em == fit_em(pd.DataFrame(FAITHFUL), 2, n_init=3, seed=0)
    assert em != fit_em(FAITHFUL, 2, n_init=2, seed=0)
