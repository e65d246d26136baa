"""Names as SQLite compares them."""

from __future__ import annotations

from string import ascii_lowercase, ascii_uppercase

_LOWER = str.maketrans(ascii_uppercase, ascii_lowercase)


def fold(name: str) -> str:
    """The form under which two names are the same: SQLite folds the letters of ASCII alone."""
    return name.translate(_LOWER)
