import io

import pytest
from rich.console import Console

from bayesgmm.compare.comparison import Comparison
from bayesgmm.report.terminal import print_summary


def printed(comparison: Comparison, width: int = 80) -> str:
    stream = io.StringIO()
    print_summary(comparison, Console(file=stream, width=width, force_terminal=False))
    return stream.getvalue()


@pytest.mark.parametrize("name", ["comparison", "hostile"])
def test_the_summary_fits_80_columns(name: str, request: pytest.FixtureRequest) -> None:
    lines = printed(request.getfixturevalue(name)).splitlines()
    assert max(len(line) for line in lines) <= 80


def test_the_summary_has_every_parameter_and_finding(comparison: Comparison) -> None:
    text = printed(comparison, width=1000)
    for row in comparison.parameters.itertuples():
        assert str(row.Index).removeprefix(str(row.kind)) in text
    for finding in comparison.findings:
        assert finding in text


def test_square_brackets_in_a_column_name_are_no_markup(hostile: Comparison) -> None:
    assert "[0, [red]" in printed(hostile)


def test_the_summary_says_that_chains_did_not_converge(comparison: Comparison, hostile: Comparison) -> None:
    assert "\n! " in printed(hostile)
    assert "✓ " in printed(comparison)
