"""Parameters by EM and by the posterior, one row each."""

import numpy as np
import pandas as pd
import xarray as xr

from bayesgmm.em.result import EMResult
from bayesgmm.posterior.labels import parameter_labels


def parameter_table(em: EMResult, posterior: xr.Dataset, ci_prob: float) -> pd.DataFrame:
    """The table of `Comparison.parameters`; `shift` is NaN where the posterior has no spread (the weight of K = 1)."""
    columns = posterior["feature"].values  # the data are the same; the tree may name the columns otherwise, or not at all
    estimates = em.to_dataset().assign_coords(feature=columns, feature_bis=columns)
    tails = [(1 - ci_prob) / 2, (1 + ci_prob) / 2]
    rows = []
    for label in parameter_labels(posterior):
        draws = label.select(posterior).values.ravel()
        estimate = float(label.select(estimates))
        mean, sd = float(draws.mean()), float(draws.std(ddof=1))
        lower, upper = np.quantile(draws, tails)
        rows.append(
            {
                "parameter": label.text,
                "kind": label.kind,
                "cluster": label.cluster,
                "feature": label.feature,
                "feature_bis": label.feature_bis,
                "em": estimate,
                "mean": mean,
                "sd": sd,
                "lower": float(lower),
                "upper": float(upper),
                "shift": (mean - estimate) / sd if sd > 0 else np.nan,
            }
        )
    return pd.DataFrame(rows).set_index("parameter")
