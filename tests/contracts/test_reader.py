"""What every reader of a log promises."""

from __future__ import annotations

import time
from itertools import pairwise, zip_longest

import pytest

from replicator.engine import Prepared
from replicator.errors import PositionLost
from replicator.model.builder import Limits
from replicator.model.change import Rows, StreamMark, Truncate
from replicator.model.stream import Followed
from tests.contracts.engines import SourceUnderTest
from tests.contracts.streams import (
    IDENTITY,
    PATIENCE_S,
    WIDE,
    eventually,
    following,
    next_batch,
    prepare,
    read_until,
    reading,
    rows_of,
    table_of,
)


@pytest.fixture
def made(logged: SourceUnderTest) -> Prepared:
    """A stream of `t` and `other`, its snapshot closed."""
    prepared = prepare(logged, "t", "other")
    prepared.snapshot.close()
    return prepared


@pytest.fixture
def alone(logged: SourceUnderTest, made: Prepared) -> list[Followed]:
    """Only `t` is passed on: what happens in `other` moves the log, and is not for us."""
    other = table_of(logged, "other")
    return [*following(table_of(logged), floor=made.snapshot.position), Followed(other, other.name, "left", "never")]


def position(batch: object) -> object:
    mark = getattr(batch, "mark", None)
    assert isinstance(mark, StreamMark)
    return mark.position


def test_every_change_comes_as_it_was_made(logged: SourceUnderTest, made: Prepared, alone: list[Followed]) -> None:
    logged.execute("INSERT INTO t VALUES (4, 'd')")
    logged.execute("UPDATE t SET v = 'e' WHERE id = 1")
    logged.execute("UPDATE t SET id = 9 WHERE id = 2")
    logged.execute("INSERT INTO other VALUES (1)")
    logged.execute("DELETE FROM t WHERE id = 3")
    head = logged.source.head()
    with reading(logged.source, made.mark, alone) as reader:
        batches = read_until(reader, head)
    changes = [change for batch in batches for change in batch.changes]
    assert all(isinstance(change, Rows) and change.table is alone[0].table for change in changes)
    flat = [(c.op, row, key) for c in changes if isinstance(c, Rows) for row, key in zip_longest(c.rows, c.keys)]
    assert flat == [
        ("insert", (4, "d"), None),
        ("update", (1, "e"), (1,)),
        ("update", (9, "b"), (2,)),
        ("delete", None, (3,)),
    ]
    marks = [batch.mark.position for batch in batches if isinstance(batch.mark, StreamMark)]
    assert all(later.covers(earlier) for earlier, later in pairwise(marks))
    commits = [commit for batch in batches for commit in batch.commits]
    assert len({commit.position for commit in commits}) == len(commits) >= 4
    assert all(abs(commit.committed_at - time.time()) < 60 for commit in commits)


def test_a_truncate_comes_too(logged: SourceUnderTest, made: Prepared, alone: list[Followed]) -> None:
    logged.execute("TRUNCATE TABLE t")
    head = logged.source.head()
    with reading(logged.source, made.mark, alone) as reader:
        changes = [change for batch in read_until(reader, head) for change in batch.changes]
    assert changes == [Truncate((alone[0].table,))]


def test_what_is_waiting_comes_at_once_and_whole(
    logged: SourceUnderTest, made: Prepared, alone: list[Followed]
) -> None:
    """Far sooner than the timeout: nothing waits for a batch to fill."""
    with reading(logged.source, made.mark, alone) as reader:
        logged.execute("INSERT INTO t VALUES (4, 'd'), (5, 'e'), (6, 'f')")
        began = time.monotonic()
        batch = reader.read(20.0, 100.0)
        assert time.monotonic() - began < 10.0
        assert batch is not None and batch.complete
        assert rows_of([batch]) == [(4, "d"), (5, "e"), (6, "f")]
        assert batch.rows == 3 and batch.size > 0 and len(batch.commits) == 1
        assert batch.commits[0].position == position(batch) and batch.commits[0].end == 3


def test_none_after_the_timeout(logged: SourceUnderTest, made: Prepared, alone: list[Followed]) -> None:
    with reading(logged.source, made.mark, alone) as reader:
        began = time.monotonic()
        assert reader.read(0.5, 100.0) is None
        assert 0.4 < time.monotonic() - began < 5.0
        assert reader.read(0.0, 100.0) is None


def test_a_large_transaction_comes_in_parts(logged: SourceUnderTest, made: Prepared, alone: list[Followed]) -> None:
    logged.execute("BEGIN")
    for key in range(10, 45):
        logged.execute(f"INSERT INTO t VALUES ({key}, 'x')")
    logged.execute("COMMIT")
    head = logged.source.head()
    with reading(logged.source, made.mark, alone, Limits(10, 1 << 20)) as reader:
        batches = [batch for batch in read_until(reader, head) if batch.changes or batch.commits]
    assert [key for key, _ in rows_of(batches)] == list(range(10, 45))
    assert len(batches) >= 3 and max(batch.rows for batch in batches) <= 10
    assert [batch.complete for batch in batches] == [False] * (len(batches) - 1) + [True]
    assert all(batch.mark is None and batch.commits == () for batch in batches[:-1])
    assert len(batches[-1].commits) == 1


