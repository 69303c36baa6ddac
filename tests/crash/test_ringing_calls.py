"""Phones that ring, here or there, when the server dies: they stop when it is back.

```
phone or carrier    server                 caller            server
  |<-- INVITE -------|                       |-- INVITE ------>|
  |--- 180 --------->|                       |<-- 180 ---------|
                 kill -9, restart                          kill -9, restart
  |<-- CANCEL -------|                       |<-- 503 ---------|
  |--- 200, 487 ---->|                       |--- ACK -------->|
  |<-- ACK ----------|
```
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from sqlalchemy import Connection

from tests.crash import facts
from tests.crash.test_killed_processes import next_call_works
from tests.crash.test_unanswered_calls import ACCOUNT, call_of, restarted_by_force
from tests.functional.calls import ringing
from tests.functional.outgoing import Carrier
from tests.functional.raw_sip import RawCall, RawMessage, RawPeer, new_branch, sdp
from tests.functional.raw_trunk import CHALLENGE, RawTrunk
from tests.harness import Application, ServerProcess
from tests.interop.peers import Sipp, until
from tests.interop.sipp_server import SippServer
from voiceblocks.database import further_legs, sessions
from voiceblocks.sessions.state import SessionState
from voiceblocks.testing.answering import RingForever
from voiceblocks.testing.phone import CallNotAnswered, Phone, PhoneCall
from voiceblocks.workflows.tell_story import tell_story

pytestmark = pytest.mark.asyncio(loop_scope="session")

SOON_S = 5.0
"From the server's readiness to the end of the ringing; 4 s of it where an answer was not noted."


async def noted(app: Application, session: str, n_phones: int) -> None:
    """Wait until so many ringing phones of a session are in the database: 50 ms, mostly."""

    def are_there(connection: Connection) -> bool:
        found = sessions.find(connection, session)
        assert found is not None
        legs = [found, *further_legs.list_of_session(connection, session)]
        ringing = [leg for leg in legs if leg.answered_us is None and leg.dialog is not None]
        return len(ringing) == n_phones

    await facts.until_in_database(app.server, are_there)


async def noted_with_tag(app: Application, session: str) -> None:
    """Wait until the database also has the early dialog of a raw trunk's 180."""

    def is_there(connection: Connection) -> bool:
        found = sessions.find(connection, session)
        return found is not None and "tag=far" in (found.dialog or "")

    await facts.until_in_database(app.server, is_there)


async def stops(call: PhoneCall) -> None:
    """A ringing phone is cancelled."""
    async with asyncio.timeout(SOON_S):
        await call.ended()
    assert call.end_cause == "cancelled"


async def stands_in_the_story(app: Application, session: str, *words: str) -> None:
    """What the next process said belongs to the call that it ended."""

    def is_told(connection: Connection) -> bool:
        story = tell_story(connection, session)
        assert story is not None
        told = [moment.what for moment in story.moments]
        return all(any(word in what for what in told) for word in words)

    await facts.until_in_database(app.server, is_told)


async def costs_nothing(app: Application, session: str) -> None:
    """Nobody picked up, so there is no charge, and nothing is held or remembered."""
    found = await facts.facts_of(app, session)
    assert found.session.state is SessionState.ENDED
    assert (found.charges, found.session.debit, found.session.held) == ([], 0, 0)
    assert found.session.dialog is None


# Phones that we ring


async def test_a_phone_that_we_dial_stops_ringing(server: ServerProcess, app: Application) -> None:
    """And the application hears why its dial came to nothing."""
    async with Carrier(app) as carrier:
        number = carrier.number(RingForever())
        session = (await app.dial(number))["session"]
        call = await carrier.call_to(number)
        await noted(app, session, 1)
        await restarted_by_force(server)
        await stops(call)
        told = (await app.told(ivr_block="dial", session=session)).body
        assert (told["call_state"], told["dial_status"]) == ("ended", "failed")
        assert (told["call_end"], told["debit"]) == ("server_restart", "0.000")
        await costs_nothing(app, session)
        await stands_in_the_story(app, session, "SIP CANCEL sent", "SIP 487", "SIP ACK sent")
    await next_call_works(app)


async def test_the_supervisors_restart_stops_it_too(
    server: ServerProcess, app: Application
) -> None:
    """The control process alone dies, and another takes its place by itself."""
    async with Carrier(app) as carrier:
        number = carrier.number(RingForever())
        session = (await app.dial(number))["session"]
        call = await carrier.call_to(number)
        await noted(app, session, 1)
        facts.kill(server.pids()["server"][0])
        await server.next_ready_line()
        await stops(call)
        await app.told(ivr_block="dial", session=session, call_state="ended")


