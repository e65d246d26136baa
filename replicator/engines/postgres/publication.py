"""Publications: what makes one, what one carries, and whether it has carried our tables all the time.

A stream has two of its own, one for all changes and one for tables of which only inserts are followed: such a table
needs no replica identity, and in a publication of updates its updates would fail at the source. Both are made before
the slot, since a slot cannot be read with a publication that is newer than what it reads.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import TypeVar

import psycopg2
from psycopg2.extensions import connection as SqlConnection

from replicator import remedies
from replicator.engines.postgres.connect import query
from replicator.engines.postgres.names import ANEW, quote, quote_table
from replicator.errors import PositionLost, Retryable
from replicator.model.schema import Name, Table
from replicator.model.stream import Followed, Identity
from replicator.sql.statements import text_literal

LOCK_WAIT_S = 30
PIECE = 200
"""How many tables one statement locks: all sessions of a server share room for some 7,000 locks by default."""
Piece = TypeVar("Piece")
ALL, INSERTS = "insert, update, delete, truncate", "insert, truncate"
_PUBLISHED = """
SELECT p.pubname, p.schemaname, p.tablename, p.rowfilter IS NOT NULL, p.attnames::text[],
       ARRAY(SELECT attname::text FROM pg_attribute WHERE attrelid = c.oid AND attnum > 0 AND NOT attisdropped)
FROM pg_publication_tables p JOIN pg_namespace n ON n.nspname = p.schemaname
JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = p.tablename WHERE p.pubname = ANY(%s)
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
WHERE p.pubname = ANY(%s)
"""
_HOLDERS = """
SELECT DISTINCT n.nspname, c.relname, l.pid, l.mode,
       coalesce(date_trunc('second', now() - a.xact_start)::text, 'unknown')
FROM pg_locks l JOIN pg_class c ON c.oid = l.relation JOIN pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN pg_stat_activity a ON a.pid = l.pid
WHERE l.granted AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
  AND l.mode NOT IN ('AccessShareLock', 'RowShareLock', 'RowExclusiveLock') AND c.oid = ANY(%s)
"""


def statement(name: str, tables: Sequence[Table], publish: str = ALL) -> str:
    """CREATE PUBLICATION for these tables. Partitions publish as their root."""
    carries = f"FOR {listed(tables)} " if tables else ""
    return f"CREATE PUBLICATION {quote(name)} {carries}WITH (publish = '{publish}', publish_via_partition_root = true)"


def make(connection: SqlConnection, name: str, tables: Sequence[Table], publish: str) -> None:
    """In pieces: what has only some of the tables is removed at the next start. Raises psycopg2.Error."""
    first = tables[:PIECE]
    run(connection, statement(name, first, publish), first)
    change(connection, name, {table.name for table in first}, tables)


def change(connection: SqlConnection, name: str, published: Collection[Name], wanted: Sequence[Table]) -> None:
    """Make it carry `wanted`, in pieces. Tables that stay keep their membership. Raises psycopg2.Error."""
    kept = {table.name for table in wanted}
    for gone in pieces([each for each in published if each not in kept]):
        dropped = ", ".join(f"ONLY {quote_table(each)}" for each in gone)
        run(connection, f"ALTER PUBLICATION {quote(name)} DROP TABLE {dropped}", wanted)
    for new in pieces([table for table in wanted if table.name not in published]):
        run(connection, f"ALTER PUBLICATION {quote(name)} ADD {listed(new)}", new)


def remove(connection: SqlConnection, name: str) -> None:
    """In pieces: DROP PUBLICATION locks its entry for each table. Raises psycopg2.Error."""
    carried = sorted(published(connection, name) or ())
    for gone in pieces(carried[PIECE:]):
        dropped = ", ".join(f"ONLY {quote_table(each)}" for each in gone)
        run(connection, f"ALTER PUBLICATION {quote(name)} DROP TABLE {dropped}", ())
    run(connection, f"DROP PUBLICATION IF EXISTS {quote(name)}", ())


def pieces(things: Sequence[Piece]) -> Iterator[Sequence[Piece]]:
    for at in range(0, len(things), PIECE):
        yield things[at : at + PIECE]


def removal(identity: Identity) -> list[str]:
    """What removes the stream's own slot and publications by hand."""
    return statements(() if identity.slot else (identity.object_name,), () if identity.publication else names(identity))


def statements(slots: Iterable[str], publications: Iterable[str]) -> list[str]:
    return [f"SELECT pg_drop_replication_slot({text_literal(slot)});" for slot in slots] + [
        f"DROP PUBLICATION IF EXISTS {quote(name)};" for name in publications
    ]


