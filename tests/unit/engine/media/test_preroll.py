"""Recording begins where the beep was over, however late the command to record comes."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.unit.engine.media.harness import PCMA, Bench, assert_in_place, find, ramp
from voiceblocks.engine.media import messages as m
from voiceblocks.engine.media.preroll import LONGEST
from voiceblocks.rtp.timeline import CLOCK_HZ

LEAD_IN = 20
BEEP = 7
"Packets of what plays before."


def beep_over(bench: Bench, peer, *, then_recorded: bool = True) -> float:
    """Play to the end while the peer talks packet by packet, and return when that was over."""
    clip = bench.tmp_path / "beep"
    clip.write_bytes(b"".join(ramp(1000 + index) for index in range(BEEP)))
    bench.talk(peer, LEAD_IN)
    bench.obey(m.StartSource(1, 9, [str(clip)], False, then_recorded))
    bench.talk(peer, BEEP + 1, first=LEAD_IN)
    (ended,) = bench.of(m.SourceEnded)
    assert ended.completed
    return ended.over_at


@settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(busy=st.integers(0, 90), length=st.sampled_from([80, 160, 240]), other_law=st.booleans())
def test_a_recording_begins_where_the_beep_was_over(
    tmp_path_factory: pytest.TempPathFactory, busy: int, length: int, other_law: bool
) -> None:
    """However many packets came before the command, none of them is missing or elsewhere."""
    bench = Bench(tmp_path_factory.mktemp("bench"))
    try:
        peer = bench.open()
        over_at = beep_over(bench, peer)
        said = LEAD_IN + BEEP + 1
        busy = busy * 160 // length
        bench.talk(peer, busy, first=said, length=length)
        bench.record(after=9, law="PCMA" if other_law else "PCMU")
        bench.talk(peer, 10, first=said + busy, length=length)
        bench.close_tap()
        audio = bench.audio()
        # Within half a packet of the peer's: boundaries are its own.
        assert abs(len(audio) / CLOCK_HZ - (bench.now - over_at)) <= 0.010 + 0.000_2
        if not other_law:
            assert_in_place(audio, list(range(said + 1, said + busy + 10)), length)
            assert find(audio, said + 1, length) <= 2 * max(length, 160)
        stats = bench.stats()
        assert stats.packets_expected == stats.packets_received >= busy + 10
        assert stats.packets_lost == 0
        assert stats.absent_ms <= 20
    finally:
        bench.close()


def test_without_the_promise_it_begins_with_the_command(bench: Bench) -> None:
    """A source that nobody said is followed by a recording keeps nothing."""
    peer = bench.open()
    beep_over(bench, peer, then_recorded=False)
    bench.talk(peer, 10, first=50)
    bench.record(after=9)
    asked_at = bench.now
    bench.talk(peer, 10, first=60)
    bench.close_tap()
    audio = bench.audio()
    assert abs(len(audio) / CLOCK_HZ - (bench.now - asked_at)) <= 0.010_2
    assert find(audio, 55) < 0


def test_another_source_is_not_followed(bench: Bench) -> None:
    """The command names what it follows; what came after something else is not in it."""
    peer = bench.open()
    beep_over(bench, peer)
    bench.talk(peer, 10, first=50)
    bench.record(after=8)
    bench.talk(peer, 10, first=60)
    bench.close_tap()
    audio = bench.audio()
    assert find(audio, 55) < 0
    assert find(audio, 65) > 0


def test_nobody_asks(bench: Bench) -> None:
    """After two seconds what was kept is dropped, and packets take the fast path again."""
    peer = bench.open()
    beep_over(bench, peer)
    columns, leg = bench.worker._legs.columns, bench.worker._legs.by_ident[1]
    bench.talk(peer, 5, first=50)
    assert not columns.fast[leg.slot]
    bench.talk(peer, LONGEST // 160 + 2, first=55)
    assert leg.preroll is None
    assert columns.fast[leg.slot]


def test_a_limit_counts_from_there(bench: Bench) -> None:
    """The limit is measured from the end of the beep, though the command came 400 ms later."""
    peer = bench.open()
    over_at = beep_over(bench, peer)
    bench.talk(peer, 20, first=50)
    bench.record(after=9, limit=8000)
    bench.talk(peer, 60, first=70)
    (closed,) = bench.of(m.TapClosed)
    assert closed.limit_reached
    assert closed.n_samples == 8000
    kept = bench.arena.headers[1]
    assert abs(float(kept["zero_s"]) - over_at) <= 0.010_1


def test_a_change_of_codec_meanwhile(bench: Bench) -> None:
    """Packets of both laws that came before the command lie in the recording in its law."""
    peer = bench.open()
    beep_over(bench, peer)
    bench.talk(peer, 3, first=50)
    peer.payload_type = PCMA.payload_type
    bench.talk(peer, 3, first=53)
    bench.record(after=9, law="PCMA")
    bench.talk(peer, 3, first=56)
    bench.close_tap()
    audio = bench.audio()
    assert_in_place(audio, list(range(53, 59)))
    assert find(audio, 53) == 3 * 160
