"""Rows events: the rows that a statement wrote, changed or deleted. Bytes in, values out, no I/O.

https://dev.mysql.com/doc/dev/mysql-server/latest/classmysql_1_1binlog_1_1event_1_1Rows__event.html
https://mariadb.com/docs/server/reference/clientserver-protocol/replication-protocol/rows_event_v1v2
"""

from __future__ import annotations

import itertools
import struct
from collections.abc import Callable, Collection, Sequence
from struct import Struct
from typing import NamedTuple, NoReturn

from replicator.engines.mysql.tablemap import TableMap
from replicator.errors import NotUnderstood
from replicator.model.values import MISSING, Row, Value

Decode = Callable[[bytes, int, list[Value]], int]
"""Appends the value that begins at this place of the event, and returns where it ends.

It need not look where the event ends: the end of a row is compared with it. The decoder of a column that is left out
appends nothing.
"""

WRITES = frozenset([23, 30])
UPDATES = frozenset([24, 31])
DELETES = frozenset([25, 32])
VERSION_1 = frozenset([23, 24, 25])
PARTIAL_UPDATE = 39
END_OF_STATEMENT = 0x01

_PLANS = 256
"""How many combinations of NULLs have a way of their own to be read, for each form of a row."""

BROKEN = (ValueError, IndexError, KeyError, OverflowError, struct.error)
"""What a decoder raises on bytes that are no value of its type; UnicodeDecodeError is a ValueError."""


class Heading(NamedTuple):
    """`table`: the id of the TABLE_MAP before it. `flags`: END_OF_STATEMENT and others. `at`: where the rest begins."""

    table: int
    flags: int
    at: int


class Rows(NamedTuple):
    """The rows of one event: `before` of updates and deletes, `after` of inserts and updates, else None.

    The values stand in the order of the wire's columns, without those that the decoder was told to leave out. A
    column that the event does not carry is MISSING (`binlog_row_image`).
    """

    before: list[Row] | None
    after: list[Row] | None


def heading(kind: int, body: bytes) -> Heading:
    """What a rows event begins with. `body`: behind the event's header, without a checksum."""
    if kind == PARTIAL_UPDATE:
        raise NotUnderstood(
            "the log has updates of parts of JSON documents",
            remedy="SET GLOBAL binlog_row_value_options = ''",
        )
    if kind not in WRITES | UPDATES | DELETES:
        raise NotUnderstood(f"event {kind} of the log is no rows event that is understood")
    at = 8 if kind in VERSION_1 else 10
    if len(body) < at:
        raise _ends_early()
    if kind not in VERSION_1:
        extra = int.from_bytes(body[8:10], "little")  # with these two bytes
        if extra < 2:
            raise NotUnderstood("a rows event of the log is not understood")
        at += extra - 2
    return Heading(int.from_bytes(body[:6], "little"), int.from_bytes(body[6:8], "little"), at)


class RowDecoder:
    """Decodes the rows events of one TABLE_MAP.

    `decoders` has one for each of the map's columns; `left_out` names those that do not become values. `letters` has
    a format of `struct`, or None, for each: what reads the same, so that neighbours are read at once.
    """

    def __init__(
        self,
        table: TableMap,
        decoders: Sequence[Decode],
        left_out: Collection[str] = (),
        letters: Sequence[str | None] = (),
    ) -> None:
        self._table = table
        self._decoders = tuple(decoders)
        self._letters = tuple(letters) or (None,) * len(self._decoders)
        self._wanted = [number for number, column in enumerate(table.columns) if column.name not in left_out]
        self._images: dict[bytes, _Image] = {}

    def rows(self, kind: int, body: bytes) -> Rows:
        """The rows of an event; all its bytes are used, or NotUnderstood is raised. No row is returned then."""
        table = self._table
        head = heading(kind, body)
        if head.table != table.id:
            raise NotUnderstood(f"{table.schema}.{table.name}: a rows event of the log is of another table")
        count, at = _number(body, head.at)
        if count != len(table.columns):
            raise NotUnderstood(
                f"{table.schema}.{table.name}: a rows event of {count} columns where the table has {len(table.columns)}"
            )
        size = (count + 7) // 8
        first = self._image(body[at : at + size])
        at += size
        if kind not in UPDATES:
            rows = self._each(body, at, first)
            return Rows(None, rows) if kind in WRITES else Rows(rows, None)
        second = self._image(body[at : at + size])
        return self._pairs(body, at + size, first, second)

    def _image(self, present: bytes) -> _Image:
        found = self._images.get(present)
        if found is None:
            if len(present) != (len(self._decoders) + 7) // 8:
                raise _ends_early()
            if len(self._images) > 64:
                self._images.clear()
            found = self._images[present] = _Image(present, self._decoders, self._wanted, self._letters)
        return found

    def _each(self, body: bytes, at: int, image: _Image) -> list[Row]:
        end = len(body)
        rows: list[Row] = []
        if not image.there:
            self._refuse_empty()
        read = image.read
        try:
            while at < end:
                row, at = read(body, at)
                rows.append(row)
        except BROKEN:
            self._blame(body, at, image)
        if at != end:
            raise self._overrun()
        return rows

    def _pairs(self, body: bytes, at: int, first: _Image, second: _Image) -> Rows:
        end = len(body)
        before: list[Row] = []
        after: list[Row] = []
        if not first.there and not second.there:
            self._refuse_empty()
        image = first
        try:
            while at < end:
                image = first
                row, at = first.read(body, at)
                before.append(row)
                image = second
                row, at = second.read(body, at)
                after.append(row)
        except BROKEN:
            self._blame(body, at, image)
        if at != end:
            raise self._overrun()
        return Rows(before, after)

    def _refuse_empty(self) -> NoReturn:
        raise NotUnderstood(
            f"{self._table.schema}.{self._table.name}: the log has rows without a single value",
            remedy="SET GLOBAL binlog_row_image = FULL",
        )

    def _overrun(self) -> NotUnderstood:
        return NotUnderstood(f"{self._table.schema}.{self._table.name}: a row of the log is longer than its event")

    def _blame(self, body: bytes, at: int, image: _Image) -> NoReturn:
        """Name the column that cannot be read in the row that begins at `at`."""
        table = self._table
        number = image.broken(body, at)
        if number is None:
            raise self._overrun() from None
        raise NotUnderstood(
            f"{table.schema}.{table.name}: a value of column {table.columns[number].name} in the log is not understood"
        ) from None


