"""Posteriors whose state is known because they are put together from partitions, without MCMC.

Given which rows are together, the conjugate posterior of each component (weights Dirichlet, means normal, covariances inverse
Wishart) is drawn from exactly; the partition of each draw is set by hand. So a draw is as variable as a posterior's, and its
mode, empty or doubled components are known.
"""

from dataclasses import dataclass, field, replace

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from scipy.stats import invwishart

from bayesgmm.posterior.conditions import Condition
from bayesgmm.posterior.schema import posterior_dataset
from tests.posteriors import scrambled

Array = NDArray[np.float64]
N_CHAINS, N_DRAWS = 4, 1000


@dataclass(frozen=True)
class Setting:
    """Data with known groups: how many groups, columns and rows, how far the groups' means are apart, and the seed."""

    n_components: int
    n_features: int
    n_samples: int
    distance: float
    seed: int

    def reseeded(self, step: int) -> "Setting":
        return replace(self, seed=self.seed + step)


@dataclass(frozen=True, eq=False)
class Problem:
    """Data, the true groups of its rows and a random generator."""

    X: Array
    labels: NDArray[np.intp]
    n_components: int
    rng: np.random.Generator = field(repr=False)

    @property
    def drawn(self) -> "ConditionalDraws":
        return ConditionalDraws(self)


def make_problem(setting: Setting) -> Problem:
    """Groups of unequal size about the corners of a regular polygon (two columns or more) or along a line (one column)."""
    rng = np.random.default_rng(setting.seed)
    n_components, n_features = setting.n_components, setting.n_features
    share = np.arange(2.0, n_components + 2)
    labels = np.repeat(np.arange(n_components), np.maximum(setting.n_samples * share / share.sum(), 1).round().astype(int))
    if n_features == 1:
        means = setting.distance * np.arange(n_components)[:, None]
    else:
        angles = 2 * np.pi * np.arange(n_components) / n_components
        means = np.zeros((n_components, n_features))
        means[:, :2] = setting.distance / (2 * np.sin(np.pi / n_components)) * np.c_[np.cos(angles), np.sin(angles)]
    X = means[labels] + rng.standard_normal((len(labels), n_features)) * rng.uniform(0.7, 1.3, (n_components, 1))[labels]
    return Problem(X, labels, n_components, rng)


class ConditionalDraws:
    """Exact draws of parameters given partitions, under weak conjugate priors in the units of the data."""

    def __init__(self, problem):
        self.problem = problem

    def given(self, labels: NDArray[np.intp], n_draws: int) -> tuple[Array, Array, Array]:
        """Weights (S, K), means (S, K, D), covariances (S, K, D, D) given one partition."""
        X, rng, n_components = self.problem.X, self.problem.rng, self.problem.n_components
        n_features = X.shape[1]
        counts = np.bincount(labels, minlength=n_components)
        weights = rng.dirichlet(1.0 + counts, size=n_draws)
        means, covariances = np.empty((n_draws, n_components, n_features)), np.empty((n_draws, n_components, *[n_features] * 2))
        prior_mean, prior_scatter = X.mean(axis=0), np.diag(X.var(axis=0)) / n_components**2
        for k in range(n_components):
            rows = X[labels == k]
            centre = rows.mean(axis=0) if len(rows) else prior_mean
            shift, shrink = centre - prior_mean, 0.01
            scatter = prior_scatter + (rows - centre).T @ (rows - centre)
            scatter += shrink * len(rows) / (shrink + len(rows)) * np.outer(shift, shift)
            drawn = invwishart(n_features + 2 + len(rows), scatter).rvs(n_draws, rng)
            covariances[:, k] = np.reshape(drawn, (n_draws, n_features, n_features))
            location = (shrink * prior_mean + len(rows) * centre) / (shrink + len(rows))
            noise = rng.standard_normal((n_draws, n_features, 1)) / np.sqrt(max(shrink + len(rows), 1.0))
            means[:, k] = location + (np.linalg.cholesky(covariances[:, k]) @ noise)[..., 0]
        return weights, means, covariances


