"""S14: a server that asks for files gets none, whatever it is asked and whoever asks it."""

from __future__ import annotations

import pytest

from replicator.engines.mysql.connect import Connection, endpoint, open_session, query
from replicator.engines.mysql.loading import LoadingConnection
from replicator.errors import Refused
from tests.support.hostile_mysql import HostileMysql


@pytest.mark.parametrize("name", ["/etc/passwd", "replicator-0", ""])
@pytest.mark.parametrize("offered", [b"", b"rows\n"], ids=["nothing offered", "rows offered"])
def test_s14_a_target_that_asks_for_a_file(name: str, offered: bytes) -> None:
    with HostileMysql(name) as server:
        where = endpoint(f"mysql://u@127.0.0.1:{server.port}/d", "p")
        connection = open_session(where, of=LoadingConnection, target=True)
        if offered:
            connection.offer(offered)
        with pytest.raises(Refused, match="asked for a file"):
            query(connection, "LOAD DATA LOCAL INFILE 'x' INTO TABLE t")
        assert not connection.open
    assert (server.asked, server.sent) == (1, b"")


def test_s14_a_source_that_asks_for_a_file() -> None:
    with HostileMysql("/etc/passwd") as server:
        connection: Connection = open_session(endpoint(f"mysql://u@127.0.0.1:{server.port}/d", "p"))
        with pytest.raises(Refused, match="asked for a file"):
            query(connection, "SELECT 1")
    assert (server.asked, server.sent) == (1, b"")
