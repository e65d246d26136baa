"""What every engine promises as a source of copies, with or without a log."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import pytest

from replicator.engine import Snapshot
from replicator.errors import PositionLost, Refused
from replicator.model.builder import Limits
from replicator.model.change import CopyMark, Rows
from replicator.model.schema import Name, Table
from replicator.model.selection import Selection
from tests.contracts.engines import COPY_SOURCES, CopySourceUnderTest

WIDE = Limits(1000, 1 << 20)


@pytest.fixture(params=sorted(COPY_SOURCES))
def made(request: pytest.FixtureRequest) -> Iterator[CopySourceUnderTest]:
    with COPY_SOURCES[request.param](request) as found:
        found.execute("CREATE TABLE t (id int PRIMARY KEY, v varchar(20))")
        found.execute("CREATE TABLE loose (v varchar(20))")
        found.execute("INSERT INTO t VALUES (1, 'a'), (2, 'b'), (3, NULL)")
        found.execute("INSERT INTO loose VALUES ('a'), ('a')")
        yield found


def table_of(made: CopySourceUnderTest, name: str = "t") -> Table:
    (table,) = made.source.catalog.tables(Selection((name,)), {}).tables
    return table


def rows(view: Snapshot, table: Table, cursor: tuple[str, ...] | None = None, limits: Limits = WIDE) -> list[object]:
    chunks = list(view.chunks(table, 0, cursor, limits))
    assert [c.mark.done for c in chunks if isinstance(c.mark, CopyMark)] == [False] * (len(chunks) - 1) + [True]
    return [row for chunk in chunks for change in chunk.changes if isinstance(change, Rows) for row in change.rows]


def test_the_catalog_lists_what_was_selected(made: CopySourceUnderTest) -> None:
    table = table_of(made)
    assert table.name == Name(made.source.catalog.default_schema, "t")
    assert (table.names, table.key) == (("id", "v"), ("id",))
    assert table_of(made, "loose").key == ()
    assert [f for f in made.source.copy_findings([table]) if f.level == "refuse"] == []


@pytest.mark.parametrize("limit", [1, 2, 3, 100])
def test_a_view_gives_every_row_once_and_nothing_later(made: CopySourceUnderTest, limit: int) -> None:
    view = made.source.view()
    try:
        made.execute("INSERT INTO t VALUES (0, 'too late')")
        made.execute("INSERT INTO loose VALUES ('too late')")
        limits = Limits(limit, 1 << 20)
        assert view.position is None
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", view.as_of)
        assert rows(view, table_of(made), limits=limits) == [(1, "a"), (2, "b"), (3, None)]
        assert rows(view, table_of(made, "loose"), limits=limits) == [("a",), ("a",)]
        assert view.estimated_rows(table_of(made)) >= 0
    finally:
        view.close()


def test_a_view_goes_on_after_a_cursor(made: CopySourceUnderTest) -> None:
    view = made.source.view()
    try:
        first = next(iter(view.chunks(table_of(made), 0, None, Limits(1, 1 << 20))))
        assert isinstance(first.mark, CopyMark) and first.rows == 1
        assert rows(view, table_of(made), first.mark.cursor) == [(2, "b"), (3, None)]
    finally:
        view.close()


def test_it_knows_itself_and_no_other(made: CopySourceUnderTest) -> None:
    identity = made.source.identity()
    made.source.recognise(identity)
    assert json.loads(identity)["url"]
    with pytest.raises((Refused, PositionLost)):
        made.source.recognise(json.dumps(dict.fromkeys(json.loads(identity), "other")))
