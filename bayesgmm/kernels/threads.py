"""Rows in fixed chunks, worked on by threads, results in the order of the rows."""

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cache

CHUNK_ROWS = 4096
"""So many rows are one task; more are a multiple of four tasks of equal size, four times as large at most.

Fixed by the number of rows, so that sums are taken in the same order whatever the number of threads.
"""


def available_threads() -> int:
    """Processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@cache
def _pool(n_threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(n_threads, thread_name_prefix="bayesgmm")


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_pool.cache_clear)  # threads do not survive a fork


def map_row_chunks[Result](function: Callable[[int, int], Result], n_rows: int, n_threads: int) -> Iterator[Result]:
    """function(start, stop) over the row chunks, results in order; in threads where there is more than one chunk."""
    n_chunks = 1 if n_rows <= CHUNK_ROWS else 4 * -(-n_rows // (16 * CHUNK_ROWS))
    bounds = [n_rows * i // n_chunks for i in range(n_chunks + 1)]
    if n_threads == 1 or n_chunks == 1:
        return map(function, bounds[:-1], bounds[1:])
    return _pool(n_threads).map(function, bounds[:-1], bounds[1:])
