"""Progress bars on standard error, shown only to people: terminals and notebooks."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn


@contextmanager
def progress_bars(show: bool | None) -> Iterator[Progress]:
    """A rich Progress to add tasks to; silent when `show` is False, or None and standard error is not a terminal."""
    console = Console(stderr=True)
    visible = (sys.stderr.isatty() or console.is_jupyter) if show is None else show
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[note]}"),
        console=console,
        disable=not visible,
        transient=True,
    ) as progress:
        yield progress
