"""Regions and modes as tables and sentences, from trees that say so without having been sampled."""

import arviz_stats as azs
import numpy as np
import pytest
import xarray as xr
from scipy.signal import lfilter
from scipy.special import expit, logit

import bayesgmm as bg
from bayesgmm.posterior.regions import error_of_mean, has_modes, mode_table, modes_without_draws, region_table
from bayesgmm.posterior.schema import with_groups
from tests.fake_comparison import make_comparison
from tests.regions import with_regions


@pytest.fixture(scope="module")
def plain():
    return make_comparison(2, 2)


def regions_said(plain, tree):
    findings = bg.compare(plain.em, tree).findings
    return [text for text in findings if "regions" in text or "No draws are of" in text]


@pytest.mark.slow
def test_nothing_is_said_of_one_region(plain):
    assert region_table(plain.tree) is None
    assert not has_modes(plain.tree)
    assert modes_without_draws(plain.tree, 0.0).empty
    assert regions_said(plain, plain.tree) == []


def test_the_tables_are_those_of_the_tree(plain):
    tree = with_regions(plain.tree)
    table = region_table(tree)
    assert table is not None
    assert table["share"].tolist() == [0.8, 0.2]
    assert table["of_draws"].tolist() == pytest.approx([0.8, 0.2])
    assert table["modes"].tolist() == [(0,), (1,)]
    assert table["weights"][1] == pytest.approx((2 / 3, 1 / 3))
    modes = mode_table(tree)
    assert modes is not None
    assert modes["region"].tolist() == [0, 1, -1]
    assert modes["starts"].tolist() == [4, 2, 1]
    assert modes["description"][0] == "the reference"
    assert modes["share"].sum() == pytest.approx(1)


def test_errors_of_means_are_those_of_repetitions(plain):
    """The share of a region of which the log odds are off by a known error, and draws that are correlated within it."""
    rng = np.random.default_rng(3)
    odds_errors, n_chains, n_draws = np.array([0.3, 0.4]), 4, 400
    means, errors = [], []
    for _ in range(300):
        share = expit(logit(0.3) + odds_errors @ rng.standard_normal(2))
        of_draw = np.zeros((n_chains, n_draws), dtype=int)
        of_draw[:, : round(share * n_draws)] = 1
        of_draw = rng.permuted(of_draw, axis=1)
        values = lfilter([1.0], [1.0, -0.6], rng.standard_normal((n_chains, n_draws)), axis=1) + 0.5 * of_draw
        regions = xr.Dataset({"of_draw": (("chain", "draw"), of_draw), "standard_error": ("region", odds_errors)})
        tree = xr.DataTree.from_dict({"posterior": plain.tree["posterior"].to_dataset(), "regions": regions})
        means.append(values.mean())
        errors.append(error_of_mean(values, tree))
    assert np.std(means) == pytest.approx(np.sqrt(np.mean(np.square(errors))), rel=0.12)
    alone = xr.DataTree.from_dict({"posterior": plain.tree["posterior"].to_dataset()})
    raw = plain.tree["posterior"]["weights"].values[:, :, 0]
    assert error_of_mean(raw, alone) == pytest.approx(float(azs.mcse(raw, method="mean")))
    assert error_of_mean(np.ones_like(raw), alone) == 0


def test_errors_of_means_of_some_draws_of_a_region_that_was_not_measured(plain):
    """An error of one nat stands for one that is not known; which draws are of which region goes with the draws."""
    of_draw = np.zeros((2, 40), dtype=int)
    of_draw[:, ::4] = 1
    regions = xr.Dataset({"of_draw": (("chain", "draw"), of_draw), "standard_error": ("region", [0.0, np.nan])})
    tree = xr.DataTree.from_dict({"posterior": plain.tree["posterior"].to_dataset(), "regions": regions})
    draws = np.arange(0, 40, 2)
    values = of_draw[:, draws].astype(float)
    assert values.mean() == 0.5
    assert error_of_mean(values, tree, draws) == pytest.approx(0.5 * 0.5)  # d share / d log mass


@pytest.mark.slow
def test_shares_are_said_with_as_many_digits_as_they_carry(plain):
    (said,) = regions_said(plain, with_regions(plain.tree))
    assert said.startswith(
        "The posterior has 2 regions that chains do not travel between: by bridge sampling they hold 80.0% and 20.0% of it "
        "(standard error 1.2%), and the draws are in proportion. The weights of their leading modes are 0.50 0.50; 0.67 0.33."
    )
    (finer,) = regions_said(plain, with_regions(plain.tree, share_error=4e-5))
    assert "80.000% and 20.000% of it (standard error 0.004%)" in finer


def test_draws_that_were_weighed_otherwise_are_said(plain):
    tree = with_regions(plain.tree)
    first = tree["regions"]["of_draw"] * 0
    moved = with_groups(tree, {"regions": tree["regions"].to_dataset().assign(of_draw=first)})
    (said,) = regions_said(plain, moved)
    assert "of the draws, they have 100.0% and 0.0%" in said


def test_a_region_that_was_not_measured_is_said(plain):
    tree = with_regions(plain.tree)
    regions = tree["regions"].to_dataset().assign(standard_error=("region", [0.05, np.nan]))
    (said,) = regions_said(plain, with_groups(tree, {"regions": regions}))
    assert "(standard error 1.2%, without those of regions with too few draws to measure)" in said


@pytest.mark.slow
def test_a_noticeable_mode_without_draws_is_said(plain):
    tree = with_regions(plain.tree, without_draws=0.03)
    said = regions_said(plain, tree)[1]
    assert said == (
        "No draws are of modes that hold a noticeable share of the posterior, by Laplace's estimate: "
        "mode 2 (weights 0.80 0.20) 3.0%."
    )
    modes = tree["modes"].to_dataset()
    met = modes.assign(visited=xr.where(modes["visited"] == 1, 2, modes["visited"]))
    assert len(regions_said(plain, with_groups(tree, {"modes": met}))) == 1


def test_the_diagnosis_does_not_contradict_them(plain):
    """Draws of both regions in every chain are no chains apart, and a small region has as many draws as it asks for."""
    tree = with_regions(plain.tree)
    modes = tree["modes"].to_dataset().assign(share=("mode", [0.995, 0.005, 0.0]))
    reasons = bg.diagnose(with_groups(tree, {"modes": modes})).reasons
    assert len(reasons) == len(plain.diagnosis.reasons)
    assert not any("mode" in reason or "region" in reason for reason in reasons)
