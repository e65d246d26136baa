"""Can this file be a target, or a source?"""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

from replicator import remedies
from replicator.engine import Finding

OLDEST = (3, 37, 0)
HEADER = b"SQLite format 3\x00"


def version() -> list[Finding]:
    """STRICT tables came with SQLite 3.37."""
    if sqlite3.sqlite_version_info >= OLDEST:
        return []
    return [
        Finding(
            "refuse",
            f"this Python has SQLite {sqlite3.sqlite_version}; 3.37 or newer is needed for STRICT tables",
            "install a Python built with a newer SQLite",
        )
    ]


def file(path: Path) -> list[Finding]:
    """The file is a database or absent, and it and its directory can be written (the WAL lies beside it)."""
    directory = path.parent.absolute()
    if not directory.is_dir():
        return [Finding("refuse", f"the directory {directory} does not exist", f"mkdir -p {remedies.shell(directory)}")]
    if not os.access(directory, os.W_OK | os.X_OK):
        return [Finding("refuse", f"the directory {directory} cannot be written", "let this user write there")]
    if not path.exists():
        return []
    return _database(path, os.R_OK | os.W_OK, "read and written")


def readable(path: Path) -> list[Finding]:
    """The file is there, and a database or empty."""
    if not path.exists():
        return [Finding("refuse", f"the file {path} does not exist", "look at SOURCE: sqlite:///file.db")]
    return _database(path, os.R_OK, "read")


def _database(path: Path, rights: int, used: str) -> list[Finding]:
    if not path.is_file():
        return [Finding("refuse", f"{path} is not a file", "name another file")]
    if not os.access(path, rights):
        return [Finding("refuse", f"the file {path} cannot be {used}", "give this user that right")]
    with path.open("rb") as handle:
        header = handle.read(len(HEADER))
    if header and header != HEADER:
        return [Finding("refuse", f"the file {path} is not an SQLite database", "name another file")]
    return []
