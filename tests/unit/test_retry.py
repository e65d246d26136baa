"""When an attempt is made again, and when it is given up."""

from __future__ import annotations

import time

import pytest

from replicator.errors import Conflict, GaveUp, Retryable
from replicator.pipeline import retry
from replicator.pipeline.retry import until_done
from replicator.pipeline.stop import Stop


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retry, "FIRST_WAIT_S", 0.01)
    monkeypatch.setattr(retry, "LONGEST_WAIT_S", 0.05)


class Peer:
    """Works for `works_s` and fails, `fails` times; each failure may come after a sign of life."""

    def __init__(self, fails: int, works_s: float = 0.0, lively: bool = False) -> None:
        self.left, self.works_s, self.lively = fails, works_s, lively
        self.calls = self.signs = 0

    def attempt(self) -> None:
        self.calls += 1
        time.sleep(self.works_s)
        self.signs += self.lively
        if self.left:
            self.left -= 1
            raise Retryable("the peer is away")


def test_tries_again_until_it_works() -> None:
    peer = Peer(fails=5)
    until_done(peer.attempt, lambda: peer.signs, Stop(), None)
    assert peer.calls == 6


def test_gives_up_when_failures_have_lasted() -> None:
    peer = Peer(fails=10**6)
    with pytest.raises(GaveUp, match="the peer is away"):
        until_done(peer.attempt, lambda: peer.signs, Stop(), 0.3)
    assert peer.calls > 2


def test_time_that_worked_does_not_count() -> None:
    """One failure after a long attempt is the first failure, not the last."""
    peer = Peer(fails=1, works_s=0.4)
    until_done(peer.attempt, lambda: peer.signs, Stop(), 0.3)
    assert peer.calls == 2


def test_signs_of_life_begin_the_clock_anew() -> None:
    peer = Peer(fails=6, works_s=0.1, lively=True)
    until_done(peer.attempt, lambda: peer.signs, Stop(), 0.3)
    assert peer.calls == 7


def test_other_errors_are_not_tried_again() -> None:
    def attempt() -> None:
        raise Conflict("no")

    with pytest.raises(Conflict):
        until_done(attempt, lambda: 0, Stop(), None)


def test_a_stop_ends_the_waiting() -> None:
    stop = Stop()
    stop.request()
    peer = Peer(fails=10**6)
    until_done(peer.attempt, lambda: peer.signs, stop, None)
    assert peer.calls == 0
