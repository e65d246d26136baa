"""Reads the stream of one slot: replication messages in, batches out."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Sequence

from psycopg2.extensions import connection as SqlConnection

from replicator import failpoints, remedies
from replicator.engine import Endpoint
from replicator.engines.postgres import pgoutput
from replicator.engines.postgres.connect import answered_in, connect, query
from replicator.engines.postgres.position import Lsn
from replicator.engines.postgres.relations import Relations, RowPlan
from replicator.engines.postgres.walsender import Keepalive, WalSender
from replicator.errors import NotUnderstood, ReplicatorError, SchemaChanged, ValueNotHeld
from replicator.model.builder import Builder, Limits
from replicator.model.change import Batch, StreamMark
from replicator.model.position import Position
from replicator.model.schema import Table
from replicator.model.stream import Followed
from replicator.model.values import MISSING, Row, Value

ASK_S = 0.05
"""How often a waiter asks the server how far it is."""
PRESS_S = 1.0
"""After how long without progress a waiter writes a message into the log, to have something that moves it."""
RECHECK_S = 10.0
ANSWER_S = 30.0
"""After how long a server that does not answer a small question is taken for gone."""
_KEY_GONE = """
SELECT EXISTS (SELECT FROM pg_class WHERE oid = %(oid)s) AND NOT EXISTS (
  SELECT FROM pg_index i WHERE indrelid = %(oid)s AND indisunique AND indisvalid AND indimmediate
    AND indpred IS NULL AND indexprs IS NULL
    AND ARRAY(SELECT attname::text FROM pg_attribute WHERE attrelid = indrelid
              AND attnum = ANY ((indkey::int2[])[0:indnkeyatts - 1])) <@ %(key)s::text[]
    AND NOT EXISTS (SELECT FROM pg_attribute WHERE attrelid = indrelid AND NOT attnotnull
                    AND attnum = ANY ((indkey::int2[])[0:indnkeyatts - 1])))
