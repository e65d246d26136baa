"""The table that every rate is measured on: ten mixed columns, about 110 bytes of text a row."""

from __future__ import annotations

from tests.support.databases import PostgresDatabase

TABLE = """CREATE TABLE bench (
    id bigint PRIMARY KEY, a int, b varchar(16), c numeric(12, 2), d int, e text, f timestamp, g boolean,
    h double precision, i json)"""
PER_TRANSACTION = 1000


def fill(database: PostgresDatabase, rows: int, first: int = 1) -> None:
    """Rows `first` to `first + rows - 1`, in transactions of a thousand."""
    for start in range(first, first + rows, PER_TRANSACTION):
        end = min(start + PER_TRANSACTION, first + rows) - 1
        database.execute(
            "INSERT INTO bench SELECT g, g %% 1000, 'name ' || g %% 10000, g * 0.37, -g, "
            "'some text that is a little longer ' || g, timestamp '2024-01-01' + g * interval '1 second', "
            "g %% 2 = 0, g / 7.0, ('{\"n\": ' || g || '}')::json FROM generate_series(%s, %s) g",
            start,
            end,
        )
