"""The triggers of a target's table: they would fire for our rows, and no session can switch them off.

MySQL shows them to those alone who have the right TRIGGER, and an empty list to everybody else; and since a binary log
asks for another right still to make one, the first cannot be tried by using it. So it is read from the grants, those of
the active roles with them (https://dev.mysql.com/doc/refman/9.7/en/show-grants.html). MariaDB shows their names to all.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from replicator import remedies
from replicator.engines.mysql.names import quote
from replicator.engines.mysql.session import TargetSession
from replicator.model.stream import Followed

_TRIGGERS = """
SELECT TRIGGER_NAME FROM information_schema.TRIGGERS WHERE EVENT_OBJECT_SCHEMA = DATABASE() AND EVENT_OBJECT_TABLE = %s
"""
_GRANT = re.compile(r"GRANT (?P<rights>.+?) ON (?:TABLE )?(?P<where>\S.*?) TO ", re.DOTALL)


def problems(session: TargetSession, followed: Followed, *, ours: bool) -> Iterator[tuple[str, str]]:
    """`ours`: we made the table, and it had none then. What is wrong, and what mends it."""
    if followed.options.allow_triggers:
        return
    allow = f"allow_triggers = true under {remedies.section('table_options', followed.table.name)}"
    names = [row[0] for row in session.execute(_TRIGGERS, (followed.target.name,)).fetchall()]
    if names:
        yield (
            f"its triggers would fire, and no session can switch them off: {', '.join(names)}",
            f"drop them; or, if they do no harm, {allow}",
        )
    elif session.flavor.hides_triggers and not ours and not _sees(session, followed.target.name):
        yield (
            "whether it has triggers is not shown to this user",
            f"GRANT TRIGGER ON {quote(session.database)}.* TO {session.account}; or, if they do no harm, {allow}",
        )


def _sees(session: TargetSession, table: str) -> bool:
    database = session.database
    # In a grant on a whole database an underscore stands for any character, unless it is escaped.
    plain, escaped = quote(database), quote(database.replace("_", "\\_").replace("%", "\\%"))
    places = {"*.*", f"{plain}.*", f"{escaped}.*", f"{plain}.{quote(table)}"}
    for (line,) in session.execute("SHOW GRANTS").fetchall():
        grant = _GRANT.match(line)
        if grant and grant["where"] in places and {"TRIGGER", "ALL PRIVILEGES"} & set(grant["rights"].split(", ")):
            return True
    return False
