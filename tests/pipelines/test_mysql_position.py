"""Where a saved position of MySQL and MariaDB stands, and what a source may become under it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path

import pymysql
import pytest

from tests.pipelines.test_mysql_bad_input import own_pair
from tests.support.mysql_database import MysqlDatabase
from tests.support.mysql_pair import MysqlPair
from tests.support.servers import OwnServer, private_mysql
from tests.support.wait import until

ENGINES = ["mysql", "mariadb"]
FROM_HERE_ON = {"mysql": "RESET BINARY LOGS AND GTIDS TO 999998", "mariadb": "RESET MASTER TO 999998"}


def move(pair: MysqlPair, old: str, new: str) -> None:
    """Change the saved position behind the product's back."""
    with closing(sqlite3.connect(pair.path)) as connection:
        connection.execute("UPDATE _replicator_streams SET position = replace(position, ?, ?)", (old, new))
        connection.commit()


@pytest.mark.rotating
@pytest.mark.parametrize("engine", ENGINES)
def test_s033_transactions_that_the_source_does_not_have(engine: str, tmp_path: Path) -> None:
    with own_pair(engine, tmp_path) as pair:
        pair.once()
        saved = pair.position() or ""
        executed = saved.partition("@")[0]
        last = executed.rpartition("-")[2]
        assert last.isdigit()
        move(pair, f"{last}@", f"{int(last) + 7}@")
        pair.source.execute("INSERT INTO t VALUES (9, 'x', NULL)")
        output = pair.once(code=4)
        lacked = f"it lacks 0-1-{int(last) + 7} " if engine == "mariadb" else f":{int(last) + 2}-{int(last) + 7} "
        assert lacked in output and "recopy SOURCE TARGET --all" in output
        assert pair.rows("SELECT count(*) FROM t") == [(2,)]


@pytest.mark.rotating
@pytest.mark.parametrize("engine", [*ENGINES, "mysql without GTIDs"])
def test_s035_files_of_seven_digits_and_a_file_a_second(engine: str, tmp_path: Path) -> None:
    settings = {"gtid-mode": "OFF", "enforce-gtid-consistency": "OFF"} if "without" in engine else {}
    engine = engine.partition(" ")[0]
    with own_pair(engine, tmp_path, **settings) as pair:
        pair.source.execute("CREATE TABLE marker (id int PRIMARY KEY)", FROM_HERE_ON[engine])
        pair.once()
        assert "binlog.999998" in (pair.position() or "")
        with pair.following() as running:
            for number in range(10, 16):
                pair.source.execute(f"INSERT INTO t VALUES ({number}, 'x', NULL)", "FLUSH BINARY LOGS")
            pair.catch_up(running)
        pair.source.execute("UPDATE t SET v = 'y'", "FLUSH BINARY LOGS", "DELETE FROM t WHERE id = 10")
        pair.once()
        assert "binlog.1000005" in (pair.position() or "")
        pair.assert_equal(["t", "marker"])


MODES = ("OFF_PERMISSIVE", "ON_PERMISSIVE", "ON")


@pytest.mark.rotating
@pytest.mark.parametrize("read", [True, False], ids=["read meanwhile", "not read meanwhile"])
def test_s036_gtids_are_switched_on(read: bool, tmp_path: Path) -> None:
    """The position stays one of a file. What has no GTID the server then sends to nobody: that stops."""
    with own_pair("mysql", tmp_path, **{"gtid-mode": "OFF", "enforce-gtid-consistency": "OFF"}) as pair:
        pair.once()
        pair.source.execute("SET GLOBAL enforce_gtid_consistency = ON")
        for number, mode in enumerate(MODES):
            pair.source.execute(f"INSERT INTO t VALUES ({10 + number}, 'x', NULL)", f"SET GLOBAL gtid_mode = {mode}")
            if read and mode != "ON":
                pair.once()
        pair.source.execute("INSERT INTO t VALUES (20, 'x', NULL)", "UPDATE t SET v = 'y'")
        if not read:
            output = pair.once(code=4)
            assert "anonymous transaction" in output and "recopy SOURCE TARGET --all" in output
            pair.run("recopy", "--all")
        for number in range(3):
            pair.once()
            pair.assert_equal()
            pair.source.execute(f"INSERT INTO t VALUES ({30 + number}, 'z', NULL)", "FLUSH BINARY LOGS")
        assert (pair.position() or "").partition("@")[0].isdigit() is read


# Another server takes over

REPLICATE = {
    "mysql": (
        "CHANGE REPLICATION SOURCE TO SOURCE_HOST = '{host}', SOURCE_PORT = {port}, SOURCE_USER = '{user}', "
        "SOURCE_PASSWORD = '{password}', SOURCE_AUTO_POSITION = 1, GET_SOURCE_PUBLIC_KEY = 1",
        "START REPLICA",
        "STOP REPLICA",
    ),
    "mariadb": (
        "CHANGE MASTER TO MASTER_HOST = '{host}', MASTER_PORT = {port}, MASTER_USER = '{user}', "
        "MASTER_PASSWORD = '{password}', MASTER_USE_GTID = slave_pos",
        "START SLAVE",
        "STOP SLAVE",
    ),
}


