"""Posterior trees of other samplers: every verb takes them, and the layout of the tree decides nothing."""

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import xarray as xr

import bayesgmm as bg

pytestmark = pytest.mark.usefixtures("few_starts")

HERE = Path(__file__).parent
DIMS = ("chain", "draw", "cluster", "feature", "feature_bis")
SEARCHING = ("ecr", "ecr_iterative", "ecr_iterative_soft", "stephens", "pra")
COLUMNS = ["eruptions", "waiting"]


@pytest.fixture(scope="module")
def gibbs():
    """What R says of 200 draws of Old Faithful by bayesm, labels scrambled, and the draws as arrays of four chains."""
    reference = json.loads((HERE / "reference" / "relabel_faithful.json").read_text())
    mcmc = np.array(reference["mcmc"]).reshape(4, 50, 2, 6)
    covariances = mcmc[..., [2, 3, 3, 4]].reshape(4, 50, 2, 2, 2)
    arrays = {"weights": mcmc[..., 5], "means": mcmc[..., :2], "covariances": covariances}
    return SimpleNamespace(reference=reference, arrays=arrays, X=bg.load_faithful().to_numpy(dtype=float))


def bare(arrays, X):
    """Dims only: no coordinates, no statistics of the sampler, no fit, no log-likelihood."""
    variables = {name: (DIMS[: array.ndim], array) for name, array in arrays.items()}
    observed = xr.Dataset({"y": (("obs", "feature"), X)})
    return xr.DataTree.from_dict({"posterior": xr.Dataset(variables), "observed_data": observed})


@pytest.fixture(scope="module")
def few(gibbs):
    """Half of the draws, over an eighth of the rows."""
    return SimpleNamespace(arrays={name: array[:, ::2] for name, array in gibbs.arrays.items()}, X=gibbs.X[::8])


def as_one_chain(gibbs):
    return bare({name: array.reshape(1, -1, *array.shape[2:]) for name, array in gibbs.arrays.items()}, gibbs.X)


def otherwise_laid_out(gibbs):
    """Dims in another order, chains and clusters with names, columns named in the means only, other variables beside."""
    tree = bare(gibbs.arrays, gibbs.X)
    rng, shape = np.random.default_rng(5), gibbs.arrays["weights"].shape[:2]
    others = {
        "lp": (DIMS[:2], rng.standard_normal(shape)),
        "loadings": ((*DIMS[:2], "row", "column"), rng.standard_normal((*shape, 3, 2))),
        "marks": ((*DIMS[:2], "mark", "cluster"), gibbs.arrays["weights"][:, :, None, :] * [[1.0], [-1.0]]),
    }
    coords = {"feature": COLUMNS, "cluster": ["a", "b"], "chain": [3, 5, 7, 9], "draw": np.arange(1, shape[1] + 1)}
    posterior = tree["posterior"].to_dataset().assign(others).assign_coords(coords)
    return xr.DataTree.from_dict(
        {
            "posterior": posterior.transpose("feature_bis", "cluster", "mark", "column", "draw", "row", "feature", "chain"),
            "observed_data": tree["observed_data"].to_dataset().transpose("feature", "obs"),
        }
    )


def in_single_precision(gibbs):
    return bare({name: array.astype(np.float32) for name, array in gibbs.arrays.items()}, gibbs.X)


def named(gibbs):
    tree = bare(gibbs.arrays, gibbs.X)
    posterior = tree["posterior"].to_dataset().assign_coords(feature=COLUMNS, feature_bis=COLUMNS)
    return xr.DataTree.from_dict({"posterior": posterior, "observed_data": tree["observed_data"].to_dataset()})


LAYOUTS = {
    "bare": lambda gibbs: bare(gibbs.arrays, gibbs.X),
    "one chain": as_one_chain,
    "laid out otherwise": otherwise_laid_out,
    "single precision": in_single_precision,
    "named columns": named,
}


def answers(tree, new):
    """What every verb says of a tree, in arrays that can be compared."""
    relabelled = bg.relabel(tree, method="stephens")
    diagnosis = bg.diagnose(relabelled)
    memberships, of_new = bg.assignments(relabelled), bg.assignments(relabelled, new)
    out = {
        "divergences": [bg.relabel(tree, method=method)["relabelling"].attrs["kullback_leibler"] for method in SEARCHING],
        "r_hat and ess": diagnosis.quantities.to_numpy(dtype=float),
        "of parameters": diagnosis.relabelled.to_numpy(dtype=float),
        "series": diagnosis.series.transpose("chain", "draw").to_array().values.reshape(len(diagnosis.series), -1),
        "chains": diagnosis.chains.to_numpy(dtype=float),
        "membership": memberships.transpose("obs", "cluster")["membership"].values,
        "upper": memberships.transpose("obs", "cluster")["membership_upper"].values,
        "mutual_information": memberships["mutual_information"].values,
        "of new rows": of_new.transpose("obs", "cluster")["membership"].values,
        "similarity": bg.similarity(tree).values,
        "weights": bg.chain_weights(tree)["weight"].to_numpy(),
        "modes": bg.plot_modes(diagnosis, figure_data=True).place.ravel(),
    }
    for loss in ("vi", "binder"):
        best = bg.partition(tree, loss=loss, progress=False)
        out[loss] = np.array([*best.labels, best.expected_loss, *best.credible_ball().n_clusters])
    pooled = bg.relabel(bg.pool(tree, np.ones(tree["posterior"].sizes["chain"]), seed=0), method="stephens")
    out["pooled"] = bg.assignments(pooled).transpose("obs", "cluster")["membership"].values
    return out


