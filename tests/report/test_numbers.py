import math

import numpy as np
import pandas as pd
import pytest

from bayesgmm.report.numbers import count, decimals_for, fixed, interval, probability, signed, significant
from bayesgmm.report.table import table_from_frame


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (1234.5678, "1,235"),
        (0.00012345, "0.0001234"),
        (-3.14159, "−3.142"),
        (1.5e9, "1.500e+09"),
        (2e-9, "2.000e−09"),
        (math.nan, "–"),
        (-math.inf, "−∞"),
    ],
)
def test_significant(value: float, text: str) -> None:
    assert significant(value) == text


@pytest.mark.parametrize(("sd", "decimals"), [(0.0263, 3), (0.59, 2), (3.4, 1), (120.0, 0), (0.0, None), (math.nan, None)])
def test_two_digits_of_the_sd_set_the_decimals(sd: float, decimals: int | None) -> None:
    assert decimals_for(sd) == decimals


def test_fixed_falls_back_to_significant_digits() -> None:
    assert fixed(54.4789, 2) == "54.48"
    assert fixed(54.4789, None) == "54.48"
    assert fixed(1e12, 2) == "1.000e+12"
    assert fixed(-0.001, 2) == "0.00"
    assert interval(-1.25, 2.5, 1) == "[−1.2, 2.5]"


def test_a_shift_always_has_a_sign_unless_it_rounds_to_zero() -> None:
    assert [signed(value) for value in (0.5, -0.5, -0.001, math.nan)] == ["+0.50", "−0.50", "0.00", "–"]


@pytest.mark.parametrize(
    ("value", "text"), [(0.0, "0.000"), (1e-9, "<0.001"), (0.5, "0.500"), (0.9996, ">0.999"), (1.0, "1.000")]
)
def test_a_probability_is_certain_only_where_it_is(value: float, text: str) -> None:
    assert probability(value) == text


def test_counts() -> None:
    assert count(12345.0) == "12,345"
    assert count(math.nan) == "–"


def test_a_frame_becomes_a_table_of_text() -> None:
    frame = pd.DataFrame({"method": ["<EM>", None], "n_misplaced": [np.int64(3), np.int64(4)], "ok": [True, False]})
    table = table_from_frame("caption", frame)
    assert [column.title for column in table.columns] == ["method", "misplaced", "ok"]
    assert [row.cells for row in table.groups[0].rows] == [("<EM>", "3", "yes"), ("–", "4", "no")]
