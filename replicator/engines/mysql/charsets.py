"""The character sets of MySQL and MariaDB: from a collation's number to what decodes its text.

The numbers are those of `information_schema.COLLATIONS` of MySQL 9.7 and of MariaDB's
`COLLATION_CHARACTER_SET_APPLICABILITY`; the two have none in common that means another character set. Bytes that are
no characters raise ValueError; none is ever replaced.
"""

from __future__ import annotations

import codecs
import functools
from collections.abc import Callable, Iterator

from replicator.engines.mysql import charmaps, multibyte
from replicator.errors import NotUnderstood

Decode = Callable[[bytes], str]

BINARY = 63
"""The collation of bytes."""

_COLLATIONS = {
    "big5": "1 84",
    "latin2": "2 9 21 27 77",
    "dec8": "3 69",
    "cp850": "4 80",
    "latin1": "5 8 15 31 47-49 94",
    "hp8": "6 72",
    "koi8r": "7 74",
    "swe7": "10 82",
    "ascii": "11 65",
    "ujis": "12 91",
    "sjis": "13 88",
    "cp1251": "14 23 50-52",
    "hebrew": "16 71",
    "tis620": "18 89",
    "euckr": "19 85",
    "latin7": "20 41-42 79",
    "koi8u": "22 75",
    "gb2312": "24 86",
    "greek": "25 70",
    "cp1250": "26 34 44 66 99",
    "gbk": "28 87",
    "cp1257": "29 58-59",
    "latin5": "30 78",
    "armscii8": "32 64",
    "utf8mb3": "33 76 83 192-215 223 576-578",
    "ucs2": "35 90 128-151 159 640-642",
    "cp866": "36 68",
    "keybcs2": "37 73",
    "macce": "38 43",
    "macroman": "39 53",
    "cp852": "40 81",
    "utf8mb4": "45-46 224-247 255-271 273-275 277-294 296-298 300 303-323 608-610",
    "utf16": "54-55 101-124 672-674",
    "utf16le": "56 62",
    "cp1256": "57 67",
    "utf32": "60-61 160-183 736-738",
    "binary": "63",
    "geostd8": "92-93",
    "cp932": "95-96",
    "eucjpms": "97-98",
    "gb18030": "248-250",
}
_NOPAD = 1024
"""MariaDB adds this to a collation's number for its variant that does not pad with spaces."""
_UCA1400 = 2048
_UCA1400_SETS = ("utf8mb3", "utf8mb4", "ucs2", "utf16", "utf32")
"""MariaDB's collations of Unicode 14 from that number on: 256 numbers for each of these."""


def _numbers() -> Iterator[tuple[int, str]]:
    for charset, numbers in _COLLATIONS.items():
        for word in numbers.split():
            first, _, last = word.partition("-")
            for number in range(int(first), int(last or first) + 1):
                yield number, charset


_BY_NUMBER = dict(_numbers())


def charset_of(collation: int) -> str:
    """The name of a collation's character set. Raises NotUnderstood for a number that no server has."""
    number = collation - _NOPAD if _NOPAD < collation < _UCA1400 else collation
    if collation >= _UCA1400:
        block = (collation - _UCA1400) // 256
        if block < len(_UCA1400_SETS):
            return _UCA1400_SETS[block]
    elif number in _BY_NUMBER:
        return _BY_NUMBER[number]
    raise NotUnderstood(f"collation {collation} of a column in the log is not known")


def decoder_of(collation: int) -> Decode:
    """What decodes the text of a column with this collation."""
    return decoder(charset_of(collation))


@functools.cache
def decoder(charset: str) -> Decode:
    """What decodes the text of a character set; labels of ENUMs of bytes are taken as UTF-8."""
    if charset in ("utf8mb4", "binary"):
        return bytes.decode
    if charset in multibyte.OWN:
        return multibyte.OWN[charset]
    if charset in multibyte.PYTHON:
        return functools.partial(_python, multibyte.PYTHON[charset])
    if charset in charmaps.OWN:
        return functools.partial(_mapped, charmaps.OWN[charset])
    if charset in charmaps.PYTHON:
        return functools.partial(_mapped, _table(*charmaps.PYTHON[charset]))
    raise NotUnderstood(f"character set {charset} is not known")


def _python(codec: str, raw: bytes) -> str:
    return raw.decode(codec)


def _mapped(table: str, raw: bytes) -> str:
    return codecs.charmap_decode(raw, "strict", table)[0]


def _table(codec: str, other: dict[int, str]) -> str:
    characters = []
    for byte in range(256):
        try:
            characters.append(other.get(byte) or bytes((byte,)).decode(codec))
        except UnicodeDecodeError:
            characters.append(charmaps.NONE)
    return "".join(characters)
