"""Writes batches into an SQL target: the fence first, then the rows, then the mark, in one transaction.

How rows are written (design rules 8 and 9). A batch is compacted to its net effect; net inserts are plain inserts,
and a net update or delete hits exactly one row. Where a unique index objects, the batch is rolled back to its
savepoint and tried in another way: first replayed in commit order; then by deleting exactly the keys that existed and
inserting the final rows. What still collides is a conflict.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import groupby
from typing import Any, Literal

from replicator import failpoints
from replicator.errors import CannotApply, NotUnderstood
from replicator.model.change import Batch, Change, CopyMark, Encoded, Prepared, Resolved, Rows, Truncate
from replicator.model.compact import Entry, Net, compact, named_key
from replicator.model.schema import Name, Table
from replicator.model.stream import Followed
from replicator.model.values import MISSING
from replicator.sql.connect import Session
from replicator.sql.ddl import StorageOf
from replicator.sql.ledger import SqlLedger
from replicator.sql.objection import Objection, Violation
from replicator.sql.overwrite import Overwrite
from replicator.sql.plan import EncodedRow, Plan
from replicator.sql.statements import Dialect
from replicator.sql.writes import Executemany, Writes

PENDING_BYTES = 64 << 20
"""How much of a transaction may wait for its following parts before it is given up as not applicable."""


class SqlApplier:
    def __init__(
        self,
        session: Session,
        ledger: SqlLedger,
        dialect: Dialect,
        storage: StorageOf,
        violation: Callable[[BaseException], Violation | None],
        writes: Writes | None = None,
    ) -> None:
        self._session = session
        self._ledger = ledger
        self._dialect = dialect
        self._storage = storage
        self._violation = violation
        self._writes = writes or Executemany(session)
        self._followed: dict[Name, Followed] = {}
        self._plans: dict[int, Plan] = {}
        self._pending: list[Change] = []
        self._pending_bytes = 0
        self._yielding: set[Name] = set()
        """The tables of the batch whose rows at the target are overwritten."""
        self._singly = failpoints.armed("row_applied")

    def prepare(self, tables: Collection[Followed]) -> None:
        self._followed = {followed.table.name: followed for followed in tables}
        self._plans = {}

    def apply(self, batch: Batch) -> None:
        try:
            self._apply(batch)
        except BaseException:
            self.rollback()
            raise

    def _apply(self, batch: Batch) -> None:
        copy = batch.mark if isinstance(batch.mark, CopyMark) else None
        with self._session.translated():
            if not self._session.in_transaction:
                self._session.begin()
                self._ledger.lock(copy)
            if batch.changes or self._pending:
                self._write(batch)
            if not batch.complete:
                return
            assert batch.mark is not None
            self._ledger.advance(batch.mark)
            if not self._session.is_joined:
                self._commit("chunk" if copy else "target")

    @contextmanager
    def together(self) -> Iterator[None]:
        with self._session.joined():
            yield
        self._commit("chunk")

    def _commit(self, what: Literal["chunk", "target"]) -> None:
        failpoints.hit("chunk_before_commit" if what == "chunk" else "before_target_commit")
        self._session.commit()
        failpoints.hit("chunk_after_commit" if what == "chunk" else "after_target_commit")

    def rollback(self) -> None:
        self._pending, self._pending_bytes = [], 0
        self._session.rollback()

    # The ladder of rule 9

    def _write(self, batch: Batch) -> None:
        changes = [*self._pending, *batch.changes]
        self._yielding.clear()
        self._session.execute("SAVEPOINT batch")
        while not self._in_some_way(changes, batch):
            pass

    def _in_some_way(self, changes: list[Change], batch: Batch) -> bool:
        """Down the ladder; False where a table's rows are to give way, and all is to be tried again."""
        for way in (self._write_net, self._replay, self._rewrite):
            if way == self._rewrite and not batch.complete and self._wait_for_more(changes, batch.size):
                return True
            try:
                self._steps(changes, way)
                break
            except Objection as objection:
                self._session.execute("ROLLBACK TO SAVEPOINT batch")
                if objection.violation == "unique" and way != self._rewrite:
                    continue
                if self._gives_way(objection):
                    return False
                raise self._blame(changes, objection, way) from None
        self._session.execute("RELEASE SAVEPOINT batch")
        self._pending, self._pending_bytes = [], 0
        return True

    def _gives_way(self, objection: Objection) -> bool:
        """May the rows of its table be overwritten, and have not been yet in this batch?"""
        name = objection.table.name
        if objection.violation == "other" or name in self._yielding:
            return False
        if self._followed[name].options.on_conflict == "overwrite":
            self._yielding.add(name)
        return name in self._yielding

    def _steps(self, changes: Iterable[Change], write: Callable[[Plan, list[Rows]], None]) -> None:
        for step in _steps(changes):
            match step:
                case Truncate():
                    for table in step.tables:
                        self._writes.empty(self._plan(table))
                case Encoded():
                    self._load(step, write)
                case Prepared():
                    self._ledger.keep(step)
                case Resolved():
                    self._steps(self._ledger.release(step), write)
                case _:
                    self._rows(self._plan(step[0].table), step, write)

    def _rows(self, plan: Plan, runs: list[Rows], write: Callable[[Plan, list[Rows]], None]) -> None:
        if plan.table.name not in self._yielding:
            write(plan, runs)
        elif count := Overwrite(self._writes, plan, self._failed(plan)).write(runs):
            self._ledger.overwritten(plan.table.name, count)

    def _failed(self, plan: Plan) -> Callable[[str, Sequence[Any], Exception], Exception]:
        def raised(op: str, key: Sequence[Any], error: Exception) -> Exception:
            violation = self._violation(error)
            if violation is None:
                return error
            return self._objection(plan, op, violation, key, self._writes.reason(error))

        return raised

    def _load(self, encoded: Encoded, write: Callable[[Plan, list[Rows]], None]) -> None:
        """As it came, unless a row is looked for: then they are rows like all others."""
        plan = self._plan(encoded.table)
        if self._singly or write != self._write_net or plan.table.name in self._yielding:
            self._rows(plan, [encoded.decoded()], write)
        else:
            self._run(plan, "insert", encoded.count, lambda all_of_it: self._writes.load(plan, encoded), lambda at: [])

    def _wait_for_more(self, changes: list[Change], size: int) -> bool:
        """Keep a part of a transaction until its following parts are there: they may make room for its rows."""
        self._pending_bytes += size
        if self._pending_bytes > PENDING_BYTES:
            raise CannotApply(
                "a unique index at the target objects to a part of a transaction, and the transaction is too large "
                f"(over {PENDING_BYTES >> 20} MiB) to be applied as a whole",
                remedy="drop the unique index at the target until this transaction is applied, or copy the table anew",
            )
        self._pending = changes
        self._session.execute("RELEASE SAVEPOINT batch")
        return True

    def _blame(
        self,
        changes: list[Change],
        objection: Objection,
        write: Callable[[Plan, list[Rows]], None],
    ) -> CannotApply:
        """The error with the key in it: the same again, row by row, which finds the first row that fails."""
        if not objection.key and not self._singly:
            self._singly = True
            try:
                self._steps(changes, write)
            except Objection as found:
                objection = found
            except CannotApply as found:
                return found
        return objection.error(self._followed[objection.table.name], overwriting=bool(self._yielding))

    # Three ways of writing one table's runs

    def _write_net(self, plan: Plan, runs: list[Rows]) -> None:
        if plan.overlaps:
            self._overlay(plan, runs)
        elif not plan.table.key:
            self._replay(plan, runs)
        elif all(run.op == "insert" for run in runs):
            for run in runs:
                self._insert(plan, plan.encode_rows(run.rows))
        else:
            net = compact(plan.table, runs)
            fetched = self._fetch(plan, net, [id(entry) for entry in net.strangers()])
            deletes = plan.encode_keys(net.deletes())
            updates = net.updates()
            keys = plan.encode_keys([key for key, _ in updates])
            rows = [
                fetched.get(id(net.entries[key]), row)
                for (key, _), row in zip(updates, plan.encode_rows([row for _, row in updates]), strict=True)
            ]
            inserts = self._filled(
                plan, [e for e in net.entries.values() if not e.existed and e.row is not None], fetched
            )
            self._delete(plan, deletes)
            self._update(plan, keys, rows)
            self._insert(plan, inserts)

    def _overlay(self, plan: Plan, runs: list[Rows]) -> None:
        """Of a table whose copy may be ahead of the log: what the log says of a key is what it has now, whatever the
        copy had. A later change that the copy has already comes again, and ends as the copy had it."""
        net = compact(plan.table, runs)
        rows = [entry.row for entry in net.entries.values() if entry.row is not None]
        if any(MISSING in row for row in rows):
            raise NotUnderstood(
                f"{plan.table.name}: an update came without its whole row, while the copy and the log overlap",
                remedy="SET GLOBAL binlog_row_image = 'FULL' at the source, or let its user lock tables; then copy the "
                "table anew",
            )
        self._writes.delete(plan, plan.encode_keys(list(net.entries)))
        self._insert(plan, plan.encode_rows(rows))

    def _replay(self, plan: Plan, runs: list[Rows]) -> None:
        if plan.overlaps:
            self._overlay(plan, runs)
            return
        for run in runs:
            if run.op == "insert":
                self._insert(plan, plan.encode_rows(run.rows))
            elif run.op == "delete":
                self._delete(plan, plan.encode_keys(run.keys), replay=True)
            else:
                self._update(plan, plan.encode_keys(run.keys), plan.encode_rows(run.rows), replay=True)

    def _rewrite(self, plan: Plan, runs: list[Rows]) -> None:
        if plan.overlaps or not plan.table.key:
            self._replay(plan, runs)
            return
        net = compact(plan.table, runs)
        fetched = self._fetch(plan, net, [id(entry) for entry in net.partials()])
        rows = self._filled(plan, [entry for entry in net.entries.values() if entry.row is not None], fetched)
        self._delete(plan, plan.encode_keys(net.existed()))
        self._insert(plan, rows)

    def _fetch(self, plan: Plan, net: Net, wanted: Collection[int]) -> dict[int, EncodedRow]:
        """Rows whose MISSING values are read from the target, as it is before the batch, by the entry's identity."""
        fetched: dict[int, EncodedRow] = {}
        for entry in net.entries.values():
            if id(entry) not in wanted:
                continue
            assert entry.row is not None and entry.origin is not None
            (row,) = plan.encode_rows([entry.row])
            columns = tuple(i for i, value in enumerate(row) if value is MISSING)
            (key,) = plan.encode_keys([entry.origin])
            found = self._writes.fetch(plan, columns, key)
            if found is None:
                raise self._objection(plan, "update", None, entry.origin)
            values = iter(found)
            fetched[id(entry)] = [next(values) if value is MISSING else value for value in row]
        return fetched

    @staticmethod
    def _filled(plan: Plan, entries: list[Entry], fetched: dict[int, EncodedRow]) -> list[EncodedRow]:
        encoded = plan.encode_rows([entry.row for entry in entries if entry.row is not None])
        return [fetched.get(id(entry), row) for entry, row in zip(entries, encoded, strict=True)]

    # Statements. In a replay the rows of one run may be the same row.

    def _insert(self, plan: Plan, rows: Sequence[EncodedRow]) -> None:
        def write(some: slice) -> int:
            return self._writes.insert(plan, rows[some])

        self._run(plan, "insert", len(rows), write, lambda at: [rows[at][i] for i in plan.key_at])

    def _delete(self, plan: Plan, keys: Sequence[EncodedRow], *, replay: bool = False) -> None:
        def write(some: slice) -> int:
            return self._writes.delete(plan, keys[some])

        self._run(plan, "delete", len(keys), write, keys.__getitem__, replay=replay)

    def _update(
        self, plan: Plan, keys: Sequence[EncodedRow], rows: Sequence[EncodedRow], *, replay: bool = False
    ) -> None:
        """In order; rows that set the same columns one after another share a statement. Only a replay moves keys."""

        def columns(at: int) -> tuple[int, ...]:
            row, key = rows[at], keys[at]
            moved = replay and any(row[i] != k for i, k in zip(plan.key_at, key, strict=not plan.digested))
            return plan.assigned(row, moved)

        for assigned, some in groupby(range(len(keys)), columns):
            alike = list(some)
            self._update_alike(plan, assigned, keys[alike[0] : alike[-1] + 1], rows[alike[0] : alike[-1] + 1], replay)

    def _update_alike(
        self,
        plan: Plan,
        assigned: tuple[int, ...],
        keys: Sequence[EncodedRow],
        rows: Sequence[EncodedRow],
        replay: bool,
    ) -> None:
        def write(some: slice) -> int:
            return self._writes.update(plan, assigned, keys[some], rows[some])

        self._run(plan, "update", len(keys), write, keys.__getitem__, replay=replay)

    def _run(
        self,
        plan: Plan,
        op: str,
        count: int,
        write: Callable[[slice], int],
        key_at: Callable[[int], Sequence[Any]],
        *,
        replay: bool = False,
    ) -> None:
        """Write that many rows, each hitting exactly one row of the target."""
        if not count:
            return
        singly = self._singly or (replay and not self._writes.in_order)
        for some in (slice(at, at + 1) for at in range(count)) if singly else (slice(0, count),):
            key = key_at(some.start) if some.stop - some.start == 1 else None
            try:
                hit = write(some)
            except Exception as error:
                violation = self._violation(error)
                if violation is None:
                    raise
                raise self._objection(plan, op, violation, key, self._writes.reason(error)) from error
            if hit != some.stop - some.start:
                raise self._objection(plan, op, None, key)
            if self._singly:
                failpoints.hit("row_applied")

    @staticmethod
    def _objection(
        plan: Plan, op: str, violation: Violation | None, key: Sequence[Any] | None, reason: str = ""
    ) -> Objection:
        named = "" if key is None else named_key(plan.table, key)
        return Objection(plan.table, op, violation, named, reason)

    def _plan(self, table: Table) -> Plan:
        plan = self._plans.get(id(table))
        if plan is None:
            plan = Plan(table, self._followed[table.name], self._dialect, self._storage)
            self._plans[id(table)] = plan
        return plan


def _steps(changes: Iterable[Change]) -> Iterator[Truncate | Encoded | Prepared | Resolved | list[Rows]]:
    """Changes in steps that may not be mixed: between all others each table's runs together."""
    tables: dict[int, list[Rows]] = {}
    for change in changes:
        if isinstance(change, Rows):
            tables.setdefault(id(change.table), []).append(change)
        else:
            yield from tables.values()
            tables = {}
            yield change
    yield from tables.values()
