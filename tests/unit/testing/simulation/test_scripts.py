"""Scripts of calls against applications of every kind, on virtual time."""

from __future__ import annotations

import asyncio
from typing import Any

import numpy as np
import pytest
from fastapi import FastAPI, Request
from flask import Flask
from flask import request as flask_request

from voiceblocks.client import ApiError, Notification, receive_notification
from voiceblocks.testing.hearing import heard_audio
from voiceblocks.testing.simulation.node import Options
from voiceblocks.testing.simulation.voice import FarEnd, ScriptFailed, Voice
from voiceblocks.testing.speakers import voice as speaker
from voiceblocks.testing.speakers import who_is_heard

GREETING = "Please leave a message after the tone."


def voicemail(voice: Voice, max_duration: int = 120) -> Any:
    """An application that records a message."""

    def answer(told: Notification) -> None:
        ivr = voice.client.ivr
        if told.block == "answer":
            ivr.record(
                told.session, msg=GREETING, max_duration=max_duration, notify_url=voice.notify_url
            )
        elif told.block == "record" and not told.is_ended:
            ivr.hangup(told.session, msg="Thank you.", notify_url=voice.notify_url)

    return answer


def blocks_of(voice: Voice) -> list[tuple[str, str]]:
    """What the application was told, in short."""
    return [(told.block, told.call_state) for told in voice.notifications]


def leave_a_message(voice: Voice) -> None:
    """A caller speaks for five seconds and presses the finishing key."""
    call = voice.call()
    call.hears(GREETING)
    call.waits_for_beep()
    call.says(speaker(3, 5000))
    call.presses("#")
    call.hears("Thank you.")
    call.is_hung_up()


def check_message(voice: Voice) -> None:
    """What was said is what was recorded, and nothing else."""
    assert blocks_of(voice) == [("answer", "ringing"), ("record", "ongoing"), ("hangup", "ended")]
    (recording,) = voice.recordings
    (passage,) = who_is_heard(recording.samples)
    assert passage.speaker == 3
    assert passage.lasts_ms == pytest.approx(5000, abs=60)
    assert recording.duration_s == pytest.approx(5.0, abs=0.03)
    assert voice.notifications[1].parameters["record_packets_lost"] == "0"


def test_a_function_answers_with_the_blocking_client(voice: Voice) -> None:
    """A plain function leads a call, whose message is recorded as it was said."""
    voice.answer_with(voicemail(voice))
    leave_a_message(voice)
    check_message(voice)


def test_a_coroutine_function_answers_with_the_other_client(voice: Voice) -> None:
    """The same by a coroutine function, which may let (virtual) time pass."""

    async def answer(told: Notification) -> None:
        ivr = voice.async_client.ivr
        if told.block == "answer":
            await asyncio.sleep(3)
            await ivr.record(told.session, msg=GREETING, notify_url=voice.notify_url)
        elif told.block == "record":
            await ivr.hangup(told.session, msg="Thank you.", notify_url=voice.notify_url)

    began_s = voice.now_s
    voice.answer_with(answer)
    leave_a_message(voice)
    check_message(voice)
    assert 8 < voice.now_s - began_s < 15


@pytest.mark.parametrize("in_a_thread", [False, True])
def test_fastapi_answers(voice: Voice, *, in_a_thread: bool) -> None:
    """An ASGI application checks the signatures itself; handlers that are no coroutines work."""
    app = FastAPI()
    answer = voicemail(voice)

    if in_a_thread:

        @app.post("/hooks/voice")
        def plain(request: Request) -> dict[str, str]:
            answer(voice.notifications[-1])
            return {"event": request.headers["x-voiceblocks-event"]}
    else:

        @app.post("/hooks/voice")
        async def handle(request: Request) -> dict[str, str]:
            now_s = 1_767_225_600 + voice.now_s - 1000
            body = await request.body()
            told = receive_notification(body, request.headers, voice.access_token, now_s=now_s)
            ivr, url = voice.async_client.ivr, voice.notify_url
            if told.block == "answer":
                await ivr.record(told.session, msg=GREETING, notify_url=url)
            elif told.block == "record":
                await ivr.hangup(told.session, msg="Thank you.", notify_url=url)
            return {}

    voice.answer_with_asgi(app, notify_url="https://my.example/hooks/voice")
    leave_a_message(voice)
    check_message(voice)


def test_flask_answers(voice: Voice) -> None:
    """A WSGI application gets the form as from any web server, and may ask the API meanwhile."""
    app = Flask("voicemail")

    @app.post("/notify")
    def handle() -> str:
        told, ivr, url = flask_request.form, voice.client.ivr, voice.notify_url
        if told["ivr_block"] == "answer":
            ivr.record(told["session"], msg=GREETING, notify_url=url)
        elif told["ivr_block"] == "record":
            ivr.hangup(told["session"], msg="Thank you.", notify_url=url)
        return "ok"

    voice.answer_with_wsgi(app)
    leave_a_message(voice)
    check_message(voice)


