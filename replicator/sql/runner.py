"""One runner a stream: a lock that ends with its session, at a server.

The fence in the ledger is what keeps a second runner from harm; this gives it a friendly message. A holder that may be
frozen is waited for: the server ends its session after a while.
"""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass

from replicator.errors import Fenced

NOTICE_S = 5.0
GRACE_S = 3.0
"""A process that was killed just now is in the server for a moment more."""
log = logging.getLogger("replicator")


@dataclass(frozen=True)
class Holder:
    """A session that has what we want. `frozen`: it may be, and then the server ends it. `end`: the statement that ends
    it."""

    shown: str
    frozen: bool
    end: str


class SessionLock:
    """`_try` and `_holder` are the engine's own."""

    def __init__(self, stream: str, patience_s: float) -> None:
        self._stream = stream
        self._patience_s = patience_s

    def _try(self) -> bool:
        raise NotImplementedError

    def _holder(self) -> Holder | None:
        raise NotImplementedError

    def held(self) -> bool:
        """Has a session the lock now? Takes nothing."""
        return self._holder() is not None

    def acquire(self) -> None:
        """Raises Fenced when a live session runs the stream."""
        began = time.monotonic()
        said = False
        while not self._try():
            holder = self._holder()
            waited = time.monotonic() - began
            if holder is None:
                if waited >= self._patience_s:
                    raise Fenced(
                        f"the lock of stream {self._stream!r} cannot be taken, and nobody has it",
                        remedy="look whether this role may take locks at the target",
                    )
                time.sleep(0.05)
                continue
            if waited >= (self._patience_s if holder.frozen else GRACE_S):
                raise Fenced(
                    f"stream {self._stream!r} is already running, by {holder.shown}",
                    remedy="stop that process, or use another --name with other target tables; where its machine is "
                    f"gone: {holder.end}",
                )
            if waited >= NOTICE_S and not said:
                said = True
                log.warning("waiting for %s, which holds stream %r", holder.shown, self._stream)
            time.sleep(0.2)
