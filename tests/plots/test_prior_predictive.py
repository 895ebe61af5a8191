"""The prior predictive figure: bands and ellipses are those of the draws, for every number of features."""

import numpy as np
import pytest

import bayesgmm as bg
from bayesgmm.plots.prior_predictive import MASS, MAX_FEATURES, N_LINES, N_MIXTURES
from bayesgmm.plots.style import WIDTH
from bayesgmm.plots.svg import to_svg
from tests.representatives import representatives


def prior_tree(n_features, n_components=2, draws=40):
    X = np.random.default_rng(n_features).normal(size=(30, n_features))
    return bg.sample_prior(X, n_components, draws=draws, seed=1)


def test_the_functions_are_those_of_the_data_sets():
    tree = prior_tree(2)
    data = bg.plot_prior_predictive(tree, figure_data=True)
    X, simulated = tree["observed_data"]["X"].values, tree["prior_predictive"]["X"].values[0]
    assert [panel.feature for panel in data.panels] == [0, 1]
    for panel in data.panels:
        assert panel.grid[0] <= X[:, panel.feature].min()
        assert panel.grid[-1] >= X[:, panel.feature].max()
        np.testing.assert_allclose(panel.observed, (X[:, panel.feature, None] <= panel.grid).mean(axis=0))
        functions = (simulated[:, :, panel.feature, None] <= panel.grid).mean(axis=1)
        np.testing.assert_allclose(panel.lines, functions[:N_LINES])
        np.testing.assert_allclose(panel.bands, np.quantile(functions, [0.025, 0.25, 0.75, 0.975], axis=0))
        assert (np.diff(panel.bands, axis=0) >= 0).all()


def test_the_ellipses_are_those_of_the_first_draws():
    tree = prior_tree(3)
    data = bg.plot_prior_predictive(tree, figure_data=True)
    prior = tree["prior"]
    means = prior["means"].values[0, :N_MIXTURES, :, :2]
    precisions = np.linalg.inv(prior["covariances"].values[0, :N_MIXTURES, :, :2, :2])
    offsets = data.ellipses - means[:, :, None]
    squared = np.einsum("skpi,skij,skpj->skp", offsets, precisions, offsets)
    np.testing.assert_allclose(squared, -2 * np.log(1 - MASS))
    np.testing.assert_array_equal(data.weights, prior["weights"].values[0, :N_MIXTURES])


@pytest.mark.parametrize(
    ("n_features", "n_components", "draws"),
    representatives([(1, 1, 40), (1, 3, 2), (2, 1, 1), (3, 2, 4), (8, 2, 40)], 0, 1, 2, 3, others=pytest.mark.slow),
)
def test_a_figure_is_drawn(n_features, n_components, draws):
    tree = prior_tree(n_features, n_components, draws)
    data = bg.plot_prior_predictive(tree, figure_data=True)
    assert len(data.panels) == min(n_features, MAX_FEATURES)
    assert data.n_omitted == max(n_features - MAX_FEATURES, 0)
    assert (data.ellipses is None) == (n_features == 1)
    figure = bg.plot_prior_predictive(tree)
    assert figure.get_figwidth() == WIDTH
    svg = to_svg(figure, "x", "a figure")
    assert svg.startswith("<svg")
    assert ("first 6 of 8 features" in svg) == (n_features == 8)


def test_a_tree_without_prior_predictive_is_refused():
    tree = prior_tree(2)
    del tree["prior_predictive"]
    with pytest.raises(bg.InputError, match="the tree has no group 'prior_predictive'; it has prior, observed_data"):
        bg.plot_prior_predictive(tree)
