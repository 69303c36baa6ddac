"""The console's handlers, put together of the node's parts."""

from __future__ import annotations

from collections.abc import Callable

from voiceblocks.api.recordings import answer_file
from voiceblocks.clock import Clock
from voiceblocks.console.handlers import ConsoleHandlers, HealthFunction, RecordingSource
from voiceblocks.console.lines import Lines
from voiceblocks.database.unit_of_work import Database
from voiceblocks.workflows.act_for_people import ActForPeople
from voiceblocks.workflows.call_own_numbers import CallOwnNumbers
from voiceblocks.workflows.deliver_notifications import NotificationDelivery
from voiceblocks.workflows.serve_recording import LinkSigner
from voiceblocks.workflows.show_to_people import ShowToPeople
from voiceblocks.workflows.sign_in import SignIn


def console_handlers(
    *,
    database: Database,
    clock: Clock,
    delivery: NotificationDelivery,
    sign_link: LinkSigner,
    recordings: RecordingSource,
    health: HealthFunction,
    lines: Lines,
    public_url: Callable[[], str],
) -> ConsoleHandlers:
    """
    Return them.

    Args:
        database: The node's database.
        clock: For sign-in and for when something was done.
        delivery: Woken when a notification is to be sent again.
        sign_link: Makes the links that are shown.
        recordings: Serves what is played; never from elsewhere, since pages may play only what
            comes from here.
        health: How the node is.
        lines: For the phone in the browser.
        public_url: Base of the API's addresses.
    """
    return ConsoleHandlers(
        sign_in=SignIn(database, clock),
        show=ShowToPeople(database, clock),
        health=health,
        sign_link=sign_link,
        recordings=recordings,
        act=ActForPeople(
            database, clock, sign_link=sign_link.with_base, wake_delivery=delivery.wake
        ),
        answer_file=answer_file,
        own_numbers=CallOwnNumbers(database, clock),
        lines=lines,
        public_url=public_url,
    )
