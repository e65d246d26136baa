"""PgBouncer before a PostgreSQL, for tests."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal
from urllib.parse import urlsplit

import pytest

from replicator.demo.process import ServerDirectory, free_port, launch, service_account
from tests.support.servers.server import Server
from tests.support.wait import for_port

CONFIGURATION = """
[databases]
* = host={server.host} port={server.port} user={server.user} password='{server.password}'
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = any
pool_mode = {mode}
default_pool_size = 5
ignore_startup_parameters = {ignored}
"""
IGNORED = "extra_float_digits, options"
"""So that it lets us in at all, as the answers to its error message advise."""


@contextmanager
def pooler(server: Server, mode: Literal["session", "transaction"], ignored: str = IGNORED) -> Iterator[int]:
    """The port of one; it logs in to the server as the superuser, whoever comes."""
    program = shutil.which("pgbouncer", path="/usr/sbin:/usr/bin:/usr/local/bin")
    if program is None:
        pytest.skip("no pgbouncer on this machine: make test-servers installs it")
    account = service_account("postgres")
    directory = ServerDirectory("replicator-pooler-", account)
    port = free_port()
    file = directory.path / "pgbouncer.ini"
    file.write_text(CONFIGURATION.format(server=server, port=port, mode=mode, ignored=ignored))
    file.chmod(0o644)
    with (directory.path / "log").open("wb") as log:
        process = launch([program, "-q", file], account=account, log=log, directory=directory.path)
    try:
        for_port(port)
        yield port
    finally:
        process.kill()
        process.wait()
        directory.remove()


def through(port: int, url: str) -> str:
    parts = urlsplit(url)
    login, _, _ = parts.netloc.rpartition("@")
    return parts._replace(netloc=f"{login}@127.0.0.1:{port}").geturl()
