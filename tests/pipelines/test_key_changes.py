"""Keys that change, that are long enough to be stored apart (TOAST), and updates that carry only a part of the row."""

from __future__ import annotations

import random
import signal
import sqlite3
from contextlib import closing

import pytest

from tests.support.faults import run_replicator
from tests.support.pair import Pair

KEYED = {
    "primary_": "CREATE TABLE {0} (k text PRIMARY KEY, n int, long text)",
    "by_index": "CREATE TABLE {0} (k text NOT NULL, n int PRIMARY KEY, long text); CREATE UNIQUE INDEX {0}_k ON "
    "{0} (k);"
    "ALTER TABLE {0} REPLICA IDENTITY USING INDEX {0}_k",
    "full_": "CREATE TABLE {0} (k text PRIMARY KEY, n int, long text); ALTER TABLE {0} REPLICA IDENTITY FULL",
    "pair": "CREATE TABLE {0} (k text, n int, long text, PRIMARY KEY (n, k))",
    "whole": "CREATE TABLE {0} (k text, n int, long text); ALTER TABLE {0} REPLICA IDENTITY FULL",
}


def on(table: str, change: str) -> str:
    """The change of table `t` on another one."""
    return change.replace(" t ", f" {table} ")


def test_s091_a_long_key(pair: Pair) -> None:
    """A key of 2,400 bytes that is stored apart, beside 100 kB that an update does not carry."""
    for table, create in KEYED.items():
        pair.database.execute(
            f"{create.format(table)}; ALTER TABLE {table} ALTER k SET STORAGE EXTERNAL, ALTER long SET STORAGE "
            f"EXTERNAL;"
            f"ALTER TABLE {table} SET (toast_tuple_target = 128); INSERT INTO {table}"
            " SELECT repeat(chr(96 + i), 2400), i, repeat('0123456789', 10000) FROM generate_series(1, 12) i"
        )
    sizes = pair.database.query(
        "SELECT pg_relation_size(reltoastrelid) FROM pg_class WHERE reltoastrelid <> 0 AND relname = ANY(%s)",
        list(KEYED),
    )
    assert len(sizes) == len(KEYED) and all(size > 12 * 102_000 for (size,) in sizes), "the keys are not stored apart"
    changes = (
        "UPDATE t SET n = 101 WHERE n = 1",
        "UPDATE t SET n = n WHERE n = 2; UPDATE t SET k = k WHERE n = 2; UPDATE t SET long = long WHERE n = 2",
        "UPDATE t SET k = 'short' WHERE n = 3; UPDATE t SET n = 103 WHERE k = 'short'",
        "UPDATE t SET k = repeat('Z', 2500) WHERE n = 4; UPDATE t SET k = repeat('Y', 2500), n = 104 WHERE n = 4",
        "UPDATE t SET long = repeat('other', 20000) WHERE n = 5",
        "UPDATE t SET k = 'swap' WHERE n = 6; UPDATE t SET k = repeat('f', 2400) WHERE n = 7;"
        "UPDATE t SET k = repeat('g', 2400) WHERE n = 6; UPDATE t SET n = n + 100 WHERE n IN (6, 7)",
        "DELETE FROM t WHERE n = 8",
        "DELETE FROM t WHERE n = 9; INSERT INTO t VALUES (repeat('i', 2400), 9, 'again'); UPDATE t SET n = 109 "
        "WHERE n = 9",
        "UPDATE t SET long = NULL, k = k || 'x' WHERE n = 10; UPDATE t SET n = 110 WHERE n = 10",
        "UPDATE t SET k = k || 'y' WHERE n = 11; DELETE FROM t WHERE n = 11",
    )
    running = pair.following()
    for table in KEYED:
        for change in changes:
            pair.database.execute(f"BEGIN; {on(table, change)}; COMMIT")
    pair.catch_up(running)
    pair.assert_equal()
    running.signal(signal.SIGTERM)
    assert running.wait(30) == 0
    last = "UPDATE t SET n = n + 1000; UPDATE t SET k = k || 'end' WHERE n % 2 = 0; UPDATE t SET n = -n"
    for table in KEYED:
        pair.database.execute(on(table, last))
    pair.once()
    pair.assert_equal()


