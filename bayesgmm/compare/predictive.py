"""How well both predict: in sample, and leaving one row out at a time."""

import warnings

import arviz_stats as azs
import numpy as np
import pandas as pd
import xarray as xr
from scipy.special import logsumexp

from bayesgmm.em.result import EMResult
from bayesgmm.posterior.schema import SAMPLE_DIMS, group

FEWEST_DRAWS = 25  # for the tail that Pareto smoothing fits
UNKNOWN = (np.nan, np.nan, f"unknown: fewer than {FEWEST_DRAWS} draws")


def predictive_table(em: EMResult, tree: xr.DataTree) -> pd.DataFrame:
    """The table of `Comparison.predictive`, in nats.

    ``lppd`` is sum_n ln mean_s p(x_n | theta_s); ``elpd_loo`` its leave-one-out estimate by Pareto-smoothed importance sampling
    (Vehtari, Gelman and Gabry 2017); ``p_loo`` their difference, the effective number of parameters.
    """
    (log_likelihood,) = group(tree, "log_likelihood").data_vars.values()
    pointwise = log_likelihood.stack(sample=SAMPLE_DIMS).transpose("sample", "obs").values
    lppd = logsumexp(pointwise, axis=0) - np.log(len(pointwise))
    loo = _leave_one_out(tree) if len(pointwise) >= FEWEST_DRAWS else None
    rows = {
        "em_log_likelihood": (em.log_likelihood, np.nan, f"at the maximum, with {em.n_parameters} parameters"),
        "lppd": (float(lppd.sum()), _standard_error(lppd), "posterior predictive, the same rows"),
        "elpd_loo": (loo.elpd, loo.se, "posterior predictive, each row left out") if loo else UNKNOWN,
        "p_loo": (loo.p, np.nan, "effective number of parameters") if loo else UNKNOWN,
        "elpd_aic": (em.log_likelihood - em.n_parameters, np.nan, "EM's estimate of the same: -AIC / 2"),
        "largest_pareto_k": _pareto_row(loo) if loo else UNKNOWN,
    }
    return pd.DataFrame.from_dict(rows, orient="index", columns=["value", "standard_error", "note"]).rename_axis("measure")


def _leave_one_out(tree: xr.DataTree) -> azs.utils.ELPDData:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # a large Pareto k is a row of this table, in words
        return azs.loo(tree, pointwise=True)


def _pareto_row(loo: azs.utils.ELPDData) -> tuple[float, float, str]:
    pareto_k = np.asarray(loo.pareto_k)
    n_high = int((~(pareto_k <= loo.good_k)).sum())
    reliability = "not reliable" if n_high else "reliable"
    return float(pareto_k.max()), np.nan, f"{n_high} of {pareto_k.size} rows above {loo.good_k:.2f}: elpd_loo is {reliability}"


def _standard_error(pointwise: np.ndarray) -> float:
    return float(np.sqrt(len(pointwise)) * pointwise.std(ddof=1))
