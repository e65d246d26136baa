"""The servers that the tests of a run share: each starts when a test first needs it, all stop at the end."""

import os
from collections.abc import Callable, Mapping
from urllib.parse import unquote, urlsplit

from tests.support.servers.mysql import mysql_version, start_mariadb, start_mysql
from tests.support.servers.postgres import postgres_version, start_postgres
from tests.support.servers.server import OwnServer, Server, ServerMissing

# How a server is started. A new engine adds its line here.
STARTERS: Mapping[str, Callable[[], OwnServer]] = {
    "postgres15": lambda: start_postgres(15),
    "postgres18": lambda: start_postgres(18),
    "mariadb": start_mariadb,
    "mysql": start_mysql,
}

# What the environment may name: a DSN variable and a word for REPLICATOR_TEST_REQUIRE.
FAMILIES: Mapping[str, str] = {
    "postgres15": "postgres",
    "postgres18": "postgres",
    "mariadb": "mariadb",
    "mysql": "mysql",
}


def dsn(name: str) -> str | None:
    """Return the DSN that takes the place of a started server, if the environment has one."""
    return os.environ.get(f"REPLICATOR_TEST_{FAMILIES[name].upper()}") or None


def required(name: str) -> bool:
    """Say whether a missing server is a failure and not a skip."""
    words = os.environ.get("REPLICATOR_TEST_REQUIRE", "").replace(",", " ").split()
    return name in words or FAMILIES[name] in words


class Servers:
    """The servers of one test run."""

    def __init__(self) -> None:
        self.missing: dict[str, str] = {}
        self._own: dict[str, OwnServer] = {}
        self._given: dict[str, Server] = {}

    def get(self, name: str) -> Server:
        """Return a server, started now if it does not run yet; raises ServerMissing, which is remembered."""
        if name in self.missing:
            raise ServerMissing(self.missing[name])
        if name in self._own:
            return self._own[name].server
        given = dsn(name)
        if given is not None:
            if given not in self._given:
                self._given[given] = server_of(given)
            return self._given[given]
        try:
            self._own[name] = STARTERS[name]()
        except ServerMissing as reason:
            self.missing[name] = str(reason)
            raise
        return self._own[name].server

    def close(self) -> None:
        """Stop what was started."""
        for own in self._own.values():
            own.process.close()
        self._own.clear()


def server_of(url: str) -> Server:
    """Describe the server that a DSN leads to; it must answer, because somebody asked for it by name."""
    parts = urlsplit(url)
    engine = "postgresql" if parts.scheme == "postgres" else parts.scheme
    host, port = parts.hostname or "127.0.0.1", parts.port or (5432 if engine == "postgresql" else 3306)
    user, password = unquote(parts.username or ""), unquote(parts.password or "")
    if engine == "postgresql":
        version = postgres_version(url)
    else:
        version = mysql_version(host, port, user, password)
    return Server(engine, version, host, port, user, password)
