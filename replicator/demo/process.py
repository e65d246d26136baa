"""Start a database server as a child that never outlives us, as an account that may run one.

Shared by the embedded PostgreSQL and by the servers that the tests start.
"""

import contextlib
import fcntl
import os
import pwd
import random
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

# The steps between fork and exec, in an interpreter of its own: in a preexec_fn they could deadlock when the
# parent has threads. The signal is asked for after the change of account, which would clear it; the parent is
# looked at again afterwards, because it may have ended before the kernel was told.
_LAUNCHER = """
import ctypes, os, sys
parent, uid, gid, death = map(int, sys.argv[1:5])
os.umask(0o077)
if uid >= 0:
    os.setgroups([])
    os.setgid(gid)
    os.setuid(uid)
if sys.platform == "linux":
    ctypes.CDLL(None).prctl(1, death, 0, 0, 0)
if os.getppid() == parent:
    os.execvp(sys.argv[5], sys.argv[5:])
"""


@dataclass(frozen=True)
class Account:
    """A system account that a server runs as when we are root; database servers refuse to run as root."""

    name: str
    uid: int
    gid: int

    def may_enter(self, directory: Path) -> bool:
        """Say whether every directory down to this one lets the account through."""
        resolved = directory.resolve()
        for each in (resolved, *resolved.parents):
            status = each.stat()
            if status.st_uid == self.uid:
                bit = stat.S_IXUSR
            elif status.st_gid == self.gid:
                bit = stat.S_IXGRP
            else:
                bit = stat.S_IXOTH
            if not status.st_mode & bit:
                return False
        return True


def service_account(*preferred: str) -> Account | None:
    """Return the first unprivileged account that exists if we are root, None for a normal user."""
    if os.geteuid() != 0:
        return None
    for name in (*preferred, "nobody"):
        with contextlib.suppress(KeyError):
            entry = pwd.getpwnam(name)
            if entry.pw_uid != 0:
                return Account(name, entry.pw_uid, entry.pw_gid)
    raise RuntimeError(
        "a database server cannot run as root, and there is no account 'nobody': run this as a normal user"
    )


def launch(
    command: Sequence[str | Path],
    *,
    account: Account | None,
    log: IO[bytes],
    directory: Path,
    death_signal: signal.Signals = signal.SIGINT,
    environment: Mapping[str, str] | None = None,
) -> subprocess.Popen[bytes]:
    """Start a program that gets ``death_signal`` from the kernel when the starting THREAD ends (Linux).

    Start servers from a thread that lives as long as they should, as a rule the main thread. The program has
    a session of its own, so that Ctrl-C in a terminal reaches us and not it.
    """
    uid, gid = (account.uid, account.gid) if account else (-1, -1)
    numbers = (os.getpid(), uid, gid, int(death_signal))
    return subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", _LAUNCHER, *map(str, numbers), *map(str, command)],
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=log,
        cwd=directory,
        env=environment,
        start_new_session=True,
    )


def free_port() -> int:
    """Return a free port below the ephemeral range.

    Inside that range an outgoing connection may take the port while its server is down for a restart, even a
    connection to that very port, which then talks to itself.
    """
    for _ in range(1000):
        port = random.randint(15_000, 31_000)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise RuntimeError("no free port found on 127.0.0.1 between 15000 and 31000")


class ServerDirectory:
    """A private temporary directory for a server, at a place that its account can reach.

    It is locked as long as our process lives. One whose lock is free was left by a process that was killed,
    and the next process that makes one removes it.
    """

    def __init__(self, prefix: str, account: Account | None) -> None:
        for base in map(Path, (tempfile.gettempdir(), "/tmp", "/var/tmp")):
            if base.is_dir() and (account is None or account.may_enter(base)):
                break
        else:
            raise RuntimeError("no temporary directory that an unprivileged account can enter: set TMPDIR")
        for abandoned in base.glob(f"{prefix}*/lock"):
            _remove_if_abandoned(abandoned, {os.geteuid(), account.uid if account else os.geteuid()})
        self.path = Path(tempfile.mkdtemp(prefix=prefix, dir=base)).resolve()
        self._lock = os.open(self.path / "new-lock", os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        (self.path / "new-lock").rename(self.path / "lock")  # nobody sees it unlocked
        if account:
            os.chown(self.path, account.uid, account.gid)

    def remove(self) -> None:
        """Remove the directory with all that is in it."""
        shutil.rmtree(self.path, ignore_errors=True)
        os.close(self._lock)


def _remove_if_abandoned(lock: Path, owners: set[int]) -> None:
    with contextlib.suppress(OSError):  # somebody else's, still in use, or just removed by another process
        if lock.parent.lstat().st_uid not in owners:
            return
        descriptor = os.open(lock, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(lock.parent, ignore_errors=True)
        finally:
            os.close(descriptor)


def tail(log: Path, lines: int = 15) -> str:
    """Return the last lines of a log file: what a server said before it died."""
    if not log.exists():
        return "(no output)"
    return "\n".join(log.read_text(errors="replace").splitlines()[-lines:])
