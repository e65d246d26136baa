"""PostgreSQL for tests: 18 from the embedded wheel, 15 (or what the distribution has) from its package."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import psycopg2

from replicator.demo.embedded import EmbeddedPostgres, wheel_bindir
from tests.support.servers.server import OwnServer, Server, ServerMissing

SETTINGS = {
    "wal_level": "logical",
    "max_wal_senders": "40",
    "max_replication_slots": "40",
    "max_connections": "200",
    "max_prepared_transactions": "20",
    "shared_buffers": "64MB",
}
PACKAGED = Path("/usr/lib/postgresql")  # Debian and Ubuntu: a directory for each major version


def find_bindir(version: int) -> Path:
    """Find the binaries of a major version.

    For 15 the distribution's own will do where it is another one older than 18 (Ubuntu 24.04 has 16): what
    matters is a second, older server. ``Server.version`` says which it is.
    """
    if version == 18:
        try:
            return wheel_bindir()
        except RuntimeError as error:
            raise ServerMissing(str(error)) from error
    exact = PACKAGED / str(version) / "bin"
    if (exact / "postgres").exists():
        return exact
    found = sorted(
        (int(path.parent.name), path) for path in PACKAGED.glob("1[4-7]/bin") if (path / "postgres").exists()
    )
    if version == 15 and found:
        return found[0][1]
    raise ServerMissing(f"no PostgreSQL {version} under {PACKAGED}: make test-servers installs it")


def start_postgres(version: int, settings: Mapping[str, str] = {}) -> OwnServer:
    """Start a server of this major version; the caller closes it."""
    process = EmbeddedPostgres(settings={**SETTINGS, **settings}, fsync=False, bindir=find_bindir(version))
    try:
        process.start()
        server = Server(
            engine="postgresql",
            version=postgres_version(process.url()),
            host=process.host,
            port=process.port,
            user=process.user,
            password=process.password,
            bindir=process.bindir,
        )
    except BaseException:
        process.close()
        raise
    return OwnServer(server, process)


@contextmanager
def private_postgres(version: int = 18, settings: Mapping[str, str] = {}) -> Iterator[OwnServer]:
    """Run a server for one test, which may stop, crash and restart it; takes about a second."""
    own = start_postgres(version, settings)
    try:
        yield own
    finally:
        own.process.close()


def postgres_version(url: str) -> str:
    """Ask a server for its version: ``15.18``."""
    connection = psycopg2.connect(url)
    try:
        number = connection.server_version
    finally:
        connection.close()
    return f"{number // 10_000}.{number % 10_000}"
