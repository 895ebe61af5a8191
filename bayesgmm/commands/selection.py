"""select: families times numbers of components."""

from argparse import Namespace

from rich.console import Console

from bayesgmm.commands.arguments import named_table, names, naming
from bayesgmm.commands.status import DONE, NOT_CONVERGED
from bayesgmm.compare.agreement import label_agreement
from bayesgmm.data import check_count
from bayesgmm.em.select import select as select_mixture
from bayesgmm.files import writable_folder
from bayesgmm.report.selection import write_selection
from bayesgmm.report.terminal import print_selection


def select(options: Namespace) -> int:
    """Families times numbers of components, on a table of the user's own."""
    X, labels = named_table(options)
    folder = writable_folder(options.out)
    covariance = options.covariance if options.covariance == "all" else names(options.covariance)
    largest = check_count(options.max_components, "--max-components")
    with naming(options.data):
        selection = select_mixture(
            X, range(1, largest + 1), covariance=covariance, criterion=options.criterion, seed=options.seed
        )
    print_selection(selection, Console())
    if labels is not None:
        agreement = label_agreement(labels.to_numpy().astype(str), {"EM": selection.best.predict(X)}).iloc[0]
        print(f"Against {options.label!r}: adjusted Rand index {agreement['adjusted_rand']:.3f}")
    for path in write_selection(selection, folder):
        print(f"wrote {path}")
    return DONE if selection.best.converged and not selection.interrupted else NOT_CONVERGED
