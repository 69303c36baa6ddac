"""Which numbers an account may call: the prefixes that the operator allowed (decision 9).

Some numbers are not covered by a short prefix, since a single call to them may cost a fortune,
or bring the police: these stay closed until they are named.

| Numbers | Are open where an allowed prefix is |
|---|---|
| any other | a beginning of the number |
| premium, shared cost, personal, pagers | three digits longer than the country code, `+1900` |
| networks of no country, such as satellites | the network's own code or longer, `+8816` |
| emergency | the number itself |
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum, auto

import phonenumbers
from phonenumbers import PhoneNumber, PhoneNumberType, ValidationResult

from voiceblocks import e164

_DEAR_TYPES = frozenset(
    {
        PhoneNumberType.PREMIUM_RATE,
        PhoneNumberType.SHARED_COST,
        PhoneNumberType.PERSONAL_NUMBER,
        PhoneNumberType.PAGER,
    }
)
_RANGE_DIGITS = 3
"Digits after the country code by which a prefix shows that it means a dear range."
_NO_COUNTRY = "001"
_FREE_EVERYWHERE = 800
"International freephone: of no country either, but it costs nobody anything."
_SHORTEST_NATIONAL = 4


class DestinationKind(Enum):
    """What a number is, as far as that decides who may call it."""

    ORDINARY = auto()
    DEAR = auto()
    "Premium, shared cost, personal numbers and pagers."
    GLOBAL = auto()
    "In a network of no country: satellites, ships, global services."
    EMERGENCY = auto()


def is_well_formed(dest: str) -> bool:
    """
    Whether `dest` is a number as the plan of its country writes it, or an emergency number.

    One spelling each: what is allowed, priced and dialled is the same number.
    """
    number = _parsed(dest)
    if number is None:
        return False
    if _is_emergency(number):
        return True
    is_possible = phonenumbers.is_possible_number_with_reason(number)
    written = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
    return is_possible == ValidationResult.IS_POSSIBLE and written == dest


def kind_of(dest: str) -> DestinationKind:
    """Return what kind of number `dest` (well formed) is."""
    number = _parsed(dest)
    if number is None or _is_emergency(number):
        return DestinationKind.EMERGENCY
    code = number.country_code or 0
    is_global = phonenumbers.region_code_for_country_code(code) == _NO_COUNTRY
    if is_global and code != _FREE_EVERYWHERE:
        return DestinationKind.GLOBAL
    return DestinationKind.DEAR if _is_dear(number) else DestinationKind.ORDINARY


def may_call(dest: str, prefixes: Iterable[str]) -> bool:
    """Whether an account with these allowed prefixes may call `dest` (well formed)."""
    fitting = [prefix for prefix in prefixes if dest.startswith(prefix)]
    if not fitting:
        return False
    longest = max(len(prefix) for prefix in fitting)
    number = _parsed(dest)
    code_length = 1 + len(str(number.country_code)) if number is not None else len(dest)
    match kind_of(dest):
        case DestinationKind.ORDINARY:
            return True
        case DestinationKind.DEAR:
            return longest >= min(code_length + _RANGE_DIGITS, len(dest))
        case DestinationKind.GLOBAL:
            return longest >= code_length
        case DestinationKind.EMERGENCY:
            return longest == len(dest)


def _parsed(dest: str) -> PhoneNumber | None:
    if not e164.is_e164(dest):
        return None
    try:
        return phonenumbers.parse(dest)
    except phonenumbers.NumberParseException:
        return None


def _is_emergency(number: PhoneNumber) -> bool:
    """An emergency number behind its country's code: a carrier may well strip that off."""
    national = phonenumbers.national_significant_number(number)
    regions = phonenumbers.region_codes_for_country_code(number.country_code or 0)
    if any(phonenumbers.is_emergency_number(national, region) for region in regions):
        return True
    # Digits after an emergency number are ignored by some networks; a number that is
    # somebody's is not one, however it begins.
    return not phonenumbers.is_valid_number(number) and any(
        phonenumbers.connects_to_emergency_number(national, region) for region in regions
    )


def _is_dear(number: PhoneNumber) -> bool:
    """Also where digits follow a dear number: networks ignore them and connect."""
    if phonenumbers.number_type(number) in _DEAR_TYPES:
        return True
    if phonenumbers.is_valid_number(number):
        return False
    shorter = PhoneNumber()
    shorter.merge_from(number)
    while shorter.national_number is not None and len(str(shorter.national_number)) > (
        _SHORTEST_NATIONAL
    ):
        shorter.national_number //= 10
        if phonenumbers.number_type(shorter) in _DEAR_TYPES:
            return True
    return False