@pytest.fixture(scope="module")
def plain_answers(few):
    return answers(named(few), few.X[::5] + 0.25)


@pytest.mark.slow
@pytest.mark.parametrize("layout", LAYOUTS)
def test_layout_decides_nothing(layout, few, plain_answers):
    found = answers(LAYOUTS[layout](few), few.X[::5] + 0.25)
    of_ranks = {"r_hat and ess", "of parameters"}
    left_out = of_ranks | {"chains", "weights"} if layout == "one chain" else set()
    for name in plain_answers.keys() - left_out:
        # in single precision means of 80 minutes are rounded by 4e-6, and equal ranks may change places
        single = {"rtol": 1e-2} if name in of_ranks else {"rtol": 2e-5, "atol": 2e-6}
        tolerance = single if layout == "single precision" else {"rtol": 1e-12}
        np.testing.assert_allclose(found[name], plain_answers[name], **tolerance, err_msg=name)


def test_r_hat_of_one_chain_is_left_out_and_said(gibbs):
    diagnosis = bg.diagnose(as_one_chain(gibbs))
    assert diagnosis.quantities["r_hat"].isna().all()
    assert "there is only one chain" in diagnosis.verdict
    assert bg.chain_weights(as_one_chain(gibbs))["weight"].tolist() == [1.0]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_orders_that_are_not_searched_for(layout, few):
    tree = LAYOUTS[layout](few)
    place = "waiting" if "feature" in tree["posterior"].coords else 1
    by_means = bg.relabel(tree, method="ordering", by=("means", place))
    means = by_means["posterior"]["means"].transpose("feature", "chain", "draw", "cluster").values[1]
    assert (np.diff(means, axis=-1) > 0).all()
    given = bg.relabel(tree, method="given", permutation=by_means["relabelling"]["permutation"])
    assert given["posterior"].to_dataset().equals(by_means["posterior"].to_dataset())


def test_other_variables_are_kept_and_those_of_clusters_follow(gibbs):
    tree = otherwise_laid_out(gibbs)
    relabelled = bg.relabel(tree)["posterior"].to_dataset()
    raw = tree["posterior"].to_dataset()
    for name in ("lp", "loadings"):
        xr.testing.assert_identical(relabelled[name], raw[name])
    weights = relabelled["weights"].transpose(*DIMS[:3]).values
    marks = relabelled["marks"].transpose("mark", *DIMS[:3]).values
    np.testing.assert_array_equal(marks, [weights, -weights])
    assert (weights != raw["weights"].transpose(*DIMS[:3]).values).any()


@pytest.mark.slow
@pytest.mark.parametrize("layout", LAYOUTS)
def test_figures_are_drawn(layout, few):
    tree = LAYOUTS[layout](few)
    for figure in (bg.plot_modes(bg.diagnose(tree)), bg.plot_similarity(tree)):
        figure.draw_without_rendering()


def test_weights_of_few_digits(gibbs):
    """Single precision, and text files: weights sum to 1 up to rounding."""
    expected = bg.relabel(bare(gibbs.arrays, gibbs.X))["relabelling"].to_dataset()
    cut = gibbs.arrays | {"weights": np.floor(gibbs.arrays["weights"] * 1e6) / 1e6}
    for tree in (in_single_precision(gibbs), bare(cut, gibbs.X)):
        np.testing.assert_array_equal(bg.relabel(tree)["relabelling"]["permutation"], expected["permutation"])


def test_hard_labels_are_those_of_r(gibbs):
    labels = bg.assignments(bg.relabel(bare(gibbs.arrays, gibbs.X)))["label"].values
    expected = np.array(gibbs.reference["single_best_clustering"]["ecr"]) - 1
    assert np.array_equal(labels, expected) or np.array_equal(labels, 1 - expected)


def test_similarity_is_that_of_the_allocations_that_the_gibbs_sampler_drew(gibbs):
    z = np.array([list(row) for row in gibbs.reference["z"]])
    shares = np.mean([row[:, None] == row for row in z], axis=0)
    matrix = bg.similarity(bare(gibbs.arrays, gibbs.X)).values
    difference = np.abs(matrix - shares)
    # Hoeffding: a share of 200 allocations is farther off than 0.2 for one of 37 000 pairs with probability below 1%
    assert difference.max() < 0.2
    assert difference.mean() < np.sqrt(matrix * (1 - matrix) / 200).mean()


