"""Load on a PostgreSQL source whose outcome is known: what was committed, once, and what must never be seen.

Three tables: `tally`, without any key, shows lost and doubled changes by its count; `bank`, whose sum never
changes, shows torn transactions while they run; `items` makes every kind of change that is hard to replicate.
"""

from __future__ import annotations

import random
import secrets
import threading
import time
from collections import Counter
from contextlib import closing, suppress
from types import TracebackType
from typing import Any, Self

import psycopg2
from psycopg2.extensions import connection as Connection

from tests.support import workload_items
from tests.support.samplers import BankSampler, SlotSampler
from tests.support.wait import until

__all__ = ["TABLES", "BankSampler", "SlotSampler", "Workload"]

TABLES = ("public.tally", "public.bank", "public.items")
LOST = (psycopg2.OperationalError, psycopg2.InterfaceError)
OPENING_BALANCE = 1000
SCHEMA = f"""
CREATE TABLE tally (op_id bigint NOT NULL, worker int NOT NULL, payload text);
ALTER TABLE tally REPLICA IDENTITY FULL;
CREATE TABLE bank (id int PRIMARY KEY, balance bigint NOT NULL);
{workload_items.TABLE}
"""


class Workload:
    """Several writers, each with its own connection and its own random numbers: `seed` plus its number.

    `run` works through a number of transactions here and now, the same for the same seed; `start` and `stop`
    let all writers run side by side. With `resilient` a lost connection is made anew, as an application would
    do it; a transaction whose commit was lost on the way is looked up at the source when it is asked for.
    """

    def __init__(
        self,
        url: str,
        workers: int = 4,
        seed: int = 0,
        *,
        resilient: bool = False,
        accounts: int = 20,
        pause: float = 0.0,
    ) -> None:
        self.url = url
        self.accounts = accounts
        self.total = accounts * OPENING_BALANCE
        self._writers = [Writer(url, number, seed, resilient, accounts) for number in range(workers)]
        self._pause = pause
        self._stopping = threading.Event()
        self._threads: list[threading.Thread] = []

    def create(self) -> Self:
        """Make the tables, and the accounts of the bank."""
        with closing(psycopg2.connect(self.url)) as connection, connection, connection.cursor() as cursor:
            cursor.execute(SCHEMA)
            cursor.execute(
                "INSERT INTO bank SELECT id, %s FROM generate_series(1, %s) AS id",
                (OPENING_BALANCE, self.accounts),
            )
        return self

    def run(self, transactions: int) -> Self:
        """Every writer's next transactions, one writer after the other."""
        for writer in self._writers:
            for _ in range(transactions):
                writer.step()
            writer.disconnect()
        return self

    def start(self) -> Self:
        self._stopping.clear()
        self._threads = [
            threading.Thread(target=writer.work, args=(self._stopping, self._pause), name=f"writer-{writer.number}")
            for writer in self._writers
        ]
        for thread in self._threads:
            thread.start()
        return self

    def stop(self) -> None:
        """End all writers after their present transactions; raise what stopped one of them early."""
        self._stopping.set()
        for thread in self._threads:
            thread.join()
        self._threads.clear()
        for writer in self._writers:
            if writer.error is not None:
                error, writer.error = writer.error, None
                raise error

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self.stop()
        else:
            with suppress(Exception):
                self.stop()

    @property
    def counts(self) -> Counter[str]:
        """What was committed so far, by kind; also `rolled_back`, `lost` connections, `unknown` commits."""
        total: Counter[str] = Counter()
        for writer in self._writers:
            total.update(dict(writer.counts))
        return total

    def wait_for(self, transactions: int, timeout: float = 60.0) -> None:
        """Wait until that many more transactions were committed."""
        wanted = self.counts["transactions"] + transactions

        def reached() -> bool:
            failed = next((writer.error for writer in self._writers if writer.error is not None), None)
            if failed is not None:
                raise AssertionError("a writer has stopped") from failed
            return self.counts["transactions"] >= wanted

        until(reached, timeout, f"{transactions} transactions of the workload")

    def tally_ids(self) -> list[int]:
        """The op_id of every committed tally row; asks the source about commits of unknown outcome."""
        unknown = [number for writer in self._writers for number in writer.unknown]
        known = [number for writer in self._writers for number in writer.committed]
        if unknown:
            with closing(psycopg2.connect(self.url)) as connection, connection.cursor() as cursor:
                connection.autocommit = True
                for writer in self._writers:
                    end_session(cursor, writer.lost_session)
                cursor.execute("SELECT op_id FROM tally WHERE op_id = ANY(%s)", (unknown,))
                known += [number for (number,) in cursor.fetchall()]
        return sorted(known)

    def check_source(self) -> None:
        """The source itself is what this workload says; anything else would blame the product for it."""
        with closing(psycopg2.connect(self.url)) as connection, connection, connection.cursor() as cursor:
            cursor.execute("SELECT op_id FROM tally ORDER BY op_id")
            assert [number for (number,) in cursor.fetchall()] == self.tally_ids(), "the source's tally is off"
            cursor.execute("SELECT count(*), sum(balance) FROM bank")
            assert cursor.fetchone() == (self.accounts, self.total), "the source's bank is off"


