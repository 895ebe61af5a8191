"""log_evidence: exact values, seeds, files, and trees of several regions, which `extend` and `save` keep."""

import importlib
import warnings
from dataclasses import replace

import numpy as np
import pytest

import bayesgmm as bg
from bayesgmm.evidence.bridge import Estimate
from bayesgmm.params import MixtureParams
from bayesgmm.sampling import combine
from bayesgmm.sampling.tree import coordinates_of_draws, exploration_of, target_of
from tests.posteriors import made_tree
from tests.problems import random_params
from tests.representatives import representatives
from tests.statistical.exact import ExactProblem, solve

PARTS = ("weights", "means", "covariances")


extend_module = importlib.import_module("bayesgmm.sampling.extend")
log_evidence_module = importlib.import_module("bayesgmm.sampling.log_evidence")


def sampled(*arguments, **settings):
    """Warnings about short runs are beside the point."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", bg.SamplingWarning)
        return bg.sample(*arguments, progress=False, **settings)


def tiny(n_components, concentration=1.0):
    """Seven rows in one column, and priors in numbers."""
    X = np.random.default_rng(8).normal(size=(7, 1))
    priors = bg.Priors(
        concentration=concentration,
        mean_loc=0.0,
        mean_scale=2.0,
        scale_prior="log_normal",
        scale_params={"mu": -0.3, "sigma": 0.6},
    )
    return ExactProblem(X, n_components, priors, np.zeros(1))


@pytest.fixture(scope="module")
def pair():
    problem = tiny(2)
    return problem, sampled(problem.X, 2, priors=problem.priors, resolution=0.0, draws=400, chains=2, seed=9)


def test_two_components_on_seven_rows(pair):
    """Labels switch, components are empty, the posterior is far from normal: the exact value within the error."""
    problem, tree = pair
    exact = solve(problem)
    evidence = bg.log_evidence(tree, seed=0)
    assert evidence.standard_error < 0.1
    assert evidence.log_value == pytest.approx(exact.log_evidence, abs=4 * evidence.standard_error)


@pytest.mark.parametrize(("covariance", "n_components"), representatives([("V", 1), ("EII", 3)], 0, others=pytest.mark.slow))
def test_other_exact_values(covariance, n_components):
    problem = tiny(n_components, 0.6)
    exact = solve(
        ExactProblem(problem.X, n_components, problem.priors, problem.resolution, "EII" if covariance == "EII" else "VVV")
    )
    tree = sampled(
        problem.X, n_components, covariance=covariance, priors=problem.priors, resolution=0.0, draws=500, chains=2, seed=10
    )
    evidence = bg.log_evidence(tree, seed=0)
    assert evidence.standard_error < 0.1
    assert evidence.log_value == pytest.approx(exact.log_evidence, abs=4 * evidence.standard_error)


@pytest.mark.slow
def test_the_same_seed_gives_the_same_value(pair):
    _, tree = pair
    one, same, other = (bg.log_evidence(tree, seed=seed) for seed in (1, np.random.default_rng(1), 2))
    assert (one.log_value, one.standard_error) == (same.log_value, same.standard_error)
    assert one.log_value != other.log_value
    assert f"{one.log_value:.2f}" in repr(one)


@pytest.mark.slow
def test_a_tree_read_back_gives_the_same_value(pair, tmp_path):
    _, tree = pair
    bg.save(tree, tmp_path / "tree.nc")
    read = bg.load(tmp_path / "tree.nc")
    one, other = bg.log_evidence(tree, seed=1), bg.log_evidence(read, seed=1)
    assert other.log_value == pytest.approx(one.log_value, abs=1e-9)
    assert other.standard_error == pytest.approx(one.standard_error, rel=1e-6)


@pytest.mark.slow
def test_names_of_components_do_not_matter(pair):
    """Draws renamed at random give the same evidence but for the proposal's draws: both labellings are counted."""
    _, tree = pair
    one = bg.log_evidence(tree, seed=1)
    renamed = tree.copy(deep=True)
    raw = renamed["posterior_raw"].to_dataset()
    flip = np.random.default_rng(3).random((raw.sizes["chain"], raw.sizes["draw"])) < 0.5
    for name, variable in raw.data_vars.items():
        if "cluster" in variable.dims:
            wide = flip.reshape(*flip.shape, *[1] * (variable.ndim - 2))
            raw[name] = (variable.dims, np.where(wide, variable.values[:, :, ::-1], variable.values))
    renamed["posterior_raw"] = raw
    other = bg.log_evidence(renamed, seed=1)
    assert other.log_value == pytest.approx(one.log_value, abs=4 * np.hypot(one.standard_error, other.standard_error))


