"""What PostgreSQL's catalog says of tables, columns, keys and types."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import psycopg2.extensions

from replicator.engine import Finding, Listing, Policies
from replicator.engines.postgres.connect import query
from replicator.engines.postgres.names import quote_table
from replicator.engines.postgres.types import PgType, canonical, money_name
from replicator.model.datatypes import Textual
from replicator.model.schema import Column, Name, Table, UniqueIndex
from replicator.model.selection import Selection

_RELATIONS = """
SELECT c.oid, n.nspname, c.relname, c.relkind, c.relpersistence, c.relreplident, c.relispartition,
       (SELECT count(*) FROM pg_partition_tree(c.oid) t JOIN pg_class l ON l.oid = t.relid
         WHERE c.relkind = 'p' AND t.isleaf AND l.relkind = 'r' AND l.relreplident <> c.relreplident),
       ARRAY(SELECT l.oid::regclass::text FROM pg_partition_tree(c.oid) t JOIN pg_class l ON l.oid = t.relid
             WHERE c.relkind = 'p' AND t.isleaf AND (l.relkind NOT IN ('r', 'p') OR l.relpersistence <> 'p')
             ORDER BY 1)
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND n.nspname NOT LIKE 'pg\\_%%' AND n.nspname <> 'information_schema'
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
_KINDS = {"v": "a view", "m": "a materialized view", "f": "a foreign table"}


class PostgresCatalog:
    default_schema = "public"

    def __init__(self, connection: psycopg2.extensions.connection) -> None:
        self._connection = connection

    def tables(self, selection: Selection, policies: Policies) -> Listing:
        findings: list[Finding] = []
        chosen: dict[int, tuple[Name, str]] = {}
        for row in query(self._connection, _RELATIONS):
            oid, schema, own, kind, persistence, identity, leaf, other_leaves, not_logged = row
            name = Name(schema, own)
            if leaf or not selection.includes(name, self.default_schema):
                continue  # a partition comes with its root
            left_out = _KINDS.get(kind) or {"u": "unlogged", "t": "temporary"}.get(persistence)
            if left_out:
                findings.append(Finding("warn", f"{name} is left out: it is {left_out}, and the log does not carry it"))
            else:
                chosen[oid] = name, identity
                if other_leaves:
                    findings.append(_mixed_identities(name))
                if not_logged:
                    findings.append(_not_logged(name, not_logged))
        oids = list(chosen)
        columns = _grouped(query(self._connection, _COLUMNS, (oids,)))
        indexes = _grouped(query(self._connection, _INDEXES, (oids,)))
        types = self._types({row[3] for rows in columns.values() for row in rows})
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
            key, uniques, why = _keys(identity, indexes.get(oid, []), numbers, set(generated))
            if why:
                findings.append(_no_identity(name, why))
            tables.append(Table(name, own_columns, key, str(oid), uniques))
        return Listing(tuple(tables), tuple(findings))

    def _types(self, oids: Iterable[int]) -> dict[int, PgType]:
        """These types and all that they are made of."""
        found: dict[int, PgType] = {}
        wanted = set(oids)
        while wanted:
            for row in query(self._connection, _TYPES, (list(wanted),)):
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
) -> tuple[tuple[str, ...], tuple[UniqueIndex, ...], str]:
    """The key by which rows are found, the unique indexes to make, and why there is no usable key."""
    key: tuple[str, ...] = ()
    uniques: list[UniqueIndex] = []
    primary_usable = False
    for _, name, primary, replident, immediate, plain, at in indexes:
        columns = tuple(numbers.get(number, "") for number in at)
        is_key = immediate and plain and not generated.intersection(columns)
        if primary and is_key:
            primary_usable = True
        if is_key and ((identity in ("d", "f") and primary) or (identity == "i" and replident)):
            key = columns
        elif (plain and not primary and not generated.intersection(columns)) or (primary and identity == "i" and plain):
            uniques.append(UniqueIndex(name, columns))
    why = ""
    if identity == "n":
        why = "its replica identity is NOTHING"
    elif identity == "i" and not key:
        why = "its replica identity index is gone"
    elif identity == "d" and not key:
        why = "it has no primary key" if not primary_usable else "its primary key cannot be used"
    return key, tuple(uniques), why


def _no_identity(name: Name, why: str) -> Finding:
    return Finding(
        "refuse",
        f"{name} has no usable replica identity: {why}; "
        f"updates on {name} would fail on the source once it is published",
        f"ALTER TABLE {quote_table(name)} ADD PRIMARY KEY (...), "
        f"or ALTER TABLE {quote_table(name)} REPLICA IDENTITY FULL, or leave it out: --exclude '{name}'",
    )


def _mixed_identities(name: Name) -> Finding:
    return Finding(
        "refuse",
        f"partitions of {name} have another replica identity than {name} itself",
        f"ALTER TABLE each partition to the replica identity of {quote_table(name)}",
    )


def _not_logged(name: Name, partitions: Sequence[str]) -> Finding:
    return Finding(
        "refuse",
        f"{name} has unlogged or foreign partitions, whose changes are not in the log: {', '.join(partitions)}",
        f"ALTER TABLE {quote_table(name)} DETACH PARTITION {partitions[0]}; an unlogged one: ALTER TABLE "
        f"{partitions[0]} SET LOGGED; or leave the table out: --exclude '{name}'",
    )


def _unknown_type(name: Name, column: str, type_name: str) -> Finding:
    return Finding(
        "refuse",
        f"{name}.{column} has the type {type_name}, which is not known here",
        f'copy its text as it is: [columns."{name}.{column}"] as = "text"; or --exclude \'{name}\'',
    )
