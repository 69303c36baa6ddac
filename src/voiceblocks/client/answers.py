"""What the API answers, as values. Money is `Decimal`, times are aware and in GMT+8."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

GMT_PLUS_8 = timezone(timedelta(hours=8))
_TIME = "%Y-%m-%d %H:%M:%S"


def read_time(text: str) -> datetime:
    """Read `YYYY-MM-DD HH:MM:SS`, which is always GMT+8."""
    return datetime.strptime(text[:19], _TIME).replace(tzinfo=GMT_PLUS_8)


def write_time(at: datetime | None) -> str | None:
    """Write a time as the API takes it; one without a zone is taken as GMT+8."""
    if at is None:
        return None
    return (at if at.tzinfo is None else at.astimezone(GMT_PLUS_8)).strftime(_TIME)


@dataclass(frozen=True, slots=True)
class Dialled:
    """A call that was placed, and that blocks will lead."""

    txn_ref: str
    session: str


@dataclass(frozen=True, slots=True)
class Placed:
    """A call that was placed."""

    txn_ref: str


@dataclass(frozen=True, slots=True)
class Conference:
    """A room, and one transaction for each number, in their order."""

    room: str
    txn_refs: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Transferred:
    """A transfer that was accepted."""

    room: str | None
    "Where it goes to one."


@dataclass(frozen=True, slots=True)
class CallStatus:
    """One call, as `query_status` and `get_history` tell it; absent facts are `None`."""

    txn_ref: str
    tag: str
    number: str | None
    dest1: str | None
    dest2: str | None
    call_status_dest1: str | None
    "`ongoing`, `answered`, `unanswered`, `busy` or `failed`."
    call_status_dest2: str | None
    date: datetime | None
    duration_min: int | None
    currency: str | None
    rate: Decimal | None
    debit: Decimal | None


@dataclass(frozen=True, slots=True)
class History:
    """A page of calls."""

    total_entries_count: int
    entries: tuple[CallStatus, ...]


@dataclass(frozen=True, slots=True)
class Rate:
    """What a minute between two numbers costs."""

    currency: str
    rate: Decimal
    talktime_min: int
    "What the balance suffices for."


@dataclass(frozen=True, slots=True)
class Balance:
    """An account's credit: its points and its bonus."""

    currency: str
    balance: Decimal
    points: Decimal
    bonus: Decimal


@dataclass(frozen=True, slots=True)
class AccountInfo:
    """Who an account belongs to."""

    uid: str
    name: str
    mobile_number: str
    caller_ids: tuple[str, ...]
    email: str | None
    country: str
    prefix: str
    currency: str
    user_status: str | None
    "`trial` or `active`."


@dataclass(frozen=True, slots=True)
class State:
    """A part of a country."""

    code: str
    name: str
    capability: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Country:
    """A country that numbers can be had in."""

    code: str
    name: str
    prefix: str
    states: tuple[State, ...]


@dataclass(frozen=True, slots=True)
class NumberChoices:
    """A page of numbers that can be subscribed to."""

    total_entries_count: int
    numbers: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SubscriptionRate:
    """What so many months of a number cost."""

    duration_months: int
    rate: Decimal


@dataclass(frozen=True, slots=True)
class Subscription:
    """A number that was subscribed to."""

    currency: str
    debit: Decimal
    expiry: date


@dataclass(frozen=True, slots=True)
class Number:
    """A number of the account."""

    number: str
    forward_to: str
    forward_sms_to: str
    mode: str
    expiry: date | None
    auto_extend: bool
    country: str
    state: str
    capabilities: tuple[str, ...]


Told = Mapping[str, Any]


def dialled(told: Told) -> Dialled:
    """Read the answer to a dial."""
    return Dialled(told["txn_ref"], told["session"])


def placed(told: Told) -> Placed:
    """Read the answer to a call."""
    return Placed(told["txn_ref"])


def conference(told: Told) -> Conference:
    """Read the answer to a conference, in either of its shapes."""
    refs = told["txn_refs"]
    return Conference(told["room"], tuple(refs.split(",") if isinstance(refs, str) else refs))


def transferred(told: Told) -> Transferred:
    """Read the answer to a transfer."""
    return Transferred(told.get("room"))


