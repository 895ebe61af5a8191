"""The command line: exit statuses, one clear line on bad input, files written."""

import pandas as pd
import pytest

import bayesgmm as bg
from bayesgmm.cli import main
from bayesgmm.commands import analysis, selection
from bayesgmm.table import read_table

pytestmark = pytest.mark.usefixtures("few_starts")

SMALL = ["--draws", "50", "--chains", "2"]


@pytest.fixture
def csv(tmp_path):
    rng_free = bg.load_faithful().head(60).assign(park="Yellowstone")
    path = tmp_path / "geyser.csv"
    rng_free.to_csv(path, index=False)
    return path


def refused(capsys, *arguments):
    assert main([str(argument) for argument in arguments]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    assert "Traceback" not in captured.err
    return captured.err


@pytest.mark.slow
def test_fit_writes_report_and_analysis(csv, tmp_path, capsys):
    out = tmp_path / "new" / "folder"
    status = main(["fit", str(csv), "--columns", "eruptions,waiting", "--out", str(out), *SMALL])
    assert status == 1  # 2 x 50 draws are too few to call converged; the files are written all the same
    assert {path.name for path in out.iterdir()} == {"report.html", "analysis.nc"}
    printed = capsys.readouterr().out
    assert "means" in printed
    assert "2 components chosen by BIC" in printed
    assert "Not converged" in printed
    assert main(["report", str(out / "analysis.nc"), "--out", str(tmp_path / "again.html")]) == 1
    assert (tmp_path / "again.html").read_text(encoding="utf-8") == (out / "report.html").read_text(encoding="utf-8")


def test_text_column_is_named_with_the_remedy(csv, tmp_path, capsys):
    message = refused(capsys, "fit", csv, "-k", "2", "--out", tmp_path)
    assert "park" in message
    assert "--columns" in message


def test_missing_value_is_named_and_counted(tmp_path, capsys):
    frame = bg.load_faithful().head(30)
    frame.loc[[4, 7], "waiting"] = None
    frame.to_csv(tmp_path / "holes.csv", index=False)
    message = refused(capsys, "fit", tmp_path / "holes.csv", "-k", "2", "--out", tmp_path)
    assert "waiting" in message
    assert "2" in message
    assert "row 4" in message


def test_select_prints_the_grid_and_writes_table_and_figure(tmp_path, capsys):
    frame = bg.load_iris().iloc[::2]
    frame.to_csv(tmp_path / "iris.csv", index=False)
    out = tmp_path / "new"
    arguments = ["select", str(tmp_path / "iris.csv"), "--label", "species", "--covariance", "EEE,full", "--out", str(out)]
    assert main([*arguments, "--max-components", "3"]) == 0
    printed = capsys.readouterr().out
    assert "6 mixtures fitted, 0 failed" in printed
    assert "has the smallest BIC." in printed
    assert "Against 'species': adjusted Rand index" in printed
    table = pd.read_csv(out / "selection.csv")
    assert {(row.covariance, row.n_components) for row in table.itertuples()} == {
        (f, k) for f in ("EEE", "VVV") for k in (1, 2, 3)
    }
    assert table["bic"].is_monotonic_increasing
    assert (out / "selection.svg").read_text().startswith("<svg")


def test_select_says_that_more_components_should_be_tried(tmp_path, capsys):
    bg.load_faithful().to_csv(tmp_path / "f.csv", index=False)
    main(["select", str(tmp_path / "f.csv"), "--covariance", "EEE", "--max-components", "2", "--out", str(tmp_path)])
    assert "2 is the largest number of components tried: try more" in " ".join(capsys.readouterr().out.split())


def test_select_that_did_not_converge_has_status_1(csv, tmp_path, monkeypatch):
    def hasty(X, sizes, **_):
        return bg.select(X, sizes, covariance="EEE", n_init=1, max_iter=2, seed=0)

    monkeypatch.setattr(selection, "select_mixture", hasty)
    arguments = ["select", str(csv), "--columns", "eruptions,waiting", "--max-components", "3", "--out", str(tmp_path)]
    assert main(arguments) == 1
    assert (tmp_path / "selection.csv").exists()


def test_bad_selections_are_refused(csv, tmp_path, capsys):
    table = ["select", csv, "--columns", "eruptions,waiting", "--out", tmp_path]
    assert "'XX'" in refused(capsys, *table, "--covariance", "EEE,XX")
    assert "--max-components" in refused(capsys, *table, "--max-components", "0")
    assert "park" in refused(capsys, "select", csv, "--out", tmp_path)


@pytest.mark.slow
def test_fit_takes_a_family_by_alias(csv, tmp_path, capsys):
    assert main(
        ["fit", str(csv), "-k", "2", "--columns", "eruptions,waiting", "--covariance", "tied", "--out", str(tmp_path), *SMALL]
    ) in (0, 1)
    capsys.readouterr()
    tree = bg.load(tmp_path / "analysis.nc")
    assert tree.attrs["covariance"] == "EEE"
    covariances = tree["posterior"]["covariances"]
    assert float(abs(covariances.isel(cluster=0) - covariances.isel(cluster=1)).max()) < 1e-10


@pytest.mark.slow
def test_label_column_is_left_out_of_the_fit(csv, tmp_path, capsys):
    frame = pd.read_csv(csv).assign(park=lambda table: (table["waiting"] > 65).map({True: "long", False: "short"}))
    frame.to_csv(csv, index=False)
    main(["fit", str(csv), "-k", "2", "--label", "park", "--out", str(tmp_path), *SMALL])
    assert "Against the known labels" in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("missing.csv", None, "not there"),
        ("empty.csv", b"", "is empty"),
        ("binary.csv", b"\xff\xfe\x00\x01a,b\n1,2\n", "cannot be read as CSV"),
        ("text.csv", b"name,town\nann,bonn\n", "name"),
        ("header.csv", b"a,b\n", "no rows"),
        ("bad.parquet", b"not parquet", "cannot be read as Parquet"),
    ],
)
def test_bad_files(tmp_path, capsys, name, content, words):
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    assert words in refused(capsys, "fit", path, "-k", "2", "--out", tmp_path)


