"""The digits of a call: each key once, whichever ways the phone sends it by."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voiceblocks.engine.digits import MAX_WAITING_DIGITS, SAME_KEY_S, Digit, DigitInbox


def by_rtp(key: str, at: float) -> Digit:
    """A telephone-event."""
    return Digit(key, at, timestamp=int(at * 8000))


def by_info(key: str, at: float) -> Digit:
    """A digit of an INFO."""
    return Digit(key, at, timestamp=None)


async def waiting(inbox: DigitInbox) -> str:
    """Take all keys out."""
    keys = ""
    while True:
        try:
            async with asyncio.timeout(0):
                keys += (await inbox.next()).key
        except TimeoutError:
            return keys


def collected(*digits: Digit) -> str:
    """What an inbox makes of these."""

    async def collect() -> str:
        inbox = DigitInbox()
        for digit in digits:
            inbox.put(digit)
        return await waiting(inbox)

    return asyncio.run(collect())


@pytest.mark.parametrize(
    ("digits", "keys"),
    [
        ([by_rtp("1", 0), by_rtp("2", 1)], "12"),
        ([by_info("1", 0), by_info("2", 1)], "12"),
        ([by_rtp("1", 0), by_rtp("1", 0.2)], "11"),
        ([by_info("1", 0), by_info("1", 0.2)], "11"),
        ([by_rtp("1", 0), by_info("1", 0.01)], "1"),
        ([by_info("1", 0), by_rtp("1", 0.01)], "1"),
        ([by_rtp("1", 0), by_info("1", 0.01), by_rtp("1", 0.3), by_info("1", 0.31)], "11"),
        ([by_rtp("1", 0), by_rtp("1", 0.3), by_info("1", 0.5), by_info("1", 0.51)], "11"),
        ([by_rtp("1", 0), by_rtp("2", 0.3), by_info("1", 0.5), by_info("2", 0.51)], "12"),
        ([by_info("1", 0), by_rtp("1", SAME_KEY_S + 0.1)], "11"),
        ([by_rtp("1", 0), by_info("2", 0.01)], "12"),
    ],
)
def test_one_key_is_one_digit(digits: list[Digit], keys: str) -> None:
    """Twice by one way is two presses; by both ways it is one, late repeats of INFO included."""
    assert collected(*digits) == keys


@given(
    st.lists(
        st.tuples(
            st.sampled_from("12#"),
            st.floats(0.2, 0.4),
            st.floats(-0.1, 0.15),
            st.sampled_from(["rtp", "info", "both"]),
        ),
        max_size=15,
    )
)
def test_nothing_is_counted_twice_and_nothing_lost(
    presses: list[tuple[str, float, float, str]],
) -> None:
    """While each press comes by both ways, or all by one, there is one digit a press."""
    ways = {way for *_, way in presses}
    if len(ways) > 1:
        presses = [(key, gap, skew, "both") for key, gap, skew, _way in presses]
    arrivals = []
    now = 0.0
    for key, gap, skew, way in presses:
        now += gap
        if way != "info":
            arrivals.append(by_rtp(key, now))
        if way != "rtp":
            arrivals.append(by_info(key, now + (skew if way == "both" else 0)))
    arrivals.sort(key=lambda digit: digit.at)
    assert sorted(collected(*arrivals)) == sorted(key for key, *_ in presses)


async def test_forgotten_digits_stay_forgotten() -> None:
    """What came by RTP and was forgotten does not come back by INFO."""
    inbox = DigitInbox()
    inbox.put(by_rtp("1", 0))
    inbox.forget()
    inbox.put(by_info("1", 0.1))
    inbox.put(by_rtp("2", 0.2))
    assert await waiting(inbox) == "2"


async def test_a_flood_is_bounded() -> None:
    """Nobody fills our memory with keys."""
    inbox = DigitInbox()
    for number in range(10 * MAX_WAITING_DIGITS):
        inbox.put(by_rtp("1", number / 100))
    assert len(await waiting(inbox)) == MAX_WAITING_DIGITS


def test_a_digit_does_not_show_its_key() -> None:
    """Keys are card numbers and PINs: not even a traceback has them."""
    assert "'7'" not in repr(by_info("7", 1.0))
    assert "7" not in repr(by_info("7", 1.0))


async def test_keys_from_an_instant_on_are_not_forgotten() -> None:
    """Who presses right after the beep is heard, though the recording was ordered later."""
    inbox = DigitInbox()
    for key, at in (("1", 5.0), ("2", 7.0), ("3", 8.0)):
        inbox.put(Digit(key, at, int(at * 8000)))
    inbox.forget(before=7.0)
    assert [(await inbox.next()).key for _digit in range(2)] == ["2", "3"]
