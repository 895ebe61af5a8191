"""report: from a saved analysis."""

from argparse import Namespace

from bayesgmm.commands.status import status_of
from bayesgmm.compare.comparison import compare
from bayesgmm.errors import InputError
from bayesgmm.io import load
from bayesgmm.posterior.schema import em_of
from bayesgmm.report.html import write_report


def report(options: Namespace) -> int:
    """The report of a saved analysis."""
    tree = load(options.analysis)
    em = em_of(tree)
    if em is None:
        raise InputError(f"{options.analysis} has no EM fit to compare the posterior with")
    comparison = compare(em, tree)
    print(f"wrote {write_report(comparison, options.out)}")
    return status_of(comparison)
