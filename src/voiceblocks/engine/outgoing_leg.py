"""A leg that we place: over the first of its trunks that takes it.

A trunk may have several addresses (RFC 3263); the next address or trunk is tried where one
fails before it rings. Names are looked up when their turn comes, and before a silent address is
given up for one that may lead nowhere. What a SIP status means stands in one table, `sip.outcomes`.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from voiceblocks import e164
from voiceblocks.calls.cause import CallEndCause
from voiceblocks.calls.events import Disposition, EndReason, LegRings
from voiceblocks.engine import goodbye
from voiceblocks.engine.call_leg import CallLeg, LegState
from voiceblocks.engine.end_causes import cause_of_failure
from voiceblocks.engine.media.handles import MediaLeg
from voiceblocks.engine.parts import EngineParts
from voiceblocks.engine.plan import OutgoingLegPlan
from voiceblocks.engine.runners.interfaces import CallGone
from voiceblocks.errors import CapacityExceeded, ContractViolation, PeerError, RemoteSipError
from voiceblocks.log import get_logger
from voiceblocks.sip.events import Answered, CallFailed, Progress
from voiceblocks.sip.flow import Flow
from voiceblocks.sip.outcomes import SipOutcome, outcome_of
from voiceblocks.sip.target import SipTarget
from voiceblocks.trunks.model import DtmfMode, TrunkRoute
from voiceblocks.trunks.outgoing import allowed_contacts, build_invite

_log = get_logger("leg")

SHOWS_LIFE_S = 4.0
"Without any response an address is given up after so long, where there is another one to try."

MAX_CONTACTS = 3
"Of a 3xx; only those on the trunk itself are tried (decision 9)."


@dataclass(frozen=True, slots=True)
class _Attempt:
    """One INVITE to one address."""

    route: TrunkRoute
    target: SipTarget
    siblings: Sequence[SipTarget]
    "All addresses of the trunk."
    contact: str | None = None
    "Of a 3xx, in place of the dialled number."


class _Attempts:
    """What is still to be tried; `find` gives the attempts of a trunk, none if it is not found."""

    def __init__(
        self,
        routes: Sequence[TrunkRoute],
        find: Callable[[TrunkRoute], Awaitable[list[_Attempt]]],
    ) -> None:
        self._routes = deque(routes)
        self._found: deque[_Attempt] = deque()
        self._find = find

    async def any_left(self) -> bool:
        """Whether there is another way; looks trunks up until one is found."""
        while not self._found and self._routes:
            self._found.extend(await self._find(self._routes.popleft()))
        return bool(self._found)

    async def next(self) -> _Attempt | None:
        """The best way that is left."""
        return self._found.popleft() if await self.any_left() else None

    def put_first(self, attempts: Sequence[_Attempt]) -> None:
        """Try these before all others."""
        self._found.extendleft(reversed(attempts))


class OutgoingLeg(CallLeg):
    """
    Calls nobody before `connect`.

    Args:
        parts: What all legs of the engine share.
        name: Of the session, for logs.
        plan: Whom to call, and by which trunks.
        beside: A media leg whose worker it should share.
    """

    def __init__(
        self,
        parts: EngineParts,
        *,
        name: str,
        plan: OutgoingLegPlan,
        beside: MediaLeg | None = None,
    ) -> None:
        super().__init__(parts, name=name, dtmf=DtmfMode.AUTO)
        self.plan = plan
        self._leg_id = plan.leg_id
        self._beside = beside
        self._final: asyncio.Future[Answered | CallFailed] | None = None
        self._life = asyncio.Event()
        self._rang = False
        self._flow: Flow | None = None
        self.on_progress: Callable[[], None] = lambda: None
        "Called when the far end rings, and when early media begin; see `has_early_media`."

    @property
    def has_early_media(self) -> bool:
        """Whether the far end sends sound before it answers."""
        return self._media is not None and self._media.has_early_media

    async def connect(self) -> None:
        """Place the call and wait for its answer, at most the plan's ring time."""
        try:
            async with asyncio.timeout(self.plan.ring_s):
                await self.ending.unless(self._try_trunks())
        except TimeoutError:
            # An answer may have come in the same instant: it counts.
            self._give_up(Disposition.NO_ANSWER, CallEndCause.NOBODY_PICKED_UP)
        except CallGone:
            raise
        except BaseException as error:
            if isinstance(error, Exception):
                self._give_up(Disposition.FAILED, CallEndCause.FAULT)
            self.end(EndReason.HANGUP)
            raise
        if self.state is not LegState.UP:
            raise CallGone

    async def confirmed(self) -> None:
        """The ACK went out with the answer: what is said now is heard."""
        if self.ending.has_come:
            raise CallGone

    # What the SIP core tells

    def on_sip_progress(self, event: Progress) -> None:
        """A provisional response above 100."""
        self._life.set()
        self._remember_ringing()
        if event.status == 183 and event.sdp is None:
            # A gateway says that it works on it: nobody has noticed the call yet.
            return
        self._rang = True
        if event.sdp is not None and self.state is LegState.RINGING:
            try:
                self.media.accept_early(event.sdp)
            except (RemoteSipError, ContractViolation) as error:
                _log.info("early_media_unusable", session=self._name, reason=str(error))
        self.on_progress()

    def on_sent_again(self) -> None:
        """The INVITE left once more, and must be cancelled as what it is now."""
        self._remember_ringing()

    def on_final(self, event: Answered | CallFailed) -> None:
        """The INVITE is over."""
        self._life.set()
        if self._final is not None and not self._final.done():
            self._final.set_result(event)

    # Inside

    async def _try_trunks(self) -> None:
        outcome = SipOutcome(Disposition.FAILED.value, try_next=True)
        cause: CallEndCause = CallEndCause.NO_TRUNK
        status: int | None = None
        attempts = _Attempts(self.plan.routes, self._attempts_by)
        while (attempt := await attempts.next()) is not None:
            final = await self._place(attempt, attempts)
            if isinstance(final, Answered):
                return
            outcome = outcome_of(final.status, rang=self._rang)
            cause, status = cause_of_failure(final)
            _log.info(
                "dial_failed",
                session=self._name,
                leg=self.plan.leg_id or None,
                dest=e164.masked(self.plan.dest),
                trunk=attempt.route.name,
                status=final.status,
            )
            await self._drop_attempt()
            if redirected := self._redirected(attempt, final):
                attempts.put_first(redirected)
            elif self._rang or not outcome.try_next:
                break
        self._leave(EndReason.HANGUP, Disposition(outcome.disposition), cause, status)

    def _redirected(self, attempt: _Attempt, final: CallFailed) -> list[_Attempt]:
        """Where a 3xx sends us, as far as we follow it."""
        if attempt.contact is not None or not 300 <= final.status < 400:
            return []
        route, siblings = attempt.route, attempt.siblings
        allowed = allowed_contacts(route, self.plan.dest, final.contacts, siblings)
        return [
            _Attempt(route, there.target, siblings, there.request_uri)
            for there in allowed[:MAX_CONTACTS]
        ]

    async def _attempts_by(self, route: TrunkRoute) -> list[_Attempt]:
        try:
            targets = await self._parts.targets.targets(route)
        except (OSError, PeerError) as error:
            _log.warning("trunk_not_found", trunk=route.name, reason=str(error))
            return []
        reached = [target for target in targets if self._parts.reaches(target.host)]
        if len(reached) < len(targets):
            _log.warning(
                "trunk_unreachable",
                trunk=route.name,
                reason="SIP listens on loopback only: set VOICEBLOCKS_SIP_LISTEN",
            )
        return [_Attempt(route, target, targets) for target in reached]

    async def _place(self, attempt: _Attempt, others: _Attempts) -> Answered | CallFailed:
        """Send one INVITE; returns how it ended, with the leg up where it was answered."""
        route, target = attempt.route, attempt.target
        self._dtmf = route.dtmf
        self._trunk_id = route.trunk_id
        try:
            media = self._parts.new_media(
                target.host, offer=None, dtmf=route.dtmf, beside=self._beside
            )
            self._watch(media)
            offer = await media.open()
        except (CapacityExceeded, OSError) as error:
            # The latter: no route leads there, which says nothing of the next address.
            _log.warning("no_media", session=self._name, trunk=route.name, reason=str(error))
            return CallFailed(0, 503, "no media", None)
        if self.ending.has_come:
            # In the instant in which an address was found: nobody would cancel the INVITE.
            raise CallGone
        endpoint = self._parts.endpoint
        invite = build_invite(
            route,
            dest=self.plan.dest,
            caller=self.plan.caller,
            host=self._parts.contact_host(target.host),
        )
        flow = self._flow = endpoint.flow_to(target.host, target.port, target.transport)
        self._life.clear()
        self._final = asyncio.get_running_loop().create_future()
        handle = endpoint.run(
            lambda ua, now: ua.call(
                target=attempt.contact or invite.request_uri,
                from_=invite.from_,
                to=invite.to,
                flow=flow,
                sdp=offer,
                now=now,
                headers=invite.headers,
                credentials=invite.credentials,
            )
        )
        self._has_handle(handle)
        self._remember_ringing()
        if not await self._shows_life() and await others.any_left() and not self._final.done():
            return CallFailed(handle, 408, "no response", None)
        final = await self._final
        if isinstance(final, Answered) and not self._take_answer(final):
            # Somebody picked up: another trunk would call them twice.
            self._rang = True
            return CallFailed(handle, 488, "no usable SDP in the answer", None)
        return final

    def _remember_ringing(self) -> None:
        """Should this process die now, the next one stops the ringing."""
        if self._handle is None or self._flow is None or self.state is not LegState.RINGING:
            return
        try:
            dialog = goodbye.remember_ringing(
                self._parts.endpoint, self._handle, self._flow, self._trunk_id
            )
            if dialog in ("", self.dialog):
                return
            self.dialog = dialog
            self._parts.handler.on_leg_rings(LegRings(self._name, self._leg_id, dialog))
        except Exception:  # noqa: BLE001 (the call itself needs none of it)
            _log.exception("ringing_not_remembered", session=self._name)

    async def _shows_life(self) -> bool:
        try:
            await asyncio.wait_for(self._life.wait(), SHOWS_LIFE_S)
        except TimeoutError:
            # A proxy that said 100 is alive, however long the network behind it takes to ring.
            handle = self._require_handle()
            return self._life.is_set() or self._parts.endpoint.run(
                lambda ua, _now: ua.was_heard(handle)
            )
        return True

    def _take_answer(self, event: Answered) -> bool:
        try:
            if event.answer is not None:
                self.media.accept_answer(event.answer)
            elif not self.media.has_early_media:
                raise RemoteSipError("the answer has no SDP")
        except (RemoteSipError, ContractViolation) as error:
            _log.info("answer_unusable", session=self._name, reason=str(error))
            return False
        return self._flow is not None and self._came_up(self._flow)

    async def _drop_attempt(self) -> None:
        """An INVITE came to nothing: hang it up if need be, and give its media back."""
        handle, self._handle = self._handle, None
        if handle is not None:
            self._parts.endpoint.try_run(lambda ua, now: ua.hang_up(handle, now))
            self._parts.legs.pop(handle, None)
        await self.release()
        self._media = None

    def _give_up(self, disposition: Disposition, cause: CallEndCause) -> None:
        if self.state is LegState.RINGING:
            self._try(lambda ua, now, handle: ua.hang_up(handle, now))
            self._leave(EndReason.HANGUP, disposition, cause)

    def _give_up_ringing(self, reason: EndReason, status: int | None) -> Disposition:
        self._try(lambda ua, now, handle: ua.hang_up(handle, now))
        return Disposition.CANCELLED
