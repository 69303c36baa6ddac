"""The phone as the called side, over real sockets: another phone calls it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

import numpy as np
import pytest
import pytest_asyncio

from voiceblocks.audio.tones import tone
from voiceblocks.testing.answering import (
    BUSY,
    DECLINED,
    NOT_FOUND,
    OVERLOADED,
    UNAVAILABLE,
    Answer,
    AnswerAtCancel,
    Behaviour,
    ByHand,
    Dead,
    EarlyMedia,
    Refuse,
    RingForever,
    TryForever,
    moved_to,
)
from voiceblocks.testing.digest_server import DigestServer, Verdict
from voiceblocks.testing.phone import CallNotAnswered, Phone, PhoneCall

LIMIT_S = 5.0


@pytest_asyncio.fixture
async def caller() -> AsyncIterator[Phone]:
    """Who calls."""
    async with Phone(number="+6591110000") as phone:
        yield phone


@pytest_asyncio.fixture
async def called() -> AsyncIterator[Phone]:
    """Who is called; answers at once unless told otherwise."""
    async with Phone(number="+6592220000") as phone:
        yield phone


async def fails_with(call: PhoneCall) -> int:
    """The status with which the call was not answered."""
    async with asyncio.timeout(LIMIT_S):
        with pytest.raises(CallNotAnswered) as failure:
            await call.answered()
    return failure.value.status


async def until(condition: Callable[[], bool]) -> None:
    """Watch what no event tells."""
    async with asyncio.timeout(LIMIT_S):
        while not condition():  # noqa: ASYNC110 (the phone keeps lists)
            await asyncio.sleep(0.02)


async def test_both_sides_hear_each_other_and_either_hangs_up(caller: Phone, called: Phone) -> None:
    """A call that is answered at once has audio and digits both ways, and ends for both."""
    ours = await caller.call(called.sip_uri)
    theirs = await called.incoming(LIMIT_S)
    async with asyncio.timeout(LIMIT_S):
        await asyncio.gather(ours.answered(), theirs.answered())
        await asyncio.gather(ours.media.talking.wait(), theirs.media.talking.wait())
        await theirs.media.say(tone((700.0,), 200, -10))
        await ours.media.press("5")
        await until(lambda: bool(theirs.media.digits_heard))
        assert np.abs(ours.media.audio()).max() > 5000
        assert theirs.is_up
        theirs.hang_up()
        await asyncio.gather(ours.ended(), theirs.ended())
    assert (ours.end_cause, theirs.end_cause) == ("peer_hung_up", "hung_up")


async def test_the_invite_is_shown_as_it_came(caller: Phone, called: Phone) -> None:
    """Request-URI, From, To and any other header of the INVITE can be read from the call."""
    headers = (("P-Asserted-Identity", "<sip:+6531580000@voice.example>"), ("Privacy", "id"))
    await caller.call(called.sip_uri, headers=headers)
    call = await called.incoming(LIMIT_S, "6592220000")
    assert call.dialled == "+6592220000"
    assert call.header("P-Asserted-Identity") == "<sip:+6531580000@voice.example>"
    assert call.header("Privacy") == "id"
    assert call.header("From").startswith("<sip:+6591110000@127.0.0.1>")
    assert call.header("Remote-Party-ID") == ""


@pytest.mark.parametrize(
    ("behaviour", "status"),
    [
        (BUSY, 486),
        (DECLINED, 603),
        (NOT_FOUND, 404),
        (UNAVAILABLE, 480),
        (OVERLOADED, 503),
        (Refuse(status=500, rings=0.02), 500),
        (moved_to("sip:+6590000009@127.0.0.1:5999"), 302),
    ],
)
async def test_each_refusal(
    caller: Phone, called: Phone, behaviour: Behaviour, status: int
) -> None:
    """Each way to refuse reaches the caller as its status; the phone says `refused`."""
    called.answering = behaviour
    ours = await caller.call(called.sip_uri)
    assert await fails_with(ours) == status
    theirs = await called.incoming(LIMIT_S)
    await theirs.ended()
    assert theirs.end_cause == "refused"


@pytest.mark.parametrize("behaviour", [RingForever(), TryForever(), Answer(rings=10)])
async def test_a_call_that_is_given_up(caller: Phone, called: Phone, behaviour: Behaviour) -> None:
    """CANCEL ends a call that rings or only tries, and none is answered afterwards."""
    called.answering = behaviour
    ours = await caller.call(called.sip_uri)
    theirs = await called.incoming(LIMIT_S)
    if not isinstance(behaviour, TryForever):
        async with asyncio.timeout(LIMIT_S):
            await ours.ringing()
        assert ours.progress == [180]
    ours.hang_up()
    assert await fails_with(ours) == 487
    async with asyncio.timeout(LIMIT_S):
        await theirs.ended()
    assert theirs.end_cause == "cancelled"


async def test_a_dead_phone_says_nothing(caller: Phone, called: Phone) -> None:
    """An INVITE to a dead phone is repeated and gets no answer at all."""
    called.answering = Dead()
    ours = await caller.call(called.sip_uri)
    await until(lambda: len(called.requests) >= 2)
    assert not ours.progress
    with pytest.raises(TimeoutError, match="INVITE"):
        await called.incoming(0.05)
    assert len({one.request.call_id for one in called.requests}) == 1


async def test_an_answer_that_crosses_the_cancel(caller: Phone, called: Phone) -> None:
    """The 200 wins against our CANCEL: the caller's core acknowledges it and hangs up at once."""
    called.answering = AnswerAtCancel()
    ours = await caller.call(called.sip_uri)
    theirs = await called.incoming(LIMIT_S)
    async with asyncio.timeout(LIMIT_S):
        await ours.ringing()
        ours.hang_up()
        await theirs.answered()
        await theirs.ended()
    methods = [one.request.method for one in called.requests]
    assert methods == ["INVITE", "CANCEL", "ACK", "BYE"]
    assert theirs.end_cause == "peer_hung_up"


