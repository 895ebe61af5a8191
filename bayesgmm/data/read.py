"""From whatever a user holds (arrays, data frames, lists) to a Dataset, or to one error that says all that is wrong."""

import numbers
import sys
from collections.abc import Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any, NamedTuple

import narwhals as nw
import numpy as np
from narwhals.exceptions import DuplicateError
from numpy.typing import NDArray

from bayesgmm.data.dataset import LISTED, Dataset, count_of, default_columns, quote, require_unique
from bayesgmm.errors import InputError
from bayesgmm.params import Array

if TYPE_CHECKING:
    import xarray as xr

ADVICE_LENGTH = 200  # characters of code in an advice; a longer one is left out
EXAMPLE_LENGTH = 40  # characters of an offending value spelled out in a message
CHECKED_ROWS = 4096  # rows checked at a time, so that the check needs no memory of the size of the data


class _Table(NamedTuple):
    """What was read: a matrix, its names, and per column index why it could not be read (its column is 0 then)."""

    values: Array
    columns: tuple[str, ...] | None
    refused: dict[int, str]


def validate(X: Any, *, min_rows: int = 1) -> Dataset:
    """Read a table of numbers.

    Parameters
    ----------
    X : (N, D) array_like, data frame or xarray.DataArray
        NumPy arrays, nested lists, pandas, polars and pyarrow tables, a two-dimensional DataArray (its second
        dimension's coordinate names the columns), or a Dataset, which is returned as it is. Integers and truth values
        count as numbers.
    min_rows : int
        The fewest rows allowed.

    Returns
    -------
    Dataset
        A float64 matrix; it shares memory with X where X is already one, C-contiguous. Columns without names become
        "x0", "x1", ...

    Raises
    ------
    InputError
        Naming each column that holds something other than finite numbers, what it holds and where; or saying why X is
        no table at all.
    """
    dataset = X if isinstance(X, Dataset) else _to_dataset(_read(X))
    if dataset.n_samples < min_rows:
        raise InputError(f"X has {count_of(dataset.n_samples, 'row')}; at least {min_rows} are needed")
    return dataset


def _to_dataset(table: _Table) -> Dataset:
    n_samples, n_features = table.values.shape
    columns = default_columns(n_features) if table.columns is None else table.columns
    require_unique(columns)
    if n_features == 0:
        raise InputError(f"X has no columns (shape {table.values.shape})")
    if n_samples == 0:
        raise InputError(f"X has no rows (shape {table.values.shape})")
    problems = [f"column {quote(columns[i])} {table.refused[i]}" for i in sorted(table.refused)]
    problems += _describe_nonfinite(table.values, columns)
    if problems:
        readable = [i for i in range(n_features) if i not in table.refused]
        advice = _advise_columns(readable, None if table.columns is None else columns) if table.refused else ""
        raise InputError(_compose(table.values.shape, problems, advice))
    return Dataset(table.values, columns, has_names=table.columns is not None)


def _compose(shape: tuple[int, ...], problems: Sequence[str], advice: str) -> str:
    more = [f"and {len(problems) - LISTED} more problems"] if len(problems) > LISTED else []
    lines = [*problems[:LISTED], *more]
    size = f"{count_of(shape[0], 'row')}, {count_of(shape[1], 'column')}"
    if len(lines) == 1:
        return f"X ({size}): {lines[0]}{'. ' if advice else ''}{advice}"
    head = f"X ({size}) has {len(problems)} problems:"
    return "\n".join([head, *(f"  - {line}" for line in lines), *([advice] if advice else [])])


def _advise_columns(readable: Sequence[int], columns: Sequence[str] | None) -> str:
    if not readable:
        return "No column is numeric"
    shown = readable[:LISTED]
    choice = f"X[{[columns[i] for i in shown]!r}]" if columns is not None else f"X[:, {list(shown)!r}]"
    return "Pass only the numeric columns" + (f", for example {choice}" if len(choice) <= ADVICE_LENGTH else "")


