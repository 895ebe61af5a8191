"""A selection in files: every fit as CSV, and the figure."""

from pathlib import Path

from bayesgmm.em.select import Selection
from bayesgmm.files import write_whole
from bayesgmm.plots.selection import plot_selection
from bayesgmm.plots.svg import to_svg


def write_selection(selection: Selection, folder: Path) -> tuple[Path, Path]:
    """Write `selection.csv` (the table of all fits) and `selection.svg` (the figure) into a folder that exists.

    Raises InputError where they cannot be written.
    """
    text = to_svg(plot_selection(selection), "selection", f"{selection.criterion.upper()} of every fit; {selection!r}")
    svg = text.replace("<svg", '<svg xmlns="http://www.w3.org/2000/svg"', 1)
    return (
        write_whole(folder / "selection.csv", lambda path: selection.table.to_csv(path, index=False)),
        write_whole(folder / "selection.svg", lambda path: path.write_text(svg, encoding="utf-8")),
    )
