"""Can a table that we did not make hold the rows without changing them, and does nothing else happen with them?"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

from replicator import remedies
from replicator.engine import Finding
from replicator.engines.postgres.names import quote, quote_all, quote_table
from replicator.engines.postgres.session import TargetSession
from replicator.engines.postgres.storage import native, precise
from replicator.engines.postgres.targettypes import TargetTypes
from replicator.errors import ReplicatorError
from replicator.model.schema import Column
from replicator.model.stream import Followed
from replicator.sql import existing
from replicator.sql.existing import ANEW, ExistingColumn, Problem
from replicator.sql.wider import holds

_TABLE = """
SELECT c.oid, c.relkind::text, c.relpersistence::text, c.relhassubclass, c.relispartition,
       pg_catalog.row_security_active(c.oid),
       ARRAY(SELECT p FROM unnest('{SELECT,INSERT,UPDATE,DELETE}'::text[]) p
             WHERE NOT pg_catalog.has_table_privilege(c.oid, p)),
       ARRAY(SELECT tgname::text FROM pg_catalog.pg_trigger WHERE tgrelid = c.oid AND NOT tgisinternal
             AND tgenabled IN ('A', 'R')),
       ARRAY(SELECT tgname::text FROM pg_catalog.pg_trigger WHERE tgrelid = c.oid AND NOT tgisinternal
             AND tgenabled = 'O'),
       ARRAY(SELECT conname::text FROM pg_catalog.pg_constraint WHERE contype = 'f' AND c.oid IN (conrelid, confrelid)),
       ARRAY(SELECT rulename::text FROM pg_catalog.pg_rewrite WHERE ev_class = c.oid AND ev_enabled <> 'D'),
       pg_catalog.pg_has_role(c.relowner, 'USAGE')
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = %s AND c.relname = %s
"""
_COLUMNS = """
SELECT a.attname, pg_catalog.format_type(a.atttypid, a.atttypmod), a.attnotnull,
       a.atthasdef OR a.attidentity <> '', a.attgenerated <> '', a.atttypid, a.atttypmod,
       coalesce(NOT l.collisdeterministic, false)
FROM pg_catalog.pg_attribute a LEFT JOIN pg_catalog.pg_collation l ON l.oid = a.attcollation
WHERE a.attrelid = %s AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum
"""
_KEYS = """
SELECT ARRAY(SELECT attname::text FROM pg_catalog.pg_attribute WHERE attrelid = i.indrelid
             AND attnum = ANY((i.indkey::int2[])[0:i.indnkeyatts - 1])), i.indimmediate
FROM pg_catalog.pg_index i WHERE i.indrelid = %s AND i.indisunique AND i.indisvalid AND i.indpred IS NULL
  AND i.indexprs IS NULL
"""
_KINDS = {
    "v": "a view",
    "m": "a materialized view",
    "f": "a foreign table",
    "p": "a partitioned table",
    "S": "a sequence",
    "i": "an index",
    "I": "an index",
    "c": "a composite type",
}


@dataclass(frozen=True)
class There(ExistingColumn):
    """`loose`: has it a collation that takes different texts for the same?"""

    oid: int
    modifier: int
    loose: bool


def findings(session: TargetSession, types: TargetTypes, followed: Followed, *, ours: bool) -> Iterator[Finding]:
    """`ours`: we made the table, so its columns are right; what somebody added to it is looked at all the same."""
    rows = session.execute(_TABLE, tuple(followed.target)).fetchall()
    if not rows:
        return
    table = rows[0]
    problems = list(_usable(session, followed, table))
    if not problems and not ours:
        columns = [There(*row) for row in session.execute(_COLUMNS, (table[0],)).fetchall()]
        problems += existing.problems(followed, columns, partial(_fits, types, followed))
        problems += _found_by(session, followed, columns, table[0])
    for what, remedy in problems:
        yield Finding("refuse", f"target table {followed.target}: {what}", remedy)


def _usable(session: TargetSession, followed: Followed, table: tuple[Any, ...]) -> Iterator[Problem]:
    _, kind, persistence, parent, partition, secured, missing, always, origin, keys, rules, _ = table
    name = quote_table(followed.target)
    other = f"drop it, or --map {remedies.shell(f'{followed.table.name}=other_name')}"
    if kind != "r":
        yield f"it is {_KINDS.get(kind, 'something else')}, not a plain table", other
        return
    if parent or partition:
        yield "other tables inherit from it, or it is a partition", other
    if persistence != "p":
        yield "it is unlogged or temporary: its rows would not survive a crash", f"ALTER TABLE {name} SET LOGGED"
    role = quote(session.driver.info.user)
    if missing:
        rights = ", ".join(missing)
        yield f"this role has not the right to {rights}", f"GRANT {rights} ON TABLE {name} TO {role}"
    if secured:
        yield "row security hides rows from this role", f"ALTER ROLE {role} BYPASSRLS, or own the table"
    if always:
        yield (
            f"triggers fire for replication too: {', '.join(always)}",
            "; ".join(f"ALTER TABLE {name} ENABLE TRIGGER {quote(trigger)}" for trigger in always),
        )
    if rules:
        yield f"it has rules, which change what is written: {', '.join(rules)}", "drop them"
    if not session.as_replica and (named := [*origin, *keys]):
        yield (
            f"its triggers and foreign keys would act, and this role may not switch them off: {', '.join(named)}",
            f"GRANT SET ON PARAMETER session_replication_role TO {role}",
        )


def _fits(types: TargetTypes, followed: Followed, column: Column, there: There) -> Iterator[Problem]:
    try:
        form = types.form(column, followed.chosen(column.name))
    except ReplicatorError:
        return  # said already
    own = native(column)
    if own is not None and own.built_in and (own.oid, own.modifier) == (there.oid, there.modifier):
        return
    kind = types.kind(there.oid, there.modifier)
    here = precise(form.kind, own.modifier) if own is not None and form.type == column.native_name else form.kind
    if kind is None or not holds(kind, here):
        yield (
            f"column {column.name} is {there.type}, which cannot hold every value of {form.type} as it is",
            f"ALTER TABLE {quote_table(followed.target)} ALTER COLUMN {quote(column.name)} TYPE {form.type}; or {ANEW}",
        )


def _found_by(session: TargetSession, followed: Followed, columns: list[There], oid: int) -> Iterator[Problem]:
    """Is a row found by its key through an index, and by exact bytes?"""
    table = followed.table
    uniques = session.execute(_KEYS, (oid,)).fetchall()
    if table.key and not any(set(names) == set(table.key) and immediate for names, immediate in uniques):
        yield (
            f"it has no primary key or unique index on ({', '.join(table.key)}), or only a deferrable one",
            f"CREATE UNIQUE INDEX ON {quote_table(followed.target)} ({quote_all(table.key)})",
        )
    unique = {name for names, _ in uniques for name in names}
    for column in columns:
        if column.loose and column.name in table.names and column.name in {*table.key, *unique}:
            yield (
                f"column {column.name} has a nondeterministic collation, and is in a key or unique index: texts that "
                "differ would be taken for the same",
                f"give it a deterministic collation, or {ANEW}",
            )
