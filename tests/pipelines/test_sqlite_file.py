"""Others at an SQLite target: who writes, who reads for long, who removes files below us, and what is damaged."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.support.pair import Pair

SMALL = "CREATE TABLE t (id int PRIMARY KEY, v int); INSERT INTO t VALUES (1, 0)"


@pytest.fixture
def pair(pair18: Pair) -> Pair:
    pair18.database.execute(SMALL)
    return pair18


def test_s082_another_writer_is_waited_for_and_its_rows_stay(pair: Pair) -> None:
    running = pair.following()
    with closing(sqlite3.connect(pair.path, isolation_level=None)) as other:
        other.execute("CREATE TABLE theirs (v)")
        other.execute("BEGIN IMMEDIATE")
        other.execute("INSERT INTO theirs VALUES (1)")
        pair.database.execute("UPDATE t SET v = 1")
        running.wait_for_text("waiting: another process is writing", 30)
        other.execute("COMMIT")
        pair.catch_up(running)
        assert other.execute("SELECT count(*) FROM theirs").fetchall() == [(1,)]
    pair.assert_equal()


def test_s082_a_reader_of_long_is_not_in_the_way(pair: Pair) -> None:
    running = pair.following()
    with closing(sqlite3.connect(pair.path, isolation_level=None)) as reader:
        reader.execute("BEGIN")
        assert reader.execute("SELECT v FROM t").fetchall() == [(0,)]
        for number in range(1, 20):
            pair.database.execute("UPDATE t SET v = %s", number)
        pair.catch_up(running)
        assert reader.execute("SELECT v FROM t").fetchall() == [(0,)]
        reader.execute("COMMIT")
        assert reader.execute("SELECT v FROM t").fetchall() == [(19,)]
    pair.assert_equal()


@pytest.mark.parametrize("end", ["", "-wal"])
def test_s082_a_file_that_is_removed_below_us_stops(pair: Pair, end: str) -> None:
    """What is written then is nowhere: nothing of it is confirmed to the source."""
    running = pair.following()
    pair.database.execute("UPDATE t SET v = 1")
    pair.catch_up(running)
    gone = Path(f"{pair.path}{end}")
    kept = gone.with_name("kept")
    gone.rename(kept)
    pair.database.execute("UPDATE t SET v = 2")
    assert running.wait(30) == 5, running.stderr()
    assert f"{gone} was removed or replaced while it was being written" in running.stderr()
    if not end:
        kept.rename(gone)
    pair.once()
    pair.assert_equal()


def test_s082_a_file_that_is_replaced_below_us_stops(pair: Pair, tmp_path: Path) -> None:
    running = pair.following()
    with closing(sqlite3.connect(tmp_path / "other.db")) as other:
        other.execute("CREATE TABLE t (id, v)")
    pair.path.rename(tmp_path / "kept.db")
    (tmp_path / "other.db").rename(pair.path)
    pair.database.execute("UPDATE t SET v = 2")
    assert running.wait(30) == 5, running.stderr()
    assert "was removed or replaced" in running.stderr()


def test_s082_a_damaged_file_stops(pair: Pair) -> None:
    pair.database.execute("INSERT INTO t SELECT n, n FROM generate_series(2, 3000) n")
    pair.once()
    with pair.path.open("r+b") as file:
        size = file.seek(0, os.SEEK_END)
        for page in range(1, size // 4096):
            file.seek(page * 4096)
            file.write(os.urandom(200))
    pair.database.execute("UPDATE t SET v = -1 WHERE id = 1500")
    output = pair.once(code=5)
    assert "SQLITE_CORRUPT" in output and "restore it from a backup" in output


def test_s082_a_lock_that_is_never_given_is_tried_again(pair: Pair) -> None:
    """Of the whole file, as a backup takes it."""
    pair.once()
    with closing(sqlite3.connect(pair.path, isolation_level=None)) as other:
        other.execute("PRAGMA locking_mode = EXCLUSIVE")
        other.execute("BEGIN EXCLUSIVE")
        other.execute("CREATE TABLE theirs (v)")
        running = pair.sync()
        running.wait_for_text("another process is writing", 100)
    pair.database.execute("UPDATE t SET v = 3")
    running.wait_for_text("following the log from", 60)
    pair.catch_up(running)
    pair.assert_equal(["public.t"])
