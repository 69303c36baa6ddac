"""The readers of common parameters, value by value."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voiceblocks.blocks.fields import NOTIFY_URL, SESSION, TAG, Fields, read_whole_number
from voiceblocks.errors import InvalidRequest

from . import status_of


def _read(value: str) -> int:
    return read_whole_number(
        Fields([("n", value)]), "n", lowest=1, highest=86400, default=120, status="error_n"
    )


def test_empty_values_are_absent_and_the_first_other_one_counts() -> None:
    """An empty value never hides a later one, and a repeated field keeps its first value."""
    fields = Fields([("a", ""), ("a", "1"), ("a", "2"), ("b", "")])
    assert fields.get("a") == "1"
    assert fields.get("b") is None


def test_a_missing_field_is_named_in_its_status() -> None:
    """X in error_X_param_missing is literally the parameter's name."""
    with pytest.raises(InvalidRequest, match=r"\Aerror_access_token_param_missing\Z"):
        Fields([("access_token", "")]).required("access_token")


def test_the_text_form_of_fields_shows_no_values() -> None:
    """A token cannot get into a log by way of repr."""
    assert repr(Fields([("access_token", "secret"), ("tag", "x")])) == "Fields(access_token, tag)"


@pytest.mark.parametrize(
    ("value", "number"),
    [
        ("1", 1),
        ("86400", 86400),
        ("007", 7),
        (" 5", 5),
        ("+5", 5),
        ("5 ", 5),
        ("0" * 900 + "9", 9),
        ("", 120),
    ],
)
def test_whole_numbers_that_are_read(value: str, number: int) -> None:
    """Blanks, a plus sign and leading zeros do not matter; empty means the default."""
    assert _read(value) == number


@pytest.mark.parametrize(
    "value",
    [
        *("0", "86401", "-1", "1.5", "1.0", "1e3", "0x10", "ten", "\u0663", "\uff15", "1_000"),
        *("1 0", "++5", "+ 5", "5\n", "\t5", "9" * 19, "9" * 5000, "\xb2", " ", "+", "1;2"),
    ],
)
def test_whole_numbers_that_are_refused(value: str) -> None:
    """Fractions, other scripts' digits, other notations and numbers out of range are refused."""
    with pytest.raises(InvalidRequest, match="error_n"):
        _read(value)


@given(st.text(max_size=40))
def test_any_text_is_a_number_in_range_or_refused(value: str) -> None:
    """No text makes the reader fail in another way."""
    status = status_of(lambda: _read(value))
    assert status == "error_n" or (status is None and 1 <= _read(value) <= 86400)


def test_a_tag_is_counted_in_characters() -> None:
    """256 characters of any script pass and come back exactly, 257 do not."""
    assert TAG.read(Fields([("tag", "錄" * 256)])) == "錄" * 256
    assert TAG.read(Fields()) == ""
    with pytest.raises(InvalidRequest, match="error_tag_invalid_length"):
        TAG.read(Fields([("tag", "x" * 257)]))


@pytest.mark.parametrize(
    "url",
    [
        "http://example.com",
        "https://example.com/hook?app_state=gather&x=%20",
        "HTTP://EXAMPLE.COM:80/",
        "http://127.0.0.1:8080/hook",
        "http://[::1]:8080/hook",
        "http://my_app.internal./a",
        "http://bücher.example/ä?ö=ü",
        "http://example.com:/",
        "https://example.com/" + "x" * 3980,
    ],
)
def test_notify_urls_that_pass(url: str) -> None:
    """Web addresses of all usual shapes pass unchanged."""
    assert NOTIFY_URL.read(Fields([("notify_url", url)])) == url


@pytest.mark.parametrize(
    "url",
    [
        "https://example.com/" + "x" * 3981,
        "example.com/hook",
        "/hook",
        "//example.com/hook",
        "ftp://example.com/",
        "javascript:alert(1)",
        "file:///etc/passwd",
        "http:example.com",
        "http://",
        "http:///hook",
        "http://:8080/",
        "http://user@example.com/",
        "http://user:password@example.com/",
        "http://@example.com/",
        "http://example.com:0/",
        "http://example.com:65536/",
        "http://example.com:port/",
        "http://example.com:-1/",
        "http://example.com: 80/",
        "http://exa mple.com/",
        " http://example.com/",
        "http://example.com/\n",
        "ht\ntp://example.com/",
        "http://example.com/\x00",
        "http://example.com\\@other.example/",
        "http://exam%70le.com/",
        "http://a..example/",
        "http://.example/",
        "http://-a.example/",
        "http://a-.example/",
        "http://" + "a" * 64 + ".example/",
        "http://" + "a." * 130 + "example/",
        "http://[::1/",
        "http://[fe80::1%25eth0]/",
        "http://[1.2.3.4]/",
        "http://[::1]x/",
        "http://ex℀mple.com/",
        "http://a\u3000b/",
        "http://" + "ü" * 200 + ".example/",
        "http://<script>/",
    ],
)
def test_notify_urls_that_are_refused(url: str) -> None:
    """Relative, credentialled, ambiguous and malformed addresses give the documented status."""
    with pytest.raises(InvalidRequest, match=r"\Aerror_invalid_notify_url\Z"):
        NOTIFY_URL.read(Fields([("notify_url", url)]))


@given(st.one_of(st.text(max_size=60), st.text(max_size=40).map("http://".__add__)))
def test_any_text_is_a_notify_url_or_refused(url: str) -> None:
    """No text makes the check fail in another way."""
    status = status_of(lambda: NOTIFY_URL.read(Fields([("notify_url", url)])))
    assert status in {None, "error_invalid_notify_url"}


def test_a_session_is_opaque() -> None:
    """Any text may be a session id; none is a missing parameter."""
    assert SESSION.read(Fields([("session", " S-1 ")])) == " S-1 "
    with pytest.raises(InvalidRequest, match="error_session_param_missing"):
        SESSION.read(Fields([("session", "")]))
