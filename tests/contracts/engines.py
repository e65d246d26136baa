"""Every engine, as the contract suites see it: a new one adds its lines here and no test.

Each line of SOURCES, COPY_SOURCES and TARGETS is named `folder` or `folder:server`.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from replicator.engine import CopySource, Objects, Source, Target, find
from replicator.model.datatypes import Float, Text
from replicator.model.schema import Column, Name
from replicator.model.selection import Places
from replicator.model.values import Value
from tests.support.databases import PostgresDatabase
from tests.support.mysql_database import MysqlDatabase

Inventory = Callable[[], object]
"""Everything that a program could leave at this end, read by a connection of the test's own; for comparing."""


@dataclass(frozen=True)
class EngineUnderTest:
    """An engine's words, with nothing to connect to.

    `same`: ways of writing one database, with the password SECRET where there can be one. `bad`: URLs that it must
    refuse. `positions`: texts of its log, each covering those before it. `makes_objects`: does a stream need
    anything at the source that it makes there?
    """

    same: tuple[str, ...]
    other: str
    bad: tuple[str, ...]
    takes_password: bool = False
    positions: tuple[str, ...] = ()
    makes_objects: bool = False
    no_position: str = "nonsense"


SECRET = "S3cr3t"
ENGINES: dict[str, EngineUnderTest] = {
    "postgres": EngineUnderTest(
        (f"postgresql://u:{SECRET}@127.0.0.1:1/db", f"postgres://w:{SECRET}@127.0.0.1:1/db?sslmode=disable"),
        "postgresql://u@127.0.0.1:1/other",
        ("postgresql://127.0.0.1:1", f"postgresql://u:{SECRET}@h/db?password={SECRET}", "postgresql://h/db?x=1"),
        takes_password=True,
        positions=("0/1", "0/FFFFFFFF", "16/B374D848"),
        makes_objects=True,
    ),
    "mysql": EngineUnderTest(
        (f"mysql://u:{SECRET}@127.0.0.1:1/db", f"mariadb://w:{SECRET}@127.0.0.1:1/db?sslmode=disable"),
        "mysql://u@127.0.0.1:1/other",
        ("mysql://127.0.0.1:1", f"mysql://u:{SECRET}@h/db?password={SECRET}", "mariadb://h/db?x=1"),
        takes_password=True,
        positions=("-@binlog.000001:1", "0-1-5@binlog.000001:1", "0-1-6,2-1-1@binlog.000001:1"),
    ),
    "sqlite": EngineUnderTest(
        ("sqlite:////tmp/no such/file.db", "sqlite:////tmp/../tmp/no such/file.db"),
        "sqlite:////tmp/no such/other.db",
        ("sqlite://", "sqlite:///", "sqlite:///:memory:", "sqlite:///file.db?mode=ro"),
    ),
}


@dataclass(frozen=True)
class CopySourceUnderTest:
    """A source with an empty database, and how to run SQL in it."""

    source: CopySource
    execute: Callable[[str], object]
    inventory: Inventory


@dataclass(frozen=True)
class SourceUnderTest(CopySourceUnderTest):
    """`theirs`: makes objects for these tables as a user would, to be named to us."""

    source: Source
    theirs: Callable[[tuple[str, ...]], Objects]


@dataclass(frozen=True)
class TargetUnderTest:
    """An empty target database. `make`: one more end of it. `unheld`: a value that no table of it can hold."""

    make: Callable[[], Target]
    query: Callable[[str], list[tuple[Any, ...]]]
    inventory: Inventory
    places: Places
    unheld: tuple[Column, Value]
    url: str

    def name(self, table: str) -> Name:
        return Name(self.places.default_schema, table)


# PostgreSQL

_THERE = """
SELECT 'relation ' || oid::regclass FROM pg_class WHERE relnamespace = 'public'::regnamespace
UNION ALL SELECT 'schema ' || nspname FROM pg_namespace WHERE nspname !~ '^pg_(toast_)?temp'
UNION ALL SELECT 'publication ' || pubname || coalesce(string_agg(tablename, ',' ORDER BY tablename), '')
  FROM pg_publication LEFT JOIN pg_publication_tables USING (pubname) GROUP BY pubname
UNION ALL SELECT 'slot ' || slot_name FROM pg_replication_slots WHERE database = current_database() AND NOT temporary
ORDER BY 1
"""


@contextmanager
def postgres_source(server: str, request: pytest.FixtureRequest) -> Iterator[SourceUnderTest]:
    with PostgresDatabase(request.getfixturevalue(server)) as database:

        def theirs(tables: tuple[str, ...]) -> Objects:
            database.execute(f"CREATE PUBLICATION theirs FOR TABLE {', '.join(tables)}")
            slot = f"theirs_{database.name}"
            database.query("SELECT pg_create_logical_replication_slot(%s, 'pgoutput')", slot)
            return Objects("theirs", slot)

        engine = find(database.url)
        with closing(engine.source(engine.endpoint(database.url, None), print)) as source:
            yield SourceUnderTest(source, database.execute, lambda: database.query(_THERE), theirs)


_RELATIONS = """
SELECT c.oid::regclass::text, c.relkind, obj_description(c.oid, 'pg_class'), (
  SELECT json_agg(json_build_array(attname, format_type(atttypid, atttypmod), attnotnull) ORDER BY attnum)::text
  FROM pg_attribute WHERE attrelid = c.oid AND attnum > 0 AND NOT attisdropped)
FROM pg_class c WHERE c.oid >= 16384 AND c.relkind IN ('r', 'i', 'S', 'v') ORDER BY 1
"""
_TABLES = "SELECT oid::regclass::text FROM pg_class WHERE oid >= 16384 AND relkind = 'r' ORDER BY 1"


