"""Nouns with every field filled in; tests name only what they are about."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection

from voiceblocks.accounts.model import Account, Application, Number
from voiceblocks.database import accounts, sessions
from voiceblocks.ids import (
    AccountId,
    AppId,
    BlockRunId,
    LegId,
    RecordingId,
    SessionId,
    TrunkId,
    TxnRef,
)
from voiceblocks.money import Thousandths
from voiceblocks.recordings.model import Recording, RecordingKind
from voiceblocks.recordings.state import RecordingState
from voiceblocks.sessions.model import BlockRun, Direction, FurtherLeg, Session, SessionKind
from voiceblocks.sessions.state import SessionState

CREATED_US = 1_700_000_000_000_000


def an_account(account_id: str = "acc_1", **fields: Any) -> Account:
    """An account with 100.000 SGD."""
    values = {
        "id": AccountId(account_id),
        "name": "Zoë & Söhne",
        "currency": "SGD",
        "credit": Thousandths(100_000),
        "max_calls": None,
        "registered_number": "+6598765432",
        "dials_per_minute": None,
        "spend_per_day": None,
        "created_us": CREATED_US,
    }
    return Account(**(values | fields))


def an_application(app_id: str = "app1", account_id: str = "acc_1", **fields: Any) -> Application:
    """An application that is not revoked."""
    values = {
        "id": AppId(app_id),
        "account_id": AccountId(account_id),
        "name": "Voicemail",
        "revoked_us": None,
        "created_us": CREATED_US,
    }
    return Application(**(values | fields))


def a_number(number: str = "+6531580000", app_id: str = "app1", **fields: Any) -> Number:
    """A number with a notify URL."""
    values = {
        "number": number,
        "app_id": AppId(app_id),
        "notify_url": "http://127.0.0.1:9/notify",
        "created_us": CREATED_US,
    }
    return Number(**(values | fields))


def a_session(session_id: str = "S-1-a", **fields: Any) -> Session:
    """A session with every column filled."""
    values = {
        "id": SessionId(session_id),
        "txn_ref": TxnRef(f"AA-{session_id}"),
        "node": "1",
        "account_id": AccountId("acc_1"),
        "app_id": AppId("app1"),
        "direction": Direction.INBOUND,
        "kind": SessionKind.IVR,
        "from_number": "+6591234567",
        "to_number": "+6531580000",
        "state": SessionState.WAITING,
        "last_block": "record",
        "last_notify_url": "http://127.0.0.1:9/notify",
        "last_tag": "order 7",
        "run_id": BlockRunId("run_1"),
        "room": "my.123_room",
        "monitor_id": RecordingId("rec-9"),
        "max_duration_s": 86_400,
        "notification_count": 0,
        "currency": "SGD",
        "rate": Thousandths(20),
        "debit": Thousandths(2**40),
        "duration_min": 7,
        "disposition": "answered",
        "dialog": '{"call_id": "x"}',
        "created_us": CREATED_US,
        "answered_us": CREATED_US + 1,
        "ended_us": CREATED_US + 2,
    }
    return Session(**(values | fields))


def a_run(run_id: str = "run_1", session_id: str = "S-1-a", **fields: Any) -> BlockRun:
    """A record block that runs."""
    values = {
        "id": BlockRunId(run_id),
        "session_id": SessionId(session_id),
        "block": "record",
        "notify_url": "http://127.0.0.1:9/notify",
        "tag": "",
        "recording_id": RecordingId("rec-1"),
        "created_us": CREATED_US,
        "finished_us": None,
        "end_reason": None,
    }
    return BlockRun(**(values | fields))


def a_leg(leg_id: str = "leg_2", session_id: str = "S-1-a", **fields: Any) -> FurtherLeg:
    """A further leg that was answered and is over."""
    values = {
        "id": LegId(leg_id),
        "session_id": SessionId(session_id),
        "account_id": AccountId("acc_1"),
        "number": 2,
        "dest": "+6598000000",
        "caller": "private",
        "trunk_id": TrunkId("trk_1"),
        "rate": Thousandths(40),
        "debit": Thousandths(2**40),
        "disposition": "answered",
        "dialog": '{"call_id": "y"}',
        "created_us": CREATED_US,
        "answered_us": CREATED_US + 1,
        "ended_us": CREATED_US + 2,
    }
    return FurtherLeg(**(values | fields))


def a_recording(recording_id: str = "rec-1", **fields: Any) -> Recording:
    """A pending recording."""
    values = {
        "id": RecordingId(recording_id),
        "session_id": SessionId("S-1-a"),
        "app_id": AppId("app1"),
        "kind": RecordingKind.RECORD,
        "state": RecordingState.PENDING,
        "end_reason": None,
        "object_name": f"{recording_id}.mp3",
        "created_us": CREATED_US,
    }
    return Recording(**(values | fields))


def seed(connection: Connection, *session_ids: str) -> None:
    """Insert an account, its application, and these sessions."""
    accounts.insert_account(connection, an_account())
    accounts.insert_application(connection, an_application())
    for session_id in session_ids:
        sessions.insert(connection, a_session(session_id))
