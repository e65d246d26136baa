"""Publications: what makes one, and what one carries."""

from __future__ import annotations

from collections.abc import Sequence

from psycopg2.extensions import connection as SqlConnection

from replicator.engines.postgres.connect import query
from replicator.engines.postgres.names import quote, quote_table
from replicator.model.schema import Name, Table


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
