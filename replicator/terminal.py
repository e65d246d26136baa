"""How a copy's progress is shown: bars on a terminal, one line a table elsewhere. On stderr."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from replicator.model.schema import Name
from replicator.pipeline.progress import Report

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

log = logging.getLogger("replicator")
SHORT_S = 0.1


@contextmanager
def copy_report() -> Iterator[Report]:
    if not sys.stderr.isatty():
        yield LineReport()
        return
    # rich takes a tenth of a second to import, which a cron job need not pay.
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed:,.0f} rows"),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
    ) as progress:
        yield BarReport(progress)


class LineReport(Report):
    def __init__(self) -> None:
        self._rows = 0
        self._began = 0.0

    def copy_started(self, table: Name, estimated_rows: int) -> None:
        self._rows, self._began = 0, time.monotonic()

    def copied(self, table: Name, rows: int, size: int) -> None:
        self._rows += rows

    def copy_done(self, table: Name) -> None:
        seconds = time.monotonic() - self._began
        log.info(
            "copied %s: %d rows in %.1f s%s",
            table,
            self._rows,
            seconds,
            # Of a moment the rate says nothing: small tables are written in groups, after they were read.
            f" ({self._rows / seconds:.0f} rows/s)" if seconds >= SHORT_S else "",
        )

    def following(self, mark: str) -> None:
        log.info("following the log from %s", mark)


class BarReport(LineReport):
    def __init__(self, progress: Progress) -> None:
        super().__init__()
        self._progress = progress
        self._task: TaskID | None = None

    def copy_started(self, table: Name, estimated_rows: int) -> None:
        super().copy_started(table, estimated_rows)
        self._progress.start()
        self._task = self._progress.add_task(str(table).replace("[", "\\["), total=estimated_rows or None)

    def copied(self, table: Name, rows: int, size: int) -> None:
        super().copied(table, rows, size)
        assert self._task is not None
        self._progress.advance(self._task, rows)

    def copy_done(self, table: Name) -> None:
        super().copy_done(table)
        assert self._task is not None
        self._progress.remove_task(self._task)

    def following(self, mark: str) -> None:
        self._progress.stop()  # it would draw nothing, ten times a second, as long as the stream lives
        super().following(mark)
