"""A phone: a real SIP and RTP user agent for tests, the demo and the command line.

It speaks SIP with our own core and RTP with its own small loop. What it hears it keeps,
so that a test can say which second was lost, doubled or shifted.

    async with Phone() as phone:
        call = await phone.call("sip:+6531580000@127.0.0.1:5060")
        await call.answered()
        await call.media.beep_ended()
        await call.media.say(samples)
        await call.media.press("#")
        await call.ended()

It takes calls, too, in the way that it is told (`answering`):

    async with Phone(answering=Answer(rings=2)) as phone:
        ...                                     # give `phone.sip_uri` to whoever shall call it
        call = await phone.incoming(timeout_s=5)
        assert call.header("P-Asserted-Identity") == "<sip:+6531580000@voice.example>"
        await call.answered()
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from voiceblocks.clock import Clock
from voiceblocks.engine.sip_endpoint import SipEndpoint
from voiceblocks.errors import RemoteSipError
from voiceblocks.sdp.negotiation import EVENT_PAYLOAD_TYPE, LocalMedia
from voiceblocks.sip.events import Event, InviteReceived
from voiceblocks.sip.flow import Flow
from voiceblocks.sip.message import SipRequest, parse_message
from voiceblocks.sip.uri import SipUri
from voiceblocks.system_clock import SystemClock
from voiceblocks.testing.answering import Answer, AnswerAtCancel, Behaviour, Dead
from voiceblocks.testing.digest_server import DigestServer, Verdict
from voiceblocks.testing.impairments import Impairments
from voiceblocks.testing.phone_call import CallNotAnswered, PhoneCall
from voiceblocks.testing.phone_media import PhoneMedia

__all__ = ["CallNotAnswered", "Phone", "PhoneCall", "ReceivedRequest"]


@dataclass(frozen=True, slots=True)
class ReceivedRequest:
    """A SIP request as it arrived; repetitions stand on their own."""

    at_s: float
    "Monotonic seconds."
    request: SipRequest
    source: tuple[str, int]


class Phone:
    """
    One phone on one address.

    Args:
        host: Local address for SIP and RTP.
        number: What it calls itself.
        port: Of SIP; a free one if 0.
        answering: What it does with calls that come in; may be changed at any time.
        digest: Asks callers for credentials first; a wrong password gets 403.
        codecs: What it takes from an offer.
        telephone_event: Whether it takes RFC 4733 digits; without them keys are tones in the
            audio (`keypad`), or INFO.
        clock: Of this machine if omitted.
        new_media: Makes the media of a call, as `PhoneMedia` does.
    """

    def __init__(
        self,
        host: str = "127.0.0.1",
        number: str = "+6591234567",
        *,
        port: int = 0,
        answering: Behaviour | None = None,
        digest: DigestServer | None = None,
        codecs: tuple[str, ...] = ("PCMU", "PCMA"),
        telephone_event: bool = True,
        clock: Clock | None = None,
        new_media: Callable[..., PhoneMedia] = PhoneMedia,
    ) -> None:
        self.number = number
        self._new_media = new_media
        self.telephone_event = telephone_event
        self.answering: Behaviour = answering or Answer()
        self.digest = digest
        self.codecs = codecs
        self.requests: list[ReceivedRequest] = []
        "Every request that came, in order, whatever became of it."
        self.deaf = False
        "While it is set, no request is answered: the network is gone, for SIP."
        self._host = host
        self._calls: dict[int, PhoneCall] = {}
        self._open: list[PhoneCall] = []
        self._unseen: list[PhoneCall] = []
        self._arrived = asyncio.Event()
        self._taking: set[asyncio.Task[None]] = set()
        self.endpoint = _Endpoint(
            host=host,
            port=port,
            clock=clock or SystemClock(),
            guard=None,
            user="phone",
            on_event=self._on_event,
            on_request=self._on_request,
        )

    async def __aenter__(self) -> Self:
        """Open the SIP sockets."""
        await self.endpoint.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Hang up what is still up, and close everything."""
        await asyncio.gather(*self._taking)
        await asyncio.gather(*(call.close() for call in self._open))
        await self.endpoint.stop()

    @property
    def address(self) -> str:
        """`HOST:PORT` of its SIP, UDP and TCP."""
        host, port = self.endpoint.address
        return f"{host}:{port}"

    @property
    def sip_uri(self) -> str:
        """Under which it is called directly."""
        return f"sip:{self.number}@{self.address}"

    async def call(
        self,
        target: str,
        *,
        from_number: str | None = None,
        transport: str = "udp",
        codecs: tuple[str, ...] = ("PCMU", "PCMA"),
        ptime_ms: int = 20,
        impairments: Impairments | None = None,
        late_offer: bool = False,
        headers: Sequence[tuple[str, str]] = (),
        credentials: tuple[str, str] | None = None,
    ) -> PhoneCall:
        """
        Place a call; returns at once, see `PhoneCall.answered`.

        Args:
            target: Such as `sip:+6531580000@127.0.0.1:5060`.
            from_number: Who it says it is; its own number if omitted.
            transport: `"udp"` or `"tcp"`.
            codecs: What it offers, in this order.
            ptime_ms: Duration of the packets that it sends.
            impairments: What happens to its RTP on the way.
            late_offer: Whether the INVITE has no SDP.
            headers: More header lines of the INVITE, such as P-Asserted-Identity.
            credentials: User name and password, where the other side asks for them.
        """
        uri = SipUri.parse(target)
        host, port = uri.host, uri.port or 5060
        flow = (
            await self.endpoint.connect(host, port)
            if transport == "tcp"
            else self.endpoint.flow_to(host, port)
        )
        event_type = EVENT_PAYLOAD_TYPE if self.telephone_event else None
        media = self._new_media(
            codec=codecs[0],
            event_payload_type=event_type,
            ptime_ms=ptime_ms,
            impairments=impairments,
        )
        local_host, local_port = await media.bind(self._host)
        local = LocalMedia(
            host=local_host,
            port=local_port,
            session_id=1,
            session_version=0,
            codecs=codecs,
            telephone_event=self.telephone_event,
            ptime_ms=ptime_ms,
        )
        call = PhoneCall(self, media, local, ptime_ms, late_offer=late_offer)
        offer = None if late_offer else call.offer
        caller = f"<sip:{from_number or self.number}@{self._host}>"
        call.leg = self.endpoint.run(
            lambda ua, now: ua.call(
                target=target, from_=caller, to=f"<{target}>", flow=flow, sdp=offer, now=now,
                headers=headers, credentials=credentials,
            )
        )  # fmt: skip
        self._calls[call.leg] = call
        self._open.append(call)
        return call

    async def incoming(self, timeout_s: float = 10.0, number: str | None = None) -> PhoneCall:
        """
        Return the oldest call that came in and was not returned before.

        It may be answered, refused or even over by then, as `answering` says.

        Args:
            timeout_s: How long to wait for one.
            number: Only a call to this number; plus and leading zeros do not count.

        Raises:
            TimeoutError: If none came; its text says which requests did.
        """

        def find() -> PhoneCall | None:
            for call in self._unseen:
                if number is None or same_number(call.dialled, number):
                    return call
            return None

        try:
            async with asyncio.timeout(timeout_s):
                while (found := find()) is None:
                    self._arrived.clear()
                    await self._arrived.wait()
        except TimeoutError:
            came = [f"{one.request.method} {one.request.uri}" for one in self.requests]
            raise TimeoutError(
                f"no call to {number or 'any number'} within {timeout_s} s; received: {came}"
            ) from None
        self._unseen.remove(found)
        return found

    def invites(self) -> list[SipRequest]:
        """The INVITEs that began something, in order, those that were challenged included."""
        return [
            one.request
            for one in self.requests
            if one.request.method == "INVITE" and one.request.to_tag is None
        ]

    def behaviour_for(self, request: SipRequest) -> Behaviour:
        """What becomes of this INVITE; `FakeTrunk` asks its routes."""
        return self.answering

    # From the SIP core

    def _on_request(self, request: SipRequest, flow: Flow) -> bool:
        """See every request before the core does; whether it goes there."""
        now = asyncio.get_running_loop().time()
        self.requests.append(ReceivedRequest(now, request, flow.remote))
        if self.deaf:
            return False
        if request.method == "CANCEL" and isinstance(self.behaviour_for(request), AnswerAtCancel):
            for call in self._open:
                if call.request is not None and call.request.call_id == request.call_id:
                    call.answer()
        starts = request.method in {"INVITE", "CANCEL"} and request.to_tag is None
        return not (starts and isinstance(self.behaviour_for(request), Dead))

    def _on_event(self, event: Event) -> None:
        if isinstance(event, InviteReceived):
            self._consider(event)
            return
        leg = getattr(event, "leg", None)
        call = self._calls.get(leg) if leg is not None else None
        if call is not None:
            call.on_event(event)

    def _consider(self, event: InviteReceived) -> None:
        """Ask for credentials where they are wanted; then the call is taken."""
        verdict = Verdict.RIGHT if self.digest is None else self.digest.judge(event.request)
        if self.digest is None or verdict is Verdict.RIGHT:
            self._take(event)
            return
        status, headers = 403, list[tuple[str, str]]()
        if verdict is not Verdict.WRONG:
            status = self.digest.status
            headers = [self.digest.challenge(stale=verdict is Verdict.STALE)]
        # Events may give commands: the endpoint sends what follows when this one is done.
        self.endpoint.try_run(lambda ua, now: ua.refuse(event.leg, status, now, headers=headers))

    def _take(self, event: InviteReceived) -> None:
        # The call exists at once, so that a CANCEL right behind the INVITE finds it.
        media = self._new_media(codec=self.codecs[0], event_payload_type=None)
        host, port = media.reserve(self._host)
        local = LocalMedia(
            host, port, 1, 0, codecs=self.codecs, telephone_event=self.telephone_event
        )
        call = PhoneCall(self, media, local, 20, request=event.request, remote_offer=event.offer)
        call.leg = event.leg
        self._calls[event.leg] = call
        self._open.append(call)
        task = asyncio.get_running_loop().create_task(self._begin(call))
        self._taking.add(task)
        task.add_done_callback(self._taking.discard)

    async def _begin(self, call: PhoneCall) -> None:
        await call.media.bind(self._host)
        self._unseen.append(call)
        self._arrived.set()
        assert call.request is not None
        call.behave(self.behaviour_for(call.request))


def same_number(one: str, other: str) -> bool:
    """Whether two numbers differ by no more than plus and leading zeros."""
    return one.lstrip("+0") == other.lstrip("+0")


class _Endpoint(SipEndpoint):
    """Shows each request to its owner, who may keep it from the core."""

    def __init__(self, *, on_request: Callable[[SipRequest, Flow], bool], **options: Any) -> None:
        super().__init__(**options)
        self._on_request = on_request

    def _message(self, data: bytes, flow: Flow) -> None:
        try:
            message = parse_message(data)
        except RemoteSipError:
            message = None
        if not isinstance(message, SipRequest) or self._on_request(message, flow):
            super()._message(data, flow)

    def send(self, data: bytes, flow: Flow) -> None:
        """Send a message past the core."""
        self._send(data, flow)
