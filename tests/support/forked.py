"""The product's command in processes that were imported once: a fork of a server that has its modules, in place of an
interpreter that reads them all again, which takes a second of the processor each time.

Only the imports are shared: the command line, the environment, the output and the process are its own.
"""

from __future__ import annotations

import importlib
import io
import multiprocessing
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

MODULES = (
    "replicator.cli",
    "replicator.printing",
    "replicator.terminal",
    "replicator.pipeline.backfill",
    "replicator.pipeline.checking",
    "replicator.pipeline.dropping",
    "replicator.pipeline.recopy",
    "replicator.pipeline.standing",
    "replicator.pipeline.sync",
    "replicator.engines.mysql.source",
    "replicator.engines.mysql.target",
    "replicator.engines.postgres.source",
    "replicator.engines.postgres.target",
    "replicator.engines.sqlite.source",
    "replicator.engines.sqlite.target",
)
_LATE = ("REPLICATOR_", "PG", "HOME")
"""Variables that are read when the command runs; any other may change how the interpreter starts."""
_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload([__name__, *MODULES])


def can_fork(env: Mapping[str, str]) -> bool:
    return all(name.startswith(_LATE) for name in env)


class Forked:
    """Like `subprocess.Popen` of `replicator ARGS`, in a session of its own. `env`: of the whole process."""

    def __init__(self, args: Sequence[str], env: Mapping[str, str], stdout: Path, stderr: Path) -> None:
        self._process = _context.Process(target=_run, args=(list(args), dict(env), Path.cwd(), stdout, stderr))
        self._process.start()
        assert self._process.pid is not None
        self.pid = self._process.pid

    @property
    def returncode(self) -> int | None:
        return self._process.exitcode

    def poll(self) -> int | None:
        return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int:
        self._process.join(timeout)
        code = self._process.exitcode
        if code is None:
            assert timeout is not None
            raise subprocess.TimeoutExpired("replicator", timeout)
        return code

    def send_signal(self, number: signal.Signals) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)


def _run(args: list[str], env: dict[str, str], directory: Path, stdout: Path, stderr: Path) -> None:
    from replicator import failpoints
    from replicator.cli import main

    os.setsid()
    os.chdir(directory)
    os.environ.clear()
    os.environ.update(env)
    sys.argv = ["replicator", *args]
    with stdout.open("ab", 0) as out, stderr.open("ab", 0) as err:
        os.dup2(out.fileno(), 1)
        os.dup2(err.fileno(), 2)
    sys.stdout, sys.stderr = (
        io.TextIOWrapper(io.FileIO(number, "w"), "utf-8", write_through=True) for number in (1, 2)
    )
    importlib.reload(failpoints)  # which reads the environment once
    main(prog_name="replicator")
