"""Each digit exactly once, whatever happens to its packets."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voiceblocks.errors import RemoteRtpError
from voiceblocks.rtp.telephone_event import (
    DIGITS,
    DigitDetector,
    ScheduledEvent,
    TelephoneEvent,
    event_packets,
)


@given(st.integers(0, 255), st.booleans(), st.integers(0, 63), st.integers(0, 0xFFFF))
def test_parse_is_the_inverse_of_serialize(event: int, end: bool, volume: int, duration: int):
    """Every field survives."""
    value = TelephoneEvent(event, end, volume, duration)
    assert TelephoneEvent.parse(value.serialize()) == value


@given(st.binary(max_size=8))
def test_any_bytes_give_an_event_or_the_documented_error(data: bytes):
    """Four bytes are an event, fewer are not."""
    with contextlib.suppress(RemoteRtpError):
        assert len(data) >= 4 or not TelephoneEvent.parse(data)


@given(
    digits=st.lists(st.sampled_from(DIGITS), min_size=1, max_size=6),
    durations=st.lists(st.sampled_from([40, 100, 400, 9000]), min_size=6, max_size=6),
    start=st.integers(0, 0xFFFFFFFF),
    data=st.data(),
)
def test_each_digit_once_under_loss_and_repetition(
    digits: list[str], durations: list[int], start: int, data: st.DataObject
):
    """Lose all but one packet, repeat any: the digits come in order, each once."""
    detector = DigitDetector()
    heard = []
    timestamp = start
    for digit, duration in zip(digits, durations, strict=False):
        packets = list(event_packets(digit, duration))
        segment = [packet for packet in packets if packet.timestamp_offset == 0]
        order = st.lists(st.integers(0, len(segment) - 1), min_size=1, max_size=8)
        kept = [segment[index] for index in sorted(data.draw(order))]
        later = [packet for packet in packets if packet.timestamp_offset > 0]
        for packet in kept + later:
            found = receive(detector, packet, timestamp)
            if found:
                heard.append((found, timestamp))
        timestamp = (timestamp + duration * 8 + 400) & 0xFFFFFFFF
    assert [digit for digit, _ in heard] == digits


def receive(detector: DigitDetector, packet: ScheduledEvent, start: int) -> str | None:
    """Feed one scheduled packet."""
    timestamp = (start + packet.timestamp_offset) & 0xFFFFFFFF
    event = TelephoneEvent.parse(packet.payload)
    found = detector.receive(event, timestamp, packet.marker)
    return found.digit if found else None


def test_packets_of_the_digit_before_may_come_late():
    """Reordering across two digits makes neither of them twice."""
    detector = DigitDetector()
    first, second = list(event_packets("1", 60)), list(event_packets("2", 60))
    order = [(first[0], 0), (second[0], 800), (first[1], 0), (second[1], 800), (first[2], 0)]
    assert [receive(detector, *item) for item in order] == ["1", "2", None, None, None]


def test_flash_hook_and_tones_are_no_digits():
    """Codes above 15 are passed over."""
    assert DigitDetector().receive(TelephoneEvent(16, False, 0, 160), 5, True) is None


def test_a_detector_moves_with_its_leg():
    """A dumped and restored detector reports nothing twice."""
    detector = DigitDetector()
    event = TelephoneEvent(3, False, 0, 160)
    assert detector.receive(event, 5, True)
    again = DigitDetector.restore(detector.dump())
    assert again.receive(event, 5, False) is None
    assert again.receive(event, 5 + 0xFFFF, False) is None
    assert again.receive(event, 90, True)


def test_the_schedule_of_a_short_digit():
    """One packet each 20 ms, the end three times (RFC 4733 section 2.5.1)."""
    packets = list(event_packets("#", 100))
    assert [packet.at_ms for packet in packets] == [20, 40, 60, 80, 100, 120, 140]
    assert [packet.marker for packet in packets] == [True] + [False] * 6
    events = [TelephoneEvent.parse(packet.payload) for packet in packets]
    assert [event.duration for event in events] == [160, 320, 480, 640, 800, 800, 800]
    assert [event.end for event in events] == [False] * 4 + [True] * 3
    assert {event.event for event in events} == {11}


def test_a_long_digit_is_sent_in_segments():
    """Above 8.19 s the timestamp moves on by a full segment (section 2.5.1.3)."""
    packets = list(event_packets("5", 10_000))
    assert {packet.timestamp_offset for packet in packets} == {0, 0xFFFF}
    last = TelephoneEvent.parse(packets[-1].payload)
    assert packets[-1].timestamp_offset + last.duration == 80_000
    assert last.end


@pytest.mark.parametrize("digit", list(DIGITS))
def test_every_digit(digit: str):
    """The table of 16."""
    packet = next(event_packets(digit, 40))
    assert receive(DigitDetector(), packet, 0) == digit
