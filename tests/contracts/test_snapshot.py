"""What every consistent view of a source promises, however it is taken."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from replicator.engine import Snapshot
from replicator.model.builder import Limits
from replicator.model.change import CopyMark
from tests.contracts.engines import CopySourceUnderTest
from tests.contracts.streams import WIDE, read_view, rows_of, table_of

Viewed = tuple[CopySourceUnderTest, Callable[[], Snapshot]]
ROWS = [(1, "a"), (2, "b"), (3, None)]


@pytest.mark.parametrize("limit", [1, 2, 3, 100])
def test_it_gives_every_row_once_in_one_order_and_nothing_later(viewed: Viewed, limit: int) -> None:
    source, take = viewed
    source.execute("INSERT INTO t VALUES (-1, 'first')")
    view = take()
    try:
        source.execute("INSERT INTO t VALUES (0, 'too late')")
        source.execute("DELETE FROM t WHERE id = 1")
        source.execute("UPDATE t SET v = 'changed' WHERE id = 2")
        found = read_view(view, table_of(source), limits=Limits(limit, 1 << 20))
        assert sorted(found) == [(-1, "first"), *ROWS]
        assert found == read_view(view, table_of(source))
    finally:
        view.close()


def test_all_tables_are_seen_at_one_moment(viewed: Viewed) -> None:
    source, take = viewed
    view = take()
    try:
        assert read_view(view, table_of(source)) == ROWS
        source.execute("INSERT INTO other VALUES (1)")
        assert read_view(view, table_of(source, "other")) == []
        assert read_view(view, table_of(source)) == ROWS
    finally:
        view.close()


def test_each_batch_has_the_mark_that_follows_it(viewed: Viewed) -> None:
    source, take = viewed
    view, table = take(), table_of(source)
    try:
        chunks = list(view.chunks(table, 7, None, Limits(1, 1 << 20)))
        for at, chunk in enumerate(chunks):
            mark = chunk.mark
            assert isinstance(mark, CopyMark) and chunk.complete and chunk.commits == ()
            assert (mark.table, mark.part, mark.position) == (table, 7, view.position)
            assert chunk.rows == len(rows_of([chunk])) <= 1
            if at < 3:
                assert chunk.size > 0 and mark.cursor is not None and all(isinstance(key, str) for key in mark.cursor)
                # Taken up there, it gives what the following batches give.
                assert read_view(view, table, mark.cursor) == ROWS[at + 1 :]
    finally:
        view.close()


def test_bytes_end_a_batch_too(viewed: Viewed) -> None:
    source, take = viewed
    view = take()
    try:
        chunks = list(view.chunks(table_of(source), 0, None, Limits(1000, 1)))
        assert max(chunk.rows for chunk in chunks) == 1
        assert rows_of(chunks) == ROWS
    finally:
        view.close()


def test_a_table_without_rows_gives_one_empty_batch(viewed: Viewed) -> None:
    source, take = viewed
    view = take()
    try:
        (only,) = view.chunks(table_of(source, "other"), 0, None, WIDE)
        assert only.rows == 0 and rows_of([only]) == []
        assert isinstance(only.mark, CopyMark) and only.mark.done
    finally:
        view.close()


@pytest.mark.parametrize("limit", [1, 100])
def test_a_table_without_a_key_is_read_whole(copied: CopySourceUnderTest, limit: int) -> None:
    view = copied.source.view()
    try:
        copied.execute("INSERT INTO loose VALUES ('too late')")
        assert read_view(view, table_of(copied, "loose"), limits=Limits(limit, 1 << 20)) == [("a",), ("a",)]
    finally:
        view.close()


def test_a_key_of_two_columns_is_read_in_its_own_order(copied: CopySourceUnderTest) -> None:
    copied.execute("CREATE TABLE pair (b int, a int, PRIMARY KEY (a, b))")
    copied.execute("INSERT INTO pair VALUES (2, 1), (1, 2), (1, 1), (10, 1)")
    view, pair = copied.source.view(), table_of(copied, "pair")
    try:
        expected = sorted(read_view(view, pair), key=lambda row: (row[1], row[0]))
        for limit in (1, 2, 3):
            found = read_view(view, pair, limits=Limits(limit, 1 << 20))
            assert sorted(found, key=repr) == sorted(expected, key=repr) and len(found) == 4
        first = next(iter(view.chunks(pair, 0, None, Limits(2, 1 << 20))))
        assert isinstance(first.mark, CopyMark)
        rest = read_view(view, pair, first.mark.cursor)
        assert sorted(rows_of([first]) + rest, key=repr) == sorted(expected, key=repr)
    finally:
        view.close()


def test_it_says_when_it_was_taken_by_the_sources_clock(viewed: Viewed) -> None:
    """The servers of the tests have this machine's clock."""
    _, take = viewed
    before = datetime.now(UTC)
    first = take()
    first.close()
    time.sleep(0.01)
    view = take()
    after = datetime.now(UTC)
    view.close()
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", view.as_of)
    assert before <= datetime.fromisoformat(first.as_of) < datetime.fromisoformat(view.as_of) <= after


def test_rows_are_estimated_before_they_are_read(viewed: Viewed) -> None:
    source, take = viewed
    view = take()
    try:
        for name in ("t", "other"):
            assert 0 <= view.estimated_rows(table_of(source, name)) < 1_000_000
    finally:
        view.close()


def test_it_ends_with_its_session(viewed: Viewed) -> None:
    source, take = viewed
    view, table = take(), table_of(source)
    begun = view.chunks(table, 0, None, Limits(1, 1 << 20))
    next(begun)
    view.close()
    with pytest.raises(Exception, match=r"(?i)closed|session|gone|connection"):
        list(view.chunks(table, 0, None, WIDE))
    with pytest.raises(Exception, match=r"(?i)closed|session|gone|connection"):
        list(begun)


def test_it_meets_the_log_exactly(viewed: Viewed) -> None:
    """With all rights; what a view without them promises is tested with its engine."""
    _, take = viewed
    view = take()
    try:
        assert view.settles() is None
    finally:
        view.close()
