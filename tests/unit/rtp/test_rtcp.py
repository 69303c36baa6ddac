"""RTCP packets and receiver statistics."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voiceblocks.errors import RemoteRtpError
from voiceblocks.rtp.rtcp import (
    Goodbye,
    Order,
    ReceiverReport,
    ReceiverStatistics,
    ReportBlock,
    SenderReport,
    SourceDescription,
    ntp_time,
    parse_compound,
    serialize_compound,
)

u32 = st.integers(0, 0xFFFFFFFF)
blocks = st.lists(
    st.builds(ReportBlock, u32, st.integers(0, 255), st.integers(-0x800000, 0x7FFFFF), *[u32] * 4),
    max_size=3,
).map(tuple)
packets = st.one_of(
    st.builds(SenderReport, u32, st.integers(0, 2**64 - 1), u32, u32, u32, blocks),
    st.builds(ReceiverReport, u32, blocks),
    st.builds(
        SourceDescription, st.lists(st.tuples(u32, st.text(max_size=20)), max_size=3).map(tuple)
    ),
    st.builds(Goodbye, st.lists(u32, max_size=3).map(tuple)),
)


@given(st.lists(packets, min_size=1, max_size=4))
def test_parse_is_the_inverse_of_serialize(compound: list[object]):
    """Every packet of a compound survives."""
    assert parse_compound(serialize_compound(compound)) == compound  # type: ignore[arg-type]


@given(st.binary(max_size=80), st.integers(199, 204))
def test_any_bytes_give_packets_or_the_documented_error(data: bytes, kind: int):
    """Nothing else is ever raised."""
    words = (len(data) // 4).to_bytes(2, "big")
    for candidate in (data, bytes([0x81, kind]) + words + data, bytes([0xA2, kind]) + words + data):
        with contextlib.suppress(RemoteRtpError):
            parse_compound(candidate)


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"", "empty"),
        (b"\x80", "header is truncated"),
        (b"\x40\xc9\0\0", "version is not 2"),
        (b"\x80\xc9\0\1", "packet is truncated"),
        (b"\xa0\xc9\0\1\0\0\0\5", "padding length is invalid"),
        (b"\x80\xc8\0\1\0\0\0\0", "sender report is truncated"),
        (b"\x80\xc9\0\0", "receiver report is truncated"),
        (b"\x81\xc9\0\1\0\0\0\0", "report blocks are truncated"),
        (b"\x81\xca\0\1\0\0\0\0", "source description is truncated"),
        (b"\x81\xca\0\2\0\0\0\0\1\x09ab", "item is truncated"),
        (b"\x82\xcb\0\1\0\0\0\0", "bye is truncated"),
    ],
)
def test_malformed_packets_are_named(data: bytes, sentence: str):
    """Each defect has its own sentence."""
    with pytest.raises(RemoteRtpError, match=sentence):
        parse_compound(data)


def test_unknown_packets_are_passed_over():
    """APP and feedback packets may stand in a compound."""
    data = b"\x80\xcc\0\2" + bytes(8) + serialize_compound([Goodbye((1,))])
    assert parse_compound(data) == [Goodbye((1,))]


def test_loss_is_counted_across_the_wrap():
    """Appendix A.3: expected, lost, and the fraction since the last report."""
    statistics = ReceiverStatistics()
    for index in range(100):
        if index % 10 != 3:
            statistics.receive((65_500 + index) & 0xFFFF, index * 160, index * 0.02)
    block = statistics.report(9, 2.0)
    assert (statistics.expected, block.packets_lost, block.fraction_lost) == (100, 10, 25)
    assert block.highest_sequence == 65_599
    assert statistics.report(9, 3.0).fraction_lost == 0


def test_order_of_packets():
    """Appendix A.1: a jump counts only when a second packet follows it."""
    statistics = ReceiverStatistics()
    orders = [statistics.receive(seq, None, 0.0) for seq in (10, 11, 13, 12, 13, 30_000, 14)]
    newer, older, jump = Order.NEWER, Order.OLDER, Order.JUMP
    assert orders == [newer, newer, newer, older, older, jump, newer]
    assert [statistics.receive(seq, None, 0.0) for seq in (50_000, 50_001)] == [jump, newer]
    assert (statistics.expected, statistics.received) == (1, 1)
    assert (statistics.total_expected, statistics.total_received) == (6, 7)


def test_jitter_is_zero_for_a_steady_stream_and_follows_an_unsteady_one():
    """Appendix A.8, in timestamp units."""
    steady, unsteady = ReceiverStatistics(), ReceiverStatistics()
    for index in range(400):
        steady.receive(index, index * 160, 50 + index * 0.02)
        unsteady.receive(index, index * 160, 50 + index * 0.02 + 0.01 * (index % 2))
    assert steady.jitter < 1
    assert unsteady.jitter == pytest.approx(80, abs=2)


def test_delay_since_the_last_sender_report():
    """LSR is the middle of the NTP time, DLSR counts 1/65536 s."""
    statistics = ReceiverStatistics()
    statistics.receive(1, None, 0.0)
    assert statistics.report(1, 5.0).lsr == 0
    statistics.on_sender_report(ntp_time(1_500_000), 10.0)
    block = statistics.report(1, 12.5)
    assert block.lsr == (2_208_988_801 & 0xFFFF) << 16 | 0x8000
    assert block.dlsr == 163_840


def test_a_new_ssrc_starts_anew_and_totals_go_on():
    """What was counted of the stream before is not lost."""
    statistics = ReceiverStatistics()
    for sequence in (1, 2, 4):
        statistics.receive(sequence, None, 0.0)
    statistics.forget_stream()
    statistics.receive(9000, None, 0.0)
    assert (statistics.total_expected, statistics.total_received) == (5, 4)
    assert statistics.expected == 1


def test_a_datagram_of_bare_headers_is_not_read_to_its_end():
    """Hundreds of empty packets in one datagram would cost the tick a third of a millisecond."""
    assert len(parse_compound(serialize_compound([ReceiverReport(1)] * 64))) == 64
    with pytest.raises(RemoteRtpError):
        parse_compound(serialize_compound([ReceiverReport(1)] * 65))
