"""Which URLs are links of ours."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voiceblocks.recordings.own_links import read_own_link

OURS = "https://voice.example.com/base"
QUERY = "Expires=9&KeyId=k&Signature=s"


@pytest.mark.parametrize(
    "url",
    [
        f"https://voice.example.com/base/recordings/rec-1.mp3?{QUERY}",
        f"https://voice.example.com:443/base/recordings/rec-1.mp3?{QUERY}",
        f"HTTPS://Voice.Example.COM./base/recordings/rec-1.mp3?{QUERY}",
        f"https://voice.example.com/base/recordings/rec%2D1.mp3?{QUERY}#part",
        f"https://voice.example.com/base/recordings/rec-1.mp3?{QUERY}&Expires=0",
    ],
)
def test_links_of_ours(url: str) -> None:
    """However scheme, host, port and path are spelt; of a value given twice the first counts."""
    link = read_own_link(url, OURS)
    assert link is not None
    assert link.object_name == "rec-1.mp3"
    assert dict(link.query) == {"Expires": "9", "KeyId": "k", "Signature": "s"}


@pytest.mark.parametrize(
    "url",
    [
        "http://voice.example.com/base/recordings/rec-1.mp3",
        "https://voice.example.com:8443/base/recordings/rec-1.mp3",
        "https://voice.example.com/recordings/rec-1.mp3",
        "https://voice.example.com/base/recordings/",
        "https://voice.example.com/base/recordings/a/rec-1.mp3",
        "https://voice.example.com/base/recordings/..%2Frec-1.mp3",
        "https://voice.example.com/base/prompts/rec-1.mp3",
        "https://voice.example.com.evil.example/base/recordings/rec-1.mp3",
        "https://evil@voice.example.com/base/recordings/rec-1.mp3",
        "https://evil.example/?https://voice.example.com/base/recordings/rec-1.mp3",
    ],
)
def test_links_of_others(url: str) -> None:
    """Another server, port, path, or a way out of the folder is not ours."""
    assert read_own_link(url, OURS) is None


@given(st.text(max_size=100))
def test_any_text_is_ours_or_not(text: str) -> None:
    """Whatever follows our own beginning is read, or left to others, without an error."""
    read_own_link(text, OURS)
    read_own_link(f"{OURS}/recordings/{text}", OURS)