def _describe_nonfinite(values: Array, columns: Sequence[str]) -> list[str]:
    """One line per column that holds NaN and one per column that holds an infinity."""
    if all(np.isfinite(values[first : first + CHECKED_ROWS]).all() for first in range(0, len(values), CHECKED_ROWS)):
        return []
    lines = []
    kinds = (
        (np.isnan(values), "missing value", "NaN", "fill in or drop those rows"),
        (np.isinf(values), "infinite value", "inf", "correct or drop those rows"),
    )
    for i, name in enumerate(columns):
        for flags, what, symbol, advice in kinds:
            rows = np.flatnonzero(flags[:, i])
            if len(rows):
                found = f"{count_of(len(rows), what)} ({symbol}), the first in row {rows[0]} (counted from 0)"
                lines.append(f"column {quote(name)} has {found}: {advice}")
    return lines


def _read(X: Any) -> _Table:
    if isinstance(X, np.ma.MaskedArray):
        raise InputError(
            f"X is a masked array with {count_of(int(np.ma.count_masked(X)), 'masked value')}: "
            "drop or fill in those rows and pass a plain array, in which no mask can be overlooked"
        )
    if _is_a(X, "scipy.sparse", "sparray", "spmatrix"):
        raise InputError(f"X is a sparse matrix of shape {X.shape}: pass X.toarray()")
    if _is_a(X, "xarray", "DataArray"):
        return _read_data_array(X)
    try:
        native = nw.from_native(X, eager_only=True, allow_series=True, pass_through=True)
    except DuplicateError:
        require_unique([str(name) for name in getattr(X, "column_names", None) or X.columns])
        raise
    if isinstance(native, nw.Series):
        name = f" named {quote(str(native.name))}" if native.name else ""
        raise InputError(f"X is a single column{name} of {len(native)} values: pass a table with one column, X.to_frame()")
    if isinstance(native, nw.DataFrame):
        return _read_frame(native)
    return _read_array(_to_array(X), None)


def _is_a(X: Any, module: str, *names: str) -> bool:
    """Whether X is of one of the classes of a module, which is not imported for that: where nobody did, X is of none."""
    loaded = sys.modules.get(module)
    return loaded is not None and isinstance(X, tuple(getattr(loaded, name) for name in names))


def _read_data_array(X: "xr.DataArray") -> _Table:
    if X.ndim == 1:
        raise InputError(
            f"X is a DataArray with the one dimension {X.dims[0]!r}: for a single feature pass X.expand_dims('feature', axis=1)"
        )
    columns = None
    if X.ndim == 2 and X.dims[1] in X.coords:
        columns = tuple(str(name) for name in X.coords[X.dims[1]].to_numpy())
    return _read_array(np.asarray(X), columns)


def _read_frame(frame: nw.DataFrame[Any]) -> _Table:
    values = np.zeros(frame.shape)
    refused = {}
    for i, column in enumerate(frame.iter_columns()):
        if column.dtype.is_numeric() or column.dtype == nw.Boolean:
            values[:, i] = column.cast(nw.Float64).to_numpy()
        elif column.dtype in (nw.Object, nw.Unknown):
            problem = _fill(values[:, i], column.to_numpy())
            if problem:
                refused[i] = problem
        else:
            examples = column.drop_nulls().head(1).to_list()
            if examples:
                refused[i] = _describe_refused(examples[0], str(column.dtype))
            else:
                values[:, i] = np.nan
    return _Table(values, tuple(str(name) for name in frame.columns), refused)


