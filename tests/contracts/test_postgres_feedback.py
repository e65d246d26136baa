"""Feedback is ours alone (design rule 3): two ways in which psycopg2's own loses a transaction, and ours does not.

psycopg2 raises the confirmed position by itself on a keepalive, whenever what was confirmed is not below the start of
the last message. Inside a transaction that began before the confirmed one (its rows lie before it in the log), and
after a RELATION message (whose start is 0), that is true while transactions in between are not applied.
"""

from __future__ import annotations

import select
import time
from collections.abc import Callable, Iterator
from typing import Any

import psycopg2
import pytest
from psycopg2.extras import LogicalReplicationConnection, StopReplication

from replicator.engine import Endpoint
from replicator.engines.postgres import pgoutput
from replicator.engines.postgres.position import Lsn
from replicator.engines.postgres.walsender import Keepalive, WalSender
from tests.support.databases import PostgresDatabase

SLOT, PUBLICATION = "feedback", "feedback"
BIG = 40_000
"""Rows of the transaction that the server is still sending when the keepalive comes."""


@pytest.fixture
def slot(database: PostgresDatabase) -> Iterator[PostgresDatabase]:
    database.execute("CREATE TABLE t (id int PRIMARY KEY, filler text)")
    database.execute(f"CREATE PUBLICATION {PUBLICATION} FOR ALL TABLES")
    database.query("SELECT pg_create_logical_replication_slot(%s, 'pgoutput')", SLOT)
    yield database


def confirmed(database: PostgresDatabase) -> Lsn:
    rows = database.query("SELECT confirmed_flush_lsn::text FROM pg_replication_slots WHERE slot_name = %s", SLOT)
    return Lsn.parse(rows[0][0])


def interleaved(database: PostgresDatabase) -> None:
    """A large transaction writes its rows first, two small ones commit, then the large one."""
    large = database.connect()
    large.autocommit = False
    with large.cursor() as cursor:
        cursor.execute("INSERT INTO t SELECT g, repeat('x', 200) FROM generate_series(1, %s) g", (BIG,))
    database.execute("INSERT INTO t VALUES (-1, 'first')")
    database.execute("INSERT INTO t VALUES (-2, 'second')")
    large.commit()


def behind_relations(database: PostgresDatabase) -> None:
    """A small transaction, then one that is hardly more than RELATION messages."""
    columns = ", ".join(f"{'c' * 55}{n} int" for n in range(1000))
    for number in range(100):
        database.execute(f"CREATE TABLE wide{number} ({columns})")
    database.execute("INSERT INTO t VALUES (-1, 'first')")
    database.execute("".join(f"INSERT INTO wide{number} DEFAULT VALUES;" for number in range(100)))


class Psycopg2:
    """Reads through psycopg2, confirms what it is told to, and asks for keepalives."""

    def __init__(self, database: PostgresDatabase) -> None:
        self.connection = psycopg2.connect(database.url, connection_factory=LogicalReplicationConnection)
        self.cursor: Any = self.connection.cursor()
        self.cursor.start_replication(
            slot_name=SLOT, options={"proto_version": "1", "publication_names": PUBLICATION}, decode=False
        )

    def receive(self) -> bytes | None:
        message = self.cursor.read_message()
        if message is None:
            select.select([self.connection], [], [], 0.05)
            return None
        return bytes(message.payload)

    def confirm(self, lsn: int) -> None:
        self.cursor.send_feedback(flush_lsn=lsn, force=True)

    def ask(self) -> None:
        self.cursor.send_feedback(reply=True, force=True)

    def close(self) -> None:
        try:
            self.connection.close()
        except (psycopg2.Error, StopReplication):
            pass


class Ours:
    """The same through our own connection."""

    def __init__(self, database: PostgresDatabase) -> None:
        self.sender = WalSender(Endpoint(database.url, "test"))
        self.sender.start(SLOT, 0, [PUBLICATION])

    def receive(self) -> bytes | None:
        message = self.sender.receive()
        if message is None:
            self.sender.wait(0.05)
            return None
        return None if isinstance(message, Keepalive) else message

    def confirm(self, lsn: int) -> None:
        self.sender.confirm(lsn)

    def ask(self) -> None:
        self.sender.feedback(ask=True)

    def close(self) -> None:
        self.sender.close()


Reader = Psycopg2 | Ours


def read_into_the_large_one(reader: Reader, confirm_first: bool) -> int:
    """Read the small transactions and most of the large one, asking for keepalives on the way.

    With `confirm_first` the first transaction is confirmed; returns where it ends.
    """
    first = 0
    commits = rows = 0
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        message = reader.receive()
        if message is None:
            continue
        if message[:1] == b"C":
            commits += 1
            if commits == 1:
                first = pgoutput.commit(message).end_lsn
                if confirm_first:
                    reader.confirm(first)
        # Slowly enough that the server has to wait for us: only then does it answer inside a transaction.
        if message[:1] in (b"I", b"R"):
            rows += 1
            if rows % (10 if confirm_first else 1) == 0:
                reader.ask()
            if not confirm_first:
                time.sleep(0.01)
            elif rows % 100 == 0:
                time.sleep(0.002)
        if commits and message[:1] == b"C" and commits >= (3 if confirm_first else 2):
            break
        if rows >= (BIG - 100 if confirm_first else 190):
            break
    return first


def commits_after_reconnect(database: PostgresDatabase) -> int:
    reader = Ours(database)
    commits = 0
    deadline = time.monotonic() + 30
    try:
        quiet = time.monotonic()
        while time.monotonic() < deadline and time.monotonic() - quiet < 2:
            message = reader.receive()
            if message is not None:
                quiet = time.monotonic()
                commits += message[:1] == b"C"
    finally:
        reader.close()
    return commits


Write = Callable[[PostgresDatabase], None]


@pytest.mark.parametrize(("write", "confirm_first"), [(interleaved, True), (behind_relations, False)])
def test_psycopg2_confirms_what_was_not_applied(slot: PostgresDatabase, write: Write, confirm_first: bool) -> None:
    """If this fails one day, psycopg2 has been mended; until then it must not read the stream."""
    before = confirmed(slot)
    write(slot)
    reader = Psycopg2(slot)
    try:
        first = read_into_the_large_one(reader, confirm_first)
        reader.ask()
        time.sleep(0.5)
        reached = confirmed(slot)
    finally:
        reader.close()
    assert reached.value > (first if confirm_first else before.value)


@pytest.mark.parametrize(("write", "confirm_first", "left"), [(interleaved, True, 2), (behind_relations, False, 2)])
def test_ours_confirms_only_what_it_is_told(
    slot: PostgresDatabase, write: Write, confirm_first: bool, left: int
) -> None:
    before = confirmed(slot)
    write(slot)
    reader = Ours(slot)
    try:
        first = read_into_the_large_one(reader, confirm_first)
        reader.ask()
        time.sleep(0.5)
        reached = confirmed(slot)
    finally:
        reader.close()
    assert reached.value == (first if confirm_first else before.value)
    assert commits_after_reconnect(slot) == left
