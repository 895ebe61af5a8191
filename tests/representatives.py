"""Which cases of a check are run always: representatives. The others carry a mark."""

from collections.abc import Iterable

import pytest


def representatives(cases: Iterable[tuple], *kept: int, others: pytest.MarkDecorator = pytest.mark.exhaustive) -> list:
    """Parameters of the cases, tuples of arguments, all but those at the indices `kept` marked."""
    return [pytest.param(*case, marks=() if i in kept else others) for i, case in enumerate(cases)]


def representative_values(values: Iterable, *kept: int, others: pytest.MarkDecorator = pytest.mark.exhaustive) -> list:
    """As `representatives`, for a single argument."""
    return representatives([(value,) for value in values], *kept, others=others)
