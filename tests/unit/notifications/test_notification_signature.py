"""The notification signature."""

from __future__ import annotations

from voiceblocks.webhook_signatures import hoiio_holds as verifies
from voiceblocks.webhook_signatures import hoiio_signature as signature


def test_known_answer() -> None:
    """RFC 4231's second test case comes out, in lower-case hex."""
    expected = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
    assert signature(b"what do ya want for nothing?", "Jefe") == expected


def test_verification() -> None:
    """The own signature verifies; another token, body or any text does not."""
    value = signature(b"a=1", "token")
    assert verifies(b"a=1", "token", value)
    assert not verifies(b"a=2", "token", value)
    assert not verifies(b"a=1", "other", value)
    assert not verifies(b"a=1", "token", "é")
