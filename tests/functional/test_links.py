"""Signed links to recordings: what a holder may do, and what nobody may."""

from __future__ import annotations

import hashlib
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import pytest
import pytest_asyncio

from tests.functional.calls import recording
from tests.harness import Application
from voiceblocks.testing import tone_code
from voiceblocks.testing.phone import Phone

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest_asyncio.fixture(loop_scope="session")
async def link(app: Application, phone: Phone) -> str:
    """A link to a recording of one second."""
    call, _session = await recording(app, phone)
    await call.media.say(tone_code.encode_seconds(0, 1))
    await call.media.press("#")
    told = await app.told(ivr_block="record")
    return told.body["record_url"]


def changed(url: str, **values: str) -> str:
    """The link with other query values."""
    parts = urlsplit(url)
    query = {**dict(parse_qsl(parts.query)), **values}
    return urlunsplit(parts._replace(query=urlencode(query)))


async def test_a_good_link_can_be_read_in_every_way(app: Application, link: str) -> None:
    """GET, HEAD, ranges, conditional requests, and the headers of decision 7."""
    async with app.http.get(link) as reply:
        whole = await reply.read()
        headers = reply.headers
    assert headers["Content-Type"] == "audio/mpeg"
    assert headers["Cache-Control"] == "private, no-store"
    assert headers["Referrer-Policy"] == "no-referrer"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert int(headers["Content-Length"]) == len(whole)
    assert hashlib.sha256(whole).hexdigest() in headers["ETag"]
    async with app.http.head(link) as reply:
        assert reply.status == 200
        assert int(reply.headers["Content-Length"]) == len(whole)
        assert await reply.read() == b""
    async with app.http.get(link, headers={"Range": "bytes=100-199"}) as reply:
        assert reply.status == 206
        assert await reply.read() == whole[100:200]
        assert reply.headers["Content-Range"] == f"bytes 100-199/{len(whole)}"
    async with app.http.get(link, headers={"Range": f"bytes={len(whole)}-"}) as reply:
        assert reply.status == 416
    async with app.http.get(link, headers={"If-None-Match": headers["ETag"]}) as reply:
        assert reply.status == 304
    since = {"If-Modified-Since": headers["Last-Modified"]}
    async with app.http.get(link, headers=since) as reply:
        assert reply.status == 304


async def test_a_bad_link_opens_nothing(app: Application, link: str) -> None:
    """403 for another signature, date, key or name, without a word about the recording."""
    other_name = link.replace("/recordings/rec-", "/recordings/rec-0")
    bad = [
        changed(link, Signature="A" * 43),
        changed(link, Expires="1999999999"),
        changed(link, KeyId="0" * 16),
        link.split("?", maxsplit=1)[0],
        other_name,
    ]
    for url in bad:
        async with app.http.get(url) as reply:
            assert reply.status == 403, url
            assert "rec-" not in await reply.text()


async def test_an_expired_link_says_so(app: Application, link: str) -> None:
    """403 with a sentence that says what to do; signed by us, so it is no guess."""
    from voiceblocks.accounts.secret_key import load_or_create
    from voiceblocks.workflows.serve_recording import sign_link

    key = load_or_create(app.server.data_dir / "secret.key")
    name = urlsplit(link).path.rpartition("/")[2]
    old = sign_link(key, f"http://{app.server.http}", name, expires_s=1_000_000_000)
    async with app.http.get(old) as reply:
        assert reply.status == 403
        assert "expired" in await reply.text()
