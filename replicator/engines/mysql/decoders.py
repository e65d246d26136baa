"""Which decoder a column of a row image needs: resolved once, when its TABLE_MAP comes."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from replicator.engines.mysql import jsonb, numerals, strings, temporal
from replicator.engines.mysql.charsets import decoder_of
from replicator.engines.mysql.rowimage import Decode, RowDecoder
from replicator.engines.mysql.tablemap import Code, TableMap, WireColumn
from replicator.errors import NotUnderstood
from replicator.model.datatypes import DataType, Textual, Uuid
from replicator.model.values import Value

BINARY = 63
"""The collation of bytes."""

_INTEGERS = {Code.TINY: 1, Code.SHORT: 2, Code.INT24: 3, Code.LONG: 4, Code.LONGLONG: 8}
_FIXED = {**_INTEGERS, Code.YEAR: 1, Code.DATE: 3, Code.TIME: 3, Code.TIMESTAMP: 4, Code.DATETIME: 8}
_FRACTIONAL = {Code.TIME2: 3, Code.TIMESTAMP2: 4, Code.DATETIME2: 5}
_OLD = frozenset([Code.TIME, Code.TIMESTAMP, Code.DATETIME])


def row_decoder(table: TableMap, types: Mapping[str, DataType], *, unsigned_timestamps: bool = False) -> RowDecoder:
    """A decoder of a table's rows: the values of the columns that `types` names, in the order of the map.

    `types` are the canonical types that the table's columns are pinned to; `unsigned_timestamps` says that the server
    keeps instants up to the year 2106 (MariaDB from 11.5 on). Raises NotUnderstood for a column of a type that we
    do not read; one that is not in `types` is passed over, whatever it is.
    """
    decoders = []
    for column in table.columns:
        try:
            if column.name in types:
                decoders.append(decoder(column, types[column.name], unsigned_timestamps=unsigned_timestamps))
            else:
                decoders.append(passing(column))
        except (ValueError, KeyError):
            raise NotUnderstood(
                f"{table.schema}.{table.name}: type {column.code} of column {column.name} in the log is not understood"
            ) from None
    left_out = [column.name for column in table.columns if column.name not in types]
    letters = [_letter(column, wanted=column.name in types) for column in table.columns]
    return RowDecoder(table, decoders, left_out, letters)


def decoder(wire: WireColumn, kind: DataType, *, unsigned_timestamps: bool = False) -> Decode:
    """What reads one column's values. ValueError, KeyError for metadata that no column has."""
    code = wire.code
    if code in _INTEGERS:
        return numerals.integer(_INTEGERS[code], unsigned=wire.unsigned)
    if code in (Code.VARCHAR, Code.STRING, Code.BLOB):
        return _characters(wire, kind)
    if code in (Code.ENUM, Code.SET):
        return _labelled(wire)
    if code in _PLAIN:
        return _PLAIN[code]
    if code is Code.NEWDECIMAL:
        return numerals.decimal(*divmod(wire.meta, 256))
    if code is Code.BIT:
        return numerals.bits(wire.meta)
    if code in _DOCUMENTS:
        return strings.prefixed(_prefix(wire), _DOCUMENTS[code])
    return _moment(wire, kind, unsigned_timestamps=unsigned_timestamps)


_PLAIN: dict[Code, Decode] = {
    Code.FLOAT: numerals.single,
    Code.DOUBLE: numerals.double,
    Code.YEAR: numerals.year,
    Code.DATE: temporal.date,
}
_DOCUMENTS: dict[Code, Callable[[bytes], Value]] = {
    Code.JSON: jsonb.text,
    Code.GEOMETRY: strings.geometry,
    Code.VECTOR: strings.vector,
}


