"""What the information schema says of tables, columns, keys and types."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from replicator import remedies
from replicator.engine import Finding, Listing, Policies
from replicator.engines.mysql import left_out
from replicator.engines.mysql.connect import Control
from replicator.engines.mysql.names import TRIAL
from replicator.engines.mysql.types import canonical, native
from replicator.model.datatypes import Bits, Bytes, DataType, Json, Spatial, Timestamp, Vector
from replicator.model.schema import Column, Constant, Name, Table, UniqueIndex
from replicator.model.selection import Selection
from replicator.sql.tables import is_ledger

_SYSTEM = ("mysql", "information_schema", "performance_schema", "sys")
_TABLES = """
SELECT TABLE_SCHEMA, TABLE_NAME, TABLE_TYPE FROM information_schema.TABLES
WHERE TABLE_SCHEMA NOT IN %s ORDER BY TABLE_SCHEMA, TABLE_NAME
"""
_COLUMNS = """
SELECT TABLE_SCHEMA, TABLE_NAME, COLUMN_NAME, COLUMN_TYPE, CHARACTER_SET_NAME, IS_NULLABLE, COLUMN_DEFAULT, EXTRA,
       COLLATION_NAME
FROM information_schema.COLUMNS WHERE TABLE_SCHEMA IN %s ORDER BY TABLE_SCHEMA, TABLE_NAME, ORDINAL_POSITION
"""
_INDEXES = """
SELECT TABLE_SCHEMA, TABLE_NAME, INDEX_NAME, COLUMN_NAME, SUB_PART FROM information_schema.STATISTICS
WHERE NON_UNIQUE = 0 AND TABLE_SCHEMA IN %s ORDER BY TABLE_SCHEMA, TABLE_NAME, INDEX_NAME, SEQ_IN_INDEX
"""
_KINDS = {
    "VIEW": "a view",
    "SYSTEM VIEW": "a view",
    "SEQUENCE": "a sequence",
    "SYSTEM VERSIONED": "system-versioned: its log does not tell rows of the present from those of the past",
    "TEMPORARY": "temporary, and not in the log",
}
PRIMARY = "PRIMARY"
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?(?:e[-+]?\d+)?", re.IGNORECASE)
_BITS = re.compile(r"b'([01]+)'")


class MysqlCatalog:
    def __init__(self, control: Control, database: str, *, defaults_as_sql: bool) -> None:
        self._control = control
        self._defaults_as_sql = defaults_as_sql
        self.default_schema = database

    def tables(self, selection: Selection, policies: Policies) -> Listing:
        findings: list[Finding] = []
        chosen: list[Name] = []
        for schema, own, kind in self._control.query(_TABLES, (_SYSTEM,)):
            name = Name(schema, own)
            ours = is_ledger(name, schemas=False) or own.startswith(TRIAL)
            if ours or not selection.includes(name, self.default_schema):
                continue
            if kind == "BASE TABLE":
                chosen.append(name)
            else:
                findings.append(Finding("warn", f"{name} is left out: it is {_KINDS.get(kind, kind)}"))
        if not chosen:
            return Listing((), tuple(findings))
        schemas = tuple({name.schema for name in chosen})
        columns = _grouped(self._control.query(_COLUMNS, (schemas,)))
        indexes = _grouped(self._control.query(_INDEXES, (schemas,)))
        tables: list[Table] = []
        for name in chosen:
            own_columns, generated, unknown = _columns(columns.get(name, []), self._defaults_as_sql)
            findings += [_unknown_type(name, column, kind) for column, kind in unknown]
            if generated:
                listed = ", ".join(generated)
                findings.append(Finding("warn", f"{name}: generated columns are left out: {listed}"))
            key, uniques = _keys(indexes.get(name, []), own_columns)
            tables.append(Table(name, own_columns, key, "", uniques, tuple(generated)))
        return Listing(tuple(tables), tuple(findings))

    def left_out(self, tables: Sequence[Table]) -> list[Finding]:
        return left_out.findings(self._control, tables)


def _grouped(rows: Iterable[tuple[Any, ...]]) -> dict[Name, list[tuple[Any, ...]]]:
    groups: dict[Name, list[tuple[Any, ...]]] = {}
    for schema, table, *rest in rows:
        groups.setdefault(Name(schema, table), []).append(tuple(rest))
    return groups


def _columns(
    rows: Sequence[tuple[Any, ...]], as_sql: bool
) -> tuple[tuple[Column, ...], list[str], list[tuple[str, str]]]:
    """The columns to follow, the names of generated ones, and those of unknown type with its name."""
    columns: list[Column] = []
    generated: list[str] = []
    unknown: list[tuple[str, str]] = []
    for name, column_type, charset, nullable, default, extra, collation in rows:
        if "GENERATED" in extra.replace("DEFAULT_GENERATED", ""):
            generated.append(name)
            continue
        kind = canonical(column_type)
        if kind is None:
            unknown.append((name, column_type))
            continue
        constant = _constant(kind, default, extra, nullable=nullable == "YES", as_sql=as_sql)
        own = native(column_type, charset)
        columns.append(
            Column(name, kind, nullable == "YES", own, column_type, default=constant, collation=collation or "")
        )
    return tuple(columns), generated, unknown


def _constant(kind: DataType, default: str | None, extra: str, *, nullable: bool, as_sql: bool) -> Constant | None:
    """The default, where it is always the same and its text says it whole. `as_sql`: see `Flavor.defaults_as_sql`."""
    if default is None or (as_sql and default == "NULL"):
        return Constant(None) if nullable else None
    # Bytes are shown cut short, and a text that is not SQL does not say which instant it is.
    if "DEFAULT_GENERATED" in extra or isinstance(kind, Bytes | Spatial | Vector | Json):
        return None
    if isinstance(kind, Timestamp) and not as_sql and (kind.zoned or default.upper().startswith("CURRENT_TIMESTAMP")):
        return Constant(default) if default.startswith("0000-00-00") else None
    if isinstance(kind, Bits):
        bits = _BITS.fullmatch(default)
        return Constant(bits[1]) if bits else None
    if not as_sql or _NUMBER.fullmatch(default):
        return Constant(default)
    quoted = default.startswith("'") and default.endswith("'") and len(default) > 1 and "\\" not in default
    return Constant(default[1:-1].replace("''", "'")) if quoted else None


def _keys(
    indexes: Sequence[tuple[Any, ...]], columns: Sequence[Column]
) -> tuple[tuple[str, ...], tuple[UniqueIndex, ...]]:
    """The primary key, and the unique indexes to make.

    Without a primary key the first unique index over columns that cannot be NULL is the key, as it is InnoDB's own.
    An index over a prefix or an expression is unique in another way than whole columns are, and is none.
    """
    parts: dict[str, list[tuple[str | None, int | None]]] = {}
    for index, column, prefix in indexes:
        parts.setdefault(index, []).append((column, prefix))
    by_name: Mapping[str, Column] = {column.name: column for column in columns}
    whole = {
        index: tuple(str(column) for column, _ in of)
        for index, of in parts.items()
        if all(column in by_name and prefix is None for column, prefix in of)
    }
    key = whole.get(PRIMARY, ())
    if not key and PRIMARY not in parts:
        key = next((of for of in whole.values() if all(not by_name[name].nullable for name in of)), ())
    return key, tuple(UniqueIndex(index, of) for index, of in whole.items() if of != key)


def _unknown_type(name: Name, column: str, kind: str) -> Finding:
    return Finding(
        "refuse",
        f"{name}.{column} has the type {kind}, which cannot be read from the log here",
        f"--exclude {remedies.shell(name)}",
    )
