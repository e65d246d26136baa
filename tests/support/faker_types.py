"""Every PostgreSQL type with the values at its edges, as SQL literals: the value matrix."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Protocol

USER_TYPES = """
CREATE TYPE mood AS ENUM ('sad', 'so so', 'it''s "fine"', '😀', 'Sad', '1');
CREATE DOMAIN positive AS integer CHECK (VALUE > 0);
CREATE DOMAIN short_code AS varchar(8);
CREATE DOMAIN shorter_code AS short_code CHECK (length(VALUE) < 5);
CREATE TYPE pair AS (first integer, second text);
CREATE TYPE nested AS (name text, pairs pair[], at timestamptz);
CREATE TYPE textrange AS RANGE (subtype = text);
"""

ALL_BYTES = "\\x" + bytes(range(256)).hex()
CONTROL = "".join(map(chr, range(1, 32))) + "\x7f\x80\x9f"
LONG = "0123456789abcdéf" * 1280
TEXTS = [
    *("", " ", "a", "NULL", "null", "\\N", "\\", "\\\\", "\\.", "\\x41", "%s", "%(x)s", ":x", "{", "{}", '"'),
    *(
        "it's",
        "''",
        '"quoted"',
        "a;b--c",
        "/*",
        "$$",
        "tab\there",
        "line\nline\r\nline\r",
        "\n",
        "trailing  ",
    ),
    *(
        "é",
        "e\u0301",
        "😀👨\u200d👩\u200d👧",
        "שלום مرحبا",
        "漢字",
        "\u2028\u2029\u0085",
        "\ufeffbom",
        "\U0010ffff",
    ),
    *("\ufffd", "İıſß", "0", "-0", "1e5", "true", "2024-02-29", "2024-02-29 12:00:00Z", CONTROL, LONG),
]
WHOLE = ["0", "1", "-1"]
FLOATS = [
    *("0", "1", "-1", "0.1", "-0.1", "0.3", "1e10", "1e15", "1e16", "123456.789", "Infinity", "-Infinity"),
    *("3.4028235e38", "1.1754944e-38", "1e-45"),
]
NUMERICS = [
    *(
        "0",
        "1",
        "-1",
        "0.0",
        "0.00",
        "1.10",
        "100",
        "1e10",
        "0.1",
        "-0.1",
        "1e-20",
        "NaN",
        "Infinity",
        "-Infinity",
    ),
    *(
        "12345678901234567890.123456789",
        "9" * 1000,
        "0." + "0" * 999 + "1",
        "-" + "9" * 400 + "." + "9" * 400,
    ),
]
DATES = [
    *("2024-02-29", "1970-01-01", "2000-01-01", "1999-12-31", "0001-01-01", "0001-12-31 BC", "0044-03-15 BC"),
    *("4714-11-24 BC", "9999-12-31", "10000-01-01", "5874897-12-31", "infinity", "-infinity", "1582-10-10"),
]
TIMES = ["00:00:00", "24:00:00", "23:59:59.999999", "12:34:56", "12:34:56.1", "12:34:56.000001"]
MOMENTS = [
    *("2024-02-29 18:44:15", "2024-02-29 18:44:15.1", "2024-02-29 18:44:15.000001", "1970-01-01 00:00:00"),
    *("1999-12-31 23:59:59.999999", "2038-01-19 03:14:08", "2106-02-07 06:28:16", "1900-01-01 00:00:00"),
    *("0001-01-01 00:00:00", "0044-03-15 12:00:00.5 BC", "4714-11-24 00:00:00 BC", "10000-01-01 00:00:00"),
    *("294276-12-31 23:59:59.999999", "infinity", "-infinity"),
]
INSTANTS = [
    moment if "infinity" in moment else moment.replace(" BC", "") + "+00" + " BC" * moment.endswith("BC")
    for moment in MOMENTS
] + ["2024-03-31 02:30:00+01", "2024-10-27 02:30:00 Europe/Berlin", "1890-01-01 00:00:00+00:53:28"]
INTERVALS = [
    *(
        "0",
        "1 second",
        "-1 second",
        "0.000001 s",
        "1 year",
        "-1 year",
        "1 mon",
        "30 days",
        "24:00:00",
        "1 day",
    ),
    *("1 year 2 mons 3 days 04:05:06.789", "1 year -2 days 03:04:05.6", "-1 year 2 days -03:04:05.6"),
    *("178956970 years 7 mons 2147483647 days 2562047788:00:54.775807", "-178956970 years -8 mons"),
]
JSONS = [
    *(
        "null",
        "true",
        "false",
        "0",
        "-0",
        "1.10",
        "1e400",
        "12345678901234567890.123456789",
        '""',
        '"a"',
        "[]",
        "{}",
    ),
    *(
        '{"b": 1, "a": [2, null, {"c": "d"}]}',
        '{"a": 1, "a": 2}',
        '{"": ""}',
        '{"é": "😀", "q": "\\"\\\\\\/\\n"}',
    ),
    *('"\\u00e9\\ud83d\\ude00"', "[[[]]]", '"it\'s"', '{ "spaces" :\n\t1 }', '"' + "x" * 5000 + '"'),
]
UUIDS = ["00000000-0000-0000-0000-000000000000", "ffffffff-ffff-ffff-ffff-ffffffffffff"]
UUIDS.append("A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11")

_TEXTS_OF: dict[str, Iterable[str]] = {
    "smallint": [*WHOLE, "-32768", "32767"],
    "integer": [*WHOLE, "-2147483648", "2147483647"],
    "bigint": [*WHOLE, "-9223372036854775808", "9223372036854775807", "9007199254740993"],
    "oid": ["0", "1", "4294967295"],
    "numeric": NUMERICS,
    "numeric(10,2)": ["0", "1", "-1", "0.01", "99999999.99", "-99999999.99", "1.1", "NaN"],
    "numeric(1000,500)": ["0", "9" * 500 + "." + "9" * 500, "-" + "9" * 500],
    "numeric(3,-2)": ["0", "100", "99900", "-99900"],
    "numeric(2,4)": ["0", "0.0001", "-0.0099"],
    "real": FLOATS,
    "double precision": [*FLOATS, "1.7976931348623157e308", "2.2250738585072014e-308", "5e-324", "1e23"],
    "money": ["0", "0.01", "-0.01", "1234567.89", "92233720368547758.07", "-92233720368547758.08"],
    '"char"': ["", "a", "'", "\\"],
    "char(1)": ["", " ", "a", "é", "😀"],
    "char(5)": ["", "a", "abcde", "a b", "  a", "ééééé", "it's"],
    "varchar": TEXTS,
    "varchar(20)": [text for text in TEXTS if len(text) <= 20],
    "text": TEXTS,
    "name": ["", "a", "it's", "é" * 31, "a" * 63],
    "bytea": ["", "\\x00", "\\xff", "\\x5c", "\\x27", "\\x0a0d09", ALL_BYTES, "\\x" + "00ff" * 10_000],
    "boolean": ["true", "false"],
    "date": DATES,
    "time": TIMES,
    "time(0)": ["00:00:00", "24:00:00", "23:59:59"],
    "timetz": [time + zone for time in TIMES for zone in ("+00", "-08", "+05:30", "+15:59:59", "-15:59:59")],
    "timestamp": MOMENTS,
    "timestamp(3)": ["2024-02-29 18:44:15.123", "1970-01-01 00:00:00", "infinity"],
    "timestamptz": INSTANTS,
    "timestamptz(0)": ["2024-02-29 18:44:15+00", "-infinity"],
    "interval": INTERVALS,
    "interval day to second": ["0", "3 days 04:05:06.789", "-3 days"],
    "uuid": UUIDS,
    "json": JSONS,
    "jsonb": [text for text in JSONS if text != "1e400"] + ["1e100"],
    "jsonpath": ["$", '$."a"[*]?(@ > 1)'],
    "inet": ["0.0.0.0", "10.0.0.1", "10.0.0.1/8", "255.255.255.255/32", "::", "::1", "2001:db8::1/64"],
    "cidr": ["0.0.0.0/0", "10.0.0.0/8", "10.0.0.1/32", "::/0", "2001:db8::/32"],
    "macaddr": ["00:00:00:00:00:00", "08:00:2b:01:02:03", "ff:ff:ff:ff:ff:ff"],
    "macaddr8": ["00:00:00:00:00:00:00:00", "08:00:2b:01:02:03:04:05"],
    "bit(1)": ["0", "1"],
    "bit(12)": ["000000000000", "101010101010", "111111111111"],
    "varbit": ["", "0", "1", "10" * 50],
    "varbit(8)": ["", "0", "11111111"],
    "tsvector": ["", "a", "b a c:1A,2B", "'it''s' 'a b' 'back\\\\'"],
    "tsquery": ["", "a", "a & !b | (c <-> d:*A)", "'it''s'"],
    "int4range": ["empty", "[1,5)", "[1,5]", "(,)", "[1,)", "(,5]", "[-2147483648,2147483647)"],
    "int8range": ["empty", "[1,9223372036854775807)"],
    "numrange": ["empty", "[1.10,2.00]", "(1,2)", "(,NaN)"],
    "daterange": ["empty", "[2024-01-01,2024-12-31]", "[-infinity,infinity]", "[0044-03-15 BC,)"],
    "tsrange": ["empty", "[2024-01-01 00:00,2024-01-02 12:00:00.5)"],
    "tstzrange": ["empty", "[2024-01-01 00:00+00,)", "(2024-01-01 00:00+05:30,infinity]"],
    "int4multirange": ["{}", "{[1,3),[5,8)}", "{(,)}"],
    "nummultirange": ["{}", "{[1.10,2.00],(3,4)}"],
    "datemultirange": ["{}", "{[2024-01-01,2024-02-01)}"],
    "tstzmultirange": ["{}", "{[2024-01-01 00:00+00,2024-01-02 00:00+00),[2025-01-01 00:00+00,)}"],
    "textrange": ["empty", '["a","b c"]', '("it\'s \\"so\\", \\\\",)'],
    "point": ["(0,0)", "(1,2.5)", "(-1e300,1e-300)", "(Infinity,-Infinity)", "(NaN,0.1)"],
    "line": ["{1,2,3}", "{0,1,0}"],
    "lseg": ["[(0,0),(1,1)]"],
    "box": ["(1,1),(0,0)"],
    "path": ["((0,0),(1,1))", "[(0,0),(1,1),(2,0)]"],
    "polygon": ["((0,0),(1,1),(2,0))"],
    "circle": ["<(0,0),0>", "<(1,2.5),3>"],
    "pg_lsn": ["0/0", "FFFFFFFF/FFFFFFFF"],
    "xml": ["<a/>", "text", "<a b='c'>é &amp; &lt;</a>", '<?xml version="1.0" encoding="UTF-8"?><a>\n</a>'],
    "mood": ["sad", "so so", 'it\'s "fine"', "😀", "Sad", "1"],
    "positive": ["1", "2147483647"],
    "short_code": ["", "a", "12345678"],
    "shorter_code": ["", "1234"],
    "pair": ["(1,a)", "(,)", '(,"")', '(-1,"it\'s \\"so\\", (a) \\\\ ")'],
    "nested": ["(,,)", '(x,"{""(1,a)"",""(,)""}","2024-01-01 00:00:00+00")'],
    "smallint[]": ["{}", "{-32768,32767,NULL}"],
    "integer[]": [
        "{}",
        "{1}",
        "{NULL}",
        "{1,NULL,-3}",
        "{{1,2,3},{4,5,6}}",
        "{{{{{{1}}}}}}",
        "{{{1,2}},{{3,NULL}}}",
    ],
    "bigint[]": ["{9223372036854775807,-9223372036854775808,9007199254740993}"],
    "numeric[]": ["{}", "{0,1.10,1e-20,NaN,Infinity,-Infinity,NULL}", "{{0.00},{12345678901234567890.5}}"],
    "real[]": ["{0,-0,0.1,1e20,1e-45,NaN,Infinity,-Infinity,NULL}"],
    "double precision[]": ["{0,-0,0.1,1e23,5e-324,1.7976931348623157e308,NaN,Infinity,-Infinity,NULL}"],
    "boolean[]": ["{}", "{t,f,NULL}", "{{t},{f}}"],
    "date[]": ["{2024-02-29,infinity,NULL,0044-03-15 BC}"],
    "time[]": ["{24:00:00}"],
    "timestamp[]": ["{2024-02-29 18:44:15.5,infinity}"],
    "timestamptz[]": ["{2024-02-29 18:44:15.5+05:30,-infinity,0044-03-15 12:00:00+00 BC}"],
    "interval[]": ["{1 year -2 days,-1 second}"],
    "uuid[]": ["{a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11,NULL}"],
    "money[]": ["{-1.50,1234567.89}"],
    "bytea[]": ['{"","\\\\x00ff"}'],
    "varchar(5)[]": ["{}", "{abc,NULL}"],
    "char(3)[]": ["{a,abc}"],
    "inet[]": ["{10.0.0.1,::1/64}"],
    "int4range[]": ['{"[1,5)",empty}'],
    "point[]": ['{"(0,0)","(1,2.5)"}'],
    "box[]": ["{(1,1),(0,0);(2,2),(1,1)}"],
    "mood[]": ['{sad,"so so",NULL,"it\'s \\"fine\\""}'],
    "positive[]": ["{1,2}"],
    "pair[]": ['{"(1,a)","(,)",NULL}'],
}


def literal(text: str, kind: str) -> str:
    """A value's text as an SQL literal of that type."""
    return "'" + text.replace("'", "''") + f"'::{kind}"


