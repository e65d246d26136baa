"""Connections to PostgreSQL: psycopg2 for SQL and COPY, and what both kinds of connection share.

Both the copy and the replication stream set the same session, since the canonical text of every value depends on it.
"""

from __future__ import annotations

import ipaddress
import os
import socket
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psycopg2
import psycopg2.extensions
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from replicator.engine import Endpoint
from replicator.engines.postgres.names import ANEW
from replicator.errors import CannotApply, LoginRefused, PositionLost, Refused, ReplicatorError, Retryable, UsageError

SESSION = {
    "datestyle": "ISO",
    "timezone": "UTC",
    "intervalstyle": "iso_8601",
    "extra_float_digits": "3",
    "bytea_output": "hex",
    "lc_monetary": "C",
    "search_path": "pg_catalog",
    "row_security": "off",  # hidden rows raise an error: a partial copy would be silent
    "standard_conforming_strings": "on",
    "synchronous_commit": "on",  # what we write into the log must be in it at once
    "statement_timeout": "0",
    "lock_timeout": "0",
    "idle_in_transaction_session_timeout": "0",  # an exported snapshot lives in an idle transaction
}
SETTINGS_NOW = "SELECT " + ", ".join(f"pg_catalog.current_setting('{name}')" for name in SESSION)
PARAMETERS = {"sslmode", "sslrootcert", "sslcert", "sslkey", "host"}
TLS_MODES = {"disable", "allow", "prefer", "require", "verify-ca", "verify-full"}
FORBIDDEN = frozenset("/?#")
ENCODE = (
    "postgresql://user@host:5432/database, with @ : / ? # in user and password percent-encoded "
    "(%40 %3A %2F %3F %23); or the password in REPLICATOR_SOURCE_PASSWORD"
)
NO_TIMEOUTS = (
    "SELECT set_config(name, '0', false) FROM pg_settings WHERE name IN ('transaction_timeout', 'idle_session_timeout')"
)
"""A copy is one transaction, and a follower is idle for hours. Not in SESSION, since older servers lack these."""


def endpoint(url: str, password: str | None) -> Endpoint:
    """Check a URL without connecting. Raises UsageError."""
    # Split at the wrong place, a URL would show a part of its password as host or database: so first its form alone.
    login, at, rest = url.partition("://")[2].partition("@")
    if "@" in rest or (at and (login.count(":") > 1 or not FORBIDDEN.isdisjoint(login))):
        raise UsageError("the PostgreSQL URL cannot be taken apart for certain", remedy=ENCODE)
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        raise UsageError("the PostgreSQL URL cannot be read", remedy=ENCODE) from None
    shown = parsed.set(query={}).render_as_string(hide_password=True)
    unknown = set(parsed.query) - PARAMETERS
    if "password" in unknown:
        raise UsageError(
            f"{shown}: a password in the query is not taken",
            remedy="REPLICATOR_SOURCE_PASSWORD, REPLICATOR_SOURCE_PASSWORD_FILE or ~/.pgpass",
        )
    if unknown:
        raise UsageError(
            f"{shown}: unknown parameter {', '.join(sorted(unknown))}",
            remedy=f"known: {', '.join(sorted(PARAMETERS))}",
        )
    if not parsed.database:
        raise UsageError(f"{shown} names no database", remedy="postgresql://user@host:5432/database")
    if parsed.query.get("sslmode", "disable") not in TLS_MODES:
        raise UsageError(f"{shown}: unknown sslmode", remedy=f"one of {', '.join(sorted(TLS_MODES))}")
    if password is not None:
        parsed = parsed.set(password=password)
    host = parsed.host or parsed.query.get("host", "localhost")
    place = f"{host}:{parsed.port or 5432}/{parsed.database}"
    return Endpoint(parsed.render_as_string(hide_password=False), shown, place)


def parameters(where: Endpoint, *, replication: bool = False, session: Mapping[str, str] = SESSION) -> dict[str, str]:
    """The libpq parameters of an endpoint. Certificates are verified unless the server is on this host."""
    url = make_url(where.url)
    host = url.host or str(url.query.get("host", "localhost"))
    found = {
        "host": host,
        "port": str(url.port or 5432),
        "dbname": url.database or "",
        "application_name": "replicator",
        "client_encoding": "UTF8",
        "connect_timeout": "10",
        "keepalives_idle": "10",
        "keepalives_interval": "5",
        "keepalives_count": "3",
        "tcp_user_timeout": "30000",
        "ssl_min_protocol_version": "TLSv1.2",
        "options": " ".join(f"-c {name}={value}" for name, value in session.items()),
    }
    if url.username:
        found["user"] = url.username
    if url.password is not None:
        found["password"] = str(url.password)
    found |= {name: str(value) for name, value in url.query.items() if name.startswith("ssl")}
    if "sslmode" not in found:
        found["sslmode"] = "prefer" if _is_local(host) else "verify-full"
    own_root = Path("~/.postgresql/root.crt").expanduser()
    if found["sslmode"].startswith("verify") and "sslrootcert" not in found and not own_root.exists():
        found["sslrootcert"] = "system"
    if replication:
        found["replication"] = "database"
    return found


