"""What the suites do with a source and a target, in the words of the protocols alone."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from replicator.engine import Objects, Prepared, Reader, Snapshot, Source, Target
from replicator.model.builder import Limits
from replicator.model.change import Batch, CopyMark, Rows, StreamMark
from replicator.model.position import Position
from replicator.model.schema import Table
from replicator.model.selection import Selection
from replicator.model.stream import Followed, Identity, StreamState
from replicator.model.values import Row
from tests.contracts.engines import CopySourceUnderTest, SourceUnderTest, TargetUnderTest
from tests.unit.streams import ITEMS, LOOSE, Number, batch, followed

__all__ = ["ITEMS", "LOOSE", "Number", "batch"]
IDENTITY = Identity("contract", "0123456789abcdef" * 2)
WIDE = Limits(1000, 1 << 20)
PATIENCE_S = 30.0


# Sources


def table_of(source: CopySourceUnderTest, name: str = "t") -> Table:
    (table,) = source.source.catalog.tables(Selection((name,)), {}).tables
    return table


def following(*tables: Table, floor: Position | None = None) -> list[Followed]:
    return [Followed(table, table.name, "live", None if floor is None else str(floor)) for table in tables]


def prepare(source: SourceUnderTest, *names: str, identity: Identity = IDENTITY) -> Prepared:
    tables = following(*(table_of(source, name) for name in names or ("t",)))
    return source.source.prepare(identity, tables)


def rows_of(batches: Sequence[Batch]) -> list[Row]:
    return [row for each in batches for change in each.changes if isinstance(change, Rows) for row in change.rows]


def read_view(view: Snapshot, table: Table, cursor: tuple[str, ...] | None = None, limits: Limits = WIDE) -> list[Row]:
    """All rows behind a cursor, in chunks of which only the last is done."""
    chunks = list(view.chunks(table, 0, cursor, limits))
    assert [c.mark.done for c in chunks if isinstance(c.mark, CopyMark)] == [False] * (len(chunks) - 1) + [True]
    return rows_of(chunks)


@contextmanager
def reading(
    source: Source,
    start: Position,
    tables: Sequence[Followed],
    limits: Limits | None = None,
    identity: Identity = IDENTITY,
) -> Iterator[Reader]:
    reader = source.reader(identity, limits or Limits())
    try:
        reader.start(start, tables)
        yield reader
    finally:
        reader.close()


def next_batch(reader: Reader, idle_after: float = 10.0) -> Batch:
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        if (found := reader.read(0.2, idle_after)) is not None:
            return found
    raise AssertionError("nothing came")


def read_until(reader: Reader, position: Position, idle_after: float = 0.0) -> list[Batch]:
    """Everything up to a position, each batch confirmed as if it had been applied."""
    found: list[Batch] = []
    while True:
        found.append(next_batch(reader, idle_after))
        mark = found[-1].mark
        if isinstance(mark, StreamMark):
            reader.confirm(mark.position)
            if mark.position.covers(position):
                return found


# Targets


@dataclass(frozen=True)
class Stream:
    """A stream `s` that is under way, as its runner has it. `items` has a key and a unique index, `loose` neither."""

    end: TargetUnderTest
    target: Target
    items: Followed
    loose: Followed

    def state(self, name: str = "s") -> StreamState:
        """By another connection, so only what is durable."""
        target = self.end.make()
        assert target.look()
        state = target.ledger.peek(name)
        target.close()
        assert state is not None
        return state

    def rows(self, table: str = "items") -> list[tuple[Any, ...]]:
        """Sorted, and by another connection."""
        return sorted(self.end.query(f"SELECT * FROM {table}"), key=repr)

    def keys(self) -> list[int]:
        return [row[0] for row in self.rows()]

    def another_run(self, stream: str = "s") -> Target:
        """A second runner that has claimed the stream. It is opened under another name: the friendly lock of `open`
        is no part of the fence."""
        target = self.end.make()
        target.open("second")
        target.ledger.claim(stream, "{}", Objects(), ())
        target.applier.prepare([self.items, self.loose])
        return target


def landed(end: TargetUnderTest, table: Table, **more: Any) -> Followed:
    return replace(followed(table), **{"target": end.name(table.name.name), **more})


def begin(end: TargetUnderTest, target: Target) -> Stream:
    items, loose = landed(end, ITEMS), landed(end, LOOSE)
    target.ledger.claim("s", "{}", Objects(), ())
    target.structure.create([items, loose], ())
    target.structure.finish([items, loose])
    target.ledger.record([items, loose], mark=Number(0), phase="streaming")
    target.applier.prepare([items, loose])
    return Stream(end, target, items, loose)


def insert(*keys: int, table: Table = ITEMS) -> Rows:
    return Rows(table, "insert", [(key, key, "x") if table is ITEMS else (key, "x") for key in keys], [])


def chunk(table: Table, *keys: int, done: bool = False, position: int | None = 0) -> Batch:
    """A part of a copy, up to the last of these keys."""
    at = None if position is None else Number(position)
    mark = CopyMark(table, 0, at, (str(keys[-1]),) if keys else None, done)
    return Batch((insert(*keys, table=table),) if keys else (), (), mark, rows=len(keys), size=1)


def eventually(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < deadline, "it did not come to that"
        time.sleep(0.05)
