"""Work done ahead of its reader by a bounded number of threads, in order and in bounded memory."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

A = TypeVar("A")
B = TypeVar("B")


def ahead(function: Callable[[A], B], items: Iterable[A], threads: int) -> Iterator[B]:
    """`map(function, items)` with up to `threads` results in the making before they are asked for.

    Results come in the order of the items. An error comes where its result would have. When the reader
    stops early, what is under way is finished and thrown away.
    """
    source = iter(items)
    waiting: deque[Future[B]] = deque()
    with ThreadPoolExecutor(max_workers=threads) as pool:
        try:
            for item in source:
                waiting.append(pool.submit(function, item))
                if len(waiting) >= threads:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()
