"""Calibration against scikit-learn and SciPy, by hand, on probabilities that are calibrated by construction, and on bad input."""

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from scipy.stats import binomtest
from sklearn.metrics import adjusted_rand_score, brier_score_loss, log_loss

from bayesgmm.compare.calibration import calibration
from bayesgmm.errors import InputError

NAMES = np.array(["setosa", "versicolor", "virginica"])


def dataset(membership, em_membership=None):
    variables = {"membership": (("obs", "cluster"), membership)}
    if em_membership is not None:
        variables["em_membership"] = ("obs", "cluster"), em_membership
    n_samples, n_components = np.shape(membership)
    return xr.Dataset(variables, coords={"obs": np.arange(n_samples), "cluster": np.arange(n_components)}, attrs={"ci_prob": 0.9})


def calibrated(rng, n_samples, n_labels=3):
    """Memberships, and labels drawn with these probabilities."""
    membership = rng.dirichlet(np.full(n_labels, 0.4), size=n_samples)
    return membership, (rng.random((n_samples, 1)) > membership.cumsum(axis=1)).sum(axis=1)


@pytest.fixture(scope="module")
def drawn():
    membership, codes = calibrated(np.random.default_rng(0), 500)
    return membership, NAMES[codes]


def test_scores_are_those_of_scikit_learn(drawn):
    membership, known = drawn
    scores = calibration(dataset(membership, membership[::-1]), known).scores.set_index("method")
    assert list(scores.index) == ["EM", "posterior"]
    ours = scores.loc["posterior"]
    assert ours["brier"] == pytest.approx(brier_score_loss(known, membership, labels=NAMES, scale_by_half=False), rel=1e-12)
    assert ours["log_score"] == pytest.approx(log_loss(known, membership, labels=NAMES), rel=1e-12)
    assert ours["adjusted_rand"] == adjusted_rand_score(known, membership.argmax(axis=1))
    assert ours["n_misplaced"] == (NAMES[membership.argmax(axis=1)] != known).sum()
    assert (scores.loc["EM", ["brier", "log_score"]] > ours[["brier", "log_score"]]).all()  # the rows in the wrong order


def test_reliability_by_brute_force(drawn):
    membership, known = drawn
    result = calibration(dataset(membership), known, n_bins=7)
    probability, right = membership.max(axis=1), NAMES[membership.argmax(axis=1)] == known
    error = 0.0
    for row in result.reliability.itertuples():
        inside = (probability >= row.bin_lower) & (probability < row.bin_upper)
        assert row.count == inside.sum() > 0
        assert row.mean_probability == pytest.approx(probability[inside].mean(), rel=1e-12)
        assert row.frequency == pytest.approx(right[inside].mean(), rel=1e-12)
        interval = binomtest(int(right[inside].sum()), int(inside.sum())).proportion_ci(0.9, method="wilson")
        assert (row.lower, row.upper) == (interval.low, interval.high)
        error += inside.mean() * abs(right[inside].mean() - probability[inside].mean())
    assert result.reliability["count"].sum() == 500
    assert result.scores["calibration_error"].tolist() == pytest.approx([error], rel=1e-12)


def test_calibrated_probabilities_are_found_so_and_sharpened_ones_not():
    """In each bin the frequency is binomial around the mean probability; squared and renormalised ones promise too much."""
    membership, codes = calibrated(np.random.default_rng(1), 20_000)
    sharp = membership**2 / (membership**2).sum(axis=1, keepdims=True)
    result = calibration(dataset(membership, sharp), codes)
    bins = result.reliability.set_index("method")
    p = bins["mean_probability"]
    z = (bins["frequency"] - p) / np.sqrt(p * (1 - p) / bins["count"])
    assert z["posterior"].abs().max() < 4
    assert z["EM"].min() < -10
    scores = result.scores.set_index("method")[["brier", "log_score", "calibration_error"]]
    assert (scores.loc["posterior"] < scores.loc["EM"]).all()


def test_by_hand():
    membership = [[0.9, 0.1], [0.4, 0.6], [0.2, 0.8]]
    result = calibration(dataset(membership), ["a", "a", "b"])
    scores = result.scores.iloc[0]
    assert scores["brier"] == pytest.approx(2 * (0.01 + 0.36 + 0.04) / 3, rel=1e-14)
    assert scores["log_score"] == pytest.approx(-np.log([0.9, 0.4, 0.8]).mean(), rel=1e-14)
    assert scores["calibration_error"] == pytest.approx((0.1 + 0.6 + 0.2) / 3, rel=1e-14)
    assert (scores["n_misplaced"], scores["n_ruled_out"]) == (1, 0)
    assert result.notes == ()
    assert result.matching["label"].tolist() == ["a", "b"]