def _array(elements: Iterable[str], kind: str) -> str:
    return f"ARRAY[{', '.join(elements)}]::{kind}[]"


PG_TYPES: dict[str, list[str]] = {
    **{kind: [literal(text, kind) for text in texts] for kind, texts in _TEXTS_OF.items()},
    "text[]": [
        *("'{}'::text[]", "ARRAY[NULL]::text[]", "'{{a,b},{c,NULL}}'::text[]"),
        _array([literal(text, "text") for text in TEXTS], "text"),
    ],
    "json[]": [_array([literal(text, "json") for text in JSONS] + ["NULL"], "json")],
    "jsonb[]": [_array([literal(text, "jsonb") for text in ("null", '{"a": "b"}', "1.10")], "jsonb")],
}
"""Type to literals of its edge values, NULL not among them. What SQLite cannot hold is in UNREPRESENTABLE."""

UNREPRESENTABLE: dict[str, list[str]] = {
    "real": ["'NaN'::real", "'-0'::real"],
    "double precision": ["'NaN'::double precision", "'-0'::double precision"],
    "integer[]": ["'[2:3]={1,2}'::integer[]", "'[0:0]={1}'::integer[]", "'[1:1][0:1]={{1,2}}'::integer[]"],
    "text[]": ["'[-1:0]={a,b}'::text[]"],
}

