"""Can a table be made at a PostgreSQL target? By its shape, and by our rights in its schema, which are tried."""

from __future__ import annotations

from collections.abc import Collection, Iterator

import psycopg2

from replicator import remedies
from replicator.engine import Finding
from replicator.engines.postgres.connect import reason
from replicator.engines.postgres.names import quote
from replicator.engines.postgres.session import TargetSession
from replicator.engines.postgres.targettypes import TargetTypes
from replicator.errors import ReplicatorError
from replicator.model.datatypes import DataType, Json, Textual
from replicator.model.stream import Followed
from replicator.sql import digest

MOST_COLUMNS = 1600
NAME_BYTES = 63
_UNORDERED = frozenset(
    ("xml", "point", "line", "lseg", "box", "path", "polygon", "circle", "jsonpath", "txid_snapshot")
)


def shape(followed: Followed, types: TargetTypes) -> Iterator[Finding]:
    """What no PostgreSQL table can have."""
    table = followed.table
    leave_out = f"--exclude {remedies.shell(table.name)}"
    for column in table.columns:
        if len(column.name.encode()) > NAME_BYTES:
            what = f"{table.name}: PostgreSQL would cut the column name {column.name!r} to {NAME_BYTES} bytes"
            yield Finding("refuse", what, f"rename it at the source, or {leave_out}")
        if column.name in ("ctid", "xmin", "xmax", "cmin", "cmax", "tableoid"):
            what = f"{table.name}: PostgreSQL keeps the column name {column.name} for itself"
            yield Finding("refuse", what, f"rename it at the source, or {leave_out}")
        if column.name == digest.COLUMN:
            what = f"{table.name}: the column name {digest.COLUMN} is kept for bookkeeping"
            yield Finding("refuse", what, f"rename it at the source, or {leave_out}")
        try:
            form = types.form(column, followed.chosen(column.name))
        except ReplicatorError as error:
            yield Finding("refuse", f"{table.name}: {error.what}", error.remedy)
            continue
        if column.name in table.key and not _ordered(form.kind):
            yield Finding(
                "refuse",
                f"{table.name}: column {column.name} is in the key, and PostgreSQL has no index for {form.type}",
                f'{remedies.section("columns", f"{table.name}.{column.name}")} as = "text"',
            )
    if len(table.columns) + followed.digested > MOST_COLUMNS:
        what = f"{table.name} has {len(table.columns)} columns; PostgreSQL holds {MOST_COLUMNS}"
        yield Finding("refuse", what, leave_out)


def _ordered(kind: DataType) -> bool:
    return not (kind == Json() or (isinstance(kind, Textual) and kind.name in _UNORDERED))


def schemas(session: TargetSession, names: Collection[str]) -> Iterator[Finding]:
    """A table is made in each, and a schema that is not there; then all is rolled back."""
    role, database = quote(session.driver.info.user), quote(session.driver.info.dbname)
    for name in sorted(names):
        with session.trial() as cursor:
            cursor.execute("SELECT EXISTS (SELECT FROM pg_catalog.pg_namespace WHERE nspname = %s)", (name,))
            ((there,),) = cursor.fetchall()
            try:
                if not there:
                    cursor.execute(f"CREATE SCHEMA {quote(name)}")
                cursor.execute(f"CREATE TABLE {quote(name)}._replicator_trial ()")
                continue
            except psycopg2.Error as error:
                if error.pgcode != "42501":
                    raise
                why = reason(error)
        remedy = f"GRANT CREATE, USAGE ON SCHEMA {quote(name)} TO {role}"
        if not there:
            remedy = (
                f"GRANT CREATE ON DATABASE {database} TO {role}; or CREATE SCHEMA {quote(name)} AUTHORIZATION {role}"
            )
        yield Finding("refuse", f"tables cannot be made in the target's schema {name}: {why}", remedy)