def _is_local(host: str) -> bool:
    if host.startswith(("/", "@")) or host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def connect(where: Endpoint) -> psycopg2.extensions.connection:
    """An autocommit connection. Raises Refused when the server says no, Retryable when there is no server."""
    try:
        connection = open_session(parameters(where))
    except psycopg2.OperationalError as error:
        raise unreachable(where, str(error)) from None
    connection.autocommit = True
    try:
        query(connection, NO_TIMEOUTS)
        ((*now,),) = query(connection, SETTINGS_NOW)
        as_asked(where, now)
    except BaseException:
        connection.close()
        raise
    return connection


def as_asked(where: Endpoint, now: Sequence[str | None]) -> None:
    """Has the session the settings of SESSION? The text of every value depends on them.

    Raises Refused: PgBouncer, told to ignore `options`, opens a session without them.
    """
    for (name, wanted), found in zip(SESSION.items(), now, strict=True):
        if (found or "").partition(",")[0] != wanted:
            raise Refused(
                f"{where.shown}: the session has {name} = {found}, and {wanted} was asked for: something between us "
                "and the server does not pass it on",
                remedy="connect to the server itself, not to a pooler",
            )


def open_session(found: dict[str, str]) -> psycopg2.extensions.connection:
    return psycopg2.connect(psycopg2.extensions.make_dsn(**found))


def unreachable(where: Endpoint, text: str) -> ReplicatorError:
    """Why a connection failed. libpq tells no SQLSTATE for it, so ask the network: a server that takes connections
    and then ends the login has refused it, and asking again would only fill its log."""
    found = parameters(where)
    reason = " ".join(text.split())
    if _listens(found["host"], int(found["port"])):
        return LoginRefused(
            f"{where.shown}: the server refused the login: {reason}",
            remedy="check user, password, database and pg_hba.conf; where a pooler answers there (PgBouncer), connect "
            "to the server itself",
        )
    return Retryable(f"{where.shown}: no server answers: {reason}")


def _listens(host: str, port: int) -> bool:
    try:
        if host.startswith(("/", "@")):
            with socket.socket(socket.AF_UNIX) as unix:
                unix.settimeout(5)
                unix.connect(f"{host}/.s.PGSQL.{port}")
            return True
        with socket.create_connection((host, port), timeout=5):
            return True
    except OSError:
        return False


_RETRY_CLASSES = ("08", "53", "57", "40")
_RETRY_CODES = {"55P03", "55006"}


def failure(sqlstate: str | None, text: str) -> ReplicatorError:
    """A server's error as one of ours. https://www.postgresql.org/docs/current/errcodes-appendix.html"""
    text = " ".join(text.split())
    if sqlstate is None or sqlstate.startswith(_RETRY_CLASSES) or sqlstate in _RETRY_CODES:
        return Retryable(f"PostgreSQL: {text} ({sqlstate or 'connection lost'})")
    if sqlstate in ("42501", "28000", "28P01"):
        return Refused(f"PostgreSQL: {text} ({sqlstate})", remedy="grant the right, then start again")
    if sqlstate in ("55000", "58P01", "42704"):
        return PositionLost(
            f"PostgreSQL: {text} ({sqlstate})",
            remedy=f"what the slot kept is gone; {ANEW}",
        )
    return CannotApply(f"PostgreSQL: {text} ({sqlstate})", remedy="the position is kept; mend the cause, start again")


@contextmanager
def translated() -> Iterator[None]:
    """Errors of psycopg2 leave as ours."""
    try:
        yield
    except psycopg2.Error as error:
        raise failure(error.pgcode, reason(error)) from error


def reason(error: psycopg2.Error) -> str:
    """The server's own message, without the statement and the values that libpq puts under it."""
    return " ".join((error.diag.message_primary or str(error)).split())


def query(
    connection: psycopg2.extensions.connection, sql: str, values: Sequence[Any] | Mapping[str, Any] = ()
) -> list[tuple[Any, ...]]:
    """Rows of one statement; none for a statement that gives none."""
    with translated(), connection.cursor() as cursor:
        cursor.execute(sql, values or None)
        return cursor.fetchall() if cursor.description else []


@contextmanager
def answered_in(seconds: float, connection: psycopg2.extensions.connection) -> Iterator[None]:
    """Break the connection when the server has not answered by then.

    A frozen server, or a network that swallows everything, would hold a question for ever. Only for questions that a
    healthy server answers at once, asked while the log is followed.
    """

    def end() -> None:
        with suppress(OSError, psycopg2.Error), socket.socket(fileno=os.dup(connection.fileno())) as line:
            line.shutdown(socket.SHUT_RDWR)

    timer = threading.Timer(seconds, end)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def conninfo(where: Endpoint) -> bytes:
    """The replication connection's parameters, as libpq's text."""
    found = parameters(where, replication=True)
    return " ".join(f"{k}='{_escape(v)}'" for k, v in found.items()).encode()


def _escape(value: str) -> str:
    return value.replace("\\", "\\\\").replace("'", "\\'")
