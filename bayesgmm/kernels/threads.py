"""Rows in fixed chunks, worked on by threads, results in the order of the rows."""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache

CHUNK_ROWS = 16_384
"""Rows per task. Fixed, so that sums are taken in the same order whatever the number of threads."""


def available_threads() -> int:
    """Processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@cache
def _pool(n_threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(n_threads, thread_name_prefix="bayesgmm")


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_pool.cache_clear)  # threads do not survive a fork


def map_row_chunks[Result](function: Callable[[int, int], Result], n_rows: int, n_threads: int) -> list[Result]:
    """[function(start, stop), ...] over the row chunks, in order; in threads where there is more than one chunk."""
    starts = range(0, max(n_rows, 1), CHUNK_ROWS)
    stops = [min(start + CHUNK_ROWS, n_rows) for start in starts]
    if n_threads == 1 or len(stops) == 1:
        return [function(start, stop) for start, stop in zip(starts, stops, strict=True)]
    return list(_pool(n_threads).map(function, starts, stops))
