"""Bytes that change on their way: noticed by TLS, or by the checksums of the binary log, and never applied."""

from __future__ import annotations

import os
import random
import subprocess
from pathlib import Path

import pytest

from replicator.demo.process import service_account
from replicator.engines.mysql.connect import endpoint, open_session
from tests.support.databases import PostgresDatabase
from tests.support.faults import FaultProxy, Running
from tests.support.mysql_pair import MysqlPair
from tests.support.pair import Pair
from tests.support.servers import private_postgres
from tests.support.wait import until

TIMES = 6


def spoiled(pair: Pair, running: Running, proxy: FaultProxy, rng: random.Random) -> None:
    """A byte of what comes next is changed; it is noticed, and what is applied is right."""
    at = rng.randrange(20, 4000)
    print(at)
    proxy.flip(at)
    before = proxy.bytes_down
    number = rng.randrange(10**6)
    statement = f"INSERT INTO t VALUES ({number}, '{'x' * 3000}')"
    if isinstance(pair, MysqlPair):
        pair.source.execute(statement)
    else:
        pair.database.execute(statement)
    until(lambda: not running.running() or proxy.bytes_down > before + at, 60, "the byte to pass")
    until(lambda: not running.running() or bool(pair.rows("SELECT 1 FROM t WHERE id = ?", number)), 90, "the row")


def kept_up(pair: Pair, proxy: FaultProxy, rng: random.Random, source: str) -> None:
    """A run that stops for what it cannot read is started again."""
    running = pair.following(source=source)
    for _ in range(TIMES):
        spoiled(pair, running, proxy, rng)
        if not running.running():
            assert running.wait(1) in (4, 5), running.stderr()
            running = pair.following(source=source)
    running.kill()
    pair.once()
    pair.assert_equal(["t"] if isinstance(pair, MysqlPair) else ["public.t"])


@pytest.mark.parametrize("tls", [False, True], ids=["checksums", "TLS"])
def test_s023_of_the_binary_log(mysql_to_file: MysqlPair, rng: random.Random, tls: bool) -> None:
    pair = mysql_to_file
    server = pair.source.server
    if tls and server.engine == "mariadb":
        return  # this version makes no certificate of its own
    pair.source.execute("CREATE TABLE t (id int PRIMARY KEY, v varchar(4000))")
    pair.once()
    with FaultProxy(server.host, server.port) as proxy:
        open_session(endpoint(pair.url, None)).close()  # MySQL lets nobody in without TLS whom it has not seen with it
        url = proxy.url(pair.url)
        kept_up(pair, proxy, rng, url if tls else f"{url}?sslmode=disable")


def test_s023_of_postgresql_under_tls(rng: random.Random, tmp_path: Path) -> None:
    """Without TLS its protocol has no checksum: a changed byte of a value is a value."""
    directory = tmp_path / "tls"
    directory.mkdir()
    key, certificate = directory / "key", directory / "certificate"
    subject = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName = IP:127.0.0.1"]
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", *subject]
    subprocess.run([*command, "-keyout", key, "-out", certificate], check=True, capture_output=True)
    account = service_account("postgres")
    for path in (directory, key, certificate):
        path.chmod(0o700 if path.is_dir() else 0o600)
        if account is not None:
            os.chown(path, account.uid, account.gid)
    for parent in list(directory.parents)[:3]:
        parent.chmod(0o755)
    settings = {"ssl": "on", "ssl_cert_file": str(certificate), "ssl_key_file": str(key)}
    with (
        private_postgres(15, settings) as own,  # the embedded 18 has no TLS
        PostgresDatabase(own.server) as database,
        Pair(database, tmp_path / "copy.db") as pair,
        FaultProxy(own.server.host, own.server.port) as proxy,
    ):
        database.execute("CREATE TABLE t (id int PRIMARY KEY, v text)")
        pair.once()
        kept_up(pair, proxy, rng, f"{proxy.url(pair.url)}?sslmode=require")
