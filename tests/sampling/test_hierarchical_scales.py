"""Sampling under scales that share the rate of their precisions' prior: galaxies, with the tree kept and read back."""

import numpy as np
import pytest

import bayesgmm as bg
from bayesgmm.sampling.tree import target_of

pytestmark = pytest.mark.usefixtures("few_starts")


@pytest.fixture(scope="module")
def tree():
    galaxies = bg.load_galaxies()
    low, high = float(galaxies.min().iloc[0]), float(galaxies.max().iloc[0])
    priors = bg.Priors(mean_loc=(low + high) / 2, mean_scale=high - low, scale_prior="hierarchical_gamma")
    return bg.sample(galaxies, 3, priors=priors, resolution=0.0, draws=500, chains=2, seed=1, progress=False)


def test_three_groups_of_galaxies_are_found(tree):
    """The modes of the velocities' density near 10, 21 and 33; and what was assumed is in the tree."""
    means = np.sort(tree["posterior"]["means"].values[..., 0], axis=-1).mean(axis=(0, 1))
    np.testing.assert_allclose(means, [9.7, 21.3, 32.5], atol=1.0)
    assert "hierarchical_gamma(alpha=2, g=0.2, h=0.01586)" in tree.attrs["priors"]
    assert tree["constant_data"].attrs["scale_prior"] == "hierarchical_gamma"


@pytest.mark.slow
def test_the_tree_says_what_was_sampled(tree, tmp_path):
    """Read back from a file, the target is the same, and its prior of the scales gives the log-prior that is in the tree."""
    bg.save(tree, tmp_path / "tree.nc")
    target, same = target_of(tree), target_of(bg.load(tmp_path / "tree.nc"))
    u = np.random.default_rng(2).normal(size=target.structure.n_coordinates)
    assert same.log_density(u)[0] == target.log_density(u)[0]
    scales = np.sqrt(tree["posterior"]["covariances"].values[..., 0])
    expected = same.priors.scale_distribution.joint_logpdf(scales)[..., 0]
    np.testing.assert_allclose(tree["log_prior"]["scales"].values, expected, rtol=1e-9)
