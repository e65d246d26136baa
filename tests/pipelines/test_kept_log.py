"""The log that a source keeps for a stream: what is said of it, and how it is given up before it fills a disk."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg2
import pytest

from tests.support.databases import PostgresDatabase
from tests.support.faults import FaultProxy
from tests.support.mysql_pair import MysqlPair
from tests.support.pair import Pair
from tests.support.postgres_pair import PostgresPair
from tests.support.servers import OwnServer, private_postgres
from tests.support.wait import until

SMALL = "CREATE TABLE t (id int PRIMARY KEY, v int); INSERT INTO t VALUES (1, 0)"
FILL = "SELECT pg_logical_emit_message(false, 'fill', repeat('x', 1000000)) FROM generate_series(1, %s)"


@pytest.fixture
def own() -> Iterator[OwnServer]:
    """It lets go of a log of over 64 MB."""
    with private_postgres(18, {"max_slot_wal_keep_size": "64MB"}) as server:
        yield server


@pytest.fixture
def kept(own: OwnServer, tmp_path: Path) -> Iterator[Pair]:
    with PostgresDatabase(own.server) as database, Pair(database, tmp_path / "copy.db") as made:
        database.execute(SMALL)
        yield made


def runner(pair: Pair) -> dict[str, Any]:
    (stream,) = json.loads(pair.run("status", "--json"))["streams"]
    found: dict[str, Any] = stream["runner"]
    return found


def test_the_log_and_status_say_how_long_it_lasts(kept: Pair) -> None:
    """A transaction that is open at the source keeps everything behind its beginning."""
    pair = kept
    running = pair.following()
    until(lambda: runner(pair)["room_bytes"] is not None, 30, "a beat")
    assert 32 << 20 < runner(pair)["room_bytes"] <= 96 << 20 and runner(pair)["danger"] is None
    with psycopg2.connect(pair.database.url) as open_, open_.cursor() as cursor:
        cursor.execute("INSERT INTO t VALUES (2, 0)")
        pair.database.query(FILL, 62)
        said = running.wait_for_text("is in danger: the slot", 30)
        assert "max_slot_wal_keep_size is 64 MiB" in said
        until(lambda: runner(pair)["danger"] is not None, 30, "a beat that says so")
        shown = pair.run("status")
        assert "MiB at the source, lost after" in shown and "danger" in shown
    pair.catch_up(running)
    pair.assert_equal()


def test_a_log_that_is_too_long_is_given_up_while_it_is_followed(kept: Pair) -> None:
    pair = kept
    running = pair.following("--max-retained", "20MB")
    with psycopg2.connect(pair.database.url) as open_, open_.cursor() as cursor:
        cursor.execute("INSERT INTO t VALUES (2, 0)")
        pair.database.query(FILL, 25)
        assert running.wait(60) == 4, running.stderr()
    assert "more than max_retained (19.1 MiB): it is given up" in running.stderr()
    assert pair.slots() == []
    assert "does not exist" in pair.once(code=4)
    assert "max_retained" in runner(pair)["error"] or "does not exist" in runner(pair)["error"]
    pair.run("recopy", "--all")
    pair.once()
    pair.assert_equal()


def test_a_log_that_is_too_long_is_given_up_while_the_target_is_away(own: OwnServer) -> None:
    with (
        PostgresDatabase(own.server) as database,
        PostgresDatabase(own.server) as copy,
        PostgresPair(database, copy) as pair,
        FaultProxy(own.server.host, own.server.port) as proxy,
    ):
        database.execute(SMALL)
        through = proxy.url(pair.target)
        pair._target = through
        running = pair.following("--max-retained", "20MB")
        proxy.down()
        running.wait_for_text("trying again", 30)
        assert len(pair.slots()) == 1
        database.query(FILL, 25)
        assert running.wait(60) == 4, running.stderr()
        assert "more than max_retained" in running.stderr() and pair.slots() == []


def test_it_is_not_for_slots_of_others_and_not_for_logs_that_are_kept_by_time(
    kept: Pair, mysql_to_file: MysqlPair, tmp_path: Path
) -> None:
    file = tmp_path / "own.toml"
    file.write_text('slot = "theirs"\nmax_retained = "20MB"\n')
    assert "'theirs' is yours" in kept.once("--config", str(file), code=2)
    assert "keeps its log by time" in mysql_to_file.once("--max-retained", "20MB", code=2)
    assert "max_retained" in kept.once("--max-retained", "much", code=2)


def test_a_source_that_keeps_its_log_by_time_says_for_how_long(mysql_to_file: MysqlPair) -> None:
    pair = mysql_to_file
    pair.source.execute("CREATE TABLE t (id int PRIMARY KEY)")
    running = pair.following()
    ((limit,),) = pair.source.query("SELECT @@global.binlog_expire_logs_seconds")
    until(lambda: (runner(pair) or {}).get("keeps_seconds") is not None or not limit, 30, "a beat")
    assert runner(pair)["keeps_seconds"] == (limit or None)
    assert runner(pair)["retained_bytes"] >= 0
    running.kill()


@pytest.mark.rotating
def test_s027_a_slot_that_was_idle_for_too_long(tmp_path: Path) -> None:
    with (
        private_postgres(18, {"idle_replication_slot_timeout": "1s"}) as own,
        PostgresDatabase(own.server) as database,
        Pair(database, tmp_path / "copy.db") as pair,
    ):
        database.execute(SMALL)
        running = pair.following()
        until(lambda: runner(pair)["keeps_seconds"] == 1.0, 30, "a beat")
        running.kill()
        gone = "SELECT wal_status FROM pg_replication_slots WHERE invalidation_reason = 'idle_timeout'"

        def invalidated() -> bool:
            database.execute("CHECKPOINT")
            return database.query(gone) != []

        until(invalidated, 60, "the slot to go")
        output = pair.once(code=4)
        assert "can no longer access replication slot" in output and "idle_replication_slot_timeout" in output
        pair.run("recopy", "--all")
