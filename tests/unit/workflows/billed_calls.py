"""Calls as the database sees them, with a clock that stands where a test puts it.

Everything goes through the workflows' own transactions: who may call, what is accepted, what
the engine tells, what recovery does. Only the engine and the network are missing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import parse_qsl

from sqlalchemy import Connection

from tests.unit.database.nouns import CREATED_US, a_number, an_application
from voiceblocks.accounts.model import Account
from voiceblocks.billing.model import EntryKind, Tariff
from voiceblocks.blocks.call import CallCommand
from voiceblocks.blocks.command import Command
from voiceblocks.blocks.conference import ConferenceCommand
from voiceblocks.blocks.dial import DialCommand
from voiceblocks.blocks.record import RecordCommand
from voiceblocks.blocks.transfer import TransferCommand
from voiceblocks.calls.events import (
    AcceptedCall,
    BlockFinished,
    CallAnswered,
    CallEnded,
    Disposition,
    EndReason,
    FurtherLegAnswered,
    FurtherLegEnded,
    IncomingCall,
    Refusal,
)
from voiceblocks.database import (
    accounts,
    allowed_prefixes,
    further_legs,
    notifications,
    sessions,
    tariffs,
    trunks,
)
from voiceblocks.ids import AccountId, SessionId, TrunkId
from voiceblocks.money import NOTHING, Thousandths
from voiceblocks.sessions.model import FurtherLeg, Session
from voiceblocks.trunks.model import Trunk
from voiceblocks.workflows import recover_after_crash
from voiceblocks.workflows.accept_block import AcceptedBlock, accept_block
from voiceblocks.workflows.accept_incoming_call import AdmissionRules, accept_incoming_call
from voiceblocks.workflows.admit_recording import RecordingRules
from voiceblocks.workflows.authorise_outgoing_call import OutgoingRules
from voiceblocks.workflows.hold_credit import Hold, renew_hold, renew_or_end
from voiceblocks.workflows.keep_books import adjust
from voiceblocks.workflows.note_call_events import (
    note_block_finished,
    note_call_answered,
    note_call_ended,
    note_further_leg_answered,
    note_further_leg_ended,
)
from voiceblocks.workflows.place_call import PlaceCall
from voiceblocks.workflows.request_parts import RequestParts

SECOND_US = 1_000_000
OUR_NUMBER, FREE_NUMBER, CALLER = "+6531580000", "+6531580001", "+6591234567"
URL = "http://127.0.0.1:9/notify"
MANY = 100_000
APP = an_application()
RULES = OutgoingRules(node="1", max_calls_per_account=MANY, dials_per_minute=MANY)
RECORDING_RULES = RecordingRules(
    free_bytes=lambda: 10**12, reserve_bytes=0, quota_bytes=0, max_call_s=14_400
)
TARIFFS = (
    Tariff("inbound", "", "SGD", Thousandths(20)),
    Tariff("inbound", FREE_NUMBER, "SGD", Thousandths(0)),
    Tariff("outbound", "+65", "SGD", Thousandths(40)),
    Tariff("outbound", "+659", "SGD", Thousandths(36), 6),
    Tariff("outbound", "+6580", "SGD", Thousandths(0)),
)


class StoppedClock:
    """Fulfils `clock.Clock`: it is `now_us` until somebody moves it."""

    def __init__(self) -> None:
        self.now_us = CREATED_US

    def monotonic(self) -> float:
        """Seconds."""
        return self.now_us / 1e6

    def utc_us(self) -> int:
        """Microseconds."""
        return self.now_us


class BilledCalls:
    """What can happen to calls; each method is one transaction's work on `connection`."""

    def __init__(self) -> None:
        self.clock = StoppedClock()
        nothing: Any = None
        self._placer = PlaceCall(
            RequestParts(
                database=nothing,
                key=nothing,
                requests=nothing,
                calls=nothing,
                outbox=nothing,
                rules=RULES,
                recording_rules=RECORDING_RULES,
                clock=self.clock,
            )
        )

    def prepare(self, connection: Connection, credit: int, *, bonus: int = 0, **more: Any) -> None:
        """An account with so much in its books, its numbers, a trunk, and prices."""
        account = Account(
            id=AccountId("acc_1"),
            name="Payer",
            currency="SGD",
            credit=NOTHING,
            created_us=CREATED_US,
            **more,
        )
        accounts.insert_account(connection, account)
        self.receive(connection, credit, EntryKind.TOP_UP)
        self.receive(connection, bonus, EntryKind.BONUS)
        accounts.insert_application(connection, APP)
        for number in (OUR_NUMBER, FREE_NUMBER):
            accounts.insert_number(connection, a_number(number))
        allowed_prefixes.insert(connection, "acc_1", "+65")
        trunk = Trunk(id=TrunkId("trk_1"), name="t", address="sip:t.example", created_us=1)
        trunks.insert(connection, trunk)
        for tariff in TARIFFS:
            tariffs.insert(connection, tariff)

    def receive(self, connection: Connection, amount: int, kind: EntryKind) -> None:
        """The operator gives, or takes."""
        adjust(
            connection,
            "acc_1",
            Thousandths(amount),
            kind=kind,
            note="",
            at_us=self.clock.now_us,
        )

    # Calls begin

    def comes_in(
        self, connection: Connection, number: str = OUR_NUMBER, *, dialog: str = ""
    ) -> SessionId | Refusal:
        """Somebody calls us."""
        call = IncomingCall(CALLER, number, self.clock.now_us, dialog)
        decision = accept_incoming_call(connection, call, AdmissionRules("1", MANY))
        if isinstance(decision, AcceptedCall):
            return SessionId(decision.session_id)
        return decision

    def dial(self, connection: Connection, dest: str) -> SessionId:
        """`ivr/start/dial`."""
        command = DialCommand(dest=dest, notify_url=URL)
        return self._placer._store_dial(connection, APP, command).session.id

    def call(self, connection: Connection, dest1: str, dest2: str) -> SessionId:
        """`voice/call`."""
        command = CallCommand(dest1=dest1, dest2=dest2, notify_url=URL)
        return self._placer._store_call(connection, APP, command).session.id

    def conference(self, connection: Connection, *dests: str) -> list[SessionId]:
        """`conference/call`."""
        command = ConferenceCommand(dests=dests, notify_url=URL)
        placed = self._placer._store_conference(connection, APP, command, "room")
        return [one.session.id for one in placed]

    # Blocks

    def record(self, connection: Connection, session_id: SessionId) -> AcceptedBlock:
        """The application asks for a recording."""
        command = RecordCommand(session=session_id, notify_url=URL)
        return self.accept(connection, command)

    def transfer(self, connection: Connection, session_id: SessionId, *dests: str) -> AcceptedBlock:
        """The application transfers the call."""
        command = TransferCommand(session=session_id, dests=dests, notify_url=URL)
        return self.accept(connection, command)

    def accept(self, connection: Connection, command: Command) -> AcceptedBlock:
        """The application asks for a block."""
        now_us = self.clock.now_us
        return accept_block(connection, APP, command, RULES, RECORDING_RULES, now_us)

    # What the engine tells

    def answered(self, connection: Connection, session_id: SessionId) -> Hold | None:
        """The first leg is up."""
        note_call_answered(connection, CallAnswered(session_id, self.clock.now_us, "{}"))
        return renew_hold(connection, session_id, self.clock.now_us)

    def leg_answered(self, connection: Connection, leg: FurtherLeg) -> Hold | None:
        """A further leg is up."""
        note_further_leg_answered(
            connection, FurtherLegAnswered(leg.session_id, leg.id, self.clock.now_us, "{}")
        )
        return renew_hold(connection, leg.session_id, self.clock.now_us)

    def leg_ended(
        self, connection: Connection, leg: FurtherLeg, disposition: Disposition
    ) -> Hold | None:
        """A further leg is gone."""
        note_further_leg_ended(
            connection, FurtherLegEnded(leg.session_id, leg.id, self.clock.now_us, disposition)
        )
        return renew_hold(connection, leg.session_id, self.clock.now_us)

    def meter(self, connection: Connection, session_id: SessionId) -> Hold | None:
        """The meter strikes."""
        return renew_or_end(connection, session_id, self.clock.now_us)

    def ended(
        self,
        connection: Connection,
        session_id: SessionId,
        disposition: Disposition = Disposition.ANSWERED,
    ) -> None:
        """The call is gone; a block that ran is told first."""
        session = self.session(connection, session_id)
        if session.run_id is not None:
            note_block_finished(
                connection,
                BlockFinished(
                    session_id,
                    session.run_id,
                    EndReason.HANGUP,
                    self.clock.now_us,
                    reached=disposition,
                ),
                None,
            )
        note_call_ended(connection, CallEnded(session_id, self.clock.now_us, disposition))

    def crash(self, connection: Connection, next_node: str = "1") -> None:
        """The process dies, and the next one settles what it finds."""
        for left in recover_after_crash._look(connection, next_node):
            recover_after_crash._write(connection, left, {}, {}, left.alive_until_us)

    # What is there

    def session(self, connection: Connection, session_id: str) -> Session:
        """As it is stored."""
        session = sessions.find(connection, session_id)
        assert session is not None
        return session

    def legs(self, connection: Connection, session_id: str) -> Sequence[FurtherLeg]:
        """Its further legs."""
        return further_legs.list_of_session(connection, session_id)

    def account(self, connection: Connection) -> Account:
        """As it is stored."""
        account = accounts.find_account(connection, "acc_1")
        assert account is not None
        return account

    def told(self, connection: Connection, session_id: str) -> list[Mapping[str, str]]:
        """What all its notifications say."""
        found = notifications.list_of_session(connection, session_id)
        return [dict(parse_qsl(one.parameters, keep_blank_values=True)) for one in found]
