"""What a run says of itself into its row at the target, so that `status` needs no source."""

from __future__ import annotations

import os
import socket
import time

from replicator.engine import Ledger
from replicator.model.stream import Beat

BEAT_S = 5.0


class Pulse:
    def __init__(self, name: str) -> None:
        self._name = name
        self._started_at = time.time()
        self._next = 0.0

    @property
    def due(self) -> bool:
        return time.monotonic() >= self._next

    def say(
        self,
        ledger: Ledger,
        *,
        head: str | None = None,
        retained_bytes: int | None = None,
        lag_seconds: float | None = None,
        error: str | None = None,
    ) -> None:
        """Between transactions only. Never waits long, and never fails the run."""
        self._next = time.monotonic() + BEAT_S
        host, now = socket.gethostname(), time.time()
        ledger.beat(
            self._name, Beat(os.getpid(), host, self._started_at, now, head, retained_bytes, error, lag_seconds)
        )
