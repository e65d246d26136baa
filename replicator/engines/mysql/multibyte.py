"""Character sets of more bytes a character that Python has otherwise than MySQL and MariaDB convert them.

Read from both servers, which agree; a code that they convert to a question mark or to U+FFFD is no character here.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from replicator.engines.mysql.charmaps import EUCJPMS_IBM

_ROW = 94
_BIG5 = re.compile(rb"[\x00-\x7f]|[\xa1-\xf9][\x40-\x7e\xa1-\xfe]", re.DOTALL)
_EUC = re.compile(rb"[\x00-\x7f]|\x8e[\xa1-\xdf]|\x8f[\xa1-\xfe]{2}|[\xa1-\xfe]{2}", re.DOTALL)
_BIG5_NONE = frozenset([0xA15A, 0xA1C3, 0xA1C5, 0xA1FE, 0xA240, 0xA2CC, 0xA2CE])
_BIG5_MORE = dict(zip(range(0xF9D6, 0xF9DD), "碁銹裏墻恒粧嫺", strict=True))
_CP932_NONE = frozenset("\x80\uf8f0\uf8f1\uf8f2\uf8f3")
_GB18030_SWAPPED = {0xE7C7: 0x1E3F, 0x1E3F: 0xE7C7}


class _Codes(dict[bytes, str]):
    """The character of a code, found once. There are as many as the character set has codes."""

    def __init__(self, character: Callable[[bytes], str]) -> None:
        self._character = character

    def __missing__(self, code: bytes) -> str:
        found = self[code] = self._character(code)
        return found


def _by_code(pattern: re.Pattern[bytes], character: Callable[[bytes], str]) -> Callable[[bytes], str]:
    codes = _Codes(character)

    def decode(raw: bytes) -> str:
        if raw.isascii():
            return raw.decode("ascii")
        parts = pattern.findall(raw)
        if sum(map(len, parts)) != len(raw):
            raise ValueError("not in the column's character set")
        return "".join([codes[part] for part in parts])

    return decode


def _big5(code: bytes) -> str:
    number = int.from_bytes(code, "big")
    if number in _BIG5_NONE:
        raise ValueError("not in the column's character set")
    return _BIG5_MORE.get(number) or code.decode("big5")


def _of_users(code: bytes) -> str | None:
    """A character for users' own: ten rows of two bytes, and as many of three behind them."""
    if len(code) == 1 or code[-2] < 0xF5:
        return None
    row, cell = code[-2] - 0xF5, code[-1] - 0xA1
    return chr(0xE000 + (len(code) - 2) * 10 * _ROW + row * _ROW + cell)


def _ujis(code: bytes) -> str:
    return "\\" if code == b"\xa1\xc0" else _of_users(code) or code.decode("euc_jp")


def _eucjpms(code: bytes) -> str:
    own = _of_users(code)
    if own is not None or code[0] < 0x8F:
        return own or code.decode("euc_jp")
    row, cell = code[-2] - 0xA1, code[-1] - 0xA1
    if len(code) == 2:  # the same characters as in cp932, by row and cell
        lead = (row >> 1) + (0x81 if row < 62 else 0xC1)
        trail = cell + 0x9F if row & 1 else cell + 0x40 + (cell >= 63)
        return bytes((lead, trail)).decode("cp932")
    added = (row * _ROW + cell) - ((0xF3 - 0xA1) * _ROW + 0xF3 - 0xA1)
    if added >= 0:
        return EUCJPMS_IBM[added]
    return {b"\x8f\xa2\xb7": "\uff5e", b"\x8f\xa2\xc3": "\uffe4"}.get(code) or code.decode("euc_jp")


def _sjis(raw: bytes) -> str:
    return raw.decode("shift_jis").replace("\uff3c", "\\")


def _cp932(raw: bytes) -> str:
    text = raw.decode("cp932")
    if not _CP932_NONE.isdisjoint(text):
        raise ValueError("not in the column's character set")
    return text


def _gb18030(raw: bytes) -> str:
    return raw.decode("gb18030").translate(_GB18030_SWAPPED)


def _utf8mb3(raw: bytes) -> str:
    text = raw.decode()
    if not text.isascii() and max(text) > "\uffff":
        raise ValueError("not in the column's character set")
    return text


def _ucs2(raw: bytes) -> str:
    text = raw.decode("utf-16-be")
    if 2 * len(text) != len(raw):
        raise ValueError("not in the column's character set")
    return text


OWN: dict[str, Callable[[bytes], str]] = {
    "big5": _by_code(_BIG5, _big5),
    "ujis": _by_code(_EUC, _ujis),
    "eucjpms": _by_code(_EUC, _eucjpms),
    "sjis": _sjis,
    "cp932": _cp932,
    "gb18030": _gb18030,
    "utf8mb3": _utf8mb3,
    "ucs2": _ucs2,
}

PYTHON: dict[str, str] = {
    "euckr": "cp949",
    "gb2312": "gb2312",
    "gbk": "gbk",
    "utf16": "utf-16-be",
    "utf16le": "utf-16-le",
    "utf32": "utf-32-be",
    "ascii": "ascii",
}
"""Python's codecs that convert every code as the servers do."""