async def test_all_numbers_of_a_transfer_stop_ringing(
    server: ServerProcess, app: Application, phone: Phone
) -> None:
    """The caller is hung up and pays for its own leg alone."""
    async with Carrier(app) as carrier:
        numbers = [carrier.number(RingForever()) for _ in range(2)]
        caller, session = await ringing(app, phone)
        await app.transfer(session, ",".join(numbers))
        await caller.answered()
        rung = [await carrier.call_to(number) for number in numbers]
        await noted(app, session, 2)
        await restarted_by_force(server)
        for call in rung:
            await stops(call)
        async with asyncio.timeout(SOON_S):
            await caller.ended()
        assert caller.end_cause == "peer_hung_up"
        told = (await app.told(ivr_block="transfer", session=session)).body
        assert (told["transfer_status"], told["call_end"]) == ("failed", "server_restart")
        found = await facts.facts_of(app, session)
        assert [charge.id for charge in found.charges] == [f"chg_{session}_1"]


async def test_both_kinds_of_calls_that_nobody_drives_stop_ringing(
    server: ServerProcess, app: Application
) -> None:
    """The first number of a `voice/call`, and everybody who was called into a conference."""
    async with Carrier(app) as carrier:
        numbers = [carrier.number(RingForever()) for _ in range(4)]
        refs = [await app.call(*numbers[:2], notify_url=app.url())]
        refs += await app.conference(*numbers[2:], notify_url=app.url())
        rung = [await carrier.call_to(number) for number in (numbers[0], *numbers[2:])]
        found = await facts.in_database(
            server, lambda c: [sessions.find_by_txn_ref(c, ref) for ref in refs]
        )
        for session in found:
            assert session is not None
            await noted(app, session.id, 1)
        await restarted_by_force(server)
        for call in rung:
            await stops(call)
        for ref in refs:
            told = (await app.told(txn_ref=ref)).body
            assert (told["call_end"], told["debit"]) == ("server_restart", "0.000")


async def test_the_cancel_is_that_of_the_invite_with_the_password(
    server: ServerProcess, app: Application
) -> None:
    """Everything that RFC 3261 9.1 asks for, as a foreign carrier compares it; 487 gets its ACK."""
    trunk = RawTrunk(server.sip, host="127.6.2.1")
    async with Carrier(app, trunk, **ACCOUNT) as carrier:
        session = (await app.dial(carrier.number()))["session"]
        first = await trunk.next(method="INVITE")
        trunk.send(trunk.answer(first, 407, [("Proxy-Authenticate", CHALLENGE)]))
        await trunk.next(method="ACK", call=call_of(first))
        invite = await trunk.next(method="INVITE", call=call_of(first))
        while invite.header("CSeq") == first.header("CSeq"):
            invite = await trunk.next(method="INVITE", call=call_of(first))
        trunk.send(trunk.answer(invite, 180))
        await noted_with_tag(app, session)
        await restarted_by_force(server)
        cancel = await trunk.next(method="CANCEL", call=call_of(invite))
        assert cancel.uri == invite.uri
        for name in ("Via", "Route", "From", "To", "Call-ID"):
            assert cancel.headers(name) == invite.headers(name)
        assert cancel.header("CSeq").split() == [invite.header("CSeq").split()[0], "CANCEL"]
        trunk.send(trunk.answer(cancel, 200))
        refusal = trunk.answer(invite, 487)
        trunk.send(refusal)
        ack = await trunk.next(method="ACK", call=call_of(invite))
        assert ack.header("Via") == invite.header("Via")
        await app.told(ivr_block="dial", session=session, call_state="ended")
        await costs_nothing(app, session)


async def cancelled(
    app: Application, carrier: Carrier, trunk: RawTrunk
) -> tuple[str, RawMessage, RawMessage]:
    """A dial that rang when the server died: its session, its INVITE, and the CANCEL."""
    session = (await app.dial(carrier.number()))["session"]
    invite = await trunk.next(method="INVITE")
    trunk.send(trunk.answer(invite, 180))
    await noted_with_tag(app, session)
    await restarted_by_force(app.server)
    return session, invite, await trunk.next(method="CANCEL", call=call_of(invite))


