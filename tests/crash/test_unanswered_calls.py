"""Calls of ours that have no answer yet when the server dies or stops: nobody talks to nobody.

```
server                      carrier
  |-- INVITE ------------------>|
  |<------------------- 180 ----|
 kill -9, restart               |
  |<------------------- 200 ----|
  |-- ACK, BYE ---------------->|
  |<------------------- 401 ----|
  |-- BYE with password ------->|
  |<------------------- 200 ----|
```
"""

from __future__ import annotations

import asyncio
import signal

import pytest

from tests.crash import facts
from tests.crash.test_killed_processes import next_call_works
from tests.functional.outgoing import Carrier
from tests.functional.raw_sip import RawMessage, sdp
from tests.functional.raw_trunk import RawTrunk
from tests.harness import Application, ServerProcess
from voiceblocks.sessions.state import SessionState

pytestmark = pytest.mark.asyncio(loop_scope="session")

ACCOUNT = {"username": "us", "password": "secret"}
STOP_LIMIT_S = 15.0


async def invited(app: Application, carrier: Carrier, trunk: RawTrunk) -> tuple[RawMessage, str]:
    """The INVITE of a call that nobody has answered, with its password, and its session."""
    session = (await app.dial(carrier.number()))["session"]
    return await trunk.next(method="INVITE"), session


async def restarted_by_force(server: ServerProcess) -> None:
    """All its processes are killed, and it runs again."""
    server.kill_all()
    await server.gone()
    await server.start()


def call_of(message: RawMessage) -> str:
    """Its Call-ID."""
    return message.header("Call-ID")


async def test_who_answers_after_a_crash_is_hung_up(
    server: ServerProcess, app: Application
) -> None:
    """With ACK and BYE, each repeat of the 200 with its ACK; the call costs nothing."""
    trunk = RawTrunk(server.sip, host="127.6.1.1")
    async with Carrier(app, trunk, **ACCOUNT) as carrier:
        invite, session = await invited(app, carrier, trunk)
        trunk.send(trunk.answer(invite, 180))
        await restarted_by_force(server)
        told = await app.told(ivr_block="dial", session=session)
        assert (told.body["call_state"], told.body["dial_status"]) == ("ended", "failed")
        answer = trunk.answer(invite, 200, body=sdp(trunk.port))
        trunk.send(answer)
        ack = await trunk.next(method="ACK", call=call_of(invite))
        assert ack.header("CSeq").split() == [invite.header("CSeq").split()[0], "ACK"]
        assert (ack.uri, ack.to_tag) == (f"sip:far@{trunk.address}", "far")
        bye = await trunk.next(method="BYE", call=call_of(invite))
        trunk.send(answer)
        again = await trunk.next(method="ACK", call=call_of(invite))
        assert again.raw == ack.raw
        with_password = await trunk.challenged_bye(bye)
        assert 'username="us"' in with_password.header("Authorization")
        found = await facts.facts_of(app, session)
        assert (found.session.state, found.charges) == (SessionState.ENDED, [])
    await next_call_works(app)


async def test_a_bye_after_a_crash_holds_the_trunks_password(
    server: ServerProcess, app: Application
) -> None:
    """A carrier that challenges each request would keep the call up, and its meter running."""
    trunk = RawTrunk(server.sip, host="127.6.1.2")
    async with Carrier(app, trunk, **ACCOUNT) as carrier:
        invite, _session = await invited(app, carrier, trunk)
        trunk.send(trunk.answer(invite, 200, body=sdp(trunk.port)))
        await trunk.next(method="ACK")
        await app.told(ivr_block="dial", call_state="ongoing")
        await restarted_by_force(server)
        bye = await trunk.next(method="BYE", call=call_of(invite))
        with_password = await trunk.challenged_bye(bye, status=407)
        assert 'username="us"' in with_password.header("Proxy-Authorization")


async def test_a_stop_waits_until_far_ends_know(server: ServerProcess, app: Application) -> None:
    """A lost CANCEL is sent again; an answer that crosses it is hung up; then the server goes."""
    trunk = RawTrunk(server.sip, host="127.6.1.3")
    async with Carrier(app, trunk, **ACCOUNT) as carrier:
        ringing, _session = await invited(app, carrier, trunk)
        silent, _session = await invited(app, carrier, trunk)
        while call_of(silent) == call_of(ringing):
            silent = await trunk.next(method="INVITE")
        trunk.send(trunk.answer(ringing, 180))
        assert server.process is not None
        server.process.send_signal(signal.SIGINT)
        await trunk.next(method="CANCEL", call=call_of(ringing))
        cancel = await trunk.next(method="CANCEL", call=call_of(ringing))
        trunk.send(trunk.answer(cancel, 200))
        trunk.send(trunk.answer(ringing, 200, body=sdp(trunk.port)))
        await trunk.next(method="ACK", call=call_of(ringing))
        bye = await trunk.next(method="BYE", call=call_of(ringing))
        await trunk.challenged_bye(bye)
        # Only one that has shown life can be cancelled (RFC 3261 9.1).
        trunk.send(trunk.answer(silent, 180))
        cancel = await trunk.next(method="CANCEL", call=call_of(silent))
        trunk.send(trunk.answer(cancel, 200))
        trunk.send(trunk.answer(silent, 487))
        await trunk.next(method="ACK", call=call_of(silent))
        async with asyncio.timeout(STOP_LIMIT_S):
            assert await server.process.wait() == 0
    await server.start()
