"""What a command says while it runs. The base class says nothing; the command line and the demo show it."""

from __future__ import annotations

from replicator.model.change import Batch
from replicator.model.schema import Name


class Report:
    def copy_started(self, table: Name, estimated_rows: int) -> None:
        """A table's copy begins; the estimate may be 0 for unknown."""

    def copied(self, table: Name, rows: int, size: int) -> None:
        """More rows of it are at the target; `size` in bytes."""

    def copy_done(self, table: Name) -> None:
        """All of it is."""

    def following(self, mark: str) -> None:
        """The copy is complete; the log is read from `mark`."""

    def applied(self, batch: Batch) -> None:
        """The batch is durable at the target."""


class Counted(Report):
    """Passes everything on, and counts what became durable: the signs of life."""

    def __init__(self, shown: Report) -> None:
        self._shown = shown
        self.signs = 0

    def copy_started(self, table: Name, estimated_rows: int) -> None:
        self._shown.copy_started(table, estimated_rows)

    def copied(self, table: Name, rows: int, size: int) -> None:
        self.signs += 1
        self._shown.copied(table, rows, size)

    def copy_done(self, table: Name) -> None:
        self._shown.copy_done(table)

    def following(self, mark: str) -> None:
        self._shown.following(mark)

    def applied(self, batch: Batch) -> None:
        self.signs += 1
        self._shown.applied(batch)
