"""The buttons: each is a form with the visit's token, and leads to where its effect is seen."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from http import HTTPStatus
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import Response

from voiceblocks.console.forms import check_token, read_form
from voiceblocks.console.rendering import go_to, sorry
from voiceblocks.errors import RequestRefused, VoiceblocksError
from voiceblocks.workflows.act_for_people import ActForPeople
from voiceblocks.workflows.sign_in import Visitor

Form = dict[str, str]
Action = Callable[[Visitor, str, Form], Awaitable[str]]


class Actions:
    """
    All of them.

    Args:
        act: What carries them out.
    """

    def __init__(self, act: ActForPeople) -> None:
        self._act = act

    async def resend(self, visitor: Visitor, notification_id: str, form: Form) -> str:
        """Send a notification again."""
        await self._act.resend_notification(visitor.user, notification_id)
        return f"/console/notifications/{quote(notification_id)}"

    async def revoke(self, visitor: Visitor, recording_id: str, form: Form) -> str:
        """Make all links to a recording worthless; its page has a new one."""
        await self._act.revoke_links(visitor.user, recording_id)
        return f"/console/recordings/{quote(recording_id)}"

    async def delete(self, visitor: Visitor, recording_id: str, form: Form) -> str:
        """Delete a recording, for the reason that was given."""
        await self._act.delete_recording(visitor.user, recording_id, form.get("reason", ""))
        return "/console/recordings"


async def carry_out(action: Action, request: Request, visitor: Visitor, subject: str) -> Response:
    """Check the form, act, and go to where the effect is seen; else say why not."""
    try:
        form = await read_form(request)
        check_token(form, visitor.form_token)
        return go_to(await action(visitor, subject, form))
    except RequestRefused as refused:
        return sorry(visitor, HTTPStatus.FORBIDDEN, str(refused))
    except VoiceblocksError as error:
        return sorry(visitor, HTTPStatus.CONFLICT, str(error))
