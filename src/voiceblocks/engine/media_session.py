"""The media side of one call: SDP negotiation joined with a leg of the media plane."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager

from voiceblocks.engine.digits import Digit, DigitInbox
from voiceblocks.engine.media.handles import MediaLeg, Playback, Tap, TapDirection
from voiceblocks.engine.media.messages import DigitReceived, Format, LegClosed, LegHeard
from voiceblocks.engine.media.plane import MediaPlane
from voiceblocks.errors import ContractViolation
from voiceblocks.sdp.negotiation import (
    LocalMedia,
    Negotiated,
    build_offer,
    negotiate,
    read_answer,
)
from voiceblocks.speech.interfaces import Clip
from voiceblocks.trunks.model import DtmfMode

CODECS = ("PCMU", "PCMA")


class MediaSession:
    """
    Opens a media leg for an offer and keeps both in step through re-INVITEs.

    Args:
        plane: Where legs come from.
        bind_host: Local address for the RTP sockets.
        advertised_host: What SDP says instead.
        offer: SDP of the INVITE; `None` where ours goes into our INVITE, or into the 200.
        sdp_id: Number for the `o=` line, unique a call.
        dtmf: How keys travel; decides what is offered, and whether tones are listened for.
        beside: A leg whose worker it should share.
    """

    def __init__(
        self,
        plane: MediaPlane,
        *,
        bind_host: str,
        advertised_host: str,
        offer: bytes | None,
        sdp_id: int,
        dtmf: DtmfMode = DtmfMode.AUTO,
        beside: MediaLeg | None = None,
    ) -> None:
        self._dtmf = dtmf
        self._beside = beside
        self._early_answer: bytes | None = None
        self._plane = plane
        self._bind_host = bind_host
        self._advertised_host = advertised_host
        self._offer = offer
        self._sdp_id = sdp_id
        self._sdp_version = 0
        self._leg: MediaLeg | None = None
        self._our_offer: bytes | None = None
        self._codec = CODECS[0]
        self._agreed_on_events = False
        self.digits = DigitInbox()
        self.on_lost: Callable[[], None] = lambda: None
        self.on_silent: Callable[[float], None] = lambda _silent_s: None
        self.address: tuple[str, int] = ("", 0)
        "Ours, once it was opened."
        self.on_heard: Callable[[LegHeard], None] = lambda _event: None
        self.on_closed: Callable[[LegClosed], None] = lambda _event: None
        "Comes a moment after `close`."

    @property
    def awaits_first_answer(self) -> bool:
        """Whether our 200 held an offer that nobody has answered: there is no media then."""
        return self._offer is None and self._our_offer is not None and self._sdp_version == 0

    async def open(self) -> bytes:
        """
        Take a leg of the media plane and return the SDP for our 200 or INVITE.

        Raises:
            CapacityExceeded: If no worker takes another leg.
            RemoteSipError: If the offer has nothing that we speak (488).
        """
        if self._offer is None:
            leg = await self._open_leg(None)
            self._our_offer = build_offer(self._local(leg.address[1]))
            return self._our_offer
        # The port is not known yet, but whether the offer is usable must be checked first.
        preview = negotiate(self._offer, local=self._local(9))
        leg = await self._open_leg(preview)
        negotiated = negotiate(self._offer, local=self._local(leg.address[1]))
        return negotiated.answer

    @property
    def agreed_on_events(self) -> bool:
        """Whether keys travel as telephone-events (RFC 4733)."""
        return self._agreed_on_events

    def accept_early(self, answer: bytes) -> None:
        """
        Take the answer of a provisional response: early media. The final one may differ.

        Raises:
            RemoteSipError: If it is no answer to what we offered.
        """
        if answer != self._early_answer:
            self._take_answer(answer)
            self._early_answer = answer

    @property
    def has_early_media(self) -> bool:
        """Whether a provisional response has agreed on media."""
        return self._early_answer is not None

    def accept_answer(self, answer: bytes) -> None:
        """
        Take the peer's answer to our offer.

        Raises:
            RemoteSipError: If it is no answer to what we offered.
        """
        if answer != self._early_answer:
            self._take_answer(answer)
        self._our_offer = None

    def _take_answer(self, answer: bytes) -> None:
        if self._our_offer is None:
            raise ContractViolation("an SDP answer came, but we had made no offer")
        local = self._local(self.leg.address[1])
        self._update(read_answer(answer, offer=self._our_offer, local=local))

    def answer_offer(self, offer: bytes) -> bytes:
        """
        Answer a re-INVITE or UPDATE; the present codec is kept where it is offered.

        Raises:
            RemoteSipError: If the offer has nothing that we speak.
        """
        leg = self.leg
        self._sdp_version += 1
        negotiated = negotiate(offer, local=self._local(leg.address[1]))
        self._update(negotiated)
        return negotiated.answer

    def offer_again(self) -> bytes:
        """Our offer for a re-INVITE that came without one."""
        self._sdp_version += 1
        self._our_offer = build_offer(self._local(self.leg.address[1]))
        return self._our_offer

    def play(self, clips: Sequence[Clip], *, then_recorded: bool = False) -> Playback:
        """Start to play clips in the leg's law."""
        paths = [clip.path_for(self._codec) for clip in clips]
        return self.leg.play(paths, then_recorded=then_recorded)

    @contextmanager
    def looping(self, clips: Sequence[Clip]) -> Iterator[None]:
        """Play clips again and again, until the context is left."""
        playback = self.leg.play([clip.path_for(self._codec) for clip in clips], loop=True)
        try:
            yield
        finally:
            playback.stop()

    def record(
        self,
        name: str,
        *,
        limit_ms: int | None,
        direction: TapDirection = "in",
        seal_for: bytes | None = None,
        after: Playback | None = None,
    ) -> Tap:
        """Start to record what is received (`in`) or sent (`out`)."""
        return self.leg.record(
            name,
            law=self._codec,
            limit_ms=limit_ms,
            direction=direction,
            seal_for=seal_for,
            after=after,
        )

    def pause(self, names: Collection[str], *, at: float, paused: bool) -> bool:
        """Pause what is recorded under these names, or go on; `False` if none of it is."""
        if self._leg is None:
            return False
        taps = [tap for tap in self._leg.taps.values() if tap.name in names]
        found = [tap.pause(at=at, paused=paused) for tap in taps]
        return any(found)

    def send_digits(self, keys: str) -> None:
        """Press keys towards the far end: telephone-events where agreed, else tones."""
        self.leg.send_digits(keys)

    async def close(self) -> None:
        """Give the leg back; safe to call twice."""
        leg, self._leg = self._leg, None
        if leg is not None:
            await leg.close()

    async def _open_leg(self, negotiated: Negotiated | None) -> MediaLeg:
        leg = await self._plane.open_leg(
            host=self._bind_host,
            format=self._format(negotiated) if negotiated else Format(self._codec, 0, 101),
            remote=negotiated.remote if negotiated else None,
            remote_rtcp=negotiated.remote_rtcp if negotiated else None,
            send=negotiated.send if negotiated else False,
            receive=negotiated.receive if negotiated else True,
            beside=self._beside,
        )
        if negotiated:
            self._codec = negotiated.codec
        leg.on_digit(self._digit)
        leg.on_silent(self._silent)
        leg.on_lost(self._lost)
        self.address = leg.address
        leg.on_heard = self.on_heard
        leg.on_closed = self.on_closed
        self._leg = leg
        return leg

    def _update(self, negotiated: Negotiated) -> None:
        self._codec = negotiated.codec
        self.leg.update(
            format=self._format(negotiated),
            remote=negotiated.remote,
            remote_rtcp=negotiated.remote_rtcp,
            send=negotiated.send,
            receive=negotiated.receive,
        )

    def _silent(self, silent_s: float) -> None:
        self.on_silent(silent_s)

    def _lost(self) -> None:
        self.on_lost()

    def _digit(self, event: DigitReceived) -> None:
        self.digits.put(Digit(event.digit, event.at, event.timestamp))

    @property
    def leg(self) -> MediaLeg:
        """
        The leg of the media plane.

        Raises:
            ContractViolation: If it is not open.
        """
        if self._leg is None:
            raise ContractViolation("the media leg is not open")
        return self._leg

    def _local(self, port: int) -> LocalMedia:
        others = tuple(codec for codec in CODECS if codec != self._codec)
        return LocalMedia(
            host=self._advertised_host,
            port=port,
            session_id=self._sdp_id,
            session_version=self._sdp_version,
            codecs=(self._codec, *others) if self._leg is not None else CODECS,
            telephone_event=self._dtmf is not DtmfMode.INBAND,
        )

    def _format(self, negotiated: Negotiated) -> Format:
        # Decision 18: a phone that sends events would be heard twice.
        by_tones = self._dtmf in (DtmfMode.AUTO, DtmfMode.INBAND)
        self._agreed_on_events = negotiated.event_payload_type is not None
        return Format(
            codec=negotiated.codec,
            payload_type=negotiated.payload_type,
            event_payload_type=negotiated.event_payload_type,
            comfort_noise_payload_type=negotiated.comfort_noise_payload_type,
            ptime_ms=negotiated.ptime_ms,
            listens_for_tones=by_tones and not self._agreed_on_events,
        )


def check_offer(offer: bytes, *, host: str) -> None:
    """
    See whether a call could ever be answered, before anybody is told of it.

    Args:
        offer: SDP of the INVITE.
        host: Some address of ours.

    Raises:
        RemoteSipError: 488 if there is nothing in it that we speak, 400 if it is no SDP.
    """
    negotiate(
        offer,
        local=LocalMedia(host=host, port=9, session_id=0, session_version=0, codecs=CODECS),
    )