def tree_of(problem: Problem, partitions: list[NDArray[np.intp]], which: NDArray[np.intp]) -> xr.DataTree:
    """The tree whose draw (chain, draw) is given partition `which[chain, draw]` of the list."""
    arrays: list[Array] = []
    for i, labels in enumerate(partitions):
        drawn = problem.drawn.given(labels, int((which == i).sum()))
        if not arrays:
            arrays = [np.empty((*which.shape, *part.shape[1:])) for part in drawn]
        for array, part in zip(arrays, drawn, strict=True):
            array[which == i] = part
    return with_parameters(problem, *arrays)


def with_parameters(problem: Problem, weights: Array, means: Array, covariances: Array) -> xr.DataTree:
    columns = [f"x{d}" for d in range(problem.X.shape[1])]
    observed = xr.Dataset({"X": (("obs", "feature"), problem.X)}, coords={"obs": np.arange(len(problem.X)), "feature": columns})
    posterior = posterior_dataset(weights, means, np.linalg.cholesky(covariances), columns)
    return xr.DataTree.from_dict({"posterior": posterior, "observed_data": observed})


def second_grouping(problem: Problem) -> NDArray[np.intp]:
    """Groups 0 and 1 in one component, and the last group cut in two at its median along the first column."""
    labels = np.where(problem.labels == 1, 0, problem.labels)
    last = problem.n_components - 1
    rows = np.flatnonzero(problem.labels == last)
    low = rows[problem.X[rows, 0] < np.median(problem.X[rows, 0])]
    labels[low] = 1
    return labels


def without_first(problem: Problem) -> NDArray[np.intp]:
    """Group 0 in the component of group 1: component 0 is empty."""
    return np.where(problem.labels == 0, 1, problem.labels)


def still(which: int) -> NDArray[np.intp]:
    return np.full((N_CHAINS, N_DRAWS), which)


def well_mixed(problem):
    return tree_of(problem, [problem.labels], still(0))


def switched_at_random(problem):
    return scrambled(well_mixed(problem), problem.rng)[0]


def permuted_draws(tree, orders):
    """The tree with the components of each draw in the order (chain, draw, cluster)."""
    posterior = tree["posterior"].to_dataset().copy(deep=True)
    for name, variable in posterior.data_vars.items():
        index = orders.reshape(*orders.shape, *[1] * (variable.ndim - 3))
        posterior[name] = (variable.dims, np.take_along_axis(variable.values, index, axis=2))
    return xr.DataTree.from_dict({"posterior": posterior, "observed_data": tree["observed_data"].to_dataset()})


def switched_between_chains(problem):
    orders = np.array([np.roll(np.arange(problem.n_components), chain) for chain in range(N_CHAINS)])
    return permuted_draws(well_mixed(problem), np.repeat(orders[:, None], N_DRAWS, axis=1))


def switched_slowly(problem):
    """Each chain names its components in another order twice."""
    turns = np.repeat([0, 1, 2], [350, 400, 250])
    orders = np.array([np.roll(np.arange(problem.n_components), turn) for turn in turns])
    return permuted_draws(well_mixed(problem), np.broadcast_to(orders, (N_CHAINS, *orders.shape)))


def stuck_in_two_modes(problem):
    which = still(0)
    which[2:] = 1
    return scrambled(tree_of(problem, [problem.labels, second_grouping(problem)], which), problem.rng)[0]


def one_chain_stuck(problem):
    which = still(0)
    which[1] = 1
    return tree_of(problem, [problem.labels, second_grouping(problem)], which)


def stuck_beside(problem):
    """One chain in another place with the same grouping: its standard deviations are half as large again."""
    tree = well_mixed(problem)
    posterior = tree["posterior"].to_dataset()
    covariances = posterior["covariances"].values.copy()
    covariances[3] *= 2.25
    return with_parameters(problem, posterior["weights"].values, posterior["means"].values, covariances)


def one_empty(problem):
    return scrambled(tree_of(problem, [without_first(problem)], still(0)), problem.rng)[0]


def one_chain_with_an_empty_component(problem):
    which = still(0)
    which[3] = 1
    return tree_of(problem, [problem.labels, without_first(problem)], which)


