"""One runner a stream: a `flock` on a file beside the database.

The fence in the ledger is what keeps a second runner from doing harm. This lock gives it a friendly message, and
knows one case that SQLite leaves to us: a runner that was frozen (SIGSTOP) inside a transaction holds SQLite's write
lock for as long as it is frozen, and no server ends its session. So a run that finds the stream held by a stopped
process waits for 60 s, as a server's idle limit would; then, if that process holds the write lock, it is ended.

The lock is on a file of its own: closing any handle of the database file would drop SQLite's own locks.
"""

from __future__ import annotations

import fcntl
import json
import logging
import os
import socket
import sqlite3
import time
from pathlib import Path

import psutil

from replicator.errors import Fenced

FROZEN_LIMIT_S = 60.0
log = logging.getLogger("replicator")


class RunnerLock:
    def __init__(self, database: Path, stream: str) -> None:
        self.path = database.with_name(f"{database.name}-{stream}.lock")
        self._database = database
        self._stream = stream
        self._handle: int | None = None

    def acquire(self) -> None:
        """Raises Fenced when a live process runs the stream."""
        self._handle = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        # `held` takes the lock for a moment, too: that moment is waited out.
        if not self._try(0.3) and not self._outlast():
            return
        me = {"pid": os.getpid(), "started": psutil.Process().create_time(), "host": socket.gethostname()}
        os.ftruncate(self._handle, 0)
        os.pwrite(self._handle, json.dumps({**me, "since": time.time()}).encode(), 0)

    def held(self) -> bool:
        """Has a process the lock now? Takes nothing, makes nothing."""
        try:
            handle = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        except OSError:
            return False
        try:
            fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
            return False
        except BlockingIOError:
            return True
        finally:
            os.close(handle)

    def remove(self) -> None:
        """The stream is gone: so is its lock file. Whoever opened it before meets the fence."""
        self.path.unlink(missing_ok=True)

    def _try(self, seconds: float) -> bool:
        """Take the lock, within so many seconds."""
        assert self._handle is not None
        deadline = time.monotonic() + seconds
        while True:
            try:
                fcntl.flock(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return True
            except BlockingIOError:
                if time.monotonic() >= deadline:
                    return False
                time.sleep(0.1)

    def _outlast(self) -> bool:
        """Wait out a frozen holder; True with the lock taken, False where it is left to a holder that can do no harm.

        Raises Fenced for a holder that is not frozen, or is no longer.
        """
        deadline = time.monotonic() + FROZEN_LIMIT_S
        while time.monotonic() < deadline:
            if not self._frozen_holder():
                raise self._running()
            if self._try(0.5):
                return True
        holder = self._frozen_holder()
        if holder is None:
            raise self._running()
        if self._can_write():
            return False  # it is not inside a transaction: the fence stops it when it is thawed
        log.warning("ending the frozen runner with pid %d, which holds the file's write lock", holder.pid)
        holder.kill()
        if not self._try(10.0):
            raise self._running()
        return True

    def _read(self) -> dict[str, object]:
        assert self._handle is not None
        try:
            found = json.loads(os.pread(self._handle, 4096, 0))
        except ValueError:
            return {}
        return found if isinstance(found, dict) else {}

    def _frozen_holder(self) -> psutil.Process | None:
        """The process that took the lock, if it is on this host, still the same one, and stopped."""
        found = self._read()
        pid, started = found.get("pid"), found.get("started")
        if found.get("host") != socket.gethostname() or not isinstance(pid, int):
            return None
        try:
            process = psutil.Process(pid)
            same = process.create_time() == started
            return process if same and process.status() == psutil.STATUS_STOPPED else None
        except psutil.Error:
            return None

    def _can_write(self) -> bool:
        connection = sqlite3.connect(self._database, timeout=1.0, isolation_level=None)
        try:
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("ROLLBACK")
            return True
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY:
                raise
            return False
        finally:
            connection.close()

    def _running(self) -> Fenced:
        found = self._read()
        since = found.get("since")
        when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(since)) if isinstance(since, float) else "unknown"
        return Fenced(
            f"stream {self._stream!r} is already running (pid {found.get('pid', 'unknown')} on "
            f"{found.get('host', 'an unknown host')}, since {when})",
            remedy="stop that process, or use another --name with other target tables",
        )

    def release(self) -> None:
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None
