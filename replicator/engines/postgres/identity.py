"""Can the log say which row a change belongs to? A table's replica identity, and its partitions'.

https://www.postgresql.org/docs/current/logical-replication-publication.html#LOGICAL-REPLICATION-PUBLICATION-REPLICA-IDENTITY
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from psycopg2.extensions import connection as SqlConnection

from replicator import remedies
from replicator.engine import Finding
from replicator.engines.postgres.connect import query
from replicator.engines.postgres.names import quote_table
from replicator.model.schema import Name
from replicator.model.stream import Followed

_IDENTITIES = """
SELECT c.oid::text, c.relkind, c.relreplident,
       (SELECT count(*) FROM pg_index i WHERE i.indrelid = c.oid AND i.indisprimary),
       (SELECT count(*) FROM pg_index i WHERE i.indrelid = c.oid AND i.indisreplident),
       c.relreplident = 'f' AND current_setting('server_version_num')::int >= 180000 AND EXISTS (
         SELECT FROM pg_attribute WHERE attrelid = c.oid AND attgenerated <> '' AND NOT attisdropped),
       ARRAY(SELECT ARRAY[l.oid::regclass::text, (
               SELECT quote_ident(x.relname) FROM pg_index own JOIN pg_class x ON x.oid = own.indexrelid
               JOIN pg_index root ON root.indexrelid IN (SELECT pg_partition_ancestors(own.indexrelid))
               WHERE own.indrelid = l.oid AND root.indrelid = c.oid AND root.indisreplident)]
             FROM pg_partition_tree(c.oid) t JOIN pg_class l ON l.oid = t.relid
             WHERE c.relkind = 'p' AND t.isleaf AND l.relkind = 'r' AND l.relreplident <> c.relreplident ORDER BY 1),
       ARRAY(SELECT l.oid::regclass::text FROM pg_partition_tree(c.oid) t JOIN pg_class l ON l.oid = t.relid
             WHERE c.relkind = 'p' AND t.isleaf AND (l.relkind NOT IN ('r', 'p') OR l.relpersistence <> 'p')
             ORDER BY 1)
FROM pg_class c WHERE c.oid = ANY(%s)
"""


def findings(connection: SqlConnection, tables: Sequence[Followed]) -> Iterator[Finding]:
    rows = {row[0]: row[1:] for row in query(connection, _IDENTITIES, ([int(f.table.id) for f in tables],))}
    for followed in tables:
        table, only_inserts = followed.table, followed.options.insert_only
        if table.id not in rows:
            continue  # dropped meanwhile: reading it says so
        kind, identity, primary, indexed, computed, other_leaves, not_logged = rows[table.id]
        if not only_inserts:
            if why := _unusable(identity, bool(table.key), bool(primary), bool(indexed)):
                other = "DEFAULT" if table.key else "FULL"
                # A table without columns cannot have one.
                yield _no_identity(table.name, why, other, has_primary=bool(primary) or not table.columns)
            elif computed:
                # PostgreSQL 18 wants the whole old row published, and those columns are not.
                why = "it is FULL, and the table has generated columns"
                yield _no_identity(table.name, why, "DEFAULT", has_primary=bool(primary))
            elif not table.key:
                yield _scans(followed)
            if other_leaves:
                yield _mixed(table.name, identity, other_leaves)
        if not_logged:
            yield _not_logged(table.name, not_logged)
        if kind == "p" and only_inserts:
            yield Finding(
                "warn",
                f"{table.name} is partitioned: an update that moves a row to another partition is in the log as a "
                "delete and an insert, and the insert is followed",
            )
        if kind == "p":
            yield Finding(
                "warn",
                f"{table.name} is partitioned: TRUNCATE, DETACH and DROP of a single partition are not in the log, and "
                "its rows stay at the target; TRUNCATE of the whole table is",
            )


def unusable(connection: SqlConnection, tables: Sequence[Followed]) -> set[Name]:
    """Tables whose updates would fail at the source in a publication of updates."""
    rows = {row[0]: row[1:] for row in query(connection, _IDENTITIES, ([int(f.table.id) for f in tables],))}
    return {
        followed.table.name
        for followed in tables
        if followed.table.id in rows
        for _, identity, primary, indexed, computed, *_ in [rows[followed.table.id]]
        if computed or _unusable(identity, bool(followed.table.key), bool(primary), bool(indexed))
    }


def _unusable(identity: str, has_key: bool, has_primary: bool, has_index: bool) -> str:
    """Why updates and deletes could not be followed; empty where they can be."""
    if identity == "n":
        return "its replica identity is NOTHING"
    if identity == "i" and not has_key:
        return (
            "its replica identity index has a generated column" if has_index else "its replica identity index is gone"
        )
    if identity == "d" and not has_key:
        return "its primary key is deferrable or has a generated column" if has_primary else "it has no primary key"
    return ""


def _no_identity(name: Name, why: str, other: str, *, has_primary: bool) -> Finding:
    """`other`: the replica identity that would do; DEFAULT wants a primary key first where there is none."""
    identity = f"ALTER TABLE {quote_table(name)} REPLICA IDENTITY {other}"
    if not has_primary:
        joined = "or" if other == "FULL" else "and"
        identity = f"ALTER TABLE {quote_table(name)} ADD PRIMARY KEY (...), {joined} {identity}"
    return Finding(
        "refuse",
        f"{name} has no usable replica identity: {why}; "
        f"updates on {name} would fail on the source once it is published",
        f"{identity}, or follow its inserts alone: --insert-only {remedies.shell(name)}, "
        f"or leave it out: --exclude {remedies.shell(name)}",
    )


def _scans(followed: Followed) -> Finding:
    name = followed.table.name
    what = f"{name} has no key, and its rows are found by all of their columns"
    if followed.options.digest_column:
        return Finding("note", f"{what}, by the indexed digest")
    return Finding(
        "warn",
        f"{what}: each update and delete reads the whole target table",
        f"ALTER TABLE {quote_table(name)} ADD PRIMARY KEY (...); or, for a target table that we make, an indexed "
        f"digest of the row: digest_column = true under {remedies.section('table_options', name)}",
    )


def _mixed(name: Name, identity: str, partitions: Sequence[tuple[str, str | None]]) -> Finding:
    """`partitions`: each with its part of the root's index that is the root's identity, if it has one."""
    form = {"d": "DEFAULT", "f": "FULL", "n": "NOTHING"}.get(identity)
    return Finding(
        "refuse",
        f"partitions of {name} have another replica identity than {name} itself: "
        + remedies.named([leaf for leaf, _ in partitions]),
        "; ".join(
            f"ALTER TABLE {leaf} REPLICA IDENTITY {form or f'USING INDEX {index}'}" for leaf, index in partitions
        ),
    )


def _not_logged(name: Name, partitions: Sequence[str]) -> Finding:
    return Finding(
        "refuse",
        f"{name} has unlogged or foreign partitions, whose changes are not in the log: {', '.join(partitions)}",
        f"ALTER TABLE {quote_table(name)} DETACH PARTITION {partitions[0]}; an unlogged one: ALTER TABLE "
        f"{partitions[0]} SET LOGGED; or leave the table out: --exclude {remedies.shell(name)}",
    )
