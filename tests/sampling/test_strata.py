"""Sparse mixtures: one region for each number of components that hold rows, and what is known of each."""

import warnings

import numpy as np
import pytest

import bayesgmm as bg
from bayesgmm.errors import SamplingWarning
from bayesgmm.model.specification import specify
from bayesgmm.posterior.occupied import occupied_by_draw, subset_sums
from bayesgmm.posterior.problems import sampling_problems
from bayesgmm.posterior.regions import region_table
from bayesgmm.posterior.schema import N_OCCUPIED, region_of_draws, with_groups
from bayesgmm.report.sections import regions_table
from bayesgmm.sampling import strata
from bayesgmm.sampling.strata import is_sparse

SPARSE = bg.Priors(concentration=0.1)
SETTINGS = {"priors": SPARSE, "draws": 300, "chains": 2, "seed": 3, "progress": False}


def groups(n_samples=40):
    rng = np.random.default_rng(1)
    return (np.arange(n_samples) % 2 * 7.0 + rng.normal(size=n_samples))[:, None]


@pytest.fixture(scope="module")
def em():
    return bg.fit_em(groups(), 3, seed=0)


@pytest.fixture(scope="module")
def tree(em):
    return bg.sample(groups(), em, **SETTINGS)


@pytest.mark.parametrize(
    ("family", "n_components", "priors", "expected"),
    [
        ("V", 3, SPARSE, True),
        ("E", 3, SPARSE, True),
        ("V", 1, SPARSE, False),
        ("V", 13, SPARSE, False),
        ("V", 3, bg.Priors(), False),
        ("V", 3, bg.Priors(concentration=0.5), False),
        ("V", 2, bg.Priors(concentration=(0.1, 0.2)), False),
        ("V", 3, bg.Priors(concentration=0.1, scale_prior="hierarchical_gamma"), False),
    ],
)
def test_where_strata_are_sampled(family, n_components, priors, expected):
    assert is_sparse(specify(groups(), n_components, family, priors, 0.0).target) is expected


@pytest.mark.slow
def test_every_region_is_a_number_of_components_that_hold_rows(tree):
    table = region_table(tree)
    assert table[N_OCCUPIED].tolist() == [2, 3]
    assert table["share"].sum() == pytest.approx(1.0)
    assert (tree["regions"]["n_draws"] >= 500).all()
    assert (table["of_draws"] - table["share"]).abs().max() < 1 / 300
    assert (table["standard_error"] < 0.2).all()
    region, (sums, _) = region_of_draws(tree), subset_sums(tree)
    by_draw = occupied_by_draw(sums)
    for number, n_occupied in enumerate(table[N_OCCUPIED]):
        assert len(table["modes"][number]) >= 1
        smallest = tree["posterior_raw"]["weights"].values[region == number][:, n_occupied:]
        assert smallest.size == 0 or np.median(smallest) < 1e-3
    occupied = bg.occupied_components(tree)
    assert by_draw[region == 0][:, 1].mean() > by_draw[region == 1][:, 1].mean()
    for number, n_occupied in enumerate(table[N_OCCUPIED]):
        error = np.hypot(occupied["standard_error"][n_occupied], table["share_error"][number])
        assert occupied["probability"][n_occupied] == pytest.approx(table["share"][number], abs=4 * error + 0.02)


@pytest.mark.slow
def test_log_posteriors_are_those_of_the_whole(em, tree):
    target = specify(groups(), em, None, SPARSE, None).target
    raw = tree["posterior_raw"]
    draws = [raw[name].transpose("chain", "draw", ...).values for name in ("weights", "means", "covariances")]
    weights, means, covariances = (array.reshape(-1, *array.shape[2:]) for array in draws)
    u = target.coordinates_of_draws(weights, means, np.linalg.cholesky(covariances))
    np.testing.assert_allclose(tree["sample_stats"]["lp"].values.ravel(), target.log_densities(u), rtol=1e-8)


@pytest.mark.slow
def test_the_same_seed_gives_the_same_draws(em, tree):
    again = bg.sample(groups(), em, **SETTINGS)
    np.testing.assert_array_equal(again["posterior"]["means"].values, tree["posterior"]["means"].values)


@pytest.mark.slow
def test_evidence_is_the_sum_of_the_strata(tree, tmp_path):
    evidence = bg.log_evidence(tree)
    table = region_table(tree)
    assert evidence.log_value == pytest.approx(np.logaddexp.reduce(table["log_evidence"]))
    assert evidence.standard_error < 0.2
    sampled = evidence.modes[evidence.modes["region"] >= 0]
    assert sampled[N_OCCUPIED].tolist() == [table[N_OCCUPIED][region] for region in sampled["region"]]
    assert evidence.modes[N_OCCUPIED][evidence.modes["region"] < 0].isna().all()
    bg.save(tree, tmp_path / "tree.nc")
    assert bg.log_evidence(bg.load(tmp_path / "tree.nc")).log_value == evidence.log_value


