"""PostgreSQL's identifiers, quoted."""

from __future__ import annotations

from collections.abc import Iterable

from replicator.model.schema import Name
from replicator.sql import statements

ANEW = "copy everything anew: replicator recopy SOURCE TARGET --all"
"""What is left to do where the log has lost a part that we need."""


def quote(identifier: str) -> str:
    return statements.quote('"', identifier)


def quote_table(name: Name) -> str:
    return f"{quote(name.schema)}.{quote(name.name)}"


def quote_all(identifiers: Iterable[str]) -> str:
    return ", ".join(map(quote, identifiers))
