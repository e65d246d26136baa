"""Measures PostgreSQL to SQLite: the log alone, decoded, applied, and the copy; latency and memory. Then other
pairs."""

from __future__ import annotations

import argparse
import json
import os
import resource
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from replicator.engine import Endpoint, find
from replicator.engines.postgres.position import Lsn
from replicator.model.builder import Limits
from replicator.model.change import Rows
from replicator.model.selection import Selection
from replicator.model.stream import Followed, Identity
from replicator.pipeline.options import End, Options
from replicator.pipeline.progress import Report
from replicator.pipeline.stop import Stop
from replicator.pipeline.sync import READ, Sync
from tests.bench import pairs
from tests.bench.workload import TABLE, fill
from tests.support.databases import PostgresDatabase
from tests.support.servers import private_postgres

IDENTITY = Identity("bench", "0" * 32)


def timed(work: Callable[[], None]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


class Bench:
    def __init__(self, rows: int, directory: Path) -> None:
        self.rows = rows
        self.directory = directory
        self.rates: dict[str, float] = {}

    def say(self, stage: str, seconds: float) -> None:
        self.rates[stage] = self.rows / seconds
        print(f"{stage:<58} {self.rows / seconds:>10,.0f} rows/s", flush=True)

    def run(self) -> None:
        with private_postgres(18) as server, PostgresDatabase(server.server) as database:
            database.execute(TABLE)
            fill(database, self.rows)
            self.copy(database)
            assert server.server.bindir is not None
            self.stream(database, server.server.bindir)
            self.latency(database)
        self.memory()
        print(json.dumps({name: round(rate) for name, rate in self.rates.items()}), file=sys.stderr)

    def sync(self, database: PostgresDatabase, report: Report | None = None, stop: Stop | None = None) -> None:
        ends = [End(find(u), find(u).endpoint(u, None)) for u in (database.url, f"sqlite:///{self.directory}/t.db")]
        options = Options("bench", Selection(), once=stop is None)
        Sync(ends[0], ends[1], options, stop or Stop(), report or Report()).run()

    def copy(self, database: PostgresDatabase) -> None:
        psql = ["psql", "-q", database.url, "-c", "COPY bench TO STDOUT"]
        self.say("copy: psql COPY TO /dev/null", timed(lambda: run_to_null(psql)))
        self.say("copy: sync into SQLite", timed(lambda: self.sync(database)))

    def stream(self, database: PostgresDatabase, bindir: Path) -> None:
        slots = ("raw", "decoded")
        for slot in slots:
            database.query("SELECT pg_create_logical_replication_slot(%s, 'pgoutput')", slot)
        database.execute("CREATE PUBLICATION raw FOR TABLE bench")
        fill(database, self.rows, self.rows + 1)
        head = database.query("SELECT pg_current_wal_flush_lsn()::text")[0][0]
        recvlogical = [str(bindir / "pg_recvlogical"), "-d", database.url, "--slot", "raw", "--start", "-f", "-"]
        recvlogical += ["--endpos", head, "-o", "proto_version=1", "-o", "publication_names=raw", "--no-loop"]
        self.say("stream: pg_recvlogical to /dev/null", timed(lambda: run_to_null(recvlogical)))
        self.say("stream: read and decoded", timed(lambda: self.decode(database, Lsn.parse(head))))
        self.say("stream: executemany of the same rows, WAL, FULL", self.executemany(database))
        self.say("stream: sync into SQLite", timed(lambda: self.sync(database)))
        for slot in slots:
            database.query("SELECT pg_drop_replication_slot(%s)", slot)

    def decode(self, database: PostgresDatabase, head: Lsn) -> None:
        engine = find(database.url)
        source = engine.source(Endpoint(database.url, "bench"), print)
        (table,) = source.catalog.tables(Selection(), {}).tables
        reader = source.reader(Identity("bench", "0" * 32, "raw", "decoded"), READ)
        reader.start(Lsn(0), [Followed(table, table.name, "live", "0/0")])
        rows = 0
        while rows < self.rows:
            batch = reader.read(1.0, 10.0)
            rows += batch.rows if batch else 0
        reader.close()
        source.close()

    def executemany(self, database: PostgresDatabase) -> float:
        """The rows as our snapshot reads them, inserted by the driver alone in transactions of a thousand."""
        source = find(database.url).source(Endpoint(database.url, "bench"), print)
        (table,) = source.catalog.tables(Selection(), {}).tables
        snapshot = source.snapshot()
        seconds = 0.0
        count = 0
        with closing(sqlite3.connect(self.directory / "raw.db", isolation_level=None)) as raw:
            raw.execute("PRAGMA journal_mode = WAL")
            raw.execute(
                "CREATE TABLE bench (id INTEGER PRIMARY KEY, a INTEGER, b TEXT, c TEXT, d INTEGER, e TEXT, f TEXT, "
                "g INTEGER, h REAL, i TEXT) STRICT"
            )
            for batch in snapshot.chunks(table, 0, None, Limits(1000, 4 << 20)):
                for change in batch.changes:
                    assert isinstance(change, Rows)
                    count += len(change.rows)
                    began = time.perf_counter()
                    raw.execute("BEGIN IMMEDIATE")
                    raw.executemany("INSERT INTO bench VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", change.rows)
                    raw.execute("COMMIT")
                    seconds += time.perf_counter() - began
                if count >= self.rows:
                    break
        snapshot.close()
        source.close()
        return seconds * self.rows / count

    def latency(self, database: PostgresDatabase, commits: int = 300) -> None:
        """Commit returned at the source, until a reader of the file sees the row."""
        stop = Stop()
        waits: list[float] = []
        follower = threading.Thread(target=lambda: self.sync(database, stop=stop))
        follower.start()
        seen = sqlite3.connect(self.directory / "t.db", isolation_level=None)
        for n in range(commits):
            database.execute("UPDATE bench SET a = %s WHERE id = 1", -n)
            began = time.perf_counter()
            while seen.execute("SELECT a FROM bench WHERE id = 1").fetchone() != (-n,):
                if time.perf_counter() - began > 30:
                    raise SystemExit("a commit did not arrive within 30 s")
                time.sleep(0.0002)
            waits.append((time.perf_counter() - began) * 1000)
        seen.close()
        stop.request()
        follower.join()
        waits = sorted(waits[10:])
        print(
            f"commit to visible, one row at a time: median {statistics.median(waits):.1f} ms, "
            f"p99 {waits[int(len(waits) * 0.99)]:.1f} ms (synchronous_commit on)"
        )

    def memory(self) -> None:
        """Peak memory of a process that applies one transaction of 2 million rows."""
        with private_postgres(18) as server, PostgresDatabase(server.server) as database:
            database.execute("CREATE TABLE bench (id bigint PRIMARY KEY, a text)")
            target = f"sqlite:///{self.directory}/memory.db"
            command = [sys.executable, "-m", "replicator", "sync", "--once", database.url, target]
            subprocess.run(command, check=True, capture_output=True)
            database.execute("INSERT INTO bench SELECT g, 'row ' || g FROM generate_series(1, 2000000) g")
            seconds = timed(lambda: run_to_null(command))
            peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
        print(f"one transaction of 2,000,000 rows: {2_000_000 / seconds:,.0f} rows/s, peak memory {peak:.0f} MiB")


def run_to_null(command: list[str]) -> None:
    with Path(os.devnull).open("wb") as nowhere:
        subprocess.run(command, check=True, stdout=nowhere, stderr=nowhere)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m tests.bench")
    parser.add_argument("--rows", type=int, default=500_000)
    parser.add_argument("--only", choices=["sqlite", "pairs"], help="PostgreSQL to SQLite alone, or the other pairs.")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        bench = Bench(given.rows, Path(scratch))
        if given.only != "pairs":
            bench.run()
        if given.only != "sqlite":
            pairs.postgres(given.rows, bench.say)
            for engine in ("mysql", "mariadb"):
                pairs.postgres_into_mysql(engine, given.rows, bench.say)
                pairs.binlog(engine, given.rows, Path(scratch), bench.say)
