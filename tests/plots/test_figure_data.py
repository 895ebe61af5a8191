"""What the figures draw, without drawing it: the numbers are those of the comparison."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm

from bayesgmm.compare.comparison import Comparison
from bayesgmm.plots.density import density_data, plot_density
from bayesgmm.plots.diagnostics import diagnostics_data, plot_diagnostics
from bayesgmm.plots.entropy import entropy_data, plot_entropy
from bayesgmm.plots.forest import MAX_CORRELATIONS, forest_data, plot_forest
from bayesgmm.plots.geometry import (
    density_grid,
    ellipses,
    histogram_bins,
    marginal_densities,
    separations,
    spread_draws,
    thinned_trace,
)
from bayesgmm.plots.memberships import CERTAIN, memberships_data, plot_memberships
from bayesgmm.plots.predictive import plot_predictive, predictive_data
from bayesgmm.posterior.schema import with_groups
from tests.fake_comparison import make_comparison


@pytest.mark.parametrize("mass", [0.5, 0.9, 0.99])
def test_every_point_of_an_ellipse_has_the_distance_that_holds_its_mass(mass: float) -> None:
    rng = np.random.default_rng(3)
    means = rng.normal(size=(4, 2))
    factors = rng.normal(size=(4, 2, 2))
    covariances = factors @ factors.swapaxes(1, 2) + 0.1 * np.eye(2)
    offsets = ellipses(means, covariances, mass) - means[:, None, :]
    squared = np.einsum("kpi,kij,kpj->kp", offsets, np.linalg.inv(covariances), offsets)
    np.testing.assert_allclose(squared, -2 * np.log(1 - mass), rtol=1e-9)


def test_an_ellipse_holds_its_mass_of_draws() -> None:
    rng = np.random.default_rng(5)
    covariance = np.array([[2.0, 0.9], [0.9, 1.0]])
    draws = rng.multivariate_normal([0, 0], covariance, size=20_000)
    outline = ellipses(np.zeros(2), covariance, 0.9)
    radius = (outline[0] @ np.linalg.solve(covariance, outline[0])) ** 0.5
    inside = (np.einsum("ni,ni->n", draws @ np.linalg.inv(covariance), draws) <= radius**2).mean()
    assert abs(inside - 0.9) < 4 * np.sqrt(0.9 * 0.1 / len(draws))


def test_marginal_densities_are_weighted_normals() -> None:
    grid = np.linspace(-3, 5, 40)
    weights, means, scales = np.array([0.3, 0.7]), np.array([0.0, 2.0]), np.array([0.5, 1.5])
    got = marginal_densities(grid, weights, means, scales)
    np.testing.assert_allclose(got, weights * norm(means, scales).pdf(grid[:, None]), rtol=1e-12)


def test_a_component_much_narrower_than_the_data_is_not_stepped_over() -> None:
    values, means, scales = np.array([0.0, 1000.0]), np.array([1.0, 500.0]), np.array([1e-3, 100.0])
    grid = density_grid(values, means, scales)
    assert (np.abs(grid - 1.0) < 3e-3).sum() >= 20
    assert (np.diff(grid) > 0).all()


def test_a_constant_column_has_a_grid_and_a_histogram() -> None:
    values = np.full(10, 7.0)
    assert np.ptp(density_grid(values, np.array([7.0]), np.array([0.5]))) > 0
    assert histogram_bins(values) == 12


def test_an_outlier_does_not_ask_for_millions_of_bins() -> None:
    values = np.append(np.random.default_rng(0).normal(size=500), 1e12)
    assert histogram_bins(values) == 60


def test_separation_is_between_over_within_variance() -> None:
    means, scales = np.array([[0.0, 0.0], [4.0, 0.0]]), np.array([[1.0, 1.0], [1.0, 1.0]])
    np.testing.assert_allclose(separations(means, scales, np.array([0.5, 0.5])), [4.0, 0.0])


def test_a_thinned_trace_keeps_the_extremes_and_the_order() -> None:
    draws = np.random.default_rng(1).normal(size=5000)
    position, values = thinned_trace(draws, n_bins=50)
    assert len(values) <= 100
    assert values.min() == draws.min()
    assert values.max() == draws.max()
    assert (np.diff(position) > 0).all()


def test_spread_draws_takes_from_every_chain(comparison: Comparison) -> None:
    weights = comparison.tree["posterior"]["weights"].values
    drawn = spread_draws(comparison.tree, "weights", 8)
    chains = [next(c for c in range(len(weights)) if (weights[c] == w).all(axis=1).any()) for w in drawn]
    assert set(chains) == set(range(len(weights)))
    assert len(spread_draws(comparison.tree, "weights", 10**6)) == weights.shape[0] * weights.shape[1]


def test_density_shows_the_data_its_labels_and_ellipses_around_the_means(comparison: Comparison) -> None:
    data = density_data(comparison, mass=0.5, n_draws=7)
    (panel,) = data.panels
    np.testing.assert_array_equal(data.observations, comparison.tree["observed_data"]["X"].values)
    np.testing.assert_array_equal(data.label, comparison.assignments["label"].values)
    np.testing.assert_allclose(panel.em[:, :-1].mean(axis=1), comparison.em.params.means)
    posterior_means = comparison.tree["posterior"]["means"].mean(("chain", "draw")).values
    np.testing.assert_allclose(panel.mean[:, :-1].mean(axis=1), posterior_means)
    assert panel.draws.shape == (7, 2, *panel.em.shape[1:])


def test_components_without_rows_have_no_ellipse(comparison: Comparison) -> None:
    """In half of the draws one component is empty: its ellipses of those are left out; if it always is, the mean's too."""
    posterior = comparison.tree["posterior"].to_dataset()
    for share, mean_is_drawn in ((0.5, True), (1.0, False)):
        weights = posterior["weights"].transpose("chain", "draw", "cluster").copy()
        n_empty = int(share * weights.sizes["draw"])
        weights[:, :n_empty, 1] = 1e-9
        tree = with_groups(comparison.tree, {"posterior": posterior.assign(weights=weights)})
        (panel, *_) = density_data(dataclasses.replace(comparison, tree=tree)).panels
        drawn = np.isfinite(panel.draws).all(axis=(2, 3))
        assert drawn[:, 0].all()
        assert drawn[:, 1].mean() == pytest.approx(1 - share, abs=0.05)
        assert np.isfinite(panel.mean[1]).all() == mean_is_drawn


