"""Asterisk 22 as carrier, against our phone: what the tests of outgoing calls stand on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.harness import Application, ServerProcess
from tests.interop import asterisk_trunk as numbers
from tests.interop.asterisk_trunk import PASSWORD, TALKERS, USERNAME, AsteriskTrunk
from tests.interop.peers import until
from tests.register_client import RegisterClient
from voiceblocks.testing.hearing import mouth_to_ear_s
from voiceblocks.testing.phone import CallNotAnswered, Phone, PhoneCall
from voiceblocks.testing.speakers import LEVEL_DBFS, levels, voice, who_is_heard

pytestmark = [pytest.mark.interop, pytest.mark.asyncio(loop_scope="module")]

LIMIT_S = 15.0


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def trunk(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[AsteriskTrunk]:
    """One Asterisk for all."""
    async with AsteriskTrunk(tmp_path_factory.mktemp("pbx")) as running:
        yield running


@pytest_asyncio.fixture(loop_scope="module")
async def phone() -> AsyncIterator[Phone]:
    """Our side of the trunk."""
    async with Phone(number="+6531580000") as made:
        yield made


async def dial(phone: Phone, trunk: AsteriskTrunk, number: str, **options: str) -> PhoneCall:
    """Call a number of the trunk with its password."""
    headers = [(name.replace("_", "-"), value) for name, value in options.items()]
    return await phone.call(
        f"sip:{number}@{trunk.address}", credentials=(USERNAME, PASSWORD), headers=headers
    )


@pytest.mark.parametrize(
    ("number", "status"),
    [
        (numbers.BUSY, 486),
        (numbers.CONGESTED, 503),
        (numbers.UNALLOCATED, 404),
        (numbers.REJECTED, 403),
    ],
)
async def test_refusals(trunk: AsteriskTrunk, phone: Phone, number: str, status: int) -> None:
    """Each number that refuses does so with its status."""
    call = await dial(phone, trunk, number)
    async with asyncio.timeout(LIMIT_S):
        with pytest.raises(CallNotAnswered) as failure:
            await call.answered()
    assert failure.value.status == status
    await trunk.hung_up()


async def test_nobody_answers(trunk: AsteriskTrunk, phone: Phone) -> None:
    """It rings until we give up."""
    call = await dial(phone, trunk, numbers.NO_ANSWER)
    async with asyncio.timeout(LIMIT_S):
        await call.ringing()
        call.hang_up()
        with pytest.raises(CallNotAnswered) as failure:
            await call.answered()
    assert (failure.value.status, call.progress) == (487, [180])
    await trunk.hung_up()


@pytest.mark.parametrize("number", [numbers.ANNOUNCED_BUSY, numbers.ANNOUNCED])
async def test_early_media(trunk: AsteriskTrunk, phone: Phone, number: str) -> None:
    """The announcement is heard before busy or answer."""
    call = await dial(phone, trunk, number)
    async with asyncio.timeout(LIMIT_S):
        if number == numbers.ANNOUNCED:
            await call.answered()
        else:
            with pytest.raises(CallNotAnswered, match="486"):
                await call.answered()
    (passage,) = who_is_heard(call.media.audio(), speakers=[9])
    assert passage.lasts_ms == pytest.approx(2000, abs=200)
    call.hang_up()
    await trunk.hung_up()


async def test_echo(trunk: AsteriskTrunk, phone: Phone) -> None:
    """The echo number gives back what is said, within a fifth of a second."""
    call = await dial(phone, trunk, numbers.ECHO)
    async with asyncio.timeout(LIMIT_S):
        await call.answered()
        delay_s = await mouth_to_ear_s(call.media, call.media)
    assert 0 < delay_s < 0.2
    call.hang_up()
    await trunk.hung_up()


async def test_a_talker_speaks_and_records(trunk: AsteriskTrunk, phone: Phone) -> None:
    """A talker is heard with its voice, and its file holds ours and not its own."""
    call = await dial(phone, trunk, TALKERS[2])
    call.media.repeat(voice(7, 1000))
    async with asyncio.timeout(LIMIT_S):
        await call.answered()
        await until(lambda: len(call.media.audio()) > 24_000, LIMIT_S, "three seconds heard")
    call.hang_up()
    await trunk.hung_up()
    assert levels(call.media.audio(), 1000) == pytest.approx({2: LEVEL_DBFS}, abs=1)
    heard = trunk.heard(TALKERS[2])
    assert {passage.speaker for passage in who_is_heard(heard)} == {7}
    assert levels(heard, 500, 2500) == pytest.approx({7: LEVEL_DBFS}, abs=1)


async def test_digits_both_ways(trunk: AsteriskTrunk, phone: Phone) -> None:
    """RFC 4733 digits go both ways."""
    presses = await dial(phone, trunk, numbers.PRESSES)
    listens = await dial(phone, trunk, numbers.LISTENS)
    async with asyncio.timeout(LIMIT_S):
        await asyncio.gather(presses.answered(), listens.answered())
        for digit in "2580":
            await listens.media.press(digit)
    await until(lambda: trunk.digits() == ["2580"], LIMIT_S, "Asterisk heard 2580")

    def pressed() -> list[str]:
        """One for each event, whose packets all have its timestamp."""
        return [digit for digit, _ in dict.fromkeys(presses.media.digits_heard)]

    await until(lambda: pressed() == ["1", "2", "3", "4", "11"], LIMIT_S, "1234# heard")
    presses.hang_up()
    listens.hang_up()
    await trunk.hung_up()


async def test_what_it_sees_of_the_caller(trunk: AsteriskTrunk, phone: Phone) -> None:
    """Who we say we are reaches its dialplan, as do P-Asserted-Identity and Privacy."""
    identity = "<sip:+6531580077@127.0.0.1>"
    call = await dial(phone, trunk, numbers.SHORT, P_Asserted_Identity=identity, Privacy="id")
    async with asyncio.timeout(LIMIT_S):
        await call.ended()
    seen = trunk.seen()[-1]
    assert seen.to == numbers.SHORT[1:]
    assert (seen.caller, seen.asserted, seen.privacy) == ("+6531580077", identity, "id")
    assert seen.presentation.startswith("prohib")


async def test_without_the_password_nobody_gets_in(trunk: AsteriskTrunk, phone: Phone) -> None:
    """A call with a wrong password is challenged again and fails."""
    call = await phone.call(f"sip:{numbers.ECHO}@{trunk.address}", credentials=(USERNAME, "wrong"))
    async with asyncio.timeout(LIMIT_S):
        with pytest.raises(CallNotAnswered) as failure:
            await call.answered()
    assert failure.value.status in {401, 403}


async def test_calls_to_us_directly_and_by_registration(trunk: AsteriskTrunk, phone: Phone) -> None:
    """It delivers calls to an address, or to where we have registered, with the caller's number."""
    await trunk.call("+6531580000", caller="+6598760001", to=phone.address)
    call = await phone.incoming(LIMIT_S)
    assert "+6598760001" in call.header("From")
    assert "+6598760001" in call.header("P-Asserted-Identity")
    async with asyncio.timeout(LIMIT_S):
        await call.answered()
        await call.media.talking.wait()
    call.hang_up()
    await trunk.hung_up()

    client = await RegisterClient.open(trunk.address, phone.sip_uri, USERNAME)
    assert (await client.register(PASSWORD, 600)).status == 200
    assert (await client.register("wrong", 600)).status in {401, 403}
    assert [contact.partition(";")[0] for contact in await trunk.contacts()] == [phone.sip_uri]
    await trunk.call("+6531580001", caller="+6598760002", shown=False)
    call = await phone.incoming(LIMIT_S)
    assert call.dialled == "+6531580001"
    assert "anonymous" in call.header("From")
    call.hang_up()
    await trunk.hung_up()
    assert (await client.register(PASSWORD, 0)).status == 200
    assert await trunk.contacts() == []
    client.close()


async def test_our_server_registers_and_is_called(trunk: AsteriskTrunk, tmp_path: Path) -> None:
    """Asterisk challenges, binds our Contact, sends a call there, and forgets it at our stop."""
    server = await ServerProcess(tmp_path).start()
    try:
        await server.add_trunk(
            "asterisk", trunk.address, username=USERNAME, password=PASSWORD, register=True
        )
        contact = f"sip:{USERNAME}@{server.sip}"

        async def is_bound() -> bool:
            return any(found.startswith(contact) for found in await trunk.contacts())

        async with asyncio.timeout(LIMIT_S):
            while not await is_bound():  # noqa: ASYNC110 (another process tells no events)
                await asyncio.sleep(0.1)
        async with Application(server) as app:
            await trunk.call(app.number, caller="+6598760001")
            told = await app.told(ivr_block="answer")
            assert (told.body["to"], told.body["from"]) == (app.number, "+6598760001")
            await trunk.call(app.number, caller="+6598760001", shown=False)
            assert (await app.told(ivr_block="answer")).body["from"] == "private"
    finally:
        assert await server.stop() == 0
    assert await trunk.contacts() == []
