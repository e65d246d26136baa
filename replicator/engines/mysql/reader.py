"""Reads one stream's log: events of a dump in, batches out."""

from __future__ import annotations

import time
from collections.abc import Collection

from replicator import failpoints
from replicator.engines.mysql import binlog
from replicator.engines.mysql.binlog import Event
from replicator.engines.mysql.dump import Dump, Replica
from replicator.engines.mysql.gtid import DomainSet, GtidSet
from replicator.engines.mysql.position import BinlogPosition
from replicator.engines.mysql.relations import Relations
from replicator.engines.mysql.server import Server
from replicator.engines.mysql.transactions import Transactions
from replicator.errors import PositionLost, Retryable
from replicator.model.builder import Builder, Limits
from replicator.model.change import Batch, StreamMark
from replicator.model.position import Position
from replicator.model.stream import Followed

HEARTBEATS = (binlog.HEARTBEAT, binlog.HEARTBEAT_V2)
REFUSALS = 3
"""So often a server must say that it cannot send its log from here."""
PAUSE_S = 0.5


class MysqlReader:
    def __init__(self, server: Server, replica: Replica, limits: Limits) -> None:
        self._where = server.where
        self._flavor = server.flavor
        self._version = server.version
        self._folds_names = server.folds_names()
        self._replica = replica
        self._builder = Builder(limits)
        self._dump: Dump | None = None
        self._last_mark = 0.0

    def start(self, position: Position, tables: Collection[Followed], within: int = 0) -> None:
        """A schema change is a transaction of its own here, so no mark lies within one.

        Raises PositionLost for one that does.
        """
        assert isinstance(position, BinlogPosition)
        if within:
            raise PositionLost(
                f"the saved position lies {within} changes within a transaction, where no mark of this source can be",
                remedy="restore the bookkeeping tables from a backup, or copy everything anew: "
                "replicator recopy SOURCE TARGET --all",
            )
        relations = Relations(tables, self._flavor, self._version, folds_names=self._folds_names)
        self._transactions = Transactions(self._flavor, position, relations, self._builder)
        self._began = self._seen = self._delivered = self._confirmed = position
        self._last_mark = time.monotonic()
        self._served, self._refused = False, 0
        self._dump_from(position)

    def _dump_from(self, position: BinlogPosition) -> None:
        self.close()
        self._dump = Dump(self._where, self._flavor, self._replica)
        match position.executed:
            case GtidSet() | DomainSet() as executed:
                self._dump.after(executed)
            case int() as offset:
                self._dump.at(position.file.name, offset)

    def read(self, timeout: float, idle_after: float) -> Batch | None:
        builder, transactions = self._builder, self._transactions
        deadline = time.monotonic() + timeout
        while True:
            event = transactions.pending() or self._receive()
            if event is not None:
                transactions(event)
                if builder.full and (batch := self._take()) is not None:
                    return batch
                continue
            now = time.monotonic()
            if (batch := self._take() or self._idle_mark(now, idle_after)) is not None:
                return batch
            if now >= deadline:
                return None
            assert self._dump is not None
            self._dump.wait(min(deadline - now, 1.0))

    def _receive(self) -> Event | None:
        """The next event, if it is there.

        The servers have one error for a position that is gone and for a reader that another one with its server_id has
        driven out. So it is believed of a dump that gave nothing yet, and when it comes again and again. Of one that
        was served it begins the run anew from its mark, and what is really lost is found before it reads.
        """
        assert self._dump is not None
        try:
            event = self._dump.receive()
        except PositionLost as error:
            if self._served or self._transactions.position is not self._began:
                raise Retryable(error.what) from error
            self._refused += 1
            if self._refused == REFUSALS:
                raise
            time.sleep(PAUSE_S)
            self._dump_from(self._began)
            return None
        self._served = self._served or (event is not None and event.type in HEARTBEATS)
        return event

    def _take(self) -> Batch | None:
        """What may be applied. Transactions without anything for us only move the position, which may wait."""
        batch = self._builder.take()
        if batch is None:
            if not self._builder.open:
                self._seen = self._transactions.position
            return None
        if not batch.complete:
            return batch
        assert isinstance(batch.mark, StreamMark) and isinstance(batch.mark.position, BinlogPosition)
        self._seen = batch.mark.position
        return self._deliver(batch) if batch.changes else None

    def _idle_mark(self, now: float, idle_after: float) -> Batch | None:
        """An empty batch, when the log moved on without us and nothing that was read is unapplied."""
        if self._builder.open or self._seen is self._delivered or self._delivered is not self._confirmed:
            return None
        if now - self._last_mark < idle_after:
            return None
        return self._deliver(Batch((), (), StreamMark(self._seen)))

    def _deliver(self, batch: Batch) -> Batch:
        self._delivered = self._seen
        self._last_mark = time.monotonic()
        return batch

    def seen(self) -> BinlogPosition:
        return self._seen

    def tick(self) -> None:
        """The server waits for as long as `net_write_timeout` says, which the dump's session has set to an hour."""

    def confirm(self, position: Position) -> None:
        """The server keeps its log by time, whatever we have read."""
        assert isinstance(position, BinlogPosition)
        failpoints.hit("before_confirm")
        self._confirmed = position
        failpoints.hit("after_confirm")

    def close(self) -> None:
        if self._dump is not None:
            self._dump.close()
