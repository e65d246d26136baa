"""PostgreSQL as a source: the publication, the slot and their snapshots, and the guard over the saved position."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping, Sequence

from psycopg2.extensions import connection as SqlConnection

from replicator import failpoints
from replicator.engine import Endpoint, Finding, Objects, Prepared, Retention
from replicator.engines.postgres import checks, guard, publication, reader, retention
from replicator.engines.postgres.catalog import PostgresCatalog
from replicator.engines.postgres.connect import connect, query, translated
from replicator.engines.postgres.names import ANEW, quote
from replicator.engines.postgres.position import Lsn
from replicator.engines.postgres.snapshot import PostgresSnapshot
from replicator.engines.postgres.walsender import WalSender
from replicator.errors import Fenced, Refused
from replicator.model.builder import Limits
from replicator.model.position import Position
from replicator.model.schema import Name, Table
from replicator.model.stream import Followed, Identity, StreamState, object_name

WAIT_NOTICE_S = 5.0
FAILOVER_SLOTS = 17_00_00
"""https://www.postgresql.org/docs/current/logicaldecoding-explanation.html#LOGICALDECODING-REPLICATION-SLOTS-SYNCHRONIZATION"""


class PostgresSource:
    def __init__(self, where: Endpoint, announce: Callable[[str], None]) -> None:
        self._where = where
        self._announce = announce
        self._sql = connect(where)
        self.catalog = PostgresCatalog(self._sql)

    # Before anything is made

    def copy_findings(self, tables: Sequence[Table]) -> list[Finding]:
        return checks.copy_findings(self._sql, self._where, tables)

    def findings(self, tables: Sequence[Followed], objects: Objects) -> list[Finding]:
        return checks.findings(self._sql, self._where, tables, objects)

    def identity(self) -> str:
        """System identifier, timeline and database, as JSON: what a saved position belongs to.

        The timeline of a primary is in the name of the WAL file that it writes; a standby's is not asked for, since
        only copies are taken from one.
        """
        ((system, timeline, database),) = query(
            self._sql,
            "SELECT system_identifier::text, CASE WHEN pg_is_in_recovery() THEN '0' "
            "ELSE left(pg_walfile_name(pg_current_wal_insert_lsn()), 8) END, current_database() "
            "FROM pg_control_system()",
        )
        return json.dumps(
            {"system": system, "timeline": int(timeline, 16), "database": database, "url": self._where.shown}
        )

    def recognise(self, identity: str) -> None:
        guard.same_server(self._where, json.loads(identity), json.loads(self.identity()))

    # The stream's objects

    def prepare(self, identity: Identity, tables: Sequence[Followed]) -> Prepared:
        """The publications first: a slot that is older than its publication can never be read."""
        name = identity.object_name
        self.drop(identity)
        if identity.publication is None:
            with translated():
                for own, publish, carried in publication.plan(identity, tables):
                    publication.make(self._sql, own, carried, publish)
        if identity.slot is None:
            snapshot = self._make_slot(name, temporary=False)
            assert snapshot.position is not None
            return Prepared(snapshot.position, snapshot)
        confirmed = query(
            self._sql,
            "SELECT confirmed_flush_lsn::text FROM pg_replication_slots WHERE slot_name = %s",
            (identity.slot,),
        )
        if not confirmed or confirmed[0][0] is None:
            raise Refused(f"the slot {identity.slot!r} does not exist or is not a logical one")
        return Prepared(Lsn.parse(confirmed[0][0]), self.snapshot())

    def drop(self, identity: Identity) -> list[str]:
        removed = []
        slot = identity.object_name
        active = query(self._sql, "SELECT active_pid FROM pg_replication_slots WHERE slot_name = %s", (slot,))
        if active and identity.slot is None:
            if active[0][0] is not None:
                raise Fenced(
                    f"replication slot {slot!r} is active for PID {active[0][0]}: a run of this stream is reading it",
                    remedy=f"stop that run; where its machine is gone: SELECT pg_terminate_backend({active[0][0]})",
                )
            query(self._sql, "SELECT pg_drop_replication_slot(%s)", (slot,))
            removed.append(f"replication slot {slot}")
        if identity.publication is None:
            there = publication.published_kinds(self._sql, publication.names(identity))
            with translated():
                for own in there:
                    publication.remove(self._sql, own)
                    removed.append(f"publication {own}")
        return removed

    def strays(self, name: str) -> list[str]:
        pattern = f"^{object_name(name)}[0-9a-f]{{8}}(_i)?$"
        slots = query(
            self._sql,
            # Slots are the server's, and other databases of it have streams of this name, too.
            "SELECT slot_name FROM pg_replication_slots WHERE slot_name ~ %s AND NOT active "
            "AND database = current_database()",
            (pattern,),
        )
        named = query(
            self._sql,
            "SELECT pubname FROM pg_publication WHERE pubname ~ %s AND NOT EXISTS (SELECT FROM pg_replication_slots "
            "WHERE active AND starts_with(pubname::text, slot_name::text))",
            (pattern,),
        )
        return publication.statements((slot for (slot,) in slots), (own for (own,) in named))

    def view(self) -> PostgresSnapshot:
        return PostgresSnapshot.exported(connect(self._where), connect(self._where))

    def snapshot(self) -> PostgresSnapshot:
        """By a temporary slot: only a slot's exported snapshot has an exact position in the log."""
        return self._make_slot("", temporary=True)

    def _make_slot(self, name: str, *, temporary: bool) -> PostgresSnapshot:
        owner = WalSender(self._where)
        try:
            kind = "TEMPORARY LOGICAL" if temporary else "LOGICAL"
            name = name or f"replicator_copy_{query(self._sql, 'SELECT pg_backend_pid()')[0][0]}"
            # A server that can keeps the slot at its standbys too: it is then still there after a failover.
            survives = ", FAILOVER true" if not temporary and self._sql.server_version >= FAILOVER_SLOTS else ""
            rows = owner.command(
                f"CREATE_REPLICATION_SLOT {quote(name)} {kind} pgoutput (SNAPSHOT 'export'{survives})",
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

    def follow(self, identity: Identity, tables: Sequence[Followed]) -> None:
        """The publications carry exactly these tables from the next commit on. One that the user made is his."""
        if identity.publication is not None:
            return
        for name, _, wanted in publication.plan(identity, tables):
            published = publication.published(self._sql, name)
            if published is None and wanted:
                raise Refused(
                    f"the publication {name!r} does not exist, and one made now could not be read by the slot",
                    remedy=ANEW,
                )
            if published is None or published == {table.name for table in wanted}:
                continue
            with translated():
                publication.change(self._sql, name, published, wanted)

    def carried(self, identity: Identity) -> Mapping[Name, str]:
        return publication.membership(self._sql, publication.names(identity))

    def guard(self, state: StreamState, mark: Position) -> None:
        assert isinstance(mark, Lsn)
        guard.check(self._sql, self._where, state, mark, self.identity())
        followed = [table for table in state.tables.values() if table.phase != "left"]
        publication.check(self._sql, publication.names(state.identity), followed)

    def reader(self, identity: Identity, limits: Limits) -> reader.PostgresReader:
        slot = identity.slot or identity.object_name
        names = publication.names(identity)

        def check(connection: SqlConnection, tables: Collection[Followed]) -> None:
            publication.check(connection, names, tables)

        # A stream that is older than the second publication reads with the first alone.
        there = publication.published_kinds(self._sql, names)
        return reader.PostgresReader(self._where, slot, [n for n in names if n in there], limits, check)

    # Where the log stands

    def head(self) -> Lsn:
        return reader.head(self._sql)

    def retention(self, identity: Identity, mark: Position) -> Retention:
        return retention.retention(self._sql, identity.slot or identity.object_name)

    def give_up(self, identity: Identity) -> None:
        assert identity.slot is None, "a slot of the user's"
        retention.give_up(self._sql, identity.object_name)

    def close(self) -> None:
        self._sql.close()
