"""RTP, RTCP and telephone-events that are broken, hostile, or not the phone's at all."""

from __future__ import annotations

import asyncio
import random
import struct
from collections.abc import Callable

import pytest

from tests.functional.bad_input.aftermath import SEED
from tests.functional.calls import LENGTH_TOLERANCE_MS, decode, length_ms, ringing
from tests.functional.raw_sip import RawCall, RawPeer, sdp
from tests.harness import Application, ServerProcess
from voiceblocks.audio.g711 import Samples
from voiceblocks.testing import tone_code
from voiceblocks.testing.phone import Phone
from voiceblocks.testing.phone_media import PhoneMedia

pytestmark = pytest.mark.asyncio(loop_scope="session")


class WrongPhone(PhoneMedia):
    """
    A phone whose packets are changed on their way out.

    Args:
        change: Takes the number of a packet and the packet; returns what is sent instead.
    """

    def __init__(self, change: Callable[[int, bytes], list[bytes]]) -> None:
        super().__init__(codec="PCMU", event_payload_type=101)
        self._change = change
        self._n_sent = 0

    def inject(self, data: bytes) -> None:
        """Send from the phone's own port."""
        super()._put(data)

    def _put(self, data: bytes) -> None:
        index, self._n_sent = self._n_sent, self._n_sent + 1
        for packet in self._change(index, data):
            super()._put(packet)


def rtp(
    payload: bytes = b"",
    *,
    first: int = 0x80,
    kind: int = 0,
    sequence: int = 0,
    timestamp: int = 0,
    ssrc: int = 0x50484F4E,
) -> bytes:
    """A packet, by its first two octets and fields."""
    return struct.pack("!BBHII", first, kind, sequence & 0xFFFF, timestamp, ssrc) + payload


def _nobodys_packet(chance: random.Random) -> bytes:
    """Garbage that cannot be anybody's audio, whoever sends it."""
    sequence, timestamp = chance.randrange(2**16), chance.randrange(2**32)
    more = {"sequence": sequence, "timestamp": timestamp}
    return chance.choice(
        [
            b"",
            chance.randbytes(chance.randrange(12)),
            bytes([chance.randrange(0x80)]) + chance.randbytes(chance.randrange(400)),
            bytes([chance.randrange(0xC0, 0x100)]) + chance.randbytes(172),
            rtp(bytes(20), first=0x8F, **more),
            rtp(b"\x12\x34\xff\xff" + bytes(40), first=0x90, **more),
            rtp(b"\x12", first=0x90, **more),
            rtp(bytes(159) + b"\xff", first=0xA0, **more),
            rtp(bytes(160), first=0xA0, **more),
            rtp(chance.randbytes(160), kind=chance.randrange(20, 100), **more),
        ]
    )


def _strangers_packet(chance: random.Random, index: int) -> bytes:
    """What somebody sends who wants to be heard in place of the phone, or to end its call."""
    noise = bytes(chance.choice((0x00, 0x80, 0x0F)) for _ in range(160))
    ssrc = chance.choice((0x50484F4E, 0x50484F4E, chance.randrange(2**32)))
    more = {"sequence": 1000 + index, "timestamp": 160_000 + index * 160, "ssrc": ssrc}
    hash_key = bytes([11, chance.choice((0x0A, 0x8A))]) + struct.pack("!H", 160 * (index % 9))
    return chance.choice(
        [
            rtp(noise, **more),
            rtp(noise, **more),
            rtp(hash_key, kind=chance.choice((101, 101 | 0x80)), **more),
            rtp(chance.randbytes(4), kind=101, **more),
            rtp(bytes([13]), kind=13, **more),
            _nobodys_packet(chance),
        ]
    )


def _rtcp_packet(chance: random.Random) -> bytes:
    """Reports, goodbyes and lies about lengths."""
    ssrc = struct.pack("!I", chance.choice((0x50484F4E, chance.randrange(2**32))))
    return chance.choice(
        [
            b"\x80\xc9\x00\x01" + ssrc + b"\x81\xcb\x00\x01" + ssrc,
            b"\x81\xcb\x00\x01" + ssrc,
            b"\x80\xc8\x00\x06" + ssrc + chance.randbytes(20),
            b"\x9f\xc8\xff\xff" + chance.randbytes(60),
            b"\x80\xca\x00\x00" * 300,
            chance.randbytes(chance.randrange(1400)),
            b"\x81\xca\x00\x05" + ssrc + b"\x01\xff" + bytes(14),
        ]
    )


