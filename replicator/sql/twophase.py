"""The changes of prepared transactions, kept in the ledger until their second phase."""

from __future__ import annotations

import sqlalchemy as sa

from replicator.errors import PositionLost
from replicator.model.change import Prepared, Resolved, Rows, Truncate
from replicator.sql import kept


def keep(connection: sa.Connection, table: sa.Table, stream: str, prepared: Prepared) -> None:
    """Save the changes; a later part of one transaction comes behind the others."""
    mine = sa.and_(table.c.stream == stream, table.c.xid == prepared.xid)
    parts = connection.scalar(sa.select(sa.func.count()).select_from(table).where(mine))
    connection.execute(
        table.insert().values(stream=stream, xid=prepared.xid, part=parts, changes=kept.save(prepared.changes))
    )


def release(connection: sa.Connection, table: sa.Table, stream: str, resolved: Resolved) -> list[Rows | Truncate]:
    """Forget the transaction; its changes where it is committed.

    Raises PositionLost for the commit of one that was never kept.
    """
    mine = sa.and_(table.c.stream == stream, table.c.xid == resolved.xid)
    texts = connection.scalars(sa.select(table.c.changes).where(mine).order_by(table.c.part)).all()
    if not texts and resolved.commit:
        raise PositionLost(
            f"the XA transaction {resolved.xid} was committed, and its rows were never seen: it was prepared "
            "before the stream began",
            remedy="copy everything anew: replicator recopy SOURCE TARGET --all",
        )
    connection.execute(table.delete().where(mine))
    return [change for text in texts for change in kept.load(text, resolved.tables)] if resolved.commit else []
