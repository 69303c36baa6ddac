"""Dialogs: identity, order, routes, snapshots."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.sip.peers import FLOW, SDP, RawPeer, response_to
from voiceblocks.errors import ContractViolation, RemoteSipError
from voiceblocks.sip.dialog import Dialog, allowed_methods, contact_uri, option_tags
from voiceblocks.sip.headers import Headers
from voiceblocks.sip.message import SipRequest, parse_message


def from_invite(**settings) -> Dialog:
    """The called side's dialog."""
    request = parse_message(RawPeer().invite(**settings))
    assert isinstance(request, SipRequest)
    return Dialog.from_invite(request, "ours", FLOW)


def test_called_side_mirrors_the_invite() -> None:
    """From and To change places, raw; routes stay in order."""
    dialog = from_invite(
        headers=("Record-Route: <sip:a;lr>", "Record-Route: <sip:b;lr>", "Allow: info")
    )
    request = dialog.build_request("BYE", "SIP/2.0/UDP x;branch=y")
    assert dialog.id == ("call-1", "ours", "theirs")
    assert request.headers.get("From") == "<sip:+6531580000@192.0.2.1>;tag=ours"
    assert request.headers.get("To") == "<sip:+6591110000@192.0.2.9>;tag=theirs"
    assert request.headers.get_all("Route") == ["<sip:a;lr>", "<sip:b;lr>"]
    assert (request.uri, dialog.next_hop) == ("sip:caller@192.0.2.9:5062", "sip:a;lr")
    assert dialog.peer_allows == {"INFO"}
    assert not dialog.is_caller


def test_requests_count_up_and_acks_do_not() -> None:
    """Each new request has the next CSeq; an ACK has that of its INVITE."""
    dialog = from_invite()
    numbers = [dialog.build_request(m, "v").cseq.number for m in ("INFO", "BYE")]
    assert numbers == [1, 2]
    assert dialog.build_request("ACK", "v", sequence=1).cseq.number == 1
    assert dialog.local_sequence == 2


@given(st.lists(st.integers(0, 2**31 - 1), max_size=20))
def test_remote_sequence_never_goes_down(numbers: list[int]) -> None:
    """Lower ones are refused, equal and higher ones taken."""
    dialog = from_invite()
    highest = 1
    for number in numbers:
        assert dialog.accepts_sequence(number) == (number >= highest)
        highest = max(highest, number)
    assert dialog.remote_sequence == highest


def test_calling_side_reverses_the_routes() -> None:
    """RFC 3261 12.1.2; an unreadable Record-Route or Contact counts as absent."""
    invite = parse_message(RawPeer().invite())
    assert isinstance(invite, SipRequest)
    routes = [("Record-Route", "<sip:a;lr>,<sip:b;lr>")]
    response = parse_message(response_to(invite, 200, headers=routes, body=SDP))
    dialog = Dialog.from_response(invite, response)
    assert dialog.route_set == ("<sip:b;lr>", "<sip:a;lr>")
    assert dialog.is_caller
    broken = parse_message(
        response_to(invite, 200, headers=[("Record-Route", "<sip:")], contact="<nobody>")
    )
    dialog = Dialog.from_response(invite, broken)
    assert (dialog.route_set, dialog.remote_target) == ((), invite.uri)


@pytest.mark.parametrize("contact", [None, "*", "<mailto:a@b>", "<sip:>", "<sip:a@b"])
def test_contact_must_be_callable(contact: str | None) -> None:
    """A dialog needs somewhere to send to."""
    with pytest.raises(RemoteSipError):
        from_invite(contact=contact)


def test_target_refresh_ignores_what_cannot_be_used() -> None:
    """A missing Contact leaves the target as it was; a new Allow counts."""
    dialog = from_invite()
    dialog.refresh_target(SipRequest("UPDATE", "sip:x", Headers([("Allow", "UPDATE")])))
    assert dialog.remote_target == "sip:caller@192.0.2.9:5062"
    assert dialog.peer_allows == {"UPDATE"}
    moved = SipRequest("UPDATE", "sip:x", Headers([("m", "<sip:moved@b>")]))
    dialog.refresh_target(moved)
    assert (dialog.remote_target, contact_uri(moved)) == ("sip:moved@b", "sip:moved@b")


def test_snapshot_is_json_and_comes_back() -> None:
    """All but the numbers survives; those jump ahead."""
    dialog = from_invite(headers=("Record-Route: <sip:a;lr>",))
    dialog.local_address += "\udcff"
    text = dialog.snapshot(FLOW)
    assert json.loads(text)["remote"] == list(FLOW.remote)
    back = Dialog.from_snapshot(text)
    assert back.id == dialog.id
    assert back.local_address == dialog.local_address
    assert (back.route_set, back.remote_target) == (dialog.route_set, dialog.remote_target)
    assert back.local_sequence > dialog.local_sequence + 1000


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"version": 2}', '{"version": 1}', "null"])
def test_what_is_no_snapshot(text: str) -> None:
    """Named as a broken contract, not as a KeyError."""
    with pytest.raises(ContractViolation):
        Dialog.from_snapshot(text)


def test_lists_in_headers() -> None:
    """Allow in upper, option tags in lower case, over several lines."""
    headers = Headers([("Allow", "invite, Bye"), ("k", "TIMER"), ("Supported", "100rel,")])
    assert allowed_methods(headers) == {"INVITE", "BYE"}
    assert option_tags(headers, "Supported") == {"timer", "100rel"}
