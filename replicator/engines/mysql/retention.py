"""How much log there is behind a mark, and for how long: these servers keep it by time, whoever reads it.

https://dev.mysql.com/doc/refman/9.7/en/replication-options-binary-log.html#sysvar_binlog_expire_logs_seconds,
https://mariadb.com/kb/en/replication-and-binary-log-system-variables/#binlog_expire_logs_seconds
"""

from __future__ import annotations

from replicator.engine import Retention
from replicator.engines.mysql.position import BinlogPosition, LogFile
from replicator.engines.mysql.server import Server

EXPIRY = "binlog_expire_logs_seconds"
OLD_EXPIRY = "expire_logs_days"
"""MariaDB's before 10.6, in days."""
DAY_S = 24 * 3600


def expiry(server: Server) -> int:
    """After how many seconds a file of the log may go; 0 for never."""
    has = server.control.variables(EXPIRY, OLD_EXPIRY, "binlog_expire_logs_auto_purge")
    if has.get("binlog_expire_logs_auto_purge") == "OFF":
        return 0
    return int(float(has.get(EXPIRY) or 0)) or int(float(has.get(OLD_EXPIRY) or 0) * DAY_S)


def retention(server: Server, mark: BinlogPosition) -> Retention:
    """A file's age counts from its end. Of the mark's own file only what is known to be behind the mark."""
    sizes = server.sizes()
    later = [name for name in sizes if LogFile(name).number > mark.file.number]
    kept = sum(sizes[name] for name in later)
    if isinstance(mark.executed, int) and mark.file.name in sizes:
        kept += sizes[mark.file.name] - mark.executed
    limit = expiry(server)
    if not limit:
        return Retention(kept)
    if not later:
        return Retention(kept, keeps_seconds=limit)  # the file that is written never goes
    ended = server.log_file(later[0]).time
    left = max(0.0, limit - (server.now() - ended)) if ended else None
    danger = ""
    if left is not None and left < limit / 4:
        danger = (
            f"the log file {mark.file.name} of the saved position goes in {left / 3600:.1f} h ({EXPIRY} is {limit} s)"
        )
    return Retention(kept, keeps_seconds=left, danger=danger)
