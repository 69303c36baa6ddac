"""The two settings of speech that are little languages."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voiceblocks.speech.engine_order import ENGINES, parse_engine_order
from voiceblocks.speech.languages import LANGUAGES, find_language
from voiceblocks.speech.server_voices import parse_server_voices


def order(setting: str, code: str) -> tuple[str, ...]:
    """Who is asked for a language."""
    language = find_language(code)
    assert language is not None
    return parse_engine_order(setting).of(language)


@pytest.mark.parametrize(
    ("setting", "code", "engines"),
    [
        ("", "en", ENGINES),
        ("espeak-ng", "en", ("espeak-ng",)),
        (" openai , piper,openai ", "th", ("openai", "piper")),
        ("piper; th=openai", "th", ("openai",)),
        ("piper; th=openai", "en", ("piper",)),
        ("TH=openai;", "th", ("openai",)),
        ("zh=openai", "zh-TW", ("openai",)),
        ("zh=openai; zh_tw=piper", "zh-TW", ("piper",)),
        ("zh-TW=piper", "zh", ENGINES),
        ("fil=openai", "tl", ("openai",)),
    ],
)
def test_orders(setting: str, code: str, engines: tuple[str, ...]) -> None:
    """A language has its own order, else its family's, else that of all."""
    assert order(setting, code) == engines


@pytest.mark.parametrize(
    ("setting", "sentence"),
    [
        ("espeak", "'espeak' is no speech engine: write some of piper, openai, espeak-ng"),
        ("klingon=piper", "'klingon' is none of our languages: en, en-GB"),
        ("th=", "empty"),
        ("=piper", "'' is none of our languages"),
        ("piper espeak-ng", "is no speech engine"),
    ],
)
def test_orders_that_are_wrong(setting: str, sentence: str) -> None:
    """What cannot be meant says what to write."""
    with pytest.raises(ValueError, match=r"write|our languages|empty") as caught:
        parse_engine_order(setting)
    assert sentence in str(caught.value)


@pytest.mark.parametrize(
    ("setting", "code", "gender", "voice"),
    [
        ("*=nova/onyx", "en", "female", "nova"),
        ("*=nova/onyx", "th", "male", "onyx"),
        ("*=nova", "th", "male", "nova"),
        ("*=nova/onyx", "zh-HK", "female", None),
        ("*=nova/onyx, zh=x/y", "zh-HK", "female", None),
        ("*=nova/onyx, yue=x/y", "zh-HK", "female", "x"),
        ("*=nova/onyx,zh=x/y", "zh-TW", "male", "y"),
        ("ja=a/b", "en", "male", None),
        ("ja=a/b", "ja", "male", "b"),
        ("ja=a/b", "ja", "robot", None),
    ],
)
def test_voices_of_a_server(setting: str, code: str, gender: str, voice: str | None) -> None:
    """A language's own voice, else the family's, else that of all; Cantonese must be named."""
    language = find_language(code)
    assert language is not None
    assert parse_server_voices(setting).voice_for(language, gender) == voice


@pytest.mark.parametrize("setting", ["", ",", "nova", "ja=", "=nova", "ja=a/b/c", "xx=a", "ja=a/"])
def test_voices_that_are_wrong(setting: str) -> None:
    """What cannot be meant is a ValueError with a sentence."""
    with pytest.raises(ValueError, match=r"such as|our languages"):
        parse_server_voices(setting)


@given(st.text(alphabet="*=;,/ -_abejpynhiopnsg\u212a", max_size=40))
def test_any_setting_is_read_or_refused(setting: str) -> None:
    """No text fails in another way, and whatever is read has an answer for every language."""
    try:
        read = parse_engine_order(setting)
    except ValueError:
        pass
    else:
        assert all(read.of(language) for language in LANGUAGES)
    try:
        voices = parse_server_voices(setting)
    except ValueError:
        return
    for language in LANGUAGES:
        voices.voice_for(language, "female")
