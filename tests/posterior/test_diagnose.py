import numpy as np
import pytest
import xarray as xr

import bayesgmm as bg
from bayesgmm.kernels import reference as twin
from bayesgmm.posterior.conditions import Condition
from bayesgmm.posterior.invariants import invariants
from bayesgmm.posterior.schema import with_groups
from tests.posterior import constructed
from tests.posterior.constructed import SETTINGS, make_problem
from tests.posteriors import made_tree, scrambled, separated_params
from tests.representatives import representative_values


@pytest.fixture(scope="module")
def well_mixed():
    rng = np.random.default_rng(51)
    return bg.relabel(scrambled(made_tree(separated_params(), rng), rng)[0])


def test_switched_labels_alone_are_no_failure(well_mixed):
    diagnosis = bg.diagnose(well_mixed)
    assert diagnosis.ok, diagnosis.verdict
    assert diagnosis.quantities["r_hat"].max() < 1.01
    assert diagnosis.relabelled["r_hat"].max() < 1.02
    assert diagnosis.switching_rate > 0.5
    assert (diagnosis.n_chains, diagnosis.n_draws) == (4, 250)
    assert diagnosis.verdict.startswith("Nothing speaks against convergence")


def test_invariants_do_not_depend_on_labels():
    rng = np.random.default_rng(52)
    tree = made_tree(separated_params(), rng, n_draws=20)
    shuffled, _ = scrambled(tree, rng)
    for name, series in invariants(tree).data_vars.items():
        np.testing.assert_allclose(invariants(shuffled)[name].values, series.values, rtol=1e-10, err_msg=str(name))


def test_invariants_are_what_they_say():
    rng = np.random.default_rng(53)
    params = separated_params()
    tree = made_tree(params, rng, n_chains=1, n_draws=4, spread=0.0, n_samples=50)
    X = tree["observed_data"]["X"].values
    series = invariants(tree).isel(chain=0, draw=0)
    arrays = (params.weights, params.means, params.scale_trils)
    assert float(series["log_likelihood"]) == pytest.approx(twin.log_density(X, *arrays).sum(), rel=1e-12)
    assert float(series["weight_entropy"]) == pytest.approx(-(params.weights * np.log(params.weights)).sum(), rel=1e-12)
    centre = params.weights @ params.means
    total = sum(
        w * (c + np.outer(m - centre, m - centre))
        for w, m, c in zip(params.weights, params.means, params.covariances, strict=True)
    )
    assert float(series["log_det_total_covariance"]) == pytest.approx(np.linalg.slogdet(total)[1], rel=1e-12)
    assert 0 < float(series["co_assignment"]) < 1


def test_chains_in_different_modes_are_reported():
    rng = np.random.default_rng(54)
    params = separated_params()
    tree = made_tree(params, rng)
    moved = tree["posterior"].to_dataset().copy(deep=True)
    moved["means"][{"chain": 3, "cluster": 0}] += 3.0
    diagnosis = bg.diagnose(xr.DataTree.from_dict({"posterior": moved, "observed_data": tree["observed_data"].to_dataset()}))
    assert not diagnosis.ok
    assert any("the chains are steady in different" in reason for reason in diagnosis.reasons)
    assert diagnosis.verdict.startswith("Not converged")


@pytest.mark.parametrize(
    ("statistics", "words"),
    [
        ({"diverging": 7}, "7 of 1000 draws diverged"),
        ({"reached_max_treedepth": 3}, "3 of 1000 trajectories reached the largest tree depth"),
    ],
)
def test_sampler_statistics_are_counted(well_mixed, statistics, words):
    ((name, count),) = statistics.items()
    flags = np.zeros(1000, dtype=bool)
    flags[:count] = True
    stats = xr.Dataset({name: (("chain", "draw"), flags.reshape(4, 250))})
    groups = {key: child.to_dataset() for key, child in well_mixed.children.items()}
    diagnosis = bg.diagnose(xr.DataTree.from_dict({**groups, "sample_stats": stats}))
    assert not diagnosis.ok
    assert any(words in reason for reason in diagnosis.reasons)


def test_slow_energy_few_draws_and_one_chain_are_reported():
    rng = np.random.default_rng(55)
    tree = made_tree(separated_params(), rng, n_chains=1, n_draws=100)
    energy = np.cumsum(rng.normal(size=(1, 100)), axis=1)  # a random walk: BFMI near 0
    groups = {key: child.to_dataset() for key, child in tree.children.items()}
    stats = xr.Dataset({"energy": (("chain", "draw"), energy)})
    reasons = " ".join(bg.diagnose(xr.DataTree.from_dict({**groups, "sample_stats": stats})).reasons)
    assert "only one chain" in reasons
    assert "effective draws, fewer than 400" in reasons
    assert "the energy of some chain mixes slowly" in reasons


