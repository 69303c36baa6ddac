"""`voiceblocks recordings`: what was recorded, links to it, and how long it lives."""

from __future__ import annotations

import asyncio
import functools
import getpass
import os
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Annotated, Any

import typer
from sqlalchemy import Connection

from voiceblocks.adapters.recording_copies import open_recording_copies
from voiceblocks.adapters.render.pool import RenderPool
from voiceblocks.cli.output import Json, Most, fail, tell, tell_rows
from voiceblocks.cli.store import Store, open_store
from voiceblocks.database import recording_acts, recordings, store_tasks
from voiceblocks.engine.media.salvage import spool_path
from voiceblocks.errors import StoreError
from voiceblocks.recordings.act import Doer
from voiceblocks.recordings.model import Recording
from voiceblocks.recordings.store_task import StoreTask
from voiceblocks.server.cached_audio import audio_purges
from voiceblocks.server.folders import make_folders
from voiceblocks.system_clock import SystemClock
from voiceblocks.workflows import manage_recordings
from voiceblocks.workflows.delete_recording import EraseRecording, mark_deleted
from voiceblocks.workflows.serve_recording import sign_link

app = typer.Typer(no_args_is_help=True, help="Recordings, links to them, and their lifetime.")

COLUMNS = ("id", "session", "state", "ended_by", "seconds", "bytes", "held")
TASK_COLUMNS = ("recording", "task", "node", "failures", "since", "next", "error")

Id = Annotated[str, typer.Argument(metavar="RECORDING", help="Such as rec-0f…c3.")]
Reason = Annotated[str, typer.Option(help="Why; kept with the recording.")]
By = Annotated[str | None, typer.Option(help="Who; your login name if omitted.")]

_Act = Callable[[Connection, str, Doer], Recording]


@app.command("list")
def list_recordings(
    most: Most = 50,
    as_json: Json = False,
) -> None:
    """Show the newest recordings."""
    with open_store(as_json) as store:
        found = store.run(lambda c: recordings.recent(c, most))
    tell_rows(as_json, "recordings", COLUMNS, map(_row, found))


@app.command("show")
def show(recording_id: Id, as_json: Json = False) -> None:
    """Show a recording, what its store has still to do, and who did what to it."""
    with open_store(as_json) as store:
        found, task, acts = store.run(
            lambda c: (
                recordings.find(c, recording_id),
                store_tasks.find(c, recording_id),
                recording_acts.list_of_recording(c, recording_id),
            )
        )
        if found is None:
            fail(
                as_json, f"There is no recording {recording_id}: see `voiceblocks recordings list`"
            )
    facts: dict[str, Any] = {
        **_row(found),
        "sha256": found.sha256,
        "uploaded": _when(found.uploaded_us),
        "deleted": _when(found.deleted_us),
        "task": None if task is None else _task_row(task),
        "acts": [
            {"at": _when(a.at_us), "act": a.act.value, "by": a.done_by, "reason": a.reason}
            for a in acts
        ],
    }
    lines = [f"{name:10}{value}" for name, value in facts.items() if name not in {"task", "acts"}]
    if task is not None:
        lines.append(f"{'task':10}{task.kind} since {_when(task.created_us)}: {task.last_error}")
    lines += [f"{a['at']}  {a['act']} by {a['by']}: {a['reason']}" for a in facts["acts"]]
    tell(as_json, facts, "\n".join(lines))


@app.command("link")
def link(
    recording_id: Id,
    ttl: Annotated[
        int | None, typer.Option(min=1, help="Seconds that it is good; as the settings say.")
    ] = None,
    once: Annotated[bool, typer.Option("--once", help="Good for one download.")] = False,
    as_json: Json = False,
) -> None:
    """Print a fresh signed link."""
    with open_store(as_json) as store:
        recording = store.run(lambda c: manage_recordings.require_ready(c, recording_id))
        settings = store.settings
        url = sign_link(
            store.key(),
            settings.public_url or f"http://{settings.http_listen}",
            recording.object_name,
            expires_s=SystemClock().utc_us() // 1_000_000 + (ttl or settings.link_ttl_s),
            revision=recording.link_revision,
            once=once,
        )
    tell(as_json, {"url": url}, url)