def test_foreign_trees_are_refused(pair):
    rng = np.random.default_rng(4)
    with pytest.raises(bg.InputError, match="the tree was not made by `sample`"):
        bg.log_evidence(made_tree(random_params(rng, 2, 2), rng))
    _, tree = pair
    without = tree.copy()
    del without["modes"]
    with pytest.raises(bg.InputError, match="parts of it are gone"):
        bg.log_evidence(without)


@pytest.mark.slow
def test_few_draws_are_refused():
    problem = tiny(2)
    tree = sampled(problem.X, 2, priors=problem.priors, resolution=0.0, draws=9, tune=20, chains=2, seed=11)
    with pytest.raises(bg.InputError, match="18 draws are too few for 5 free parameters; make 20 at least"):
        bg.log_evidence(tree)


@pytest.mark.parametrize("seed", [-1, "a"])
def test_seeds_are_checked(pair, seed):
    with pytest.raises(bg.InputError, match="seed must be"):
        bg.log_evidence(pair[1], seed=seed)


def test_modes_of_a_tree_with_one_region(pair):
    _, tree = pair
    evidence = bg.log_evidence(tree, seed=1)
    modes = evidence.modes
    assert modes.index.name == "mode"
    assert modes["share"].sum() == pytest.approx(1.0)
    assert (np.diff(modes["share"]) <= 0).all()
    assert modes["description"].iloc[0] == "the reference"
    known = modes["region"] >= 0
    assert np.logaddexp.reduce(modes.loc[known, "log_evidence"]) == pytest.approx(evidence.log_value, abs=1e-9)
    assert (modes.loc[known, "standard_error"] == evidence.standard_error).all()
    assert modes.loc[~known, "standard_error"].isna().all()
    for weights in modes["weights"]:
        assert sum(weights) == pytest.approx(1.0, abs=2e-3)
        assert list(weights) == sorted(weights, reverse=True)


@pytest.mark.slow
def test_regions_sum_to_the_whole(two_regions):
    """Halves of a square, in equal parts by symmetry: masses, shares of the draws, table of modes."""
    regions = two_regions["regions"].to_dataset()
    assert regions.sizes["region"] == 2
    share, error = regions["share"].values, regions["share_error"].values
    assert (error < 0.02).all()
    np.testing.assert_allclose(share, 0.5, atol=4 * error.max())
    evidence = bg.log_evidence(two_regions, seed=1)
    assert evidence.log_value == pytest.approx(np.logaddexp.reduce(regions["log_evidence"].values), abs=1e-12)
    assert evidence.standard_error == pytest.approx(np.sqrt(((share * regions["standard_error"].values) ** 2).sum()))
    assert bg.log_evidence(two_regions, seed=2).log_value == evidence.log_value
    by_mode = evidence.modes.set_index("region").loc[[0, 1]]
    np.testing.assert_allclose(by_mode["log_evidence"], regions["log_evidence"].values, atol=1e-4)
    np.testing.assert_array_equal(by_mode["standard_error"], regions["standard_error"].values)
    assert "problems" not in two_regions.attrs  # chains that are in two regions are not apart


@pytest.mark.slow
def test_draws_of_regions_are_theirs(two_regions):
    """Each chain has both, in proportion; which one a draw is of shows in its scales."""
    of_draw = two_regions["regions"]["of_draw"].values
    share = two_regions["regions"]["share"].values
    assert (np.abs((of_draw == 0).sum(axis=1) - 200 * share[0]) < 1).all()
    narrow = two_regions["posterior_raw"]["scales"].values.argmin(axis=-1)
    assert (narrow[..., 0] == narrow[..., 1]).all()
    first = narrow[..., 0][of_draw == 0]
    assert (first == first[0]).all()
    assert (narrow[..., 0][of_draw == 1] == 1 - first[0]).all()
    target = target_of(two_regions)
    exploration = exploration_of(two_regions, target)
    u = coordinates_of_draws(two_regions, target)
    for i, region in enumerate(exploration.regions):
        np.testing.assert_array_equal(region.u, u[of_draw == i])
        assert region.evidence == (
            two_regions["regions"]["log_evidence"].values[i],
            two_regions["regions"]["standard_error"].values[i],
        )


@pytest.mark.slow
def test_regions_are_kept_in_files(two_regions, tmp_path):
    bg.save(two_regions, tmp_path / "tree.nc")
    read = bg.load(tmp_path / "tree.nc")
    for name in ("regions", "modes"):
        for key, values in two_regions[name].to_dataset().data_vars.items():
            np.testing.assert_array_equal(read[name][key].values, values.values)
    one, other = bg.log_evidence(two_regions), bg.log_evidence(read)
    assert one.log_value == other.log_value
    assert one.modes.equals(other.modes)


