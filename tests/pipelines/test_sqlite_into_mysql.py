"""SQLite files into MySQL and MariaDB: what the columns are declared as, and values that are something else."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.support.faults import run_replicator
from tests.support.into_mysql import TARGET_GRANTS
from tests.support.mysql_database import MysqlDatabase

TABLE = """
CREATE TABLE t (id INTEGER PRIMARY KEY, name VARCHAR(20) UNIQUE, price DECIMAL(10,2), day DATE, at DATETIME,
                flag BOOLEAN, ratio REAL, data BLOB, doc JSON, n NUMERIC, plain)
"""
COLUMNS = ("id", "name", "price", "day", "at", "flag", "ratio", "data", "doc", "n", "plain")
ROW = (1, "é 😀", "1.10", "2024-02-29", "2024-02-29 12:00:00.5", 1, 0.1, b"\x00\xff", '{"a": [1, 2.5]}', 12, "x")


@pytest.fixture(
    params=[
        pytest.param("mysql", marks=pytest.mark.rotating(group=0)),
        pytest.param("mariadb", marks=pytest.mark.rotating(group=1)),
    ]
)
def into(request: pytest.FixtureRequest) -> Iterator[MysqlDatabase]:
    with MysqlDatabase(request.getfixturevalue(request.param)) as database:
        yield database


def file_with(path: Path, *rows: tuple[object, ...]) -> Path:
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(TABLE)
        connection.executemany(f"INSERT INTO t VALUES ({', '.join('?' * 11)})", rows)
        connection.execute("CREATE TABLE loose (a, b INTEGER)")
        connection.executemany("INSERT INTO loose VALUES (?, ?)", [("x", 1), ("x", 1), (None, None)])
    return path


def run(command: str, path: Path, into: MysqlDatabase, code: int, *args: str) -> str:
    with run_replicator([command, f"sqlite:///{path}", into.user(TARGET_GRANTS), *args], None, None) as running:
        ended = running.wait(60)
        output = running.stdout() + running.stderr()
    assert ended == code, output[-3000:]
    return output


def test_every_declared_type_arrives(into: MysqlDatabase, tmp_path: Path) -> None:
    path = file_with(tmp_path / "a.db", ROW, (2, *[None] * 10))
    run("check", path, into, 0)
    run("backfill", path, into, 0)
    shown = (
        "SELECT id, name, CAST(price AS CHAR), CAST(day AS CHAR), CAST(at AS CHAR), flag, ratio, HEX(data), "
        "CAST(n AS CHAR), plain FROM t ORDER BY id"
    )
    first, second = into.query(shown)
    assert first == (1, ROW[1], "1.10", "2024-02-29", "2024-02-29 12:00:00.500000", 1, 0.1, "00FF", "12", "x")
    assert second == (2, *[None] * 9)
    assert into.query("SELECT JSON_EXTRACT(doc, '$.a[1]') FROM t WHERE id = 1") == [("2.5",)]
    assert sorted(into.query("SELECT a, b FROM loose"), key=repr) == [("x", 1), ("x", 1), (None, None)]


@pytest.mark.parametrize(
    ("column", "value"), [("flag", "yes!"), ("day", "no day"), ("doc", "{no"), ("price", "1.111"), ("ratio", "odd!")]
)
def test_a_value_that_is_something_else_stops_by_name(
    into: MysqlDatabase, tmp_path: Path, column: str, value: str
) -> None:
    row = dict(zip(COLUMNS, ROW, strict=True)) | {"id": 7, "name": "other", column: value}
    path = file_with(tmp_path / "a.db", ROW, tuple(row.values()))
    output = run("backfill", path, into, 5)
    assert "main.t" in output and "id=7" in output and value not in output
    if column != "doc":  # into a document the server alone looks
        assert f"main.t.{column}" in output
        assert f"main.t.{column} (id=7)" in run("check", path, into, 3, "--values", "--exclude", "loose")
