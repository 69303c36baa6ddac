"""Tokens are found by their HMAC, sealed for their owner, and shown nowhere."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voiceblocks.accounts.tokens import SecretKey, UnreadableSecret

KEY = SecretKey(bytes(range(32)))
OTHER_KEY = SecretKey(bytes(32))

unicode_text = st.text(st.characters(exclude_categories=["Cs"]))


@given(unicode_text, unicode_text)
def test_sealed_secret_comes_back(secret: str, owner_id: str) -> None:
    """Sealing and unsealing are inverse, and sealing twice looks different."""
    sealed = KEY.seal(secret, owner_id)
    assert KEY.unseal(sealed, owner_id) == secret
    assert KEY.seal(secret, owner_id) != sealed


@given(st.data())
def test_tampered_secret_is_unreadable(data: st.DataObject) -> None:
    """A changed byte, a lost end, another key or another owner: never a wrong secret."""
    sealed = KEY.seal("the token", "app")
    position = data.draw(st.integers(0, len(sealed) - 1))
    change = data.draw(st.integers(1, 255))
    changed = bytearray(sealed)
    changed[position] ^= change
    for damaged in (bytes(changed), sealed[:position]):
        with pytest.raises(UnreadableSecret):
            KEY.unseal(damaged, "app")


def test_secret_is_bound_to_key_and_owner() -> None:
    """A row that was copied to another application, or is of another key, cannot be read."""
    sealed = KEY.seal("the token", "app")
    with pytest.raises(UnreadableSecret, match=KEY.key_id):
        KEY.unseal(sealed, "other")
    with pytest.raises(UnreadableSecret, match=OTHER_KEY.key_id):
        OTHER_KEY.unseal(sealed, "app")


def test_a_former_key_opens_what_it_sealed() -> None:
    """After a change of the key: old secrets and tokens are good, new ones are of the new key."""
    changed = SecretKey(OTHER_KEY.key, former=(KEY,))
    assert changed.key_id == OTHER_KEY.key_id
    assert changed.unseal(KEY.seal("the token", "app"), "app") == "the token"
    assert OTHER_KEY.unseal(changed.seal("new", "app"), "app") == "new"
    assert changed.lookups("abc") == [OTHER_KEY.lookup("abc"), KEY.lookup("abc")]
    with pytest.raises(UnreadableSecret):
        changed.unseal(KEY.seal("the token", "app"), "other")
    assert KEY.key.hex() not in repr(changed)


@given(st.text(st.characters()), st.text(st.characters()))
def test_lookup_tells_tokens_apart(first: str, second: str) -> None:
    """Any text, even what is no Unicode, has 32 bytes of its own."""
    assert len(KEY.lookup(first)) == 32
    assert (KEY.lookup(first) == KEY.lookup(second)) == (first == second)
    assert KEY.lookup(first) != OTHER_KEY.lookup(first)


def test_derivations_are_pinned() -> None:
    """Rows and links of this version stay readable in later ones."""
    assert KEY.key_id == "be981245d2f0beab"
    assert KEY.lookup("abc").hex()[:16] == "47b911191bbdaaab"
    assert KEY.link_key.hex()[:16] == "cb622edd2e631c27"
    assert (
        KEY.unseal(
            bytes.fromhex("e516e60f268fc732921c0224f1e00042a6c81d55f14ffa958a685585465b808c0b"),
            "app",
        )
        == "token"
    )


def test_purposes_have_independent_keys() -> None:
    """No two uses share a key, and none uses the server key itself."""
    derived = [KEY.subkey(purpose) for purpose in ("key id", "token look-up", "secrets", "x")]
    assert len({*derived, KEY.key, KEY.link_key}) == 6


def test_key_is_not_shown() -> None:
    """A key in a log line shows its name only."""
    assert repr(KEY) == f"SecretKey(key_id='{KEY.key_id}')"


@pytest.mark.parametrize("length", [0, 16, 31, 33])
def test_key_of_another_length_is_refused(length: int) -> None:
    """A key has 32 bytes."""
    with pytest.raises(ValueError, match=f"32 bytes, not {length}"):
        SecretKey(bytes(length))


def test_generated_keys_differ() -> None:
    """Each installation has its own."""
    assert SecretKey.generate() != SecretKey.generate()
