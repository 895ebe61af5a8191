"""The command line: parse, call, print. What takes long to import is imported by the command that runs."""

import argparse
import atexit
import gc
import sys
from collections.abc import Sequence
from pathlib import Path

from bayesgmm import commands
from bayesgmm.em.criteria import CRITERIA
from bayesgmm.errors import BayesGMMError
from bayesgmm.files import ANALYSIS_FILE, TABLE_FILE, require_file
from bayesgmm.version import __version__

BAD_INPUT, INTERNAL_ERROR, INTERRUPTED = 2, 3, 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the exit status is 0 done, 1 not converged (files written all the same), 2 bad usage or bad data."""
    options = _parser().parse_args(arguments)
    atexit.register(gc.freeze)  # or Python searches all that was imported for garbage before it ends, which takes a second
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
    commands.begin_compilation()
    return commands.demo(options)


def fit(options: argparse.Namespace) -> int:
    """A table of the user's own."""
    require_file(options.data, TABLE_FILE)
    commands.begin_compilation()
    return commands.fit(options)


def select(options: argparse.Namespace) -> int:
    """Families times numbers of components, on a table of the user's own."""
    require_file(options.data, TABLE_FILE)
    return commands.select(options)


def report(options: argparse.Namespace) -> int:
    """The report of a saved analysis."""
    require_file(options.analysis, ANALYSIS_FILE)
    return commands.report(options)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="bayesgmm", description="Gaussian mixtures by EM and by NUTS, side by side.")
    parser.add_argument("--version", action="version", version=f"bayesgmm {__version__}")
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
    command.set_defaults(command=select)

    command = commands.add_parser("report", help="the report of a saved analysis")
    command.add_argument("analysis", type=Path, metavar="ANALYSIS.nc")
    command.add_argument("--out", type=Path, default=Path("report.html"), metavar="FILE", help="default: report.html")
    command.set_defaults(command=report)
    return parser
