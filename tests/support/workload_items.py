"""Changes of a table with keys, a second unique column and values of every size: hard to replicate."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol

TABLE = """
CREATE TABLE items (
    id bigint PRIMARY KEY,
    worker int NOT NULL,
    code text NOT NULL UNIQUE,
    place bigint NOT NULL,
    price numeric(12, 2),
    amount numeric,
    ratio double precision,
    done boolean,
    changed_at timestamptz,
    details jsonb,
    note text,
    body text,
    UNIQUE (place) DEFERRABLE INITIALLY IMMEDIATE
);
ALTER TABLE items ALTER body SET STORAGE EXTERNAL;
"""
NULLABLE = ("price", "amount", "ratio", "done", "changed_at", "details", "note", "body")
RANGE = 10_000_000_000
LONG = 10_000
MOST_ROWS = 60


class Cursor(Protocol):
    """What is needed of a DBAPI cursor."""

    def execute(self, query: str, vars: Any = None) -> Any: ...

    def fetchall(self) -> list[tuple[Any, ...]]: ...


@dataclass(frozen=True)
class Place:
    """The two unique values of a row besides its key."""

    code: str
    place: int


class Items:
    """One worker's rows. No other worker touches them, so that every statement's outcome is known beforehand;
    the rows of all workers lie side by side in one table and in the same indexes."""

    def __init__(self, worker: int, rng: random.Random) -> None:
        self.worker = worker
        self.rng = rng
        self.rows: dict[int, Place] = {}
        self._next = worker * RANGE
        self._depth = 0

    def load(self, cursor: Cursor) -> None:
        """Learn what is there: at the start, and after a commit whose outcome is not known."""
        cursor.execute("SELECT id, code, place FROM items WHERE worker = %s ORDER BY id", (self.worker,))
        self.rows = {key: Place(code, place) for key, code, place in cursor.fetchall()}
        used = [abs(key) for key in self.rows] + [row.place for row in self.rows.values()]
        used += [int(number) for row in self.rows.values() for number in re.findall(r"\d+$", row.code)]
        self._next = max([self._next, *(number + 1 for number in used)])

    def undoable(self) -> AbstractContextManager[Undo]:
        return Undo(self)

    def act(self, cursor: Cursor) -> str:
        """Do one change chosen at random, and return its name."""
        fresh = ("insert", "insert_delete")
        one = (
            *("update", "update", "update", "same_values", "short_only", "long_only", "move_key", "delete"),
            *("delete_insert", "many_updates", "savepoint"),
        )
        two = ("swap_keys", "swap_codes", "swap_places", "shift_places", "update_all")
        if len(self.rows) >= MOST_ROWS:
            name = self.rng.choice(("delete", "delete", *two))
        else:
            known = one if self.rows else ()
            name = self.rng.choice((*fresh, *fresh[:1] * 4, *known, *(two if len(self.rows) > 2 else ())))
        getattr(self, name)(cursor)
        return name

    # -- changes ---------------------------------------------------------------------------------------

    def insert(self, cursor: Cursor) -> int:
        number = self._number()
        key = -number if self.rng.random() < 0.05 else number
        self._insert(cursor, key, Place(self._code(number), number))
        return key

    def insert_delete(self, cursor: Cursor) -> None:
        key = self.insert(cursor)
        self._delete(cursor, key)

    def update(self, cursor: Cursor) -> None:
        self._set(cursor, self._key(), self.rng.sample(NULLABLE, self.rng.randint(1, 4)))

    def same_values(self, cursor: Cursor) -> None:
        cursor.execute("UPDATE items SET note = note, body = body WHERE id = %s", (self._key(),))

    def short_only(self, cursor: Cursor) -> None:
        """The long value is not sent: the target must keep what it has."""
        self._set(cursor, self._key(), ("note",))

    def long_only(self, cursor: Cursor) -> None:
        self._set(cursor, self._key(), ("body",))

    def many_updates(self, cursor: Cursor) -> None:
        key = self._key()
        for _ in range(self.rng.randint(2, 20)):
            self._set(cursor, key, ("amount",))

    def update_all(self, cursor: Cursor) -> None:
        cursor.execute("UPDATE items SET price = price + 1 WHERE worker = %s", (self.worker,))

    def move_key(self, cursor: Cursor) -> None:
        self._move(cursor, self._key(), self._number())

    def swap_keys(self, cursor: Cursor) -> None:
        first, second = self._two()
        aside = -self._number()
        self._move(cursor, first, aside)
        self._move(cursor, second, first)
        self._move(cursor, aside, second)

    def swap_codes(self, cursor: Cursor) -> None:
        first, second = self._two()
        codes = self.rows[first].code, self.rows[second].code
        for key, code in ((first, f"aside-{self.worker}"), (second, codes[0]), (first, codes[1])):
            cursor.execute("UPDATE items SET code = %s WHERE id = %s", (code, key))
            self.rows[key] = Place(code, self.rows[key].place)

    def swap_places(self, cursor: Cursor) -> None:
        """In one statement, as only a deferrable constraint allows it."""
        keys = self.rng.sample(sorted(self.rows), self.rng.choice((2, 3)))
        places = [self.rows[key].place for key in keys]
        turned = dict(zip(keys, places[1:] + places[:1], strict=True))
        whens = " ".join("WHEN %s THEN %s" for _ in turned)
        pairs = [value for pair in turned.items() for value in pair]
        cursor.execute(f"UPDATE items SET place = CASE id {whens} END WHERE id = ANY(%s)", (*pairs, keys))
        for key, place in turned.items():
            self.rows[key] = Place(self.rows[key].code, place)

    def shift_places(self, cursor: Cursor) -> None:
        """Every row takes the value that its neighbour may have had."""
        cursor.execute("UPDATE items SET place = place + 1 WHERE worker = %s", (self.worker,))
        self.rows = {key: Place(row.code, row.place + 1) for key, row in self.rows.items()}
        self._next += 1

    def delete(self, cursor: Cursor) -> None:
        self._delete(cursor, self._key())

    def delete_insert(self, cursor: Cursor) -> None:
        key = self._key()
        row = self.rows[key]
        self._delete(cursor, key)
        number = self._number()
        self._insert(cursor, key, self.rng.choice((row, Place(self._code(number), number))))

    def savepoint(self, cursor: Cursor) -> None:
        """Changes that are taken back inside a transaction that goes on."""
        name = f"s{self._depth}"
        cursor.execute(f"SAVEPOINT {name}")
        self._depth += 1
        with self.undoable() as undo:
            for _ in range(self.rng.randint(1, 3)):
                self.act(cursor)
            if self.rng.random() < 0.8:
                cursor.execute(f"ROLLBACK TO SAVEPOINT {name}")
            else:
                cursor.execute(f"RELEASE SAVEPOINT {name}")
                undo.keep()
        self._depth -= 1

    # -- their parts -----------------------------------------------------------------------------------

    def _number(self) -> int:
        self._next += 1
        return self._next

    def _code(self, number: int) -> str:
        return f"{self.rng.choice(('x', 'X', 'é', 'a b', ''))}{number}"

    def _key(self) -> int:
        return self.rng.choice(sorted(self.rows))

    def _two(self) -> tuple[int, int]:
        first, second = self.rng.sample(sorted(self.rows), 2)
        return first, second

    def _insert(self, cursor: Cursor, key: int, row: Place) -> None:
        values = [self.value(column) for column in NULLABLE]
        marks = ", ".join(["%s"] * (4 + len(NULLABLE)))
        cursor.execute(
            f"INSERT INTO items (id, worker, code, place, {', '.join(NULLABLE)}) VALUES ({marks})",
            (key, self.worker, row.code, row.place, *values),
        )
        self.rows[key] = row

    def _delete(self, cursor: Cursor, key: int) -> None:
        cursor.execute("DELETE FROM items WHERE id = %s", (key,))
        del self.rows[key]

    def _move(self, cursor: Cursor, key: int, to: int) -> None:
        cursor.execute("UPDATE items SET id = %s WHERE id = %s", (to, key))
        self.rows[to] = self.rows.pop(key)

    def _set(self, cursor: Cursor, key: int, columns: Iterable[str]) -> None:
        columns = tuple(columns)
        marks = ", ".join(f"{column} = %s" for column in columns)
        cursor.execute(f"UPDATE items SET {marks} WHERE id = %s", (*(self.value(column) for column in columns), key))

    def value(self, column: str) -> Any:
        """A random value of a column, NULL now and then."""
        rng = self.rng
        if rng.random() < 0.15:
            return None
        match column:
            case "price":
                return f"{rng.randint(-(10**9), 10**9)}.{rng.randint(0, 99):02}"
            case "amount":
                number = f"{rng.randint(-(10**30), 10**30)}.{rng.randint(0, 10**12)}"
                return rng.choice((number, number, "0.00", "NaN", "-Infinity", "1e-20"))
            case "ratio":
                return rng.choice((rng.uniform(-1e9, 1e9), rng.random() * 10.0 ** rng.randint(-300, 300)))
            case "done":
                return rng.random() < 0.5
            case "changed_at":
                moment = f"{rng.randint(1, 9999):04}-{rng.randint(1, 12):02}-{rng.randint(1, 28):02}"
                moment += f" {rng.randint(0, 23):02}:{rng.randint(0, 59):02}:00.{rng.randint(0, 999_999):06}+00"
                return rng.choice((moment, moment, moment, "infinity", "0044-03-15 12:00+00 BC"))
            case "details":
                inner = {"ä": rng.randint(0, 9), "b": [None, True, "\t\"'\\"], "n": rng.random()}
                return json.dumps(rng.choice((inner, [inner, inner], {}, "text", None)))
            case "note":
                return rng.choice(("", "NULL", "\\N", "tab\tnewline\n\\", 'it\'s "so"', "😀", self._word(9)))
            case _:
                return self._word(rng.choice((0, 40, LONG)))

    def _word(self, length: int) -> str:
        return self.rng.randbytes(length).hex()


class Undo:
    """Puts a worker's idea of its rows back at the end of the block, unless they are kept."""

    def __init__(self, items: Items) -> None:
        self._items = items
        self._before = dict(items.rows)
        self._kept = False

    def keep(self) -> None:
        self._kept = True

    def __enter__(self) -> Undo:
        return self

    def __exit__(self, *_: object) -> None:
        if not self._kept:
            self._items.rows = self._before
