"""LOAD DATA LOCAL from memory.

A server may ask a client that allows LOCAL for any file that the client can read, at any time. So nothing is ever
opened here: what is sent is the one buffer that was offered, under a random name that only this statement knows; a
request for anything else ends the connection.
https://dev.mysql.com/doc/refman/9.7/en/load-data-local-security.html,
https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_com_query_response_local_infile_request.html
"""

from __future__ import annotations

import secrets
from typing import Any

from pymysql.connections import MySQLResult

from replicator.engines.mysql.connect import ASKED, DISHONEST, Connection
from replicator.errors import Refused

PACKET = 1 << 20


class LoadingConnection(Connection):
    _offered: tuple[str, bytes] | None = None

    def offer(self, data: bytes) -> str:
        """The name under which the next statement may ask for `data`."""
        name = f"replicator-{secrets.token_hex(16)}"
        self._offered = name, data
        return name

    def withdraw(self) -> None:
        self._offered = None

    def _read_query_result(self, unbuffered: bool = False) -> Any:
        self._result = None
        result = _Result(self)
        if unbuffered:
            result.init_unbuffered_query()
        else:
            result.read()
        self._result = result
        if result.server_status is not None:
            self.server_status = result.server_status
        return result.affected_rows


class _Result(MySQLResult):  # type: ignore[misc]
    def _read_load_local_packet(self, first_packet: Any) -> None:
        connection: LoadingConnection = self.connection
        asked = first_packet.get_all_data()[1:].decode("utf-8", "replace")
        offered, connection._offered = connection._offered, None
        if offered is None or asked != offered[0]:
            connection._force_close()
            raise Refused(ASKED, remedy=DISHONEST)
        data = memoryview(offered[1])
        for at in range(0, len(data), PACKET):
            connection.write_packet(bytes(data[at : at + PACKET]))
        connection.write_packet(b"")
        answer = connection._read_packet()
        if not answer.is_ok_packet():
            connection._force_close()
            raise Refused("the target's server answered LOAD DATA with something that is no answer")
        self._read_ok_packet(answer)
