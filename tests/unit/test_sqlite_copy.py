"""SQLite to SQLite: every value of every storage class comes out as it was, whatever the column is declared.

The oracle is `typeof` and `quote` of every value, asked of SQLite itself.
"""

from __future__ import annotations

import itertools
import sqlite3
import tempfile
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from replicator.engine import find
from replicator.engines.sqlite import declared
from replicator.engines.sqlite.failures import translate_reading
from replicator.errors import CannotApply, Refused, Retryable
from replicator.model.builder import Limits
from replicator.model.change import CopyMark, Rows
from replicator.model.datatypes import Boolean, Bytes, Date, Decimal, Float, Integer, Text, Timestamp
from replicator.model.selection import Selection
from replicator.pipeline.backfill import Backfill
from replicator.pipeline.options import End, Options
from replicator.pipeline.progress import Report
from replicator.pipeline.stop import Stop

LOOSE = ["", "INTEGER", "INT", "BIGINT", "TEXT", "varchar(10)", "BLOB", "REAL", "DOUBLE PRECISION", "DECIMAL(10, 2)"]
LOOSE += ["NUMERIC", "BOOLEAN", "DATETIME", "POINT", "ANY", "NOT NULL", "GENERATED ALWAYS", "primary key", "größe"]
STRICT = ["INTEGER", "INT", "REAL", "TEXT", "BLOB", "ANY"]
COLLATIONS = ["", "COLLATE NOCASE", "COLLATE RTRIM", "COLLATE BINARY"]

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=6) | st.sampled_from(
    ["12", " 12 ", "1e5", "-0.0", "9e999", "0x10", "a", "A", "a ", "\0", "x\0y", "", "inf", "12345678901234567890"]
)
VALUES = (
    st.none()
    | st.integers(-(2**63), 2**63 - 1)
    | st.integers(-3, 3)
    | st.floats(allow_nan=False)
    | st.sampled_from([2.0, -0.0, 1e300, 9007199254740993.0, 9.3e18])
    | TEXTS
    | st.binary(max_size=6)
)


def quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


@st.composite
def tables(draw: st.DrawFn) -> tuple[str, int, list[tuple[Any, ...]]]:
    """A CREATE TABLE for `t`, how many columns it has, and rows for it, of which some may be refused."""
    strict, without_rowid = draw(st.booleans()), draw(st.booleans())
    kinds = draw(st.lists(st.sampled_from(STRICT if strict else LOOSE), min_size=1, max_size=5))
    names = draw(
        st.lists(
            st.sampled_from(["a", "b", "c", 'q"q', "%s", "rowid", "_rowid_", "select", "ü", "x\ny"]),
            min_size=len(kinds),
            max_size=len(kinds),
            unique=True,
        )
    )
    columns = [
        f"{quoted(name)} {quoted(kind) if kind and kind not in STRICT else kind} {draw(st.sampled_from(COLLATIONS))}"
        for name, kind in zip(names, kinds, strict=True)
    ]
    key = draw(st.lists(st.sampled_from(names), min_size=int(without_rowid), max_size=3, unique=True))
    if len(key) == 1 and draw(st.booleans()):
        at = names.index(key[0])
        columns[at] += f" PRIMARY KEY {draw(st.sampled_from(['', 'DESC']))}"
    elif key:
        parts = [f"{quoted(k)} {draw(st.sampled_from(COLLATIONS))} {draw(st.sampled_from(['', 'DESC']))}" for k in key]
        columns.append(f"PRIMARY KEY ({', '.join(parts)})")
    if draw(st.booleans()):
        columns.append(f"UNIQUE ({quoted(draw(st.sampled_from(names)))})")
    options = ", ".join(["STRICT"] * strict + ["WITHOUT ROWID"] * without_rowid)
    rows = draw(st.lists(st.tuples(*[VALUES] * len(kinds)), max_size=25))
    return f"CREATE TABLE t ({', '.join(columns)}) {options}", len(kinds), rows


