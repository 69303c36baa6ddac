"""`voiceblocks recordings`: what was recorded, and links to it."""

from __future__ import annotations

import asyncio

import typer

from voiceblocks.adapters.recording_store import open_recording_store
from voiceblocks.adapters.render.pool import RenderPool
from voiceblocks.cli.output import Json, Most, fail, tell, tell_rows
from voiceblocks.cli.store import open_store
from voiceblocks.database import recordings
from voiceblocks.engine.media.salvage import spool_path
from voiceblocks.recordings.state import RecordingState
from voiceblocks.server.cached_audio import audio_purger
from voiceblocks.server.folders import make_folders
from voiceblocks.system_clock import SystemClock
from voiceblocks.workflows.delete_recording import delete_recording
from voiceblocks.workflows.serve_recording import sign_link

app = typer.Typer(no_args_is_help=True, help="Recordings and links to them.")

COLUMNS = ("id", "session", "state", "ended_by", "seconds", "bytes")


@app.command("list")
def list_recordings(
    most: Most = 50,
    as_json: Json = False,
) -> None:
    """Show the newest recordings."""
    with open_store(as_json) as store:
        found = store.run(lambda c: recordings.recent(c, most))
    rows = (
        {
            "id": recording.id,
            "session": recording.session_id,
            "state": recording.state.value,
            "ended_by": recording.end_reason,
            "seconds": None if recording.duration_ms is None else recording.duration_ms / 1000,
            "bytes": recording.size_bytes,
        }
        for recording in found
    )
    tell_rows(as_json, "recordings", COLUMNS, rows)


@app.command("link")
def link(recording_id: str, as_json: Json = False) -> None:
    """Print a fresh signed link."""
    with open_store(as_json) as store:
        recording = store.run(lambda c: recordings.find(c, recording_id))
        if recording is None or recording.state is not RecordingState.READY:
            fail(as_json, f"There is no finished recording {recording_id}")
        settings = store.settings
        url = sign_link(
            store.key(),
            settings.public_url or f"http://{settings.http_listen}",
            recording.object_name,
            expires_s=SystemClock().utc_us() // 1_000_000 + settings.link_ttl_s,
        )
    tell(as_json, {"url": url}, url)


@app.command("delete")
def delete(recording_id: str, as_json: Json = False) -> None:
    """Delete a recording for good, with all that was made from it; its link is dead at once."""
    with open_store(as_json) as store:
        folders = make_folders(store.settings)
        purge = audio_purger(RenderPool(folders.prompts, folders.work), folders.downloads)

        deleted = asyncio.run(
            delete_recording(
                database=store.database,
                store=open_recording_store(store.settings.effective_recordings_url),
                recording_id=recording_id,
                spool=spool_path(folders.spools, recording_id),
                purge=purge,
                now_us=SystemClock().utc_us(),
            )
        )
    tell(as_json, {"deleted": deleted.id}, f"Recording {deleted.id} is deleted")