async def _recorded(
    app: Application, peer: RawPeer, media: PhoneMedia
) -> tuple[RawCall, tuple[str, int], float]:
    """A call of a raw peer with this media, being recorded; its RTP address and the beep's end."""
    port = (await media.bind("127.0.0.1"))[1]
    call = RawCall(peer, app.number)
    peer.send(call.invite(body=sdp(port)))
    session = (await app.told(ivr_block="answer")).body["session"]
    await app.record(session)
    answer = await peer.next(status=200, method="INVITE", call=call.call_id)
    call.take(answer)
    peer.send(call.ack())
    media.start(answer.rtp)
    async with asyncio.timeout(10):
        began = await media.beep_ended()
    return call, answer.rtp, began


async def _end(app: Application, call: RawCall, media: PhoneMedia) -> None:
    assert (await call.peer.answer_to(call.request("BYE"), "BYE")).status == 200
    await app.told(ivr_block="record", call_state="ended")
    await media.stop()


async def _told_mp3(app: Application) -> bytes:
    told = await app.told(ivr_block="record")
    assert told.body["record_status"] == "success"
    return await app.fetch(told.body["record_url"])


def _flaws(
    samples: Samples,
    lasted_s: float,
    seconds: int,
    *,
    began_s: float = 0.0,
    length_tolerance_ms: float = 2 * LENGTH_TOLERANCE_MS,
) -> list[str]:
    """
    What is wrong with the length of a recording, and then with what is in it.

    Args:
        samples: All of it.
        lasted_s: By the phone's clock.
        seconds: Of the tone code in it.
        began_s: When that began, by the phone's clock; at once if omitted.
        length_tolerance_ms: Of the length.
    """
    flaws = []
    if abs(length_ms(samples) - lasted_s * 1000) > length_tolerance_ms:
        flaws.append(f"{length_ms(samples):.0f} ms long instead of {lasted_s * 1000:.0f}")
    heard = tone_code.decode_seconds(samples)
    starts_at_ms = heard[0].starts_at_ms if heard else 0.0
    if starts_at_ms > began_s * 1000 + 100:
        flaws.append(f"begins at {starts_at_ms:.0f} ms")
    expected = tone_code.expected_seconds(0, seconds, starts_at_ms=starts_at_ms)
    # A stream that begins anew is placed by its arrival, so by how late this process was.
    return flaws + tone_code.explain(heard, expected, tolerance_ms=2 * LENGTH_TOLERANCE_MS)


async def test_rtp_from_strangers_and_garbage(server: ServerProcess, app: Application) -> None:
    """3,500 packets into a recorded call, from strangers and its own port: none is heard."""
    chance = random.Random(SEED)
    code = tone_code.encode_seconds(0, 5)
    media = WrongPhone(lambda _index, data: [data])
    async with (
        Application(server) as other,
        RawPeer(server.sip) as peer,
        Phone() as phone,
    ):
        quiet_call, session = await ringing(other, phone)
        await other.record(session)
        await quiet_call.answered()
        call, (host, port), began = await _recorded(app, peer, media)
        quiet_began = await quiet_call.media.beep_ended()
        sources = [
            await RawPeer(f"{host}:{to}", host=own).__aenter__()
            for own in ("127.0.0.2", "127.0.0.1", "127.0.0.3")
            for to in (port, port + 1)
        ]
        spoken, quiet_spoken = media.say(code), quiet_call.media.say(code)
        for index in range(500):
            for at, source in enumerate(sources):
                source.send(_rtcp_packet(chance) if at % 2 else _strangers_packet(chance, index))
            media.inject(_nobodys_packet(chance))
            await asyncio.sleep(0.008)
        said = [await spoken, await quiet_spoken]
        pressed = await asyncio.gather(media.press("#"), quiet_call.media.press("#"))
        for teller, beeped_s, said_s, pressed_s in zip(
            (app, other), (began, quiet_began), said, pressed, strict=True
        ):
            samples = decode(await _told_mp3(teller))
            said_after_s = said_s - 5 - beeped_s
            assert _flaws(samples, pressed_s - beeped_s, 5, began_s=said_after_s) == []
        assert all(source.received == [] for source in sources[::2]), "a stranger heard the call"
        for source in sources:
            await source.__aexit__(None, None, None)
        await _end(app, call, media)


