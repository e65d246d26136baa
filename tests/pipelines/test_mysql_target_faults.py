"""What goes wrong at a MySQL or MariaDB target: kills, locks, lost sessions and servers, and refused writes."""

from __future__ import annotations

import random
import signal
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

import pytest

from replicator.engines.mysql.connect import endpoint, open_session
from tests.pipelines.test_crash import killed_under_load, loaded
from tests.support.databases import PostgresDatabase
from tests.support.faults import FAILPOINTS, FaultProxy, is_commit
from tests.support.into_mysql import PostgresIntoMysql
from tests.support.mysql_database import MysqlDatabase
from tests.support.mysql_pair import MysqlToMysql
from tests.support.samplers import MysqlBankSampler
from tests.support.servers import OwnServer, Server, private_mysql
from tests.support.wait import until
from tests.support.workload import TABLES, Workload

KEPT = TABLES[:2]
WITHOUT = ("--exclude", "public.items")
"""It has values that these servers cannot hold."""
SMALL = "CREATE TABLE t (id int PRIMARY KEY, v int); INSERT INTO t VALUES (1, 0)"


def check(pair: PostgresIntoMysql, load: Workload) -> None:
    load.check_source()
    pair.assert_equal(KEPT)
    ids = [number for (number,) in pair.rows("SELECT op_id FROM tally ORDER BY op_id")]
    assert ids == load.tally_ids()
    assert len(pair.slots()) == 1 and len(pair.publications()) == 2


@pytest.mark.rotating
@pytest.mark.parametrize("failpoint", FAILPOINTS)
def test_s002_s003_killed_once_at_each_place(into: PostgresIntoMysql, rng: random.Random, failpoint: str) -> None:
    pair, load = into, loaded(into, rng)
    args = ("--once",) if failpoint == "shutdown" else ()
    killed_under_load(pair, load, f"{failpoint}=kill", *WITHOUT, *args)
    load.run(2)
    pair.once(*WITHOUT)
    check(pair, load)


@pytest.mark.rotating
def test_s004_killed_at_places_chosen_at_random(into: PostgresIntoMysql, rng: random.Random) -> None:
    pair, load = into, loaded(into, rng)
    with MysqlBankSampler(pair.into.connect, load.accounts, load.total) as bank:
        for _ in range(4):
            place = f"{rng.choice(FAILPOINTS)}:{rng.choice((1, 1, 2, 3, 5, 8))}"
            print(place)
            running = pair.sync("--once", *WITHOUT, failpoint=f"{place}=kill")
            with load:
                code = running.wait(60)
            assert code in (0, -9), running.stderr()
        pair.once(*WITHOUT)
    bank.assert_clean()
    check(pair, load)


PLACES = ("chunk_before_commit", "chunk_after_commit", "row_applied", "before_target_commit", "after_target_commit")


@pytest.mark.rotating(group=1)
@pytest.mark.parametrize("ends", ["mysql mariadb", "mariadb mysql"])
def test_killed_between_two_of_these_servers(request: pytest.FixtureRequest, ends: str) -> None:
    """At the places where the target has just been written, one after another."""
    one, other = (request.getfixturevalue(name) for name in ends.split())
    with MysqlDatabase(one) as source, MysqlDatabase(other) as copy, MysqlToMysql(source, copy) as pair:
        source.execute("CREATE TABLE t (id int PRIMARY KEY, v int UNIQUE)")
        source.execute("CREATE TABLE bank (id int PRIMARY KEY, v int)")
        source.execute("INSERT INTO bank VALUES (1, 1000), (2, 1000)")
        number = 0
        for place in PLACES:
            for _ in range(40):
                number += 1
                source.execute(
                    "BEGIN",
                    f"INSERT INTO t VALUES ({number}, {number})",
                    "UPDATE bank SET v = v - 1 WHERE id = 1",
                    "UPDATE bank SET v = v + 1 WHERE id = 2",
                    f"UPDATE t SET v = -v WHERE id % 3 = {number % 3}",
                    "COMMIT",
                )
            assert pair.sync("--once", failpoint=f"{place}:2=kill").wait(60) in (0, -9)
            assert pair.rows("SELECT COALESCE(SUM(v), 2000) FROM bank") == [(2000,)]
        pair.once()
        pair.assert_equal()


