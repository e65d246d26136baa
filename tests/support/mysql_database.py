"""A MySQL or MariaDB database of a test's own, made for it and dropped after it with everything that belongs to it."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Self

import pymysql

from tests.support.servers.mysqld import connect
from tests.support.servers.server import Server

# The least rights of the documented user. {database} is the test's database.
SOURCE_GRANTS = ("SELECT ON {database}.*", "REPLICATION SLAVE ON *.*", "REPLICATION CLIENT ON *.*", "RELOAD ON *.*")
WITHOUT_LOCK = SOURCE_GRANTS[:3]
ON_MARIADB = ("SLAVE MONITOR ON *.*",)
"""Of which REPLICATION CLIENT is a part on MySQL."""


class MysqlDatabase:
    """A fresh database, as a context manager. Its end drops it, and the users made here."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.name = f"t_{secrets.token_hex(6)}"
        self._connections: list[Any] = []
        self._shared: Any = None
        self._users: list[str] = []
        self.roles: list[str] = []
        """Made by a test, and dropped with it."""

    def __enter__(self) -> Self:
        with self._administrator().cursor() as cursor:
            cursor.execute(f"CREATE DATABASE `{self.name}` CHARACTER SET utf8mb4")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for connection in self._connections:
            if connection.open:
                connection.close()
        administrator = self._administrator()
        with administrator.cursor() as cursor:
            cursor.execute("SET SESSION lock_wait_timeout = 20")
            for user in self._users:
                cursor.execute(f"DROP USER '{user}'@'%'")
            for role in self.roles:
                cursor.execute(f"DROP ROLE {role}")
            cursor.execute(f"DROP DATABASE `{self.name}`")
        administrator.close()

    @property
    def url(self) -> str:
        """The superuser's URL."""
        return self.server.url(self.name)

    def connect(self) -> Any:
        """Open an autocommit connection as the superuser; it closes with the test."""
        s = self.server
        connection = connect(s.host, s.port, s.user, s.password, self.name)
        self._connections.append(connection)
        return connection

    def execute(self, *statements: str) -> None:
        """Run statements as the superuser, in the session that `query` has too."""
        with self._session().cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)

    def reconnect(self) -> None:
        """After the server was started anew."""
        self._shared = None

    def query(self, statement: str, *args: object) -> list[tuple[Any, ...]]:
        with self._session().cursor() as cursor:
            cursor.execute(statement, args or None)
            return list(cursor.fetchall())

    def user(self, grants: Sequence[str] = SOURCE_GRANTS) -> str:
        """Make a user with these grants and nothing else; return its URL."""
        if self.server.engine == "mariadb" and "REPLICATION CLIENT ON *.*" in grants:
            grants = (*grants, *ON_MARIADB)
        name, password = f"u_{secrets.token_hex(5)}", f"p{secrets.token_hex(8)}"
        with self._session().cursor() as cursor:
            cursor.execute(f"CREATE USER '{name}'@'%' IDENTIFIED BY '{password}'")
            for grant in grants:
                cursor.execute(f"GRANT {grant.replace('{database}', f'`{self.name}`')} TO '{name}'@'%'")
        self._users.append(name)
        return self.server.url(self.name, user=name, password=password)

    def disconnect(self) -> None:
        """Forget the session, whose server may have ended meanwhile."""
        if self._shared is not None and self._shared.open:
            self._shared.close()

    def _session(self) -> Any:
        if self._shared is None or not self._shared.open:
            self._shared = self.connect()
        return self._shared

    def _administrator(self) -> Any:
        s = self.server
        return connect(s.host, s.port, s.user, s.password)


def forgiving(database: MysqlDatabase, statement: str) -> bool:
    """Run a statement that another one may have made impossible; was it possible?"""
    try:
        database.execute(statement)
    except pymysql.err.Error:
        return False
    return True
