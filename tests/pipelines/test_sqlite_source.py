"""SQLite as a source of copies, run as its users run it. The oracle asks SQLite alone: `typeof` and `quote`."""

from __future__ import annotations

import os
import shutil
import sqlite3
import threading
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.support.faults import run_replicator

ROWS = 25_000
"""More than two chunks."""
CHUNKS = ["chunk_before_commit", "chunk_after_commit"]


class Files:
    """A source file `a.db` and a target file `b.db`."""

    def __init__(self, directory: Path) -> None:
        self.source, self.target = directory / "a.db", directory / "b.db"
        self.urls = f"sqlite:///{self.source}", f"sqlite:///{self.target}"

    def make(self, *statements: str, wal: bool = True, at: Path | None = None) -> None:
        with closing(sqlite3.connect(at or self.source, isolation_level=None)) as connection:
            if wal:
                connection.execute("PRAGMA journal_mode = WAL")
            for statement in statements:
                connection.execute(statement)

    def numbers(self, table: str, rows: int = ROWS) -> None:
        self.make(
            f"CREATE TABLE {table} (id INTEGER PRIMARY KEY, v TEXT, x)",
            f"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {rows}) "
            f"INSERT INTO {table} SELECT i, 'text ' || i, CASE i % 3 WHEN 0 THEN i / 7.0 WHEN 1 THEN x'0f' END FROM n",
        )

    def run(self, *args: str, code: int = 0, failpoint: str | None = None, command: str = "backfill") -> str:
        with run_replicator([command, *self.urls, *args], failpoint=failpoint) as running:
            ended = running.wait(90)
            output = running.stdout() + running.stderr()
        assert ended == code, f"ended with {ended}, not {code}:\n{output[-4000:]}"
        assert "Traceback" not in output
        return output

    def rows(self, path: Path, table: str) -> Counter[tuple[Any, ...]]:
        def quoted(name: str) -> str:
            return '"' + name.replace('"', '""') + '"'

        with closing(sqlite3.connect(path)) as connection:
            names = [name for (name,) in connection.execute("SELECT name FROM pragma_table_info(?)", (table,))]
            asked = ", ".join(f"typeof(t.{quoted(name)}), quote(t.{quoted(name)})" for name in names)
            return Counter(connection.execute(f"SELECT {asked} FROM {quoted(table)} t"))

    def assert_equal(self, *tables: str) -> None:
        for table in tables:
            assert self.rows(self.source, table) == self.rows(self.target, table), table


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path)


def test_a_copy_is_the_same_and_makes_nothing_at_the_source(files: Files) -> None:
    files.numbers("t")
    files.make("CREATE TABLE e (id INT PRIMARY KEY, w DECIMAL(10, 2))", "INSERT INTO e VALUES (NULL, 1.5), (NULL, 'x')")
    before = files.source.read_bytes()
    assert "copied 2 tables, as of 20" in files.run()
    files.assert_equal("t", "e")
    assert files.source.read_bytes() == before
    assert "nothing to copy: 2 tables are complete" in files.run()
    with run_replicator(["status", files.urls[1]]) as running:
        assert running.wait(60) == 0
        assert files.urls[0] in running.stdout()


@pytest.mark.parametrize("failpoint", CHUNKS)
def test_a_killed_copy_goes_on_under_a_later_view(files: Files, failpoint: str) -> None:
    files.numbers("a", 100)
    files.numbers("t")
    # `a` is whole then, and `t` is not.
    files.run(code=-9, failpoint=f"{failpoint}:3=kill")
    files.make("DELETE FROM t WHERE id % 2", "INSERT INTO t VALUES (-1, 'new', NULL)")
    output = files.run(code=8)
    assert "2 different times" in output and output.count("  main.") == 2
    files.assert_equal("a", "t")
    files.make("UPDATE a SET v = 'changed'")
    assert "copied 2 tables, as of" in files.run("--restart")
    files.assert_equal("a", "t")


@pytest.mark.parametrize("failpoint", CHUNKS)
def test_appended_rows_stay_whatever_is_killed(files: Files, failpoint: str) -> None:
    files.numbers("t")
    files.make(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT, x)",
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100) "
        "INSERT INTO t SELECT -i, 'mine', i FROM n",
        at=files.target,
    )
    mine = files.rows(files.target, "t")
    files.run(code=3)
    files.run("--append", code=-9, failpoint=f"{failpoint}=kill")
    assert files.rows(files.target, "t") == mine + (
        Counter() if failpoint == "chunk_before_commit" else files.rows(files.source, "t")
    )
    files.run("--append")
    assert files.rows(files.target, "t") == mine + files.rows(files.source, "t")


NAMES = [
    "q\"u'o`te",
    "per%s%%cent",
    "new\nline",
    "emoji 😀",
    "select",
    "a.b",
    "[x]",
    "ünï",
    "sp ace",
    "-- ;",
    "?",
    ":a",
]