# One runner


def test_s009_a_second_runner_is_refused(into: PostgresIntoMysql) -> None:
    pair = into
    pair.database.execute(SMALL)
    first = pair.following()
    output = pair.once(code=3)
    assert "stream 'default' is already running, by session " in output and "KILL " in output
    pair.database.execute("UPDATE t SET v = 1")
    pair.catch_up(first)
    first.kill()
    first.wait(10)
    pair.database.execute("UPDATE t SET v = 2")
    pair.once()
    pair.assert_equal()


# Sessions and locks


def kill_sessions(pair: PostgresIntoMysql) -> None:
    user = pair.target.partition("://")[2].partition(":")[0]
    for (number,) in pair.into.query("SELECT ID FROM information_schema.PROCESSLIST WHERE USER = %s", user):
        pair.into.execute(f"KILL {number}")


def test_s069_the_targets_sessions_are_ended(into: PostgresIntoMysql) -> None:
    pair = into
    pair.database.execute(SMALL)
    running = pair.following()
    for number in range(3):
        pair.database.execute("UPDATE t SET v = v + 1")
        kill_sessions(pair)
        pair.database.execute("INSERT INTO t VALUES (%s, 0)", number + 10)
        pair.catch_up(running)
    pair.assert_equal()


@contextmanager
def held(pair: PostgresIntoMysql, *statements: str) -> Iterator[Any]:
    """Somebody else's session, in the middle of something."""
    with pair.into.connect() as other, other.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)
        yield cursor
        cursor.execute("UNLOCK TABLES")
        cursor.execute("ROLLBACK")


def waits(pair: PostgresIntoMysql) -> bool:
    user = pair.target.partition("://")[2].partition(":")[0]
    statement = "SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE USER = %s AND INFO LIKE %s"
    return bool(pair.into.query(statement, user, "UPDATE `t`%") > [(0,)])


def test_s006_a_stop_while_the_target_is_locked(into: PostgresIntoMysql) -> None:
    pair = into
    pair.database.execute(SMALL)
    running = pair.following()
    with held(pair, "LOCK TABLES t WRITE"):
        pair.database.execute("UPDATE t SET v = 1")
        until(lambda: waits(pair), 30, "the apply to wait for the lock")
        running.signal(signal.SIGTERM)
        assert running.wait(15) == 0, running.stderr()
    pair.once()
    pair.assert_equal()


def test_s068_a_deadlock_is_retried_whole(into: PostgresIntoMysql) -> None:
    """The server rolls back the smaller transaction, which is ours."""
    pair = into
    pair.database.execute(f"{SMALL}; CREATE TABLE u (id int PRIMARY KEY, v int); INSERT INTO u VALUES (1, 0)")
    running = pair.following()
    pair.into.execute("CREATE TABLE heavy (id int PRIMARY KEY)")
    rows = ", ".join(f"({n})" for n in range(2000))
    with held(pair, "BEGIN", f"INSERT INTO heavy VALUES {rows}", "SELECT * FROM t WHERE id = 1 FOR UPDATE") as theirs:
        pair.database.execute("BEGIN; UPDATE u SET v = 1; UPDATE t SET v = 1; COMMIT")
        until(lambda: waits(pair), 30, "the apply to wait for the lock")
        theirs.execute("UPDATE u SET v = 7")
        running.wait_for_text("(1213); trying again")
    pair.catch_up(running)
    pair.assert_equal(["public.t", "public.u"])


def test_s067_the_outcome_of_a_commit_is_unknown(into: PostgresIntoMysql) -> None:
    """The server commits, and its answer is lost: what is there is not written a second time."""
    pair = into
    pair.database.execute("CREATE TABLE t (v int); ALTER TABLE t REPLICA IDENTITY FULL; INSERT INTO t VALUES (0)")
    with FaultProxy(pair.into.server.host, pair.into.server.port) as proxy:
        # Without TLS, to be understood by the proxy; MySQL lets nobody in so whom it has not seen with it.
        open_session(endpoint(pair.target, None)).close()
        pair._target = f"{proxy.url(pair.target)}?sslmode=disable"
        running = pair.following()
        for number in range(1, 4):
            lost = proxy.lose_reply(is_commit)
            pair.database.execute("INSERT INTO t VALUES (%s)", number)
            lost.wait()
            pair.catch_up(running)
        for number in range(4, 7):  # and here it is never asked to
            swallowed = proxy.swallow(is_commit)
            pair.database.execute("INSERT INTO t VALUES (%s)", number)
            swallowed.wait()
            proxy.reset()
            swallowed.drop()
            pair.catch_up(running)
        pair.assert_equal()
        running.kill()


