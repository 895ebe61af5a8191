"""Chains that do not mix: weighed, pooled when asked, and never silently."""

import warnings

import numpy as np
import pandas as pd
import pytest
import xarray as xr

import bayesgmm as bg
from bayesgmm.errors import InputError, SamplingWarning
from bayesgmm.posterior.pool import warn_unless_pooled
from bayesgmm.posterior.schema import with_groups
from tests.posterior import constructed
from tests.posterior.constructed import SETTINGS, make_problem


@pytest.fixture(scope="module")
def stuck():
    return constructed.one_chain_stuck(make_problem(SETTINGS[0]))


@pytest.fixture(scope="module")
def mixed():
    return constructed.well_mixed(make_problem(SETTINGS[0]))


def with_modes(tree, shares):
    """The modes are those of chain 0 and of chain 1."""
    centres = [tree["posterior"].to_dataset().isel(chain=chain).mean("draw") for chain in (0, 1)]
    names = ("weights", "means", "covariances")
    variables = {name: (("mode", *centres[0][name].dims), np.stack([centre[name] for centre in centres])) for name in names}
    return with_groups(tree, {"modes": xr.Dataset({**variables, "share": ("mode", shares)})})


@pytest.mark.slow
def test_stacking_prefers_what_predicts_better(stuck):
    """The true grouping predicts rows better than one that is wrong."""
    weights = bg.chain_weights(stuck)
    assert weights["weight"].sum() == pytest.approx(1)
    assert weights["weight"][1] < 0.05
    np.testing.assert_allclose(weights["weight"][[0, 2, 3]], weights["weight"][0])
    assert weights["elpd"][0] > weights["elpd"][1] + 10


@pytest.mark.slow
def test_chains_that_agree_weigh_the_same(mixed):
    np.testing.assert_allclose(bg.chain_weights(mixed)["weight"], 0.25)


def test_evidence_weighs_the_modes(stuck):
    weights = bg.chain_weights(with_modes(stuck, [0.6, 0.4]), method="evidence")
    np.testing.assert_allclose(weights["weight"], [0.2, 0.4, 0.2, 0.2])


@pytest.mark.slow
def test_evidence_of_the_modes_that_draws_were_found_in(stuck):
    """What the tree says of its own chains comes before the structures of the draws."""
    modes = with_modes(stuck, [0.6, 0.4])["modes"].to_dataset()
    visited = modes.assign(visited=(("chain", "check"), [[1, 1], [0, 0], [1, -1], [1, 1]]))
    weights = bg.chain_weights(with_groups(stuck, {"modes": visited}), method="evidence")
    np.testing.assert_allclose(weights["weight"], [0.4 / 3, 0.6, 0.4 / 3, 0.4 / 3])
    both = modes.assign(visited=(("chain", "check"), [[1, 1], [0, 1], [1, 1], [1, 1]]))
    with pytest.raises(InputError, match="are in the same mode"):
        bg.chain_weights(with_groups(stuck, {"modes": both}), method="evidence")


@pytest.mark.slow
def test_evidence_that_cannot_weigh(stuck):
    with pytest.raises(InputError, match="has no group 'modes'"):
        bg.chain_weights(stuck, method="evidence")
    beside = constructed.stuck_beside(make_problem(SETTINGS[0]))
    with pytest.raises(InputError, match="are in the same structure"):
        bg.chain_weights(with_modes(beside, [0.6, 0.4]), method="evidence")
    with pytest.raises(InputError, match="choose 'stacking' or 'evidence'"):
        bg.chain_weights(stuck, method="equal")


