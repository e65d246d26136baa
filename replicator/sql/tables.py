"""The ledger's tables, format version 5.

In schema `replicator` where the target has schemas, as `_replicator_*` elsewhere. A change of anything here raises
FORMAT_VERSION, and comes with its migration and a fixture of the old rows.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.mysql import LONGTEXT

from replicator.model.schema import Name

FORMAT_VERSION = 5
SCHEMA = "replicator"
PREFIX = "_replicator_"
SINCE_2, SINCE_3, SINCE_4, SINCE_5 = {"since": 2}, {"since": 3}, {"since": 4}, {"since": 5}


_TEXT = sa.Text().with_variant(LONGTEXT(), "mysql")
_BIG = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def _streams() -> list[sa.Column[Any]]:
    return [
        sa.Column("name", sa.String(40), primary_key=True),
        sa.Column("uid", sa.String(32), nullable=False),
        sa.Column("publication", _TEXT),
        sa.Column("slot", _TEXT),
        sa.Column("source", _TEXT, nullable=False),
        sa.Column("phase", sa.String(16), nullable=False),
        sa.Column("epoch", _BIG, nullable=False),
        sa.Column("position", _TEXT),
        sa.Column("within", _BIG, nullable=False),
    ]


def _tables() -> list[sa.Column[Any]]:
    return [
        sa.Column("stream", sa.String(40), primary_key=True),
        sa.Column("source_schema", sa.String(128), primary_key=True),
        sa.Column("source_name", sa.String(128), primary_key=True),
        sa.Column("target_schema", _TEXT, nullable=False),
        sa.Column("target_name", _TEXT, nullable=False),
        sa.Column("phase", sa.String(16), nullable=False),
        sa.Column("floor", _TEXT),
        sa.Column("made", sa.Integer, nullable=False),
        sa.Column("may_empty", sa.Integer, nullable=False),
        sa.Column("shape", _TEXT, nullable=False),
        sa.Column("policies", _TEXT, nullable=False),
        sa.Column("carried", _TEXT, nullable=False),
        sa.Column("options", _TEXT, info=SINCE_2),
        sa.Column("as_of", _TEXT, info=SINCE_2),
        sa.Column("settles", _TEXT, info=SINCE_3),
        sa.Column("overwritten", _BIG, info=SINCE_4),
    ]


def _parts() -> list[sa.Column[Any]]:
    return [
        sa.Column("stream", sa.String(40), primary_key=True),
        sa.Column("source_schema", sa.String(128), primary_key=True),
        sa.Column("source_name", sa.String(128), primary_key=True),
        sa.Column("part", sa.Integer, primary_key=True),
        sa.Column("epoch", _BIG, nullable=False),
        sa.Column("position", _TEXT),
        sa.Column("cursor", _TEXT),
        sa.Column("done", sa.Integer, nullable=False),
    ]


def _beats() -> list[sa.Column[Any]]:
    return [
        sa.Column("stream", sa.String(40), primary_key=True),
        sa.Column("pid", sa.Integer, nullable=False),
        sa.Column("host", _TEXT, nullable=False),
        sa.Column("started_at", sa.Float(53), nullable=False),
        sa.Column("at", sa.Float(53), nullable=False),
        sa.Column("head", _TEXT),
        sa.Column("retained_bytes", _BIG),
        sa.Column("error", _TEXT),
        sa.Column("lag_seconds", sa.Float(53), info=SINCE_2),
        sa.Column("room_bytes", _BIG, info=SINCE_5),
        sa.Column("keeps_seconds", sa.Float(53), info=SINCE_5),
        sa.Column("danger", _TEXT, info=SINCE_5),
    ]


def _prepared() -> list[sa.Column[Any]]:
    return [
        sa.Column("stream", sa.String(40), primary_key=True),
        sa.Column("xid", sa.String(300), primary_key=True),
        sa.Column("part", sa.Integer, primary_key=True),
        sa.Column("changes", _TEXT, nullable=False),
    ]


class LedgerTables:
    """`collation`: where texts that differ may be equal, the one to which they are not."""

    def __init__(self, schemas: bool, collation: str | None = None) -> None:
        self.metadata = sa.MetaData(schema=SCHEMA if schemas else None)
        self._own = {"mysql_engine": "InnoDB", "mysql_charset": "utf8mb4", "mysql_collate": collation}
        self._prefix = "" if schemas else PREFIX
        self.format = self._table("format", sa.Column("version", sa.Integer, primary_key=True))
        self.streams = self._table("streams", *_streams())
        self.tables = self._table("tables", *_tables())
        self.parts = self._table("parts", *_parts())
        self.beats = self._table("beats", *_beats())
        self.prepared = self._table("prepared", *_prepared(), info=SINCE_3)

    def _table(self, name: str, *columns: sa.Column[object], info: dict[str, int] | None = None) -> sa.Table:
        own: dict[str, Any] = self._own if self._own["mysql_collate"] else {}
        return sa.Table(self._prefix + name, self.metadata, *columns, info=info or {}, **own)


def is_ledger(name: Name, *, schemas: bool) -> bool:
    """Is it a table of a ledger, which is never followed? `schemas`: has that engine schemas?

    Another table whose name only looks like one is somebody's, and is followed as any.
    """
    tables = (_IN_A_SCHEMA if schemas else _WITH_A_PREFIX).metadata.tables.values()
    return any(name.name == table.name and table.schema in (None, name.schema) for table in tables)


_IN_A_SCHEMA, _WITH_A_PREFIX = LedgerTables(schemas=True), LedgerTables(schemas=False)


class LedgerStatements:
    """What is run for each of many tables. Built once: building a statement takes longer than running it.

    A row is found by parameters that `at` names; the others name the columns to set.
    """

    def __init__(self, t: LedgerTables) -> None:
        table = ("stream", "source_schema", "source_name")
        part = (*table, "part")
        self.save_table = t.tables.update().where(_found(t.tables, table))
        self.forget_parts = t.parts.delete().where(_found(t.parts, table))
        self.save_part = t.parts.update().where(_found(t.parts, part))
        self.lock_part = sa.select(t.parts.c.epoch, t.parts.c.cursor).where(_found(t.parts, part)).with_for_update()


def _found(table: sa.Table, key: tuple[str, ...]) -> sa.ColumnElement[bool]:
    return sa.and_(*(table.c[column] == sa.bindparam(f"at_{column}") for column in key))


def at(key: Mapping[str, object]) -> dict[str, object]:
    """The parameters that find a row, where the columns' own names are those of values to set."""
    return {f"at_{column}": value for column, value in key.items()}


def since(made: sa.Column[object] | sa.Table) -> int:
    """The format version that brought a column or a table."""
    found: int = made.info.get("since", 1)
    return found
