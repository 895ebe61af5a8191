import dataclasses

import numpy as np
import pytest
import xarray as xr

import bayesgmm as bg
from bayesgmm.partitions import losses as losses_module
from bayesgmm.partitions.losses import distances, ordered
from bayesgmm.partitions.search import find_partition as find
from bayesgmm.posterior import partition as module
from bayesgmm.posterior.partition import partition
from bayesgmm.posterior.similarity import similarity
from tests.fake_comparison import make_comparison
from tests.partitions.posteriors import expected_binder, overlapping_tree
from tests.posteriors import made_tree, scrambled, separated_params

LOSSES = ["vi", "binder"]


@pytest.fixture(scope="module")
def overlapping():
    """A tree of overlapping components that carries an EM fit."""
    return make_comparison(3, 2, n_samples=60).tree


@pytest.fixture(scope="module", params=LOSSES)
def found(request, overlapping):
    return partition(overlapping, loss=request.param)


@pytest.mark.slow
@pytest.mark.parametrize("loss", LOSSES)
def test_separated_components_are_the_answer(loss):
    rng = np.random.default_rng(81)
    params = separated_params()
    tree, _ = scrambled(made_tree(params, rng, n_samples=80, n_draws=50), rng)
    X = tree["observed_data"]["X"].values
    nearest = ((X[:, None] - params.means) ** 2).sum(axis=2).argmin(axis=1)
    result = partition(tree, loss=loss)
    np.testing.assert_array_equal(result.labels, ordered(nearest))
    assert result.n_clusters == 3
    assert result.expected_loss < 0.01
    assert result.em is None
    assert result.credible_ball().n_clusters == (3, 3)


def test_numbers_agree_with_their_definitions(found, overlapping):
    by_row = np.ascontiguousarray(found.z.T)
    assert found.z.shape == (480, 60)
    assert found.z.dtype == np.uint8
    np.testing.assert_array_equal(found.labels, ordered(found.labels))
    np.testing.assert_array_equal(found.distances, distances(found.labels, by_row, found.loss))
    candidates = np.array([found.labels, found.em.labels])
    if found.loss == "vi":
        expected = [distances(labels, by_row, "vi").mean() for labels in candidates]
    else:
        expected = expected_binder(candidates, similarity(overlapping).values)
    np.testing.assert_allclose([found.expected_loss, found.em.expected_loss], expected, rtol=1e-9)


def test_nothing_drawn_is_better(found):
    if found.loss == "vi":
        by_row = np.ascontiguousarray(found.z.T)
        assert found.expected_loss <= min(distances(ordered(z), by_row, "vi").mean() for z in found.z)
    assert found.expected_loss <= found.em.expected_loss


def test_binder_expectation_is_the_mean_distance_up_to_the_draws(overlapping):
    found = partition(overlapping, loss="binder")
    error = found.distances.std() / np.sqrt(len(found.distances))
    assert abs(found.distances.mean() - found.expected_loss) < 5 * error


@pytest.mark.parametrize("loss", LOSSES)
def test_em_enters_the_ball_at_its_level(loss, overlapping):
    """An EM fit moved away on purpose: up to its level its partition is outside the ball, above it inside."""
    em = overlapping["em"].to_dataset()
    moved = overlapping.assign(em=xr.DataTree(em.assign(run_means=em["run_means"] + 1.2)))
    found = partition(moved, loss=loss)
    assert found.em.distance > 0
    assert found.em.level == (found.distances < found.em.distance).mean()
    assert found.em.expected_loss > found.expected_loss
    for prob in (0.01, found.em.level - 1e-6, found.em.level + 1e-6, 0.99):
        if 0 < prob < 1:
            assert (found.em.distance <= found.credible_ball(prob).radius) == (prob > found.em.level)