def call_status(told: Told) -> CallStatus:
    """Read one call."""
    return CallStatus(
        txn_ref=told["txn_ref"],
        tag=told.get("tag", ""),
        number=told.get("number"),
        dest1=told.get("dest1"),
        dest2=told.get("dest2"),
        call_status_dest1=told.get("call_status_dest1"),
        call_status_dest2=told.get("call_status_dest2"),
        date=read_time(told["date"]) if told.get("date") else None,
        duration_min=int(told["duration"]) if told.get("duration") else None,
        currency=told.get("currency"),
        rate=_money(told.get("rate")),
        debit=_money(told.get("debit")),
    )


def history(told: Told) -> History:
    """Read a page of calls."""
    entries = tuple(call_status(entry) for entry in told["entries"])
    return History(int(told["total_entries_count"]), entries)


def rate(told: Told) -> Rate:
    """Read what a minute costs."""
    return Rate(told["currency"], Decimal(told["rate"]), int(told["talktime"]))


def balance(told: Told) -> Balance:
    """Read an account's credit."""
    points, bonus = Decimal(told["points"]), Decimal(told["bonus"])
    return Balance(told["currency"], Decimal(told["balance"]), points, bonus)


def account_info(told: Told) -> AccountInfo:
    """Read who an account belongs to."""
    return AccountInfo(
        uid=told.get("uid", ""),
        name=told.get("name", ""),
        mobile_number=told.get("mobile_number", ""),
        caller_ids=tuple(told.get("caller_ids", ())),
        email=told.get("email"),
        country=told.get("country", ""),
        prefix=told.get("prefix", ""),
        currency=told["currency"],
        user_status=told.get("user_status"),
    )


def countries(told: Told) -> tuple[Country, ...]:
    """Read the countries that numbers can be had in."""
    return tuple(
        Country(
            code=entry["code"],
            name=entry["name"],
            prefix=str(entry["prefix"]),
            states=tuple(
                State(state["code"], state["name"], tuple(state.get("capability", ())))
                for state in entry.get("states", ())
            ),
        )
        for entry in told["entries"]
    )


def choices(told: Told) -> NumberChoices:
    """Read a page of numbers; an entry is an object or the number itself."""
    numbers = tuple(
        entry if isinstance(entry, str) else entry["number"] for entry in told["entries"]
    )
    return NumberChoices(int(told["total_entries_count"]), numbers)


def subscription_rates(told: Told) -> tuple[SubscriptionRate, ...]:
    """Read what months of a number cost."""
    return tuple(
        SubscriptionRate(int(entry["duration"]), Decimal(entry["rate"]))
        for entry in told["entries"]
    )


def subscription(told: Told) -> Subscription:
    """Read what was subscribed to."""
    expiry = date.fromisoformat(told["expiry"][:10])
    return Subscription(told["currency"], Decimal(told["debit"]), expiry)


def numbers(told: Told) -> tuple[Number, ...]:
    """Read the account's numbers."""
    return tuple(
        Number(
            number=entry["number"],
            forward_to=entry.get("forward_to", ""),
            forward_sms_to=entry.get("forward_sms_to", ""),
            mode=entry.get("mode", "voice"),
            expiry=date.fromisoformat(entry["expiry"][:10]) if entry.get("expiry") else None,
            auto_extend=entry.get("auto_extend_status") == "enabled",
            country=entry.get("country", ""),
            state=entry.get("state", ""),
            capabilities=tuple(entry.get("capabilities", ())),
        )
        for entry in told["entries"]
    )


def _money(text: str | None) -> Decimal | None:
    return Decimal(text) if text else None


@dataclass(frozen=True, slots=True)
class RecordingHealth:
    """How well a recording came in; `None` for what is not known of it."""

    packets_expected: int | None
    packets_received: int | None
    packets_late: int | None
    packets_lost: int | None
    "Of the caller; not known after a crash."
    absent_ms: int | None
    level_dbfs: float | None
    silence_percent: int | None
    is_one_way: bool | None
    paused_ms: int | None = None
    "`None` where it never was."


def read_health(told: Mapping[str, Any]) -> RecordingHealth:
    """Read the answer of `recording/health`."""

    def number(name: str) -> int | None:
        return int(told[name]) if name in told else None

    return RecordingHealth(
        packets_expected=number("packets_expected"),
        packets_received=number("packets_received"),
        packets_late=number("packets_late"),
        packets_lost=number("packets_lost"),
        absent_ms=number("absent_ms"),
        level_dbfs=float(told["level_dbfs"]) if "level_dbfs" in told else None,
        silence_percent=number("silence_percent"),
        is_one_way=told["one_way"] == "yes" if "one_way" in told else None,
        paused_ms=number("paused_ms"),
    )
