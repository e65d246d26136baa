"""Named places where a test makes the process die, fail or stall.

Off unless the environment sets `REPLICATOR_FAILPOINT=name[:n]=kill|raise|sleep[:seconds]`: the n-th time (default the
first) that the place is reached, the process kills itself with SIGKILL, raises a retryable error, or sleeps.
"""

from __future__ import annotations

import os
import signal
import time

from replicator.errors import Retryable, UsageError

VARIABLE = "REPLICATOR_FAILPOINT"
NAMES = frozenset(
    (
        "slot_created",
        "snapshot_exported",
        "chunk_before_commit",
        "chunk_after_commit",
        "txn_read",
        "row_applied",
        "before_target_commit",
        "after_target_commit",
        "before_confirm",
        "after_confirm",
        "ddl_before",
        "ddl_after",
        "shutdown",
    )
)


class _Armed:
    def __init__(self, setting: str) -> None:
        place, _, action = setting.partition("=")
        self.name, _, nth = place.partition(":")
        self.action, _, seconds = action.partition(":")
        if self.name not in NAMES or self.action not in ("kill", "raise", "sleep"):
            raise UsageError(f"{VARIABLE}={setting} is not understood", remedy="name[:n]=kill|raise|sleep[:seconds]")
        self.left = int(nth or 1)
        self.seconds = float(seconds or 3600)

    def hit(self) -> None:
        self.left -= 1
        if self.left:
            return
        if self.action == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        if self.action == "raise":
            raise Retryable(f"failpoint {self.name}")
        time.sleep(self.seconds)


_armed = _Armed(os.environ[VARIABLE]) if os.environ.get(VARIABLE) else None


def armed(name: str) -> bool:
    """Is this place armed? The applier then writes row by row, so that a row can be counted."""
    return _armed is not None and _armed.name == name


def hit(name: str) -> None:
    """The process has reached the place `name`."""
    if _armed is not None and _armed.name == name:
        _armed.hit()