def test_the_same_tree_gives_the_same(found, overlapping):
    again = partition(bg.relabel(overlapping), loss=found.loss)
    for field in ("labels", "z", "distances"):
        np.testing.assert_array_equal(getattr(again, field), getattr(found, field))
    other = partition(overlapping, loss=found.loss, seed=1)
    assert (other.z != found.z).any()


def test_names_of_components_do_not_matter_under_binder(overlapping):
    tree, _ = scrambled(overlapping, np.random.default_rng(0))
    found, switched = partition(overlapping, loss="binder"), partition(tree, loss="binder")
    np.testing.assert_array_equal(switched.labels, found.labels)
    assert switched.expected_loss == pytest.approx(found.expected_loss, rel=1e-12)


def test_as_a_dataset(found, tmp_path):
    dataset = found.to_dataset()
    dataset.to_netcdf(tmp_path / "partition.nc", engine="h5netcdf")
    back = xr.load_dataset(tmp_path / "partition.nc", engine="h5netcdf")
    np.testing.assert_array_equal(back["label"], found.labels)
    np.testing.assert_array_equal(back["z"], found.z)
    np.testing.assert_array_equal(back["em_label"], found.em.labels)
    assert back.attrs["expected_loss"] == found.expected_loss
    assert back.attrs["em_level"] == found.em.level
    assert back.attrs["monte_carlo_error"] == found.monte_carlo_error
    assert back.attrs["max_clusters"] == found.max_clusters


def test_said_in_words(found):
    unit = " bits" if found.loss == "vi" else ""
    assert f"{found.n_clusters} clusters of {np.bincount(found.labels)[0]}, " in found.summary
    assert f"{found.expected_loss:.4g}{unit}" in found.summary
    assert f"radius {found.credible_ball().radius:.4g}{unit}" in found.summary
    assert repr(found) == f"Partition({found.summary})"
    same = dataclasses.replace(found, em=dataclasses.replace(found.em, distance=0.0, level=0.0))
    assert "EM's partition is the same." in same.summary
    far = dataclasses.replace(found, em=dataclasses.replace(found.em, distance=9.0, level=1.0))
    assert f"is 9{unit} away" in far.summary
    assert "is farther than every drawn partition" in far.summary
    near = dataclasses.replace(found, em=dataclasses.replace(found.em, distance=0.1, level=0.0))
    assert "as near as the nearest drawn partition or nearer" in near.summary
    between = dataclasses.replace(found, em=dataclasses.replace(found.em, distance=0.1, level=0.125))
    assert "enters the credible ball at level 0.125." in between.summary
    assert "EM" not in dataclasses.replace(found, em=None).summary


def test_the_monte_carlo_error_is_that_of_the_mean_distance(overlapping):
    """Independent draws: std / sqrt(S), about; draws that come four times each: about twice that; from too few: none."""
    found = partition(overlapping)
    plain = found.distances.std(ddof=1) / np.sqrt(len(found.distances))
    assert found.monte_carlo_error == pytest.approx(plain, rel=0.25)
    assert f"(Monte-Carlo error {found.monte_carlo_error:.2g})" in found.summary
    repeated = np.repeat(found.distances.reshape(4, -1), 4, axis=1)
    assert module._error_of_mean(repeated) == pytest.approx(plain, rel=0.3)
    assert np.isnan(module._error_of_mean(found.distances[None, :3]))


def test_another_seed_is_off_by_the_monte_carlo_error(overlapping):
    found = [partition(overlapping, seed=seed) for seed in range(4)]
    losses = [result.expected_loss for result in found]
    assert 0 < np.ptp(losses) < 5 * found[0].monte_carlo_error


