"""Foreign peers as processes: what they need, how they are started, what they said.

SIPp runs a scenario from `tests/interop/sipp`; its message log is read back, so that a test
can say what really went over the wire and when.
"""

from __future__ import annotations

import asyncio
import re
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Self

import pytest

from tests.harness import Application
from tests.ports import free_port

SCENARIOS = Path(__file__).parent / "sipp"
START_LIMIT_S = 30.0
POLL_S = 0.02

_MARK = re.compile("@[A-Z]+@")

_LOG_ENTRY = re.compile(
    r"^-{20,} (?P<at>[\d-]+ [\d:.]+)\n(?P<what>[^\n]*)\n\n(?P<text>.*?)(?=^-{20,} |\Z)",
    re.MULTILINE | re.DOTALL,
)


def need(program: str, package: str) -> str:
    """The program's path; skips with what to install where it is missing."""
    path = shutil.which(program)
    if path is None:
        pytest.skip(
            f"{program} is missing: run scripts/install-test-peers as root, "
            f"or `apt-get install --no-install-recommends {package}`"
        )
    return path


async def until(condition: Callable[[], bool], limit_s: float, what: str) -> None:
    """Watch something that a foreign process changes, such as a file that it writes."""
    try:
        async with asyncio.timeout(limit_s):
            while not condition():  # noqa: ASYNC110 (a foreign process sets no event)
                await asyncio.sleep(POLL_S)
    except TimeoutError:
        raise AssertionError(f"not within {limit_s} s: {what}") from None


async def nothing_more(app: Application, limit_s: float = 1.0) -> None:
    """Every notification was read already, and none comes."""
    with pytest.raises(TimeoutError):
        await app.sink.next(limit_s)


@dataclass(frozen=True, slots=True)
class SipMessage:
    """One message in SIPp's log."""

    at_s: float
    "Seconds since the epoch, by the wall clock."

    received: bool
    "By SIPp, so sent by us."

    text: str

    @property
    def start_line(self) -> str:
        """Such as `SIP/2.0 200 OK`."""
        return self.text.partition("\n")[0].strip()

    def header(self, name: str) -> str:
        """The first header of that name, empty where there is none."""
        found = re.search(rf"^{name}:\s*(.*?)\s*$", self.text, re.MULTILINE | re.IGNORECASE)
        return found[1] if found else ""

    @property
    def method(self) -> str:
        """Of the request, or of the request that it answers."""
        return self.header("CSeq").rpartition(" ")[2]

    @property
    def status(self) -> int:
        """Of a response; 0 for a request."""
        first, _, rest = self.start_line.partition(" ")
        return int(rest.split()[0]) if first == "SIP/2.0" else 0

    @property
    def name(self) -> str:
        """`INVITE`, or `200 INVITE`."""
        return f"{self.status} {self.method}" if self.status else self.method


@dataclass
class Sipp:
    """
    One run of SIPp against our server.

    Use it as `async with`: what still runs at the end is killed.

    Args:
        scenario: Name of a file in `tests/interop/sipp`.
        target: `HOST:PORT` of our SIP.
        number: Dialled number.
        folder: Where its files go; audio that the scenario names must lie there.
        options: More of SIPp's options.
        fill: Values for the `@NAME@` marks in the scenario.
        calls: How many to place.
    """

    scenario: str
    target: str
    number: str
    folder: Path
    options: tuple[str, ...] = ()
    fill: Mapping[str, str] = field(default_factory=dict)
    calls: int = 1
    process: asyncio.subprocess.Process | None = None

    async def __aenter__(self) -> Self:
        """Start it."""
        program = need("sipp", "sip-tester")
        where = self._where()
        text = (SCENARIOS / f"{self.scenario}.xml").read_text()
        for name, value in self.fill.items():
            text = text.replace(f"@{name}@", value)
        assert not _MARK.search(text), "a mark in the scenario was not filled"
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "scenario.xml").write_text(text)
        self.process = await asyncio.create_subprocess_exec(
            program, *where, "-sf", "scenario.xml",
            "-i", "127.0.0.1", "-mi", "127.0.0.1", "-mp", str(_media_port()),
            "-m", str(self.calls), "-nostdin", "-nd", "-timeout", "60", "-timeout_error",
            "-trace_msg", "-message_file", "messages.log",
            "-trace_err", "-error_file", "errors.log", *self.options,
            cwd=self.folder,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
        )  # fmt: skip
        return self

    def _where(self) -> tuple[str, ...]:
        """Whom it calls, and from which port."""
        return (self.target, "-s", self.number, "-p", str(free_port()))

    async def __aexit__(self, *_: object) -> None:
        """Kill it if it still runs."""
        assert self.process is not None
        if self.process.returncode is None:
            self.process.kill()
        await self.process.wait()

    async def finished(self, limit_s: float = 30.0) -> int:
        """Its exit code: 0 if every call went by the scenario."""
        assert self.process is not None
        async with asyncio.timeout(limit_s):
            return await self.process.wait()

    async def passed(self, limit_s: float = 30.0) -> None:
        """Wait for its end, which must be a success."""
        try:
            code: int | str = await self.finished(limit_s)
        except TimeoutError:
            code = f"none within {limit_s} s"
        assert code == 0, f"SIPp's exit code is {code}\n{self.story()}"

    def story(self) -> str:
        """What went over the wire and what SIPp says about it, for a failed assertion."""
        errors = self.folder / "errors.log"
        said = errors.read_text(errors="replace")[-2000:] if errors.exists() else ""
        lines = [f"{'<-' if one.received else '->'} {one.name}" for one in self.messages()[-60:]]
        return "\n".join([*lines, said])

    def messages(self) -> list[SipMessage]:
        """All that it sent and received so far, in order."""
        log = self.folder / "messages.log"
        if not log.exists():
            return []
        text = log.read_bytes().decode("latin-1").replace("\r\n", "\n")
        return [
            SipMessage(
                datetime.fromisoformat(entry["at"]).timestamp(),
                "received" in entry["what"],
                entry["text"],
            )
            for entry in _LOG_ENTRY.finditer(text)
        ]

    def sequence(self) -> list[str]:
        """The messages in order, ours with `<-`."""
        return [f"{'<-' if one.received else '->'} {one.name}" for one in self.messages()]


def _media_port() -> int:
    """An even port whose next neighbours SIPp may bind as well."""
    return free_port() & ~1
