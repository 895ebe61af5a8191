"""diagnose: did the sampler converge, judged on what labels cannot disturb."""

from collections.abc import Mapping
from dataclasses import dataclass

import arviz_stats as azs
import numpy as np
import pandas as pd
import xarray as xr

from bayesgmm.posterior.invariants import invariants
from bayesgmm.posterior.labels import parameter_labels
from bayesgmm.posterior.problems import sampling_problems, smallest_bfmi
from bayesgmm.posterior.schema import group, with_derived

R_HAT_LIMIT = 1.01
ESS_PER_CHAIN = 100


@dataclass(frozen=True)
class Diagnosis:
    """What the draws say about the sampler.

    Attributes
    ----------
    quantities : DataFrame
        r_hat (rank-normalised split), ess_bulk and ess_tail of each label-invariant quantity of the raw draws (Vehtari et al.
        2021). The verdict rests on these.
    relabelled : DataFrame
        The same for each parameter after relabelling; NaN where all draws are equal.
    series : Dataset
        The label-invariant quantities themselves, (chain, draw).
    n_divergences, n_max_depth : int
        Draws after tuning that diverged, or whose trajectory was cut at the largest tree depth.
    min_bfmi : float
        Smallest Bayesian fraction of missing information of a chain; NaN if the sampler recorded no energy.
    n_chains, n_draws : int
        Chains, and draws of each after tuning.
    switching_rate : float
        Share of successive raw draws between which the labels changed; NaN if the tree was not relabelled.
    reasons : tuple of str
        What speaks against convergence; empty if nothing does.
    """

    quantities: pd.DataFrame
    relabelled: pd.DataFrame
    series: xr.Dataset
    n_divergences: int
    n_max_depth: int
    min_bfmi: float
    n_chains: int
    n_draws: int
    switching_rate: float
    reasons: tuple[str, ...]

    @property
    def ok(self) -> bool:
        """Whether nothing speaks against convergence."""
        return not self.reasons

    @property
    def verdict(self) -> str:
        """One sentence."""
        worst, least = self.quantities["r_hat"].max(), self.quantities[["ess_bulk", "ess_tail"]].min(axis=None)
        r_hat = f"label-invariant R-hat at most {worst:.3f}, " if np.isfinite(worst) else ""
        effective = f"at least {least:.0f} effective draws" if np.isfinite(least) else "no effective draws"
        if self.ok:
            return f"Nothing speaks against convergence: {r_hat}{effective}, no divergences."
        return f"Not converged ({r_hat}{effective}): {'; '.join(self.reasons)}."


def diagnose(tree: xr.DataTree) -> Diagnosis:
    """Convergence of the draws of a tree.

    R-hat and effective sample size of component-wise parameters are meaningless while labels switch, so the verdict rests on
    label-invariant quantities of the raw draws; the relabelled parameters' are given beside.

    Parameters
    ----------
    tree : DataTree
        As `sample` or `relabel` returns it, or any with posterior and observed_data groups.
    """
    series = invariants(tree)
    posterior = with_derived(group(tree, "posterior"))
    quantities = _convergence(series, {str(name): str(name) for name in series.data_vars})
    n_chains, n_draws = series.sizes["chain"], series.sizes["draw"]
    stats = tree["sample_stats"].to_dataset() if "sample_stats" in tree.children else xr.Dataset()
    return Diagnosis(
        quantities=quantities,
        relabelled=_convergence_of_parameters(posterior),
        series=series,
        n_divergences=int(stats["diverging"].sum()) if "diverging" in stats else 0,
        n_max_depth=int(stats["reached_max_treedepth"].sum()) if "reached_max_treedepth" in stats else 0,
        min_bfmi=smallest_bfmi(stats),
        n_chains=n_chains,
        n_draws=n_draws,
        switching_rate=_switching_rate(tree),
        reasons=(*_reasons(quantities, n_chains), *sampling_problems(tree)),
    )


def _convergence(series: xr.Dataset, names: Mapping[str, str]) -> pd.DataFrame:
    """r_hat and ESS of each variable, by its printed name; NaN where all draws are equal."""
    moving = [name for name in names if series[name].min() < series[name].max()]
    if not moving:
        return pd.DataFrame(
            np.nan, index=pd.Index(list(names.values()), name="quantity"), columns=["r_hat", "ess_bulk", "ess_tail"]
        )
    tree = xr.DataTree.from_dict({"posterior": series[moving]})
    measures = {
        "r_hat": azs.rhat(tree, method="rank"),
        "ess_bulk": azs.ess(tree, method="bulk"),
        "ess_tail": azs.ess(tree, method="tail"),
    }
    table = pd.DataFrame(
        {measure: pd.Series({name: float(values[name]) for name in moving}) for measure, values in measures.items()}
    )
    return table.reindex(list(names)).rename(index=dict(names)).rename_axis("quantity")


def _convergence_of_parameters(posterior: xr.Dataset) -> pd.DataFrame:
    labels = parameter_labels(posterior)
    scalars = xr.Dataset({f"p{i}": label.select(posterior) for i, label in enumerate(labels)})
    names = {f"p{i}": label.text for i, label in enumerate(labels)}
    return _convergence(scalars, names).rename_axis("parameter")


def _switching_rate(tree: xr.DataTree) -> float:
    if "relabelling" not in tree.children:
        return np.nan
    permutation = tree["relabelling"]["permutation"].transpose("chain", "draw", "cluster").values
    changed = (permutation[:, 1:] != permutation[:, :-1]).any(axis=2)
    return float(changed.mean()) if changed.size else 0.0


def _reasons(quantities: pd.DataFrame, n_chains: int) -> tuple[str, ...]:
    """What R-hat and effective sample sizes speak against."""
    moving = quantities.dropna(subset=["ess_bulk"])  # R-hat is NaN for one chain
    if "log_likelihood" not in moving.index:
        return ("log_likelihood is the same in every draw: the sampler did not move",)
    reasons = []
    if n_chains == 1:
        reasons.append("there is only one chain, so that chains cannot be compared: use at least four")
    elif moving["r_hat"].max() >= R_HAT_LIMIT:
        worst = moving["r_hat"].idxmax()
        reasons.append(
            f"R-hat of {worst} is {moving.loc[worst, 'r_hat']:.3f}, above {R_HAT_LIMIT}: the chains disagree, "
            "perhaps because they are in different modes; look at plot_diagnostics, then sample longer or from one mode"
        )
    needed = ESS_PER_CHAIN * max(n_chains, 4)
    effective = moving[["ess_bulk", "ess_tail"]].min(axis=1)
    if effective.min() < needed:
        scarcest = effective.idxmin()
        reasons.append(f"{scarcest} has {effective[scarcest]:.0f} effective draws, fewer than {needed}: sample longer")
    return tuple(reasons)
