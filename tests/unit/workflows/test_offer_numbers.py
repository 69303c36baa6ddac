"""Numbers are subscribed, forwarded, extended and given back; and who an account is."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import Connection

from tests.unit.workflows.billed_calls import BilledCalls
from voiceblocks.accounts.errors import RateLimitExceeded
from voiceblocks.accounts.model import Account
from voiceblocks.api.account import number_functions, user_functions
from voiceblocks.api.rate_limits import InMemoryRateLimiter
from voiceblocks.blocks.fields import Fields
from voiceblocks.calls.events import Refusal
from voiceblocks.database import accounts, ledger, number_stock
from voiceblocks.database.unit_of_work import Database
from voiceblocks.errors import InvalidRequest
from voiceblocks.system_clock import SystemClock
from voiceblocks.workflows import manage_numbers
from voiceblocks.workflows.keep_books import check_books
from voiceblocks.workflows.keep_limits import KeepLimits
from voiceblocks.workflows.keep_numbers import REST_US, KeepNumbers
from voiceblocks.workflows.offer_numbers import OfferNumbers, months_later
from voiceblocks.workflows.query_account import QueryAccount

FIRST, SECOND, AMERICAN = "+6531580091", "+6531580092", "+12135550123"
STOCK = f"number,state,state_name\n{FIRST},,\n{SECOND},,\n{AMERICAN},CA,California\n"
RATES = "country,months,currency,rate\nSG,1,SGD,4\nSG,12,SGD,40\nUS,1,USD,1\n"
DAY_US = 24 * 3600 * 1_000_000


class Lookups:
    """In place of `RequestPreparer`: fails as it is told."""

    status: str | None = None

    async def prepare(
        self, account_id: str, msg: Sequence[Any], urls: Sequence[str | None]
    ) -> tuple[()]:
        """Look at the addresses."""
        assert not msg
        assert account_id == "acc_1"
        if self.status is not None and any(urls):
            raise InvalidRequest(self.status)
        return ()


class Shop:
    """The APIs with a database behind them, asked as an application asks."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.calls = BilledCalls()
        self.lookups = Lookups()
        offer: Any = OfferNumbers(
            database=database,
            requests=self.lookups,  # type: ignore[arg-type]
            clock=self.calls.clock,
            max_numbers=2,
        )
        self._functions = number_functions(offer) | user_functions(QueryAccount(database))
        self.keep = KeepNumbers(database, self.calls.clock)
        self.run(lambda c: self.calls.prepare(c, 50_000))
        self.run(lambda c: manage_numbers.load_numbers(c, STOCK, self.calls.clock.now_us))
        self.run(lambda c: manage_numbers.load_rates(c, RATES))

    def run(self, fn: Callable[[Connection], Any]) -> Any:
        """In a transaction."""
        return self.database.run_sync(fn)

    @property
    def account(self) -> Account:
        """As it is stored."""
        account: Account = self.run(self.calls.account)
        return account

    async def ask(self, path: str, **fields: str) -> dict[str, Any]:
        """Ask as the application that tests have."""
        app = self.run(lambda c: accounts.find_application(c, "app1"))
        return dict(await self._functions[path](app, Fields(fields.items())))

    async def refused(self, path: str, **fields: str) -> str:
        """Ask for what is refused; return the status."""
        with pytest.raises(InvalidRequest) as refusal:
            await self.ask(path, **fields)
        return refusal.value.status


@pytest.fixture
def shop(database_url: str) -> Iterator[Shop]:
    """A shop with three numbers, and an account with 50.000."""
    database = Database(database_url)
    yield Shop(database)
    database.close()


async def test_what_there_is(shop: Shop) -> None:
    """Countries with their states, a page of numbers, and what they cost in one's currency."""
    countries = await shop.ask("number/get_countries")
    assert countries["entries"] == [
        {
            "code": "SG",
            "name": "Singapore",
            "prefix": "65",
            "states": [],
            "capability": ["VOICE"],
        },
        {
            "code": "US",
            "name": "United States",
            "prefix": "1",
            "states": [{"code": "CA", "name": "California", "capability": ["VOICE"]}],
            "capability": ["VOICE"],
        },
    ]
    choices = await shop.ask("number/get_choices", country="sg")
    assert [entry["number"] for entry in choices["entries"]] == [FIRST, SECOND]
    assert (choices["total_entries_count"], choices["entries_count"]) == ("2", "2")
    assert (await shop.ask("number/get_choices", country="SG", page="2"))["entries"] == []
    assert await shop.refused("number/get_choices", country="US") == "error_state_param_missing"
    american = await shop.ask("number/get_choices", country="US", state="ca")
    assert american["entries"] == [{"number": AMERICAN, "capability": ["VOICE"]}]
    assert await shop.ask("number/get_rates", country="SG") == {
        "currency": "SGD",
        "entries_count": "2",
        "entries": [{"duration": "1", "rate": "4.000"}, {"duration": "12", "rate": "40.000"}],
    }
    assert (await shop.ask("number/get_rates", country="US"))["entries"] == []


