"""demo and fit: a table, fitted twice."""

from argparse import Namespace
from pathlib import Path

import pandas as pd
from rich.console import Console

from bayesgmm.analyze import analyze
from bayesgmm.commands.arguments import named_table, naming
from bayesgmm.commands.status import status_of
from bayesgmm.datasets import load_faithful
from bayesgmm.files import writable_folder
from bayesgmm.io import save
from bayesgmm.report.html import write_report
from bayesgmm.report.terminal import print_summary


def demo(options: Namespace) -> int:
    """Old Faithful with two components."""
    return _analyze(load_faithful(), None, 2, options, writable_folder(options.out))


def fit(options: Namespace) -> int:
    """A table of the user's own."""
    X, labels = named_table(options)
    folder = writable_folder(options.out)
    with naming(options.data):
        return _analyze(X, labels, options.n_components, options, folder)


def _analyze(X: pd.DataFrame, labels: pd.Series | None, n_components: int | None, options: Namespace, folder: Path) -> int:
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
    return status_of(comparison)
