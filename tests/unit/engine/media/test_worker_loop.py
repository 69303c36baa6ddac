"""Which command a worker obeys when: what plays at once, the rest after the tick, all in order."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from typing import Any

import pytest

from voiceblocks import ipc
from voiceblocks.engine.media import messages as m
from voiceblocks.engine.media.worker_loop import MAX_COMMANDS_PER_TICK, Inbox

PLAY = m.StartSource(1, 2, ["/clip"], False)
STOP = m.StopSource(1, 2)
CLOSE = m.CloseLeg(1)


class Obedient:
    """Notes what it was told."""

    def __init__(self) -> None:
        self.obeyed: list[Any] = []

    def obey(self, command: Any, _fds: list[int]) -> None:
        """See `Worker`."""
        self.obeyed.append(command)


class Line:
    """The inbox with the control process's end of its channel."""

    def __init__(self) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.control: ipc.Channel[Any] = ipc.Channel(ours, m.WorkerEvent)
        self.channel: ipc.Channel[m.WorkerCommand] = ipc.Channel(theirs, m.WorkerCommand)
        self.channel.setblocking(False)
        self.worker = Obedient()
        self.inbox = Inbox(self.channel, self.worker)  # type: ignore[arg-type]

    def tell(self, *commands: Any) -> None:
        """Send commands."""
        for command in commands:
            self.control.send(command)

    def pause(self, duration_s: float = 0.005) -> list[Any]:
        """Wait for the next tick; returns what was obeyed until then."""
        deadline = time.monotonic() + duration_s
        self.inbox.wait_until(deadline)
        assert time.monotonic() >= deadline
        return self.worker.obeyed


@pytest.fixture
def line() -> Iterator[Line]:
    """An open line."""
    made = Line()
    yield made
    made.inbox.close()
    made.channel.close()
    made.control.close()


def test_what_plays_does_not_wait_for_the_tick(line: Line) -> None:
    """A prompt is begun and stopped in the pause before a tick."""
    line.tell(PLAY, STOP, PLAY)
    assert line.pause() == [PLAY, STOP, PLAY]


def test_everything_else_waits_and_nothing_overtakes_it(line: Line) -> None:
    """After a command that waits for its tick, also a prompt waits."""
    line.tell(PLAY, CLOSE, STOP)
    assert line.pause() == [PLAY]
    assert line.pause() == [PLAY]
    assert line.inbox.obey_all()
    assert line.worker.obeyed == [PLAY, CLOSE, STOP]


def test_a_tick_takes_so_many_commands_and_no_more(line: Line) -> None:
    """A flood of commands is worked off tick by tick, in order."""
    many = [m.CloseLeg(number) for number in range(MAX_COMMANDS_PER_TICK + 7)]
    line.tell(*many)
    assert line.inbox.obey_all()
    assert line.worker.obeyed == many[:MAX_COMMANDS_PER_TICK]
    assert line.inbox.obey_all()
    assert line.worker.obeyed == many


@pytest.mark.parametrize("how", ["shutdown", "closed"])
def test_the_end_comes_after_what_was_said_before_it(line: Line, how: str) -> None:
    """What came before a shutdown or the other end's death is still obeyed."""
    line.tell(CLOSE, PLAY)
    if how == "shutdown":
        line.tell(m.Shutdown())
    else:
        line.control.close()
    assert line.pause() == []
    assert not line.inbox.obey_all()
    assert line.worker.obeyed == [CLOSE, PLAY]
    line.pause()