@pytest.mark.slow
@pytest.mark.parametrize("gain", [0.0, 2.0])
def test_more_draws_of_regions(two_regions, monkeypatch, gain):
    """Old and new draws of a region are of one kind, also if another one turns out to be the largest."""
    (second,) = np.flatnonzero(two_regions["modes"]["region"].values == 1)

    plain = combine.weighed

    def weighed(*arguments):
        region = plain(*arguments)
        more = gain if region.modes == (second,) else 0.0
        return replace(region, evidence=Estimate(region.evidence.log_value + more, 1e-4))

    monkeypatch.setattr(combine, "weighed", weighed)
    longer = bg.extend(two_regions, 100, tune=100, seed=12, progress=False)
    after = longer["regions"].to_dataset()
    assert longer["posterior"].sizes["draw"] == longer.attrs["draws"] == 300
    assert longer["log_likelihood"].sizes["draw"] == longer["sample_stats"].sizes["draw"] == 300
    old, new = (tree["posterior_raw"]["means"].values.reshape(-1, 4) for tree in (two_regions, longer))
    assert np.isin(old[:, 0], new[:, 0]).mean() > (0.9 if not gain else 0.5)  # put together anew, in the new proportions
    narrow = longer["posterior_raw"]["scales"].values[..., 0, :].argmin(axis=-1)
    of_draw = after["of_draw"].transpose("chain", "draw").values
    assert (np.diff(after["share"].values) <= 0).all()
    for region in range(2):
        assert np.ptp(narrow[of_draw == region]) == 0
        (place,) = np.flatnonzero(longer["modes"]["region"].values == region)
        scales = MixtureParams.from_covariances(*(longer["modes"][name].values[place] for name in PARTS)).scales
        assert (scales.argmin(axis=1) == narrow[of_draw == region][0]).all()
    share = 1 / (1 + np.exp(-gain))
    assert after["share"].values[0] == pytest.approx(share, abs=max(4 * after["share_error"].values.max(), 0.01))
    if gain:
        assert longer["modes"]["region"].values[second] == 0
    else:
        assert bg.log_evidence(longer).log_value == pytest.approx(bg.log_evidence(two_regions).log_value, abs=0.1)


@pytest.mark.slow
def test_small_extensions_keep_the_proportions(two_regions):
    """Draws follow the shares in the tree, also where one region's is worth no draw of the new ones."""
    regions = two_regions["regions"].to_dataset()
    skewed = two_regions.copy(deep=True)
    skewed["regions"] = regions.assign(log_evidence=("region", regions["log_evidence"].values - [0.0, 4.0]))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", bg.SamplingWarning)
        longer = bg.extend(skewed, 20, tune=50, seed=15, progress=False)
    after = longer["regions"].to_dataset()
    n_draws = longer["posterior"].sizes["draw"]
    assert n_draws == 220
    for number, share in enumerate(after["share"].values):
        assert (after["of_draw"].values == number).sum(axis=1) - n_draws * share == pytest.approx(0, abs=1)


@pytest.mark.slow
def test_an_interrupted_extension_of_regions_keeps_the_proportions(two_regions, monkeypatch):
    def stopped(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(extend_module, "run_own_density", stopped)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", bg.SamplingWarning)
        longer = bg.extend(two_regions, 50, tune=50, seed=16, progress=False)
    assert longer.attrs["interrupted"] == 1
    before, after = (tree["regions"].to_dataset() for tree in (two_regions, longer))
    np.testing.assert_allclose(after["share"].values, before["share"].values)
    assert abs((after["of_draw"].values == 1).mean() - after["share"].values[1]) < 0.01


@pytest.mark.slow
def test_more_draws_of_one_region(pair):
    """The same evidence, more precisely."""
    _, tree = pair
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", bg.SamplingWarning)
        longer = bg.extend(tree, 1600, seed=13, progress=False)
    assert "regions" not in longer.children
    one, other = bg.log_evidence(tree, seed=1), bg.log_evidence(longer, seed=1)
    assert other.standard_error < one.standard_error
    assert other.log_value == pytest.approx(one.log_value, abs=4 * np.hypot(one.standard_error, other.standard_error))


@pytest.mark.slow
def test_units_change_the_evidence_by_their_jacobian():
    """Rows in other units, priors from the data: p(X) per unit."""
    X = np.random.default_rng(14).normal(size=(30, 1))
    one, other = (
        bg.log_evidence(sampled(data, 1, resolution=0.0, draws=300, chains=2, seed=15), seed=1) for data in (X, 100 * X - 7)
    )
    assert other.log_value == pytest.approx(
        one.log_value - 30 * np.log(100), abs=4 * np.hypot(one.standard_error, other.standard_error)
    )


def test_what_cannot_be_measured_is_an_error(pair, monkeypatch):
    monkeypatch.setattr(log_evidence_module, "mass_of", lambda *_: Estimate(np.nan, np.inf))
    with pytest.raises(bg.SamplingError, match="2 components could not be measured"):
        bg.log_evidence(pair[1])
