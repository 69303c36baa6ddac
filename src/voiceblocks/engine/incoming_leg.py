"""A leg that somebody else placed: it rings with us until a block answers it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from voiceblocks.calls.cause import CallEndCause
from voiceblocks.calls.events import Disposition, EndReason
from voiceblocks.engine.call_leg import CallLeg, LegState
from voiceblocks.engine.media_session import MediaSession
from voiceblocks.engine.parts import EngineParts
from voiceblocks.engine.runners.interfaces import CallGone
from voiceblocks.errors import CapacityExceeded, LocalSipError, RemoteSipError
from voiceblocks.log import get_logger
from voiceblocks.sip.flow import Flow
from voiceblocks.trunks.model import DtmfMode

_log = get_logger("leg")

DECLINED = frozenset({EndReason.FORCED, EndReason.COMPLETED})
"A hang-up while it rings that the application asked for (decision 10)."


class IncomingLeg(CallLeg):
    """
    Rings from the start.

    Args:
        parts: What all legs of the engine share.
        name: Of the session, for logs.
        handle: Of the INVITE dialog in the SIP core.
        flow: By which the INVITE came.
        media: Its media; not opened yet.
        dtmf: How keys travel on it.
    """

    def __init__(
        self,
        parts: EngineParts,
        *,
        name: str,
        handle: int,
        flow: Flow,
        media: MediaSession,
        dtmf: DtmfMode = DtmfMode.AUTO,
    ) -> None:
        super().__init__(parts, name=name, dtmf=dtmf)
        self._flow = flow
        self._answer_sent = asyncio.Event()
        self._confirmed = asyncio.Event()
        self._watch(media)
        self._has_handle(handle)

    async def connect(self) -> None:
        """Answer; returns when our 200 has left."""
        try:
            sdp = await self.media.open()
        except CapacityExceeded:
            self._refuse(503, CallEndCause.NO_MEDIA, [("Retry-After", "10")])
            raise CallGone from None
        except RemoteSipError as error:
            self._refuse(error.status_hint, CallEndCause.NO_COMMON_AUDIO)
            raise CallGone from None
        if self.ending.has_come:
            raise CallGone
        handle = self._require_handle()
        try:
            if self._parts.endpoint.run(lambda ua, now: ua.answer(handle, sdp, now)):
                self.on_answer_sent()
        except LocalSipError:
            self._leave(EndReason.HANGUP, Disposition.CANCELLED, CallEndCause.FAR_GONE)
        if not self._answer_sent.is_set():
            # It waits for a PRACK, or never left.
            await self.ending.unless(self._answer_sent.wait())

    async def confirmed(self) -> None:
        """Wait for the ACK, so that nothing is said into the void."""
        await self.ending.unless(self._confirmed.wait())

    def on_answer_sent(self) -> None:
        """Our 200 has left: the call is up and costs money, whatever the caller does next."""
        if self.state is LegState.RINGING and self._came_up(self._flow):
            self._answer_sent.set()

    def on_confirmed(self, answer: bytes | None) -> None:
        """ACK came, with the SDP answer where our 200 carried the offer."""
        if answer is None and self.media.awaits_first_answer:
            _log.info("late_answer_missing", session=self._name)
            self.end(EndReason.HANGUP, cause=CallEndCause.NO_COMMON_AUDIO)
            return
        super().on_confirmed(answer)
        if self.state is not LegState.GONE:
            self._confirmed.set()

    def _give_up_ringing(self, reason: EndReason, status: int | None) -> Disposition:
        if status is not None:
            self._try(lambda ua, now, handle: ua.refuse(handle, status, now))
            return Disposition.FAILED
        declined = reason in DECLINED
        answer = 603 if declined else 480
        self._try(lambda ua, now, handle: ua.refuse(handle, answer, now))
        return Disposition.REJECTED if declined else Disposition.NO_ANSWER

    def _refuse(
        self, status: int, cause: CallEndCause, headers: Sequence[tuple[str, str]] = ()
    ) -> None:
        """The application wanted the call, but it cannot be answered."""
        self._try(lambda ua, now, handle: ua.refuse(handle, status, now, headers=headers))
        self._leave(EndReason.HANGUP, Disposition.FAILED, cause)
