"""What speaks against the draws of a tree, each in one sentence that says what was found, where, and what to try."""

from collections.abc import Sequence

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from bayesgmm.posterior.chains import linked
from bayesgmm.posterior.schema import (
    N_OCCUPIED,
    POOLED,
    SAMPLE_DIMS,
    SQUARE,
    observed_matrix,
    raw_posterior,
    region_of_draws,
    resolution_of,
)

NEGLIGIBLE = 0.01
"""A mode with a smaller share of the posterior, by Laplace's estimate, is not one to report draws from unsaid."""

NOTABLE = 0.05
"""From this share of the draws looked at on, it is said that they are in such modes."""

BFMI_LIMIT = 0.3
FEWEST = 50
"""Draws of a chain in one region of several whose energies are judged."""

REPEATED = 0.1
"""Share of a region's draws that are copies of others from which it is said; NUTS itself stays where it is now and then."""

UNEVEN = 0.5
"""The same where draws are resampled, in a stratum: they are worth as many as their share asks for, some more than one."""

COLLAPSED = 1e-4
"""A component narrower than this, in some direction, of the data's spread has collapsed."""


def sampling_problems(tree: xr.DataTree) -> list[str]:
    """Interruption, pooling, divergences, tree depth, energy, negligible modes, collapsed components; empty if none of these."""
    stats = tree["sample_stats"].to_dataset() if "sample_stats" in tree.children else xr.Dataset()
    modes = tree["modes"].to_dataset() if "modes" in tree.children else xr.Dataset()
    return [
        *(["sampling was interrupted: the draws are those made by then"] if tree.attrs.get("interrupted", 0) else []),
        *([f"R-hat and effective sample sizes say nothing here: {tree.attrs[POOLED]}"] if POOLED in tree.attrs else []),
        *_of_trajectories(stats),
        *_of_energy(stats, region_of_draws(tree)),
        *_of_frozen(tree),
        *_of_regions(tree),
        *(_of_negligible_modes(modes) if "visited" in modes else []),
        *_of_collapsed(tree),
    ]


def smallest_bfmi(stats: xr.Dataset, region: NDArray[np.intp]) -> float:
    """The smallest Bayesian fraction of missing information of a chain (Betancourt 2016, section 3.2); NaN without energies.

    `region` (chain, draw) says of which region each draw is: where they are of several, the fraction is that of the draws of one,
    in their order.
    """
    if "energy" not in stats:
        return np.nan
    energies = stats["energy"].transpose(*SAMPLE_DIMS).values
    runs = list(energies)
    if np.ptp(region):
        parts = [energy[places == i] for energy, places in zip(energies, region, strict=True) for i in np.unique(places)]
        runs = [part for part in parts if len(part) >= FEWEST]
    fractions = [np.square(np.diff(run)).mean() / run.var() for run in runs if np.ptp(run) > 0]
    return float(min(fractions, default=np.nan))


def _of_trajectories(stats: xr.Dataset) -> list[str]:
    out = []
    for name, what, advice in (
        ("diverging", "draws diverged", "raise target_accept, or use priors that keep scales away from 0"),
        ("reached_max_treedepth", "trajectories reached the largest tree depth", "tune longer"),
    ):
        if name in stats and stats[name].any():
            count, total = int(stats[name].sum()), stats[name].size
            chains = stats[name].any("draw").values.nonzero()[0]
            out.append(f"{count} of {total} {what} ({named_chains(chains, stats.sizes['chain'])}): {advice}")
    return out


def _of_energy(stats: xr.Dataset, region: NDArray[np.intp]) -> list[str]:
    bfmi = smallest_bfmi(stats, region)
    if not bfmi < BFMI_LIMIT:
        return []
    return [f"the energy of some chain mixes slowly (BFMI {bfmi:.2f}, below {BFMI_LIMIT}): tune longer"]


def _of_negligible_modes(modes: xr.Dataset) -> list[str]:
    """Draws where next to nothing of the posterior is."""
    visited = modes["visited"].transpose("chain", "check").values
    share = modes["share"].values
    sampled = modes["region"].values >= 0 if "region" in modes else np.zeros(len(share), dtype=bool)  # chains found their share
    negligible = np.isin(visited, np.flatnonzero((share < NEGLIGIBLE) & ~sampled))
    met = np.unique(visited[negligible])
    came_back = negligible[:, :-1] & ~negligible[:, 1:] & (visited[:, 1:] >= 0)  # then Laplace understates them
    if negligible.mean() < NOTABLE or share[met].sum() >= NEGLIGIBLE or came_back.any():
        return []
    chains = np.flatnonzero(negligible.any(axis=1))
    return [
        f"of {visited.size} draws looked at, {int(negligible.sum())} ({named_chains(chains, len(visited))}) are in "
        f"{_named_modes(met.tolist(), modes)}, which Laplace's estimate gives less than {NEGLIGIBLE:.0%} of the posterior: "
        "they are too many, and chains that fell in there do not come back soon; sample again with another seed, or longer"
    ]


