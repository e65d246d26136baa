"""MySQL's binary JSON, as the text that the server makes of it.

https://dev.mysql.com/doc/dev/mysql-server/latest/json__binary_8h.html
"""

from __future__ import annotations


def text(raw: bytes) -> str:
    raise ValueError("not yet")
