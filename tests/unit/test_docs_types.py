"""The tables of docs/reference/types.md are those of the engines' types.py.

`python -m tests.unit.test_docs_types` writes them; what stands outside their markers is written by hand.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from pathlib import Path

from replicator.engines.mysql import storage as into_mysql
from replicator.engines.mysql import types as mysql
from replicator.engines.mysql.flavor import MARIADB, MYSQL
from replicator.engines.postgres import storage as postgres
from replicator.engines.postgres.types import EXAMPLES as POSTGRES_TYPES
from replicator.engines.sqlite import declared
from replicator.engines.sqlite.types import by_type
from replicator.model import datatypes as d
from replicator.model.schema import Column
from replicator.sql.ddl import Storage

PAGE = Path(__file__).parents[2] / "docs/reference/types.md"
MARKED = re.compile(r"(<!-- generated: ([a-z ]+) -->\n).*?(<!-- end -->)", re.DOTALL)
BUILT_IN = frozenset(("inet", "int4range", "xml"))
CANONICAL: dict[str, d.DataType] = {
    "boolean": d.Boolean(),
    **{f"integer of {b} bits": d.Integer(b) for b in (8, 16, 24, 32, 64)},
    **{f"integer of {b} bits without a sign": d.Integer(b, signed=False) for b in (8, 16, 24, 32, 64)},
    "decimal (10, 2)": d.Decimal(10, 2),
    "decimal of any length": d.Decimal(),
    "floating point, 32 bits": d.Float(32),
    "floating point, 64 bits": d.Float(64),
    "text": d.Text(),
    "text of at most 20 characters": d.Text(20),
    "text padded to 20 characters": d.Text(20, fixed=True),
    "bytes": d.Bytes(),
    "date": d.Date(),
    "time of day, 3 digits": d.Time(precision=3),
    "time of day with a zone": d.Time(zoned=True),
    "timestamp, 3 digits": d.Timestamp(precision=3),
    "timestamp with a zone": d.Timestamp(zoned=True),
    "interval": d.Interval(),
    "duration (hours, minutes, seconds)": d.Duration(),
    "UUID": d.Uuid(),
    "JSON, its text": d.Json(),
    "JSON, its value": d.Json(binary=True),
    "enum": d.Enum("mood", ("sad", "ok")),
    "set of labels": d.LabelSet(("a", "b")),
    "number of 1 bit": d.Bits(1, number=True),
    "number of 8 bits": d.Bits(8, number=True),
    "vector": d.Vector(3),
    "geometry": d.Spatial("geometry"),
    "network address (inet, inet4, inet6)": d.Textual("inet6"),
}


def column(kind: d.DataType, native: str = "", name: str = "") -> Column:
    return Column("c", kind, True, native, name)


def shown(stored: Storage) -> str:
    check = f", CHECK {stored.check('c').removeprefix('c ')}" if stored.check else ""
    return (stored.type or "(without a type)") + check


def in_postgres(kind: d.DataType) -> str:
    return shown(postgres.form(kind, {}, BUILT_IN.__contains__, None).storage())


SERVERS = (into_mysql.Dialect(MYSQL, MYSQL.tested[0]), into_mysql.Dialect(MARIADB, MARIADB.tested[0]))


def in_mysql(kind: d.DataType) -> tuple[str, str, str]:
    """At either server, and the policies."""
    forms = [shown(into_mysql.form(kind, {}, server).storage()) for server in SERVERS]
    words = into_mysql.policies_of(kind).items()
    return forms[0], forms[1], ", ".join(f"`{name} = {word}`" for name, found in words for word in sorted(found))


def policies(kind: d.DataType) -> str:
    found = postgres.policies_of(column(kind))
    return ", ".join(f"`{name} = {word}`" for name, words in found.items() for word in sorted(words))


def table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    return "".join("| " + " | ".join(line).replace("|  |", "| |") + " |\n" for line in lines)


TABLES: dict[str, Callable[[], str]] = {
    "postgresql to sqlite": lambda: table(
        ("PostgreSQL", "SQLite"),
        ((name, shown(by_type(kind, {}))) for name, kind in POSTGRES_TYPES.items()),
    ),
    "postgresql to postgresql": lambda: table(
        ("PostgreSQL", "where the target has not that type"),
        (
            (name, in_postgres(POSTGRES_TYPES[name]))
            for name in ("an enum", "a composite type", "hstore", "geometry", "vector")
        ),
    ),
    "sqlite to postgresql": lambda: table(
        ("SQLite", "PostgreSQL", "policies"),
        (
            (text or "(without a type)", in_postgres(declared.canonical(text)), policies(declared.canonical(text)))
            for text in declared.EXAMPLES
        ),
    ),
    "mysql": lambda: table(
        ("MySQL, MariaDB", "SQLite", "PostgreSQL", "policies in PostgreSQL"),
        (
            (text, shown(by_type(kind, {})), in_postgres(kind), policies(kind))
            for text in mysql.EXAMPLES
            if (kind := mysql.canonical(text)) is not None
        ),
    ),
    "postgresql to mysql": lambda: table(
        ("PostgreSQL", "MySQL 9.7", "MariaDB 10.11", "policies"),
        ((name, *in_mysql(kind)) for name, kind in POSTGRES_TYPES.items()),
    ),
    "sqlite to mysql": lambda: table(
        ("SQLite", "MySQL 9.7", "MariaDB 10.11", "policies"),
        ((text or "(without a type)", *in_mysql(declared.canonical(text))) for text in declared.EXAMPLES),
    ),
    "every type": lambda: table(
        ("type", "SQLite", "PostgreSQL", "policies in PostgreSQL"),
        ((name, shown(by_type(kind, {})), in_postgres(kind), policies(kind)) for name, kind in CANONICAL.items()),
    ),
}


def written(page: str) -> str:
    return MARKED.sub(lambda found: found[1] + "\n" + TABLES[found[2]]() + "\n" + found[3], page)


def test_the_page_is_what_the_types_say() -> None:
    page = PAGE.read_text()
    assert page == written(page), "python -m tests.unit.test_docs_types writes it"
    assert {found[1] for found in MARKED.findall(page)} == set(TABLES)


def test_every_canonical_type_is_shown() -> None:
    known = {type(kind) for kind in [*CANONICAL.values(), *POSTGRES_TYPES.values()]}
    assert known == set(d.DataType.__args__)


if __name__ == "__main__":
    PAGE.write_text(written(PAGE.read_text()))
