"""How a server's parameters are set where nobody has SUPER: managed services.

From their manuals; none of it was run there.
https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/USER_LogAccess.MySQL.BinaryFormat.html,
https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/USER_LogAccess.MySQL.BinaryFormat.html,
https://cloud.google.com/sql/docs/mysql/flags, https://learn.microsoft.com/azure/mysql/flexible-server/concepts-server-parameters
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from replicator.engines.mysql.retention import EXPIRY
from replicator.engines.mysql.server import Server

LOG_BIN = "log_bin"
EMPTY = "''"


@dataclass(frozen=True)
class Service:
    """`place`: where its parameters are. `others`: what is done in place of setting some of them."""

    name: str
    place: str
    others: Mapping[str, str] = field(default_factory=dict)

    def set(self, name: str, value: str) -> str:
        """What to do for the variable to have the value."""
        if self is OWN:
            return f"SET GLOBAL {name} = {value or EMPTY}"
        return f"{self.name}: {self.others.get(name) or f'{name} = {value or EMPTY} in {self.place}'}"

    def switch_on(self, by_hand: str) -> str:
        """What to do for there to be a log."""
        return f"{self.name}: {self.others[LOG_BIN]}" if self is not OWN else by_hand


OWN = Service("", "")
AURORA = Service(
    "Amazon Aurora",
    "a cluster parameter group of your own, then restart the cluster",
    {
        LOG_BIN: "binlog_format = ROW in a cluster parameter group of your own, then restart the cluster",
        EXPIRY: "CALL mysql.rds_set_configuration('binlog retention hours', 168)",
    },
)
RDS = Service(
    "Amazon RDS",
    "a parameter group of your own",
    {
        LOG_BIN: "switch on automated backups, which the log comes with",
        EXPIRY: "CALL mysql.rds_set_configuration('binlog retention hours', 168)",
    },
)
CLOUD_SQL = Service(
    "Google Cloud SQL", "the instance's flags", {LOG_BIN: "switch on point-in-time recovery, which the log comes with"}
)
AZURE = Service("Azure Database", "the server parameters", {LOG_BIN: "switch on log_bin in the server parameters"})


def service(server: Server) -> Service:
    """Whose server this is; OWN where it is none of those known."""
    has = server.control.variables("aurora_version", "basedir", "version")
    if "aurora_version" in has:
        return AURORA
    if has.get("basedir", "").startswith("/rdsdbbin"):
        return RDS
    if "-google" in has.get("version", ""):
        return CLOUD_SQL
    return AZURE if "-azure" in has.get("version", "") else OWN
