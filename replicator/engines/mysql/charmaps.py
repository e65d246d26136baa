"""Character sets of one byte a character that Python lacks or has otherwise, as MySQL and MariaDB convert them.

Read from both servers, which agree. U+FFFE stands for a byte that is no character.
"""

from __future__ import annotations

NONE = "\ufffe"
_C1 = "".join(map(chr, range(0x80, 0xA0)))
_ASCII = "".join(map(chr, range(0x80)))

_DEC8 = _C1 + (
    "\xa0¡¢£\ufffe¥\ufffe§¤©ª«\ufffe\ufffe\ufffe\ufffe°±²³\ufffeµ¶·\ufffe¹º»¼½\ufffe¿"
    "ÀÁÂÃÄÅÆÇÈÉÊËÌÍÎÏ\ufffeÑÒÓÔÕÖŒØÙÚÛÜŸ\ufffeß"
    "àáâãäåæçèéêëìíîï\ufffeñòóôõöœøùúûüÿ\ufffe\ufffe"
)
_ARMSCII8 = _C1 + (
    "\xa0❁§։)(»«—.՝,-՟…՜՛՞ԱաԲբԳգԴդԵեԶզԷէԸըԹթԺժԻիԼլԽխԾծԿկՀհՁձՂղՃճՄմՅյՆնՇշՈոՉչՊպՋջՌռՍսՎվՏտՐրՑցՒւՓփՔքՕօՖֆ’'"
)
_KEYBCS2 = (
    "ČüéďäĎŤčěĚĹÍľĺÄÁÉžŽôöÓůÚýÖÜŠĽÝŘť"
    "áíóúňŇŮÔšřŕŔ¼¡«»░▒▓│┤╡╢╖╕╣║╗╝╜╛┐"
    "└┴┬├─┼╞╟╚╔╩╦╠═╬╧╨╤╥╙╘╒╓╫╪┘┌█▄▌▐▀"
    "αßΓπΣσµτΦΘΩδ∞φε∩≡±≥≤⌠⌡÷≈°∙·√ⁿ²■\xa0"
)
_GEOSTD8 = (
    "€\ufffe‚\ufffe„…†‡\ufffe‰\ufffe‹\ufffe\ufffe\ufffe\ufffe\ufffe‘’“”•–—\ufffe\ufffe\ufffe›\ufffe\ufffe\ufffe\ufffe"
    "\xa0¡¢£¤¥¦§¨©ª«¬\xad®¯°±²³´µ¶·¸¹º»¼½¾¿"
    "აბგდევზჱთიკლმნჲოპჟრსტჳუფქღყშჩცძწ"
    "ჭხჴჯჰჵ\ufffe\ufffe\ufffe\ufffe\ufffe\ufffe\ufffe\ufffe\ufffe\ufffe\ufffe\ufffe\ufffe\ufffe\ufffe\ufffe\ufffe\ufffe\ufffe\ufffe\ufffe\ufffe\ufffe№\ufffe\ufffe"
)
_SWE7 = {"@": "É", "[": "Ä", "\\": "Ö", "]": "Å", "^": "Ü", "`": "é", "{": "ä", "|": "ö", "}": "å", "~": "ü"}

OWN: dict[str, str] = {
    "dec8": _ASCII + _DEC8,
    "armscii8": _ASCII + _ARMSCII8,
    "keybcs2": _ASCII + _KEYBCS2,
    "geostd8": _ASCII + _GEOSTD8,
    "swe7": "".join(_SWE7.get(character, character) for character in _ASCII[:-1]) + NONE * 129,
}
"""The 256 characters of a character set."""

PYTHON: dict[str, tuple[str, dict[int, str]]] = {
    "cp850": ("cp850", {}),
    "hp8": ("hp-roman8", {}),
    "koi8r": ("koi8-r", {}),
    "latin1": ("cp1252", {byte: chr(byte) for byte in (0x81, 0x8D, 0x8F, 0x90, 0x9D)}),
    "latin2": ("iso8859-2", {}),
    "hebrew": ("iso8859-8", {0xAF: "\u203e"}),
    "tis620": ("tis-620", {}),
    "koi8u": ("koi8-u", {0x95: "\u2022"}),
    "greek": ("iso8859-7", {0xA1: "\u02bd", 0xA2: "\u02bc", 0xA4: NONE, 0xA5: NONE, 0xAA: NONE}),
    "cp1250": ("cp1250", {}),
    "latin5": ("iso8859-9", {}),
    "cp866": ("cp866", {0xFC: "\u207f", 0xFD: "\u00b2"}),
    "macce": ("mac_latin2", {}),
    "macroman": ("mac_roman", {}),
    "cp852": ("cp852", {}),
    "latin7": ("iso8859-13", {}),
    "cp1251": ("cp1251", {}),
    "cp1256": ("cp1256", dict.fromkeys((0x8A, 0x8F, 0x98, 0x9A, 0x9F, 0xAA, 0xC0, 0xFF), NONE)),
    "cp1257": ("cp1257", {}),
}
"""Python's codec, and the bytes that the servers convert otherwise."""

EUCJPMS_IBM = (
    "ⅰⅱⅲⅳⅴⅵⅶⅷⅸⅹⅠⅡⅢⅣⅤⅥⅦⅧⅨⅩ＇＂㈱№℡炻仼僴凬匇匤﨎"
    "咊坙﨏塚增寬峵嵓﨑德悅愠敎昻晥晴朗栁﨓﨔橫櫢淸淲瀨凞猪甁皂皞益礰"
    "礼神祥福竧靖精綠緖羽荢﨟薰蘒﨡蠇諸譿賴赶﨣﨤逸郞都鄕﨧﨨閒隆﨩霻"
    "靍靑飯飼館馞髙魲鶴黑"
)
"""The three-byte codes of eucjpms from 8F F3 F3 to 8F F4 FE: what IBM added."""
