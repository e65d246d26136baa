"""What a PostgreSQL target stores for each column.

A column that is PostgreSQL's own keeps its type, where the target has that type. Any other takes the form below: exact,
and the same for every value. https://www.postgresql.org/docs/current/datatype.html
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import assert_never

from replicator.engines.postgres import encoders
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
    Mapping,
    Spatial,
    Text,
    Textual,
    Time,
    Timestamp,
    Uuid,
    Vector,
)
from replicator.model.schema import Column
from replicator.sql import encoders as shared
from replicator.sql.ddl import Encode, Storage
from replicator.sql.statements import text_literal

POLICIES = {
    "as": frozenset(("text", "boolean", "bigint", "json", "jsonb", "time")),
    "zero_date": frozenset(("null", "text")),
    "nul": frozenset(("strip", "bytea")),
}
_NATIVE = re.compile(r"(\d+):(-?\d+)")
FIRST_ASSIGNED = 10000
"""Types with smaller OIDs are the same in every server
(https://www.postgresql.org/docs/current/system-catalog-initial-data.html#SYSTEM-CATALOG-OID-ASSIGNMENT)."""
MOST_DIGITS = 1000


@dataclass(frozen=True)
class Form:
    """How a column is kept: the type as it is written, and as a canonical type, for comparing with a column there."""

    type: str
    kind: DataType
    encode: Encode | None = None
    labels: tuple[str, ...] | None = None

    def storage(self) -> Storage:
        return Storage(self.type, None if self.labels is None else _one_of(self.labels), self.encode)


@dataclass(frozen=True)
class Native:
    """PostgreSQL's own type of a column: its OID and modifier at the source."""

    oid: int
    modifier: int

    @property
    def built_in(self) -> bool:
        return self.oid < FIRST_ASSIGNED


def native(column: Column) -> Native | None:
    found = _NATIVE.fullmatch(column.native)
    return Native(int(found[1]), int(found[2])) if found else None


def precise(kind: DataType, modifier: int) -> DataType:
    """The type with the digits of its second's fraction, which the catalog's reading leaves out."""
    if isinstance(kind, Time | Timestamp) and modifier >= 0:
        return replace(kind, precision=modifier)
    return kind


def policies_of(column: Column) -> dict[str, frozenset[str]]:
    """The policies that a column's type has, each with its words."""
    kind, own = column.type, native(column) is not None
    words = {"text"}
    found: dict[str, set[str]] = {}
    match kind:
        case Bytes() | Vector():
            return {}
        case Integer(bits=8):
            words.add("boolean")
        case Integer(bits=64, signed=False):
            words.add("bigint")
        case Bits(length=1):
            words.add("boolean")
        case Json():
            words |= {"json", "jsonb"}
        case Duration():
            words.add("time")
        case Date() | Timestamp() if not own:
            found["zero_date"] = {"null", "text"}
        case Text() if not own:
            found["nul"] = {"strip", "bytea"}
    return {"as": frozenset(words)} | {name: frozenset(chosen) for name, chosen in found.items()}


def by_policy(column: Column, policies: dict[str, str]) -> Form | None:
    """The form that the user chose for the column, None for the usual one.

    Raises Refused for a policy that the column's type does not have.
    """
    known = policies_of(column)
    for policy, word in policies.items():
        if word not in known.get(policy, ()):
            options = [f'{name} = "{w}"' for name, words in known.items() for w in sorted(words)]
            raise Refused(
                f"column {column.name} ({column.native_name}) has no policy {policy} = {word!r}",
                remedy="it may have " + (", ".join(options) or "none"),
            )
    chosen = policies.get("as")
    if chosen == "text" or policies.get("zero_date") == "text":
        return Form("text", Text(), encoders.text_of)
    if policies.get("nul") == "bytea":
        return Form("bytea", Bytes(), encoders.text_as_bytes)
    if chosen == "boolean":
        return Form("boolean", Boolean(), encoders.bit_as_boolean if isinstance(column.type, Bits) else shared.boolean)
    if chosen == "bigint":
        return Form("bigint", Integer(64), shared.whole(-(2**63), 2**63 - 1))
    if chosen in ("json", "jsonb"):
        return Form(chosen, Json(binary=chosen == "jsonb"), encoders.checked_text)
    if chosen == "time":
        assert isinstance(column.type, Duration)
        p = column.type.precision
        return Form(_digits("time", p), Time(precision=p), encoders.duration(p, of_a_day=True))
    return None


def form(kind: DataType, policies: dict[str, str], has: Callable[[str], bool], geometry: str | None) -> Form:
    """A canonical type's form. `has`: is there a built-in type of this name? `geometry`: PostGIS's, where it is."""
    match kind:
        case Boolean():
            return Form("boolean", kind, shared.boolean)
        case Integer():
            return _integer(kind)
        case Decimal(precision=precision, scale=scale):
            if precision is None or precision > MOST_DIGITS:
                return Form("numeric", Decimal(), shared.number(None, None))
            return Form(f"numeric({precision},{scale or 0})", kind, shared.number(precision, scale))
        case Float(bits=bits):
            return Form("real" if bits == 32 else "double precision", kind, shared.floating)
        case Text(length=length):
            length = length if length and length <= encoders.LONGEST_VARCHAR else None
            return Form(
                "text" if length is None else f"varchar({length})",
                Text(length),
                encoders.text(length, policies.get("nul")),
            )
        case Bytes():
            return Form("bytea", kind, shared.binary)
        case Date():
            return Form("date", kind, encoders.date(policies.get("zero_date")))
        case Time(zoned=zoned, precision=p):
            return Form(_digits("timetz" if zoned else "time", p), kind, encoders.time(zoned, p))
        case Timestamp(zoned=zoned, precision=p):
            name = _digits("timestamptz" if zoned else "timestamp", p)
            return Form(name, kind, encoders.timestamp(zoned, p, policies.get("zero_date")))
        case Interval():
            return Form("interval", kind, encoders.checked_text)
        case Duration(precision=p):
            return Form("interval", Interval(), encoders.duration(p, of_a_day=False))
        case Uuid():
            return Form("uuid", kind, shared.uuid)
        case Json(binary=binary):
            return Form("jsonb" if binary else "json", kind, encoders.checked_text)
        case Enum(labels=labels):
            return Form("text", Text(), shared.one_of(labels), labels)
        case LabelSet():
            return Form("text[]", Array(Text()), encoders.labels)
        case Bits(length=length, varying=varying):
            size = "" if length is None else f"({length})"
            return Form(
                f"{'varbit' if varying else 'bit'}{size}", replace(kind, number=False), shared.bits(length, varying)
            )
        case Vector():
            return Form("real[]", Array(Float(32)), encoders.vector)
        case Spatial():
            if geometry is None:
                return Form("bytea", Bytes(), shared.hex_bytes)
            return Form(geometry, Spatial("geometry"), encoders.checked_text)
        case Array() | Mapping():
            return Form("text", Text(), encoders.checked_text)
        case Textual(name=name):
            name = {"inet4": "inet", "inet6": "inet"}.get(name, name)
            if "." in name or not has(name):
                return Form("text", Text(), encoders.checked_text)
            return Form(name, Textual(name), encoders.checked_text)
        case _:
            assert_never(kind)


def _integer(kind: Integer) -> Form:
    least, most = (-(1 << kind.bits - 1), (1 << kind.bits - 1) - 1) if kind.signed else (0, (1 << kind.bits) - 1)
    encode = shared.whole(least, most)
    for bits, name in ((16, "smallint"), (32, "integer"), (64, "bigint")):
        if most < 1 << (bits - 1):
            return Form(name, Integer(bits), encode)
    return Form("numeric(20,0)", Decimal(20, 0), encode)


def _digits(name: str, precision: int | None) -> str:
    return name if precision is None or precision > shared.MOST_DIGITS else f"{name}({precision})"


def _one_of(labels: Iterable[str]) -> Callable[[str], str]:
    listed = ", ".join(map(text_literal, labels))
    return lambda column: f"{column} IN ({listed})"
