"""`sync`: copy what is missing, then follow the log until stopped."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace

from replicator import failpoints
from replicator.engine import ALREADY_MADE, Finding, Objects, Retention, Snapshot, Source, Target
from replicator.errors import CannotApply, Refused, ReplicatorError, Retryable, Unfinished
from replicator.model.builder import Limits
from replicator.model.position import Position
from replicator.model.schema import Name
from replicator.model.stream import Followed, Identity, StreamState
from replicator.pipeline.choosing import NEW, PENDING, choose, reshaped, survey
from replicator.pipeline.copying import copy, finish
from replicator.pipeline.options import End, Options
from replicator.pipeline.preflight import admit
from replicator.pipeline.progress import Report
from replicator.pipeline.pulse import TooMuchKept
from replicator.pipeline.pump import Pump
from replicator.pipeline.run import Run
from replicator.pipeline.stop import Stop

log = logging.getLogger("replicator")
READ = Limits(rows=5_000, bytes=2 << 20)


class Sync(Run[Source]):
    """One run of a stream. `run` returns the last mark's text, None if it was stopped before there was one."""

    def __init__(self, source: End, target: End, options: Options, stop: Stop, report: Report) -> None:
        super().__init__(source, target, options, stop, report)
        self._complete = False
        self._head: Position | None = None
        self._tables: list[Followed] = []
        self._identity: Identity | None = None
        self._durable: Position | None = None
        """The saved position, as far as this run has seen it saved."""

    def run(self) -> str | None:
        self._until_done()
        failpoints.hit("shutdown")
        if self._options.once and not self._complete:
            raise Unfinished(
                f"stopped at {self._durable or 'no position yet'} before everything was applied",
                remedy="run it again: it goes on from there",
            )
        return None if self._durable is None else str(self._durable)

    def _open(self) -> Source:
        return self._source_end.engine.source(self._source_end.endpoint, log.warning)

    def _attempt(self) -> None:
        try:
            super()._attempt()
        except Retryable:
            self._look_meanwhile()
            raise

    def _look_meanwhile(self) -> None:
        """A target that stays away makes the source keep its log."""
        if self._identity is None:
            return
        try:
            with closing(self._open()) as source:
                self._watch(source, self._identity)
                with self._giving_up(source):
                    self._pulse.look()
        except TooMuchKept:
            raise
        except ReplicatorError as error:
            log.debug("the source cannot be asked either: %s", error.what)

    def _watch(self, source: Source, identity: Identity) -> None:
        self._identity = identity

        def ask() -> Retention:
            return Retention() if self._durable is None else source.retention(identity, self._durable)

        self._pulse.retention = ask

    @contextmanager
    def _giving_up(self, source: Source) -> Iterator[None]:
        """Nothing of ours reads the log any more when this is left by what it raises."""
        try:
            yield
        except TooMuchKept:
            assert self._identity is not None
            source.give_up(self._identity)
            raise

    def _work(self, source: Source, target: Target) -> None:
        known = target.ledger.peek(self._options.name)
        if known is not None:
            is_stream(known)
            source.recognise(known.source)
        tables = self._choose(source, target, known)
        target.open(self._options.name)
        leave = _gone(known, tables)
        state = target.ledger.claim(
            self._options.name, source.identity(), self._options.objects, leave, held=self._epoch
        )
        self._hold(known, state)
        for name in leave:
            log.warning("%s is not followed any more; its copy stays as it is", name)
        self._watch(source, state.identity)
        with self._giving_up(source):
            if state.phase == "preparing":
                mark = self._first(source, target, state, tables)
            else:
                mark = self._resume(source, target, state, tables)
            if mark is not None:
                self._follow(source, target, mark)

    def _choose(self, source: Source, target: Target, known: StreamState | None) -> list[Followed]:
        def ready(fresh: Sequence[Followed]) -> list[Finding]:
            found = source.findings(fresh, objects(self._options, known)) if known is None or fresh else []
            return found + strays(source, self._options.name, known)

        choice = choose(source, target, self._target_end.engine.places, self._options, known, ready)
        admit(choice.findings)
        return choice.tables

    def _aim(self, source: Source) -> None:
        """`--once` ends behind everything that is committed now. Once the source knows in which form positions are."""
        if self._options.once and self._head is None:
            self._head = source.head()

    # The first run, and every later one

    def _first(self, source: Source, target: Target, state: StreamState, tables: list[Followed]) -> Position | None:
        """`preparing` ends in the transaction that writes the first mark and the floors, before the first row."""
        tables = survey(target, state, tables, truncate=self._options.truncate)
        target.ledger.record(tables)
        prepared = source.prepare(state.identity, tables)
        try:
            self._aim(source)
            failpoints.hit("ddl_before")
            target.structure.create(tables, reshaped(state, tables))
            failpoints.hit("ddl_after")
            tables = [replace(f, floor=str(prepared.snapshot.position)) for f in carried(source, state, tables)]
            target.ledger.record(tables, mark=prepared.mark, phase="streaming")
            self._durable = prepared.mark
            self._tables = tables
            return prepared.mark if self._copy(prepared.snapshot, target, tables) else None
        finally:
            prepared.snapshot.close()

    def _resume(self, source: Source, target: Target, state: StreamState, tables: list[Followed]) -> Position | None:
        """The slot is never remade: unfinished and new tables are copied under a later snapshot, then the log."""
        assert state.mark is not None
        mark = self._source_end.engine.position(state.mark)
        self._durable = mark
        self._tables = tables
        source.guard(replace(state, tables=self._guarded(state, tables)), mark)
        self._aim(source)
        # A later timeline, for one, is now the one to compare with.
        target.ledger.record((), source=source.identity())
        source.follow(state.identity, tables)
        whole = {f.table.name: f for f in finish(target, [f for f in tables if f.phase == "copied" and not f.settles])}
        self._tables = [whole.get(f.table.name, f) for f in tables]
        pending = [f for f in self._tables if f.phase in PENDING]
        if not pending:
            return mark
        pending = carried(source, state, survey(target, state, pending, truncate=self._options.truncate))
        target.ledger.record(pending)
        snapshot = source.snapshot()
        try:
            target.structure.create(pending, reshaped(state, pending))
            return mark if self._copy(snapshot, target, pending) else None
        finally:
            snapshot.close()

    def _guarded(self, state: StreamState, tables: Sequence[Followed]) -> Mapping[Name, Followed]:
        """The tables that the log must have carried without a gap."""
        going_on = {followed.table.name for followed in tables if followed.phase not in NEW}
        return {name: followed for name, followed in state.tables.items() if name in going_on}

    def _copy(self, snapshot: Snapshot, target: Target, tables: list[Followed]) -> bool:
        live = {f.table.name: f for f in copy(snapshot, target, tables, self._report, self._stop, self._pulse)}
        self._tables = [live.get(f.table.name, f) for f in self._tables]
        return len(live) == len(tables)

    def _follow(self, source: Source, target: Target, mark: Position) -> None:
        state = target.ledger.peek(self._options.name)
        assert state is not None
        self._settle(target, mark)
        target.applier.prepare(self._tables)
        self._report.following(str(mark))
        reader = source.reader(state.identity, READ)

        def reached(durable: Position) -> None:
            self._durable = durable
            self._settle(target, durable)

        pump = Pump(source, reader, target, self._stop, self._report, self._pulse, self._head, reached)
        try:
            last = pump.run(mark, self._tables, state.within)
        except CannotApply as error:
            error.what += f"; the position stays at {self._durable}"
            raise
        self._complete = self._head is not None and last.covers(self._head)

    def _settle(self, target: Target, durable: Position) -> None:
        """Tables whose copy overlapped the log, which is past it now, become like all others."""
        position = self._source_end.engine.position
        due = [f for f in self._tables if f.settles is not None and durable.covers(position(f.settles))]
        if not due:
            return
        live = {f.table.name: f for f in finish(target, [replace(f, settles=None) for f in due])}
        self._tables = [live.get(f.table.name, f) for f in self._tables]
        target.applier.prepare(self._tables)


