import numpy as np
import pytest
import xarray as xr

import bayesgmm as bg
from bayesgmm.kernels.draws import log_density_of_draws
from bayesgmm.params import MixtureParams
from bayesgmm.posterior.schema import observed_matrix, raw_posterior, recorded_draws, with_derived, with_groups
from tests.posteriors import made_tree, scrambled, separated_params
from tests.representatives import representative_values

METHODS = ("ecr", "ecr_iterative", "ecr_iterative_soft", "stephens", "pra", "ordering", "given")


@pytest.mark.parametrize("n_components", [1, 2, 3, 5])
def test_scrambled_labels_come_back(n_components):
    rng = np.random.default_rng(41)
    params = separated_params(n_components)
    tree = made_tree(params, rng)
    shuffled, orders = scrambled(tree, rng)
    relabelled = bg.relabel(shuffled, reference=params)
    for name, variable in tree["posterior"].data_vars.items():
        np.testing.assert_array_equal(relabelled["posterior"][name].values, variable.values)
        np.testing.assert_array_equal(relabelled["posterior_raw"][name].values, shuffled["posterior"][name].values)
    permutation = relabelled["relabelling"]["permutation"].values
    np.testing.assert_array_equal(np.take_along_axis(orders, permutation, axis=2), np.arange(n_components) * np.ones_like(orders))


def test_relabelling_twice_changes_nothing_more():
    rng = np.random.default_rng(42)
    shuffled, _ = scrambled(made_tree(separated_params(), rng), rng)
    once = bg.relabel(shuffled)
    twice = bg.relabel(once)
    assert once["posterior"].to_dataset().equals(twice["posterior"].to_dataset())
    assert once["posterior_raw"].to_dataset().equals(twice["posterior_raw"].to_dataset())


def test_reference_order_decides_the_order():
    rng = np.random.default_rng(43)
    params = separated_params()
    shuffled, _ = scrambled(made_tree(params, rng), rng)
    plain = bg.relabel(shuffled, reference=params)["posterior"]["means"].values
    turned = bg.relabel(shuffled, reference=params.permuted([2, 0, 1]))["posterior"]["means"].values
    np.testing.assert_array_equal(turned, plain[:, :, [2, 0, 1]])


def test_other_variables_and_groups_are_kept():
    rng = np.random.default_rng(44)
    tree = made_tree(separated_params(), rng)
    posterior = tree["posterior"].to_dataset()
    extra = posterior.assign(
        rate=(("chain", "draw", "cluster"), posterior["weights"].values), intercept=(("chain", "draw"), np.ones((4, 250)))
    )
    tree = xr.DataTree.from_dict(
        {"posterior": extra, "observed_data": tree["observed_data"].to_dataset(), "extra": xr.Dataset({"a": 1})}
    )
    tree.attrs["note"] = "kept"
    shuffled, _ = scrambled(
        xr.DataTree.from_dict(
            {
                "posterior": extra[["weights", "means", "covariances", "scales", "correlations", "rate"]],
                "observed_data": tree["observed_data"].to_dataset(),
            }
        ),
        rng,
    )
    relabelled = bg.relabel(shuffled)["posterior"]
    np.testing.assert_array_equal(relabelled["rate"].values, relabelled["weights"].values)
    kept = bg.relabel(tree)
    assert kept.attrs == {"note": "kept"}
    assert int(kept["extra"]["a"]) == 1
    assert (kept["posterior"]["intercept"] == 1).all()


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("n_components", representative_values([1, 2, 3, 6], 1, 2, others=pytest.mark.slow))
def test_every_method_undoes_the_scrambling(method, n_components):
    rng = np.random.default_rng(47)
    params = separated_params(n_components)
    tree = made_tree(params, rng, n_draws=30, n_samples=100)
    shuffled, orders = scrambled(tree, rng)
    argument = {"ordering": {"by": "weights"}, "given": {"permutation": orders.argsort(axis=2)}}.get(
        method, {"reference": params}
    )
    relabelled = bg.relabel(shuffled, method=method, **argument)
    assert relabelled["posterior"].to_dataset().identical(tree["posterior"].to_dataset())
    attributes = relabelled["relabelling"].attrs
    assert attributes["method"] == method
    assert attributes["converged"] == 1
    assert ("objective_value" in attributes) == (method not in {"ordering", "given"})
    untouched = bg.relabel(tree, method="given", permutation=np.broadcast_to(np.arange(n_components), orders.shape))
    assert attributes["kullback_leibler"] == pytest.approx(untouched["relabelling"].attrs["kullback_leibler"], abs=1e-9)


