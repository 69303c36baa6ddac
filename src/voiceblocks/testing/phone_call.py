"""One call of a phone, in either direction: what was said in SIP, and its media."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from voiceblocks.errors import PeerError, RemoteSipError
from voiceblocks.sdp.negotiation import (
    LocalMedia,
    Negotiated,
    build_offer,
    negotiate,
    read_answer,
)
from voiceblocks.sip.dtmf_info import RELAY_TYPE, write_digit
from voiceblocks.sip.events import (
    Answered,
    CallFailed,
    Event,
    LegCancelled,
    LegConfirmed,
    LegEnded,
    OfferAnswered,
    OfferReceived,
    OfferRefused,
    Progress,
)
from voiceblocks.sip.message import SipRequest
from voiceblocks.testing.answering import (
    RING_PERIOD_S,
    Answer,
    AnswerAtCancel,
    Behaviour,
    EarlyMedia,
    Refuse,
    RingForever,
)
from voiceblocks.testing.phone_media import PhoneMedia

if TYPE_CHECKING:
    from voiceblocks.testing.phone import Phone


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


class PhoneCall:
    """One call of the phone. Made by `Phone.call` and `Phone.incoming`."""

    def __init__(
        self,
        phone: Phone,
        media: PhoneMedia,
        local: LocalMedia,
        ptime_ms: int,
        *,
        late_offer: bool = False,
        request: SipRequest | None = None,
        remote_offer: bytes | None = None,
    ) -> None:
        self._phone = phone
        self._late_offer = late_offer
        self._remote_offer = remote_offer
        self._local = local
        self._ptime_ms = ptime_ms
        self._loop = asyncio.get_running_loop()
        self._answered: asyncio.Future[float] = self._loop.create_future()
        self._ended: asyncio.Future[float] = self._loop.create_future()
        self._ringing = asyncio.Event()
        self._agreed = asyncio.Event()
        self._offered = asyncio.Event()
        self._behaving: asyncio.Task[None] | None = None
        self._answer_sdp: bytes | None = None
        self.leg = 0
        self.media = media
        self.offer = build_offer(local, ptime_ms=ptime_ms)
        self.request = request
        "The INVITE of a call that came in; `None` for one that the phone placed."
        self.progress: list[int] = []
        "The provisional statuses that came for a call of ours, such as 180 and 183."
        self.is_held = False
        "Whether the other side has put us on hold."
        self.end_cause: str | None = None
        """Why the call ended: a value of `sip.events.EndCause`, or `cancelled`, `refused` (by the
        phone) or `failed` (a call of ours that was not answered)."""

    # What the INVITE of an incoming call said

    def header(self, name: str) -> str:
        """A header of the INVITE that came in, such as `From`; empty where it is missing."""
        return (self._invite().headers.get(name) or "").strip()

    @property
    def dialled(self) -> str:
        """User part of the Request-URI: the number as the other side wrote it."""
        return self._invite().request_uri.user or ""

    def _invite(self) -> SipRequest:
        assert self.request is not None, "the phone placed this call itself"
        return self.request

    # Waiting

    async def ringing(self) -> None:
        """Return at the first 180 or 183."""
        await self._ringing.wait()

    async def answered(self) -> float:
        """
        Return the monotonic second at which the call is up: of the 200, or of the ACK for ours.

        Raises:
            CallNotAnswered: With the final status.
        """
        return await asyncio.shield(self._answered)

    async def ended(self) -> float:
        """Return the monotonic second at which the call ended, by whomever; see `end_cause`."""
        return await asyncio.shield(self._ended)

    @property
    def is_up(self) -> bool:
        """Answered and not ended."""
        return self._answered.done() and not self._ended.done()

    async def renegotiated(self) -> None:
        """Return when the other side has answered our last `hold`, `resume` or `reinvite`."""
        await self._agreed.wait()

    async def offered(self) -> None:
        """Return at the next re-INVITE or UPDATE with SDP of the other side, once answered."""
        self._offered.clear()
        await self._offered.wait()

    # Answering a call that came in

    def ring(self) -> None:
        """Send 180."""
        self._phone.endpoint.try_run(lambda ua, now: ua.ring(self.leg, now))

    def early_media(self, samples: NDArray[np.int16]) -> asyncio.Future[float]:
        """
        Send 183 with SDP and play samples.

        Returns:
            As `PhoneMedia.say`.
        """
        sdp = self._answering() if self._remote_offer is not None else None
        self._phone.endpoint.try_run(lambda ua, now: ua.ring(self.leg, now, sdp=sdp))
        return self.media.say(samples)

    def answer(self) -> None:
        """Send 200; `answered` returns when it is acknowledged."""
        sdp = self.offer if self._remote_offer is None else self._answering()
        self._phone.endpoint.try_run(lambda ua, now: ua.answer(self.leg, sdp, now))

    def refuse(
        self, status: int, reason: str | None = None, headers: tuple[tuple[str, str], ...] = ()
    ) -> None:
        """Send a final refusal, 300 to 699."""
        if self._phone.endpoint.try_run(
            lambda ua, now: ua.refuse(self.leg, status, now, reason=reason, headers=headers)
        ):
            self._not_answered(CallNotAnswered(status, reason or "refused by the phone"))
            self._end("refused")

    def behave(self, behaviour: Behaviour) -> None:
        """Do what a behaviour says; `Phone` calls this for each call that comes in."""
        self._behaving = self._loop.create_task(self._behave(behaviour))

    async def _behave(self, behaviour: Behaviour) -> None:
        match behaviour:
            case Answer():
                if behaviour.ringing:
                    self.ring()
                await asyncio.sleep(behaviour.rings * RING_PERIOD_S)
                await self._announce(behaviour.early_media)
                self.answer()
                if behaviour.then is not None:
                    await self.answered()
                    await behaviour.then(self)
            case Refuse():
                if behaviour.rings:
                    self.ring()
                    await asyncio.sleep(behaviour.rings * RING_PERIOD_S)
                await self._announce(behaviour.early_media)
                self.refuse(behaviour.status, behaviour.reason, behaviour.headers)
            case RingForever() | AnswerAtCancel():
                self.ring()
            case _:
                pass

    async def _announce(self, early_media: EarlyMedia | None) -> None:
        if early_media is not None:
            await self.early_media(early_media.plays)

    def _answering(self) -> bytes:
        """Our SDP for their offer, always the same; media starts with it."""
        if self._answer_sdp is None:
            assert self._remote_offer is not None
            negotiated = negotiate(self._remote_offer, local=self._local)
            self._answer_sdp = negotiated.answer
            self._use(negotiated)
        return self._answer_sdp

    # While it is up

    def hang_up(self) -> None:
        """BYE, CANCEL while ours rings, 603 while theirs rings."""
        self._phone.endpoint.try_run(lambda ua, now: ua.hang_up(self.leg, now))

    def send_info(self, digit: str, duration_ms: int = 160) -> None:
        """Press a digit that goes out by INFO (application/dtmf-relay), not in the RTP."""
        body = write_digit(digit, duration_ms)
        self._phone.endpoint.run(lambda ua, now: ua.send_info(self.leg, RELAY_TYPE, body, now))

    def hold(self, direction: str = "sendonly") -> None:
        """Send a re-INVITE that asks the other side to stop sending; `inactive` stops both."""
        self._reoffer(direction)

    def resume(self) -> None:
        """Take the call from hold."""
        self._reoffer("sendrecv")

    def reinvite(
        self, *, codecs: tuple[str, ...] | None = None, ptime_ms: int | None = None
    ) -> None:
        """Send a re-INVITE that offers other codecs, asks for another packet length, or neither."""
        if codecs is not None:
            self._local = replace(self._local, codecs=codecs)
        if ptime_ms is not None:
            self._ptime_ms = ptime_ms
        self._reoffer("sendrecv")

    async def close(self) -> None:
        """Hang up if need be, wait for the goodbye, close the sockets."""
        if self._behaving is not None:
            self._behaving.cancel()
        if not self._ended.done():
            self.hang_up()
            await asyncio.wait({self._ended}, timeout=2)
        await self.media.stop()
        for future in (self._answered, self._ended):
            if not future.done():
                future.cancel()
            elif not future.cancelled():
                future.exception()

    # From the SIP core

    def on_event(self, event: Event) -> None:
        """What the SIP core tells about this leg."""
        match event:
            case Progress():
                self.progress.append(event.status)
                self._ringing.set()
                self._hear_early(event)
            case Answered():
                self._take_answer(event)
            case LegConfirmed():
                if event.answer is not None:
                    self._start(event.answer)
                self._is_answered()
            case CallFailed():
                self._not_answered(CallNotAnswered(event.status, event.reason))
                self._end("failed")
            case LegCancelled():
                self._not_answered(CallNotAnswered(487, "the caller gave up"))
                self._end("cancelled")
            case LegEnded():
                self._end(event.cause.value)
            case OfferReceived():
                self._take_offer(event.offer)
            case OfferAnswered(answer=bytes() as answer):
                self._start(answer)
                self._agreed.set()
            case OfferRefused():
                self._agreed.set()
            case _:
                pass

    def _hear_early(self, event: Progress) -> None:
        if event.sdp is not None and not self._late_offer:
            self._start(event.sdp)

    def _take_answer(self, event: Answered) -> None:
        if event.answer is None:
            # A reliable 183 may have brought it; else the call is up without media.
            self._is_answered()
            return
        if self._late_offer:
            # Our INVITE had no SDP, so theirs is the offer and the ACK carries our answer.
            negotiated = negotiate(event.answer, local=self._local)
            self._phone.endpoint.run(
                lambda ua, now: ua.answer_offer(self.leg, negotiated.answer, now)
            )
            self._use(negotiated)
        else:
            self._start(event.answer)
        self._is_answered()

    def _take_offer(self, offer: bytes | None) -> None:
        """A re-INVITE or UPDATE of the other side: it may hold us, or move its media."""
        self._local = replace(self._local, session_version=self._local.session_version + 1)
        if offer is None:
            self.offer = sdp = build_offer(self._local, ptime_ms=self._ptime_ms)
        else:
            try:
                negotiated = negotiate(offer, local=self._local)
            except RemoteSipError as error:
                status = error.status_hint
                self._phone.endpoint.try_run(
                    lambda ua, now: ua.answer_offer(self.leg, None, now, status=status)
                )
                return
            sdp = negotiated.answer
            self._use(negotiated)
        self._phone.endpoint.try_run(lambda ua, now: ua.answer_offer(self.leg, sdp, now))
        self._offered.set()

    def _start(self, answer: bytes) -> None:
        self._use(read_answer(answer, offer=self.offer, local=self._local))

    def _use(self, negotiated: Negotiated) -> None:
        self.is_held = negotiated.on_hold
        self.media.sends = negotiated.send
        if negotiated.remote is not None:
            self.media.start(
                negotiated.remote,
                codec=negotiated.codec,
                event_payload_type=negotiated.event_payload_type,
            )

    def _reoffer(self, direction: str) -> None:
        self._agreed.clear()
        self._local = replace(self._local, session_version=self._local.session_version + 1)
        self.offer = build_offer(self._local, ptime_ms=self._ptime_ms, direction=direction)
        self._phone.endpoint.run(lambda ua, now: ua.reoffer(self.leg, self.offer, now))

    def _is_answered(self) -> None:
        if not self._answered.done():
            self._answered.set_result(self._loop.time())

    def _not_answered(self, why: CallNotAnswered) -> None:
        if not self._answered.done():
            self._answered.set_exception(why)

    def _end(self, cause: str) -> None:
        self.end_cause = cause
        self._ringing.set()
        if self._behaving is not None and self._behaving is not asyncio.current_task():
            self._behaving.cancel()
        if not self._ended.done():
            self._ended.set_result(self._loop.time())
        self._not_answered(CallNotAnswered(0, cause))
