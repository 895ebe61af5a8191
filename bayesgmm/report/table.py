"""A table as the page needs it: every cell is a string already."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from bayesgmm.plots.style import short_label
from bayesgmm.report.numbers import MISSING, significant

MAX_TEXT = 60


@dataclass(frozen=True)
class Column:
    """A heading; numbers are set to the right."""

    title: str
    numeric: bool = True


@dataclass(frozen=True)
class Row:
    """`flagged` rows stand out and say why in `flag`."""

    cells: tuple[str, ...]
    flag: str = ""


@dataclass(frozen=True)
class RowGroup:
    """Rows under a common heading; without one where `title` is empty."""

    title: str
    rows: tuple[Row, ...]


@dataclass(frozen=True)
class Table:
    """Rows in groups under common headings."""

    caption: str
    columns: tuple[Column, ...]
    groups: tuple[RowGroup, ...]


def single_group(caption: str, columns: tuple[Column, ...], rows: list[Row]) -> Table:
    """A table without row headings."""
    return Table(caption, columns, (RowGroup("", tuple(rows)),))


def table_from_frame(caption: str, frame: pd.DataFrame) -> Table:
    """Any DataFrame: text cells shortened, numbers to four significant digits; the index is shown unless it only counts."""
    shown = frame if isinstance(frame.index, pd.RangeIndex) else frame.rename_axis(frame.index.name or "").reset_index()
    numeric = [pd.api.types.is_numeric_dtype(dtype) for dtype in shown.dtypes]
    columns = tuple(
        Column(short_label(str(name).removeprefix("n_").replace("_", " "), MAX_TEXT), is_number)
        for name, is_number in zip(shown.columns, numeric, strict=True)
    )
    rows = [Row(tuple(_cell(value) for value in record)) for record in shown.itertuples(index=False, name=None)]
    return single_group(caption, columns, rows)


def _cell(value: object) -> str:
    match value:
        case None:
            return MISSING
        case bool() | np.bool_():
            return "yes" if value else "no"
        case int() | np.integer():
            return f"{int(value):,}".replace("-", "\u2212")
        case float() | np.floating():
            return significant(float(value))
        case _:
            return short_label(value, 120)
