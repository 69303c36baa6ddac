"""Sign in, choose a password, sign out."""

from __future__ import annotations

from http import HTTPStatus

from starlette.requests import Request
from starlette.responses import Response

from voiceblocks.console.forms import COOKIE, check_token, read_form
from voiceblocks.console.rendering import go_to, page, sorry
from voiceblocks.errors import RequestRefused
from voiceblocks.users.model import VISIT_S, form_token
from voiceblocks.workflows.sign_in import SignIn

HOME = "/console/"


class Doors:
    """
    The pages that need no signed-in user.

    Args:
        sign_in: Decides who gets in.
    """

    def __init__(self, sign_in: SignIn) -> None:
        self._sign_in = sign_in

    async def sign_in(self, request: Request) -> Response:
        """Ask for name and password, and take them."""
        if request.method == "GET":
            return page("sign_in.html", error=None, name="")
        try:
            form = await read_form(request)
        except RequestRefused as refused:
            return sorry(None, HTTPStatus.BAD_REQUEST, str(refused))
        name = form.get("name", "")
        try:
            secret = await self._sign_in.with_password(name, form.get("password", ""))
        except RequestRefused as refused:
            status = HTTPStatus.FORBIDDEN
            return page("sign_in.html", status=status, error=str(refused), name=name)
        return _with_cookie(request, go_to(HOME), secret)

    async def welcome(self, request: Request) -> Response:
        """Let who has a link choose a password. Looking at the page does not use the link up."""
        try:
            if request.method == "GET":
                link = request.query_params.get("link", "")
                user = await self._sign_in.link_holder(link)
                return page("welcome.html", name=user.name, link=link, error=None)
            form = await read_form(request)
            link = form.get("link", "")
            user = await self._sign_in.link_holder(link)
        except RequestRefused as refused:
            return sorry(None, HTTPStatus.FORBIDDEN, str(refused))
        try:
            if form.get("password") != form.get("again"):
                raise RequestRefused("The two passwords differ.")
            secret = await self._sign_in.with_link(link, form.get("password", ""))
        except RequestRefused as refused:
            status = HTTPStatus.FORBIDDEN
            return page(
                "welcome.html", status=status, name=user.name, link=link, error=str(refused)
            )
        return _with_cookie(request, go_to(HOME), secret)

    async def sign_out(self, request: Request) -> Response:
        """Make the browser's cookie worthless."""
        secret = request.cookies.get(COOKIE, "")
        try:
            check_token(await read_form(request), form_token(secret))
        except RequestRefused as refused:
            return sorry(None, HTTPStatus.FORBIDDEN, str(refused))
        await self._sign_in.sign_out(secret)
        answer = go_to("/console/sign-in")
        answer.delete_cookie(COOKIE, path="/console")
        return answer


def _with_cookie(request: Request, answer: Response, secret: str) -> Response:
    answer.set_cookie(
        COOKIE,
        secret,
        max_age=VISIT_S,
        path="/console",
        secure=request.url.scheme == "https",
        httponly=True,
        samesite="strict",
    )
    return answer
