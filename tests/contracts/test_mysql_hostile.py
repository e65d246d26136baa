"""A server that is not what it says: it gets no file of ours, and it ends as an error of ours."""

from __future__ import annotations

import socket
import struct
import threading
from contextlib import suppress
from pathlib import Path

import pytest

from replicator.engine import Endpoint
from replicator.engines.mysql import connect
from replicator.errors import Refused, Retryable

CAPABILITIES = 0x00AFF7DF & ~0x800  # without TLS
OK = b"\0\0\0\2\0\0\0"


def greeting() -> bytes:
    return (
        b"\x0a9.7.0\0" + struct.pack("<I", 1) + b"12345678\0" + struct.pack("<H", CAPABILITIES & 0xFFFF)
        + b"\xff\x02\0" + struct.pack("<H", CAPABILITIES >> 16) + b"\x15" + bytes(10) + b"123456789012\0"
        + b"mysql_native_password\0"
    )  # fmt: skip


class Hostile:
    """Lets anybody in, and answers the second statement with `answer`, or hangs up where there is none."""

    def __init__(self, answer: bytes | None) -> None:
        self._answer = answer
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"mysql://u:p@127.0.0.1:{self._listener.getsockname()[1]}/d?sslmode=disable"
        self.heard: list[bytes] = []
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        with suppress(OSError, struct.error):
            line, _ = self._listener.accept()
            line.settimeout(5)
            with line:
                self._say(line, 0, greeting())
                for answer in (OK, OK, self._answer):
                    number, _ = self._hear(line)
                    if answer is None:
                        return
                    self._say(line, number + 1, answer)
                while True:
                    self.heard.append(self._hear(line)[1])

    @staticmethod
    def _say(line: socket.socket, number: int, body: bytes) -> None:
        line.sendall(struct.pack("<I", len(body))[:3] + bytes((number,)) + body)

    @staticmethod
    def _hear(line: socket.socket) -> tuple[int, bytes]:
        (head,) = struct.unpack("<I", line.recv(4, socket.MSG_WAITALL))
        return head >> 24, line.recv(head & 0xFFFFFF, socket.MSG_WAITALL)

    def close(self) -> None:
        self._thread.join(10)
        self._listener.close()


def test_s14_a_server_that_asks_for_a_file_gets_none(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("nobody's business")
    hostile = Hostile(b"\xfb" + str(secret).encode())
    try:
        with pytest.raises(Refused, match="asked for a file"):
            connect.connect(Endpoint(hostile.url, "shown"))
    finally:
        hostile.close()
    assert not any(b"business" in said for said in hostile.heard)


def test_a_server_that_goes_between_login_and_first_statement_is_tried_again() -> None:
    hostile = Hostile(None)
    try:
        with pytest.raises(Retryable):
            connect.connect(Endpoint(hostile.url, "shown"))
    finally:
        hostile.close()