class Writer:
    """One connection's worth of transactions."""

    def __init__(self, url: str, number: int, seed: int, resilient: bool, accounts: int) -> None:
        self.number = number
        self.counts: Counter[str] = Counter()
        self.committed: list[int] = []
        self.unknown: list[int] = []
        self.error: BaseException | None = None
        self._url = url
        self._resilient = resilient
        self._accounts = accounts
        self._rng = random.Random(seed + number)
        self._items = workload_items.Items(number, self._rng)
        self._last_op = number << 40
        self._connection: Connection | None = None
        self._session = ""
        self.lost_session = ""

    def work(self, stopping: threading.Event, pause: float) -> None:
        """The body of the writer's thread."""
        try:
            while not stopping.is_set():
                try:
                    self.step()
                except psycopg2.Error as error:
                    if not (self._resilient and self._lost(error)):
                        raise
                    self.counts["lost"] += 1
                    self.lost_session = self._session
                    self.disconnect()
                    stopping.wait(0.05)
                if pause:
                    time.sleep(pause)
        except BaseException as error:
            self.error = error
        finally:
            self.disconnect()

    def disconnect(self) -> None:
        if self._connection is not None:
            with suppress(psycopg2.Error):
                self._connection.close()
        self._connection = None

    def step(self) -> None:
        """One transaction, committed or rolled back."""
        connection = self._connection or self._connect()
        done: Counter[str] = Counter()
        added: list[int] = []
        with self._items.undoable() as undo:
            with connection.cursor() as cursor:
                parts = self._rng.sample((self._tally, self._transfer, self._change_items), self._rng.randint(1, 3))
                for part in parts:
                    part(cursor, done, added)
            if self._rng.random() < 0.1:
                connection.rollback()
                self.counts["rolled_back"] += 1
                return
            try:
                connection.commit()
            except psycopg2.Error as error:
                if self._lost(error):
                    self.unknown += added
                    self.counts["unknown"] += 1
                raise
            undo.keep()
        self.committed += added
        self.counts.update(done)
        self.counts["transactions"] += 1

    def _lost(self, error: psycopg2.Error) -> bool:
        """Is the connection gone (or the transaction, by no fault of its own)?"""
        return isinstance(error, LOST) or (self._connection is not None and bool(self._connection.closed))

    def _connect(self) -> Connection:
        self._session = f"workload-{self.number}-{secrets.token_hex(6)}"
        connection = psycopg2.connect(self._url, connect_timeout=10, application_name=self._session)
        try:
            with connection.cursor() as cursor:
                end_session(cursor, self.lost_session)
                connection.rollback()
                self._items.load(cursor)
                cursor.execute("SELECT max(op_id) FROM tally WHERE worker = %s", (self.number,))
                for (highest,) in cursor.fetchall():
                    self._last_op = max(self._last_op, highest or 0)
            connection.commit()
        except BaseException:
            connection.close()
            raise
        self._connection = connection
        return connection

    def _tally(self, cursor: Any, done: Counter[str], added: list[int]) -> None:
        for _ in range(self._rng.randint(1, 5)):
            if self._rng.random() < 0.1:
                cursor.execute("SAVEPOINT tally")
                cursor.execute("INSERT INTO tally VALUES (-1, %s, 'taken back')", (self.number,))
                cursor.execute("ROLLBACK TO SAVEPOINT tally")
            self._last_op += 1
            payload = self._rng.randbytes(self._rng.randint(0, 40)).hex()
            cursor.execute("INSERT INTO tally VALUES (%s, %s, %s)", (self._last_op, self.number, payload))
            added.append(self._last_op)
            done["tally"] += 1

    def _transfer(self, cursor: Any, done: Counter[str], added: list[int]) -> None:
        """Accounts are locked in one order by all writers: a deadlock would be an accident of the test."""
        chosen = self._rng.sample(range(1, self._accounts + 1), self._rng.randint(2, 4))
        amounts = [self._rng.randint(-100, 100) for _ in chosen[1:]]
        for account, amount in sorted(zip(chosen, [*amounts, -sum(amounts)], strict=True)):
            cursor.execute("UPDATE bank SET balance = balance + %s WHERE id = %s", (amount, account))
        done["transfers"] += 1

    def _change_items(self, cursor: Any, done: Counter[str], added: list[int]) -> None:
        for _ in range(self._rng.randint(1, 6)):
            done[self._items.act(cursor)] += 1


def end_session(cursor: Any, name: str, timeout: float = 20.0) -> None:
    """A session that we have lost may still be at work, even committing. Only when it is gone has its last
    transaction an outcome."""

    def gone() -> bool:
        cursor.execute(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name = %s",
            (name,),
        )
        return bool(cursor.fetchone() == (0,))

    if name:
        until(gone, timeout, f"the end of the lost session {name}")
