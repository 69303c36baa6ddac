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
"""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Self

from voiceblocks.engine.sip_endpoint import SipEndpoint
from voiceblocks.errors import PeerError
from voiceblocks.sdp.negotiation import LocalMedia, build_offer, negotiate, read_answer
from voiceblocks.sip.dtmf_info import RELAY_TYPE, write_digit
from voiceblocks.sip.events import (
    Answered,
    CallFailed,
    Event,
    LegEnded,
    OfferAnswered,
    OfferReceived,
    Progress,
)
from voiceblocks.sip.uri import SipUri
from voiceblocks.system_clock import SystemClock
from voiceblocks.testing.impairments import Impairments
from voiceblocks.testing.phone_media import PhoneMedia


class CallNotAnswered(PeerError):
    """
    The call was refused, failed or was given up.

    Args:
        status: The final SIP status, 487 after our own CANCEL.
        reason: Its reason phrase.
    """

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(f"{status} {reason}")
        self.status = status


class Phone:
    """
    One phone on one address.

    Args:
        host: Local address for SIP and RTP.
        number: What it calls itself.
    """

    def __init__(self, host: str = "127.0.0.1", number: str = "+6591234567") -> None:
        self.number = number
        self._host = host
        self._calls: dict[int, PhoneCall] = {}
        self._open: list[PhoneCall] = []
        self.endpoint = SipEndpoint(
            host=host,
            port=0,
            clock=SystemClock(),
            guard=None,
            user="phone",
            on_event=self._on_event,
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
        for call in self._open:
            await call.close()
        await self.endpoint.stop()

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
        """
        uri = SipUri.parse(target)
        host, port = uri.host, uri.port or 5060
        flow = (
            await self.endpoint.connect(host, port)
            if transport == "tcp"
            else self.endpoint.flow_to(host, port)
        )
        media = PhoneMedia(
            codec=codecs[0], event_payload_type=101, ptime_ms=ptime_ms, impairments=impairments
        )
        address = await media.bind(self._host)
        local = LocalMedia(
            host=address[0],
            port=address[1],
            session_id=1,
            session_version=0,
            codecs=codecs,
            ptime_ms=ptime_ms,
        )
        call = PhoneCall(self, media, local, ptime_ms, late_offer=late_offer)
        offer = None if late_offer else call.offer
        caller = f"<sip:{from_number or self.number}@{self._host}>"
        call.leg = self.endpoint.run(
            lambda ua, now: ua.call(
                target=target, from_=caller, to=f"<{target}>", flow=flow, sdp=offer, now=now
            )
        )
        self._calls[call.leg] = call
        self._open.append(call)
        return call

    def _on_event(self, event: Event) -> None:
        leg = getattr(event, "leg", None)
        call = self._calls.get(leg) if leg is not None else None
        if call is not None:
            call.on_event(event)


class PhoneCall:
    """One call of the phone. Made by `Phone.call`."""

    def __init__(
        self,
        phone: Phone,
        media: PhoneMedia,
        local: LocalMedia,
        ptime_ms: int,
        *,
        late_offer: bool,
    ) -> None:
        self._phone = phone
        self._late_offer = late_offer
        self._local = local
        self._loop = asyncio.get_running_loop()
        self._answered: asyncio.Future[float] = self._loop.create_future()
        self._ended: asyncio.Future[float] = self._loop.create_future()
        self._ringing = asyncio.Event()
        self._agreed = asyncio.Event()
        self.leg = 0
        self.media = media
        self.offer = build_offer(local, ptime_ms=ptime_ms)
        self.end_cause: str | None = None
        "Why the answered call ended, as the SIP core says it."

    async def ringing(self) -> None:
        """Return at the first 180 or 183."""
        await self._ringing.wait()

    async def answered(self) -> float:
        """
        Return the monotonic second of the 200.

        Raises:
            CallNotAnswered: With the final status.
        """
        return await asyncio.shield(self._answered)

    async def ended(self) -> float:
        """Return the monotonic second at which the answered call ended, by whomever."""
        return await asyncio.shield(self._ended)

    def hang_up(self) -> None:
        """BYE, or CANCEL while it rings."""
        self._phone.endpoint.try_run(lambda ua, now: ua.hang_up(self.leg, now))

    def send_info(self, digit: str, duration_ms: int = 160) -> None:
        """Press a digit that goes out by INFO (application/dtmf-relay), not in the RTP."""
        body = write_digit(digit, duration_ms)
        self._phone.endpoint.run(lambda ua, now: ua.send_info(self.leg, RELAY_TYPE, body, now))

    def hold(self) -> None:
        """Send a re-INVITE that asks the other side to stop sending."""
        self._reoffer("sendonly")

    def resume(self) -> None:
        """Take the call from hold."""
        self._reoffer("sendrecv")

    async def close(self) -> None:
        """Hang up if need be, wait for the goodbye, close the sockets."""
        if not self._ended.done():
            self.hang_up()
            await asyncio.wait({self._ended}, timeout=2)
        await self.media.stop()
        for future in (self._answered, self._ended):
            if not future.done():
                future.cancel()
            elif not future.cancelled():
                future.exception()

    def on_event(self, event: Event) -> None:
        """What the SIP core tells about this leg."""
        match event:
            case Progress():
                self._ringing.set()
            case Answered():
                self._take_answer(event)
            case CallFailed():
                if not self._answered.done():
                    self._answered.set_exception(CallNotAnswered(event.status, event.reason))
                self._end("failed")
            case LegEnded():
                self._end(event.cause.value)
            case OfferReceived(offer=bytes() as offer):
                answer = negotiate(offer, local=self._local).answer
                self._phone.endpoint.try_run(lambda ua, now: ua.answer_offer(self.leg, answer, now))
            case OfferAnswered(answer=bytes() as answer):
                self._start(answer)
                self._agreed.set()
            case _:
                pass

    def _take_answer(self, event: Answered) -> None:
        if event.answer is None:
            return
        if self._late_offer:
            # Our INVITE had no SDP, so theirs is the offer and the ACK carries our answer.
            negotiated = negotiate(event.answer, local=self._local)
            self._phone.endpoint.run(
                lambda ua, now: ua.answer_offer(self.leg, negotiated.answer, now)
            )
            if negotiated.remote is not None:
                self.media.start(negotiated.remote, codec=negotiated.codec)
        else:
            self._start(event.answer)
        if not self._answered.done():
            self._answered.set_result(self._loop.time())

    def _start(self, answer: bytes) -> None:
        negotiated = read_answer(answer, offer=self.offer, local=self._local)
        if negotiated.remote is not None:
            self.media.start(negotiated.remote, codec=negotiated.codec)

    async def renegotiated(self) -> None:
        """Return when the other side has answered our last `hold` or `resume`."""
        await self._agreed.wait()

    def _reoffer(self, direction: str) -> None:
        self._agreed.clear()
        self.offer = build_offer(self._local, direction=direction)
        self._phone.endpoint.run(lambda ua, now: ua.reoffer(self.leg, self.offer, now))

    def _end(self, cause: str) -> None:
        self.end_cause = cause
        self._ringing.set()
        if not self._ended.done():
            self._ended.set_result(self._loop.time())
        if not self._answered.done():
            self._answered.set_exception(CallNotAnswered(0, cause))