async def test_a_deaf_phone_lets_requests_vanish(caller: Phone, called: Phone) -> None:
    """In the middle of a call nothing is answered any more; a BYE is repeated."""
    ours = await caller.call(called.sip_uri)
    theirs = await called.incoming(LIMIT_S)
    async with asyncio.timeout(LIMIT_S):
        await asyncio.gather(ours.answered(), theirs.answered())
    called.deaf = True
    ours.hang_up()
    await until(lambda: [one.request.method for one in called.requests].count("BYE") >= 2)
    assert theirs.is_up
    called.deaf = False
    async with asyncio.timeout(LIMIT_S):
        await theirs.ended()


async def test_early_media_is_heard_before_the_answer(caller: Phone, called: Phone) -> None:
    """183 with SDP brings an announcement; then the call is answered, or refused."""
    announcement = EarlyMedia(plays=tone((600.0,), 300, -10))
    called.answering = Answer(ringing=False, early_media=announcement)
    ours = await caller.call(called.sip_uri)
    async with asyncio.timeout(LIMIT_S):
        await ours.ringing()
        await ours.media.talking.wait()
        assert ours.progress == [183]
        assert not ours.is_up
        await ours.answered()
        assert np.abs(ours.media.audio()).max() > 5000
    called.answering = Refuse(status=486, early_media=announcement)
    refused = await caller.call(called.sip_uri)
    assert await fails_with(refused) == 486
    assert refused.progress == [183]
    assert np.abs(refused.media.audio()).max() > 5000


@pytest.mark.parametrize("proxy", [False, True])
@pytest.mark.parametrize("algorithm", ["MD5", "SHA-256"])
async def test_credentials_are_asked_for(caller: Phone, proxy: bool, algorithm: str) -> None:
    """401 or 407 first; the right password gets through, a wrong one 403, none stays outside."""
    digest = DigestServer("user", "secret", proxy=proxy, algorithm=algorithm)
    async with Phone(digest=digest) as called:
        ours = await caller.call(called.sip_uri, credentials=("user", "secret"))
        async with asyncio.timeout(LIMIT_S):
            await ours.answered()
        assert digest.verdicts == [Verdict.MISSING, Verdict.RIGHT]
        assert len(called.invites()) == 2
        wrong = await caller.call(called.sip_uri, credentials=("user", "wrong"))
        assert await fails_with(wrong) == 403
        without = await caller.call(called.sip_uri)
        assert await fails_with(without) == digest.status
        await called.incoming(LIMIT_S)
        with pytest.raises(TimeoutError):
            await called.incoming(0.05)


async def test_a_call_by_hand(caller: Phone, called: Phone) -> None:
    """A test may take each step itself."""
    called.answering = ByHand()
    ours = await caller.call(called.sip_uri, late_offer=True)
    theirs = await called.incoming(LIMIT_S)
    theirs.ring()
    async with asyncio.timeout(LIMIT_S):
        await ours.ringing()
        theirs.answer()
        await asyncio.gather(ours.answered(), theirs.answered())
        await asyncio.gather(ours.media.talking.wait(), theirs.media.talking.wait())


async def test_hold_silences_the_other_side(caller: Phone, called: Phone) -> None:
    """Held, a phone sends no RTP until it is resumed; either side may hold."""
    ours = await caller.call(called.sip_uri)
    theirs = await called.incoming(LIMIT_S)
    async with asyncio.timeout(LIMIT_S):
        await asyncio.gather(ours.answered(), theirs.answered())
        for holder, held in ((ours, theirs), (theirs, ours)):
            await asyncio.gather(ours.media.talking.wait(), theirs.media.talking.wait())
            holder.hold()
            await holder.renegotiated()
            assert held.is_held
            assert not held.media.sends
            holder.resume()
            await holder.renegotiated()
            assert not held.is_held
            holder.media.talking.clear()


async def test_what_then_runs(caller: Phone, called: Phone) -> None:
    """A script of the phone runs once the call is up."""

    async def hangs_up(call: PhoneCall) -> None:
        await call.media.say(tone((500.0,), 100, -10))
        call.hang_up()

    called.answering = Answer(then=hangs_up)
    ours = await caller.call(called.sip_uri)
    async with asyncio.timeout(LIMIT_S):
        await ours.ended()
    assert ours.end_cause == "peer_hung_up"
