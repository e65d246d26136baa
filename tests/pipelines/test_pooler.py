"""PgBouncer before the source and before the target: named where it cannot do, harmless where it can."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from tests.support.faults import FaultProxy
from tests.support.mysql_database import MysqlDatabase
from tests.support.mysql_pair import MysqlPair, MysqlToMysql
from tests.support.postgres_pair import PostgresPair
from tests.support.servers import Server
from tests.support.servers.pooler import pooler, through

SMALL = "CREATE TABLE t (id int PRIMARY KEY, v int); INSERT INTO t VALUES (1, 0)"


def test_a_pooler_that_drops_our_settings_is_named(pg_pair: PostgresPair) -> None:
    """Every value's text depends on them: a moment would come in another zone."""
    pair = pg_pair
    pair.database.execute(f"{SMALL}; ALTER DATABASE {pair.database.name} SET timezone = 'Asia/Kolkata'")
    with pooler(pair.database.server, "session") as port:
        output = pair.once(source=through(port, pair.database.url), code=3)
        assert "the session has timezone = Asia/Kolkata, and UTC was asked for" in output
        assert "connect to the server itself" in output
    pair.assert_nothing_made()


def test_a_pooler_that_lets_nobody_in_is_guessed_at(pg_pair: PostgresPair) -> None:
    with pooler(pg_pair.database.server, "session", ignored="extra_float_digits") as port:
        output = pg_pair.once(source=through(port, pg_pair.database.url), code=3)
        assert "where a pooler answers there (PgBouncer), connect to the server itself" in output


def test_a_pooler_before_the_source_is_refused(pg_pair: PostgresPair) -> None:
    """Also where the server's own settings are by chance those that we ask for."""
    pair = pg_pair
    pair.database.execute(SMALL)
    name = pair.database.name
    for setting in (
        "datestyle = ISO",
        "timezone = 'UTC'",
        "intervalstyle = iso_8601",
        "extra_float_digits = 3",
        "lc_monetary = 'C'",
        "search_path = pg_catalog",
        "row_security = off",
    ):
        pair.database.execute(f"ALTER DATABASE {name} SET {setting}")
    with pooler(pair.database.server, "session") as port:
        output = pair.once(source=through(port, pair.database.url), code=3)
        assert "a pooler or proxy answers at" in output and "--allow-untested" in output
    pair.assert_nothing_made()


@pytest.mark.parametrize("mode", ["session", "transaction"])
def test_a_pooler_before_the_target(pg_pair: PostgresPair, mode: str) -> None:
    """Settings are each transaction's own, and the fence needs no session: nothing is lost, nothing doubled."""
    pair = pg_pair
    pair.database.execute(f"{SMALL}; CREATE TABLE d (id int PRIMARY KEY, at timestamptz, b bytea)")
    pair.database.execute("INSERT INTO d VALUES (1, '2026-02-03 04:05:06.789+05', '\\x00ff')")
    pair.copy.execute(f"ALTER DATABASE {pair.copy.name} SET datestyle = 'SQL, DMY'")
    pair.copy.execute(f"ALTER DATABASE {pair.copy.name} SET timezone = 'Asia/Kolkata'")
    with pooler(pair.copy.server, mode) as port:  # type: ignore[arg-type]
        pair._target = through(port, pair.copy.url)
        assert "a pooler or proxy stands before the target" in pair.run("check")
        first = pair.following()
        for number in range(2, 40):
            pair.database.execute("INSERT INTO t VALUES (%s, 0); UPDATE t SET v = v + 1", number)
        pair.catch_up(first)
        second = pair.following()
        assert first.wait(30) == 3, first.stderr()
        assert "another run" in first.stderr()
        pair.database.execute("UPDATE t SET v = v + 1; UPDATE d SET at = at + '1 hour'")
        pair.catch_up(second)
        second.kill()
        pair.once()
        pair.assert_equal()


@pytest.fixture(params=["mysql", "mariadb"])
def mysql_server(request: pytest.FixtureRequest) -> Server:
    found: Server = request.getfixturevalue(request.param)
    return found


def test_a_proxy_before_mysql_is_named(mysql_server: Server, tmp_path: Path) -> None:
    """As a source and as a target: told by the number in the greeting, in which a byte is changed here."""
    with (
        MysqlDatabase(mysql_server) as source,
        MysqlDatabase(mysql_server) as into,
        FaultProxy(mysql_server.host, mysql_server.port) as proxy,
        MysqlPair(source, tmp_path / "copy.db") as pair,
        MysqlToMysql(source, into) as both,
    ):
        source.execute("CREATE TABLE t (id int PRIMARY KEY)")
        ((version,),) = source.query("SELECT VERSION()")
        number_at = 4 + 1 + len(greeted(mysql_server)) + 1
        assert version.partition("-")[0] in greeted(mysql_server)
        proxy.flip(number_at)
        output = pair.once(source=proxy.url(pair.url), code=3)
        assert "a proxy answers at" in output and "--allow-untested" in output
        both._target = proxy.url(both.target)
        proxy.flip(number_at)
        assert "a proxy stands before the target" in both.run("check")


def greeted(server: Server) -> str:
    """The version in the server's greeting, which MariaDB begins with 5.5.5-."""
    with socket.create_connection((server.host, server.port)) as line:
        return line.recv(100)[5:].partition(b"\0")[0].decode()
