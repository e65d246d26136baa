"""A replication connection, through psycopg 3's public `pq`: commands, and the stream in COPY BOTH mode.

psycopg2 is not used here: it raises the confirmed position by itself on keepalives, and loses transactions so.
Nothing but `feedback` ever tells the server that something may be forgotten.
https://www.postgresql.org/docs/current/protocol-replication.html
"""

from __future__ import annotations

import select
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from struct import pack, unpack_from
from typing import NamedTuple

import psycopg
from psycopg import pq

from replicator.engine import Endpoint
from replicator.engines.postgres.connect import NO_TIMEOUTS, SETTINGS_NOW, as_asked, conninfo, failure, unreachable
from replicator.engines.postgres.names import quote, quote_all
from replicator.engines.postgres.position import Lsn
from replicator.errors import NotUnderstood, ReplicatorError, Retryable
from replicator.sql.statements import text_literal

EPOCH_2000_S = 946_684_800
FEEDBACK_S = 5.0
"""How often the server hears from us at least; a quarter of `wal_sender_timeout` where that is less."""


class Keepalive(NamedTuple):
    wal_end: int
    reply: bool


@contextmanager
def _translated() -> Iterator[None]:
    """Whatever libpq itself complains of is a lost connection: the server's own errors come as results."""
    try:
        yield
    except psycopg.Error as error:
        raise _broke(error) from error


def _broke(error: psycopg.Error) -> Retryable:
    return Retryable(f"PostgreSQL: the replication connection broke: {' '.join(str(error).split())}")


