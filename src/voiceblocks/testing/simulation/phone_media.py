"""A phone's RTP on the media clock: what `PhoneMedia` does, at a fraction of its cost.

It sends on even or on odd ticks, knows packets by their bytes, and decodes what it heard when
somebody asks.
"""

from __future__ import annotations

import asyncio
import struct
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from voiceblocks.audio.codecs import codec_named
from voiceblocks.testing.impairments import Impairments
from voiceblocks.testing.phone_media import HeardPacket, PhoneMedia, SentPacket
from voiceblocks.testing.simulation.network import Address, SimulatedNetwork
from voiceblocks.testing.simulation.virtual_loop import VirtualLoop, time_of
from voiceblocks.testing.sounds import SAMPLES_PER_MS, is_beep

if TYPE_CHECKING:
    from voiceblocks.testing.simulation.media import MediaClock

_HEADER = struct.Struct(">BBHII")
_HEADER_BYTES = 12
_VERSION = 0x80
_TICKS_MS = 10
_NO_IMPAIRMENTS = Impairments()
_FAR = 1 << 30


def rtp_packet(second: int, sequence: int, timestamp: int, ssrc: int, payload: bytes) -> bytes:
    """A packet of version 2; `second` is its payload type, with the marker."""
    return _HEADER.pack(_VERSION, second, sequence, timestamp, ssrc) + payload


