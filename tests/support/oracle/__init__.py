"""The independent oracle: are a PostgreSQL table and its SQLite copy equal?

It shares no code with the product, nor a driver's conversion of values: both ends are read with their own
command line tools, and each value is brought into one canonical text by rules restated here. A mistake in the
product's idea of a type can therefore not hide itself.
"""

from tests.support.oracle.compare import (
    assert_equal,
    assert_storage,
    differences,
    dump_postgres,
    dump_sqlite,
    landing,
    tables,
)
from tests.support.oracle.sqlite import storage_classes

__all__ = [
    "assert_equal",
    "assert_storage",
    "differences",
    "dump_postgres",
    "dump_sqlite",
    "landing",
    "storage_classes",
    "tables",
]
