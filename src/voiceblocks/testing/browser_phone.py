"""The phone of one call from a browser: `python -m voiceblocks.testing.browser_phone FD`.

A process of its own, by `ipc.spawn`: it keeps the pace of the sound, whatever the browser and the
control process do, and it calls as any phone does, by SIP and RTP over sockets. It hangs up and
exits when its channel closes.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys

import numpy as np

from voiceblocks import ipc
from voiceblocks.sip.uri import SipUri
from voiceblocks.testing import browser_messages as m
from voiceblocks.testing.phone import CallNotAnswered, Phone, PhoneCall
from voiceblocks.testing.phone_media import HeardPacket
from voiceblocks.testing.playout import Playout

BACKLOG_MAX = 50
"Sound that the control process does not take within two seconds is not worth taking."

PIECE_BYTES = 640
"40 ms at a time: each message costs the control process the same, however long it is."
_NO_MORE_S = 0.03
"What is left when nothing follows is not kept back."

_PCM = np.dtype("<i2")


class BrowserPhone:
    """One call, for whoever holds the other end of the channel."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._dial: asyncio.Future[m.Dial | None] = self._loop.create_future()
        self._closed = asyncio.Event()
        self._call: PhoneCall | None = None
        self._hung_up = False
        self._playout = Playout()
        self._heard = bytearray()
        self._flushing: asyncio.TimerHandle | None = None
        self._channel: ipc.AsyncChannel[m.ToPhone] | None = None

    async def run(self, channel_fd: int) -> None:
        """Serve until the call is over, or the other end is gone."""
        sock = ipc.child_socket(["", str(channel_fd)])
        sock.setblocking(False)
        self._channel = ipc.AsyncChannel(sock, m.ToPhone, self._receive, self._lost)
        dial = await self._dial
        if dial is not None:
            async with Phone(dial.host) as phone:
                await self._talk(phone, dial)
        self._channel.close()

    async def _talk(self, phone: Phone, dial: m.Dial) -> None:
        # By TCP all of SIP takes one connection, and sound goes where SIP goes: the address that
        # a server tells the world may be one that this machine does not reach itself by.
        call = await phone.call(dial.target, from_number=dial.caller, transport="tcp")
        self._call = call
        call.media.remote_host = SipUri.parse(dial.target).address
        call.media.speaker = self._playout.pull
        call.media.listener = self._hear
        if self._hung_up:
            call.hang_up()
        status: int | None = None
        following = self._loop.create_task(self._follow(call))
        gone = self._loop.create_task(self._closed.wait())
        try:
            await asyncio.wait({following, gone}, return_when=asyncio.FIRST_COMPLETED)
            if following.done():
                await following
        except CallNotAnswered as error:
            status = error.status
        finally:
            following.cancel()
            gone.cancel()
        self._tell(m.Ended(status))

    async def _follow(self, call: PhoneCall) -> None:
        await call.ringing()
        if call.progress:
            self._tell(m.Rings())
        await call.answered()
        self._tell(m.Answered())
        await call.ended()

    def _hear(self, packet: HeardPacket) -> None:
        self._heard += packet.samples.astype(_PCM).tobytes()
        if self._flushing is not None:
            self._flushing.cancel()
        if len(self._heard) >= PIECE_BYTES:
            self._flush()
        else:
            self._flushing = self._loop.call_later(_NO_MORE_S, self._flush)

    def _flush(self) -> None:
        self._flushing = None
        if self._heard and self._channel is not None and self._channel.backlog < BACKLOG_MAX:
            self._tell(m.Heard(bytes(self._heard)))
        self._heard.clear()

    def _tell(self, message: m.FromPhone) -> None:
        if self._channel is not None:
            self._channel.send(message)

    def _receive(self, message: m.ToPhone, fds: list[int]) -> None:
        match message:
            case m.Dial() if not self._dial.done():
                self._dial.set_result(message)
            case m.Speak() if self._call is not None and self._call.is_up:
                self._playout.push(np.frombuffer(message.pcm, _PCM).astype(np.int16))
            case m.Press() if self._call is not None and self._call.is_up:
                self._call.media.press(message.key)
            case m.HangUp():
                self._hung_up = True
                if self._call is not None:
                    self._call.hang_up()
            case _:
                pass

    def _lost(self) -> None:
        self._closed.set()
        if not self._dial.done():
            self._dial.set_result(None)


async def _run(channel_fd: int) -> None:
    await BrowserPhone().run(channel_fd)


def main(argv: list[str]) -> int:
    """Serve one call."""
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_run(int(argv[1])))
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv))
