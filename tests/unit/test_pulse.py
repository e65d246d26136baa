"""The log that a source keeps for a stream: when it is warned of, and when it is given up."""

from __future__ import annotations

import logging
from types import SimpleNamespace
from typing import Any

import pytest

from replicator.engine import Retention
from replicator.model.stream import Beat
from replicator.pipeline.pulse import Pulse, TooMuchKept

GIB = 1 << 30


class Heard:
    def __init__(self) -> None:
        self.beats: list[Beat] = []

    def beat(self, name: str, beat: Beat) -> None:
        self.beats.append(beat)


def said(caplog: pytest.LogCaptureFixture) -> list[str]:
    found = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    caplog.clear()
    return found


def test_much_log_is_said_and_again_when_it_has_doubled(caplog: pytest.LogCaptureFixture) -> None:
    sizes = [GIB - 1, GIB, GIB + 1, 2 * GIB - 1, 2 * GIB, 9 * GIB, 15 * GIB, 16 * GIB, 10, GIB]
    told = []
    watched = Pulse("s")
    for size in sizes:
        watched.retention = lambda size=size: Retention(size)
        watched.look()
        told.append(len(said(caplog)))
    assert told == [0, 1, 0, 0, 1, 1, 0, 1, 0, 1]


def test_a_danger_is_said_once_an_hour(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = SimpleNamespace(now=100.0)
    monkeypatch.setattr("replicator.pipeline.pulse.time.monotonic", lambda: clock.now)
    watched = Pulse("s")
    watched.retention = lambda: Retention(5, 6, 7.0, "it ends soon")
    told = []
    for clock.now in (100.0, 105.0, 3699.0, 3700.0):
        watched.look()
        told.append(len(said(caplog)))
    assert told == [1, 0, 0, 1]


def test_what_is_kept_is_heard_at_the_target() -> None:
    heard: Any = Heard()
    watched = Pulse("s")
    watched.say(heard)
    watched.retention = lambda: Retention(5, 6, 7.0, "it ends soon")
    watched.say(heard, head="9", lag_seconds=0.5)
    nothing, beat = heard.beats
    assert (nothing.retained_bytes, nothing.room_bytes, nothing.keeps_seconds, nothing.danger) == (None,) * 4
    assert (beat.retained_bytes, beat.room_bytes, beat.keeps_seconds, beat.danger) == (5, 6, 7.0, "it ends soon")


def test_an_error_is_left_without_asking_the_source() -> None:
    def fails() -> Retention:
        raise AssertionError("asked")

    heard: Any = Heard()
    watched = Pulse("s", 1)
    watched.retention = fails
    watched.say(heard, error="the source is gone")
    assert heard.beats[0].error == "the source is gone"


def test_more_than_the_limit_is_given_up() -> None:
    watched = Pulse("s", 1000)
    watched.retention = lambda: Retention(1000)
    watched.look()
    watched.retention = lambda: Retention(1001)
    with pytest.raises(TooMuchKept, match="more than max_retained") as caught:
        watched.look()
    assert caught.value.exit_code == 4 and "recopy" in caught.value.remedy