@pytest.mark.slow
def test_density_of_many_features_shows_the_five_that_separate_most() -> None:
    comparison = make_comparison(2, 7, n_samples=100, n_draws=20)
    params = comparison.em.params
    strength = separations(params.means, params.scales, params.weights)
    data = density_data(comparison)
    shown = {feature for panel in data.panels for feature in panel.features}
    assert shown == set(np.argsort(-strength)[:5].tolist())
    assert len(data.panels) == 10
    assert data.n_omitted == 2


def test_density_of_one_feature_brackets_its_mean_by_the_band() -> None:
    marginal = density_data(make_comparison(3, 1)).marginal
    assert marginal is not None
    assert (marginal.lower <= marginal.upper).all()
    np.testing.assert_allclose(marginal.components.sum(axis=1), marginal.mean)
    np.testing.assert_allclose(np.trapezoid(marginal.em, marginal.grid), 1.0, atol=0.02)


def test_forest_holds_every_parameter_of_a_small_mixture(comparison: Comparison) -> None:
    data, table = forest_data(comparison), comparison.parameters
    assert sorted(data.index) == sorted(table.index)
    columns = ["em", "mean", "lower", "upper"]
    pd.testing.assert_frame_equal(data[columns], table.loc[data.index, columns])
    assert data.attrs["n_omitted"] == 0


def test_forest_nests_the_inner_interval_and_groups_the_panels(comparison: Comparison) -> None:
    data = forest_data(comparison)
    assert (data["lower"] <= data["inner_lower"]).all()
    assert (data["inner_lower"] <= data["inner_upper"]).all()
    assert (data["inner_upper"] <= data["upper"]).all()
    assert list(dict.fromkeys(data["panel"])) == [
        "weights",
        "means of x0",
        "means of x1",
        "scales of x0",
        "scales of x1",
        "correlations",
    ]
    assert data["panel"].ne(data["panel"].shift()).sum() == 6


