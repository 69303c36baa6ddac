"""Sending one notification request: every outcome is a result."""

from __future__ import annotations

import ipaddress

import pytest

from voiceblocks.adapters.address_guard import OutgoingHttpError
from voiceblocks.adapters.guarded_http import GuardedHttp
from voiceblocks.adapters.webhook_client import ERROR_WORDS, WebhookClient
from voiceblocks.testing.webhook_sink import Drop, Hang, Reply, WebhookSink


async def test_every_outcome_is_a_result() -> None:
    """An answer gives its status and text; failures give a word, and neither holds the URL."""
    http = GuardedHttp([ipaddress.ip_network("127.0.0.0/8")])
    client = WebhookClient(http)
    async with WebhookSink() as sink:
        sink.script(Reply(404, text="nö\0"), Drop(), Hang())
        answered = await client.send(f"{sink.url}?s=secret", b"", {}, timeout_s=10)
        assert (answered.http_status, answered.error, answered.answer) == (404, None, "nö")
        for url, timeout_s, word in (
            (sink.url, 10.0, "connect_failed"),
            (sink.url, 0.05, "timed_out"),
            ("http://10.0.0.1/", 10.0, "target_refused"),
        ):
            failed = await client.send(f"{url}?s=secret", b"", {}, timeout_s=timeout_s)
            assert (failed.http_status, failed.answer) == (None, None)
            assert failed.error is not None
            assert failed.error.startswith(f"{word}: ")
            assert "secret" not in failed.error
            assert failed.latency_ms >= 0
    await http.close()


@pytest.mark.parametrize("kind", OutgoingHttpError.__subclasses__())
def test_every_failure_has_its_word(kind: type[OutgoingHttpError]) -> None:
    """No kind of failure of the client is missing in the table."""
    assert kind in ERROR_WORDS
