"""A database on each server, for all tests of a module."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest

from tests.contracts.mysql_log.logged import Logged
from tests.support.servers import Server


@pytest.fixture(scope="module")
def databases() -> Iterator[dict[str, Logged]]:
    found: dict[str, Logged] = {}
    yield found
    for each in found.values():
        each.close()


def emptied(databases: dict[str, Logged], server: Server) -> Logged:
    """The module's database on a server, without a table."""
    if server.engine not in databases:
        databases[server.engine] = Logged(server, f"rowimage_{random.getrandbits(48):012x}")
    found = databases[server.engine]
    found.execute("DROP TABLE IF EXISTS t")
    return found


@pytest.fixture
def on_mysql(mysql: Server, databases: dict[str, Logged]) -> Logged:
    return emptied(databases, mysql)


@pytest.fixture
def on_mariadb(mariadb: Server, databases: dict[str, Logged]) -> Logged:
    return emptied(databases, mariadb)


@pytest.fixture(params=["mysql", "mariadb"])
def source(request: pytest.FixtureRequest, databases: dict[str, Logged]) -> Logged:
    return emptied(databases, request.getfixturevalue(request.param))
