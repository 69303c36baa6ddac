"""A node: everything that `voiceblocks serve` runs, put together and taken apart in order.

Start: folders, database, what a crash left in the rings, child processes, outgoing HTTP,
workflows, SIP, recovery, and only then the public port. Stop: the other way round.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Awaitable, Callable

from voiceblocks.accounts.secret_key import load_or_create
from voiceblocks.adapters.audio_download import AudioDownloader
from voiceblocks.adapters.guarded_http import GuardedHttp
from voiceblocks.adapters.notify_url_check import NotifyUrlCheck
from voiceblocks.adapters.recording_store import open_recording_store
from voiceblocks.adapters.render.pool import RenderPool
from voiceblocks.adapters.webhook_client import WebhookClient
from voiceblocks.api.app import create_admin_app, create_app
from voiceblocks.database.migrate import upgrade
from voiceblocks.database.unit_of_work import Database
from voiceblocks.engine.call_engine import CallEngine, EngineConfig
from voiceblocks.engine.live_call import CallLimits
from voiceblocks.engine.media.plane import MediaPlane
from voiceblocks.engine.media.salvage import salvage
from voiceblocks.log import get_logger
from voiceblocks.server.addresses import check_addresses
from voiceblocks.server.folders import make_folders
from voiceblocks.server.http import HttpListener
from voiceblocks.server.late import LateCalls
from voiceblocks.settings import Settings, parse_listen
from voiceblocks.sip.source_guard import SourceGuard
from voiceblocks.system_clock import SystemClock
from voiceblocks.workflows.accept_incoming_call import AdmissionRules
from voiceblocks.workflows.deliver_notifications import NotificationDelivery
from voiceblocks.workflows.finish_recording import FinishRecording
from voiceblocks.workflows.handle_call_events import HandleCallEvents
from voiceblocks.workflows.prepare_prompts import PromptPreparer
from voiceblocks.workflows.recover_after_crash import recover_after_crash
from voiceblocks.workflows.serve_recording import ServeRecording
from voiceblocks.workflows.sign_notifications import newest_token
from voiceblocks.workflows.submit_block import SubmitBlock

_log = get_logger("node")

INVITES_PER_S = 100.0
INVITE_BURST = 400
