"""A call whose server dies in the middle of a recording, and what must become of it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.crash import facts
from tests.functional.calls import decode, length_ms, recording
from tests.harness import Application
from voiceblocks.calls.events import EndReason
from voiceblocks.recordings.state import RecordingState
from voiceblocks.sessions.state import SessionState
from voiceblocks.testing import tone_code
from voiceblocks.testing.phone import CallNotAnswered, Phone, PhoneCall
from voiceblocks.testing.webhook_sink import ReceivedNotification

SPOKEN_BEFORE_S = 2
LOST_AT_MOST_MS = 100
"The packet in flight, and what a noisy machine had not placed yet."
MORE_AT_MOST_MS = 200
"Between our note of the time and the kernel's kill."


@dataclass
class Victim:
    """A call whose server dies, two seconds and a bit into a recording."""

    call: PhoneCall
    session: str
    beep_ended_at: float
    killed_at: float = 0.0

    @property
    def lasted_ms(self) -> float:
        """How long there was something to record."""
        return (self.killed_at - self.beep_ended_at) * 1000


async def victim(app: Application, phone: Phone, number_of_seconds: int = 20) -> Victim:
    """Bring a call into the middle of a recording."""
    call, session = await recording(app, phone, tag="crash")
    found = Victim(call, session, time.monotonic())
    call.media.say(tone_code.encode_seconds(0, SPOKEN_BEFORE_S))
    spoken = call.media.say(tone_code.encode_seconds(SPOKEN_BEFORE_S, 1)[: 8 * 300])
    call.media.say(tone_code.encode_seconds(30, number_of_seconds))
    await spoken
    return found


async def is_recovered(
    app: Application, one: Victim, read: Callable[[bytes], NDArray[np.int16]] = decode
) -> ReceivedNotification:
    """Everything that must be true of a call that died with a process of ours."""
    told = await app.told(ivr_block="record", session=one.session)
    assert told.body["record_status"] == "success"
    assert told.body["call_state"] == "ended"
    assert told.body["tag"] == "crash"
    assert told.body["record_end"] == "server_restart"
    assert told.body["duration"] == "1"
    assert told.verify_signature(app.access_token)
    async with asyncio.timeout(10):
        await one.call.ended()
    assert one.call.end_cause == "peer_hung_up"
    # As any phone does after BYE: its old RTP port may be another call's in the new process.
    await one.call.media.stop()
    samples = read(await app.fetch(told.body["record_url"]))
    heard = tone_code.decode_seconds(samples)
    whole = [second for second in heard if second.second_index < SPOKEN_BEFORE_S]
    starts_at_ms = whole[0].starts_at_ms if whole else 0.0
    expected = tone_code.expected_seconds(0, SPOKEN_BEFORE_S, starts_at_ms=starts_at_ms)
    assert tone_code.explain(whole, expected) == []
    assert {s.second_index for s in heard} <= {*range(SPOKEN_BEFORE_S + 1), *range(30, 50)}
    assert -LOST_AT_MOST_MS <= length_ms(samples) - one.lasted_ms <= MORE_AT_MOST_MS
    await is_settled_once(app, one)
    return told


async def is_settled_once(app: Application, one: Victim) -> None:
    """The books: one recording, one notification, one charge; nothing left in the folders."""
    found = await facts.facts_of(app, one.session)
    assert found.session.state is SessionState.ENDED
    assert found.unfinished_runs == 0
    assert [r.state for r in found.recordings] == [RecordingState.READY]
    assert found.recordings[0].end_reason == EndReason.SERVER_RESTART
    assert len(found.told_of("record")) == 1
    assert [int(charge.amount) for charge in found.charges] == [found.session.debit]
    assert found.credit == 100_000 - int(found.charges[0].amount)
    told = [n for n in app.sink.received if n.body["ivr_block"] == "record"]
    assert len({n.event_id for n in told}) == 1
    await facts.nothing_is_left_in_the_folders(app.server)


async def room_for_calls(app: Application) -> None:
    """Call until a call rings: before, it is refused with 503 and may be tried again."""
    async with asyncio.timeout(15), Phone() as phone:
        while True:
            call = await phone.call(app.sip())
            await call.ringing()
            if call.end_cause is None:
                await app.told(call_state="ringing")
                call.hang_up()
                await app.told(call_state="ended")
                return
            with pytest.raises(CallNotAnswered, match="503"):
                await call.answered()
            # Between calls, as a caller tries again: the server tells nobody that it has room.
            await asyncio.sleep(0.2)