@contextmanager
def replicated(engine: str) -> Iterator[tuple[OwnServer, OwnServer]]:
    """A server and its replica, which logs what it receives."""
    follows = "log-replica-updates" if engine == "mysql" else "log-slave-updates"
    with ExitStack() as stack:
        one = stack.enter_context(private_mysql(engine))
        two = stack.enter_context(private_mysql(engine, {"server-id": "2", follows: "ON"}))
        yield one, two


@pytest.mark.rotating
@pytest.mark.parametrize("engine", ENGINES)
def test_s041_a_replica_takes_over(engine: str, tmp_path: Path) -> None:
    """One that has all that was applied is gone on with; one that was behind is not."""
    change, start, stop = REPLICATE[engine]
    with replicated(engine) as (one, two), MysqlDatabase(one.server) as database:
        server = one.server
        there = MysqlDatabase(two.server)
        there.name = database.name
        reset = "RESET BINARY LOGS AND GTIDS" if engine == "mysql" else "RESET MASTER"
        with closing(there._administrator()) as administrator, administrator.cursor() as cursor:
            cursor.execute(reset)  # what making its own accounts has logged is not its source's
            cursor.execute(
                change.format(host=server.host, port=server.port, user=server.user, password=server.password)
            )
            cursor.execute(start)

            def count() -> int:
                with suppress(pymysql.err.ProgrammingError):
                    cursor.execute(f"SELECT count(*) FROM `{database.name}`.t")
                    return int(cursor.fetchone()[0])
                return 0

            with MysqlPair(database, tmp_path / "copy.db", url=database.url) as pair:
                database.execute("CREATE TABLE t (id int PRIMARY KEY, v int)", "INSERT INTO t VALUES (1, 0)")
                url = two.server.url(database.name)
                until(lambda: count() == 1, 60, "the replica to have the first")
                pair.once()
                cursor.execute(stop)
                database.execute("INSERT INTO t VALUES (2, 0)")
                pair.once()
                saved = pair.position()
                output = pair.once(source=url, code=4)
                assert "the source has not executed all that we have applied" in output
                assert "recopy SOURCE TARGET --all" in output and pair.position() == saved
                database.execute("UPDATE t SET v = 1", "INSERT INTO t VALUES (3, 0)")
                cursor.execute(start)
                until(lambda: count() == 3, 60, "the replica to have everything")
                cursor.execute(stop)
                pair.once(source=url)
                there.execute("INSERT INTO t VALUES (4, 4)")
                pair.once(source=url)
                assert pair.rows("SELECT * FROM t ORDER BY id") == [(1, 1), (2, 1), (3, 0), (4, 4)]
                database.execute("INSERT INTO t VALUES (5, 5)")  # the old one goes on by itself
                assert "belongs to another source" in pair.once(code=3)
        there.disconnect()


# What else a log may have in it


def test_s042_clocks_that_jump(mysql_to_file: MysqlPair) -> None:
    """A year back and into the future: order and position are the log's, and the lag is told by our own clock."""
    pair = mysql_to_file
    pair.source.execute("CREATE TABLE marker (id int PRIMARY KEY)", "CREATE TABLE t (id int PRIMARY KEY, v int)")
    running = pair.following()
    for number, moment in enumerate(("1700000000", "2145916800", "1", "DEFAULT")):
        pair.source.execute(
            f"SET SESSION timestamp = {moment}", f"INSERT INTO t VALUES ({number}, 0)", "UPDATE t SET v = v + 1"
        )
    pair.source.execute("SET SESSION timestamp = DEFAULT")
    pair.catch_up(running)
    pair.assert_equal()
    output = pair.run("status")
    assert "lag" not in output or float(output.partition("lag")[2].split()[0]) < 60


def test_s045_what_is_kept_out_of_the_log_is_not_seen(mysql_to_file: MysqlPair) -> None:
    """Nobody can see it, and nothing else is lost; a later change of such a row stops the stream."""
    pair = mysql_to_file
    pair.source.execute("CREATE TABLE t (id int PRIMARY KEY, v int)", "INSERT INTO t VALUES (1, 0)")
    pair.once()
    pair.source.execute("SET SESSION sql_log_bin = 0", "INSERT INTO t VALUES (2, 0)", "SET SESSION sql_log_bin = 1")
    pair.source.execute("INSERT INTO t VALUES (3, 0)")
    pair.once()
    assert pair.rows("SELECT id FROM t ORDER BY id") == [(1,), (3,)]
    pair.source.execute("UPDATE t SET v = 1 WHERE id = 2")
    output = pair.once(code=5)
    assert "id=2" in output and "recopy SOURCE TARGET" in output
    pair.run("recopy", f"{pair.source.name}.t")
    pair.once()
    pair.assert_equal()


@pytest.mark.rotating
@pytest.mark.parametrize("engine", ENGINES)
def test_s048_a_row_larger_than_the_source_sends_to_others(engine: str, tmp_path: Path) -> None:
    """`max_allowed_packet` was lowered after the row was written: to a reader of the log it is sent all the same."""
    with own_pair(engine, tmp_path, **{"max-allowed-packet": "64M"}) as pair:
        pair.source.execute("CREATE TABLE large (id int PRIMARY KEY, v longblob)")
        pair.once()
        pair.source.execute(
            "INSERT INTO large VALUES (1, REPEAT('x', 20000000))", "SET GLOBAL max_allowed_packet = 1048576"
        )
        pair.once()
        assert pair.rows("SELECT length(v), hex(substr(v, 19999999)) FROM large") == [(20000000, "7878")]
