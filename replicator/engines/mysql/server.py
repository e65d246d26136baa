"""One server: its flavor and version, who it is, and where its log stands."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from replicator.engine import Endpoint
from replicator.engines.mysql import dump, flavor
from replicator.engines.mysql.connect import Control, database
from replicator.engines.mysql.flavor import Flavor, Version
from replicator.engines.mysql.gtid import DomainSet, GtidSet
from replicator.engines.mysql.position import BinlogPosition, LogFile
from replicator.errors import Refused

ANSWER_S = 60.0
"""After how long a server that does not answer a small question is taken for gone."""
LOG_OFF = "start the server with log_bin, and binlog_format = ROW, binlog_row_metadata = FULL"


@dataclass(frozen=True)
class LogStatus:
    """The file that is written, and the offset of its end."""

    file: str
    offset: int


class Server:
    def __init__(self, where: Endpoint) -> None:
        self.where = where
        self.control = Control(where, ANSWER_S)
        self.flavor: Flavor
        self.version: Version
        self.flavor, self.version = flavor.of(self.control.one("SELECT VERSION()"))
        self.database = database(where)
        self._times: dict[str, int] = {}

    @property
    def shown_version(self) -> str:
        return f"{self.flavor.name} {self.version[0]}.{self.version[1]}"

    def identity(self) -> str:
        """Who the server is, as JSON: what a saved position belongs to."""
        return json.dumps(
            {
                "flavor": self.flavor.name,
                "server": self._own_id(),
                "number": int(self.control.one("SELECT @@global.server_id")),
                "database": self.database,
                "url": self.where.shown,
            }
        )

    def _own_id(self) -> str:
        """What no other server has: its UUID (MySQL), its uid (later MariaDB), else where it runs."""
        has = self.control.variables("server_uuid", "server_uid")
        if found := has.get("server_uuid") or has.get("server_uid"):
            return found
        return str(self.control.one("SELECT concat(@@hostname, ':', @@port)"))

    def descends_from(self, then: Mapping[str, Any]) -> bool:
        """Has it transactions of that server in its own history, as a replica of it would?"""
        history = self.control.one(f"SELECT {self.flavor.history}")
        return self.flavor.origin.format(**then) in history

    def has_gtids(self) -> bool:
        """Does every transaction in the log have one?"""
        if self.flavor.gtid_mode is None:
            return True
        return self.control.variables(self.flavor.gtid_mode).get(self.flavor.gtid_mode) == "ON"

    def folds_names(self) -> bool:
        """Are tables whose names differ in case alone the same?"""
        return self.control.variables("lower_case_table_names").get("lower_case_table_names") != "0"

    def status(self) -> LogStatus:
        """Raises Refused where there is no log, or no right to ask."""
        rows = self.control.query(self.status_statement())
        if not rows:
            raise Refused("the source writes no binary log", remedy=LOG_OFF)
        return LogStatus(str(rows[0][0]), int(rows[0][1]))

    def status_statement(self) -> str:
        old = self.flavor.gtid_mode is not None and self.version < (8, 2)
        return "SHOW MASTER STATUS" if old else self.flavor.log_status

    def executed(self) -> GtidSet | DomainSet:
        return self.flavor.parse(self.control.one(f"SELECT {self.flavor.executed}"))

    def known(self) -> GtidSet | DomainSet:
        """Everything that it has, whether its log has it or not."""
        executed = self.executed()
        if isinstance(executed, DomainSet) and self.flavor.received is not None:
            executed = executed.joined(DomainSet.parse(self.control.one(f"SELECT {self.flavor.received}")))
        return executed

    def head(self, *, gtids: bool) -> BinlogPosition:
        """Covers every commit that is visible now. `gtids`: in which of its two forms."""
        if gtids:
            return BinlogPosition(self.executed(), LogFile())
        status = self.status()
        return BinlogPosition(status.offset, LogFile(status.file))

    def files(self) -> list[str]:
        """The files of the log that are there, the oldest first."""
        return [*self.sizes()]

    def sizes(self) -> dict[str, int]:
        """The files of the log that are there, the oldest first, each with its bytes."""
        return {str(row[0]): int(row[1]) for row in self.control.query("SHOW BINARY LOGS")}

    def now(self) -> int:
        """The server's clock: seconds since 1970."""
        return int(self.control.one("SELECT UNIX_TIMESTAMP()"))

    def log_file(self, name: str) -> LogFile:
        """With its time, which tells it from another of that name."""
        if name not in self._times:
            self._times[name] = dump.file_time(self.where, self.flavor, name) or 0
        return LogFile(name, self._times[name])

    def close(self) -> None:
        self.control.close()
