import numpy as np
import pytest

import bayesgmm as bg
from bayesgmm.model.properness import improper_reasons
from bayesgmm.model.scale_priors import SCALE_PARAMETERS

CONTINUOUS = np.random.default_rng(1).normal(size=(30, 3))


def reasons(X, family, *, scale_prior="inverse_gamma", eta=2.0, n_components=2, resolution=None):
    priors = bg.Priors(scale_prior=scale_prior, lkj_eta=eta).resolved(X, n_components, family)
    return improper_reasons(X, priors, np.zeros(X.shape[1]) if resolution is None else resolution)


def with_tied_rows(n_rows, columns):
    X = CONTINUOUS.copy()
    X[:n_rows, columns] = X[0, columns]
    return X


@pytest.mark.parametrize("scale_prior", SCALE_PARAMETERS)
@pytest.mark.parametrize("family", ["EII", "VII", "EEI", "VVI", "EEE", "VVV", "EVV", "VVE", "VEV"])
def test_continuous_data_are_proper_under_every_prior(family, scale_prior):
    assert reasons(CONTINUOUS, family, scale_prior=scale_prior) == ()


@pytest.mark.parametrize(
    ("scale_prior", "found"), [("half_normal", 1), ("half_student_t", 1), ("inverse_gamma", 0), ("log_normal", 0)]
)
@pytest.mark.parametrize("family", ["VVI", "VVV"])
def test_two_equal_values_in_a_column(family, scale_prior, found):
    X = with_tied_rows(2, [1])
    assert len(reasons(X, family, scale_prior=scale_prior)) == found
    for reason in reasons(X, family, scale_prior=scale_prior):
        assert (reason.cause, reason.columns, reason.n_rows) == ("scales", (1,), 2)
        assert "2 rows are equal in column 1" in reason.sentence
        assert "resolution=None" in reason.sentence
    assert reasons(X, family, scale_prior=scale_prior, resolution=np.array([0.0, 0.1, 0.0])) == ()


def test_a_common_spread_needs_no_more_values_than_components():
    two_values = CONTINUOUS.copy()
    two_values[:, 0] = two_values[:, 0] > 0
    for family in ("EEI", "VEI", "EVI", "EEE", "VEE", "EVV"):
        assert reasons(with_tied_rows(2, [1]), family, scale_prior="half_normal") == ()
        (reason,) = reasons(two_values, family, scale_prior="half_normal")
        assert reason.columns == (0,)
        assert "all 30 rows, in 2 groups" in reason.sentence
        assert reasons(two_values, family, scale_prior="half_normal", n_components=1) == ()
        assert reasons(two_values, family, scale_prior="inverse_gamma") == ()


def test_one_scale_for_all_columns_needs_equal_rows():
    assert reasons(with_tied_rows(5, [0, 1]), "VII", scale_prior="half_normal") == ()
    (reason,) = reasons(with_tied_rows(2, [0, 1, 2]), "VII", scale_prior="half_normal")
    assert reason.columns == (0, 1, 2)
    (reason,) = reasons(with_tied_rows(2, [0, 1]), "VII", scale_prior="half_normal", resolution=np.array([0.0, 0.0, 0.1]))
    assert reason.columns == (0, 1)


@pytest.mark.parametrize("scale_prior", ["inverse_gamma", "log_normal"])
@pytest.mark.parametrize(("eta", "enough"), [(1.0, 5), (2.0, 7), (2.5, 8)])
def test_rows_on_an_oblique_line_of_a_grid(scale_prior, eta, enough):
    """D + 2 eta rows with 2 x0 - x2 constant, on grids with steps 0.1 and 5."""
    rng = np.random.default_rng(2)
    for n_rows in (enough - 1, enough):
        steps = rng.permutation(3000)[:60].reshape(30, 2)
        steps[:n_rows, 1] = 2 * steps[:n_rows, 0] + 7
        X = np.column_stack([0.1 * steps[:, 0], rng.normal(size=30), 5 * steps[:, 1]])
        X[-2:, [0, 2]] = [[-0.1, -10], [0.0, -5]]
        found = reasons(X, "VVV", scale_prior=scale_prior, eta=eta)
        assert len(found) == (n_rows == enough)
        for reason in found:
            assert (reason.cause, reason.columns, reason.n_rows) == ("correlations", (0, 2), enough)
            assert f"lkj_eta above {eta:g}" in reason.sentence
        for family in ("VVI", "EEE", "VEE", "EVV", "EVE"):
            assert reasons(X, family, scale_prior=scale_prior, eta=eta) == ()
        assert reasons(X, "VVV", eta=eta, resolution=np.array([0.1, 0, 5.0])) == ()