def test_small_transactions_are_never_cut(logged: SourceUnderTest, made: Prepared, alone: list[Followed]) -> None:
    for key in range(10, 20, 2):
        logged.execute(f"INSERT INTO t VALUES ({key}, 'x'), ({key + 1}, 'y')")
    head = logged.source.head()
    with reading(logged.source, made.mark, alone, Limits(3, 1 << 20)) as reader:
        batches = [batch for batch in read_until(reader, head) if batch.changes]
    assert [key for key, _ in rows_of(batches)] == list(range(10, 20))
    assert all(batch.complete and batch.rows % 2 == 0 for batch in batches)


def test_it_begins_behind_the_position(logged: SourceUnderTest, made: Prepared, alone: list[Followed]) -> None:
    logged.execute("INSERT INTO t VALUES (4, 'd')")
    with reading(logged.source, made.mark, alone) as reader:
        first = next_batch(reader)
    assert rows_of([first]) == [(4, "d")] and isinstance(first.mark, StreamMark)
    logged.execute("INSERT INTO t VALUES (5, 'e')")
    head = logged.source.head()
    with reading(logged.source, first.mark.position, alone) as reader:
        assert rows_of(read_until(reader, head)) == [(5, "e")]


def test_what_is_not_confirmed_comes_again(logged: SourceUnderTest, made: Prepared, alone: list[Followed]) -> None:
    """Ticks in between confirm nothing either: they send feedback, and no more than that."""
    logged.execute("INSERT INTO t VALUES (4, 'd')")
    for _ in range(2):
        with reading(logged.source, made.mark, alone) as reader:
            assert rows_of([next_batch(reader)]) == [(4, "d")]
            for _ in range(20):
                reader.tick()
                time.sleep(0.01)


def test_a_tick_reads_nothing_and_is_cheap(logged: SourceUnderTest, made: Prepared, alone: list[Followed]) -> None:
    with reading(logged.source, made.mark, alone) as reader:
        logged.execute("INSERT INTO t VALUES (4, 'd')")
        time.sleep(0.3)
        began = time.monotonic()
        for _ in range(2000):
            reader.tick()
        assert time.monotonic() - began < 2.0
        assert rows_of([next_batch(reader)]) == [(4, "d")]


def test_what_is_confirmed_is_not_asked_for_again(
    logged: SourceUnderTest, made: Prepared, alone: list[Followed]
) -> None:
    logged.execute("INSERT INTO t VALUES (4, 'd')")
    with reading(logged.source, made.mark, alone) as reader:
        reached = read_until(reader, logged.source.head())[-1].mark
        assert isinstance(reached, StreamMark)
        logged.execute("INSERT INTO t VALUES (5, 'e')")
        assert rows_of([next_batch(reader)]) == [(5, "e")]
    with reading(logged.source, reached.position, alone) as reader:
        assert rows_of([next_batch(reader)]) == [(5, "e")]


def test_seen_is_how_far_it_has_read_for_us(logged: SourceUnderTest, made: Prepared, alone: list[Followed]) -> None:
    with reading(logged.source, made.mark, alone) as reader:
        assert reader.seen().covers(made.mark)
        logged.execute("INSERT INTO t VALUES (4, 'd')")
        head = logged.source.head()
        assert not reader.seen().covers(head)
        batch = next_batch(reader)
        assert isinstance(batch.mark, StreamMark) and reader.seen().covers(batch.mark.position)
        logged.execute("INSERT INTO t VALUES (5, 'e')")
        later = logged.source.head()
        assert not reader.seen().covers(later)
        read_until(reader, later)
        assert reader.seen().covers(later)


def test_a_floor_covers_what_the_copy_has(logged: SourceUnderTest, made: Prepared) -> None:
    """Each table by its own floor: a later snapshot has its rows already."""
    logged.execute("INSERT INTO t VALUES (4, 'd')")
    logged.execute("INSERT INTO other VALUES (4)")
    later = logged.source.snapshot()
    later.close()
    logged.execute("INSERT INTO t VALUES (5, 'e')")
    logged.execute("INSERT INTO other VALUES (5)")
    head = logged.source.head()
    tables = [
        *following(table_of(logged), floor=later.position),
        *following(table_of(logged, "other"), floor=made.snapshot.position),
    ]
    with reading(logged.source, made.mark, tables) as reader:
        assert rows_of(read_until(reader, head)) == [(4,), (5, "e"), (5,)]


