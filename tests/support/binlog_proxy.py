"""A proxy between a reader and a MySQL or MariaDB that changes events of the log on their way.

The connections are plain: the URL says `sslmode=disable`.
"""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
import zlib
from collections.abc import Callable
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit, urlunsplit

Change = Callable[[int, bytes], bytes | None]
"""From an event's type and its bytes without the checksum to those that are sent; None: as they are."""
DUMPS = (0x12, 0x1E)
HEAD, HEADER, CHECKSUM = 4, 19, 4


def retyped(kind: int, to: int) -> Change:
    """Events of one type as those of another."""
    return lambda found, event: event[:4] + bytes((to,)) + event[5:] if found == kind else None


class BinlogProxy:
    """`change` is asked for each event of a dump, whose checksums are made anew. The server's are CRC32."""

    def __init__(self, host: str, port: int, change: Change) -> None:
        self._server = (host, port)
        self._change = change
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._lines: list[socket.socket] = []
        self.changed = 0

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for line in (self._listener, *self._lines):
            with contextlib.suppress(OSError):
                line.shutdown(socket.SHUT_RDWR)
            line.close()

    def url(self, url: str) -> str:
        """The same URL, leading through the proxy."""
        parts = urlsplit(url)
        login = parts.netloc.rpartition("@")[0]
        return urlunsplit((parts.scheme, f"{login}@127.0.0.1:{self.port}", parts.path, "sslmode=disable", ""))

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(self._server)
                self._lines += [client, server]
                dumping = threading.Event()
                for args in ((client, server, None, dumping), (server, client, self._change, dumping)):
                    threading.Thread(target=self._forward, args=args, daemon=True).start()

    def _forward(
        self, source: socket.socket, sink: socket.socket, change: Change | None, dumping: threading.Event
    ) -> None:
        with contextlib.suppress(OSError, EOFError):
            while True:
                head = _exactly(source, HEAD)
                body = _exactly(source, int.from_bytes(head[:3], "little"))
                if change is None:
                    if head[3] == 0 and body[0] in DUMPS:
                        dumping.set()
                elif dumping.is_set():
                    body = self._changed(change, body)
                sink.sendall(struct.pack("<I", len(body))[:3] + head[3:] + body)
        for line in (source, sink):
            with contextlib.suppress(OSError):
                line.shutdown(socket.SHUT_RDWR)

    def _changed(self, change: Change, packet: bytes) -> bytes:
        if packet[:1] != b"\0" or len(packet) < 1 + HEADER + CHECKSUM:
            return packet
        event = change(packet[5], packet[1:-CHECKSUM])
        if event is None:
            return packet
        self.changed += 1
        event = event[:9] + struct.pack("<I", len(event) + CHECKSUM) + event[13:]
        return b"\0" + event + struct.pack("<I", zlib.crc32(event))


def _exactly(line: socket.socket, count: int) -> bytes:
    found = b""
    while len(found) < count:
        part = line.recv(count - len(found))
        if not part:
            raise EOFError
        found += part
    return found