@app.command("revoke")
def revoke(recording_id: Id, reason: Reason = "", by: By = None, as_json: Json = False) -> None:
    """Make every link to a recording worthless that was handed out until now."""
    _act(as_json, manage_recordings.revoke_links, recording_id, reason, by)
    sentence = f"All links to {recording_id} are dead; `voiceblocks recordings link` makes new ones"
    tell(as_json, {"revoked": recording_id}, sentence)


@app.command("hold")
def hold(recording_id: Id, reason: Reason, by: By = None, as_json: Json = False) -> None:
    """Let nothing delete a recording: neither its age, nor the application, nor `delete`."""
    _act(as_json, manage_recordings.hold, recording_id, reason, by)
    tell(as_json, {"held": recording_id}, f"Recording {recording_id} is on hold")


@app.command("release")
def release(recording_id: Id, reason: Reason = "", by: By = None, as_json: Json = False) -> None:
    """End a hold; a recording whose keep time is over goes soon after."""
    _act(as_json, manage_recordings.release, recording_id, reason, by)
    tell(as_json, {"released": recording_id}, f"Recording {recording_id} is not on hold any more")


@app.command("delete")
def delete(recording_id: Id, reason: Reason = "", by: By = None, as_json: Json = False) -> None:
    """Delete a recording for good, with all that was made from it; its link is dead at once."""
    with open_store(as_json) as store:
        deleted = store.run(lambda c: mark_deleted(c, recording_id, _doer(reason, by)))
        try:
            asyncio.run(_eraser(store)(deleted))
        except StoreError as error:
            sentence = f"is deleted here; its store is asked again by the server: {error}"
            is_erased = False
        else:
            # The server erases it once more: it may have rendered it in this moment.
            sentence = "is deleted"
            is_erased = True
    facts = {"deleted": deleted.id, "erased": is_erased}
    tell(as_json, facts, f"Recording {deleted.id} {sentence}")


@app.command("tasks")
def tasks(most: Most = 50, as_json: Json = False) -> None:
    """Show what is still to be uploaded or erased, and why it was not yet."""
    with open_store(as_json) as store:
        found = store.run(lambda c: store_tasks.list_all(c, most))
    tell_rows(as_json, "tasks", TASK_COLUMNS, map(_task_row, found))


def _act(as_json: bool, act: _Act, recording_id: str, reason: str, by: str | None) -> None:
    with open_store(as_json) as store:
        store.run(lambda c: act(c, recording_id, _doer(reason, by)))


def _doer(reason: str, by: str | None) -> Doer:
    return Doer(f"operator {by or _login_name()}", reason, SystemClock().utc_us())


def _login_name() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        # A container's user may have a number only.
        return f"uid {os.getuid()}"


def _eraser(store: Store) -> EraseRecording:
    folders = make_folders(store.settings)
    return EraseRecording(
        store=open_recording_copies(store.settings.effective_recordings_url, folders.recordings),
        spool_path=functools.partial(spool_path, folders.spools),
        purges=audio_purges(RenderPool(folders.prompts, folders.work), folders.downloads),
    )


def _row(recording: Recording) -> dict[str, Any]:
    return {
        "id": recording.id,
        "session": recording.session_id,
        "state": recording.state.value,
        "ended_by": recording.end_reason,
        "seconds": None if recording.duration_ms is None else recording.duration_ms / 1000,
        "bytes": recording.size_bytes,
        "held": _when(recording.held_us),
    }


def _task_row(task: StoreTask) -> dict[str, Any]:
    return {
        "recording": task.recording_id,
        "task": task.kind.value,
        "node": task.node,
        "failures": task.attempt_count,
        "since": _when(task.created_us),
        "next": _when(task.next_attempt_us),
        "error": task.last_error,
    }


def _when(at_us: int | None) -> str | None:
    if at_us is None:
        return None
    return datetime.fromtimestamp(at_us / 1e6, UTC).isoformat(sep=" ", timespec="seconds")