@pytest.mark.slow
@pytest.mark.parametrize("method", METHODS[:5])
def test_overlapping_draws_scrambled_or_not_give_one_posterior(method):
    rng = np.random.default_rng(48)
    params = MixtureParams(np.full(3, 1 / 3), rng.normal(size=(3, 2)), np.array([np.eye(2)] * 3))
    tree = made_tree(params, rng, n_chains=2, n_draws=80, n_samples=60, spread=0.4)
    shuffled, _ = scrambled(tree, rng)
    plain, again = (bg.relabel(t, method=method, reference=params) for t in (tree, shuffled))
    xr.testing.assert_equal(plain["posterior"].to_dataset(), again["posterior"].to_dataset())
    for name in ("objective_value", "kullback_leibler"):
        assert plain["relabelling"].attrs[name] == pytest.approx(again["relabelling"].attrs[name], rel=1e-10)


@pytest.mark.slow
@pytest.mark.parametrize("method", METHODS[:5])
def test_without_reference_scrambling_changes_no_more_than_the_names(method):
    rng = np.random.default_rng(49)
    tree = made_tree(separated_params(4), rng, n_chains=1, n_draws=50, n_samples=80, spread=0.3)
    shuffled, orders = scrambled(tree, rng)
    plain, again = (bg.relabel(t, method=method)["relabelling"]["permutation"].values for t in (tree, shuffled))
    names = np.take_along_axis(plain.argsort(axis=2), np.take_along_axis(orders, again, axis=2), axis=2)
    assert (names == names[0, 0]).all()


def test_undone_by_the_inverse_permutations():
    rng = np.random.default_rng(50)
    shuffled, _ = scrambled(made_tree(separated_params(), rng, n_draws=20), rng)
    relabelled = bg.relabel(shuffled, method="stephens")
    assert relabelled["posterior_raw"].to_dataset().identical(shuffled["posterior"].to_dataset())
    alone = xr.DataTree.from_dict({name: relabelled[name].to_dataset() for name in ("posterior", "observed_data")})
    permutation = relabelled["relabelling"]["permutation"]
    inverse = permutation.copy(data=permutation.values.argsort(axis=2))
    back = bg.relabel(alone, method="given", permutation=inverse.transpose("cluster", "chain", "draw"))
    xr.testing.assert_equal(back["posterior"].to_dataset(), shuffled["posterior"].to_dataset())


@pytest.mark.parametrize("method", METHODS[:5])
def test_a_component_that_is_empty_in_some_draws(method):
    """Its weight goes to 0 and its place anywhere in half of the draws: the other two keep their names."""
    rng = np.random.default_rng(51)
    params = separated_params(3)
    tree = made_tree(params, rng, n_chains=1, n_draws=60, n_samples=90)
    posterior = tree["posterior"].to_dataset()
    posterior["weights"][0, ::2, 0] = 1e-300
    posterior["weights"] /= posterior["weights"].sum("cluster")
    posterior["means"][0, ::2, 0] = 0.0
    shuffled, orders = scrambled(with_groups(tree, {"posterior": posterior}), rng)
    found = bg.relabel(shuffled, method=method, reference=params)["relabelling"]["permutation"].values
    np.testing.assert_array_equal(np.take_along_axis(orders, found, axis=2), np.broadcast_to(np.arange(3), orders.shape))


@pytest.mark.parametrize("method", METHODS[:5])
def test_one_draw_of_one_row(method):
    tree = made_tree(separated_params(), np.random.default_rng(52), n_chains=1, n_draws=1, n_samples=1)
    relabelled = bg.relabel(tree, method=method)
    xr.testing.assert_equal(relabelled["posterior"].to_dataset(), tree["posterior"].to_dataset())
    assert relabelled["relabelling"].attrs["kullback_leibler"] == pytest.approx(0.0, abs=1e-12)


def test_default_reference_is_the_draw_of_the_highest_log_posterior():
    rng = np.random.default_rng(53)
    shuffled, _ = scrambled(made_tree(separated_params(), rng, n_chains=2, n_draws=10), rng)
    prior = np.zeros((2, 10))
    prior[1, 3] = 1e6
    vector = xr.Dataset({"a": (("chain", "draw"), prior), "b": (("feature", "draw", "chain"), np.zeros((2, 10, 2)))})
    found = bg.relabel(with_groups(shuffled, {"log_prior": vector}))["relabelling"]["permutation"].values
    np.testing.assert_array_equal(found[1, 3], np.arange(3))
    best = (
        log_density_of_draws(observed_matrix(shuffled), *recorded_draws(shuffled, raw_posterior(shuffled))).sum(axis=1).argmax()
    )
    found = bg.relabel(shuffled)["relabelling"]["permutation"].values
    np.testing.assert_array_equal(found.reshape(-1, 3)[best], np.arange(3))
    with pytest.raises(bg.InputError, match="log_prior of a has other values of 'draw' than the posterior"):
        bg.relabel(with_groups(shuffled, {"log_prior": vector.isel(draw=slice(5))}))