def test_stored_and_computed_log_likelihood_give_the_same():
    rng = np.random.default_rng(56)
    tree = made_tree(separated_params(), rng, n_chains=2, n_draws=20, n_samples=60)
    X, posterior = tree["observed_data"]["X"].values, tree["posterior"]
    arrays = (posterior["weights"].values, posterior["means"].values, np.linalg.cholesky(posterior["covariances"].values))
    values = np.array([[twin.log_density(X, *(array[c, d] for array in arrays)) for d in range(20)] for c in range(2)])
    stored = with_groups(tree, {"log_likelihood": xr.Dataset({"X": (("chain", "draw", "obs"), values)})})
    for name, series in invariants(stored).data_vars.items():
        np.testing.assert_allclose(series.values, invariants(tree)[name].values, rtol=1e-9)


def test_log_posterior_is_the_sum_or_what_the_sampler_says():
    rng = np.random.default_rng(57)
    tree = made_tree(separated_params(), rng, n_chains=2, n_draws=20, n_samples=60)
    assert "log_posterior" not in invariants(tree)
    terms = {name: (("chain", "draw"), rng.normal(size=(2, 20))) for name in ("weights", "means")}
    uniform = {"rotations": (("chain", "draw"), rng.normal(size=(2, 20)))}  # which say nothing but where coordinates are centred
    summed = invariants(with_groups(tree, {"log_prior": xr.Dataset({**terms, **uniform})}))
    expected = summed["log_likelihood"] + terms["weights"][1] + terms["means"][1]
    np.testing.assert_allclose(summed["log_posterior"], expected, rtol=1e-12)
    recorded = invariants(with_groups(tree, {"sample_stats": xr.Dataset({"lp": terms["means"]})}))
    np.testing.assert_array_equal(recorded["log_posterior"], terms["means"][1])


def test_sampled_pairs_are_what_they_say():
    rng = np.random.default_rng(58)
    tree = made_tree(separated_params(), rng, n_chains=1, n_draws=3, n_samples=60, spread=0.5)
    series = invariants(tree)
    names = [str(name) for name in series.data_vars if str(name).startswith("co_assignment_of_rows_")]
    assert len(names) == 2
    X, posterior = tree["observed_data"]["X"].values, tree["posterior"]
    for name in names:
        pair = [int(row) for row in name.split("_")[-2:]]
        for draw in range(3):
            arrays = (posterior[key].values[0, draw] for key in ("weights", "means"))
            gamma = twin.responsibilities(X[pair], *arrays, np.linalg.cholesky(posterior["covariances"].values[0, draw]))
            assert float(series[name][0, draw]) == pytest.approx(float(gamma[0] @ gamma[1]), rel=1e-9, abs=1e-12)


def test_one_row_has_no_pairs():
    """Nothing can be said of pairs of rows where there is one row."""
    tree = made_tree(separated_params(), np.random.default_rng(59), n_draws=20, n_samples=3)
    one = with_groups(tree, {"observed_data": tree["observed_data"].to_dataset().isel(obs=slice(1))})
    assert not any("co_assignment" in str(name) for name in invariants(one))


@pytest.mark.parametrize("name", ["weights", "means", "covariances"])
def test_draws_that_are_not_finite_are_named(well_mixed, name):
    broken = well_mixed["posterior_raw"].to_dataset().copy(deep=True)
    broken[name][{"chain": 1, "draw": 5}] = np.nan
    tree = with_groups(well_mixed, {"posterior_raw": broken})
    message = f"{name} is not finite in 1 of 1000 draws, first in draw 5 of chain 1"
    for verb in (bg.diagnose, bg.relabel, bg.similarity, bg.partition):
        with pytest.raises(bg.InputError, match=message):
            verb(tree)


@pytest.mark.slow
def test_a_constant_column_does_not_hide_a_collapse():
    problem = make_problem(SETTINGS[0])
    tree = constructed.collapsed(problem)
    posterior = tree["posterior"].to_dataset()
    X = np.column_stack([problem.X, np.ones(len(problem.X))])
    means = np.concatenate([posterior["means"].values, np.ones((4, 1000, 3, 1))], axis=-1)
    covariances = np.zeros((4, 1000, 3, 3, 3))
    covariances[..., :2, :2], covariances[..., 2, 2] = posterior["covariances"].values, 1.0
    wider = constructed.Problem(X, problem.labels, 3, problem.rng)
    tree = constructed.with_parameters(wider, posterior["weights"].values, means, covariances)
    assert Condition.COLLAPSED in bg.diagnose(tree).conditions


