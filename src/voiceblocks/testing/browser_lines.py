"""Lines for browsers, as the control process holds them: a phone's process for each call.

Sound only passes through here, as bytes that nobody looks at, and only of these few calls.
"""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import Callable

from voiceblocks import ipc
from voiceblocks.console.lines import Line, LineEvent, Over, PickedUp, Ringing, Sound
from voiceblocks.errors import RequestRefused
from voiceblocks.log import get_logger
from voiceblocks.testing import browser_messages as m

_log = get_logger("browser")

BACKLOG_MAX = 50
"Pieces of sound that wait in either direction, two seconds of it; more is dropped."

EXIT_LIMIT_S = 5.0
"The phone says goodbye first."

ALL_TAKEN = (
    "All {most} browser phones of this server are in use. Wait until somebody hangs up, or ask the "
    "operator to raise VOICEBLOCKS_BROWSER_CALLS."
)
TURNED_OFF = "Calls from the browser are turned off on this server: VOICEBLOCKS_BROWSER_CALLS is 0."
CANNOT_START = "The server has no room for another process now. Try again in a moment."


class BrowserLine:
    """
    One call; fulfils `console.lines.Line`.

    Args:
        process: The phone.
        sock: Our end of its channel; owned from now on.
        on_exit: Called when the process is gone.
    """

    def __init__(
        self,
        process: subprocess.Popen[bytes],
        sock: object,
        on_exit: Callable[[BrowserLine], None],
    ) -> None:
        self._process = process
        self._on_exit = on_exit
        self._told: asyncio.Queue[LineEvent] = asyncio.Queue()
        self._channel: ipc.AsyncChannel[m.FromPhone] = ipc.AsyncChannel(
            sock,  # type: ignore[arg-type]
            m.FromPhone,
            self._receive,
            self._lost,
        )
        self._is_over = False
        self._reaping: asyncio.Task[None] | None = None

    @property
    def is_over(self) -> bool:
        """Whether nobody talks on it any more; its process may still say goodbye."""
        return self._is_over

    def dial(self, dial: m.Dial) -> None:
        """Begin."""
        self._channel.send(dial)

    def speak(self, pcm: bytes) -> None:
        """Say it, unless the phone is behind."""
        if self._channel.backlog < BACKLOG_MAX:
            self._channel.send(m.Speak(pcm))

    def press(self, key: str) -> None:
        """Press a key."""
        self._channel.send(m.Press(key))

    def hang_up(self) -> None:
        """Hang up; `Over` follows."""
        self._channel.send(m.HangUp())

    async def next(self) -> LineEvent:
        """Return what happens next."""
        return await self._told.get()

    def close(self) -> None:
        """Hang up, and let nothing follow."""
        self._is_over = True
        self._channel.close()
        self._reap()

    async def exited(self) -> None:
        """Wait until the process is gone."""
        if self._reaping is not None:
            await self._reaping

    def _receive(self, message: m.FromPhone, fds: list[int]) -> None:
        match message:
            case m.Heard():
                if self._told.qsize() < BACKLOG_MAX:
                    self._told.put_nowait(Sound(message.pcm))
            case m.Rings():
                self._told.put_nowait(Ringing())
            case m.Answered():
                self._told.put_nowait(PickedUp())
            case m.Ended():
                self._end(message.status)

    def _lost(self) -> None:
        """It closes its end when it is done, and when it dies."""
        if not self._is_over:
            _log.warning("browser_phone_died")
            self._end(0)
        self._reap()

    def _end(self, status: int | None) -> None:
        self._is_over = True
        self._told.put_nowait(Over(status))

    def _reap(self) -> None:
        if self._reaping is None:
            self._reaping = asyncio.get_running_loop().create_task(self._wait())

    async def _wait(self) -> None:
        try:
            await asyncio.to_thread(self._process.wait, EXIT_LIMIT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            await asyncio.to_thread(self._process.wait)
        self._on_exit(self)


class BrowserLines:
    """
    Opens lines; fulfils `console.lines.Lines`.

    Args:
        most: At the same time.
        address: Returns the phone's own address and the server's `HOST:PORT` of SIP, or raises
            `RequestRefused` where the server would not hear it.
    """

    def __init__(self, most: int, address: Callable[[], tuple[str, str]]) -> None:
        self._most = most
        self._address = address
        self._open: set[BrowserLine] = set()

    def open(self, number: str, caller: str) -> Line:
        """
        Call one of our numbers.

        Raises:
            RequestRefused: With what to do.
        """
        if self._most == 0:
            raise RequestRefused(TURNED_OFF)
        if sum(not line.is_over for line in self._open) >= self._most:
            raise RequestRefused(ALL_TAKEN.format(most=self._most))
        host, sip = self._address()
        try:
            process, sock = ipc.spawn("voiceblocks.testing.browser_phone")
        except OSError as error:
            raise RequestRefused(CANNOT_START) from error
        line = BrowserLine(process, sock, self._open.discard)
        self._open.add(line)
        line.dial(m.Dial(host, f"sip:{number}@{sip}", caller))
        return line

    async def stop(self) -> None:
        """Hang up all of them."""
        lines = list(self._open)
        for line in lines:
            line.close()
        await asyncio.gather(*(line.exited() for line in lines))
