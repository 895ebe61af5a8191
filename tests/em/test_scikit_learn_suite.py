"""scikit-learn's own tests of mixtures, from its wheel, with our GaussianMixture in the place of theirs."""

import importlib.util
from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import sklearn.mixture

from bayesgmm.em.estimator import GaussianMixture

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),  # theirs are no errors in their suite
]

RUN = [
    "test_gaussian_mixture_attributes",
    "test_check_weights",
    "test_check_means",
    "test_check_precisions",
    "test_gaussian_mixture_estimate_log_prob_resp",
    "test_gaussian_mixture_predict_predict_proba",
    "test_gaussian_mixture_fit_predict",
    "test_gaussian_mixture_fit_predict_n_init",
    "test_gaussian_mixture_fit",
    "test_gaussian_mixture_fit_best_params",
    "test_gaussian_mixture_fit_convergence_warning",
    "test_multiple_init",
    "test_gaussian_mixture_n_parameters",
    "test_bic_1d_1component",
    "test_gaussian_mixture_aic_bic",
    "test_gaussian_mixture_verbose",
    "test_warm_start",
    "test_convergence_detected_with_warm_start",
    "test_score",
    "test_score_samples",
    "test_monotonic_likelihood",
    "test_regularisation",
    "test_fitted_precision_covariance_concistency",
    "test_sample",
    "test_init",
    "test_gaussian_mixture_setting_best_params",
    "test_init_means_not_duplicated",
    "test_means_for_all_inits",
    "test_max_iter_zero",
    "test_gaussian_mixture_precisions_init_diag",
    "test_gaussian_mixture_single_component_stable",
    "test_gaussian_mixture_n_iter",
    "test_mixture_n_components_greater_than_n_samples_error",
]

THEIR_FUNCTIONS = "tests private functions of scikit-learn's module, no GaussianMixture is made"
ARRAY_API = (
    "array API dispatch to other libraries than NumPy, which this class does not claim (its tag array_api_support is False)"
)
EXCLUDED = {
    "test_suffstat_sk_full": THEIR_FUNCTIONS,
    "test_suffstat_sk_tied": THEIR_FUNCTIONS,
    "test_suffstat_sk_diag": THEIR_FUNCTIONS,
    "test_gaussian_suffstat_sk_spherical": THEIR_FUNCTIONS,
    "test_compute_log_det_cholesky": THEIR_FUNCTIONS,
    "test_gaussian_mixture_log_probabilities": THEIR_FUNCTIONS,
    "test_gaussian_mixture_precisions_init": "calls the private methods _set_parameters and _initialize",
    "test_gaussian_mixture_all_init_does_not_estimate_gaussian_parameters": "counts the calls of a private function it replaces",
    "test_gaussian_mixture_array_api_compliance": ARRAY_API,
    "test_gaussian_mixture_raises_where_array_api_not_implemented": ARRAY_API,
}


def with_ours(name: str) -> ModuleType:
    """Their test module, executed under another name while `sklearn.mixture.GaussianMixture` is ours."""
    spec = importlib.util.find_spec(f"sklearn.mixture.tests.{name}")
    assert spec is not None
    assert spec.origin is not None
    renamed = importlib.util.spec_from_file_location(f"{__name__}.{name}", spec.origin)
    assert renamed is not None
    assert renamed.loader is not None
    module = importlib.util.module_from_spec(renamed)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sklearn.mixture, "GaussianMixture", GaussianMixture)
        renamed.loader.exec_module(module)
    return module


def functions_of(module: ModuleType) -> dict[str, Callable[..., None]]:
    return {name: value for name, value in vars(module).items() if name.startswith("test_") and callable(value)}


def keep_ours(function: Any) -> None:
    """Drop the cases that their BayesianGaussianMixture is parametrised with."""
    for mark in getattr(function, "pytestmark", []):
        if mark.name == "parametrize" and mark.args[0] == "estimator":
            mark.args[1][:] = [estimator for estimator in mark.args[1] if isinstance(estimator, GaussianMixture)]


THEIRS = functions_of(with_ours("test_gaussian_mixture")) | functions_of(with_ours("test_mixture"))
for _function in THEIRS.values():
    keep_ours(_function)
globals().update({name: THEIRS[name] for name in RUN if name in THEIRS})


@pytest.fixture(params=[np.float32, np.float64])
def global_dtype(request: pytest.FixtureRequest) -> Any:
    return request.param


@pytest.fixture
def global_random_seed() -> int:
    return 42


def test_every_test_of_theirs_is_run_or_excluded() -> None:
    """A scikit-learn that adds, renames or drops one is noticed here: put it into RUN, or into EXCLUDED with its reason."""
    assert sorted(THEIRS) == sorted([*RUN, *EXCLUDED])


def test_ours_stands_in_for_theirs() -> None:
    assert THEIRS["test_warm_start"].__globals__["GaussianMixture"] is GaussianMixture
    assert sklearn.mixture.GaussianMixture is not GaussianMixture