class _Image:
    """One form of a row: which of the columns are there."""

    def __init__(
        self, present: bytes, decoders: Sequence[Decode], wanted: Sequence[int], letters: Sequence[str | None]
    ) -> None:
        # The bits above the last column are 1 on MySQL, in both bitmaps.
        self.there = [number for number in range(len(decoders)) if present[number >> 3] >> (number & 7) & 1]
        self._bitmap = (len(self.there) + 7) // 8
        self._mask = (1 << len(self.there)) - 1
        bits = {number: 1 << bit for bit, number in enumerate(self.there)}
        kept = frozenset(wanted)
        # Its bit, 0 where it is not there; its decoder and what `struct` reads instead; whether it becomes a value.
        self._steps = [
            (bits.get(number, 0), decode, letters[number], number in kept)
            for number, decode in enumerate(decoders)
            if number in bits or number in kept
        ]
        self._plans: dict[int, list[Decode]] = {}

    def read(self, body: bytes, at: int) -> tuple[Row, int]:
        """The row that begins at `at`, and where it ends."""
        start = at
        at += self._bitmap
        nulls = int.from_bytes(body[start:at], "little") & self._mask
        values: list[Value] = []
        for decode in self._plans.get(nulls) or self._plan(nulls):
            at = decode(body, at, values)
        if at > len(body):
            raise IndexError
        return tuple(values), at

    def _plan(self, nulls: int) -> list[Decode]:
        """What reads a row with these columns NULL; kept for the first of these forms."""
        columns: list[tuple[Decode, str | None]] = []
        for bit, decode, letter, wanted in self._steps:
            if not bit:
                columns.append((_missing, None))
            elif not nulls & bit:
                columns.append((decode, letter))
            elif wanted:
                columns.append((_null, None))
        if len(self._plans) >= _PLANS:
            return [decode for decode, _ in columns]
        plan = self._plans[nulls] = _joined(columns)
        return plan

    def broken(self, body: bytes, at: int) -> int | None:
        """Which column of the row at `at` cannot be read, None where the event ends before it."""
        start = at
        at += self._bitmap
        nulls = int.from_bytes(body[start:at], "little")
        there = [(bit, decode) for bit, decode, _, _ in self._steps if bit]
        for number, (bit, decode) in zip(self.there, there, strict=True):
            if nulls & bit:
                continue
            try:
                at = decode(body, at, [])
            except BROKEN:
                return number if at < len(body) else None
        return None


def _null(body: bytes, at: int, values: list[Value]) -> int:
    values.append(None)
    return at


def _missing(body: bytes, at: int, values: list[Value]) -> int:
    values.append(MISSING)
    return at


def _joined(columns: Sequence[tuple[Decode, str | None]]) -> list[Decode]:
    """The decoders, those of neighbours that `struct` can read at once as one."""
    found: list[Decode] = []
    for plain, group in itertools.groupby(columns, lambda column: column[1] is None):
        several = list(group)
        if plain or len(several) == 1:
            found += [decode for decode, _ in several]
        else:
            found.append(_at_once(Struct("<" + "".join(letter or "" for _, letter in several))))
    return found


def _at_once(form: Struct) -> Decode:
    read, size = form.unpack_from, form.size

    def decode(data: bytes, at: int, values: list[Value]) -> int:
        values.extend(read(data, at))
        return at + size

    return decode


def _ends_early() -> NotUnderstood:
    return NotUnderstood("a rows event of the log ends too early")


def _number(data: bytes, at: int) -> tuple[int, int]:
    """A length-encoded integer and where it ends."""
    if at >= len(data):
        raise _ends_early()
    first = data[at]
    if first < 251:
        return first, at + 1
    size = {252: 2, 253: 3, 254: 8}.get(first, 0)
    return int.from_bytes(data[at + 1 : at + 1 + size], "little"), at + 1 + size
