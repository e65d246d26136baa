"""One running MariaDB or MySQL with its data directory."""

import contextlib
import secrets
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import pymysql

from replicator.demo.process import ServerDirectory, free_port, launch, service_account, tail

START_SECONDS = 60.0
STOP_SECONDS = 30.0
WITH_THE_DATA = ("lower-case-table-names",)
"""Settings that the data directory is made with."""


class Place(Protocol):
    """Where a server program runs: on this machine as it is, or in a root directory of its own."""

    def directory(self, outside: Path) -> Path: ...

    def command(self, command: Sequence[str], outside: Path) -> list[str]: ...

    @property
    def as_root(self) -> bool: ...


@dataclass(frozen=True)
class Program:
    """How a flavor of the server is run."""

    place: Place
    server: str
    make_data: tuple[str, ...]
    options: Mapping[str, str]


def connect(host: str, port: int, user: str, password: str, database: str | None = None) -> Any:
    """Open an autocommit connection with PyMySQL."""
    return pymysql.connect(
        host=host,
        port=port,
        user=user,
        password=password,
        database=database,
        autocommit=True,
        charset="utf8mb4",
        connect_timeout=5,
    )


class Mysqld:
    """A server in a temporary directory on a port of its own, which ends when we do."""

    host = "127.0.0.1"
    user = "root"

    def __init__(self, engine: str, program: Program, settings: Mapping[str, str] = {}) -> None:
        self.port = 0
        self.password = ""
        self.settings = {**program.options, **settings}
        self._program = program
        self._account = service_account("mysql")
        self._process: subprocess.Popen[bytes] | None = None
        self._temporary = ServerDirectory(f"replicator-{engine}-", self._account)
        self._directory = self._temporary.path

    @property
    def pid(self) -> int:
        """The process number of the running server."""
        if self._process is None or self._process.poll() is not None:
            raise RuntimeError("the server is not running")
        return self._process.pid

    @property
    def log(self) -> Path:
        """What the server wrote."""
        return self._directory / "log"

    def start(self) -> None:
        """Start the server and wait until it accepts connections; a later start takes the same port again."""
        if self._process is not None and self._process.poll() is None:
            return
        if not self.password:
            self._make_data()
        keep_port = bool(self.port)
        for attempt in range(5):
            self.port = self.port if keep_port else free_port()
            if self._start_on_port():
                break
            if keep_port or attempt == 4 or "TCP/IP port" not in tail(self.log):
                raise RuntimeError(f"the server did not start; its log ends with:\n{tail(self.log)}")
        if not self.password:
            self._set_password()

    def stop(self) -> None:
        """Stop the server in order, then without mercy. Harmless when it is not running."""
        if self._process is None:
            return
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None

    def kill(self) -> None:
        """Crash the server: SIGKILL."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def restart(self, settings: Mapping[str, str] = {}) -> None:
        """Stop and start again on the same port, with changed settings if some are given."""
        self.stop()
        self.settings.update(settings)
        self.start()

    def close(self) -> None:
        """End the server and remove its directory; data that are thrown away need no orderly end."""
        self.kill()
        self._temporary.remove()

    def _make_data(self) -> None:
        inside = self._program.place.directory(self._directory)
        said = [f"--{name}={self.settings[name]}" for name in WITH_THE_DATA if name in self.settings]
        process = self._launch([*self._program.make_data, *said, f"--datadir={inside}/data"])
        if process.wait() != 0:
            raise RuntimeError(f"the data directory could not be made:\n{tail(self.log)}")

    def _start_on_port(self) -> bool:
        inside = self._program.place.directory(self._directory)
        options = {
            "datadir": f"{inside}/data",
            "socket": f"{inside}/socket",
            "pid-file": f"{inside}/pid",
            "tmpdir": str(inside),
            "bind-address": self.host,
            "port": str(self.port),
            **self.settings,
        }
        given = (f"--{name}={value}" for name, value in options.items())
        process = self._process = self._launch([self._program.server, "--no-defaults", *given])
        deadline = time.monotonic() + START_SECONDS
        while process.poll() is None:
            with contextlib.suppress(pymysql.err.OperationalError):
                connect(self.host, self.port, self.user, self.password).close()
                return True
            if time.monotonic() > deadline:
                self.kill()
                raise RuntimeError(f"the server was not ready after {START_SECONDS:g} s:\n{tail(self.log)}")
            time.sleep(0.05)
        self._process = None
        return False

    def _set_password(self) -> None:
        """Give the superuser a password, unseen by the log that is replicated."""
        password = secrets.token_urlsafe(24)
        connection = connect(self.host, self.port, self.user, "")
        try:
            with connection.cursor() as cursor:
                cursor.execute("SET SESSION sql_log_bin = 0")
                cursor.execute("ALTER USER 'root'@'localhost' IDENTIFIED BY %s", (password,))
        finally:
            connection.close()
        self.password = password

    def _launch(self, command: Sequence[str]) -> subprocess.Popen[bytes]:
        """Start a program; one that enters a root directory changes its account there, by itself."""
        place = self._program.place
        with self.log.open("ab") as log:
            return launch(
                place.command(command, self._directory),
                account=None if place.as_root else self._account,
                log=log,
                directory=self._directory,
                death_signal=signal.SIGTERM,
            )
