"""`sync`: copy what is missing, then follow the log until stopped."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import replace

from replicator import failpoints
from replicator.engine import Snapshot, Source, Target
from replicator.errors import LoginRefused, Retryable, Unfinished
from replicator.model.builder import Limits
from replicator.model.position import Position
from replicator.model.schema import Name
from replicator.model.stream import Followed, StreamState
from replicator.pipeline.choosing import NEW, choose, reshaped, survey
from replicator.pipeline.copying import copy, finish
from replicator.pipeline.options import End, SyncOptions
from replicator.pipeline.preflight import admit
from replicator.pipeline.progress import Counted, Report
from replicator.pipeline.pump import Pump
from replicator.pipeline.retry import until_done
from replicator.pipeline.stop import Stop

log = logging.getLogger("replicator")
READ = Limits(rows=5_000, bytes=2 << 20)
PENDING = (*NEW, "copying")


class Sync:
    """One run of a stream. `run` returns the last mark's text, None if it was stopped before there was one."""

    def __init__(self, source: End, target: End, options: SyncOptions, stop: Stop, report: Report) -> None:
        self._source_end = source
        self._target_end = target
        self._options = options
        self._stop = stop
        self._report = Counted(report)
        self._complete = False
        self._let_in = False
        self._head: Position | None = None
        self._mark: str | None = None

    def run(self) -> str | None:
        options = self._options
        until_done(self._attempt, lambda: self._report.signs, self._stop, options.give_up_s)
        failpoints.hit("shutdown")
        if options.once and not self._complete:
            raise Unfinished(
                f"stopped at {self._mark or 'no position yet'} before everything was applied",
                remedy="run it again: it goes on from there",
            )
        return self._mark

    def _attempt(self) -> None:
        """A server that has let us in before and now ends a login is shutting down, or starting, or cut off."""
        try:
            self._from_the_ledger()
        except LoginRefused as error:
            if not self._let_in:
                raise
            raise Retryable(error.what, remedy=error.remedy) from error

    def _from_the_ledger(self) -> None:
        """Both ends anew, from what the ledger says: after any failure that is the whole truth."""
        with ExitStack() as ends:
            target = self._target_end.engine.target(self._target_end.endpoint)
            ends.callback(target.close)
            self._stop.cancel = target.cancel
            admit(target.findings())
            source = self._source_end.engine.source(self._source_end.endpoint, log.warning)
            ends.callback(source.close)
            known = target.ledger.peek(self._options.name)
            if known is not None:
                source.recognise(known.source)
            tables = choose(source, target, self._target_end.engine.places, self._options, known)
            if self._options.once and self._head is None:
                self._head = source.head()
            target.open(self._options.name)
            leave = _gone(known, tables)
            state = target.ledger.claim(self._options.name, source.identity(), self._options.objects, leave)
            self._let_in = True
            for name in leave:
                log.warning("%s is not followed any more; its copy stays as it is", name)
            if state.phase == "preparing":
                mark = self._first(source, target, state, tables)
            else:
                mark = self._resume(source, target, state, tables)
            if mark is not None:
                self._follow(source, target, mark)

    # The first run, and every later one

    def _first(self, source: Source, target: Target, state: StreamState, tables: list[Followed]) -> Position | None:
        """`preparing` ends in the transaction that writes the first mark and the floors, before the first row."""
        tables = survey(target, state, tables, truncate=self._options.truncate)
        target.ledger.record(tables)
        prepared = source.prepare(state.identity, [f.table for f in tables])
        try:
            failpoints.hit("ddl_before")
            target.structure.create(tables, reshaped(state, tables))
            failpoints.hit("ddl_after")
            tables = [replace(f, floor=str(prepared.snapshot.position)) for f in _carried(source, state, tables)]
            target.ledger.record(tables, mark=prepared.mark, phase="streaming")
            self._mark = str(prepared.mark)
            self._tables = tables
            return prepared.mark if self._copy(prepared.snapshot, target, tables) else None
        finally:
            prepared.snapshot.close()

    def _resume(self, source: Source, target: Target, state: StreamState, tables: list[Followed]) -> Position | None:
        """The slot is never remade: unfinished and new tables are copied under a later snapshot, then the log."""
        assert state.mark is not None
        mark = self._source_end.engine.position(state.mark)
        self._mark = state.mark
        self._tables = tables
        source.guard(replace(state, tables={n: f for n, f in state.tables.items() if _wanted(n, tables)}), mark)
        # A later timeline, for one, is now the one to compare with.
        target.ledger.record((), source=source.identity())
        source.follow(state.identity, [f.table for f in tables])
        finish(target, [f for f in tables if f.phase == "copied"])
        self._tables = [replace(f, phase="live") if f.phase == "copied" else f for f in tables]
        pending = [f for f in self._tables if f.phase in PENDING]
        if not pending:
            return mark
        pending = _carried(source, state, survey(target, state, pending, truncate=self._options.truncate))
        target.ledger.record(pending)
        snapshot = source.snapshot()
        try:
            target.structure.create(pending, reshaped(state, pending))
            return mark if self._copy(snapshot, target, pending) else None
        finally:
            snapshot.close()

    def _copy(self, snapshot: Snapshot, target: Target, tables: list[Followed]) -> bool:
        live = {f.table.name: f for f in copy(snapshot, target, tables, self._report, self._stop)}
        self._tables = [live.get(f.table.name, f) for f in self._tables]
        return len(live) == len(tables)

    def _follow(self, source: Source, target: Target, mark: Position) -> None:
        state = target.ledger.peek(self._options.name)
        assert state is not None
        target.applier.prepare(self._tables)
        self._report.following(str(mark))
        reader = source.reader(state.identity, READ)
        pump = Pump(source, reader, target, state.identity, self._stop, self._report, self._head)
        try:
            last = pump.run(mark, self._tables)
        finally:
            if pump.durable is not None:
                self._mark = str(pump.durable)
        self._complete = self._head is not None and last.covers(self._head)


def _gone(known: StreamState | None, tables: Sequence[Followed]) -> list[Name]:
    """Tables that were followed, and that the selection no longer has."""
    selected = {followed.table.name for followed in tables}
    before = known.tables.items() if known is not None else ()
    return [name for name, old in before if name not in selected and old.phase != "left"]


def _carried(source: Source, state: StreamState, tables: Iterable[Followed]) -> list[Followed]:
    tokens = source.carried(state.identity)
    return [replace(followed, carried=tokens.get(followed.table.name, "")) for followed in tables]


def _wanted(name: Name, tables: Sequence[Followed]) -> bool:
    return any(f.table.name == name and f.phase not in NEW for f in tables)