def test_names_of_every_sort(files: Files) -> None:
    for number, name in enumerate(NAMES):
        own, other = ('"' + each.replace('"', '""') + '"' for each in (name, NAMES[number - 1]))
        files.make(
            f"CREATE TABLE {own} ({other} TEXT, {own} INT, PRIMARY KEY ({own}, {other})) "
            f"{'WITHOUT ROWID' if number % 2 else ''}",
            f'CREATE UNIQUE INDEX {own[:-1]} i" ON {own} ({own})',
            f"INSERT INTO {own} VALUES ('{number}', {number}), ('x', -1)",
        )
    files.run()
    files.assert_equal(*NAMES)


def test_a_copy_beside_a_writer_shows_one_moment(files: Files) -> None:
    """Both tables are changed in each transaction: the copy has as many in the one as in the other."""
    files.numbers("t")
    files.make("CREATE TABLE z (id INTEGER PRIMARY KEY)", "INSERT INTO z SELECT id FROM t")
    stop = threading.Event()
    written = []

    def write() -> None:
        with closing(sqlite3.connect(files.source, isolation_level=None, timeout=30)) as connection:
            for number in range(ROWS + 1, 10**9):
                if stop.is_set():
                    return
                connection.execute("BEGIN IMMEDIATE")
                connection.execute("INSERT INTO t VALUES (?, 'late', NULL)", (number,))
                connection.execute("DELETE FROM t WHERE id = ?", (number - ROWS,))
                connection.execute("INSERT INTO z VALUES (?)", (number,))
                connection.execute("DELETE FROM z WHERE id = ?", (number - ROWS,))
                connection.execute("COMMIT")
                written.append(number)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        files.run()
    finally:
        stop.set()
        writer.join()
    with closing(sqlite3.connect(files.target)) as connection:
        of_t = connection.execute("SELECT id FROM t ORDER BY id").fetchall()
        assert of_t == connection.execute("SELECT id FROM z ORDER BY id").fetchall()
    assert len(of_t) == ROWS and written


def test_what_is_no_table_is_listed_and_left_out(files: Files) -> None:
    files.make(
        "CREATE TABLE t (id INTEGER PRIMARY KEY AUTOINCREMENT, a INT DEFAULT 1 REFERENCES t, g AS (a + 1))",
        "CREATE INDEX plain ON t (a)",
        "CREATE UNIQUE INDEX by_sum ON t (a + id)",
        "CREATE TRIGGER fires AFTER INSERT ON t BEGIN SELECT 1; END",
        "INSERT INTO t (a) VALUES (1), (2)",
        "CREATE VIEW shown AS SELECT * FROM t",
        "CREATE VIRTUAL TABLE words USING fts5(word)",
        wal=False,
    )
    output = files.run("--backfill", command="check")
    for line in (
        "main.shown is left out: it is a view",
        "main.words is left out: it is a virtual table",
        "main.words_data is left out: it is a part of a virtual table",
        "main.t: generated columns are left out: g",
        "not made at the target: AUTOINCREMENT id; default a; foreign key t; index by_sum, plain; trigger fires",
        "rollback-journal mode",
        "PRAGMA journal_mode = WAL",
        "ready: 1 tables",
    ):
        assert line in output
    assert "sqlite_sequence" not in output
    assert "main.words is left out" in files.run()
    with closing(sqlite3.connect(files.target)) as connection:
        assert connection.execute("SELECT * FROM t").fetchall() == [(1, 1), (2, 2)]


@pytest.mark.parametrize(
    ("create", "where"),
    [
        ("CREATE TABLE t (a, b TEXT)", "main.t.b (rowid 2)"),
        ("CREATE TABLE t (a INTEGER PRIMARY KEY, b)", "main.t.b (a=2)"),
        ("CREATE TABLE t (a PRIMARY KEY, b) WITHOUT ROWID", "main.t.b (a=2)"),
    ],
)
@pytest.mark.parametrize("encoding", ["UTF-8", "UTF-16le", "UTF-16be"])
def test_text_that_is_not_unicode_stops_the_copy(files: Files, create: str, where: str, encoding: str) -> None:
    secret = {"UTF-8": "7365637265ff", "UTF-16le": "7300650000d86300", "UTF-16be": "00730065d8000063"}[encoding]
    files.make(
        f"PRAGMA encoding = '{encoding}'",
        create,
        "INSERT INTO t VALUES (1, 'fine')",
        f"INSERT INTO t VALUES (2, CAST(x'{secret}' AS TEXT))",
        wal=False,
    )
    output = files.run(code=5)
    assert (where if encoding == "UTF-8" else "main.t.b (") in output
    assert "not valid Unicode" in output and "secre" not in output


