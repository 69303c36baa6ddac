"""Money is integer thousandths inside, `Decimal` at the edges (decision 20)."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from typing import NewType

Thousandths = NewType("Thousandths", int)

NOTHING = Thousandths(0)

CURRENCIES = ("SGD", "HKD", "USD", "AUD", "MYR", "TWD", "EUR", "GBP", "JPY")
_STEP = Decimal("0.001")
_MOST = Decimal("1e12")


def thousandths_from(amount: Decimal | str) -> Thousandths:
    """
    Turn an amount such as `"0.020"` into thousandths.

    Raises:
        ValueError: If it is not a number, has more than three decimals, or is more money
            than there is.
    """
    try:
        value = Decimal(amount)
    except InvalidOperation:
        value = Decimal("nan")
    # The size first: quantizing a larger one than the precision raises.
    if not value.is_finite() or abs(value) > _MOST or value != value.quantize(_STEP):
        raise ValueError(f"{amount!r} is not an amount with at most three decimals")
    return Thousandths(int(value.scaleb(3)))


def format_amount(amount: Thousandths) -> str:
    """Three decimals, as every sample of the API shows: `"0.140"`."""
    return str(Decimal(amount).scaleb(-3).quantize(_STEP))
