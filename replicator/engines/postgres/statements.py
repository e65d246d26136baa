"""How PostgreSQL's statements are written. Values stand in them as literals or come by COPY, never as parameters: so a
percent sign in a name means nothing."""

from __future__ import annotations

from replicator.sql.statements import Dialect

DIALECT = Dialect('"', "$", "IS NOT DISTINCT FROM", schemas=True)
