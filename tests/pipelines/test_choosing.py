"""Tables that come, go and come back; tables that are not what they were; and targets that are not ours."""

from __future__ import annotations

import signal
import sqlite3
import time
from contextlib import closing

import pytest

from tests.support.pair import Pair
from tests.support.wait import until


def two_tables(pair: Pair) -> None:
    pair.database.execute(
        "CREATE TABLE a (id int PRIMARY KEY, x text, y text); INSERT INTO a VALUES (1, 'x', 'y');"
        "CREATE TABLE b (id int PRIMARY KEY, x text); INSERT INTO b VALUES (1, 'x')"
    )


def execute(pair: Pair, *statements: str) -> None:
    with closing(sqlite3.connect(pair.path, isolation_level=None)) as connection:
        for statement in statements:
            connection.execute(statement)


# A column that is dropped and added again as the last one leaves the same RELATION: seen at the next start.
SAME_NAME = [
    "ALTER TABLE a DROP COLUMN x; ALTER TABLE a ADD COLUMN x text",
    "ALTER TABLE a DROP COLUMN y; ALTER TABLE a ADD COLUMN y text",
    "ALTER TABLE a RENAME x TO z; ALTER TABLE a RENAME y TO x; ALTER TABLE a RENAME z TO y",
]


@pytest.mark.parametrize("ddl", SAME_NAME)
def test_s098_another_column_under_the_same_name(pair18: Pair, ddl: str) -> None:
    two_tables(pair18)
    pair18.once()
    pair18.database.execute(ddl)
    pair18.database.execute("INSERT INTO a (id) VALUES (2)")
    before = pair18.saved()
    output = pair18.once(code=5)
    assert "public.a" in output and "took its name" in output
    assert pair18.saved() == before
    pair18.once("--exclude", "public.a")
    pair18.once()
    pair18.assert_equal(["public.a", "public.b"])


@pytest.mark.parametrize("ddl", [SAME_NAME[0], SAME_NAME[2]])
def test_s098_another_column_under_the_same_name_while_following(pair18: Pair, ddl: str) -> None:
    two_tables(pair18)
    running = pair18.following()
    pair18.database.execute(ddl)
    pair18.database.execute("INSERT INTO a (id) VALUES (2)")
    assert running.wait(60) == 5
    assert "public.a: its columns are now in the order" in running.stderr()


def test_s102_a_table_that_a_publication_of_all_tables_has_anew(pair18: Pair) -> None:
    two_tables(pair18)
    pair18.database.execute("CREATE PUBLICATION everything FOR ALL TABLES")
    config = pair18.path.with_suffix(".toml")
    config.write_text('publication = "everything"\n')
    pair18.once("--config", str(config))
    pair18.database.execute("DROP TABLE a; CREATE TABLE a (id int PRIMARY KEY, x text, y text)")
    output = pair18.once("--config", str(config), code=5)
    assert "public.a" in output and "made again" in output
    pair18.once("--config", str(config), "--exclude", "a")
    pair18.once("--config", str(config))
    pair18.assert_equal(["public.a", "public.b"])


def test_a_table_that_left_before_its_copy_began_is_nobodys(pair18: Pair) -> None:
    """Killed in `preparing`; then somebody makes a table of that name with a row of his own."""
    two_tables(pair18)
    pair18.once(failpoint="slot_created:1=kill", code=-signal.SIGKILL)
    pair18.once("--exclude", "public.b")
    execute(
        pair18, "CREATE TABLE IF NOT EXISTS b (id INTEGER PRIMARY KEY, x TEXT)", "INSERT INTO b VALUES (777, 'mine')"
    )
    output = pair18.once(code=3)
    assert "public.b" in output and "refusing to guess" in output
    assert pair18.rows("SELECT * FROM b") == [(777, "mine")]


def test_append_of_two_tables_is_tried_again_and_resumed(pair18: Pair) -> None:
    two_tables(pair18)
    ddl = ["CREATE TABLE {} (id INTEGER PRIMARY KEY, x TEXT, y TEXT)", "INSERT INTO {} VALUES (777, 'mine', NULL)"]
    execute(pair18, *(text.format(name) for name in "ab" for text in ddl))
    pair18.once("--append", failpoint="chunk_before_commit:1=raise")
    pair18.database.execute("INSERT INTO a VALUES (2, '', ''); INSERT INTO b VALUES (2, '')")
    pair18.once()
    for table in "ab":
        assert pair18.rows(f"SELECT id FROM {table} ORDER BY id") == [(1,), (2,), (777,)]