@pytest.mark.slow
def test_the_bound_by_default_is_said_where_it_binds():
    """Twelve components, of which the draws know next to nothing: 24 clusters are reached, and all apart costs less."""
    tree = overlapping_tree(7, 12, n_samples=60, n_draws=60)
    bounded, free = partition(tree), partition(tree, max_clusters=100)
    assert (bounded.max_clusters, bounded.n_clusters) == (24, 24)
    assert free.max_clusters == 60
    assert free.expected_loss < bounded.expected_loss
    by_row = np.ascontiguousarray(bounded.z.T)
    apart = distances(np.arange(60), by_row, "vi").mean()
    assert apart < bounded.expected_loss
    assert "max_clusters = 24 is reached: more clusters may cost less." in bounded.summary
    assert f"Every row apart, which max_clusters = 24 rules out, would cost {apart:.4g} bits" in bounded.summary
    assert "max_clusters" not in free.summary


def test_many_draws_are_searched_in_two_stages():
    """Six hundred draws: some of them place the rows, all of them judge."""
    tree = overlapping_tree(2, 3, n_samples=30, n_draws=600)
    found = partition(tree)
    loss = losses_module.ExpectedInformation(np.ascontiguousarray(found.z.T))
    assert [stage.shape for stage in loss.stages] == [(30, 300), (30, 600)]
    for start in (found.labels, *np.where(np.eye(30, dtype=bool), -1, found.labels)):
        assert loss.expected(loss.descend(start, np.arange(30), 20)) >= found.expected_loss - 1e-12
    assert found.expected_loss == loss.expected(found.labels)


def test_names_of_rows_are_kept(overlapping):
    names = [f"row {i}" for i in range(60)]
    named = overlapping.assign(observed_data=xr.DataTree(overlapping["observed_data"].to_dataset().assign_coords(obs=names)))
    found = partition(named, n_starts=2)
    assert list(found.to_dataset()["obs"].values) == names
    matrix = similarity(named)
    assert list(matrix["obs"].values) == list(matrix["obs_bis"].values) == names


def test_the_bar_is_full_at_the_end(overlapping, monkeypatch):
    for n_starts in (1, 3):
        advanced = []
        monkeypatch.setattr(module, "find_partition", lambda *a, advanced=advanced: find(*a[:-1], lambda: advanced.append(1)))
        partition(overlapping, n_starts=n_starts)
        assert len(advanced) == n_starts + module.N_POLISHED


def test_too_many_rows_are_refused_under_binder_with_advice(overlapping, monkeypatch):
    monkeypatch.setattr(module, "MAX_BYTES", 1000)
    with pytest.raises(bg.InputError, match="take fewer rows, or use loss='vi'"):
        partition(overlapping, loss="binder")


def test_bounds_on_clusters_and_starts(overlapping):
    for loss in LOSSES:
        found = partition(overlapping, loss=loss, max_clusters=1, n_starts=1)
        assert found.n_clusters == 1
        assert found.em.n_clusters == 3


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize(("n_samples", "n_components", "n_draws"), [(1, 2, 5), (6, 1, 5), (6, 3, 1), (1, 1, 1)])
def test_smallest_cases(loss, n_samples, n_components, n_draws):
    rng = np.random.default_rng(0)
    tree = made_tree(separated_params(n_components), rng, n_samples=n_samples, n_chains=1, n_draws=n_draws)
    found = partition(tree, loss=loss)
    assert found.expected_loss == pytest.approx(0, abs=1e-6)
    assert found.labels.shape == (n_samples,)
    assert found.credible_ball(0.5).level == 1
    if n_components == 1:
        assert found.n_clusters == 1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"loss": "rand"}, "loss is 'rand'; choose 'vi' or 'binder'"),
        ({"seed": -1}, "seed"),
        ({"n_starts": 0}, "n_starts"),
        ({"max_clusters": 0}, "max_clusters"),
    ],
)
def test_wrong_arguments_are_named(overlapping, arguments, said):
    with pytest.raises(bg.InputError, match=said):
        partition(overlapping, **arguments)


def test_a_probability_is_asked_for(found):
    with pytest.raises(bg.InputError, match="prob must be a number between 0 and 1"):
        found.credible_ball(95)