@pytest.mark.parametrize(
    ("was", "now", "value"), [("", "TEXT", 5), ("", "INT", "' 7 '"), ("", "NUM", 2.0), ("", "REAL", "'1e3'")]
)
def test_a_value_that_its_column_would_change_stops_the_copy(files: Files, was: str, now: str, value: object) -> None:
    """The declaration was changed over it: https://www.sqlite.org/lang_altertable.html#otheralter."""
    files.make(f"CREATE TABLE t (a INTEGER PRIMARY KEY, b {was})", f"INSERT INTO t VALUES (1, NULL), (2, {value})")
    files.make(
        "PRAGMA writable_schema = ON",
        f"UPDATE sqlite_master SET sql = 'CREATE TABLE t (a INTEGER PRIMARY KEY, b {now})'",
    )
    assert f"main.t.b (a=2): the value is not one that a column declared {now} keeps" in files.run(code=5)
    files.make("UPDATE t SET b = b")
    files.run()
    files.assert_equal("t")


def missing(files: Files) -> None:
    pass


def no_database(files: Files) -> None:
    files.source.write_text("not a database " * 100)


def directory(files: Files) -> None:
    files.source.mkdir()


def empty(files: Files) -> None:
    files.source.touch()


def damaged(files: Files) -> None:
    files.source.write_bytes(b"SQLite format 3\0" + b"\xff" * 4096)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (missing, "does not exist"),
        (no_database, "is not an SQLite database"),
        (directory, "is not a file"),
        (empty, "no table matches"),
        (damaged, "SQLITE_NOTADB"),
    ],
)
@pytest.mark.parametrize("command", ["backfill", "check"])
def test_a_source_that_is_none_is_refused(files: Files, make: Callable[[Files], None], said: str, command: str) -> None:
    make(files)
    there = files.source.exists()
    assert said in files.run(code=3, command=command)
    assert files.source.exists() == there and not files.target.exists()


def test_what_a_dead_writer_left_is_named(files: Files) -> None:
    """A journal that must be rolled back before anybody reads: https://www.sqlite.org/lockingv3.html#hot_journals."""
    copied = files.source.with_name("hot.db")
    with closing(sqlite3.connect(files.source, isolation_level=None)) as connection:
        connection.execute("CREATE TABLE t (a)")
        connection.execute("INSERT INTO t VALUES (randomblob(100000))")
        connection.execute("PRAGMA cache_size = 1")
        connection.execute("BEGIN")
        connection.execute("UPDATE t SET a = randomblob(200000)")
        for suffix in ("", "-journal"):
            shutil.copy(f"{files.source}{suffix}", f"{copied}{suffix}")
    files.urls = f"sqlite:///{copied}", files.urls[1]
    assert "left by a writer that died" in files.run(code=3)
    assert not files.target.exists()
    with closing(sqlite3.connect(copied)) as connection:
        connection.execute("SELECT count(*) FROM sqlite_master").fetchall()
    files.run()


def test_the_same_file_twice_is_refused_under_any_name(files: Files) -> None:
    files.numbers("t", 10)
    os.link(files.source, files.target)
    assert "the same database" in files.run(code=2)
    files.target.unlink()
    files.target.symlink_to(files.source)
    assert "the same database" in files.run(code=2)


def test_another_source_of_the_same_name_is_refused(files: Files) -> None:
    files.numbers("t", 10)
    files.run()
    files.source.rename(files.source.with_name("c.db"))
    files.numbers("t", 10)
    files.source.rename(files.source.with_name("d.db"))
    files.urls = f"sqlite:///{files.source.with_name('d.db')}", files.urls[1]
    output = files.run(code=3)
    assert "this backfill belongs to another source" in output and "--name" in output


@pytest.mark.parametrize(
    ("there", "code"),
    [
        ("CREATE TABLE t (id INT PRIMARY KEY, v VARCHAR(9), x)", 0),
        ("CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT, x)", 3),  # it would make numbers of NULLs
        ("CREATE TABLE t (id INT PRIMARY KEY, v BLOB, x)", 3),
        ("CREATE TABLE t (id INT PRIMARY KEY, v TEXT, x TEXT)", 3),
        ("CREATE TABLE t (id INT PRIMARY KEY, v TEXT, x ANY) STRICT", 0),
        ("CREATE TABLE t (id INT PRIMARY KEY, v TEXT, x ANY)", 3),
    ],
)
def test_a_table_that_is_there_must_keep_the_values(files: Files, there: str, code: int) -> None:
    files.make("CREATE TABLE t (id INT PRIMARY KEY, v TEXT, x)", "INSERT INTO t VALUES (1, 'a', '1'), (2, '5', 2.0)")
    files.make(there, at=files.target)
    output = files.run(code=code)
    if code == 0:
        files.assert_equal("t")
    else:
        assert "target table t: column" in output


def test_a_policy_has_no_meaning_between_two_files(files: Files, tmp_path: Path) -> None:
    files.numbers("t", 10)
    settings = tmp_path / "replicator.toml"
    settings.write_text('[columns."main.t.x"]\nas = "text"\n')
    assert "main.t: column x" in files.run("--config", str(settings), code=3)
