"""Work done ahead of its reader by a bounded number of threads, in the order in which it gets done.

`helpers/ahead.py` keeps the order of its items. Where the order does not matter this is better: a source that
answers after a minute holds up one thread, not the seven others behind it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from itertools import islice
from queue import SimpleQueue
from typing import Final, TypeVar

A = TypeVar("A")
B = TypeVar("B")

LEAVE_S: Final = 1.0  # how long a reader that stops early waits for what is under way


def as_finished(
    function: Callable[[A], B],
    items: Iterable[A],
    *,
    threads: int,
    stop: threading.Event,
    discard: Callable[[B], None],
    leave_s: float = LEAVE_S,
) -> Generator[B, None, None]:
    """Every result of `function`, as it gets done; at most `threads` under way and as many waiting.

    Items are taken in the reader's thread. An error of `function` or `items` ends it. When it ends early
    (closed, or an error), `stop` is set for the functions under way to heed, no other is begun, and
    results that nobody will read go to `discard`. A function that does not heed `stop` is left behind
    after `leave_s`; its result is discarded when it comes.
    """
    source = iter(items)
    finished: SimpleQueue[Future[B]] = SimpleQueue()
    unread: set[Future[B]] = set()
    pool = ThreadPoolExecutor(max_workers=threads, thread_name_prefix="download")
    try:
        while True:
            for item in islice(source, 2 * threads - len(unread)):
                future = pool.submit(function, item)
                unread.add(future)
                future.add_done_callback(finished.put)
            if not unread:
                return
            future = finished.get()
            unread.remove(future)
            yield future.result()
    finally:
        stop.set()
        _leave(pool, unread, discard, leave_s)


def _leave(
    pool: ThreadPoolExecutor, unread: set[Future[B]], discard: Callable[[B], None], leave_s: float
) -> None:
    def dispose(future: Future[B]) -> None:
        if not future.cancelled() and future.exception() is None:
            discard(future.result())

    pool.shutdown(wait=False, cancel_futures=True)
    for future in unread:
        future.add_done_callback(dispose)
    # `wait` would not see cancelled futures as done.
    late = wait([future for future in unread if not future.cancelled()], timeout=leave_s).not_done
    pool.shutdown(wait=not late)