def two_coincide(problem):
    """Group 0 with group 1, and the last group shared at random by two components, otherwise in every draw."""
    base = np.where(problem.labels == 0, 1, problem.labels)
    last = np.flatnonzero(base == problem.n_components - 1)
    partitions = []
    for _ in range(40):
        labels = base.copy()
        labels[problem.rng.permutation(last)[: len(last) // 2]] = 0
        partitions.append(labels)
    return tree_of(problem, partitions, problem.rng.integers(len(partitions), size=(N_CHAINS, N_DRAWS)))


def collapsed(problem):
    """In 30 draws of one chain the first component is flat in one direction, in another it is a point."""
    tree = well_mixed(problem)
    posterior = tree["posterior"].to_dataset()
    covariances = posterior["covariances"].values.copy()
    covariances[1, 100:130, 0] *= 1e-12
    return with_parameters(problem, posterior["weights"].values, posterior["means"].values, covariances)


def travels_fast(problem):
    """Each draw is in one of two modes, whatever the one before."""
    which = problem.rng.integers(2, size=(N_CHAINS, N_DRAWS))
    return scrambled(tree_of(problem, [problem.labels, second_grouping(problem)], which), problem.rng)[0]


def travels_slowly(problem):
    """Each chain goes to the other mode and back with probability 0.004 per draw."""
    switches = problem.rng.random((N_CHAINS, N_DRAWS)) < 0.004
    which = (np.cumsum(switches, axis=1) + np.arange(N_CHAINS)[:, None]) % 2
    return scrambled(tree_of(problem, [problem.labels, second_grouping(problem)], which), problem.rng)[0]


def moves_slowly(problem):
    """Widths and places of the components drift together, with autocorrelation 0.998."""
    tree = well_mixed(problem)
    posterior = tree["posterior"].to_dataset()
    drift = np.zeros((N_CHAINS, N_DRAWS))
    drift[:, 0] = problem.rng.standard_normal(N_CHAINS)
    for draw in range(1, N_DRAWS):
        drift[:, draw] = 0.998 * drift[:, draw - 1] + np.sqrt(1 - 0.998**2) * problem.rng.standard_normal(N_CHAINS)
    covariances = posterior["covariances"].values * np.exp(0.3 * drift)[..., None, None, None]
    return with_parameters(problem, posterior["weights"].values, posterior["means"].values, covariances)


def too_short(problem):
    tree = switched_at_random(problem)
    posterior = tree["posterior"].to_dataset().isel(draw=slice(60))
    return xr.DataTree.from_dict({"posterior": posterior, "observed_data": tree["observed_data"].to_dataset()})


C = Condition
KINDS = {
    well_mixed: {C.MIXED},
    switched_at_random: {C.MIXED, C.SWITCHED},
    switched_between_chains: {C.MIXED, C.SWITCHED},
    switched_slowly: {C.MIXED, C.SWITCHED},
    stuck_in_two_modes: {C.STUCK, C.SWITCHED},
    one_chain_stuck: {C.STUCK},
    stuck_beside: {C.STUCK},
    one_empty: {C.MIXED, C.SWITCHED, C.EMPTY},
    one_chain_with_an_empty_component: {C.STUCK, C.EMPTY},
    two_coincide: {C.MIXED, C.SWITCHED, C.COINCIDING},  # the two are exchanged between draws
    collapsed: {C.MIXED, C.COLLAPSED},
    travels_fast: {C.MIXED, C.SWITCHED, C.SEVERAL},
    travels_slowly: {C.SLOW, C.SWITCHED, C.SEVERAL},
    moves_slowly: {C.SLOW},
    too_short: {C.SHORT, C.SWITCHED},
}
"""How posteriors are made, and what they are to be called."""

SETTINGS = [
    Setting(3, 2, 200, 6.0, 1),
    Setting(3, 1, 150, 6.0, 2),
    Setting(4, 3, 300, 5.0, 3),
    Setting(3, 2, 90, 4.0, 4),
    Setting(5, 2, 500, 7.0, 5),
    Setting(3, 5, 240, 6.0, 6),
]
