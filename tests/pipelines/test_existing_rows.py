"""A target that has rows already: refused, emptied or kept, as the user says, and never guessed."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.support.pair import Pair
from tests.support.postgres_pair import PostgresPair

TABLE = "CREATE TABLE t (id int PRIMARY KEY, x text); INSERT INTO t SELECT i, 'new' FROM generate_series(1, 300) i"
MINE = [(-2, "mine"), (-1, "mine")]


@pytest.fixture
def filled(pair18: Pair) -> Pair:
    """A source table, and a target table of somebody else with two rows in it."""
    pair18.database.execute(TABLE)
    with closing(sqlite3.connect(pair18.path)) as connection, connection:
        connection.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, x TEXT)")
        connection.executemany("INSERT INTO t VALUES (?, ?)", MINE)
    return pair18


def mine(pair: Pair) -> list[tuple[object, ...]]:
    return pair.rows("SELECT id, x FROM t WHERE id < 0 ORDER BY id")


def test_s120_a_filled_table_is_refused(filled: Pair) -> None:
    for _ in range(2):
        output = filled.once(code=3)
        assert "the target table for public.t is not empty" in output
        assert "--truncate" in output and "--append" in output
    assert filled.rows("SELECT * FROM t ORDER BY id") == MINE
    assert filled.slots() == [] and filled.publications() == []
    assert filled.rows("SELECT name FROM sqlite_master WHERE type = 'table'") == [("t",)]


def test_s120_truncate_empties_at_the_first_copy_only(filled: Pair) -> None:
    filled.once("--truncate")
    filled.assert_equal()
    filled.database.execute("INSERT INTO t VALUES (1000, 'later')")
    output = filled.once("--truncate")
    assert "copied" not in output
    filled.assert_equal()


def test_s120_append_keeps_the_rows_of_others(filled: Pair) -> None:
    filled.once("--append")
    assert mine(filled) == MINE and filled.rows("SELECT count(*) FROM t") == [(302,)]
    filled.database.execute("UPDATE t SET x = 'y'; DELETE FROM t WHERE id > 100")
    filled.once()
    assert mine(filled) == MINE and filled.rows("SELECT count(*) FROM t WHERE x = 'y'") == [(100,)]


def test_an_appended_copy_that_stopped_goes_on_with_a_policy(pair18: Pair, tmp_path: Path) -> None:
    pair18.database.execute("CREATE TABLE t (id int PRIMARY KEY, x float8); INSERT INTO t VALUES (1, 1.5), (2, 'NaN')")
    with closing(sqlite3.connect(pair18.path)) as connection, connection:
        connection.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, x REAL)")
        connection.execute("INSERT INTO t VALUES (-1, 0.5)")
    assert "policy" in pair18.once("--append", code=5)
    config = tmp_path / "c.toml"
    config.write_text('[columns."public.t.x"]\nnan = "null"\n')
    pair18.once("--append", "--config", str(config))
    assert pair18.rows("SELECT * FROM t ORDER BY id") == [(-1, 0.5), (1, 1.5), (2, None)]


@pytest.mark.parametrize("failpoint", ["chunk_before_commit", "chunk_after_commit", "row_applied:70", "before_confirm"])
@pytest.mark.parametrize("action", ["kill", "raise"])
def test_append_survives_a_kill_at_each_place_of_the_copy(filled: Pair, failpoint: str, action: str) -> None:
    running = filled.sync("--append", "--once", failpoint=f"{failpoint}={action}")
    code = running.wait(60)
    assert code in ((-9,) if action == "kill" and failpoint != "before_confirm" else (0, -9)), running.stderr()
    assert mine(filled) == MINE
    filled.database.execute("UPDATE t SET x = 'y' WHERE id < 50; DELETE FROM t WHERE id = 60")
    filled.once()
    assert mine(filled) == MINE
    ours = filled.rows("SELECT id, x FROM t WHERE id > 0 ORDER BY id")
    assert ours == filled.database.query("SELECT id, x FROM t ORDER BY id")


def test_append_without_a_key_is_never_doubled(pair18: Pair) -> None:
    """Killed just after the copy's one commit: nobody could tell the rows from those of a second copy."""
    pair18.database.execute(
        "CREATE TABLE k (x int); ALTER TABLE k REPLICA IDENTITY FULL; INSERT INTO k VALUES (1), (1)"
    )
    with closing(sqlite3.connect(pair18.path)) as connection, connection:
        connection.execute("CREATE TABLE k (x INTEGER)")
        connection.execute("INSERT INTO k VALUES (1)")
    assert pair18.sync("--append", failpoint="chunk_after_commit=kill").wait(60) == -9
    pair18.once()
    assert pair18.rows("SELECT x FROM k") == [(1,)] * 3


def test_append_with_a_key_that_is_taken_stops(filled: Pair) -> None:
    filled.database.execute("INSERT INTO t VALUES (-1, 'theirs')")
    output = filled.once("--append", code=5)
    assert "public.t (key id=-1)" in output and "remedy: " in output
    assert filled.rows("SELECT * FROM t ORDER BY id") == MINE
    output = filled.once(code=5)
    assert filled.rows("SELECT * FROM t ORDER BY id") == MINE


