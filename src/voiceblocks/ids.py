"""Identifiers that look like what they name.

Session ids and transaction references carry the node (decision 21), so that any
API node can see whose call it is: `S-1-k3f…`, `AA-S-1-7h2…`.
"""

from __future__ import annotations

import string
from typing import NewType

from voiceblocks import randomness

AccountId = NewType("AccountId", str)
AppId = NewType("AppId", str)
SessionId = NewType("SessionId", str)
TxnRef = NewType("TxnRef", str)
BlockRunId = NewType("BlockRunId", str)
RecordingId = NewType("RecordingId", str)
NotificationId = NewType("NotificationId", str)
LegId = NewType("LegId", str)
TrunkId = NewType("TrunkId", str)
UserId = NewType("UserId", str)

_ALPHANUMERIC = string.ascii_letters + string.digits
_LOWER = string.ascii_lowercase + string.digits


def random_text(length: int, alphabet: str = _LOWER) -> str:
    """Return `length` characters, each as likely as any other (see `randomness`)."""
    n = len(alphabet)
    # Bytes from here on would make the first characters of the alphabet likelier than the last.
    too_large = 256 - 256 % n
    text = ""
    while len(text) < length:
        # One system call for all of them, not one each; an eighth is thrown away at most.
        drawn = randomness.source().randbytes(2 * length)
        text += "".join([alphabet[byte % n] for byte in drawn if byte < too_large])
    return text[:length]


def new_account_id() -> AccountId:
    """An account, such as `acc_8d0s…`."""
    return AccountId("acc_" + random_text(12))


def new_app_id() -> AppId:
    """16 alphanumerics, as in the original API."""
    return AppId(random_text(16, _ALPHANUMERIC))


def new_access_token() -> str:
    """16 alphanumerics (95 bits), shown once."""
    return random_text(16, _ALPHANUMERIC)


def new_session_id(node: str) -> SessionId:
    """A session on `node`, such as `S-1-0f9k2m4q7w1x`."""
    return SessionId(f"S-{node}-{random_text(16)}")


def new_txn_ref(node: str) -> TxnRef:
    """A voice transaction on `node`, such as `AA-S-1-0f9k2m4q7w1x`."""
    return TxnRef(f"AA-S-{node}-{random_text(12)}")


def new_participant_txn_ref(node: str) -> TxnRef:
    """A participant of a conference on `node`, such as `AA-C-1-0f9k2m4q7w1x`."""
    return TxnRef(f"AA-C-{node}-{random_text(12)}")


def new_room_name() -> str:
    """A room that nobody named, such as `R0f9k2m4q7w1x`; only letters and digits."""
    return "R" + random_text(12)


def new_leg_id() -> LegId:
    """A further leg of a call: the one that a transfer dials, or the second of `voice/call`."""
    return LegId("leg_" + random_text(16))


def new_payment_id() -> str:
    """A transaction of the ledger that the operator enters, such as `pay_8d0s…`."""
    return "pay_" + random_text(16)


def new_trunk_id() -> TrunkId:
    """A trunk, such as `trk_8d0s…`."""
    return TrunkId("trk_" + random_text(12))


def new_user_id() -> UserId:
    """A user of the console, such as `usr_8d0s…`."""
    return UserId("usr_" + random_text(12))


def new_block_run_id() -> BlockRunId:
    """One execution of a block."""
    return BlockRunId("run_" + random_text(16))


def new_recording_id() -> RecordingId:
    """A recording: 128 bits of randomness as hex, since it is part of a link (decision 7)."""
    return RecordingId("rec-" + randomness.hex_text(32))


def new_act_id() -> str:
    """What somebody did to a recording."""
    return "act_" + random_text(16)


def new_link_id() -> str:
    """A link that is good once."""
    return random_text(20)


def new_notification_id() -> NotificationId:
    """The stable event id of a notification."""
    return NotificationId("evt_" + random_text(20))


def node_of(session_or_txn: str) -> str | None:
    """The node inside a session id or transaction reference, or `None` where there is none."""
    parts = session_or_txn.split("-")
    if len(parts) == 3 and parts[0] == "S":
        return parts[1]
    if len(parts) == 4 and parts[0] == "AA" and parts[1] in {"S", "C"}:
        return parts[2]
    return None
