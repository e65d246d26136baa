"""MariaDB (the distribution's) and MySQL (in a root directory of its own) for tests.

Both are started the same way: make a data directory, start, give the superuser a random password. What
differs is a ``Program``: where it runs, how a data directory is made, and which options turn on what
replication needs. ``tests/support/install`` tells where each comes from.
"""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from replicator.demo.process import service_account
from tests.support.servers.mysqld import Mysqld, Program, connect
from tests.support.servers.server import OwnServer, Server, ServerMissing

COMMON = {
    "server-id": "1",
    "log-bin": "binlog",
    "binlog-format": "ROW",
    "binlog-row-metadata": "FULL",
    "character-set-server": "utf8mb4",
    "max-connections": "200",
    # No waiting for the disk. What was committed still survives SIGKILL: it was handed to the kernel.
    "innodb-flush-method": "nosync",
    "innodb-flush-log-at-trx-commit": "2",
    "innodb-doublewrite": "OFF",
    "sync-binlog": "0",
}
MARIADB = {**COMMON, "secure-file-priv": ""}
MYSQL = {
    **COMMON,
    "gtid-mode": "ON",
    "enforce-gtid-consistency": "ON",
    "secure-file-priv": "",
    "mysqlx": "OFF",
}
SEARCH = f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin"

# Mounts live in a namespace of the server's own and end with it: nothing stays mounted on the machine.
_IN_ROOT = """
set -e
mount --bind /proc "$1/proc"
mount --bind /dev "$1/dev"
mount --bind "$2" "$1/srv"
root=$1 uid=$3 gid=$4
shift 4
exec chroot "$root" setpriv --reuid="$uid" --regid="$gid" --clear-groups --pdeathsig TERM "$@"
"""


@dataclass(frozen=True)
class Plain:
    """A server program of this machine, run as it is."""

    as_root = False

    def directory(self, outside: Path) -> Path:
        """Say where the server's directory lies as the server sees it."""
        return outside

    def command(self, command: Sequence[str], outside: Path) -> list[str]:
        """Return what must be started."""
        return list(command)


@dataclass(frozen=True)
class InRoot:
    """A server program in a root directory of its own, entered with the mounts that it needs."""

    root: Path
    as_root = True

    def directory(self, outside: Path) -> Path:
        """The server's directory is mounted at ``/srv``."""
        return Path("/srv")

    def command(self, command: Sequence[str], outside: Path) -> list[str]:
        """Enter a mount namespace and the root, drop root's rights there, and stay one process throughout."""
        account = service_account("mysql")
        assert account is not None, "only root enters a root directory"
        outer = ["unshare", "--mount", "--propagation", "private", "sh", "-c", _IN_ROOT, "sh"]
        return [*outer, str(self.root), str(outside), str(account.uid), str(account.gid), *command]


def mysql_root() -> Path:
    """Return the root directory in which ``tests/support/install`` puts MySQL."""
    given = os.environ.get("REPLICATOR_MYSQL_ROOT")
    if given:
        return Path(given)
    cache = os.environ.get("XDG_CACHE_HOME")
    return (Path(cache) if cache else Path.home() / ".cache") / "replicator" / "mysql-root"


def _native_mysqld() -> str | None:
    """Find a MySQL of this machine's own; MariaDB's package has a ``mysqld`` too, which is not meant."""
    found = shutil.which("mysqld", path=SEARCH)
    if found is None:
        return None
    said = subprocess.run([found, "--no-defaults", "--version"], capture_output=True, text=True, check=False)
    return found if said.returncode == 0 and "MariaDB" not in said.stdout else None


def _mariadb() -> Program:
    server, install = (shutil.which(name, path=SEARCH) for name in ("mariadbd", "mariadb-install-db"))
    if server is None or install is None:
        raise ServerMissing("no mariadbd on this machine: make test-servers installs it")
    make = (install, "--no-defaults", "--auth-root-authentication-method=normal", "--skip-test-db")
    return Program(place=Plain(), server=server, make_data=make, options=MARIADB)


def _mysql() -> Program:
    native = _native_mysqld()
    root = mysql_root()
    if native is not None:
        place: Plain | InRoot = Plain()
        server = native
    elif not (root / "usr/sbin/mysqld").exists():
        raise ServerMissing("no MySQL on this machine: make test-servers, as root, installs it")
    elif os.geteuid() != 0:
        raise ServerMissing(f"only root can run the MySQL in {root}; name a server in REPLICATOR_TEST_MYSQL")
    else:
        place, server = InRoot(root), "/usr/sbin/mysqld"
    make = (server, "--no-defaults", "--initialize-insecure", "--innodb-flush-method=nosync")
    return Program(place=place, server=server, make_data=make, options=MYSQL)


def start(engine: str, settings: Mapping[str, str] = {}) -> OwnServer:
    """Start ``mariadb`` or ``mysql``; the caller closes it."""
    program = _mariadb() if engine == "mariadb" else _mysql()
    process = Mysqld(engine, program, settings)
    try:
        process.start()
        host, port, user, password = process.host, process.port, process.user, process.password
        version = mysql_version(host, port, user, password)
    except BaseException:
        process.close()
        raise
    return OwnServer(Server(engine, version, host, port, user, password), process)


def start_mariadb() -> OwnServer:
    """Start the MariaDB that the tests share."""
    return start("mariadb")


def start_mysql() -> OwnServer:
    """Start the MySQL that the tests share."""
    return start("mysql")


@contextmanager
def private_mysql(engine: str = "mysql", settings: Mapping[str, str] = {}) -> Iterator[OwnServer]:
    """Run a ``mysql`` or ``mariadb`` for one test, which may stop, crash and restart it.

    Settings are options of the server without their dashes: ``{"binlog-row-image": "MINIMAL"}``.
    """
    own = start(engine, settings)
    try:
        yield own
    finally:
        own.process.close()


def mysql_version(host: str, port: int, user: str, password: str) -> str:
    """Ask a server for its version, without the suffixes: ``10.11.19``."""
    connection = connect(host, port, user, password)
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT VERSION()")
            found = re.match(r"[\d.]+", cursor.fetchone()[0])
    finally:
        connection.close()
    assert found, "the server has no version"
    return found.group()
