from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import bayesgmm as bg
from bayesgmm import files
from tests.posteriors import made_tree, separated_params

pytestmark = pytest.mark.usefixtures("few_starts")


def test_a_write_that_fails_keeps_the_old_file_and_leaves_nothing_behind(tmp_path, monkeypatch):
    target = tmp_path / "report.html"
    target.write_text("old")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files.os, "fsync", full)
    with pytest.raises(bg.InputError, match=r"cannot write .*report\.html: No space left on device"):
        files.write_whole(target, lambda path: path.write_bytes(b"new"))
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


@pytest.fixture(scope="module")
def tree():
    return bg.relabel(made_tree(separated_params(), np.random.default_rng(71), n_draws=10))


def test_round_trip_keeps_names_as_data(tree, tmp_path):
    """Column names are coordinates, never variable names: anything may stand in them."""
    names = ["a/b $x$ <script>", "\N{SNOWMAN} " + "long " * 200]
    renamed = tree.copy()
    for name in ("posterior", "posterior_raw", "observed_data"):
        dataset = renamed[name].to_dataset()
        coords = {dim: names for dim in ("feature", "feature_bis") if dim in dataset.dims}
        renamed[name] = xr.DataTree(dataset.assign_coords(coords))
    renamed.attrs = {"seed": 1, "note": "kept"}
    loaded = bg.load(bg.save(renamed, tmp_path / "tree.nc"))
    assert loaded.attrs == renamed.attrs
    for name, child in renamed.children.items():
        xr.testing.assert_identical(loaded[name].to_dataset(), child.to_dataset())


def test_a_truncated_file_is_refused(tree, tmp_path):
    path = bg.save(tree, tmp_path / "tree.nc")
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(bg.FileFormatError, match="cannot be read as a netCDF file"):
        bg.load(path)


@pytest.mark.slow
def test_what_xarray_wrote_is_read(tmp_path):
    tree = bg.sample(bg.load_faithful(), 1, draws=20, chains=1, seed=1)
    tree.to_netcdf(tmp_path / "plain.nc", engine="h5netcdf")
    loaded = bg.load(tmp_path / "plain.nc")
    np.testing.assert_array_equal(loaded["posterior"]["means"].values, tree["posterior"]["means"].values)


def test_a_foreign_netcdf_file_is_refused(tree, tmp_path):
    tree.to_netcdf(tmp_path / "foreign.nc", engine="h5netcdf")
    with pytest.raises(bg.FileFormatError, match="not an analysis saved by bayesgmm"):
        bg.load(tmp_path / "foreign.nc")


def test_a_newer_schema_is_refused(tree, tmp_path):
    newer = tree.copy()
    newer.attrs = {"bayesgmm_schema": 99}
    newer.to_netcdf(tmp_path / "newer.nc", engine="h5netcdf")
    with pytest.raises(bg.FileFormatError, match=r"newer bayesgmm \(schema 99"):
        bg.load(tmp_path / "newer.nc")


@pytest.mark.parametrize(("place", "words"), [("", "is a folder"), ("none.nc", "is not there")])
def test_no_such_file(tmp_path: Path, place: str, words: str):
    with pytest.raises(bg.InputError, match=words):
        bg.load(tmp_path / place)


def test_what_is_no_analysis_is_not_saved(tmp_path):
    with pytest.raises(bg.InputError, match=r"save writes an analysis, .*; got dict"):
        bg.save({}, tmp_path / "tree.nc")
    assert list(tmp_path.iterdir()) == []


def test_a_missing_folder_is_named(tree, tmp_path):
    with pytest.raises(bg.InputError, match=r"the folder .*nowhere does not exist"):
        bg.save(tree, tmp_path / "nowhere" / "tree.nc")
