"""Runs the demo: starts the server, writes and follows for a while, then compares every table."""

from __future__ import annotations

import logging
import signal
import sqlite3
import sys
import threading
import time
from contextlib import closing
from pathlib import Path

import psycopg2

from replicator.demo.embedded import EmbeddedPostgres
from replicator.demo.shop import CHECKS, FILL, SCHEMA, Writer
from replicator.demo.show import Figures, Screen
from replicator.engine import find
from replicator.errors import Refused, ReplicatorError
from replicator.model.selection import Selection
from replicator.pipeline.options import End, Options
from replicator.pipeline.stop import Stop
from replicator.pipeline.sync import Sync

STREAM = "demo"


def run(path: Path, seconds: float) -> int:
    """Returns the exit code: 0 when every table is equal, 7 when one is not."""
    logging.getLogger("replicator").setLevel(logging.ERROR)
    _clear(path)
    ended = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ended.set())
    _say("starting an embedded PostgreSQL, which goes away with the demo")
    with EmbeddedPostgres() as server:
        return _shop(server.url(), path, seconds, ended)


def _shop(url: str, path: Path, seconds: float, ended: threading.Event) -> int:
    with closing(psycopg2.connect(url)) as connection, connection, connection.cursor() as cursor:
        cursor.execute(SCHEMA)
        cursor.execute(FILL)
    writer, figures, stop = Writer(url), Figures(), Stop()
    follower = _Follower(url, path, figures, stop)
    writer.start()
    follower.start()
    with Screen(figures, sys.stdout.isatty()) as screen:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and not ended.is_set() and follower.is_alive():
            ended.wait(0.25)
            screen.show()
    writer.end()
    stop.request()
    follower.join()
    if follower.failure is not None:
        raise follower.failure
    _say(f"the writer has stopped after {writer.transactions:,} transactions; catching up")
    _sync(url, path, figures, Stop(), once=True)
    return _compare(url, path)


class _Follower(threading.Thread):
    """`sync`, beside the writer and the screen."""

    def __init__(self, url: str, path: Path, figures: Figures, stop: Stop) -> None:
        super().__init__(name="sync", daemon=True)
        self._arguments = url, path, figures, stop
        self.failure: ReplicatorError | None = None

    def run(self) -> None:
        try:
            _sync(*self._arguments, once=False)
        except ReplicatorError as error:
            self.failure = error


def _sync(url: str, path: Path, figures: Figures, stop: Stop, *, once: bool) -> None:
    ends = []
    for text in (url, f"sqlite:///{path}"):
        engine = find(text)
        ends.append(End(engine, engine.endpoint(text, None)))
    Sync(ends[0], ends[1], Options(STREAM, Selection(), once=once), stop, figures).run()


def _compare(url: str, path: Path) -> int:
    """Every row of every table, asked of each end in its own SQL."""
    unequal = 0
    with closing(psycopg2.connect(url)) as source, closing(sqlite3.connect(path)) as target:
        cursor = source.cursor()
        cursor.execute("SET timezone = 'UTC'; SET intervalstyle = 'iso_8601'")
        for check in CHECKS:
            cursor.execute(check.postgres)
            here = cursor.fetchall()
            there = target.execute(check.sqlite).fetchall()
            same = here == there
            unequal += not same
            verdict = "equal" if same else f"NOT EQUAL (the file has {len(there):,} rows)"
            _say(f"  {check.table:<12} {len(here):>8,} rows   {verdict}")
    if unequal:
        return 7
    _say(f'all tables are equal; look for yourself:\n  sqlite3 {path} "SELECT status, count(*) FROM orders GROUP BY 1"')
    return 0


def _clear(path: Path) -> None:
    """An earlier demo's file makes room; anything else is not ours to remove."""
    if not path.exists():
        return
    try:
        with closing(sqlite3.connect(f"file:{path.absolute()}?mode=ro", uri=True)) as old:
            ours = old.execute("SELECT count(*) FROM _replicator_streams WHERE name = ?", (STREAM,)).fetchone() == (1,)
    except sqlite3.Error:
        ours = False
    if not ours:
        raise Refused(f"{path} exists and is not the file of an earlier demo", remedy="--file another.db")
    for name in (path.name, f"{path.name}-wal", f"{path.name}-shm"):
        path.with_name(name).unlink(missing_ok=True)


def _say(text: str) -> None:
    print(text, flush=True)