def test_a_returning_table_survives_a_hiccup(pair18: Pair) -> None:
    two_tables(pair18)
    pair18.once()
    pair18.once("--exclude", "b")
    pair18.database.execute("UPDATE b SET x = 'later'")
    pair18.once(failpoint="slot_created:1=raise")
    pair18.assert_equal(["public.a", "public.b"])
    pair18.once("--exclude", "b")
    pair18.once(failpoint="slot_created:1=kill", code=-signal.SIGKILL)
    pair18.once()
    pair18.assert_equal(["public.a", "public.b"])


def test_a_target_of_another_stream_is_refused(pair18: Pair) -> None:
    two_tables(pair18)
    pair18.database.execute("TRUNCATE a")
    pair18.once("--table", "public.a")
    other = Pair(pair18.database, pair18.path, pair18.url, name="other")
    try:
        output = other.once("--table", "public.b", "--map", "public.b=A", code=3)
    finally:
        other.close()
    assert "stream 'default' writes" in output


def test_s076_a_conflict_clause_of_the_table_decides_nothing(pair18: Pair) -> None:
    two_tables(pair18)
    clause = "CREATE TABLE b (id INTEGER PRIMARY KEY ON CONFLICT REPLACE, x TEXT UNIQUE ON CONFLICT ROLLBACK)"
    pair18.path.touch()
    execute(pair18, clause)
    pair18.once()
    execute(pair18, "INSERT INTO b VALUES (2, 'planted')")
    pair18.database.execute("INSERT INTO b VALUES (2, 'ours')")
    assert "public.b (key id=2)" in pair18.once(code=5)
    assert pair18.rows("SELECT * FROM b WHERE id = 2") == [(2, "planted")]


def test_names_of_indexes_meet_nothing(pair18: Pair) -> None:
    pair18.database.execute(
        'CREATE TABLE t (id int PRIMARY KEY, a int, b int); CREATE UNIQUE INDEX "X" ON t (b);'
        "CREATE UNIQUE INDEX x ON t (a); CREATE UNIQUE INDEX x2 ON t (a);"
        "CREATE TABLE t_x (id int PRIMARY KEY); INSERT INTO t VALUES (1, 1, 1)"
    )
    pair18.once()
    pair18.assert_equal(["public.t", "public.t_x"])
    assert len(pair18.rows("SELECT 1 FROM sqlite_master WHERE type = 'index' AND tbl_name = 't'")) == 2


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_s006_a_signal_while_the_source_waits_for_a_lock(pair18: Pair, number: signal.Signals) -> None:
    """The main thread is inside the driver and cannot see the signal."""
    two_tables(pair18)
    locker = pair18.database.connect()
    locker.autocommit = False
    pair18.hand_over()
    locker.cursor().execute("LOCK TABLE a IN ACCESS EXCLUSIVE MODE")
    running = pair18.sync()
    waiting = "SELECT 1 FROM pg_locks WHERE NOT granted AND database = (SELECT oid FROM pg_database WHERE datname = %s)"
    until(lambda: bool(pair18.database.query(waiting, pair18.database.name)), 30, "the wait for the lock")
    running.signal(number)
    began = time.monotonic()
    assert running.wait(30) == 0
    assert time.monotonic() - began < 10.5
    locker.rollback()


def test_a_second_signal_ends_at_once_even_there(pair18: Pair) -> None:
    two_tables(pair18)
    locker = pair18.database.connect()
    locker.autocommit = False
    pair18.hand_over()
    locker.cursor().execute("LOCK TABLE a IN ACCESS EXCLUSIVE MODE")
    running = pair18.sync()
    waiting = "SELECT 1 FROM pg_locks WHERE NOT granted AND database = (SELECT oid FROM pg_database WHERE datname = %s)"
    until(lambda: bool(pair18.database.query(waiting, pair18.database.name)), 30, "the wait for the lock")
    running.signal(signal.SIGTERM)
    time.sleep(0.3)
    running.signal(signal.SIGTERM)
    assert running.wait(5) == 130
    locker.rollback()


def test_s054_taken_out_of_the_publication_and_put_back_while_stopped(pair18: Pair) -> None:
    """Nothing shows it but the membership, which the ledger keeps."""
    two_tables(pair18)
    pair18.once()
    name, _ = pair18.publications()
    pair18.database.execute(f"ALTER PUBLICATION {name} DROP TABLE a, b")
    pair18.database.execute("UPDATE a SET x = 'lost'")
    pair18.database.execute(f"ALTER PUBLICATION {name} ADD TABLE a, b")
    before = pair18.saved()
    output = pair18.once(code=4)
    assert "table public.a, public.b in publication" in output and "put back" in output
    assert "replicator recopy SOURCE TARGET 'public.a' 'public.b'" in output
    assert pair18.saved() == before
    pair18.run("recopy", "public.b")
    pair18.once("--exclude", "public.a")
    pair18.once()
    pair18.assert_equal(["public.a", "public.b"])


