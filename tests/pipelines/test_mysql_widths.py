"""How many columns, and how wide a row, a MySQL or MariaDB target has."""

from __future__ import annotations

import pytest

from tests.support.into_mysql import PostgresIntoMysql


@pytest.mark.rotating
def test_the_most_columns_of_a_table(into: PostgresIntoMysql) -> None:
    """1,017 columns land; one more is refused, and so is a row that no page holds."""
    pair = into
    for table, count, kind in (("fits", 1016, "int"), ("wide", 1017, "int"), ("long", 250, "text")):
        columns = ", ".join(f"c{n} {kind}" for n in range(count))
        pair.database.execute(
            f"CREATE TABLE {table} (id int PRIMARY KEY, {columns}); INSERT INTO {table} (id) VALUES (1)"
        )
    output = pair.once(code=3)
    assert "public.wide has 1018 columns; InnoDB holds 1017" in output
    assert "public.long: its 251 columns do not fit" in output
    assert "public.fits" not in output
    pair.once("--exclude", "wide", "--exclude", "long")
    pair.assert_equal(["public.fits"])