class SimulatedMedia(PhoneMedia):
    """
    One RTP stream each way.

    Args:
        clock: Says when to send.
        network: Carries it.
        options: As for `PhoneMedia`.
    """

    def __init__(self, *, clock: MediaClock, network: SimulatedNetwork, **options: Any) -> None:
        self._arrived: list[tuple[float, bytes]] = []
        self._decoded: list[HeardPacket] = []
        self._n_decoded = 0
        self._left: list[list[int]] = []
        "Runs of packets: tick and timestamp of the first, and how many."
        self._encoded: deque[bytes] = deque()
        "Of each thing that is to be said."
        self._is_talking = False
        self.next_tick = 0
        super().__init__(**options)
        self._clock = clock
        self._network = network
        self._address: Address | None = None
        self._step_ticks = self._ptime_ms // _TICKS_MS
        self._count = self._ptime_ms * SAMPLES_PER_MS
        self._is_plain = self._impairments == _NO_IMPAIRMENTS
        self._tones: dict[bytes, bool] = {}
        self._learn_codec()
        self.spoken_payload = b""
        "What the last stretch said."
        self.payload = bytearray()
        "All audio that was heard, as it came, in the codec that was agreed last."
        self.on_audio: Callable[[], None] | None = None
        "Called after each audio packet."
        self.minds_silence = True
        "Whether silence may be what `on_audio` waits for."

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
        return [
            SentPacket(time_of(tick + n * self._step_ticks), (timestamp + n * self._count) % 2**32)
            for tick, timestamp, count in self._left
            for n in range(count)
        ]

    @sent.setter
    def sent(self, _packets: list[SentPacket]) -> None:
        """It begins empty."""

    @property
    def codec_name(self) -> str:
        """The codec that was agreed last."""
        return self._codec.name

    @property
    def silence(self) -> bytes:
        """A packet's payload of silence."""
        return self._silence

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
        self.next_tick = tick + self._step_ticks
        self._send_next()

    # For a stretch of ticks (`cruise`)

    @property
    def address(self) -> Address | None:
        """Where it is."""
        return self._address

    @property
    def remote(self) -> Address | None:
        """Where it sends to."""
        return self._remote

    @property
    def payload_type(self) -> int:
        """Of the audio that it sends."""
        return self._type

    @property
    def watch(self) -> Callable[[bytes, Address, Address], None] | None:
        """Who wants to see each packet."""
        return self._network.note_rtp if self._network.watches_rtp else None

    @property
    def next_packet(self) -> tuple[int, int, int, int]:
        """Sequence number, timestamp, SSRC and samples of the packet that it sends next."""
        sequence = (self._impairments.first_sequence + self._sent_packets) & 0xFFFF
        return sequence, self._timestamp, self._ssrc, self._count

    def hears(self, payload_type: int) -> bool:
        """Whether it takes that for audio."""
        return payload_type == self._type

    def room(self, tick: int) -> int:
        """For how many ticks from now it will do nothing but speak on, or be silent."""
        is_plain = (
            self.next_tick > tick
            and self.sends
            and (self.on_audio is None or not self.minds_silence)
            and self.speaker is None
            and self.listener is None
            and self.talking.is_set()
            and not (self._events or self._pressing or self._beeps.run or len(self._background))
            and self._is_plain
        )
        if not is_plain:
            return 0
        if not self._to_say:
            return _FAR
        saying = self._to_say[0]
        if not saying.began.done():
            return 0
        # The last packets are told to whoever waits for them.
        whole = (len(saying.samples) - self._said) // self._count
        return (whole - 1) * self._step_ticks

    def ticks_of(self, tick: int, count: int) -> range:
        """At which of the next `count` ticks it sends."""
        return range(self.next_tick, tick + count + 1, self._step_ticks)

    def speak(self, ticks: range) -> list[bytes]:
        """Send at these ticks: the packets, which nobody was given yet."""
        count = self._count
        if self._to_say:
            after = self._said + count * len(ticks)
            self.spoken_payload = self._encoded[0][self._said : after]
            self._said = after
        else:
            self.spoken_payload = self._silence * len(ticks)
        packets = []
        if ticks:
            self._note_sent(ticks[0], self._timestamp, len(ticks))
            self.next_tick = ticks[-1] + self._step_ticks
        for index in range(len(ticks)):
            sequence, timestamp, ssrc, _count = self.next_packet
            payload = self.spoken_payload[index * count : (index + 1) * count]
            packets.append(rtp_packet(self._type, sequence, timestamp, ssrc, payload))
            self._sent_packets += 1
            self._timestamp = (timestamp + count) % 2**32
        return packets

    def hear_silence(self, times: list[float], packets: list[bytes]) -> None:
        """Take packets of silence."""
        self._arrived += zip(times, packets, strict=True)
        for data in packets:
            self.payload += data[_HEADER_BYTES:]

    # Sending

    def say(self, samples: NDArray[np.int16]) -> asyncio.Future[float]:
        """See `PhoneMedia.say`."""
        done = super().say(samples)
        # Encoded as a whole: of each packet's samples the codes are the same.
        self._encoded.append(self._codec.encode(samples).tobytes())
        return done

    def utter(self, samples: NDArray[np.int16]) -> asyncio.Future[int]:
        """See `PhoneMedia.utter`."""
        began = super().utter(samples)
        self._encoded.append(self._codec.encode(samples).tobytes())
        return began

    def _learn_codec(self) -> None:
        self._silence = self._codec.encode(np.zeros(self._count, np.int16)).tobytes()
        self._type = self._codec.payload_type
        self._tones = {self._silence: False}
        self._encoded = deque(
            self._codec.encode(saying.samples).tobytes() for saying in self._to_say
        )

    def _send_audio(self, count: int, timestamp: int) -> None:
        if self._to_say or len(self._background) or self.speaker is not None:
            payload = self._said_payload(count, timestamp)
        elif self._impairments.suppress_silence:
            return
        else:
            payload = self._silence
        self._note_sent(self._clock.tick, timestamp)
        self._emit(payload, self._type, timestamp, marker=False)

    def _said_payload(self, count: int, timestamp: int) -> bytes:
        if self._to_say and self.speaker is None:
            saying, after = self._to_say[0], self._said + count
            if after < len(saying.samples) and saying.began.done():
                payload = self._encoded[0][self._said : after]
                self._said = after
                return payload
        n_waiting = len(self._to_say)
        frame = self._next_frame(count, timestamp)
        for _ended in range(n_waiting - len(self._to_say)):
            self._encoded.popleft()
        return self._silence if frame is None else self._codec.encode(frame).tobytes()

    def _note_sent(self, tick: int, timestamp: int, count: int = 1) -> None:
        """Keep what left, packets that follow each other as one."""
        last = self._left[-1] if self._left else None
        if (
            last is not None
            and tick == last[0] + last[2] * self._step_ticks
            and timestamp == (last[1] + last[2] * self._count) % 2**32
        ):
            last[2] += count
        else:
            self._left.append([tick, timestamp, count])

    def _emit(self, payload: bytes, payload_type: int, timestamp: int, *, marker: bool) -> None:
        if not self._is_plain:
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
        if data[0] != _VERSION or data[1] & 0x7F != self._type or len(data) <= _HEADER_BYTES:
            self.hear(data, self._clock.now_s)
            return
        payload = data[_HEADER_BYTES:]
        self._arrived.append((self._clock.now_s, data))
        self.payload += payload
        is_tone = self._tones.get(payload)
        if is_tone is None:
            is_tone = self._learn_tone(payload)
        if is_tone or self._beeps.run:
            self._beeps.count(is_tone=is_tone, now=self._clock.now_s)
        if not self._is_talking:
            self._is_talking = True
            self.talking.set()
        if self.on_audio is not None:
            self.on_audio()
        if self.listener is not None:
            self.listener(self.heard[-1])

    def _learn_tone(self, payload: bytes) -> bool:
        samples: NDArray[np.int16] = self._codec.decode(np.frombuffer(payload, np.uint8))
        is_tone = self._tones[payload] = is_beep(samples)
        return is_tone


def media_maker(
    loop: VirtualLoop, clock: MediaClock, network: SimulatedNetwork
) -> Callable[..., PhoneMedia]:
    """Return what `Phone` takes as `new_media`."""

    def make(**options: Any) -> PhoneMedia:
        assert asyncio.get_running_loop() is loop
        return SimulatedMedia(clock=clock, network=network, **options)

    return make
