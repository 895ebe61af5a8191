"""Tables from files: CSV and Parquet."""

import csv
import warnings
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from bayesgmm.data.dataset import count_of
from bayesgmm.errors import InputError, MissingDependencyError
from bayesgmm.files import TABLE_FILE, require_file

OTHER_DELIMITERS = (";", "\t", "|")


def read_table(path: Path) -> pd.DataFrame:
    """The table in a CSV (comma, semicolon, tab or bar; with a header) or Parquet file.

    Raises
    ------
    InputError
        If there is no such file, or it is empty or not such a table.
    MissingDependencyError
        If a Parquet file is given and pyarrow is not installed.
    """
    require_file(path, TABLE_FILE)
    if path.suffix.lower() in (".parquet", ".pq"):
        return _read_parquet(path)
    try:
        with path.open(encoding="utf-8-sig") as file:
            header = file.readline()
        delimiter = next((mark for mark in OTHER_DELIMITERS if mark in header and "," not in header), ",")
        _check_header(path, next(csv.reader([header], delimiter=delimiter, skipinitialspace=True), []))
        with warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)  # pandas drops surplus values of a row with a warning
            return pd.read_csv(path, sep=delimiter, encoding="utf-8-sig", skipinitialspace=True, index_col=False)
    except pd.errors.EmptyDataError:
        raise InputError(f"{path} is empty; a header and rows of numbers are needed") from None
    except pd.errors.ParserWarning:
        raise InputError(f"{path} has more values in a row than names in its header: name every column") from None
    except (pd.errors.ParserError, UnicodeDecodeError, OSError) as error:
        raise InputError(f"{path} cannot be read as CSV: {str(error).strip()}") from error


def _check_header(path: Path, names: list[str]) -> None:
    """Raise InputError where the first line is no header: names repeat, or all are numbers."""
    repeated = [name for name, count in Counter(names).items() if count > 1]
    if repeated:
        raise InputError(f"{path} has repeated column names: {', '.join(map(repr, repeated))}; rename or drop the copies")
    if names and all(_is_number(name) for name in names):
        raise InputError(f"{path} begins with numbers ({', '.join(names[:5])}), not with column names: add a header line")


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _read_parquet(path: Path) -> pd.DataFrame:
    try:
        return pd.read_parquet(path)
    except ImportError as error:
        raise MissingDependencyError(
            f"{path}: reading Parquet needs pyarrow; install it with: pip install 'bayesgmm[parquet]'"
        ) from error
    except (ValueError, OSError) as error:
        raise InputError(f"{path} cannot be read as Parquet: {error}") from error


def split_table(table: pd.DataFrame, columns: Sequence[str] | None, label: str | None) -> tuple[pd.DataFrame, pd.Series | None]:
    """The columns to fit, and the column with known labels. By default all columns but the label are fitted."""
    wanted = [*(columns or []), *([label] if label is not None else [])]
    missing = [name for name in wanted if name not in table.columns]
    if missing:
        raise InputError(
            f"there is no column {', '.join(map(repr, missing))}; the columns are {', '.join(map(repr, map(str, table.columns)))}"
        )
    if columns is not None and label in columns:
        raise InputError(f"column {label!r} is both among the columns to fit and the label: take it out of one")
    labels = None if label is None else table[label]
    if labels is not None and labels.isna().any():
        raise InputError(f"column {label!r} has {count_of(int(labels.isna().sum()), 'missing label')}; every row needs one")
    if columns is not None:
        return table[list(columns)], labels
    return table if label is None else table.drop(columns=label), labels
