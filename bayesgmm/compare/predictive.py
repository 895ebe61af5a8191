"""How well both predict: in sample, and leaving one row out at a time."""

import warnings

import arviz_stats as azs
import numpy as np
import pandas as pd
import xarray as xr
from scipy.special import logsumexp

from bayesgmm.em.result import EMResult
from bayesgmm.posterior.schema import SAMPLE_DIMS, group

PARETO_K_LIMIT = 0.7


def predictive_table(em: EMResult, tree: xr.DataTree) -> pd.DataFrame:
    """The table of `Comparison.predictive`, in nats.

    ``lppd`` is sum_n ln mean_s p(x_n | theta_s); ``elpd_loo`` its leave-one-out estimate by Pareto-smoothed importance sampling
    (Vehtari, Gelman and Gabry 2017); ``p_loo`` their difference, the effective number of parameters.
    """
    pointwise = group(tree, "log_likelihood")["X"].stack(sample=SAMPLE_DIMS).transpose("sample", "obs").values
    lppd = logsumexp(pointwise, axis=0) - np.log(len(pointwise))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # a large Pareto k is a row of this table, in words
        loo = azs.loo(tree, pointwise=True)
    pareto_k = np.asarray(loo.pareto_k)
    n_high = int((pareto_k > PARETO_K_LIMIT).sum())
    n_samples = em.n_samples
    rows = {
        "em_log_likelihood": (em.log_likelihood, np.nan, f"at the maximum, with {em.n_parameters} parameters"),
        "lppd": (float(lppd.sum()), _standard_error(lppd), "posterior predictive, the same rows"),
        "elpd_loo": (float(loo.elpd), float(loo.se), "posterior predictive, each row left out"),
        "p_loo": (float(loo.p), np.nan, "effective number of parameters"),
        "elpd_aic": (em.log_likelihood - em.n_parameters, np.nan, "EM's estimate of the same: -AIC / 2"),
        "largest_pareto_k": (
            float(pareto_k.max()),
            np.nan,
            f"{n_high} of {n_samples} rows above {PARETO_K_LIMIT}"
            + (": elpd_loo is not reliable" if n_high else ": elpd_loo is reliable"),
        ),
    }
    return pd.DataFrame.from_dict(rows, orient="index", columns=["value", "standard_error", "note"]).rename_axis("measure")


def _standard_error(pointwise: np.ndarray) -> float:
    return float(np.sqrt(len(pointwise)) * pointwise.std(ddof=1))
