"""Limits hold exactly, also where everything comes at once."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path

import pytest

from tests.functional.outgoing import Carrier
from tests.harness import Application, ServerProcess
from voiceblocks.testing.answering import RingForever
from voiceblocks.testing.phone import CallNotAnswered, Phone, PhoneCall

pytestmark = pytest.mark.asyncio(loop_scope="session")

MAX_CALLS = 8
TOO_MANY = "error_concurrent_call_limit_reached"
TOO_OFTEN = "error_rate_limit_exceeded"


async def rings(call: PhoneCall) -> bool:
    """Whether it is taken; the other way is 486, as from a busy line."""
    waiting = [asyncio.ensure_future(call.ringing()), asyncio.ensure_future(call.answered())]
    async with asyncio.timeout(10):
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    if waiting[1].done():
        with pytest.raises(CallNotAnswered) as refused:
            waiting[1].result()
        assert refused.value.status == 486
        return False
    waiting[1].cancel()
    return True


async def test_calls_at_once_are_counted_exactly(data_dir: Path) -> None:
    """
    Of 100 dials at once 8 are accepted; of 50 dials and 50 callers together, too.

    Exactly as many phones ring as were accepted, and what has ended makes room again.
    """
    server = await ServerProcess(data_dir, {"MAX_CALLS_PER_ACCOUNT": str(MAX_CALLS)}).start()
    async with (
        Application(server) as app,
        Application(server, beside=app) as beside,
        Carrier(app) as carrier,
        Phone() as phone,
    ):
        carrier.trunk.route(carrier.prefix, RingForever())

        async def dial(index: int) -> dict[str, str]:
            which = app if index % 2 else beside
            dest = f"{carrier.prefix}{index % 100:02d}"
            return await which.request("ivr/start/dial", dest=dest, notify_url=which.url())

        answers = await asyncio.gather(*(dial(index) for index in range(100)))
        assert Counter(answer["status"] for answer in answers) == {
            "success_ok": MAX_CALLS, TOO_MANY: 100 - MAX_CALLS,
        }  # fmt: skip
        for answer in answers:
            if "txn_ref" in answer:
                index = answers.index(answer)
                which = app if index % 2 else beside
                ended = await which.request("voice/hangup", txn_ref=answer["txn_ref"])
                assert ended == {"status": "success_ok"}
                await which.told(session=answer["session"], call_state="ended")
        assert len({one.call_id for one in carrier.trunk.invites()}) <= MAX_CALLS

        dials, calls = await asyncio.gather(
            asyncio.gather(*(dial(index) for index in range(50))),
            asyncio.gather(*(phone.call(app.sip()) for _ in range(50))),
        )
        taken = await asyncio.gather(*(rings(call) for call in calls))
        accepted = [answer for answer in dials if answer["status"] == "success_ok"]
        assert {answer["status"] for answer in dials} <= {"success_ok", TOO_MANY}
        assert sum(taken) + len(accepted) == MAX_CALLS
    assert await server.stop() == 0


async def test_dials_of_a_minute_are_counted_for_the_account(data_dir: Path) -> None:
    """
    All ways out together, of both applications: dials, `voice/call` as two, conferences.

    The account's own figure comes before the settings'; 0 closes it.
    """
    server = await ServerProcess(data_dir, {"DIALS_PER_MINUTE": "5"}).start()
    async with (
        Application(server) as app,
        Application(server, beside=app) as beside,
        Carrier(app) as carrier,
    ):
        await app.dial(carrier.number())
        await beside.conference(carrier.number(), carrier.number())
        await app.call(carrier.number(), carrier.number())
        pair = {"dest1": carrier.number(), "dest2": carrier.number()}
        assert (await app.request("voice/call", **pair))["status"] == TOO_OFTEN
        for which in (app, beside):
            answer = await which.request("ivr/start/dial", dest=carrier.number())
            assert answer == {"status": TOO_OFTEN}
        await server.cli("account", "set", app.account_id, dials_per_minute="6")
        # Two would be seven.
        assert (await app.request("voice/call", **pair))["status"] == TOO_OFTEN
        await app.dial(carrier.number())
        await server.cli("account", "set", app.account_id, dials_per_minute="0")
        answer = await app.request("ivr/start/dial", dest=carrier.number())
        assert answer == {"status": TOO_OFTEN}
        async with Application(server) as other, Carrier(other) as theirs:
            await other.dial(theirs.number())
    assert await server.stop() == 0


async def test_each_api_has_its_own_rate(data_dir: Path) -> None:
    """So many requests of an application for an API, good or bad; queries have their own limit."""
    limits = {"RATE_LIMIT_IVR": "3", "RATE_LIMIT_QUERY": "2"}
    server = await ServerProcess(data_dir, limits).start()
    async with Application(server) as app, Application(server, beside=app) as beside:
        for paths, limit in (
            (("ivr/start/dial", "ivr/middle/hold", "ivr/middle/unhold", "voice/call"), 3),
            (("conference/call", "ivr/middle/monitor", "ivr/end/transfer"), 3),
            (("voice/query_status", "voice/get_history", "voice/get_rate"), 2),
            (("voice/hangup", "conference/moderate"), 2),
        ):
            for path in paths:
                said = [(await app.request(path))["status"] for _ in range(limit + 2)]
                assert TOO_OFTEN not in said[:limit], path
                assert said[limit:] == [TOO_OFTEN] * 2, path
                assert (await beside.request(path))["status"] != TOO_OFTEN
    assert await server.stop() == 0
