"""When the supervisor starts the control process again, and when it gives up."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest

from voiceblocks.server import supervisor
from voiceblocks.server.supervisor import EXIT_CANNOT_START, supervise


@pytest.fixture(autouse=True)
def handlers() -> Iterator[None]:
    """Pytest's own signal handlers come back."""
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture
def lives(monkeypatch: pytest.MonkeyPatch) -> list[tuple[float, int]]:
    """How long each control process lives, in seconds, and its exit code; consumed in order."""
    scripted: list[tuple[float, int]] = []
    now = [1000.0]

    class Child:
        def __init__(self, _command: list[str], **_options: object) -> None:
            self.lasts_s, self.code = scripted.pop(0)

        def wait(self) -> int:
            now[0] += self.lasts_s
            return self.code

    monkeypatch.setattr(supervisor.subprocess, "Popen", Child)
    monkeypatch.setattr(supervisor.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(supervisor, "FIRST_PAUSE_S", 0.0)
    return scripted


def test_a_first_start_that_cannot_be_is_given_up(lives: list[tuple[float, int]]) -> None:
    """A wrong setting stays wrong; whoever started us should hear of it."""
    lives += [(1.0, EXIT_CANNOT_START)]
    assert supervise() == EXIT_CANNOT_START


def test_what_has_worked_is_tried_until_it_works_again(lives: list[tuple[float, int]]) -> None:
    """A crash while the database restarts is no reason to stay down."""
    lives += [(100.0, -9), (1.0, EXIT_CANNOT_START), (1.0, EXIT_CANNOT_START), (100.0, 0)]
    assert supervise() == 0
    assert not lives


def test_a_crash_is_followed_by_a_start(lives: list[tuple[float, int]]) -> None:
    """However often, also where none has lived long; a clean end is the end."""
    lives += [(1.0, -9), (1.0, 1), (1.0, -11), (1.0, 0)]
    assert supervise() == 0
    assert not lives
