"""The test library's servers: they answer, log rows, stop, crash, come back, and never outlive the run."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import psycopg2
import pymysql
import pytest

from tests.support.databases import PostgresDatabase
from tests.support.servers import Server, ServerMissing, private_mysql, private_postgres, required
from tests.support.servers.mysqld import connect

REPOSITORY = Path(__file__).parents[2]
STARTERS = {
    "postgres15": "postgres.start_postgres(15)",
    "postgres18": "postgres.start_postgres(18)",
    "mariadb": "mysql.start_mariadb()",
    "mysql": "mysql.start_mysql()",
}
# Starts a server, tells where it is, and waits to be killed.
PARENT = """
import time
from tests.support.servers import mysql, postgres
own = {starter}
print(own.pid, own.process.log.parent, flush=True)
time.sleep(600)
"""


def mysql_settings(server: Server, *names: str) -> list[object]:
    connection = connect(server.host, server.port, server.user, server.password)
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT " + ", ".join(f"@@{name}" for name in names))
            return list(cursor.fetchone())
    finally:
        connection.close()


def test_postgres_answers_and_logs_rows(database: PostgresDatabase) -> None:
    [(version, level)] = database.query("SELECT version(), current_setting('wal_level')")
    assert f"PostgreSQL {database.server.version}" in version
    assert level == "logical"
    slot = f"slot_{database.name}"
    [(made,)] = database.query("SELECT slot_name FROM pg_create_logical_replication_slot(%s, 'pgoutput')", slot)
    assert made == slot


def test_the_two_postgres_differ(postgres15: Server, postgres18: Server) -> None:
    assert 14 <= postgres15.major < 18 <= postgres18.major or postgres15 == postgres18


def test_mariadb_answers_and_logs_rows(mariadb: Server) -> None:
    assert int(mariadb.version.split(".")[0]) >= 10
    settings = mysql_settings(mariadb, "log_bin", "binlog_format", "binlog_row_image", "binlog_row_metadata")
    assert settings == [1, "ROW", "FULL", "FULL"]


def test_mysql_answers_and_logs_rows(mysql: Server) -> None:
    assert int(mysql.version.split(".")[0]) >= 8
    settings = mysql_settings(mysql, "log_bin", "binlog_format", "binlog_row_metadata", "gtid_mode")
    assert settings == [1, "ROW", "FULL", "ON"]


def test_a_postgres_of_ones_own_restarts_and_crashes() -> None:
    with private_postgres(18, {"work_mem": "7MB"}) as own, PostgresDatabase(own.server) as database:
        database.execute("CREATE TABLE t AS SELECT 1 AS id")
        assert database.query("SHOW work_mem") == [("7MB",)]
        held = database.connect()
        first = own.pid

        own.restart({"work_mem": "8MB"})
        assert database.query("SHOW work_mem") == [("8MB",)]
        with pytest.raises(psycopg2.OperationalError):
            held.cursor().execute("SELECT 1")

        database.execute("INSERT INTO t VALUES (2)")
        own.kill()
        with pytest.raises(psycopg2.OperationalError, match="refused"):
            psycopg2.connect(database.url)
        own.start()
        assert database.query("SELECT id FROM t ORDER BY id") == [(1,), (2,)]
        assert own.pid != first


def test_a_stopped_postgres_is_stopped_again_harmlessly() -> None:
    with private_postgres(18) as own:
        directory = own.process.log.parent
        own.stop()
        own.stop()
        own.kill()
        assert directory.exists()
    assert not directory.exists()


@pytest.mark.parametrize("engine", ["mariadb", "mysql"])
def test_a_mysql_of_ones_own_restarts_and_crashes(engine: str) -> None:
    try:
        with private_mysql(engine) as own:
            assert mysql_settings(own.server, "binlog_row_image") == ["FULL"]
            own.restart({"binlog-row-image": "MINIMAL"})
            assert mysql_settings(own.server, "binlog_row_image") == ["MINIMAL"]
            own.kill()
            with pytest.raises(pymysql.err.OperationalError):
                mysql_settings(own.server, "log_bin")
            own.start()
            assert mysql_settings(own.server, "log_bin") == [1]
    except ServerMissing as reason:
        absent(engine, reason)


@pytest.mark.parametrize("name", STARTERS)
def test_a_killed_parent_leaves_no_server_behind(name: str) -> None:
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT.format(starter=STARTERS[name])],
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert parent.stdout is not None and parent.stderr is not None
    try:
        told = parent.stdout.readline().split()
        if not told:
            error = parent.stderr.read()
            if "ServerMissing" in error:
                absent(name, error.strip().splitlines()[-1])
            pytest.fail(error)
        server, directory = psutil.Process(int(told[0])), Path(told[1])
        os.kill(parent.pid, signal.SIGKILL)
        deadline = time.monotonic() + 30
        while alive(server):
            assert time.monotonic() < deadline, "the server outlived its parent"
            time.sleep(0.02)
        with private_postgres(18):
            pass
        # The next server of that kind clears up: here PostgreSQL's, for the others their own.
        assert directory.exists() != name.startswith("postgres")
        shutil.rmtree(directory, ignore_errors=True)
    finally:
        parent.kill()
        parent.communicate()


def absent(name: str, reason: object) -> None:
    """Skip, or fail where the server is required."""
    if required(name):
        pytest.fail(f"{name} is required and missing: {reason}")
    pytest.skip(str(reason))


def alive(process: psutil.Process) -> bool:
    """Say whether a process runs; a dead one may wait for the system to collect it."""
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
