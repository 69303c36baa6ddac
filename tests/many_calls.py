"""A database in which much has happened, for what must not grow with it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection

from voiceblocks import ids
from voiceblocks.database import schema
from voiceblocks.system_clock import SystemClock

ATTEMPTS = 2
ENTRIES = 25
_RUN = {
    "block": "record",
    "notify_url": "https://app.example/recorded",
    "tag": "a tag of some length",
    "end_reason": "finish_key",
}
_URL = "https://application.example.com/voice/notifications/of/calls?tenant=4711"


@dataclass(frozen=True)
class Filled:
    """One of each, for the pages that show one."""

    account: str
    call: str
    recording: str
    notification: str


def fill(connection: Connection, *, calls: int, accounts: int) -> Filled:
    """
    Add calls of as many accounts, each call with a recording, two notifications and their attempts.

    Args:
        connection: Of the caller's transaction.
        calls: How many, a minute apart, all over.
        accounts: How many, each with an application, a number and `ENTRIES` lines of ledger.
    """
    now_us = SystemClock().utc_us()
    owners = [_account(connection, number, now_us) for number in range(accounts)]
    rows: dict[str, list[dict[str, Any]]] = {
        name: [] for name in ("sessions", "block_runs", "recordings", "notifications", "attempts")
    }
    for number in range(calls):
        account, app = owners[number % accounts]
        _call(rows, number, account, app, now_us - (calls - number) * 60_000_000)
    for name, table in (
        ("sessions", schema.sessions),
        ("block_runs", schema.block_runs),
        ("recordings", schema.recordings),
        ("notifications", schema.notifications),
        ("attempts", schema.notification_attempts),
    ):
        connection.execute(table.insert(), rows[name])
    last = rows["sessions"][-1]
    return Filled(
        account=last["account_id"],
        call=last["id"],
        recording=rows["recordings"][-1]["id"],
        notification=rows["notifications"][-1]["id"],
    )


def _account(connection: Connection, number: int, now_us: int) -> tuple[str, str]:
    account, app = f"acc_many{number:06d}", f"many{number:08d}"
    connection.execute(
        schema.accounts.insert().values(
            id=account, name=f"Customer {number} with a name", currency="SGD", credit=100_000,
            bonus=0, overdraft=0, is_trial=False, created_us=now_us,
        )
    )  # fmt: skip
    connection.execute(
        schema.applications.insert().values(
            id=app, account_id=account, name=f"Voicemail {number}", silences_keys=False,
            created_us=now_us,
        )
    )  # fmt: skip
    connection.execute(
        schema.numbers.insert().values(
            number=f"+6530{number:06d}", app_id=app, notify_url=_URL, auto_extend=False,
            created_us=now_us,
        )
    )  # fmt: skip
    entries = [
        {
            "id": f"many_{account}_{line}/1", "transaction_id": f"many_{account}_{line}",
            "account_id": account, "kind": "call", "from_book": f"{account}/points",
            "to_book": "operator/call", "amount": 20, "currency": "SGD",
            "note": "S-1-0f9k2m4q7w1x8z2a", "created_us": now_us - line,
        }
        for line in range(ENTRIES)
    ]  # fmt: skip
    connection.execute(schema.ledger_entries.insert(), entries)
    return account, app


def _call(
    rows: dict[str, list[dict[str, Any]]], number: int, account: str, app: str, at_us: int
) -> None:
    session, recording = ids.new_session_id("1"), ids.new_recording_id()
    ended_us = at_us + 40_000_000
    rows["sessions"].append(
        {
            "id": session, "txn_ref": ids.new_txn_ref("1"), "node": "1", "account_id": account,
            "app_id": app, "direction": "inbound", "kind": "ivr",
            "from_number": f"+6591{number:06d}", "to_number": "+6530000000", "state": "ended",
            "last_block": "record", "last_notify_url": _URL, "last_tag": "a tag",
            "notification_count": 2, "currency": "SGD", "rate": 20, "block_s": 60, "held": 0,
            "debit": 20, "duration_min": 1, "disposition": "answered", "created_us": at_us,
            "answered_us": at_us + 1_000_000, "ended_us": ended_us,
        }
    )  # fmt: skip
    rows["block_runs"].append(
        {
            **_RUN, "id": f"run_many{number:08d}", "session_id": session,
            "recording_id": recording, "created_us": at_us + 500_000, "finished_us": ended_us,
        }
    )  # fmt: skip
    rows["recordings"].append(
        {
            "id": recording, "session_id": session, "app_id": app, "kind": "record",
            "state": "ready", "end_reason": "finish_key", "object_name": f"{recording}.mp3",
            "size_bytes": 120_000, "duration_ms": 38_000, "sha256": "5f" * 32,
            "packets_expected": 1900, "packets_received": 1900, "packets_late": 0,
            "packets_lost": 0, "trims_silence": False, "silences_keys": False,
            "link_revision": 0, "created_us": at_us + 2_000_000, "ready_us": ended_us,
        }
    )  # fmt: skip
    for sequence, block in enumerate(("answer", "record"), 1):
        told = f"evt_many{number:08d}{sequence}"
        rows["notifications"].append(
            {
                "id": told, "session_id": session, "sequence": sequence, "app_id": app,
                "block": block, "url": _URL, "host": "application.example.com:443",
                "urgent": True, "parameters": f"ivr_block={block}&session={session}",
                "lasting": block == "record", "state": "delivered",
                "attempt_count": ATTEMPTS, "attempts_before": 0, "first_attempt_us": at_us,
                "next_attempt_us": at_us, "created_us": at_us + sequence, "settled_us": ended_us,
            }
        )  # fmt: skip
        rows["attempts"] += [
            {
                "notification_id": told, "number": attempt, "started_us": at_us,
                "latency_ms": 20, "http_status": 500 if attempt < ATTEMPTS else 200,
                "answer": "an answer of some words",
            }
            for attempt in range(1, ATTEMPTS + 1)
        ]  # fmt: skip
