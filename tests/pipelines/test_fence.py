"""The fence alone: a commit that is on its way while the retry begins, and two runners whom no lock keeps apart."""

from __future__ import annotations

import random
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest

from replicator.engines.mysql.connect import endpoint, open_session
from tests.pipelines.conftest import server_of
from tests.pipelines.test_crash import loaded
from tests.support.databases import PostgresDatabase
from tests.support.faults import ROOT, FaultProxy, Running, is_commit, run_program
from tests.support.into_mysql import PostgresIntoMysql
from tests.support.mysql_database import MysqlDatabase
from tests.support.pair import Pair
from tests.support.postgres_pair import PostgresPair
from tests.support.servers import OwnServer, Server, private_postgres
from tests.support.wait import until
from tests.support.workload import TABLES

TALLY = "CREATE TABLE t (v int); ALTER TABLE t REPLICA IDENTITY FULL; INSERT INTO t VALUES (0)"


def exact(pair: Pair, numbers: int) -> None:
    assert pair.rows("SELECT v FROM t ORDER BY v") == [(number,) for number in range(numbers)]


# The commit is at the server, and its client has gone


@pytest.fixture
def slow_postgres() -> Iterator[OwnServer]:
    with private_postgres(18) as server:
        yield server


def test_s067_a_commit_that_postgresql_holds_back(slow_postgres: OwnServer, postgres18: Server) -> None:
    """It waits for a standby that is not there, and goes through when its client has long begun anew."""
    own = slow_postgres
    with (
        PostgresDatabase(postgres18) as database,
        PostgresDatabase(own.server) as copy,
        PostgresPair(database, copy) as pair,
        FaultProxy(own.server.host, own.server.port) as proxy,
    ):
        database.execute(TALLY)
        pair.hand_over()
        pair._target = proxy.url(pair.target)
        running = unlocked(pair)
        running.wait_for_text("following the log from", 60)
        for number in range(1, 4):
            with closing(copy.connect()) as other, other.cursor() as cursor:
                cursor.execute("SET synchronous_commit = local")
                waits_for(cursor, "nobody")
                try:
                    database.execute("INSERT INTO t VALUES (%s)", number)
                    until(lambda: waiting(cursor, "SyncRep"), 20, "the commit to be held back")
                    proxy.reset()
                    time.sleep(2)  # the retry is there, and can commit nothing either
                finally:
                    waits_for(cursor, "")
            pair.catch_up(running)
            exact(pair, number + 1)
        running.close()


def waits_for(cursor: Any, standby: str) -> None:
    cursor.execute(f"ALTER SYSTEM SET synchronous_standby_names = '{standby}'")
    cursor.execute("SELECT pg_reload_conf()")
    until(lambda: asked(cursor, "SHOW synchronous_standby_names") == standby, 10, "the setting")


def asked(cursor: Any, statement: str) -> Any:
    cursor.execute(statement)
    return cursor.fetchone()[0]


def waiting(cursor: Any, event: str) -> bool:
    return bool(asked(cursor, f"SELECT count(*) FROM pg_stat_activity WHERE wait_event = '{event}'"))


def test_s067_a_commit_that_is_still_on_its_way(onto_server: PostgresPair | PostgresIntoMysql) -> None:
    """Its client has gone; the retry has begun, and waits at the fence, when it arrives."""
    pair = onto_server
    server = server_of(pair)
    pair.database.execute(TALLY)
    pair.hand_over()
    with FaultProxy(server.host, server.port) as proxy:
        direct = pair.target
        if isinstance(pair, PostgresIntoMysql):
            open_session(endpoint(direct, None)).close()  # MySQL lets nobody in without TLS whom it has not seen
        pair._target = f"{proxy.url(direct)}?sslmode=disable"
        running = unlocked(pair)
        running.wait_for_text("following the log from", 60)
        for number in range(1, 4):
            commit = proxy.swallow(is_commit)
            pair.database.execute("INSERT INTO t VALUES (%s)", number)
            commit.wait()
            commit.abandon()
            running.wait_for_text("trying again", 30)
            time.sleep(2)
            assert pair.rows("SELECT count(*) FROM t") == [(number,)]
            commit.release()
            pair.catch_up(running)
            exact(pair, number + 1)
        running.close()


# Two runners, and nothing but the fence between them

UNLOCKED = """
import sys
from replicator.engines.mysql import lock as mysql
from replicator.engines.postgres import lock as postgres
from replicator.engines.sqlite import lock as sqlite
for lock in (mysql.RunnerLock, postgres.RunnerLock, sqlite.RunnerLock):
    lock.acquire = lambda self: None
sys.argv = ["replicator", *sys.argv[1:]]
from replicator.cli import main
main()
"""


def unlocked(pair: Pair, *args: str) -> Running:
    command = [sys.executable, "-c", UNLOCKED, "sync", pair.url, pair.target, *args]
    running = run_program(command, {"PYTHONPATH": str(ROOT)})
    pair._running.append(running)  # it ends with the pair at the latest
    return running


@pytest.fixture(params=["postgres", "mysql", "mariadb", "sqlite"])
def anywhere(request: pytest.FixtureRequest, pair18: Pair, postgres18: Server) -> Iterator[Pair]:
    if request.param == "sqlite":
        yield pair18
    elif request.param == "postgres":
        with PostgresDatabase(postgres18) as copy, PostgresPair(pair18.database, copy, pair18.url) as pair:
            yield pair
    else:
        with (
            MysqlDatabase(request.getfixturevalue(request.param)) as into,
            PostgresIntoMysql(pair18.database, into, pair18.url) as made,
        ):
            yield made


@pytest.mark.rotating
def test_s009_two_runners_without_a_lock(anywhere: Pair, rng: random.Random) -> None:
    """Each that starts ends the other; what both wrote is there once."""
    pair = anywhere
    load = loaded(pair, rng)
    narrow = isinstance(pair, PostgresIntoMysql)
    args = ("--exclude", "public.items") if narrow else ()
    pair.database.execute("ALTER TABLE tally OWNER TO postgres")
    superuser = pair.database.url
    pair.url = superuser
    codes = []
    with load:
        runners = [unlocked(pair, *args) for _ in range(2)]
        try:
            for _ in range(8):
                time.sleep(rng.uniform(0.5, 2.5))
                for at, running in enumerate(runners):
                    if not running.running():
                        codes.append(running.wait(1))
                        assert codes[-1] == 3, running.stderr()[-3000:]
                        running.close()
                        runners[at] = unlocked(pair, *args)
        finally:
            for running in runners:
                running.close()
    assert codes, "no runner was ever ended by the other"
    pair.once(*args)
    load.check_source()
    pair.assert_equal(TABLES[:2] if narrow else TABLES)
    assert [op for (op,) in pair.rows("SELECT op_id FROM tally ORDER BY op_id")] == load.tally_ids()
