"""The comparison in a terminal."""

from collections.abc import Hashable
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from bayesgmm.compare.comparison import Comparison
from bayesgmm.plots.style import short_label
from bayesgmm.report.sections import parameter_table, summary_line, verdict_and_findings

MAX_ROWS = 60


def print_summary(comparison: Comparison, console: Console) -> None:
    """The parameters side by side, the verdict and the findings; readable at 80 columns.

    Column names and labels are printed as they are: square brackets in them are no markup.

    Parameters
    ----------
    comparison : Comparison
    console : rich.console.Console
    """
    console.print(Text(summary_line(comparison)))
    console.print(_parameter_table(comparison))
    ok = comparison.diagnosis.ok
    verdict, findings = verdict_and_findings(comparison)
    console.print(_bullet("✓" if ok else "!", verdict, "green" if ok else "bold red"))
    for finding in findings:
        console.print(_bullet("•", finding))


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
