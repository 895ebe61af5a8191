"""diagnose: did the sampler converge, judged on what labels cannot disturb."""

from collections.abc import Mapping
from dataclasses import dataclass
from textwrap import fill

import arviz_stats as azs
import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from bayesgmm.errors import InputError
from bayesgmm.posterior.chains import R_HAT_LIMIT, chain_groups, pairwise_r_hat
from bayesgmm.posterior.conditions import Condition, name_conditions, reason
from bayesgmm.posterior.invariants import invariants
from bayesgmm.posterior.labels import parameter_labels
from bayesgmm.posterior.problems import chains_apart, collapsed_draws, sampling_problems, smallest_bfmi
from bayesgmm.posterior.relabel import relabel
from bayesgmm.posterior.schema import SAMPLE_DIMS, group, raw_posterior, region_of_draws, with_derived
from bayesgmm.posterior.structures import ELSEWHERE, FEWEST_DRAWS, Structures, find_structures

NOTICED = 5e-4
"""Share of the draws that is 0.1% when printed."""

FEWEST_TO_JUDGE = 4
"""Draws of each chain; R-hat compares variances of its halves."""


@dataclass(frozen=True)
class Diagnosis:
    """What the draws say about the sampler.

    Attributes
    ----------
    quantities : DataFrame
        r_hat (rank-normalised split), ess_bulk and ess_tail of each label-invariant quantity of the raw draws (Vehtari et al.
        2021). The verdict rests on these.
    relabelled : DataFrame
        The same for each parameter after relabelling, by `relabel`'s default where the tree was not relabelled yet; NaN where all
        draws are equal.
    series : Dataset
        The label-invariant quantities themselves, (chain, draw).
    conditions : tuple of Condition
        The states that the draws are in, by name: whether chains agree, are stuck in different modes, move slowly or are short;
        whether labels switched; whether several groupings are visited; whether components are empty, coincide or have collapsed.
    structures : Structures
        Groupings of the rows found among the draws, which of them each draw has, and in which order of the components.
    pairwise : DataFrame or None
        The largest R-hat of each pair of chains; on the diagonal, of each chain's own halves. None where all chains agree.
    groups : tuple of tuple of int
        Chains that agree with one another; one group where all chains together do.
    n_divergences, n_max_depth : int
        Draws after tuning that diverged, or whose trajectory was cut at the largest tree depth.
    min_bfmi : float
        Smallest Bayesian fraction of missing information of a chain; NaN if the sampler recorded no energy.
    n_chains, n_draws : int
        Chains, and draws of each after tuning.
    reasons : tuple of str
        What speaks against convergence; empty if nothing does.
    remarks : tuple of str
        What to know of draws that nothing may be wrong with: switched labels, empty components, more than one structure.
    """

    quantities: pd.DataFrame
    relabelled: pd.DataFrame
    series: xr.Dataset
    conditions: tuple[Condition, ...]
    structures: Structures
    pairwise: pd.DataFrame | None
    groups: tuple[tuple[int, ...], ...]
    n_divergences: int
    n_max_depth: int
    min_bfmi: float
    n_chains: int
    n_draws: int
    reasons: tuple[str, ...]
    remarks: tuple[str, ...]

    @property
    def ok(self) -> bool:
        """Whether nothing speaks against convergence."""
        return not self.reasons

    @property
    def switching_rate(self) -> float:
        """Share of draws named in another order than the chain's last draw of the same structure."""
        switches = self.structures.switches
        return float(np.nanmean(switches)) if np.isfinite(switches).any() else 0.0

    @property
    def share_elsewhere(self) -> float:
        """Share of draws that are no permutation of the reference's structure."""
        return float((self.structures.place != 0).mean())

    @property
    def chains(self) -> pd.DataFrame:
        """One row per chain: where it is and how it moves.

        Its ``group``, the ``structure`` it is in most and the ``share`` of its draws there, ``passages`` between structures,
        ``switching_rate``, and the shares of draws with an ``empty`` component or two that are ``coinciding``.
        """
        structures, shares = self.structures, self.structures.shares()
        switches = structures.switches
        comparable = np.maximum(np.isfinite(switches).sum(axis=1), 1)
        return pd.DataFrame(
            {
                "group": [next(i for i, group in enumerate(self.groups) if chain in group) for chain in range(self.n_chains)],
                "structure": shares.argmax(axis=1),
                "share": shares.max(axis=1),
                "passages": structures.passages,
                "switching_rate": np.nansum(switches, axis=1) / comparable,
                "empty": structures.empty.mean(axis=1),
                "coinciding": structures.coinciding.mean(axis=1),
            },
            index=pd.RangeIndex(self.n_chains, name="chain"),
        )

    @property
    def verdict(self) -> str:
        """One sentence."""
        worst, least = self.quantities["r_hat"].max(), self.quantities[["ess_bulk", "ess_tail"]].min(axis=None)
        r_hat = f"label-invariant R-hat at most {worst:.3f}, " if np.isfinite(worst) else ""
        effective = f"at least {least:.0f} effective draws" if np.isfinite(least) else "no effective draws"
        if self.ok:
            only = self.conditions == (Condition.MIXED, Condition.SWITCHED) and self.share_elsewhere <= FEWEST_DRAWS
            switched = "labels switched, nothing else; " if only else ""
            return f"Nothing speaks against convergence: {switched}{r_hat}{effective}, no divergences."
        return f"Not converged ({r_hat}{effective}): {'; '.join(self.reasons)}."

    def __repr__(self) -> str:
        lines = [f"Diagnosis of {self.n_chains} x {self.n_draws} draws: {self.verdict}"]
        return "\n".join(
            fill(line, 100, subsequent_indent="  ") for line in [*lines, *(f"- {remark}" for remark in self.remarks)]
        )


