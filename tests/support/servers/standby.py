"""A physical standby of a test's own PostgreSQL."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from replicator.demo.embedded import EmbeddedPostgres
from tests.support.servers.postgres import SETTINGS
from tests.support.servers.server import OwnServer

SLOT = "standby1"


@contextmanager
def standby_of(own: OwnServer, settings: Mapping[str, str] = {}) -> Iterator[EmbeddedPostgres]:
    """Streams from ``own`` by the slot ``standby1``. Passwords are those of ``own``."""
    bindir = own.server.bindir
    assert bindir is not None
    standby = EmbeddedPostgres(fsync=False, bindir=bindir, settings={**SETTINGS, **settings})
    try:
        options = ["-R", "-c", "fast", "-C", "-S", SLOT, "-d", own.url("postgres")]
        subprocess.run([bindir / "pg_basebackup", "-D", standby.data, *options], check=True, capture_output=True)
        (standby.directory / "password").write_text(own.server.password)
        owner = standby.directory.stat()
        for path in (standby.directory / "password", standby.data, *standby.data.rglob("*")):
            os.chown(path, owner.st_uid, owner.st_gid)
        standby.start()
        yield standby
    finally:
        standby.close()
