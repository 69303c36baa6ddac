"""SIPp does what callers and scanners do besides calling nicely, and reads our answers."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.harness import Application, ServerProcess
from tests.interop.peers import SipMessage, Sipp
from voiceblocks.database.unit_of_work import Database
from voiceblocks.system_clock import SystemClock
from voiceblocks.workflows import manage_accounts

pytestmark = [pytest.mark.interop, pytest.mark.asyncio(loop_scope="module")]

SILENCE_S = 1.2


def to_tags(messages: list[SipMessage], name: str) -> set[str]:
    """The To-tags of all received messages of that name."""
    return {
        one.header("To").partition(";tag=")[2]
        for one in messages
        if one.received and one.name == name
    }


async def test_a_repeated_invite_is_one_call(app: Application, tmp_path: Path) -> None:
    """The INVITE comes thrice, while ringing and after the 200; one session is made of it.

    ```
    sipp             server                     application
      |-- INVITE ----->|                             |
      |<--- 100, 180 --|-- answer (ringing) -------->|
      |-- INVITE ----->|                             |
      |<---- 180 ------|                             |
      |                |<------- ivr/middle/record --|
      |<---- 200 ------|                             |
      |-- INVITE ----->|                             |
      |<---- 200 ------|  the same one               |
      |-- ACK -------->|                             |
      |-- BYE -------->|-- record (ended) ---------->|
      |<---- 200 ------|                             |
    ```
    """
    target = app.server.sip
    async with Sipp("repeated_invite", target, app.number, tmp_path, ("-nr",)) as sipp:
        answer = await app.told(ivr_block="answer")
        await _second_ringing(sipp)
        await app.record(answer.body["session"])
        told = await app.told(ivr_block="record")
        await sipp.passed()
    assert told.body["call_state"] == "ended"
    messages = sipp.messages()
    assert len(to_tags(messages, "180 INVITE") | to_tags(messages, "200 INVITE")) == 1
    answers = {one.text for one in messages if one.name == "200 INVITE"}
    assert len(answers) == 1
    assert [one.body["ivr_block"] for one in app.sink.received] == ["answer", "record"]
    assert len({one.body["session"] for one in app.sink.received}) == 1


async def _second_ringing(sipp: Sipp) -> None:
    from tests.interop.peers import until

    await until(lambda: sipp.sequence().count("<- 180 INVITE") == 2, 10, "the 180 came twice")


async def test_a_merged_invite_is_refused(app: Application, tmp_path: Path) -> None:
    """A second branch of the same call gets 482 and makes no session of its own.

    ```
    sipp             server                     application
      |-- INVITE ----->|  branch A                   |
      |<--- 100, 180 --|-- answer (ringing) -------->|
      |-- INVITE ----->|  branch B                   |
      |<---- 482 ------|                             |
      |-- ACK -------->|                             |
      |-- CANCEL ----->|  branch A                   |
      |<- 200, 487 ----|-- answer (ended) ---------->|
      |-- ACK -------->|                             |
    ```
    """
    target = app.server.sip
    async with Sipp("merged_invite", target, app.number, tmp_path, ("-nr",)) as sipp:
        await app.told(call_state="ended")
        await sipp.passed()
    assert [one.body["call_state"] for one in app.sink.received] == ["ringing", "ended"]
    assert len({one.body["session"] for one in app.sink.received}) == 1


async def test_hold_and_resume_within_a_call(app: Application, tmp_path: Path) -> None:
    """Hold is answered with recvonly, resume without it; then the dialog is gone for good.

    ```
    sipp                    server              application
      |-- INVITE (sendrecv) ->|<- ivr/middle/record --|
      |<-------- 200 ---------|                      |
      |-- OPTIONS ----------->|                      |
      |<-------- 200 ---------|                      |
      |-- INVITE (sendonly) ->|                      |
      |<-- 200 (recvonly) ----|                      |
      |-- INVITE (sendrecv) ->|                      |
      |<-- 200 (sendrecv) ----|                      |
      |-- BYE --------------->|-- record (ended) --->|
      |<-------- 200 ---------|                      |
      |-- BYE --------------->|                      |
      |<-------- 481 ---------|                      |
    ```
    """
    async with Sipp("hold_and_resume", app.server.sip, app.number, tmp_path) as sipp:
        answer = await app.told(ivr_block="answer")
        await app.record(answer.body["session"])
        told = await app.told(ivr_block="record")
        await sipp.passed()
    assert told.body["call_state"] == "ended"
    bodies = [one.text for one in sipp.messages() if one.name == "200 INVITE"]
    assert ["recvonly" in body for body in bodies] == [False, True, False]
    assert not any("sendonly" in body or "inactive" in body for body in bodies)


async def test_what_is_no_call(server: ServerProcess, tmp_path: Path) -> None:
    """Outside a dialog: OPTIONS 200, BYE 481, REGISTER 405, REFER 403.

    ```
    sipp             server
      |-- OPTIONS ---->|
      |<---- 200 ------|  with Allow
      |-- BYE -------->|
      |<---- 481 ------|
      |-- REGISTER --->|
      |<---- 405 ------|  with Allow
      |-- REFER ------>|
      |<---- 403 ------|
    ```
    """
    async with Sipp("outside_any_dialog", server.sip, "+6561234567", tmp_path) as sipp:
        await sipp.passed()


async def test_an_unknown_number(server: ServerProcess, tmp_path: Path) -> None:
    """A number that is not ours gets 404.

    ```
    sipp             server
      |-- INVITE ----->|
      |<---- 404 ------|
      |-- ACK -------->|
    ```
    """
    fill = {"STATUS": "404"}
    async with Sipp("refused", server.sip, "+6561234567", tmp_path, fill=fill) as sipp:
        await sipp.passed()


async def test_a_number_without_url(app: Application, tmp_path: Path) -> None:
    """A number of ours that has no notify_url gets 480.

    ```
    sipp             server
      |-- INVITE ----->|
      |<---- 480 ------|
      |-- ACK -------->|
    ```
    """
    number = app.number[:-4] + "0000"
    await asyncio.to_thread(_add_silent_number, app, number)
    fill = {"STATUS": "480"}
    async with Sipp("refused", app.server.sip, number, tmp_path, fill=fill) as sipp:
        await sipp.passed()


def _add_silent_number(app: Application, number: str) -> None:
    database = Database(app.server.database_url)
    try:
        database.run_sync(
            lambda c: manage_accounts.add_number(
                c,
                number=number,
                app_id=app.app_id,
                notify_url=None,
                now_us=SystemClock().utc_us(),
            )
        )
    finally:
        database.close()


async def test_strangers_get_silence(tmp_path: Path) -> None:
    """A source outside ACCEPT_CALLS_FROM learns nothing: no answer by UDP, a closed TCP.

    ```
    stranger         server (takes calls from 192.0.2.0/24 only)
      |-- INVITE ----->|
      |-- INVITE ----->|  repeated, still silence
      |-- OPTIONS ---->|
      |                |
    ```
    """
    settings = {"ACCEPT_CALLS_FROM": "192.0.2.0/24"}
    server = await ServerProcess(tmp_path / "data", settings).start()
    try:
        async with Application(server) as app:
            impatient = ("-recv_timeout", str(int(SILENCE_S * 1000)))
            invite = Sipp(
                "refused", server.sip, app.number, tmp_path / "invite", impatient, {"STATUS": "404"}
            )
            options = Sipp(
                "outside_any_dialog", server.sip, app.number, tmp_path / "options", impatient
            )
            async with invite, options:
                assert await invite.finished() != 0
                assert await options.finished() != 0
            for stranger in (invite, options):
                messages = stranger.messages()
                assert len(messages) >= 2, "it asked more than once"
                assert not any(one.received for one in messages), stranger.story()
            host, _, port = server.sip.rpartition(":")
            reader, writer = await asyncio.open_connection(host, int(port))
            assert await asyncio.wait_for(reader.read(), 5) == b""
            writer.close()
            assert app.sink.received == []
    finally:
        assert await server.stop() == 0
