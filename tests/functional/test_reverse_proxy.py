"""The page's nginx, for real: TLS outside, our server behind it, which knows who asks."""

from __future__ import annotations

import asyncio
import datetime as dt
import os
import re
import shutil
import ssl
from pathlib import Path

import aiohttp
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.harness import ServerProcess
from tests.ports import free_port

pytestmark = pytest.mark.asyncio

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "reverse-proxy.md"
HOST = "voice.example.com"
READER = "127.0.0.2"
"Where the request comes from, in place of the world."
WAIT_S = 15.0


def nginx() -> str:
    """Debian's, installed or unpacked by scripts/install-test-peers."""
    home = os.environ.get("XDG_CACHE_HOME", str(Path.home() / ".cache"))
    unpacked = Path(home) / "voiceblocks" / "nginx" / "usr" / "sbin" / "nginx"
    found = shutil.which("nginx") or (str(unpacked) if unpacked.exists() else None)
    if found is None:
        pytest.skip("No nginx here: scripts/install-test-peers fetches it")
    return found


def certificate(folder: Path) -> tuple[Path, Path]:
    """A certificate for the page's name, signed by itself, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, HOST)])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(HOST)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    chain, private = folder / "fullchain.pem", folder / "privkey.pem"
    chain.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    private.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return chain, private


def configuration(folder: Path, port: int, server: ServerProcess) -> str:
    """The page's blocks with our port, certificate and server, and what must surround them."""
    text = PAGE.read_text(encoding="utf-8")
    site, console = re.findall(r"^```nginx\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    (upgrades,) = re.findall(r"`(map \$http_upgrade [^`]*)`", text)
    chain, key = certificate(folder)
    # The console's location belongs into the server.
    block = f"{site.rstrip().removesuffix('}')}\n{console}\n}}\n"
    for written, real in {
        "listen 443 ssl": f"listen 127.0.0.1:{port} ssl",
        "/etc/letsencrypt/live/voice.example.com/fullchain.pem": str(chain),
        "/etc/letsencrypt/live/voice.example.com/privkey.pem": str(key),
        "http://127.0.0.1:8080": f"http://{server.http}",
        "http://127.0.0.1:8081": f"http://{server.admin}",
    }.items():
        assert block.count(written) == 1
        block = block.replace(written, real)
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    folders = "\n".join(f"{kind}_temp_path {folder}/{kind};" for kind in kinds)
    return (
        f"daemon off; pid {folder}/pid; error_log stderr; worker_processes 1;\n"
        f"events {{}}\nhttp {{ {folders}\n{upgrades}\n{block} }}\n"
    )


async def test_the_page_s_nginx_serves_and_says_who_asks(data_dir: Path, tmp_path: Path) -> None:
    """Its configuration is taken as written; an answer comes through, the log has the reader."""
    program = nginx()
    log = tmp_path / "log"
    log.touch()
    settings = {
        "TRUSTED_PROXIES": "127.0.0.1/32",
        "PUBLIC_URL": f"https://{HOST}",
        "LOG_JSON": "true",
    }
    server = await ServerProcess(data_dir, settings, stderr=log).start()
    port = free_port()
    written = tmp_path / "nginx.conf"
    written.write_text(configuration(tmp_path, port, server))
    proxy = await asyncio.create_subprocess_exec(
        program, "-p", str(tmp_path), "-e", "stderr", "-c", str(written),
        stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        trust = ssl.create_default_context(cafile=str(tmp_path / "fullchain.pem"))
        connector = aiohttp.TCPConnector(local_addr=(READER, 0), ssl=trust)
        async with aiohttp.ClientSession(connector=connector) as http, asyncio.timeout(WAIT_S):
            answer = await _answer(http, f"https://127.0.0.1:{port}/open/user/get_balance", proxy)
            console = f"https://127.0.0.1:{port}/console/sign-in"
            async with http.get(console, server_hostname=HOST) as reply:
                shown = await reply.text()
        assert answer == {"status": "error_app_id_param_missing"}
        assert "Voiceblocks" in shown
    finally:
        if proxy.returncode is None:
            proxy.terminate()
        await proxy.communicate()
        assert await server.stop() == 0
    assert f'"peer": "{READER}"' in log.read_text()


async def _answer(
    http: aiohttp.ClientSession, url: str, proxy: asyncio.subprocess.Process
) -> dict[str, str]:
    """Ask until somebody listens."""
    while True:
        if proxy.returncode is not None:
            assert proxy.stderr is not None
            raise AssertionError((await proxy.stderr.read()).decode())
        try:
            async with http.get(url, server_hostname=HOST) as reply:
                answer: dict[str, str] = await reply.json()
                return answer
        except aiohttp.ClientConnectorError:
            await asyncio.sleep(0.05)
