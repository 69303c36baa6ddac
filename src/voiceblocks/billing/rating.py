"""What a call costs: a price by the longest prefix of its number."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType

from voiceblocks.billing.model import Price, Tariff
from voiceblocks.money import CURRENCIES, Thousandths

_INBOUND_SGD, _OUTBOUND_SGD = 20, 40

# Price of a started minute where no tariff matches. One flat figure a direction, the
# same in every currency, until the operator enters tariffs of his own.
DEFAULT_RATES: Mapping[tuple[str, str], Thousandths] = MappingProxyType(
    {("inbound", currency): Thousandths(_INBOUND_SGD) for currency in CURRENCIES}
    | {("outbound", currency): Thousandths(_OUTBOUND_SGD) for currency in CURRENCIES}
)


def charge_id(session_id: str, number: int) -> str:
    """The id of the one charge for a session's leg; the first leg is number 1."""
    return f"chg_{session_id}_{number}"


def longest_prefix(
    tariffs: Iterable[Tariff], direction: str, number: str, currency: str
) -> Tariff | None:
    """Return the tariff whose prefix fits `number` best, `None` where none fits."""
    fitting = (
        tariff
        for tariff in tariffs
        if tariff.direction == direction
        and tariff.currency == currency
        and number.startswith(tariff.prefix)
    )
    return max(fitting, key=lambda tariff: len(tariff.prefix), default=None)


def price_from(tariff: Tariff | None, direction: str, currency: str) -> Price:
    """
    Return the price by `tariff`, or the default where there is none.

    Raises:
        KeyError: If direction or currency is none of ours.
    """
    return Price(DEFAULT_RATES[direction, currency]) if tariff is None else tariff.price
