"""What an SQLite file has as a source: tables, columns and keys, by its pragmas (https://www.sqlite.org/pragma.html).

Where this reads a schema, it reads it by the connection that reads the rows, or the rows are read again by it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass

from replicator import remedies
from replicator.engine import Finding, Listing, Policies
from replicator.engines.sqlite import declared, left_out
from replicator.engines.sqlite.connect import query
from replicator.engines.sqlite.statements import DIALECT
from replicator.errors import Refused
from replicator.model.schema import Column, Name, Table, UniqueIndex
from replicator.model.selection import Selection
from replicator.sql.tables import is_ledger

SCHEMA = "main"
_KINDS = {"view": "a view", "virtual": "a virtual table", "shadow": "a part of a virtual table"}


@dataclass(frozen=True)
class KeyPart:
    """A column by which rows are read in order, and the collation that makes it unique."""

    name: str
    collation: str


@dataclass(frozen=True)
class Described:
    """A table, and how its rows are told apart: by `row_id`, or, WITHOUT ROWID, by `order`.

    `row_id` is the rowid's own column where there is one, else a name for it that no column hides.
    """

    table: Table
    generated: tuple[str, ...]
    row_id: str | None
    own_row_id: bool
    order: tuple[KeyPart, ...]


class SqliteCatalog:
    default_schema = SCHEMA

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def tables(self, selection: Selection, policies: Policies) -> Listing:
        findings: list[Finding] = []
        tables: list[Table] = []
        for own, kind in query(
            self._connection, "SELECT name, type FROM pragma_table_list WHERE schema = 'main' ORDER BY name"
        ):
            name = Name(SCHEMA, own)
            if (
                own.lower().startswith("sqlite_")
                or is_ledger(name, schemas=False)
                or not selection.includes(name, SCHEMA)
            ):
                continue
            if kind != "table":
                findings.append(Finding("warn", f"{name} is left out: it is {_KINDS.get(kind, f'a {kind}')}"))
                continue
            try:
                found = describe(self._connection, name)
            except Refused as error:
                remedy = error.remedy or f"--exclude {remedies.shell(name)}"
                findings.append(Finding("refuse", f"{name}: {error.what}", remedy))
                continue
            tables.append(found.table)
            if found.generated:
                listed = ", ".join(found.generated)
                findings.append(Finding("warn", f"{name}: generated columns are left out: {listed}"))
        return Listing(tuple(tables), tuple(findings))

    def left_out(self, tables: Sequence[Table]) -> list[Finding]:
        return left_out.findings(self._connection, tables)


def describe(connection: sqlite3.Connection, name: Name) -> Described:
    """The table as it is now. Raises Refused where there is none of that name, and where its rows have no number."""
    kinds = query(
        connection, "SELECT wr, strict FROM pragma_table_list WHERE schema = 'main' AND name = ?", (name.name,)
    )
    if not kinds:
        raise Refused("it is gone")
    without_rowid, strict = map(bool, kinds[0])
    rows = query(
        connection, "SELECT name, type, \"notnull\", pk, hidden FROM pragma_table_xinfo(?, 'main')", (name.name,)
    )
    keys = [own for own, _, _, pk, _ in sorted(rows, key=lambda row: row[3]) if pk]
    indexes = _unique_indexes(connection, name)
    primary = next((parts for _, origin, parts in indexes if origin == "pk"), None)
    # A rowid table whose primary key has no index of its own is one whose rowid is its primary key.
    numbered = keys[0] if keys and primary is None else None
    row_id = None if without_rowid else numbered or _row_id([row[0] for row in rows])
    columns = tuple(
        _column(
            own, text, strict=strict, required=bool(required) or own == numbered, sole_key=keys == [own] != [numbered]
        )
        for own, text, required, _, hidden in rows
        if hidden not in (2, 3)
    )
    order = tuple(primary or ()) if without_rowid else ()
    _comparable(connection, order)
    kept = {column.name for column in columns}
    uniques = tuple(
        UniqueIndex(index, tuple(part.name for part in parts))
        for index, origin, parts in indexes
        if origin != "pk" and kept.issuperset(part.name for part in parts)
    )
    table = Table(name, columns, tuple(keys), "", uniques)
    generated = tuple(row[0] for row in rows if row[4] in (2, 3))
    return Described(table, generated, row_id, numbered is not None, order)


def _row_id(names: Sequence[str]) -> str:
    try:
        return DIALECT.row_id(names)
    except Refused:
        raise Refused("columns named rowid, _rowid_ and oid hide the number of its rows") from None


def _column(name: str, text: str, *, strict: bool, required: bool, sole_key: bool) -> Column:
    """`sole_key`: alone the primary key, and not the rowid: declared INTEGER it would become the rowid."""
    kept = "INT" if sole_key and not strict and text.upper() == "INTEGER" else text
    native = (declared.STRICT if strict else declared.LOOSE) + kept
    return Column(name, declared.canonical(text), not required, native, text)


def _unique_indexes(connection: sqlite3.Connection, name: Name) -> list[tuple[str, str, list[KeyPart]]]:
    """Each unique index over whole columns without a condition: name, origin (`pk`, `u` or `c`) and columns."""
    found = []
    for index, origin in query(
        connection,
        "SELECT name, origin FROM pragma_index_list(?, 'main') WHERE \"unique\" AND NOT partial ORDER BY name",
        (name.name,),
    ):
        parts = query(
            connection, "SELECT cid, name, coll FROM pragma_index_xinfo(?, 'main') WHERE key ORDER BY seqno", (index,)
        )
        if all(cid >= 0 for cid, _, _ in parts):
            found.append((index, origin, [KeyPart(own, collation) for _, own, collation in parts]))
    return found


def _comparable(connection: sqlite3.Connection, order: Sequence[KeyPart]) -> None:
    """Raises Refused where the rows are in the order of a collation that only the application has."""
    known = {name.upper() for (name,) in query(connection, "SELECT name FROM pragma_collation_list")}
    for part in order:
        if part.collation.upper() not in known:
            raise Refused(
                f"it is WITHOUT ROWID, and its rows are in the order of the collation {part.collation!r}, which only "
                "its application has"
            )