@pytest.mark.slow
def test_forest_of_many_features_says_how_many_parameters_it_leaves_out() -> None:
    comparison = make_comparison(3, 7, n_samples=150, n_draws=20)
    data = forest_data(comparison)
    assert (data["panel"] == "correlations").sum() == MAX_CORRELATIONS
    assert len(data) + data.attrs["n_omitted"] == len(comparison.parameters)


def test_memberships_are_sorted_and_cover_every_observation() -> None:
    comparison = make_comparison(3, 2)
    panels = memberships_data(comparison)
    assert [panel.component for panel in panels] == [0, 1, 2]
    for panel in panels:
        assert sorted(panel.order) == list(range(comparison.em.n_samples))
        assert (np.diff(panel.mean) >= 0).all()
        em = comparison.assignments["em_membership"].transpose("obs", "cluster").values
        np.testing.assert_array_equal(panel.em, em[panel.order, panel.component])


def test_memberships_outside_the_window_are_certain(comparison: Comparison) -> None:
    (panel,) = memberships_data(comparison)
    start, stop = panel.window
    assert (panel.upper[:start] <= CERTAIN).all()
    assert (panel.lower[stop:] >= 1 - CERTAIN).all()


def test_entropy_is_sorted_and_splits_into_its_parts(comparison: Comparison) -> None:
    data = entropy_data(comparison)
    total = data.overlap + data.doubt
    assert (np.diff(total) <= 1e-12).all()
    np.testing.assert_allclose(total, comparison.assignments["entropy"].values[data.order], atol=1e-9)
    assert data.maximum == pytest.approx(np.log(2))
    assert 0 < data.n_shown <= 60


def test_predictive_gives_a_band_for_each_feature(comparison: Comparison) -> None:
    data = predictive_data(comparison)
    assert [band.feature for band in data.bands] == [0, 1]
    for band in data.bands:
        params = comparison.em.params
        expected = norm(params.means[:, band.feature], params.scales[:, band.feature]).pdf(band.grid[:, None])
        np.testing.assert_allclose(band.em, expected @ params.weights, rtol=1e-10)
        assert band.prob == comparison.ci_prob


def test_diagnostics_count_every_draw_once_and_repeat_the_table(comparison: Comparison) -> None:
    panels = diagnostics_data(comparison.diagnosis)
    for panel in panels:
        assert (panel.rank_counts.sum(axis=1) == panel.draws.shape[1]).all()
        assert panel.rank_counts.sum(axis=0) == pytest.approx(len(panel.draws) * panel.expected_count, abs=1)
        assert panel.r_hat == comparison.diagnosis.quantities.loc[panel.name, "r_hat"]


def test_diagnostics_show_the_quantities_with_the_largest_r_hat() -> None:
    diagnosis = make_comparison(2, 2, converged=False).diagnosis
    shown = [panel.name for panel in diagnostics_data(diagnosis)]
    assert set(shown) == set(diagnosis.quantities["r_hat"].nlargest(6).index)


def test_a_chain_elsewhere_shows_in_its_ranks() -> None:
    diagnosis = make_comparison(2, 2, converged=False).diagnosis
    panel = next(panel for panel in diagnostics_data(diagnosis) if panel.name == "log_likelihood")
    assert panel.r_hat > 1.1
    assert panel.rank_counts[0].max() > 2 * panel.expected_count


def test_diagnostics_without_quantities_have_no_panels(comparison: Comparison) -> None:
    diagnosis = comparison.diagnosis
    bare = dataclasses.replace(diagnosis, quantities=diagnosis.quantities.iloc[:0])
    assert diagnostics_data(bare) == ()
    assert plot_diagnostics(bare).axes == []


def test_figure_data_returns_what_the_data_functions_return(comparison: Comparison) -> None:
    assert plot_density(comparison, figure_data=True).mass == density_data(comparison).mass
    assert len(plot_predictive(comparison, figure_data=True).bands) == 2
    assert len(plot_memberships(comparison, figure_data=True)) == 1
    assert len(plot_diagnostics(comparison.diagnosis, figure_data=True)) == 6
    np.testing.assert_array_equal(plot_entropy(comparison, figure_data=True).order, entropy_data(comparison).order)
    pd.testing.assert_frame_equal(plot_forest(comparison, figure_data=True), forest_data(comparison))