def test_a_menu_with_a_prompt_from_a_file(voice: Voice) -> None:
    """Keys choose, a prompt comes from a file that the application published, and A-law works."""
    tune = speaker(5, 800)
    url = voice.publish("menu.wav", tune)

    def answer(told: Notification) -> None:
        ivr = voice.client.ivr
        if told.block == "answer":
            ivr.gather(
                told.session, msg=f"<url>{url}</url>", max_digits=1, timeout=5, attempts=2,
                notify_url=voice.notify_url,
            )  # fmt: skip
        elif told.block == "gather":
            ivr.hangup(told.session, msg=f"You chose {told.digits or 'nothing'}.")

    voice.answer_with(answer)
    call = voice.call(codecs=("PCMA",))
    call.hears(f"<url>{url}</url>")
    call.waits(6)
    call.presses("7")
    call.hears("You chose 7.")
    call.is_hung_up()
    played = who_is_heard(call.heard)
    assert [passage.speaker for passage in played if passage.speaker == 5] == [5, 5]
    assert voice.notifications[1].digits == "7"


def test_who_hangs_up_leaves_what_was_said(voice: Voice) -> None:
    """A caller who leaves in the middle has left a message of that length, and is billed."""
    voice.answer_with(voicemail(voice))
    call = voice.call()
    call.waits_for_beep()
    call.says(2)
    call.hangs_up()
    assert [told.block for told in voice.notifications] == ["answer", "record"]
    told = voice.notifications[-1]
    assert told.is_ended
    assert told.bill is not None
    assert told.bill.duration_min == 1
    assert voice.recordings[0].duration_s == pytest.approx(2.0, abs=0.05)


def test_an_application_that_is_silent_loses_the_call_after_its_idle_time(voice: Voice) -> None:
    """Who gets no block for 60 seconds of ringing is refused; that takes no real time."""
    voice.answer_with(lambda told: None)
    began_s = voice.now_s
    status = voice.call().is_refused(limit_s=120)
    assert status == 480
    assert voice.now_s - began_s == pytest.approx(60, abs=1)


def test_dialling_and_being_put_through(voice: Voice) -> None:
    """The application calls somebody and connects another: both are heard by each other."""
    friend, office = voice.phone("+6591110001").answers(), voice.phone("+6591110002")
    office.answers(after_rings=1)

    def answer(told: Notification) -> None:
        if told.block == "dial" and told.dial_status == "answered":
            voice.client.ivr.transfer(told.session, office.number, notify_url=voice.notify_url)

    voice.answer_with(answer)
    voice.client.ivr.dial(friend.number, "Hello.", notify_url=voice.notify_url)
    called = friend.rings()
    called.hears("Hello.")
    other = office.rings()
    other.is_answered()
    called.phone_call.media.repeat(speaker(1, 1000))
    other.phone_call.media.repeat(speaker(2, 1000))
    voice.waits(3)
    assert _newest_speakers(called.phone_call) == {2}
    assert _newest_speakers(other.phone_call) == {1}
    other.hangs_up()
    called.hangs_up()
    assert voice.notifications[-1].transfer_status == "answered"


def _newest_speakers(call: Any) -> set[int]:
    heard = heard_audio(call.media.heard)[-8000:]
    return {passage.speaker for passage in who_is_heard(heard)}


@pytest.mark.parametrize(
    ("how", "status"),
    [
        (lambda end: end.is_busy(), "busy"),
        (lambda end: end.does_not_answer(), "unanswered"),
        (lambda end: end.refuses(404), "failed"),
    ],
)
def test_a_number_that_does_not_answer(voice: Voice, how: Any, status: str) -> None:
    """An application is told why nobody came to the phone."""
    end: FarEnd = how(voice.phone("+6591110003"))
    voice.answer_with(lambda told: None)
    voice.client.ivr.dial(end.number, "Hello.", notify_url=voice.notify_url)
    voice.settles()
    assert [told.dial_status for told in voice.notifications] == [status]


def test_three_in_a_room(voice: Voice) -> None:
    """In a conference each hears the others, mixed by the worker, and never itself."""
    voice.answer_with(lambda told: None)
    ends = [voice.phone(f"+659111000{number}").answers(number / 4) for number in range(3)]
    numbers = [end.number for end in ends]
    room = voice.client.voice.conference(*numbers, notify_url=voice.notify_url).room
    calls = [end.rings() for end in ends]
    for number, call in enumerate(calls):
        call.is_answered()
        call.phone_call.media.repeat(speaker(number, 1000))
    voice.waits(2)
    heard = [_newest_speakers(call.phone_call) for call in calls]
    assert heard == [{1, 2}, {0, 2}, {0, 1}]
    for call in calls:
        call.hangs_up()
    assert [(told.room, told.dest) for told in voice.notifications] == [
        (room, number) for number in numbers
    ]


