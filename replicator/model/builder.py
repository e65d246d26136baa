"""Collects a reader's row changes into runs, and cuts them into batches at transaction ends.

The protocol decoder calls `begin`, `row` for each change, and `commit`; `take` gives what may be applied. A batch
holds whole transactions, or one part of a transaction that is larger than the limits.
"""

from __future__ import annotations

from dataclasses import dataclass

from replicator.model.change import Batch, Change, Commit, Operation, Prepared, Resolved, Rows, StreamMark, Truncate
from replicator.model.position import Position
from replicator.model.schema import Table
from replicator.model.values import Row


@dataclass(frozen=True)
class Limits:
    """How large a batch may grow; one of the two is enough to end it. `bytes` counts what came from the source."""

    rows: int = 5_000
    bytes: int = 4 << 20


class Builder:
    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.open = False
        """Is a transaction being read?"""
        self._whole: list[Change] = []
        self._whole_rows = 0
        self._whole_bytes = 0
        self._commits: list[Commit] = []
        self._prepared: str | None = None
        self._parts = 0
        self._applied = 0
        self.within = 0
        """How many changes of the open transaction have been read, as the log carries them."""
        self._drop_open()

    def _drop_open(self) -> None:
        self._changes: list[Change] = []
        self._rows = 0
        self._bytes = 0
        self._run: Rows | None = None
        self._savepoints: dict[str, tuple[int, int, int]] = {}

    def begin(self, prepared: str | None = None) -> None:
        """`prepared`: the transaction's name, if this is the first of its two phases."""
        self.open = True
        self._prepared = prepared
        self._parts = 0
        self.within = 0

    def skip(self, applied: int) -> None:
        """So many changes of the first transaction are applied already (`StreamMark.within`)."""
        self._applied = applied

    def passes(self) -> bool:
        """One more change, as the log carries it, whether or not it is for us; False where it is applied already."""
        self.within += 1
        return self.within > self._applied

    def row(self, table: Table, op: Operation, row: Row | None, key: Row | None, size: int) -> None:
        """One row change: the new row (None for a delete) and the key as it was before (None for an insert)."""
        run = self._run
        if run is None or run.table is not table or run.op != op:
            run = self._run = Rows(table, op, [], [])
            self._changes.append(run)
        if row is not None:
            run.rows.append(row)
        if key is not None:
            run.keys.append(key)
        self._rows += 1
        self._bytes += size

    def rows(self, table: Table, op: Operation, rows: list[Row], keys: list[Row], size: int) -> None:
        """The same for many changes at once: both lists as in `Rows`."""
        run = self._run
        if run is None or run.table is not table or run.op != op:
            self._run = Rows(table, op, rows, keys)
            self._changes.append(self._run)
        else:
            run.rows.extend(rows)
            run.keys.extend(keys)
        self._rows += max(len(rows), len(keys))
        self._bytes += size

    def truncate(self, tables: tuple[Table, ...]) -> None:
        self._run = None
        self._changes.append(Truncate(tables))
        self._rows += 1

    def resolve(self, xid: str, commit: bool, tables: tuple[Table, ...]) -> None:
        """The second phase of a transaction, also of the open one."""
        self._wrap()
        self._prepared = None
        self._run = None
        self._changes.append(Resolved(xid, commit, tables))
        self._rows += 1

    def savepoint(self, name: str) -> None:
        self._run = None
        self._savepoints[name] = len(self._changes), self._rows, self._bytes

    def roll_back_to(self, name: str) -> bool:
        """Forget what came after the savepoint; False where it is unknown, or lies in a part that was taken."""
        if name not in self._savepoints:
            return False
        changes, self._rows, self._bytes = self._savepoints[name]
        del self._changes[changes:]
        self._run = None
        return True

    def discard(self) -> bool:
        """Forget the open transaction; False where a part of it was taken."""
        if self._parts:
            return False
        self._drop_open()
        self.open = False
        return True

    def _wrap(self) -> None:
        if self._prepared is not None:
            changes = tuple(change for change in self._changes if isinstance(change, Rows | Truncate))
            self._changes = [Prepared(self._prepared, changes)]

    def commit(self, position: Position, committed_at: float, xid: int) -> None:
        """The open transaction is whole: it joins those before it."""
        self._wrap()
        changes = self._changes
        if changes and self._whole:
            first, last = changes[0], self._whole[-1]
            if isinstance(first, Rows) and isinstance(last, Rows) and first.table is last.table and first.op == last.op:
                last.rows.extend(first.rows)
                last.keys.extend(first.keys)
                del changes[0]
        self._whole.extend(changes)
        self._whole_rows += self._rows
        self._whole_bytes += self._bytes
        self._commits.append(Commit(position, committed_at, xid, self._whole_rows))
        self._applied = 0
        self._drop_open()
        self.open = False

    def cut(self, position: Position) -> Batch:
        """What the open transaction has so far, as a batch that is durable by itself: for a target whose DDL commits,
        before a schema change in the middle of a transaction. `position`: that of the last transaction before it.

        Everything before the transaction must have been taken.
        """
        assert self.open and not self._commits
        self._wrap()
        batch = Batch(
            tuple(self._changes),
            (),
            StreamMark(position, self.within),
            complete=True,
            size=self._bytes,
            rows=self._rows,
        )
        self._drop_open()
        return batch

    @property
    def full(self) -> bool:
        """Is there as much as one batch may hold?"""
        return (
            self._whole_rows + self._rows >= self.limits.rows
            or self._whole_bytes + self._bytes >= self.limits.bytes
            or len(self._commits) >= self.limits.rows
        )

    def take(self) -> Batch | None:
        """The whole transactions so far; if there are none and the limits are reached, a part of the open one."""
        if self._commits:
            batch = Batch(
                tuple(self._whole),
                tuple(self._commits),
                StreamMark(self._commits[-1].position),
                complete=True,
                size=self._whole_bytes,
                rows=self._whole_rows,
            )
            self._whole, self._commits = [], []
            self._whole_rows = self._whole_bytes = 0
            return batch
        if self.open and self.full:
            self._wrap()
            self._parts += 1
            part = Batch(tuple(self._changes), (), None, complete=False, size=self._bytes, rows=self._rows)
            self._drop_open()
            return part
        return None