def test_where_the_log_moved_on_without_us_there_is_a_mark(
    logged: SourceUnderTest, made: Prepared, alone: list[Followed]
) -> None:
    with reading(logged.source, made.mark, alone) as reader:
        logged.execute("INSERT INTO other VALUES (1)")
        head = logged.source.head()
        batches = read_until(reader, head, idle_after=0.2)
    assert rows_of(batches) == []
    assert all(batch.complete and batch.changes == () for batch in batches)
    assert batches[-1].mark != StreamMark(made.mark)


def test_no_idle_mark_before_what_was_read_is_confirmed(
    logged: SourceUnderTest, made: Prepared, alone: list[Followed]
) -> None:
    logged.execute("CREATE TABLE aside (id int)")
    with reading(logged.source, made.mark, alone) as reader:
        logged.execute("INSERT INTO t VALUES (4, 'd')")
        batch = next_batch(reader)
        assert rows_of([batch]) == [(4, "d")] and isinstance(batch.mark, StreamMark)
        for key in range(3):
            logged.execute(f"INSERT INTO aside VALUES ({key})")
        before = logged.source.head()
        for _ in range(5):
            found = reader.read(0.3, 0.0)
            # The source's own news may come as a transaction without rows; an empty batch without a commit may not.
            assert found is None or found.commits
            if found is not None:
                batch = found
        assert isinstance(batch.mark, StreamMark)
        reader.confirm(batch.mark.position)
        assert read_until(reader, before)[-1].changes == ()


def test_idle_marks_come_at_most_every_so_often(logged: SourceUnderTest, made: Prepared, alone: list[Followed]) -> None:
    """Of a log that moves all the time by what is not in any of our tables."""
    logged.execute("CREATE TABLE aside (id int)")
    with reading(logged.source, made.mark, alone) as reader:
        read_until(reader, logged.source.head())
        times = [time.monotonic()]
        deadline = times[0] + PATIENCE_S
        while len(times) < 3 and time.monotonic() < deadline:
            logged.execute("INSERT INTO aside VALUES (1)")
            batch = reader.read(0.1, 1.0)
            if batch is not None and isinstance(batch.mark, StreamMark):
                assert batch.changes == ()
                reader.confirm(batch.mark.position)
                if not batch.commits:
                    times.append(time.monotonic())
    assert len(times) == 3
    assert all(later - earlier > 0.9 for earlier, later in pairwise(times))


def test_a_waiter_gets_news_of_what_is_not_followed(
    logged: SourceUnderTest, made: Prepared, alone: list[Followed]
) -> None:
    logged.execute("INSERT INTO other VALUES (77)")
    head = logged.source.head()
    with reading(logged.source, made.mark, alone) as reader:
        began = time.monotonic()
        assert rows_of(read_until(reader, head, idle_after=0.0)) == []
        assert time.monotonic() - began < 10.0


def test_after_its_end_it_holds_nothing(keeping: SourceUnderTest) -> None:
    prepared = prepare(keeping)
    prepared.snapshot.close()
    with reading(keeping.source, prepared.mark, following(table_of(keeping))) as reader:
        pass
    reader.close()  # once more does nothing

    def free() -> bool:
        try:
            return keeping.source.drop(IDENTITY) != []
        except Exception:
            return False

    eventually(free)
    keeping.source.reader(IDENTITY, Limits()).close()  # one that was never started


def test_a_waiter_gets_news_of_a_source_where_nothing_happens(keeping: SourceUnderTest) -> None:
    prepared = prepare(keeping)
    prepared.snapshot.close()
    head = keeping.source.head()
    with reading(keeping.source, prepared.mark, following(table_of(keeping))) as reader:
        began = time.monotonic()
        assert rows_of(read_until(reader, head, idle_after=0.0)) == []
        assert time.monotonic() - began < 10.0


def test_a_mark_within_a_transaction(logged: SourceUnderTest) -> None:
    """The changes before it are not passed on again, those of other tables counted too; a source whose schema changes
    are transactions of their own refuses such a mark."""
    prepared = prepare(logged)
    prepared.snapshot.close()
    tables = following(table_of(logged), floor=prepared.mark)
    logged.execute("BEGIN")
    for statement in (
        "INSERT INTO t VALUES (10, 'a')",
        "INSERT INTO t VALUES (11, 'b')",
        "DELETE FROM t WHERE id = 10",
    ):
        logged.execute(statement)
    logged.execute("COMMIT")
    logged.execute("INSERT INTO t VALUES (12, 'c')")
    head = logged.source.head()
    reader = logged.source.reader(IDENTITY, WIDE)
    try:
        try:
            reader.start(prepared.mark, tables, within=2)
        except PositionLost as error:
            assert "2 changes within a transaction" in error.what
            return
        found = [
            (change.op, [row[0] for row in change.rows] or [key[0] for key in change.keys])
            for batch in read_until(reader, head)
            for change in batch.changes
            if isinstance(change, Rows)
        ]
        assert found == [("delete", [10]), ("insert", [12])]
    finally:
        reader.close()
