"""Measures the other pairs, each beside a peer that reads or moves the same rows in the same run."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

import pymysql
from pymysqlreplication import BinLogStreamReader
from pymysqlreplication.row_event import WriteRowsEvent

from replicator.engine import find
from replicator.pipeline.options import End, Options
from replicator.pipeline.progress import Report
from replicator.pipeline.stop import Stop
from replicator.pipeline.sync import Sync
from tests.bench.workload import PER_TRANSACTION, TABLE, fill
from tests.support.databases import PostgresDatabase
from tests.support.mysql_database import MysqlDatabase
from tests.support.servers import private_mysql, private_postgres
from tests.support.servers.server import Server

Say = Callable[[str, float], None]
MYSQL_TABLE = TABLE.replace("timestamp", "datetime").replace("numeric", "decimal")


def synced(source: str, target: str, name: str) -> float:
    """Seconds of a `sync --once`."""
    ends = [End(find(url), find(url).endpoint(url, None)) for url in (source, target)]
    began = time.perf_counter()
    Sync(ends[0], ends[1], Options(name, once=True), Stop(), Report()).run()
    return time.perf_counter() - began


class Mysql:
    """A database of a private server with the bench's table."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.url = f"{server.engine}://{server.user}:{server.password}@{server.host}:{server.port}/bench"
        self.connection: Any = pymysql.connect(**self.login, autocommit=True)
        self.execute("CREATE DATABASE bench CHARACTER SET utf8mb4")
        self.execute("USE bench")
        self.execute(MYSQL_TABLE)

    @property
    def login(self) -> dict[str, Any]:
        s = self.server
        return {"host": s.host, "port": s.port, "user": s.user, "password": s.password}

    def execute(self, statement: str) -> tuple[Any, ...]:
        with self.connection.cursor() as cursor:
            cursor.execute(statement)
            found: tuple[Any, ...] = tuple(cursor.fetchall())
            return found

    def fill(self, rows: int, first: int = 1) -> None:
        for start in range(first, first + rows, PER_TRANSACTION):
            values = ", ".join(
                f"({g}, {g % 1000}, 'name {g % 10000}', {g * 0.37:.2f}, {-g}, 'some text that is a little longer {g}', "
                f"'2024-01-01 00:00:00' + INTERVAL {g} SECOND, {g % 2}, {g / 7.0!r}, '{{\"n\": {g}}}')"
                for g in range(start, min(start + PER_TRANSACTION, first + rows))
            )
            self.execute(f"INSERT INTO bench VALUES {values}")

    def place(self) -> tuple[str, int]:
        try:
            row = self.execute("SHOW BINARY LOG STATUS")[0]
        except pymysql.err.ProgrammingError:
            row = self.execute("SHOW MASTER STATUS")[0]
        return str(row[0]), int(row[1])

    def read_by_the_library(self, place: tuple[str, int], rows: int) -> float:
        """Seconds of mysql-replication for these rows, which are read and thrown away."""
        stream = BinLogStreamReader(
            connection_settings=self.login,
            server_id=4711,
            log_file=place[0],
            log_pos=place[1],
            resume_stream=True,
            only_events=[WriteRowsEvent],
            enable_logging=False,
        )
        began = time.perf_counter()
        count = 0
        with closing(stream):
            for event in stream:
                count += len(event.rows)
                if count >= rows:
                    break
        return time.perf_counter() - began


@contextmanager
def targets(directory: Path) -> Iterator[dict[str, str]]:
    with ExitStack() as stack:
        database = stack.enter_context(PostgresDatabase(stack.enter_context(private_postgres(18)).server))
        found = {"SQLite": f"sqlite:///{directory}/pairs.db", "PostgreSQL": database.url}
        for name in ("mysql", "mariadb"):
            # LOAD DATA LOCAL, which MySQL has off by default
            server = stack.enter_context(private_mysql(name, {"local-infile": "ON"})).server
            found[name] = stack.enter_context(MysqlDatabase(server)).url
        yield found


def binlog(engine: str, rows: int, directory: Path, say: Say) -> None:
    with ExitStack() as stack:
        source = Mysql(stack.enter_context(private_mysql(engine)).server)
        into = stack.enter_context(targets(directory))
        source.fill(rows)
        for name, url in into.items():
            say(f"{engine} copy: sync into {name}", synced(source.url, url, f"{engine}_bench"))
        place = source.place()
        source.fill(rows, rows + 1)
        say(f"{engine} stream: mysql-replication, rows read", source.read_by_the_library(place, rows))
        for name, url in into.items():
            say(f"{engine} stream: sync into {name}", synced(source.url, url, f"{engine}_bench"))
    (directory / "pairs.db").unlink()


def postgres(rows: int, say: Say) -> None:
    with ExitStack() as stack:
        ends = [stack.enter_context(private_postgres(18)).server for _ in range(2)]
        source, target, peer = (stack.enter_context(PostgresDatabase(server)) for server in (ends[0], ends[1], ends[1]))
        source.execute(TABLE)
        peer.execute(TABLE)
        fill(source, rows)
        piped = f"psql -q '{source.url}' -c 'COPY bench TO STDOUT' | psql -q '{peer.url}' -c 'COPY bench FROM STDIN'"
        began = time.perf_counter()
        subprocess.run(["bash", "-o", "pipefail", "-c", piped], check=True)
        say("postgres copy: psql COPY piped into psql COPY", time.perf_counter() - began)
        say("postgres copy: sync into PostgreSQL", synced(source.url, target.url, "bench"))
        fill(source, rows, rows + 1)
        say("postgres stream: sync into PostgreSQL", synced(source.url, target.url, "bench"))


def postgres_into_mysql(engine: str, rows: int, say: Say) -> None:
    with ExitStack() as stack:
        source = stack.enter_context(PostgresDatabase(stack.enter_context(private_postgres(18)).server))
        server = stack.enter_context(private_mysql(engine, {"local-infile": "ON"})).server
        target = stack.enter_context(MysqlDatabase(server))
        source.execute(TABLE)
        fill(source, rows)
        say(f"postgres copy: sync into {engine}", synced(source.url, target.url, "bench"))
        fill(source, rows, rows + 1)
        say(f"postgres stream: sync into {engine}", synced(source.url, target.url, "bench"))
