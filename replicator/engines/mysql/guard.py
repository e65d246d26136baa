"""Can the source still give everything after the saved position? (design rule 6)

GTIDs and file names are used again after RESET and after a restore: the time of the log file that the mark was in tells
one history from another. A set that is only of another server's GTIDs is taken by MySQL without a word.
"""

from __future__ import annotations

import json
from typing import Any

from replicator.engines.mysql.failures import ANEW
from replicator.engines.mysql.position import BinlogPosition, LogFile
from replicator.engines.mysql.server import Server
from replicator.errors import PositionLost, Refused


def same_server(server: Server, then: dict[str, Any], now: dict[str, Any]) -> None:
    """Raises Refused where the stream belongs to another source.

    Another server may be the same source, if it has the old one's transactions: a replica that was promoted.
    """
    same = (then["database"], then["flavor"]) == (now["database"], now["flavor"])
    if same and (then["server"] == now["server"] or then["url"] == now["url"] or server.descends_from(then)):
        return
    raise Refused(
        f"this stream belongs to another source: {then['url']}",
        remedy="use another --name for this one",
    )


def check(server: Server, source: str, mark: BinlogPosition) -> None:
    """Raises PositionLost where changes after `mark` are gone, or where nobody can say."""
    then, now = json.loads(source), json.loads(server.identity())
    if isinstance(mark.executed, int):
        _file_position(server, mark, mark.executed)
    else:
        _executed(server, mark)
    if then["server"] == now["server"]:
        _same_file(server, mark)
    elif isinstance(mark.executed, int):
        raise PositionLost(
            f"the source is another server than before, and {mark} is a place in the old one's log", remedy=ANEW
        )


def _executed(server: Server, mark: BinlogPosition) -> None:
    if not server.has_gtids():
        raise PositionLost("gtid_mode is not ON any more at the source", remedy=ANEW)
    known = BinlogPosition(server.known(), mark.file)
    if not known.covers(mark):
        raise PositionLost(
            f"the source has not executed all that we have applied, up to {mark}: it lacks "
            f"{known.lacks(mark)} (was it restored from a backup, or its log reset, or is it a replica "
            "that was behind?)",
            remedy=ANEW,
        )
    if server.flavor.purged is None:
        return
    purged = BinlogPosition(server.flavor.parse(server.control.one(f"SELECT {server.flavor.purged}")), mark.file)
    if not mark.covers(purged):
        raise PositionLost(
            f"the source has purged changes that we have not applied: its log no longer has all after {mark}, but "
            f"lacks {mark.lacks(purged)}",
            remedy=f"{ANEW}; and let it keep its log longer: binlog_expire_logs_seconds",
        )


def _file_position(server: Server, mark: BinlogPosition, offset: int) -> None:
    if mark.file.name not in server.files():
        raise PositionLost(
            f"the log file {mark.file.name} is gone at the source: changes since {mark} are lost", remedy=ANEW
        )
    status = server.status()
    if (mark.file.number, offset) > (LogFile(status.file).number, status.offset):
        raise PositionLost(
            f"the source is behind the saved position {mark}: its log ends at {status.file}:{status.offset}",
            remedy=ANEW,
        )


def _same_file(server: Server, mark: BinlogPosition) -> None:
    """On the same server the mark's file must be the one that it was, or gone and older than the oldest that is
    left."""
    if not mark.file.time:
        return
    files = server.files()
    if mark.file.name in files:
        found = server.log_file(mark.file.name).time
        if found != mark.file.time:
            raise PositionLost(
                f"the log file {mark.file.name} was begun at {found}, and the saved position is in one of that name "
                f"that was begun at {mark.file.time}: the log was reset, or the server restored",
                remedy=ANEW,
            )
    elif not files or mark.file.number > LogFile(files[0]).number:
        raise PositionLost(
            f"the log file {mark.file.name} of the saved position is not there, and not older than the oldest "
            f"({files[0] if files else 'none'}): the log was reset, or the server restored",
            remedy=ANEW,
        )