def chains_apart(tree: xr.DataTree) -> list[str]:
    """Chains that stay in different modes of the tree's atlas, as the few draws looked at say; empty if they travel.

    Empty, too, if every chain was put together of draws of several regions, in their proportions.
    """
    modes = tree["modes"].to_dataset() if "modes" in tree.children else xr.Dataset()
    if "visited" not in modes or "regions" in tree.children:
        return []
    visited = modes["visited"].transpose("chain", "check").values
    travelled = np.flatnonzero(modes["region"].values == 0).tolist() if "region" in modes else []
    regions = _regions([set(row[row >= 0].tolist()) for row in visited], set(travelled))
    if len(regions) == 1 or not regions:
        return []
    where = "; ".join(f"{named_chains(chains, 0)} in {_named_modes(places, modes)}" for places, chains in regions)
    return [
        f"the chains are in different modes and do not travel between them ({where}): their draws are no sample of the "
        "whole posterior; compare the modes, or use fewer components"
    ]


def _of_frozen(tree: xr.DataTree) -> list[str]:
    means = raw_posterior(tree)["means"].transpose(*SAMPLE_DIMS, ...).values
    still = (means == means[:, :1]).all(axis=(1, 2, 3))
    chains = np.flatnonzero(still) if means.shape[1] > 1 else np.zeros(0, dtype=np.intp)
    return [f"{named_chains(chains, len(still))} did not move: all draws are equal"] if chains.size else []


def _regions(visits: list[set[int]], travelled: set[int]) -> list[tuple[list[int], list[int]]]:
    """Modes that chains travel between, and the chains that are there.

    Chains that met one mode are in one region, or modes between which others `travelled`.
    """
    somewhere = [chain for chain, places in enumerate(visits) if places]
    wide = [places | travelled if places & travelled else places for places in visits]
    met = np.array([[bool(wide[a] & wide[b]) for b in somewhere] for a in somewhere]).reshape(len(somewhere), -1)
    regions = [[somewhere[i] for i in group] for group in linked(met)] if somewhere else []
    return [(sorted(set().union(*(visits[chain] for chain in chains))), chains) for chains in regions]


def _of_regions(tree: xr.DataTree) -> list[str]:
    """Regions without draws, and those of too few draws for their share, of which `sample` takes some more than once."""
    if "regions" not in tree.children or POOLED in tree.attrs:
        return []
    region, table = region_of_draws(tree), tree["regions"].to_dataset()
    stats = tree["sample_stats"].to_dataset() if "sample_stats" in tree.children else xr.Dataset()
    of_strata = N_OCCUPIED in table and "energy" in stats  # empty components differ where the others are the same
    values = stats["energy"] if of_strata else raw_posterior(tree)["means"]
    flat = values.transpose(*SAMPLE_DIMS, ...).values.reshape(*region.shape, -1)
    out = []
    for number, share in enumerate(table["share"].values):
        draws = flat[region == number]
        distinct = len(np.unique(draws, axis=0))
        what = f"region {number}"
        if N_OCCUPIED in table:
            n_occupied = int(table[N_OCCUPIED].values[number])
            what = f"the part in which {n_occupied} component{'s hold' if n_occupied > 1 else ' holds'} rows"
        if not distinct and share >= NEGLIGIBLE:
            out.append(f"{what} has {share:.1%} of the posterior and no draws: sample again, or longer")
        elif distinct < (1 - (UNEVEN if of_strata else REPEATED)) * len(draws):
            why = "few of those made are worth much" if of_strata else "chains left it"
            out.append(
                f"the {len(draws)} draws of {what} are {distinct}, some taken more than once, as {why}: "
                "that part of the posterior is known no better than from those; sample longer, or with another seed"
            )
    return out


def collapsed_draws(tree: xr.DataTree) -> NDArray[np.bool_]:
    """(chain, draw): whether some component is narrower than COLLAPSED of the data's spread in some direction."""
    raw, X = raw_posterior(tree), observed_matrix(tree)
    varied = np.flatnonzero(X.std(axis=0) > 0)  # a constant column has no spread to compare with
    scale = X[:, varied].std(axis=0)
    covariances = raw["covariances"].transpose(*SQUARE).values + np.diag(resolution_of(tree) ** 2 / 12)
    if varied.size == 0:
        return np.zeros(covariances.shape[:2], dtype=bool)
    relative = covariances[..., varied[:, None], varied] / np.outer(scale, scale)
    return np.asarray((np.linalg.eigvalsh(relative)[..., 0] < COLLAPSED**2).any(axis=2))


def _of_collapsed(tree: xr.DataTree) -> list[str]:
    collapsed = collapsed_draws(tree)
    if not collapsed.any():
        return []
    chains = np.flatnonzero(collapsed.any(axis=1))
    return [
        f"in {int(collapsed.sum())} of {collapsed.size} draws ({named_chains(chains, len(collapsed))}) a component is narrower "
        f"than {COLLAPSED:g} of the data's spread in some direction: the prior lets it collapse onto tied or collinear rows; "
        "give the resolution of the columns, leave out copied rows, or use a scale_prior that is 0 at 0 and a larger lkj_eta"
    ]


def named_chains(chains: Sequence[int] | NDArray[np.intp], n_chains: int) -> str:
    """Such as "chains 0, 2", or "every chain"."""
    if len(chains) == n_chains and n_chains > 1:
        return "every chain"
    return f"chain{'s' if len(chains) > 1 else ''} {', '.join(str(int(c)) for c in chains)}"


def _named_modes(places: list[int], modes: xr.Dataset) -> str:
    def described(place: int) -> str:
        weights = " ".join(f"{weight:.2f}" for weight in np.sort(modes["weights"].values[place])[::-1])
        return f"mode {place} (weights {weights}, share {modes['share'].values[place]:.2g})"

    return ", ".join(described(place) for place in places[:3]) + (" and others" if len(places) > 3 else "")
