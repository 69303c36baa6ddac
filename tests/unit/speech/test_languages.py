"""The table of languages, and what a message may ask of it."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voiceblocks.blocks.msg import SpeechPart, TextPart, UrlPart, parse_msg
from voiceblocks.errors import InvalidRequest
from voiceblocks.speech.languages import GENDERS, LANGUAGES, check_spoken, find_language

_URL = UrlPart("http://a.example/x.mp3")


def test_codes_are_unique_whatever_their_case() -> None:
    """No code hides another one, and each is found in every spelling."""
    assert len({language.code.lower() for language in LANGUAGES}) == len(LANGUAGES)
    for language in LANGUAGES:
        for spelling in (language.code, language.code.upper(), language.code.replace("-", "_")):
            assert find_language(spelling) is language


@pytest.mark.parametrize("code", ["en", "zh", "zh-HK", "ko", "ms", "ta", "hi", "id", "vi"])
def test_the_languages_of_the_original_and_its_region_are_spoken(code: str) -> None:
    """Both genders of every language that the original's customers need pass."""
    for gender in GENDERS:
        part = SpeechPart("x", code, gender)
        assert check_spoken([part]) == (part,)


@pytest.mark.parametrize("code", ["ja", "th", "tlh", "xx", "english", "zh-", "-", "z h", "\u212ao"])
def test_other_languages_have_their_status(code: str) -> None:
    """What is unknown, and what no voice here speaks, is error_msg_invalid_language."""
    with pytest.raises(InvalidRequest, match=r"\Aerror_msg_invalid_language\Z"):
        check_spoken([TextPart("x"), SpeechPart("x", code)])


@pytest.mark.parametrize("gender", ["neutral", "f", "femal", "女"])
def test_other_genders_have_their_status(gender: str) -> None:
    """Only female and male are voices."""
    with pytest.raises(InvalidRequest, match=r"\Aerror_msg_invalid_gender\Z"):
        check_spoken([SpeechPart("x", "en", gender)])


def test_a_language_is_told_before_a_gender() -> None:
    """A bad language anywhere comes before a bad gender anywhere."""
    with pytest.raises(InvalidRequest, match="error_msg_invalid_language"):
        check_spoken([SpeechPart("x", "en", "neutral"), SpeechPart("x", "ja")])


def test_spellings_are_made_one() -> None:
    """Parts come back in the table's spelling; text and URLs come back as they are."""
    assert check_spoken([TextPart("a"), SpeechPart("x", "ZH_hk", "Male"), _URL]) == (
        TextPart("a"),
        SpeechPart("x", "zh-HK", "male"),
        _URL,
    )


def test_the_documented_example_is_spoken() -> None:
    """The Record page's own message passes from end to end."""
    msg = '<speech language="zh-HK" gender="female">請稍等,我們正在處理您的訂單。</speech>'
    (part,) = check_spoken(parse_msg(msg))
    assert part == SpeechPart("請稍等,我們正在處理您的訂單。", "zh-HK", "female")


@given(st.text(max_size=10), st.text(max_size=10))
def test_any_language_and_gender_pass_or_have_a_status(language: str, gender: str) -> None:
    """No text makes the check fail in another way."""
    try:
        check_spoken([SpeechPart("x", language, gender)])
    except InvalidRequest as refused:
        status = refused.status
        assert status.startswith("error_msg_invalid_")


def _installed_voices() -> set[str]:
    """Language names in the data of the espeak-ng wheel; empty where it is not installed."""
    spec = importlib.util.find_spec("espeakng_loader")
    if spec is None or spec.origin is None:
        return set()
    folder = Path(spec.origin).parent / "espeak-ng-data" / "lang"
    return {
        line.split()[1]
        for file in folder.rglob("*")
        if file.is_file()
        for line in file.read_text(encoding="utf-8", errors="replace").splitlines()
        if line.startswith("language ")
    }


def test_every_voice_exists_in_espeak_ng() -> None:
    """No row of the table names a voice that espeak-ng does not have."""
    voices = _installed_voices()
    if not voices:
        pytest.skip("the espeak-ng wheel is not installed")
    assert {language.espeak_voice for language in LANGUAGES} <= voices
