"""What a test knows of a server: where it is, who the superuser is, and how to stop and start it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol
from urllib.parse import quote


class ServerMissing(Exception):
    """This machine has no such server; the text says why and what installs it."""


@dataclass(frozen=True)
class Server:
    """A running server on which a test may make databases. ``version`` is what the server says of itself."""

    engine: str  # the scheme of its URLs: postgresql, mysql, mariadb
    version: str
    host: str
    port: int
    user: str
    password: str = field(repr=False)
    bindir: Path | None = None  # psql, pg_dump, ... of the same version; None for a server given by its DSN

    @property
    def major(self) -> int:
        """The first number of the version."""
        return int(self.version.split(".")[0])

    def url(self, database: str = "", *, user: str | None = None, password: str | None = None) -> str:
        """Return the URL of a database, for the superuser or for another user."""
        login = quote(self.user if user is None else user, safe="")
        secret = self.password if password is None else password
        if secret:
            login += ":" + quote(secret, safe="")
        return f"{self.engine}://{login}@{self.host}:{self.port}/{quote(database, safe='')}"


class ServerProcess(Protocol):
    """The program behind a server that we started."""

    @property
    def pid(self) -> int: ...

    @property
    def log(self) -> Path: ...

    def start(self) -> None: ...

    def stop(self) -> None: ...

    def kill(self) -> None: ...

    def restart(self, settings: Mapping[str, str] = {}) -> None: ...

    def close(self) -> None: ...


@dataclass(frozen=True)
class OwnServer:
    """A server of one test's own, which may be stopped, crashed, and restarted with other settings.

    Port and password stay the same through all of it, so that its URLs hold.
    """

    server: Server
    process: ServerProcess

    def url(self, database: str = "") -> str:
        """Return the superuser's URL of a database."""
        return self.server.url(database)

    @property
    def pid(self) -> int:
        """The server's process number, for SIGSTOP and SIGCONT."""
        return self.process.pid

    def start(self) -> None:
        """Start it again after ``stop`` or ``kill``; returns when it accepts connections."""
        self.process.start()

    def stop(self) -> None:
        """Stop it in order (PostgreSQL: fast)."""
        self.process.stop()

    def kill(self) -> None:
        """Crash it: SIGKILL."""
        self.process.kill()

    def restart(self, settings: Mapping[str, str] = {}) -> None:
        """Stop it in order and start it with changed settings."""
        self.process.restart(settings)
