"""Media processes are started, greeted and started again, whatever they do at their start."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any

import pytest

from voiceblocks.engine.media import children
from voiceblocks.engine.media import messages as m
from voiceblocks.engine.media.children import Child

_GREETS = """
import os, pathlib, sys, time
from voiceblocks import ipc
from voiceblocks.engine.media import messages as m
folder = pathlib.Path(sys.argv[2])
with (folder / "starts").open("a") as log:
    log.write("x")
if (folder / "broken").exists():
    sys.exit(3)
while (folder / "slow").exists():
    time.sleep(0.01)
channel = ipc.Channel(ipc.child_socket(sys.argv), m.KeeperCommand)
channel.send(m.Hello(m.PROTOCOL_VERSION, os.getpid()))
with (folder / "heard").open("a") as log:
    while (received := channel.receive()) is not None:
        log.write(type(received[0]).__name__ + "\\n")
        log.flush()
        if isinstance(received[0], m.Shutdown):
            break
"""


class Puppet:
    """A child whose behaviour is steered by files."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        (folder / "puppet_child.py").write_text(_GREETS, encoding="utf-8")
        monkeypatch.setenv("PYTHONPATH", ":".join([str(folder), *sys.path]))
        monkeypatch.setattr(children, "RESTART_DELAY_S", 0.05)
        self.lost = 0
        self.ups: asyncio.Queue[None] = asyncio.Queue()
        self.child = Child(
            "puppet_child", [str(folder)], m.KeeperEvent, _ignore, self._on_lost, self._on_up
        )

    def _on_lost(self) -> None:
        self.lost += 1

    def _on_up(self) -> None:
        self.child.send(m.WatchArena(0, "the-arena"))
        self.ups.put_nowait(None)

    @property
    def starts(self) -> int:
        """How often the process was started."""
        return len((self.folder / "starts").read_text(encoding="ascii"))

    async def has_started(self, count: int) -> None:
        """Wait until the process was started so often."""
        while self.starts < count:  # noqa: ASYNC110 - another process writes the file
            await asyncio.sleep(0.02)

    def heard(self) -> list[str]:
        """Kinds of commands that all processes together have read."""
        return (self.folder / "heard").read_text(encoding="ascii").split()


def _ignore(_message: Any, _fds: list[int]) -> None:
    """These children report nothing."""


async def test_a_child_that_dies_at_its_start_is_tried_one_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Each failed start is followed by one more, not by two: else they double for ever."""
    puppet = Puppet(tmp_path, monkeypatch)
    await puppet.child.start()
    await puppet.ups.get()
    (tmp_path / "broken").touch()
    puppet.child.kill()
    async with asyncio.timeout(30):
        await puppet.has_started(5)
    (tmp_path / "broken").unlink()
    async with asyncio.timeout(30):
        await puppet.ups.get()
    started = puppet.starts
    await asyncio.sleep(1.0)
    assert puppet.starts == started
    assert puppet.ups.empty()
    assert puppet.child.is_up
    await puppet.child.stop()


async def test_nothing_reaches_a_child_before_what_it_must_know_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """A command that comes while a new process starts is dropped: `on_up` tells it all anew."""
    puppet = Puppet(tmp_path, monkeypatch)
    await puppet.child.start()
    await puppet.ups.get()
    (tmp_path / "slow").touch()
    puppet.child.kill()
    async with asyncio.timeout(30):
        await puppet.has_started(2)
    assert not puppet.child.is_up
    puppet.child.send(m.KeepRow(0, 1, "early", "early.spool", "PCMU"))
    (tmp_path / "slow").unlink()
    async with asyncio.timeout(30):
        await puppet.ups.get()
    await puppet.child.stop()
    assert "KeepRow" not in puppet.heard()
    assert puppet.heard()[-2:] == ["WatchArena", "Shutdown"]


async def test_a_machine_without_a_free_process_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """A fork that fails is a start that failed, not the end of all starts."""
    puppet = Puppet(tmp_path, monkeypatch)
    await puppet.child.start()
    await puppet.ups.get()
    spawn, refused = children.ipc.spawn, []

    def refuse(*arguments: str) -> Any:
        if len(refused) < 2:
            refused.append(arguments)
            raise BlockingIOError("fork")
        return spawn(*arguments)

    monkeypatch.setattr(children.ipc, "spawn", refuse)
    puppet.child.kill()
    async with asyncio.timeout(30):
        await puppet.ups.get()
    assert len(refused) == 2
    await puppet.child.stop()
