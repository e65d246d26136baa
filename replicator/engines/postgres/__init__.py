"""PostgreSQL 15 to 18: the write-ahead log as a source, and a database as a target."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from replicator.engine import Capabilities, Endpoint, Source, Target
from replicator.engines.postgres.position import Lsn
from replicator.model.selection import Places
from replicator.model.stream import Identity


class Postgres:
    schemes = ("postgresql", "postgres")
    capabilities = Capabilities(
        reads_log=True, writes=True, transactional_ddl=True, parallel_writers=True, keeps_log=True
    )
    places = Places(
        default_schema="public",
        schemas=True,
        name_bytes=63,
        reserved=("pg_", "_replicator_"),
    )

    def endpoint(self, url: str, password: str | None) -> Endpoint:
        from replicator.engines.postgres.connect import endpoint

        return endpoint(url, password)

    def policies(self) -> Mapping[str, frozenset[str]]:
        from replicator.engines.postgres.storage import POLICIES

        return POLICIES

    def copy_source(self, endpoint: Endpoint, announce: Callable[[str], None]) -> Source:
        return self.source(endpoint, announce)

    def removal(self, identity: Identity) -> list[str]:
        from replicator.engines.postgres.publication import removal

        return removal(identity)

    def source(self, endpoint: Endpoint, announce: Callable[[str], None]) -> Source:
        from replicator.engines.postgres.source import PostgresSource

        return PostgresSource(endpoint, announce)

    def target(self, endpoint: Endpoint) -> Target:
        from replicator.engines.postgres.target import PostgresTarget

        return PostgresTarget(endpoint)

    def position(self, text: str) -> Lsn:
        return Lsn.parse(text)


ENGINE = Postgres()
