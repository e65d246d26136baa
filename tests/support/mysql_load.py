"""Writers on a MySQL or MariaDB source whose outcome is known, for what is killed meanwhile."""

from __future__ import annotations

import random
import threading
import time
from contextlib import closing
from types import TracebackType
from typing import Any, Self

import pymysql

from tests.support.mysql_database import MysqlDatabase

SCHEMA = (
    "CREATE TABLE tally (op bigint NOT NULL, payload varchar(80))",
    "CREATE TABLE items (id int PRIMARY KEY, code varchar(40) NOT NULL UNIQUE, place bigint, note text, "
    "at timestamp(3) NULL)",
)
TABLES = ("tally", "items")
KEYS = 40
"""Keys of each writer's own."""
DEADLOCK = 1213


class MysqlLoad:
    """`workers` writers, each with rows of its own. `tally`, which has no key, shows by its rows what was lost or
    doubled: `committed` are the numbers that must be in it, each once."""

    def __init__(self, database: MysqlDatabase, seed: int, workers: int = 2, pause: float = 0.005) -> None:
        self._database = database
        self._pause = pause
        self._stopping = threading.Event()
        self._threads: list[threading.Thread] = []
        self._failed: list[BaseException] = []
        self._rngs = [random.Random(seed + number) for number in range(workers)]
        self._next = [number << 32 for number in range(workers)]
        self.committed: list[int] = []
        database.execute(*SCHEMA)

    def run(self, transactions: int) -> Self:
        """Every writer's next transactions, one writer after the other."""
        for number in range(len(self._rngs)):
            with closing(self._database.connect()) as connection, connection.cursor() as cursor:
                for _ in range(transactions):
                    self._step(number, cursor)
        return self

    def __enter__(self) -> Self:
        self._stopping.clear()
        self._threads = [threading.Thread(target=self._work, args=(number,)) for number in range(len(self._rngs))]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopping.set()
        for thread in self._threads:
            thread.join()
        if self._failed and error is None:
            raise self._failed[0]

    def _work(self, number: int) -> None:
        try:
            with closing(self._database.connect()) as connection, connection.cursor() as cursor:
                while not self._stopping.is_set():
                    try:
                        self._step(number, cursor)
                    except pymysql.err.OperationalError as error:
                        if error.args[0] != DEADLOCK:  # after which nothing of the transaction is left
                            raise
                    time.sleep(self._pause)
        except BaseException as error:
            self._failed.append(error)

    def _step(self, number: int, cursor: Any) -> None:
        """One transaction, most often committed."""
        rng, added = self._rngs[number], []
        cursor.execute("BEGIN")
        for _ in range(rng.randint(1, 4)):
            if rng.random() < 0.1:
                cursor.execute("SAVEPOINT s")
                cursor.execute("INSERT INTO tally VALUES (-1, 'taken back')")
                cursor.execute("ROLLBACK TO s")
            self._next[number] += 1
            added.append(self._next[number])
            cursor.execute("INSERT INTO tally VALUES (%s, %s)", (added[-1], "p" * rng.randint(0, 40)))
            self._change(number, cursor)
        if rng.random() < 0.1:
            cursor.execute("ROLLBACK")
        else:
            cursor.execute("COMMIT")
            self.committed += added

    def _change(self, number: int, cursor: Any) -> None:
        rng = self._rngs[number]
        key, other = (number * 10_000 + rng.randrange(KEYS) for _ in range(2))
        match rng.randrange(5):
            case 0 | 1:
                values = (key, f"{key}-{rng.randrange(3)}", rng.randrange(1 << 40), "n" * rng.randrange(300))
                cursor.execute("REPLACE INTO items VALUES (%s, %s, %s, %s, NOW(3))", values)
            case 2:
                cursor.execute("UPDATE IGNORE items SET id = %s WHERE id = %s", (other, key))
            case 3:
                cursor.execute("UPDATE items SET place = place + 1, note = NULL WHERE id = %s", (key,))
            case _:
                cursor.execute("DELETE FROM items WHERE id = %s", (key,))
