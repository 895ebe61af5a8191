"""An EMResult as an xarray Dataset, and back."""

from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from bayesgmm.em.prior import ConjugatePrior
from bayesgmm.em.result import EMResult
from bayesgmm.em.run import EMRun, EMStatus
from bayesgmm.params import MixtureParams

Array = NDArray[np.float64]


def dataset_from_em_result(em: EMResult) -> xr.Dataset:
    """What `EMResult.to_dataset` returns."""
    n_components, n_features = em.params.means.shape
    unknown = MixtureParams(
        np.full(n_components, 1 / n_components),
        np.zeros((n_components, n_features)),
        np.array([np.eye(n_features)] * n_components),
    )
    every = [run.params or unknown for run in em.runs]
    found = np.array([run.params is not None for run in em.runs])
    longest = max(len(run.trace) for run in em.runs)
    traces = np.array([np.pad(run.trace, (0, longest - len(run.trace)), constant_values=np.nan) for run in em.runs])

    def known(arrays: list[Array]) -> Array:
        stacked = np.array(arrays)
        return np.where(found.reshape(-1, *[1] * (stacked.ndim - 1)), stacked, np.nan)

    feature, feature_bis = ("cluster", "feature"), ("cluster", "feature", "feature_bis")
    best = em.params
    return xr.Dataset(
        {
            "weights": ("cluster", best.weights),
            "means": (feature, best.means),
            "covariances": (feature_bis, best.covariances),
            "scales": (feature, best.scales),
            "correlations": (feature_bis, best.correlations),
            "run_weights": (("run", "cluster"), known([params.weights for params in every])),
            "run_means": (("run", *feature), known([params.means for params in every])),
            "run_scale_trils": (("run", *feature_bis), known([params.scale_trils for params in every])),
            "run_log_likelihood": ("run", np.array([run.log_likelihood for run in em.runs])),
            "run_trace": (("run", "iteration"), traces),
            "run_status": ("run", [run.status.name for run in em.runs]),
            "run_init": ("run", [run.init for run in em.runs]),
            "run_reason": ("run", [run.reason for run in em.runs]),
            **({"labels": ("cluster", list(em.labels))} if em.labels else {}),
            **({"resolution": ("feature", np.array(em.resolution))} if any(em.resolution) else {}),
            **_prior_variables(em.prior),
        },
        coords={"cluster": np.arange(n_components), "feature": list(em.columns), "feature_bis": list(em.columns)},
        attrs={
            "covariance": em.covariance,
            "n_samples": em.n_samples,
            "total_weight": em.total_weight,
            "classification_log_likelihood": em.classification_log_likelihood,
            "entropy": em.entropy,
            "interrupted": int(em.interrupted),
            "log_likelihood": em.log_likelihood,
            "bic": em.bic,
            **_prior_attributes(em.prior),
            **({} if em.max_eigenvalue_ratio is None else {"max_eigenvalue_ratio": em.max_eigenvalue_ratio}),
        },
    )


def _prior_variables(prior: ConjugatePrior | None) -> dict[str, tuple[tuple[str, ...], Any]]:
    """What of the prior was given as arrays."""
    variables: dict[str, tuple[tuple[str, ...], Any]] = {}
    if prior is not None and prior.mean is not None:
        variables["prior_mean"] = ("feature",), prior.mean
    if prior is not None and prior.scale is not None:
        variables["prior_scale"] = ("feature", "feature_bis"), prior.scale
    return variables


def _prior_attributes(prior: ConjugatePrior | None) -> dict[str, float]:
    """What of the prior was given as numbers; `prior_shrinkage` is there wherever there is a prior."""
    if prior is None:
        return {}
    given = {} if prior.degrees_of_freedom is None else {"prior_degrees_of_freedom": float(prior.degrees_of_freedom)}
    return {"prior_shrinkage": float(prior.shrinkage), **given}


def _prior_from_dataset(dataset: xr.Dataset) -> ConjugatePrior | None:
    if "prior_shrinkage" not in dataset.attrs:
        return None
    degrees_of_freedom = dataset.attrs.get("prior_degrees_of_freedom")
    return ConjugatePrior(
        shrinkage=float(dataset.attrs["prior_shrinkage"]),
        mean=dataset["prior_mean"].values if "prior_mean" in dataset else None,
        degrees_of_freedom=None if degrees_of_freedom is None else float(degrees_of_freedom),
        scale=dataset["prior_scale"].values if "prior_scale" in dataset else None,
    )


def em_result_from_dataset(dataset: xr.Dataset) -> EMResult:
    """The EMResult that `EMResult.to_dataset` was called on."""
    runs = tuple(_run_from_dataset(dataset.isel(run=r)) for r in range(dataset.sizes["run"]))
    max_eigenvalue_ratio = dataset.attrs.get("max_eigenvalue_ratio")
    return EMResult(
        runs=runs,
        covariance=str(dataset.attrs["covariance"]),
        columns=tuple(str(name) for name in dataset["feature"].values),
        n_samples=int(dataset.attrs["n_samples"]),
        total_weight=float(dataset.attrs["total_weight"]),
        classification_log_likelihood=float(dataset.attrs["classification_log_likelihood"]),
        entropy=float(dataset.attrs["entropy"]),
        interrupted=bool(dataset.attrs["interrupted"]),
        labels=tuple(str(label) for label in dataset["labels"].values) if "labels" in dataset else (),
        prior=_prior_from_dataset(dataset),
        max_eigenvalue_ratio=None if max_eigenvalue_ratio is None else float(max_eigenvalue_ratio),
        resolution=tuple(dataset["resolution"].values.tolist()) if "resolution" in dataset else (),
    )


def _run_from_dataset(run: xr.Dataset) -> EMRun:
    trace = run["run_trace"].values
    weights = run["run_weights"].values
    return EMRun(
        params=None
        if np.isnan(weights).any()
        else MixtureParams(weights, run["run_means"].values, run["run_scale_trils"].values),
        log_likelihood=float(run["run_log_likelihood"]),
        trace=trace[~np.isnan(trace)],
        status=EMStatus[str(run["run_status"].item())],
        init=str(run["run_init"].item()),
        reason=str(run["run_reason"].item()),
    )
