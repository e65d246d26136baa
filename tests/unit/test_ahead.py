"""Reading one item ahead."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import closing

import pytest

from replicator.pipeline.ahead import ahead


def test_the_same_items_in_order() -> None:
    assert list(ahead(iter(range(100)))) == list(range(100))
    assert list(ahead(iter([]))) == []


def test_the_next_is_read_while_the_last_is_worked_on() -> None:
    read: list[int] = []
    second = threading.Event()

    def items() -> Iterator[int]:
        for number in range(5):
            read.append(number)
            if number == 1:
                second.set()
            yield number

    with closing(ahead(items())) as found:
        assert next(found) == 0
        assert second.wait(5)
        # One waits in the queue and one in the thread's hand: no more are in memory.
        assert max(read) <= 2
        assert list(found) == [1, 2, 3, 4]


def test_an_error_comes_behind_the_items_before_it() -> None:
    def items() -> Iterator[int]:
        yield 1
        raise KeyError("lost")

    found = ahead(items())
    assert next(found) == 1
    with pytest.raises(KeyError, match="lost"):
        next(found)


def test_an_early_end_ends_the_thread() -> None:
    before = threading.active_count()

    def items() -> Iterator[int]:
        number = 0
        while True:
            yield number
            number += 1

    with closing(ahead(items())) as found:
        assert next(found) == 0
    assert threading.active_count() == before
