"""An application places calls: `ivr/start/dial`, `voice/call`, and conferences.

Who may be called is decided in one workflow (`authorise_outgoing_call`), in the transaction
that stores the session, so that an account never has more calls than it may.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Connection

from voiceblocks import e164, ids
from voiceblocks.accounts.model import Account, Application
from voiceblocks.blocks.call import CallCommand
from voiceblocks.blocks.command import BlockRequest
from voiceblocks.blocks.conference import ConferenceCommand
from voiceblocks.blocks.dial import DialCommand
from voiceblocks.calls.cause import CallEndCause
from voiceblocks.calls.events import BlockFinished, CallEnded, Disposition, EndReason
from voiceblocks.database import accounts, further_legs, sessions
from voiceblocks.engine.plan import BlockPlan, CallPlan, OutgoingLegPlan, RoomKey, TransferPlan
from voiceblocks.errors import ContractViolation, InvalidRequest
from voiceblocks.log import get_logger
from voiceblocks.money import Thousandths
from voiceblocks.sessions.model import BlockRun, Direction, FurtherLeg, Session, SessionKind
from voiceblocks.sessions.state import SessionState
from voiceblocks.speech.interfaces import Clip
from voiceblocks.workflows.accept_block import Dialled
from voiceblocks.workflows.authorise_outgoing_call import (
    Authorised,
    OutgoingRequest,
    authorise_outgoing_call,
)
from voiceblocks.workflows.note_call_events import note_block_finished, note_call_ended
from voiceblocks.workflows.plan_leg import plan_leg, usable_routes
from voiceblocks.workflows.request_parts import RequestParts
from voiceblocks.workflows.write_down import write_down

_log = get_logger("calls")

RING_S = 60.0
"How long a number of `voice/call` or a conference rings; no parameter says it."


@dataclass(frozen=True, slots=True)
class _Placed:
    """One call as the transaction stored it."""

    session: Session
    run: BlockRun
    allowed: Authorised
    second: Dialled | None = None


class PlaceCall:
    """Fulfils what the HTTP front needs to start calls."""

    def __init__(self, parts: RequestParts) -> None:
        self._database, self._clock = parts.database, parts.clock
        self._key, self._rules = parts.key, parts.rules
        self._requests, self._calls, self._outbox = parts.requests, parts.calls, parts.outbox

    async def dial(self, app: Application, command: DialCommand) -> Mapping[str, Any]:
        """
        Call a number, whose call the application then drives.

        Raises:
            InvalidRequest: With the documented status.
        """
        prompt = await self._requests.prepare(app.account_id, command.msg, (command.notify_url,))
        placed = await self._database.run(
            lambda connection: self._store_dial(connection, app, command)
        )
        await self._start(
            placed,
            command,
            ring_s=command.ring_time_s,
            max_duration_s=command.max_duration_s,
            prompt=prompt,
            hangs_up_after=command.notify_url is None,
        )
        return {"txn_ref": placed.session.txn_ref, "session": placed.session.id}

    async def call(self, app: Application, command: CallCommand) -> Mapping[str, Any]:
        """
        Call two numbers and connect them.

        Raises:
            InvalidRequest: With the documented status.
        """
        await self._requests.prepare(app.account_id, (), (command.notify_url,))
        tone = await self._requests.ring_tone(command.dest2)
        placed = await self._database.run(
            lambda connection: self._store_call(connection, app, command)
        )
        if placed.second is None:
            raise ContractViolation("a call of one leg")
        transfer = TransferPlan(
            legs=(plan_leg(placed.second, self._key, ring_s=RING_S),),
            ring_tone=tone,
            max_talk_s=command.max_duration_s,
        )
        await self._start(placed, command, transfer=transfer)
        return {"txn_ref": placed.session.txn_ref}

    async def conference(self, app: Application, command: ConferenceCommand) -> Mapping[str, Any]:
        """
        Call numbers, and put whoever answers into one room.

        Returns:
            `txn_refs`: a list, in the order of the numbers; `room`: its name.

        Raises:
            InvalidRequest: With the documented status; then nobody is called.
        """
        await self._requests.prepare(app.account_id, (), (command.notify_url,))
        room = command.room or ids.new_room_name()
        if self._calls.room_space(RoomKey(app.id, room)) < len(command.dests):
            raise InvalidRequest("error_dest_too_many")
        all_placed = await self._database.run(
            lambda connection: self._store_conference(connection, app, command, room)
        )
        for placed in all_placed:
            transfer = TransferPlan(room=RoomKey(app.id, room))
            await self._start(placed, command, transfer=transfer)
        return {"txn_refs": [placed.session.txn_ref for placed in all_placed], "room": room}

    # In the transaction

    def _store_dial(
        self, connection: Connection, app: Application, command: DialCommand
    ) -> _Placed:
        account = _account_of(connection, app)
        now_us = self._clock.utc_us()
        allowed = self._authorise(connection, account, app, command.dest, command.caller_id)
        session = self._session(
            account, app, allowed, command, SessionKind.IVR, SessionState.EXECUTING, now_us
        )
        return _Placed(session, _store(connection, session, command, now_us), allowed)

    def _store_call(
        self, connection: Connection, app: Application, command: CallCommand
    ) -> _Placed:
        account = _account_of(connection, app)
        now_us = self._clock.utc_us()
        dest1 = command.dest1 or account.registered_number
        if dest1 is None:
            raise InvalidRequest("error_dest1_param_missing")
        if dest1 == command.dest2:
            raise InvalidRequest("error_same_dest1_dest2")
        # Each side sees the other's number; dest2 may be shown another one (spec 7.1).
        second = self._authorise(
            connection, account, app, command.dest2, command.caller_id, name="dest2"
        )
        first = self._authorise(
            connection, account, app, dest1, None, name="dest1", planned=(second,)
        )
        session = self._session(
            account, app, first, command, SessionKind.CALL, SessionState.ENDING, now_us
        )
        session = replace(session, held=Thousandths(first.hold + second.hold))
        run = _store(connection, session, command, now_us)
        leg = FurtherLeg(
            id=ids.new_leg_id(),
            session_id=session.id,
            account_id=account.id,
            number=2,
            dest=second.dest,
            caller=second.caller,
            trunk_id=second.trunks[0].id,
            rate=second.price.rate,
            block_s=second.price.block_s,
            created_us=now_us,
        )
        further_legs.insert(connection, leg)
        return _Placed(session, run, first, Dialled(leg, second.trunks))

    def _store_conference(
        self, connection: Connection, app: Application, command: ConferenceCommand, room: str
    ) -> list[_Placed]:
        account = _account_of(connection, app)
        now_us = self._clock.utc_us()
        placed = []
        for dest in command.dests:
            allowed = self._authorise(connection, account, app, dest, command.caller_id)
            session = self._session(
                account, app, allowed, command, SessionKind.CONFERENCE, SessionState.ENDING, now_us
            )
            run = _store(connection, session, command, now_us, room=room)
            placed.append(_Placed(session, run, allowed))
        return placed

    def _authorise(
        self,
        connection: Connection,
        account: Account,
        app: Application,
        dest: str,
        caller_id: str | None,
        *,
        name: str = "dest",
        planned: Sequence[Authorised] = (),
    ) -> Authorised:
        request = OutgoingRequest(
            account=account,
            app=app,
            dest=dest,
            caller_id=caller_id,
            status_name=name,
            planned_dials=len(planned),
            planned_hold=Thousandths(sum(one.hold for one in planned)),
            now_us=self._clock.utc_us(),
        )
        return authorise_outgoing_call(connection, request, self._rules)

    def _session(
        self,
        account: Account,
        app: Application,
        allowed: Authorised,
        command: BlockRequest,
        kind: SessionKind,
        state: SessionState,
        now_us: int,
    ) -> Session:
        node = self._rules.node
        is_participant = kind is SessionKind.CONFERENCE
        return Session(
            id=ids.new_session_id(node),
            txn_ref=ids.new_participant_txn_ref(node) if is_participant else ids.new_txn_ref(node),
            node=node,
            kind=kind,
            account_id=account.id,
            app_id=app.id,
            direction=Direction.OUTBOUND,
            from_number=allowed.caller,
            to_number=allowed.dest,
            state=state,
            max_duration_s=getattr(command, "max_duration_s", None),
            last_block=command.block,
            last_notify_url=command.notify_url,
            last_tag=command.tag,
            run_id=None,
            notification_count=0,
            currency=account.currency,
            rate=allowed.price.rate,
            block_s=allowed.price.block_s,
            held=allowed.hold,
            debit=None,
            duration_min=None,
            disposition=None,
            dialog=None,
            created_us=now_us,
            answered_us=None,
            ended_us=None,
        )

    # Beyond it

    async def _start(
        self,
        placed: _Placed,
        command: BlockRequest,
        *,
        ring_s: float = RING_S,
        max_duration_s: float | None = None,
        prompt: tuple[Clip, ...] = (),
        hangs_up_after: bool = False,
        transfer: TransferPlan | None = None,
    ) -> None:
        session = placed.session
        caller = session.from_number
        if placed.second is not None and self._rules.dest1_sees_dest2:
            # The first of two legs sees whom it is connected with.
            caller = placed.second.leg.dest
        plan = CallPlan(
            first_leg=OutgoingLegPlan(
                dest=session.to_number,
                caller=caller,
                routes=usable_routes(placed.allowed.trunks, self._key),
                ring_s=ring_s,
            ),
            block=BlockPlan(
                session_id=session.id,
                run_id=placed.run.id,
                command=command,
                prompt=prompt,
                hangs_up_after=hangs_up_after,
                transfer=transfer,
            ),
            max_duration_s=max_duration_s,
        )
        _log.info(
            "call_placed",
            session=session.id,
            kind=session.kind.value,
            dest=e164.masked(session.to_number),
        )
        if not self._calls.place_call(plan):
            await self._give_up(placed)

    async def _give_up(self, placed: _Placed) -> None:
        """The node is full or stopping: the call has failed, and its application is told so."""
        now_us = self._clock.utc_us()
        session_id = placed.session.id

        def settle(connection: Connection) -> None:
            note_block_finished(
                connection,
                BlockFinished(
                    session_id,
                    placed.run.id,
                    EndReason.HANGUP,
                    now_us,
                    reached=Disposition.FAILED,
                ),
                None,
            )
            note_call_ended(
                connection,
                CallEnded(session_id, now_us, Disposition.FAILED, CallEndCause.NODE_FULL),
            )

        await write_down(self._database, settle)
        self._outbox.wake()


def _account_of(connection: Connection, app: Application) -> Account:
    # Locked, so that calls that are asked for together are counted one after another.
    account = accounts.find_account_for_update(connection, app.account_id)
    if account is None:
        raise ContractViolation(f"application {app.id} has no account")
    return account


def _store(
    connection: Connection,
    session: Session,
    command: BlockRequest,
    now_us: int,
    *,
    room: str | None = None,
) -> BlockRun:
    """Insert the session and the run of its first block."""
    is_ivr = session.kind is SessionKind.IVR
    run = BlockRun(
        id=ids.new_block_run_id(),
        session_id=session.id,
        block=command.block,
        # The end of a call that nobody drives is told with the call's end, not with a block's.
        notify_url=command.notify_url if is_ivr else None,
        tag=command.tag,
        recording_id=None,
        created_us=now_us,
        finished_us=None,
        end_reason=None,
    )
    sessions.insert(connection, session)
    sessions.insert_run(connection, run)
    sessions.update(connection, session.id, run_id=run.id, room=room)
    return run
