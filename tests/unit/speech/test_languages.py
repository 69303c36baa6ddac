"""The table of languages, and what a message may ask of it."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voiceblocks.blocks.msg import SpeechPart, TextPart, UrlPart, parse_msg
from voiceblocks.errors import InvalidRequest
from voiceblocks.speech.languages import (
    GENDERS,
    LANGUAGES,
    Grade,
    Language,
    can_read,
    check_spoken,
    find_language,
    find_language_of_voice,
)
from voiceblocks.speech.reference import language_table, spoken_here

_URL = UrlPart("http://a.example/x.mp3")
_DOCS = Path(__file__).parents[3] / "docs" / "speech.md"


def by_espeak(language: Language) -> frozenset[str]:
    """What a node has whose only engine is espeak-ng."""
    return frozenset() if language.espeak is Grade.NOT else GENDERS


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
        assert check_spoken([part], by_espeak) == (part,)


@pytest.mark.parametrize(
    "code", ["ja", "th", "tl", "fil", "tlh", "xx", "english", "zh-", "-", "z h", "\u212ao"]
)
def test_other_languages_have_their_status(code: str) -> None:
    """What is unknown, and what no voice here speaks, is error_msg_invalid_language."""
    with pytest.raises(InvalidRequest, match=r"\Aerror_msg_invalid_language\Z"):
        check_spoken([TextPart("x"), SpeechPart("x", code)], by_espeak)


@pytest.mark.parametrize("gender", ["neutral", "f", "femal", "女"])
def test_other_genders_have_their_status(gender: str) -> None:
    """Only female and male are voices."""
    with pytest.raises(InvalidRequest, match=r"\Aerror_msg_invalid_gender\Z"):
        check_spoken([SpeechPart("x", "en", gender)], by_espeak)


def test_a_language_is_told_before_a_gender() -> None:
    """A bad language anywhere comes before a bad gender anywhere."""
    with pytest.raises(InvalidRequest, match="error_msg_invalid_language"):
        check_spoken([SpeechPart("x", "en", "neutral"), SpeechPart("x", "ja")], by_espeak)


def test_spellings_are_made_one() -> None:
    """Parts come back in the table's spelling; text and URLs come back as they are."""
    parts = [TextPart("a"), SpeechPart("x", "ZH_hk", "Male"), _URL]
    assert check_spoken(parts, by_espeak) == (
        TextPart("a"),
        SpeechPart("x", "zh-HK", "male"),
        _URL,
    )


def test_the_documented_example_is_spoken() -> None:
    """The Record page's own message passes from end to end."""
    msg = '<speech language="zh-HK" gender="female">請稍等,我們正在處理您的訂單。</speech>'
    (part,) = check_spoken(parse_msg(msg), by_espeak)
    assert part == SpeechPart("請稍等,我們正在處理您的訂單。", "zh-HK", "female")


@given(st.text(max_size=10), st.text(max_size=10))
def test_any_language_and_gender_pass_or_have_a_status(language: str, gender: str) -> None:
    """No text makes the check fail in another way."""
    try:
        check_spoken([SpeechPart("x", language, gender)], by_espeak)
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
    assert {each.espeak_voice for each in LANGUAGES if each.espeak_voice} <= voices


def test_a_language_is_spoken_where_somebody_speaks_it() -> None:
    """With an engine for it Japanese passes, and only in the gender that there is."""

    def here(language: Language) -> frozenset[str]:
        return frozenset({"female"}) if language.code == "ja" else frozenset()

    part = SpeechPart("x", "ja", "female")
    assert check_spoken([part, TextPart("x")], here) == (part, TextPart("x"))
    with pytest.raises(InvalidRequest, match="error_msg_invalid_gender"):
        check_spoken([SpeechPart("x", "ja", "male")], here)
    with pytest.raises(InvalidRequest, match="error_msg_invalid_language"):
        check_spoken([SpeechPart("x", "en", "female")], here)


@pytest.mark.parametrize(
    ("code", "language"),
    [
        ("es_MX", "es"), ("en_GB", "en-GB"), ("en-IN", "en"), ("yue", "zh-HK"), ("fil_PH", "tl"),
        ("zh_CN", "zh-CN"), ("zh_MO", None), ("zh_HK", "zh-HK"), ("tlh", None), ("", None),
    ],
)  # fmt: skip
def test_languages_of_voices(code: str, language: str | None) -> None:
    """A voice of another country speaks its language, except that Chinese may be any."""
    found = find_language_of_voice(code)
    assert (found and found.code) == language


def test_codes_that_rows_name_exist() -> None:
    """Each code of `also` is a row, and no row names itself."""
    for language in LANGUAGES:
        assert language.code not in language.also
        assert all(find_language(code) for code in language.also)


@pytest.mark.parametrize(
    ("code", "text", "readable"),
    [
        ("en", "Hello", True), ("en", "你好", False), ("en", "привет", False), ("en", "42!", True),
        ("en", "Mr 王", True), ("zh", "你好", True), ("zh", "hello", True),
        ("zh", "ありがとう", False),
        ("ko", "안녕", True), ("ru", "привет", True), ("de", "γεια", False), ("el", "γεια", True),
        ("en", "Ａ", True), ("hi", "नमस्ते", True), ("ta", "வணக்கம்", True), ("en", "", True),
    ],
)  # fmt: skip
def test_what_a_voice_can_read(code: str, text: str, *, readable: bool) -> None:
    """Text of which espeak-ng would only name the letters is known before it is spoken."""
    language = find_language(code)
    assert language is not None
    assert can_read(language, text) is readable


def test_the_page_has_the_table() -> None:
    """docs/speech.md shows the table of the code, row for row."""
    assert language_table() in _DOCS.read_text(encoding="utf-8")


def test_what_is_spoken_here() -> None:
    """Each row of /docs names who speaks it, or that it is refused."""
    told = spoken_here(lambda language: {"female": "piper"} if language.code == "ja" else {})
    assert len(told) == len(LANGUAGES)
    assert [language.code for language, row in zip(LANGUAGES, told, strict=True)
            if row == "female: piper"] == ["ja"]  # fmt: skip
    assert told.count("refused") == len(LANGUAGES) - 1
