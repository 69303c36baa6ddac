"""The events of a call are bounded, and packed so that they come out as they went in."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voiceblocks.errors import StoreError
from voiceblocks.stories.log import (
    LAST_KEPT,
    MOST_OF_A_KIND,
    MOST_SIP_BYTES,
    MOST_STORED,
    StoryLog,
)
from voiceblocks.stories.model import (
    AnyEvent,
    ApiRequest,
    Cut,
    MediaBegan,
    MediaEnded,
    PromptMade,
    RecordingStep,
    SipMessage,
)
from voiceblocks.stories.packing import pack, unpack

A, B = ("192.0.2.1", 5060), ("2001:db8::1", 5070)


def sip(at_us: int, data: bytes = b"BYE sip:a@b SIP/2.0\r\n\r\n") -> SipMessage:
    """A message that came in."""
    return SipMessage(at_us, "", True, "udp", A, B, data, len(data))


_events: st.SearchStrategy[AnyEvent] = st.one_of(
    st.builds(sip, st.integers(0, 2**50), st.binary(max_size=300)),
    st.builds(
        ApiRequest,
        st.integers(0, 2**50),
        st.text(max_size=20),
        st.text(max_size=20),
        st.floats(0, 1e6),
        st.lists(
            st.builds(
                PromptMade, st.text(), st.text(), st.integers(0, 9), st.booleans(), st.text()
            ),
            max_size=3,
        ),
    ),
    st.just(MediaBegan(1, "leg_1", A, B, 5)),
    st.just(MediaEnded(1, "", "PCMU", A, None, 0, 10, 9, 1, 0.5, 7)),
    st.just(RecordingStep(1, "rec-1", "begins")),
    st.just(Cut(1, 5)),
)


@given(st.lists(_events, max_size=20))
def test_what_is_packed_comes_out_again(events: list[AnyEvent]) -> None:
    """No kind of event loses anything on its way through the database."""
    assert unpack(pack(events)) == events


@given(st.binary(max_size=100))
def test_a_batch_that_is_none_is_refused(data: bytes) -> None:
    """A damaged row is one error of ours, and no crash of whoever reads it."""
    try:
        unpack(data)
    except StoreError:
        return


def test_the_first_and_the_last_are_kept() -> None:
    """Of a flood the beginning and the end stay, with a word on how many lie between."""
    log = StoryLog()
    for at_us in range(5000):
        log.add(sip(at_us), at_us)
    most = MOST_OF_A_KIND[SipMessage]
    assert [event.at_us for event in log.take()] == list(range(most))
    log.close()
    cut, *last = log.take()
    assert cut == Cut(5000 - LAST_KEPT, 5000 - most - LAST_KEPT)
    assert [event.at_us for event in last] == list(range(5000 - LAST_KEPT, 5000))


def test_requests_leave_room_for_messages() -> None:
    """An application that asks without end does not take the place of the BYE."""
    log = StoryLog()
    for at_us in range(5000):
        log.add(ApiRequest(at_us, "ivr/middle/play", "error_session_ended", 1.0), at_us)
    log.add(sip(5000), 5000)
    assert log.take()[-1] == sip(5000)


@pytest.mark.parametrize("stored", [0, MOST_STORED])
def test_bytes_and_what_is_stored_count_too(stored: int) -> None:
    """Long messages fill a story sooner, and a full one stays full after a restart."""
    log = StoryLog()
    log.set_stored(stored)
    for at_us in range(200):
        log.add(sip(at_us, bytes(8000)), at_us)
    kept = log.take()
    assert len(kept) == (MOST_SIP_BYTES // 8000 if stored == 0 else 0)


def test_what_could_not_be_written_is_kept_in_its_order() -> None:
    """A database that is away costs nothing but time."""
    log = StoryLog()
    log.add(sip(1), 1)
    taken = log.take()
    log.add(sip(2), 2)
    log.put_back(taken)
    assert [event.at_us for event in log.take()] == [1, 2]
