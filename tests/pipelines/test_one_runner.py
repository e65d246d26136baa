"""One runner a stream, and what a frozen one may still do: nothing."""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing

import pytest

from tests.support.faults import freeze, frozen, thaw
from tests.support.pair import Pair
from tests.support.wait import until


def prepare(pair: Pair) -> None:
    pair.database.execute("CREATE TABLE t (id int PRIMARY KEY, v int); INSERT INTO t VALUES (1, 0)")
    pair.once()


def test_s009_a_second_runner_is_refused(pair18: Pair) -> None:
    prepare(pair18)
    first = pair18.following()
    before = pair18.saved()
    output = pair18.once(code=3)
    assert "stream 'default' is already running (pid " in output and "since " in output and "remedy:" in output
    assert pair18.saved()[0][:2] == before[0][:2]
    pair18.database.execute("UPDATE t SET v = 1")
    pair18.catch_up(first)
    pair18.assert_equal(["public.t"])


def test_s009_the_lock_is_free_after_a_kill(pair18: Pair) -> None:
    prepare(pair18)
    first = pair18.following()
    first.kill()
    first.wait(10)
    pair18.database.execute("UPDATE t SET v = 2")
    pair18.once()
    pair18.assert_equal(["public.t"])


def test_another_stream_into_the_same_file_runs_beside(pair18: Pair) -> None:
    prepare(pair18)
    pair18.database.execute("CREATE TABLE u (id int PRIMARY KEY); INSERT INTO u VALUES (1)")
    first = pair18.following("--table", "public.t")
    other = Pair(pair18.database, pair18.path, pair18.url, name="other")
    try:
        pair18.hand_over()
        other.once("--table", "public.u")
        pair18.database.execute("UPDATE t SET v = 3; INSERT INTO u VALUES (2)")
        other.once("--table", "public.u")
        pair18.catch_up(first)
    finally:
        other.close()
    pair18.assert_equal(["public.t", "public.u"])


@pytest.mark.rotating
@pytest.mark.timeout(240)
def test_s009_frozen_inside_an_apply(pair18: Pair) -> None:
    """It holds SQLite's write lock. A second run starts within 90 s, and the first, thawed, writes nothing."""
    prepare(pair18)
    first = pair18.following(failpoint="before_target_commit:1=sleep:600")
    pair18.database.execute("UPDATE t SET v = 4")
    until(lambda: holds_write_lock(pair18), 30, "the apply to hold the write lock")
    freeze(first.pid)
    try:
        pair18.database.execute("UPDATE t SET v = 5; INSERT INTO t VALUES (2, 2)")
        began = time.monotonic()
        second = pair18.following()
        assert time.monotonic() - began < 90
        pair18.catch_up(second)
        pair18.assert_equal(["public.t"])
    finally:
        thaw(first.pid)
    assert first.wait(30) != 0
    pair18.database.execute("UPDATE t SET v = v + 1")
    pair18.catch_up(second)
    pair18.assert_equal(["public.t"])


@pytest.mark.timeout(240)
@pytest.mark.rotating
def test_s009_frozen_outside_an_apply(pair18: Pair) -> None:
    """It holds nothing but the friendly lock: the fence stops it when it is thawed."""
    prepare(pair18)
    first = pair18.following()
    with frozen(first.pid):
        pair18.database.execute("UPDATE t SET v = 5; INSERT INTO t VALUES (2, 2)")
        second = pair18.following()
        pair18.catch_up(second)
    pair18.database.execute("UPDATE t SET v = v + 1; INSERT INTO t VALUES (3, 3)")
    assert first.wait(60) == 3, first.stderr()
    assert "taken over by another run" in first.stderr()
    pair18.catch_up(second)
    pair18.assert_equal(["public.t"])


def holds_write_lock(pair: Pair) -> bool:

    with closing(sqlite3.connect(pair.path, timeout=0, isolation_level=None)) as connection:
        try:
            connection.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError:
            return True
        connection.execute("ROLLBACK")
        return False
