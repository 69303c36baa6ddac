"""May a recording begin? Not if the disk might be full before its end, nor beyond a quota.

What is refused is refused before anything is said to the caller, with a status of its own;
what has begun is never cut short for lack of room. That is the promise, so a recording is
counted with all that it may still write, and so is each that is running (decision 45).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy import Connection

from voiceblocks.blocks.command import Command
from voiceblocks.blocks.monitor import MonitorCommand
from voiceblocks.blocks.record import RecordCommand
from voiceblocks.database import accounts, recordings
from voiceblocks.log import get_logger
from voiceblocks.recordings.errors import RecordingQuotaReached, RecordingSpaceLow
from voiceblocks.recordings.model import RecordingKind
from voiceblocks.recordings.room import bytes_ahead, bytes_ahead_at_most, bytes_ahead_of
from voiceblocks.sessions.model import Session

_log = get_logger("recordings")

MB = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordingRules:
    """What the settings and the disk say about new recordings."""

    free_bytes: Callable[[], int]
    "Room on the disk that recordings are made on."
    reserve_bytes: int
    "So much of it is never promised to a recording: the database and the logs live there."
    quota_bytes: int
    "What an account's stored recordings may take up; 0: no limit."
    max_call_s: int
    "The longest call, and so the longest monitor."


def admit_recording(
    connection: Connection, session: Session, command: Command, rules: RecordingRules, now_us: int
) -> int | None:
    """
    Say whether a block may record.

    Returns:
        The longest that its recording may become, seconds; `None`: it records nothing.

    Raises:
        RecordingQuotaReached: If the account has stored all that it may.
        RecordingSpaceLow: If the disk might be full before the end.
    """
    file_format = "mp3"
    match command:
        case RecordCommand():
            file_format = command.format
            kind, limit_s = RecordingKind.RECORD, command.max_duration_s
        case MonitorCommand():
            kind, limit_s = RecordingKind.MONITOR, session.max_duration_s or rules.max_call_s
        case _:
            return None
    if command.notify_url is None:
        return None
    _require_quota(connection, session, rules)
    needed = bytes_ahead(kind, limit_s, file_format=file_format)
    free = rules.free_bytes()
    room = free - rules.reserve_bytes - needed
    if _at_most_ahead(connection, session.node) <= room:
        # Mostly so, and then nobody reads hundreds of rows for each that begins.
        return limit_s
    running = sum(
        bytes_ahead_of(recording, now_us)
        for recording in recordings.list_unfinished(connection, session.node)
    )
    if running > room:
        _log.error(
            "recording_refused",
            session=session.id,
            free_mb=free // MB,
            needed_mb=(needed + running) // MB,
            reserve_mb=rules.reserve_bytes // MB,
        )
        raise RecordingSpaceLow("the disk is running low")
    return limit_s


def _at_most_ahead(connection: Connection, node: str) -> int:
    return sum(
        count * bytes_ahead_at_most(kind, limit_s)
        for kind, limit_s, count in recordings.count_unfinished(connection, node)
    )


def _require_quota(connection: Connection, session: Session, rules: RecordingRules) -> None:
    account = accounts.find_account(connection, session.account_id)
    own = None if account is None else account.recordings_quota_bytes
    quota = rules.quota_bytes if own is None else own
    # An account's own 0 is none at all, that of the settings is no limit.
    if own is None and not quota:
        return
    if recordings.stored_bytes(connection, session.account_id) >= quota:
        _log.warning("recording_over_quota", session=session.id, account=session.account_id)
        raise RecordingQuotaReached("the account's recordings take up all that they may")
