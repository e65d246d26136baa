"""What a MySQL or MariaDB target stores for each column.

A column of the same kind of server keeps its type, where the target has that type. Any other takes the form below:
exact, and the same for every value. https://dev.mysql.com/doc/refman/9.7/en/data-types.html
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import assert_never

from replicator.engines.mysql import encoders
from replicator.engines.mysql.flavor import Flavor, Version
from replicator.errors import Refused
from replicator.model.datatypes import (
    Array,
    Bits,
    Boolean,
    Bytes,
    DataType,
    Date,
    Decimal,
    Duration,
    Enum,
    Float,
    Integer,
    Interval,
    Json,
    LabelSet,
    Spatial,
    Text,
    Textual,
    Time,
    Timestamp,
    Uuid,
    Vector,
)
from replicator.model.datatypes import Mapping as Pairs
from replicator.model.schema import Column
from replicator.sql import encoders as shared
from replicator.sql.ddl import Encode, Storage
from replicator.sql.statements import text_literal

POLICIES = {
    "as": frozenset(("text", "enum", "binary", "micros", "double")),
    "nan": frozenset(("null",)),
    "negative_zero": frozenset(("zero",)),
}
KEY_BYTES = 3072
"""The longest key of an InnoDB index (https://dev.mysql.com/doc/refman/9.7/en/innodb-limits.html)."""
CHARACTER = 4
LONGEST_VARCHAR = 16_000
"""Characters: a row has 65,535 bytes for all of its columns that are no TEXT or BLOB."""
_LENGTHS = {"inet": 43, "cidr": 43, "macaddr": 17, "macaddr8": 23, "inet4": 15, "inet6": 45, "timetz": 24}
_JSON_BY_ITS_TEXT = frozenset(("vector", "halfvec"))
_SIZES = {8: "tinyint", 16: "smallint", 24: "mediumint", 32: "int", 64: "bigint"}


@dataclass(frozen=True)
class Dialect:
    """What a server's types depend on."""

    flavor: Flavor
    version: Version

    def has(self, word: str) -> bool:
        """Of a type that not every server has."""
        since = self.flavor.own_types.get(word)
        return since is not None and self.version >= since


@dataclass(frozen=True)
class Form:
    """How a column is kept: the type as it is written, and as a canonical type, for comparing with a column there.

    `width`: the bytes of a row that it may take; those of a TEXT or BLOB lie elsewhere. `key_bytes`: what it takes in
    an index, None for what no index can have whole. `shorter`: the form that takes fewer bytes of the row.
    """

    type: str
    kind: DataType
    encode: Encode | None = None
    labels: tuple[str, ...] | None = None
    width: int = 12
    key_bytes: int | None = 8
    shorter: Callable[[], Form] | None = None

    def storage(self) -> Storage:
        return Storage(self.type, None if self.labels is None else _one_of(self.labels), self.encode)


def policies_of(kind: DataType) -> dict[str, frozenset[str]]:
    """The policies that a type has, each with its words."""
    words = {"text"}
    match kind:
        case Bytes() | Vector() | Spatial():
            return {}
        case Enum():
            words.add("enum")
        case Uuid():
            words.add("binary")
        case Interval():
            words.add("micros")
        case Json() | Array():
            words.add("double")
        case Float():
            return {"as": frozenset(words), "nan": frozenset(("null",)), "negative_zero": frozenset(("zero",))}
    return {"as": frozenset(words)}


def check_policies(column: Column, policies: Mapping[str, str]) -> None:
    """Raises Refused for a policy that the column's type does not have."""
    known = policies_of(column.type)
    for policy, word in policies.items():
        if word not in known.get(policy, ()):
            options = [f'{name} = "{w}"' for name, words in known.items() for w in sorted(words)]
            raise Refused(
                f"column {column.name} ({column.native_name}) has no policy {policy} = {word!r}",
                remedy="it may have " + (", ".join(options) or "none"),
            )


def form(kind: DataType, policies: Mapping[str, str], there: Dialect, most: int | None = None) -> Form:
    """The form of a canonical type. `most`: the bytes that it may take in the table's key, None outside of it."""
    chosen = policies.get("as")
    if chosen == "text":
        return characters(None, there, most, encoders.canonical_text)
    match kind:
        case Boolean():
            return Form("tinyint(1)", Integer(8), shared.boolean, width=1)
        case Integer():
            return _integer(kind)
        case Decimal(precision=precision, scale=scale):
            return _decimal(kind, precision, scale or 0, there, most)
        case Float(bits=bits):
            encode = encoders.real(
                bits,
                signed_zero=there.flavor.signed_zero,
                nan=policies.get("nan"),
                negative_zero=policies.get("negative_zero"),
            )
            return Form("float" if bits == 32 else "double", kind, encode, width=bits // 8)
        case Text(length=length):
            return characters(length, there, most)
        case Bytes():
            return _bytes(most)
        case Date():
            return Form("date", kind, encoders.date(own=False))
        case Time(zoned=True):
            return characters(_LENGTHS["timetz"], there, most)
        case Time(precision=p) | Duration(precision=p):
            return Form(f"time({_digits(p)})", Duration(_digits(p)), encoders.time(_digits(p)))
        case Timestamp(zoned=zoned, precision=p):
            digits = _digits(p)
            encode = encoders.timestamp(zoned, digits, own=False)
            return Form(f"datetime({digits})", Timestamp(precision=digits), encode)
        case Interval():
            if chosen == "micros":
                return Form("bigint", Integer(64), encoders.microseconds)
            return characters(128, there, most)
        case Uuid():
            if chosen == "binary":
                return Form("binary(16)", Bytes(), encoders.uuid_as_bytes, width=16, key_bytes=16)
            return Form("char(36) CHARACTER SET ascii COLLATE ascii_bin", Text(36), shared.uuid, None, 36, 36)
        case Json():
            return _document(there, most, doubles=chosen == "double")
        case Array():
            inner = _document(there, most, doubles=chosen == "double" or encoders.floats(kind))
            return replace(inner, encode=encoders.array(kind, inner.encode or encoders.text(None)))
        case Pairs():
            inner = _document(there, most, doubles=False)
            return replace(inner, encode=encoders.mapping(inner.encode or encoders.text(None)))
        case Enum(labels=labels):
            return _enum(labels, there, most, own=chosen == "enum")
        case LabelSet(labels=labels):
            return characters(max(1, sum(map(len, labels)) + len(labels)), there, most)
        case Bits(length=length, varying=varying):
            if length is not None and length <= 64 and not varying:
                return Form(f"bit({length})", Bits(length, number=True), encoders.bits_as_number)
            return characters(length, there, most, shared.bits(length, varying))
        case Spatial():
            return Form("geometry", Spatial("geometry"), encoders.geometry, key_bytes=None)
        case Vector(dimensions=dimensions):
            if there.has("vector") and dimensions:
                return Form(f"vector({dimensions})", kind, encoders.binary(None), key_bytes=None)
            return _bytes(most)
        case Textual(name=name):
            if name in _JSON_BY_ITS_TEXT:
                return _document(there, most, doubles=True)
            return characters(_LENGTHS.get(name), there, most, encoders.canonical_text)
        case _:
            assert_never(kind)


def characters(length: int | None, there: Dialect, most: int | None, encode: Encode | None = None) -> Form:
    """Text of at most so many characters, compared by its bytes, as the table's default says. In a key the column may
    be shorter, by `most`: a longer value stops the stream."""
    longest = LONGEST_VARCHAR if most is None else max(1, most // CHARACTER)
    own = encode or encoders.text(length)
    if (length is not None and length <= longest) or most is not None:
        size = longest if length is None else min(length, longest)
        shortened = encoders.shortened(own, size)
        return Form(
            f"varchar({size})",
            Text(size),
            shortened,
            width=size * CHARACTER + 2,
            key_bytes=size * CHARACTER,
            shorter=None if most is not None else lambda: _long(length, own),
        )
    return _long(length, own)


def _long(length: int | None, encode: Encode) -> Form:
    if length is not None and length * CHARACTER <= 0xFFFF:
        word = "text"
    elif length is not None and length * CHARACTER <= 0xFFFFFF:
        word = "mediumtext"
    else:
        word = "longtext"
    return Form(word, Text(length), encode, key_bytes=None)


def _bytes(most: int | None) -> Form:
    if most is None:
        return Form("longblob", Bytes(), encoders.binary(None), key_bytes=None)
    return Form(f"varbinary({most})", Bytes(), encoders.binary(most), width=most + 2, key_bytes=most)


def _integer(kind: Integer) -> Form:
    least, greatest = (-(1 << kind.bits - 1), (1 << kind.bits - 1) - 1) if kind.signed else (0, (1 << kind.bits) - 1)
    word = _SIZES[kind.bits] + ("" if kind.signed else " unsigned")
    return Form(word, kind, shared.whole(least, greatest), width=kind.bits // 8)


def _decimal(kind: Decimal, precision: int | None, scale: int, there: Dialect, most: int | None) -> Form:
    if precision is not None and 0 <= scale <= min(30, precision) and precision <= 65:
        return Form(
            f"decimal({precision},{scale})",
            kind,
            shared.number(precision, scale),
            width=precision // 2 + 2,
            key_bytes=32,
        )
    return characters(None, there, most, _number_text(precision, scale))


def _number_text(precision: int | None, scale: int) -> Encode:
    check = shared.number(None, None)
    return lambda value: encoders.canonical_text(check(value))


def _document(there: Dialect, most: int | None, *, doubles: bool) -> Form:
    encode = encoders.document(as_text_there=there.flavor.json_is_text, doubles=doubles)
    if most is not None:
        return characters(None, there, most)
    return Form("json", Text() if there.flavor.json_is_text else Json(binary=True), encode, key_bytes=None)


def _enum(labels: tuple[str, ...], there: Dialect, most: int | None, *, own: bool) -> Form:
    encode = shared.one_of(labels)
    if own:
        return Form(_labelled("enum", labels), Enum("enum", labels), encode)
    kept = characters(max(64, *map(len, labels)), there, most, encode)
    return replace(kept, labels=labels)


def _labelled(word: str, labels: Iterable[str]) -> str:
    return f"{word}({', '.join(map(text_literal, labels))})"


def _digits(precision: int | None) -> int:
    return shared.MOST_DIGITS if precision is None or precision > shared.MOST_DIGITS else precision


_PLAIN = re.compile(r"[ -&(-\[\]-~]*")
"""Labels that a server writes back into its catalog as they came. Of others it loses quotes and characters beyond
U+FFFF there (MySQL 9.7, MariaDB 10.11)."""


def _one_of(labels: Sequence[str]) -> Callable[[str], str]:
    if all(map(_PLAIN.fullmatch, labels)):
        listed = ", ".join(map(text_literal, labels))
        return lambda column: f"{column} IN ({listed})"
    listed = ", ".join(f"x'{label.encode().hex()}'" for label in labels)
    return lambda column: f"CAST({column} AS BINARY) IN ({listed})"
