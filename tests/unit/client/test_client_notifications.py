"""Notifications of the client: what is refused, and what is read."""

from __future__ import annotations

import contextlib
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voiceblocks.client import (
    Notification,
    NotificationRefused,
    check_signatures,
    parse_notification,
    receive_notification,
)
from voiceblocks.client.listener import Listener
from voiceblocks.money import Thousandths
from voiceblocks.notifications.parameters import (
    CallFacts,
    EndedCall,
    block_parameters,
    call_parameters,
    encode,
)
from voiceblocks.webhook_signatures import headers, secret_of, standard_signature

TOKEN = "token0000000000a"
NOW_S = 1_700_000_000
CALL = CallFacts("S-1", "AA-S-1", "+6591110000", "+6531580000")
ENDED = EndedCall(NOW_S * 1_000_000, 2, "SGD", Thousandths(20), Thousandths(40), "chg_1")
BODY = encode(
    block_parameters(
        "record", CALL, tag="t é", specific=[("record_url", "http://h/r.mp3?a=1&b=2")], ended=ENDED
    )
).encode()


def signed(body: bytes = BODY, at_s: int = NOW_S, token: str = TOKEN) -> dict[str, str]:
    """Headers as the server sends them."""
    return {**headers("evt_1", at_s, body, token), "X-Voiceblocks-Attempt": "3"}


def test_what_the_server_writes_is_read() -> None:
    """Every fact of a record notification comes back from what the server made of it."""
    told = receive_notification(BODY, signed(), TOKEN, now_s=NOW_S + 299)
    assert (told.block, told.session, told.txn_ref) == ("record", "S-1", "AA-S-1")
    assert (told.from_number, told.to_number, told.tag) == ("+6591110000", "+6531580000", "t é")
    assert told.record_url == "http://h/r.mp3?a=1&b=2"
    assert told.is_ended
    assert told.bill is not None
    assert (told.bill.debit, told.bill.duration_min) == (Decimal("0.040"), 2)
    assert told.bill.date.timestamp() == NOW_S
    assert (told.event_id, told.attempt) == ("evt_1", 3)


def test_the_end_of_a_call_of_two() -> None:
    """A `voice/call` has no block, no session and no call_state: it has ended."""
    dests = [("+651", "answered"), ("+652", "busy")]
    pairs = call_parameters(txn_ref="AA-S-2", tag="", dests=dests, ended=ENDED)
    told = parse_notification(encode(pairs))
    assert (told.block, told.session, told.call_state) == ("", "", "ended")
    assert told.parameters["call_status_dest2"] == "busy"


@pytest.mark.parametrize("name", ["webhook-id", "webhook-timestamp", "webhook-signature",
                                  "X-Hoiio-Signature"])  # fmt: skip
def test_each_header_counts(name: str) -> None:
    """Without one of them, or with another value, it is refused."""
    check_signatures(BODY, signed(), TOKEN, now_s=NOW_S)
    without = {key: value for key, value in signed().items() if key != name}
    with pytest.raises(NotificationRefused, match="missing"):
        check_signatures(BODY, without, TOKEN, now_s=NOW_S)
    with pytest.raises(NotificationRefused, match="signature"):
        check_signatures(BODY, {**signed(), name: "1700000000é"}, TOKEN, now_s=NOW_S)


@pytest.mark.parametrize("off_s", [-301, 301])
def test_a_repeat_is_too_old(off_s: int) -> None:
    """What was good once is refused later, and from a wrong clock; its time cannot be changed."""
    with pytest.raises(NotificationRefused, match="too old"):
        check_signatures(BODY, signed(), TOKEN, now_s=NOW_S + off_s)
    renewed = {**signed(), "webhook-timestamp": str(NOW_S + 301)}
    with pytest.raises(NotificationRefused, match="signature"):
        check_signatures(BODY, renewed, TOKEN, now_s=NOW_S + 301)


def test_while_tokens_change() -> None:
    """Any of several tokens holds, another does not, and a changed body never."""
    check_signatures(BODY, signed(token="old"), ["new", "old"], now_s=NOW_S)
    with pytest.raises(NotificationRefused):
        check_signatures(BODY, signed(token="older"), ["new", "old"], now_s=NOW_S)
    with pytest.raises(NotificationRefused):
        check_signatures(BODY + b"&digits=1", signed(), TOKEN, now_s=NOW_S)


def test_as_the_standard_has_it() -> None:
    """The example of the Standard Webhooks specification, made by another implementation."""
    import base64
    import hashlib
    import hmac

    secret = secret_of(TOKEN).removeprefix("whsec_")
    digest = hmac.new(base64.b64decode(secret), b"msg_1.1674087231.{}", hashlib.sha256).digest()
    assert standard_signature("msg_1", "1674087231", b"{}", TOKEN) == (
        "v1," + base64.b64encode(digest).decode()
    )


@given(st.binary(max_size=300))
def test_any_bytes(body: bytes) -> None:
    """Whatever is sent is a notification or refused."""
    with contextlib.suppress(NotificationRefused):
        assert isinstance(parse_notification(body), Notification)


@pytest.fixture
def told() -> list[Notification]:
    """What a listener's handler got."""
    return []


@pytest.fixture
def listener(told: list[Notification]) -> Iterator[Listener]:
    """A listener whose handler fails at the first of the tag `fail`."""

    def handle(one: Notification) -> None:
        told.append(one)
        if one.tag == "fail" and len(told) == 1:
            raise RuntimeError("as a real application")

    made = Listener(handle, TOKEN)
    thread = threading.Thread(target=made.serve_forever)
    thread.start()
    yield made
    made.close()
    thread.join()


def post(listener: Listener, body: bytes, with_headers: dict[str, str]) -> int:
    """The status of its answer."""
    request = urllib.request.Request(f"http://127.0.0.1:{listener.port}/", body, with_headers)
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            status: int = answer.status
    except urllib.error.HTTPError as error:
        error.close()
        return error.code
    return status


def test_listener(listener: Listener, told: list[Notification]) -> None:
    """A notification is handed over once; a failed one again; a forged one never."""
    import time

    body = encode(block_parameters("play", CALL, tag="fail")).encode()
    good = signed(body, int(time.time()))
    assert post(listener, body, {**good, "webhook-id": "evt_2"}) == 403
    assert post(listener, body, good) == 503
    assert post(listener, body, good) == 200
    assert post(listener, body, good) == 200
    assert [one.event_id for one in told] == ["evt_1", "evt_1"]
