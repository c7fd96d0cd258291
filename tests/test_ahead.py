"""Work ahead of its reader: in order, bounded, and ended with its reader."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Iterator

import pytest

from helpers.ahead import ahead


@pytest.mark.parametrize("items", [0, 1, 2, 3, 4, 25])
@pytest.mark.parametrize("threads", [1, 3])
def test_results_come_in_the_order_of_the_items(items: int, threads: int) -> None:
    def slower_at_first(number: int) -> int:
        time.sleep(0.002 * (number % 3 == 0))
        return number * number

    assert list(ahead(slower_at_first, range(items), threads)) == [number**2 for number in range(items)]


def test_work_goes_on_while_the_reader_does_something_else() -> None:
    begun = threading.Semaphore(0)
    results = ahead(lambda number: begun.release(), range(10), 3)
    next(results)
    for _ in range(3):
        assert begun.acquire(timeout=5)
    results.close()


def test_no_more_than_allowed_is_under_way() -> None:
    lock, active, most = threading.Lock(), 0, 0

    def work(number: int) -> int:
        nonlocal active, most
        with lock:
            active += 1
            most = max(most, active)
        time.sleep(0.005)
        with lock:
            active -= 1
        return number

    assert len(list(ahead(work, range(20), 4))) == 20
    assert most == 4


def test_items_are_taken_only_as_they_are_needed() -> None:
    taken = itertools.count()

    def items() -> Iterator[int]:
        while True:
            yield next(taken)

    results = ahead(lambda number: number, items(), 3)
    assert [next(results) for _ in range(5)] == [0, 1, 2, 3, 4]
    results.close()
    assert next(taken) <= 5 + 3


def test_an_error_comes_where_its_result_would_have() -> None:
    def work(number: int) -> int:
        if number == 2:
            raise ValueError("the third")
        return number

    results = ahead(work, range(10), 4)
    assert [next(results), next(results)] == [0, 1]
    with pytest.raises(ValueError, match="the third"):
        next(results)
    assert list(results) == []


def test_an_error_of_the_items_reaches_the_reader() -> None:
    def items() -> Iterator[int]:
        yield 1
        raise KeyError("no more")

    with pytest.raises(KeyError, match="no more"):
        list(ahead(lambda number: number, items(), 3))


def test_a_reader_that_stops_early_leaves_no_thread() -> None:
    before = threading.active_count()
    done: list[int] = []

    def work(number: int) -> int:
        time.sleep(0.002)
        done.append(number)
        return number

    results = ahead(work, range(1000), 4)
    next(results)
    results.close()
    assert threading.active_count() == before
    assert len(done) <= 5
