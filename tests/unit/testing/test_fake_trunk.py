"""The carrier in the test's own process: routes by number, registrar, calls to us."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.register_client import RegisterClient
from voiceblocks.testing.answering import BUSY, Answer
from voiceblocks.testing.digest_server import DigestServer, Verdict
from voiceblocks.testing.fake_trunk import FakeTrunk
from voiceblocks.testing.phone import CallNotAnswered, Phone

LIMIT_S = 5.0


@pytest_asyncio.fixture
async def caller() -> AsyncIterator[Phone]:
    """Who calls the trunk."""
    async with Phone(number="+6591110000") as phone:
        yield phone


async def test_routes_by_number(caller: Phone) -> None:
    """The longest route decides, whether the number comes with plus, with zeros or plain."""
    async with FakeTrunk() as trunk:
        trunk.route("+65", BUSY)
        trunk.route("+6591110001", Answer())
        for number in ("+6591110001", "6591110001", "006591110001"):
            call = await caller.call(f"sip:{number}@{trunk.address}")
            async with asyncio.timeout(LIMIT_S):
                await call.answered()
            assert (await trunk.incoming(LIMIT_S, "+6591110001")).dialled == number
        for number, status in (("+6591110002", 486), ("+4930123456", 404)):
            call = await caller.call(f"sip:{number}@{trunk.address}")
            async with asyncio.timeout(LIMIT_S):
                with pytest.raises(CallNotAnswered) as failure:
                    await call.answered()
            assert failure.value.status == status


async def test_registrations_are_told_and_used(caller: Phone) -> None:
    """A REGISTER with the right password makes a binding that calls are delivered to."""
    digest = DigestServer("user", "secret", algorithm="SHA-256")
    async with FakeTrunk(digest=digest) as trunk, Phone() as registered:
        trunk.registrar.longest_s = 600
        client = await RegisterClient.open(trunk.address, registered.sip_uri)
        assert (await client.register("secret", 3600)).status == 200
        assert digest.verdicts == [Verdict.MISSING, Verdict.RIGHT]
        binding = await trunk.registrar.registered(LIMIT_S)
        assert (binding.contact, binding.asked_s, binding.expires_s) == (
            registered.sip_uri, 3600, 600,
        )  # fmt: skip
        await trunk.call_number("+6531580000", from_number="+6591110001")
        call = await registered.incoming(LIMIT_S)
        assert call.dialled == "+6531580000"
        assert (await client.register("secret", 0)).status == 200
        assert (await trunk.registrar.registered(LIMIT_S)).expires_s == 0
        assert not trunk.registrar.bindings
        client.close()


async def test_registrations_that_fail() -> None:
    """A wrong password is 403, a too short time 423, a fault what the test asked for."""
    async with FakeTrunk(digest=DigestServer("user", "secret")) as trunk:
        trunk.registrar.shortest_s = 60
        client = await RegisterClient.open(trunk.address, "sip:me@127.0.0.1:5999")
        assert (await client.register("wrong", 3600)).status == 403
        short = await client.register("secret", 30)
        assert (short.status, short.headers.get("Min-Expires")) == (423, "60")
        trunk.registrar.refuses_with = 503
        assert (await client.register("secret", 60)).status == 503
        assert not trunk.registrar.history
        with pytest.raises(TimeoutError, match="503"):
            await trunk.registrar.registered(0.05)
        client.close()


async def test_a_repeated_register_is_one(caller: Phone) -> None:
    """The same REGISTER once more gets the same answer and makes no second binding."""
    async with FakeTrunk() as trunk:
        client = await RegisterClient.open(trunk.address, "sip:me@127.0.0.1:5999")
        first = await client.send(client.request(1, "", 60))
        again = await client.send(client.request(1, "", 60))
        assert first == again
        assert len(trunk.registrar.history) == 1
        client.close()
