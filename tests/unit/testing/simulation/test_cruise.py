"""Stretches that are done at once give the same bytes as their ticks."""

from __future__ import annotations

import contextlib
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voiceblocks.client import ApiError, Notification
from voiceblocks.testing.simulation.node import Options
from voiceblocks.testing.simulation.voice import ScriptFailed, Voice
from voiceblocks.testing.speakers import voice as speaker

AFTER = "That was it."

STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("says"), st.integers(20, 2500)),
        st.tuples(st.just("waits"), st.integers(0, 2500)),
        st.tuples(st.just("presses"), st.sampled_from([1, 22, 9])),
        st.tuples(st.just("puts_on_hold"), st.just(0)),
        st.tuples(st.just("hears"), st.integers(1, 5)),
        st.tuples(st.just("comes_back"), st.just(0)),
    ),
    max_size=6,
)
CALLERS = st.lists(
    st.tuples(STEPS, st.sampled_from([10, 20, 30, 60]), st.sampled_from(["PCMU", "PCMA"])),
    min_size=1,
    max_size=2,
)


def run(callers: list[tuple[list[tuple[str, int]], int, str]], limit_s: int, how: Options) -> Voice:
    """Let some callers speak, one after another beginning a bit later, and all leave at the end."""
    voice = Voice(how)

    def answer(told: Notification) -> None:
        if told.block == "answer":
            voice.client.ivr.record(told.session, voice.notify_url, max_duration=limit_s)
        elif not told.is_ended:
            try:
                voice.client.ivr.play(told.session, AFTER, notify_url=voice.notify_url)
            except ApiError as error:
                # The caller may leave in the same instant.
                if error.status != "error_session_ended":
                    raise

    voice.answer_with(answer)
    calls = []
    for number, (_steps, ptime_ms, codec) in enumerate(callers):
        calls.append(voice.call(ptime_ms=ptime_ms, codecs=(codec,)))
        voice.waits(0.4 + number * 0.013)
    for number, (steps, _ptime_ms, _codec) in enumerate(callers):
        call = calls[number]
        for step, amount in steps:
            match step:
                case "says":
                    call.says(speaker(number, amount))
                case "waits":
                    call.waits(amount / 1000)
                case "hears":
                    with contextlib.suppress(ScriptFailed):
                        call.hears(AFTER, limit_s=amount)
                case "presses":
                    call.presses(str(amount))
                case _:
                    getattr(call, step)()
    for call in calls:
        call.hangs_up()
    voice.settles()
    return voice


@pytest.mark.timeout(600)
@settings(max_examples=6)
@given(CALLERS, st.integers(2, 12))
def test_every_byte_and_every_counter(
    callers: list[tuple[list[tuple[str, int]], int, str]], limit_s: int
) -> None:
    """Whatever is said, pressed and waited for: SIP, RTP, MP3, notifications and facts agree."""
    how = Options(keep_rtp_digest=True)
    with (
        run(callers, limit_s, how) as quick,
        run(callers, limit_s, replace(how, cruises=False)) as slow,
    ):
        assert quick.transcript() == slow.transcript()
        assert quick.now_s == slow.now_s
        assert slow.skipped_ticks == 0


def test_most_of_a_long_message_is_done_at_once() -> None:
    """The short cut is taken: of a minute of speech, nearly all ticks are parts of stretches."""
    with run([([("says", 60_000)], 20, "PCMU")], 100, Options()) as voice:
        assert voice.skipped_ticks > 5000
