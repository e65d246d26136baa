"""A proxy between us and the server: ProxySQL, MaxScale, RDS Proxy.

The greeting tells the number of the connection, for KILL; a proxy tells one of its own.
https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_connection_phase_packets_protocol_handshake_v10.html
"""

from __future__ import annotations

from collections.abc import Iterator

from replicator.engine import Finding
from replicator.engines.mysql.connect import Connection
from replicator.engines.mysql.server import Server

NUMBER = "SELECT CONNECTION_ID()"


def at_source(server: Server) -> Iterator[Finding]:
    if told_another(server.control.connection, int(server.control.one(NUMBER))):
        yield Finding(
            "untested",
            f"a proxy answers at {server.where.shown}: snapshots and the log need a session of the server's own",
            "connect to the server itself; --allow-untested takes a proxy that gives each connection its own session",
        )


def at_target() -> Finding:
    return Finding(
        "warn",
        "a proxy stands before the target: unless it gives each connection a session of its own, the stream's lock is "
        "lost, and of two runs the later one ends the other",
        "connect to the server itself",
    )


def told_another(connection: Connection, number: int) -> bool:
    """The greeting has room for the lower four bytes."""
    return bool(connection.thread_id() != number & 0xFFFFFFFF)
