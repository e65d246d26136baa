"""Connections to MySQL and MariaDB, by PyMySQL: the same parameters, the same session, errors as ours."""

from __future__ import annotations

import ipaddress
import socket
import ssl
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

import pymysql
from pymysql.constants import CLIENT
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from replicator.engine import Endpoint
from replicator.engines.mysql.failures import translate
from replicator.errors import Refused, ReplicatorError, Retryable, UsageError

PORT = 3306
PARAMETERS = {"sslmode", "sslrootcert", "sslcert", "sslkey", "unix_socket", "server_public_key"}
TLS_MODES = {"disable", "prefer", "require", "verify-ca", "verify-full"}
FORBIDDEN = frozenset("/?#")
ENCODE = (
    "mysql://user@host:3306/database, with @ : / ? # in user and password percent-encoded "
    "(%40 %3A %2F %3F %23); or the password in REPLICATOR_SOURCE_PASSWORD"
)
SESSION = (
    "SET SESSION time_zone = '+00:00', sql_mode = 'NO_BACKSLASH_ESCAPES,NO_ENGINE_SUBSTITUTION', "
    "transaction_isolation = 'REPEATABLE-READ', net_write_timeout = 3600, net_read_timeout = 3600, "
    "wait_timeout = 86400, group_concat_max_len = 1048576"
)
"""Values come as their text in UTC; quoting needs no escapes but doubled quotes; a snapshot's session may rest for long
between two chunks. MariaDB before 11.1 calls the isolation level `tx_isolation`."""
SESSION_BEFORE_11_1 = SESSION.replace("transaction_isolation", "tx_isolation")
UNKNOWN_VARIABLE = 1193
ASKED = "the server asked for a file that was not offered to it; nothing was sent"
DISHONEST = "find out what this server is: no honest one asks"
CONNECT_S = 10
KEEPALIVE = {
    socket.TCP_KEEPIDLE: 10,
    socket.TCP_KEEPINTVL: 5,
    socket.TCP_KEEPCNT: 3,
    socket.TCP_USER_TIMEOUT: 30_000,
}
"""Seconds, and milliseconds."""
Values = Sequence[Any] | Mapping[str, Any]


class Connection(pymysql.connections.Connection):  # type: ignore[misc]
    """A server's RSA key that comes over an open line could be anybody's: it is never asked for (S15)."""

    _configured: bytes | None = None

    @property
    def server_public_key(self) -> bytes:
        if not self._configured:
            raise Refused(
                "the login needs TLS, or the server's RSA public key, which is not taken from an open connection",
                remedy="use sslmode=require or better, or put the key into a file and name it: "
                "?server_public_key=/path/key.pem",
            )
        return self._configured

    @server_public_key.setter
    def server_public_key(self, key: bytes | None) -> None:
        self._configured = key or self._configured

    def _read_query_result(self, unbuffered: bool = False) -> Any:
        """A connection that never offers a file is asked for none by an honest server (S14)."""
        try:
            return super()._read_query_result(unbuffered)
        except RuntimeError as error:  # the driver raises it for that request alone
            self._force_close()
            raise Refused(ASKED, remedy=DISHONEST) from error


def endpoint(url: str, password: str | None) -> Endpoint:
    """Check a URL without connecting. Raises UsageError."""
    # Split at the wrong place, a URL would show a part of its password as host or database: so first its form alone.
    login, at, rest = url.partition("://")[2].partition("@")
    if "@" in rest or (at and (login.count(":") > 1 or not FORBIDDEN.isdisjoint(login))):
        raise UsageError("the MySQL URL cannot be taken apart for certain", remedy=ENCODE)
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        raise UsageError("the MySQL URL cannot be read", remedy=ENCODE) from None
    shown = parsed.set(query={}).render_as_string(hide_password=True)
    unknown = set(parsed.query) - PARAMETERS
    if "password" in unknown:
        raise UsageError(
            f"{shown}: a password in the query is not taken",
            remedy="REPLICATOR_SOURCE_PASSWORD or REPLICATOR_SOURCE_PASSWORD_FILE",
        )
    if unknown:
        raise UsageError(
            f"{shown}: unknown parameter {', '.join(sorted(unknown))}",
            remedy=f"known: {', '.join(sorted(PARAMETERS))}",
        )
    if not parsed.database:
        raise UsageError(f"{shown} names no database", remedy="mysql://user@host:3306/database")
    if parsed.query.get("sslmode", "disable") not in TLS_MODES:
        raise UsageError(f"{shown}: unknown sslmode", remedy=f"one of {', '.join(sorted(TLS_MODES))}")
    if password is not None:
        parsed = parsed.set(password=password)
    where = parsed.query.get("unix_socket") or f"{parsed.host or 'localhost'}:{parsed.port or PORT}"
    return Endpoint(parsed.render_as_string(hide_password=False), shown, f"mysql {where}/{parsed.database}")


def database(where: Endpoint) -> str:
    return make_url(where.url).database or ""


def user(where: Endpoint) -> str:
    return make_url(where.url).username or "the_user"


def connect(where: Endpoint, *, read_timeout: float | None = None) -> Connection:
    """An autocommit connection. Raises Refused when the server says no, Retryable when there is no server.

    `read_timeout`: seconds after which a silent server is taken for gone; without one a statement may run for ever.
    """
    connection: Connection = open_session(where, read_timeout)
    try:
        with translated(where):
            _set_up(connection)
    except BaseException:
        connection._force_close()
        raise
    return connection


