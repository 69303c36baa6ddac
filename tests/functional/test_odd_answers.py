"""Answers to our INVITE that are rare, or wrong: by a carrier whose every word is set here.

```
server                      first trunk     second trunk
  |-- INVITE ------------------>|               |
  |<--------- 200, G.729 only --|               |
  |-- ACK, BYE ---------------->|               |   somebody picked up: nobody is called twice
```
"""

from __future__ import annotations

import itertools

import pytest

from tests.functional.outgoing import Carrier
from tests.functional.raw_sip import sdp
from tests.functional.raw_trunk import RawTrunk
from tests.harness import Application
from voiceblocks.testing.answering import Answer

pytestmark = pytest.mark.asyncio(loop_scope="session")

_hosts = (f"127.6.2.{number}" for number in itertools.count(1))


def a_trunk(app: Application) -> RawTrunk:
    """At an address of its own, by which the server tells trunks apart."""
    return RawTrunk(app.server.sip, host=next(_hosts))


@pytest.mark.parametrize(
    "body", [sdp(formats="18 101"), "", "nonsense"], ids=["G.729", "no SDP", "junk"]
)
async def test_an_answer_of_no_use_is_hung_up_and_no_other_trunk_is_asked(
    app: Application, body: str
) -> None:
    """ACK and BYE; the dial has failed, and costs nothing."""
    trunk = a_trunk(app)
    async with Carrier(app, trunk) as first, Carrier(app, second_to=first) as second:
        number = first.number()
        second.trunk.route(number, Answer())
        await app.dial(number)
        invite = await trunk.next(method="INVITE")
        trunk.send(trunk.answer(invite, 200, body=body))
        await trunk.next(method="ACK")
        bye = await trunk.next(method="BYE")
        trunk.send(trunk.answer(bye, 200))
        told = (await app.told(ivr_block="dial")).body
        assert (told["call_state"], told["dial_status"]) == ("ended", "failed")
        assert told["debit"] == "0.000"
        assert second.trunk.invites() == []


async def test_a_redirected_call_is_answered(app: Application) -> None:
    """302 to another place of the same trunk, for the same number: that is called, and talks."""
    trunk = a_trunk(app)
    async with Carrier(app, trunk) as carrier:
        number = carrier.number()
        dialled = await app.dial(number)
        invite = await trunk.next(method="INVITE")
        there = f"sip:{number}@{trunk.address};line=2"
        moved = trunk.answer(invite, 302).replace(f"<sip:far@{trunk.address}>", f"<{there}>")
        trunk.send(moved)
        await trunk.next(method="ACK")
        again = await trunk.next(method="INVITE")
        assert again.uri == there
        assert again.header("Call-ID") != invite.header("Call-ID")
        trunk.send(trunk.answer(again, 180))
        trunk.send(trunk.answer(again, 200, body=sdp(trunk.port)))
        await trunk.next(method="ACK", call=again.header("Call-ID"))
        told = (await app.told(ivr_block="dial")).body
        assert (told["call_state"], told["dial_status"], told["dest"]) == (
            "ongoing", "answered", number,
        )  # fmt: skip
        await app.hang_up(dialled["session"])
        bye = await trunk.next(method="BYE")
        assert bye.header("Call-ID") == again.header("Call-ID")
        trunk.send(trunk.answer(bye, 200))
        assert (await app.told(ivr_block="hangup")).body["debit"] == "0.040"
