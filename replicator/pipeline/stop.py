"""SIGINT and SIGTERM: the first asks for an orderly end, which comes within 10 s; the second ends at once.

Both leave both ends consistent: what is not committed is rolled back by the servers themselves.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable
from types import FrameType

CANCEL_AFTER_S = 7.0
EXIT_AFTER_S = 9.0
SECOND_SIGNAL_CODE = 130


class Stop:
    """Asked by a signal, or by a caller (the demo) through `request`."""

    def __init__(self, exit_code: int = 0) -> None:
        self._asked = threading.Event()
        self._exit_code = exit_code
        self.cancel: Callable[[], None] = lambda: None
        """What ends the statement that is running, when an orderly end takes too long. Called from another thread."""

    @property
    def requested(self) -> bool:
        return self._asked.is_set()

    def request(self) -> None:
        self._asked.set()

    def sleep(self, seconds: float) -> None:
        """As long as that, or until a stop is asked for."""
        self._asked.wait(seconds)

    def install(self) -> None:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._signalled)

    def _signalled(self, number: int, frame: FrameType | None) -> None:
        if self._asked.is_set():
            os._exit(SECOND_SIGNAL_CODE)
        self._asked.set()
        self._after(CANCEL_AFTER_S, lambda: self.cancel())
        self._after(EXIT_AFTER_S, self._exit)

    def _exit(self) -> None:
        sys.stderr.write("stopped: what was in hand did not end in time, and is rolled back\n")
        sys.stderr.flush()
        os._exit(self._exit_code)

    @staticmethod
    def _after(seconds: float, action: Callable[[], None]) -> None:
        timer = threading.Timer(seconds, action)
        timer.daemon = True
        timer.start()