@contextmanager
def postgres_target(server: str, request: pytest.FixtureRequest) -> Iterator[TargetUnderTest]:
    with PostgresDatabase(request.getfixturevalue(server)) as database:
        engine = find(database.url)
        opened: list[Target] = []

        def make() -> Target:
            opened.append(engine.target(engine.endpoint(database.url, None)))
            return opened[-1]

        def query(statement: str) -> list[tuple[Any, ...]]:
            if statement.startswith("SELECT"):
                return database.query(statement)
            database.execute(statement)
            return []

        def inventory() -> object:
            """What there is, with every row."""
            found: list[object] = [database.query(_THERE), database.query(_RELATIONS)]
            for (table,) in database.query(_TABLES):
                found.append((table, sorted(map(repr, database.query(f"SELECT * FROM {table}")))))
            return found

        nul = Column("v", Text(), True, "", "text of another engine"), "a\0b"
        try:
            yield TargetUnderTest(make, query, inventory, engine.places, nul, database.url)
        finally:
            for target in opened:
                target.close()


# MySQL and MariaDB


@contextmanager
def mysql_source(server: str, request: pytest.FixtureRequest) -> Iterator[SourceUnderTest]:
    with MysqlDatabase(request.getfixturevalue(server)) as database:

        def there() -> object:
            return database.query(
                "SELECT TABLE_NAME FROM information_schema.TABLES WHERE TABLE_SCHEMA = %s ORDER BY 1", database.name
            )

        engine = find(database.url)
        with closing(engine.source(engine.endpoint(database.url, None), print)) as source:
            yield SourceUnderTest(source, database.execute, there, lambda tables: Objects())


_MYSQL_INDEXES = """
SELECT TABLE_NAME, INDEX_NAME, COLUMN_NAME FROM information_schema.STATISTICS WHERE TABLE_SCHEMA = DATABASE()
ORDER BY 1, 2, 3
"""


@contextmanager
def mysql_target(server: str, request: pytest.FixtureRequest) -> Iterator[TargetUnderTest]:
    with MysqlDatabase(request.getfixturevalue(server)) as database:
        engine = find(database.url)
        opened: list[Target] = []

        def make() -> Target:
            opened.append(engine.target(engine.endpoint(database.url, None)))
            return opened[-1]

        def query(statement: str) -> list[tuple[Any, ...]]:
            database.execute("SET SESSION sql_mode = 'ANSI_QUOTES,STRICT_ALL_TABLES'")
            return database.query(statement)

        def inventory() -> object:
            """What there is, with every row."""
            found: list[object] = [database.query(_MYSQL_INDEXES)]
            for (table,) in database.query("SHOW TABLES"):
                found.append((table, *database.query(f"SHOW CREATE TABLE `{table}`")))
                found.append(sorted(map(repr, database.query(f"SELECT * FROM `{table}`"))))
            return found

        infinite = Column("v", Float(64), True, "701:-1", "double precision"), float("inf")
        try:
            yield TargetUnderTest(make, query, inventory, engine.places, infinite, database.url)
        finally:
            for target in opened:
                target.close()


# SQLite


def _in_file(path: Path) -> list[str]:
    """The file's schema and rows, and the files beside it, those that come and go with a connection excepted."""
    found = sorted(each.name for each in path.parent.iterdir() if not each.name.endswith(("-shm", "-wal")))
    if path.exists():
        with closing(sqlite3.connect(path)) as connection:
            found += connection.iterdump()
    return found


@contextmanager
def sqlite_source(request: pytest.FixtureRequest) -> Iterator[CopySourceUnderTest]:
    path = _directory(request, "source") / "source.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        engine = find("sqlite://")
        with closing(engine.copy_source(engine.endpoint(f"sqlite:///{path}", None), print)) as source:
            yield CopySourceUnderTest(source, connection.execute, lambda: _in_file(path))


@contextmanager
def sqlite_target(request: pytest.FixtureRequest) -> Iterator[TargetUnderTest]:
    path = _directory(request, "target") / "target.db"
    url = f"sqlite:///{path}"
    engine = find(url)
    opened: list[Target] = []

    def make() -> Target:
        opened.append(engine.target(engine.endpoint(url, None)))
        return opened[-1]

    def query(statement: str) -> list[tuple[Any, ...]]:
        with closing(sqlite3.connect(path, isolation_level=None)) as connection:
            return connection.execute(statement).fetchall()

    nan = Column("v", Float(64), True, "701:-1", "double precision"), float("nan")
    try:
        yield TargetUnderTest(make, query, lambda: _in_file(path), engine.places, nan, url)
    finally:
        for target in opened:
            target.close()


def _directory(request: pytest.FixtureRequest, name: str) -> Path:
    directory: Path = request.getfixturevalue("tmp_path") / name
    directory.mkdir()
    return directory


Line = Callable[[pytest.FixtureRequest], AbstractContextManager[Any]]
SOURCES: Mapping[str, Line] = {
    "mysql:mariadb": partial(mysql_source, "mariadb"),
    "mysql:mysql": partial(mysql_source, "mysql"),
    "postgres:postgres15": partial(postgres_source, "postgres15"),
    "postgres:postgres18": partial(postgres_source, "postgres18"),
}
COPY_SOURCES: Mapping[str, Line] = {**SOURCES, "sqlite": sqlite_source}
TARGETS: Mapping[str, Line] = {
    "mysql:mariadb": partial(mysql_target, "mariadb"),
    "mysql:mysql": partial(mysql_target, "mysql"),
    "postgres:postgres15": partial(postgres_target, "postgres15"),
    "postgres:postgres18": partial(postgres_target, "postgres18"),
    "sqlite": sqlite_target,
}
