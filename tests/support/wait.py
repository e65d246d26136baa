"""Waiting with an end: a test that waits for ever hides the reason, so a wait names what it waited for."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")

PAUSE = 0.02


def until(
    condition: Callable[[], T],
    timeout: float = 30.0,
    what: str = "the condition",
    pause: float = PAUSE,
) -> T:
    """Call `condition` until its result is true, and return that result.

    The condition is tried at least twice, the last time after the deadline, so that a machine that stalled
    for the whole timeout does not fail a test whose condition holds by then. Errors raised by the condition
    go through: a condition that may fail for a while has to say so itself.
    """
    deadline = time.monotonic() + timeout
    while True:
        late = time.monotonic() >= deadline
        result = condition()
        if result:
            return result
        if late:
            raise AssertionError(f"waited {timeout:g} s in vain for {what}; last seen: {result!r}")
        time.sleep(pause)


def for_port(port: int, host: str = "127.0.0.1", timeout: float = 30.0) -> None:
    """Wait until something listens on the port."""

    def listening() -> bool:
        try:
            with socket.create_connection((host, port), timeout=1.0):
                return True
        except OSError:
            return False

    until(listening, timeout, f"a listener on {host}:{port}")


def for_file(path: Path, timeout: float = 30.0, containing: str = "") -> str:
    """Wait until the file is there (and contains the text, where one is given); return what it holds."""

    def content() -> tuple[str] | None:
        try:
            text = path.read_text(encoding="utf-8", errors="replace")
        except FileNotFoundError:
            return None
        return (text,) if containing in text else None

    what = f"the file {path}" + (f" to contain {containing!r}" if containing else "")
    found = until(content, timeout, what)
    assert found is not None
    return found[0]