# Servers of the test's own


@pytest.fixture(scope="module", params=["mysql", "mariadb"])
def own(request: pytest.FixtureRequest) -> Iterator[OwnServer]:
    with private_mysql(request.param) as server:
        yield server


@pytest.fixture
def onto(own: OwnServer, postgres18: Server) -> Iterator[PostgresIntoMysql]:
    """A target on a server that may be stopped and set as one likes."""
    with (
        PostgresDatabase(postgres18) as database,
        MysqlDatabase(own.server) as copy,
        PostgresIntoMysql(database, copy) as made,
    ):
        yield made


@pytest.mark.rotating
def test_s083_the_server_is_restarted_and_killed_under_load(
    own: OwnServer, onto: PostgresIntoMysql, rng: random.Random
) -> None:
    pair, load = onto, loaded(onto, rng)
    running = pair.following(*WITHOUT)
    with load:
        for end in (own.process.kill, own.process.stop):
            load.wait_for(10)
            end()
            running.wait_for_text("trying again")
            own.process.start()
            pair.into.disconnect()
            load.wait_for(10)
    pair.catch_up(running)
    check(pair, load)


def test_s071_the_server_takes_no_writes(own: OwnServer, onto: PostgresIntoMysql) -> None:
    pair = onto
    pair.database.execute(SMALL)
    running = pair.following()
    pair.into.execute("SET GLOBAL read_only = 1")
    try:
        pair.database.execute("UPDATE t SET v = 1")
        assert running.wait(30) == 5, running.stderr()
        assert "the target takes no writes now (1290)" in running.stderr()
        assert "the target is read-only" in pair.run("check", code=3)
    finally:
        pair.into.execute("SET GLOBAL read_only = 0")
    pair.once()
    pair.assert_equal()


@pytest.mark.rotating
def test_s072_too_many_connections(own: OwnServer, onto: PostgresIntoMysql) -> None:
    """Of all users, and of ours: it waits until there is one."""
    pair = onto
    pair.database.execute(SMALL)
    user = pair.target.partition("://")[2].partition(":")[0]
    alter = f"ALTER USER '{user}'@'%' WITH MAX_USER_CONNECTIONS"
    pair.into.execute(f"{alter} 1")
    with closing(open_session(endpoint(pair.target, None))):
        running = pair.sync()
        running.wait_for_text("(1226); trying again")
    pair.into.execute(f"{alter} 0", "SET GLOBAL max_connections = 10")
    try:
        running.wait_for_text("following the log from", 60)
        others = [pair.into.connect() for _ in range(10 - len(pair.into.query("SHOW PROCESSLIST")))]
        kill_sessions(pair)
        others.append(pair.into.connect())
        running.wait_for_text("(1040); trying again")
        for other in others:
            other.close()
        pair.database.execute("UPDATE t SET v = 2")
        pair.catch_up(running)
    finally:
        pair.into.execute("SET GLOBAL max_connections = 151")
    pair.assert_equal()


def test_s069_a_statement_that_takes_too_long(own: OwnServer, onto: PostgresIntoMysql) -> None:
    """MariaDB ends any statement, MySQL none that writes."""
    pair = onto
    if own.server.engine == "mysql":
        return
    pair.database.execute(SMALL)
    pair.into.execute("SET GLOBAL max_statement_time = 1")
    try:
        running = pair.following()
        with held(pair, "SET SESSION max_statement_time = 0", "LOCK TABLES t WRITE"):
            pair.database.execute("UPDATE t SET v = 1")
            running.wait_for_text("(1969); trying again", 30)
        pair.catch_up(running)
    finally:
        pair.into.execute("SET GLOBAL max_statement_time = 0")
    pair.assert_equal()
