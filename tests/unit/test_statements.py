"""Names stay names, whatever is in them: tried on a real database."""

from __future__ import annotations

import sqlite3

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from replicator.engines.sqlite.statements import DIALECT
from replicator.errors import Refused
from replicator.model.schema import Name
from replicator.sql.statements import Dialect, text_literal

NAMES = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=40)


@settings(max_examples=2000, deadline=None)
@given(NAMES, NAMES)
def test_any_name_is_kept(table: str, column: str) -> None:
    if table.lower().startswith("sqlite_"):
        return
    connection = sqlite3.connect(":memory:")
    name = Name("main", table)
    connection.execute(f"CREATE TABLE {DIALECT.table(name)} ({DIALECT.quote(column)} INTEGER PRIMARY KEY)")
    connection.execute(DIALECT.insert(name, [column]), (1,))
    connection.execute(DIALECT.update(name, [column], [column]), (2, 1))
    assert connection.execute(DIALECT.select(name, [column], [column]), (2,)).fetchall() == [(2,)]
    assert connection.execute(DIALECT.delete_one(name, [column]), (2,)).rowcount == 1
    assert connection.execute("SELECT name FROM sqlite_master").fetchall() == [(table,)]
    assert connection.execute("SELECT name FROM pragma_table_info(?)", (table,)).fetchall() == [(column,)]
    connection.close()


def test_a_nul_byte_is_refused() -> None:
    with pytest.raises(Refused, match="NUL"):
        DIALECT.quote("a\0b")
    with pytest.raises(Refused):
        DIALECT.quote("")
    with pytest.raises(Refused):
        text_literal("a\0b")


def test_percent_is_doubled_where_the_driver_reads_it() -> None:
    assert Dialect("`", "%s", "<=>", schemas=True).quote("100%`s") == "`100%%``s`"


@given(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])))
def test_text_literals(text: str) -> None:
    connection = sqlite3.connect(":memory:")
    assert connection.execute(f"SELECT {text_literal(text)}").fetchone() == (text,)
    connection.close()


def test_a_table_whose_columns_hide_the_row_number() -> None:
    assert DIALECT.row_id(["rowid", "a"]) == "_rowid_"
    with pytest.raises(Refused, match="rows have no number"):
        DIALECT.row_id(["ROWID", "_rowid_", "OID"])
