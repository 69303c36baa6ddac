"""A trunk that we register at: the carrier learns where we are, and its calls come in."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.harness import Application, ServerProcess
from voiceblocks.testing.digest_server import DigestServer
from voiceblocks.testing.fake_trunk import FakeTrunk

pytestmark = pytest.mark.asyncio(loop_scope="session")

HOST = "127.8.0.1"
LIMIT_S = 15


async def test_registered_called_and_forgotten_again(app: Application) -> None:
    """While the trunk is enabled and no longer, without a restart; its calls are read its way."""
    digest = DigestServer("acme", "secret", uses_per_nonce=1)
    async with FakeTrunk(HOST, digest=digest) as carrier:
        await app.server.add_trunk(
            "registering", carrier.address, password="secret", username="acme", register=True,
            number_format="national", country="SG", did="p-called-party", caller_id="pai",
        )  # fmt: skip
        binding = await carrier.registrar.registered(LIMIT_S)
        assert (binding.aor, binding.expires_s) == (f"sip:acme@{HOST}", 3600)
        assert binding.uri.user == "acme"
        call = await carrier.call(
            binding.contact,
            headers=[
                ("P-Called-Party-ID", f"<sip:{app.number.removeprefix('+65')}@{HOST}>"),
                ("P-Asserted-Identity", f"<sip:91234567@{HOST}>"),
            ],
        )
        told = await app.told(ivr_block="answer")
        assert (told.body["to"], told.body["from"]) == (app.number, "+6591234567")
        call.hang_up()
        await app.server.cli("trunk", "disable", "registering")
        assert (await carrier.registrar.registered(LIMIT_S)).expires_s == 0
        await app.server.cli("trunk", "enable", "registering")
        assert (await carrier.registrar.registered(LIMIT_S)).expires_s == 3600
        await app.server.cli("trunk", "remove", "registering")
        assert (await carrier.registrar.registered(LIMIT_S)).expires_s == 0


async def test_a_node_that_stops_unregisters(data_dir: Path) -> None:
    """The carrier sends no more calls to it, from the moment that it stops."""
    server = await ServerProcess(data_dir).start()
    async with FakeTrunk(HOST) as carrier:
        await server.add_trunk("registering", carrier.address, username="acme", register=True)
        await carrier.registrar.registered(LIMIT_S)
        assert await server.stop() == 0
        assert carrier.registrar.bindings == {}
