"""`backfill`: one snapshot, no log, nothing made at the source; resumed after a crash, with each table's time told."""

import re
import signal
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.pipelines.test_bad_input import TABLE
from tests.support.databases import SOURCE_GRANTS, PostgresDatabase
from tests.support.faults import run_replicator
from tests.support.pair import Pair
from tests.support.servers.postgres import private_postgres
from tests.support.servers.standby import standby_of
from tests.support.wait import until

TABLES = """
CREATE TABLE a (id int PRIMARY KEY, v text);
CREATE TABLE b (k text, n int, PRIMARY KEY (k, n));
CREATE TABLE bare (x int, y text);
CREATE TABLE deferred (id int PRIMARY KEY DEFERRABLE, v text);
CREATE TABLE none (id int PRIMARY KEY);
INSERT INTO a SELECT i, repeat('x', i % 90) FROM generate_series(1, 25000) i;
INSERT INTO b SELECT 'k' || i % 7, i FROM generate_series(1, 300) i;
INSERT INTO bare SELECT i % 3, NULL FROM generate_series(1, 50) i;
INSERT INTO deferred VALUES (1, 'a');
"""
CHUNKS = ["chunk_before_commit", "chunk_after_commit"]


@pytest.fixture
def source(pair18: Pair) -> Pair:
    pair18.database.execute(TABLES)
    return pair18


def nothing_at_the_source(pair: Pair) -> None:
    assert pair.slots() == [] and pair.publications() == []


def times(pair: Pair) -> set[str]:
    return {time for (time,) in pair.rows("SELECT as_of FROM _replicator_tables")}


def test_every_table_as_of_one_time(pair: Pair) -> None:
    """Also those that no log could be followed for; the role has SELECT alone."""
    pair.database.execute(TABLES)
    url = pair.database.role(None, grants=SOURCE_GRANTS)
    with run_replicator(["backfill", url, pair.target]) as running:
        assert running.wait(60) == 0, running.stderr()
        said = running.stdout()
    pair.assert_equal()
    nothing_at_the_source(pair)
    (time,) = times(pair)
    assert f"copied 5 tables, as of {time}" in said
    ((now,),) = pair.database.query("SELECT to_char(now() AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI')")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", time) and time[:13] in (now[:13], time[:13])


@pytest.mark.parametrize("level", ["replica", "minimal"])
def test_no_log_is_needed(tmp_path: Path, level: str) -> None:
    settings = {"wal_level": level, "max_wal_senders": "0", "max_replication_slots": "0"}
    with private_postgres(18, settings) as own, PostgresDatabase(own.server) as database:
        database.execute(TABLES)
        with Pair(database, tmp_path / "copy.db") as pair:
            assert "ready: 5 tables to be copied" in pair.run("check", "--backfill")
            pair.run("backfill")
            pair.assert_equal()


def test_writers_change_nothing_of_the_snapshot(source: Pair) -> None:
    source.database.execute("CREATE TABLE z (id int PRIMARY KEY); INSERT INTO z SELECT generate_series(1, 9)")
    source.hand_over()
    with run_replicator(["backfill", source.url, source.target], failpoint="chunk_after_commit:1=sleep:3") as running:
        running_rows = until_copied(source)
        source.database.execute(
            "DELETE FROM z; DELETE FROM b; UPDATE a SET v = 'late'; INSERT INTO a VALUES (0, 'late')"
        )
        assert running.wait(60) == 0, running.stderr()
    assert running_rows > 0
    assert source.rows("SELECT count(*), max(v = 'late') FROM a") == [(25000, 0)]
    assert source.rows("SELECT (SELECT count(*) FROM z), (SELECT count(*) FROM b)") == [(9, 300)]


def until_copied(pair: Pair) -> int:
    """Wait for the first rows at the target; how many."""

    def some() -> int:
        try:
            return int(pair.rows("SELECT count(*) FROM a")[0][0])
        except sqlite3.OperationalError:
            return 0

    until(lambda: some() > 0, 60, "the first rows", pause=0.01)
    return some()


@pytest.mark.parametrize("failpoint", [*CHUNKS, "chunk_before_commit:3", "chunk_after_commit:4", "ddl_before"])
def test_s117_a_killed_backfill_goes_on_and_tells_the_times(source: Pair, failpoint: str) -> None:
    code = 0 if failpoint == "ddl_before" else -9  # a place that backfill does not have
    source.run("backfill", code=code, failpoint=f"{failpoint}=kill")
    finished = set(live(source))
    source.database.execute("INSERT INTO a VALUES (-1, 'later'); INSERT INTO b VALUES ('later', 0)")
    said = source.run("backfill", code=8 if finished and len(finished) < 5 else 0)
    assert finished <= set(live(source)) and len(live(source)) == 5
    if finished and len(finished) < 5:
        assert "as of 2 different times" in said and "--restart" in said
        for name, time in source.rows("SELECT source_name, as_of FROM _replicator_tables"):
            assert f"{time}  public.{name}" in said
        assert len(times(source)) == 2
        # Once more: it is still of two times, and says so; nothing is copied.
        assert "copied public" not in source.run("backfill", code=8)
    said = source.run("backfill", "--restart")
    assert "copied 5 tables, as of" in said and len(times(source)) == 1
    source.assert_equal()
    nothing_at_the_source(source)


FINISHED = "SELECT source_name FROM _replicator_tables WHERE phase IN ('copied', 'live')"