@pytest.mark.slow
def test_where_one_stratum_has_all():
    rng = np.random.default_rng(2)
    tree = bg.sample(rng.normal(size=(30, 1)) * 3, 2, **SETTINGS | {"priors": bg.Priors(concentration=1e-4), "draws": 100})
    table = region_table(tree)
    assert table[N_OCCUPIED].tolist() == [1]
    assert bg.occupied_components(tree)["probability"][1] > 0.99
    assert bg.log_evidence(tree).standard_error < 0.05
    assert "the number of components that hold rows is 1." in " ".join(
        bg.compare(bg.fit_em(np.asarray(tree["observed_data"]["X"]), 2, seed=0), tree).findings
    )


@pytest.mark.slow
def test_more_draws_are_put_together_with_the_old_ones(tree):
    longer = bg.extend(tree, 200, seed=5, progress=False)
    assert longer["posterior"].sizes["draw"] == 500
    table = region_table(longer)
    assert table[N_OCCUPIED].tolist() == [2, 3]
    assert (table["of_draws"] - table["share"]).abs().max() < 1 / 500
    old, new = (set(t["posterior_raw"]["means"].values[region_of_draws(t) == 1].ravel()) for t in (tree, longer))
    assert len(old & new) > 0.3 * len(old)


def interrupting(monkeypatch, at):
    """Ctrl-C when the chains of so many strata are done."""
    calls, run = [], strata.run_own_density

    def interrupted(*arguments, **settings):
        calls.append(1)
        if len(calls) > at:
            raise KeyboardInterrupt
        return run(*arguments, **settings)

    monkeypatch.setattr(strata, "run_own_density", interrupted)


@pytest.mark.slow
def test_an_interruption_keeps_the_strata_that_were_reached(em, monkeypatch):
    interrupting(monkeypatch, 1)
    with pytest.warns(SamplingWarning, match="interrupted"):
        tree = bg.sample(groups(), em, **SETTINGS)
    assert tree.attrs["interrupted"] == 1
    assert region_table(tree)[N_OCCUPIED].tolist() == [2]


@pytest.mark.slow
def test_an_interruption_before_that_is_one(em, monkeypatch):
    interrupting(monkeypatch, 0)
    with pytest.raises(KeyboardInterrupt):
        bg.sample(groups(), em, **SETTINGS)


@pytest.mark.slow
def test_an_interrupted_extension_keeps_the_old_draws(tree, monkeypatch):
    interrupting(monkeypatch, 0)
    with pytest.warns(SamplingWarning, match="interrupted"):
        same = bg.extend(tree, 200, seed=5, progress=False)
    assert same["posterior"].sizes["draw"] >= 290
    assert region_table(same)["share"].tolist() == pytest.approx(region_table(tree)["share"].tolist())


@pytest.mark.slow
def test_where_em_collapses():
    """Six rows of which some are tied: no EM fit of three components; every number of components is tried."""
    X = np.array([[0.0], [0.0], [0.1], [5.0], [5.0], [5.1]])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SamplingWarning)
        tree = bg.sample(X, 3, resolution=0.1, **SETTINGS)
    assert set(region_table(tree)[N_OCCUPIED]) >= {1, 2, 3}
    assert bg.occupied_components(tree)["probability"].sum() == pytest.approx(1.0)


@pytest.mark.slow
def test_strata_are_called_so(em, tree):
    comparison = bg.compare(em, tree)
    (said,) = [text for text in comparison.findings if "hold rows" in text]
    assert said.startswith("By how many components hold rows the posterior is a sum of 2 parts: 2 and 3 of them do in ")
    table = regions_table(comparison)
    assert table.caption == "The posterior by how many components hold rows"
    assert [row.cells[0] for row in table.groups[0].rows] == ["2", "3"]
    data = bg.plot_evidence(bg.log_evidence(tree), figure_data=True)
    assert [region.n_occupied for region in data.regions] == [2, 3]
    texts = [text.get_text() for axes in bg.plot_evidence(bg.log_evidence(tree)).axes for text in axes.texts]
    assert any(text.startswith("2 components hold rows: ") for text in texts)


