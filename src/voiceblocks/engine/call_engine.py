"""Joins SIP events with live calls, and workflows with both.

Knows which leg belongs to which call and which session; everything about one call is
in `live_call`.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import Callable, Collection
from contextlib import AbstractContextManager

from voiceblocks.calls.cause import CallEndCause
from voiceblocks.calls.events import AcceptedCall, CallHandler, EndReason, IncomingCall, Refusal
from voiceblocks.clock import Clock
from voiceblocks.engine import goodbye
from voiceblocks.engine.call_leg import CallLeg
from voiceblocks.engine.end_causes import cause_of
from voiceblocks.engine.engine_config import EngineConfig
from voiceblocks.engine.goodbye import Goodbyes
from voiceblocks.engine.incoming_leg import IncomingLeg
from voiceblocks.engine.live_call import LiveCall
from voiceblocks.engine.media.plane import MediaPlane
from voiceblocks.engine.media_session import check_offer
from voiceblocks.engine.outgoing_leg import OutgoingLeg
from voiceblocks.engine.parts import EngineParts
from voiceblocks.engine.plan import BlockPlan, CallPlan, RoomKey
from voiceblocks.engine.rooms import Rooms
from voiceblocks.engine.sip_endpoint import SipEndpoint
from voiceblocks.engine.sip_log import SipLog
from voiceblocks.engine.trunk_addresses import TrunkAddresses
from voiceblocks.errors import RemoteSipError
from voiceblocks.log import get_logger
from voiceblocks.sip.events import (
    Answered,
    AnswerSent,
    CallFailed,
    Event,
    InfoReceived,
    InviteReceived,
    InviteSentAgain,
    LegCancelled,
    LegConfirmed,
    LegEnded,
    OfferAnswered,
    OfferReceived,
    Progress,
    RegistrationEvent,
    StrayAnswer,
)
from voiceblocks.sip.responses import REFUSALS
from voiceblocks.sip.source_guard import SourceGuard
from voiceblocks.stories.interfaces import UNHEARD, StoryKeeper
from voiceblocks.trunks.incoming import read_numbers
from voiceblocks.trunks.model import DtmfMode, Trunk, TrunkRoute

_log = get_logger("engine")

STOP_LIMIT_S = 15.0

LAST_ANSWERS_S = 4.0
"""How long a stopping node waits until far ends have answered its BYEs and CANCELs, and until
those that have not said anything yet can be cancelled: each was sent four times by then."""


class CallEngine:
    """
    All live calls of this node.

    Args:
        config: Addresses and limits.
        plane: The media workers; started and stopped by the composition root.
        handler: The workflows.
        clock: For time stamps and the SIP core's `now`.
        guard: Who may send us SIP at all.
        addresses: Where the trunks are.
        story: Takes what happens in calls.
        open_route: Gives a trunk with its password in clear.
    """

    def __init__(
        self,
        config: EngineConfig,
        *,
        plane: MediaPlane,
        handler: CallHandler,
        clock: Clock,
        guard: SourceGuard,
        addresses: TrunkAddresses,
        open_route: Callable[[Trunk], TrunkRoute],
        story: StoryKeeper = UNHEARD,
    ) -> None:
        self.sip_log = SipLog(clock, story.note)
        self._config = config
        self._plane = plane
        self._handler = handler
        self._clock = clock
        self._endpoint = SipEndpoint(
            host=config.sip_host,
            port=config.sip_port,
            clock=clock,
            guard=guard,
            public_address=config.sip_public_address,
            on_event=self._on_event,
            observer=self.sip_log,
        )
        self._addresses = addresses
        self._goodbyes = Goodbyes(self._endpoint, addresses, open_route)
        self._guard = guard
        self._rooms = Rooms(plane, config.max_room_participants)
        self._parts = EngineParts(
            endpoint=self._endpoint,
            plane=plane,
            handler=handler,
            clock=clock,
            targets=addresses,
            rooms=self._rooms,
            sip_log=self.sip_log,
            story=story,
            media_address=config.media_address,
            sdp_ids=itertools.count(clock.utc_us() // 1_000_000),
        )
        self.on_registration: Callable[[RegistrationEvent], None] = lambda event: None
        "Told how registrations fare."
        self._by_session: dict[str, LiveCall] = {}
        self._arriving: dict[int, asyncio.Task[None]] = {}
        self._cancelled: set[int] = set()
        self._draining = False

    @property
    def sip_address(self) -> tuple[str, int]:
        """Where SIP is answered."""
        return self._endpoint.address

    @property
    def live_calls(self) -> int:
        """Calls that are ringing or up."""
        return len(self._by_session)

    @property
    def rooms(self) -> int:
        """Conference rooms with somebody in them."""
        return len(self._rooms)

    @property
    def guard(self) -> SourceGuard:
        """Who may send us SIP, for its counters."""
        return self._guard

    @property
    def endpoint(self) -> SipEndpoint:
        """The SIP side, for probes, counters and goodbyes after a restart."""
        return self._endpoint

    async def start(self) -> None:
        """Begin to answer SIP."""
        await self._endpoint.start()

    async def drain(self, timeout_s: float) -> None:
        """Take no new calls and wait until the live ones have ended, at most `timeout_s`."""
        self._draining = True
        deadline = self._clock.monotonic() + timeout_s
        while self._by_session and (left := deadline - self._clock.monotonic()) > 0:
            overs = [asyncio.ensure_future(call.over()) for call in self._by_session.values()]
            await asyncio.wait(overs, timeout=left)
            for waiting in overs:
                waiting.cancel()

    async def stop(self, limit_s: float = STOP_LIMIT_S) -> None:
        """
        End all calls with what was recorded so far, hear that the far ends know, close the sockets.

        Args:
            limit_s: How long the database may take to be told. What it was not told by then
                is found and finished at the next start, as after a crash.
        """
        self._draining = True
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(limit_s):
                # Calls that are just being looked up would be taken after the last one ended.
                await asyncio.gather(*self._arriving.values(), return_exceptions=True)
                calls = list(self._by_session.values())
                for call in calls:
                    call.end(EndReason.SERVER_RESTART)
                await asyncio.gather(*(call.over() for call in calls))
        if self._by_session:
            _log.warning("stopped_with_untold_calls", calls=len(self._by_session))
        if not await self._endpoint.settled(LAST_ANSWERS_S):
            _log.info("stopped_with_silent_peers")
        await self._endpoint.stop()

    # Commands from the workflows

    def start_block(self, plan: BlockPlan) -> bool:
        """Run a block on a live call; `False` if the call is gone meanwhile."""
        call = self._by_session.get(plan.session_id)
        if call is None:
            return False
        call.start_block(plan)
        return True

    def place_call(self, plan: CallPlan) -> bool:
        """Call somebody; `False` if the node takes no more calls, or is stopping."""
        if self._draining or not self._plane.has_room():
            return False
        session_id = plan.block.session_id
        call = self._add(
            session_id,
            OutgoingLeg(self._parts, name=session_id, plan=plan.first_leg),
            max_duration_s=plan.max_duration_s,
        )
        call.start_block(plan.block)
        return True

    def moderate(self, session_id: str, action: str) -> bool:
        """`kick`, `mute` or `unmute` a participant; `False` if it is in no room."""
        call = self._by_session.get(session_id)
        if call is None or call.seat is None:
            return False
        if action == "kick":
            call.seat.kicked.set()
        else:
            call.seat.mute(muted=action == "mute")
        return True

    def room_space(self, key: RoomKey) -> int:
        """How many more a room takes now."""
        return max(0, self._rooms.limit - self._rooms.size(key))

    def pause(self, session_id: str, names: Collection[str], *, paused: bool) -> bool:
        """Pause recordings of a call, or go on with them; `False` if none of them runs."""
        call = self._by_session.get(session_id)
        return call is not None and call.leg.pause(names, paused=paused)

    def force_hangup(self, session_id: str, run_id: str | None) -> bool:
        """End a call now; `False` if it is gone meanwhile."""
        call = self._by_session.get(session_id)
        if call is None:
            return False
        call.force_hangup(run_id)
        return True

    def end_call(self, session_id: str, reason: EndReason) -> bool:
        """End a call for a reason that is not the application's; `False` if it is gone."""
        call = self._by_session.get(session_id)
        if call is None:
            return False
        call.end(reason)
        return True

    def application_told(self, session_id: str) -> None:
        """A notification leaves for the first time: the next block is due in the idle time."""
        call = self._by_session.get(session_id)
        if call is not None:
            call.application_told()

    def hold_clocks(self, session_id: str) -> AbstractContextManager[None]:
        """While a block for this call is being prepared, nobody is hung up for lack of one."""
        call = self._by_session.get(session_id)
        return contextlib.nullcontext() if call is None else call.hold_clocks()

    def say_goodbye(self, session_id: str, leg_id: str, dialog: str) -> None:
        """End a leg of a call of an earlier process (decisions 12 and 59)."""
        if (call_id := self._goodbyes.say(dialog)) is not None:
            self.sip_log.belongs(call_id, session_id, leg_id)
            self.sip_log.over(session_id)

    # Events of the SIP core

    def _on_event(self, event: Event) -> None:
        try:
            self._dispatch(event)
        except Exception:  # noqa: BLE001 (a fault in one call; the endpoint serves all others)
            _log.exception("sip_event_failed", sip_event=type(event).__name__)
            leg = self._parts.legs.get(getattr(event, "leg", -1))
            if leg is not None:
                leg.end(EndReason.HANGUP, status=500)

    def _dispatch(self, event: Event) -> None:
        if isinstance(event, InviteReceived):
            task = asyncio.get_running_loop().create_task(self._arrive(event))
            self._arriving[event.leg] = task
            return
        if isinstance(event, RegistrationEvent):
            self.on_registration(event)
            return
        if isinstance(event, StrayAnswer):
            self._goodbyes.refuse(event)
            return
        leg = self._parts.legs.get(getattr(event, "leg", -1))
        if leg is None:
            if isinstance(event, LegCancelled | LegEnded) and event.leg in self._arriving:
                self._cancelled.add(event.leg)
            return
        match leg, event:
            case IncomingLeg(), AnswerSent():
                leg.on_answer_sent()
            case OutgoingLeg(), InviteSentAgain():
                leg.on_sent_again()
            case OutgoingLeg(), Progress():
                leg.on_sip_progress(event)
            case OutgoingLeg(), Answered() | CallFailed():
                leg.on_final(event)
            case _, LegConfirmed() | OfferAnswered():
                leg.on_confirmed(event.answer)
            case _, OfferReceived():
                leg.on_offer(event.offer)
            case _, InfoReceived():
                leg.on_info(event.content_type, event.body)
            case _, LegCancelled() | LegEnded():
                leg.on_ended(cause_of(event))
            case _:
                pass

    async def _arrive(self, event: InviteReceived) -> None:
        try:
            await self._take_or_refuse(event)
        except Exception:  # noqa: BLE001 (answered with 500 and logged; the node lives on)
            _log.exception("incoming_call_failed")
            self._endpoint.try_run(lambda ua, now: ua.refuse(event.leg, 500, now))
        finally:
            del self._arriving[event.leg]
            self._cancelled.discard(event.leg)

    async def _take_or_refuse(self, event: InviteReceived) -> None:
        # Where no route leads back to the caller, nothing is stored of the call.
        bind_host = self._parts.local_host(event.flow.remote[0])
        trunk = self._addresses.trunk_of(event.flow.remote[0])
        if event.offer is not None:
            try:
                check_offer(event.offer, host=bind_host)
            except RemoteSipError as error:
                _log.info("offer_refused", reason=error.reason, source=event.flow.remote[0])
                status = error.status_hint
                self._endpoint.try_run(lambda ua, now: ua.refuse(event.leg, status, now))
                return
        decision = await self._decide(event, trunk)
        if isinstance(decision, Refusal):
            _log.info("call_refused", reason=decision.value, source=event.flow.remote[0])
            answer = REFUSALS[decision.value]
            self._endpoint.try_run(
                lambda ua, now: ua.refuse(event.leg, answer.status, now, headers=answer.headers)
            )
            return
        self._take(event, decision.session_id, trunk)
        leg = self._parts.legs[event.leg]
        if event.leg in self._cancelled:
            leg.on_ended(CallEndCause.FAR_CANCELLED)
            return
        self._endpoint.try_run(lambda ua, now: ua.ring(event.leg, now))

    async def _decide(self, event: InviteReceived, trunk: Trunk | None) -> AcceptedCall | Refusal:
        if self._draining or not self._plane.has_room():
            return Refusal.NODE_FULL
        numbers = read_numbers(event.request, trunk)
        if numbers.called is None:
            return Refusal.UNKNOWN_NUMBER
        return await self._handler.on_incoming_call(
            IncomingCall(
                from_number=numbers.caller,
                to_number=numbers.called,
                received_at_us=self._clock.utc_us(),
                dialog=goodbye.remember_ringing(self._endpoint, event.leg, event.flow),
            )
        )

    def _take(self, event: InviteReceived, session_id: str, trunk: Trunk | None) -> None:
        dtmf = DtmfMode.AUTO if trunk is None else trunk.dtmf
        media = self._parts.new_media(event.flow.remote[0], offer=event.offer, dtmf=dtmf)
        leg = IncomingLeg(
            self._parts,
            name=session_id,
            handle=event.leg,
            flow=event.flow,
            media=media,
            dtmf=dtmf,
        )
        self._add(session_id, leg)

    def _add(
        self, session_id: str, leg: CallLeg, *, max_duration_s: float | None = None
    ) -> LiveCall:
        call = LiveCall(
            session_id=session_id,
            leg=leg,
            parts=self._parts,
            limits=self._config.limits,
            max_duration_s=max_duration_s,
            on_over=self._forget,
        )
        self._by_session[session_id] = call
        return call

    def _forget(self, call: LiveCall) -> None:
        self._by_session.pop(call.session_id, None)
        call.leg.forget()
        self.sip_log.over(call.session_id)
