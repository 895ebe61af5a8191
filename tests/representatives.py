"""Which cases of a long check CI runs: representatives. The others are marked `exhaustive` (`python -m tests.exhaustive`)."""

from collections.abc import Iterable

import pytest


def representatives(cases: Iterable[tuple], *kept: int) -> list:
    """Parameters of the cases, tuples of arguments, all but those at the indices `kept` marked exhaustive."""
    return [pytest.param(*case, marks=() if i in kept else pytest.mark.exhaustive) for i, case in enumerate(cases)]


def representative_values(values: Iterable, *kept: int) -> list:
    """As `representatives`, for a single argument."""
    return representatives([(value,) for value in values], *kept)
