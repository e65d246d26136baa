"""What PostgreSQL's catalog says of tables, columns, keys and types."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import psycopg2.extensions

from replicator import remedies
from replicator.engine import Finding, Listing, Policies
from replicator.engines.postgres import left_out
from replicator.engines.postgres.connect import query
from replicator.engines.postgres.names import quote_table
from replicator.engines.postgres.types import PgType, canonical, money_name
from replicator.model.datatypes import Textual
from replicator.model.schema import Column, Name, Table, UniqueIndex
from replicator.model.selection import Selection
from replicator.sql.tables import is_ledger

_RELATIONS = """
SELECT c.oid, n.nspname, c.relname, c.relkind, c.relpersistence, c.relreplident,
       CASE WHEN c.relispartition THEN pg_partition_root(c.oid)::oid END
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND (n.nspname NOT LIKE 'pg\\_%%' OR n.nspname LIKE 'pg\\_temp\\_%%')
  AND n.nspname <> 'information_schema'
  AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid
                  AND d.deptype = 'e')
ORDER BY n.nspname, c.relname
"""
_COLUMNS = """
SELECT attrelid, attname, attnum, atttypid, atttypmod, attnotnull, attgenerated, format_type(atttypid, atttypmod)
FROM pg_attribute WHERE attrelid = ANY(%s) AND attnum > 0 AND NOT attisdropped ORDER BY attrelid, attnum
"""
_INDEXES = """
SELECT i.indrelid, c.relname, i.indisprimary, i.indisreplident, i.indimmediate,
       i.indpred IS NULL AND i.indexprs IS NULL,
       (i.indkey::int2[])[0:i.indnkeyatts - 1]
FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
WHERE i.indrelid = ANY(%s) AND i.indisunique AND i.indisvalid ORDER BY i.indrelid, c.relname
"""
_TYPES = """
SELECT t.oid, n.nspname, t.typname, t.typtype, t.typelem, t.typbasetype, t.typtypmod,
       t.typsubscript = 'array_subscript_handler'::regproc, t.typdelim, e.extname,
       ARRAY(SELECT enumlabel::text FROM pg_enum WHERE enumtypid = t.oid ORDER BY enumsortorder)
FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace
LEFT JOIN pg_depend d ON d.classid = 'pg_type'::regclass AND d.objid = t.oid AND d.deptype = 'e'
LEFT JOIN pg_extension e ON d.refclassid = 'pg_extension'::regclass AND e.oid = d.refobjid
WHERE t.oid = ANY(%s)
"""
_PERSISTENCES = {"u": "unlogged, and not in the log", "t": "temporary, and not in the log"}
_KINDS = {"v": "a view", "m": "a materialized view", "f": "a foreign table"}


class PostgresCatalog:
    default_schema = "public"

    def __init__(self, connection: psycopg2.extensions.connection) -> None:
        self._connection = connection

    def tables(self, selection: Selection, policies: Policies) -> Listing:
        findings: list[Finding] = []
        chosen: dict[int, tuple[Name, str]] = {}
        partitions: dict[Name, int] = {}
        for oid, schema, own, kind, persistence, identity, root in query(self._connection, _RELATIONS):
            name = Name(schema, own)
            # Somebody's temporary table has a schema of his session; it would be looked for where his others are.
            searched = Name(self.default_schema, own) if persistence == "t" else name
            if is_ledger(name, schemas=True) or not selection.includes(searched, self.default_schema):
                continue
            if root is not None:
                partitions[name] = root  # it comes with its root
                continue
            left_out = _KINDS.get(kind) or _PERSISTENCES.get(persistence)
            if left_out:
                logged = f"ALTER TABLE {quote_table(name)} SET LOGGED" if kind == "r" and persistence == "u" else ""
                findings.append(Finding("warn", f"{name} is left out: it is {left_out}", logged))
            else:
                chosen[oid] = name, identity
        findings += self._rootless({name: root for name, root in partitions.items() if root not in chosen})
        oids = list(chosen)
        columns = _grouped(query(self._connection, _COLUMNS, (oids,)))
        indexes = _grouped(query(self._connection, _INDEXES, (oids,)))
        types = types_of(self._connection, {row[3] for rows in columns.values() for row in rows})
        tables: list[Table] = []
        for oid, (name, identity) in chosen.items():
            own_columns, generated, unknown = _columns(columns.get(oid, []), types, policies.get(name, {}))
            findings += [_unknown_type(name, column, type_name) for column, type_name in unknown]
            if generated:
                listed = ", ".join(generated)
                findings.append(
                    Finding(
                        "warn",
                        f"{name}: generated columns are left out, the log does not carry them: {listed}",
                    )
                )
            numbers = {row[2]: row[1] for row in columns.get(oid, [])}
            key, uniques = _keys(identity, indexes.get(oid, []), numbers, set(generated))
            tables.append(Table(name, own_columns, key, str(oid), uniques))
        return Listing(tuple(tables), tuple(findings))

    def left_out(self, tables: Sequence[Table]) -> list[Finding]:
        return left_out.findings(self._connection, tables)

    def _rootless(self, partitions: Mapping[Name, int]) -> list[Finding]:
        found = (
            query(
                self._connection,
                "SELECT oid, oid::regclass::text FROM pg_class WHERE oid = ANY(%s)",
                (list(partitions.values()),),
            )
            if partitions
            else []
        )
        roots = dict(found)
        return [
            Finding("warn", f"{name} is left out: it is a partition of {roots[root]}, and is followed with it alone")
            for name, root in partitions.items()
            if root in roots
        ]


def types_of(connection: psycopg2.extensions.connection, oids: Iterable[int]) -> dict[int, PgType]:
    """These types and all that they are made of."""
    found: dict[int, PgType] = {}
    wanted = set(oids)
    while wanted:
        for row in query(connection, _TYPES, (list(wanted),)):
            found[row[0]] = PgType(*row)
        inner = {i for t in found.values() for i in (t.element, t.base) if i}
        wanted = inner - set(found)
    return found


def _grouped(rows: Iterable[tuple[Any, ...]]) -> dict[int, list[tuple[Any, ...]]]:
    groups: dict[int, list[tuple[Any, ...]]] = {}
    for row in rows:
        groups.setdefault(row[0], []).append(row)
    return groups


def _columns(
    rows: Sequence[tuple[Any, ...]], types: Mapping[int, PgType], policies: Mapping[str, Mapping[str, str]]
) -> tuple[tuple[Column, ...], list[str], list[tuple[str, str]]]:
    """The columns to follow, the names of generated ones, and those of unknown type with its name."""
    columns: list[Column] = []
    generated: list[str] = []
    unknown: list[tuple[str, str]] = []
    for _, name, number, oid, modifier, not_null, is_generated, type_name in rows:
        if is_generated:
            generated.append(name)
            continue
        kind = canonical(oid, modifier, types)
        if kind is None:
            if policies.get(name, {}).get("as") != "text":
                unknown.append((name, type_name))
                continue
            kind = Textual(type_name)
        native_name = money_name(oid, types) or type_name
        columns.append(Column(name, kind, not not_null, f"{oid}:{modifier}", native_name, number))
    return tuple(columns), generated, unknown


def _keys(
    identity: str, indexes: Sequence[tuple[Any, ...]], numbers: Mapping[int, str], generated: set[str]
) -> tuple[tuple[str, ...], tuple[UniqueIndex, ...]]:
    """The key by which rows are found, and the unique indexes to make.

    The key is the replica identity's index where there is one of its own, else the primary key. A deferrable key, and
    one over a generated column, are none: `identity.py` says what that means for the log.
    """
    key: tuple[str, ...] = ()
    uniques: list[UniqueIndex] = []
    for _, name, primary, replident, immediate, plain, at in indexes:
        columns = tuple(numbers.get(number, "") for number in at)
        whole = plain and not generated.intersection(columns)
        if whole and immediate and (replident if identity == "i" else primary):
            key = columns
        elif whole and (not primary or identity == "i"):
            uniques.append(UniqueIndex(name, columns))
    return key, tuple(uniques)


def _unknown_type(name: Name, column: str, type_name: str) -> Finding:
    return Finding(
        "refuse",
        f"{name}.{column} has the type {type_name}, which is not known here",
        f'copy its text as it is: {remedies.section("columns", f"{name}.{column}")} as = "text"; '
        f"or --exclude {remedies.shell(name)}",
    )
