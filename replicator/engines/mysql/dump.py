"""The connection that the server sends its binary log over.

PyMySQL makes the connection and logs in; the dump command and the frames are our own (docs/decisions/0005). The
command is encoded here for GTID sets of both flavors, tags included, and packets are taken from the socket with a
timeout that loses none of them.

https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_com_binlog_dump_gtid.html and
https://mariadb.com/kb/en/com_binlog_dump/
"""

from __future__ import annotations

import struct
import zlib
from contextlib import suppress
from typing import Any, NamedTuple

import pymysql
from pymysql.protocol import MysqlPacket

from replicator.engine import Endpoint
from replicator.engines.mysql import binlog
from replicator.engines.mysql.binlog import Event
from replicator.engines.mysql.connect import connect, query, translated
from replicator.engines.mysql.flavor import Flavor
from replicator.engines.mysql.frames import Frames
from replicator.engines.mysql.gtid import DomainSet, GtidSet
from replicator.errors import NotUnderstood, PositionLost, Retryable

COM_BINLOG_DUMP, COM_BINLOG_DUMP_GTID = 0x12, 0x1E
NON_BLOCKING, THROUGH_GTID = 0x01, 0x04
FIRST_OFFSET = 4
HEARTBEAT_S = 1.0
_LARGEST_OFFSET = 0xFFFFFFFF
_HEADER_BYTES = 1 + binlog.HEADER.size


class Replica(NamedTuple):
    """As what we come: `number` is the server_id, which no other replica of the server may have."""

    number: int
    uuid: str = ""


PROBE = Replica(0x7265706C)
"""A dump that only looks at a file's beginning."""


class Dump:
    """One dump of the log, from a position on. `receive` gives its events, without their checksums."""

    def __init__(self, where: Endpoint, flavor: Flavor, replica: Replica) -> None:
        self._where = where
        self._flavor = flavor
        self._replica = replica
        self._connection = connect(where)
        self._checksums = binlog.CHECKSUM_CRC32
        with translated(where):
            try:
                self._introduce()
            except BaseException:
                self.close()
                raise

    def _introduce(self) -> None:
        query(self._connection, f"SET @master_heartbeat_period = {int(HEARTBEAT_S * 1e9)}")
        query(self._connection, f"SET @source_heartbeat_period = {int(HEARTBEAT_S * 1e9)}")
        query(self._connection, "SET @master_binlog_checksum = @@global.binlog_checksum")
        query(self._connection, "SET @source_binlog_checksum = @@global.binlog_checksum")
        if self._replica.uuid:
            # So that the server ends a dump of ours that is left over, and nobody else's.
            query(self._connection, "SET @slave_uuid = %s, @replica_uuid = %s", (self._replica.uuid,) * 2)
        for statement in self._flavor.introduction:
            query(self._connection, statement)
        ((algorithm,),) = query(self._connection, "SELECT @@global.binlog_checksum")
        self._checksums = binlog.CHECKSUM_NONE if algorithm == "NONE" else binlog.CHECKSUM_CRC32

    # Starting

    def after(self, executed: GtidSet | DomainSet) -> None:
        """From the first transaction on that is not in the set."""
        with translated(self._where):
            if isinstance(executed, DomainSet):
                query(self._connection, "SET @slave_connect_state = %s", (str(executed),))
                query(self._connection, "SET @slave_gtid_strict_mode = 1")
                query(self._connection, "SET @slave_gtid_ignore_duplicates = 0")
                self._command(COM_BINLOG_DUMP, struct.pack("<IHI", FIRST_OFFSET, 0, self._replica.number))
            else:
                data = executed.encoded()
                head = struct.pack("<HIIQI", THROUGH_GTID, self._replica.number, 0, FIRST_OFFSET, len(data))
                self._command(COM_BINLOG_DUMP_GTID, head + data)

    def at(self, file: str, offset: int, *, to_its_end: bool = False) -> None:
        """From a place in a file on; `to_its_end`: stop where the log ends now."""
        if offset > _LARGEST_OFFSET:
            raise NotUnderstood(
                f"{file}:{offset} is behind the 4 GiB that a dump by file and offset can begin at",
                remedy="turn gtid_mode on at the source, and copy everything anew",
            )
        flags = NON_BLOCKING if to_its_end else 0
        with translated(self._where):
            self._command(COM_BINLOG_DUMP, struct.pack("<IHI", offset, flags, self._replica.number) + file.encode())

    def _command(self, command: int, payload: bytes) -> None:
        driver: Any = self._connection
        driver._execute_command(command, payload)
        self._frames = Frames(driver._sock, self._where.shown)

    # Receiving

    def receive(self) -> Event | None:
        """The next event, or None if no whole one is there yet. Raises Retryable at the end of the dump."""
        packet = self._frames.next()
        return None if packet is None else self._event(packet)

    def wait(self, seconds: float) -> None:
        """Until there is something to receive, or for so long. Raises Retryable for a server that fell silent."""
        self._frames.wait(seconds)

    def _event(self, packet: bytes) -> Event:
        marker = packet[:1]
        if marker == b"\xff":
            with translated(self._where):
                MysqlPacket(packet, "utf8").raise_for_error()
        if marker == b"\xfe" and len(packet) < 9:
            raise EndOfLog(f"{self._where.shown}: the server has ended the dump")
        if marker != b"\0" or len(packet) < _HEADER_BYTES:
            raise NotUnderstood("a packet of the binary log is not an event")
        timestamp, kind, server_id, size, end, flags = binlog.HEADER.unpack_from(packet, 1)
        if size != len(packet) - 1:
            raise NotUnderstood(f"an event of the binary log says that it has {size} bytes, and has {len(packet) - 1}")
        if kind == binlog.FORMAT_DESCRIPTION:
            body = packet[_HEADER_BYTES:]
            self._checksums = binlog.checksum_algorithm(body)
            self._check(packet)
        elif self._checksums == binlog.CHECKSUM_CRC32:
            self._check(packet)
            body = packet[_HEADER_BYTES : -binlog.CHECKSUM_BYTES]
        else:
            body = packet[_HEADER_BYTES:]
        return Event(kind, timestamp, server_id, end, flags, body, len(packet))

    def _check(self, packet: bytes) -> None:
        if self._checksums != binlog.CHECKSUM_CRC32:
            return
        split = len(packet) - binlog.CHECKSUM_BYTES
        if zlib.crc32(memoryview(packet)[1:split]) != int.from_bytes(packet[split:], "little"):
            raise Retryable(f"{self._where.shown}: an event of the binary log came damaged: its checksum is wrong")

    def close(self) -> None:
        """Never says goodbye: the server would read it as a word of the dump."""
        with suppress(pymysql.err.Error, OSError):
            driver: Any = self._connection
            driver._force_close()


class EndOfLog(Retryable):
    """The log's end, of a dump that was asked for no more."""


def file_time(where: Endpoint, flavor: Flavor, file: str) -> int | None:
    """The time in the file's FORMAT_DESCRIPTION event, seconds since 1970; None if there is no such file.

    File names are used again after a reset or a restore: the time tells one from another.
    """
    dump = Dump(where, flavor, PROBE)
    try:
        dump.at(file, FIRST_OFFSET, to_its_end=True)
        while True:
            event = dump.receive()
            if event is None:
                dump.wait(1.0)
            elif event.type == binlog.FORMAT_DESCRIPTION and event.timestamp:
                return event.timestamp
    except (PositionLost, EndOfLog):
        return None
    finally:
        dump.close()
