"""One leg: a SIP dialog with its media, whichever side called.

RINGING, UP and GONE come once each and never go back. `incoming_leg` and `outgoing_leg` say
how a leg comes up; what it does while it is up, and how it goes, is here.
"""

from __future__ import annotations

import contextlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Sequence
from contextlib import AbstractContextManager, nullcontext
from enum import Enum, auto
from typing import Final

from voiceblocks.calls.cause import CallEndCause
from voiceblocks.calls.events import Disposition, EndReason
from voiceblocks.engine import goodbye
from voiceblocks.engine.digits import Digit
from voiceblocks.engine.leg_end import LegEnd
from voiceblocks.engine.media.handles import Playback, Tap, TapDirection
from voiceblocks.engine.media_session import MediaSession
from voiceblocks.engine.media_story import MediaStory
from voiceblocks.engine.parts import EngineParts
from voiceblocks.engine.runners.interfaces import CallGone
from voiceblocks.errors import ContractViolation, LocalSipError, RemoteSipError
from voiceblocks.log import get_logger
from voiceblocks.sip.dtmf_info import RELAY_TYPE, read_digit, write_digit
from voiceblocks.sip.flow import Flow
from voiceblocks.sip.user_agent import UserAgent
from voiceblocks.speech.interfaces import Clip
from voiceblocks.trunks.model import DtmfMode

_log = get_logger("leg")

_INFO_DIGIT_MS = 160

_CAUSES: Final = {
    EndReason.FORCED: CallEndCause.FORCED,
    EndReason.CREDIT_USED_UP: CallEndCause.CREDIT_USED_UP,
    EndReason.SERVER_RESTART: CallEndCause.SERVER_STOPPED,
    EndReason.COMPLETED: CallEndCause.APPLICATION,
}
"What a reason says by itself; of another, whoever ends the leg says the cause."

SipCommand = Callable[[UserAgent, float, int], object]
"Of the SIP core, with the time and the leg's handle."


class LegState(Enum):
    """Where the leg is in its life."""

    RINGING = auto()
    "Not answered, in either direction."
    UP = auto()
    GONE = auto()


