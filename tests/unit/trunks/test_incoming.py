"""Whom a call is from and for, as its INVITE says it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.trunks.nouns import a_trunk
from voiceblocks.notifications.parameters import encode
from voiceblocks.sip.message import SipRequest, parse_message
from voiceblocks.trunks.incoming import CALLER_MAX, read_numbers
from voiceblocks.trunks.model import CallerIn, DialledIn, NumberFormat

REPLACED = "\N{REPLACEMENT CHARACTER}"


def an_invite(*, to: bytes = b"+6531580000", caller: bytes = b"+6591234567") -> SipRequest:
    """An INVITE with these users."""
    message = parse_message(
        b"INVITE sip:" + to + b"@127.0.0.1 SIP/2.0\r\n"
        b"Via: SIP/2.0/UDP 127.0.0.1;branch=z9hG4bKa\r\n"
        b"From: <sip:" + caller + b"@example.com>;tag=1\r\n"
        b"To: <sip:x@127.0.0.1>\r\nCall-ID: a\r\nCSeq: 1 INVITE\r\nContent-Length: 0\r\n\r\n"
    )
    assert isinstance(message, SipRequest)
    return message


@pytest.mark.parametrize(
    ("user", "number"),
    [
        (b"+6531580000", "+6531580000"),
        (b"6531580000", "+6531580000"),
        (b"006531580000", "+6531580000"),
        (b"%2B6531580000", "+6531580000"),
        (b"+6531580000;npdi=yes;rn=+6530000000", "+6531580000"),
        (b"+65-3158-0000", "+6531580000"),
        (b"reception", None),
        (b"\xff\xfe", None),
    ],
)
def test_the_called_number(user: bytes, number: str | None) -> None:
    """Escapes and what carriers append do not matter; a name is no number."""
    assert read_numbers(an_invite(to=user), None).called == number


@pytest.mark.parametrize(
    ("user", "caller"),
    [
        (b"+6591234567", "+6591234567"),
        (b"+6591234567;cpc=ordinary", "+6591234567"),
        (b"%2B6591234567", "+6591234567"),
        (b"Anonymous", "private"),
        (b"mei", "mei"),
        ("李".encode(), "李"),
        (b"\xff\xfe", REPLACED * 2),
        (b"%FFmei%00", f"{REPLACED}mei{REPLACED}"),
        (b"a%0d%0aX-Evil%3a1", f"a{REPLACED * 2}X-Evil:1"),
        (b"x" * 500, "x" * CALLER_MAX),
    ],
)
def test_the_caller(user: bytes, caller: str) -> None:
    """Whatever a stranger wrote can be printed, stored, and sent to an application."""
    found = read_numbers(an_invite(caller=user), None).caller
    assert found == caller
    assert found.isprintable()
    encode([("from", found)])


def a_carriers_invite(
    *headers: str,
    ruri: str = "sip:+6531580000@192.0.2.1",
    to: str = "<sip:+6531580001@192.0.2.1>",
    from_: str = "<sip:+6591234567@192.0.2.9>",
) -> SipRequest:
    """An INVITE with any addresses and further header lines."""
    lines = [
        f"INVITE {ruri} SIP/2.0",
        "Via: SIP/2.0/UDP 192.0.2.9;branch=z9hG4bKa",
        f"From: {from_};tag=1",
        f"To: {to}",
        "Call-ID: a",
        "CSeq: 1 INVITE",
        *headers,
    ]
    message = parse_message("\r\n".join(lines).encode() + b"\r\n\r\n")
    assert isinstance(message, SipRequest)
    return message


@pytest.mark.parametrize(
    ("dialled_in", "headers", "called"),
    [
        (DialledIn.RURI, (), "+6531580000"),
        (DialledIn.TO, (), "+6531580001"),
        (DialledIn.P_CALLED_PARTY, ("P-Called-Party-ID: <sip:+6531580002@x>",), "+6531580002"),
        (DialledIn.P_CALLED_PARTY, ("P-Called-Party-ID: <tel:+6531580002>",), "+6531580002"),
        (DialledIn.P_CALLED_PARTY, (), "+6531580000"),
        (DialledIn.P_CALLED_PARTY, ('P-Called-Party-ID: "broken',), "+6531580000"),
    ],
)
def test_where_a_trunk_says_what_was_dialled(
    dialled_in: DialledIn, headers: tuple[str, ...], called: str
) -> None:
    """The number is read where the trunk's settings say."""
    trunk = a_trunk(dialled_in=dialled_in)
    assert read_numbers(a_carriers_invite(*headers), trunk).called == called


