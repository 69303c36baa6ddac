"""The statuses of outgoing calls, of holds and monitors, provoked on a real server.

In the order in which they are checked: what is wrong first is what is told.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.functional.calls import waiting_for_a_block
from tests.functional.outgoing import Carrier
from tests.harness import Application, ServerProcess
from voiceblocks.testing.answering import RingForever
from voiceblocks.testing.conversation import listen
from voiceblocks.testing.phone import Phone

pytestmark = pytest.mark.asyncio(loop_scope="session")

DIAL, TRANSFER = "ivr/start/dial", "ivr/end/transfer"

FORBIDDEN = "+442079460123"
"A good number whose prefix nobody allowed."


@pytest_asyncio.fixture(loop_scope="session")
async def carrier(app: Application) -> AsyncIterator[Carrier]:
    """A trunk of the server."""
    async with Carrier(app) as made:
        yield made


async def status(app: Application, path: str, **parameters: str) -> str:
    """What the API answers; nothing else stands beside a refusal."""
    answer = await app.request(path, notify_url=app.url(), **parameters)
    if answer["status"] != "success_ok":
        assert set(answer) == {"status"}
    return str(answer["status"])


async def test_a_number_that_is_not_allowed(
    app: Application, carrier: Carrier, phone: Phone
) -> None:
    """`error_dest_not_supported`, `…dest1…`, `…dest2…`, from every API that calls somebody."""
    good = carrier.number()
    _call, session = await waiting_for_a_block(app, phone)
    for path, parameters, expected in (
        (DIAL, {"dest": FORBIDDEN}, "error_dest_not_supported"),
        (TRANSFER, {"session": session, "dest": FORBIDDEN}, "error_dest_not_supported"),
        (
            TRANSFER,
            {"session": session, "dest": f"{good},{FORBIDDEN}"},
            "error_dest_not_supported",
        ),
        ("conference/call", {"dest": f"{good},{FORBIDDEN}"}, "error_dest_not_supported"),
        ("voice/conference", {"dest": FORBIDDEN}, "error_dest_not_supported"),
        ("voice/call", {"dest1": FORBIDDEN, "dest2": good}, "error_dest1_not_supported"),
        ("voice/call", {"dest1": good, "dest2": FORBIDDEN}, "error_dest2_not_supported"),
    ):
        assert await status(app, path, **parameters) == expected, (path, parameters)
    assert carrier.trunk.invites() == []
    # The session takes the next block: what was refused changed nothing.
    await app.hang_up(session)
    await app.told(ivr_block="hangup")


async def test_no_trunk_for_a_number(app: Application) -> None:
    """`error_call_service_not_available` where it is allowed, but nobody carries it."""
    await app.allow("+44")
    refused = "error_call_service_not_available"
    assert await status(app, DIAL, dest=FORBIDDEN) == refused
    assert await status(app, "voice/call", dest1=FORBIDDEN, dest2="+442079460124") == refused


async def test_no_credit(server: ServerProcess) -> None:
    """`error_insufficient_credit` of an account without any, and of one whose day is spent."""
    async with Application(server, credit="0") as poor, Carrier(poor) as carrier:
        assert await status(poor, DIAL, dest=carrier.number()) == "error_insufficient_credit"
        assert carrier.trunk.invites() == []
    async with Application(server) as app, Carrier(app) as carrier:
        await server.cli("account", "set", app.account_id, spend_per_day="0.100")
        session = (await app.dial(carrier.number()))["session"]
        await app.dial(carrier.number(RingForever()))
        assert await status(app, DIAL, dest=carrier.number()) == "error_insufficient_credit"
        await app.told(ivr_block="dial")
        await app.hang_up(session)
        await app.told(ivr_block="hangup")
        # Spent, rather than running, now; the other one still rings.
        assert await status(app, DIAL, dest=carrier.number()) == "error_insufficient_credit"
        assert len(carrier.trunk.invites()) == 2


async def test_too_many_calls(app: Application, carrier: Carrier, phone: Phone) -> None:
    """`error_concurrent_call_limit_reached`, which a transfer never gives; an end makes room."""
    await app.server.cli("account", "set", app.account_id, max_calls="2")
    _call, session = await waiting_for_a_block(app, phone)
    rings = await app.dial(carrier.number(RingForever()))
    refused = "error_concurrent_call_limit_reached"
    assert await status(app, DIAL, dest=carrier.number()) == refused
    pair = {"dest1": carrier.number(), "dest2": carrier.number()}
    assert await status(app, "voice/call", **pair) == refused
    assert await status(app, "conference/call", dest=carrier.number()) == refused
    await app.hang_up(rings["session"], force="enabled")
    await app.told(ivr_block="dial")
    # One place: for one participant, not for two, of whom then none is called.
    two = f"{carrier.number()},{carrier.number()}"
    assert await status(app, "conference/call", dest=two) == refused
    assert await status(app, TRANSFER, session=session, dest=carrier.number()) == "success_ok"
    assert await status(app, DIAL, dest=carrier.number()) == "success_ok"


async def test_a_caller_id_of_somebody_else(
    app: Application, carrier: Carrier, server: ServerProcess, phone: Phone
) -> None:
    """`error_caller_id_invalid`; the caller's own number may be shown only on a transfer."""
    async with Application(server) as other:
        _call, session = await waiting_for_a_block(app, phone)
        number = carrier.number()
        for foreign in (other.number, phone.number, "+18005551234"):
            refused = await status(app, DIAL, dest=number, caller_id=foreign)
            assert refused == "error_caller_id_invalid"
        refused = await status(app, TRANSFER, session=session, dest=number, caller_id=other.number)
        assert refused == "error_caller_id_invalid"
        assert carrier.trunk.invites() == []
        await app.transfer(session, number, caller_id=phone.number)
        call = await carrier.call_to(number)
        assert f"sip:{phone.number}@" in call.header("From")


