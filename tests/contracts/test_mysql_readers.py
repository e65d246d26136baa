"""Two readers that come with one server_id: the server drives one out, and no position is lost by that."""

from __future__ import annotations

import struct
import time
from collections.abc import Iterator
from contextlib import closing, suppress

import pytest

from replicator.engine import Endpoint
from replicator.engines.mysql import checks
from replicator.engines.mysql.connect import connect
from replicator.engines.mysql.dump import Dump
from replicator.engines.mysql.reader import MysqlReader
from replicator.engines.mysql.server import Server
from replicator.engines.mysql.source import replica
from replicator.errors import Refused, Retryable
from tests.contracts.streams import IDENTITY, WIDE
from tests.support.mysql_database import MysqlDatabase

COM_REGISTER_SLAVE = 0x15


@pytest.fixture(params=["mysql", "mariadb"])
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    with (
        MysqlDatabase(request.getfixturevalue(request.param)) as database,
        closing(Server(Endpoint(database.url, "shown"))) as opened,
    ):
        yield opened


def following(server: Server, seconds: float) -> MysqlReader:
    reader = MysqlReader(server, replica(IDENTITY), WIDE)
    reader.start(server.head(gtids=True), [])
    read_for(reader, seconds)
    return reader


def read_for(reader: MysqlReader, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        reader.read(0.1, 60.0)


def another(server: Server) -> Dump:
    dump = Dump(server.where, server.flavor, replica(IDENTITY))
    dump.after(server.executed())
    return dump


def test_s038_one_that_is_driven_out_while_it_is_idle_may_try_again(server: Server) -> None:
    with closing(following(server, 1.5)) as reader, closing(another(server)), pytest.raises(Retryable):
        read_for(reader, 10.0)


def test_s038_one_that_is_driven_out_at_once_has_lost_no_position_either(server: Server) -> None:
    """MySQL says the same to both as of a log that is gone: 1236."""
    for _ in range(3):
        with closing(following(server, 0.0)) as reader, closing(another(server)), suppress(Retryable):
            read_for(reader, 1.0)


def test_s038_a_server_id_in_use_is_refused_by_name(server: Server) -> None:
    """Of a replica that has registered, as the servers' own do."""
    number = replica(IDENTITY).number
    checks.refuse_number(server, number)
    with connect(server.where) as line:
        registration = struct.pack("<I", number) + b"\x07standby" + b"\0\0" + struct.pack("<HII", 3306, 0, 0)
        line._execute_command(COM_REGISTER_SLAVE, registration)
        line._read_ok_packet()
        with pytest.raises(Refused, match=rf"server_id {number}.*standby") as caught:
            checks.refuse_number(server, number)
        assert caught.value.remedy == "give that replica another server_id"
        checks.refuse_number(server, number + 1)