def test_memberships_are_near_those_of_em(gibbs):
    """EM's are at one point of what the posterior averages over; the sampler's prior and 200 draws allow for the rest."""
    em = bg.fit_em(bg.load_faithful(), 2, seed=0, progress=False)
    tree = bg.relabel(named(gibbs), reference=em)
    tree["em"] = xr.DataTree(em.to_dataset())
    memberships = bg.assignments(tree, ci_prob=0.99)
    assert bg.flips(memberships).empty
    em_membership = memberships["em_membership"]
    assert (em_membership > memberships["membership_lower"] - 1e-3).all()
    assert (em_membership < memberships["membership_upper"] + 1e-3).all()
    best = bg.partition(tree, progress=False)
    assert best.em.distance == 0
    assert best.n_clusters == 2


@pytest.mark.slow
def test_own_tree_saved_and_loaded(tmp_path):
    X = bg.load_faithful()[::8]
    tree = bg.sample(X, bg.fit_em(X, 2, seed=0, progress=False), draws=100, chains=2, seed=3, progress=False)
    loaded = bg.load(bg.save(tree, tmp_path / "tree.nc"))
    found, expected = answers(loaded, X[:20]), answers(tree, X[:20])
    for name, value in expected.items():
        np.testing.assert_array_equal(found[name], value, err_msg=name)
    assert repr(bg.diagnose(loaded)) == repr(bg.diagnose(tree))
    xr.testing.assert_identical(bg.assignments(loaded), bg.assignments(tree))


@pytest.mark.slow
def test_foreign_tree_saved_and_loaded(tmp_path, gibbs):
    tree = bg.relabel(otherwise_laid_out(gibbs))
    loaded = bg.load(bg.save(tree, tmp_path / "tree.nc"))
    xr.testing.assert_identical(bg.assignments(loaded), bg.assignments(tree))


def how_to_blocks():
    text = (HERE.parent / "docs" / "how-to" / "draws-from-another-sampler.md").read_text()
    return [block.split("```")[0] for block in text.split("```python\n")[1:]]


def as_samplers_hold_them(arrays, folder):
    """The objects that the how-to reads, with these draws: `fit` of Stan, `mcmc` of NumPyro, `trace` of PyMC, `paths` from R."""
    factors = np.linalg.cholesky(arrays["covariances"])
    sds = np.sqrt(np.diagonal(arrays["covariances"], axis1=-2, axis2=-1))
    L = factors / sds[..., None]
    variables = {"theta": arrays["weights"], "mu": arrays["means"], "sigma": sds, "L": L}
    recorded = {name: np.arange(200.0).reshape(50, 4) % 7 for name in ("lp__", "energy__")}
    fit = SimpleNamespace(
        chains=4,
        stan_variable=lambda name: variables[name].reshape(200, *variables[name].shape[2:]),
        method_variables=lambda: {**recorded, "divergent__": np.zeros((50, 4))},
    )
    sites = {"weights": arrays["weights"], "means": arrays["means"], "sds": sds, "L_corr": L}
    in_single = {name: value.astype(np.float32) for name, value in sites.items()}
    mcmc = SimpleNamespace(get_samples=lambda group_by_chain: in_single if group_by_chain else {})
    chols = {
        f"chol_{k}_{part}": (("chain", "draw", *(f"chol_{k}_{part}_dim_{i}" for i in range(value.ndim - 3))), value[:, :, k])
        for part, value in (("stds", sds), ("corr", L @ L.swapaxes(-1, -2)))
        for k in range(2)
    }
    own = {"w": (("chain", "draw", "w_dim_0"), arrays["weights"]), "mu": (("chain", "draw", "mu_0", "mu_1"), arrays["means"])}
    trace = xr.DataTree.from_dict({"posterior": xr.Dataset({**own, **chols})})
    paths = [folder / f"chain{chain}.csv" for chain in range(4)]
    for chain, path in enumerate(paths):
        rows = np.concatenate([array[chain].reshape(50, -1) for array in arrays.values()], axis=1)
        np.savetxt(path, rows, delimiter=",", header="one line of names", fmt="%.17g")
    return {"fit": fit, "mcmc": mcmc, "trace": trace, "paths": paths}


@pytest.mark.slow
def test_how_to_runs_and_its_trees_are_one(gibbs, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = as_samplers_hold_them(gibbs.arrays, tmp_path)
    trees = []
    for block in how_to_blocks():
        exec(block, names)
        if any(line.startswith(("tree = mixture_tree", "tree = tree_from_stan")) for line in block.splitlines()):
            trees.append(names["tree"])
    assert len(trees) == 4
    for tree in trees:
        for name, array in gibbs.arrays.items():
            np.testing.assert_allclose(tree["posterior"][name], array, rtol=1e-6)
    assert trees[0]["sample_stats"]["lp"].sel(chain=1, draw=2) == 9.0 % 7
    assert (tmp_path / "old_faithful.nc").exists()
    assert names["tree"]["constant_data"]["resolution"].sizes == {"feature": 2}
