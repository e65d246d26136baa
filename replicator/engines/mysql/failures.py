"""The servers' errors as ours, by error number.

https://dev.mysql.com/doc/mysql-errors/9.7/en/server-error-reference.html,
https://mariadb.com/kb/en/mariadb-error-codes/
"""

from __future__ import annotations

import pymysql

from replicator.errors import CannotApply, LoginRefused, PositionLost, Refused, ReplicatorError, Retryable

ANEW = "copy everything anew under a new position: replicator recopy SOURCE TARGET --all"
_LOGIN = {1044, 1045, 1049, 1129, 1130, 1251, 1524, 1698, 1862, 3118, 3159, 4151}
_RIGHT = {1142, 1143, 1227, 1370, 3619}
_LATER = {
    1040,  # too many connections
    1053,  # shutting down
    1077,
    1079,
    1158,
    1159,
    1160,
    1161,
    1203,  # too many connections of this user
    1205,  # lock wait timeout
    1206,  # too many locks
    1213,  # deadlock
    1226,  # more than the user's account may have at a time
    1317,  # interrupted
    1637,  # too many transactions
    1927,  # MariaDB: killed
    1969,  # MariaDB: a statement took too long
    3024,  # a query took too long
    3168,
    3169,
    4031,  # idle for too long
    4052,  # MariaDB: another replica has come with our server_id
}
_DUMP = 1236
"""ER_MASTER_FATAL_ERROR_READING_BINLOG: the one number for all that a dump can fail with."""
_TLS = {2026}


def translate(error: pymysql.err.Error, shown: str) -> ReplicatorError:
    """`shown`: the end, as it may be printed."""
    code = error.args[0] if error.args and isinstance(error.args[0], int) else 0
    text = " ".join(str(error.args[-1] if error.args else error).split())
    said = f"{shown}: {text or 'the connection is closed'} ({code})"
    if code in _LOGIN:
        return LoginRefused(f"{shown}: the server refused the login: {text} ({code})", remedy="check user and password")
    if code in _RIGHT:
        return Refused(said, remedy="grant the right, then start again")
    if code == _DUMP:
        return PositionLost(f"{shown}: the server cannot send its log from the saved position: {text}", remedy=ANEW)
    if code in _TLS or "certificate verify failed" in text:
        return Refused(f"{shown}: no trusted TLS connection: {text}", remedy="check sslmode, sslrootcert and the host")
    if code in _LATER or 2000 <= code < 3000 or isinstance(error, pymysql.err.InterfaceError) or code == 0:
        return Retryable(said)
    return CannotApply(said, remedy="the position is kept; mend the cause, start again")
