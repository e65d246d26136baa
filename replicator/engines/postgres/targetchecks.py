"""Can this server be a target? Nothing is made; rights are tried by using them."""

from __future__ import annotations

from collections.abc import Iterator

from replicator.engine import Finding
from replicator.engines.postgres import landing, pooler
from replicator.engines.postgres.checks import NEWEST, OLDEST
from replicator.engines.postgres.names import quote
from replicator.engines.postgres.session import TargetSession
from replicator.sql.tables import SCHEMA

_LEDGER = """
SELECT c.relname FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = %s AND c.relkind = 'r'
  AND NOT pg_catalog.has_table_privilege(c.oid, 'SELECT, INSERT, UPDATE, DELETE')
"""


def findings(session: TargetSession) -> list[Finding]:
    found = [*_server(session)]
    if found and any(finding.level == "refuse" for finding in found):
        return found
    return [*found, *_ledger(session)]


def _server(session: TargetSession) -> Iterator[Finding]:
    with session.transaction():
        ((standby, encoding),) = session.execute(
            "SELECT pg_catalog.pg_is_in_recovery(), current_setting('server_encoding')"
        ).fetchall()
    version = session.version
    if version < OLDEST:
        yield Finding("refuse", f"the target is PostgreSQL {version}; {OLDEST} or newer is needed", "upgrade it")
    elif version > NEWEST:
        yield Finding("warn", f"untested version: the target is PostgreSQL {version}")
    if session.pooled:
        yield pooler.at_target()
    if standby:
        yield Finding("refuse", "the target is a standby, which takes no writes", "connect to the primary")
    if encoding != "UTF8":
        yield Finding(
            "refuse",
            f"the target database has the encoding {encoding}, which does not hold every text",
            "CREATE DATABASE ... ENCODING 'UTF8' TEMPLATE template0",
        )


def _ledger(session: TargetSession) -> Iterator[Finding]:
    """The bookkeeping: a schema of its own, or the right to make it."""
    with session.transaction():
        ((there,),) = session.execute(
            "SELECT EXISTS (SELECT FROM pg_catalog.pg_class WHERE relname = 'format' AND relnamespace = "
            "(SELECT oid FROM pg_catalog.pg_namespace WHERE nspname = %s))",
            (SCHEMA,),
        ).fetchall()
        closed = [name for (name,) in session.execute(_LEDGER, (SCHEMA,)).fetchall()]
    if not there:
        yield from landing.schemas(session, [SCHEMA])
    elif closed:
        role = quote(session.driver.info.user)
        yield Finding(
            "refuse",
            f"this role may not write the bookkeeping tables: {', '.join(sorted(closed))}",
            f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA {SCHEMA} TO {role}",
        )