def _moment(wire: WireColumn, kind: DataType, *, unsigned_timestamps: bool) -> Decode:
    if wire.code is Code.DATETIME2:
        return temporal.datetime(wire.meta)
    if wire.code is Code.TIMESTAMP2:
        return temporal.timestamp(wire.meta, unsigned=unsigned_timestamps)
    if wire.code is Code.TIME2:
        return temporal.time(wire.meta)
    if wire.code in _OLD and getattr(kind, "precision", None):
        # MariaDB's own form of fractions, whose size the log does not tell.
        raise NotUnderstood(
            f"column {wire.name} keeps fractions of seconds in an old form of MariaDB",
            remedy="SET GLOBAL mysql56_temporal_format = ON, and ALTER TABLE … FORCE",
        )
    if wire.code is Code.TIMESTAMP:
        return temporal.old_timestamp(unsigned=unsigned_timestamps)
    return {Code.TIME: temporal.old_time, Code.DATETIME: temporal.old_datetime}[wire.code]


def _characters(wire: WireColumn, kind: DataType) -> Decode:
    size = _prefix(wire)
    if isinstance(kind, Uuid):
        return strings.prefixed(size, strings.uuid)
    if isinstance(kind, Textual):
        return strings.prefixed(size, {"inet4": strings.inet4, "inet6": strings.inet6}[kind.name])
    if wire.collation == BINARY:
        return strings.prefixed(size, strings.padded(wire.meta) if wire.code is Code.STRING else strings.plain)
    if wire.collation is None:
        raise ValueError("no character set")
    return strings.prefixed(size, decoder_of(wire.collation))


def _labelled(wire: WireColumn) -> Decode:
    if wire.labels is None:
        raise ValueError("no labels")
    if wire.code is Code.ENUM:
        return strings.enum(wire.meta, wire.labels)
    return strings.label_set(wire.meta, wire.labels)


def _prefix(wire: WireColumn) -> int:
    """The size of the length before a value, in bytes."""
    if wire.code in (Code.VARCHAR, Code.STRING):
        return 1 if wire.meta < 256 else 2
    if not 1 <= wire.meta <= 4:
        raise ValueError("not a length's size")
    return wire.meta


def passing(wire: WireColumn) -> Decode:
    """What passes over a column's values."""
    code = wire.code
    if code in (Code.VARCHAR, Code.STRING, Code.BLOB, Code.JSON, Code.GEOMETRY, Code.VECTOR):
        return _past(_prefix(wire))
    if code in (Code.BLOB_COMPRESSED, Code.TYPED_ARRAY):
        return _past(wire.meta if code is Code.BLOB_COMPRESSED else 4)
    if code is Code.VARCHAR_COMPRESSED:
        return _past(1 if wire.meta < 256 else 2)
    return _over(_size(wire))


def _size(wire: WireColumn) -> int:
    code, meta = wire.code, wire.meta
    if code in _FRACTIONAL:
        return _FRACTIONAL[code] + (meta + 1) // 2
    if code in _FIXED:
        return _FIXED[code]
    if code is Code.NEWDECIMAL:
        return numerals.decimal_size(*divmod(meta, 256))
    if code is Code.BIT:
        return (meta + 7) // 8
    if code in (Code.FLOAT, Code.DOUBLE, Code.ENUM, Code.SET):
        return meta
    raise ValueError("no known size")


def _letter(wire: WireColumn, *, wanted: bool) -> str | None:
    """The format of `struct` that reads a column's value, or passes over it."""
    if wanted:
        if wire.code in _INTEGERS:
            return numerals.letter_of(_INTEGERS[wire.code], unsigned=wire.unsigned)
        return "d" if wire.code is Code.DOUBLE else None
    try:
        return f"{_size(wire)}x"
    except ValueError:
        return None


def _past(size: int) -> Decode:
    def decode(data: bytes, at: int, values: list[Value]) -> int:
        start = at + size
        return start + int.from_bytes(data[at:start], "little")

    return decode


def _over(size: int) -> Decode:
    return lambda data, at, values: at + size
