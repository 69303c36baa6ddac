"""What looks after the text, files and addresses of a request before it is answered."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from voiceblocks.accounts.tokens import SecretKey
from voiceblocks.adapters.audio_download import AudioDownloader
from voiceblocks.adapters.guarded_http import GuardedHttp
from voiceblocks.adapters.notify_url_check import NotifyUrlCheck
from voiceblocks.adapters.render.pool import RenderPool
from voiceblocks.clock import Clock
from voiceblocks.database.unit_of_work import Database
from voiceblocks.recordings.interfaces import RecordingStore
from voiceblocks.server.cache_limits import download_cache_limits
from voiceblocks.server.cached_audio import audio_purges
from voiceblocks.settings import Settings
from voiceblocks.workflows.own_recordings import OwnRecordings
from voiceblocks.workflows.prepare_prompts import PromptPreparer
from voiceblocks.workflows.prepare_request import RequestPreparer


def request_preparer(
    settings: Settings,
    *,
    database: Database,
    http: GuardedHttp,
    render: RenderPool,
    store: RecordingStore,
    keys: tuple[SecretKey, ...],
    public_url: Callable[[], str],
    downloads: Path,
    clock: Clock,
) -> RequestPreparer:
    """Put it together of the node's parts; our own recordings are never fetched over HTTP."""
    audio = OwnRecordings(
        AudioDownloader(http, downloads, clock, limits=download_cache_limits(settings)),
        database=database,
        store=store,
        keys=keys,
        public_url=public_url,
        purges=audio_purges(render, downloads),
        clock=clock,
    )
    return RequestPreparer(PromptPreparer(render, audio), render, NotifyUrlCheck(http, clock))
