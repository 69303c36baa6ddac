"""A phone's RTP on the media clock: what `PhoneMedia` does, at a fraction of its cost.

It sends on even or on odd ticks, knows packets by their bytes, and decodes what it heard when
somebody asks.
"""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from voiceblocks.audio.codecs import codec_named
from voiceblocks.testing.impairments import Impairments
from voiceblocks.testing.phone_media import (
    SAMPLES_PER_MS,
    HeardPacket,
    PhoneMedia,
    SentPacket,
    is_beep,
)
from voiceblocks.testing.simulation.media import MediaClock
from voiceblocks.testing.simulation.network import Address, SimulatedNetwork
from voiceblocks.testing.simulation.virtual_loop import VirtualLoop

_HEADER = struct.Struct(">BBHII")
_HEADER_BYTES = 12
_VERSION = 0x80
_TICKS_MS = 10
_NO_IMPAIRMENTS = Impairments()


class SimulatedMedia(PhoneMedia):
    """
    One RTP stream each way.

    Args:
        loop: Its time.
        clock: Says when to send.
        network: Carries it.
        options: As for `PhoneMedia`.
    """

    def __init__(
        self, *, loop: VirtualLoop, clock: MediaClock, network: SimulatedNetwork, **options: Any
    ) -> None:
        self._arrived: list[tuple[float, bytes]] = []
        self._decoded: list[HeardPacket] = []
        self._n_decoded = 0
        self._left: list[tuple[float, int]] = []
        super().__init__(**options)
        self._virtual = loop
        self._clock = clock
        self._network = network
        self._address: Address | None = None
        self._first_tick: int | None = None
        self._step_ticks = self._ptime_ms // _TICKS_MS
        self._tones: dict[bytes, bool] = {}
        self._learn_codec()
        self.payload = bytearray()
        "All audio that was heard, as it came, in the codec that was agreed last."
        self.on_audio: Callable[[], None] | None = None
        "Called after each audio packet."

    @property
    def heard(self) -> list[HeardPacket]:
        """See `PhoneMedia`."""
        for at, data in self._arrived[self._n_decoded :]:
            _, _, sequence, timestamp, ssrc = _HEADER.unpack_from(data)
            samples = self._codec.decode(np.frombuffer(data, np.uint8, offset=_HEADER_BYTES))
            self._decoded.append(HeardPacket(at, sequence, timestamp, samples, ssrc))
        self._n_decoded = len(self._arrived)
        return self._decoded

    @heard.setter
    def heard(self, _packets: list[HeardPacket]) -> None:
        """It begins empty."""

    @property
    def sent(self) -> list[SentPacket]:
        """See `PhoneMedia`."""
        return [SentPacket(at, timestamp) for at, timestamp in self._left]

    @sent.setter
    def sent(self, _packets: list[SentPacket]) -> None:
        """It begins empty."""

    @property
    def codec_name(self) -> str:
        """The codec that was agreed last."""
        return self._codec.name

    # Sockets and time

    def reserve(self, host: str) -> tuple[str, int]:
        """See `PhoneMedia.reserve`."""
        self._address = self._network.listen((host, 0), self._take)
        return self._address

    async def bind(self, host: str) -> tuple[str, int]:
        """See `PhoneMedia.bind`."""
        return self._address or self.reserve(host)

    def start(
        self,
        remote: tuple[str, int],
        *,
        codec: str | None = None,
        event_payload_type: int | None = None,
    ) -> None:
        """See `PhoneMedia.start`: the first packet leaves at the next tick."""
        self._remote = remote
        if codec is not None:
            # What was heard in the codec before is decoded in it.
            assert self.heard is not None
            self._codec = codec_named(codec)
            self._learn_codec()
        if event_payload_type is not None:
            self._event_payload_type = event_payload_type
        self._clock.add_sender(self)

    async def stop(self) -> None:
        """See `PhoneMedia.stop`."""
        self._clock.remove_sender(self)
        if self._address is not None:
            self._network.forget(self._address)

    def tick(self, tick: int) -> None:
        """See `media.Sender`."""
        if self._first_tick is None:
            self._first_tick = tick
        if (tick - self._first_tick) % self._step_ticks == 0:
            self._send_next()

    # Sending

    def _learn_codec(self) -> None:
        count = self._ptime_ms * SAMPLES_PER_MS
        self._silence = self._codec.encode(np.zeros(count, np.int16)).tobytes()
        self._type = self._codec.payload_type
        self._tones = {}

    def _send_audio(self, count: int, timestamp: int) -> None:
        if self._to_say or len(self._background):
            payload = self._said_payload(count, timestamp)
        elif self._impairments.suppress_silence:
            return
        else:
            payload = self._silence
        self._left.append((self._virtual.time(), timestamp))
        self._emit(payload, self._type, timestamp, marker=False)

    def _said_payload(self, count: int, timestamp: int) -> bytes:
        frame = self._next_frame(count, timestamp)
        return self._silence if frame is None else self._codec.encode(frame).tobytes()

    def _emit(self, payload: bytes, payload_type: int, timestamp: int, *, marker: bool) -> None:
        if self._impairments != _NO_IMPAIRMENTS:
            super()._emit(payload, payload_type, timestamp, marker=marker)
            return
        sequence = (self._impairments.first_sequence + self._sent_packets) & 0xFFFF
        self._sent_packets += 1
        second = payload_type | 0x80 if marker else payload_type
        self._put(_HEADER.pack(_VERSION, second, sequence, timestamp, self._ssrc) + payload)

    def _put(self, data: bytes) -> None:
        if self.sends and self._address is not None and self._remote is not None:
            self._network.send(data, self._address, self._remote)

    # Receiving

    def _take(self, data: bytes, source: Address) -> None:
        # Plain audio: version 2, nothing between the header and the payload.
        if len(data) > _HEADER_BYTES and data[0] == _VERSION and data[1] & 0x7F == self._type:
            now = self._virtual.time()
            payload = data[_HEADER_BYTES:]
            self._arrived.append((now, data))
            self.payload += payload
            self._hear(payload, now)
            if self.on_audio is not None:
                self.on_audio()
        else:
            self.datagram_received(data, source)

    def _hear(self, payload: bytes, now: float) -> None:
        if not self.talking.is_set():
            self.talking.set()
        is_tone = self._tones.get(payload)
        if is_tone is None:
            samples: NDArray[np.int16] = self._codec.decode(np.frombuffer(payload, np.uint8))
            is_tone = self._tones[payload] = is_beep(samples)
        if is_tone or self._beep_run:
            self._count_beep(is_tone=is_tone, now=now)


def media_maker(
    loop: VirtualLoop, clock: MediaClock, network: SimulatedNetwork
) -> Callable[..., PhoneMedia]:
    """Return what `Phone` takes as `new_media`."""

    def make(**options: Any) -> PhoneMedia:
        assert asyncio.get_running_loop() is loop
        return SimulatedMedia(loop=loop, clock=clock, network=network, **options)

    return make
