"""How MySQL and MariaDB are logged in to: no fallback to an open line, no key of unknown origin, no file of ours."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from pathlib import Path

import pymysql
import pytest
from sqlalchemy.engine import make_url

from replicator.engine import Endpoint
from replicator.engines.mysql import connect
from replicator.engines.mysql.connect import Connection, Control, query
from replicator.errors import LoginRefused, Refused, ReplicatorError, Retryable
from tests.support.faults import FaultProxy
from tests.support.mysql_database import MysqlDatabase
from tests.support.servers import Server


@pytest.fixture
def database(mysql: Server) -> Iterator[MysqlDatabase]:
    with MysqlDatabase(mysql) as fresh:
        yield fresh


def opened(url: str) -> Connection:
    return connect.connect(Endpoint(url, "shown"))


def cipher(connection: Connection) -> str:
    with connection:
        return str(query(connection, "SHOW STATUS LIKE 'Ssl_cipher'")[0][1])


def test_tls_is_used_where_the_server_has_it(database: MysqlDatabase) -> None:
    assert cipher(opened(database.url)) != ""
    assert cipher(opened(f"{database.url}?sslmode=require")) != ""
    assert cipher(opened(f"{database.url}?sslmode=disable")) == ""


@pytest.mark.parametrize("mode", ["verify-ca", "verify-full"])
def test_a_certificate_that_nobody_vouches_for_is_refused(database: MysqlDatabase, mode: str) -> None:
    """The server made its own."""
    with pytest.raises(Refused, match="TLS"):
        opened(f"{database.url}?sslmode={mode}")


def test_no_tls_no_login_where_it_is_required(mariadb: Server) -> None:
    with pytest.raises(Refused, match="TLS"):
        opened(f"{mariadb.url('mysql')}?sslmode=require")


def test_off_this_host_certificates_are_verified_by_tls_1_2_or_later() -> None:
    for url in ("mysql://u@db.example.org/d", "mysql://u@10.0.0.1/d"):
        context = connect._tls(make_url(url))["ssl"]
        assert context.verify_mode is ssl.CERT_REQUIRED and context.check_hostname
        assert context.minimum_version is ssl.TLSVersion.TLSv1_2
    assert connect._tls(make_url("mysql://u@127.0.0.1/d")) == {}


def test_s052_a_key_that_comes_over_an_open_line_is_not_taken(database: MysqlDatabase, tmp_path: Path) -> None:
    url = database.user()
    with pytest.raises(Refused, match="RSA public key"):
        opened(f"{url}?sslmode=disable")
    ((_, key),) = database.query("SHOW STATUS LIKE 'Caching_sha2_password_rsa_public_key'")
    (tmp_path / "key.pem").write_text(key)
    assert cipher(opened(f"{url}?sslmode=disable&server_public_key={tmp_path / 'key.pem'}")) == ""


def test_s049_a_wrong_password_is_a_refused_login(database: MysqlDatabase) -> None:
    with pytest.raises(LoginRefused) as caught:
        opened(make_url(database.url).set(password="S3cr3t").render_as_string(hide_password=False))
    assert "S3cr3t" not in str(caught.value)


def test_no_server_may_come_yet() -> None:
    with pytest.raises(Retryable):
        opened("mysql://u@127.0.0.1:1/d")


def test_no_server_may_ask_for_a_file(database: MysqlDatabase) -> None:
    database.execute("CREATE TABLE t (a text)")
    with opened(database.url) as connection, pytest.raises(pymysql.err.Error):
        query(connection, "LOAD DATA LOCAL INFILE '/etc/hostname' INTO TABLE t")
    assert database.query("SELECT * FROM t") == []


def test_the_session_is_as_values_need_it(database: MysqlDatabase, mariadb: Server) -> None:
    database.execute("SET GLOBAL time_zone = '+05:30'")
    try:
        for url in (database.url, mariadb.url("mysql")):
            with opened(url) as connection:
                ((zone, mode, charset),) = query(connection, "SELECT @@time_zone, @@sql_mode, @@character_set_client")
                assert (zone, charset) == ("+00:00", "utf8mb4") and "NO_BACKSLASH_ESCAPES" in mode
    finally:
        database.execute("SET GLOBAL time_zone = 'SYSTEM'")


def test_s023_an_answer_that_came_damaged_is_an_error_of_ours(database: MysqlDatabase) -> None:
    """Whichever byte of it: what the driver makes of it never leaves as it is."""
    server = database.server
    with FaultProxy(server.host, server.port) as proxy:
        control = Control(Endpoint(f"{proxy.url(database.url)}?sslmode=disable", "shown"), 2.0)
        connect.connect(Endpoint(database.url, "shown")).close()  # it lets nobody in without TLS whom it has not seen
        failed = 0
        for at in range(5, 110):
            control.one("SELECT 1")
            proxy.flip(at)
            try:
                control.query("SELECT 'größe' AS `länge`, 12 AS n, CAST('2024-01-02' AS DATE) AS d")
            except ReplicatorError:
                failed += 1
            proxy.passing()
        control.close()
        assert failed > 10
