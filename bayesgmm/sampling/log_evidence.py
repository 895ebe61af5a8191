"""log_evidence: the probability of the data under the model, from the draws of its posterior."""

from dataclasses import dataclass
from math import factorial

import numpy as np
import pandas as pd
import xarray as xr

from bayesgmm.data import check_seed
from bayesgmm.errors import InputError, SamplingError
from bayesgmm.evidence.bridge import Estimate
from bayesgmm.evidence.chart import MAX_ORDERS
from bayesgmm.evidence.regions import mass_of
from bayesgmm.model.target import Target
from bayesgmm.params import MixtureParams
from bayesgmm.posterior.regions import UNMEASURED, has_strata, mode_table
from bayesgmm.posterior.schema import N_OCCUPIED
from bayesgmm.sampling.tree import coordinates_of_draws, has_atlas, target_of


@dataclass(frozen=True, eq=False)
class Evidence:
    """ln p(X), how sure it is, and what it is made of.

    Attributes
    ----------
    log_value : float
        ln of the integral of likelihood times prior, in nats.
    standard_error : float
        Of log_value, in nats, by Monte Carlo.
    modes : DataFrame
        One row per mode, largest first: ``share`` of the posterior, ``log_evidence`` of the mode (all its copies by permutation
        together), ``standard_error`` of that of its region, NaN where it was not measured, ``region`` (those with the same number
        are one to the chains; -1: no chains were there), under a sparse prior `n_occupied`, how many components hold rows there
        (each number is a region then, see `sample`), the number of EM ``starts`` that led to it, sorted ``weights``, its
        ``origin``, and a ``description`` against the reference, the tree's first mode.
    """

    log_value: float
    standard_error: float
    modes: pd.DataFrame

    def __repr__(self) -> str:
        return f"Evidence: ln p(X) = {self.log_value:.2f}, standard error {self.standard_error:.2g}"


def log_evidence(tree: xr.DataTree, *, seed: int | np.random.Generator | None = None) -> Evidence:
    """ln of the marginal likelihood p(X) of the model, whatever the order of its components, with its standard error.

    Parameters
    ----------
    tree : DataTree
        From `sample`, `extend` or `load`.
    seed : int, Generator or None
        For the draws of the proposals; the same seed gives the same value. Where the tree's draws are of several regions their
        masses were estimated when it was sampled, and are taken from it.

    Returns
    -------
    Evidence

    Raises
    ------
    InputError
        If the tree was not made by `sample`, or has too few draws: two for each free parameter in each half of the chains.
    SamplingError
        If so many components are alike, as empty ones are, that a sum over their orders takes too long (from 9 on or so), or
        halves of the draws have nothing in common.

    Notes
    -----
    Bridge sampling (Meng and Wong 1996) between the draws and a Gaussian mixture fitted to them by EM, in coordinates in which
    the priors are nearly normal; the draws are cut into eight pieces, and every other one is bridged from a proposal fitted to
    the rest. Both densities are
    summed over all orders of the components, so that labels play no part and the K! copies are counted exactly. The standard
    error takes the autocorrelation of the chains into account. Modes in which no chain was are not part of log_value; `modes`
    says how much they hold by their own estimates.
    """
    if not has_atlas(tree):
        raise InputError("log_evidence: the tree was not made by `sample`, or parts of it are gone; sample again")
    target = target_of(tree)
    n_components = target.structure.n_components
    if not target.priors.symmetric and factorial(n_components) > MAX_ORDERS:
        raise InputError(
            f"log_evidence: the concentrations differ, and {n_components} components have more orders than are followed; with "
            "unequal concentrations evidence is measured for up to four components"
        )
    rng = np.random.default_rng(check_seed(seed))
    estimate = _of_regions(tree) if "regions" in tree.children else _of_draws(tree, target, rng)
    return Evidence(estimate.log_value, estimate.standard_error, _modes(tree, estimate))


def _of_draws(tree: xr.DataTree, target: Target, rng: np.random.Generator) -> Estimate:
    u = coordinates_of_draws(tree, target)
    n_chains, n_draws, size = u.shape
    if n_chains * n_draws < 4 * size:
        raise InputError(
            f"log_evidence: {n_chains * n_draws} draws are too few for {size} free parameters; make {4 * size} at least"
        )
    modes = tree["modes"].to_dataset()
    leading = MixtureParams.from_covariances(*(modes[name].values[0] for name in ("weights", "means", "covariances")))
    estimate = mass_of(target, u.reshape(-1, size), leading, rng)
    if not np.isfinite(estimate.standard_error):
        raise SamplingError(
            f"log_evidence: the evidence of {target.structure.n_components} components could not be measured: so many of them "
            "could be exchanged that sums over their orders take too long, or the chains are apart; use fewer components, or "
            "sample longer"
        )
    return estimate


def _of_regions(tree: xr.DataTree) -> Estimate:
    regions = tree["regions"].to_dataset()
    shares = regions["share"].values
    value = float(np.logaddexp.reduce(regions["log_evidence"].values))
    errors = np.nan_to_num(regions["standard_error"].values, nan=UNMEASURED)
    return Estimate(value, float(np.sqrt(((shares * errors) ** 2).sum())))


def _modes(tree: xr.DataTree, estimate: Estimate) -> pd.DataFrame:
    table = mode_table(tree)
    shares, home = table["share"].to_numpy(), table["region"].to_numpy()
    known = home >= 0
    errors = np.full(len(table), np.nan)
    errors[known] = (
        tree["regions"].to_dataset()["standard_error"].values[home[known]]
        if "regions" in tree.children
        else estimate.standard_error
    )
    total = estimate.log_value - np.log(shares[known].sum())
    table.insert(1, "log_evidence", total + np.log(np.maximum(shares, np.finfo(np.float64).tiny)))
    table.insert(2, "standard_error", errors)
    if has_strata(tree):
        numbers = tree["regions"].to_dataset()[N_OCCUPIED].values
        of_modes = [int(numbers[place]) if place >= 0 else None for place in home]
        table.insert(4, N_OCCUPIED, pd.array(of_modes, dtype="Int64"))
    return table.sort_values("share", ascending=False, kind="stable")
