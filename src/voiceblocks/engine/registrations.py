"""Keeps us registered at the trunks that want it, whatever changes: trunks, their names, servers.

The SIP core refreshes and retries by itself (`sip.registrations`); here is what it cannot do:
looking names up, and following the list of trunks.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from voiceblocks.clock import Clock
from voiceblocks.engine.local_address import reaches
from voiceblocks.engine.sip_endpoint import SipEndpoint
from voiceblocks.engine.trunk_addresses import TrunkAddresses
from voiceblocks.errors import PeerError
from voiceblocks.log import get_logger
from voiceblocks.sip.events import (
    RegistrationEnded,
    RegistrationEvent,
    RegistrationFailed,
    RegistrationSucceeded,
)
from voiceblocks.sip.flow import Flow
from voiceblocks.trunks.model import RegistrationState, Trunk, TrunkRegistration, TrunkRoute
from voiceblocks.trunks.outgoing import build_registration

_log = get_logger("registration")

NOT_FOUND_PAUSE_S = 15.0
"Until a name that leads nowhere is looked up again."

LEAVE_LIMIT_S = 2.0
"How long a registrar may take to hear that we are gone; it forgets us by itself later."


@dataclass(slots=True)
class _Kept:
    trunk: Trunk
    status: TrunkRegistration
    asked_to_leave: bool = False
    news: asyncio.Queue[RegistrationEvent | None] = field(default_factory=asyncio.Queue)
    "Events of the core; `None` asks to leave."
    task: asyncio.Task[None] | None = None

    def is_leaving(self) -> bool:
        """Whether `leave` was called."""
        return self.asked_to_leave

    def leave(self) -> None:
        """Ask the task to unregister and end."""
        self.asked_to_leave = True
        self.news.put_nowait(None)


class Registrations:
    """
    One registration for each enabled trunk with `register`.

    Args:
        endpoint: The SIP side; `start` comes after its own.
        addresses: Finds the registrars.
        open_route: Gives a trunk with its password in clear.
        clock: For time stamps.
        node: Who registers, as it is written down.
    """

    def __init__(
        self,
        endpoint: SipEndpoint,
        addresses: TrunkAddresses,
        open_route: Callable[[Trunk], TrunkRoute],
        clock: Clock,
        node: str,
    ) -> None:
        self._endpoint = endpoint
        self._addresses = addresses
        self._open_route = open_route
        self._clock = clock
        self._node = node
        self._wanted: dict[str, Trunk] = {}
        self._kept: dict[str, _Kept] = {}
        self._by_handle: dict[int, _Kept] = {}
        self._leaving: dict[str, asyncio.Task[None]] = {}
        self._running = False

    @property
    def states(self) -> dict[str, RegistrationState]:
        """How each registration stands, by the name of its trunk."""
        return {kept.trunk.name: kept.status.state for kept in self._kept.values()}

    @property
    def standing(self) -> list[TrunkRegistration]:
        """All that is known of each registration."""
        return [kept.status for kept in self._kept.values()]

    def start(self) -> None:
        """Begin to register."""
        self._running = True
        self._follow()

    def set_trunks(self, trunks: Sequence[Trunk]) -> None:
        """The trunks are these from now on; what changed is registered anew."""
        self._wanted = {
            trunk.id: trunk for trunk in trunks if trunk.register and trunk.disabled_us is None
        }
        self._follow()

    async def stop(self) -> None:
        """Unregister everywhere, but wait for nobody longer than `LEAVE_LIMIT_S`."""
        self._wanted = {}
        self._follow()
        self._running = False
        if not self._leaving:
            return
        _, late = await asyncio.wait(list(self._leaving.values()), timeout=LEAVE_LIMIT_S)
        for task in late:
            task.cancel()

    def on_event(self, event: RegistrationEvent) -> None:
        """An event of the SIP core."""
        kept = self._by_handle.get(event.id)
        if kept is not None:
            self._note(kept, event)
            kept.news.put_nowait(event)

    def _follow(self) -> None:
        if not self._running:
            return
        for key, kept in list(self._kept.items()):
            if self._wanted.get(key) != kept.trunk:
                kept.leave()
                del self._kept[key]
                if kept.task is not None:
                    self._leaving[key] = kept.task
                    kept.task.add_done_callback(lambda task, key=key: self._left(key, task))  # type: ignore[misc]
        for key, trunk in self._wanted.items():
            if key not in self._kept:
                kept = self._kept[key] = _Kept(trunk, self._trying(trunk))
                # The removal of the old contact must not cross the new one.
                keeping = self._keep(kept, self._leaving.get(key))
                kept.task = asyncio.get_running_loop().create_task(keeping)

    def _left(self, key: str, task: asyncio.Task[None]) -> None:
        if self._leaving.get(key) is task:
            del self._leaving[key]

    def _note(self, kept: _Kept, event: RegistrationEvent) -> None:
        trunk = kept.trunk.name
        match event:
            case RegistrationSucceeded():
                if kept.status.state is not RegistrationState.REGISTERED:
                    _log.info("registered", trunk=trunk, expires_s=event.expires_s)
                now_us = self._clock.utc_us()
                kept.status = replace(
                    kept.status,
                    state=RegistrationState.REGISTERED,
                    reason="",
                    changed_us=now_us,
                    until_us=now_us + event.expires_s * 1_000_000,
                )
            case RegistrationFailed():
                self._note_failure(kept, f"{event.status} {event.reason}".strip())
                _log.warning(
                    "registration_failed",
                    trunk=trunk,
                    status=event.status,
                    reason=event.reason,
                    retry_in_s=round(event.retry_in_s),
                )
            case RegistrationEnded():
                _log.info("unregistered", trunk=trunk)

    def _trying(self, trunk: Trunk) -> TrunkRegistration:
        return TrunkRegistration(
            node=self._node,
            trunk_id=trunk.id,
            state=RegistrationState.TRYING,
            changed_us=self._clock.utc_us(),
        )

    def _note_failure(self, kept: _Kept, reason: str) -> None:
        """The registrar may know us still, from before."""
        now_us = self._clock.utc_us()
        kept.status = replace(
            kept.status, state=RegistrationState.FAILED, reason=reason, changed_us=now_us
        )

    async def _keep(self, kept: _Kept, before: asyncio.Task[None] | None) -> None:
        if before is not None:
            await asyncio.wait({before})
        handle: int | None = None
        try:
            route = self._open_route(kept.trunk)
            while not kept.is_leaving():
                flows = await self._flows(kept, route)
                if kept.is_leaving():
                    break
                if flows and handle is None:
                    handle = self._begin(kept, route, flows)
                elif flows and handle is not None:
                    again = handle
                    self._endpoint.try_run(lambda ua, _: ua.registrations.reroute(again, flows))  # noqa: B023
                # Each success and failure is a time to look whether the registrar has moved.
                await _next(kept, NOT_FOUND_PAUSE_S if not flows else None)
        except Exception:  # noqa: BLE001 (of this trunk; the others go on)
            self._note_failure(kept, "given up: the log says why")
            _log.exception("registration_given_up", trunk=kept.trunk.name)
        finally:
            if handle is not None:
                await self._leave(kept, handle)

    async def _flows(self, kept: _Kept, route: TrunkRoute) -> list[Flow]:
        try:
            targets = await self._addresses.targets(route)
        except (PeerError, OSError) as error:
            _log.warning("registrar_not_found", trunk=kept.trunk.name, reason=str(error))
            targets = []
        bound = self._endpoint.address[0]
        reached = [at for at in targets if reaches(bound, at.host)]
        if len(reached) < len(targets):
            _log.warning(
                "trunk_unreachable",
                trunk=kept.trunk.name,
                reason="SIP listens on loopback only: set VOICEBLOCKS_SIP_LISTEN",
            )
        if not reached and kept.status.state is not RegistrationState.REGISTERED:
            self._note_failure(kept, "its address leads nowhere: the log says why")
        return [self._endpoint.flow_to(at.host, at.port, at.transport) for at in reached]

    def _begin(self, kept: _Kept, route: TrunkRoute, flows: Sequence[Flow]) -> int:
        plan = build_registration(route)
        handle = self._endpoint.run(
            lambda ua, now: ua.registrations.register(
                registrar=plan.registrar,
                address=plan.address,
                contact_user=plan.contact_user,
                flows=flows,
                now=now,
                credentials=plan.credentials,
            )
        )
        self._by_handle[handle] = kept
        return handle

    async def _leave(self, kept: _Kept, handle: int) -> None:
        try:
            if self._endpoint.try_run(lambda ua, now: ua.registrations.unregister(handle, now)):
                async with asyncio.timeout(LEAVE_LIMIT_S):
                    while not isinstance(await kept.news.get(), RegistrationEnded):
                        pass
        except TimeoutError:
            _log.info("registrar_silent", trunk=kept.trunk.name)
        finally:
            del self._by_handle[handle]


async def _next(kept: _Kept, limit_s: float | None) -> None:
    try:
        async with asyncio.timeout(limit_s):
            await kept.news.get()
    except TimeoutError:
        pass
