"""CSeq."""

from __future__ import annotations

import pytest

from voiceblocks.errors import RemoteSipError
from voiceblocks.sip.cseq import CSeq


@pytest.mark.parametrize("text", ["4711 INVITE", " 04711\t INVITE ", "4711   INVITE"])
def test_reading(text: str) -> None:
    """Blanks and leading zeros do not matter."""
    assert CSeq.parse(text) == CSeq(4711, "INVITE")
    assert str(CSeq.parse(text)) == "4711 INVITE"


def test_largest() -> None:
    """2**31 - 1 is the last number allowed."""
    assert CSeq.parse("2147483647 BYE").number == 2**31 - 1


@pytest.mark.parametrize(
    "text", ["", "1", "INVITE", "1INVITE", "-1 INVITE", "2147483648 BYE", "1 IN VITE", "1 \xe9"]
)
def test_refused(text: str) -> None:
    """Anything else is a 400."""
    with pytest.raises(RemoteSipError) as refusal:
        CSeq.parse(text)
    assert refusal.value.status_hint == 400