async def test_a_number_is_subscribed_and_forwarded(shop: Shop) -> None:
    """It is paid once, is nobody else's, and is called where the application says."""
    answer = await shop.ask("number/subscribe", number=FIRST, duration="1", auto_extend="enabled")
    until_us = months_later(shop.calls.clock.now_us, 1)
    expiry = datetime.fromtimestamp((until_us + 8 * 3600 * 10**6) / 1e6, UTC).strftime("%Y-%m-%d")
    assert answer == {"currency": "SGD", "debit": "4.000", "expiry": expiry}
    assert await shop.ask("user/get_balance") == {
        "currency": "SGD",
        "balance": "46.000",
        "points": "46.000",
        "bonus": "0.000",
    }
    again = await shop.refused("number/subscribe", number=FIRST, duration="1")
    assert again == "error_number_not_available"
    url = "https://example.com/call"
    await shop.ask("number/update_forwarding", number=FIRST, forward_to=url, mode="voice")
    await shop.ask("number/update_forwarding", number=FIRST)
    active = (await shop.ask("number/get_active"))["entries"]
    assert active[-1] == {
        "number": FIRST,
        "forward_to": url,
        "forward_sms_to": "",
        "mode": "voice",
        "expiry": expiry,
        "auto_extend_status": "enabled",
        "country": "SG",
        "state": "",
        "capabilities": ["VOICE"],
    }
    assert active[0]["expiry"] == "9999-12-31"
    info = await shop.ask("user/get_info")
    assert info["caller_ids"][-2:] == [FIRST, "p"]
    assert not isinstance(shop.run(lambda c: shop.calls.comes_in(c, FIRST)), Refusal)


async def test_why_a_number_is_not_subscribed(shop: Shop) -> None:
    """Each refusal takes nothing."""
    ask = {"number": FIRST, "duration": "1"}
    cases: list[tuple[dict[str, str], dict[str, Any], str]] = [
        ({"number": "+6531580099"}, {}, "error_number_not_available"),
        ({"duration": "3"}, {}, "error_invalid_duration"),
        ({"number": AMERICAN}, {}, "error_invalid_duration"),
        ({}, {"is_trial": True}, "error_not_allowed_for_trial"),
        ({}, {"max_numbers": 0}, "error_exceed_max_subscriptions"),
        ({}, {"credit": 3999}, "error_insufficient_credit"),
    ]
    for fields, account, status in cases:
        before = {name: getattr(shop.account, name) for name in account}
        shop.run(lambda c, a=account: a and accounts.update_account(c, "acc_1", **a))
        assert await shop.refused("number/subscribe", **{**ask, **fields}) == status
        shop.run(lambda c, b=before: b and accounts.update_account(c, "acc_1", **b))
    assert shop.account.credit == 50_000
    assert shop.run(lambda c: accounts.count_subscribed(c, "acc_1")) == 0


async def test_why_a_number_is_not_forwarded(shop: Shop) -> None:
    """Somebody else's, one that is not subscribed, and a URL that leads nowhere."""
    path, url = "number/update_forwarding", "https://nowhere.example/"
    assert await shop.refused(path, number=FIRST, forward_to=url) == "error_number_not_assigned"
    for status, told in (
        ("error_invalid_notify_url", "error_forward_to_invalid"),
        ("error_unable_to_resolve_notify_url", "error_unable_to_resolve_forward_to"),
    ):
        shop.lookups.status = status
        assert await shop.refused(path, number="+6531580000", forward_to=url) == told


async def test_a_number_is_extended_while_there_is_credit_and_then_expires(shop: Shop) -> None:
    """One payment a month, each once however often the job looks; then it rests for a month."""
    await shop.ask("number/subscribe", number=FIRST, duration="1", auto_extend="enabled")
    await shop.ask("number/subscribe", number=SECOND, duration="1")
    shop.run(lambda c: accounts.update_account(c, "acc_1", max_numbers=9))
    begin_us = shop.calls.clock.now_us
    shop.calls.clock.now_us = months_later(begin_us, 1)
    # Before the job comes by, a number that has expired is nobody's already.
    assert shop.run(lambda c: shop.calls.comes_in(c, SECOND)) is Refusal.UNKNOWN_NUMBER
    for _ in range(3):
        await shop.keep.look()
    assert shop.account.credit == 50_000 - 2 * 4000 - 4000
    active = [entry["number"] for entry in (await shop.ask("number/get_active"))["entries"]]
    assert (FIRST in active, SECOND in active) == (True, False)
    refused = await shop.refused("number/subscribe", number=SECOND, duration="1")
    assert refused == "error_number_not_available"
    # The server was away for long: each month is paid until the credit is used up.
    shop.calls.clock.now_us = months_later(begin_us, 24)
    await shop.keep.look()
    assert shop.account.credit == 50_000 - 12 * 4000
    assert shop.run(lambda c: accounts.find_number(c, FIRST)) is None
    shop.calls.clock.now_us = max(shop.calls.clock.now_us, begin_us + REST_US + 32 * DAY_US)
    assert shop.run(lambda c: number_stock.find_free(c, SECOND, shop.calls.clock.now_us))
    assert shop.run(check_books) == []
    assert len(shop.run(lambda c: ledger.list_of_account(c, "acc_1", 99))) == 1 + 12


