"""Prefetching in the order of completion: bounded, broken off cleanly, errors where the reader sees them."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from helpers.as_finished import as_finished


def ignore(_: object) -> None:
    """For results that need no clean-up."""


def download_threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("download")]


@pytest.mark.parametrize("items", [0, 1, 2, 3, 4, 5, 50])
def test_every_item_gives_one_result(items: int) -> None:
    stop = threading.Event()
    results = as_finished(lambda item: item * 2, range(items), threads=2, stop=stop, discard=ignore)
    assert sorted(results) == [2 * item for item in range(items)]
    assert download_threads() == []


def test_one_slow_item_does_not_hold_up_the_others() -> None:
    slow, stop = threading.Event(), threading.Event()

    def function(item: int) -> int:
        if item == 0:
            assert slow.wait(10)
        return item

    results = as_finished(function, range(20), threads=2, stop=stop, discard=ignore)
    assert {next(results) for _ in range(19)} == set(range(1, 20))
    slow.set()
    assert list(results) == [0]


def test_no_more_than_so_many_run_at_once_and_wait() -> None:
    lock, running, most, taken = threading.Lock(), [0], [0], [0]

    def items() -> Iterator[int]:
        for number in range(40):
            taken[0] += 1
            yield number

    def function(item: int) -> int:
        with lock:
            running[0] += 1
            most[0] = max(most[0], running[0])
        with lock:
            running[0] -= 1
        return item

    results = as_finished(function, items(), threads=3, stop=threading.Event(), discard=ignore)
    for read, _ in enumerate(results):
        assert taken[0] <= read + 2 * 3
    assert most[0] <= 3


def test_closing_stops_the_work_and_discards_each_unread_result_once() -> None:
    stop, made, discarded = threading.Event(), list[int](), list[int]()

    def function(item: int) -> int:
        if item > 2:
            stop.wait(10)
        made.append(item)
        return item

    results = as_finished(function, range(100), threads=3, stop=stop, discard=discarded.append)
    read = [next(results), next(results)]
    results.close()
    assert download_threads() == []
    assert sorted(read + discarded) == sorted(made)
    assert len(made) < 10


def test_what_does_not_heed_the_stop_is_left_and_discarded_later() -> None:
    begun, hung, done = threading.Event(), threading.Event(), threading.Event()
    discarded = list[int]()

    def function(item: int) -> int:
        if item:
            begun.set()
            hung.wait(10)
        return item

    def discard(item: int) -> None:
        discarded.append(item)
        done.set()

    results = as_finished(
        function, range(2), threads=2, stop=threading.Event(), discard=discard, leave_s=0.05
    )
    assert next(results) == 0
    assert begun.wait(5)
    results.close()
    assert discarded == []
    hung.set()
    assert done.wait(5)
    assert discarded == [1]


def test_an_error_of_the_function_reaches_the_reader() -> None:
    def function(item: int) -> float:
        return 1 / item

    with pytest.raises(ZeroDivisionError):
        list(as_finished(function, [1, 2, 0, 4], threads=2, stop=threading.Event(), discard=ignore))
    assert download_threads() == []


def test_an_error_of_the_items_reaches_the_reader_and_frees_what_was_made() -> None:
    made, discarded = list[int](), list[int]()

    def function(item: int) -> int:
        made.append(item)
        return item

    def items() -> Iterator[int]:
        yield 1
        yield 2
        while not made:
            time.sleep(0.001)
        raise LookupError("the storage went away")

    stop = threading.Event()
    with pytest.raises(LookupError, match="went away"):
        list(as_finished(function, items(), threads=4, stop=stop, discard=discarded.append))
    assert sorted(discarded) == sorted(made)
    assert made
    assert stop.is_set()
    assert download_threads() == []
