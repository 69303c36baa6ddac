"""The phone's RTP: what it says at exact 20 ms steps, and all that it hears.

Independent of the server's media workers on purpose: it shares only the packet values
with them, so that a mistake there is not made here a second time.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from voiceblocks.arrivals import Arrivals
from voiceblocks.audio.codecs import Codec, codec_named
from voiceblocks.errors import RemoteRtpError
from voiceblocks.rtp.packet import RtpPacket
from voiceblocks.rtp.telephone_event import ScheduledEvent, TelephoneEvent, event_packets
from voiceblocks.testing.beep_watch import BeepWatch
from voiceblocks.testing.impairments import Impairments
from voiceblocks.testing.sounds import SAMPLES_PER_MS


@dataclass(frozen=True, slots=True)
class HeardPacket:
    """One audio packet as it arrived."""

    at: float
    "Monotonic seconds."
    sequence: int
    timestamp: int
    samples: NDArray[np.int16]
    ssrc: int = 0
    "Of the stream; another one begins a timeline of its own."


@dataclass(frozen=True, slots=True)
class SentPacket:
    """One audio packet as it left."""

    at: float
    "Monotonic seconds."
    timestamp: int


class PhoneMedia(asyncio.DatagramProtocol):
    """
    One RTP stream each way. Made by `Phone`; starts to send with `start`.

    Its times are those of a phone that is never late: what is heard counts from its arrival at
    the kernel, what is said from the instant at which its packet was due. A packet that left
    later was delayed on its way, as any network does.

    Args:
        codec: `"PCMU"` or `"PCMA"`.
        event_payload_type: For digits; `None` where telephone-event was not negotiated.
        ptime_ms: Packet duration that is sent.
        impairments: What happens to sent packets on their way.
        ssrc: Of the sent stream.
    """

    def __init__(
        self,
        *,
        codec: str,
        event_payload_type: int | None,
        ptime_ms: int = 20,
        impairments: Impairments | None = None,
        ssrc: int = 0x50484F4E,
    ) -> None:
        self._codec: Codec = codec_named(codec)
        self._event_payload_type = event_payload_type
        self._ptime_ms = ptime_ms
        self._impairments = impairments or Impairments()
        self._ssrc = ssrc
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.DatagramTransport | None = None
        self._arrivals: Arrivals | None = None
        self._due_s: float | None = None
        "When the packet that is sent now was due; `None` where that is always now."
        self.latest_s = 0.0
        "How late a packet left at worst: what a measurement by this phone is worth."
        self._reserved: socket.socket | None = None
        self._remote: tuple[str, int] | None = None
        self.sends = True
        "Whether we send at all; time goes on meanwhile."
        self._sender: asyncio.Task[None] | None = None
        self._to_say: deque[_Saying] = deque()
        self._said = 0
        self._background: NDArray[np.int16] = np.zeros(0, np.int16)
        self._background_at = 0
        self._events: deque[tuple[list[ScheduledEvent], asyncio.Future[float]]] = deque()
        self._pressing: tuple[list[ScheduledEvent], int] | None = None
        self._timestamp = self._impairments.first_timestamp
        self._sent_packets = 0
        self._held_back: bytes | None = None
        self._beeps = BeepWatch()
        self.heard: list[HeardPacket] = []
        "Every audio packet in order of arrival."
        self.sent: list[SentPacket] = []
        "Every audio packet that left, silence too."
        self.digits_heard: list[tuple[str, int]] = []
        self.talking = asyncio.Event()
        "Set with the first audio packet heard."
        self.speaker: Callable[[int], NDArray[np.int16]] | None = None
        """Asked for so many samples at each packet, where what is said comes from elsewhere as time
        goes on; during a key, too, whose packets stand in their place."""
        self.remote_host: str | None = None
        "Where it sends, whatever the SDP says: for a server that tells the world another address."
        self.listener: Callable[[HeardPacket], None] | None = None
        "Told of each audio packet; with it neither `heard` nor `sent` is kept: it may last long."

    def reserve(self, host: str) -> tuple[str, int]:
        """Take a free UDP port and return its address; nothing is heard before `bind`."""
        self._reserved = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._reserved.setblocking(False)
        self._reserved.bind((host, 0))
        address: tuple[str, int] = self._reserved.getsockname()
        return address

    async def bind(self, host: str) -> tuple[str, int]:
        """Open the port that was reserved, or any free one, and return its address."""
        address = self.reserve(host) if self._reserved is None else self._reserved.getsockname()
        self._transport, _ = await self._loop.create_datagram_endpoint(
            lambda: self, sock=self._reserved
        )
        return address

    def start(
        self,
        remote: tuple[str, int],
        *,
        codec: str | None = None,
        event_payload_type: int | None = None,
    ) -> None:
        """
        Send to `remote` from now on, silence where there is nothing to say.

        Called again where the other side moves.
        """
        self._remote = (self.remote_host or remote[0], remote[1])
        if codec is not None:
            self._codec = codec_named(codec)
        if event_payload_type is not None:
            self._event_payload_type = event_payload_type
        if self._sender is None:
            self._sender = self._loop.create_task(self._send_forever())

    async def stop(self) -> None:
        """Stop sending and close the socket."""
        if self._sender is not None:
            self._sender.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._sender
        if self._transport is not None:
            self._transport.close()

    def say(self, samples: NDArray[np.int16]) -> asyncio.Future[float]:
        """
        Say 8 kHz samples after what is already queued.

        Returns:
            Resolves with the monotonic second at which the last packet was due.
        """
        saying = _Saying(samples, self._loop.create_future(), self._loop.create_future())
        self._to_say.append(saying)
        return saying.done

    def utter(self, samples: NDArray[np.int16]) -> asyncio.Future[int]:
        """
        Say samples like `say`, for a test that measures when they are heard.

        Returns:
            Resolves with the RTP timestamp of the first sample, as it is sent.
        """
        saying = _Saying(samples, self._loop.create_future(), self._loop.create_future())
        self._to_say.append(saying)
        return saying.began

    def repeat(self, samples: NDArray[np.int16]) -> None:
        """Say samples over and over, whenever nothing else is to be said; none: silence again."""
        self._background = samples
        self._background_at = 0

    def press(self, digit: str, duration_ms: int = 100) -> asyncio.Future[float]:
        """
        Press a digit now (RFC 4733), in place of the audio.

        Returns:
            Resolves with the monotonic second at which the key went down.
        """
        done: asyncio.Future[float] = self._loop.create_future()
        packets = list(event_packets(digit, duration_ms, self._ptime_ms))
        self._events.append((packets, done))
        return done

    async def beep_ended(self) -> float:
        """The monotonic second at which the next beep is over, by the sender's own clock."""
        return await self._beeps.over.get()

    @property
    def beeps_heard(self) -> int:
        """How many beeps are over."""
        return self._beeps.heard

    def audio(self) -> NDArray[np.int16]:
        """
        All that was heard, each packet at its RTP timestamp, gaps as silence.

        For a single stream: see `hearing.heard_audio` where the sender may change its SSRC.
        """
        if not self.heard:
            return np.zeros(0, np.int16)
        first = self.heard[0].timestamp
        placed = [((p.timestamp - first + 2**31) % 2**32 - 2**31, p.samples) for p in self.heard]
        length = max(offset + len(samples) for offset, samples in placed)
        audio = np.zeros(length, np.int16)
        for offset, samples in placed:
            if offset >= 0:
                audio[offset : offset + len(samples)] = samples
        return audio

    # Receiving

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Have the kernel tell when packets come."""
        self._arrivals = Arrivals(transport.get_extra_info("socket"))

    def datagram_received(self, data: bytes, addr: tuple[Any, ...]) -> None:
        """Take a packet of anybody's."""
        now = self._loop.time()
        self.hear(data, now if self._arrivals is None else self._arrivals.last_s(now))

    def error_received(self, exc: Exception) -> None:
        """A port that is closed by now: calls end in any order."""

    def hear(self, data: bytes, at: float) -> None:
        """Take what came, and when; anything unreadable is ignored, as a phone does."""
        try:
            packet = RtpPacket.parse(data)
        except RemoteRtpError:
            return
        if packet.payload_type == self._event_payload_type:
            self._hear_event(packet)
            return
        if packet.payload_type != self._codec.payload_type:
            return
        samples = self._codec.decode(np.frombuffer(packet.payload, np.uint8))
        heard = HeardPacket(at, packet.sequence, packet.timestamp, samples, packet.ssrc)
        self.talking.set()
        if self.listener is not None:
            self.listener(heard)
            return
        self.heard.append(heard)
        self._beeps.hear(samples, at, packet.timestamp, packet.ssrc)

    def _hear_event(self, packet: RtpPacket) -> None:
        with contextlib.suppress(RemoteRtpError):
            event = TelephoneEvent.parse(packet.payload)
            self.digits_heard.append((str(event.event), packet.timestamp))

    # Sending

    async def _send_forever(self) -> None:
        """Absolute deadlines: a late wake-up does not push what comes after it."""
        step_s = self._ptime_ms / 1000
        started = self._loop.time()
        index = 0
        while True:
            self._due_s = started + index * step_s
            self.latest_s = max(self.latest_s, self._loop.time() - self._due_s)
            self._send_next()
            index += 1
            await asyncio.sleep(max(0.0, started + index * step_s - self._loop.time()))

    def _send_next(self) -> None:
        """Send the packet that is due: a part of a key, or audio."""
        samples_per_packet = self._ptime_ms * SAMPLES_PER_MS
        timestamp = self._timestamp
        self._timestamp = (timestamp + samples_per_packet) % 2**32
        if self._pressing is None and self._events:
            packets, done = self._events.popleft()
            self._pressing = (packets, timestamp)
            # The first packet of an event tells of the packet time before it was sent.
            if not done.done():
                done.set_result(self._spoken_until_s() - self._ptime_ms / 1000)
        if self._pressing is None:
            self._send_audio(samples_per_packet, timestamp)
            return
        packets, event_timestamp = self._pressing
        scheduled = packets.pop(0)
        self._emit(
            scheduled.payload,
            self._event_payload_type or 101,
            (event_timestamp + scheduled.timestamp_offset) % 2**32,
            marker=scheduled.marker,
        )
        if not packets:
            self._pressing = None
        if self.speaker is not None:
            self.speaker(samples_per_packet)

    def _spoken_until_s(self) -> float:
        return self._loop.time() if self._due_s is None else self._due_s

    def _send_audio(self, count: int, timestamp: int) -> None:
        frame = self._next_frame(count, timestamp)
        if frame is None:
            if self._impairments.suppress_silence:
                return
            frame = np.zeros(count, np.int16)
        payload = self._codec.encode(frame).tobytes()
        if self.listener is None:
            self.sent.append(SentPacket(self._loop.time(), timestamp))
        self._emit(payload, self._codec.payload_type, timestamp, marker=False)

    def _next_frame(self, count: int, timestamp: int) -> NDArray[np.int16] | None:
        if self.speaker is not None:
            return self.speaker(count)
        if not self._to_say and not len(self._background):
            return None
        frame = np.zeros(count, np.int16)
        filled = 0
        while filled < count and self._to_say:
            saying = self._to_say[0]
            if not saying.began.done():
                saying.began.set_result((timestamp + filled) % 2**32)
            piece = saying.samples[self._said : self._said + count - filled]
            frame[filled : filled + len(piece)] = piece
            filled += len(piece)
            self._said += len(piece)
            if self._said >= len(saying.samples):
                self._to_say.popleft()
                self._said = 0
                if not saying.done.done():
                    saying.done.set_result(self._spoken_until_s())
        if len(self._background) and filled < count:
            wanted = np.arange(self._background_at, self._background_at + count - filled)
            frame[filled:] = self._background[wanted % len(self._background)]
            self._background_at = int(wanted[-1] + 1) % len(self._background)
        return frame

    def _emit(self, payload: bytes, payload_type: int, timestamp: int, *, marker: bool) -> None:
        """Number the packet, then let the network have its way with it."""
        index = self._sent_packets
        self._sent_packets += 1
        data = RtpPacket(
            payload_type=payload_type,
            sequence=(self._impairments.first_sequence + index) % 2**16,
            timestamp=timestamp,
            ssrc=self._ssrc,
            payload=payload,
            marker=marker,
        ).serialize()
        held, self._held_back = self._held_back, None
        if self._impairments.holds_back(index) and held is None:
            self._held_back = data
            return
        if not self._impairments.loses(index):
            self._put(data)
            if self._impairments.doubles(index):
                self._put(data)
        if held is not None:
            self._put(held)

    def _put(self, data: bytes) -> None:
        if self.sends and self._transport is not None and self._remote is not None:
            self._transport.sendto(data, self._remote)


@dataclass(frozen=True, slots=True)
class _Saying:
    """Something to be said."""

    samples: NDArray[np.int16]
    done: asyncio.Future[float]
    began: asyncio.Future[int]