@pytest.mark.parametrize(
    ("number_format", "country", "user", "number"),
    [
        (NumberFormat.E164, None, "+6591234567", "+6591234567"),
        (NumberFormat.E164, "SG", "6591234567", "+6591234567"),
        (NumberFormat.PLAIN, None, "6591234567", "+6591234567"),
        (NumberFormat.PLAIN, None, "006591234567", "+6591234567"),
        (NumberFormat.NATIONAL, "SG", "91234567", "+6591234567"),
        (NumberFormat.NATIONAL, "SG", "+6591234567", "+6591234567"),
        (NumberFormat.NATIONAL, "SG", "00442079460000", "+442079460000"),
        (NumberFormat.NATIONAL, "GB", "02079460000", "+442079460000"),
        (NumberFormat.NATIONAL, "US", "6502530000", "+16502530000"),
        (NumberFormat.NATIONAL, "US", "011442079460000", "+442079460000"),
        (NumberFormat.NATIONAL, None, "6591234567", "+6591234567"),
        (NumberFormat.NATIONAL, "SG", "91234567;phone-context=+65", "+6591234567"),
    ],
)
def test_numbers_in_a_trunks_format(
    number_format: NumberFormat, country: str | None, user: str, number: str
) -> None:
    """Both ends of a call are read in the format of the trunk, and given in international form."""
    trunk = a_trunk(number_format=number_format, country=country)
    invite = a_carriers_invite(ruri=f"sip:{user}@192.0.2.1", from_=f"<sip:{user}@192.0.2.9>")
    numbers = read_numbers(invite, trunk)
    assert (numbers.called, numbers.caller) == (number, number)


@pytest.mark.parametrize(
    ("caller_in", "headers", "caller"),
    [
        (CallerIn.FROM, ("P-Asserted-Identity: <sip:+6590000001@x>",), "+6591234567"),
        (CallerIn.PAI, ("P-Asserted-Identity: <sip:+6590000001@x>",), "+6590000001"),
        (CallerIn.PAI, ("P-Asserted-Identity: <sip:mei@x>, <tel:+6590000001>",), "+6590000001"),
        (CallerIn.PAI, ("P-Asserted-Identity: <sip:mei@x>",), "mei"),
        (CallerIn.PAI, ("P-Asserted-Identity: <broken",), "+6591234567"),
        (CallerIn.PAI, (), "+6591234567"),
        (CallerIn.PPI, ("P-Preferred-Identity: <sip:+6590000002@x>",), "+6590000002"),
    ],
)
def test_where_a_trunk_says_who_calls(
    caller_in: CallerIn, headers: tuple[str, ...], caller: str
) -> None:
    """The caller is read where the trunk's settings say, else in From."""
    trunk = a_trunk(caller_in=caller_in)
    assert read_numbers(a_carriers_invite(*headers), trunk).caller == caller


@pytest.mark.parametrize(
    ("headers", "from_"),
    [
        (("Privacy: id",), "<sip:+6591234567@192.0.2.9>"),
        (("Privacy: header; USER ;critical",), "<sip:+6591234567@192.0.2.9>"),
        (("Privacy: none", "Privacy: id, critical"), "<sip:+6591234567@192.0.2.9>"),
        ((), "<sip:x81h@anonymous.invalid>"),
        ((), '"Anonymous" <sip:anonymous@anonymous.invalid>'),
        ((), "<sip:192.0.2.9>"),
    ],
)
def test_a_caller_who_withholds_the_number(headers: tuple[str, ...], from_: str) -> None:
    """Neither Privacy nor an anonymous From is undone by an identity that the carrier asserts."""
    invite = a_carriers_invite("P-Asserted-Identity: <sip:+6590000001@x>", *headers, from_=from_)
    assert read_numbers(invite, a_trunk(caller_in=CallerIn.PAI)).caller == "private"


def test_privacy_none_hides_nothing() -> None:
    """Who says that there is nothing to hide is shown."""
    invite = a_carriers_invite("Privacy: none")
    assert read_numbers(invite, a_trunk()).caller == "+6591234567"


def test_identity_headers_of_strangers_are_not_read() -> None:
    """Without a trunk, From is all there is: anybody can write the other headers."""
    invite = a_carriers_invite("P-Asserted-Identity: <sip:+6590000001@x>")
    assert read_numbers(invite, None).caller == "+6591234567"


def test_privacy_of_anybody_is_respected() -> None:
    """A phone that asks not to be shown is not shown."""
    assert read_numbers(a_carriers_invite("Privacy: id"), None).caller == "private"


@given(
    ruri=st.binary(max_size=60),
    values=st.lists(
        st.tuples(
            st.sampled_from(["From", "To", "P-Asserted-Identity", "P-Called-Party-ID", "Privacy"]),
            st.binary(max_size=80),
        ),
        max_size=8,
    ),
    dialled_in=st.sampled_from(DialledIn),
    caller_in=st.sampled_from(CallerIn),
    number_format=st.sampled_from(NumberFormat),
    country=st.sampled_from([None, "SG", "US", "GB"]),
)
def test_any_bytes_give_a_value(
    ruri: bytes,
    values: list[tuple[str, bytes]],
    dialled_in: DialledIn,
    caller_in: CallerIn,
    number_format: NumberFormat,
    country: str | None,
) -> None:
    """Whatever stands in the headers, a caller is found that can be sent on, and nothing raised."""

    def text(raw: bytes) -> str:
        return raw.replace(b"\r", b"").replace(b"\n", b"").decode("utf-8", "surrogateescape")

    request = SipRequest("INVITE", text(ruri))
    request.headers.extend((name, text(value)) for name, value in values)
    trunk = a_trunk(
        dialled_in=dialled_in, caller_in=caller_in, number_format=number_format, country=country
    )
    for numbers in (read_numbers(request, trunk), read_numbers(request, None)):
        assert numbers.caller.isprintable()
        assert 0 < len(numbers.caller) <= CALLER_MAX
        encode([("from", numbers.caller)])
        assert numbers.called is None or numbers.called[1:].isdigit()
