"""Test peers: a user agent with a clock of its own making, and a raw peer that says anything."""

from __future__ import annotations

import random
import string
from collections.abc import Sequence

from voiceblocks.sip.events import Event
from voiceblocks.sip.flow import Flow
from voiceblocks.sip.message import SipRequest, SipResponse, parse_message
from voiceblocks.sip.source_guard import SourceGuard
from voiceblocks.sip.user_agent import UserAgent, UserAgentConfig

US = ("192.0.2.1", 5060)
THEM = ("192.0.2.9", 5062)
FLOW = Flow("udp", US, THEM)
TCP_FLOW = Flow("tcp", US, ("192.0.2.9", 41000), 7)
SDP = (
    b"v=0\r\no=- 1 1 IN IP4 192.0.2.9\r\ns=-\r\nc=IN IP4 192.0.2.9\r\n"
    b"t=0 0\r\nm=audio 4000 RTP/AVP 0\r\n"
)
OUR_SDP = SDP.replace(b"192.0.2.9", b"192.0.2.1")


def seeded_text(seed: int):
    """A `random_text` that gives the same in each run."""
    source = random.Random(seed)
    alphabet = string.ascii_lowercase + string.digits
    return lambda length: "".join(source.choice(alphabet) for _ in range(length))


class Agent:
    """A `UserAgent` with its clock, and all that it said."""

    def __init__(
        self,
        address: tuple[str, int] = US,
        *,
        seed: int = 1,
        guard: SourceGuard | None = None,
        **settings,
    ) -> None:
        config = UserAgentConfig("voiceblocks", address, **settings)
        self.ua = UserAgent(config, seeded_text(seed), guard)
        self.now = 1000.0
        self.log: list[tuple[float, SipRequest | SipResponse, Flow]] = []

    def take(self) -> list[SipRequest | SipResponse]:
        """What it sends now, parsed."""
        messages = []
        for data, flow in self.ua.messages_to_send():
            message = parse_message(data)
            self.log.append((self.now, message, flow))
            messages.append(message)
        return messages

    def hear(self, data: bytes, flow: Flow = FLOW) -> list[SipRequest | SipResponse]:
        """Give it a message, and take its reply."""
        self.ua.receive_message(data, flow, self.now)
        return self.take()

    def events(self) -> list[Event]:
        """All events so far."""
        found = []
        while (event := self.ua.next_event()) is not None:
            found.append(event)
        return found

    def event(self) -> Event:
        """The only event so far."""
        (event,) = self.events()
        return event

    def wait(self, seconds: float) -> list[SipRequest | SipResponse]:
        """Let time pass, deadline by deadline; give what was sent meanwhile."""
        end = self.now + seconds
        sent = self.take()
        while (deadline := self.ua.next_deadline()) is not None and deadline <= end:
            self.now = max(self.now, deadline)
            self.ua.handle_deadline(self.now)
            sent += self.take()
        self.now = end
        return sent

    def assert_nothing_left(self) -> None:
        """Let the transactions of a finished call run out: nothing may stay."""
        self.wait(200)
        assert self.ua.leg_count == 0
        assert self.ua.transaction_count == 0
        assert self.ua.next_deadline() is None


class RawPeer:
    """Writes the messages of one dialog by hand, as the side with THEM's address."""

    def __init__(
        self, call_id: str = "call-1", transport: str = "UDP", from_tag: str = "theirs"
    ) -> None:
        self.call_id = call_id
        self.transport = transport
        self.from_tag = from_tag
        self.to_tag: str | None = None
        self.cseq = 1
        self.branches = 0

    def request(
        self,
        method: str,
        *,
        cseq: int | None = None,
        branch: str | None = None,
        headers: Sequence[str] = (),
        body: bytes = b"",
        content_type: str = "application/sdp",
        uri: str = "sip:voiceblocks@192.0.2.1:5060",
        contact: str | None = "<sip:caller@192.0.2.9:5062>",
        to_tag: str | None = "auto",
    ) -> bytes:
        """One request; its To tag is what a response last brought."""
        if branch is None:
            self.branches += 1
            branch = f"z9hG4bK-{self.call_id}-{method}-{self.branches}"
        if cseq is None:
            cseq = self.cseq
        tag = self.to_tag if to_tag == "auto" else to_tag
        lines = [
            f"{method} {uri} SIP/2.0",
            f"Via: SIP/2.0/{self.transport} 192.0.2.9:5062;branch={branch};rport",
            "Max-Forwards: 70",
            f"From: <sip:+6591110000@192.0.2.9>;tag={self.from_tag}",
            "To: <sip:+6531580000@192.0.2.1>" + (f";tag={tag}" if tag else ""),
            f"Call-ID: {self.call_id}",
            f"CSeq: {cseq} {method}",
            *headers,
        ]
        if contact is not None:
            lines.append(f"Contact: {contact}")
        if body:
            lines.append(f"Content-Type: {content_type}")
        lines.append(f"Content-Length: {len(body)}")
        return "\r\n".join(lines).encode() + b"\r\n\r\n" + body

    def invite(self, **settings) -> bytes:
        """An INVITE with an offer."""
        settings.setdefault("body", SDP)
        settings.setdefault("branch", f"z9hG4bK-{self.call_id}-invite-{self.cseq}")
        return self.request("INVITE", **settings)

    def ack(self, **settings) -> bytes:
        """The ACK of a 2xx."""
        return self.request("ACK", **settings)

    def ack_of_refusal(self, response: SipResponse) -> bytes:
        """The ACK that belongs to the INVITE's transaction."""
        branch = f"z9hG4bK-{self.call_id}-invite-{self.cseq}"
        return self.request("ACK", branch=branch, to_tag=response.to_tag)

    def next(self, method: str, **settings) -> bytes:
        """The next request in the dialog."""
        self.cseq += 1
        return self.request(method, **settings)


def response_to(
    request: SipRequest,
    status: int,
    *,
    tag: str | None = "callee",
    headers: Sequence[tuple[str, str]] = (),
    body: bytes = b"",
    contact: str | None = "<sip:callee@192.0.2.9:5062>",
    reason: str = "Reason",
) -> bytes:
    """A peer's response to a request of ours."""
    echoed = [
        (name, value)
        for name, value in request.headers
        if name in ("Via", "From", "Call-ID", "CSeq")
    ]
    response = SipResponse(status, reason)
    response.headers.extend(echoed)
    to = request.headers.get("To") or ""
    has_tag = request.to_tag is not None or tag is None
    response.headers.add("To", to if has_tag else f"{to};tag={tag}")
    if contact is not None and 100 < status < 300:
        response.headers.add("Contact", contact)
    response.headers.extend(headers)
    if body:
        response.headers.add("Content-Type", "application/sdp")
        response.body = body
    return response.serialize()


def statuses(messages: Sequence[SipRequest | SipResponse]) -> list[int | str]:
    """Status of each response, method of each request."""
    return [m.status if isinstance(m, SipResponse) else m.method for m in messages]


def incoming_call(agent: Agent, peer: RawPeer, **settings) -> int:
    """A call that waits for its answer; gives the leg."""
    agent.hear(peer.invite(**settings))
    return agent.event().leg


def confirmed_call(agent: Agent, peer: RawPeer, **settings) -> int:
    """A call that was answered and acknowledged; gives the leg."""
    leg = incoming_call(agent, peer, **settings)
    agent.ua.answer(leg, OUR_SDP, agent.now)
    (ok,) = agent.take()
    peer.to_tag = ok.to_tag
    agent.hear(peer.ack())
    agent.events()
    return leg