@pytest.mark.parametrize(("columns", "enough"), [([0, 1], 6), ([0, 1, 2], 5)])
def test_rows_equal_in_several_columns_need_one_less_for_each(columns, enough):
    """D - r + 1 + 2 eta."""
    assert reasons(with_tied_rows(enough - 1, columns), "VVV") == ()
    (reason,) = reasons(with_tied_rows(enough, columns), "VVV")
    assert (reason.columns, reason.n_rows) == (tuple(columns), enough)
    assert reasons(with_tied_rows(enough, columns), "VVV", eta=2.1) == ()


def test_percentages_that_sum_to_one_hundred():
    X = CONTINUOUS.copy()
    X[:, 2] = 100 - X[:, 0] - X[:, 1]
    for family in ("VVV", "EEE", "VEE"):
        (reason,) = reasons(X, family)
        assert "linearly dependent" in reason.sentence
    assert reasons(X, "EVV") == reasons(X, "VVI") == ()


def test_rotated_axes_need_a_hyperplane_with_a_row_to_spare():
    """VVE: D + 1 rows in a hyperplane, if its semi-axes may vanish."""
    assert reasons(with_tied_rows(3, [1]), "VVE", scale_prior="half_normal") == ()
    (reason,) = reasons(with_tied_rows(4, [1]), "VVE", scale_prior="half_normal")
    assert reason.n_rows == 4
    assert reasons(with_tied_rows(20, [1]), "VVE") == ()


@pytest.mark.parametrize(
    ("n_components", "rows", "improper"), [(1, (6,), 0), (2, (5,), 0), (2, (6,), 1), (3, (6,), 1), (3, (3, 3), 0), (3, (4, 3), 1)]
)
def test_components_with_a_common_beta_vanish_together(n_components, rows, improper):
    """All but one of them, at 2g + 2 alpha = 4.4 by default: rows beyond one for each of K - 1 values in a column."""
    X = CONTINUOUS.copy()
    for at, n_rows in enumerate(rows):
        X[10 * at : 10 * at + n_rows, 1] = at
    for family in ("VVI", "VVV"):
        found = reasons(X, family, scale_prior="hierarchical_gamma", n_components=n_components)
        assert len(found) == improper
        for reason in found:
            assert (reason.cause, reason.columns, reason.n_rows) == ("scales", (1,), sum(rows))
            assert "components' spreads can vanish: the posterior is improper" in reason.sentence
    for family in ("EEI", "EEE", "VII"):
        assert reasons(X, family, scale_prior="hierarchical_gamma", n_components=n_components) == ()


def test_all_components_vanish_where_every_row_has_company():
    X = CONTINUOUS.copy()
    X[:, 0] = X[:, 0] > 0
    for family in ("VVI", "EEI", "EVV"):
        (reason,) = reasons(X, family, scale_prior="hierarchical_gamma")
        assert "all 30 rows, in 2 groups, are equal in column 0" in reason.sentence
    assert reasons(with_tied_rows(2, [0, 1, 2]), "VII", scale_prior="hierarchical_gamma") == ()
    (reason,) = reasons(with_tied_rows(3, [0, 1, 2]), "VII", scale_prior="hierarchical_gamma")  # 3 columns, 2 rows more than 1
    assert reason.n_rows == 3
    assert reasons(with_tied_rows(7, [1]), "VVE", scale_prior="hierarchical_gamma") == ()
    assert len(reasons(with_tied_rows(8, [1]), "VVE", scale_prior="hierarchical_gamma")) == 1  # 4.4 and 2 for the angles