def test_names_of_components_and_labels_do_not_matter(drawn):
    membership, known = drawn
    order = [2, 0, 1]
    result = calibration(dataset(membership), known)
    moved = calibration(
        dataset(membership[:, order]).transpose("cluster", "obs"), pd.Series(known).map({n: i for i, n in enumerate(NAMES)})
    )
    pd.testing.assert_frame_equal(moved.scores, result.scores)
    pd.testing.assert_frame_equal(moved.reliability, result.reliability)
    assert moved.matching["label"].tolist() == order


def test_the_order_of_rows_does_not_matter(drawn):
    membership, known = drawn
    result = calibration(dataset(membership[::-1]), known[::-1])
    pd.testing.assert_frame_equal(result.scores, calibration(dataset(membership), known).scores)


def test_missing_labels_are_left_out_and_counted(drawn):
    membership, known = drawn
    some = known.astype(object)
    some[:3], some[10] = None, np.nan
    result = calibration(dataset(membership), some)
    kept = np.delete(np.arange(500), [0, 1, 2, 10])
    pd.testing.assert_frame_equal(result.scores, calibration(dataset(membership[kept]), known[kept]).scores)
    assert (result.n_known, result.n_missing) == (496, 4)
    assert result.notes == ("4 of 500 rows have no known label and are left out",)
    assert "4 of 500 rows" in repr(result)


def test_missing_numbers_are_left_out():
    result = calibration(dataset(np.eye(3)[[0, 1, 0]]), np.array([1.0, np.nan, 1.0]))
    assert (result.n_known, result.n_missing) == (2, 1)
    assert result.scores.iloc[0]["log_score"] == 0.0


def test_a_component_left_over_stands_for_the_label_commonest_in_it():
    """The one-to-one matching gives a to 0 and b to 1; component 2 is mostly b."""
    membership = np.repeat(np.eye(3), [5, 5, 3], axis=0)
    result = calibration(dataset(membership), list("aaaaabbbbbbba"))
    assert result.matching["label"].tolist() == ["a", "b", "b"]
    scores = result.scores.iloc[0]
    assert scores["brier"] == pytest.approx(2 / 13)
    assert scores["n_misplaced"] == 1  # by the labels that the components stand for
    assert scores["log_score"] == np.inf


def test_a_label_without_a_component_makes_the_log_score_infinite():
    result = calibration(dataset([[0.7, 0.3]] * 3 + [[0.2, 0.8]] * 4), list("aaabbcb"))
    assert result.scores["log_score"].tolist() == [np.inf]
    assert result.scores["n_ruled_out"].tolist() == [1]
    assert result.notes == (
        "posterior gives the known label of 1 row a probability of 0 (no component stands for c): its log score is infinite",
    )


@pytest.mark.parametrize(("n_components", "n_labels"), [(1, 1), (1, 3), (4, 1)])
def test_one_of_either(n_components, n_labels):
    rng = np.random.default_rng(2)
    membership = rng.dirichlet(np.ones(n_components), size=9)
    scores = calibration(dataset(membership), np.arange(9) % n_labels).scores.iloc[0]
    assert scores["brier"] == pytest.approx(0.0 if n_labels == 1 else 2 * 6 / 9, abs=1e-14)
    assert scores["log_score"] == (pytest.approx(0.0, abs=1e-14) if n_labels == 1 else np.inf)


def test_a_row_without_any_membership_counts_as_wrong():
    scores = calibration(dataset([[1.0, 0.0], [0.0, 1.0], [0.0, 0.0]]), list("aba")).scores.iloc[0]
    assert scores["brier"] == pytest.approx(1 / 3)
    assert scores["n_ruled_out"] == 1


@pytest.mark.parametrize(
    ("known", "said"),
    [
        (["a", "b"], r"one label for each of the 3 rows; got shape \(2,\)"),
        ("abc", r"got shape \(\)"),
        ([None, np.nan, None], "all 3 labels are missing"),
    ],
)
def test_bad_labels_are_refused(known, said):
    with pytest.raises(InputError, match=said):
        calibration(dataset(np.eye(3)), known)


def test_bins_are_counted():
    with pytest.raises(InputError, match="n_bins must be a whole number of at least 1"):
        calibration(dataset(np.eye(3)), list("abc"), n_bins=0)
