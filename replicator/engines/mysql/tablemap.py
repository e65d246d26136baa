"""TABLE_MAP events: the shape of the rows that follow. Bytes in, values out, no I/O.

https://dev.mysql.com/doc/dev/mysql-server/latest/classmysql_1_1binlog_1_1event_1_1Table__map__event.html
https://mariadb.com/docs/server/reference/clientserver-protocol/replication-protocol/table_map_event

Names, character sets, labels and keys are there with `binlog_row_metadata = FULL` only.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import NamedTuple, TypeVar

from replicator.engines.mysql.charsets import decoder_of
from replicator.errors import NotUnderstood

T = TypeVar("T")
FULL = "SET GLOBAL binlog_row_metadata = FULL"


class Code(IntEnum):
    """Type codes of the log. ENUM and SET come as STRING there, with their own code in its metadata."""

    DECIMAL = 0
    TINY = 1
    SHORT = 2
    LONG = 3
    FLOAT = 4
    DOUBLE = 5
    TIMESTAMP = 7
    LONGLONG = 8
    INT24 = 9
    DATE = 10
    TIME = 11
    DATETIME = 12
    YEAR = 13
    VARCHAR = 15
    BIT = 16
    TIMESTAMP2 = 17
    DATETIME2 = 18
    TIME2 = 19
    TYPED_ARRAY = 20
    BLOB_COMPRESSED = 140
    VARCHAR_COMPRESSED = 141
    VECTOR = 242
    JSON = 245
    NEWDECIMAL = 246
    ENUM = 247
    SET = 248
    BLOB = 252
    STRING = 254
    GEOMETRY = 255


class Heading(NamedTuple):
    """What a TABLE_MAP begins with: enough to know whether the table is followed."""

    id: int
    schema: str
    name: str


@dataclass(frozen=True)
class WireColumn:
    """A column as the log has it.

    `meta` is a length in bytes (VARCHAR, STRING), the size of the length before a value in bytes (BLOB, GEOMETRY,
    JSON, VECTOR) or of the value (ENUM, SET), a number of bits (BIT), digits of the second's fraction (TIMESTAMP2,
    DATETIME2, TIME2), or 256 * precision + scale (NEWDECIMAL). `collation` is that of text, bytes, ENUM and SET;
    `labels` those of ENUM and SET; `geometry` 0 to 7, as in WKB; `dimensions` a VECTOR's.
    """

    name: str
    code: Code
    meta: int
    nullable: bool
    unsigned: bool = False
    collation: int | None = None
    labels: tuple[str, ...] | None = None
    geometry: int | None = None
    dimensions: int | None = None
    visible: bool = True


@dataclass(frozen=True)
class TableMap:
    """`key`: the primary key's columns, None where there is none."""

    id: int
    schema: str
    name: str
    columns: tuple[WireColumn, ...]
    key: tuple[str, ...] | None


_NUMBERS = frozenset(
    [
        Code.TINY,
        Code.SHORT,
        Code.INT24,
        Code.LONG,
        Code.LONGLONG,
        Code.NEWDECIMAL,
        Code.FLOAT,
        Code.DOUBLE,
        Code.YEAR,
    ]
)
_CHARACTERS = frozenset([Code.STRING, Code.VARCHAR, Code.BLOB, Code.BLOB_COMPRESSED, Code.VARCHAR_COMPRESSED])
# Both as run: MySQL lists a VECTOR's character set and not a GEOMETRY's, MariaDB the other way round.
_CHARACTERS_MYSQL = _CHARACTERS | {Code.VECTOR}
_CHARACTERS_MARIADB = _CHARACTERS | {Code.GEOMETRY}
_LABELLED = frozenset([Code.ENUM, Code.SET])

_ONE_BYTE = frozenset(
    [
        Code.FLOAT,
        Code.DOUBLE,
        Code.BLOB,
        Code.BLOB_COMPRESSED,
        Code.GEOMETRY,
        Code.JSON,
        Code.VECTOR,
        Code.TIMESTAMP2,
        Code.DATETIME2,
        Code.TIME2,
    ]
)
_TWO_BYTES_LITTLE = frozenset([Code.VARCHAR, Code.VARCHAR_COMPRESSED])


class _Field(IntEnum):
    """The optional metadata's fields."""

    SIGNEDNESS = 1
    DEFAULT_CHARSET = 2
    COLUMN_CHARSET = 3
    COLUMN_NAME = 4
    SET_LABELS = 5
    ENUM_LABELS = 6
    GEOMETRY_TYPE = 7
    SIMPLE_KEY = 8
    PREFIX_KEY = 9
    LABELLED_DEFAULT_CHARSET = 10
    LABELLED_COLUMN_CHARSET = 11
    VISIBILITY = 12
    DIMENSIONS = 13


