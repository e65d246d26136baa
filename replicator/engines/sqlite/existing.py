"""Can a table that we did not make hold the rows without changing them, and are its rows found by exact bytes?"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing

from replicator import remedies
from replicator.engine import Finding
from replicator.engines.sqlite import declared as declarations
from replicator.engines.sqlite.statements import DDL, DIALECT
from replicator.engines.sqlite.types import storage
from replicator.model.schema import Column, Name
from replicator.model.stream import Followed
from replicator.sql import digest, existing
from replicator.sql.connect import Session
from replicator.sql.existing import ANEW, ExistingColumn, Problem


def findings(session: Session, followed: Followed) -> list[Finding]:
    """None for a table that is not there."""
    target = followed.target
    columns = _columns(session, target)
    if not columns:
        return []
    kind = _master(session, "view", "name", target)
    if kind:
        elsewhere = remedies.shell(f"{followed.table.name}=other_name")
        found = [("there is a view of this name", f"drop it, or --map {elsewhere}")]
    else:
        found = [
            *_held(session, followed, columns),
            *_found_by(session, followed, columns),
            *_triggers(session, target),
        ]
    return [Finding("refuse", f"target table {target.name}: {what}", remedy) for what, remedy in found]


def _held(session: Session, followed: Followed, columns: Sequence[ExistingColumn]) -> Iterator[Problem]:
    """Can each column take the values as they come?"""
    if followed.digested and any(there.name == digest.COLUMN and there.type != "BLOB" for there in columns):
        yield "its digest column is not one that we made", ANEW
    strict, row_number = _kind(session, followed.target)

    def fits(column: Column, there: ExistingColumn) -> Iterator[Problem]:
        if column.name == row_number and column.nullable:
            yield f"column {column.name} is its INTEGER PRIMARY KEY, which makes a number of every NULL", ANEW
        kept = storage(followed, column).type
        if not _fits(column, there.type, kept, strict):
            yield (
                f"column {column.name} is declared {there.type or 'without a type'}, which may change a value of "
                f"{column.native_name or 'a column without a type'}",
                f"declare it {kept or 'without a type'}, or {ANEW}",
            )

    yield from existing.problems(followed, columns, fits)


def _found_by(session: Session, followed: Followed, columns: Sequence[ExistingColumn]) -> Iterator[Problem]:
    """Is a row found by its key through an index, and by exact bytes?"""
    table, target = followed.table, followed.target
    if table.key and not _has_unique(session, target, table.key):
        yield (
            f"it has no primary key or unique index on ({', '.join(table.key)})",
            DDL.unique_index(target, f"{target.name}_key", table.key),
        )
    there = {column.name for column in columns}
    collations = _collations(session, target, [name for name in table.names if name in there])
    for name in () if followed.options.insert_only else table.key or table.names:
        if collations.get(name, "BINARY") != "BINARY":
            yield (
                f"column {name} has the collation {collations[name]}, and rows are found by it: texts that differ "
                "would be taken for the same",
                f"declare it COLLATE BINARY, or {ANEW}",
            )


def _triggers(session: Session, target: Name) -> Iterator[Problem]:
    if triggers := _master(session, "trigger", "tbl_name", target):
        yield f"it has triggers ({', '.join(triggers)}), which SQLite cannot switch off for us", "drop them"


def _master(session: Session, kind: str, column: str, target: Name) -> list[str]:
    found = session.execute(
        f"SELECT name FROM sqlite_master WHERE type = ? AND lower({column}) = lower(?)", (kind, target.name)
    )
    return [name for (name,) in found]


def _columns(session: Session, target: Name) -> list[ExistingColumn]:
    """Empty for no table. What its primary key requires it says of itself: of most tables it is the row's number."""
    rows = session.execute(
        'SELECT name, type, "notnull" AND NOT pk, dflt_value IS NOT NULL, hidden IN (2, 3) FROM pragma_table_xinfo(?)',
        (target.name,),
    )
    return [ExistingColumn(name, declared, *map(bool, facts)) for name, declared, *facts in rows]


def _collations(session: Session, target: Name, names: Sequence[str]) -> dict[str, str]:
    """Each column's collation. No pragma tells it, but an index takes it over: so the table's own statement is run in
    a database of no consequence, and an index is asked."""
    ((statement,),) = session.execute(
        "SELECT sql FROM sqlite_master WHERE type = 'table' AND lower(name) = lower(?)", (target.name,)
    ).fetchall()
    found: dict[str, str] = {}
    with closing(sqlite3.connect(":memory:")) as scratch:
        scratch.execute(statement)
        for number, name in enumerate(names):
            try:
                scratch.execute(f"CREATE INDEX probe{number} ON {DIALECT.table(target)} ({DIALECT.quote(name)})")
            except sqlite3.OperationalError:
                found[name] = "of the application's own"  # which only its connections know
                continue
            ((collation,),) = scratch.execute(
                "SELECT coll FROM pragma_index_xinfo(?) WHERE key", (f"probe{number}",)
            ).fetchall()
            found[name] = collation.upper()
    return found


def _kind(session: Session, target: Name) -> tuple[bool, str | None]:
    """Is the table STRICT, and which of its columns is the rowid (https://www.sqlite.org/lang_createtable.html)?"""
    strict = session.execute("SELECT strict FROM pragma_table_list(?)", (target.name,)).fetchone()
    keys = session.execute(
        "SELECT name FROM pragma_table_info(?1) WHERE pk > 0 "
        "AND NOT EXISTS (SELECT 1 FROM pragma_index_list(?1) WHERE origin = 'pk')",
        (target.name,),
    ).fetchall()
    return bool(strict and strict[0]), keys[0][0] if keys else None


def _has_unique(session: Session, target: Name, key: Sequence[str]) -> bool:
    primary = session.execute("SELECT name FROM pragma_table_info(?) WHERE pk > 0", (target.name,))
    if {name for (name,) in primary} == set(key):
        return True
    indexes = session.execute(
        'SELECT name FROM pragma_index_list(?) WHERE "unique" AND NOT partial', (target.name,)
    ).fetchall()
    return any(
        {name for (name,) in session.execute("SELECT name FROM pragma_index_info(?)", index)} == set(key)
        for index in indexes
    )


def _fits(column: Column, declared: str, kept: str, strict: bool) -> bool:
    """May a column of this declared type take the values unchanged?

    `kept`: their storage class. A column from SQLite has values of any class, and the same affinity keeps them all.
    """
    there = declarations.affinity(declared, strict=strict)
    if own := declarations.split(column.native):
        here = declarations.affinity(own[0], strict=own[1])
        return here == there or {here, there} == {"INTEGER", "NUMERIC"}
    return not declared or there == kept or (kept == "INTEGER" and there == "NUMERIC")
