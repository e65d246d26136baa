"""Follows the log: one thread reads and decodes, the calling thread applies, a queue bounded in bytes between them.

There is no timer in a transaction's way: when the applier is idle, the first complete transaction is applied at once;
while it is busy the next batch fills.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Collection
from dataclasses import replace

from replicator.engine import Reader, Source, Target
from replicator.model.change import Batch, StreamMark
from replicator.model.position import Position
from replicator.model.stream import Followed
from replicator.pipeline.progress import Report
from replicator.pipeline.pulse import Pulse
from replicator.pipeline.stop import Stop

QUEUE_BYTES = 8 << 20
JOINED_ROWS, JOINED_BYTES = 20_000, 8 << 20
IDLE_MARK_S = 10.0
POLL_S = 0.1
JOIN_S = 5.0
log = logging.getLogger("replicator")


class Pump:
    """`until`: the position at which `run` ends; None for when a stop is asked for. `reached`: told of every mark that
    is durable, between transactions."""

    def __init__(
        self,
        source: Source,
        reader: Reader,
        target: Target,
        stop: Stop,
        report: Report,
        pulse: Pulse,
        until: Position | None,
        reached: Callable[[Position], None] = lambda durable: None,
    ) -> None:
        self._reached = reached
        self._source = source
        self._reader = reader
        self._target = target
        self._stop = stop
        self._report = report
        self._pulse = pulse
        self._until = until
        self._changed = threading.Condition()
        self._queue: deque[Batch] = deque()
        self._queued = 0
        self._ending = False
        self._failure: BaseException | None = None
        self.durable: Position | None = None
        self._in_parts = False
        self._offered: Position | None = None
        """The mark of the last batch that was read."""
        self._heads: deque[tuple[float, Position]] = deque()
        """Heads of the source that are not reached yet, each with when it was seen."""

    def run(self, mark: Position, tables: Collection[Followed], within: int = 0) -> Position:
        """Apply everything after `mark`, and after `within` changes of the transaction behind it; returns the last mark
        when the end is reached or a stop is asked for."""
        self.durable = mark
        thread = threading.Thread(target=self._read, args=(mark, tables, within), name="reader", daemon=True)
        thread.start()
        try:
            while not self._finished():
                batch = self._next()
                if batch is not None:
                    self._apply(batch)
                self._beat()
            if self._until is not None and not self._stop.requested:
                self._pulse.say(self._target.ledger, head=str(self._until), lag_seconds=0.0)
        finally:
            with self._changed:
                self._ending = True
                self._changed.notify_all()
            if self._in_parts:
                self._target.applier.rollback()
            thread.join(timeout=JOIN_S)
            if thread.is_alive():
                log.warning("the reader did not end within %.0f s; it is left behind", JOIN_S)
        return self.durable

    def _finished(self) -> bool:
        if self._stop.requested:
            return True
        reached = self._until is not None and self.durable is not None and self.durable.covers(self._until)
        return reached and not self._in_parts

    # The applying side

    def _next(self) -> Batch | None:
        """What is queued, whole transactions joined into one batch; None after a while without any."""
        with self._changed:
            if not self._queue:
                if self._failure is not None:
                    raise self._failure
                self._changed.wait(POLL_S)
            if not self._queue:
                return None
            first = self._queue.popleft()
            joined = [first]
            rows, size = first.rows, first.size
            # What was cut in the middle of a transaction is durable by itself: what comes behind it waits for that.
            while first.complete and not self._in_parts and self._queue and not _is_cut(joined[-1]):
                more = self._queue[0]
                rows, size = rows + more.rows, size + more.size
                if not more.complete or rows > JOINED_ROWS or size > JOINED_BYTES:
                    break
                joined.append(self._queue.popleft())
            self._queued -= sum(batch.size for batch in joined)
            self._changed.notify_all()
        return first if len(joined) == 1 else _join(joined)

    def _apply(self, batch: Batch) -> None:
        self._in_parts = True
        self._target.applier.apply(batch)
        self._in_parts = not batch.complete
        if isinstance(batch.mark, StreamMark):
            self.durable = batch.mark.position
            self._reached(batch.mark.position)
        self._report.applied(batch)

    def _beat(self) -> None:
        if not self._pulse.due:
            return
        if self._in_parts:
            self._pulse.look()
            return
        head = self._source.head()
        self._pulse.say(
            self._target.ledger,
            head=str(head),
            lag_seconds=self._lag(head),
        )

    def _lag(self, head: Position) -> float:
        """How long the oldest head that is not reached has been waiting: true to one beat, and by our clock alone."""
        now, durable = time.monotonic(), self.durable
        assert durable is not None
        waiting = bool(self._queue) or (self._offered is not None and not durable.covers(self._offered))
        reached = durable if waiting else self._reader.seen()
        self._heads.append((now, head))
        while self._heads and (reached.covers(self._heads[0][1]) or durable.covers(self._heads[0][1])):
            self._heads.popleft()
        return now - self._heads[0][0] if self._heads else 0.0

    # The reading side, in its own thread

    def _read(self, mark: Position, tables: Collection[Followed], within: int) -> None:
        idle_after = IDLE_MARK_S if self._until is None else 0.0
        confirmed = mark
        try:
            self._reader.start(mark, tables, within)
            while not self._ending:
                confirmed = self._confirm(confirmed)
                batch = self._reader.read(POLL_S, idle_after)
                while batch is not None and not self._offer(batch):
                    confirmed = self._confirm(confirmed)
                    self._reader.tick()
            self._confirm(confirmed)
        except BaseException as error:
            with self._changed:
                self._failure = error
                self._changed.notify_all()
        finally:
            self._reader.close()

    def _confirm(self, confirmed: Position) -> Position:
        """Tell the source what is durable at the target, and nothing beyond."""
        durable = self.durable
        if durable is None or confirmed.covers(durable):
            return confirmed
        self._reader.confirm(durable)
        return durable

    def _offer(self, batch: Batch) -> bool:
        """Queue the batch; False after a while without room for it."""
        with self._changed:
            if self._queue and self._queued + batch.size > QUEUE_BYTES and not self._ending:
                self._changed.wait(POLL_S)
                if self._queue and self._queued + batch.size > QUEUE_BYTES and not self._ending:
                    return False
            self._queue.append(batch)
            if isinstance(batch.mark, StreamMark):
                self._offered = batch.mark.position
            self._queued += batch.size
            self._changed.notify_all()
            return True


def _is_cut(batch: Batch) -> bool:
    return isinstance(batch.mark, StreamMark) and batch.mark.within > 0


def _join(batches: list[Batch]) -> Batch:
    """Whole transactions, one after another, as one batch."""
    commits = []
    before = 0
    for batch in batches:
        commits += [replace(commit, end=commit.end + before) for commit in batch.commits]
        before += batch.rows
    return Batch(
        tuple(change for batch in batches for change in batch.changes),
        tuple(commits),
        batches[-1].mark,
        size=sum(batch.size for batch in batches),
        rows=before,
    )
