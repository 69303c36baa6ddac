"""`NAME_SERVERS`: addresses with or without a port."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from voiceblocks.settings import Settings


@pytest.mark.parametrize(
    ("text", "servers"),
    [
        ("", ()),
        ("9.9.9.9", (("9.9.9.9", 53),)),
        ("9.9.9.9:5353, 2620:fe::fe", (("9.9.9.9", 5353), ("2620:fe::fe", 53))),
        ("[2620:fe::fe]:5353", (("2620:fe::fe", 5353),)),
    ],
)
def test_name_servers(
    monkeypatch: pytest.MonkeyPatch, text: str, servers: tuple[tuple[str, int], ...]
) -> None:
    """IPv4 and IPv6, port 53 unless it is said."""
    monkeypatch.setenv("VOICEBLOCKS_NAME_SERVERS", text)
    assert Settings().name_servers == servers


@pytest.mark.parametrize("text", ["dns.example", "dns.example:53", "9.9.9.9:0", "9.9.9.9:x"])
def test_what_is_no_name_server(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    """A name cannot be asked for names: refused at the start, with a sentence."""
    monkeypatch.setenv("VOICEBLOCKS_NAME_SERVERS", text)
    with pytest.raises(ValidationError, match="write"):
        Settings()
