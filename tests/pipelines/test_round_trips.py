"""There and back by two backfills: the same values, but for the types that docs/explanation/round-trips.md names."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.support.databases import PostgresDatabase
from tests.support.faults import run_replicator
from tests.support.mysql_database import MysqlDatabase
from tests.support.mysql_types import rows as mysql_rows
from tests.support.mysql_types import types as mysql_types

PAGE = Path(__file__).parents[2] / "docs/explanation/round-trips.md"
POSTGRES: dict[str, tuple[str, ...]] = {
    "boolean": ("true", "false"),
    "smallint": ("-32768", "32767"),
    "integer": ("-2147483648", "2147483647"),
    "bigint": ("-9223372036854775808", "9223372036854775807"),
    "numeric(12,2)": ("1.10", "-1234567890.12"),
    "numeric": ("1.10", "'NaN'", "1e30"),
    "money": ("'-1234.50'",),
    "real": ("0.1", "3.4028235e38", "1e-45"),
    "double precision": ("0.1", "1.7976931348623157e308", "5e-324"),
    "text": ("''", "'a '", "E'line\\n\\ttab \\\\'", "'😀'"),
    "varchar(20)": ("'é'", "'a '"),
    "char(5)": ("'ab'",),
    "bytea": ("'\\x00ff5c27'", "''"),
    "date": ("'2024-02-29'", "'0001-01-01'", "'9999-12-31'"),
    "timestamp": ("'2024-02-29 23:59:59.123456'", "'0001-01-01 00:00:00'"),
    "timestamptz": ("'2024-02-29 23:59:59.123456+05:30'",),
    "time": ("'23:59:59.999999'", "'24:00:00'"),
    "timetz": ("'23:59:59+05:30'",),
    "interval": ("'1 year 2 mons -3 days 04:05:06.7'",),
    "uuid": ("'123e4567-e89b-12d3-a456-426655440000'",),
    "json": ("'[1, 2.5, {\"b\": null}]'",),
    "jsonb": ("'[1, 2.5, {\"b\": null}]'",),
    "int[]": ("'{1,NULL,3}'",),
    "text[]": ("'{a,\"b c\"}'",),
    "int4range": ("'[1,5)'", "'empty'"),
    "inet": ("'10.0.0.0/8'", "'::1'"),
    "macaddr": ("'08:00:2b:01:02:03'",),
    "bit(8)": ("B'10100001'",),
    "varbit": ("B'101'", "B''"),
    "point": ("'(1.5,-2)'",),
    "mood": ("'sad'", "'it''s'"),
}


def changed(route: str) -> set[str]:
    """The types that the page says do not come back as they were."""
    section = PAGE.read_text().split(f"## {route}\n")[1].split("\n## ")[0]
    return set(re.findall(r"^\| `([^`]+)` \|", section, re.MULTILINE))


def copied(source: str, target: str) -> None:
    with run_replicator(["backfill", source, target], None, None) as running:
        code = running.wait(120)
        assert code == 0, running.stderr()[-3000:]


class Servers:
    def __init__(self, request: pytest.FixtureRequest, stack: ExitStack, directory: Path) -> None:
        self._request, self._stack, self._directory = request, stack, directory

    def postgres(self) -> PostgresDatabase:
        return self._stack.enter_context(PostgresDatabase(self._request.getfixturevalue("postgres18")))

    def mysql(self, engine: str) -> MysqlDatabase:
        return self._stack.enter_context(MysqlDatabase(self._request.getfixturevalue(engine)))

    def between(self, engine: str) -> str:
        """The URL of the database in the middle."""
        if engine == "sqlite":
            return f"sqlite:///{self._directory}/between.db"
        return self.postgres().url if engine == "postgres" else self.mysql(engine).url


@pytest.fixture
def servers_of(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Servers]:
    with ExitStack() as stack:
        yield Servers(request, stack, tmp_path)


@pytest.mark.parametrize(
    "between",
    [pytest.param(name, marks=pytest.mark.rotating(group=n)) for n, name in enumerate(("mysql", "mariadb", "sqlite"))],
)
def test_postgresql_and_back(servers_of: Servers, between: str) -> None:
    first, last, middle = servers_of.postgres(), servers_of.postgres(), servers_of.between(between)
    first.execute("CREATE TYPE mood AS ENUM ('sad', 'it''s')")
    held = dict(POSTGRES)
    columns = ", ".join(f"c{n} {kind}" for n, kind in enumerate(held))
    first.execute(f"CREATE TABLE every (id int PRIMARY KEY, {columns})")
    for number in range(max(map(len, held.values()))):
        cells = [values[number] if number < len(values) else "NULL" for values in held.values()]
        first.execute(f"INSERT INTO every VALUES ({number}, {', '.join(cells)})")
    copied(first.url, middle)
    copied(middle, last.url)
    shown = ", ".join(f"CASE WHEN num_nulls(c{n}) = 0 THEN format('%s', c{n}) END" for n in range(len(held)))
    assert_unchanged(
        first.query, last.query, f"SELECT {shown} FROM every ORDER BY id", list(held), between, "PostgreSQL"
    )


@pytest.mark.parametrize(
    ("engine", "between"),
    [
        pytest.param("mysql", "postgres", marks=pytest.mark.rotating(group=1)),
        pytest.param("mariadb", "postgres", marks=pytest.mark.rotating(group=2)),
        pytest.param("mysql", "sqlite", marks=pytest.mark.rotating(group=0)),
    ],
)
def test_mysql_and_back(servers_of: Servers, engine: str, between: str) -> None:
    first, last, middle = servers_of.mysql(engine), servers_of.mysql(engine), servers_of.between(between)
    kinds = list(mysql_types(engine))
    first.execute("SET SESSION sql_mode = ''", "SET SESSION time_zone = '+00:00'")
    first.execute(
        f"CREATE TABLE every (id int PRIMARY KEY, {', '.join(f'c{n} {kind}' for n, kind in enumerate(kinds))})"
    )
    for number, row in enumerate(mysql_rows(engine)):
        first.execute(f"INSERT INTO every VALUES ({number}, {', '.join(row)})")
    copied(first.url, middle)
    copied(middle, last.url)
    last.execute("SET SESSION time_zone = '+00:00'")
    shown = ", ".join(text_of(f"c{n}", kind) for n, kind in enumerate(kinds))
    assert_unchanged(first.query, last.query, f"SELECT {shown} FROM every ORDER BY id", kinds, between, engine)


def text_of(column: str, kind: str) -> str:
    if kind.startswith("bit"):
        return f"CAST({column} + 0 AS CHAR)"
    if kind.startswith(("binary", "varbinary", "blob", "vector", "geometry", "point", "polygon")):
        return f"HEX({column})"
    return f"CAST({column} * 1e0 AS CHAR)" if kind in ("float", "double") else f"CONVERT({column} USING utf8mb4)"


Query = Callable[[str], list[tuple[Any, ...]]]


def assert_unchanged(before: Query, after: Query, statement: str, kinds: list[str], between: str, route: str) -> None:
    ours, theirs = before(statement), after(statement)
    assert len(ours) == len(theirs) > 0
    differ = {
        kind for n, kind in enumerate(kinds) if [plain(row[n]) for row in ours] != [plain(row[n]) for row in theirs]
    }
    names = {"postgres": "PostgreSQL", "mysql": "MySQL", "mariadb": "MariaDB", "sqlite": "SQLite"}
    shown = f"{names.get(route, route)} through {names[between]}"
    assert differ == changed(shown), f"{shown}: {sorted(differ ^ changed(shown))}"


def plain(text: Any) -> Any:
    """A document by its value, and a moment without the zeros at its end, which say only how its column is declared."""
    if isinstance(text, str) and text[:1] in ("[", "{"):
        try:
            return json.dumps(json.loads(text), sort_keys=True)
        except ValueError:
            return text
    if isinstance(text, str) and re.fullmatch(r"[-\d :]+\.\d+", text) and ":" in text:
        return text.rstrip("0").rstrip(".")
    return text
