"""4,000 damaged messages: no exception, and no memory of them."""

from __future__ import annotations

import random

import pytest

from tests.unit.sip.peers import (
    FLOW,
    OUR_SDP,
    SDP,
    Agent,
    RawPeer,
    confirmed_call,
    response_to,
)
from tests.unit.sip.test_outgoing_calls import place
from voiceblocks.sip.events import InviteReceived, OfferReceived

SPLICES = (
    b"",
    b"\r\n",
    b"\r\n\r\n",
    b"\x00",
    b"\xff\xfe",
    b"<",
    b">",
    b'"',
    b";",
    b",",
    b"=",
    b"%",
    b"@",
    b":",
    b" ",
    b"9" * 40,
    b"A" * 3000,
    b";tag=",
    b"z9hG4bK",
    b"SIP/2.0",
    b"Via: SIP/2.0/UDP x\r\n",
    b"Require: 100rel\r\n",
    b"sip:",
    b"tel:",
    b"*",
    b"CANCEL",
    b"ACK",
    b"-1",
    b"4294967296",
)


def damaged(data: bytes, source: random.Random) -> bytes:
    """One to four small accidents."""
    for _ in range(source.randint(1, 4)):
        at = source.randrange(len(data) + 1)
        end = min(len(data), at + source.choice((0, 1, 1, 3, 10, 60)))
        match source.randrange(5):
            case 0:
                data = data[:at] + source.choice(SPLICES) + data[end:]
            case 1:
                data = (
                    data[:at] + bytes(source.randrange(256) for _ in range(end - at)) + data[end:]
                )
            case 2:
                data = data[:at] + data[end:]
            case 3:
                lines = data.split(b"\r\n")
                source.shuffle(lines)
                data = b"\r\n".join(lines)
            case _:
                lines = data.split(b"\r\n")
                line = source.randrange(len(lines))
                lines.insert(line, lines[source.randrange(len(lines))])
                data = b"\r\n".join(lines)
    return data


def traffic(agent: Agent, number: int) -> list[bytes]:
    """Valid messages of every kind, towards dialogs that exist and others."""
    peer = RawPeer(f"fuzz{number}")
    confirmed_call(agent, peer)
    stranger = RawPeer(f"new{number}")
    _, invite = place(agent)
    messages = [
        stranger.invite(),
        stranger.invite(headers=("Require: 100rel",), branch=f"old{number}"),
    ]
    messages += [stranger.request("CANCEL", branch=f"z9hG4bK-new{number}-invite-1"), stranger.ack()]
    messages += [response_to(invite, status, body=SDP) for status in (100, 180, 183, 200)]
    messages += [response_to(invite, status) for status in (302, 401, 407, 422, 486, 491)]
    messages += [
        peer.request(method, cseq=2, branch=f"z9hG4bK-{method}{number}", headers=headers, body=body)
        for method, headers, body in (
            ("INFO", (), b"Signal=1"),
            ("OPTIONS", (), b""),
            ("UPDATE", ("Session-Expires: 200;refresher=uac", "Supported: timer"), SDP),
            ("PRACK", ("RAck: 1 1 INVITE",), b""),
            ("INVITE", ("Record-Route: <sip:192.0.2.9;lr>",), SDP),
            ("REGISTER", (), b""),
            ("BYE", (), b""),
        )
    ]
    return messages


@pytest.mark.parametrize("seed", range(8))
def test_damaged_messages_raise_nothing_and_leave_nothing(seed: int) -> None:
    """500 mutations for each of 8 seeds, with the clock running; then all state ends."""
    source = random.Random(seed)
    agent = Agent(seed=seed)
    messages: list[bytes] = []
    for number in range(500):
        if number % 20 == 0:
            # Damaged BYEs and refusals end the dialogs again and again.
            agent.events()
            messages = traffic(agent, number)
        agent.ua.receive_message(damaged(source.choice(messages), source), FLOW, agent.now)
        agent.take()
        for event in agent.events():
            if isinstance(event, InviteReceived):
                agent.ua.refuse(event.leg, 404, agent.now)
            elif isinstance(event, OfferReceived):
                agent.ua.answer_offer(event.leg, OUR_SDP, agent.now)
        agent.take()
        agent.wait(source.random() * 0.2)
        assert agent.ua.transaction_count < 400
    for leg in list(agent.ua._core.legs):
        agent.ua.hang_up(leg, agent.now)
    agent.wait(500)
    agent.events()
    agent.assert_nothing_left()


def test_random_bytes_are_ignored() -> None:
    """Noise gets neither answer nor memory."""
    source = random.Random(5)
    agent = Agent()
    for length in (0, 1, 4, 20, 500, 65_000):
        for _ in range(20):
            assert agent.hear(source.randbytes(length)) == []
    agent.assert_nothing_left()
