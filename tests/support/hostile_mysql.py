"""A server that lets everybody in and answers every query, but those that set something, by asking for a file.

https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_basics.html
"""

from __future__ import annotations

import socket
import struct
import threading
from types import TracebackType
from typing import Any, Self

GREETING = (
    b"\x0a8.0.0-hostile\0"
    + struct.pack("<I", 1)
    + b"12345678\0"
    + struct.pack("<HBHH", 0xF7FF & ~0x0800, 45, 2, 0x000F | 0x0008)
    + b"\x15"
    + b"\0" * 10
    + b"123456789012\0"
    + b"mysql_native_password\0"
)
OK = b"\0\0\0\x02\0\0\0"
QUERY, QUIT = 3, 1


class HostileMysql:
    """`sent`: what a client gave, after it was asked for the file `name`."""

    def __init__(self, name: str) -> None:
        self._name = name.encode()
        self.asked = 0
        self.sent = b""
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(10)

    def _run(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            with client, client.makefile("rwb") as stream:
                try:
                    self._serve(stream)
                except (OSError, EOFError):
                    continue

    def _serve(self, stream: Any) -> None:
        self._write(stream, 0, GREETING)
        self._read(stream)
        self._write(stream, 2, OK)
        while True:
            packet = self._read(stream)
            if packet[0] != QUERY or packet[1:4].upper() == b"SET":
                self._write(stream, 1, OK)
                continue
            self.asked += 1
            self._write(stream, 1, b"\xfb" + self._name)
            while part := self._read(stream):
                self.sent += part
            self._write(stream, 3, OK)

    @staticmethod
    def _read(stream: Any) -> bytes:
        head = stream.read(4)
        if len(head) < 4:
            raise EOFError
        return bytes(stream.read(int.from_bytes(head[:3], "little")))

    @staticmethod
    def _write(stream: Any, number: int, packet: bytes) -> None:
        stream.write(len(packet).to_bytes(3, "little") + bytes([number]) + packet)
        stream.flush()
