"""How a carrier writes phone numbers, both ways; inside they are always `+` and digits."""

from __future__ import annotations

import re

import phonenumbers

from voiceblocks import e164
from voiceblocks.trunks.model import NumberFormat

_DIGITS = re.compile(r"[0-9]+")


def written(number: str, number_format: NumberFormat, country: str | None) -> str:
    """
    Write a number as the carrier wants it.

    Args:
        number: `+` and digits.
        number_format: The trunk's.
        country: The trunk's, ISO 3166 alpha-2.
    """
    match number_format:
        case NumberFormat.E164:
            return number
        case NumberFormat.PLAIN:
            return number.removeprefix("+")
        case NumberFormat.NATIONAL:
            return _national(number, country)


def read(text: str, number_format: NumberFormat, country: str | None) -> str | None:
    """
    Return a number that the carrier wrote, in `+` form; `None` where it is no number.

    A plus is believed in every format, and so is `00`, since carriers mix them. Without either
    a number is international, but for the national format.
    """
    return e164.normalise(text, country if number_format is NumberFormat.NATIONAL else None)


def international_prefix(country: str | None) -> str:
    """What is dialled before a country code, `011` in the US; `00` where several are in use."""
    metadata = phonenumbers.PhoneMetadata.metadata_for_region(country, None) if country else None
    if metadata is None:
        return "00"
    for prefix in (metadata.preferred_international_prefix, metadata.international_prefix):
        if prefix and _DIGITS.fullmatch(prefix):
            return str(prefix)
    return "00"


def _national(number: str, country: str | None) -> str:
    abroad = international_prefix(country) + number.removeprefix("+")
    try:
        parsed = phonenumbers.parse(number)
    except phonenumbers.NumberParseException:
        return abroad
    if country is None or parsed.country_code != phonenumbers.country_code_for_region(country):
        return abroad
    form = phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.NATIONAL)
    return "".join(_DIGITS.findall(form))
