"""Names in statements, and in words."""

from __future__ import annotations

from collections.abc import Iterable

from replicator.model.schema import Name
from replicator.sql.statements import quote as quote_with

NAME_CHARACTERS = 64
TRIAL = "_replicator_trial_"
"""How the tables begin that are made for a moment, to try the rights at a target."""


def quote(name: str) -> str:
    return quote_with("`", name)


def quote_all(names: Iterable[str]) -> str:
    return ", ".join(map(quote, names))


def quote_table(name: Name) -> str:
    return f"{quote(name.schema)}.{quote(name.name)}"


def fold(name: str) -> str:
    """The form under which the servers take two names of columns for the same, and of tables where they fold them.

    Python knows some more pairs than they do (Georgian, Cherokee).
    """
    return "".join(letter.lower()[0] for letter in name)


def barred(name: str) -> str:
    """Why a name cannot be one of a table or a column; empty where it can."""
    if len(name) > NAME_CHARACTERS:
        return f"a name has at most {NAME_CHARACTERS} characters there"
    if name.endswith(" "):
        return "no name ends in a space there"
    if any(ord(letter) > 0xFFFF for letter in name):
        return "names have no characters beyond U+FFFF there"
    return ""
