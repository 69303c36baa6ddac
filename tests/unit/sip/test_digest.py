"""Digest answers: the examples of the RFCs, and challenges as they are found outside."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voiceblocks.errors import RemoteSipError
from voiceblocks.sip.digest import Challenge, strongest_challenge

RFC7616 = (
    'Digest realm="http-auth@example.org", qop="auth, auth-int", algorithm={}, '
    'nonce="7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v", '
    'opaque="FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS"'
)


@pytest.mark.parametrize(
    ("algorithm", "response"),
    [
        ("MD5", "8ca523f5e9506fed4657c9700eebdbec"),
        ("SHA-256", "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"),
    ],
)
def test_examples_of_rfc_7616(algorithm: str, response: str) -> None:
    """Section 3.9.1, for both algorithms."""
    value = Challenge.parse(RFC7616.format(algorithm)).authorization(
        username="Mufasa",
        password="Circle of Life",
        method="GET",
        uri="/dir/index.html",
        body=b"",
        cnonce="f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ",
    )
    assert f'response="{response}"' in value
    assert "qop=auth, nc=00000001" in value
    assert 'opaque="FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS"' in value


def test_example_of_rfc_2617_without_qop() -> None:
    """RFC 2069 style: no qop, no cnonce; hash of the well-known Mufasa example's parts."""
    challenge = Challenge.parse('Digest realm="testrealm@host.com", nonce="dcd98b7102dd2f0e"')
    value = challenge.authorization(
        username="Mufasa", password="x", method="GET", uri="/", body=b"", cnonce="c"
    )
    assert "qop" not in value
    assert "cnonce" not in value
    assert challenge.algorithm == "MD5"


def test_auth_int_covers_the_body() -> None:
    """Where only auth-int is offered the body changes the answer."""
    challenge = Challenge.parse('Digest realm="r", nonce="n", qop="auth-int"')
    answers = {
        challenge.authorization(
            username="u", password="p", method="INVITE", uri="sip:a", body=body, cnonce="c"
        )
        for body in (b"", b"v=0")
    }
    assert len(answers) == 2


def test_commas_and_quotes_inside_quotes() -> None:
    """A realm with comma and escaped quote comes back as it was meant."""
    challenge = Challenge.parse(r'digest realm="a, \"b\"", nonce="n",  stale=TRUE ,qop=auth')
    assert challenge.realm == 'a, "b"'
    assert challenge.stale
    value = challenge.authorization(
        username='u"', password="p", method="M", uri="sip:x", body=b"", cnonce="c"
    )
    assert r'realm="a, \"b\""' in value
    assert r'username="u\""' in value


def test_strongest_that_we_know_wins() -> None:
    """SHA-256 before MD5, unknown ones and other schemes are passed over."""
    challenges = [
        'Digest realm="r", nonce="1", algorithm=MD5',
        'Digest realm="r", nonce="2", algorithm=SHA-256',
        'Digest realm="r", nonce="3", algorithm=SHA-999',
        'Digest realm="r", nonce="4", qop="auth-conf"',
        "Basic realm=x",
        'Digest nonce="5"',
    ]
    best = strongest_challenge(challenges)
    assert best is not None
    assert best.nonce == "2"
    assert strongest_challenge(challenges[2:]) is None


def test_session_variant_hashes_the_nonces_in() -> None:
    """MD5-sess differs from MD5, with and without qop."""
    for qop in ("", ", qop=auth"):
        answers = {
            Challenge.parse(f'Digest realm="r", nonce="n", algorithm={name}{qop}').authorization(
                username="u", password="p", method="M", uri="sip:x", body=b"", cnonce="c"
            )
            for name in ("MD5", "MD5-sess", "SHA-512-256")
        }
        assert len(answers) == 3


@given(st.text(max_size=200))
def test_any_text_is_a_challenge_or_an_error(text: str) -> None:
    """No other exception, also behind the word Digest."""
    for value in (text, f"Digest {text}", f'Digest realm="r", nonce="n", {text}'):
        try:
            Challenge.parse(value)
        except RemoteSipError:
            continue
