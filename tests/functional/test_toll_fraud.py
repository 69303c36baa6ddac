"""Toll fraud, over the wire: what an attacker tries, and what gets out.

```
stranger         server                        carrier
  |-- INVITE ---->|    (silence)                  |
  |-- REGISTER -->|    (silence)                  |
caller            |                               |
  |-- REFER ----->|-- 403, no INVITE       |
application       |                               |
  |-- 200 dials ->|-- 60 INVITEs a minute ------->|
  |               |<-- 302 to a foreign host -----|  not followed
```
"""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path

import pytest

from tests.functional.calls import waiting_for_a_block
from tests.functional.outgoing import Carrier
from tests.functional.raw_sip import RawCall, RawPeer
from tests.harness import Application, ServerProcess
from voiceblocks.testing.answering import RingForever, moved_to
from voiceblocks.testing.phone import Phone

pytestmark = pytest.mark.asyncio(loop_scope="session")

DIAL = "ivr/start/dial"


@pytest.mark.parametrize("transport", ["udp", "tcp"])
async def test_a_stranger_hears_nothing(data_dir: Path, transport: str) -> None:
    """INVITE, REGISTER and OPTIONS of an unknown source: not a byte, and no call."""
    server = await ServerProcess(data_dir, {"ACCEPT_CALLS_FROM": "127.0.0.1/32"}).start()
    async with Application(server) as app:
        async with RawPeer(server.sip, transport, host="127.99.0.1") as stranger:
            call = RawCall(stranger, app.number)
            stranger.send(call.invite())
            stranger.send(call.request("REGISTER"))
            stranger.send(call.request("OPTIONS"))
            await stranger.quiet()
            assert stranger.received == []
        async with RawPeer(server.sip, transport) as known:
            await known.options()
        assert app.sink.received == []
        assert (await app.request("voice/get_history"))["total_entries_count"] == "0"
    assert await server.stop() == 0


async def test_a_refer_places_no_call(app: Application) -> None:
    """A caller who tells our server to call somebody is refused, and the call goes on."""
    async with Carrier(app) as carrier, RawPeer(app.server.sip) as peer:
        number = carrier.number()
        call = RawCall(peer, app.number)
        peer.send(call.invite())
        session = (await app.told(ivr_block="answer")).body["session"]
        await app.play(session, "", notify_url=app.url())
        answer = await peer.next(status=200, method="INVITE")
        call.take(answer)
        peer.send(call.ack())
        await app.told(ivr_block="play")
        refer_to = [("Refer-To", f"<sip:{number}@{carrier.trunk.address}>")]
        for headers in (refer_to, [*refer_to, ("Referred-By", f"<sip:{app.number}@127.0.0.1>")]):
            refused = await peer.answer_to(call.request("REFER", headers), "REFER")
            assert refused.status == 403
        await app.hang_up(session)
        await app.told(ivr_block="hangup")
        assert carrier.trunk.requests == []


async def test_a_redirection_elsewhere_is_not_followed(app: Application) -> None:
    """302 to another host or port: whoever listens there hears nothing, and the dial failed."""
    async with Carrier(app) as carrier, Phone("127.88.0.1") as accomplice:
        host = carrier.trunk.address.partition(":")[0]
        for contact in (
            f"sip:+6591110000@{accomplice.address}",
            f"sip:+6591110000@{host}:9",
            f"sips:+6591110000@{carrier.trunk.address}",
        ):
            number = carrier.number(moved_to(contact))
            await app.dial(number)
            told = await app.told(dest=number)
            assert told.body["dial_status"] == "failed"
            assert told.body["debit"] == "0.000"
        assert accomplice.requests == []
        assert len(carrier.trunk.invites()) == 3


async def test_a_redirection_to_another_number_is_not_followed(app: Application) -> None:
    """What was allowed and priced is the number that was dialled, also within the trunk."""
    async with Carrier(app) as carrier:
        other = carrier.number()
        number = carrier.number(moved_to(f"sip:{other}@{carrier.trunk.address}"))
        await app.dial(number)
        assert (await app.told(dest=number)).body["dial_status"] == "failed"
        assert len(carrier.trunk.invites()) == 1


async def test_a_circle_of_redirections_ends(app: Application) -> None:
    """The same number at the trunk's own address is tried once more, and then the dial failed."""
    async with Carrier(app) as carrier:
        number = carrier.number()
        carrier.trunk.route(number, moved_to(f"sip:{number}@{carrier.trunk.address}"))
        await app.dial(number)
        assert (await app.told(dest=number)).body["dial_status"] == "failed"
        assert len(carrier.trunk.invites()) == 2


OPEN = ("+65", "+1", "+44", "+8")
CLOSED = [
    ("+65999", "error_dest_invalid"),
    ("+1911", "error_dest_invalid"),
    ("+6519001234567", "error_dest_not_supported"),
    ("+19005551234", "error_dest_not_supported"),
    ("+449098790123", "error_dest_not_supported"),
    ("+881612345678", "error_dest_not_supported"),
    ("+33123456789", "error_dest_not_supported"),
]


async def test_dear_and_closed_numbers_stay_closed(app: Application) -> None:
    """Premium, satellite and emergency numbers, though a short prefix of them is open."""
    await app.server.cli("account", "allow", app.account_id, prefix=OPEN)
    async with Carrier(app) as carrier:
        for dest, expected in CLOSED:
            assert await app.request(DIAL, dest=dest) == {"status": expected}, dest
        assert carrier.trunk.requests == []


async def test_a_burst_of_dials_gets_out_sixty_times(data_dir: Path) -> None:
    """200 dials at once with 60 a minute: exactly 60 are accepted, and 60 reach the carrier."""
    server = await ServerProcess(data_dir, {"DIALS_PER_MINUTE": "60"}).start()
    async with Application(server) as app, Carrier(app) as carrier:
        carrier.trunk.route(carrier.prefix, RingForever())
        answers = await asyncio.gather(
            *(app.request(DIAL, dest=f"{carrier.prefix}{n % 100:02d}") for n in range(200))
        )
        counted = Counter(answer["status"] for answer in answers)
        assert counted == {"success_ok": 60, "error_rate_limit_exceeded": 140}
        for _ in range(60):
            await carrier.trunk.incoming(10)
        with pytest.raises(TimeoutError):
            await carrier.trunk.incoming(0.5)
        assert len({one.call_id for one in carrier.trunk.invites()}) == 60
    assert await server.stop() == 0


async def test_a_transfer_is_guarded_as_a_dial_is(app: Application, phone: Phone) -> None:
    """A caller of ours reaches nobody whom the account may not call, with nobody else's number."""
    async with Carrier(app) as carrier:
        number = carrier.number()
        _call, session = await waiting_for_a_block(app, phone)
        for parameters, expected in (
            ({"dest": "+442079460123"}, "error_dest_not_supported"),
            ({"dest": f"{number},+19005551234"}, "error_dest_not_supported"),
            ({"dest": number, "caller_id": "+6599999999"}, "error_caller_id_invalid"),
        ):
            assert await app.block("ivr/end/transfer", session, **parameters) == expected
        assert carrier.trunk.requests == []
