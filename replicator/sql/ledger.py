"""The ledger of SQL targets: streams, tables, parts and beats, and the fence over the first three.

The fence (design rule 2): a stream's row holds an epoch and a position. A claim raises the epoch; every later write
first locks the row and checks that both are still the ones this run holds. So a retry waits for a commit that is
still in flight and sees its result, and a second or a thawed run finds another epoch and stops.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Collection, Iterable
from contextlib import suppress
from dataclasses import asdict
from typing import Any

import sqlalchemy as sa

from replicator.engine import Objects
from replicator.errors import Fenced, PositionLost, Refused, ReplicatorError
from replicator.model.change import CopyMark, Prepared, Resolved, Rows, StreamMark, Truncate
from replicator.model.position import NEVER, Position
from replicator.model.schema import Name
from replicator.model.stream import Beat, Followed, StreamPhase, StreamState
from replicator.sql import rows, twophase
from replicator.sql.connect import Session
from replicator.sql.migrations import migrate
from replicator.sql.tables import FORMAT_VERSION, SCHEMA, LedgerStatements, LedgerTables, at, since


class SqlLedger:
    def __init__(
        self, session: Session, *, schemas: bool, fold: Callable[[str], str] = str, collation: str | None = None
    ) -> None:
        """`fold`: names for which it gives the same are the same name to the target. `collation`: of its texts."""
        self._session = session
        self._fold = fold
        self._schemas = schemas
        self._t = LedgerTables(schemas, collation)
        self._name = ""
        self._epoch = 0
        self._mark: tuple[str | None, int] = (None, 0)
        self._cursors: dict[tuple[Name, int], str | None] = {}
        self._known: set[Name] = set()
        self._s = LedgerStatements(self._t)

    # Reading

    def names(self) -> list[str]:
        with self._session.transaction() as connection:
            if not self._version(connection):
                return []
            return list(connection.scalars(sa.select(self._t.streams.c.name).order_by(self._t.streams.c.name)))

    def peek(self, name: str) -> StreamState | None:
        with self._session.transaction() as connection:
            return self._read(connection, name, version) if (version := self._version(connection)) else None

    def heard(self, name: str) -> Beat | None:
        beats = self._t.beats
        with self._session.transaction() as connection:
            if not (version := self._version(connection)):
                return None
            row = connection.execute(_all(beats, version).where(beats.c.stream == name)).mappings().one_or_none()
        return None if row is None else rows.beat(row)

    def owners(self, name: str) -> dict[Name, str]:
        with self._session.transaction() as connection:
            return self._owners(connection, name) if self._version(connection) else {}

    def _owners(self, connection: sa.Connection, name: str) -> dict[Name, str]:
        tables = self._t.tables
        found = connection.execute(
            sa.select(tables.c.target_schema, tables.c.target_name, tables.c.stream).where(
                tables.c.stream != name, tables.c.phase != "left"
            )
        )
        return {Name(schema, own): stream for schema, own, stream in found}

    def _version(self, connection: sa.Connection) -> int:
        """The format of the ledger; 0 where there is none.

        Raises Refused for one that we do not know, PositionLost where somebody has removed a part of it.
        """
        ours = self._t.metadata.tables.values()
        there = {*sa.inspect(connection).get_table_names(schema=self._t.format.schema)} & {t.name for t in ours}
        version = self._saved_version(connection) if self._t.format.name in there else None
        gone = sorted(table.name for table in ours if since(table) <= (version or 1) and table.name not in there)
        if version and not gone:
            return version
        # Where DDL commits by itself, a run may have ended while it made these tables, or dropped them.
        if not any(self._has_rows(connection, t) for t in ours if t.name in there and t is not self._t.format):
            return 0
        if gone:
            raise PositionLost(
                f"a part of the bookkeeping at the target is gone: {', '.join(gone)}",
                remedy=f"restore the target from a backup; or drop the rest of it ({', '.join(sorted(there))}), and "
                "copy everything anew: replicator sync SOURCE TARGET --truncate",
            )
        raise _of_another_format([])

    def _saved_version(self, connection: sa.Connection) -> int | None:
        versions = connection.scalars(sa.select(self._t.format.c.version)).all()
        if versions and (len(versions) != 1 or versions[0] not in range(1, FORMAT_VERSION + 1)):
            raise _of_another_format(versions)
        return versions[0] if versions else None

    @staticmethod
    def _has_rows(connection: sa.Connection, table: sa.Table) -> bool:
        return connection.execute(sa.select(sa.literal(1)).select_from(table).limit(1)).first() is not None

    def _read(self, connection: sa.Connection, name: str, version: int = FORMAT_VERSION) -> StreamState | None:
        streams, tables = self._t.streams, self._t.tables
        row = connection.execute(_all(streams, version).where(streams.c.name == name)).mappings().one_or_none()
        found = connection.execute(_all(tables, version).where(tables.c.stream == name)).mappings().all()
        if row is None:
            if found:
                raise _no_position(name)
            return None
        return rows.stream(row, {table.table.name: table for table in map(rows.followed, found)})

    # Taking the stream

    def claim(
        self,
        name: str,
        source: str,
        objects: Objects,
        leave: Collection[Name],
        first: StreamPhase = "preparing",
        held: int | None = None,
    ) -> StreamState:
        streams, parts = self._t.streams, self._t.parts
        with self._session.transaction() as connection:
            version = self._version(connection) or self._make(connection)
            if version < FORMAT_VERSION:
                migrate(connection, self._t, version)
            this = streams.c.name == name
            connection.execute(sa.select(streams.c.epoch).where(this).with_for_update())
            state = self._read(connection, name)
            if held is not None and (state is None or state.epoch != held):
                raise _no_position(name) if state is None else _taken_over(name)
            named = {"publication": objects.publication, "slot": objects.slot}
            if state is None:
                connection.execute(
                    streams.insert().values(
                        name=name, uid=_uid(), source=source, phase=first, epoch=1, within=0, **named
                    )
                )
            else:
                if state.phase == "streaming" and state.mark is None:
                    raise _no_position(name)
                self._raise_epoch(connection, name, state.epoch + 1)
                if state.phase == "preparing":
                    connection.execute(streams.update().where(this).values(**named))
                self._leave(connection, name, leave)
            state = self._read(connection, name)
            assert state is not None
            cursors = connection.execute(sa.select(parts).where(parts.c.stream == name)).mappings()
            self._cursors = {
                (Name(row["source_schema"], row["source_name"]), row["part"]): row["cursor"] for row in cursors
            }
        self._name, self._epoch, self._mark = name, state.epoch, (state.mark, state.within)
        self._known = set(state.tables)
        return state

    def _leave(self, connection: sa.Connection, name: str, leave: Collection[Name]) -> None:
        tables = self._t.tables
        for left in leave:
            mine = self._is(tables, name, left)
            connection.execute(tables.delete().where(mine, tables.c.phase == "chosen"))
            connection.execute(tables.update().where(mine).values(phase="left", floor=str(NEVER)))

    def _raise_epoch(self, connection: sa.Connection, name: str, epoch: int) -> None:
        for table, stream in ((self._t.streams, self._t.streams.c.name), (self._t.parts, self._t.parts.c.stream)):
            connection.execute(table.update().where(stream == name).values(epoch=epoch))

    def renew(self, source: str) -> StreamState:
        streams, tables = self._t.streams, self._t.tables
        with self._session.transaction() as connection:
            self.lock(None)
            connection.execute(
                streams.update()
                .where(streams.c.name == self._name)
                .values(uid=_uid(), source=source, phase="preparing", position=None, within=0)
            )
            # No transaction is prepared when the new snapshot is taken: that is refused.
            connection.execute(self._t.prepared.delete().where(self._t.prepared.c.stream == self._name))
            copied = sa.and_(tables.c.stream == self._name, tables.c.phase.not_in(("chosen", "left")))
            connection.execute(tables.update().where(copied).values(phase="returning", floor=str(NEVER), carried=""))
            state = self._read(connection, self._name)
        assert state is not None
        self._mark = (None, 0)
        return state

    def forget(self) -> None:
        with self._session.transaction() as connection:
            self.lock(None)
            streams = self._t.streams
            connection.execute(streams.delete().where(streams.c.name == self._name))
            for table in (self._t.tables, self._t.parts, self._t.beats, self._t.prepared):
                connection.execute(table.delete().where(table.c.stream == self._name))
            if connection.scalar(sa.select(sa.func.count()).select_from(streams)) == 0:
                self._t.metadata.drop_all(connection)
                if self._schemas:
                    connection.execute(sa.schema.DropSchema(SCHEMA))

    def _make(self, connection: sa.Connection) -> int:
        """Makes what is missing; returns the format from which it is migrated: an ended run of an older program may
        have left some of these tables."""
        # IF NOT EXISTS would ask for the right to make schemas, even where this one is there for us.
        if self._schemas and not sa.inspect(connection).has_schema(SCHEMA):
            connection.execute(sa.schema.CreateSchema(SCHEMA))
        self._t.metadata.create_all(connection)
        version = self._saved_version(connection)
        if version is None:
            connection.execute(self._t.format.insert().values(version=1))
        return version or 1

    # Writing behind the fence

    def record(
        self,
        tables: Iterable[Followed],
        *,
        mark: Position | None = None,
        phase: StreamPhase | None = None,
        source: str | None = None,
    ) -> None:
        with self._session.transaction() as connection:
            self.lock(None)
            tables = list(tables)
            self._vacant(connection, [f.target for f in tables if f.phase in ("chosen", "returning")])
            self._save(connection, tables)
            if mark is not None:
                self.advance(StreamMark(mark))
            changed = {"phase": phase, "source": source}
            if changed := {column: value for column, value in changed.items() if value is not None}:
                streams = self._t.streams
                connection.execute(streams.update().where(streams.c.name == self._name).values(**changed))

    def begin_copy(self, *tables: Followed) -> None:
        with self._session.transaction() as connection:
            self.lock(None)
            self._save(connection, tables)
            keys = [self._key(followed.table.name) for followed in tables]
            connection.execute(self._s.forget_parts, [at(key) for key in keys])
            connection.execute(
                self._t.parts.insert(), [{**key, "part": 0, "epoch": self._epoch, "done": 0} for key in keys]
            )
        begun = {followed.table.name for followed in tables}
        self._cursors = {key: cursor for key, cursor in self._cursors.items() if key[0] not in begun}
        self._cursors |= {(name, 0): None for name in begun}

    def _vacant(self, connection: sa.Connection, places: Collection[Name]) -> None:
        """Raises Refused where another stream has one of these: both may have looked before either was here."""
        owners = self._owners(connection, self._name).items() if places else ()
        taken = {(self._fold(each.schema), self._fold(each.name)): stream for each, stream in owners}
        for place in places:
            if stream := taken.get((self._fold(place.schema), self._fold(place.name))):
                raise Refused(
                    f"stream {stream!r} has begun to write {place.name!r} at the target",
                    remedy="--map the table to another name",
                )

    def _save(self, connection: sa.Connection, tables: Iterable[Followed]) -> None:
        """Two statements, however many tables there are. The rows that exist are known: nobody adds any behind the
        fence."""
        new, old = [], []
        for followed in tables:
            key, values = self._key(followed.table.name), rows.of_followed(followed)
            if followed.table.name in self._known:
                old.append(at(key) | values)
            else:
                new.append(key | values)
                self._known.add(followed.table.name)
        if old:
            connection.execute(self._s.save_table, old)
        if new:
            connection.execute(self._t.tables.insert(), new)

    def _key(self, name: Name) -> dict[str, Any]:
        return {"stream": self._name, "source_schema": name.schema, "source_name": name.name}

    @staticmethod
    def _is(table: sa.Table, stream: str, name: Name) -> sa.ColumnElement[bool]:
        return sa.and_(table.c.stream == stream, table.c.source_schema == name.schema, table.c.source_name == name.name)

    # The fence itself, called inside the transaction of whoever writes

    def lock(self, copy: CopyMark | None) -> None:
        """Lock the row that the mark will be written to, and check that it is still ours.

        Raises Fenced when another run has claimed the stream, PositionLost when the row is gone.
        """
        connection = self._session.connection
        if copy is None:
            streams = self._t.streams
            row: Any = connection.execute(
                sa.select(streams.c.epoch, streams.c.position, streams.c.within)
                .where(streams.c.name == self._name)
                .with_for_update()
            ).one_or_none()
            held: tuple[Any, ...] = (self._epoch, *self._mark)
        else:
            row = connection.execute(
                self._s.lock_part, at({**self._key(copy.table.name), "part": copy.part})
            ).one_or_none()
            held = (self._epoch, self._cursors.get((copy.table.name, copy.part)))
        if row is None:
            raise _no_position(self._name)
        if tuple(row) == held:
            return
        if row[0] != self._epoch:
            raise _taken_over(self._name)
        raise PositionLost(
            f"the saved position of stream {self._name!r} was changed by somebody else while it was running",
            remedy="find out who wrote to the bookkeeping tables; then start again, which checks the position",
        )

    def advance(self, mark: StreamMark | CopyMark) -> None:
        """Write the mark, in the transaction that `lock` began."""
        connection = self._session.connection
        if isinstance(mark, StreamMark):
            streams = self._t.streams
            new = (str(mark.position), mark.within)
            connection.execute(
                streams.update().where(streams.c.name == self._name).values(position=new[0], within=new[1])
            )
            self._mark = new
            return
        key = self._key(mark.table.name)
        cursor = None if mark.cursor is None else json.dumps(mark.cursor)
        reached = {"cursor": cursor, "position": mark.position and str(mark.position), "done": int(mark.done)}
        connection.execute(self._s.save_part, at({**key, "part": mark.part}) | reached)
        self._cursors[mark.table.name, mark.part] = cursor
        if mark.done:
            # With the last rows, since a table that keeps rows of somebody else can never be copied a second time.
            connection.execute(self._s.save_table, at(key) | {"phase": "copied"})

    def overwritten(self, name: Name, count: int) -> None:
        """So many more rows of the table's target gave way. In the transaction that overwrites them."""
        tables = self._t.tables
        more = sa.func.coalesce(tables.c.overwritten, 0) + count
        mine = self._is(tables, self._name, name)
        self._session.connection.execute(tables.update().where(mine).values(overwritten=more))

    # Transactions in two phases, called inside the transaction of whoever writes

    def keep(self, prepared: Prepared) -> None:
        twophase.keep(self._session.connection, self._t.prepared, self._name, prepared)

    def release(self, resolved: Resolved) -> list[Rows | Truncate]:
        return twophase.release(self._session.connection, self._t.prepared, self._name, resolved)

    # Outside the fence

    def beat(self, name: str, beat: Beat) -> None:
        beats = self._t.beats
        with suppress(ReplicatorError), self._session.impatient(), self._session.transaction() as connection:
            changed = connection.execute(beats.update().where(beats.c.stream == name).values(**asdict(beat)))
            if changed.rowcount == 0:
                connection.execute(beats.insert().values(stream=name, **asdict(beat)))


def _of_another_format(versions: Collection[int]) -> Refused:
    return Refused(
        f"the bookkeeping at the target has format version {', '.join(map(str, versions)) or 'none'}, "
        f"and this program knows versions 1 to {FORMAT_VERSION}",
        remedy="run the version of replicator that wrote it, or a newer one",
    )


def _all(table: sa.Table, version: int) -> sa.Select[Any]:
    """Every column that a ledger of that version has."""
    return sa.select(*(column for column in table.columns if since(column) <= version))


def _uid() -> str:
    return secrets.token_hex(16)


def _taken_over(name: str) -> Fenced:
    return Fenced(
        f"stream {name!r} was taken over by another run; this one has stopped and written nothing more",
        remedy="nothing is lost: the other run goes on from the saved position",
    )


def _no_position(name: str) -> PositionLost:
    return PositionLost(
        f"no saved position for stream {name}; refusing to guess",
        remedy="restore the bookkeeping tables from a backup, or start anew: empty the target tables (or pass "
        "--truncate) and use another --name",
    )