def test_folder_and_foreign_analysis(tmp_path, capsys):
    assert "is a folder" in refused(capsys, "fit", tmp_path, "-k", "2")
    assert "not there" in refused(capsys, "report", tmp_path / "none.nc")
    (tmp_path / "foreign.nc").write_bytes(b"CDF not really")
    assert "cannot be read" in refused(capsys, "report", tmp_path / "foreign.nc")


def test_unknown_column_lists_the_columns(csv, tmp_path, capsys):
    message = refused(capsys, "fit", csv, "-k", "2", "--columns", "eruptions,waitng", "--out", tmp_path)
    assert "'waitng'" in message
    assert "'waiting'" in message


def test_output_that_cannot_be_written_is_refused_before_the_work(csv, tmp_path, capsys):
    blocked = tmp_path / "file"
    blocked.write_text("in the way")
    assert "cannot write" in refused(capsys, "fit", csv, "-k", "2", "--columns", "eruptions,waiting", "--out", blocked)


def test_too_many_components(csv, tmp_path, capsys):
    message = refused(capsys, "fit", csv, "-k", "1000", "--columns", "eruptions,waiting", "--out", tmp_path)
    assert "60 rows" in message


@pytest.mark.parametrize("delimiter", [";", "\t"])
def test_other_delimiters(tmp_path, delimiter):
    bg.load_faithful().to_csv(tmp_path / "table.csv", sep=delimiter, index=False)
    assert list(read_table(tmp_path / "table.csv").columns) == ["eruptions", "waiting"]


def test_usage_errors_exit_with_status_2():
    with pytest.raises(SystemExit) as caught:
        main(["fit"])
    assert caught.value.code == 2


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("a,b\n1,2,3\n4,5,6\n", "more values in a row than names in its header"),
        ("1,2\n3,4\n5,6\n", "begins with numbers (1, 2), not with column names"),
        ("a,a\n1,2\n3,4\n", "repeated column names: 'a'"),
    ],
)
def test_headers_that_would_shift_columns(tmp_path, capsys, content, words):
    (tmp_path / "table.csv").write_text(content)
    assert words in refused(capsys, "fit", tmp_path / "table.csv", "-k", "1", "--out", tmp_path)


def test_missing_labels_are_named_with_the_file(tmp_path, capsys):
    path = tmp_path / "gaps.csv"
    bg.load_faithful().head(30).assign(park=["Yellowstone"] * 29 + [None]).to_csv(path, index=False)
    message = refused(capsys, "select", path, "--label", "park", "--out", tmp_path)
    assert f"{path}: column 'park' has 1 missing label; every row needs one" in message


def test_label_among_the_columns_is_refused(csv, tmp_path, capsys):
    message = refused(capsys, "fit", csv, "-k", "2", "--columns", "eruptions,park", "--label", "park", "--out", tmp_path)
    assert "both among the columns to fit and the label" in message


def test_a_bad_seed_is_refused(csv, tmp_path, capsys):
    arguments = ["fit", csv, "-k", "2", "--columns", "eruptions,waiting", "--out", tmp_path, "--seed", "-1"]
    assert "seed must be a whole number of at least 0" in refused(capsys, *arguments)


@pytest.mark.parametrize(("error", "status"), [(ValueError("surprise\nsecond line"), 3), (KeyboardInterrupt(), 130)])
def test_other_ends_have_their_own_status(monkeypatch, capsys, error, status):
    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(analysis, "analyze", fail)
    assert main(["demo"]) == status
    captured = capsys.readouterr()
    assert captured.err.count("\n") == 1


def test_demo_fits_old_faithful(tmp_path, capsys):
    assert main(["demo", "--out", str(tmp_path), "--draws", "1000"]) == 0
    assert "Both put all 272 observations" in " ".join(capsys.readouterr().out.split())
    assert {path.name for path in tmp_path.iterdir()} == {"report.html", "analysis.nc"}
