"""The ledger of SQL targets: streams, tables, parts and beats, and the fence over the first three.

The fence (design rule 2): a stream's row holds an epoch and a position. A claim raises the epoch; every later write
first locks the row and checks that both are still the ones this run holds. So a retry waits for a commit that is
still in flight and sees its result, and a second or a thawed run finds another epoch and stops.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Collection, Iterable
from contextlib import suppress
from dataclasses import asdict
from typing import Any, get_args

import sqlalchemy as sa

from replicator.engine import Objects
from replicator.errors import Fenced, PositionLost, Refused, ReplicatorError
from replicator.model.change import CopyMark, StreamMark
from replicator.model.position import NEVER, Position
from replicator.model.saved import load_policies, load_shape, save_shape
from replicator.model.schema import Name, Table
from replicator.model.stream import Beat, Followed, Identity, StreamPhase, StreamState, TablePhase
from replicator.sql.connect import Session
from replicator.sql.tables import FORMAT_VERSION, LedgerTables


class SqlLedger:
    def __init__(self, session: Session, *, schemas: bool) -> None:
        self._session = session
        self._schemas = schemas
        self._t = LedgerTables(schemas)
        self._name = ""
        self._epoch = 0
        self._mark: tuple[str | None, int] = (None, 0)
        self._cursors: dict[tuple[Name, int], str | None] = {}

    # Reading

    def peek(self, name: str) -> StreamState | None:
        with self._session.transaction() as connection:
            return self._read(connection, name) if self._exists(connection) else None

    def owners(self, name: str) -> dict[Name, str]:
        tables = self._t.tables
        with self._session.transaction() as connection:
            if not self._exists(connection):
                return {}
            rows = connection.execute(
                sa.select(tables.c.target_schema, tables.c.target_name, tables.c.stream).where(
                    tables.c.stream != name, tables.c.phase != "left"
                )
            ).all()
        return {Name(schema, own): stream for schema, own, stream in rows}

    def _exists(self, connection: sa.Connection) -> bool:
        """Is there a ledger, of a format that we know?"""
        if not sa.inspect(connection).has_table(self._t.format.name, schema=self._t.format.schema):
            return False
        versions = connection.scalars(sa.select(self._t.format.c.version)).all()
        if list(versions) != [FORMAT_VERSION]:
            raise Refused(
                f"the bookkeeping at the target has format version {', '.join(map(str, versions)) or 'none'}, "
                f"and this program knows version {FORMAT_VERSION}",
                remedy="run the version of replicator that wrote it, or a newer one",
            )
        return True

    def _read(self, connection: sa.Connection, name: str) -> StreamState | None:
        streams, tables = self._t.streams, self._t.tables
        row = connection.execute(sa.select(streams).where(streams.c.name == name)).mappings().one_or_none()
        followed = connection.execute(sa.select(tables).where(tables.c.stream == name)).mappings().all()
        if row is None:
            if followed:
                raise _no_position(name)
            return None
        if row["phase"] not in get_args(StreamPhase):
            raise Refused(f"the ledger has stream {name!r} in the unknown state {row['phase']!r}")
        return StreamState(
            Identity(name, row["uid"], row["publication"], row["slot"]),
            row["source"],
            row["phase"],
            row["epoch"],
            row["position"],
            row["within"],
            {table.table.name: table for table in map(_followed, followed)},
        )

    # Taking the stream

    def claim(self, name: str, source: str, objects: Objects, leave: Collection[Name]) -> StreamState:
        streams, tables, parts = self._t.streams, self._t.tables, self._t.parts
        with self._session.transaction() as connection:
            if not self._exists(connection):
                self._make(connection)
            this = streams.c.name == name
            connection.execute(sa.select(streams.c.epoch).where(this).with_for_update())
            state = self._read(connection, name)
            if state is None:
                connection.execute(
                    streams.insert().values(
                        name=name,
                        uid=secrets.token_hex(16),
                        source=source,
                        publication=objects.publication,
                        slot=objects.slot,
                        phase="preparing",
                        epoch=1,
                        within=0,
                    )
                )
            else:
                if state.phase != "preparing" and state.mark is None:
                    raise _no_position(name)
                epoch = state.epoch + 1
                connection.execute(streams.update().where(this).values(epoch=epoch))
                connection.execute(parts.update().where(parts.c.stream == name).values(epoch=epoch))
                if state.phase == "preparing":
                    connection.execute(
                        streams.update().where(this).values(publication=objects.publication, slot=objects.slot)
                    )
                for left in leave:
                    mine = self._is(tables, name, left)
                    connection.execute(tables.delete().where(mine, tables.c.phase == "chosen"))
                    connection.execute(tables.update().where(mine).values(phase="left", floor=str(NEVER)))
            state = self._read(connection, name)
            assert state is not None
            cursors = connection.execute(sa.select(parts).where(parts.c.stream == name)).mappings()
            self._cursors = {
                (Name(row["source_schema"], row["source_name"]), row["part"]): row["cursor"] for row in cursors
            }
        self._name, self._epoch, self._mark = name, state.epoch, (state.mark, state.within)
        return state

    def _make(self, connection: sa.Connection) -> None:
        if self._schemas:
            connection.execute(sa.schema.CreateSchema(self._t.metadata.schema or "", if_not_exists=True))
        self._t.metadata.create_all(connection)
        connection.execute(self._t.format.insert().values(version=FORMAT_VERSION))

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
            for table in tables:
                self._save(connection, table)
            if mark is not None:
                self.advance(StreamMark(mark))
            changed = {"phase": phase, "source": source}
            if changed := {column: value for column, value in changed.items() if value is not None}:
                streams = self._t.streams
                connection.execute(streams.update().where(streams.c.name == self._name).values(**changed))

    def begin_copy(self, table: Followed) -> None:
        parts, name = self._t.parts, table.table.name
        with self._session.transaction() as connection:
            self.lock(None)
            self._save(connection, table)
            connection.execute(parts.delete().where(self._is(parts, self._name, name)))
            connection.execute(
                parts.insert().values(
                    stream=self._name,
                    source_schema=name.schema,
                    source_name=name.name,
                    part=0,
                    epoch=self._epoch,
                    done=0,
                )
            )
        self._cursors = {key: cursor for key, cursor in self._cursors.items() if key[0] != name}
        self._cursors[name, 0] = None

    def _save(self, connection: sa.Connection, followed: Followed) -> None:
        tables, name = self._t.tables, followed.table.name
        values = {
            "target_schema": followed.target.schema,
            "target_name": followed.target.name,
            "phase": followed.phase,
            "floor": followed.floor,
            "made": int(followed.made),
            "may_empty": int(followed.may_empty),
            "shape": save_shape(followed.table),
            "carried": followed.carried,
            "policies": json.dumps({column: dict(chosen) for column, chosen in followed.policies.items()}),
        }
        found = connection.execute(tables.update().where(self._is(tables, self._name, name)).values(**values))
        if found.rowcount == 0:
            connection.execute(
                tables.insert().values(stream=self._name, source_schema=name.schema, source_name=name.name, **values)
            )

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
            parts = self._t.parts
            row = connection.execute(
                sa.select(parts.c.epoch, parts.c.cursor)
                .where(self._is(parts, self._name, copy.table.name), parts.c.part == copy.part)
                .with_for_update()
            ).one_or_none()
            held = (self._epoch, self._cursors.get((copy.table.name, copy.part)))
        if row is None:
            raise _no_position(self._name)
        if tuple(row) == held:
            return
        if row[0] != self._epoch:
            raise Fenced(
                f"stream {self._name!r} was taken over by another run; this one has stopped and written nothing more",
                remedy="nothing is lost: the other run goes on from the saved position",
            )
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
        parts = self._t.parts
        cursor = None if mark.cursor is None else json.dumps(mark.cursor)
        connection.execute(
            parts.update()
            .where(self._is(parts, self._name, mark.table.name), parts.c.part == mark.part)
            .values(cursor=cursor, position=mark.position and str(mark.position), done=int(mark.done))
        )
        self._cursors[mark.table.name, mark.part] = cursor
        if mark.done:
            # With the last rows, since a table that keeps rows of somebody else can never be copied a second time.
            tables = self._t.tables
            connection.execute(
                tables.update().where(self._is(tables, self._name, mark.table.name)).values(phase="copied")
            )

    # Outside the fence

    def beat(self, name: str, beat: Beat) -> None:
        beats = self._t.beats
        with suppress(ReplicatorError), self._session.impatient(), self._session.transaction() as connection:
            changed = connection.execute(beats.update().where(beats.c.stream == name).values(**asdict(beat)))
            if changed.rowcount == 0:
                connection.execute(beats.insert().values(stream=name, **asdict(beat)))


def _followed(row: sa.RowMapping) -> Followed:
    name = Name(row["source_schema"], row["source_name"])
    if row["phase"] not in get_args(TablePhase):
        raise Refused(f"the ledger has table {name} in the unknown state {row['phase']!r}")
    table: Table = load_shape(name, row["shape"])
    return Followed(
        table,
        Name(row["target_schema"], row["target_name"]),
        row["phase"],
        row["floor"],
        bool(row["made"]),
        bool(row["may_empty"]),
        load_policies(name, row["policies"]),
        row["carried"],
    )


def _no_position(name: str) -> PositionLost:
    return PositionLost(
        f"no saved position for stream {name}; refusing to guess",
        remedy="restore the bookkeeping tables from a backup, or start anew: empty the target tables (or pass "
        "--truncate) and use another --name",
    )
