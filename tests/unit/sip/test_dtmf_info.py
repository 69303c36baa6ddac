"""Digits in INFO bodies, as phones and gateways write them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voiceblocks.sip.dtmf_info import LONGEST_BODY_BYTES, RELAY_TYPE, read_digit, write_digit

DIGITS = "0123456789*#ABCD"


@pytest.mark.parametrize(
    ("content_type", "body", "digit"),
    [
        (RELAY_TYPE, b"Signal=5\r\nDuration=160\r\n", "5"),
        (RELAY_TYPE, b"Signal= 5\r\nDuration= 160\r\n", "5"),
        (RELAY_TYPE, b"Signal=#\nDuration=250\n", "#"),
        (RELAY_TYPE, b"Signal=*", "*"),
        (RELAY_TYPE, b"signal : 7\r\n", "7"),
        (RELAY_TYPE, b"Duration=160\r\nSignal=0\r\n", "0"),
        (RELAY_TYPE, b"Signal=11\r\nDuration=160", "#"),
        (RELAY_TYPE, b"Signal=10\r\n", "*"),
        (RELAY_TYPE, b"Signal=a\r\n", "A"),
        (RELAY_TYPE, b"Signal=15\r\n", "D"),
        (RELAY_TYPE, b"5", "5"),
        ("application/dtmf", b"5", "5"),
        ("application/dtmf", b" # \r\n", "#"),
        ("application/dtmf", b"Signal=9\r\nDuration=100\r\n", "9"),
        ("application/dtmf", b"11", "#"),
        (RELAY_TYPE, b"Signal=16\r\n", None),
        (RELAY_TYPE, b"Signal=55\r\n", None),
        (RELAY_TYPE, b"Signal=flash\r\n", None),
        (RELAY_TYPE, b"Signal=\r\nDuration=160\r\n", None),
        (RELAY_TYPE, b"xsignal=5\r\n", None),
        (RELAY_TYPE, b"", None),
        (RELAY_TYPE, b"Signal=\xb2\r\n", None),
        ("application/dtmf", b"12345", None),
        ("application/dtmf", b"5" + b" " * LONGEST_BODY_BYTES, None),
        ("application/media_control+xml", b"5", None),
        ("", b"Signal=5\r\n", None),
    ],
)
def test_what_a_body_says(content_type: str, body: bytes, digit: str | None) -> None:
    """Both types, sloppy writing, event codes; everything else is no digit."""
    assert read_digit(content_type, body) == digit


@pytest.mark.parametrize("digit", DIGITS)
def test_every_digit_that_is_written_is_read(digit: str) -> None:
    """What our phone sends is what our server understands."""
    assert read_digit(RELAY_TYPE, write_digit(digit, 160)) == digit


@given(
    st.sampled_from([RELAY_TYPE, "application/dtmf", "text/plain", ""]),
    st.one_of(
        st.binary(max_size=200),
        st.lists(
            st.sampled_from(
                [b"Signal", b"=", b":", b" ", b"\r\n", b"5", b"#", b"Duration", b"\xff"]
            )
        ).map(b"".join),
    ),
)
def test_any_body_is_a_digit_or_nothing(content_type: str, body: bytes) -> None:
    """Whatever bytes come, the answer is one of the 16 digits or `None`."""
    digit = read_digit(content_type, body)
    assert digit is None or (len(digit) == 1 and digit in DIGITS)
