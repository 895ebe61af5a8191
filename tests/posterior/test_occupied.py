"""How many components hold rows: against enumeration, exact posteriors, and the evidence of one component fewer."""

import warnings
from dataclasses import replace

import numpy as np
import pytest

import bayesgmm as bg
from bayesgmm.params import MixtureParams
from bayesgmm.posterior import occupied
from bayesgmm.posterior.occupied import log_ratio_by_empty, occupied_components, subset_sums
from bayesgmm.posterior.schema import recorded_draws
from tests.kernels.test_occupied import by_enumeration, responsibilities
from tests.posteriors import made_tree
from tests.problems import random_params
from tests.statistical.exact import ExactProblem, solve


@pytest.fixture(scope="module")
def near():
    """Three components close together, five rows: any of them may be empty."""
    rng = np.random.default_rng(1)
    params = replace(random_params(rng, 3, 2), means=0.5 * rng.normal(size=(3, 2)))
    return made_tree(params, rng, n_chains=2, n_draws=10, n_samples=5, spread=0.2)


def test_probabilities_are_those_of_all_allocations(near):
    """The mean over draws of P(m components hold rows | draw), by the sums over subsets of an enumeration."""
    table = occupied_components(near)
    X = near["observed_data"]["X"].values
    draws = zip(*recorded_draws(near, near["posterior"].to_dataset()), strict=True)
    sums = np.mean([by_enumeration(responsibilities(X, MixtureParams(*draw))) for draw in draws], axis=0)
    expected = [sums[1], sums[2] - 2 * sums[1], sums[3] - sums[2] + sums[1]]
    np.testing.assert_allclose(table["probability"], expected, rtol=1e-7)
    assert table.index.name == "occupied"
    assert table.index.tolist() == [1, 2, 3]
    assert table["probability"].sum() == pytest.approx(1.0, abs=1e-12)
    assert (table["standard_error"] > 0).all()


def test_where_components_are_apart_all_are_occupied():
    rng = np.random.default_rng(2)
    params = replace(random_params(rng, 4, 2), weights=np.full(4, 0.25), means=20.0 * np.arange(8.0).reshape(4, 2))
    table = occupied_components(made_tree(params, rng, n_chains=2, n_draws=20, n_samples=300))
    np.testing.assert_allclose(table["probability"], [0, 0, 0, 1], atol=1e-9)
    np.testing.assert_allclose(table["standard_error"], 0.0, atol=1e-9)


def test_one_component_is_occupied():
    rng = np.random.default_rng(3)
    table = occupied_components(made_tree(random_params(rng, 1, 2), rng, n_draws=10, n_samples=20))
    assert table["probability"].tolist() == [1.0]
    assert table["standard_error"].tolist() == [0.0]


def test_errors_are_those_of_repetitions():
    """Independent draws: the spread over many trees."""
    rng = np.random.default_rng(4)
    params = replace(random_params(rng, 2, 1), weights=np.array([0.9, 0.1]), means=np.array([[0.0], [0.5]]))
    X = made_tree(params, rng, n_samples=8)["observed_data"].to_dataset()
    found = []
    for _ in range(40):
        tree = made_tree(params, rng, n_chains=2, n_draws=50, n_samples=8, spread=0.4)
        tree["observed_data"] = X
        found.append(occupied_components(tree).loc[1])
    values, errors = np.array(found).T
    assert values.std() == pytest.approx(errors.mean(), rel=0.35)


def test_large_work_is_thinned_evenly(near, monkeypatch):
    whole, _ = subset_sums(near)
    assert whole.shape == (2, 10, 4)
    monkeypatch.setattr(occupied, "MOST_WORK", 0.0)
    np.testing.assert_array_equal(subset_sums(near)[0], whole)  # fifty draws of each chain are kept in any case
    rng = np.random.default_rng(5)
    many = made_tree(random_params(rng, 2, 1), rng, n_chains=2, n_draws=101, n_samples=4)
    thinned, _ = subset_sums(many)
    assert thinned.shape == (2, 50, 3)
    monkeypatch.undo()
    picked = np.linspace(0, 100, 50).round().astype(int)
    np.testing.assert_array_equal(thinned, subset_sums(many)[0][:, picked])


def test_too_many_components_are_refused():
    rng = np.random.default_rng(6)
    tree = made_tree(random_params(rng, 17, 1), rng, n_chains=1, n_draws=4, n_samples=20)
    with pytest.raises(bg.InputError, match="17 components have 131072 subsets"):
        occupied_components(tree)


def test_where_no_component_is_ever_empty_the_ratio_is_infinite():
    rng = np.random.default_rng(7)
    params = replace(random_params(rng, 2, 1), weights=np.full(2, 0.5), means=np.array([[0.0], [1e4]]))
    assert log_ratio_by_empty(made_tree(params, rng, n_draws=10, n_samples=400), 1.0) == (np.inf, np.inf)


@pytest.mark.slow
@pytest.mark.parametrize("concentration", [0.5, 2.0])
def test_ratios_of_evidences_and_occupied_components_are_the_exact_ones(concentration):
    """Seven rows, two components, NUTS: the gain over one component, and the posterior of their number."""
    X = np.random.default_rng(8).normal(size=(7, 1))
    priors = bg.Priors(
        concentration=concentration,
        mean_loc=0.0,
        mean_scale=2.0,
        scale_prior="log_normal",
        scale_params={"mu": -0.3, "sigma": 0.6},
    )
    problem = ExactProblem(X, 2, priors, np.zeros(1))
    exact, single = solve(problem), solve(replace(problem, n_components=1))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", bg.SamplingWarning)
        tree = bg.sample(X, 2, priors=priors, resolution=0.0, draws=2000, chains=2, seed=9, progress=False)
    value, error = log_ratio_by_empty(tree, concentration)
    assert error < 0.1
    assert value == pytest.approx(exact.log_evidence - single.log_evidence, abs=4 * error)
    table = occupied_components(tree)
    assert (table["standard_error"] < 0.03).all()
    assert (np.abs(table["probability"] - exact.occupied) < 4 * table["standard_error"]).all()
