"""What state the draws are in, named: agreement of the chains, their modes, empty, coinciding and collapsed components."""

from enum import Enum

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bayesgmm.posterior.chains import R_HAT_LIMIT, linked
from bayesgmm.posterior.problems import NOTABLE, named_chains
from bayesgmm.posterior.structures import Structures

ESS_PER_CHAIN = 100

STEADY = 1.05
"""A chain whose own R-hat, of its halves, is below this stays in one place."""

MOVING = 0.1
"""Chains with more effective draws than this share of all draws move well, and are too short if those are too few."""

MOST = 0.5


class Condition(Enum):
    """A state of the draws of a mixture; the text says what it means."""

    MIXED = "the chains agree"
    STUCK = "chains are in different modes and do not travel between them: together they are no sample of the posterior"
    SLOW = "the draws move too slowly, or travel between modes too rarely, for the chains to agree"
    SHORT = "the chains move well or agree already, but there are too few effective draws"
    SWITCHED = "labels switched, which is no failure: relabelling puts them in order"
    SEVERAL = "the draws group the rows in more than one way: component-wise summaries mix them"
    EMPTY = "a component holds fewer than two expected rows: there it follows the prior"
    COINCIDING = "two components all but coincide"
    COLLAPSED = "a component is far narrower than the data in some direction"

    def __str__(self) -> str:
        return self.value


def name_conditions(
    quantities: pd.DataFrame,
    pairwise: pd.DataFrame | None,
    groups: tuple[tuple[int, ...], ...],
    structures: Structures,
    collapsed: NDArray[np.bool_],
) -> tuple[Condition, ...]:
    """The conditions that hold, in the order of the enum: first how the chains agree.

    `quantities` has r_hat, ess_bulk and ess_tail of the label-invariant quantities; `pairwise` and `groups` are of
    `bayesgmm.posterior.chains`, `pairwise` None where all chains agree; `collapsed` (chain, draw).
    """
    found = {agreement(quantities, pairwise, groups, structures)}
    if structures.labels_vary:
        found.add(Condition.SWITCHED)
    if (np.sort(_shares_and_rest(structures), axis=1)[:, -2:] >= NOTABLE).all(axis=1).any():
        found.add(Condition.SEVERAL)
    for condition, marked in ((Condition.EMPTY, structures.empty), (Condition.COINCIDING, structures.coinciding)):
        if marked.mean() >= NOTABLE or marked.mean(axis=1).max() >= MOST:
            found.add(condition)
    if collapsed.any():
        found.add(Condition.COLLAPSED)
    return tuple(condition for condition in Condition if condition in found)


def agreement(
    quantities: pd.DataFrame, pairwise: pd.DataFrame | None, groups: tuple[tuple[int, ...], ...], structures: Structures
) -> Condition:
    """MIXED, STUCK, SLOW or SHORT."""
    n_chains, n_draws = structures.place.shape
    effective = quantities[["ess_bulk", "ess_tail"]].min(axis=None)
    if len(regions(structures)) > 1:
        return Condition.STUCK
    if pairwise is None:
        return Condition.MIXED if effective >= needed_draws(n_chains) else Condition.SHORT
    if effective >= MOVING * n_chains * n_draws:
        return Condition.SHORT
    return Condition.STUCK if len(groups) > 1 and (np.diag(pairwise) < STEADY).all() else Condition.SLOW


def _shares_and_rest(structures: Structures) -> NDArray[np.float64]:
    """(chain, structure + 1): with the share of draws that have none of them."""
    shares = structures.shares()
    return np.column_stack([shares, 1 - shares.sum(axis=1)])


def needed_draws(n_chains: int) -> int:
    """Effective draws that R-hat and ESS themselves need to be trusted (Vehtari et al. 2021, section 4.2)."""
    return ESS_PER_CHAIN * max(n_chains, 4)


def regions(structures: Structures) -> list[list[int]]:
    """Chains with most draws in one structure, linked by the structures that they share: in each, 5% of their draws at least."""
    shares = structures.shares()
    chains = np.flatnonzero(shares.max(axis=1, initial=0) >= MOST)
    visited = shares[chains] >= NOTABLE
    return [chains[group].tolist() for group in linked((visited[:, None] & visited).any(axis=2))] if len(chains) else []


def reason(
    condition: Condition, quantities: pd.DataFrame, groups: tuple[tuple[int, ...], ...], structures: Structures
) -> str | None:
    """What speaks against convergence, of the four states of agreement, with what was found and what to do; None if nothing."""
    found = " and ".join(_figures(quantities, len(structures.place)))
    match condition:
        case Condition.STUCK:
            where = "; ".join(f"{named_chains(group, 0)} in {where_chains_are(group, structures)}" for group in groups)
            apart = "in different modes" if len(regions(structures)) > 1 else "in different places of one grouping of the rows"
            return (
                f"{f'{found}: ' if found else ''}the chains are steady {apart} ({where}); compare their evidence, weigh the "
                "chains (chain_weights) before pooling them, or use fewer components"
            )
        case Condition.SLOW:
            passages = structures.passages
            travels = (
                f" (the structure changes {int(passages.min())} to {int(passages.max())} times along each chain)"
                if len(structures.table) > 1 and passages.any()
                else ""
            )
            return f"{found}: the draws move too slowly for the chains to agree{travels}; sample longer, or use fewer components"
        case Condition.SHORT:
            return f"{found}: sample longer"
    return None


def _figures(quantities: pd.DataFrame, n_chains: int) -> list[str]:
    """The worst R-hat and the scarcest effective draws, where they are beyond their limits."""
    out = []
    if (quantities["r_hat"] >= R_HAT_LIMIT).any():
        worst = quantities["r_hat"].idxmax()
        out.append(f"R-hat of {worst} is {quantities.loc[worst, 'r_hat']:.3f}, above {R_HAT_LIMIT}")
    effective = quantities[["ess_bulk", "ess_tail"]].min(axis=1)
    if effective.min() < needed_draws(n_chains):
        scarcest = effective.idxmin()
        out.append(f"{scarcest} has {effective[scarcest]:.0f} effective draws, fewer than {needed_draws(n_chains)}")
    return out


def where_chains_are(chains: tuple[int, ...], structures: Structures) -> str:
    """The structure that most draws of these chains have, in words."""
    shares = structures.shares()[list(chains)].mean(axis=0)
    if not shares.size or shares.max() < MOST:
        return "no one structure"
    place = int(shares.argmax())
    row = structures.table.loc[place]
    evidence = f", share {row['evidence']:.2g} by evidence" if np.isfinite(row["evidence"]) else ""
    weights = " ".join(f"{weight:.2f}" for weight in row["weights"])
    return f"structure {place} (weights {weights}{evidence}; {row['description']})"
