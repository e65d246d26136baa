"""SIGINT and SIGTERM: an orderly end within 10 s, and a second one that ends at once."""

import random
import signal
import sqlite3
import time
from contextlib import closing

import pytest

from tests.support.faults import Running
from tests.support.pair import Pair
from tests.support.wait import until
from tests.support.workload import TABLES, Workload


def ended(running: Running, number: signal.Signals, limit: float = 10.0) -> tuple[int, str]:
    """Send a signal; return exit code and output of a program that ended within `limit` seconds."""
    running.signal(number)
    began = time.monotonic()
    code = running.wait(60)
    took = time.monotonic() - began
    assert took < limit, f"it took {took:.1f} s to end"
    return code, running.stdout() + running.stderr()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_s005_an_orderly_end_under_load(pair18: Pair, rng: random.Random, number: signal.Signals) -> None:
    load = Workload(pair18.database.url, workers=2, seed=rng.randrange(10**6)).create().run(5)
    running = pair18.following()
    with load:
        load.wait_for(50)
        code, output = ended(running, number)
    assert code == 0 and "stopped cleanly at " in running.stdout(), output
    ((position,),) = pair18.rows("SELECT position FROM _replicator_streams")
    assert f"stopped cleanly at {position}" in running.stdout()
    pair18.once()
    pair18.assert_equal(TABLES)


def many_rows(pair: Pair, rows: int = 150_000) -> None:
    pair.database.execute(
        "CREATE TABLE big (id int PRIMARY KEY, a text, b numeric, c timestamptz);"
        f"INSERT INTO big SELECT i, repeat('x', 30), i, '2024-01-01'::timestamptz FROM generate_series(1, {rows}) i"
    )


def copying(pair: Pair) -> bool:
    """Is the copy under way, and not at its end?"""
    try:
        return bool(pair.rows("SELECT 1 FROM _replicator_parts WHERE cursor IS NOT NULL AND NOT done"))
    except sqlite3.OperationalError:
        return False


@pytest.mark.parametrize("once", [True, False])
def test_s005_a_copy_is_left_at_a_chunk(pair18: Pair, once: bool) -> None:
    many_rows(pair18)
    running = pair18.sync(*(("--once",) if once else ()))
    until(lambda: copying(pair18), 30, "a chunk of the copy", pause=0.005)
    code, output = ended(running, signal.SIGTERM)
    if once:
        assert code == 8 and "remedy: run it again" in output, output
    else:
        assert code == 0 and "stopped cleanly at" in output, output
    pair18.database.execute("UPDATE big SET a = 'y' WHERE id % 1000 = 0; DELETE FROM big WHERE id % 1000 = 1")
    pair18.once()
    sums = "SELECT count(*), sum(id), sum(length(a)) FROM big"
    assert pair18.rows(sums) == pair18.database.query(sums)


def test_once_that_is_stopped_while_it_follows_exits_8(pair18: Pair) -> None:
    pair18.database.execute("CREATE TABLE t (id int PRIMARY KEY)")
    pair18.once()
    pair18.database.execute("INSERT INTO t VALUES (1)")
    with closing(sqlite3.connect(pair18.path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        running = pair18.sync("--once")
        running.wait_for_text("another process is writing")
        code, output = ended(running, signal.SIGTERM)
    assert code == 8, output
    pair18.once()
    pair18.assert_equal()


def test_s006_a_lock_of_somebody_else_delays_no_end(pair18: Pair) -> None:
    pair18.database.execute("CREATE TABLE t (id int PRIMARY KEY)")
    running = pair18.following()
    with closing(sqlite3.connect(pair18.path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        pair18.database.execute("INSERT INTO t VALUES (1)")
        running.wait_for_text("another process is writing")
        code, output = ended(running, signal.SIGTERM)
    assert code == 0 and "stopped cleanly at" in output
    assert pair18.rows("SELECT * FROM t") == []
    pair18.once()
    pair18.assert_equal()


def test_s068_the_transaction_is_tried_again_until_the_lock_is_free(pair18: Pair) -> None:
    pair18.database.execute("CREATE TABLE t (id int PRIMARY KEY)")
    running = pair18.following()
    with closing(sqlite3.connect(pair18.path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        pair18.database.execute("INSERT INTO t VALUES (1)")
        running.wait_for_text("another process is writing")
    pair18.catch_up(running)
    pair18.assert_equal()


def test_a_second_signal_ends_at_once(pair18: Pair) -> None:
    pair18.database.execute("CREATE TABLE t (id int PRIMARY KEY)")
    pair18.once()
    pair18.database.execute("INSERT INTO t SELECT generate_series(1, 100)")
    running = pair18.sync(failpoint="row_applied:50=sleep:60")
    until(lambda: write_locked(pair18), 30, "an open transaction of the applier")
    running.signal(signal.SIGTERM)
    time.sleep(0.5)  # nothing shows that the first has arrived; two at once would be one to the kernel
    code, output = ended(running, signal.SIGTERM, limit=2)
    assert code == 130, output
    assert pair18.rows("SELECT * FROM t") == []
    pair18.once()
    pair18.assert_equal()


def test_an_apply_that_does_not_end_is_rolled_back(pair18: Pair) -> None:
    pair18.database.execute("CREATE TABLE t (id int PRIMARY KEY)")
    pair18.once()
    pair18.database.execute("INSERT INTO t SELECT generate_series(1, 100)")
    running = pair18.sync(failpoint="row_applied:50=sleep:60")
    until(lambda: write_locked(pair18), 30, "an open transaction of the applier")
    code, output = ended(running, signal.SIGTERM)
    assert code == 0, output
    assert pair18.rows("SELECT * FROM t") == []
    pair18.once()
    pair18.assert_equal()


def write_locked(pair: Pair) -> bool:
    """Is somebody inside a transaction, and stays there? A beat or a claim is over in a moment."""
    return all(_locked_now(pair) for _ in range(5))


def _locked_now(pair: Pair) -> bool:
    time.sleep(0.05)
    with closing(sqlite3.connect(pair.path, isolation_level=None, timeout=2)) as connection:
        try:
            connection.execute("BEGIN IMMEDIATE")
            return False
        except sqlite3.OperationalError:
            return True