def _patched(data: bytes, *, sequence: int = 0, timestamp: int = 0, ssrc: int = 0) -> bytes:
    """The same packet with so much added to its fields."""
    first, second, old_sequence, old_timestamp, old_ssrc = struct.unpack_from("!BBHII", data)
    head = struct.pack(
        "!BBHII",
        first,
        second,
        (old_sequence + sequence) % 2**16,
        (old_timestamp + timestamp) % 2**32,
        (old_ssrc + ssrc) % 2**32,
    )
    return head + data[12:]


def _event(index: int, code: int, *, sequence: int, ssrc: int = 0) -> bytes:
    return rtp(
        bytes([code, 10]) + struct.pack("!H", 160),
        kind=101,
        sequence=sequence,
        timestamp=index * 160,
        ssrc=0x50484F4E + ssrc,
    )


MAX_AHEAD_MS = 200
"So far ahead of the clock a timestamp is believed (docs/standards.md)."

HALF = 150
"Packets: three seconds after the phone began to send."

# What a phone does wrong, and whether all that it said can still be in its place.
WRONG: dict[str, tuple[Callable[[int, bytes], list[bytes]], bool]] = {
    "the SSRC changes each second": (lambda i, p: [_patched(p, ssrc=i // 50)], True),
    "a new stream begins": (
        lambda i, p: [p if i < HALF else _patched(p, ssrc=9, sequence=7777, timestamp=123_456_789)],
        True,
    ),
    "timestamps jump ahead": (lambda i, p: [_patched(p, timestamp=(i > HALF) * 10**7)], True),
    "timestamps jump back": (lambda i, p: [_patched(p, timestamp=(i > HALF) * -(10**7))], True),
    "sequence jumps ahead": (lambda i, p: [_patched(p, sequence=(i > HALF) * 20_000)], True),
    "sequence jumps back": (lambda i, p: [_patched(p, sequence=(i > HALF) * -20_000)], True),
    "every packet thrice": (lambda _i, p: [p, p, p], True),
    "padded": (lambda i, p: [bytes([0xA0]) + p[1:] + b"\0\0\0\4"], True),
    "extended": (
        lambda i, p: [bytes([0x90]) + p[1:12] + b"\xbe\xde\0\1" + bytes(4) + p[12:]],
        True,
    ),
    "with CSRCs": (lambda i, p: [bytes([0x82]) + p[1:12] + bytes(8) + p[12:]], True),
    "unknown keys between": (
        lambda i, p: [p, _event(i, 16 + i % 240, sequence=1000 + i)],
        True,
    ),
    "a flood of other keys": (
        lambda i, p: [p, *(_event(i * 9 + k, (i + k) % 10, sequence=i * 9 + k) for k in range(9))],
        False,
    ),
    "random sequence numbers": (
        lambda i, p: [_patched(p, sequence=random.Random(i).randrange(65_536))],
        False,
    ),
    "two streams at once": (lambda i, p: [p, _patched(p, ssrc=5, timestamp=5_000_000)], False),
    "timestamps stand still": (
        lambda i, p: [p if i < HALF else _patched(p, timestamp=-(i - HALF) * 160)],
        False,
    ),
    "timestamps run twice as fast": (lambda i, p: [_patched(p, timestamp=i * 160)], False),
    "timestamps at random": (
        lambda i, p: [_patched(p, timestamp=random.Random(i).randrange(2**32))],
        False,
    ),
}  # fmt: skip


@pytest.mark.slow
async def test_a_phone_that_goes_wrong_itself(server: ServerProcess) -> None:
    """Its SSRC, sequence or timestamps jump: the length stays true to the clock, `#` still ends."""
    code = tone_code.encode_seconds(0, 5)

    async def recorded(name: str) -> tuple[bytes, float]:
        media = WrongPhone(WRONG[name][0])
        async with Application(server) as app, RawPeer(server.sip) as peer:
            call, _address, began = await _recorded(app, peer, media)
            await media.say(code)
            pressed_at = await media.press("#")
            mp3 = await _told_mp3(app)
            await _end(app, call, media)
        return mp3, pressed_at - began

    def flaws_of(name: str, mp3: bytes, lasted_s: float) -> list[str]:
        samples = decode(mp3)
        if WRONG[name][1]:
            return _flaws(samples, lasted_s, 5)
        flaws = _flaws(samples, lasted_s, 5, length_tolerance_ms=MAX_AHEAD_MS)
        return [flaw for flaw in flaws if "long instead" in flaw]

    calls = await asyncio.gather(*(recorded(name) for name in WRONG))
    # Judged when all phones are quiet: they share this process's time.
    found = {name: flaws_of(name, *call) for name, call in zip(WRONG, calls, strict=True)}
    assert {name: flaws for name, flaws in found.items() if flaws} == {}