@pytest.mark.slow
def test_parameters_of_a_tree_without_labels_are_relabelled_first():
    diagnosis = bg.diagnose(constructed.switched_between_chains(make_problem(SETTINGS[0])))
    assert diagnosis.relabelled["r_hat"].max() < 1.02


def test_groups_belong_to_draws_by_their_coordinates(well_mixed):
    """Chains of the log-likelihood in another order, with their coordinates, are put in order; those of other draws refused."""
    values = invariants(well_mixed)["log_likelihood"]
    rows = well_mixed["observed_data"].sizes["obs"]
    pointwise = (values / rows).expand_dims(obs=rows, axis=2).rename("X").to_dataset()
    expected = invariants(with_groups(well_mixed, {"log_likelihood": pointwise}))["log_likelihood"]
    turned = invariants(with_groups(well_mixed, {"log_likelihood": pointwise.isel(chain=[3, 2, 0, 1])}))["log_likelihood"]
    np.testing.assert_allclose(turned, expected, rtol=1e-12)
    for other, words in ((pointwise.isel(draw=slice(9)), "other values of 'draw'"), (pointwise.isel(obs=slice(9)), "has 9 rows")):
        with pytest.raises(bg.InputError, match=words):
            bg.diagnose(with_groups(well_mixed, {"log_likelihood": other}))


def test_numbered_features():
    """As ArviZ numbers dimensions that it is told nothing of."""
    tree = made_tree(separated_params(), np.random.default_rng(60), n_draws=150)
    posterior = tree["posterior"].to_dataset().assign_coords(feature=[0, 1], feature_bis=[0, 1])
    observed = tree["observed_data"].to_dataset().assign_coords(feature=[0, 1])
    diagnosis = bg.diagnose(xr.DataTree.from_dict({"posterior": posterior, "observed_data": observed}))
    assert "means[0, 1]" in diagnosis.relabelled.index


def test_too_few_draws_to_judge(well_mixed):
    short = with_groups(well_mixed, {"posterior_raw": well_mixed["posterior_raw"].to_dataset().isel(draw=slice(3))})
    with pytest.raises(bg.InputError, match="3 draws in each chain are too few"):
        bg.diagnose(short)


def test_chains_that_did_not_move_are_named(well_mixed):
    raw = well_mixed["posterior_raw"].to_dataset().copy(deep=True)
    for name in ("weights", "means", "covariances"):
        raw[name][{"chain": 2}] = raw[name][{"chain": 2, "draw": 0}]
    reasons = bg.diagnose(with_groups(well_mixed, {"posterior_raw": raw})).reasons
    assert "chain 2 did not move: all draws are equal" in reasons


@pytest.mark.parametrize("n_chains", representative_values([2, 8, 16], 0, others=pytest.mark.slow))
def test_one_stuck_chain_among_few_or_many(n_chains):
    problem = make_problem(SETTINGS[0])
    which = np.zeros((n_chains, 300), dtype=int)
    assert bg.diagnose(constructed.tree_of(problem, [problem.labels], which)).conditions == (Condition.MIXED,)
    which[1] = 1
    diagnosis = bg.diagnose(constructed.tree_of(problem, [problem.labels, constructed.second_grouping(problem)], which))
    assert diagnosis.conditions == (Condition.STUCK,)
    assert sorted(map(len, diagnosis.groups)) == sorted([1, n_chains - 1])


@pytest.mark.parametrize("dims", [("chain", "draw", "k"), ("chain", "draw", "cluster", "column")])
def test_dimensions_with_other_names_are_named(well_mixed, dims):
    name = {3: "weights", 4: "means"}[len(dims)]
    raw = well_mixed["posterior_raw"].to_dataset()
    renamed = raw.drop_vars([name]).assign({name: (dims, raw[name].values)})
    with pytest.raises(bg.InputError, match=rf"{name} has the dimensions \({', '.join(dims)}\); it needs"):
        bg.diagnose(with_groups(well_mixed, {"posterior_raw": renamed}))


def test_several_tables_of_data(well_mixed):
    observed = well_mixed["observed_data"].to_dataset()
    both = observed.assign(Y=observed["X"] + 1)
    assert bg.diagnose(with_groups(well_mixed, {"observed_data": both})).ok  # X is taken
    with pytest.raises(bg.InputError, match="several, Z, Y"):
        bg.diagnose(with_groups(well_mixed, {"observed_data": both.rename(X="Z")}))
