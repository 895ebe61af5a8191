"""Dataset: the validated matrix that every later step takes, and the checks before a fit or a prediction."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bayesgmm.errors import InputError
from bayesgmm.params import Array

LISTED = 10  # names and problems spelled out in one message
NAME_LENGTH = 60  # characters of a column name spelled out in a message


@dataclass(frozen=True, eq=False)
class Dataset:
    """Observations as a matrix of finite numbers with named columns.

    Parameters
    ----------
    X : (N, D) float64
        C-contiguous. Kept as a read-only view: no copy is made.
    columns : tuple of str
        D names, all different.
    has_names : bool
        Whether the names came with the data; False where they are the "x0", "x1", ... of a plain array.

    Raises
    ------
    InputError
        If X is not such a matrix or the names do not fit it.
    """

    X: Array
    columns: tuple[str, ...]
    has_names: bool = True

    def __post_init__(self) -> None:
        if self.X.ndim != 2 or self.X.dtype != np.float64 or not self.X.flags.c_contiguous:
            raise InputError(f"Dataset: X must be a C-contiguous float64 matrix; got {self.X.dtype} of shape {self.X.shape}")
        if len(self.columns) != self.X.shape[1]:
            raise InputError(f"Dataset: X has {self.X.shape[1]} columns, but {len(self.columns)} names were given")
        require_unique(self.columns)
        view = self.X.view()
        view.flags.writeable = False
        object.__setattr__(self, "X", view)

    @property
    def n_samples(self) -> int:
        """Number of rows, N."""
        return self.X.shape[0]

    @property
    def n_features(self) -> int:
        """Number of columns, D."""
        return self.X.shape[1]


def default_columns(n_features: int) -> tuple[str, ...]:
    """Names for the columns of data that came without: "x0", "x1", ..."""
    return tuple(f"x{i}" for i in range(n_features))


def quote(name: str) -> str:
    """A column name in quotes, cut where it is very long."""
    return repr(name if len(name) <= NAME_LENGTH else name[: NAME_LENGTH - 3] + "...")


def quote_all(names: Sequence[str]) -> str:
    """Column names in quotes, the first few of them."""
    listed = ", ".join(quote(name) for name in names[:LISTED])
    return listed if len(names) <= LISTED else f"{listed} and {len(names) - LISTED} more"


def require_unique(columns: Sequence[str]) -> None:
    """Raise InputError naming the column names that occur more than once."""
    repeated = {name: count for name, count in Counter(columns).items() if count > 1}
    if repeated:
        listed = ", ".join(f"{quote(name)} ({count} times)" for name, count in list(repeated.items())[:LISTED])
        raise InputError(f"X has {count_of(len(repeated), 'repeated column name')}: {listed}; rename or drop the copies")


def require_fittable(dataset: Dataset, n_components: int) -> None:
    """Raise InputError where no mixture can be fitted: too few rows, too few distinct ones, a constant column."""
    X, n_samples = dataset.X, dataset.n_samples
    if n_samples < max(n_components, 2):
        raise InputError(
            f"X has {count_of(n_samples, 'row')}, too few for n_components={n_components}: "
            f"pass at least {max(n_components, 2)} rows{' or ask for fewer components' if n_components > 2 else ''}"
        )
    n_distinct = _count_distinct_rows(X, n_components)
    if n_distinct < n_components:
        raise InputError(
            f"X has {n_samples} rows but only {count_of(n_distinct, 'distinct row')}, too few for "
            f"n_components={n_components}: ask for at most {n_distinct}"
        )
    constant = [int(i) for i in np.flatnonzero(X.max(axis=0) == X.min(axis=0))]
    if constant:
        listed = ", ".join(f"{quote(dataset.columns[i])} (always {X[0, i]:g})" for i in constant[:LISTED])
        more = f" and {len(constant) - LISTED} more" if len(constant) > LISTED else ""
        raise InputError(
            f"X has {count_of(len(constant), 'constant column')} out of {dataset.n_features}: {listed}{more}; "
            "a column without spread has no variance to estimate, leave it out"
        )


def count_of(number: int, noun: str) -> str:
    """For example "1 row", "2 rows"."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _count_distinct_rows(X: Array, enough: int) -> int:
    """Number of distinct rows, counted over ever longer heads of X until there are enough."""
    n_rows = 4 * enough
    while True:
        n_distinct = len(np.unique(X[:n_rows] + 0.0, axis=0))  # + 0.0 makes -0.0 equal to 0.0
        if n_distinct >= enough or n_rows >= X.shape[0]:
            return n_distinct
        n_rows *= 4


def check_columns(dataset: Dataset, expected_columns: Sequence[str]) -> None:
    """Raise InputError where dataset does not have the columns a mixture was fitted to, in the same order.

    Only the number of columns is compared where either side came without names.

    Parameters
    ----------
    dataset : Dataset
        The data to predict for.
    expected_columns : sequence of str
        Column names at the time of the fit.
    """
    expected = tuple(expected_columns)
    unnamed = not dataset.has_names or expected == default_columns(len(expected))
    if dataset.columns == expected or (unnamed and dataset.n_features == len(expected)):
        return
    if unnamed:
        raise InputError(
            f"X has {count_of(dataset.n_features, 'column')}, but the mixture was fitted to {len(expected)}: "
            f"{quote_all(expected)}"
        )
    missing = [name for name in expected if name not in dataset.columns]
    extra = [name for name in dataset.columns if name not in expected]
    problems = []
    if missing:
        problems.append(f"missing {quote_all(missing)}")
    if extra:
        problems.append(f"not seen in the fit {quote_all(extra)}")
    if not problems:
        problems.append(f"in another order ({quote_all(dataset.columns)})")
    raise InputError(
        f"X does not have the columns the mixture was fitted to: {'; '.join(problems)}. "
        f"Pass the columns {quote_all(expected)}, in this order"
    )