def _gone(known: StreamState | None, tables: Sequence[Followed]) -> list[Name]:
    """Tables that were followed, and that the selection no longer has."""
    selected = {followed.table.name for followed in tables}
    before = known.tables.items() if known is not None else ()
    return [name for name, old in before if name not in selected and old.phase != "left"]


def is_stream(known: StreamState) -> None:
    if known.phase == "backfill":
        name = known.identity.name
        raise Refused(
            f"{name!r} at the target is a backfill, which has no position in the log to go on from",
            remedy="use another --name with other target tables; or drop the backfill's bookkeeping (replicator drop "
            f"SOURCE TARGET --name {name}) and copy its tables anew, with --truncate",
        )


def strays(source: Source, name: str, known: StreamState | None) -> list[Finding]:
    """A new stream finds objects of an earlier one: its target file was deleted, or another target has that name."""
    if known is not None or not (left := source.strays(name)):
        return []
    return [
        Finding(
            "warn",
            f"the source has objects of another stream named {name!r} that nobody reads now; a slot keeps the log "
            "until its disk is full",
            "if its target is gone: " + " ".join(left),
        )
    ]


def objects(options: Options, known: StreamState | None) -> Objects:
    """What is to be checked at the source: of a stream that runs already, no slot."""
    if known is not None and known.phase == "streaming":
        return Objects(known.identity.publication, known.identity.slot or ALREADY_MADE)
    return options.objects


def carried(source: Source, state: StreamState, tables: Iterable[Followed]) -> list[Followed]:
    tokens = source.carried(state.identity)
    return [replace(followed, carried=tokens.get(followed.table.name, "")) for followed in tables]
