"""The transaction tables, cell by cell, and the keys that messages are matched by."""

from __future__ import annotations

import pytest

from tests.unit.sip.peers import RawPeer
from voiceblocks.sip.message import parse_message
from voiceblocks.sip.transaction import (
    INVITE_CLIENT,
    INVITE_SERVER,
    NON_INVITE_CLIENT,
    NON_INVITE_SERVER,
    Table,
    TransactionEvent,
    TransactionState,
    advance,
    merge_key,
    response_event,
    server_key,
)

CELLS = {
    "invite_server": (
        INVITE_SERVER,
        """
        PROCEEDING REQUEST PROCEEDING
        PROCEEDING PROVISIONAL PROCEEDING
        PROCEEDING SUCCESS ACCEPTED
        PROCEEDING FAILURE COMPLETED
        PROCEEDING TRANSPORT_ERROR TERMINATED
        COMPLETED REQUEST COMPLETED
        COMPLETED ACK CONFIRMED
        COMPLETED TIMER_H TERMINATED
        COMPLETED TRANSPORT_ERROR TERMINATED
        CONFIRMED TIMER_I TERMINATED
        CONFIRMED TRANSPORT_ERROR TERMINATED
        ACCEPTED ACK ACCEPTED
        ACCEPTED SUCCESS ACCEPTED
        ACCEPTED TIMER_L TERMINATED
        """,
    ),
    "non_invite_server": (
        NON_INVITE_SERVER,
        """
        TRYING PROVISIONAL PROCEEDING
        TRYING SUCCESS COMPLETED
        TRYING FAILURE COMPLETED
        TRYING TRANSPORT_ERROR TERMINATED
        PROCEEDING REQUEST PROCEEDING
        PROCEEDING PROVISIONAL PROCEEDING
        PROCEEDING SUCCESS COMPLETED
        PROCEEDING FAILURE COMPLETED
        PROCEEDING TRANSPORT_ERROR TERMINATED
        COMPLETED REQUEST COMPLETED
        COMPLETED TIMER_J TERMINATED
        COMPLETED TRANSPORT_ERROR TERMINATED
        """,
    ),
    "invite_client": (
        INVITE_CLIENT,
        """
        CALLING PROVISIONAL PROCEEDING
        CALLING SUCCESS ACCEPTED
        CALLING FAILURE COMPLETED
        CALLING TIMER_B TERMINATED
        CALLING TRANSPORT_ERROR TERMINATED
        PROCEEDING PROVISIONAL PROCEEDING
        PROCEEDING SUCCESS ACCEPTED
        PROCEEDING FAILURE COMPLETED
        PROCEEDING TRANSPORT_ERROR TERMINATED
        COMPLETED FAILURE COMPLETED
        COMPLETED TIMER_D TERMINATED
        COMPLETED TRANSPORT_ERROR TERMINATED
        ACCEPTED SUCCESS ACCEPTED
        ACCEPTED TIMER_M TERMINATED
        """,
    ),
    "non_invite_client": (
        NON_INVITE_CLIENT,
        """
        TRYING PROVISIONAL PROCEEDING
        TRYING SUCCESS COMPLETED
        TRYING FAILURE COMPLETED
        TRYING TIMER_F TERMINATED
        TRYING TRANSPORT_ERROR TERMINATED
        PROCEEDING PROVISIONAL PROCEEDING
        PROCEEDING SUCCESS COMPLETED
        PROCEEDING FAILURE COMPLETED
        PROCEEDING TIMER_F TERMINATED
        PROCEEDING TRANSPORT_ERROR TERMINATED
        COMPLETED TIMER_K TERMINATED
        """,
    ),
}


@pytest.mark.parametrize("name", CELLS)
def test_every_cell(name: str) -> None:
    """The table has these cells and no others; all else is absorbed."""
    table, text = CELLS[name]
    wanted = {tuple(line.split()) for line in text.strip().splitlines()}
    found = {
        (state.name, event.name, target.name)
        for state in table
        for event in TransactionEvent
        if (target := advance(table, state, event)) is not None
    }
    assert found == wanted


@pytest.mark.parametrize("table", [cell[0] for cell in CELLS.values()])
def test_every_target_has_a_row(table: Table) -> None:
    """No step leads out of the table, and the end is an end."""
    for row in table.values():
        assert set(row.values()) <= set(table)
    assert table[TransactionState.TERMINATED] == {}


def test_every_event_is_used_somewhere() -> None:
    """No dead event."""
    used = {event for table, _ in CELLS.values() for row in table.values() for event in row}
    assert used == set(TransactionEvent)


def test_responses_by_class() -> None:
    """1xx, 2xx and the rest are three events."""
    assert response_event(100) is response_event(199) is TransactionEvent.PROVISIONAL
    assert response_event(200) is response_event(299) is TransactionEvent.SUCCESS
    assert response_event(300) is response_event(699) is TransactionEvent.FAILURE


@pytest.mark.parametrize("cookie", ["z9hG4bK", ""])
def test_ack_and_cancel_find_their_invite(cookie: str) -> None:
    """With RFC 3261 branches and with those of RFC 2543; a BYE does not."""
    peer = RawPeer()
    invite = parse_message(peer.request("INVITE", branch=f"{cookie}x"))
    ack = parse_message(peer.request("ACK", branch=f"{cookie}x", to_tag="ours"))
    cancel = parse_message(peer.request("CANCEL", branch=f"{cookie}x"))
    bye = parse_message(peer.request("BYE", branch=f"{cookie}x"))
    assert server_key(ack) == server_key(invite)
    assert server_key(cancel, "INVITE") == server_key(invite)
    assert len({server_key(invite), server_key(cancel), server_key(bye)}) == 3


def test_same_branch_of_another_host_is_another_transaction() -> None:
    """RFC 3261 17.2.3: sent-by belongs to the key."""
    data = RawPeer().request("INVITE", branch="z9hG4bKx")
    other = data.replace(b"UDP 192.0.2.9:5062", b"UDP 192.0.2.8:5062")
    assert server_key(parse_message(data)) != server_key(parse_message(other))
    assert merge_key(parse_message(data)) == merge_key(parse_message(other))