async def test_who_picks_up_before_the_cancel_is_hung_up(
    server: ServerProcess, app: Application
) -> None:
    """ACK and BYE at once, the 200 that is repeated gets its ACK alone; nothing is charged."""
    trunk = RawTrunk(server.sip, host="127.6.2.2")
    async with Carrier(app, trunk) as carrier:
        session, invite, cancel = await cancelled(app, carrier, trunk)
        answer = trunk.answer(invite, 200, body=sdp(trunk.port))
        trunk.send(answer)
        trunk.send(trunk.answer(cancel, 200))
        ack = await trunk.next(method="ACK", call=call_of(invite))
        bye = await trunk.next(method="BYE", call=call_of(invite))
        assert (bye.uri, bye.to_tag) == (f"sip:far@{trunk.address}", "far")
        trunk.send(answer)
        assert (await trunk.next(method="ACK", call=call_of(invite))).raw == ack.raw
        trunk.send(trunk.answer(bye, 200))
        told = (await app.told(ivr_block="dial", session=session)).body
        assert (told["dial_status"], told["debit"]) == ("failed", "0.000")
        await costs_nothing(app, session)


async def test_an_answer_that_was_not_noted_any_more_is_hung_up(
    server: ServerProcess, app: Application
) -> None:
    """It had our ACK in the last milliseconds: its INVITE is over, its early dialog is known."""
    trunk = RawTrunk(server.sip, host="127.6.2.3")
    async with Carrier(app, trunk) as carrier:
        session, invite, cancel = await cancelled(app, carrier, trunk)
        trunk.send(trunk.answer(cancel, 481))
        bye = await trunk.next(method="BYE", call=call_of(invite), within_s=SOON_S)
        assert (bye.uri, bye.to_tag) == (f"sip:far@{trunk.address}", "far")
        trunk.send(trunk.answer(bye, 200))
        await costs_nothing(app, session)


@pytest.mark.interop
async def test_a_ringing_sipp_is_cancelled(
    server: ServerProcess, app: Application, tmp_path: Path
) -> None:
    """A foreign far end finds its INVITE by our CANCEL, and has its 487 acknowledged."""
    prefix = "+65812340"
    async with SippServer("called_and_cancelled", tmp_path) as sipp:
        await server.add_trunk("ringing", sipp.address, prefix=(prefix,))
        await app.allow(prefix)
        session = (await app.dial(f"{prefix}01"))["session"]
        await until(lambda: "-> 180 INVITE" in sipp.sequence(), SOON_S, "it rings")
        await noted(app, session, 1)
        await restarted_by_force(server)
        await sipp.passed()
        assert sipp.sequence() == [
            "<- INVITE", "-> 180 INVITE", "<- CANCEL", "-> 200 CANCEL", "-> 487 INVITE", "<- ACK",
        ]  # fmt: skip


# Callers who hear ringing


async def test_a_caller_stops_hearing_ringing(
    server: ServerProcess, app: Application, phone: Phone
) -> None:
    """Its application hears of the end."""
    call, session = await ringing(app, phone)
    await call.ringing()
    await restarted_by_force(server)
    async with asyncio.timeout(SOON_S):
        with pytest.raises(CallNotAnswered, match="503"):
            await call.answered()
    told = (await app.told(ivr_block="answer", session=session, call_state="ended")).body
    assert (told["call_end"], told["debit"]) == ("server_restart", "0.000")
    await costs_nothing(app, session)
    await stands_in_the_story(app, session, "SIP 503", "SIP ACK received")
    await next_call_works(app)


async def test_the_refusal_is_repeated_until_its_ack(
    server: ServerProcess, app: Application
) -> None:
    """On UDP, with the tag of the 180, also for an INVITE that comes again; the ACK ends it."""
    async with RawPeer(server.sip) as peer:
        call = RawCall(peer, app.number)
        peer.send(call.invite())
        rings = await peer.next(status=180)
        await restarted_by_force(server)
        refusal = await peer.next(status=503, within_s=SOON_S)
        assert refusal.to_tag == rings.to_tag
        assert refusal.headers("Via") == rings.headers("Via")
        assert refusal.header("CSeq") == "1 INVITE"
        assert refusal.headers("Retry-After") == []
        assert (await peer.next(status=503)).raw == refusal.raw
        peer.send(call.invite())
        assert (await peer.next(status=503)).raw == refusal.raw
        peer.send(call.ack_refusal(refusal))
        # An answer to something else says that the ACK was read.
        await peer.options()
        await peer.quiet(4.5)


@pytest.mark.interop
async def test_a_sipp_that_hears_ringing_is_refused(
    server: ServerProcess, app: Application, tmp_path: Path
) -> None:
    """A foreign caller takes the answer of the next process for that of its INVITE."""
    fill = {"STATUS": "503"}
    async with Sipp("refused", server.sip, app.number, tmp_path, fill=fill) as sipp:
        await app.told(ivr_block="answer", call_state="ringing")
        await until(lambda: "<- 180 INVITE" in sipp.sequence(), SOON_S, "it hears ringing")
        await restarted_by_force(server)
        await sipp.passed()
        assert sipp.sequence() == [
            "-> INVITE", "<- 100 INVITE", "<- 180 INVITE", "<- 503 INVITE", "-> ACK",
        ]  # fmt: skip


