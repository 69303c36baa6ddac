"""What a server logs of a call that meets everything secret, and what it never does."""

from __future__ import annotations

import json
import re
import signal
from pathlib import Path

import pytest

from tests.functional.calls import ringing
from tests.functional.outgoing import Carrier
from tests.harness import Application, ServerProcess
from voiceblocks.database import notifications
from voiceblocks.database.unit_of_work import Database
from voiceblocks.testing import tone_code
from voiceblocks.testing.conversation import speak, until_heard
from voiceblocks.testing.phone import Phone

pytestmark = pytest.mark.asyncio

KEYS = "8305719264"
CALLER = "+6591234567"
TOLD_OF_A_CALL = {
    *("call_rings", "call_answered", "call_ended", "block_ended"),
    *("leg_answered", "leg_ended", "http_request", "notification_attempted"),
}


async def test_a_call_can_be_followed_in_the_log_and_nothing_secret_can_be_read(
    data_dir: Path, tmp_path: Path
) -> None:
    """Lines of JSON with session and legs, however talkative; no keys, numbers, tokens or links."""
    log = tmp_path / "log"
    log.touch()
    settings = {"LOG_LEVEL": "debug", "LOG_JSON": "true"}
    server = await ServerProcess(data_dir, settings, stderr=log).start()
    async with Application(server) as app, Carrier(app) as carrier, Phone() as phone:
        call, session = await ringing(app, phone)
        await app.accepted("ivr/middle/gather", session=session, max_digits="20")
        await call.answered()
        for key in f"{KEYS}#":
            await call.media.press(key)
        assert (await app.told(ivr_block="gather")).body["digits"] == KEYS
        await app.record(session)
        await call.media.beep_ended()
        await call.media.say(tone_code.encode_seconds(0, 1))
        await call.media.press("#")
        link = (await app.told(ivr_block="record")).body["record_url"]
        await app.fetch(link)
        friend = carrier.number()
        await app.transfer(session, friend, msg="Your code is 7 1 3.")
        people = {1: call, 2: await carrier.call_to(friend)}
        speak(people)
        await until_heard({1: {2}, 2: {1}}, people)
        call.hang_up()
        await app.told(ivr_block="transfer", call_state="ended")
        txn_ref = (await app.request("voice/query_status", txn_ref="AA-S-1-none"))["status"]
        assert txn_ref == "error_txn_ref_invalid"
    assert await server.stop(signal.SIGINT) == 0
    await _nowhere_in_the_database(server, session)
    written = log.read_text()
    lines = [json.loads(line) for line in written.splitlines()]
    assert all({"event", "level", "timestamp", "part"} <= line.keys() for line in lines)
    own = [line for line in lines if line.get("session") == session]
    assert {line["event"] for line in own} >= TOLD_OF_A_CALL
    legs = {line["event"]: line["leg"] for line in own if "leg" in line}
    assert legs["leg_answered"] == legs["leg_ended"]
    (ended,) = [one for one in own if one["event"] == "block_ended" and one["block"] == "record"]
    assert ended["recording"] in link
    signature = re.findall(r"Signature=([\w%-]+)", link)[0]
    secrets = {KEYS, "7 1 3", app.access_token, signature}
    numbers = {CALLER, app.number, friend}
    for secret in secrets | {number.removeprefix("+") for number in numbers}:
        assert secret not in written
    # Masked, they are there.
    assert CALLER[:5] in written


async def _nowhere_in_the_database(server: ServerProcess, session: str) -> None:
    """The keys are blanked once they were told."""
    database = Database(server.database_url)
    kept = await database.run(lambda c: notifications.list_of_session(c, session))
    database.close()
    told = [one.parameters for one in kept if one.block == "gather"]
    assert "digits=blanked" in told[0]
    assert KEYS not in "".join(one.parameters for one in kept)
