"""Does a column of one type hold every value of another as it is?"""

from __future__ import annotations

from replicator.model.datatypes import (
    Bits,
    DataType,
    Decimal,
    Enum,
    Integer,
    Json,
    Text,
    Time,
    Timestamp,
)

MICROSECONDS = 6


def holds(there: DataType, here: DataType) -> bool:
    """`there`: the type of a column that exists; `here`: that of the column that we would have made."""
    if there == here:
        return True
    match here, there:
        case Text(), Text(fixed=False):
            return there.length is None or (here.length is not None and here.length <= there.length)
        case Enum(), Text(fixed=False):
            return there.length is None or all(len(label) <= there.length for label in here.labels)
        case Enum(), Enum():
            return set(here.labels) <= set(there.labels)
        case Integer(), Integer():
            return _least(there) <= _least(here) and _most(here) <= _most(there)
        case Integer(), Decimal():
            return there.precision is None or len(str(_most(here))) <= there.precision - (there.scale or 0)
        case Decimal(), Decimal():
            return there.precision is None or _within(here, there)
        case Time(), Time():
            return here.zoned == there.zoned and _digits(here.precision) <= _digits(there.precision)
        case Timestamp(), Timestamp():
            return here.zoned == there.zoned and _digits(here.precision) <= _digits(there.precision)
        case Json(), Json():
            return not there.binary
        case Bits(), Bits(varying=True):
            return there.length is None or (here.length is not None and here.length <= there.length)
        case _:
            return False


def _least(kind: Integer) -> int:
    return -(1 << kind.bits - 1) if kind.signed else 0


def _most(kind: Integer) -> int:
    return (1 << kind.bits - kind.signed) - 1


def _within(here: Decimal, there: Decimal) -> bool:
    if here.precision is None or there.precision is None:
        return False
    here_scale, there_scale = here.scale or 0, there.scale or 0
    return here_scale <= there_scale and here.precision - here_scale <= there.precision - there_scale


def _digits(precision: int | None) -> int:
    return MICROSECONDS if precision is None else precision
