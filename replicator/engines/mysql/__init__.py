"""MySQL and MariaDB: the binary log as a source, and a database as a target."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from replicator.engine import Capabilities, Endpoint, Source, Target
from replicator.engines.mysql.names import barred, fold
from replicator.engines.mysql.position import BinlogPosition
from replicator.model.selection import Places
from replicator.model.stream import Identity


class Mysql:
    schemes = ("mysql", "mariadb")
    capabilities = Capabilities(reads_log=True, writes=True, transactional_ddl=False, parallel_writers=True)
    places = Places(
        default_schema="",
        schemas=False,
        name_bytes=None,
        fold=fold,
        reserved=("_replicator_",),
        barred=barred,
    )

    def endpoint(self, url: str, password: str | None) -> Endpoint:
        from replicator.engines.mysql.connect import endpoint

        return endpoint(url, password)

    def policies(self) -> Mapping[str, frozenset[str]]:
        from replicator.engines.mysql.storage import POLICIES

        return POLICIES

    def copy_source(self, endpoint: Endpoint, announce: Callable[[str], None]) -> Source:
        return self.source(endpoint, announce)

    def removal(self, identity: Identity) -> list[str]:
        return []

    def source(self, endpoint: Endpoint, announce: Callable[[str], None]) -> Source:
        from replicator.engines.mysql.source import MysqlSource

        return MysqlSource(endpoint, announce)

    def target(self, endpoint: Endpoint) -> Target:
        from replicator.engines.mysql.target import MysqlTarget

        return MysqlTarget(endpoint)

    def position(self, text: str) -> BinlogPosition:
        return BinlogPosition.parse(text)


ENGINE = Mysql()