"""


class PostgresReader:
    def __init__(
        self,
        where: Endpoint,
        slot: str,
        publications: Sequence[str],
        limits: Limits,
        check: Callable[[SqlConnection, Collection[Followed]], None],
    ) -> None:
        self._where = where
        self._slot = slot
        self._publications = publications
        self._check = check
        self._builder = Builder(limits)
        self._sender: WalSender | None = None
        self._sql: SqlConnection | None = None
        self._plan: RowPlan | None = None
        self._oid = -1
        self._final_lsn = 0
        self._delivered = self._confirmed = self._wal_end = 0
        self._last_mark = self._last_check = self._waiting_since = self._asked = 0.0

    def start(self, position: Position, tables: Collection[Followed], within: int = 0) -> None:
        assert isinstance(position, Lsn)
        self._builder.skip(within)
        self._relations = Relations(tables)
        self._followed = [followed for followed in tables if followed.phase != "left"]
        self._sender = WalSender(self._where)
        self._delivered = self._confirmed = self._wal_end = position.value
        self._last_mark = self._last_check = time.monotonic()
        self._sender.start(self._slot, position.value, self._publications)

    # Reading

    def read(self, timeout: float, idle_after: float) -> Batch | None:
        sender, builder = self._sender, self._builder
        assert sender is not None
        deadline = time.monotonic() + timeout
        self._recheck()
        while True:
            message = sender.receive()
            if isinstance(message, bytes):
                self._handle(message)
                if builder.full and (batch := builder.take()) is not None:
                    return self._deliver(batch)
                continue
            if message is not None:
                self._keepalive(message)
                continue
            if (batch := builder.take()) is not None:
                return self._deliver(batch)
            now = time.monotonic()
            if (idle := self._idle_mark(now, idle_after)) is not None:
                return idle
            if now >= deadline:
                return None
            sender.tick(ask=True)
            sender.wait(min(deadline - now, ASK_S if idle_after == 0 else 1.0))

    def _deliver(self, batch: Batch) -> Batch:
        if batch.complete and isinstance(batch.mark, StreamMark):
            assert isinstance(batch.mark.position, Lsn)
            self._delivered = batch.mark.position.value
            self._last_mark = time.monotonic()
        return batch

    def _keepalive(self, message: Keepalive) -> None:
        assert self._sender is not None
        # A keepalive inside a transaction speaks of the log before it; only between transactions does its position
        # mean that everything before it has been sent.
        if not self._builder.open:
            self._wal_end = max(self._wal_end, message.wal_end)
        if message.reply:
            self._sender.feedback()

    def _idle_mark(self, now: float, idle_after: float) -> Batch | None:
        """An empty batch, when the log moved on without us and nothing that was read is unapplied."""
        if idle_after == 0:
            self._press(now)
        if self._builder.open or self._delivered != self._confirmed or self._wal_end <= self._delivered:
            return None
        if now - self._last_mark < idle_after:
            return None
        self._waiting_since = now
        return self._deliver(Batch((), (), StreamMark(Lsn(self._wal_end))))

    def _press(self, now: float) -> None:
        """Somebody waits for the log to move: ask, and if that does not help, write something into it."""
        assert self._sender is not None
        if now - self._asked >= ASK_S:
            self._asked = now
            self._sender.feedback(ask=True)
        if not self._waiting_since or self._builder.open:
            self._waiting_since = now
        if now - max(self._waiting_since, self._last_mark) >= PRESS_S:
            self._waiting_since = now
            connection = self._connection()
            with answered_in(ANSWER_S, connection):
                query(connection, "SELECT pg_logical_emit_message(true, 'replicator', 'news')")

    # Messages

    def _handle(self, message: bytes) -> None:
        kind = message[0]
        if kind == 73:  # I
            if self._builder.passes():
                self._insert(message)
        elif kind == 85:  # U
            if self._builder.passes():
                self._update(message)
        elif kind == 68:  # D
            if self._builder.passes():
                self._delete(message)
        elif kind == 66:  # B
            begin = pgoutput.begin(message)
            self._final_lsn, self._xid = begin.final_lsn, begin.xid
            self._oid = -1
            self._builder.begin()
        elif kind == 67:  # C
            commit = pgoutput.commit(message)
            failpoints.hit("txn_read")
            self._builder.commit(Lsn(commit.end_lsn), commit.committed_at, self._xid)
        elif kind == 82:  # R
            relation = pgoutput.relation(message)
            self._relations.announce(relation)
            self._oid = -1
            plan = self._relations.plans[relation.oid]
            if relation.identity == "f" and isinstance(plan, RowPlan) and plan.table.key and not plan.insert_only:
                self._relations.plans[relation.oid] = self._still_keyed(plan)
        elif kind == 84:  # T
            if self._builder.passes():
                self._truncate(message)
        elif kind not in (89, 79, 77):  # Y type, O origin, M logical message: nothing to apply
            raise NotUnderstood(
                f"a pgoutput message of type {kind} is not understood (in the transaction at {Lsn(self._final_lsn)})",
                remedy="the position is kept; report this with the server's version",
            )

    def _still_keyed(self, plan: RowPlan) -> RowPlan | ReplicatorError:
        """Whole old rows tell nothing of a primary key: without it one key may have many rows, and ours is one of them.

        The catalog may be later than the log: a key that has gone since then stops the stream a little too early.
        """
        connection = self._connection()
        with answered_in(ANSWER_S, connection):
            gone = query(connection, _KEY_GONE, {"oid": int(plan.table.id), "key": list(plan.table.key)})[0][0]
        if not gone:
            return plan
        return SchemaChanged(
            f"{plan.table.name}: its replica identity is FULL, and the key by which its rows are found "
            f"({', '.join(plan.table.key)}) is unique no more",
            remedy=f"copy the table anew: {remedies.recopy(plan.table.name)}",
        )

    def _plan_for(self, message: bytes) -> RowPlan | None:
        """How to read this row; None where it is not for us, or its table's copy has it already."""
        oid = int.from_bytes(message[1:5], "big")
        if oid != self._oid:
            self._plan = self._resolve(oid)
            self._oid = oid
        return self._plan

    def _resolve(self, oid: int) -> RowPlan | None:
        try:
            plan = self._relations.plans[oid]
        except KeyError:
            raise NotUnderstood(f"a row of relation {oid} came before its description") from None
        if plan is None or self._final_lsn < self._relations.floors[oid]:
            return None
        if isinstance(plan, ReplicatorError):
            raise type(plan)(f"{plan.what} (in the transaction at {Lsn(self._final_lsn)})", remedy=plan.remedy)
        return plan

    def _insert(self, message: bytes) -> None:
        plan = self._plan_for(message)
        if plan is not None:
            values, _ = self._row(plan, message, 6)
            self._builder.row(plan.table, "insert", tuple(values), None, len(message))

    def _update(self, message: bytes) -> None:
        plan = self._plan_for(message)
        if plan is None or plan.insert_only:
            return
        at, old = 6, None
        marker = message[5]
        if marker in (75, 79):  # 'K' the old key, 'O' the whole old row
            old, at = self._row(plan, message, 6)
            marker = message[at]
            at += 1
        if marker != 78:  # 'N'
            raise NotUnderstood(f"{plan.table.name}: an update without its new row")
        values, _ = self._row(plan, message, at)
        if old is None:
            if not plan.table.key:
                raise self._no_old_row(plan)
            key = tuple([values[i] for i in plan.key_at])
        else:
            whole = message[5] == 79
            if not plan.table.key and not whole:
                raise self._no_old_row(plan)
            key = tuple([old[i] for i in plan.key_at])
            if None in key and plan.table.key:
                raise self._other_key(plan)
            if MISSING in values:
                have = range(len(values)) if whole else plan.key_at
                for i in have:
                    if values[i] is MISSING:
                        values[i] = old[i]
        if MISSING in key:
            raise NotUnderstood(f"{plan.table.name}: an update whose key was not sent")
        self._builder.row(plan.table, "update", tuple(values), key, len(message))

    def _delete(self, message: bytes) -> None:
        plan = self._plan_for(message)
        if plan is None or plan.insert_only:
            return
        if message[5] not in (75, 79):
            raise NotUnderstood(f"{plan.table.name}: a delete without its old row")
        old, _ = self._row(plan, message, 6)
        if not plan.table.key and message[5] != 79:
            raise self._no_old_row(plan)
        key: Row = tuple([old[i] for i in plan.key_at])
        if None in key and plan.table.key:
            raise self._other_key(plan)
        self._builder.row(plan.table, "delete", None, key, len(message))

    def _truncate(self, message: bytes) -> None:
        tables: list[Table] = []
        for oid in pgoutput.truncate(message).oids:
            plan = self._resolve(oid)
            if plan is not None:
                tables.append(plan.table)
        if tables:
            self._builder.truncate(tuple(tables))

    @staticmethod
    def _row(plan: RowPlan, message: bytes, at: int) -> tuple[list[Value], int]:
        try:
            return pgoutput.row(message, at, plan.convert)
        except ValueError:
            column = plan.table.names[pgoutput.broken_column(message, at, plan.convert)]
            raise ValueNotHeld(
                f"{plan.table.name}.{column}: a value is not valid UTF-8 or not of its type's form",
                remedy="repair the value at the source, or leave the table out with --exclude",
            ) from None

    @staticmethod
    def _other_key(plan: RowPlan) -> SchemaChanged:
        return SchemaChanged(
            f"{plan.table.name}: a change came without the whole old key ({', '.join(plan.table.key)}): a partition "
            "has another replica identity than the table",
            remedy="give the partition the replica identity of its root, and copy the table anew: "
            f"{remedies.recopy(plan.table.name)}",
        )

    @staticmethod
    def _no_old_row(plan: RowPlan) -> SchemaChanged:
        return SchemaChanged(
            f"{plan.table.name}: a change came without the whole old row, and the table is followed by whole rows",
            remedy=f"ALTER TABLE {plan.table.name} REPLICA IDENTITY FULL at the source, and copy the table anew",
        )

    # What the pump asks for

    def seen(self) -> Lsn:
        return Lsn(max(self._delivered, self._wal_end))

    def tick(self) -> None:
        assert self._sender is not None
        self._sender.tick()

    def confirm(self, position: Position) -> None:
        assert isinstance(position, Lsn) and self._sender is not None
        failpoints.hit("before_confirm")
        self._confirmed = position.value
        self._sender.confirm(position.value)
        failpoints.hit("after_confirm")

    def _recheck(self) -> None:
        """The publication may have lost a table or a part of one, which the stream would never tell."""
        now = time.monotonic()
        if now - self._last_check >= RECHECK_S:
            self._last_check = now
            connection = self._connection()
            with answered_in(ANSWER_S, connection):
                self._check(connection, self._followed)

    def _connection(self) -> SqlConnection:
        if self._sql is None or self._sql.closed:
            self._sql = connect(self._where)
        return self._sql

    def close(self) -> None:
        if self._sender is not None:
            self._sender.close()
        if self._sql is not None:
            self._sql.close()


def head(connection: SqlConnection) -> Lsn:
    """Covers every commit that is visible now, also one whose WAL is not yet flushed."""
    with answered_in(ANSWER_S, connection):
        return Lsn.parse(query(connection, "SELECT pg_current_wal_insert_lsn()::text")[0][0])
