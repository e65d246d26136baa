"""A database of a test's own, made for it and dropped after it with everything that belongs to it."""

import secrets
import select
import time
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Self

import psycopg2
from psycopg2 import sql
from psycopg2.extensions import connection as Connection

from tests.support.servers.server import Server

# In the password of every role: what breaks careless quoting, and what a search for leaked secrets looks for.
NASTY = "S3cr3t_%s'\"@:/#"

# The least rights of the documented roles. {database} is the test's database.
SOURCE_GRANTS = ("USAGE ON SCHEMA public", "SELECT ON ALL TABLES IN SCHEMA public")
PUBLISHER_GRANTS = (*SOURCE_GRANTS, "CREATE ON DATABASE {database}")
TARGET_GRANTS = ("USAGE, CREATE ON SCHEMA public", "CREATE ON DATABASE {database}")
TRIGGERS_OFF = "SET ON PARAMETER session_replication_role"  # PostgreSQL 15 and later


class PostgresDatabase:
    """A fresh PostgreSQL database, as a context manager.

    The end drops its replication slots (whoever uses them is disconnected), the database with its
    publications, and the roles made here.
    """

    def __init__(self, server: Server, name: str | None = None) -> None:
        self.server = server
        self.name = name or f"t_{secrets.token_hex(6)}"
        self._connections: list[Connection] = []
        self._shared: Connection | None = None
        self._roles: list[str] = []

    def __enter__(self) -> Self:
        self.create()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.drop()

    @property
    def url(self) -> str:
        """The superuser's URL."""
        return self.server.url(self.name)

    def create(self) -> None:
        """Make the database, empty."""
        self._administer(sql.SQL("CREATE DATABASE {} TEMPLATE template0").format(sql.Identifier(self.name)))

    def connect(self, url: str | None = None) -> Connection:
        """Open an autocommit connection, as the superuser or with a role's URL; it closes with the test."""
        connection = psycopg2.connect(url or self.url)
        connection.autocommit = True
        self._connections.append(connection)
        return connection

    def execute(self, statement: str, *args: object) -> None:
        """Run statements as the superuser; ``%s`` stands for an argument only if there are some."""
        with self._session().cursor() as cursor:
            cursor.execute(statement, args or None)

    def query(self, statement: str, *args: object) -> list[tuple[Any, ...]]:
        """Run one statement as the superuser and return its rows."""
        with self._session().cursor() as cursor:
            cursor.execute(statement, args or None)
            return list(cursor.fetchall())

    def role(
        self,
        name: str | None = None,
        *,
        login: bool = True,
        replication: bool = True,
        grants: Sequence[str] = SOURCE_GRANTS,
    ) -> str:
        """Make a role with these grants (``SELECT ON TABLE t``) and nothing else; return its URL.

        Rights on ALL TABLES reach the tables that exist now and, by default privileges, those made later.
        """
        name = name or f"{self.name}_{secrets.token_hex(3)}"
        password = NASTY + secrets.token_hex(4)
        attributes = f"{'LOGIN' if login else 'NOLOGIN'} {'REPLICATION' if replication else 'NOREPLICATION'}"
        role = sql.Identifier(name)
        create = sql.SQL("CREATE ROLE {} " + attributes + " PASSWORD {}").format(role, sql.Literal(password))
        self._administer(create)
        self._roles.append(name)
        with self._session().cursor() as cursor:
            for grant in grants:
                text = grant.replace("{database}", f'"{self.name}"')
                cursor.execute(sql.SQL("GRANT " + text + " TO {}").format(role))
                if " ON ALL TABLES IN SCHEMA " in text:
                    rights, schema = text.split(" ON ALL TABLES IN SCHEMA ")
                    later = f"ALTER DEFAULT PRIVILEGES IN SCHEMA {schema} GRANT {rights} ON TABLES TO "
                    cursor.execute(sql.SQL(later + "{}").format(role))
        return self.server.url(self.name, user=name, password=password)

    def drop(self) -> None:
        """Drop the slots, the database and the roles; what still uses them is disconnected."""
        for connection in self._connections:
            connection.close()
        self._connections.clear()
        self._shared = None
        with self._administrator() as cursor:
            cursor.execute("SELECT 1 FROM pg_database WHERE datname = %s", (self.name,))
            if cursor.fetchone():
                self._roll_back_prepared(cursor)
                database = sql.Identifier(self.name)
                cursor.execute(sql.SQL("ALTER DATABASE {} WITH ALLOW_CONNECTIONS false").format(database))
                self._drop_slots(cursor)
                cursor.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(database))
            for name in self._roles:
                role = sql.Identifier(name)
                cursor.execute(sql.SQL("DROP OWNED BY {}").format(role))
                cursor.execute(sql.SQL("DROP ROLE {}").format(role))
        self._roles.clear()

    def _session(self) -> Connection:
        """Return the connection that ``execute`` and ``query`` share, a new one if the server has closed it.

        An idle connection has something to read only when the server said goodbye.
        """
        shared = self._shared
        if shared is None or shared.closed or select.select([shared.fileno()], [], [], 0)[0]:
            shared = self._shared = self.connect()
        return shared

    def _administer(self, statement: sql.Composable) -> None:
        with self._administrator() as cursor:
            cursor.execute(statement)

    def _administrator(self) -> "Administrator":
        return Administrator(self.server)

    def _roll_back_prepared(self, cursor: Any) -> None:
        cursor.execute("SELECT gid FROM pg_prepared_xacts WHERE database = %s", (self.name,))
        prepared = [gid for (gid,) in cursor.fetchall()]
        for gid in prepared:
            self.execute("ROLLBACK PREPARED %s", gid)
        if self._shared is not None:
            self._shared.close()

    def _drop_slots(self, cursor: Any) -> None:
        deadline = time.monotonic() + 20.0
        while True:
            cursor.execute("SELECT slot_name, active_pid FROM pg_replication_slots WHERE database = %s", (self.name,))
            slots = cursor.fetchall()
            if not slots:
                return
            for slot, pid in slots:
                try:
                    cursor.execute("SELECT pg_terminate_backend(%s)", (pid,))
                    cursor.execute("SELECT pg_drop_replication_slot(%s)", (slot,))
                except (psycopg2.errors.ObjectInUse, psycopg2.errors.UndefinedObject):
                    if time.monotonic() > deadline:
                        raise
                    time.sleep(0.01)


class Administrator:
    """A short superuser connection to the server's own database, for what is done from outside a database."""

    def __init__(self, server: Server) -> None:
        self._connection: Connection = psycopg2.connect(server.url("postgres"))
        self._connection.autocommit = True

    def __enter__(self) -> Any:
        return self._connection.cursor()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._connection.close()
