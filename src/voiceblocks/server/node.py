"""A node: everything that `voiceblocks serve` runs, put together and taken apart in order.

Start: folders, database, what a crash left in the rings, child processes, outgoing HTTP,
workflows, SIP, recovery, and only then the public port. Stop: the other way round.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import json
import os
from collections.abc import Callable

from prometheus_client import CollectorRegistry, disable_created_metrics

from voiceblocks.accounts.secret_key import load_keys
from voiceblocks.accounts.tokens import SecretKey
from voiceblocks.adapters.fallback_speech import SpeechMetrics
from voiceblocks.adapters.recording_copies import open_recording_copies
from voiceblocks.adapters.render.pool import RenderPool
from voiceblocks.adapters.sip_resolver import SipResolver
from voiceblocks.api.app import create_admin_app, create_app
from voiceblocks.api.handlers import ApiHandlers
from voiceblocks.api.http_server import HttpServer
from voiceblocks.api.metrics import ApiMetrics
from voiceblocks.api.rate_limits import InMemoryRateLimiter
from voiceblocks.calls.events import EndReason
from voiceblocks.console.app import create_console
from voiceblocks.console.handlers import ConsoleHandlers
from voiceblocks.database import notification_attempts, stories
from voiceblocks.database.migrate import upgrade
from voiceblocks.database.unit_of_work import Database
from voiceblocks.engine.call_engine import CallEngine
from voiceblocks.engine.media.metrics import MediaMetrics
from voiceblocks.engine.media.plane import MediaPlane
from voiceblocks.engine.media.salvage import salvage
from voiceblocks.engine.metrics import EngineMetrics
from voiceblocks.engine.registrations import Registrations
from voiceblocks.engine.trunk_addresses import TrunkAddresses
from voiceblocks.errors import VoiceblocksError
from voiceblocks.log import get_logger
from voiceblocks.notifications.retry import RetrySchedule
from voiceblocks.server.addresses import check_addresses
from voiceblocks.server.cache_limits import prompt_cache_limits
from voiceblocks.server.cached_audio import audio_purges
from voiceblocks.server.console import console_handlers
from voiceblocks.server.counting import CountedCallEvents, CountedWebhookClient
from voiceblocks.server.folders import lock_folder, make_folders
from voiceblocks.server.health import health_of
from voiceblocks.server.metrics import NodeMetrics
from voiceblocks.server.outgoing_http import guarded_http
from voiceblocks.server.own_phone import phone_address
from voiceblocks.server.requests import request_preparer
from voiceblocks.server.rules import engine_config, outgoing_rules, recording_rules
from voiceblocks.server.speech import speech_setup
from voiceblocks.settings import Settings, parse_listen
from voiceblocks.sip.source_guard import SourceGuard
from voiceblocks.system_clock import SystemClock
from voiceblocks.testing.browser_lines import BrowserLines
from voiceblocks.trunks.model import Trunk, TrunkRoute
from voiceblocks.trunks.route import route_of
from voiceblocks.workflows.accept_incoming_call import AdmissionRules
from voiceblocks.workflows.change_recording import ChangeRecording
from voiceblocks.workflows.delete_recording import EraseRecording
from voiceblocks.workflows.deliver_notifications import DeliveryLimits, NotificationDelivery
from voiceblocks.workflows.expire_recordings import ExpireRecordings
from voiceblocks.workflows.finish_left_over import FinishLeftOver
from voiceblocks.workflows.finish_monitor import FinishMonitor
from voiceblocks.workflows.finish_recording import FinishRecording
from voiceblocks.workflows.forget_old import Forget, ForgetOld
from voiceblocks.workflows.keep_limits import KeepLimits
from voiceblocks.workflows.keep_numbers import KeepNumbers
from voiceblocks.workflows.keep_story import KeepStory
from voiceblocks.workflows.keep_trunks import KeepTrunks
from voiceblocks.workflows.meter_calls import MeterCalls
from voiceblocks.workflows.moderate_call import ModerateCall
from voiceblocks.workflows.offer_numbers import OfferNumbers
from voiceblocks.workflows.open_key import open_key
from voiceblocks.workflows.place_call import PlaceCall
from voiceblocks.workflows.prepare_request import RequestPreparer
from voiceblocks.workflows.query_account import QueryAccount
from voiceblocks.workflows.query_calls import QueryCalls
from voiceblocks.workflows.recover_after_crash import RecoverAfterCrash
from voiceblocks.workflows.request_parts import RequestParts
from voiceblocks.workflows.serve_recording import LinkSigner, ServeRecording
from voiceblocks.workflows.settle_stores import SettleStores
from voiceblocks.workflows.sign_notifications import newest_token
from voiceblocks.workflows.submit_block import SubmitBlock

_log = get_logger("node")


LAST_NOTIFICATIONS_S = 3.0
"How long a stopping node tries to tell what it has just ended; the rest leaves at the next start."

INVITES_PER_S = 100.0
INVITE_BURST = 400
"New calls that one source may start: what a carrier sends at its busiest, not more."


class Node:
    """
    One node.

    Args:
        settings: As read from the environment.

    Raises:
        StartupError: From `start`, with a sentence that says what to do.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._clock = SystemClock()
        self._draining = False
        # When each series was made is nobody's question.
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self._registry = CollectorRegistry()

    async def start(self) -> None:
        """Put everything together; returns when calls and requests are taken."""
        settings = self._settings
        check_addresses(settings)
        self._http = guarded_http(settings)
        speech = speech_setup(settings, self._http)
        folders = make_folders(settings)
        self._lock = await asyncio.to_thread(lock_folder, folders.root)
        await asyncio.to_thread(upgrade, settings.effective_database_url)
        self._database = Database(settings.effective_database_url)
        key_file = settings.effective_secret_key_file
        key = await asyncio.to_thread(open_key, self._database, key_file)
        self._story = KeepStory(self._database, self._clock)
        self._rings = folders.rings
        salvaged: dict[str, int] = {}
        for rings in (*folders.earlier_rings, folders.rings):
            salvaged |= await asyncio.to_thread(salvage, rings, folders.spools)
        self._render = RenderPool(
            folders.prompts,
            folders.work,
            cache_limits=prompt_cache_limits(settings),
            speech=speech,
        )
        self._plane = MediaPlane(
            workers=settings.effective_media_workers,
            ring_dir=folders.rings,
            spool_dir=folders.spools,
            ports=settings.rtp_port_range,
            capacity_per_worker=settings.calls_per_worker,
            cname=f"voiceblocks@node-{settings.node}",
        )
        await asyncio.gather(self._render.start(), self._plane.start())
        store = open_recording_copies(settings.effective_recordings_url, folders.recordings)
        self._recording_folders = (folders.spools, folders.work, store.folder)
        self._delivery = NotificationDelivery(
            self._database,
            CountedWebhookClient(self._registry, self._http),
            self._clock,
            newest_token(key),
            on_first_attempt=lambda session_id, _at_us: self._engine.application_told(session_id),
            limits=DeliveryLimits(in_flight_per_host=settings.notify_requests_per_host),
            schedule=RetrySchedule(settings.notify_retry_pauses_s, settings.notify_retry_jitter),
        )
        sign_link = LinkSigner(key, self._public_url, settings.link_ttl_s, self._clock)
        finish_recording = FinishRecording(
            encoder=self._render,
            store=store,
            spool_dir=folders.spools,
            sign_link=sign_link,
        )
        self._stores = SettleStores(
            database=self._database,
            node=settings.node,
            store=store,
            erase=EraseRecording(
                store=store,
                spool_path=finish_recording.spool_path,
                purges=audio_purges(self._render, folders.downloads),
            ),
            clock=self._clock,
        )
        self._guard = SourceGuard(
            [str(network) for network in settings.accept_calls_from], INVITES_PER_S, INVITE_BURST
        )
        self._addresses = TrunkAddresses(SipResolver(self._clock), self._guard)
        finish_monitor = FinishMonitor(
            database=self._database,
            finish_recording=finish_recording,
            outbox=self._delivery,
        )
        self._meter = MeterCalls(
            database=self._database,
            end_call=lambda session_id: self._engine.end_call(session_id, EndReason.CREDIT_USED_UP),
            clock=self._clock,
        )
        open_route = functools.partial(route_of, key=key)
        self._engine = self._make_engine(finish_recording, finish_monitor, open_route)
        self._story.messages = self._engine.sip_log
        self._registrations = Registrations(
            self._engine.endpoint, self._addresses, open_route, self._clock, settings.node
        )
        self._engine.on_registration = self._registrations.on_event
        keys = load_keys(key_file)
        requests = request_preparer(
            settings,
            database=self._database,
            http=self._http,
            render=self._render,
            store=store,
            keys=keys,
            public_url=self._public_url,
            downloads=folders.downloads,
            clock=self._clock,
        )
        parts = self._make_request_parts(key, requests)
        serve_recording = functools.partial(
            ServeRecording,
            database=self._database,
            store=store,
            keys=keys,
            clock=self._clock,
        )
        self._browser_lines = BrowserLines(
            settings.browser_calls,
            phone_address(lambda: self._engine.sip_address, self._guard, self._addresses.trunk_of),
        )
        console = console_handlers(
            database=self._database,
            clock=self._clock,
            delivery=self._delivery,
            sign_link=sign_link,
            recordings=serve_recording(redirect_s=0),
            health=health_of(
                self._engine,
                self._plane,
                self._registrations,
                folders.root,
                self._not_ready_because,
                self._render,
                self._stores,
            ),
            lines=self._browser_lines,
            public_url=self._public_url,
        )
        limiter = InMemoryRateLimiter(
            settings.rate_limit_ivr, settings.rate_limit_query, clock=self._clock
        )
        keep_limits = KeepLimits(self._database, limiter)
        await keep_limits.look()
        self._make_http(
            ApiHandlers(
                blocks=SubmitBlock(parts),
                calls=PlaceCall(parts),
                queries=QueryCalls(self._database, self._clock),
                account=QueryAccount(self._database),
                numbers=OfferNumbers(
                    database=self._database,
                    requests=requests,
                    clock=self._clock,
                    max_numbers=settings.max_numbers_per_account,
                ),
                changes=ChangeRecording(
                    database=self._database,
                    key=key,
                    public_url=self._public_url,
                    ttl_s=settings.link_ttl_s,
                    clock=self._clock,
                ),
                moderation=ModerateCall(self._database, self._engine),
                rate_limiter=limiter,
                recordings=serve_recording(redirect_s=settings.link_redirect_s),
                readiness=self._not_ready_because,
                story=self._story,
            ),
            console,
            NodeMetrics(
                node=settings.node,
                database=self._database,
                data_dir=folders.root,
                spools=folders.spools,
                render=self._render,
                finish_recording=finish_recording,
                stores=self._stores,
                not_ready_because=self._not_ready_because,
            ),
        )
        recovery = RecoverAfterCrash(
            database=self._database,
            node=settings.node,
            salvaged=salvaged,
            finish_recording=finish_recording,
            calls=self._engine,
            outbox=self._delivery,
        )
        self._keep_trunks = KeepTrunks(
            self._database,
            [self._addresses, self._registrations],
            self._registrations,
            settings.node,
        )
        await self._keep_trunks.look()
        await recovery.look()
        # Links of recovered recordings need the real port, applications must be able to
        # answer their notifications, and calls come last.
        await self._public.start()
        await self._admin.start()
        await self._engine.start()
        self._registrations.start()
        await recovery.settle_quiet()
        self._delivery.start()
        left_over = FinishLeftOver(
            database=self._database, finish_recording=finish_recording, clock=self._clock
        )
        expire = ExpireRecordings(
            database=self._database,
            default_days=settings.keep_recordings_days,
            clock=self._clock,
        )
        self._in_background = {
            asyncio.create_task(recovery.finish_recordings()),
            asyncio.create_task(left_over.run()),
            asyncio.create_task(self._stores.run()),
            asyncio.create_task(expire.run()),
            asyncio.create_task(keep_limits.run()),
            asyncio.create_task(KeepNumbers(self._database, self._clock).run()),
            asyncio.create_task(self._keep_trunks.run()),
            asyncio.create_task(self._story.run()),
            *(asyncio.create_task(old.run()) for old in self._what_grows_old()),
        }

    def ready_line(self) -> str:
        """The one line that `serve` prints."""
        facts = {
            "http": _text(self._public.address),
            "admin": _text(self._admin.address),
            "sip": _text(self._engine.sip_address),
            "node": self._settings.node,
        }
        if os.environ.get("VOICEBLOCKS_READY_JSON"):
            return json.dumps(facts)
        return "Voiceblocks is ready: " + " ".join(f"{name}={at}" for name, at in facts.items())

    async def drain(self) -> None:
        """Take nothing new and let the live calls end, for as long as the settings allow."""
        self._draining = True
        _log.info("draining", live_calls=self._engine.live_calls)
        await self._engine.drain(self._settings.drain_timeout_s)

    async def stop(self) -> None:
        """End what is left, with everything recorded so far kept and told."""
        self._draining = True
        await self._registrations.stop()
        await self._engine.stop()
        await self._browser_lines.stop()
        await self._meter.stop()
        # What it had not finished is left for the next start.
        for task in self._in_background:
            task.cancel()
        await asyncio.wait(self._in_background)
        with contextlib.suppress(OSError, VoiceblocksError):
            await self._keep_trunks.forget()
        self._addresses.stop()
        await self._delivery.stop(LAST_NOTIFICATIONS_S)
        await self._story.close()
        await self._public.stop()
        await self._admin.stop()
        await asyncio.gather(self._plane.stop(), self._render.stop())
        await self._http.close()
        self._database.close()
        if not self._settings.ring_dir:
            # Empty unless something is left for the next start.
            with contextlib.suppress(OSError):
                self._rings.rmdir()
        os.close(self._lock)

    def _make_engine(
        self,
        finish_recording: FinishRecording,
        finish_monitor: FinishMonitor,
        open_route: Callable[[Trunk], TrunkRoute],
    ) -> CallEngine:
        settings = self._settings
        return CallEngine(
            engine_config(settings),
            plane=self._plane,
            handler=CountedCallEvents(
                self._registry,
                database=self._database,
                rules=AdmissionRules(settings.node, settings.max_calls_per_account),
                encoder=self._render,
                finish_recording=finish_recording,
                finish_monitor=finish_monitor,
                meter=self._meter,
                outbox=self._delivery,
                story=self._story,
            ),
            clock=self._clock,
            guard=self._guard,
            addresses=self._addresses,
            open_route=open_route,
            story=self._story,
        )

    def _make_request_parts(self, key: SecretKey, requests: RequestPreparer) -> RequestParts:
        return RequestParts(
            database=self._database,
            key=key,
            requests=requests,
            calls=self._engine,
            outbox=self._delivery,
            rules=outgoing_rules(self._settings),
            recording_rules=recording_rules(self._settings, self._recording_folders),
            clock=self._clock,
        )

    def _make_http(
        self, handlers: ApiHandlers, console: ConsoleHandlers, node_metrics: NodeMetrics
    ) -> None:
        settings = self._settings
        for collector in (
            EngineMetrics(self._engine, self._registrations),
            MediaMetrics(self._plane),
            SpeechMetrics(self._render.speech),
            node_metrics,
        ):
            self._registry.register(collector)
        self._public = HttpServer(
            create_app(handlers, metrics=ApiMetrics(self._registry)),
            *parse_listen(settings.http_listen),
            trusted_proxies=[str(network) for network in settings.trusted_proxies],
        )
        self._admin = HttpServer(
            create_admin_app(
                public_url=settings.public_url or "/",
                registry=self._registry,
                console=create_console(console),
                speakers_of=self._render.speakers_of,
            ),
            *parse_listen(settings.admin_listen),
            trusted_proxies=[str(network) for network in settings.trusted_proxies],
            websockets=True,
        )

    def _what_grows_old(self) -> list[ForgetOld]:
        def job(keep_days: int, forget: Forget, kind: str) -> ForgetOld:
            return ForgetOld(self._database, self._clock, keep_days, forget=forget, kind=kind)

        settings = self._settings
        return [
            job(settings.keep_attempts_days, notification_attempts.forget, "attempts"),
            job(settings.keep_story_days, stories.forget, "stories"),
        ]

    def _public_url(self) -> str:
        return self._settings.public_url or f"http://{_text(self._public.address)}"

    def _not_ready_because(self) -> list[str]:
        return ["draining"] if self._draining else []


def _text(address: tuple[str, int]) -> str:
    host, port = address
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
