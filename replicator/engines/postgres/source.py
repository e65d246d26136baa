"""PostgreSQL as a source: the publication, the slot and their snapshots, and the guard over the saved position."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping, Sequence

from psycopg2.extensions import connection as SqlConnection

from replicator import failpoints
from replicator.engine import Endpoint, Finding, Objects, Prepared
from replicator.engines.postgres import checks, guard, publication, reader
from replicator.engines.postgres.catalog import PostgresCatalog
from replicator.engines.postgres.connect import connect, query, translated
from replicator.engines.postgres.names import quote
from replicator.engines.postgres.position import Lsn
from replicator.engines.postgres.snapshot import PostgresSnapshot
from replicator.engines.postgres.walsender import WalSender
from replicator.errors import Refused
from replicator.model.builder import Limits
from replicator.model.position import Position
from replicator.model.schema import Name, Table
from replicator.model.stream import Followed, Identity, StreamState

WAIT_NOTICE_S = 5.0


class PostgresSource:
    def __init__(self, where: Endpoint, announce: Callable[[str], None]) -> None:
        self._where = where
        self._announce = announce
        self._sql = connect(where)
        self.catalog = PostgresCatalog(self._sql)

    # Before anything is made

    def findings(self, tables: Sequence[Table], objects: Objects) -> list[Finding]:
        return checks.findings(self._sql, self._where, tables, objects)

    def identity(self) -> str:
        """System identifier, timeline and database, as JSON: what a saved position belongs to."""
        sender = WalSender(self._where)
        try:
            system, timeline, _, database = sender.command("IDENTIFY_SYSTEM")[0]
        finally:
            sender.close()
        return json.dumps(
            {"system": system, "timeline": int(timeline or 0), "database": database, "url": self._where.shown}
        )

    def recognise(self, identity: str) -> None:
        guard.same_server(self._where, json.loads(identity), json.loads(self.identity()))

    # The stream's objects

    def prepare(self, identity: Identity, tables: Sequence[Table]) -> Prepared:
        """The publication first: a slot that is older than its publication can never be read."""
        name = identity.object_name
        if identity.slot is None:
            self._drop_slot(name)
        if identity.publication is None:
            with translated():
                publication.run(self._sql, f"DROP PUBLICATION IF EXISTS {quote(name)}", tables)
                publication.run(self._sql, publication.statement(name, tables), tables)
        if identity.slot is None:
            snapshot = self._make_slot(name, temporary=False)
            return Prepared(snapshot.position, snapshot)
        confirmed = query(
            self._sql,
            "SELECT confirmed_flush_lsn::text FROM pg_replication_slots WHERE slot_name = %s",
            (identity.slot,),
        )
        if not confirmed or confirmed[0][0] is None:
            raise Refused(f"the slot {identity.slot!r} does not exist or is not a logical one")
        return Prepared(Lsn.parse(confirmed[0][0]), self.snapshot())

    def _drop_slot(self, name: str) -> None:
        if query(self._sql, "SELECT 1 FROM pg_replication_slots WHERE slot_name = %s", (name,)):
            query(self._sql, "SELECT pg_drop_replication_slot(%s)", (name,))

    def snapshot(self) -> PostgresSnapshot:
        """By a temporary slot: only a slot's exported snapshot has an exact position in the log."""
        return self._make_slot("", temporary=True)

    def _make_slot(self, name: str, *, temporary: bool) -> PostgresSnapshot:
        owner = WalSender(self._where)
        try:
            kind = "TEMPORARY LOGICAL" if temporary else "LOGICAL"
            name = name or f"replicator_copy_{query(self._sql, 'SELECT pg_backend_pid()')[0][0]}"
            rows = owner.command(
                f"CREATE_REPLICATION_SLOT {quote(name)} {kind} pgoutput (SNAPSHOT 'export')",
                self._say_who_holds(),
            )
            failpoints.hit("slot_created")
            _, point, exported, _ = rows[0]
            assert point is not None and exported is not None
            snapshot = PostgresSnapshot(connect(self._where), Lsn.parse(point), exported, owner)
            failpoints.hit("snapshot_exported")
            return snapshot
        except BaseException:
            owner.close()
            raise

    def _say_who_holds(self) -> Callable[[float], None]:
        """Making a slot waits for every running transaction that has written: after a while, say which."""
        said = False

        def waiting(seconds: float) -> None:
            nonlocal said
            if said or seconds < WAIT_NOTICE_S:
                return
            said = True
            rows = query(
                self._sql,
                # Anybody may read pg_locks; of other roles' sessions pg_stat_activity tells only the pid.
                "SELECT DISTINCT 'pid ' || l.pid || ', open for ' || "
                "coalesce(date_trunc('second', now() - xact_start)::text, 'unknown') "
                "FROM pg_locks l LEFT JOIN pg_stat_activity a ON a.pid = l.pid "
                "WHERE locktype = 'transactionid' AND mode = 'ExclusiveLock' AND granted AND l.pid IS NOT NULL "
                "UNION ALL "
                "SELECT 'prepared transaction ' || gid || ', for ' || date_trunc('second', now() - prepared) "
                "FROM pg_prepared_xacts",
            )
            holders = "; ".join(text for (text,) in rows) or "unknown"
            self._announce(f"making the replication slot waits for running transactions: {holders}")

        return waiting

    def follow(self, identity: Identity, tables: Sequence[Table]) -> None:
        """The publication carries exactly these tables from the next commit on. One that the user made is his."""
        if identity.publication is not None:
            return
        name = identity.object_name
        published = publication.published(self._sql, name)
        wanted = {table.name for table in tables}
        if published is None or published == wanted:
            return
        with translated():
            publication.run(self._sql, f"ALTER PUBLICATION {quote(name)} SET {publication.listed(tables)}", tables)

    def carried(self, identity: Identity) -> Mapping[Name, str]:
        return publication.membership(self._sql, identity.publication or identity.object_name)

    def guard(self, state: StreamState, mark: Position) -> None:
        assert isinstance(mark, Lsn)
        guard.check(self._sql, self._where, state, mark, self.identity())
        name = state.identity.publication or state.identity.object_name
        publication.check(self._sql, name, [table for table in state.tables.values() if table.phase != "left"])

    def reader(self, identity: Identity, limits: Limits) -> reader.PostgresReader:
        slot = identity.slot or identity.object_name
        name = identity.publication or identity.object_name

        def check(connection: SqlConnection, tables: Collection[Followed]) -> None:
            publication.check(connection, name, tables)

        return reader.PostgresReader(self._where, slot, name, limits, check)

    # Where the log stands

    def head(self) -> Lsn:
        return reader.head(self._sql)

    def retained_bytes(self, identity: Identity) -> int | None:
        return reader.retained_bytes(self._sql, identity.slot or identity.object_name)

    def close(self) -> None:
        self._sql.close()
