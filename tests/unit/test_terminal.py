"""Progress on a terminal: bars while tables are copied, whole lines above them, nothing while the log is followed."""

from __future__ import annotations

import io
import logging
import sys
import time

import pytest

from replicator import logs
from replicator.model.schema import Name
from replicator.terminal import BarReport, copy_report


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_lines_are_not_written_into_the_bars(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(logging.getLogger("replicator"), "handlers", [])
    logs.configure("text", verbose=False)
    table = Name("public", "t[red]")
    with copy_report() as report:
        assert isinstance(report, BarReport)
        for _ in range(2):  # the second is a copy under a later snapshot, after a failure
            report.copy_started(table, 10)
            report.copied(table, 10, 100)
            time.sleep(0.2)
            report.copy_done(table)
            report.following("0/1")
            drawn = terminal.tell()
            time.sleep(0.3)
            assert terminal.tell() == drawn, "an empty bar is drawn as long as the stream lives"
    lines = [line.rpartition("\x1b[2K")[2] for line in terminal.getvalue().splitlines() if "INFO copied" in line]
    assert len(lines) == 2 and all(line.startswith("20") and "copied public.t[red]: 10 rows" in line for line in lines)
