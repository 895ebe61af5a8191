import json
from itertools import permutations
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import bayesgmm as bg
from bayesgmm.params import MixtureParams
from bayesgmm.posterior.relabel import ecr_permutations
from bayesgmm.posterior.schema import posterior_dataset
from tests.posteriors import made_tree, scrambled, separated_params
from tests.problems import random_data

REFERENCE = json.loads((Path(__file__).parents[1] / "reference" / "relabel_faithful.json").read_text())


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


def test_ecr_of_the_reference_draws():
    """R's label.switching 1.8 on 200 draws of Old Faithful: the same permutations from the same allocations and pivot."""
    z = np.array([[int(digit) for digit in line] for line in REFERENCE["z"]]) - 1
    pivot = z[REFERENCE["pivot_iteration_1based"] - 1]
    matches = np.array([[[((pivot == j) & (draw == k)).sum() for k in range(2)] for j in range(2)] for draw in z])
    np.testing.assert_array_equal(ecr_permutations(matches) + 1, REFERENCE["permutations"]["ecr"])


def test_relabel_of_the_reference_draws():
    """The same draws as a tree, allocations recomputed from the parameters: relabelled means as R's."""
    mcmc = np.array(REFERENCE["mcmc"])
    means, weights = mcmc[:, :, :2], mcmc[:, :, 5]
    covariances = mcmc[:, :, [2, 3, 3, 4]].reshape(*mcmc.shape[:2], 2, 2)
    faithful = bg.load_faithful()
    posterior = posterior_dataset(weights[None], means[None], np.linalg.cholesky(covariances)[None], list(faithful.columns))
    observed = xr.Dataset({"X": (("obs", "feature"), faithful.to_numpy(dtype=float))}, coords={"feature": list(faithful.columns)})
    tree = xr.DataTree.from_dict({"posterior": posterior, "observed_data": observed})
    pivot = REFERENCE["pivot_iteration_1based"] - 1
    reference = MixtureParams.from_covariances(weights[pivot], means[pivot], covariances[pivot])
    relabelled = bg.relabel(tree, reference=reference)["posterior"]["means"].mean(("chain", "draw")).values
    expected = np.array(REFERENCE["posterior_mean_relabelled"]["ecr"])[:, :2]
    np.testing.assert_allclose(relabelled, expected, rtol=1e-10)


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
    with pytest.raises(bg.InputError, match="choose 'ecr'"):
        bg.relabel(tree, method="magic")


def test_overlapping_components_take_the_closest_pivot():
    """A draw is never given an order with fewer matches than another: compared with all permutations by brute force."""
    rng = np.random.default_rng(46)
    params = MixtureParams(np.full(4, 0.25), rng.normal(size=(4, 2)), np.array([np.eye(2)] * 4))
    X, _ = random_data(rng, params, 50)
    matches = rng.integers(0, len(X), size=(100, 4, 4))
    found = ecr_permutations(matches)
    for match, order in zip(matches, found, strict=True):
        best = max(match[range(4), list(p)].sum() for p in permutations(range(4)))
        assert match[range(4), order].sum() == best
