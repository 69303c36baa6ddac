"""Notification parameters as real receivers read them (spec 15.2)."""

from __future__ import annotations

from urllib.parse import parse_qsl, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voiceblocks.money import Thousandths
from voiceblocks.notifications.parameters import (
    CallFacts,
    EndedCall,
    answer_parameters,
    blanked,
    block_parameters,
    body,
    encode,
    format_date,
    target_url,
)

INCOMING = CallFacts("S-1-x", "AA-S-1-y", "+6591110000", "+6531580000")
DIALLED = CallFacts("S-1-x", "AA-S-1-y", "+6531580000", "+6591110000", dialled=True)
ENDED = EndedCall(1_321_286_400_999_999, 7, "SGD", Thousandths(20), Thousandths(140))
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
PAIRS = st.lists(st.tuples(TEXT, TEXT), max_size=6)


def test_encoding_is_the_documented_one() -> None:
    """A blank is `+`, a plus `%2B`, a colon `%3A`, and text is UTF-8."""
    assert encode([("a", "+65 1:2"), ("b", "請"), ("c", "")]) == "a=%2B65+1%3A2&b=%E8%AB%8B&c="


@given(PAIRS)
def test_encoding_reads_back(pairs: list[tuple[str, str]]) -> None:
    """Any text survives form encoding and a form parser."""
    read = parse_qsl(encode(pairs), keep_blank_values=True, max_num_fields=100)
    assert read == pairs


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://a.example/n", "http://a.example/n?p=1"),
        ("http://a.example", "http://a.example/?p=1"),
        ("http://a.example/n?", "http://a.example/n?p=1"),
        ("http://a.example/n?s=g%20h+i", "http://a.example/n?s=g%20h+i&p=1"),
        ("http://a.example/n?s=1#frag", "http://a.example/n?s=1&p=1"),
        ("http://a.example/n#frag?x", "http://a.example/n?p=1"),
        ("https://a.example:8443/é?k=é", "https://a.example:8443/%C3%A9?k=%C3%A9&p=1"),
    ],
)
def test_parameters_follow_the_query(url: str, expected: str) -> None:
    """The notify_url's own query stays as it is and comes first; its fragment is dropped."""
    assert target_url(url, "p=1") == expected


def test_body_repeats_the_pass_on_parameters() -> None:
    """`$_POST['app_state']` works for an app_state that was put into notify_url."""
    sent = body("http://a.example/n?app_state=gather", encode([("from", "+651")]))
    assert parse_qsl(sent.decode()) == [("app_state", "gather"), ("from", "+651")]
    assert body("http://a.example/n", "p=1") == b"p=1"


@given(PAIRS, PAIRS.filter(bool))
def test_query_and_body_say_the_same(
    own: list[tuple[str, str]], ours: list[tuple[str, str]]
) -> None:
    """Whoever reads only the query and whoever reads only the body see all parameters."""
    url = f"http://a.example/n?{encode(own)}"
    query = urlsplit(target_url(url, encode(ours))).query
    assert query.encode() == body(url, encode(ours))
    assert parse_qsl(query, keep_blank_values=True) == own + ours


def test_answer_notification() -> None:
    """The answer notification rings, in the documented order, with a tag though there is none."""
    assert encode(answer_parameters(INCOMING)) == (
        "ivr_block=answer&session=S-1-x&txn_ref=AA-S-1-y&from=%2B6591110000"
        "&to=%2B6531580000&tag=&call_state=ringing"
    )


def test_record_notification_of_an_ongoing_call() -> None:
    """Block-specific parameters follow call_state, and nothing of the ended ones is there."""
    pairs = block_parameters(
        "record",
        INCOMING,
        tag="t",
        specific=[("record_status", "success"), ("record_url", "http://u/")],
    )
    assert [name for name, _ in pairs] == [
        "ivr_block",
        "session",
        "txn_ref",
        "from",
        "to",
        "tag",
        "call_state",
        "record_status",
        "record_url",
    ]
    assert dict(pairs)["call_state"] == "ongoing"


def test_ended_notification() -> None:
    """An ended call adds date in GMT+8, duration, currency, rate and debit as strings."""
    pairs = dict(block_parameters("hangup", INCOMING, tag="", ended=ENDED))
    assert pairs["call_state"] == "ended"
    assert list(pairs.items())[-5:] == [
        ("date", "2011-11-15 00:00:00"),
        ("duration", "7"),
        ("currency", "SGD"),
        ("rate", "0.020"),
        ("debit", "0.140"),
    ]


def test_charge_id_tells_that_two_notifications_are_one_charge() -> None:
    """The extra charge_id comes last, and only where it is given."""
    ended = EndedCall(0, 0, "SGD", Thousandths(0), Thousandths(0), charge_id="chg_1")
    assert block_parameters("hangup", INCOMING, tag="", ended=ended)[-1] == ("charge_id", "chg_1")


def test_dialled_call_has_dest() -> None:
    """A call that we placed names `dest` and neither `from` nor `to`."""
    pairs = dict(block_parameters("play", DIALLED, tag=""))
    assert pairs["dest"] == "+6591110000"
    assert not {"from", "to"} & set(pairs)


def test_date_has_no_fraction() -> None:
    """Dates are cut to the second, never rounded up."""
    assert format_date(999_999) == "1970-01-01 08:00:00"


def test_blanking_takes_digits_and_signatures() -> None:
    """What a settled notification keeps has neither digits nor a usable link."""
    link = "http://h/recordings/rec-1.mp3?Expires=9&KeyId=k&Signature=abc%2Fd"
    kept = dict(parse_qsl(blanked(encode([("digits", "4711"), ("record_url", link)]))))
    assert kept["digits"] == "blanked"
    assert kept["record_url"].endswith("&KeyId=k&Signature=blanked")


def test_blanking_leaves_the_rest() -> None:
    """Empty digits, numbers and tags stay, and blanking twice changes nothing more."""
    parameters = encode([("digits", ""), ("from", "+65 1"), ("tag", "")])
    assert blanked(parameters) == parameters


@given(PAIRS)
def test_blanking_is_idempotent(pairs: list[tuple[str, str]]) -> None:
    """Blanking any parameters twice gives what once gives."""
    once = blanked(encode([*pairs, ("digits", "1")]))
    assert blanked(once) == once
    assert "digits=1" not in once.split("&")[-1]