@pytest.mark.parametrize(
    ("by", "variable"),
    [
        ("weights", "weights"),
        (("means", "column 1"), "means"),
        (["scales", "column 0"], "scales"),
        (("covariances", "column 0", "column 1"), "covariances"),
    ],
)
def test_ordering_increases_with_the_cluster(by, variable):
    rng = np.random.default_rng(54)
    shuffled, _ = scrambled(made_tree(separated_params(), rng, n_draws=20), rng)
    without = with_groups(shuffled, {"posterior": shuffled["posterior"].to_dataset()[["weights", "means", "covariances"]]})
    posterior = with_derived(bg.relabel(without, method="ordering", by=by)["posterior"].to_dataset())
    dims = [dim for dim in posterior[variable].dims if str(dim).startswith("feature")]
    values = posterior[variable].isel({dim: int(place[-1]) for dim, place in zip(dims, by[1:], strict=False)} if dims else {})
    assert (values.diff("cluster") > 0).all()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"method": "magic"}, "method is 'magic'; choose 'ecr', 'ecr_iterative', .* 'given'"),
        ({"by": "weights"}, "method 'ecr' does not use the argument 'by'"),
        (
            {"method": "ordering", "by": "weights", "reference": separated_params()},
            "'ordering' does not use the argument 'reference'",
        ),
        ({"method": "stephens", "permutation": np.zeros((4, 5, 3))}, "'stephens' does not use the argument 'permutation'"),
        ({"method": "ordering"}, "method 'ordering' needs the argument 'by'"),
        ({"method": "given"}, "method 'given' needs the argument 'permutation'"),
        ({"method": "ordering", "by": "sizes"}, "by is 'sizes'; the posterior has weights, means, covariances"),
        ({"method": "ordering", "by": "means"}, "by is 'means', but means needs a place in feature"),
        ({"method": "ordering", "by": ("weights", "x")}, "weights has one value per cluster and needs no place"),
        ({"method": "ordering", "by": ("means", "x")}, "means has no feature 'x', but column 0, column 1"),
        (
            {"method": "ordering", "by": ("correlations", "column 0", "column 0")},
            "orders nothing in draw 0 of chain 0: clusters 0 and 1",
        ),
        ({"method": "given", "permutation": np.zeros((4, 5, 3))}, r"integers over .* shape \(4, 5, 3\); got float64"),
        ({"method": "given", "permutation": [[0, 1, 2]]}, r"of shape \(4, 5, 3\); got int64 of shape \(1, 3\)"),
        (
            {"method": "given", "permutation": np.ones((4, 5, 3), int)},
            r"draw 0 of chain 0 is \[1, 1, 1\], no permutation of 0, ..., 2",
        ),
        (
            {"method": "given", "permutation": xr.DataArray(np.tile(np.arange(3), (4, 5, 1)), dims=("chain", "draw", "k"))},
            "it needs",
        ),
        (
            {
                "method": "given",
                "permutation": xr.DataArray(
                    np.tile(np.arange(3), (4, 5, 1)), dims=("chain", "draw", "cluster"), coords={"draw": np.arange(5) + 1}
                ),
            },
            "another coordinate 'draw' than the posterior",
        ),
    ],
)
def test_wrong_arguments_are_named(arguments, said):
    tree = made_tree(separated_params(), np.random.default_rng(55), n_draws=5, n_samples=10)
    with pytest.raises(bg.InputError, match=said):
        bg.relabel(tree, **arguments)


def test_wrong_reference_and_missing_groups_are_named():
    rng = np.random.default_rng(45)
    tree = made_tree(separated_params(3), rng)
    with pytest.raises(bg.InputError, match=r"reference has means of shape \(2, 2\), the draws of shape \(3, 2\)"):
        bg.relabel(tree, reference=separated_params(2))
    with pytest.raises(bg.InputError, match="no group 'observed_data'"):
        bg.relabel(xr.DataTree.from_dict({"posterior": tree["posterior"].to_dataset()}))
    with pytest.raises(bg.InputError, match="has no covariances"):
        bg.relabel(
            xr.DataTree.from_dict(
                {
                    "posterior": tree["posterior"].to_dataset()[["weights", "means"]],
                    "observed_data": tree["observed_data"].to_dataset(),
                }
            )
        )
