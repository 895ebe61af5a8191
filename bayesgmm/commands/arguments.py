"""What the options of a command name: a table, its columns, its labels."""

from argparse import Namespace
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pandas as pd

from bayesgmm.errors import InputError
from bayesgmm.table import read_table, split_table


def named_table(options: Namespace) -> tuple[pd.DataFrame, pd.Series | None]:
    """The columns to fit and the known labels, as the command line names them."""
    columns = None if options.columns is None else names(options.columns)
    table = read_table(options.data)
    try:
        return split_table(table, columns, options.label)
    except InputError as error:
        raise InputError(f"{options.data}: {error}") from error


def names(text: str) -> list[str]:
    """What stands between commas."""
    return [name.strip() for name in text.split(",")]


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Bad data are refused with the file's name and, where a column is at fault, the options that help."""
    try:
        yield
    except InputError as error:
        hint = (
            "\nOn the command line: --columns a,b picks columns, --label COLUMN sets one aside" if "column" in str(error) else ""
        )
        raise InputError(f"{path}: {error}{hint}") from error
