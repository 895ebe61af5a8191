"""Progress bars on standard error, shown only to people: terminals and notebooks."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn


def progress_wanted(show: bool | None) -> bool:
    """`show`, or where that is None whether standard error is a terminal or a notebook."""
    return (sys.stderr.isatty() or Console(stderr=True).is_jupyter) if show is None else show


@contextmanager
def progress_bars(show: bool | None) -> Iterator[Progress]:
    """A rich Progress to add tasks to; silent when `show` is False, or None and standard error is not a terminal."""
    console = Console(stderr=True)
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[note]}"),
        console=console,
        disable=not progress_wanted(show),
        transient=True,
    ) as progress:
        yield progress
