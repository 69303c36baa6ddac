"""The tutorial, as it is written: a reader's three terminals, the page's commands, its ports.

The ports are those of the page since everything runs in a network namespace of its own. What a
reader is told to put in place of a word in capitals is taken from what a command printed.
"""

from __future__ import annotations

import asyncio
import os
import re
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
import soundfile

from voiceblocks.audio.level import rms_dbfs

pytestmark = pytest.mark.asyncio(loop_scope="module")

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "tutorial" / "first-recorded-call.md"
WAIT_S = 60.0

# Installing is what `make demo` does, which every run of the suite begins with.
_INSTALLS = "make demo"
_ENTERS = ". .venv/bin/activate"

# Brings loopback up (SIOCSIFFLAGS; up and running), says so, and keeps the namespace.
_KEEP = """
import fcntl, socket, struct, sys
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
    fcntl.ioctl(any_socket, 0x8914, struct.pack("16sh14x", b"lo", 0x41))
print("up", flush=True)
sys.stdin.read()
"""

_PRINTED = {
    "ACCOUNT": r"(acc_\w+)",
    "APP_ID": r"app_id\s+(\S+)",
    "TOKEN": r"access_token\s+(\S+)",
    "RECORDING": r"(rec-[0-9a-f]{32})",
}
"What stands in a command in capitals, and how the reader knows it from an earlier one's output."


class Reader:
    """
    Somebody at the tutorial.

    Args:
        folder: Where they work, as if it were the repository's.
        namespace: A process whose network they use.
    """

    def __init__(self, folder: Path, namespace: int) -> None:
        self._folder = folder
        self._namespace = namespace
        self._seen = ""
        self._open: list[asyncio.subprocess.Process] = []

    async def types(self, block: str) -> str:
        """Type a block's commands and wait for their end; returns what they print."""
        terminal = await self._terminal(block)
        async with asyncio.timeout(WAIT_S):
            said, _ = await terminal.communicate()
        assert terminal.returncode == 0, f"{block}: {said.decode()}"
        self._seen += said.decode()
        return said.decode()

    async def leaves_open(self, block: str) -> asyncio.subprocess.Process:
        """Type a block's commands in a terminal that stays."""
        terminal = await self._terminal(block)
        self._open.append(terminal)
        return terminal

    async def goes(self) -> None:
        """Press control and C in each open terminal, the newest first."""
        for terminal in reversed(self._open):
            if terminal.returncode is None:
                os.killpg(terminal.pid, signal.SIGINT)
            async with asyncio.timeout(WAIT_S):
                await terminal.communicate()

    async def _terminal(self, block: str) -> asyncio.subprocess.Process:
        for word, pattern in _PRINTED.items():
            if re.search(rf"\b{word}\b", block):
                block = re.sub(rf"\b{word}\b", re.findall(pattern, self._seen)[-1], block)
        inside = ["nsenter", f"--target={self._namespace}", "--user", "--net"]
        return await asyncio.create_subprocess_exec(
            *inside, "--preserve-credentials", "--", "bash", "-ec", f"{_ENTERS}\n{block}",
            cwd=self._folder,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,
        )  # fmt: skip


async def prints(terminal: asyncio.subprocess.Process, text: str) -> str:
    """Wait for a line with a text in it."""
    assert terminal.stdout is not None
    seen = []
    async with asyncio.timeout(WAIT_S):
        while line := (await terminal.stdout.readline()).decode():
            seen.append(line)
            if text in line:
                return line
    raise AssertionError(f"{text!r} is not in {seen}")


@pytest_asyncio.fixture(loop_scope="module")
async def reader(tmp_path: Path) -> AsyncIterator[Reader]:
    """A reader with the repository's examples and environment, and a network of their own."""
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    (tmp_path / ".venv").symlink_to(Path(sys.prefix))
    try:
        keeper = await asyncio.create_subprocess_exec(
            "unshare", "--map-root-user", "--net", sys.executable, "-c", _KEEP,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
    except FileNotFoundError:
        pytest.skip("no unshare here: it is in Debian's util-linux")
    assert keeper.stdout is not None
    if await keeper.stdout.readline() != b"up\n":
        await keeper.communicate(b"")
        pytest.skip("this machine lets nobody make a network namespace")
    at_the_desk = Reader(tmp_path, keeper.pid)
    yield at_the_desk
    await at_the_desk.goes()
    await keeper.communicate(b"")


def blocks() -> list[str]:
    """The page's commands, but for how to install."""
    text = PAGE.read_text(encoding="utf-8").partition("\n## What happened")[0]
    found = re.findall(r"^```\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    assert found[0] == f"{_INSTALLS}\n{_ENTERS}\n"
    return found[1:]


async def test_the_tutorial_runs_as_written(reader: Reader, tmp_path: Path) -> None:
    """Every command does what the page says, and at its end there is a message to be heard."""
    serve, account, app, number, voicemail, call, recordings, download = blocks()
    server = await reader.leaves_open(serve)
    ready = await prints(server, "Voiceblocks is ready")
    assert "127.0.0.1:8080" in ready
    assert "127.0.0.1:5060" in ready
    for block in (account, app, number):
        await reader.types(block)
    application = await reader.leaves_open(voicemail)
    heard = await reader.types(call)
    assert "Answered after" in heard
    assert "ivr/middle/record: success_ok" in await prints(application, "record:")
    assert "http://127.0.0.1:8080/recordings/rec-" in await prints(application, "new message:")
    assert "ivr/end/hangup: success_ok" in await prints(application, "hangup:")
    await reader.types(recordings)
    await reader.types(download)
    message, rate_hz = soundfile.read(tmp_path / "message.mp3", dtype="int16")
    assert rate_hz == 8000
    assert 0.8 < len(message) / rate_hz < 10
    assert rms_dbfs(message) > -40