NEWER: dict[int, dict[str, list[str]]] = {
    17: {"interval": ["'infinity'::interval", "'-infinity'::interval"]},
}
"""Values that only exist from a major version on."""

EXTENSION_TYPES: dict[str, dict[str, list[str]]] = {
    "hstore": {
        "hstore": [
            literal(text, "hstore")
            for text in ("", "a=>1", "a=>NULL", '"a b"=>"it\'s \\"so\\" \\\\", bb=>"", "é"=>"\t\n"', '""=>x')
        ]
    },
    "citext": {"citext": [literal(text, "citext") for text in ("", "Ab", "aB")]},
    "ltree": {"ltree": [literal(text, "ltree") for text in ("", "Top.Science_1.a")]},
}
PROBES = {"xml": "SELECT '<a/>'::xml"}


class Database(Protocol):
    def execute(self, statement: str, *args: object) -> None: ...

    def query(self, statement: str, *args: object) -> list[tuple[Any, ...]]: ...


def edge_values(kind: str, version: int = 15) -> list[str]:
    """The literals at the edges of a type, NULL included, that a server of this major version knows."""
    values = list(PG_TYPES[kind])
    for since, added in NEWER.items():
        if version >= since:
            values += added.get(kind, [])
    return [*values, f"NULL::{kind}"]


def prepare(database: Database) -> dict[str, list[str]]:
    """Make the user's types of this file, and return the table of types for this server: with the extensions
    that it has, without what it was built without."""
    database.execute(USER_TYPES)
    version = int(database.query("SHOW server_version_num")[0][0]) // 10_000
    types = {kind: edge_values(kind, version) for kind in PG_TYPES}
    for kind, probe in PROBES.items():
        try:
            database.query(probe)
        except Exception:  # whatever the driver calls it
            del types[kind]
    present = {name for (name,) in database.query("SELECT name FROM pg_available_extensions")}
    for extension, added in EXTENSION_TYPES.items():
        if extension in present:
            database.execute(f"CREATE EXTENSION {extension}")
            types.update({kind: [*values, f"NULL::{kind}"] for kind, values in added.items()})
    return types
