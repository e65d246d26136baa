"""Publications: what makes one, what one carries, and whether it has carried our tables all the time."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import psycopg2
from psycopg2.extensions import connection as SqlConnection

from replicator.engines.postgres.connect import query
from replicator.engines.postgres.names import quote, quote_table
from replicator.errors import PositionLost, Retryable
from replicator.model.schema import Name, Table
from replicator.model.stream import Followed

LOCK_WAIT_S = 30
_PUBLISHED = """
SELECT p.schemaname, p.tablename, p.rowfilter IS NOT NULL, p.attnames::text[],
       ARRAY(SELECT attname::text FROM pg_attribute WHERE attrelid = c.oid AND attnum > 0 AND NOT attisdropped)
FROM pg_publication_tables p JOIN pg_namespace n ON n.nspname = p.schemaname
JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = p.tablename WHERE p.pubname = %s
"""
_MEMBERSHIP = """
SELECT n.nspname, c.relname, CASE
  WHEN p.puballtables THEN format('%%s/all/%%s', p.oid, c.oid)
  WHEN s.oid IS NOT NULL THEN format('%%s/schema %%s/%%s', p.oid, s.oid, c.oid)
  ELSE format('%%s/table %%s/%%s', p.oid, r.oid, c.oid) END
FROM pg_publication p JOIN pg_publication_tables t ON t.pubname = p.pubname
JOIN pg_namespace n ON n.nspname = t.schemaname JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = t.tablename
LEFT JOIN pg_publication_rel r ON r.prpubid = p.oid AND r.prrelid = c.oid
LEFT JOIN pg_publication_namespace s ON s.pnpubid = p.oid AND s.pnnspid = n.oid
WHERE p.pubname = %s
"""
_HOLDERS = """
SELECT DISTINCT n.nspname, c.relname, l.pid, l.mode,
       coalesce(date_trunc('second', now() - a.xact_start)::text, 'unknown')
FROM pg_locks l JOIN pg_class c ON c.oid = l.relation JOIN pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN pg_stat_activity a ON a.pid = l.pid
WHERE l.granted AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
  AND l.mode NOT IN ('AccessShareLock', 'RowShareLock', 'RowExclusiveLock') AND c.oid = ANY(%s)
"""


def statement(name: str, tables: Sequence[Table]) -> str:
    """CREATE PUBLICATION for these tables. Partitions publish as their root."""
    carries = f"FOR {listed(tables)} " if tables else ""
    return (
        f"CREATE PUBLICATION {quote(name)} {carries}"
        "WITH (publish = 'insert, update, delete, truncate', publish_via_partition_root = true)"
    )


def listed(tables: Sequence[Table]) -> str:
    """ONLY: children of an inherited table are tables of their own."""
    return "TABLE " + ", ".join(f"ONLY {quote_table(table.name)}" for table in tables)


def run(
    connection: SqlConnection, text: str, tables: Sequence[Table], *, wait_s: int = LOCK_WAIT_S, keep: bool = True
) -> None:
    """Run a statement about a publication, and without `keep` roll it back. Raises psycopg2.Error.

    It waits for whoever vacuums, analyses, indexes or alters one of the tables; after `wait_s` seconds it raises
    Retryable, which says who that is.
    """
    end = "COMMIT" if keep else "ROLLBACK"
    try:
        with connection.cursor() as cursor:
            cursor.execute(f"BEGIN; SET LOCAL lock_timeout = '{wait_s}s'; {text}; {end}")
    except psycopg2.Error as error:
        query(connection, "ROLLBACK")
        if isinstance(error, psycopg2.errors.LockNotAvailable):
            raise Retryable(_locked(connection, tables)) from error
        raise


def _locked(connection: SqlConnection, tables: Sequence[Table]) -> str:
    rows = query(connection, _HOLDERS, ([int(table.id) for table in tables],))
    holders = [
        f"{Name(schema, own)} is locked by pid {pid} ({mode}, for {age})" for schema, own, pid, mode, age in rows
    ]
    return "the publication waits for a lock: " + ("; ".join(holders) or "its holder has ended meanwhile")


def published(connection: SqlConnection, publication: str) -> set[Name] | None:
    """The tables of a publication; None if there is no such publication."""
    if not query(connection, "SELECT 1 FROM pg_publication WHERE pubname = %s", (publication,)):
        return None
    rows = query(
        connection,
        "SELECT schemaname, tablename FROM pg_publication_tables WHERE pubname = %s",
        (publication,),
    )
    return {Name(schema, name) for schema, name in rows}


def membership(connection: SqlConnection, publication: str) -> dict[Name, str]:
    """For each table of a publication a text that stays the same as long as the table stays in it.

    A table that is taken out and put back, or whose filter or column list is changed, gets another one.
    """
    rows = query(connection, _MEMBERSHIP, (publication,))
    return {Name(schema, name): token for schema, name, token in rows}


def check(connection: SqlConnection, publication: str, followed: Collection[Followed]) -> None:
    """Raises PositionLost where the log may lack changes of these tables; `carried` is their earlier `membership`.

    PostgreSQL passes silently over a publication that is gone, over tables that it lost, and over what it no longer
    publishes of them.
    """
    kinds = query(
        connection,
        "SELECT pubinsert AND pubupdate AND pubdelete AND pubtruncate FROM pg_publication WHERE pubname = %s",
        (publication,),
    )
    if not kinds:
        raise PositionLost(
            f"the publication {publication!r} does not exist any more; changes made since then are lost",
            remedy="empty the target tables (or pass --truncate) and start under another --name",
        )
    if not kinds[0][0]:
        raise PositionLost(
            f"the publication {publication!r} does not publish all of insert, update, delete and truncate any more; "
            "changes since then may be lost",
            remedy=f"ALTER PUBLICATION {quote(publication)} SET (publish = 'insert, update, delete, truncate'), then "
            "empty the target tables (or pass --truncate) and start under another --name",
        )
    carried = {
        Name(schema, name): (filtered, set(present) - set(columns or ()))
        for schema, name, filtered, columns, present in query(connection, _PUBLISHED, (publication,))
    }
    now = membership(connection, publication)
    lost = sorted(str(each.table.name) for each in followed if each.table.name not in carried)
    if lost:
        raise _gap(
            f"table {', '.join(lost)} is not in publication {publication}; its changes since then are lost", lost
        )
    for each in followed:
        table = each.table
        filtered, hidden = carried[table.name]
        missing = hidden.intersection(table.names)
        what = f"table {table.name} in publication {publication}"
        if filtered:
            raise _gap(f"{what} has a row filter; changes since then may be lost", [str(table.name)])
        if missing:
            columns = ", ".join(sorted(missing))
            raise _gap(f"{what} lacks columns ({columns}); changes since then may be lost", [str(table.name)])
        if each.carried and each.carried != now.get(table.name):
            raise _gap(
                f"{what}: it was taken out and put back, or the publication was made again; "
                "changes in between may be lost",
                [str(table.name)],
            )


def _gap(what: str, tables: Sequence[str]) -> PositionLost:
    return PositionLost(what, remedy=f"copy it anew: run once with --exclude '{tables[0]}', then without it")
