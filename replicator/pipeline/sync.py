"""`sync`: copy what is missing, then follow the log until stopped."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace

from replicator import failpoints
from replicator.engine import Endpoint, Engine, Finding, Objects, Policies, Snapshot, Source, Target
from replicator.errors import LoginRefused, Refused, Retryable, Unfinished
from replicator.model.builder import Limits
from replicator.model.position import Position
from replicator.model.saved import save_shape
from replicator.model.schema import Name, Table
from replicator.model.selection import Selection
from replicator.model.stream import Followed, StreamState
from replicator.pipeline.copying import copy, finish
from replicator.pipeline.preflight import admit
from replicator.pipeline.progress import Report
from replicator.pipeline.pump import Pump
from replicator.pipeline.retry import until_done
from replicator.pipeline.stop import Stop

log = logging.getLogger("replicator")
READ = Limits(rows=5_000, bytes=2 << 20)


@dataclass(frozen=True)
class SyncOptions:
    """What the user asked for, validated."""

    name: str
    selection: Selection
    objects: Objects = field(default_factory=Objects)
    policies: Policies = field(default_factory=dict)
    truncate: bool = False
    append: bool = False
    once: bool = False
    give_up_s: float | None = None


@dataclass(frozen=True)
class End:
    engine: Engine
    endpoint: Endpoint


class Sync:
    """One run of a stream. `run` returns the last mark's text, None if it was stopped before there was one."""

    def __init__(self, source: End, target: End, options: SyncOptions, stop: Stop, report: Report) -> None:
        self._source_end = source
        self._target_end = target
        self._options = options
        self._stop = stop
        self._report = report
        self._progressed = False
        self._complete = False
        self._let_in = False
        self._head: Position | None = None
        self._mark: str | None = None

    def run(self) -> str | None:
        options = self._options
        until_done(self._attempt, lambda: self._progressed, self._stop, options.give_up_s)
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
        self._progressed = False
        with ExitStack() as ends:
            target = self._target_end.engine.target(self._target_end.endpoint)
            ends.callback(target.close)
            self._stop.cancel = target.cancel
            admit(target.findings())
            source = self._source_end.engine.source(self._source_end.endpoint, log.warning)
            ends.callback(source.close)
            known = target.ledger.peek(self._options.name)
            tables = self._choose(source, target, known)
            if self._options.once and self._head is None:
                self._head = source.head()
            if known is not None:
                source.recognise(known.source)
            target.open(self._options.name)
            leave = [name for name in (known.tables if known else ()) if name not in {t.table.name for t in tables}]
            state = target.ledger.claim(self._options.name, source.identity(), self._options.objects, leave)
            self._let_in = True
            self._leave(state, leave)
            if state.phase == "preparing":
                mark = self._first(source, target, state, tables)
            else:
                mark = self._resume(source, target, state, tables)
            if mark is not None:
                self._follow(source, target, mark)

    # What to follow

    def _choose(self, source: Source, target: Target, known: StreamState | None) -> list[Followed]:
        """The tables of the selection: as the ledger has them, or new. Raises Refused with everything in the way."""
        options, catalog = self._options, source.catalog
        listing = catalog.tables(options.selection, options.policies)
        places = self._target_end.engine.places
        landing = options.selection.land((t.name for t in listing.tables), catalog.default_schema, places)
        if not listing.tables and not any(finding.level == "refuse" for finding in listing.findings):
            raise Refused("no table matches", remedy="look at --table and --exclude; the default is public.*")
        kept = known.tables if known is not None and known.phase != "preparing" else {}
        tables = [self._followed(table, landing[table.name], kept) for table in listing.tables]
        fresh = [f for f in tables if f.phase in ("chosen", "left")]
        findings: list[Finding] = list(listing.findings)
        if known is None or fresh:
            findings += source.findings([f.table for f in fresh], self._objects(known))
        findings += target.structure.findings(fresh, known.tables if known else {})
        findings += self._filled(target, fresh, known)
        admit(findings)
        return tables

    def _objects(self, known: StreamState | None) -> Objects:
        if known is not None and known.phase != "preparing":
            return Objects(known.identity.publication, known.identity.slot or "already made")
        return self._options.objects

    def _followed(self, table: Table, target: Name, kept: Mapping[Name, Followed]) -> Followed:
        policies = self._options.policies.get(table.name, {})
        old = kept.get(table.name)
        if old is None or old.phase in ("chosen", "left"):
            made, may_empty = (False, False) if old is None else (old.made, old.may_empty)
            return Followed(table, target, made=made, may_empty=may_empty, policies=policies)
        if old.target != target or _plain(old.policies) != _plain(policies):
            raise Refused(
                f"{table.name} was copied into {old.target.name} with other --map or [columns] settings",
                remedy=f"take the settings back, or copy it anew: run once with --exclude '{table.name}', then without",
            )
        if old.phase == "copying" and save_shape(old.table) != save_shape(table):
            return replace(old, table=table)
        return old

    def _filled(self, target: Target, tables: Sequence[Followed], known: StreamState | None) -> list[Finding]:
        """A target table with rows in it that are not ours is refused, unless the user said what to do with them."""
        found: list[Finding] = []
        before = known.tables if known else {}
        for name, how in target.structure.survey(tables).items():
            mine = before.get(name)
            if how != "filled":
                continue
            if mine is not None and mine.floor is not None:
                if not mine.may_empty:
                    found.append(_appended(name))
                continue
            if self._options.truncate or self._options.append:
                continue
            found.append(
                Finding(
                    "refuse",
                    f"the target table for {name} is not empty, and there is no saved position for it in stream "
                    f"{self._options.name}; refusing to guess",
                    "empty it, or pass --truncate (its rows are deleted) or --append (its rows stay)",
                )
            )
        return found

    def _leave(self, state: StreamState, leave: Iterable[Name]) -> None:
        for name in leave:
            log.warning("%s is not followed any more; its copy stays as it is", name)

    # The first run, and every later one

    def _first(self, source: Source, target: Target, state: StreamState, tables: list[Followed]) -> Position | None:
        """`preparing` ends in the transaction that writes the first mark and the floors, before the first row."""
        tables = self._survey(target, state, tables)
        target.ledger.record(tables)
        prepared = source.prepare(state.identity, [f.table for f in tables])
        try:
            failpoints.hit("ddl_before")
            target.structure.create(tables, self._reshaped(state, tables))
            failpoints.hit("ddl_after")
            tables = [replace(f, floor=str(prepared.snapshot.position)) for f in tables]
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
        source.follow(state.identity, [f.table for f in tables])
        finish(target, [f for f in tables if f.phase == "copied"])
        self._tables = [replace(f, phase="live") if f.phase == "copied" else f for f in tables]
        pending = [f for f in self._tables if f.phase in ("chosen", "copying")]
        if not pending:
            return mark
        pending = self._survey(target, state, pending)
        target.ledger.record(pending)
        snapshot = source.snapshot()
        try:
            target.structure.create(pending, self._reshaped(state, pending))
            return mark if self._copy(snapshot, target, pending) else None
        finally:
            snapshot.close()

    def _survey(self, target: Target, state: StreamState, tables: list[Followed]) -> list[Followed]:
        """Record, before anything is made, which tables are ours to make and to empty."""
        stands = target.structure.survey(tables)
        surveyed = []
        for followed in tables:
            old = state.tables.get(followed.table.name)
            how = stands[followed.table.name]
            if old is not None and old.floor is not None:
                may_empty = old.may_empty or how != "filled"
            else:
                may_empty = how != "filled" or self._options.truncate
            made = how == "absent" or (old is not None and old.made)
            surveyed.append(replace(followed, made=made, may_empty=may_empty))
        return surveyed

    @staticmethod
    def _reshaped(state: StreamState, tables: Iterable[Followed]) -> list[Name]:
        """Tables whose target, if we made it, has a shape that is no longer theirs."""
        return [
            f.table.name
            for f in tables
            if (old := state.tables.get(f.table.name))
            and (save_shape(old.table) != save_shape(f.table) or _plain(old.policies) != _plain(f.policies))
        ]

    def _copy(self, snapshot: Snapshot, target: Target, tables: list[Followed]) -> bool:
        live = {f.table.name: f for f in copy(snapshot, target, tables, self._report, self._stop)}
        self._tables = [live.get(f.table.name, f) for f in self._tables]
        self._progressed = self._progressed or bool(live)
        return len(live) == len(tables)

    def _follow(self, source: Source, target: Target, mark: Position) -> None:
        assert mark is not None
        state = target.ledger.peek(self._options.name)
        assert state is not None
        target.applier.prepare(self._tables)
        self._report.following(str(mark))
        reader = source.reader(state.identity, READ)
        pump = Pump(source, reader, target, state.identity, self._stop, self._report, self._head)
        try:
            last = pump.run(mark, self._tables)
        finally:
            self._progressed = self._progressed or pump.applied
            if pump.durable is not None:
                self._mark = str(pump.durable)
        self._complete = self._head is not None and last.covers(self._head)


def _appended(name: Name) -> Finding:
    return Finding(
        "refuse",
        f"{name} was copied into a target table that had rows of its own (--append), and cannot be copied again: "
        "nobody can tell its rows from them",
        "empty the target table yourself, or map the source table to another one",
    )


def _plain(policies: Mapping[str, Mapping[str, str]]) -> dict[str, dict[str, str]]:
    return {column: dict(chosen) for column, chosen in policies.items() if chosen}


def _wanted(name: Name, tables: Sequence[Followed]) -> bool:
    return any(f.table.name == name and f.phase not in ("chosen", "left") for f in tables)