async def test_a_call_that_is_not_on_hold(app: Application, phone: Phone) -> None:
    """`error_session_not_on_hold`."""
    _call, session = await waiting_for_a_block(app, phone)
    assert await app.block("ivr/middle/unhold", session) == "error_session_not_on_hold"


async def test_a_second_monitor(app: Application, phone: Phone) -> None:
    """`error_monitor_in_progress`; the call goes on."""
    call, session = await waiting_for_a_block(app, phone)
    await app.monitor(session)
    await app.told(ivr_block="monitor")
    again = await status(app, "ivr/middle/monitor", session=session)
    assert again == "error_monitor_in_progress"
    # A monitor that had no time to record anything has failed, as its notification says.
    await listen({0: call}, seconds=0.3)
    await app.hang_up(session)
    await app.told(ivr_block="hangup")
    told = await app.told(ivr_block="monitor", call_state="ended")
    assert told.body["monitor_status"] == "success"


async def test_another_application_s_transaction(
    app: Application, carrier: Carrier, server: ServerProcess
) -> None:
    """
    `error_txn_ref_access_denied`, also within one account, from all that take a transaction.

    One that nobody has is `error_txn_ref_invalid`; and the call goes on.
    """
    number = carrier.number()
    answer = await app.dial(number)
    await app.told(ivr_block="dial")
    taking: list[tuple[str, dict[str, str]]] = [
        ("voice/query_status", {}),
        ("voice/hangup", {}),
        ("conference/moderate", {"action": "kick"}),
    ]
    async with Application(server, beside=app) as other:
        for path, parameters in taking:
            for txn_ref, expected in (
                (answer["txn_ref"], "error_txn_ref_access_denied"),
                ("AA-S-1-000000000000", "error_txn_ref_invalid"),
            ):
                given = {**parameters, "txn_ref": txn_ref}
                assert await other.request(path, **given) == {"status": expected}, path
        session = answer["session"]
        refused = await other.block("ivr/middle/play", session, notify_url=other.url())
        assert refused == "error_session_access_denied"
        history = await other.request("voice/get_history")
        assert (history["total_entries_count"], history["entries"]) == ("0", [])
    # A call in no room is nothing to moderate.
    moderated = await app.moderate(answer["txn_ref"], "kick")
    assert moderated == "error_txn_ref_invalid"
    assert (await app.status_of(answer["txn_ref"]))["call_status_dest1"] == "ongoing"


async def test_dest1_may_be_left_out(app: Application, carrier: Carrier) -> None:
    """`error_dest1_param_missing` without a registered number; with one that is called."""
    own, other = carrier.number(), carrier.number()
    assert await status(app, "voice/call", dest2=other) == "error_dest1_param_missing"
    await app.server.cli("account", "set", app.account_id, registered_number=own)
    assert await status(app, "voice/call", dest2=own) == "error_same_dest1_dest2"
    assert await status(app, "voice/call", dest2=other) == "success_ok"
    first = await carrier.call_to(own)
    await first.answered()
    await (await carrier.call_to(other)).answered()