class WalSender:
    def __init__(self, where: Endpoint) -> None:
        connection = pq.PGconn.connect(conninfo(where))
        if connection.status != pq.ConnStatus.OK:
            text = connection.error_message.decode(errors="replace")
            connection.finish()
            raise unreachable(where, text)
        self._connection = connection
        self._poll = select.poll()
        self._poll.register(connection.socket, select.POLLIN)
        self._confirmed = 0
        self._received = 0
        self._last_feedback = 0.0
        self._last_heard = time.monotonic()
        self._interval = FEEDBACK_S
        self._silence_limit = 60.0
        try:
            self.command(NO_TIMEOUTS)
            as_asked(where, self.command(SETTINGS_NOW)[0])
        except BaseException:
            self.close()
            raise

    def command(self, text: str, waiting: Callable[[float], None] | None = None) -> list[list[str | None]]:
        """Run a command and return its rows. `waiting` is called four times a second with the seconds so far."""
        with _translated():
            return self._command(text, waiting)

    def _command(self, text: str, waiting: Callable[[float], None] | None) -> list[list[str | None]]:
        connection = self._connection
        connection.send_query(text.encode())
        began = time.monotonic()
        while True:
            if connection.is_busy():
                self._poll.poll(250)
                connection.consume_input()
                if waiting is not None and connection.is_busy():
                    waiting(time.monotonic() - began)
                continue
            result = connection.get_result()
            if result is None:
                raise Retryable("PostgreSQL: the replication connection gave no answer")
            if result.status == pq.ExecStatus.TUPLES_OK:
                rows = [
                    [_text(result.get_value(row, column)) for column in range(result.nfields)]
                    for row in range(result.ntuples)
                ]
                while connection.get_result() is not None:
                    pass
                return rows
            if result.status == pq.ExecStatus.COMMAND_OK:
                while connection.get_result() is not None:
                    pass
                return []
            if result.status == pq.ExecStatus.COPY_BOTH:
                return []
            raise self._failed(result)

    def start(self, slot: str, position: int, publications: Sequence[str]) -> None:
        """Begin streaming: pgoutput, protocol 1 (the server spills; a transaction comes after its commit)."""
        timeout = self.command("SHOW wal_sender_timeout")[0][0] or "0"
        limit = _milliseconds(timeout) / 1000
        if limit:
            self._interval = min(FEEDBACK_S, limit / 4)
            self._silence_limit = max(limit, 3 * self._interval)
        names = text_literal(quote_all(publications))
        options = f"proto_version '1', publication_names {names}, messages 'true'"
        self.command(f"START_REPLICATION SLOT {quote(slot)} LOGICAL {Lsn(position)} ({options})")
        with _translated():
            self._connection.nonblocking = 1
        self._confirmed = self._received = position
        self._last_heard = time.monotonic()
        self.feedback()

    def receive(self) -> bytes | Keepalive | None:
        """The payload of the next message that has come, a keepalive, or None where nothing is waiting."""
        connection = self._connection
        try:
            length, data = connection.get_copy_data(1)
        except psycopg.Error as error:
            raise _broke(error) from error
        if length > 0:
            self._last_heard = time.monotonic()
            kind = data[0]
            if kind == 119:  # 'w': start, end, time, then the payload
                return bytes(data[25:])
            if kind == 107:  # 'k': end, time, reply
                wal_end, _, reply = unpack_from(">QqB", data, 1)
                return Keepalive(wal_end, bool(reply))
            raise NotUnderstood(f"replication message of type {kind} is not understood")
        if length == 0:
            return None
        with _translated():
            result = connection.get_result()
        if result is not None and result.status == pq.ExecStatus.FATAL_ERROR:
            raise self._failed(result)
        raise Retryable("PostgreSQL: the replication stream ended")

    def wait(self, timeout: float) -> None:
        """Until something comes, or for `timeout` seconds. Raises Retryable when the server has gone silent."""
        if self._poll.poll(timeout * 1000):
            with _translated():
                self._connection.consume_input()
            self._last_heard = time.monotonic()
        else:
            silent = time.monotonic() - self._last_heard
            if silent > self._silence_limit:
                raise Retryable(f"PostgreSQL: no data or heartbeat for {silent:.0f} s")

    def confirm(self, position: int) -> None:
        """Everything before `position` is durable at the target. The server hears of it at once."""
        if position > self._confirmed:
            self._confirmed = position
            self._received = max(self._received, position)
            self.feedback()

    def tick(self, *, ask: bool = False) -> None:
        """Feedback when it is time for it. Without `ask` nobody is reading, so that silence means nothing."""
        now = time.monotonic()
        if not ask:
            self._last_heard = now
        if now - self._last_feedback >= self._interval:
            self.feedback(ask=ask)

    def feedback(self, *, ask: bool = False) -> None:
        """Say what is confirmed; with `ask`, the server answers at once with a keepalive."""
        now = int((time.time() - EPOCH_2000_S) * 1_000_000)
        message = pack(">cQQQqB", b"r", self._received, self._confirmed, self._confirmed, now, int(ask))
        with _translated():
            self._connection.put_copy_data(message)
            while self._connection.flush() == 1:
                self._poll.poll(100)
                self._connection.consume_input()
        self._last_feedback = time.monotonic()

    @staticmethod
    def _failed(result: pq.abc.PGresult) -> ReplicatorError:
        sqlstate = result.error_field(pq.DiagnosticField.SQLSTATE)
        text = result.error_field(pq.DiagnosticField.MESSAGE_PRIMARY) or b"unknown error"
        return failure(sqlstate.decode() if sqlstate else None, text.decode(errors="replace"))

    def close(self) -> None:
        self._connection.finish()


def _text(value: bytes | None) -> str | None:
    return None if value is None else value.decode()


def _milliseconds(setting: str) -> float:
    """A time setting as SHOW prints it: `1min`, `30s`, `500ms`, `0`."""
    for unit, factor in (
        ("ms", 1.0),
        ("min", 60_000.0),
        ("s", 1000.0),
        ("h", 3_600_000.0),
        ("d", 86_400_000.0),
    ):
        if setting.endswith(unit):
            return float(setting.removesuffix(unit)) * factor
    return float(setting)
