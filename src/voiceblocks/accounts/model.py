"""Who pays, who drives calls, which numbers are theirs, and their access tokens."""

from __future__ import annotations

from dataclasses import dataclass, field

from voiceblocks.ids import AccountId, AppId
from voiceblocks.money import NOTHING, Thousandths


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """A customer."""

    id: AccountId
    name: str
    currency: str
    "One of `money.CURRENCIES`; never changes."
    credit: Thousandths
    "Points and bonus together, as the ledger's books say; without what live calls hold."
    bonus: Thousandths = NOTHING
    "The part of `credit` that was given, not paid; it is used up first."
    overdraft: Thousandths = NOTHING
    "How far below zero calls may bring the credit; 0 or more."
    is_trial: bool = False
    "Until its first payment: it talks with its registered number only."
    max_calls: int | None = None
    "`None`: what the settings say."
    max_numbers: int | None = None
    "Numbers that it may subscribe; `None`: what the settings say."
    registered_number: str | None = None
    "The customer's own phone, E.164: shown to whom it calls unless the application says more."
    email: str | None = None
    "Told to its applications; checked by the operator."
    country: str | None = None
    "ISO 3166-1, such as `SG`; `None`: that of its registered number, else of its currency."
    dials_per_minute: int | None = None
    "Numbers that it may call in a minute; `None`: what the settings say."
    spend_per_day: Thousandths | None = None
    "What all its calls of a day may cost; `None`: as much as it has."
    rate_limit_ivr: int | None = None
    "Blocks and calls per minute, application and API; `None`: what the settings say."
    rate_limit_query: int | None = None
    "The same of everything else that is asked."
    recordings_quota_bytes: int | None = None
    "What its stored recordings may take up; `None`: what the settings say."
    disabled_us: int | None = None
    "Since when the operator lets it do nothing."
    created_us: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Application:
    """A program of a customer that drives calls."""

    id: AppId
    account_id: AccountId
    name: str
    silences_keys: bool = False
    "Whether keys that are heard in its recordings become silence."
    seal_for: bytes | None = None
    "Public X25519 key: who has its private one, and nobody else, can hear its new recordings."
    keep_recordings_days: int | None = None
    "Days that a recording is kept, 0 for ever; `None`: what the settings say."
    revoked_us: int | None = None
    "Since when it may no longer do anything."
    created_us: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Number:
    """A phone number of ours that can be called."""

    number: str
    'E.164, e.g. `"+6531580000"`.'
    app_id: AppId
    notify_url: str | None = None
    "Where the `answer` notification goes; without one the number is unreachable."
    expires_us: int | None = None
    "First microsecond at which it is nobody's any more; `None`: never."
    auto_extend: bool = False
    "Whether it is paid for again when it expires."
    months: int | None = None
    "For how long it was subscribed, and is extended; `None` for the operator's own."
    disabled_us: int | None = None
    "Since when it cannot be called."
    created_us: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StockNumber:
    """A number that the operator has to let; who subscribes it has a `Number` beside it."""

    number: str
    country: str
    "ISO 3166-1, such as `SG`."
    country_name: str
    state: str
    "Such as `CA`; empty where a country has none."
    state_name: str
    free_from_us: int
    "It rests until then, so that nobody gets the calls of who had it before."
    created_us: int


@dataclass(frozen=True, slots=True)
class NumberRate:
    """What a number of a country costs for so many months."""

    country: str
    months: int
    currency: str
    rate: Thousandths


@dataclass(frozen=True, slots=True)
class NumberRoute:
    """A number with all that is needed to decide about a call to it."""

    number: Number
    application: Application
    account: Account


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessToken:
    """An access token as it is stored; the token itself is only in `sealed` (decision 6)."""

    lookup: bytes
    app_id: AppId
    sealed: bytes = field(repr=False)
    key_id: str
    "Which `SecretKey` made `lookup` and `sealed`."
    created_us: int
    expires_us: int | None = None
    "First microsecond at which it is no longer good; `None`: never."
    revoked_us: int | None = None

    def is_valid(self, now_us: int) -> bool:
        """Whether it may be used at `now_us`."""
        expired = self.expires_us is not None and now_us >= self.expires_us
        return self.revoked_us is None and not expired


@dataclass(frozen=True, slots=True)
class FoundToken:
    """A token with whose it is."""

    token: AccessToken
    application: Application
    account_disabled_us: int | None = None
    "Since when the application's account may do nothing."
