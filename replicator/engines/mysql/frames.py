"""The packets of the protocol, taken from a socket: whole ones only, and no byte is lost by a wait that ends early.

https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_basic_packets.html: three bytes of length, one of
sequence; after a packet of 16 MiB - 1 bytes its content goes on in the next one.
"""

from __future__ import annotations

import select
import socket
import ssl
import time

from replicator.errors import NotUnderstood, Retryable

SILENCE_S = 30.0
"""After how long without a word, heartbeats included, the server is taken for gone."""
RECEIVE_BYTES = 1 << 18
LARGEST_PACKET = 0xFFFFFF
LARGEST_CONTENT = (1 << 30) + (1 << 20)
"""replica_max_allowed_packet, and room for a head: the server itself sends no larger event."""
_HEAD = 4


class Frames:
    """`shown`: the other end, for messages. The socket is taken over: it does not block any more."""

    def __init__(self, line: socket.socket, shown: str) -> None:
        line.setblocking(False)
        self._line = line
        self._shown = shown
        self._buffer = bytearray()
        self._at = 0
        self._parts: list[bytes] = []
        self._held = 0
        self._sequence: int | None = None
        self._heard = time.monotonic()

    def next(self) -> bytes | None:
        """The next packet's whole content, or None if it is not there yet.

        Raises Retryable for a connection that has ended, NotUnderstood for what is no packet.
        """
        while True:
            part = self._part()
            if part is None:
                if not self._fill():
                    return None
                continue
            if len(part) < LARGEST_PACKET and not self._parts:
                return part
            self._parts.append(part)
            self._held += len(part)
            if self._held > LARGEST_CONTENT:
                raise NotUnderstood(f"{self._shown}: an event of the binary log is larger than 1 GiB")
            if len(part) < LARGEST_PACKET:
                whole, self._parts, self._held = b"".join(self._parts), [], 0
                return whole

    def wait(self, seconds: float) -> None:
        """Until there is something to receive, or for so long. Raises Retryable for a server that fell silent."""
        if isinstance(self._line, ssl.SSLSocket) and self._line.pending():
            return
        ready, _, _ = select.select([self._line], [], [], max(0.0, seconds))
        if not ready and time.monotonic() - self._heard > SILENCE_S:
            raise Retryable(f"{self._shown}: the server has sent nothing, not even a heartbeat, for {SILENCE_S:.0f} s")

    def _part(self) -> bytes | None:
        """The content of one packet, if it is in the buffer."""
        available = len(self._buffer) - self._at
        if available < _HEAD:
            return None
        length = int.from_bytes(self._buffer[self._at : self._at + 3], "little")
        if available < _HEAD + length:
            return None
        sequence = self._buffer[self._at + 3]
        if self._sequence is not None and sequence != (self._sequence + 1) & 0xFF:
            raise Retryable(f"{self._shown}: a packet of the binary log is missing")
        self._sequence = sequence
        start = self._at + _HEAD
        self._at = start + length
        return bytes(memoryview(self._buffer)[start : self._at])

    def _fill(self) -> bool:
        """Take what has come; False if there is nothing."""
        if self._at:
            del self._buffer[: self._at]
            self._at = 0
        try:
            data = self._line.recv(RECEIVE_BYTES)
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return False
        except OSError as error:
            raise Retryable(f"{self._shown}: the connection broke: {error.strerror or error}") from error
        if not data:
            raise Retryable(f"{self._shown}: the server has closed the connection")
        self._heard = time.monotonic()
        self._buffer += data
        return True
