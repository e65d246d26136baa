"""Every collation and every character of real servers."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from replicator.engines.mysql.charsets import charset_of, decoder
from replicator.model.datatypes import (
    Enum,
    Text,
)
from tests.contracts.mysql_log.logged import Logged, compare


def test_every_collation_is_known(source: Logged) -> None:
    query = "SELECT ID, CHARACTER_SET_NAME FROM information_schema.COLLATIONS WHERE ID IS NOT NULL"
    if source.mariadb:
        query = "SELECT ID, CHARACTER_SET_NAME FROM information_schema.COLLATION_CHARACTER_SET_APPLICABILITY"
    found = source.execute(query)
    assert len(found) > 200
    for number, name in found:
        assert charset_of(int(number)) == {"utf8": "utf8mb3"}.get(name.decode(), name.decode())


ONES = [bytes((one,)) for one in range(256)]
TWOS = [bytes((one, two)) for one in range(128, 256) for two in range(256)]
THREES = [bytes((0x8F, one, two)) for one in range(128, 256) for two in range(128, 256)]
PAIRS = [bytes((one, two)) for one in range(256) for two in range(256)]
WIDE = {
    **{charset: [*ONES, *TWOS] for charset in ("big5", "sjis", "euckr", "gb2312", "gbk", "cp932", "gb18030")},
    **{charset: [*ONES, *TWOS, *THREES] for charset in ("ujis", "eucjpms")},
    **dict.fromkeys(("ucs2", "utf16", "utf16le"), PAIRS),
}


def codes(charset: str) -> list[bytes]:
    spread = random.Random(8)
    some = list(WIDE.get(charset, ONES))
    if charset == "gb18030":
        for _ in range(20_000):
            ends = spread.randrange(0x30, 0x3A), spread.randrange(0x30, 0x3A)
            some.append(bytes((spread.randrange(0x81, 0xFF), ends[0], spread.randrange(0x81, 0xFF), ends[1])))
    if charset.startswith("utf"):
        name = {"utf16": "utf-16-be", "utf16le": "utf-16-le", "utf32": "utf-32-be"}.get(charset, "utf-8")
        numbers = [spread.randrange(0x11_0000) for _ in range(20_000)]
        some += [chr(number).encode(name) for number in numbers if not 0xD800 <= number < 0xE000]
    return some


@pytest.mark.rotating
def test_character_sets(source: Logged) -> None:
    """Each code is the character to which the server converts it, or an error where it converts to none."""
    for (name,) in source.execute("SELECT CHARACTER_SET_NAME FROM information_schema.CHARACTER_SETS"):
        charset = name.decode()
        if charset == "binary":
            continue
        source.execute("DROP TABLE IF EXISTS t", "SET SESSION sql_log_bin = 0", "CREATE TABLE t (b varbinary(4))")
        given = codes(charset)
        for at in range(0, len(given), 5000):
            values = ",".join(f"(X'{code.hex()}')" for code in given[at : at + 5000])
            source.execute(f"INSERT INTO t VALUES {values}")
        text = f"CAST(b AS CHAR CHARACTER SET {charset})"
        asked = source.execute(f"SELECT b, CAST({text} AS BINARY), CAST(CONVERT({text} USING utf32) AS BINARY) FROM t")
        source.execute("SET SESSION sql_log_bin = 1")
        decode = decoder(charset)
        for code, kept, converted in asked:
            assert read(decode, code) == character(code, kept, converted), (charset, code.hex())


CHARSETS = """
    big5 dec8 cp850 hp8 koi8r latin2 swe7 ascii ujis sjis hebrew tis620 euckr koi8u gb2312 greek
    cp1250 gbk latin5 armscii8 utf8mb3 ucs2 cp866 keybcs2 macce macroman cp852 latin7 cp1251 utf16
    utf16le cp1256 cp1257 utf32 geostd8 cp932 eucjpms gb18030
"""


@pytest.mark.parametrize("charset", CHARSETS.split())
def test_text_in_every_character_set(source: Logged, charset: str) -> None:
    if source.mariadb and charset == "gb18030":
        pytest.skip("MariaDB has it not")
    decode, spread = decoder(charset), random.Random(9)
    good = [code for code in codes(charset) if read(decode, code) is not None and code.strip(b"\0 ")]
    some = [b"".join(spread.choices(good, k=spread.randrange(1, 12))) for _ in range(40)]
    texts = [decode(code).rstrip(" ") for code in some]
    values = compare(source, f"char(40) character set {charset}", Text(40), [f"_{charset} X'{c.hex()}'" for c in some])
    assert values == texts
    labels = sorted({text[:3].lower() for text in texts if text[:3].isalpha()})[:1] or ["x"]
    source.execute("DROP TABLE t")
    quoted = ", ".join(map(source.connection.escape, labels))
    declared = f"enum({quoted}) character set {charset}"
    assert compare(source, declared, Enum("e", tuple(labels)), ["1", "0"]) == [labels[0], ""]


def read(decode: Callable[[bytes], str], code: bytes) -> str | None:
    try:
        return decode(code)
    except ValueError:
        return None


def character(code: bytes, kept: bytes | None, converted: bytes | None) -> str | None:
    """What the server made of a code, None for nothing, a question mark or U+FFFD in the place of another character."""
    if kept != code or not converted:
        return None
    try:
        text = converted.decode("utf-32-be")
    except UnicodeDecodeError:  # half of a pair, which MariaDB takes
        return None
    if "?" in text and b"?" not in code:
        return None
    return None if "\ufffd" in text and code not in GENUINE else text


GENUINE = {b"\xff\xfd", b"\xfd\xff", "\ufffd".encode(), b"\0\0\xff\xfd", "\ufffd".encode("gb18030")}