def test_pooled_draws_have_the_weights(stuck):
    rng = np.random.default_rng(1)
    shape = (stuck["posterior"].sizes["chain"], stuck["posterior"].sizes["draw"])
    marked = with_groups(stuck, {"sample_stats": xr.Dataset({"number": (("chain", "draw"), np.arange(4000.0).reshape(shape))})})
    pooled = bg.pool(marked, [1, 2, 0, 1], seed=rng)
    numbers = pooled["sample_stats"]["number"].values
    assert numbers.shape == shape
    np.testing.assert_array_equal(np.bincount((numbers // 1000).astype(int).ravel(), minlength=4), [1000, 2000, 0, 1000])
    assert np.unique(numbers[numbers < 1000]).size == 1000  # each draw once
    flat = marked["posterior"]["means"].values.reshape(4000, 3, 2)
    np.testing.assert_array_equal(pooled["posterior"]["means"].values, flat[numbers.astype(int)])  # groups stay together
    np.testing.assert_array_equal(pooled["observed_data"]["X"], stuck["observed_data"]["X"])
    assert pooled.attrs["pooled"] == "draws of chains 0 to 3 taken with weights 0.25, 0.5, 0, 0.25"
    assert pooled["posterior"]["chain"].values.tolist() == [0, 1, 2, 3]


def test_a_pooled_tree_does_not_pass_for_a_converged_one(stuck):
    diagnosis = bg.diagnose(bg.pool(stuck, [1, 0, 1, 1], seed=2))
    assert diagnosis.quantities["r_hat"].max() < 1.02
    assert not diagnosis.ok
    assert diagnosis.reasons[0].startswith("R-hat and effective sample sizes say nothing here: draws of chains 0 to 3 taken with")


@pytest.mark.parametrize("verb", [bg.similarity, bg.partition])
def test_verbs_that_take_all_draws_together_say_so(stuck, verb):
    few = with_groups(stuck, {"posterior": stuck["posterior"].to_dataset().isel(draw=slice(None, None, 5))})
    with pytest.warns(SamplingWarning, match=f"{verb.__name__} takes the draws of all chains together, but R-hat of .* steady"):
        verb(few)


@pytest.mark.slow
def test_evidence_that_is_missing_for_one_group(stuck):
    """The chain whose mode the tree does not know is not given the weight 0."""
    modes = with_modes(stuck, [0.6, 0.4])["modes"].to_dataset().isel(mode=[0])
    with pytest.raises(InputError, match=r"have no evidence for where chains are \(structures 1\)"):
        bg.chain_weights(with_groups(stuck, {"modes": modes}), method="evidence")


def test_groups_of_other_draws_are_left_as_they_are(stuck):
    warm_up = stuck["posterior"].to_dataset().isel(draw=slice(30))
    visited = xr.Dataset({"visited": (("chain", "check"), np.zeros((4, 2), dtype=int)), "share": ("mode", [1.0])})
    pooled = bg.pool(with_groups(stuck, {"warmup_posterior": warm_up, "modes": visited}), [1, 0, 1, 1], seed=1)
    xr.testing.assert_identical(pooled["warmup_posterior"].to_dataset(), warm_up)
    assert list(pooled["modes"].data_vars) == ["share"]


def test_same_seed_same_pool(stuck):
    first, second = (bg.pool(stuck, [1, 1, 0, 0], seed=3)["posterior"]["weights"].values for _ in range(2))
    np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize("weights", [[1, 1, 1], [1, -1, 1, 1], [0, 0, 0, 0], [1, np.nan, 1, 1], pd.DataFrame({"weight": [1.0]})])
def test_weights_that_cannot_be(stuck, weights):
    with pytest.raises(InputError, match="weights must be 4 numbers, one per chain"):
        bg.pool(stuck, weights)


@pytest.mark.slow
def test_pooling_is_never_silent(stuck, mixed):
    with pytest.warns(
        SamplingWarning, match="similarity takes the draws of all chains together, but R-hat of .* Chains can be weighed first"
    ):
        warn_unless_pooled(stuck, "similarity")
    slow = constructed.travels_slowly(make_problem(SETTINGS[0]))
    with pytest.warns(SamplingWarning, match="the draws move too slowly for the chains to agree"):
        warn_unless_pooled(slow, "similarity")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warn_unless_pooled(mixed, "similarity")
        warn_unless_pooled(bg.pool(stuck, bg.chain_weights(stuck), seed=1), "similarity")