def diagnose(tree: xr.DataTree) -> Diagnosis:
    """Convergence of the draws of a tree, and what state they are in.

    R-hat and effective sample size of component-wise parameters are meaningless while labels switch, so the verdict rests on
    label-invariant quantities of the raw draws; the relabelled parameters' are given beside. Every draw is matched with the
    groupings of rows that occur (`Structures`), which tells switched labels from a second mode, an emptied component from two
    that coincide, and chains that are stuck from chains that travel slowly.

    Parameters
    ----------
    tree : DataTree
        As `sample` or `relabel` returns it, or any with posterior (weights, means, covariances) and observed_data groups. Where
        it has them, `em` is the reference, `modes` give the evidence, `sample_stats` divergences, depth and energy.

    Raises
    ------
    InputError
        If a group that is needed is missing, draws are not finite, or there are fewer than 4 in each chain.

    Notes
    -----
    Structures are looked for among at most 2000 rows, and the log-likelihood is computed where the tree lacks it. Where draws of
    several regions were put together (group `regions`), chains are judged by how quantities move within the regions; the error of
    the regions' shares is in the tree.
    """
    raw = raw_posterior(tree)
    if raw.sizes["draw"] < FEWEST_TO_JUDGE:
        raise InputError(
            f"diagnose: {raw.sizes['draw']} draws in each chain are too few to say anything; {FEWEST_TO_JUDGE} are the least"
        )
    series = invariants(tree)
    region = region_of_draws(tree)
    quantities = _convergence(_within(series, region), {str(name): str(name) for name in series.data_vars})
    agree = not (quantities["r_hat"] >= R_HAT_LIMIT).any()
    n_chains = series.sizes["chain"]
    pairwise = None if agree else pairwise_r_hat(series)
    groups = (tuple(range(n_chains)),) if pairwise is None else chain_groups(pairwise)
    structures = find_structures(tree, series["log_likelihood"].transpose("chain", "draw").values)
    conditions = name_conditions(quantities, pairwise, groups, structures, collapsed_draws(tree))
    named = tree if "relabelling" in tree.children else relabel(tree)
    stats = tree["sample_stats"].to_dataset() if "sample_stats" in tree.children else xr.Dataset()
    apart = [] if conditions[0] is Condition.STUCK else chains_apart(tree)
    return Diagnosis(
        quantities=quantities,
        relabelled=_convergence_of_parameters(with_derived(group(named, "posterior"))),
        series=series,
        conditions=conditions,
        structures=structures,
        pairwise=pairwise,
        groups=groups,
        n_divergences=int(stats["diverging"].sum()) if "diverging" in stats else 0,
        n_max_depth=int(stats["reached_max_treedepth"].sum()) if "reached_max_treedepth" in stats else 0,
        min_bfmi=smallest_bfmi(stats, region),
        n_chains=n_chains,
        n_draws=series.sizes["draw"],
        reasons=(*_reasons(conditions, quantities, groups, structures), *sampling_problems(tree), *apart),
        remarks=_remarks(conditions, structures),
    )


def _within(series: xr.Dataset, region: NDArray[np.intp]) -> xr.Dataset:
    """The series less the mean of each region: how draws are divided among regions is no matter of how chains move."""
    if np.ptp(region) == 0:
        return series
    of_draw = xr.DataArray(region, dims=SAMPLE_DIMS, name="region")
    return (series.groupby(of_draw) - series.groupby(of_draw).mean()).drop_vars("region")


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


def _reasons(
    conditions: tuple[Condition, ...], quantities: pd.DataFrame, groups: tuple[tuple[int, ...], ...], structures: Structures
) -> tuple[str, ...]:
    """What R-hat and effective sample sizes speak against."""
    moving = quantities.dropna(subset=["ess_bulk"])  # R-hat is NaN for one chain
    if "log_likelihood" not in moving.index:
        return ("log_likelihood is the same in every draw: the sampler did not move",)
    alone = "there is only one chain, so that chains cannot be compared: use at least four"
    found = reason(conditions[0], moving, groups, structures)
    return (*([alone] if len(structures.place) == 1 else []), *([found] if found else []))


def _remarks(conditions: tuple[Condition, ...], structures: Structures) -> tuple[str, ...]:
    remarks = []
    if Condition.SWITCHED in conditions:
        switches = structures.switches
        how = (
            f"in {np.nanmean(switches):.2%} of successive draws of one structure" if np.nansum(switches) > 0 else "between chains"
        )
        remarks.append(f"labels switched {how}; relabelling puts them in order")
    for condition, marked, what in (
        (Condition.EMPTY, structures.empty, "a component holds fewer than two expected rows: there it follows the prior"),
        (Condition.COINCIDING, structures.coinciding, "two components all but coincide"),
    ):
        if condition in conditions:
            remarks.append(f"in {marked.mean():.1%} of the draws {what}")
    elsewhere = float((structures.place != 0).mean())
    if elsewhere > FEWEST_DRAWS:
        shares = structures.table["share"].drop(index=0).nlargest(3)
        which = [f"{share:.1%}: {structures.table.loc[place, 'description']}" for place, share in shares[shares > 0].items()]
        rest = float((structures.place == ELSEWHERE).mean())
        which += [f"{rest:.1%}: none of the {len(structures.table)} looked for"] if rest >= NOTICED else []
        remarks.append(
            f"{elsewhere:.1%} of the draws are no permutation of the reference's structure ({'; '.join(which)}): component-wise "
            "summaries mix structures; label-invariant ones, such as partitions, do not mind"
        )
    return tuple(remarks)
