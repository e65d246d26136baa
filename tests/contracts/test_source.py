"""What every engine with a log promises as a source."""

from __future__ import annotations

import time
from collections.abc import Iterator
from itertools import pairwise, zip_longest

import pytest

from replicator.engine import Objects, Prepared, Reader
from replicator.model.builder import Limits
from replicator.model.change import Batch, CopyMark, Rows, StreamMark
from replicator.model.position import Position
from replicator.model.schema import Name, Table
from replicator.model.selection import Selection
from replicator.model.stream import Followed, Identity
from tests.contracts.engines import SOURCES, SourceUnderTest

IDENTITY = Identity("contract", "0123456789abcdef" * 2)


@pytest.fixture(params=sorted(SOURCES))
def made(request: pytest.FixtureRequest) -> Iterator[SourceUnderTest]:
    with SOURCES[request.param](request) as found:
        found.execute("CREATE TABLE t (id int PRIMARY KEY, v varchar(20))")
        found.execute("CREATE TABLE other (id int PRIMARY KEY)")
        found.execute("INSERT INTO t VALUES (1, 'a'), (2, 'b'), (3, NULL)")
        yield found


def table_of(made: SourceUnderTest) -> Table:
    (table,) = made.source.catalog.tables(Selection(("t",)), {}).tables
    return table


def prepare(made: SourceUnderTest, table: Table) -> Prepared:
    assert [f for f in made.source.findings([Followed(table, table.name)], Objects()) if f.level == "refuse"] == []
    return made.source.prepare(IDENTITY, [Followed(table, table.name)])


def read_until(reader: Reader, position: Position, idle_after: float = 10.0) -> list[Batch]:
    """Everything up to a position, each batch confirmed as if it had been applied."""
    found: list[Batch] = []
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        batch = reader.read(0.2, idle_after)
        if batch is None:
            continue
        found.append(batch)
        if isinstance(batch.mark, StreamMark):
            reader.confirm(batch.mark.position)
            if batch.mark.position.covers(position):
                return found
    raise AssertionError("the reader did not get there")


def test_the_catalog_lists_what_was_selected(made: SourceUnderTest) -> None:
    table = table_of(made)
    assert table.name == Name(made.source.catalog.default_schema, "t")
    assert (table.names, table.key) == (("id", "v"), ("id",))
    everything = made.source.catalog.tables(Selection(), {}).tables
    assert sorted(found.name.name for found in everything) == ["other", "t"]


@pytest.mark.parametrize("rows", [1, 2, 100])
def test_a_snapshot_gives_every_row_once_in_key_order(made: SourceUnderTest, rows: int) -> None:
    table = table_of(made)
    prepared = prepare(made, table)
    made.execute("INSERT INTO t VALUES (0, 'too late')")
    try:
        chunks = list(prepared.snapshot.chunks(table, 0, None, Limits(rows, 1 << 20)))
    finally:
        prepared.snapshot.close()
    found = [row for chunk in chunks for change in chunk.changes if isinstance(change, Rows) for row in change.rows]
    assert found == [(1, "a"), (2, "b"), (3, None)]
    marks = [chunk.mark for chunk in chunks]
    assert all(isinstance(mark, CopyMark) and mark.position == prepared.snapshot.position for mark in marks)
    assert [mark.done for mark in marks if isinstance(mark, CopyMark)] == [False] * (len(marks) - 1) + [True]


def test_snapshot_and_log_meet_at_one_point(made: SourceUnderTest) -> None:
    table = table_of(made)
    prepared = prepare(made, table)
    floor = prepared.snapshot.position
    prepared.snapshot.close()
    made.execute("INSERT INTO t VALUES (4, 'd')")
    made.execute("UPDATE t SET v = 'e' WHERE id = 1")
    made.execute("UPDATE t SET id = 9 WHERE id = 2")
    made.execute("DELETE FROM t WHERE id = 3")
    made.execute("INSERT INTO other VALUES (1)")
    head = made.source.head()
    reader = made.source.reader(IDENTITY, Limits())
    try:
        reader.start(prepared.mark, [Followed(table, table.name, "live", str(floor))])
        batches = read_until(reader, head, idle_after=0.0)
    finally:
        reader.close()
    changes = [change for batch in batches for change in batch.changes]
    assert all(isinstance(change, Rows) and change.table is table for change in changes)
    flat = [(c.op, row, key) for c in changes if isinstance(c, Rows) for row, key in zip_longest(c.rows, c.keys)]
    assert flat == [
        ("insert", (4, "d"), None),
        ("update", (1, "e"), (1,)),
        ("update", (9, "b"), (2,)),
        ("delete", None, (3,)),
    ]
    marks = [batch.mark.position for batch in batches if isinstance(batch.mark, StreamMark)]
    assert all(later.covers(earlier) for earlier, later in pairwise(marks))


def test_what_is_not_confirmed_comes_again(made: SourceUnderTest) -> None:
    table = table_of(made)
    prepared = prepare(made, table)
    prepared.snapshot.close()
    made.execute("INSERT INTO t VALUES (4, 'd')")
    followed = [Followed(table, table.name, "live", str(prepared.snapshot.position))]
    for _ in range(2):
        reader = made.source.reader(IDENTITY, Limits())
        try:
            reader.start(prepared.mark, followed)
            batch = None
            deadline = time.monotonic() + 30
            while batch is None and time.monotonic() < deadline:
                batch = reader.read(0.2, 10.0)
        finally:
            reader.close()
        assert batch is not None
        assert [change.rows for change in batch.changes if isinstance(change, Rows)] == [[(4, "d")]]


def test_a_floor_covers_what_the_copy_has(made: SourceUnderTest) -> None:
    """A later snapshot has the row already; the log gives only what came after it."""
    table = table_of(made)
    prepared = prepare(made, table)
    prepared.snapshot.close()
    made.execute("INSERT INTO t VALUES (4, 'd')")
    later = made.source.snapshot()
    later.close()
    made.execute("INSERT INTO t VALUES (5, 'e')")
    head = made.source.head()
    reader = made.source.reader(IDENTITY, Limits())
    try:
        reader.start(prepared.mark, [Followed(table, table.name, "live", str(later.position))])
        batches = read_until(reader, head, idle_after=0.0)
    finally:
        reader.close()
    rows = [row for b in batches for change in b.changes if isinstance(change, Rows) for row in change.rows]
    assert rows == [(5, "e")]
