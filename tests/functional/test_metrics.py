"""`/metrics` of a running server, its page, the dashboard and the alerts: one set of names."""

from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.functional.calls import recording
from tests.harness import Application
from voiceblocks.testing import tone_code
from voiceblocks.testing.phone import Phone

pytestmark = pytest.mark.asyncio(loop_scope="session")

DOCS = Path(__file__).parents[2] / "docs"

_ROW = re.compile(
    r"^\| (`voiceblocks_[^|]*) \| (gauge|counter|histogram) \|([^|]*)\| ", re.MULTILINE
)
_METRIC = re.compile(r"\bvoiceblocks_\w+")
_OF_HISTOGRAMS = ("_bucket", "_count", "_sum")
_SET_BY_PROMETHEUS = {"instance", "job", "le"}


def documented() -> dict[str, tuple[str, set[str]]]:
    """Kind and labels of each metric on the page."""
    text = (DOCS / "metrics.md").read_text(encoding="utf-8")
    return {
        name: (kind, set(re.findall(r"`(\w+)`", labels)))
        for names, kind, labels in _ROW.findall(text)
        for name in re.findall(r"`(\w+)`", names)
    }


def expressions() -> list[tuple[str, str]]:
    """Each expression of the dashboard and of the alerts, with where it stands."""
    board = json.loads((DOCS / "monitoring" / "grafana-dashboard.json").read_text())
    found = [
        (panel["title"], target["expr"])
        for panel in board["panels"]
        for target in panel.get("targets", [])
    ]
    alerts = (DOCS / "monitoring" / "alerts.yml").read_text(encoding="utf-8")
    return found + re.findall(r"- alert: (\w+)\n +expr: (.*)", alerts)


async def scraped(app: Application) -> dict[str, Any]:
    """The families that the server shows, by the name on the page."""
    async with app.http.get(f"http://{app.server.admin}/metrics") as reply:
        families = list(text_string_to_metric_families(await reply.text()))
    ours = [family for family in families if family.name.startswith("voiceblocks")]
    assert len(ours) == len(families)
    return {f"{f.name}_total" if f.type == "counter" else f.name: f for f in ours}


COUNTED_LIMIT_S = 10.0
ANSWERED = ("voiceblocks_calls_total", "answered")


async def test_the_page_names_what_is_shown(app: Application, phone: Phone) -> None:
    """After a recorded call: every metric with its kind and labels, no other, and it counted."""
    before = await scraped(app)
    call, _ = await recording(app, phone)
    await call.media.say(tone_code.encode_seconds(0, 1))
    call.hang_up()
    await app.told(ivr_block="record", call_state="ended")
    async with asyncio.timeout(COUNTED_LIMIT_S):
        # A call is counted when all about it is told and released.
        while (  # noqa: ASYNC110 (a page that is asked for tells of no event)
            _count(shown := await scraped(app), *ANSWERED) <= _count(before, *ANSWERED)
        ):
            await asyncio.sleep(0.05)
    pages = documented()
    # No trunk registers here.
    assert shown.keys() == pages.keys()
    for name, family in shown.items():
        kind, labels = pages[name]
        assert family.type == kind, name
        assert family.documentation.endswith("."), name
        for sample in family.samples:
            assert set(sample.labels) - _SET_BY_PROMETHEUS == labels, name
    for name, value in {
        "voiceblocks_calls_total": "answered",
        "voiceblocks_blocks_total": "hangup",
        "voiceblocks_recordings_total": "ready",
        "voiceblocks_recorded_packets_total": "received",
        "voiceblocks_notification_attempt_seconds": "2xx",
    }.items():
        assert _count(shown, name, value) > _count(before, name, value), name
    assert _count(shown, "voiceblocks_recording_finish_seconds") > 0


def _count(families: dict[str, Any], name: str, value: str | None = None) -> float:
    """A counter, or how often a histogram's observation came."""
    return sum(
        sample.value
        for sample in families[name].samples
        if sample.name in (name, f"{name}_count")
        and (value is None or value in sample.labels.values())
    )


async def test_expressions_name_metrics_and_labels_that_there_are() -> None:
    """What a panel or an alert asks for exists, with the labels by which it is chosen."""
    pages = documented()
    found = expressions()
    assert len(found) > 40
    for where, expression in found:
        labels: set[str] = set()
        for name, selector in re.findall(r"\b(voiceblocks_\w+)(?:\{([^}]*)\})?", expression):
            base = _base(name, pages)
            assert base is not None, f"{where}: there is no {name}"
            own = pages[base][1] | _SET_BY_PROMETHEUS
            chosen = set(re.findall(r"(\w+)=", selector))
            assert chosen <= own, f"{where}: {name} has no label {chosen - own}"
            labels |= own
        for group in re.findall(r"by \(([^)]*)\)", expression):
            by = {label.strip() for label in group.split(",")}
            assert by <= labels, f"{where}: nothing has {by - labels}"


def _base(name: str, pages: dict[str, tuple[str, set[str]]]) -> str | None:
    """The metric that a series belongs to: a histogram is only asked for by its parts."""
    for end in _OF_HISTOGRAMS:
        base = name.removesuffix(end)
        if base != name and base in pages:
            return base if pages[base][0] == "histogram" else None
    return name if name in pages and pages[name][0] != "histogram" else None


async def test_every_metric_is_on_the_dashboard() -> None:
    """Nothing is measured that an operator does not see."""
    board = (DOCS / "monitoring" / "grafana-dashboard.json").read_text(encoding="utf-8")
    shown = set(_METRIC.findall(board))
    unseen = {
        name
        for name in documented()
        if not any(f"{name}{end}" in shown for end in ("", "_bucket", "_count"))
    }
    assert unseen == {
        "voiceblocks_sip_transactions",
        "voiceblocks_speech_resting",
        "voiceblocks_media_worker_up",
    }