@pytest.mark.slow
def test_uneven_draws_are_said(tree):
    """The energies of one stratum the same in most draws: they are copies of few."""
    stats = tree["sample_stats"].to_dataset()
    region = region_of_draws(tree)
    copied = stats["energy"].where(region != 0, stats["energy"].values[0, 0])
    moved = with_groups(tree, {"sample_stats": stats.assign(energy=copied)})
    assert not [text for text in sampling_problems(tree) if "more than once" in text]
    (said,) = [text for text in sampling_problems(moved) if "more than once" in text]
    assert "draws of the part in which 2 components hold rows are 1, some taken more than once, as few of those made" in said


@pytest.mark.slow
@pytest.mark.parametrize("draws", [4, 20])
def test_one_chain_and_few_draws(draws):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SamplingWarning)
        tree = bg.sample(groups(), 2, **SETTINGS | {"chains": 1, "draws": draws})
        longer = bg.extend(tree, draws, seed=2, progress=False)
    assert longer["posterior"].sizes["draw"] == 2 * draws
    assert region_table(tree)[N_OCCUPIED].tolist() == [2]


@pytest.mark.slow
def test_strata_that_were_not_reached_are_when_the_tree_is_extended(em, monkeypatch):
    with monkeypatch.context() as patch, warnings.catch_warnings():
        warnings.simplefilter("ignore", SamplingWarning)
        interrupting(patch, 1)
        part = bg.sample(groups(), em, **SETTINGS)
    assert region_table(part)[N_OCCUPIED].tolist() == [2]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SamplingWarning)
        whole = bg.extend(part, 300, seed=4, progress=False)
    assert region_table(whole)[N_OCCUPIED].tolist() == [2, 3]
    assert whole.attrs["interrupted"] == 0


@pytest.mark.slow
def test_a_short_extension_knows_no_less(tree):
    """The masses of both are counted by the draws that they were made from, not by those that are left of these."""
    for seed in (1, 2):
        longer = bg.extend(tree, 10, seed=seed, progress=False)
        assert (longer["regions"]["n_draws"] > tree["regions"]["n_draws"]).all()
        assert (region_table(longer)["standard_error"] < 1.1 * region_table(tree)["standard_error"]).all()


@pytest.mark.slow
def test_hopeless_numbers_are_not_sampled(monkeypatch):
    """Three groups far apart: one and two components are hundreds of nats worse, and no chain is run with them."""
    rng = np.random.default_rng(5)
    X = (np.arange(150) % 3 * 12.0 + rng.normal(size=150))[:, None]
    asked, sampled = [], strata._sampled
    monkeypatch.setattr(
        strata, "_sampled", lambda job, explored, n, rng: asked.append(explored) or sampled(job, explored, n, rng)
    )
    tree = bg.sample(X, 4, **SETTINGS)
    assert {explored.looser.structure.n_components for explored in asked} == {3, 4}
    assert region_table(tree)[N_OCCUPIED].tolist() == [3, 4]


@pytest.mark.slow
def test_strata_are_measured_where_modes_say_that_they_hold_next_to_nothing():
    """One group: a second and third component overlap it, which Laplace's estimate at their modes does not see."""
    rng = np.random.default_rng(6)
    tree = bg.sample(rng.normal(size=(60, 1)), 3, **SETTINGS | {"priors": bg.Priors(concentration=0.05)})
    table = region_table(tree)
    assert set(table[N_OCCUPIED]) == {1, 2, 3}
    assert bg.occupied_components(tree)["probability"][1] > 0.3


def test_errors_of_few_ratios():
    values = np.array([[0.01, 1.0, 0.02], [0.01, 0.03, 0.01]])
    assert strata._error(values) == pytest.approx(values.std() / np.sqrt(6))
    assert strata._error(np.ones((2, 3))) == 0.0


def test_a_notable_part_without_a_measure_leaves_none():
    shares, errors = np.array([0.5, 0.5]), np.array([0.1, np.nan])
    assert np.isnan(strata._error_of_sum(shares, errors))
    assert strata._error_of_sum(np.array([0.95, 0.05]), errors) == pytest.approx(np.hypot(0.095, 0.05))


@pytest.mark.slow
def test_what_cannot_be_measured_is_said(em, monkeypatch):
    monkeypatch.setattr(strata, "mass_of", lambda *_: strata.Estimate(np.nan, np.inf))
    tree = bg.sample(groups(), em, **SETTINGS)
    assert region_table(tree)["standard_error"].isna().all()
    assert "without those of regions with too few draws to measure" in " ".join(bg.compare(em, tree).findings)
    assert bg.log_evidence(tree).standard_error > 0.5
