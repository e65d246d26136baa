"""Threads that watch an invariant while all runs: a torn state that mends itself leaves no other trace."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import psycopg2
import pymysql


class Sampler(threading.Thread):
    """Calls `watch` until stopped; an error in it comes out of `stop`."""

    def __init__(self, name: str, pause: float) -> None:
        super().__init__(name=name, daemon=True)
        self.samples = 0
        self.stopping = threading.Event()
        self._pause = pause
        self._error: BaseException | None = None

    def watch(self) -> None:
        """Sample until stopped or until the peer is away; called again after a pause."""
        raise NotImplementedError

    def run(self) -> None:
        try:
            while not self.stopping.is_set():
                self.watch()
                self.pause()
        except BaseException as error:
            self._error = error

    def pause(self) -> None:
        self.stopping.wait(self._pause)

    def stop(self) -> None:
        self.stopping.set()
        self.join()
        if self._error is not None:
            raise self._error

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


class BankSampler(Sampler):
    """Watches the bank in a SQLite target: once all accounts are there, their sum is always the total.

    The file and the table may come later; fewer accounts than there are is a copy that is not done. Once all
    were there, fewer are a fault too, kept apart in `shrunk`, for a recopy may show it.
    """

    def __init__(self, path: Path | str, accounts: int, total: int, table: str = "bank", pause: float = 0.002) -> None:
        super().__init__("bank-sampler", pause)
        self._uri = Path(path).absolute().as_uri() + "?mode=ro"
        self._query = f'SELECT count(*), sum(balance) FROM "{table}"'
        self._accounts = accounts
        self._total = total
        self.complete = threading.Event()
        self.torn: list[tuple[int, int]] = []
        self.shrunk: list[tuple[int, int]] = []

    def watch(self) -> None:
        try:
            with closing(sqlite3.connect(self._uri, uri=True, timeout=5, isolation_level=None)) as connection:
                while not self.stopping.is_set():
                    ((count, total),) = connection.execute(self._query).fetchall()
                    self._judge(count, total)
                    self.pause()
        except sqlite3.OperationalError:
            return  # no file or no table yet, or locked: tried again

    def _judge(self, count: int, total: int) -> None:
        if count == self._accounts:
            self.complete.set()
            if total != self._total:
                self.torn.append((count, total))
        elif count > self._accounts:
            self.torn.append((count, total))
        elif self.complete.is_set():
            self.shrunk.append((count, total))
        self.samples += self.complete.is_set()

    def assert_clean(self, at_least: int = 1) -> None:
        """No torn state was seen, in enough samples to mean something."""
        assert self.samples >= at_least, f"only {self.samples} samples of a complete bank"
        assert not self.torn, f"torn transactions: (accounts, sum) {self.torn[:5]}, expected sum {self._total}"
        assert not self.shrunk, f"accounts disappeared: (accounts, sum) {self.shrunk[:5]}"


class SlotSampler(Sampler):
    """Watches that no slot is ever confirmed beyond the mark that the target holds.

    The slots of the URL's database are watched. The slot is read first: the mark only grows, so a mark read
    later that is still behind is proof. A slot without any mark yet is not judged, nor a temporary one, which
    serves a copy.
    """

    def __init__(
        self,
        pg_url: str,
        read_mark: Callable[[], int | None],
        pattern: str = r"replicator\_%",
        pause: float = 0.002,
    ) -> None:
        super().__init__("slot-sampler", pause)
        self._url = pg_url
        self._read_mark = read_mark
        self._pattern = pattern
        self.highest = 0
        self.violations: list[tuple[str, int, int]] = []

    def watch(self) -> None:
        try:
            with closing(psycopg2.connect(self._url, connect_timeout=5)) as connection:
                connection.autocommit = True
                with connection.cursor() as cursor:
                    while not self.stopping.is_set():
                        cursor.execute(
                            "SELECT slot_name, (confirmed_flush_lsn - '0/0')::bigint"
                            " FROM pg_replication_slots WHERE slot_name LIKE %s AND NOT temporary"
                            " AND database = current_database() AND confirmed_flush_lsn IS NOT NULL",
                            (self._pattern,),
                        )
                        self._judge(dict(cursor.fetchall()))
                        self.pause()
        except (psycopg2.OperationalError, psycopg2.InterfaceError):
            return  # the source is away: tried again

    def _judge(self, confirmed: dict[str, int]) -> None:
        if not confirmed:
            return
        mark = self._read_mark()
        if mark is None:
            return
        for slot, position in confirmed.items():
            self.samples += 1
            self.highest = max(self.highest, position)
            if position > mark:
                self.violations.append((slot, position, mark))

    def assert_clean(self, at_least: int = 1) -> None:
        """No slot was seen beyond its mark, in enough samples to mean something."""
        assert self.samples >= at_least, f"only {self.samples} samples of a slot with a mark"
        shown = [f"{slot}: confirmed {at:X}, mark {mark:X}" for slot, at, mark in self.violations[:5]]
        assert not self.violations, f"{len(self.violations)} times a slot was ahead of its mark: {shown}"


class MysqlBankSampler(BankSampler):
    """The same in a MySQL or MariaDB target, by connections that `connect` opens."""

    def __init__(self, connect: Callable[[], Any], accounts: int, total: int, pause: float = 0.002) -> None:
        super().__init__("", accounts, total, pause=pause)
        self._connect = connect

    def watch(self) -> None:
        try:
            with self._connect() as connection, connection.cursor() as cursor:
                while not self.stopping.is_set():
                    cursor.execute("SELECT count(*), sum(balance) FROM bank")
                    ((count, total),) = cursor.fetchall()
                    self._judge(count, total)
                    self.pause()
        except (pymysql.err.OperationalError, pymysql.err.ProgrammingError):
            return  # no table yet, or no server


class PostgresBankSampler(BankSampler):
    """The same in a PostgreSQL target."""

    def __init__(self, url: str, accounts: int, total: int, pause: float = 0.002) -> None:
        super().__init__("", accounts, total, pause=pause)
        self._url = url

    def watch(self) -> None:
        try:
            with closing(psycopg2.connect(self._url, connect_timeout=5)) as connection:
                connection.autocommit = True
                with connection.cursor() as cursor:
                    while not self.stopping.is_set():
                        cursor.execute(self._query)
                        ((count, total),) = cursor.fetchall()
                        self._judge(count, total)
                        self.pause()
        except (psycopg2.OperationalError, psycopg2.InterfaceError, psycopg2.errors.UndefinedTable):
            return  # no table yet, or no server
