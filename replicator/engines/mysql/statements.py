"""How the statements of MySQL and MariaDB are written. Values stand in them as literals, never as parameters: so a
percent sign in a name means nothing."""

from __future__ import annotations

from replicator.sql.statements import Dialect

DIALECT = Dialect("`", "$", "<=>", schemas=False)
