"""Names in statements, and in words."""

from __future__ import annotations

from collections.abc import Iterable

from replicator.model.schema import Name
from replicator.sql.statements import quote as quote_with


def quote(name: str) -> str:
    return quote_with("`", name)


def quote_all(names: Iterable[str]) -> str:
    return ", ".join(map(quote, names))


def quote_table(name: Name) -> str:
    return f"{quote(name.schema)}.{quote(name.name)}"