def _set_up(connection: Connection) -> None:
    try:
        query(connection, SESSION)
    except pymysql.err.Error as error:
        if error.args[0] != UNKNOWN_VARIABLE:
            raise
        query(connection, SESSION_BEFORE_11_1)


AnyConnection = TypeVar("AnyConnection", bound="Connection")


def open_session(
    where: Endpoint,
    read_timeout: float | None = None,
    of: type[AnyConnection] = Connection,
    *,
    target: bool = False,
) -> AnyConnection:
    """`target`: for writing: in transactions, counting the rows that a statement finds, with LOCAL, of class `of`."""
    url = make_url(where.url)
    with translated(where):
        connection: AnyConnection = of(
            host=url.host or "localhost",
            port=url.port or PORT,
            unix_socket=_one(url, "unix_socket"),
            user=url.username,
            password=str(url.password) if url.password is not None else "",
            database=url.database,
            charset="utf8mb4",
            autocommit=not target,
            connect_timeout=CONNECT_S,
            read_timeout=read_timeout,
            local_infile=target,
            client_flag=CLIENT.FOUND_ROWS if target else 0,
            server_public_key=_public_key(url),
            program_name="replicator",
            **_tls(url),
        )
    _notice_silence(connection)
    return connection


def _notice_silence(connection: Connection) -> None:
    """A peer that is gone without a word is noticed within half a minute, as with PostgreSQL's own library."""
    line: Any = connection._sock
    if line.family == socket.AF_UNIX:
        return
    for option, value in KEEPALIVE.items():
        line.setsockopt(socket.IPPROTO_TCP, option, value)


def _one(url: URL, name: str) -> str | None:
    value = url.query.get(name)
    return value if isinstance(value, str) else None


def _public_key(url: URL) -> bytes | None:
    named = _one(url, "server_public_key")
    try:
        return Path(named).read_bytes() if named else None
    except OSError as error:
        raise UsageError(f"server_public_key: {named} cannot be read: {error.strerror}") from None


def _tls(url: URL) -> dict[str, Any]:
    """Certificates are verified unless the server is on this host; TLS 1.2 or later."""
    host = url.host or "localhost"
    mode = _one(url, "sslmode") or ("prefer" if _one(url, "unix_socket") or _is_local(host) else "verify-full")
    if mode == "disable":
        return {"ssl_disabled": True}
    if mode == "prefer":
        return {}  # PyMySQL's own default: TLS where the server has it
    try:
        context = ssl.create_default_context(cafile=_one(url, "sslrootcert"))
        if certificate := _one(url, "sslcert"):
            context.load_cert_chain(certificate, _one(url, "sslkey"))
    except (OSError, ssl.SSLError) as error:
        raise UsageError(f"a certificate or key of the URL cannot be read: {type(error).__name__}") from None
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.check_hostname = mode == "verify-full"
    context.verify_mode = ssl.CERT_REQUIRED if mode.startswith("verify") else ssl.CERT_NONE
    return {"ssl": context}


def _is_local(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


@contextmanager
def translated(where: Endpoint) -> Iterator[None]:
    """Errors of the driver leave as ours."""
    try:
        yield
    except pymysql.err.Error as error:
        raise translate(error, where.shown) from error


def query(connection: Connection, statement: str, values: Values | None = None) -> list[tuple[Any, ...]]:
    """Rows of one statement; none for a statement that gives none. Raises the driver's errors."""
    with connection.cursor() as cursor:
        try:
            cursor.execute(statement, values)
        except RuntimeError as error:  # the driver's word for a server that asks for a file, which it is not given
            raise Refused(f"the server does what no server should: {error}", remedy="see who answers there") from error
        except (pymysql.err.Error, ReplicatorError, OSError):
            raise
        except Exception as error:
            # Without TLS the answers to questions have no checksum, and the driver takes them as they are: what it then
            # falls over is of any kind. What else comes on this line is not to be trusted.
            connection._force_close()
            raise Retryable(f"an answer of the server came damaged ({type(error).__name__})") from error
        return list(cursor.fetchall())


class Control:
    """A connection for questions, made anew when it is lost. Its errors are ours."""

    def __init__(self, where: Endpoint, answer_s: float | None = None) -> None:
        self.where = where
        self._answer_s = answer_s
        self._connection: Connection | None = None
        self._closed = False

    @property
    def connection(self) -> Connection:
        if self._closed:
            raise Retryable(f"{self.where.shown}: the connection is closed")
        if self._connection is None or not self._connection.open:
            self._connection = connect(self.where, read_timeout=self._answer_s)
        return self._connection

    def query(self, statement: str, values: Values | None = None) -> list[tuple[Any, ...]]:
        with translated(self.where):
            return query(self.connection, statement, values)

    def one(self, statement: str, values: Values | None = None) -> Any:
        """The one value of a statement's one row."""
        ((value,),) = self.query(statement, values)
        return value

    def variables(self, *names: str) -> dict[str, str]:
        """Global variables of the server, as text; those that it does not know are left out.

        SHOW VARIABLES cuts a long value (a GTID set) at 1,024 bytes: such are asked for by SELECT.
        """
        marks = ", ".join(["%s"] * len(names))
        return dict(self.query(f"SHOW GLOBAL VARIABLES WHERE Variable_name IN ({marks})", names))

    def close(self) -> None:
        self._closed = True
        if self._connection is not None and self._connection.open:
            with suppress(pymysql.err.Error, OSError):
                self._connection.close()
        self._connection = None