def fill(path: Path, create: str, width: int, rows: list[tuple[Any, ...]]) -> bool:
    """Make the table with those rows that it takes; False where SQLite does not make it."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        try:
            connection.execute(create)
        except sqlite3.OperationalError:
            return False
        for row in rows:
            try:
                connection.execute(f"INSERT INTO t VALUES ({', '.join('?' * width)})", row)
            except sqlite3.IntegrityError:
                continue
        return True


def seen(path: Path) -> tuple[list[Any], Counter[tuple[Any, ...]]]:
    """The columns as declared, and the rows: `typeof` and `quote` of every value."""
    with closing(sqlite3.connect(path)) as connection:
        columns = connection.execute("SELECT name, type FROM pragma_table_info('t') ORDER BY cid").fetchall()
        asked = ", ".join(f"typeof(t.{quoted(name)}), quote(t.{quoted(name)})" for name, _ in columns)
        return columns, Counter(connection.execute(f"SELECT {asked} FROM t"))


def backfill(source: Path, target: Path) -> None:
    def end(path: Path) -> End:
        engine = find("sqlite://")
        return End(engine, engine.endpoint(f"sqlite:///{path}", None))

    Backfill(end(source), end(target), Options("default", Selection()), Stop(8), Report()).run()


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much])
@given(table=tables())
def test_any_table_comes_out_as_it_was(table: tuple[str, int, list[tuple[Any, ...]]]) -> None:
    with tempfile.TemporaryDirectory() as directory:
        source, target = Path(directory) / "a.db", Path(directory) / "b.db"
        if not fill(source, *table):
            return
        backfill(source, target)
        columns, rows = seen(source)
        there, copied = seen(target)
        assert copied == rows
        assert [name for name, _ in there] == [name for name, _ in columns]
        for (_, was), (_, now) in zip(columns, there, strict=True):
            # An INTEGER that is the primary key, and not the rowid, is declared INT: it would become the rowid.
            assert now == was or (was, now) == ("INTEGER", "INT")


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much])
@given(table=tables(), limit=st.integers(1, 4), size=st.sampled_from([1, 60, 1 << 20]))
def test_chunks_give_every_row_once_from_any_cursor(
    table: tuple[str, int, list[tuple[Any, ...]]], limit: int, size: int
) -> None:
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "a.db"
        if not fill(path, *table):
            return
        engine = find("sqlite://")
        with closing(engine.copy_source(engine.endpoint(f"sqlite:///{path}", None), print)) as source:
            (followed,) = source.catalog.tables(Selection(), {}).tables
            with closing(source.view()) as view:
                chunks = list(view.chunks(followed, 0, None, Limits(limit, size)))
                rows = [[row for c in chunk.changes if isinstance(c, Rows) for row in c.rows] for chunk in chunks]
                assert sum(map(len, rows)) == sum(seen(path)[1].values())
                assert all(len(chunk) <= limit for chunk in rows)
                assert [c.mark.done for c in chunks if isinstance(c.mark, CopyMark)] == [False] * (len(chunks) - 1) + [
                    True
                ]
                for at, chunk in enumerate(chunks):
                    assert isinstance(chunk.mark, CopyMark)
                    if chunk.mark.cursor is None:
                        continue
                    later = view.chunks(followed, 0, chunk.mark.cursor, Limits(1000, 1 << 20))
                    again = [row for b in later for c in b.changes if isinstance(c, Rows) for row in c.rows]
                    assert again == list(itertools.chain(*rows[at + 1 :]))


def test_a_wide_row_ends_its_chunk(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    assert fill(path, "CREATE TABLE t (a, b)", 2, [(n, b"x" * 1000) for n in range(10)])
    engine = find("sqlite://")
    with closing(engine.copy_source(engine.endpoint(f"sqlite:///{path}", None), print)) as source:
        (table,) = source.catalog.tables(Selection(), {}).tables
        with closing(source.view()) as view:
            chunks = list(view.chunks(table, 0, None, Limits(1000, 2500)))
    assert [chunk.rows for chunk in chunks] == [3, 3, 3, 1]


@pytest.mark.parametrize("text", ['weird "type"', "a;b", "int--", "x(1", "f(1,2,3)", "f(1) g", "1", "a/**/b", "'a'"])
def test_a_declared_type_outside_the_grammar_is_refused(text: str, tmp_path: Path) -> None:
    with pytest.raises(Refused):
        declared.written(text)
    fill(tmp_path / "a.db", f"CREATE TABLE t (a {quoted(text)})", 1, [])
    with pytest.raises(Refused, match=r"main\.t: column a"):
        backfill(tmp_path / "a.db", tmp_path / "b.db")
    assert not (tmp_path / "b.db").exists()


def test_a_table_whose_columns_hide_every_name_of_the_rowid_is_refused(tmp_path: Path) -> None:
    fill(tmp_path / "a.db", "CREATE TABLE t (k TEXT PRIMARY KEY, rowid, _ROWID_, a AS (k), oid AS (k))", 3, [])
    with pytest.raises(Refused, match=r"main\.t: columns named rowid, _rowid_ and oid"):
        backfill(tmp_path / "a.db", tmp_path / "b.db")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("SQLITE_READONLY_DIRECTORY", "no -wal and -shm files"),
        ("SQLITE_READONLY_ROLLBACK", "a writer that died"),
        ("SQLITE_CANTOPEN_ISDIR", "cannot be opened"),
        ("SQLITE_BUSY_SNAPSHOT", "another process"),
        ("SQLITE_CORRUPT_INDEX", "damaged"),
    ],
)
def test_a_reader_s_errors_by_their_extended_code(name: str, said: str) -> None:
    error = sqlite3.OperationalError("text")
    error.sqlite_errorcode = getattr(sqlite3, name)
    found = translate_reading(error)
    assert isinstance(found, Retryable if "BUSY" in name else CannotApply) and said in found.what


def test_the_canonical_type_is_by_the_declared_name() -> None:
    expected = {
        "UNSIGNED BIG INT": Integer(64),
        "POINT": Integer(64),
        "varchar(7)": Text(),
        "": Text(),
        "BLOB": Bytes(),
        "double precision": Float(64),
        "DateTime": Timestamp(),
        "DATE": Date(),
        "DECIMAL( 10 , 2 )": Decimal(10, 2),
        "NUMERIC(5)": Decimal(5, 0),
        "NUMERIC": Decimal(),
        "BOOLEAN": Boolean(),
    }
    assert {text: declared.canonical(text) for text in expected} == expected
