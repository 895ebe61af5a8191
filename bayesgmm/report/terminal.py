"""The comparison, and a selection, in a terminal."""

import math
from collections.abc import Hashable
from typing import Any

from rich import box
from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from bayesgmm.compare.comparison import Comparison
from bayesgmm.em.criteria import CRITERIA
from bayesgmm.em.result import EMResult
from bayesgmm.em.select import Selection
from bayesgmm.plots.style import short_label
from bayesgmm.report.sections import parameter_table, summary_line, verdict_and_findings

MAX_ROWS = 60
MAX_FITS = 10
GRID_COLUMNS = 9
"""Numbers of components side by side in the grid: as many as 80 columns hold."""


def print_summary(comparison: Comparison, console: Console) -> None:
    """The parameters side by side, the verdict and the findings; readable at 80 columns.

    Column names and labels are printed as they are: square brackets in them are no markup.

    Parameters
    ----------
    comparison : Comparison
    console : rich.console.Console
    """
    console.print(Text(summary_line(comparison)))
    selected = comparison.tree.attrs.get("selection")
    if selected:
        console.print(_bullet("•", str(selected)))
    console.print(_parameter_table(comparison))
    ok = comparison.diagnosis.ok
    verdict, findings = verdict_and_findings(comparison)
    console.print(_bullet("✓" if ok else "!", verdict, "green" if ok else "bold red"))
    for finding in findings:
        console.print(_bullet("•", finding))


def print_selection(selection: Selection, console: Console) -> None:
    """The best fits, the criterion of all of them, and what to know about the best one; readable at 80 columns.

    Parameters
    ----------
    selection : Selection
    console : rich.console.Console
    """
    best = selection.best
    size = best.params.n_components
    console.print(
        Text(
            f"{best.n_samples:,} observations of {len(best.columns)} feature{'' if len(best.columns) == 1 else 's'}; "
            f"{len(selection.fits)} mixtures fitted, {len(selection.failures)} failed"
        )
    )
    console.print(_fits_table(selection))
    console.print(_grid_tables(selection))
    name = selection.criterion.upper()
    verdict = f"{best.covariance} with {size} component{'' if size == 1 else 's'} has the smallest {name}"
    problems = _problems(best, selection)
    console.print(_bullet("!" if problems else "✓", f"{verdict}.", "bold red" if problems else "green"))
    for problem in problems:
        console.print(_bullet("•", problem))
    others = list(selection.failures.items())
    for (covariance, n_components), reason in others[:3]:
        console.print(_bullet("•", f"No fit of {covariance} with {n_components}: {reason}"))
    if len(others) > 3:
        console.print(_bullet("•", f"{len(others) - 3} more without a fit: see the advice in the table"))


def _fits_table(selection: Selection) -> Table:
    """The best fits, the criterion that ranks them first among the criteria."""
    criteria = [selection.criterion, *(name for name in CRITERIA if name != selection.criterion)]
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1), pad_edge=False, header_style="bold")
    for i, title in enumerate(["family", "K", "log-likelihood", "parameters", *map(str.upper, criteria), ""]):
        table.add_column(title, justify="right" if 1 <= i <= 7 else "left", no_wrap=True)
    fitted = selection.table.iloc[: len(selection.fits)]
    for rank, row in enumerate(fitted.head(MAX_FITS).to_dict("records")):
        numbers = [f"{row[name]:.3f}" if name == "nec" else f"{row[name]:.1f}" for name in criteria]
        numbers = [number.replace("nan", "–") for number in numbers]
        cells = [row["covariance"], str(row["n_components"]), f"{row['log_likelihood']:.2f}", str(row["n_parameters"]), *numbers]
        table.add_row(*cells, "!" if row["advice"] else "", style="bold" if rank == 0 else None)
    return table


def _grid_tables(selection: Selection) -> Group:
    """The criterion of every fit: a row for each family, a column for each number of components, the best in bold."""
    grid = selection.grid.T
    decimals = 3 if selection.criterion == "nec" else 1 if grid.abs().max().max() < 99_999 else 0
    best = (selection.best.covariance, selection.best.params.n_components)
    tables = []
    for first in range(0, grid.shape[1], GRID_COLUMNS):
        part = grid.iloc[:, first : first + GRID_COLUMNS]
        table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, header_style="bold")
        table.add_column(f"{selection.criterion.upper()}, K =", no_wrap=True)
        for size in part.columns:
            table.add_column(str(size), justify="right", no_wrap=True)
        for family, values in part.iterrows():
            cells = [
                Text(_number(value, decimals), style="bold green" if (family, size) == best else "")
                for size, value in values.items()
            ]
            table.add_row(str(family), *cells)
        tables.append(table)
    return Group(*tables)


def _number(value: float, decimals: int) -> str:
    return f"{value:.{decimals}f}" if math.isfinite(value) else "–"


def _problems(best: EMResult, selection: Selection) -> list[str]:
    """What speaks against taking the best fit as it is."""
    problems = [] if best.converged else [f"It is not converged: {best.status}"]
    problems += [f"Perhaps spurious: {sign}" for sign in best.spurious]
    largest = max(size for _, size in [*selection.fits, *selection.failures])
    if best.params.n_components == largest > 1:
        problems.append(f"{largest} is the largest number of components tried: try more")
    if selection.interrupted:
        problems.append("Stopped by the user before the last fit")
    return problems


def _parameter_table(comparison: Comparison) -> Table:
    source = parameter_table(comparison)
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1), pad_edge=False, header_style="bold")
    for column in source.columns:
        title = column.title.replace("posterior ", "")
        table.add_column(Text(title), justify="right" if column.numeric else "left", no_wrap=column.numeric, overflow="fold")
    rows = [row for group in source.groups for row in group.rows]
    named = list(zip(rows, comparison.parameters.to_dict("records"), strict=True))
    kind_before = ""
    for row, parameter in named[:MAX_ROWS]:
        if parameter["kind"] != kind_before:
            kind_before = parameter["kind"]
            table.add_row(Text(kind_before, style="bold"))
        numbers = (Text(number) for number in row.cells[1:])
        table.add_row(Text(f" {_place(parameter)}"), *numbers, style="bold" if row.flag else None)
    if len(rows) > MAX_ROWS:
        table.add_row(Text(f"and {len(rows) - MAX_ROWS} more", style="dim"))
    return table


def _place(parameter: dict[Hashable, Any]) -> str:
    """Component and features in square brackets, both features legible however long their names are."""
    names = [name for name in (parameter["feature"], parameter["feature_bis"]) if isinstance(name, str)]
    shortened = (short_label(name, 18 // len(names)) for name in names)
    return f"[{', '.join((str(parameter['cluster']), *shortened))}]"


def _bullet(mark: str, sentence: str, style: str = "") -> Table:
    """A sentence with a hanging indent."""
    grid = Table.grid(padding=(0, 1))
    grid.add_column(no_wrap=True)
    grid.add_column()
    grid.add_row(Text(mark, style=style), Text(sentence, style=style))
    return grid
