"""Links are good until their time, for reading, as they were signed, and in no other way."""

from __future__ import annotations

from urllib.parse import parse_qs

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voiceblocks.recordings.link import LinkCheck, check, sign

KEY = bytes(range(32))
PATH = "/recordings/rec-00112233445566778899aabbccddeeff.mp3"
EXPIRES_S = 1_700_000_000

any_text = st.text(st.characters())
keys = st.binary(min_size=32, max_size=32)
dates = st.integers(0, 999_999_999_999)


def values_of(query: str) -> tuple[str, str, str]:
    """The three values as a web server hands them over."""
    values = parse_qs(query, strict_parsing=True)
    assert list(values) == ["Expires", "KeyId", "Signature"]
    return values["Expires"][0], values["KeyId"][0], values["Signature"][0]


@given(
    keys,
    st.text(st.characters(exclude_categories=["Cs"])),
    dates,
    st.text(st.characters(exclude_categories=["Cs"]), min_size=1),
)
def test_signed_link_is_good_until_it_expires(
    key: bytes, path: str, expires_s: int, key_id: str
) -> None:
    """For any path and key id: OK to the last second, EXPIRED after it, for GET and HEAD."""
    values = values_of(sign(key, path, expires_s, key_id=key_id))
    for method in ("GET", "HEAD"):
        assert check({key_id: key}, method, path, *values, expires_s) is LinkCheck.OK
        assert check({key_id: key}, method, path, *values, expires_s + 0.1) is LinkCheck.EXPIRED


@given(any_text, any_text, any_text, any_text, any_text)
def test_any_text_is_wrong(
    method: str, path: str, expires: str, key_id: str, signature: str
) -> None:
    """What we did not sign is WRONG, never an exception, whatever it consists of."""
    keys_by_id = {key_id: KEY}
    assert check(keys_by_id, method, path, expires, key_id, signature, 0) is LinkCheck.WRONG
    assert check(keys_by_id, "GET", path, "1", key_id, signature, 0) is LinkCheck.WRONG
    assert check({}, "GET", path, "1", key_id, signature, 0) is LinkCheck.WRONG


@given(st.data())
def test_changing_anything_makes_it_wrong(data: st.DataObject) -> None:
    """One changed character in path, date, key id or signature is WRONG, not EXPIRED."""
    parts = [PATH, *values_of(sign(KEY, PATH, EXPIRES_S, key_id="k1"))]
    which = data.draw(st.integers(0, 3))
    position = data.draw(st.integers(0, len(parts[which]) - 1))
    old = parts[which]
    letter = data.draw(st.characters().filter(lambda letter: letter != old[position]))
    parts[which] = old[:position] + letter + old[position + 1 :]
    keys_by_id = {"k1": KEY, parts[2]: KEY}
    assert check(keys_by_id, "GET", *parts, EXPIRES_S + 1) is LinkCheck.WRONG


@given(st.data())
def test_moving_text_between_the_parts_makes_it_wrong(data: st.DataObject) -> None:
    """The signed text cannot be cut in two ways: key id and path do not run together."""
    text = data.draw(st.text("k\n/1", min_size=2, max_size=8))
    first, second = sorted(
        data.draw(st.lists(st.integers(0, len(text)), min_size=2, max_size=2, unique=True))
    )
    expires, _, signature = values_of(sign(KEY, text[first:], 1, key_id=f"k{text[:first]}"))
    other_id = f"k{text[:second]}"
    answer = check({other_id: KEY}, "GET", text[second:], expires, other_id, signature, 0)
    assert answer is LinkCheck.WRONG


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "get", ""])
def test_other_methods_are_wrong(method: str) -> None:
    """A link is for reading."""
    values = values_of(sign(KEY, PATH, EXPIRES_S, key_id="k1"))
    assert check({"k1": KEY}, method, PATH, *values, 0) is LinkCheck.WRONG


@pytest.mark.parametrize(
    "expires", ["", "+1700000000", "01700000000", " 1700000000", "1_700_000_000", "1700000000.0",
                "\u0661\u0667", "-1", "1" * 10_000],
)  # fmt: skip
def test_other_spellings_of_the_date_are_wrong(expires: str) -> None:
    """Only the digits that were signed are read, and hostile lengths cost nothing."""
    _, key_id, signature = values_of(sign(KEY, PATH, EXPIRES_S, key_id="k1"))
    assert check({"k1": KEY}, "GET", PATH, expires, key_id, signature, 0) is LinkCheck.WRONG


def test_former_key_still_opens() -> None:
    """After a rotation, links of the former key stay good."""
    former = bytes(32)
    values = values_of(sign(former, PATH, EXPIRES_S, key_id="old"))
    assert check({"new": KEY, "old": former}, "GET", PATH, *values, 0) is LinkCheck.OK
    assert check({"new": KEY, "old": KEY}, "GET", PATH, *values, 0) is LinkCheck.WRONG


@pytest.mark.parametrize("expires_s", [-1, 10**12])
def test_impossible_date_is_refused(expires_s: int) -> None:
    """A date that `check` would not read is not signed."""
    with pytest.raises(ValueError, match="cannot expire"):
        sign(KEY, PATH, expires_s, key_id="k1")


def test_signature_is_pinned() -> None:
    """Links handed out by this version stay good in later ones."""
    assert sign(KEY, PATH, EXPIRES_S, key_id="k1") == (
        "Expires=1700000000&KeyId=k1&Signature=DT05od8brA5svQJb_azwz6VpalieleHoN6bGu3TRLEQ"
    )


@given(st.data())
def test_revision_and_name_are_signed(data: st.DataObject) -> None:
    """A link of a later revision, or for one use, is good as it is and in no other way."""
    revision = data.draw(st.integers(0, 999_999_999))
    once = data.draw(st.text("abcdefghijklmnopqrstuvwxyz0123456789", max_size=32))
    query = sign(KEY, PATH, EXPIRES_S, key_id="k1", revision=revision, once=once)
    found = {name: values[0] for name, values in parse_qs(query).items()}
    parts = found["Expires"], found["KeyId"], found["Signature"]
    special = {"revision": found.get("Revision", ""), "once": found.get("Once", "")}
    assert special == {"revision": str(revision or ""), "once": once}
    assert check({"k1": KEY}, "GET", PATH, *parts, 0, **special) is LinkCheck.OK
    which = data.draw(st.sampled_from(["revision", "once"]))
    other = data.draw(any_text | st.text("abc0123456789", max_size=9))
    changed = {**special, which: other}
    if changed != special:
        assert check({"k1": KEY}, "GET", PATH, *parts, 0, **changed) is LinkCheck.WRONG