@pytest.mark.parametrize("identity", ["DEFAULT", "FULL"])
def test_s091_random_moves_and_swaps(pair18: Pair, rng: random.Random, identity: str) -> None:
    """Keys of two columns that are moved, swapped, freed and taken again, with values that the log does not repeat."""
    pair = pair18
    pair.database.execute(
        "CREATE TABLE t (a int, b text, x int, long text, PRIMARY KEY (b, a));"
        f"ALTER TABLE t ALTER long SET STORAGE EXTERNAL; ALTER TABLE t REPLICA IDENTITY {identity};"
        "INSERT INTO t SELECT i, 'b', i, repeat(chr(64 + i), 5000) FROM generate_series(1, 20) i"
    )
    running = pair.following()

    def change() -> str:
        one, two = rng.sample(range(1, 24), 2)
        return rng.choice(
            (
                f"UPDATE t SET x = x + 1 WHERE a = {one}",
                f"UPDATE t SET a = -1 WHERE a = {one}; UPDATE t SET a = {one} WHERE a = {two};"
                f"UPDATE t SET a = {two} WHERE a = -1",
                f"DELETE FROM t WHERE a = {one}; UPDATE t SET a = {one}, x = 0 WHERE a = {two}",
                f"DELETE FROM t WHERE a = {one}",
                f"INSERT INTO t VALUES ({one}, 'b', 0, repeat('new', 3000)) ON CONFLICT DO NOTHING",
                f"UPDATE t SET b = 'c' WHERE a = {one}; UPDATE t SET x = 7 WHERE a = {one}; UPDATE t SET b = 'b'",
                f"UPDATE t SET long = repeat('u', 4000) WHERE a = {one}",
                f"UPDATE t SET a = a, b = b, x = x, long = long WHERE a = {one}",
                "UPDATE t SET a = a + 100; UPDATE t SET a = a - 100",
            )
        )

    for at in range(100):
        pair.database.execute("BEGIN; " + "; ".join(change() for _ in range(rng.randint(1, 6))) + "; COMMIT")
        if at == 50:
            running.kill()
            pair.database.execute("; ".join(change() for _ in range(40)))
            running = pair.following()
    pair.catch_up(running)
    pair.assert_equal()


@pytest.mark.parametrize("command", ["sync", "backfill"])
def test_s120_a_target_that_is_not_empty(pair18: Pair, command: str) -> None:
    """Refused before anything is made; then emptied, or kept, as the user says, with a key and without one."""
    pair = pair18
    pair.database.execute(
        "CREATE TABLE t (id int PRIMARY KEY, x text); INSERT INTO t SELECT i, 'new' FROM generate_series(1, 300) i;"
        "CREATE TABLE k (x int); ALTER TABLE k REPLICA IDENTITY FULL; INSERT INTO k VALUES (1), (1);"
        "CREATE TABLE u (id int PRIMARY KEY)"
    )
    pair.hand_over()

    def run(number: int, *args: str) -> tuple[int, str, Pair]:
        other = Pair(pair.database, pair.path.with_name(f"{number}.db"), pair.url)
        with closing(sqlite3.connect(other.path)) as connection, connection:
            connection.execute("CREATE TABLE T (id INTEGER PRIMARY KEY, x TEXT)")
            connection.execute("CREATE TABLE k (x INTEGER)")
            connection.execute("INSERT INTO t VALUES (-1, 'mine')")
            connection.execute("INSERT INTO k VALUES (1)")
        once = ("--once",) if command == "sync" else ()
        with run_replicator([command, other.url, other.target, *once, *args]) as running:
            return running.wait(60), running.stderr(), other

    for args in ((), ("--table", "t", "--table", "u"), ("--map", "u=K", "--exclude", "t", "--exclude", "k")):
        code, output, other = run(1 + len(args), *args)
        assert code == 3 and "not empty" in output and "--truncate" in output and "--append" in output, output
        assert other.rows("SELECT * FROM t") == [(-1, "mine")] and other.rows("SELECT * FROM k") == [(1,)]
        assert pair.slots() == [] and pair.publications() == []
        assert {n for (n,) in other.rows("SELECT name FROM sqlite_master WHERE type = 'table'")} == {"T", "k"}
    code, output, _ = run(10, "--truncate", "--append")
    assert code == 2, output
    code, output, other = run(11, "--truncate")
    assert code == 0, output
    other.assert_equal({"public.t": "T", "public.k": "k", "public.u": "u"})
    code, output, other = run(12, "--append", *(("--name", "second") if command == "sync" else ()))
    assert code == 0, output
    assert other.rows("SELECT count(*), min(id) FROM t") == [(301, -1)] and other.rows("SELECT x FROM k") == [(1,)] * 3
