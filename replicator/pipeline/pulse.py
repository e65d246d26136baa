"""What a run says of itself into its row at the target, so that `status` needs no source; and its eye on the log that
the source keeps for it meanwhile."""

from __future__ import annotations

import logging
import os
import socket
import time
from collections.abc import Callable

from replicator.engine import Ledger, Retention
from replicator.errors import PositionLost
from replicator.model.stream import Beat

BEAT_S = 5.0
MUCH_BYTES = 1 << 30
"""From here on the kept log is worth a warning, and again each time it has doubled."""
AGAIN_S = 3600.0
"""How often the same danger is said."""
log = logging.getLogger("replicator")


class TooMuchKept(PositionLost):
    """The source keeps more log for the stream than the user lets it: what it keeps is to be given up."""


class Pulse:
    """`limit`: how many bytes of log the source may keep for the stream; None for any."""

    def __init__(self, name: str, limit: int | None = None) -> None:
        self._name = name
        self._started_at = time.time()
        self._next = 0.0
        self._limit = limit
        self._warned_at = MUCH_BYTES
        self._danger_said = -AGAIN_S
        self.retention: Callable[[], Retention] | None = None
        """Asks the source; None while there is no stream in its log, or it cannot be asked."""

    @property
    def due(self) -> bool:
        return time.monotonic() >= self._next

    def say(
        self,
        ledger: Ledger,
        *,
        head: str | None = None,
        lag_seconds: float | None = None,
        error: str | None = None,
    ) -> None:
        """Between transactions only. Never waits long for the target, and never fails the run by it; raises as `look`
        does."""
        kept = self.look() if error is None else Retention()
        beat = Beat(
            pid=os.getpid(),
            host=socket.gethostname(),
            started_at=self._started_at,
            at=time.time(),
            head=head,
            retained_bytes=kept.bytes,
            error=error,
            lag_seconds=lag_seconds,
            room_bytes=kept.room_bytes,
            keeps_seconds=kept.keeps_seconds,
            danger=kept.danger or None,
        )
        ledger.beat(self._name, beat)

    def look(self) -> Retention:
        """What the source keeps; said in the log where it is much, or near its end.

        Raises TooMuchKept, and what asking the source raises.
        """
        self._next = time.monotonic() + BEAT_S
        if self.retention is None:
            return Retention()
        kept = self.retention()
        size = kept.bytes or 0
        if self._limit is not None and size > self._limit:
            raise TooMuchKept(
                f"the source keeps {shown(size)} of log for stream {self._name!r}, more than max_retained "
                f"({shown(self._limit)}): it is given up, and changes since the saved position are lost",
                remedy="mend what holds the stream up, then copy everything anew: "
                "replicator recopy SOURCE TARGET --all",
            )
        if size >= self._warned_at:
            log.warning("the source keeps %s of log for stream %r", shown(size), self._name)
            while size >= self._warned_at:
                self._warned_at *= 2
        elif size < MUCH_BYTES:
            self._warned_at = MUCH_BYTES
        now = time.monotonic()
        if kept.danger and now - self._danger_said >= AGAIN_S:
            self._danger_said = now
            log.warning("the position of stream %r is in danger: %s", self._name, kept.danger)
        return kept


def shown(size: int) -> str:
    return f"{size / (1 << 30):.1f} GiB" if size >= 1 << 30 else f"{size / (1 << 20):.1f} MiB"
