"""Every type of MySQL and MariaDB with values at its edges, as literals."""

from __future__ import annotations

import random

Types = dict[str, tuple[str, ...]]
_LONG = "x" * 3000

COMMON: Types = {
    "tinyint": ("-128", "127", "0"),
    "tinyint unsigned": ("255", "0"),
    "tinyint(1)": ("0", "1", "2", "-128"),
    "smallint": ("-32768", "32767"),
    "smallint unsigned": ("65535", "0"),
    "mediumint": ("-8388608", "8388607"),
    "mediumint unsigned": ("16777215", "0"),
    "int": ("-2147483648", "2147483647"),
    "int(6) unsigned zerofill": ("4294967295", "7"),
    "bigint": ("-9223372036854775808", "9223372036854775807"),
    "bigint unsigned": ("9223372036854775807", "0"),
    "decimal(1,0)": ("9", "-9", "0"),
    "decimal(10,2)": ("-12345678.90", "0.01", "-0.01", "0"),
    "decimal(65,30)": (f"-{'9' * 35}.{'9' * 30}", "0.000000000000000000000000000001"),
    "decimal(9,9)": ("0.123456789", "-0.000000001"),
    "float": ("0.1", "-3.4e38", "1.17549435e-38", "16777217", "3.14159274"),
    "double": ("0.1", "-1.7976931348623157e308", "2.2250738585072014e-308", "123456789.12345679"),
    "bit(1)": ("b'1'", "b'0'"),
    "bit(17)": ("b'10101010101010101'", "0"),
    "bit(63)": ("9223372036854775807", "1"),
    "year": ("1901", "2155", "0"),
    "date": ("'1000-01-01'", "'9999-12-31'", "'2024-02-29'"),
    "datetime": ("'1000-01-01 00:00:00'", "'9999-12-31 23:59:59'"),
    "datetime(1)": ("'2024-02-29 13:14:15.5'",),
    "datetime(6)": ("'2024-02-29 13:14:15.000001'", "'2024-02-29 13:14:15.120000'"),
    "timestamp NULL": ("'1970-01-01 00:00:01'", "'2038-01-19 03:14:07'"),
    "timestamp(6) NULL": ("'2024-02-29 13:14:15.999999'", "'2024-02-29 13:14:15.1'"),
    "time": ("'-838:59:59'", "'838:59:59'", "'00:00:00'", "'-00:00:01'"),
    "time(3)": ("'-00:00:00.001'", "'23:59:59.99'"),
    "char(5)": ("'ab'", "''", "'äß€😀x'"),
    "varchar(40)": ("''", "' leading'", "'trailing  '", "'quote '' back\\\\slash'", "'😀'", "'\\n\\t'"),
    "varchar(20) CHARACTER SET latin1": ("'ä€'", "''"),
    "varchar(20) CHARACTER SET sjis": ("'表'",),
    "varchar(20) CHARACTER SET utf16": ("'漢😀'",),
    "tinytext": ("'t'", "''"),
    "text": (f"'{_LONG}'", "'a\\nb'"),
    "longtext": (f"'{_LONG * 30}'",),
    "binary(4)": ("x'4100'", "x'00000000'", "x'01020304'"),
    "varbinary(300)": ("x''", "x'00ff00'", f"x'{'ab' * 300}'"),
    "blob": ("x''", "x'00'", f"x'{'00ff' * 2000}'"),
    "enum('a','b''c','ö','')": ("'a'", "'b''c'", "'ö'", "''"),
    "set('x','y','z')": ("''", "'z,x'", "'y'"),
    "geometry": (
        "ST_GeomFromText('POINT(1 2)')",
        "ST_GeomFromText('GEOMETRYCOLLECTION(POINT(1 1),LINESTRING(0 0,1 1))')",
    ),
    "point": ("ST_GeomFromText('POINT(-1.5 2e10)')",),
    "polygon": ("ST_GeomFromText('POLYGON((0 0,4 0,4 4,0 4,0 0),(1 1,2 1,2 2,1 2,1 1))')",),
}
JSONS = (
    "'{}'",
    "'[]'",
    "'null'",
    "'\"text\"'",
    "'-0.5'",
    "'[1, 2.5, -3e10, true, null, \"ä😀\"]'",
    '\'{"b": {"deep": [[[1]]]}, "a": 18446744073709551615, "": "empty"}\'',
)
MYSQL: Types = {
    "json": (
        *JSONS,
        "JSON_OBJECT('d', CAST(1.50 AS DECIMAL(5,2)), 't', CAST('12:34:56.5' AS TIME(1)))",
        "JSON_OBJECT('at', CAST('2024-02-29' AS DATE), 'raw', CAST(x'00ff' AS BINARY))",
    ),
    "vector(3)": ("TO_VECTOR('[1,-2.5,0]')",),
}
MARIADB: Types = {
    "json": JSONS,
    "inet4": ("'1.2.3.4'", "'0.0.0.0'", "'255.255.255.255'"),
    "inet6": ("'::'", "'2001:db8::1'", "'::ffff:1.2.3.4'", "'ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff'"),
    "uuid": ("'123e4567-e89b-12d3-a456-426655440000'", "'00000000-0000-0000-0000-000000000000'"),
}


def types(engine: str) -> Types:
    return COMMON | (MYSQL if engine == "mysql" else MARIADB)


def table(engine: str, name: str, key: str = "id int PRIMARY KEY") -> str:
    """A table with a column `c0`, `c1`, ... of each type."""
    return f"CREATE TABLE {name} ({key}, {', '.join(f'c{n} {kind}' for n, kind in enumerate(types(engine)))})"


def rows(engine: str) -> list[list[str]]:
    """Rows that together have every value of every type, and one of NULLs."""
    values = list(types(engine).values())
    longest = max(map(len, values))
    return [[of[n % len(of)] for of in values] for n in range(longest)] + [["NULL"] * len(values)]


def any_row(engine: str, rng: random.Random) -> list[str]:
    return ["NULL" if rng.random() < 0.1 else rng.choice(of) for of in types(engine).values()]