def live(pair: Pair) -> list[str]:
    try:
        return [name for (name,) in pair.rows(FINISHED)]
    except sqlite3.OperationalError:
        return []


def test_a_restart_that_is_killed_is_gone_on_with(source: Pair) -> None:
    """What the earlier copy had is of no use to the one that was begun anew."""
    source.run("backfill")
    (before,) = times(source)
    source.run("backfill", "--restart", code=-9, failpoint="chunk_after_commit:2=kill")
    source.run("backfill", code=0 if not live(source) else 8)
    assert before not in times(source)
    source.assert_equal()


def test_a_complete_backfill_copies_nothing(source: Pair) -> None:
    source.run("backfill")
    source.database.execute("INSERT INTO a VALUES (-1, 'later')")
    for option in ("--truncate", "--append", "--give-up-after=9"):
        assert "nothing to copy: 5 tables are complete" in source.run("backfill", option)
    assert source.rows("SELECT count(*) FROM a") == [(25000,)]


@pytest.fixture
def filled(source: Pair) -> Iterator[Pair]:
    """A target table with a hundred rows of somebody else."""
    with closing(sqlite3.connect(source.path)) as connection, connection:
        connection.execute("CREATE TABLE a (id INTEGER PRIMARY KEY, v TEXT)")
        connection.executemany("INSERT INTO a VALUES (?, 'mine')", [(-i,) for i in range(1, 101)])
    yield source


def mine(pair: Pair) -> list[tuple[object, ...]]:
    return pair.rows("SELECT count(*), count(DISTINCT id), min(v), max(v) FROM a WHERE id < 0")


KEPT = [(100, 100, "mine", "mine")]


def test_s120_a_filled_target_is_refused(filled: Pair) -> None:
    said = filled.run("backfill", code=3)
    assert "the target table for public.a is not empty" in said and "--truncate" in said and "--append" in said
    assert mine(filled) == KEPT and filled.rows("SELECT count(*) FROM sqlite_master") == [(1,)]


def test_s120_truncate(filled: Pair) -> None:
    filled.run("backfill", "--truncate")
    filled.assert_equal()


@pytest.mark.parametrize("failpoint", [f"{name}:{n}" for name in CHUNKS for n in (1, 2, 3)] + ["row_applied:20000"])
def test_s120_append_keeps_the_rows_of_others_whatever_happens(filled: Pair, failpoint: str) -> None:
    filled.run("backfill", "--append", code=-9, failpoint=f"{failpoint}=kill")
    assert mine(filled) == KEPT
    filled.run("backfill", "--append", code=8 if live(filled) else 0)
    assert mine(filled) == KEPT and filled.rows("SELECT count(*) FROM a WHERE id > 0") == [(25000,)]
    said = filled.run("backfill", "--restart", code=3)
    assert "--append" in said and "cannot be copied again" in said
    assert mine(filled) == KEPT


def test_a_signal_ends_it_unfinished(source: Pair) -> None:
    source.hand_over()
    with run_replicator(["backfill", source.url, source.target], failpoint="chunk_after_commit:2=sleep:2") as running:
        until_copied(source)
        running.signal(signal.SIGTERM)
        assert running.wait(20) == 8, running.stderr()
        assert "left: " in running.stderr() and "public.none" in running.stderr()
    source.run("backfill", code=8 if live(source) else 0)
    source.assert_equal()


def test_the_view_is_lost_and_taken_again(source: Pair) -> None:
    """The server ends all our sessions in the middle of a copy: a new view, and the times say so."""
    source.hand_over()
    with run_replicator(["backfill", source.url, source.target], failpoint="chunk_after_commit:2=sleep:2") as running:
        until_copied(source)
        source.database.query(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'replicator' "
            "AND datname = current_database()"
        )
        assert running.wait(60) in (0, 8), running.stderr()
        assert "trying again" in running.stderr()
    source.assert_equal()


def test_names_belong_to_one_command(source: Pair) -> None:
    source.run("backfill")
    said = source.once(code=3)
    assert "is a backfill" in said and "replicator drop" in said
    source.run("drop")
    source.database.execute("DROP TABLE bare, deferred")
    source.once("--truncate")
    assert "is a stream that `sync` follows" in source.run("backfill", code=3)
    assert "is a stream that `sync` follows" in source.run("check", "--backfill", code=3)


def test_another_source_is_not_gone_on_with(source: Pair) -> None:
    source.run("backfill")
    with PostgresDatabase(source.database.server) as other:
        other.execute(TABLES)
        with run_replicator(["backfill", other.url, source.target]) as running:
            assert running.wait(60) == 3 and "belongs to another source" in running.stderr()


def test_a_table_that_is_another_one_by_now(source: Pair) -> None:
    source.run("backfill")
    source.database.execute("DROP TABLE b; CREATE TABLE b (k text PRIMARY KEY)")
    said = source.run("backfill", code=5)
    assert "dropped and made again" in said and "--restart" in said
    source.run("backfill", "--restart")
    source.assert_equal()


def test_from_a_standby(tmp_path: Path) -> None:
    with private_postgres(18) as own, PostgresDatabase(own.server) as database:
        database.execute(TABLE)
        with standby_of(own) as standby, Pair(database, tmp_path / "copy.db") as pair:
            with run_replicator(["backfill", standby.url(database.name), pair.target]) as running:
                assert running.wait(60) == 0, running.stderr()
            pair.assert_equal()