class _Bytes:
    """Bytes read from the front; every length is checked before it is used."""

    __slots__ = ("at", "data", "end")

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0
        self.end = len(data)

    def take(self, count: int) -> bytes:
        start, self.at = self.at, self.at + count
        if self.at > self.end:
            raise NotUnderstood("a TABLE_MAP event of the log ends too early")
        return self.data[start : self.at]

    def byte(self) -> int:
        return self.take(1)[0]

    def number(self) -> int:
        """A length-encoded integer."""
        first = self.byte()
        if first < 251:
            return first
        size = {252: 2, 253: 3, 254: 8}.get(first)
        if size is None:
            raise NotUnderstood("a TABLE_MAP event of the log has a number of no known form")
        return int.from_bytes(self.take(size), "little")

    def string(self) -> bytes:
        return self.take(self.number())

    def name(self) -> str:
        """A name of the event's head: its length in a byte, and a NUL behind it."""
        return _text(self.take(self.byte() + 1)[:-1])

    def numbers(self) -> Iterator[int]:
        while self.at < self.end:
            yield self.number()


def heading(body: bytes) -> Heading:
    """Which table an event is about. `body`: behind the event's header, without a checksum."""
    return _heading(_Bytes(body))


def table_map(body: bytes, *, mariadb: bool) -> TableMap:
    """The shape of a table's rows. Raises NotUnderstood, with the remedy where the log's metadata are not full."""
    data = _Bytes(body)
    head = _heading(data)
    table = f"{head.schema}.{head.name}"
    kinds = data.take(data.number())
    metas = _Bytes(data.string())
    nullable = _bits_low_first(data.take((len(kinds) + 7) // 8), len(kinds))
    shapes = [_shape(kind, metas, table) for kind in kinds]
    if metas.at != metas.end:
        raise NotUnderstood(f"{table}: the metadata of its columns in the log are not understood")
    fields = _Optional(data, [code for code, _ in shapes], table, mariadb=mariadb)
    columns = []
    for number, (code, meta) in enumerate(shapes):
        columns.append(fields.column(number, code, meta, nullable[number]))
    key = fields.key()
    return TableMap(*head, tuple(columns), None if key is None else tuple(columns[number].name for number in key))


def _heading(data: _Bytes) -> Heading:
    number = int.from_bytes(data.take(6), "little")
    data.take(2)
    return Heading(number, data.name(), data.name())


def _shape(kind: int, metas: _Bytes, table: str) -> tuple[Code, int]:
    """A column's own code and its metadata as one number."""
    try:
        code = Code(kind)
        if code is Code.STRING:
            return _string_shape(metas.byte(), metas.byte())
    except ValueError:
        raise NotUnderstood(f"{table}: type {kind} of a column in the log is not understood") from None
    if code in _ONE_BYTE:
        return code, metas.byte()
    if code in _TWO_BYTES_LITTLE:
        return code, int.from_bytes(metas.take(2), "little")
    if code is Code.NEWDECIMAL:
        return code, int.from_bytes(metas.take(2), "big")
    if code is Code.BIT:
        rest, whole = metas.take(2)
        return code, whole * 8 + rest
    if code is Code.TYPED_ARRAY:
        element = metas.byte()
        if element != code:
            return code, _shape(element, metas, table)[0]
    if code in (Code.DECIMAL, Code.ENUM, Code.SET, Code.TYPED_ARRAY):  # which come in no log of these servers
        raise NotUnderstood(f"{table}: type {kind} of a column in the log is not understood")
    return code, 0


def _string_shape(high: int, low: int) -> tuple[Code, int]:
    """STRING's metadata: its real type, and a length whose bits 8 and 9 lie inverted in that type's bits 4 and 5."""
    code = Code(high | 0x30)
    if code not in (Code.STRING, Code.ENUM, Code.SET):
        raise ValueError(high)
    return code, ((high & 0x30 ^ 0x30) << 4) | low


class _Optional:
    """The optional metadata: fields of (type, length, value), each about the columns of some types, in order."""

    def __init__(self, data: _Bytes, codes: Sequence[Code], table: str, *, mariadb: bool) -> None:
        self._table = table
        self._codes = codes
        self._fields: dict[_Field, bytes] = {}
        while data.at < data.end:
            kind, value = data.byte(), data.string()
            try:
                field = _Field(kind)
            except ValueError:
                raise NotUnderstood(f"{table}: field {kind} of a table's metadata is not understood") from None
            if field in self._fields:
                raise NotUnderstood(f"{table}: field {kind} of a table's metadata came twice")
            self._fields[field] = value
        characters = _CHARACTERS_MARIADB if mariadb else _CHARACTERS_MYSQL
        self._names = [_text(name) for name in self._strings(_Field.COLUMN_NAME)]
        if len(self._names) != len(codes):
            raise self._lacking("the names of its columns")
        if len(set(self._names)) != len(codes):
            raise NotUnderstood(f"{table}: two columns have one name in the log")
        self._unsigned = self._of(_NUMBERS, self._signedness())
        self._collations = {
            **self._collated(characters, _Field.DEFAULT_CHARSET, _Field.COLUMN_CHARSET),
            **self._collated(_LABELLED, _Field.LABELLED_DEFAULT_CHARSET, _Field.LABELLED_COLUMN_CHARSET),
        }
        self._labels = {
            **self._of({Code.ENUM}, list(self._label_lists(_Field.ENUM_LABELS))),
            **self._of({Code.SET}, list(self._label_lists(_Field.SET_LABELS))),
        }
        self._geometries = self._of({Code.GEOMETRY}, list(self._numbers(_Field.GEOMETRY_TYPE)))
        vectors = {Code.VECTOR} if _Field.DIMENSIONS in self._fields else set()
        self._dimensions = self._of(vectors, list(self._numbers(_Field.DIMENSIONS)))
        visible = self._fields.get(_Field.VISIBILITY)
        self._visible = [True] * len(codes) if visible is None else self._bits(visible, len(codes))

    def column(self, number: int, code: Code, meta: int, nullable: bool) -> WireColumn:
        name = self._names[number]
        collation = self._collations.get(number)
        labels = None
        if number in self._labels:
            labels = tuple(self._label(name, collation, label) for label in self._labels[number])
        return WireColumn(
            name=name,
            code=code,
            meta=meta,
            nullable=nullable,
            unsigned=self._unsigned.get(number, False),
            collation=collation,
            labels=labels,
            geometry=self._geometries.get(number),
            dimensions=self._dimensions.get(number),
            visible=self._visible[number],
        )

    def key(self) -> list[int] | None:
        """The numbers of the primary key's columns. The length of a prefix is of no use: the row has whole values."""
        numbers = list(self._numbers(_Field.SIMPLE_KEY))
        if _Field.PREFIX_KEY in self._fields:
            numbers = list(self._numbers(_Field.PREFIX_KEY))[::2]
        if any(number >= len(self._codes) for number in numbers):
            raise NotUnderstood(f"{self._table}: its key in the log has a column that the table has not")
        return numbers or None

    def _label(self, name: str, collation: int | None, label: bytes) -> str:
        assert collation is not None
        try:
            return decoder_of(collation)(label)
        except ValueError:
            raise NotUnderstood(f"{self._table}: a label of column {name} is not in its character set") from None

    def _at(self, kinds: frozenset[Code] | set[Code]) -> list[int]:
        return [number for number, code in enumerate(self._codes) if code in kinds]

    def _of(self, kinds: frozenset[Code] | set[Code], values: list[T]) -> dict[int, T]:
        """The values of one field by the number of their column; there is one for each column of these types."""
        at = self._at(kinds)
        if len(at) != len(values):
            raise self._lacking("what it has of its columns' types")
        return dict(zip(at, values, strict=True))

    def _lacking(self, what: str) -> NotUnderstood:
        return NotUnderstood(f"{self._table}: the log lacks {what}", remedy=FULL)

    def _bits(self, value: bytes, count: int) -> list[bool]:
        if len(value) != (count + 7) // 8:
            raise self._lacking("what it has of its columns' types")
        return [bool(value[number >> 3] & 0x80 >> (number & 7)) for number in range(count)]

    def _signedness(self) -> list[bool]:
        return self._bits(self._fields.get(_Field.SIGNEDNESS, b""), len(self._at(_NUMBERS)))

    def _numbers(self, field: _Field) -> Iterator[int]:
        return _Bytes(self._fields.get(field, b"")).numbers()

    def _strings(self, field: _Field) -> Iterator[bytes]:
        data = _Bytes(self._fields.get(field, b""))
        while data.at < data.end:
            yield data.string()

    def _label_lists(self, field: _Field) -> Iterator[list[bytes]]:
        data = _Bytes(self._fields.get(field, b""))
        while data.at < data.end:
            yield [data.string() for _ in range(data.number())]

    def _collated(self, kinds: frozenset[Code], default: _Field, each: _Field) -> dict[int, int]:
        """Collations: one a column, or a default and (which of the columns of these types, collation) for others."""
        at = self._at(kinds)
        if default not in self._fields:
            return self._of(kinds, list(self._numbers(each)))
        first, *others = list(self._numbers(default)) or [0]
        found = dict.fromkeys(at, first)
        if len(others) % 2 or any(which >= len(at) for which in others[::2]):
            raise NotUnderstood(f"{self._table}: the character sets of its columns in the log are not understood")
        found.update((at[which], collation) for which, collation in zip(others[::2], others[1::2], strict=True))
        return found


def _text(name: bytes) -> str:
    try:
        return name.decode()
    except UnicodeDecodeError:
        raise NotUnderstood("a name in a TABLE_MAP event of the log is not UTF-8") from None


def _bits_low_first(value: bytes, count: int) -> list[bool]:
    return [bool(value[number >> 3] >> (number & 7) & 1) for number in range(count)]
