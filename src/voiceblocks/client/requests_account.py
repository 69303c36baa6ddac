"""The account and its numbers, each as a request."""

from __future__ import annotations

from voiceblocks.client import answers
from voiceblocks.client.request import Request, nothing, request


def balance() -> Request[answers.Balance]:
    """The account's credit."""
    return request("user/get_balance", answers.balance)


def info() -> Request[answers.AccountInfo]:
    """Who the account belongs to."""
    return request("user/get_info", answers.account_info)


def available_countries() -> Request[tuple[answers.Country, ...]]:
    """Where numbers can be had."""
    return request("number/get_countries", answers.countries)


def available_numbers(
    country: str, state: str | None = None, page: int | None = None
) -> Request[answers.NumberChoices]:
    """Numbers that can be had, 20 a page, from 1; the United States need a state."""
    return request("number/get_choices", answers.choices, country=country, state=state, page=page)


def rate(country: str) -> Request[tuple[answers.SubscriptionRate, ...]]:
    """What numbers of a country cost."""
    return request("number/get_rates", answers.subscription_rates, country=country)


def subscribe(
    number: str, duration: int | str, auto_extend: bool | None = None
) -> Request[answers.Subscription]:
    """Take a number for so many months, or `auto_extend`."""
    return request(
        "number/subscribe",
        answers.subscription,
        number=number,
        duration=duration,
        auto_extend=auto_extend,
    )


def update_forwarding(
    number: str,
    forward_to: str | None = None,
    forward_sms_to: str | None = None,
    mode: str | None = None,
) -> Request[None]:
    """Say where a number's calls are told."""
    return request(
        "number/update_forwarding",
        nothing,
        number=number,
        forward_to=forward_to,
        forward_sms_to=forward_sms_to,
        mode=mode,
    )


def subscribed_numbers() -> Request[tuple[answers.Number, ...]]:
    """The account's numbers."""
    return request("number/get_active", answers.numbers)
