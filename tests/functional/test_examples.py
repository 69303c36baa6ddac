"""The examples, each as a process of its own, driven by real calls.

```
phone                server                      examples/auto_attendant.py
  |-- INVITE -------->|-- answer ----------------->|
  |<== menu ==========|<------------- gather ------|
  |-- key ----------->|-- gather (digits) -------->|
  |                   |<- transfer, record or hangup
```
"""

from __future__ import annotations

import asyncio
import os
import re
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import pytest_asyncio

from tests.functional.outgoing import Carrier
from tests.harness import Application
from tests.ports import free_port
from voiceblocks.audio.level import rms_dbfs
from voiceblocks.testing import tone_code
from voiceblocks.testing.answering import BUSY, Answer
from voiceblocks.testing.conversation import speak, until_heard
from voiceblocks.testing.phone import Phone, PhoneCall
from voiceblocks.testing.sounds import silence

pytestmark = pytest.mark.asyncio(loop_scope="session")

EXAMPLES = Path(__file__).parents[2] / "examples"
WAIT_S = 30.0
LOUD_DBFS = -40.0


class Example:
    """A running example, and what it prints."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self.printed: list[str] = []

    async def prints(self, beginning: str) -> str:
        """Wait for a line that begins so."""
        assert self._process.stdout is not None
        async with asyncio.timeout(WAIT_S):
            while line := (await self._process.stdout.readline()).decode().strip():
                self.printed.append(line)
                if line.startswith(beginning):
                    return line
        raise AssertionError(f"it ended, and printed {self.printed}")


@asynccontextmanager
async def running(app: Application, name: str, *arguments: str) -> AsyncIterator[Example]:
    """Run an example with the credentials of `app`."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        str(EXAMPLES / f"{name}.py"),
        *arguments,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env={
            **os.environ,
            "VOICEBLOCKS_API": f"http://{app.server.http}/open/",
            "VOICEBLOCKS_APP_ID": app.app_id,
            "VOICEBLOCKS_ACCESS_TOKEN": app.access_token,
        },
    )
    try:
        yield Example(process)
    finally:
        if process.returncode is None:
            process.terminate()
        await process.communicate()


@asynccontextmanager
async def answering(app: Application, name: str, *arguments: str) -> AsyncIterator[Example]:
    """Run an example that listens, and point the application's number at it."""
    port = free_port()
    path = "/call" if name == "voicemail" else "/"
    async with running(app, name, str(port), *arguments) as example:
        await point_at(app, f"http://127.0.0.1:{port}{path}")
        async with asyncio.timeout(WAIT_S):
            # It prints nothing when it is ready, as applications do.
            while True:
                if is_open(port):
                    break
                await asyncio.sleep(0.05)
        yield example


async def point_at(app: Application, url: str) -> None:
    """A number of its own, since the first one tells the test."""
    number = f"+6599{int(app.number[-6:]):06d}"
    await app.server.cli("number", "add", number, app=app.app_id, notify_url=url)
    app.number = number


def is_open(port: int) -> bool:
    """Whether something listens."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest_asyncio.fixture(loop_scope="session")
async def carrier(app: Application) -> AsyncIterator[Carrier]:
    """Numbers that the application may call."""
    async with Carrier(app) as made:
        yield made


async def press(call: PhoneCall, digits: str) -> None:
    """Press keys as people do: once the prompt has begun."""
    begin = len(call.media.audio())
    async with asyncio.timeout(WAIT_S):
        while True:
            said = call.media.audio()[begin:]
            if len(said) > 800 and rms_dbfs(said[-800:]) > LOUD_DBFS:
                break
            await call.media.say(silence(100))
    for digit in digits:
        await call.media.press(digit)
        await call.media.say(silence(100))


async def test_voicemail(app: Application, phone: Phone) -> None:
    """A message is taken, its link printed, and the caller thanked."""
    async with answering(app, "voicemail") as example:
        call = await phone.call(app.sip())
        await call.answered()
        await call.media.beep_ended()
        await call.media.say(tone_code.encode_seconds(0, 1))
        call.media.press("#")
        assert "/recordings/rec-" in await example.prints("new message:")
        await call.ended()


async def test_auto_attendant_connects(app: Application, phone: Phone, carrier: Carrier) -> None:
    """One key puts the caller through, and both hear each other."""
    sales = carrier.number(Answer())
    async with answering(app, "auto_attendant", sales) as example:
        call = await phone.call(app.sip())
        await call.answered()
        await press(call, "1")
        other = await carrier.call_to(sales)
        await other.answered()
        people = {1: call, 2: other}
        speak(people)
        await until_heard({1: {2}, 2: {1}}, people)
        call.hang_up()
        assert await example.prints("transfer ended answered")


async def test_auto_attendant_takes_a_message(
    app: Application, phone: Phone, carrier: Carrier
) -> None:
    """An unknown key repeats the menu; when sales is busy the caller leaves a message."""
    async with answering(app, "auto_attendant", carrier.number(BUSY)) as example:
        call = await phone.call(app.sip())
        await call.answered()
        await press(call, "9")
        await example.prints("gather ongoing")
        await call.media.say(silence(300))
        await press(call, "1")
        await example.prints("transfer ongoing busy")
        await call.media.beep_ended()
        await call.media.say(tone_code.encode_seconds(0, 1))
        call.media.press("#")
        assert "/recordings/rec-" in await example.prints("new message:")
        await call.ended()


@pytest.mark.parametrize(("key", "outcome"), [("1", "confirmed"), ("2", "cancelled")])
async def test_appointment(app: Application, carrier: Carrier, key: str, outcome: str) -> None:
    """Whoever is called chooses with a key, and the example prints what."""
    number = carrier.number(Answer())
    async with running(app, "appointment", number, "Monday, nine") as example:
        call = await carrier.call_to(number)
        await call.answered()
        # The greeting takes no keys; the question after it does.
        await example.prints("dial ongoing")
        await press(call, key)
        assert await example.prints(outcome) == outcome


async def test_appointment_without_anybody(app: Application, carrier: Carrier) -> None:
    """A busy number is not reached."""
    async with running(app, "appointment", carrier.number(BUSY), "Monday, nine") as example:
        assert await example.prints("not reached")


async def test_conference_line(app: Application, phone: Phone) -> None:
    """Two callers with one PIN hear each other; a wrong PIN is asked for again."""
    async with answering(app, "conference_line", "1234", "5678") as example:
        calls: dict[int, PhoneCall] = {}
        for who in (1, 2):
            calls[who] = await phone.call(app.sip())
            await calls[who].answered()
            if who == 1:
                await press(calls[who], "0000")
                # The rest of that prompt is cut off; the next one follows.
                await calls[who].media.say(silence(700))
            await press(calls[who], "5678")
            assert await example.prints("joined") == "joined line.1"
        speak(calls)
        await until_heard({1: {2}, 2: {1}}, calls)
        calls[1].hang_up()
        assert await example.prints("left after 1 minutes")


async def test_the_client_page_s_examples_run(app: Application) -> None:
    """Each piece of Python in docs/client.md runs as it stands, against a real server."""
    page = (EXAMPLES.parent / "docs" / "client.md").read_text()
    pieces = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    assert len(pieces) == 4
    for piece in pieces:
        names = f"APP_ID, ACCESS_TOKEN = {app.app_id!r}, {app.access_token!r}\n"
        code = names + piece.replace("127.0.0.1:8080", app.server.http)
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-c",
            code,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        said, complaint = await process.communicate()
        assert process.returncode == 0, complaint.decode()
        assert said.decode() in ("", "error_dest_not_supported\n")
