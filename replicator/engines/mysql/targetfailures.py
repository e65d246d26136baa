"""A target's errors as ours, by error number. Messages that quote a value are not told: what they are about is.

https://dev.mysql.com/doc/mysql-errors/9.7/en/server-error-reference.html,
https://mariadb.com/kb/en/mariadb-error-codes/
"""

from __future__ import annotations

import pymysql

from replicator.engines.mysql.failures import translate as translate_any
from replicator.errors import CannotApply, PositionLost, Refused, ReplicatorError, Retryable
from replicator.sql.objection import Violation

LOCK_TIMEOUT = 1205
TOO_LARGE = 1153
MADE_MEANWHILE = {1007, 1050, 1061, 1062}
_UNIQUE = {1022, 1062, 1169, 1586, 1859}
_OF_THE_ROW = {
    1048: "a column cannot be NULL",
    1118: "the row is too large",
    TOO_LARGE: "the row is larger than max_allowed_packet: SET GLOBAL max_allowed_packet to more at the target",
    1138: "a column cannot be NULL",
    1216: "a foreign key",
    1217: "a foreign key",
    1264: "a number beyond the column's range",
    1265: "a value that the column would cut or change",
    1292: "a value that is none of the column's type",
    1300: "a text that is not of the column's character set",
    1364: "a column without a default",
    1366: "a value that is none of the column's type",
    1406: "a value longer than the column",
    1416: "a geometry that is none",
    1451: "a foreign key",
    1452: "a foreign key",
    1526: "no partition for the row",
    1644: "a trigger of the table",
    1690: "a number beyond the range",
    1748: "no partition for the row",
    3037: "a geometry that is none",
    3140: "JSON that is none",
    3141: "JSON that is none",
    3156: "JSON that is none",
    3157: "JSON that is nested too deep",
    3643: "a geometry of another reference system",
    3819: "a CHECK",
    4025: "a CHECK",
    4078: "a value that the column cannot take",
    6138: "a vector that is none",
}
_NO_SPACE = {
    3: "an error of its disk",
    28: "no space",
    1021: "no space",
    1026: "an error of its disk",
    1114: "no space",
}
READ_ONLY = {1290, 1792, 1836, 3100}
_TOO_LARGE = {1301}


def number(error: BaseException | None) -> int:
    args = error.args if isinstance(error, pymysql.err.Error) else ()
    return args[0] if args and isinstance(args[0], int) else 0


def violation(error: BaseException) -> Violation | None:
    """Is it a constraint's or a value's doing? `unique`: another way of writing the same may do."""
    code = number(error)
    if code in _UNIQUE:
        return "unique"
    return "other" if code in _OF_THE_ROW else None


def told(error: BaseException) -> str:
    """The server's reason without a value of the row."""
    code = number(error)
    return f"{_OF_THE_ROW.get(code, type(error).__name__)} ({code})"


def translate(error: BaseException) -> ReplicatorError | None:
    if not isinstance(error, pymysql.err.Error):
        return None
    code = number(error)
    if code in _NO_SPACE:
        return Retryable(f"target out of space or failing: {_NO_SPACE[code]} ({code})")
    if code in READ_ONLY:
        return CannotApply(
            f"the target takes no writes now ({code}): it is a replica, or read-only",
            remedy="connect to the primary, or SET GLOBAL read_only = 0; the position is kept",
        )
    if code in _TOO_LARGE:
        return CannotApply(
            f"a row is larger than the target's max_allowed_packet ({code})",
            remedy="SET GLOBAL max_allowed_packet to more at the target, then start again; the position is kept",
        )
    if code in _OF_THE_ROW or code in _UNIQUE:
        return CannotApply(f"the target refuses it: {told(error)}", remedy="the position is kept; mend the cause")
    ours = translate_any(error, "the target")
    if isinstance(ours, PositionLost):  # what this means at a source
        return CannotApply(ours.what, remedy="the position is kept; mend the cause, start again")
    if isinstance(ours, Refused):
        return Refused(ours.what, remedy=ours.remedy)
    return ours
