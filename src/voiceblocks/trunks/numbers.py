"""Phone numbers as a trunk writes and reads them."""

from __future__ import annotations

import phonenumbers

from voiceblocks import e164
from voiceblocks.trunks.model import NumberFormat


def written(number: str, number_format: NumberFormat, country: str | None) -> str:
    """
    A `+…` number as a carrier wants it.

    Args:
        number: `+` and digits.
        number_format: The carrier's.
        country: ISO 3166 alpha-2, for national numbers; without it they are written plain.
    """
    if number_format is NumberFormat.E164:
        return number
    if number_format is NumberFormat.NATIONAL and country is not None:
        try:
            parsed = phonenumbers.parse(number)
        except phonenumbers.NumberParseException:
            return number.removeprefix("+")
        text = phonenumbers.format_out_of_country_calling_number(parsed, country)
        if phonenumbers.region_code_for_number(parsed) == country:
            text = phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.NATIONAL)
        return "".join(character for character in text if character.isdigit())
    return number.removeprefix("+")


def read(text: str, number_format: NumberFormat, country: str | None) -> str | None:
    """A number as a carrier sent it, in `+` form; `None` where it is none."""
    national = country if number_format is NumberFormat.NATIONAL else None
    return e164.normalise(text, national)
