"""Reads one item ahead of whoever works on them: source, program and target then work side by side, not by turns."""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Generator, Iterator
from typing import TypeVar

T = TypeVar("T")
JOIN_S = 5.0
POLL_S = 0.1
log = logging.getLogger("replicator")


def ahead(items: Iterator[T]) -> Generator[T, None, None]:
    """The same items, the next one read by a thread while the last is worked on. Errors come where they were raised.

    Its end, an early one too, waits for the thread: nobody else may use what `items` reads from before.
    """
    ready: queue.Queue[tuple[T | None, BaseException | None]] = queue.Queue(maxsize=1)
    ending = threading.Event()
    wanted = threading.Semaphore(1)

    def put(item: T | None, error: BaseException | None) -> bool:
        while not ending.is_set():
            try:
                ready.put((item, error), timeout=POLL_S)
                return True
            except queue.Full:
                continue
        return False

    def read() -> None:
        """The next item is read when the last was taken: there are never more than two of them."""
        try:
            while not ending.is_set():
                if not wanted.acquire(timeout=POLL_S):
                    continue
                try:
                    item = next(items)
                except StopIteration as end:
                    put(None, end)
                    return
                if not put(item, None):
                    return
        except BaseException as error:
            put(None, error)

    thread = threading.Thread(target=read, name="copier", daemon=True)
    thread.start()
    try:
        while True:
            item, error = ready.get()
            wanted.release()
            if isinstance(error, StopIteration):
                return
            if error is not None:
                raise error
            yield item  # type: ignore[misc]
    finally:
        ending.set()
        thread.join(timeout=JOIN_S)
        if thread.is_alive():
            log.warning("a read of the source did not end within %.0f s; it is left behind", JOIN_S)
