"""Real servers for tests, on loopback, in temporary directories, gone when the test run is gone.

A test takes the fixtures of ``tests/conftest.py``; one that stops, crashes or reconfigures its server takes a
server of its own from ``private_postgres`` or ``private_mysql``.
"""

from tests.support.servers.mysql import private_mysql
from tests.support.servers.postgres import private_postgres
from tests.support.servers.running import Servers, dsn, required
from tests.support.servers.server import OwnServer, Server, ServerMissing

__all__ = [
    "OwnServer",
    "Server",
    "ServerMissing",
    "Servers",
    "dsn",
    "private_mysql",
    "private_postgres",
    "required",
]
