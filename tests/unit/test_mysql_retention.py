"""How long MySQL and MariaDB keep what is behind a mark."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from replicator.engine import Retention
from replicator.engines.mysql.gtid import GtidSet
from replicator.engines.mysql.position import BinlogPosition, LogFile
from replicator.engines.mysql.retention import expiry, retention

NOW, DAY = 2_000_000, 86_400
ENDED = {"b.000003": NOW - DAY + 3600, "b.000004": NOW - 10}
"""When these files began, which is when the ones before them ended."""


def server(**variables: str) -> Any:
    control = SimpleNamespace(variables=lambda *names: {n: v for n, v in variables.items() if n in names})
    return SimpleNamespace(
        control=control,
        sizes=lambda: {"b.000002": 1000, "b.000003": 500, "b.000004": 70},
        now=lambda: NOW,
        log_file=lambda name: LogFile(name, ENDED[name]),
    )


def at(number: int, offset: int | None = None) -> BinlogPosition:
    return BinlogPosition(GtidSet.parse("") if offset is None else offset, LogFile(f"b.00000{number}", 1))


EXPIRIES: list[tuple[dict[str, str], int]] = [
    ({"binlog_expire_logs_seconds": "86400"}, DAY),
    ({"binlog_expire_logs_seconds": "0"}, 0),
    ({"binlog_expire_logs_seconds": "86400", "binlog_expire_logs_auto_purge": "OFF"}, 0),
    ({"binlog_expire_logs_seconds": "86400", "binlog_expire_logs_auto_purge": "ON"}, DAY),
    ({"binlog_expire_logs_seconds": "0", "expire_logs_days": "0.500000"}, DAY // 2),
    ({"expire_logs_days": "10"}, 10 * DAY),
    ({}, 0),
]


@pytest.mark.parametrize(("variables", "seconds"), EXPIRIES)
def test_when_files_go(variables: dict[str, str], seconds: int) -> None:
    assert expiry(server(**variables)) == seconds


def test_in_the_file_that_is_written_nothing_goes() -> None:
    kept = server(binlog_expire_logs_seconds=str(DAY))
    assert retention(kept, at(4)) == Retention(0, keeps_seconds=DAY)
    assert retention(kept, at(4, 50)) == Retention(20, keeps_seconds=DAY)


def test_an_older_file_goes_so_long_after_its_end() -> None:
    kept = server(binlog_expire_logs_seconds=str(DAY))
    assert retention(kept, at(3)) == Retention(70, keeps_seconds=DAY - 10)
    assert retention(kept, at(3, 400)) == Retention(170, keeps_seconds=DAY - 10)
    late = retention(kept, at(2))
    assert (late.bytes, late.keeps_seconds) == (570, 3600)
    assert (
        late.danger
        == "the log file b.000002 of the saved position goes in 1.0 h (binlog_expire_logs_seconds is 86400 s)"
    )


def test_where_nothing_goes_nothing_is_in_danger() -> None:
    assert retention(server(), at(2)) == Retention(570)
