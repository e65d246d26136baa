"""What a run says on stderr, as lines of text or of JSON. Row values never come here."""

from __future__ import annotations

import json
import logging
import sys
import time
from typing import Literal


class _Json(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        at = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created)) + f".{int(record.msecs):03d}Z"
        said = {"at": at, "level": record.levelname.lower(), "message": record.getMessage()}
        return json.dumps(said | getattr(record, "more", {}))


class _Stderr(logging.StreamHandler):  # type: ignore[type-arg]  # not subscriptable at run time
    """Asks where stderr is for each line: progress bars put their own in its place, which goes around them."""

    def emit(self, record: logging.LogRecord) -> None:
        self.stream = sys.stderr
        super().emit(record)


def configure(form: Literal["text", "json"], *, verbose: bool) -> None:
    handler = _Stderr(sys.stderr)
    handler.setFormatter(_Json() if form == "json" else logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    log = logging.getLogger("replicator")
    log.handlers[:] = [handler]
    log.propagate = False
    log.setLevel(logging.DEBUG if verbose else logging.INFO)


def ended(error: str, remedy: str, exit_code: int) -> None:
    """The last line of a run that fails, in the form of those before it."""
    log = logging.getLogger("replicator")
    if any(isinstance(handler.formatter, _Json) for handler in log.handlers):
        log.error("%s", error, extra={"more": {"remedy": remedy, "exit_code": exit_code}})
    else:
        print(f"error: {error}" + (f"\n  remedy: {remedy}" if remedy else ""), file=sys.stderr)