class CallLeg(ABC):
    """
    A leg from its first ring to its end.

    Args:
        parts: What all legs of the engine share.
        name: Of the session, for logs.
        dtmf: How keys travel on it.
    """

    def __init__(self, parts: EngineParts, *, name: str, dtmf: DtmfMode) -> None:
        self._parts = parts
        self._name = name
        self._dtmf = dtmf
        self._handle: int | None = None
        self._media: MediaSession | None = None
        self._trunk_id: str | None = None
        self._leg_id = ""
        self.state = LegState.RINGING
        self.ending = LegEnd()
        self.disposition = Disposition.NO_ANSWER
        self.dialog = ""
        "What ends it after a restart, as it is now; empty where nothing needs to."
        self.up_us = 0
        "UTC microseconds at which it came up; 0 before that."
        self.on_gone: Callable[[], None] = lambda: None
        "Called once, at the instant at which it ends."

    @abstractmethod
    async def connect(self) -> None:
        """
        Bring the leg up: answer it, or call and wait for the answer.

        Raises:
            CallGone: If it ended instead; `disposition` says how.
        """

    @abstractmethod
    async def confirmed(self) -> None:
        """
        Wait until what is said on an answered leg is heard.

        Raises:
            CallGone: If it ends first.
        """

    @abstractmethod
    def _give_up_ringing(self, reason: EndReason, status: int | None) -> Disposition:
        """End a leg that still rings by what its direction asks for."""

    @property
    def media(self) -> MediaSession:
        """Its media; an outgoing leg has none before it is placed."""
        if self._media is None:
            raise ContractViolation("the leg has no media yet")
        return self._media

    # What the SIP core tells

    def on_confirmed(self, answer: bytes | None) -> None:
        """The answer to our offer, in an ACK or in the response to a re-INVITE of ours."""
        if answer is None:
            return
        try:
            self.media.accept_answer(answer)
        except RemoteSipError as error:
            _log.info("late_answer_unusable", session=self._name, reason=error.reason)
            self.end(EndReason.HANGUP, cause=CallEndCause.NO_COMMON_AUDIO)

    def on_offer(self, offer: bytes | None) -> None:
        """A re-INVITE or UPDATE; without SDP it asks for our offer."""
        try:
            sdp: bytes | None = (
                self.media.offer_again() if offer is None else self.media.answer_offer(offer)
            )
        except (RemoteSipError, ContractViolation) as error:
            # The latter: an offer for a leg that is not open yet, or not any more.
            _log.info("reoffer_refused", session=self._name, reason=str(error))
            sdp = None
        self._try(lambda ua, now, handle: ua.answer_offer(handle, sdp, now))

    def on_info(self, content_type: str, body: bytes) -> None:
        """An INFO, which may tell of a pressed key."""
        key = read_digit(content_type, body)
        if key is not None and self._media is not None:
            self._media.digits.put(Digit(key, self._parts.endpoint.event_at, None))

    def on_ended(self, cause: CallEndCause) -> None:
        """BYE, CANCEL, a lost ACK, an expired session: the core has said what is due."""
        self._leave(EndReason.HANGUP, Disposition.CANCELLED, cause)

    # Commands

    def end(
        self,
        reason: EndReason,
        *,
        status: int | None = None,
        cause: CallEndCause | None = None,
    ) -> None:
        """
        End the leg from our side.

        Args:
            reason: Why.
            status: The SIP answer if an incoming leg still rings; by `reason` if omitted.
            cause: What is told of it; by `reason` if omitted.
        """
        if self.state is LegState.GONE:
            return
        cause = cause or _CAUSES.get(reason, CallEndCause.FAULT)
        if self.state is LegState.RINGING:
            self._leave(reason, self._give_up_ringing(reason, status), cause)
        else:
            self._try(lambda ua, now, handle: ua.hang_up(handle, now))
            self._leave(reason, Disposition.ANSWERED, cause)

    async def play(self, clips: Sequence[Clip], *, then_recorded: bool = False) -> Playback | None:
        """Play clips to their end; stops where it is cancelled. `CallGone` if the leg ends."""
        if not clips:
            return None
        playback = self.media.play(clips, then_recorded=then_recorded)
        try:
            if not await self.ending.unless(playback.wait()):
                # Its file is gone or cannot be read, most likely: the caller heard nothing.
                _log.warning("prompt_not_played", session=self._name)
        finally:
            playback.stop()
        return playback

    def looping(self, clips: Sequence[Clip]) -> AbstractContextManager[None]:
        """Play clips again and again while the context lasts."""
        return self.media.looping(clips) if clips else nullcontext()

    def record(
        self,
        name: str,
        *,
        limit_ms: int | None,
        direction: TapDirection = "in",
        seal_for: bytes | None = None,
        after: Playback | None = None,
    ) -> Tap:
        """Record what is received (`in`) or sent (`out`) from now on, or from a playback's end."""
        return self.media.record(
            name, limit_ms=limit_ms, direction=direction, seal_for=seal_for, after=after
        )

    def pause(self, names: Collection[str], *, paused: bool) -> bool:
        """Pause recordings by their spools' names, or go on; `False` if none of them runs."""
        at = self._parts.clock.monotonic()
        return self._media is not None and self._media.pause(names, at=at, paused=paused)

    def forget_digits(self, before: float | None = None) -> None:
        """Drop what was pressed so far, or before an instant (monotonic seconds)."""
        if self._media is not None:
            self._media.digits.forget(before)

    async def next_digit(self) -> Digit:
        """The next digit that nobody took yet; may be cancelled without loss."""
        return await self.media.digits.next()

    @property
    def keys_are_tones(self) -> bool:
        """Whether keys travel in its audio: neither by INFO nor as telephone-events."""
        return self._dtmf is not DtmfMode.INFO and not self.media.agreed_on_events

    def send_digit(self, key: str) -> None:
        """Press a key towards the far end, by the way that it understands."""
        if self.state is not LegState.UP:
            return
        if self._dtmf is DtmfMode.INFO:
            body = write_digit(key, _INFO_DIGIT_MS)
            self._try(lambda ua, now, handle: ua.send_info(handle, RELAY_TYPE, body, now))
        else:
            self.media.send_digits(key)

    async def release(self) -> None:
        """Give the media back; safe to call twice. What goes wrong is logged."""
        if self._media is None:
            return
        try:
            await self._media.close()
        except Exception:  # noqa: BLE001 (the call's end must be told whatever media do)
            _log.exception("media_not_released", session=self._name)

    def forget(self) -> None:
        """Hear no more of its SIP dialog: everything about the leg is told."""
        if self._handle is not None:
            self._parts.legs.pop(self._handle, None)

    # For the two directions

    def _has_handle(self, handle: int) -> None:
        """The SIP core knows it: hear its events, and put its messages into the story."""
        self._handle = handle
        self._parts.legs[handle] = self
        with contextlib.suppress(LocalSipError):
            call_id = self._parts.endpoint.run(lambda ua, _now: ua.call_id(handle))
            self._parts.sip_log.belongs(call_id, self._name, self._leg_id)

    def _came_up(self, flow: Flow) -> bool:
        """The 200 has left or come; `False` where the connection was lost with it."""
        handle = self._require_handle()
        try:
            self.dialog = goodbye.remember(self._parts.endpoint, handle, flow, self._trunk_id)
        except LocalSipError:
            return False
        self.state = LegState.UP
        _at, self.up_us = self._instant()
        self.disposition = Disposition.ANSWERED
        return True

    def _leave(
        self,
        reason: EndReason,
        unanswered: Disposition,
        cause: CallEndCause,
        sip_status: int | None = None,
    ) -> None:
        if self.state is LegState.GONE:
            return
        if self.state is LegState.RINGING:
            self.disposition = unanswered
        self.state = LegState.GONE
        at, at_us = self._instant()
        # A BYE may have come before we got to what it ends: that was answered all the same.
        self.ending.come(reason, at, max(at_us, self.up_us + 1), cause, sip_status)
        self.on_gone()

    def _instant(self) -> tuple[float, int]:
        """When what happens now happened: monotonic seconds, and UTC microseconds."""
        clock, at = self._parts.clock, self._parts.endpoint.event_at
        return at, clock.utc_us() - round((clock.monotonic() - at) * 1e6)

    def _watch(self, media: MediaSession) -> None:
        self._media = media
        media.on_lost = lambda: self.end(EndReason.SERVER_RESTART, cause=CallEndCause.MEDIA_LOST)
        media.on_silent = self._probe
        MediaStory(self._parts, self._name, self._leg_id, media)

    def _probe(self, silent_s: float) -> None:
        _log.info("no_rtp_probing", session=self._name, silent_s=round(silent_s))
        self._try(lambda ua, now, handle: ua.probe(handle, now))

    def _try(self, command: SipCommand) -> bool:
        handle = self._handle
        if handle is None:
            return False
        return self._parts.endpoint.try_run(lambda ua, now: command(ua, now, handle))

    def _require_handle(self) -> int:
        if self._handle is None:
            raise CallGone
        return self._handle