def test_an_appended_table_is_never_copied_again(filled: Pair) -> None:
    filled.database.execute("CREATE TABLE u (id int PRIMARY KEY)")
    filled.once("--append")
    filled.once("--exclude", "t")
    output = filled.once("--append", code=3)
    assert "--append" in output and "cannot be copied again" in output
    output = filled.once("--truncate", code=3)
    assert mine(filled) == MINE


def test_s075_rows_changed_by_somebody_else_stop_the_stream(pair18: Pair) -> None:
    pair18.database.execute(TABLE)
    pair18.once()
    for spoil, change, mend, key in (
        ("DELETE FROM t WHERE id = 7", "UPDATE t SET x = 'z' WHERE id = 7", "INSERT INTO t VALUES (7, 'new')", "id=7"),
        ("DELETE FROM t WHERE id = 8", "DELETE FROM t WHERE id = 8", "INSERT INTO t VALUES (8, 'new')", "id=8"),
        (
            "INSERT INTO t VALUES (900, 'w')",
            "INSERT INTO t VALUES (900, 'x')",
            "DELETE FROM t WHERE id = 900",
            "id=900",
        ),
    ):
        with closing(sqlite3.connect(pair18.path)) as connection, connection:
            connection.execute(spoil)
        pair18.database.execute(change)
        ((end,),) = pair18.database.query("SELECT (pg_current_wal_insert_lsn() - '0/0')::bigint")
        output = pair18.once(code=5)
        assert f"public.t (key {key})" in output and "remedy: " in output, output
        # An empty mark may have been saved for what came before the change, and nothing behind it.
        assert (pair18.mark() or 0) < end
        with closing(sqlite3.connect(pair18.path)) as connection, connection:
            connection.execute(mend)
        pair18.once()
    pair18.assert_equal()


def test_s076_a_second_unique_value_that_is_taken_stops_the_stream(pair18: Pair) -> None:
    pair18.database.execute("CREATE TABLE t (id int PRIMARY KEY, x text UNIQUE); INSERT INTO t VALUES (1, 'a')")
    pair18.once()
    with closing(sqlite3.connect(pair18.path)) as connection, connection:
        connection.execute("INSERT INTO t VALUES (99, 'taken')")
    pair18.database.execute("INSERT INTO t VALUES (2, 'taken')")
    assert "public.t (key id=2)" in pair18.once(code=5)
    assert pair18.rows("SELECT * FROM t ORDER BY id") == [(1, "a"), (99, "taken")]


def test_a_table_that_changes_its_type_while_its_copy_is_cut_off(pair18: Pair) -> None:
    """The user's column would take the digits of the new texts for numbers."""
    pair18.database.execute("CREATE TABLE a (id int PRIMARY KEY, v int)")
    pair18.database.execute("INSERT INTO a SELECT i, i FROM generate_series(1, 12000) i")
    with closing(sqlite3.connect(pair18.path)) as connection, connection:
        connection.execute("CREATE TABLE a (id INTEGER PRIMARY KEY, v INTEGER)")
    pair18.once(failpoint="chunk_after_commit=kill", code=-9)
    pair18.database.execute("ALTER TABLE a ALTER v TYPE text USING '00' || v")
    assert "column v is declared INTEGER, which may change a value of text" in pair18.once(code=3)


def test_a_copy_of_raw_data_names_the_row_that_is_there(pg_pair: PostgresPair) -> None:
    """Between two PostgreSQL servers a chunk passes as it is; where it is refused, its rows are looked at."""
    pair = pg_pair
    pair.database.execute(
        "CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t SELECT i, i FROM generate_series(1, 300) i"
    )
    pair.copy.execute("CREATE TABLE t (id int PRIMARY KEY, v text CHECK (v <> '250')); INSERT INTO t VALUES (200, 'x')")
    pair.copy.execute(f'GRANT SELECT, INSERT, UPDATE, DELETE ON t TO "{pair.copy.name}_into"')
    output = pair.run("backfill", "--append", code=5)
    assert "public.t (key id=200)" in output
    assert pair.rows("SELECT count(*) FROM t") == [(1,)]
    pair.run("drop")
    output = pair.run("backfill", "--truncate", code=5)
    assert "public.t (key id=250)" in output and "CHECK" in output.upper()


def test_s075_the_source_decides_where_it_is_told_to(pair18: Pair, tmp_path: Path) -> None:
    """Without a new copy; and `status` says how many rows gave way."""
    pair = pair18
    pair.database.execute(
        "CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t SELECT i, 'a' FROM generate_series(1, 9) i"
    )
    pair.once()
    with closing(sqlite3.connect(pair.path)) as connection, connection:
        connection.execute("DELETE FROM t WHERE id IN (1, 2)")
        connection.execute("INSERT INTO t VALUES (10, 'theirs')")
    pair.database.execute(
        "UPDATE t SET v = 'b' WHERE id <= 3; DELETE FROM t WHERE id = 2; INSERT INTO t VALUES (10, 'ours')"
    )
    assert 'on_conflict = "overwrite"' in pair.once(code=5)
    config = tmp_path / "overwrite.toml"
    config.write_text('[table_options."public.t"]\non_conflict = "overwrite"\n')
    pair.once("--config", str(config))
    pair.assert_equal()
    assert "t > t: live" in (said := pair.run("status")) and "3 rows overwritten" in said
    pair.database.execute("UPDATE t SET v = 'c'")
    pair.once()
    pair.assert_equal()
