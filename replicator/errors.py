"""Every error that a user can meet, with its exit code.

    ReplicatorError              1  unexpected failure
    ├── UsageError               2  a wrong option, URL or configuration
    ├── Refused                  3  refused before anything was made
    │   ├── Fenced               3  another run holds the stream
    │   └── LoginRefused         3  the server ended the login; retried by a run that was let in before
    ├── PositionLost             4  the saved position cannot be proved or served; a new copy is needed
    ├── CannotApply              5  stopped by what cannot be applied; the position is kept
    │   ├── ValueNotHeld         5  a value that the target cannot hold exactly
    │   ├── NotUnderstood        5  an event, type or message that we do not understand
    │   ├── SchemaChanged        5  the source's table no longer has the shape that we followed
    │   └── Conflict             5  the target's rows are not what the log says they are
    ├── Retryable                -  a peer failed in a way that may pass; becomes GaveUp when it does not
    ├── GaveUp                   6  a peer did not come back in time
    └── Unfinished               8  ended before what was promised was done

Every error says what happened, to what, and what to do about it. Engines turn their drivers' errors into these at
their edge, by SQLSTATE or error number. Row values never appear in a message; tables, columns and keys do.
"""

from __future__ import annotations


class ReplicatorError(Exception):
    """What happened, and the remedy: a sentence, a statement or a command that mends it."""

    exit_code = 1

    def __init__(self, what: str, *, remedy: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.what}\n  remedy: {self.remedy}" if self.remedy else self.what


class UsageError(ReplicatorError):
    exit_code = 2


class Refused(ReplicatorError):
    exit_code = 3


class Fenced(Refused):
    """The stream belongs to another run: nothing that this one does may be written any more."""


class LoginRefused(Refused):
    """The server ended the login. It may have been shutting down: a run that it had let in before tries again."""


class PositionLost(ReplicatorError):
    exit_code = 4


class CannotApply(ReplicatorError):
    exit_code = 5


class ValueNotHeld(CannotApply):
    """A value that the target cannot hold exactly, named by table, column and key, never by itself."""


class NotUnderstood(CannotApply):
    def __init__(
        self, what: str, *, remedy: str = "the position is kept; report this, with the source's version"
    ) -> None:
        super().__init__(what, remedy=remedy)


class SchemaChanged(CannotApply):
    pass


class Conflict(CannotApply):
    pass


class Retryable(ReplicatorError):
    """A failure of a peer that may pass: the pipeline closes both ends and starts again at the last mark."""


class GaveUp(ReplicatorError):
    exit_code = 6


class Unfinished(ReplicatorError):
    exit_code = 8
