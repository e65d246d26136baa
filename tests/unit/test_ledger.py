"""The ledger and its fence, in a real SQLite file."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from replicator.engine import Objects
from replicator.errors import Fenced, PositionLost, Refused
from replicator.model.change import Batch, CopyMark, Rows
from replicator.model.schema import Name
from replicator.model.stream import Beat
from replicator.sql.tables import FORMAT_VERSION
from tests.unit.streams import ITEMS, LOOSE, Number, batch, followed, open_target, stream

ROW = Rows(ITEMS, "insert", [(1, 1, "a")], [])


def rows(path: Path) -> int:
    with sqlite3.connect(path) as connection:
        count: int = connection.execute("SELECT count(*) FROM items").fetchone()[0]
    connection.close()
    return count


def test_rows_and_mark_share_a_transaction(tmp_path: Path) -> None:
    path = tmp_path / "t.db"
    with stream(path, ITEMS) as target:
        target.applier.apply(batch(5, ROW))
        state = target.ledger.peek("test")
        assert state is not None and state.mark == "5"
        target.applier.apply(batch(6, Rows(ITEMS, "insert", [(2, 2, "b")], []), complete=False))
        assert rows(path) == 1  # the part is written, and seen by nobody
        target.applier.rollback()
        assert state == target.ledger.peek("test") or target.ledger.peek("test").mark == "5"  # type: ignore[union-attr]
    assert rows(path) == 1


def test_a_claim_fences_the_run_before_it(tmp_path: Path) -> None:
    """The friendly lock is no part of this: both runs are in this process."""
    path = tmp_path / "t.db"
    with stream(path, ITEMS) as first:
        first.applier.apply(batch(1, ROW))
        assert first._lock is not None
        first._lock.release()
        second = open_target(path)
        try:
            state = second.ledger.claim("test", "{}", Objects(), ())
            assert state.mark == "1" and set(state.tables) == {ITEMS.name}
            with pytest.raises(Fenced, match="taken over"):
                first.applier.apply(batch(2, Rows(ITEMS, "insert", [(2, 2, "b")], [])))
            first.applier.rollback()
            with pytest.raises(Fenced):
                first.ledger.record([followed(ITEMS)])
            with pytest.raises(Fenced):
                first.ledger.begin_copy(followed(ITEMS))
            second.applier.prepare([followed(ITEMS)])
            second.applier.apply(batch(2, Rows(ITEMS, "insert", [(3, 3, "c")], [])))
        finally:
            second.close()
    assert rows(path) == 2


def test_a_claim_fences_a_copy_part_too(tmp_path: Path) -> None:
    path = tmp_path / "t.db"
    chunk = Batch((ROW,), (), CopyMark(ITEMS, 0, Number(3), ("1",), False))
    with stream(path, ITEMS) as first:
        first.ledger.begin_copy(followed(ITEMS))
        assert first._lock is not None
        first._lock.release()
        second = open_target(path)
        try:
            second.ledger.claim("test", "{}", Objects(), ())
            with pytest.raises(Fenced):
                first.applier.apply(chunk)
            first.applier.rollback()
            second.applier.prepare([followed(ITEMS)])
            second.applier.apply(chunk)
        finally:
            second.close()
    assert rows(path) == 1


def test_a_mark_that_somebody_moved_stops(tmp_path: Path) -> None:
    path = tmp_path / "t.db"
    with stream(path, ITEMS) as target:
        target.applier.apply(batch(1, ROW))
        with sqlite3.connect(path) as other:
            other.execute("UPDATE _replicator_streams SET position = '9'")
        other.close()
        with pytest.raises(PositionLost, match="changed by somebody else"):
            target.applier.apply(batch(2))
        target.applier.rollback()


@pytest.mark.parametrize("what", ["DELETE FROM _replicator_streams", "UPDATE _replicator_streams SET position = NULL"])
def test_s010_without_a_saved_position_nothing_is_guessed(tmp_path: Path, what: str) -> None:
    path = tmp_path / "t.db"
    with stream(path, ITEMS):
        pass
    with sqlite3.connect(path) as other:
        other.execute(what)
    other.close()
    target = open_target(path)
    try:
        with pytest.raises(PositionLost, match="no saved position for stream test; refusing to guess"):
            target.ledger.claim("test", "{}", Objects(), ())
    finally:
        target.close()


def test_a_table_that_leaves_gets_the_floor_never_with_the_claim(tmp_path: Path) -> None:
    path = tmp_path / "t.db"
    with stream(path, ITEMS, LOOSE) as target:
        state = target.ledger.claim("test", "{}", Objects(), [LOOSE.name])
        assert state.tables[LOOSE.name].phase == "left" and state.tables[LOOSE.name].floor == "never"
        assert state.tables[ITEMS.name].phase == "live" and state.tables[ITEMS.name].floor == "0"


def test_what_is_recorded_comes_back(tmp_path: Path) -> None:
    path = tmp_path / "t.db"
    with stream(path, ITEMS) as target:
        mine = replace(followed(ITEMS), policies={"v": {"as": "text"}}, may_empty=False, floor="7")
        target.ledger.record([mine])
        state = target.ledger.peek("test")
        assert state is not None
        found = state.tables[Name("public", "items")]
        assert (found.policies, found.may_empty, found.made, found.floor) == ({"v": {"as": "text"}}, False, True, "7")
        assert (found.table.columns, found.table.key, found.table.uniques) == (ITEMS.columns, ITEMS.key, ITEMS.uniques)


def test_s013_another_format_version_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "t.db"
    with stream(path, ITEMS):
        pass
    with sqlite3.connect(path) as other:
        other.execute("UPDATE _replicator_format SET version = ?", (FORMAT_VERSION + 1,))
    other.close()
    target = open_target(path)
    try:
        with pytest.raises(Refused, match=f"format version {FORMAT_VERSION + 1}"):
            target.ledger.peek("test")
        with pytest.raises(Refused, match="format version"):
            target.ledger.claim("test", "{}", Objects(), ())
    finally:
        target.close()


@pytest.mark.parametrize("shape", ["", "{}", '{"id": 1}', '{"id":"1","key":[],"columns":[{"name":"a"}],"uniques":[]}'])
def test_a_damaged_shape_is_refused(tmp_path: Path, shape: str) -> None:
    path = tmp_path / "t.db"
    with stream(path, ITEMS):
        pass
    with sqlite3.connect(path) as other:
        other.execute("UPDATE _replicator_tables SET shape = ?", (shape,))
    other.close()
    target = open_target(path)
    try:
        with pytest.raises(Refused, match=r"public\.items cannot be read"):
            target.ledger.peek("test")
    finally:
        target.close()


def test_a_beat_never_fails_the_run(tmp_path: Path) -> None:
    path = tmp_path / "t.db"
    with stream(path, ITEMS) as target:
        target.ledger.beat("test", Beat(1, "here", 1.0, 2.0, "5", 100))
        writer = sqlite3.connect(path, isolation_level=None)
        writer.execute("BEGIN IMMEDIATE")
        target.ledger.beat("test", Beat(1, "here", 1.0, 3.0, "6", 100))
        writer.execute("ROLLBACK")
        assert writer.execute("SELECT pid, at, head FROM _replicator_beats").fetchall() == [(1, 2.0, "5")]
        writer.close()


def test_a_retry_does_not_take_the_stream_back(tmp_path: Path) -> None:
    """A run that lost a peer opens both ends anew; if another run has claimed the stream meanwhile, it is over."""
    path = tmp_path / "t.db"
    with stream(path, ITEMS) as first:
        state = first.ledger.peek("test")
        assert state is not None
        second = first.ledger.claim("test", "{}", Objects(), ())
        with pytest.raises(Fenced, match="taken over"):
            first.ledger.claim("test", "{}", Objects(), (), held=state.epoch)
        assert first.ledger.claim("test", "{}", Objects(), (), held=second.epoch).epoch == second.epoch + 1


@pytest.mark.parametrize("gone", ["format", "streams", "tables", "parts", "beats", "prepared"])
def test_a_bookkeeping_with_a_part_missing_is_refused(tmp_path: Path, gone: str) -> None:
    """Whichever it is: without it nobody knows where the stream stands, and nothing of it is made again."""
    path = tmp_path / "t.db"
    with stream(path, ITEMS) as target:
        target.applier.apply(batch(1, ROW))
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(f"DROP TABLE _replicator_{gone}")
    target = open_target(path)
    try:
        for ask in (target.ledger.names, lambda: target.ledger.peek("test"), lambda: target.ledger.heard("test")):
            with pytest.raises(PositionLost, match=f"bookkeeping at the target is gone: _replicator_{gone}") as found:
                ask()
            assert "sync SOURCE TARGET --truncate" in found.value.remedy
    finally:
        target.close()
