"""A pooler or proxy between us and the server: PgBouncer, Pgpool, RDS Proxy.

At login libpq is told the number of the server's process, for cancelling; a pooler tells one of its own, since the
process behind it may be another one in a moment.
https://www.postgresql.org/docs/current/protocol-flow.html#PROTOCOL-FLOW-CANCELING-REQUESTS
"""

from __future__ import annotations

from collections.abc import Iterator

import psycopg2.extensions

from replicator.engine import Endpoint, Finding
from replicator.engines.postgres.connect import query

PROCESS = "SELECT pg_catalog.pg_backend_pid()"


def at_source(connection: psycopg2.extensions.connection, where: Endpoint) -> Iterator[Finding]:
    if told_another(connection, query(connection, PROCESS)[0][0]):
        yield Finding(
            "untested",
            f"a pooler or proxy answers at {where.shown}: snapshots and the log need a session of the server's own",
            "connect to the server itself; --allow-untested takes a proxy that gives each connection its own session",
        )


def at_target() -> Finding:
    return Finding(
        "warn",
        "a pooler or proxy stands before the target: the stream's lock, which ends with a session, is not taken, and "
        "of two runs the later one ends the other",
        "connect to the server itself",
    )


def told_another(connection: psycopg2.extensions.connection, process: int) -> bool:
    return connection.info.backend_pid != process
