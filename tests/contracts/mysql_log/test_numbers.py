"""Numbers, bits, dates and times of real logs: every value is the one that a SELECT gives."""

from __future__ import annotations

import random
import struct
from collections.abc import Iterator

import pytest

from replicator.model.datatypes import (
    Bits,
    DataType,
    Date,
    Decimal,
    Duration,
    Float,
    Integer,
    Timestamp,
)
from tests.contracts.mysql_log.logged import Logged, compare


def whole(bits: int, signed: bool) -> list[str]:
    low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)
    return [str(number) for number in (low, low + 1, 0, 1, 127, high - 1, high)]


def integer_cases() -> Iterator[tuple[str, DataType, list[str]]]:
    for name, bits in (("tinyint", 8), ("smallint", 16), ("mediumint", 24), ("int", 32), ("bigint", 64)):
        yield name, Integer(bits), whole(bits, True)
        yield f"{name} unsigned", Integer(bits, signed=False), whole(bits, False)
        yield f"{name}(9) unsigned zerofill", Integer(bits, signed=False), whole(bits, False)
    yield "tinyint(1)", Integer(8), whole(8, True)
    yield "year", Integer(16), ["0", "1901", "2155", "2024"]


def decimal_cases() -> Iterator[tuple[str, DataType, list[str]]]:
    for precision, scale in (
        (1, 0),
        (12, 2),
        (9, 9),
        (9, 0),
        (10, 10),
        (18, 9),
        (19, 1),
        (27, 9),
        (28, 9),
        (65, 30),
        (65, 0),
        (30, 30),
        (38, 10),
    ):
        nines = "9" * (precision - scale) + ("." + "9" * scale if scale else "")
        small = f"{10**-scale:.{scale}f}" if scale else "1"
        values = [nines, f"-{nines}", "0", small, f"-{small}"]
        spread = random.Random(precision)
        for _ in range(20):
            digits = str(spread.randrange(10 ** spread.randrange(1, precision + 1))).rjust(precision, "0")
            values.append(
                f"{spread.choice(['', '-'])}{digits[: precision - scale] or '0'}.{digits[precision - scale :]}"
            )
        yield f"decimal({precision},{scale})", Decimal(precision, scale), values
    yield "decimal(12,2) unsigned zerofill", Decimal(12, 2), ["1.1", "0", "1234567890.12", "10", "100.5"]
    yield "decimal(3,3) zerofill", Decimal(3, 3), ["0.1", "0", "0.999"]
    yield "decimal(5,0) zerofill", Decimal(5, 0), ["0", "10", "12345"]


def float_cases() -> Iterator[tuple[str, DataType, list[str]]]:
    spread = random.Random(4)
    singles = ["0", "-0e0", "0.1", "1e-45", "-1.17549e-38", "3.40282e38", "16777216", "16777217", "0.3", "123456.789"]
    singles += [repr(struct.unpack("<f", spread.randbytes(3) + bytes([spread.randrange(0x7F)]))[0]) for _ in range(300)]
    doubles = [
        "0",
        "-0e0",
        "0.1",
        "5e-324",
        "-1.7976931348623157e308",
        "9007199254740993e0",
        "1e15",
        "123456789.123456789e0",
    ]
    doubles += [repr(spread.uniform(-1, 1) * 10.0 ** spread.randrange(-300, 300)) for _ in range(300)]
    yield "float", Float(32), singles
    yield "float unsigned", Float(32), ["0", "0.1", "3.40282e38"]
    yield "float(7,4)", Float(32), ["0.1", "-12.34567", "999.9999", "1.00005"]
    yield "double", Float(64), doubles
    yield "double(20,3)", Float(64), ["0.1", "-12.34567", "1234567890123.4567", "99999999999999999"]


def bit_cases() -> Iterator[tuple[str, DataType, list[str]]]:
    for count in (1, 7, 8, 9, 31, 64):
        values = [0, 1, 2**count - 1, 2 ** (count - 1), 5 % 2**count]
        yield f"bit({count})", Bits(count, number=True), [f"b'{value:b}'" for value in values]


def fractions(moment: str, digits: int) -> list[str]:
    return [f"'{moment}{tail}'" for tail in ("", ".1", ".9", ".05", ".123456"[: digits + 1], ".999999"[: digits + 1])]


def date_cases() -> Iterator[tuple[str, DataType, list[str]]]:
    yield (
        "date",
        Date(),
        [
            "'0000-00-00'",
            "'2015-00-21'",
            "'2015-02-00'",
            "'2015-02-31'",
            "'1000-01-01'",
            "'9999-12-31'",
            "'0001-01-01'",
            "'2024-02-29'",
        ],
    )
    for digits in range(7):
        yield (
            f"datetime({digits})",
            Timestamp(precision=digits),
            [
                "'0000-00-00'",
                "'2015-00-21 10:11:12'",
                "'9999-12-31 23:59:59'",
                "'0001-01-01'",
                *fractions("2024-02-29 13:14:15", digits),
            ],
        )
        yield (
            f"timestamp({digits})",
            Timestamp(zoned=True, precision=digits),
            [
                "'0000-00-00'",
                "'1970-01-01 00:00:01'",
                "'2038-01-19 03:14:07'",
                *fractions("2024-02-29 13:14:15", digits),
            ],
        )
        yield (
            f"time({digits})",
            Duration(digits),
            [
                "'0'",
                "'-838:59:59'",
                "'838:59:59'",
                "'-00:00:01'",
                "'123:00:59'",
                "'9:08:07'",
                *fractions("13:14:15", digits),
                *fractions("-13:14:15", digits),
                *fractions("-00:00:00", digits),
                *fractions("-01:00:00", digits),
            ],
        )


CASES = [*integer_cases(), *decimal_cases(), *float_cases(), *bit_cases(), *date_cases()]


@pytest.mark.parametrize(("declared", "kind", "literals"), CASES, ids=[case[0][:40] for case in CASES])
def test_values(source: Logged, declared: str, kind: DataType, literals: list[str]) -> None:
    compare(source, declared, kind, literals)
