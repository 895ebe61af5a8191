"""What speaks against the draws of a tree, each in one sentence that says what was found, where, and what to try."""

from collections.abc import Sequence

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from bayesgmm.posterior.schema import POOLED, SQUARE, observed_matrix, raw_posterior, resolution_of

NEGLIGIBLE = 0.01
"""A mode with a smaller share of the posterior, by Laplace's estimate, is not one to report draws from unsaid."""

NOTABLE = 0.05
"""From this share of the draws looked at on, it is said that they are in such modes."""

BFMI_LIMIT = 0.3
COLLAPSED = 1e-4
"""A component narrower than this, in some direction, of the data's spread has collapsed."""


def sampling_problems(tree: xr.DataTree) -> list[str]:
    """Interruption, pooling, divergences, tree depth, energy, modes and collapsed components; empty if there is none of these."""
    stats = tree["sample_stats"].to_dataset() if "sample_stats" in tree.children else xr.Dataset()
    modes = tree["modes"].to_dataset() if "modes" in tree.children else xr.Dataset()
    return [
        *(["sampling was interrupted: the draws are those made by then"] if tree.attrs.get("interrupted", 0) else []),
        *([f"R-hat and effective sample sizes say nothing here: {tree.attrs[POOLED]}"] if POOLED in tree.attrs else []),
        *_of_trajectories(stats),
        *_of_energy(stats),
        *(_of_modes(modes) if "visited" in modes else []),
        *_of_collapsed(tree),
    ]


def smallest_bfmi(stats: xr.Dataset) -> float:
    """The smallest Bayesian fraction of missing information of a chain (Betancourt 2016, section 3.2); NaN without energies."""
    if "energy" not in stats:
        return np.nan
    energy = stats["energy"].transpose("chain", "draw").values
    spread = energy.var(axis=1)
    moving = spread > 0
    if not moving.any():
        return np.nan
    return float((np.square(np.diff(energy, axis=1)).mean(axis=1)[moving] / spread[moving]).min())


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


def _of_energy(stats: xr.Dataset) -> list[str]:
    bfmi = smallest_bfmi(stats)
    if not bfmi < BFMI_LIMIT:
        return []
    return [f"the energy of some chain mixes slowly (BFMI {bfmi:.2f}, below {BFMI_LIMIT}): tune longer"]


def _of_modes(modes: xr.Dataset) -> list[str]:
    """Chains that stay in different modes, and chains that are where next to nothing of the posterior is."""
    visited = modes["visited"].transpose("chain", "check").values
    share = modes["share"].values
    out = []
    negligible = np.isin(visited, np.flatnonzero(share < NEGLIGIBLE))
    met = np.unique(visited[negligible])
    came_back = negligible[:, :-1] & ~negligible[:, 1:] & (visited[:, 1:] >= 0)  # then Laplace understates them
    if negligible.mean() >= NOTABLE and share[met].sum() < NEGLIGIBLE and not came_back.any():
        chains = np.flatnonzero(negligible.any(axis=1))
        out.append(
            f"of {visited.size} draws looked at, {int(negligible.sum())} ({named_chains(chains, len(visited))}) are in "
            f"{_named_modes(met.tolist(), modes)}, which Laplace's estimate gives less than {NEGLIGIBLE:.0%} of the posterior: "
            "they are too many, and chains that fell in there do not come back soon; sample again with another seed, or longer"
        )
    regions = _regions([set(row[row >= 0].tolist()) for row in visited])
    if len(regions) > 1:
        where = "; ".join(f"{named_chains(chains, 0)} in {_named_modes(places, modes)}" for places, chains in regions)
        out.append(
            f"the chains are in different modes and do not travel between them ({where}): their draws are no sample of the "
            "whole posterior; compare the modes, or use fewer components"
        )
    return out


def _regions(visits: list[set[int]]) -> list[tuple[list[int], list[int]]]:
    """Modes that chains travel between, and the chains that are there: chains that met one mode are in one region."""
    regions: list[tuple[set[int], list[int]]] = []
    for chain, places in enumerate(visits):
        if not places:
            continue
        meeting = [region for region in regions if region[0] & places]
        joined = (places.union(*(region[0] for region in meeting)), [c for region in meeting for c in region[1]] + [chain])
        regions = [region for region in regions if region not in meeting] + [joined]
    return sorted(((sorted(places), sorted(chains)) for places, chains in regions), key=lambda region: region[1])


def collapsed_draws(tree: xr.DataTree) -> NDArray[np.bool_]:
    """(chain, draw): whether some component is narrower than COLLAPSED of the data's spread in some direction."""
    raw, X = raw_posterior(tree), observed_matrix(tree)
    scale = X.std(axis=0)
    covariances = raw["covariances"].transpose(*SQUARE).values
    if not (scale > 0).all():
        return np.zeros(covariances.shape[:2], dtype=bool)
    smallest = np.linalg.eigvalsh((covariances + np.diag(resolution_of(tree) ** 2 / 12)) / np.outer(scale, scale))[..., 0]
    return np.asarray((smallest < COLLAPSED**2).any(axis=2))


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
