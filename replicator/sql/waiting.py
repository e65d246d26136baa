"""Says whom a statement waits for, if it waits for long."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

from replicator.sql.runner import NOTICE_S

log = logging.getLogger("replicator")


@contextmanager
def saying_who_holds(ask: Callable[[], Iterable[str]]) -> Iterator[list[str]]:
    """`ask`, by a connection of its own, names the sessions that ours waits for; it is asked once, after a while, in
    another thread. Gives the list that they will be in."""
    found: list[str] = []

    def look() -> None:
        found.extend(ask())
        if found:
            log.warning("waiting for the stream's row, which is held by %s", "; ".join(found))

    timer = threading.Timer(NOTICE_S, look)
    timer.daemon = True
    timer.start()
    try:
        yield found
    finally:
        timer.cancel()
