"""Things that go wrong on purpose: frozen and killed processes, failpoints, and an applier that fails.

The network's faults are in `proxy`; `FaultProxy` is offered here too.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

from tests.support.forked import Forked, can_fork
from tests.support.proxy import FaultProxy, Held, is_commit

__all__ = [
    "FAILPOINTS",
    "OWN_PROCESS",
    "FailingApply",
    "FaultProxy",
    "FaultyApplier",
    "Held",
    "Running",
    "freeze",
    "frozen",
    "is_commit",
    "run_program",
    "run_replicator",
    "thaw",
]

ROOT = Path(__file__).resolve().parents[2]
VARIABLE = "REPLICATOR_FAILPOINT"
FAILPOINTS = (
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
ACTIONS = ("kill", "raise", "sleep")
OWN_PROCESS = {"PYTHONUNBUFFERED": "1"}
"""What makes a program a new interpreter, with memory of its own."""


def freeze(pid: int) -> None:
    """Stop a process where it is: its connections stay open and it answers nothing."""
    os.kill(pid, signal.SIGSTOP)


def thaw(pid: int) -> None:
    """Let a frozen process go on; one that has ended meanwhile is no error."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGCONT)


@contextlib.contextmanager
def frozen(pid: int) -> Iterator[None]:
    """A process that stands still for the length of the block."""
    freeze(pid)
    try:
        yield
    finally:
        thaw(pid)


class Program(Protocol):
    @property
    def pid(self) -> int: ...

    @property
    def returncode(self) -> int | None: ...

    def poll(self) -> int | None: ...

    def wait(self, timeout: float | None = None) -> int: ...

    def send_signal(self, number: signal.Signals) -> None: ...


