import numpy as np
import pytest
import xarray as xr

import bayesgmm as bg
from bayesgmm.kernels import reference as twin
from bayesgmm.partitions import from_draws
from bayesgmm.posterior.schema import recorded_draws
from bayesgmm.posterior.similarity import similarity
from tests.partitions.posteriors import similarity_by_loop
from tests.posteriors import made_tree, scrambled, separated_params


@pytest.fixture(scope="module")
def tree():
    rng = np.random.default_rng(71)
    params = separated_params()
    close = type(params)(params.weights, params.means / 4, params.scale_trils)
    return made_tree(close, rng, n_samples=25, n_chains=2, n_draws=40, spread=0.2)


def draws_of(tree):
    return tree["observed_data"]["X"].values, recorded_draws(tree, tree["posterior"].to_dataset())


def test_similarity_is_the_plain_mean(tree):
    X, (weights, means, trils) = draws_of(tree)
    memberships = np.array([twin.responsibilities(X, weights[s], means[s], trils[s]) for s in range(80)])
    result = similarity(tree)
    assert result.dims == ("obs", "obs_bis")
    np.testing.assert_allclose(result.values, similarity_by_loop(memberships), rtol=1e-12)


def test_similarity_is_what_drawn_allocations_tend_to(tree):
    """Within five standard errors of the share of 40 000 allocations in which each pair is together."""
    X, draws = draws_of(tree)
    many = tuple(np.repeat(array, 500, axis=0) for array in draws)
    z = from_draws.labels_of_draws(X, *many, np.random.default_rng(3)).T
    share = np.mean([labels[:, None] == labels for labels in z], axis=0)
    exact = similarity(tree).values
    assert (abs(share - exact) <= 5 * np.sqrt(exact * (1 - exact) / len(z))).all()


def test_symmetric_probabilities_with_a_diagonal_of_one(tree):
    matrix = similarity(tree).values
    np.testing.assert_array_equal(matrix, matrix.T)
    np.testing.assert_array_equal(np.diag(matrix), 1)
    assert matrix.min() >= 0
    assert matrix.max() <= 1


def test_labels_and_relabelling_change_nothing(tree):
    rng = np.random.default_rng(5)
    plain, switched = similarity(tree), similarity(scrambled(tree, rng)[0])
    np.testing.assert_allclose(switched.values, plain.values, atol=1e-14)
    np.testing.assert_allclose(similarity(bg.relabel(tree)).values, plain.values, atol=1e-14)


def test_chunks_do_not_matter(tree, monkeypatch):
    X, draws = draws_of(tree)
    whole = similarity(tree).values
    labels = from_draws.labels_of_draws(X, *draws, np.random.default_rng(0))
    monkeypatch.setattr(from_draws, "BYTES_AT_ONCE", 7 * 8 * 25 * 3)
    np.testing.assert_allclose(similarity(tree).values, whole, rtol=1e-13)
    np.testing.assert_array_equal(from_draws.labels_of_draws(X, *draws, np.random.default_rng(0)), labels)


@pytest.mark.slow
def test_rounding_enters(tree):
    """Under a resolution h the covariances of the data are larger by h^2 / 12."""
    h = np.array([3.0, 1.0])
    rounded = tree.assign(constant_data=xr.DataTree(xr.Dataset({"resolution": ("feature", h)})))
    posterior = tree["posterior"].to_dataset()
    wider = tree.assign(posterior=xr.DataTree(posterior.assign(covariances=posterior["covariances"] + np.diag(h**2) / 12)))
    np.testing.assert_allclose(similarity(rounded).values, similarity(wider).values, rtol=1e-12)
    assert abs(similarity(rounded).values - similarity(tree).values).max() > 0.1


def test_a_matrix_too_large_is_refused_with_its_size(tree):
    with pytest.raises(bg.InputError, match=r"4.66e-06 GiB, more than the 4.66e-06 GiB allowed: raise max_bytes"):
        similarity(tree, max_bytes=4999)
    assert similarity(tree, max_bytes=5000).shape == (25, 25)
    with pytest.raises(bg.InputError, match="max_bytes"):
        similarity(tree, max_bytes=0)


def test_one_row_one_draw_one_component():
    params = separated_params(1)
    tree = made_tree(params, np.random.default_rng(0), n_samples=1, n_chains=1, n_draws=1)
    np.testing.assert_array_equal(similarity(tree).values, [[1.0]])
    more = made_tree(params, np.random.default_rng(0), n_samples=6, n_chains=1, n_draws=1)
    np.testing.assert_array_equal(similarity(more).values, np.ones((6, 6)))
