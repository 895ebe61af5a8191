"""The command line: parse, call, print."""

import argparse
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path

import pandas as pd
from rich.console import Console

from bayesgmm.analyze import analyze
from bayesgmm.compare.agreement import label_agreement
from bayesgmm.compare.comparison import Comparison, compare
from bayesgmm.data import check_count
from bayesgmm.datasets import load_faithful
from bayesgmm.em.select import CRITERIA, select
from bayesgmm.errors import BayesGMMError, InputError
from bayesgmm.io import load, save
from bayesgmm.posterior.schema import em_of
from bayesgmm.report.html import write_report
from bayesgmm.report.selection import write_selection
from bayesgmm.report.terminal import print_selection, print_summary
from bayesgmm.table import read_table, split_table

DONE, NOT_CONVERGED, BAD_INPUT, INTERNAL_ERROR, INTERRUPTED = 0, 1, 2, 3, 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the exit status is 0 done, 1 not converged (files written all the same), 2 bad usage or bad data."""
    options = _parser().parse_args(arguments)
    try:
        return int(options.command(options))
    except BayesGMMError as error:
        print(f"bayesgmm: {one_line(str(error))}", file=sys.stderr)
        return BAD_INPUT
    except Exception as error:  # noqa: BLE001 - whatever else goes wrong must not pass for "finished but not converged"
        print(f"bayesgmm: internal error, please report it: {one_line(repr(error))}", file=sys.stderr)
        return INTERNAL_ERROR
    except KeyboardInterrupt:
        print("bayesgmm: interrupted", file=sys.stderr)
        return INTERRUPTED


def one_line(message: str) -> str:
    """A message of several lines as one."""
    return "; ".join(line.strip().removeprefix("- ") for line in message.splitlines()).replace(":;", ":")


def demo(options: argparse.Namespace) -> int:
    """Old Faithful with two components."""
    return _analyze(load_faithful(), None, 2, options, _writable_folder(options.out))


def fit(options: argparse.Namespace) -> int:
    """A table of the user's own."""
    X, labels = _table(options)
    folder = _writable_folder(options.out)
    with _naming(options.data):
        return _analyze(X, labels, options.n_components, options, folder)


def select_model(options: argparse.Namespace) -> int:
    """Families times numbers of components, on a table of the user's own."""
    X, labels = _table(options)
    folder = _writable_folder(options.out)
    covariance = options.covariance if options.covariance == "all" else _names(options.covariance)
    largest = check_count(options.max_components, "--max-components")
    with _naming(options.data):
        selection = select(X, range(1, largest + 1), covariance=covariance, criterion=options.criterion, seed=options.seed)
    print_selection(selection, Console())
    if labels is not None:
        agreement = label_agreement(labels.to_numpy().astype(str), {"EM": selection.best.predict(X)}).iloc[0]
        print(f"Against {options.label!r}: adjusted Rand index {agreement['adjusted_rand']:.3f}")
    for path in write_selection(selection, folder):
        print(f"wrote {path}")
    return DONE if selection.best.converged and not selection.interrupted else NOT_CONVERGED


def _table(options: argparse.Namespace) -> tuple[pd.DataFrame, pd.Series | None]:
    """The columns to fit and the known labels, as the command line names them."""
    columns = None if options.columns is None else _names(options.columns)
    table = read_table(options.data)
    try:
        return split_table(table, columns, options.label)
    except InputError as error:
        raise InputError(f"{options.data}: {error}") from error


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",")]


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Bad data are refused with the file's name and, where a column is at fault, the options that help."""
    try:
        yield
    except InputError as error:
        hint = (
            "\nOn the command line: --columns a,b picks columns, --label COLUMN sets one aside" if "column" in str(error) else ""
        )
        raise InputError(f"{path}: {error}{hint}") from error


def report(options: argparse.Namespace) -> int:
    """The report of a saved analysis."""
    tree = load(options.analysis)
    em = em_of(tree)
    if em is None:
        raise InputError(f"{options.analysis} has no EM fit to compare the posterior with")
    comparison = compare(em, tree)
    print(f"wrote {write_report(comparison, options.out)}")
    return _status(comparison)


def _analyze(
    X: pd.DataFrame, labels: pd.Series | None, n_components: int | None, options: argparse.Namespace, folder: Path
) -> int:
    comparison = analyze(
        X,
        n_components,
        covariance=options.covariance,
        labels=labels,
        draws=options.draws,
        chains=options.chains,
        seed=options.seed,
    )
    print_summary(comparison, Console())
    print(f"wrote {save(comparison.tree, folder / 'analysis.nc')}")
    print(f"wrote {write_report(comparison, folder / 'report.html')}")
    return _status(comparison)


def _status(comparison: Comparison) -> int:
    return DONE if comparison.diagnosis.ok and comparison.em.converged else NOT_CONVERGED


def _writable_folder(path: Path) -> Path:
    """The folder, made if need be, and known to be writable before hours of work depend on it."""
    try:
        path.mkdir(parents=True, exist_ok=True)
        probe = path / ".bayesgmm-probe"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise InputError(f"cannot write to the folder {path}: {error.strerror}") from error
    return path


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="bayesgmm", description="Gaussian mixtures by EM and by NUTS, side by side.")
    parser.add_argument("--version", action="version", version=f"bayesgmm {version('bayesgmm')}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    run = argparse.ArgumentParser(add_help=False)
    run.add_argument(
        "--out",
        type=Path,
        default=Path(),
        metavar="DIR",
        help="folder for report.html and analysis.nc (default: this one)",
    )
    run.add_argument("--draws", type=int, default=1000, help="posterior draws per chain (default: 1000)")
    run.add_argument("--chains", type=int, default=4, help="chains (default: 4)")
    run.add_argument("--seed", type=int, default=0, help="the same seed gives the same analysis (default: 0)")
    run.add_argument(
        "--covariance",
        default="VVV",
        help="covariance family, by mclust's name or an alias (default: VVV)",
    )

    command = commands.add_parser("demo", parents=[run], help="Old Faithful, end to end")
    command.set_defaults(command=demo)

    table = argparse.ArgumentParser(add_help=False)
    table.add_argument("data", type=Path, metavar="DATA", help="CSV or Parquet file with a header")
    table.add_argument("--columns", metavar="A,B", help="columns to use (default: all but the label)")
    table.add_argument("--label", metavar="COLUMN", help="column with known labels, to compare the partitions with")

    command = commands.add_parser("fit", parents=[table, run], help="a CSV or Parquet file of your own")
    command.add_argument("-k", "--n-components", type=int, help="number of components (default: 1 to 9, by BIC)")
    command.set_defaults(command=fit)

    command = commands.add_parser("select", parents=[table], help="which family and how many components, by EM alone")
    command.add_argument("--max-components", type=int, default=9, metavar="K", help="try 1 to K components (default: 9)")
    command.add_argument("--covariance", default="all", metavar="A,B", help="covariance families (default: all)")
    command.add_argument("--criterion", choices=CRITERIA, default="bic", help="smaller is better (default: bic)")
    command.add_argument(
        "--out", type=Path, default=Path(), metavar="DIR", help="folder for selection.csv and selection.svg (default: this one)"
    )
    command.add_argument("--seed", type=int, default=0, help="the same seed gives the same selection (default: 0)")
    command.set_defaults(command=select_model)

    command = commands.add_parser("report", help="the report of a saved analysis")
    command.add_argument("analysis", type=Path, metavar="ANALYSIS.nc")
    command.add_argument("--out", type=Path, default=Path("report.html"), metavar="FILE", help="default: report.html")
    command.set_defaults(command=report)
    return parser
