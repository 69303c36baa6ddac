"""A node on virtual time: the second place beside `server.node` that puts the product together.

What `server.node` has and this has not, since no call needs it: folders and locks, recovery after
a crash, background work that takes minutes or days, registrations, the console, metrics.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from random import Random

from sqlalchemy import Connection

from voiceblocks.accounts.model import Application
from voiceblocks.accounts.tokens import SecretKey
from voiceblocks.adapters import download_cache
from voiceblocks.adapters.audio_download import AudioDownloader
from voiceblocks.adapters.espeak import find_engine
from voiceblocks.adapters.notify_url_check import NotifyUrlCheck
from voiceblocks.adapters.recording_copies import LocalAndRemoteCopies
from voiceblocks.adapters.render.pool import RenderPool
from voiceblocks.adapters.render.rendering import Synthesizer
from voiceblocks.adapters.sip_resolver import SipResolver
from voiceblocks.adapters.webhook_client import WebhookClient
from voiceblocks.api.app import create_app
from voiceblocks.api.handlers import ApiHandlers
from voiceblocks.calls.events import EndReason
from voiceblocks.database import trunks
from voiceblocks.database.in_memory import InMemoryDatabase
from voiceblocks.engine.call_clocks import CallLimits
from voiceblocks.engine.call_engine import CallEngine
from voiceblocks.engine.engine_config import EngineConfig
from voiceblocks.engine.media.plane import MediaPlane
from voiceblocks.engine.trunk_addresses import TrunkAddresses
from voiceblocks.errors import SynthesisError
from voiceblocks.sip.source_guard import SourceGuard
from voiceblocks.testing.simulation.http import ASGIApp, InProcessHttp
from voiceblocks.testing.simulation.lanes import InProcessLane, StandInVoice
from voiceblocks.testing.simulation.media import InProcessChildren, MediaClock
from voiceblocks.testing.simulation.network import SimulatedNetwork
from voiceblocks.testing.simulation.store import FolderStore
from voiceblocks.testing.simulation.virtual_loop import VirtualLoop
from voiceblocks.trunks.route import route_of
from voiceblocks.workflows import change_account, manage_accounts, manage_trunks
from voiceblocks.workflows.accept_incoming_call import AdmissionRules
from voiceblocks.workflows.admit_recording import RecordingRules
from voiceblocks.workflows.authorise_outgoing_call import OutgoingRules
from voiceblocks.workflows.change_recording import ChangeRecording
from voiceblocks.workflows.deliver_notifications import DeliveryLimits, NotificationDelivery
from voiceblocks.workflows.finish_monitor import FinishMonitor
from voiceblocks.workflows.finish_recording import FinishRecording
from voiceblocks.workflows.handle_call_events import HandleCallEvents
from voiceblocks.workflows.meter_calls import MeterCalls
from voiceblocks.workflows.moderate_call import ModerateCall
from voiceblocks.workflows.offer_numbers import OfferNumbers
from voiceblocks.workflows.own_recordings import OwnRecordings
from voiceblocks.workflows.place_call import PlaceCall
from voiceblocks.workflows.prepare_prompts import PromptPreparer
from voiceblocks.workflows.prepare_request import RequestPreparer
from voiceblocks.workflows.query_account import QueryAccount
from voiceblocks.workflows.query_calls import QueryCalls
from voiceblocks.workflows.request_parts import RequestParts
from voiceblocks.workflows.serve_recording import LinkSigner, ServeRecording
from voiceblocks.workflows.sign_notifications import newest_token
from voiceblocks.workflows.submit_block import SubmitBlock

NODE = "1"
NODE_HOST, TRUNK_HOST, PHONE_HOST = "10.1.0.1", "10.3.0.1", "10.2.0.1"
SIP_PORT = 5060
API_HOST = "voiceblocks.example"
PUBLIC_URL = f"http://{API_HOST}"
OWN_NETWORK = "10.0.0.0/8"

_NO_LIMIT = 1_000_000
_PLENTY_BYTES = 1 << 40


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How a simulation shall be. The limits are those of a node that nobody configured."""

    seed: int = 1
    "Of every identifier and of every other random number."
    speech: str = "stand-in"
    '`"stand-in"` speaks tunes and needs nothing; `"espeak"` speaks, where it is installed.'
    calls: int = 20
    "Legs at the same time at most."
    answer_timeout_s: float = 60.0
    "How long a call rings until its application is given up."
    idle_timeout_s: float = 30.0
    "How long an application may take for its next block."
    max_call_s: int = 14_400
    numbers: tuple[str, ...] = ("+6531580000",)
    "Numbers of the application, with plus and country code."
    credit: str = "1000.00"
    "Of its account, in Singapore dollars."
    may_call: tuple[str, ...] = tuple(f"+{first}" for first in range(1, 10))
    "Prefixes that it may call: every country."
    keep_rtp_digest: bool = False
    "Whether every RTP packet goes into `Voice.transcript`."
    cruises: bool = True
    "Whether stretches of plain audio are done at once; it makes no difference but of time."


