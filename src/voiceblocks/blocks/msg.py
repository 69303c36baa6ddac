"""`msg`: what is said to the caller, as a fragment of text and two tags.

`Hello <speech language="zh-HK" gender="female">…</speech><url>https://…/a.mp3</url>`

It is a fragment, not a document: any number of parts, text between them. Stricter
than HTML, more tolerant than XML where real clients need it. Decided here:

- Names of tags and attributes may be in any case; attributes may come in any order,
  in single or double quotes, with any blanks. An empty attribute is an absent one.
- `&` that does not begin one of XML's five entities or a character reference is taken
  as text, as is `<` that cannot begin a tag (`1 < 2`, `<3`): old clients do not escape.
- Anything else that XML would refuse is refused, and so are tags within tags, unknown
  tags and attributes (a misspelt `lang=` would otherwise be read out in English),
  comments, CDATA and processing instructions.

Statuses come in this order: length, XML, then the `<url>`s. Whether a language is
spoken is asked in `speech.languages`, which knows the voices.
"""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from typing import ClassVar, TypeAlias
from urllib.parse import unquote, urlsplit

from voiceblocks.blocks.fields import Fields, Parameter
from voiceblocks.blocks.urls import split_web_url
from voiceblocks.errors import InvalidRequest

MSG_MAX = 1000
"Characters of raw text, markup included (decision 3)."

DEFAULT_LANGUAGE = "en"
DEFAULT_GENDER = "female"
AUDIO_EXTENSIONS = frozenset({".mp3", ".wav", ".gsm"})

MSG_STATUSES = (
    "error_msg_invalid_length",
    "error_msg_invalid_xml",
    "error_msg_invalid_url",
    "error_msg_invalid_file_format",
)
"What reading `msg` can give."

# What XML 1.0 section 2.2 forbids, in whatever form it is written.
_FORBIDDEN = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_ENTITIES = {"amp": "&", "lt": "<", "gt": ">", "quot": '"', "apos": "'"}
_REFERENCE = re.compile(r"&(?:(amp|lt|gt|quot|apos)|#([0-9]+)|#x([0-9A-Fa-f]+));", re.ASCII)
_MARKUP_STARTS = frozenset("_:/!?")
_OPENING = re.compile(r"<(speech|url)(?=[ \t\n\r/>])", re.IGNORECASE | re.ASCII)
_CLOSING = re.compile(r"</(speech|url)[ \t\n\r]*>", re.IGNORECASE | re.ASCII)
_ATTRIBUTE = re.compile(
    r"""[ \t\n\r]+(language|gender)[ \t\n\r]*=[ \t\n\r]*(?:"([^"<]*)"|'([^'<]*)')""",
    re.IGNORECASE | re.ASCII,
)
_TAG_END = re.compile(r"[ \t\n\r]*(/?)>")


@dataclass(frozen=True, slots=True)
class TextPart:
    """Plain text, spoken in English by a female voice."""

    text: str

    language: ClassVar[str] = DEFAULT_LANGUAGE
    gender: ClassVar[str] = DEFAULT_GENDER


@dataclass(frozen=True, slots=True)
class SpeechPart:
    """Text with a voice of its own."""

    text: str
    language: str = DEFAULT_LANGUAGE
    'As sent, such as `"zh-HK"`; not yet known to be spoken.'
    gender: str = DEFAULT_GENDER
    "As sent; not yet known to be one."


@dataclass(frozen=True, slots=True)
class UrlPart:
    """Audio to download: an http or https address whose path ends in a known extension."""

    url: str

    @property
    def extension(self) -> str:
        """`".mp3"`, `".wav"` or `".gsm"`."""
        return _extension_of(urlsplit(self.url).path)


Part: TypeAlias = TextPart | SpeechPart | UrlPart


