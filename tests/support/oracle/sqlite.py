"""The SQLite end of the oracle: the sqlite3 tool, which prints each value's storage class and bytes.

Text and blobs come as hex and floats as their eight bytes, so that nothing on the way can change them.
"""

from __future__ import annotations

import subprocess
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from tests.support.oracle.text import NULL, escape, float_text, in_order

CLASSES = {"n": "null", "i": "integer", "r": "real", "t": "text", "b": "blob"}


def sqlite3(path: Path | str, sql: str) -> str:
    """Run SQL with the sqlite3 tool on the file, which must be there, and return what it prints."""
    if not Path(path).exists():
        raise LookupError(f"there is no SQLite file {path}")
    done = subprocess.run(
        ["sqlite3", "-batch", "-bail", "-readonly", "-init", "/dev/null", str(path)],
        input=('.timeout 20000\n.mode list\n.headers off\n.separator " " "\\n"\n' + sql).encode(),
        capture_output=True,
        check=False,
    )
    if done.returncode or done.stderr:
        raise RuntimeError(f"sqlite3 failed with {done.returncode}: {done.stderr.decode(errors='replace')}")
    return done.stdout.decode()


def quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


@dataclass(frozen=True)
class Table:
    """A table of a SQLite file."""

    path: Path | str
    name: str

    @cached_property
    def columns(self) -> list[str]:
        """The names of all columns, generated ones too."""
        name = self.name.replace("'", "''")
        found = sqlite3(self.path, f"SELECT hex(name) FROM pragma_table_xinfo('{name}') ORDER BY cid;")
        if not found.strip():
            raise LookupError(f"SQLite has no table {self.name!r}")
        return [bytes.fromhex(line).decode() for line in found.split()]

    def cells(self, columns: Sequence[str]) -> list[list[str]]:
        """Every row as a list of a letter for the storage class followed by the value."""
        printed = ",\n  ".join(_printing(quoted(name)) for name in columns)
        output = sqlite3(self.path, f"SELECT\n  {printed}\nFROM {quoted(self.name)};")
        return [line.split(" ") for line in output.split("\n")[:-1]]

    def dump(self, columns: Sequence[str], order_by: Sequence[str] = ()) -> list[str]:
        """Every row as a canonical line."""
        lines = [[_field(cell) for cell in cells] for cells in self.cells(columns)]
        return in_order(lines, [list(columns).index(name) for name in order_by])


def storage_classes(path: Path | str, table: str) -> dict[str, Counter[str]]:
    """How many values of each column are in which storage class."""
    read = Table(path, table)
    counts = {name: Counter[str]() for name in read.columns}
    for cells in read.cells(read.columns):
        for name, cell in zip(read.columns, cells, strict=True):
            counts[name][CLASSES[cell[0]]] += 1
    return counts


def _printing(x: str) -> str:
    return (
        f"CASE typeof({x}) WHEN 'null' THEN 'n' WHEN 'integer' THEN 'i' || {x}"
        f" WHEN 'real' THEN 'r' || hex(ieee754_to_blob({x}))"
        f" WHEN 'text' THEN 't' || hex({x}) WHEN 'blob' THEN 'b' || hex({x}) END"
    )


def _field(cell: str) -> str:
    kind, value = cell[0], cell[1:]
    if kind == "n":
        return NULL
    if kind == "r":
        return float_text(value)
    if kind == "t":
        return escape(bytes.fromhex(value).decode("utf-8", "surrogateescape"))
    return escape("\\x" + value.lower()) if kind == "b" else value