def test_tables_that_stay_keep_their_place_when_others_come_and_go(pair18: Pair) -> None:
    two_tables(pair18)
    pair18.once("--exclude", "b")
    pair18.once()
    pair18.once("--exclude", "b")
    pair18.database.execute("UPDATE a SET x = 'kept'; UPDATE b SET x = 'later'")
    pair18.once()
    pair18.assert_equal(["public.a", "public.b"])


@pytest.mark.parametrize("command", [("sync", "--once"), ("backfill", "--restart")])
def test_another_place_is_not_ours_because_the_last_one_was(pair18: Pair, command: tuple[str, ...]) -> None:
    """Whether a target table may be emptied or made anew was decided for the place that the table had then."""
    pair18.database.execute(
        "CREATE TABLE a (id int PRIMARY KEY); CREATE TABLE b (id int PRIMARY KEY); INSERT INTO b VALUES (1)"
    )
    pair18.run(*command)
    if command[0] == "sync":
        pair18.once("--exclude", "public.b")
    with closing(sqlite3.connect(pair18.path)) as connection, connection:
        connection.execute("CREATE TABLE other (id INTEGER PRIMARY KEY)")
        connection.execute("INSERT INTO other VALUES (7)")
    moved = (*command, "--map", "public.b=other")
    assert "the target table for public.b is not empty" in pair18.run(*moved, code=3)
    assert pair18.rows("SELECT id FROM other") == [(7,)]
    pair18.run(*moved, "--append", code=-9, failpoint="chunk_before_commit=kill")
    pair18.run(*moved, "--append")
    assert pair18.rows("SELECT id FROM other ORDER BY 1") == [(1,), (7,)]
    assert pair18.rows("SELECT id FROM b") == [(1,)]


def test_a_table_that_somebody_made_after_a_kill_is_not_ours(pair18: Pair) -> None:
    """The ledger says that we make it, and it has rows: nobody has copied any yet."""
    pair18.database.execute("CREATE TABLE a (id int PRIMARY KEY, v text); INSERT INTO a VALUES (1, 'x')")
    pair18.once(code=-9, failpoint="ddl_before=kill")
    with closing(sqlite3.connect(pair18.path)) as connection, connection:
        connection.execute("CREATE TABLE a (id INTEGER PRIMARY KEY, v TEXT, note TEXT)")
        connection.execute("INSERT INTO a VALUES (-1, 'mine', 'note')")
    pair18.once("--append")
    assert pair18.rows("SELECT * FROM a ORDER BY 1") == [(-1, "mine", "note"), (1, "x", None)]


def test_two_first_runs_into_one_place(pair18: Pair) -> None:
    """Both have looked at the ledger before either writes there: the second may not empty the table."""
    pair18.database.execute(
        "CREATE SCHEMA s; CREATE TABLE a (id int PRIMARY KEY); CREATE TABLE s.a (id int PRIMARY KEY);"
        "CREATE TABLE z (id int PRIMARY KEY); INSERT INTO a VALUES (1); INSERT INTO s.a VALUES (2)"
    )
    pair18.once("--table", "public.z", "--name", "zero")
    with closing(sqlite3.connect(pair18.path, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        runs = {
            1: pair18.sync("--once", "--table", "public.a", "--name", "one"),
            2: pair18.sync("--once", "--table", "s.a", "--map", "s.a=A", "--name", "two"),
        }
        time.sleep(4)  # both wait for the file
        connection.execute("ROLLBACK")
    codes = {row: run.wait(60) for row, run in runs.items()}
    assert sorted(codes.values()) == [0, 3], [run.stderr() for run in runs.values()]
    assert pair18.rows("SELECT id FROM a") == [(row,) for row, code in codes.items() if code == 0]


@pytest.mark.parametrize("command", [("sync", "--once"), ("backfill",)])
def test_a_copy_that_somebody_dropped_is_not_complete(pair18: Pair, command: tuple[str, ...]) -> None:
    pair18.database.execute("CREATE TABLE a (id int PRIMARY KEY); INSERT INTO a VALUES (1)")
    pair18.run(*command)
    with closing(sqlite3.connect(pair18.path)) as connection, connection:
        connection.execute("DROP TABLE a")
    assert "the target table of public.a is gone" in pair18.run(*command, code=3)
    pair18.run(*(("recopy", "a") if command[0] == "sync" else ("backfill", "--restart")))
    pair18.run(*command)
    pair18.assert_equal()
