"""A small reader of a MySQL's or MariaDB's log, for tests: whole events, as the server sends them."""

from __future__ import annotations

import itertools
from struct import pack
from typing import Any, NamedTuple

import pymysql

from tests.support.servers import Server
from tests.support.servers.mysqld import connect

_HEADER = 19
_ROTATE, _FORMAT = 4, 15
_DUMP = 0x12
_numbers = itertools.count()


class Event(NamedTuple):
    """`body`: what lies behind the header, without a checksum."""

    kind: int
    body: bytes


class Place(NamedTuple):
    file: str
    position: int


def session(server: Server, database: str | None = None) -> Any:
    """A connection whose results are bytes, as the server sent them, and whose dates are UTC."""
    connection = connect(server.host, server.port, server.user, server.password, database)
    connection.use_unicode = False
    connection.decoders = {}
    with connection.cursor() as cursor:
        cursor.execute("SET time_zone = '+00:00'")
    return connection


def end(connection: Any) -> Place:
    """Where the log ends now, asked on a connection of `session`."""
    with connection.cursor() as cursor:
        try:
            cursor.execute("SHOW BINARY LOG STATUS")
        except pymysql.err.Error:
            cursor.execute("SHOW MASTER STATUS")
        file, position = cursor.fetchone()[:2]
        return Place(file.decode(), int(position))


def events(server: Server, start: Place, stop: Place) -> list[Event]:
    """The events of the log between two places; with checksums or without, as the log was written."""
    if start == stop:
        return []
    connection = session(server)
    found = []
    try:
        with connection.cursor() as cursor:
            for name in ("master", "source"):
                cursor.execute(f"SET @{name}_binlog_checksum = @@GLOBAL.binlog_checksum")
            cursor.execute("SET @mariadb_slave_capability = 4")
        number = 4_000_000 + next(_numbers)
        connection._execute_command(_DUMP, pack("<IHI", start.position, 0, number) + start.file.encode())
        file, checksum = start.file, 0
        while True:
            packet = connection._read_packet().get_all_data()
            kind, position = packet[5], int.from_bytes(packet[14:18], "little")
            body = packet[1 + _HEADER :]
            if kind == _ROTATE:
                file = body[8 : 8 + len(start.file)].decode()
            elif kind == _FORMAT:
                checksum = 4 * packet[-5]
            else:
                found.append(Event(kind, body[: len(body) - checksum]))
                if file == stop.file and position >= stop.position:
                    break
        return found
    finally:
        connection._force_close()