def names(identity: Identity) -> tuple[str, ...]:
    """The stream's publications: the user's, or our own two."""
    own = identity.object_name
    return (identity.publication,) if identity.publication else (own, f"{own}_i")


def plan(identity: Identity, tables: Sequence[Followed]) -> list[tuple[str, str, list[Table]]]:
    """Our own publications, each with what it publishes and its tables."""
    every, inserts = names(identity)
    return [
        (every, ALL, [f.table for f in tables if not f.options.insert_only]),
        (inserts, INSERTS, [f.table for f in tables if f.options.insert_only]),
    ]


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


def membership(connection: SqlConnection, publications: Sequence[str]) -> dict[Name, str]:
    """For each table of these publications a text that stays the same as long as the table stays in it.

    A table that is taken out and put back, or whose filter or column list is changed, gets another one.
    """
    rows = query(connection, _MEMBERSHIP, (list(publications),))
    return {Name(schema, name): token for schema, name, token in rows}


def check(connection: SqlConnection, publications: Sequence[str], followed: Collection[Followed]) -> None:
    """Raises PositionLost where the log may lack changes of these tables; `carried` is their earlier `membership`.

    PostgreSQL passes silently over a publication that is gone, over tables that it lost, and over what it no longer
    publishes of them.
    """
    kinds = published_kinds(connection, publications)
    for name in publications:
        # The second one is missing in streams older than it, which have no table for it.
        if name not in kinds and (name == publications[0] or any(f.options.insert_only for f in followed)):
            raise PositionLost(
                f"the publication {name!r} does not exist any more; changes made since then are lost",
                remedy=ANEW,
            )
    carried: dict[Name, tuple[str, bool, set[str]]] = {}
    for publication, schema, name, filtered, columns, present in query(connection, _PUBLISHED, (list(publications),)):
        carried[Name(schema, name)] = publication, filtered, set(present) - set(columns or ())
    now = membership(connection, publications)
    if lost := [each.table for each in followed if each.table.name not in carried]:
        shown = " and ".join(publications)
        # Ours gets them back by the new copy; one of the user's is his.
        back = f"ALTER PUBLICATION {quote(publications[0])} ADD {listed(lost)}; then " if len(publications) == 1 else ""
        raise _gap({f" is not in publication {shown}; its changes since then are lost": lost}, first=back)
    gaps: dict[str, list[Table]] = {}
    for each in followed:
        publication, filtered, hidden = carried[each.table.name]
        if why := _gap_in(each, kinds[publication], filtered, hidden, now.get(each.table.name)):
            gaps.setdefault(f" in publication {publication}{why}", []).append(each.table)
    if gaps:
        raise _gap(gaps)


def _gap_in(each: Followed, kinds: set[str], filtered: bool, hidden: set[str], membership: str | None) -> str:
    """Why the log may lack changes of a table that the publication has; empty where it does not."""
    if unpublished := sorted(needed(each) - kinds):
        return f": it does not publish {', '.join(unpublished)} any more; changes since then may be lost"
    if filtered:
        return " has a row filter; changes since then may be lost"
    if missing := sorted(hidden.intersection(each.table.names)):
        return f" lacks columns ({', '.join(missing)}); changes since then may be lost"
    if each.carried and each.carried != membership:
        return ": it was taken out and put back, or the publication was made again; changes in between may be lost"
    return ""


def _gap(gaps: Mapping[str, Sequence[Table]], *, first: str = "") -> PositionLost:
    """All tables that have one, so that one new copy mends them all."""
    names = [table.name for tables in gaps.values() for table in tables]
    what = "; ".join(f"table {remedies.named([table.name for table in tables])}{why}" for why, tables in gaps.items())
    again = f"{first}copy it anew: {remedies.recopy(*names)}" if len(names) <= remedies.NAMED else first + ANEW
    return PositionLost(what, remedy=again)


def published_kinds(connection: SqlConnection, publications: Sequence[str]) -> dict[str, set[str]]:
    """What each publishes: insert, update, delete, truncate. Those that do not exist are not in it."""
    rows = query(
        connection,
        "SELECT pubname, array_remove(ARRAY[CASE WHEN pubinsert THEN 'insert' END, CASE WHEN pubupdate THEN 'update' "
        "END, CASE WHEN pubdelete THEN 'delete' END, CASE WHEN pubtruncate THEN 'truncate' END], NULL) "
        "FROM pg_publication WHERE pubname = ANY(%s)",
        (list(publications),),
    )
    return {name: set(kinds) for name, kinds in rows}


def needed(followed: Followed) -> set[str]:
    """What must be published of a table."""
    return set((INSERTS if followed.options.insert_only else ALL).split(", "))