@dataclass
class Listener:
    """Where a caller on TCP takes connections, by the port of its Via."""

    port: int
    came: asyncio.Queue[bytes] = field(default_factory=asyncio.Queue)
    "What was read, in order."
    writers: list[asyncio.StreamWriter] = field(default_factory=list)


@asynccontextmanager
async def listening() -> AsyncIterator[Listener]:
    """One on a free port."""
    made = Listener(0)

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        made.writers.append(writer)
        while head := await reader.read(65536):
            made.came.put_nowait(head)

    server = await asyncio.start_server(take, "127.0.0.1", 0)
    made.port = server.sockets[0].getsockname()[1]
    try:
        yield made
    finally:
        for writer in made.writers:
            writer.close()
        server.close()


async def test_a_caller_on_tcp_is_refused_by_a_new_connection(
    server: ServerProcess, app: Application
) -> None:
    """Its own died with the process: RFC 3261 18.2.2, to its address by the port of its Via."""
    async with listening() as listener, RawPeer(server.sip, "tcp") as peer:
        call = RawCall(peer, app.number)
        via = f"SIP/2.0/TCP 127.0.0.1:{listener.port};branch={call.invite_branch}"
        peer.send(call.invite(instead=[("Via", via)]))
        rings = await peer.next(status=180)
        await restarted_by_force(server)
        await asyncio.wait_for(peer.closed.wait(), SOON_S)
        async with asyncio.timeout(SOON_S):
            refusal = RawMessage(await listener.came.get(), 0.0)
        assert refusal.status == 503
        assert (refusal.to_tag, refusal.header("Via")) == (rings.to_tag, via)
        ack = call.request("ACK", cseq=1, instead=[("Via", via), ("To", refusal.header("To"))])
        listener.writers[0].write(ack.encode())
        await app.told(ivr_block="answer", call_state="ended")


async def test_a_caller_on_tcp_who_takes_no_connection_keeps_nobody(
    server: ServerProcess, app: Application, phone: Phone
) -> None:
    """It knows by the loss of its connection, as our phone does; the node goes on."""
    call, session = await ringing(app, phone, transport="tcp")
    await restarted_by_force(server)
    with pytest.raises(CallNotAnswered):
        await call.answered()
    await app.told(ivr_block="answer", session=session, call_state="ended")
    await next_call_works(app)


async def test_a_caller_whose_answer_was_not_noted_is_hung_up(
    server: ServerProcess, app: Application, phone: Phone
) -> None:
    """
    The 200 left, and the process died in the milliseconds before its commit: BYE, no charge.

    That commit is taken back here, since no kill hits it for sure.
    """
    call, session = await ringing(app, phone)

    def dialog_of(connection: Connection) -> str | None:
        found = sessions.find(connection, session)
        return found and found.dialog

    unanswered = await facts.in_database(server, dialog_of)
    assert unanswered is not None
    await app.block("ivr/middle/hold", session, notify_url=app.url())
    await call.answered()

    def is_noted(connection: Connection) -> bool:
        found = sessions.find(connection, session)
        return found is not None and found.answered_us is not None

    await facts.until_in_database(server, is_noted)
    server.kill_all()
    await server.gone()
    await facts.in_database(
        server,
        lambda c: sessions.update(
            c, session, answered_us=None, dialog=unanswered, metered_us=None, paid_until_us=None
        ),
    )
    await server.start()
    async with asyncio.timeout(SOON_S):
        await call.ended()
    assert call.end_cause == "peer_hung_up"
    await costs_nothing(app, session)


async def test_an_invite_that_comes_again_after_all_is_a_call(
    server: ServerProcess, app: Application
) -> None:
    """Another INVITE of the caller, after it was refused: nothing of the old one is in its way."""
    async with RawPeer(server.sip) as peer:
        call = RawCall(peer, app.number)
        peer.send(call.invite())
        await peer.next(status=180)
        await restarted_by_force(server)
        refusal = await peer.next(status=503, within_s=SOON_S)
        peer.send(call.ack_refusal(refusal))
        again = RawCall(peer, app.number)
        again.invite_branch = new_branch()
        peer.send(again.invite())
        await peer.next(status=180, call=again.call_id)
        peer.send(again.cancel())
        final = await peer.next(status=487, call=again.call_id)
        peer.send(again.ack_refusal(final))
