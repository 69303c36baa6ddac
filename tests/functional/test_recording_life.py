"""What becomes of a recording: new links, dead links, holds, quotas, its end."""

from __future__ import annotations

import asyncio
from urllib.parse import urlsplit

import pytest
import pytest_asyncio

from tests.functional.calls import recording, ringing
from tests.harness import Application
from voiceblocks.testing import tone_code
from voiceblocks.testing.phone import Phone

pytestmark = pytest.mark.asyncio(loop_scope="session")


HEALTH = {
    "packets_expected",
    "packets_received",
    "packets_late",
    "packets_lost",
    "absent_ms",
    "level_dbfs",
    "silence_percent",
    "one_way",
}
CHANGES = ("recording/health", "recording/link", "recording/revoke", "recording/delete")


@pytest_asyncio.fixture(loop_scope="session")
async def url(app: Application, phone: Phone) -> str:
    """The link to a recording of one second."""
    call, _session = await recording(app, phone)
    await call.media.say(tone_code.encode_seconds(0, 1))
    await call.media.press("#")
    told = await app.told(ivr_block="record")
    return str(told.body["record_url"])


def id_of(url: str) -> str:
    """The recording that a link leads to, as it stands there."""
    return urlsplit(url).path.rpartition("/")[2]


async def seen(app: Application, url: str, method: str = "GET", **headers: str) -> tuple[int, str]:
    """How a link answers, and what it says where it is refused."""
    async with app.http.request(method, url, headers=headers) as reply:
        body = await reply.read()
        return reply.status, "" if reply.status < 300 else body.decode()


async def test_its_health_is_what_was_told(app: Application, phone: Phone) -> None:
    """Packets, gaps, level and silence: those of the notification, by the API at any time."""
    call, _session = await recording(app, phone)
    await call.media.say(tone_code.encode_seconds(0, 1))
    await call.media.press("#")
    told = (await app.told(ivr_block="record")).body
    answer = await app.request("recording/health", recording=id_of(told["record_url"]))
    assert answer.pop("status") == "success_ok"
    assert {f"record_{name}": value for name, value in answer.items()} == {
        name: value for name, value in told.items() if name.removeprefix("record_") in HEALTH
    }
    assert set(answer) == HEALTH
    assert 40 <= int(answer["packets_received"]) <= int(answer["packets_expected"])
    assert answer["one_way"] == "no"


async def test_revoked_links_are_dead_and_new_ones_live(app: Application, url: str) -> None:
    """Both the notification's and later ones, as often as that is done."""
    given = [url]
    for _ in range(2):
        renewed = await app.request("recording/link", recording=id_of(url), ttl="60")
        given.append(renewed["record_url"])
        assert (await seen(app, given[-1]))[0] == 200
        answer = await app.request("recording/revoke", recording=id_of(url), reason="test")
        assert answer == {"status": "success_ok"}
        for link in given:
            status, text = await seen(app, link)
            assert (status, "revoked" in text) == (403, True)
    made = await app.server.cli("recordings", "link", id_of(url).partition(".")[0], ttl="60")
    own = urlsplit(made["url"])
    assert (await seen(app, f"http://{app.server.http}{own.path}?{own.query}"))[0] == 200
    shown = await app.server.cli("recordings", "show", id_of(url).partition(".")[0])
    assert [(act["act"], act["by"], act["reason"]) for act in shown["acts"]] == [
        ("revoked", f"application {app.app_id}", "test")
    ] * 2


async def test_a_link_for_one_use_is_used_once(app: Application, url: str) -> None:
    """A HEAD uses nothing; of many at once exactly one gets it all; all others hear why not."""
    answer = await app.request("recording/link", recording=id_of(url), once="yes")
    once = answer["record_url"]
    assert (await seen(app, once, "HEAD"))[0] == 200
    whole = await app.fetch(url)
    bodies: list[bytes] = []

    async def get() -> int:
        async with app.http.get(once, headers={"Range": "bytes=0-9"}) as reply:
            if reply.status == 200:
                bodies.append(await reply.read())
            else:
                assert "has been used" in await reply.text()
            return reply.status

    statuses = await asyncio.gather(*(get() for _ in range(8)))
    assert sorted(statuses) == [200] + [403] * 7
    assert bodies == [whole]
    assert (await seen(app, once, "HEAD"))[0] == 403
    # The other links do not suffer.
    assert (await seen(app, url))[0] == 200


async def test_only_its_own_application_and_only_when_it_is_there(
    app: Application, phone: Phone, url: str
) -> None:
    """Another application's, an unknown one, and one that is still being made."""
    async with Application(app.server) as other:
        for path in CHANGES:
            answer = await other.request(path, recording=id_of(url))
            assert answer == {"status": "error_recording_access_denied"}
            answer = await other.request(path, recording="rec-" + "0" * 32)
            assert answer == {"status": "error_recording_invalid"}
    call, session = await recording(app, phone)
    listed = (await app.server.cli("recordings", "list"))["recordings"]
    (running,) = [row["id"] for row in listed if row["session"] == session]
    for path in CHANGES:
        answer = await app.request(path, recording=running)
        assert answer == {"status": "error_recording_not_ready"}
    call.hang_up()
    await app.told(ivr_block="record", session=session)


async def test_a_held_recording_is_deleted_by_nobody(app: Application, url: str) -> None:
    """Released, it goes at once and for good; who did what is kept."""
    name = id_of(url).partition(".")[0]
    stored = app.server.data_dir / "recordings" / f"{name}.mp3"
    await app.server.cli("recordings", "hold", name, reason="case 12", by="anna")
    answer = await app.request("recording/delete", recording=name)
    assert answer == {"status": "error_recording_on_hold"}
    assert (await seen(app, url))[0] == 200
    await app.server.cli("recordings", "release", name, by="anna")
    assert await app.request("recording/delete", recording=name, reason="wish") == {
        "status": "success_ok"
    }
    assert (await seen(app, url))[0] == 404
    async with asyncio.timeout(10):
        while stored.exists():  # noqa: ASYNC110 (another process deletes it)
            await asyncio.sleep(0.05)
    assert await app.request("recording/delete", recording=name) == {"status": "success_ok"}
    for path in ("recording/health", "recording/link", "recording/revoke"):
        assert await app.request(path, recording=name) == {"status": "error_recording_invalid"}
    shown = await app.server.cli("recordings", "show", name)
    assert shown["state"] == "deleted"
    assert [(act["act"], act["by"], act["reason"]) for act in shown["acts"]] == [
        ("held", "operator anna", "case 12"),
        ("released", "operator anna", ""),
        ("deleted", f"application {app.app_id}", "wish"),
    ]


async def test_an_account_at_its_quota_begins_no_recording(
    app: Application, phone: Phone, url: str
) -> None:
    """Neither a record nor a monitor block; the call goes on, and so does what was stored."""
    _call, session = await ringing(app, phone)
    await app.server.cli("account", "set", app.account_id, recordings_quota_mb="0")
    for path in ("ivr/middle/record", "ivr/middle/monitor"):
        status = await app.block(path, session, notify_url=app.url())
        assert status == "error_recording_quota_reached"
    assert (await seen(app, url))[0] == 200
    await app.server.cli("account", "set", app.account_id, recordings_quota_mb="none")
    await app.record(session)
    await app.hang_up(session, force="enabled")