class _NoRateLimit:
    """Fulfils `handlers.RateLimiter`: the real one counts real minutes."""

    def count(self, app_id: str, api: str) -> None:
        """Take any number."""


class SimulatedNode:
    """
    Everything of a node that a call needs.

    Args:
        loop: Its time; everything is made and used inside of it.
        network: Its sockets.
        media: Drives its worker.
        folder: For spools, rings and recordings; its own.
        prompts: For rendered prompts; may be shared with others.
        options: See there.
    """

    def __init__(
        self,
        loop: VirtualLoop,
        network: SimulatedNetwork,
        media: MediaClock,
        folder: Path,
        prompts: Path,
        options: Options,
    ) -> None:
        self.options = options
        self._loop = loop
        self.database = InMemoryDatabase()
        self.http = InProcessHttp(loop.time)
        seed = Random(f"voiceblocks {options.seed}")  # noqa: S311 - predictable on purpose
        self._key = SecretKey(hashlib.sha256(seed.randbytes(32)).digest())
        self._chance: Callable[[], float] = seed.random
        self.render = RenderPool(
            prompts,
            folder / "work",
            lane=functools.partial(InProcessLane, speaker=_speaker(options.speech)),
        )
        self._plane = MediaPlane(
            workers=1,
            ring_dir=folder / "rings",
            spool_dir=folder / "spools",
            ports=range(10_000, 40_000),
            # A fifth is kept for second legs.
            capacity_per_worker=max(4, options.calls * 5 // 4),
            cname=f"voiceblocks@node-{NODE}",
            children=InProcessChildren(media, network),
            bind=network.bind,
            clock=loop,
        )
        recordings = folder / "recordings"
        self.store = LocalAndRemoteCopies(FolderStore(recordings, loop.utc_us), recordings)
        self.delivery = NotificationDelivery(
            self.database,
            WebhookClient(self.http, loop.time),
            loop,
            newest_token(self._key),
            on_first_attempt=lambda session, _at_us: self.engine.application_told(session),
            limits=DeliveryLimits(in_flight=_NO_LIMIT, in_flight_per_host=_NO_LIMIT),
            chance=self._chance,
        )
        self._make_engine(folder)
        self.app = self._make_app(folder)

    def _make_engine(self, folder: Path) -> None:
        options = self.options
        sign_link = LinkSigner(self._key, lambda: PUBLIC_URL, 31_536_000, self._loop)
        finish = FinishRecording(
            encoder=self.render,
            store=self.store,
            spool_dir=folder / "spools",
            sign_link=sign_link,
        )
        self._meter = MeterCalls(
            database=self.database,
            end_call=lambda session: self.engine.end_call(session, EndReason.CREDIT_USED_UP),
            clock=self._loop,
        )
        guard = SourceGuard([OWN_NETWORK], _NO_LIMIT, _NO_LIMIT)
        self._addresses = TrunkAddresses(SipResolver(self._loop), guard)
        self.engine = CallEngine(
            EngineConfig(
                sip_host=NODE_HOST,
                sip_port=SIP_PORT,
                sip_public_address="",
                media_address="",
                limits=CallLimits(
                    options.answer_timeout_s, options.idle_timeout_s, options.max_call_s
                ),
            ),
            plane=self._plane,
            handler=HandleCallEvents(
                database=self.database,
                rules=AdmissionRules(NODE, _NO_LIMIT),
                encoder=self.render,
                finish_recording=finish,
                finish_monitor=FinishMonitor(
                    database=self.database, finish_recording=finish, outbox=self.delivery
                ),
                meter=self._meter,
                outbox=self.delivery,
            ),
            clock=self._loop,
            guard=guard,
            addresses=self._addresses,
            open_route=functools.partial(route_of, key=self._key),
        )

    def _make_app(self, folder: Path) -> ASGIApp:
        downloads, loop, keys = folder / "downloads", self._loop, (self._key,)
        audio = OwnRecordings(
            AudioDownloader(self.http, downloads, loop),
            database=self.database,
            store=self.store,
            keys=keys,
            public_url=lambda: PUBLIC_URL,
            purges=(
                functools.partial(download_cache.purge, downloads),
                self.render.purge_audio_file,
            ),
            clock=loop,
        )
        self.prompts = PromptPreparer(self.render, audio)
        requests = RequestPreparer(self.prompts, self.render, NotifyUrlCheck(self.http, loop))
        parts = RequestParts(
            database=self.database,
            key=self._key,
            requests=requests,
            calls=self.engine,
            outbox=self.delivery,
            rules=OutgoingRules(
                node=NODE, max_calls_per_account=_NO_LIMIT, dials_per_minute=_NO_LIMIT
            ),
            recording_rules=RecordingRules(
                free_bytes=lambda: _PLENTY_BYTES,
                reserve_bytes=0,
                quota_bytes=0,
                max_call_s=self.options.max_call_s,
            ),
            clock=loop,
        )
        return create_app(
            ApiHandlers(
                blocks=SubmitBlock(parts),
                calls=PlaceCall(parts),
                queries=QueryCalls(self.database, loop),
                account=QueryAccount(self.database),
                numbers=OfferNumbers(
                    database=self.database, requests=requests, clock=loop, max_numbers=_NO_LIMIT
                ),
                changes=ChangeRecording(
                    database=self.database,
                    key=self._key,
                    public_url=lambda: PUBLIC_URL,
                    ttl_s=31_536_000,
                    clock=loop,
                ),
                moderation=ModerateCall(self.database, self.engine),
                rate_limiter=_NoRateLimit(),
                recordings=ServeRecording(
                    database=self.database, store=self.store, keys=keys, clock=loop
                ),
                readiness=list,
            )
        )

    async def start(self) -> None:
        """Take calls and requests."""
        await self.render.start()
        await self._plane.start()
        await self.engine.start()
        self.delivery.start()

    def add_application(self, options: Options) -> tuple[Application, str]:
        """Make the account, its application, and a trunk to everywhere; numbers come later."""
        now_us = self._loop.utc_us()

        def make(connection: Connection) -> tuple[Application, str]:
            account = manage_accounts.create_account(
                connection, name="test", currency="SGD", credit=options.credit, now_us=now_us
            )
            made = manage_accounts.create_application(
                connection, self._key, account_id=account.id, name="test", now_us=now_us
            )
            change_account.allow_prefixes(
                connection, account_id=account.id, prefixes=options.may_call
            )
            manage_trunks.add_trunk(
                connection,
                self._key,
                manage_trunks.TrunkWishes(name="carrier", address=f"sip:{TRUNK_HOST}:{SIP_PORT}"),
                now_us=now_us,
            )
            return made

        return self.database.run_sync(make)

    def add_numbers(self, app_id: str, notify_url: str) -> None:
        """Let the application be called."""
        now_us = self._loop.utc_us()

        def make(connection: Connection) -> None:
            for number in self.options.numbers:
                manage_accounts.add_number(
                    connection, number=number, app_id=app_id, notify_url=notify_url, now_us=now_us
                )

        self.database.run_sync(make)

    async def use_trunks(self) -> None:
        """Take over the trunks of the database."""
        self._addresses.set_trunks(await self.database.run(trunks.list_trunks))

    async def stop(self) -> None:
        """End everything."""
        await self.engine.stop()
        await self._meter.stop()
        self._addresses.stop()
        await self.delivery.stop()
        await self._plane.stop()
        await self.render.stop()
        self.database.close()


def _speaker(name: str) -> Synthesizer:
    if name == "stand-in":
        return StandInVoice()
    if name == "espeak":
        found = find_engine()
        if found is None:
            raise SynthesisError(
                "espeak-ng is not installed: pip install 'voiceblocks[speech]', or use the "
                "stand-in voice"
            )
        return found
    raise ValueError(f"there is no speech {name!r}: choose stand-in or espeak")
