"""The log's groups of events as transactions: where each begins, what ends it, and what takes it back.

A group begins with a GTID event. It ends with XID, with a COMMIT statement (tables without transactions), with XA
PREPARE of one phase, or, where MariaDB says that it stands alone or a schema changes, with its one statement. ROLLBACK
throws it away. Whatever is not listed here stops the stream; a position is only ever the end of a group.

https://dev.mysql.com/doc/dev/mysql-server/latest/page_replication.html, https://mariadb.com/kb/en/gtid_event/
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from replicator import failpoints
from replicator.engines.mysql import binlog, queries
from replicator.engines.mysql.binlog import Event, Xid
from replicator.engines.mysql.failures import ANEW
from replicator.engines.mysql.flavor import Flavor
from replicator.engines.mysql.gtid import DomainGtid, DomainSet, Gtid
from replicator.engines.mysql.position import BinlogPosition, LogFile
from replicator.engines.mysql.relations import Relations
from replicator.errors import NotUnderstood, PositionLost, SchemaChanged
from replicator.model.builder import Builder
from replicator.model.schema import Name

DECOMPRESSED_LIMIT = 1 << 30
"""What a compressed event or transaction may become: the most that the server itself takes."""
DECOMPRESSED_AT_ONCE = 64 << 20
LARGEST_RATIO = 50_000
"""What may come of one compressed byte, above so many bytes: zstd makes little of long runs of the same."""
ARTIFICIAL = 0x20
"""LOG_EVENT_ARTIFICIAL_F: made up by the server for this dump."""
_IGNORED = frozenset(
    (
        binlog.STOP,
        binlog.HEARTBEAT_V2,
        binlog.ROWS_QUERY,
        binlog.PREVIOUS_GTIDS,
        binlog.MARIADB_ANNOTATE_ROWS,
        binlog.MARIADB_BINLOG_CHECKPOINT,
        binlog.MARIADB_GTID_LIST,
    )
)


class Transactions:
    """Takes the events of one dump in order, and tells the builder what is in them."""

    def __init__(self, flavor: Flavor, position: BinlogPosition, relations: Relations, builder: Builder) -> None:
        self._flavor = flavor
        self._relations = relations
        self._builder = builder
        self.position = position
        """Behind the last whole group."""
        self.file = position.file
        self.heard = 0.0
        """The time of the last event that had one, seconds since 1970 by the source's clock."""
        self._offset = 0
        self._inner: Iterator[Event] = iter(())
        self._reset_group()
        self._handlers: dict[int, Callable[[Event], None]] = {
            binlog.ROTATE: self._rotate,
            binlog.FORMAT_DESCRIPTION: self._format_description,
            binlog.GTID: lambda event: self._begin(binlog.gtid(event.body)),
            binlog.GTID_TAGGED: lambda event: self._begin(binlog.tagged_gtid(event.body)),
            binlog.ANONYMOUS_GTID: lambda event: self._begin(None),
            binlog.MARIADB_GTID: self._begin_domain,
            binlog.QUERY: self._query,
            binlog.MARIADB_QUERY_COMPRESSED: self._compressed_query,
            binlog.TABLE_MAP: self._table_map,
            binlog.XID: self._commit,
            binlog.XA_PREPARE: self._xa_prepare,
            binlog.TRANSACTION_PAYLOAD: self._payload,
            binlog.HEARTBEAT: self._heartbeat,
            binlog.INCIDENT: self._incident,
            **dict.fromkeys((*binlog.ROWS, binlog.PARTIAL_ROWS), self._rows),
            **dict.fromkeys(binlog.COMPRESSED_ROWS, self._compressed_rows),
            **dict.fromkeys(_IGNORED, lambda event: None),
        }

    def _reset_group(self) -> None:
        self._gtid: Gtid | DomainGtid | None = None
        self._in_group = False
        self._standalone: bool | None = None
        self._start = 0
        self._xid: Xid | None = None
        self._database = ""

    def __call__(self, event: Event) -> None:
        if event.type not in self._flavor.events:
            raise NotUnderstood(
                f"an event of type {event.type} in the binary log is not understood ({self.where()})",
                remedy="the position is kept; report this with the server's version",
            )
        if event.timestamp:
            self.heard = float(event.timestamp)
        if event.end and event.type not in (binlog.HEARTBEAT, binlog.HEARTBEAT_V2, binlog.ROTATE):
            self._advance(event)
        self._handlers[event.type](event)

    def pending(self) -> Event | None:
        """The next event of a compressed transaction; None where none is being read."""
        return next(self._inner, None)

    def _advance(self, event: Event) -> None:
        """Offsets have 32 bits: in a file of more than 4 GiB they begin anew, and then say nothing of a position."""
        if isinstance(self.position.executed, int) and event.end < self._offset and not event.flags & ARTIFICIAL:
            raise PositionLost(
                f"the offsets in {self.file.name} have reached 4 GiB, and the source has no GTIDs to go on by",
                remedy=f"turn gtid_mode on at the source; then {ANEW}",
            )
        self._offset = event.end

    # Where we are

    def where(self) -> str:
        """For messages: the transaction, or the place in the log."""
        at = f"{self.file.name}:{self._offset}"
        return f"in the transaction {self._gtid} at {at}" if self._gtid is not None else f"at {at}"

    # Files

    def _rotate(self, event: Event) -> None:
        name, _ = binlog.rotate(event.body)
        if name != self.file.name:
            self.file = LogFile(name)
        self._offset = 0
        self._relations.forget_maps()

    def _format_description(self, event: Event) -> None:
        if event.timestamp:
            self.file = LogFile(self.file.name, event.timestamp)
        # A server that died has left the last group of the file before without its end: it was never committed.
        if self._in_group:
            self._discard()

    def _heartbeat(self, event: Event) -> None:
        """All up to there was sent. Without GTIDs it is how a position passes what belongs to no group."""
        if isinstance(self.position.executed, int) and not self._in_group and self.file.time:
            self.position = BinlogPosition(event.end, self.file)

    # Groups

    def _begin(self, gtid: Gtid | None) -> None:
        if gtid is None and not isinstance(self.position.executed, int):
            raise PositionLost(
                f"a transaction without a GTID in the log {self.where()}: gtid_mode was turned off at the source",
                remedy=ANEW,
            )
        if gtid is not None and self.position.has(gtid, self.file, 0) and not isinstance(self.position.executed, int):
            raise PositionLost(f"the transaction {gtid} came again: GTIDs were reset at the source", remedy=ANEW)
        self._open(gtid)

    def _begin_domain(self, event: Event) -> None:
        begun = binlog.mariadb_gtid(event.body, event.server_id)
        executed = self.position.executed
        if isinstance(executed, DomainSet) and executed.contains(begun.gtid):
            raise PositionLost(
                f"the transaction {begun.gtid} follows {executed.last[begun.gtid.domain]}: numbers do not rise within "
                "their domain (was the log reset, or does more than one server write in the domain?)",
                remedy=ANEW,
            )
        self._open(begun.gtid)
        self._standalone = begun.standalone
        if begun.xid is not None and begun.prepares:
            self._xid = begun.xid

    def _open(self, gtid: Gtid | DomainGtid | None) -> None:
        if self._in_group:
            raise NotUnderstood(f"a transaction in the log begins inside another one ({self.where()})")
        self._reset_group()
        self._gtid = gtid
        self._in_group = True
        self._start = self._offset
        self._relations.begin(lambda floor: floor.has(gtid, self.file, self._start))

    def _started(self) -> None:
        """The group has rows, or may have."""
        if not self._in_group:
            raise NotUnderstood(f"rows in the log belong to no transaction ({self.where()})")
        if not self._builder.open:
            self._builder.begin(None if self._xid is None else str(self._xid))

    def _commit(self, event: Event) -> None:
        failpoints.hit("txn_read")
        self._started()
        self.position = self.position.with_transaction(self._gtid, self.file, self._offset)
        self._builder.commit(self.position, float(event.timestamp), 0)
        self._reset_group()
        self._relations.forget_maps()

    def _discard(self) -> None:
        if self._builder.open and not self._builder.discard():
            raise NotUnderstood(
                f"a transaction of which a part is applied already is rolled back in the log ({self.where()})",
                remedy="the position is kept; copy the tables that it has changed anew",
            )
        self._reset_group()
        self._relations.forget_maps()

    # Statements

    def _compressed_query(self, event: Event) -> None:
        self._query(event._replace(body=binlog.compressed_query(event.body, self._limit(event.body))))

    def _query(self, event: Event) -> None:
        query = binlog.query(event.body)
        statement = queries.text_of(query)
        meaning = queries.meaning(statement, query.database)
        self._database = query.database
        match meaning:
            case queries.Framing(what="begin"):
                self._started()
            case queries.Framing(what="xa start"):
                self._xa_start(statement)
            case queries.Framing(what="xa end"):
                pass
            case queries.Framing(what="commit"):
                self._commit(event)
            case queries.Framing(what="rollback"):
                position = self.position.with_transaction(self._gtid, self.file, self._offset)
                self._discard()
                self.position = position
                self._builder.begin()
                self._builder.commit(position, float(event.timestamp), 0)
            case queries.Framing(what="savepoint", name=name):
                self._started()
                self._builder.savepoint(name)
            case queries.Framing(what="rollback to", name=name):
                self._roll_back_to(name)
            case queries.XaEnd(commit=commit, xid=xid):
                self._started()
                self._builder.resolve(xid, commit, self._relations.open_tables())
                self._commit(event)
            case _:
                self._statement(meaning)
                # CREATE TABLE ... SELECT has its rows behind it, in the same group: MariaDB says so at its beginning,
                # MySQL has a BEGIN before it.
                if self._standalone or (self._standalone is None and not self._builder.open):
                    self._commit(event)

    def _statement(self, meaning: queries.Meaning) -> None:
        match meaning:
            case queries.Emptied(database=database, table=table):
                emptied = self._relations.emptied(Name(database, table))
                if emptied is not None:
                    self._started()
                    self._builder.truncate((emptied,))
                    self._standalone = True
            case queries.RowStatement(verb=verb):
                if self._relations.names():  # not where each table's copy is of later
                    raise NotUnderstood(
                        f"a statement ({verb}) stands in the log in place of the rows it has changed ({self.where()})",
                        remedy=f"SET GLOBAL binlog_format = 'ROW' at the source, for every session; then {ANEW}",
                    )
            case queries.SchemaStatement(words=words):
                names = queries.touched(meaning, self._relations.names())
                if names:
                    listed = ", ".join(".".join(name) for name in sorted(names))
                    raise SchemaChanged(
                        f"{listed}: {words} was run at the source ({self.where()})",
                        remedy=f"copy the table anew: replicator recopy SOURCE TARGET {listed.replace(', ', ' ')}",
                    )

    def _roll_back_to(self, name: str) -> None:
        if not self._builder.roll_back_to(name):
            raise NotUnderstood(
                f"the log rolls back to the savepoint {name!r}, which is unknown, or whose rows are applied already "
                f"({self.where()})",
                remedy="the position is kept; copy the tables that the transaction has changed anew",
            )

    # XA

    def _xa_start(self, statement: str) -> None:
        self._xid = queries.xid(statement)
        self._started()

    def _xa_prepare(self, event: Event) -> None:
        xid, one_phase = binlog.xa_prepare(event.body)
        if self._xid != xid:
            raise NotUnderstood(f"an XA transaction in the log ends under another name ({self.where()})")
        self._started()
        if one_phase:
            self._builder.resolve(str(xid), True, self._relations.open_tables())
        self._commit(event)

    # Rows

    def _table_map(self, event: Event) -> None:
        self._relations.announce(event.body)

    def _rows(self, event: Event) -> None:
        self._started()
        self._relations.rows(event.type, event.body, self._builder, self.where)

    def _compressed_rows(self, event: Event) -> None:
        plain = binlog.COMPRESSED_ROWS[event.type]
        body = binlog.uncompressed_rows(plain, event.body, self._limit(event.body))
        self._rows(event._replace(type=plain, body=body))

    def _payload(self, event: Event) -> None:
        data = binlog.payload(event.body, self._limit(event.body))
        self._inner = binlog.events(data, event.end)

    @staticmethod
    def _limit(data: bytes) -> int:
        return min(DECOMPRESSED_LIMIT, max(DECOMPRESSED_AT_ONCE, len(data) * LARGEST_RATIO))

    # What ends the stream

    def _incident(self, event: Event) -> None:
        raise PositionLost(
            f"the source has lost a part of its log: an incident event {self.where()}",
            remedy=ANEW,
        )
