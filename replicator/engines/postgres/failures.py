"""A target's errors as ours, by SQLSTATE (https://www.postgresql.org/docs/current/errcodes-appendix.html).

The server's messages of class 22 quote the value, and those of triggers may: of them only the name is told.
"""

from __future__ import annotations

import psycopg2

from replicator.engines.postgres.connect import failure, reason
from replicator.errors import CannotApply, PositionLost, Refused, ReplicatorError, Retryable
from replicator.sql.objection import Violation

LOCK_TIMEOUT = "55P03"
_MEETS_ANOTHER_ROW = {"23505", "23P01"}
_OF_THE_ROW = ("0A", "22", "23", "P0", "54", "44")
_SILENT = ("22", "P0")
_NO_SPACE = {"53100": "target out of space", "53200": "target out of memory"}


class NotByUpdate(Exception):
    """A row that an update cannot write: its identity column, GENERATED ALWAYS, is to change."""


def violation(error: BaseException) -> Violation | None:
    """Is it a constraint's or a value's doing? `unique`: another way of writing the same may do."""
    if isinstance(error, NotByUpdate):
        return "unique"
    if not isinstance(error, psycopg2.Error) or error.pgcode is None:
        return None
    if error.pgcode in _MEETS_ANOTHER_ROW:
        return "unique"
    return "other" if error.pgcode.startswith(_OF_THE_ROW) else None


def told(error: BaseException) -> str:
    """The server's reason without a value of the row."""
    if not isinstance(error, psycopg2.Error) or (error.pgcode or "").startswith(_SILENT):
        name = type(error).__name__
        return f"{name} ({error.pgcode})" if isinstance(error, psycopg2.Error) else name
    return f"{reason(error)} ({error.pgcode})"


def translate(error: BaseException) -> ReplicatorError | None:
    if not isinstance(error, psycopg2.Error):
        return None
    code = error.pgcode
    if code in _NO_SPACE:
        return Retryable(f"PostgreSQL: {_NO_SPACE[code]} ({code})")
    if code is None:
        if isinstance(error, psycopg2.OperationalError | psycopg2.InterfaceError | psycopg2.DatabaseError):
            return Retryable(f"PostgreSQL: the connection to the target was lost ({type(error).__name__})")
        return None
    if code == "25006":
        return CannotApply(
            "PostgreSQL: the target takes no writes now (25006): it is a standby, or read-only",
            remedy="connect to the primary; the position is kept",
        )
    ours = failure(code, told(error).removesuffix(f" ({code})"))
    if isinstance(ours, PositionLost):  # what this means at a source
        return CannotApply(f"PostgreSQL: {told(error)}", remedy="the position is kept; mend the cause, start again")
    if isinstance(ours, Refused):
        return Refused(f"at the target: {ours.what}", remedy=ours.remedy)
    return ours