async def test_who_the_account_is(shop: Shop) -> None:
    """What old clients read unasked is there, also of an account that says little of itself."""
    info = await shop.ask("user/get_info")
    assert info["uid"] == "acc_1"
    assert (info["country"], info["prefix"], info["mobile_number"]) == ("SG", "+65", "")
    assert "email" not in info
    shop.run(
        lambda c: accounts.update_account(
            c, "acc_1", registered_number="+85221234567", email="z@example.com", is_trial=True
        )
    )
    info = await shop.ask("user/get_info")
    assert (info["country"], info["prefix"], info["email"]) == ("HK", "+852", "z@example.com")
    assert (info["user_status"], info["caller_ids"][0]) == ("trial", "+85221234567")


async def test_an_account_has_limits_of_its_own(shop: Shop) -> None:
    """The front follows the database, for blocks and queries each, and forgets what is gone."""
    limiter = InMemoryRateLimiter(600, 60, clock=SystemClock())
    keep = KeepLimits(shop.database, limiter)
    shop.run(lambda c: accounts.update_account(c, "acc_1", rate_limit_ivr=2, rate_limit_query=1))
    await keep.look()
    for api, allowed in (("ivr/middle/play", 2), ("user/get_balance", 1)):
        for app_id, most in (("app1", allowed), ("other", 60)):
            assert how_many(limiter, app_id, api) == min(most, 60)
    shop.run(lambda c: accounts.update_account(c, "acc_1", rate_limit_query=None))
    await keep.look()
    assert how_many(limiter, "app1", "user/get_info") == 60
    assert how_many(limiter, "app1", "ivr/middle/gather") == 2


async def test_a_number_of_the_31st_is_extended_to_each_month_s_last_day(shop: Shop) -> None:
    """February ends on its 28th, and takes no days from the months after it."""
    begin = datetime.fromisoformat("2027-01-31 10:00+08:00")
    shop.calls.clock.now_us = round(begin.timestamp() * 1e6)
    await shop.ask("number/subscribe", number=FIRST, duration="1", auto_extend="enabled")
    ends = []
    for _ in range(4):
        entries = (await shop.ask("number/get_active"))["entries"]
        ends += [entry["expiry"] for entry in entries if entry["number"] == FIRST]
        shop.calls.clock.now_us += 32 * DAY_US
        await shop.keep.look()
    assert ends == ["2027-02-28", "2027-03-31", "2027-04-30", "2027-05-31"]


def how_many(limiter: InMemoryRateLimiter, app_id: str, api: str) -> int:
    """How many of 60 requests are let through."""
    allowed = 0
    for _ in range(60):
        try:
            limiter.count(app_id, api)
        except RateLimitExceeded:
            continue
        allowed += 1
    return allowed


@pytest.mark.parametrize(
    ("begin", "months", "end"),
    [
        ("2026-01-31 10:00", 1, "2026-02-28 10:00"),
        ("2026-12-15 23:00", 3, "2027-03-15 23:00"),
        ("2028-02-29 12:00", 12, "2029-02-28 12:00"),
        ("2026-01-31 17:00", 1, "2026-02-28 17:00"),
    ],
)
def test_months(begin: str, months: int, end: str) -> None:
    """The same day, or the month's last (in Singapore's time)."""
    at_us = round(datetime.fromisoformat(f"{begin}+08:00").timestamp() * 1e6)
    end_us = round(datetime.fromisoformat(f"{end}+08:00").timestamp() * 1e6)
    assert months_later(at_us, months) == end_us


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("state\nCA\n", "number is not among them"),
        ("number\nhome\n", "Line 2: 'home' is not a phone number"),
        (f"number\n{FIRST}\n{FIRST}\n", "two lines for the number"),
        ("number,state\n+12135550123,Cali fornia\n", "Line 2: .* is not a state"),
    ],
)
def test_a_wrong_stock_file_changes_nothing(shop: Shop, text: str, words: str) -> None:
    """The line is named."""
    before = shop.run(number_stock.list_stock)
    with pytest.raises(ValueError, match=words):
        shop.run(lambda c: manage_numbers.load_numbers(c, text, 0))
    assert shop.run(number_stock.list_stock) == before
