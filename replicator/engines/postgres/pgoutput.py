"""pgoutput's messages, protocol 1: bytes in, values out, no I/O.

https://www.postgresql.org/docs/current/protocol-logicalrep-message-formats.html
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from struct import Struct
from typing import NamedTuple

from replicator.engines.postgres.types import FromBytes
from replicator.errors import NotUnderstood
from replicator.model.values import MISSING, Value

MICROSECONDS = 1_000_000
EPOCH_2000_S = 946_684_800

_BEGIN = Struct(">QqI")
_COMMIT = Struct(">BQQq")
_RELATION = Struct(">I")
_COLUMN = Struct(">Ii")
_TRUNCATE = Struct(">IB")
_INT16 = Struct(">h")


class Begin(NamedTuple):
    """`final_lsn`: where the transaction's commit record begins. `committed_at`: seconds since 1970."""

    final_lsn: int
    committed_at: float
    xid: int


class Commit(NamedTuple):
    """`end_lsn`: the first byte behind the commit record; the mark of the transaction."""

    commit_lsn: int
    end_lsn: int
    committed_at: float


@dataclass(frozen=True)
class RelationColumn:
    key: bool
    name: str
    type_oid: int
    modifier: int


@dataclass(frozen=True)
class Relation:
    """`identity`: `d` default, `n` nothing, `f` full, `i` index."""

    oid: int
    schema: str
    name: str
    identity: str
    columns: tuple[RelationColumn, ...]


class Truncate(NamedTuple):
    oids: tuple[int, ...]
    cascade: bool
    restart_identity: bool


def begin(message: bytes) -> Begin:
    final_lsn, time, xid = _BEGIN.unpack_from(message, 1)
    return Begin(final_lsn, time / MICROSECONDS + EPOCH_2000_S, xid)


def commit(message: bytes) -> Commit:
    _, commit_lsn, end_lsn, time = _COMMIT.unpack_from(message, 1)
    return Commit(commit_lsn, end_lsn, time / MICROSECONDS + EPOCH_2000_S)


def relation(message: bytes) -> Relation:
    (oid,) = _RELATION.unpack_from(message, 1)
    schema, at = _string(message, 5)
    name, at = _string(message, at)
    identity = chr(message[at])
    (count,) = _INT16.unpack_from(message, at + 1)
    at += 3
    columns = []
    for _ in range(count):
        key = bool(message[at] & 1)
        column, at = _string(message, at + 1)
        type_oid, modifier = _COLUMN.unpack_from(message, at)
        at += 8
        columns.append(RelationColumn(key, column, type_oid, modifier))
    # Schema pg_catalog is sent as an empty string.
    return Relation(oid, schema or "pg_catalog", name, identity, tuple(columns))


def truncate(message: bytes) -> Truncate:
    count, flags = _TRUNCATE.unpack_from(message, 1)
    oids = Struct(f">{count}I").unpack_from(message, 6)
    return Truncate(oids, bool(flags & 1), bool(flags & 2))


def row(message: bytes, at: int, convert: Sequence[FromBytes]) -> tuple[list[Value], int]:
    """The tuple that begins at `at`, and where it ends. A column that was not sent (`u`) is MISSING.

    Raises ValueError from a converter, with as many values read as `broken_column` then finds.
    """
    (count,) = _INT16.unpack_from(message, at)
    if count != len(convert):
        raise NotUnderstood(f"a row of {count} columns where the relation has {len(convert)}")
    at += 2
    values: list[Value] = []
    append = values.append
    from_bytes = int.from_bytes
    for value_of in convert:
        kind = message[at]
        if kind == 116:  # 't': length, then text
            start = at + 5
            at = start + from_bytes(message[at + 1 : start], "big")
            append(value_of(message[start:at]))
        elif kind == 110:  # 'n': NULL, or not sent in a key
            append(None)
            at += 1
        elif kind == 117:  # 'u': an unchanged TOAST value
            append(MISSING)
            at += 1
        else:
            raise NotUnderstood(f"a column value of kind {kind} is not understood")
    return values, at


def broken_column(message: bytes, at: int, convert: Sequence[FromBytes]) -> int:
    """Which column of a tuple its converter refuses."""
    at += 2
    for number, value_of in enumerate(convert):
        if message[at] != 116:
            at += 1
            continue
        start = at + 5
        at = start + int.from_bytes(message[at + 1 : start], "big")
        try:
            value_of(message[start:at])
        except ValueError:
            return number
    return -1


def _string(message: bytes, at: int) -> tuple[str, int]:
    end = message.index(0, at)
    return message[at:end].decode(), end + 1
