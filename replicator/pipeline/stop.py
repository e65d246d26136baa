"""SIGINT and SIGTERM: the first asks for an orderly end, which comes within 10 s; the second ends at once.

Both leave both ends consistent: what is not committed is rolled back by the servers themselves.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
from collections.abc import Callable

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
        """Listen in a thread of its own: Python runs a signal's handler only when the main thread comes back from C
        code, and a driver that waits for a lock or a dead peer may not come back for long."""
        heard, told = socket.socketpair()
        told.setblocking(False)
        signal.set_wakeup_fd(told.fileno(), warn_on_full_buffer=False)
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: None)
        self._sockets = heard, told
        threading.Thread(target=self._listen, args=(heard,), name="signals", daemon=True).start()

    def _listen(self, heard: socket.socket) -> None:
        while (number := heard.recv(1)) != b"":
            if number[0] not in (signal.SIGINT, signal.SIGTERM):
                continue
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