class Running:
    """A program in a process group of its own, ended for certain when the context ends.

    Output goes to files, so that a program that prints much is never blocked by a test that does not read.
    """

    def __init__(self, argv: Sequence[str], start: Callable[[Path, Path], Program]) -> None:
        self.argv = list(argv)
        self._output = tempfile.TemporaryDirectory(prefix="running-", ignore_cleanup_errors=True)
        self._ended_with: tuple[str, str] | None = None
        try:
            for channel in ("stdout", "stderr"):
                self._file(channel).touch()
            self._process = start(self._file("stdout"), self._file("stderr"))
        except BaseException:
            self._output.cleanup()
            raise
        self.pid = self._process.pid

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the program; what it printed stays readable. May be called again."""
        if self._ended_with is None:
            self.kill()
            self._ended_with = (self._read("stdout"), self._read("stderr"))
            self._output.cleanup()

    def running(self) -> bool:
        return self._process.poll() is None

    def wait(self, timeout: float = 60.0) -> int:
        """Wait for the end and return the exit code (negative: the signal that ended it)."""
        try:
            return self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise AssertionError(
                f"still running after {timeout:g} s: {self.argv}\n--- stderr:\n{self.stderr()[-4000:]}"
            ) from None

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the program itself; one that has ended is no error."""
        self._process.send_signal(number)

    def kill(self) -> int:
        """End the whole group as the kernel does it, frozen or not, and return the exit code."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self._process.send_signal(signal.SIGKILL)  # one that has just been forked has no group of its own yet
        return self._process.wait(30)

    def stdout(self) -> str:
        return self._ended_with[0] if self._ended_with else self._read("stdout")

    def stderr(self) -> str:
        return self._ended_with[1] if self._ended_with else self._read("stderr")

    def wait_for_text(self, text: str, timeout: float = 60.0) -> str:
        """Wait until the text was printed, on either channel, and return all output; fail if the program ends
        without it."""
        deadline = time.monotonic() + timeout
        while True:
            over = not self.running() or time.monotonic() > deadline
            output = self.stdout() + self.stderr()
            if text in output:
                return output
            if over:
                state = "running" if self.running() else f"ended with {self._process.returncode}"
                raise AssertionError(f"{text!r} was never printed ({state}); printed was:\n{output[-4000:]}")
            time.sleep(0.02)

    def _file(self, channel: str) -> Path:
        return Path(self._output.name) / channel

    def _read(self, channel: str) -> str:
        return self._file(channel).read_text(encoding="utf-8", errors="replace")


def run_program(argv: Sequence[str], env: Mapping[str, str] | None = None, cwd: Path | None = None) -> Running:
    """Start any program; `env` is added to our own environment, without a failpoint left over in it."""
    whole = {**_own(), **OWN_PROCESS, **(env or {})}

    def start(stdout: Path, stderr: Path) -> subprocess.Popen[bytes]:
        with stdout.open("wb") as out, stderr.open("wb") as err:
            return subprocess.Popen(
                list(argv),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                env=whole,
                cwd=cwd,
                start_new_session=True,
            )

    return Running(argv, start)


def _own() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name != VARIABLE}


def run_replicator(args: Sequence[str], env: Mapping[str, str] | None = None, failpoint: str | None = None) -> Running:
    """Start the product as its users do. `failpoint` is `name[:n]=kill|raise|sleep[:s]`; a misspelt one is an
    error here, because the product would never reach it and the test would pass for the wrong reason.

    It is a fork of a process that has imported it, unless `env` says more than that can have (`OWN_PROCESS`)."""
    extra = dict(env or {})
    if failpoint is not None:
        place, _, action = failpoint.partition("=")
        name, _, count = place.partition(":")
        known = name in FAILPOINTS and action.partition(":")[0] in ACTIONS
        if not known or (":" in place and not count.isdigit()):
            raise ValueError(f"no such failpoint: {failpoint}")
        extra[VARIABLE] = failpoint
    argv = [sys.executable, "-m", "replicator", *args]
    if can_fork(extra):
        return Running(argv, lambda stdout, stderr: Forked(args, {**_own(), **extra}, stdout, stderr))
    extra["PYTHONPATH"] = os.pathsep.join(filter(None, (str(ROOT), extra.get("PYTHONPATH"))))
    return run_program(argv, extra)


class Applier(Protocol):
    """The part of an applier that the product calls, restated so that this module imports nothing of it."""

    def prepare(self, tables: Any) -> Any: ...

    def apply(self, batch: Any) -> Any: ...


class FailingApply(Exception):
    """Raised by a faulty applier unless the test gave an error of its own."""


class FaultyApplier:
    """Wraps an applier and fails at chosen calls of `apply`; calls count from 1, each fault happens once."""

    def __init__(self, real: Applier) -> None:
        self._real = real
        self._before: dict[int, Callable[[], BaseException]] = {}
        self._after: dict[int, Callable[[], BaseException]] = {}
        self._gates: dict[int, threading.Event] = {}
        self._seconds = 0.0
        self.holding = threading.Event()
        self.calls = 0
        self.applied = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    def around(self, real: Applier) -> Self:
        """Go on with another applier, as after an error: the counts and the faults to come stay."""
        self._real = real
        return self

    def reject(self, at: int = 1, error: Callable[[], BaseException] = FailingApply) -> Self:
        """Raise before the `at`-th batch from now on is applied: nothing of it is at the target."""
        self._before[self.calls + at] = error
        return self

    def fail_after(self, at: int = 1, error: Callable[[], BaseException] = FailingApply) -> Self:
        """Apply the `at`-th batch from now on, then raise: it is at the target, unknown to the caller."""
        self._after[self.calls + at] = error
        return self

    def hold(self, at: int = 1) -> threading.Event:
        """Block before the `at`-th batch from now on until the event returned here is set.

        `holding` is set while a call is blocked; closing the applier releases it."""
        gate = self._gates[self.calls + at] = threading.Event()
        return gate

    def slow(self, seconds: float) -> Self:
        """Sleep before every batch, so that the queue before the applier fills."""
        self._seconds = seconds
        return self

    def prepare(self, tables: Any) -> Any:
        return self._real.prepare(tables)

    def apply(self, batch: Any) -> Any:
        self.calls += 1
        call = self.calls
        if self._seconds:
            time.sleep(self._seconds)
        if (gate := self._gates.get(call)) is not None:
            self.holding.set()
            gate.wait()
            self.holding.clear()
        if (error := self._before.pop(call, None)) is not None:
            raise error()
        result = self._real.apply(batch)
        self.applied += 1
        if (error := self._after.pop(call, None)) is not None:
            raise error()
        return result

    def rollback(self) -> None:
        """As the real one does it, if it can; nothing is held any more."""
        self._end("rollback")

    def close(self) -> None:
        """As the real one does it, if it can; nothing is held any more."""
        self._end("close")

    def _end(self, name: str) -> None:
        for gate in self._gates.values():
            gate.set()
        getattr(self._real, name, lambda: None)()
