"""The demo's live table: on a terminal redrawn in place, elsewhere a line now and then."""

from __future__ import annotations

import time
from collections import deque
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.live import Live
from rich.table import Table

from replicator.model.change import Batch
from replicator.model.schema import Name
from replicator.pipeline.progress import Report

WINDOW_S = 3.0
LINE_EVERY_S = 3.0


class Figures(Report):
    """Counts what the sync reports; read from the screen's thread."""

    def __init__(self) -> None:
        self.rows_copied = 0
        self.changes = 0
        self.transactions = 0
        self.lag_ms: float | None = None
        self.last_commit: float | None = None
        self._recent: deque[tuple[float, int]] = deque()

    def copied(self, table: Name, rows: int, size: int) -> None:
        self.rows_copied += rows
        self._recent.append((time.monotonic(), rows))

    def applied(self, batch: Batch) -> None:
        self.changes += batch.rows
        self.transactions += len(batch.commits)
        self._recent.append((time.monotonic(), batch.rows))
        if batch.commits:
            self.last_commit = batch.commits[-1].committed_at
            self.lag_ms = max(0.0, (time.time() - self.last_commit) * 1000)

    def rate(self) -> float:
        """Rows a second over the last few seconds."""
        now = time.monotonic()
        while self._recent and now - self._recent[0][0] > WINDOW_S:
            self._recent.popleft()
        return sum(rows for _, rows in self._recent) / WINDOW_S

    def row(self) -> tuple[str, ...]:
        lag = "-" if self.lag_ms is None else f"{self.lag_ms:.1f}"
        last = "-" if self.last_commit is None else time.strftime("%H:%M:%S", time.localtime(self.last_commit))
        return f"{self.rows_copied:,}", f"{self.changes:,}", f"{self.transactions:,}", f"{self.rate():,.0f}", lag, last


HEADINGS = ("rows copied", "changes applied", "transactions", "rows/s", "lag ms", "last commit")


class Screen:
    def __init__(self, figures: Figures, live: bool) -> None:
        self._figures = figures
        self._live = Live(console=Console(), auto_refresh=False) if live else None
        self._next_line = 0.0

    def __enter__(self) -> Self:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.show(last=True)
        if self._live is not None:
            self._live.stop()

    def show(self, *, last: bool = False) -> None:
        figures = self._figures.row()
        if self._live is not None:
            table = Table(*HEADINGS)
            table.add_row(*figures)
            self._live.update(table, refresh=True)
        elif last or time.monotonic() >= self._next_line:
            self._next_line = time.monotonic() + LINE_EVERY_S
            print("   ".join(f"{name} {value}" for name, value in zip(HEADINGS, figures, strict=True)), flush=True)