def _to_array(X: Any) -> NDArray[Any]:
    try:
        array = np.asarray(X)
        if array.dtype.kind in "SU" and not isinstance(X, np.ndarray):
            array = np.asarray(X, dtype=object)  # so that numbers beside text stay numbers
    except (TypeError, ValueError) as error:
        lengths = {len(row) for row in X if hasattr(row, "__len__")} if isinstance(X, list | tuple) else set()
        if len(lengths) > 1:
            raise InputError(f"X has rows of different lengths, from {min(lengths)} to {max(lengths)} values") from error
        raise InputError(f"X, a {type(X).__name__}, cannot be read as a table of numbers: {error}") from error
    return array


def _read_array(array: NDArray[Any], columns: tuple[str, ...] | None) -> _Table:
    if array.dtype.kind == "V":
        raise InputError(f"X is a structured array with the fields {array.dtype.names}: pass pandas.DataFrame(X)")
    if array.ndim == 0:
        raise InputError(f"X is a single {type(array.item()).__name__}, not a table of shape (n_samples, n_features)")
    if array.ndim == 1:
        raise InputError(
            f"X has one dimension, shape {array.shape}. Reshape your data: X.reshape(-1, 1) if it is a single feature, "
            "X.reshape(1, -1) if it is a single row"
        )
    if array.ndim > 2:
        raise InputError(
            f"X has {array.ndim} dimensions, shape {array.shape}, where a table has 2: "
            f"X.reshape({array.shape[0]}, -1) makes one row of each X[i]"
        )
    if array.dtype.kind in "biuf":
        with np.errstate(over="ignore"):  # a long double beyond the range becomes inf, which is reported
            return _Table(np.ascontiguousarray(array, dtype=np.float64), columns, {})
    values = np.zeros(array.shape)
    problems = (_fill(values[:, i], array[:, i]) for i in range(array.shape[1]))
    return _Table(values, columns, {i: problem for i, problem in enumerate(problems) if problem})


def _fill(target: Array, column: NDArray[Any]) -> str | None:
    """Write a column of any dtype into target as floats; say what it holds where that cannot be done."""
    if column.dtype.kind in "biuf":
        target[:] = column
        return None
    pandas = nw.dependencies.get_pandas()
    missing = (None,) if pandas is None else (None, pandas.NA, pandas.NaT)
    for row, value in enumerate(column if column.dtype.kind in "mM" else column.tolist()):  # tolist of dates gives integers
        if any(value is mark for mark in missing):
            target[row] = np.nan
        elif _is_number(value):
            try:
                target[row] = float(value)
            except OverflowError:
                target[row] = np.inf
        else:
            target[:] = 0.0
            return _describe_refused(value, str(column.dtype), row)
    return None


def _is_number(value: object) -> bool:
    if isinstance(value, np.timedelta64):  # NumPy counts durations among the integers
        return False
    return isinstance(value, numbers.Real | Decimal | np.bool_)


def _describe_refused(value: object, dtype: str, row: int | None = None) -> str:
    """What a column holds in place of numbers, and what to do with it."""
    kind, advice = "values that are not numbers", "convert it to numbers or leave it out"
    if dtype.startswith(("Categorical", "Enum")):
        kind, advice = "categories", "encode it as numbers or leave it out"
    elif dtype.startswith(("Date", "datetime", "Time", "Duration", "timedelta")):
        kind, advice = "dates or times", "pass the time since a reference as a number, or leave it out"
    elif isinstance(value, complex | np.complexfloating):
        kind, advice = "complex numbers", "pass the real and imaginary parts as two columns"
    elif isinstance(value, str | bytes):
        written = _is_written_number(value)
        kind = "numbers written as text" if written else "text"
        advice = "convert it, for example with .astype(float)" if written else "encode it as numbers or leave it out"
    shown = repr(value)
    shown = shown if len(shown) <= EXAMPLE_LENGTH else shown[: EXAMPLE_LENGTH - 3] + "..."
    place = "" if row is None else f" in row {row}"
    return f"holds {kind} (dtype {dtype}, for example {shown}{place}): {advice}"


def _is_written_number(value: str | bytes) -> bool:
    try:
        float(value)
    except ValueError:
        return False
    return True