def test_a_monitored_call(voice: Voice) -> None:
    """Both sides of a call are one recording: the caller left, what they hear right."""

    def answer(told: Notification) -> None:
        ivr, url = voice.client.ivr, voice.notify_url
        if told.block == "answer":
            ivr.monitor(told.session, url, msg="This call is recorded.")
        elif told.block == "monitor" and not told.is_ended:
            ivr.gather(told.session, url, max_digits=1, timeout=10)

    voice.answer_with(answer)
    tune = speaker(6, 1000)
    call = voice.call()
    call.hears("This call is recorded.")
    call.says(tune)
    call.hangs_up()
    voice.settles()
    (recording,) = voice.recordings
    said, heard = recording.samples.T
    assert {passage.speaker for passage in who_is_heard(said)} == {6}
    assert {passage.speaker for passage in who_is_heard(heard)} == set()
    assert recording.duration_s == pytest.approx(len(said) / 8000, abs=0.1)


def test_two_callers_at_once(voice: Voice) -> None:
    """A script that is a coroutine leads several callers; each leaves a message of its own."""
    voice.answer_with(voicemail(voice))

    async def caller(number: int) -> None:
        call = await voice.call_async(from_number=f"+659000000{number}")
        await call.waits_for_beep()
        await call.says(speaker(number, 1000 * number))
        await call.hangs_up()

    async def both() -> None:
        await asyncio.gather(caller(1), caller(2))

    voice.run(both())
    voice.settles()
    found = {
        told.from_number: recording
        for recording in voice.recordings
        if (told := recording.notification)
    }
    for number in (1, 2):
        recording = found[f"+659000000{number}"]
        assert {passage.speaker for passage in who_is_heard(recording.samples)} == {number}
        assert recording.duration_s == pytest.approx(number, abs=0.05)


def test_a_prompt_that_never_comes_tells_what_came_instead(voice: Voice) -> None:
    """A failing script says what it waited for, and what happened until then."""
    voice.answer_with(voicemail(voice))
    call = voice.call()
    with pytest.raises(ScriptFailed) as caught:
        call.hears("Good morning.", limit_s=20)
    text = str(caught.value)
    assert "Good morning. was not heard from beginning to end within 20 s" in text
    assert "node         notifies: answer ringing" in text
    assert "application  asks ivr/middle/record: success_ok" in text


def test_a_fault_of_the_application_fails_the_test(voice: Voice) -> None:
    """What a handler raises is the cause of the failure, not a caller who waits in vain."""

    def answer(told: Notification) -> None:
        raise KeyError("no such menu")

    voice.answer_with(answer)
    with pytest.raises(ScriptFailed, match="the application failed: KeyError") as caught:
        voice.call().waits_for_beep()
    assert isinstance(caught.value.__cause__, KeyError)


def test_a_fault_that_is_meant_is_retried(voice: Voice) -> None:
    """Where it may fail, the node does what it does for every application: it asks again."""
    fails = iter([True])
    answer = voicemail(voice)

    def sometimes(told: Notification) -> None:
        if next(fails, False):
            raise OSError("a database was away")
        answer(told)

    voice.answer_with(sometimes, may_fail=True)
    voice.call().waits_for_beep()
    first, second = voice.notifications[:2]
    assert first.parameters == second.parameters


def test_a_refused_request_is_the_applications_to_see(voice: Voice) -> None:
    """The API checks what it is asked as always: a refusal is an `ApiError`."""
    refused: list[str] = []

    def answer(told: Notification) -> None:
        try:
            voice.client.ivr.record(told.session, max_duration=100_000)
        except ApiError as error:
            refused.append(error.status)
            voice.client.ivr.hangup(told.session, msg="Sorry.")

    voice.answer_with(answer)
    call = voice.call()
    call.hears("Sorry.")
    call.is_hung_up()
    assert refused == ["error_invalid_max_duration"]


@pytest.mark.parametrize("voice_options", [Options(speech="espeak")])
def test_espeak_speaks_where_it_is_wanted(voice: Voice) -> None:
    """Prompts may be real speech: it is longer than the stand-in's tune, and is known as well."""
    voice.answer_with(voicemail(voice))
    call = voice.call()
    call.hears(GREETING)
    assert np.count_nonzero(call.heard) > 8000


async def test_a_test_that_is_a_coroutine_is_told_so(voice: Voice) -> None:
    """A simulation has a loop of its own, and a test that runs on another hears how to write it."""
    with pytest.raises(ScriptFailed, match="write the test as def"):
        voice.waits(1)
