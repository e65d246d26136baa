"""A standby takes over: the stream goes on where it has the slot and all that was applied, and stops elsewhere."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psycopg2
import pytest

from replicator.demo.embedded import EmbeddedPostgres
from tests.support import oracle
from tests.support.databases import PostgresDatabase
from tests.support.pair import Pair
from tests.support.servers import OwnServer, private_postgres
from tests.support.servers.standby import SLOT, standby_of
from tests.support.wait import until

TABLE = "CREATE TABLE t (id int PRIMARY KEY, v int); INSERT INTO t SELECT n, 0 FROM generate_series(1, 100) n"
KEEPS_SLOTS = {"sync_replication_slots": "on", "hot_standby_feedback": "on"}


@pytest.fixture
def own() -> Iterator[OwnServer]:
    with private_postgres(18) as server:
        yield server


@pytest.fixture
def pair(own: OwnServer, tmp_path: Path) -> Iterator[Pair]:
    """The product's login is the superuser's, which is the same at the standby."""
    with PostgresDatabase(own.server) as database, Pair(database, tmp_path / "copy.db", database.url) as made:
        database.execute(TABLE)
        yield made
        own.start()  # it was killed, and cleaning up wants it


def ask(standby: EmbeddedPostgres, pair: Pair, statement: str) -> list[tuple[object, ...]]:
    with closing(psycopg2.connect(standby.url(pair.database.name))) as connection:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(statement)
            return cursor.fetchall()


def replayed(standby: EmbeddedPostgres, pair: Pair) -> None:
    ((head,),) = pair.database.query("SELECT pg_current_wal_insert_lsn()::text")
    until(lambda: ask(standby, pair, f"SELECT pg_last_wal_replay_lsn() >= '{head}'") == [(True,)], 30, "the replay")


def promote(own: OwnServer, standby: EmbeddedPostgres, pair: Pair) -> str:
    own.process.kill()
    ask(standby, pair, "SELECT pg_promote()")
    return standby.url(pair.database.name)


def keep_slot(standby: EmbeddedPostgres, pair: Pair) -> None:
    """Follow until the standby keeps the slot, up to where it stands: it begins to once the stream has read a list of
    running transactions, which the server otherwise writes every 15 s."""
    running = pair.following()

    def kept() -> bool:
        pair.database.execute("UPDATE t SET v = v + 1")
        pair.database.query("SELECT pg_log_standby_snapshot()")
        return ask(standby, pair, "SELECT 1 FROM pg_replication_slots WHERE synced AND NOT temporary") != []

    until(kept, 60, "the slot at the standby", pause=0.2)
    running.signal(signal.SIGTERM)
    assert running.wait(30) == 0
    ((confirmed,),) = pair.database.query("SELECT confirmed_flush_lsn::text FROM pg_replication_slots WHERE failover")
    reached = f"SELECT confirmed_flush_lsn >= '{confirmed}' FROM pg_replication_slots WHERE synced"
    until(lambda: ask(standby, pair, reached) == [(True,)], 60, "the slot to stand where it does")


def test_s039_a_standby_with_the_slot_is_promoted(own: OwnServer, pair: Pair) -> None:
    with standby_of(own, KEEPS_SLOTS) as standby:
        pair.database.execute(f"ALTER SYSTEM SET synchronized_standby_slots = '{SLOT}'")
        pair.database.query("SELECT pg_reload_conf()")
        assert "synchronized_standby_slots" not in pair.run("check")
        keep_slot(standby, pair)
        pair.database.execute("UPDATE t SET v = -2 WHERE id > 50; DELETE FROM t WHERE id = 7")
        replayed(standby, pair)
        there = promote(own, standby, pair)
        pair.once(source=there)
        ask(standby, pair, "INSERT INTO t VALUES (101, -3) RETURNING 1")
        pair.once(source=there)
        oracle.assert_equal(standby.url(pair.database.name), pair.path)
        assert pair.rows("SELECT count(*), sum(v) FROM t WHERE v < 0") == [(51, -103)]


def test_s040_a_standby_without_the_slot_is_promoted(own: OwnServer, pair: Pair) -> None:
    with standby_of(own) as standby:
        assert f"synchronized_standby_slots does not name {SLOT}" in pair.run("check")
        pair.once()
        replayed(standby, pair)
        there = promote(own, standby, pair)
        saved = pair.saved()
        output = pair.once(source=there, code=4)
        assert "does not exist on" in output and "replicator recopy SOURCE TARGET --all" in output
        assert pair.saved() == saved


def test_a_standby_that_lacks_what_was_applied_is_promoted(own: OwnServer, pair: Pair) -> None:
    """It was behind when the primary was lost: its history left ours before the saved position."""
    with standby_of(own, KEEPS_SLOTS) as standby:
        keep_slot(standby, pair)
        standby.stop()
        pair.database.execute("UPDATE t SET v = 2")
        pair.once()
        own.process.kill()
        standby.start()
        ask(standby, pair, "SELECT pg_promote()")
        output = pair.once(source=standby.url(pair.database.name), code=4)
        assert "which left timeline 1 at" in output and "before the saved position" in output