def parse_msg(msg: str) -> tuple[Part, ...]:
    """
    Take `msg` apart.

    Parts of nothing but blanks are dropped; other text keeps its blanks.

    Raises:
        InvalidRequest: With one of `MSG_STATUSES`.
    """
    if len(msg) > MSG_MAX:
        raise InvalidRequest("error_msg_invalid_length")
    if _FORBIDDEN.search(msg):
        raise _invalid_xml()
    parts: list[Part] = []
    position = 0
    while position < len(msg):
        text, position = _read_text(msg, position)
        if text.strip():
            parts.append(TextPart(text))
        if position < len(msg):
            element, position = _read_element(msg, position)
            if isinstance(element, UrlPart) or element.text.strip():
                parts.append(element)
    for part in parts:
        if isinstance(part, UrlPart):
            _check_url(part.url)
    return tuple(parts)


def escape(text: str) -> str:
    """Write plain text so that `parse_msg` gives exactly it back."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _read_text(msg: str, start: int) -> tuple[str, int]:
    """Read up to the next markup, of whatever kind, or to the end of `msg`."""
    position = start
    while (position := msg.find("<", position)) != -1:
        following = msg[position + 1 : position + 2]
        if following.isalpha() or following in _MARKUP_STARTS:
            break
        position += 1
    end = len(msg) if position == -1 else position
    return _resolve_references(msg[start:end]), end


def _read_element(msg: str, start: int) -> tuple[SpeechPart | UrlPart, int]:
    """Read the `<speech>` or `<url>` that must begin at `start`, with its end."""
    opening = _OPENING.match(msg, start)
    if opening is None:
        raise _invalid_xml()
    tag = opening[1].lower()
    attributes: dict[str, str] = {}
    position = opening.end()
    while attribute := _ATTRIBUTE.match(msg, position):
        name = attribute[1].lower()
        if name in attributes or tag == "url":
            raise _invalid_xml()
        attributes[name] = _resolve_references(attribute[2] or attribute[3] or "").strip()
        position = attribute.end()
    end = _TAG_END.match(msg, position)
    if end is None:
        raise _invalid_xml()
    text, position = "", end.end()
    if not end[1]:
        text, position = _read_text(msg, position)
        closing = _CLOSING.match(msg, position)
        if closing is None or closing[1].lower() != tag:
            raise _invalid_xml()
        position = closing.end()
    if tag == "url":
        return UrlPart(text.strip()), position
    language = attributes.get("language") or DEFAULT_LANGUAGE
    return SpeechPart(text, language, attributes.get("gender") or DEFAULT_GENDER), position


def _resolve_references(text: str) -> str:
    return _REFERENCE.sub(_resolve_reference, text)


def _resolve_reference(reference: re.Match[str]) -> str:
    name, decimal, hexadecimal = reference.groups()
    if name is not None:
        return _ENTITIES[name]
    # Longer than the largest code point can be: not worth computing.
    digits = (decimal or hexadecimal).lstrip("0")
    code_point = int(digits or "0", 10 if decimal else 16) if len(digits) <= 7 else -1
    if not 0 <= code_point <= sys.maxunicode or _FORBIDDEN.match(character := chr(code_point)):
        raise _invalid_xml()
    return character


def _check_url(url: str) -> None:
    parts = split_web_url(url)
    if parts is None:
        raise InvalidRequest("error_msg_invalid_url")
    if _extension_of(parts.path) not in AUDIO_EXTENSIONS:
        raise InvalidRequest("error_msg_invalid_file_format")


def _extension_of(path: str) -> str:
    """The last four characters of the decoded path, in lower case: every known extension."""
    return unquote(path).lower()[-4:]


def _invalid_xml() -> InvalidRequest:
    return InvalidRequest("error_msg_invalid_xml")


def _read_msg(fields: Fields) -> tuple[Part, ...]:
    return parse_msg(fields.get("msg") or "")


MSG = Parameter(
    "msg",
    _read_msg,
    (
        *MSG_STATUSES,
        "error_msg_invalid_language",
        "error_msg_invalid_gender",
        "error_msg_cannot_convert_text",
        "error_msg_download_failed",
        "error_msg_invalid_file_size",
    ),
    f"What is said first: text, <speech language gender>, <url>. At most {MSG_MAX} characters, "
    "markup included.",
)
