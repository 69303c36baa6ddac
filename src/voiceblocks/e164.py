"""Phone numbers: `+` and digits inside, masked in every log."""

from __future__ import annotations

import re

import phonenumbers

_E164 = re.compile(r"\+[1-9][0-9]{3,14}\Z")


def is_e164(number: str) -> bool:
    """Whether `number` is `+` and 4 to 15 digits."""
    return _E164.match(number) is not None


def normalise(raw: str, country: str | None = None) -> str | None:
    """
    Turn what a carrier or phone sent into `+` form.

    Accepts `+65…`, `65…` without plus, `00…`, `tel:`-like visual separators and,
    with `country` (ISO 3166, `"SG"`), national numbers.

    Returns:
        The number, or `None` where it is no phone number (an extension, a name).
    """
    digits = re.sub(r"[\s().-]", "", raw)
    if digits.startswith("00"):
        digits = "+" + digits[2:]
    if digits.startswith("+"):
        return digits if is_e164(digits) else None
    if not digits.isascii() or not digits.isdigit():
        return None
    if country is not None:
        try:
            parsed = phonenumbers.parse(digits, country)
        except phonenumbers.NumberParseException:
            return None
        if phonenumbers.is_possible_number(parsed):
            return phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.E164)
    candidate = "+" + digits
    return candidate if is_e164(candidate) else None


def country_of(number: str) -> str | None:
    """ISO 3166 alpha-2 of the country that a `+…` number belongs to; `None` where unknown."""
    try:
        return phonenumbers.region_code_for_number(phonenumbers.parse(number))
    except phonenumbers.NumberParseException:
        return None


def masked(number: str) -> str:
    """
    `+6591234567` becomes `+6591****67`: enough to find a call, too little to ring it.

    Four characters are hidden at least, all of them where there are no more than six.
    """
    if len(number) <= 6:
        return "*" * len(number)
    hidden = max(4, len(number) - 7)
    start = max(0, min(5, len(number) - hidden - 2))
    return number[:start] + "*" * hidden + number[start + hidden :]
