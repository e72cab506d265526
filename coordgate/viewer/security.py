"""What keeps others out: who may ask, what a page may load, and what may be posted."""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import secrets
from collections.abc import Sequence
from typing import Final
from urllib.parse import parse_qs, parse_qsl, urlencode, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import cookie_parser
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

POLICY: Final = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self'",
        "connect-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    )
)
"""The Content-Security-Policy: what is shown can load, run, frame or send nothing but our own."""

HEADERS: Final = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    # Not no-referrer: browsers then say `Origin: null` of a form of our own.
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Embedder-Policy": "require-corp",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}
"""Stand on every answer."""

MOST_POSTED: Final = 4_000_000
"""How many bytes a form may have."""


class Security:
    """Lets through what its reader may ask, and puts the headers on every answer.

    Without a token only a loopback name is answered to, so that no page elsewhere can reach the
    viewer through a name of its own (DNS rebinding). With one, each request must have it: in the
    address once, in a cookie from then on.
    """

    def __init__(self, app: ASGIApp, *, token: str | None, csrf: str) -> None:
        """Stand before `app`.

        Args:
            app: What answers.
            token: What each reader must have; None if only this machine can ask.
            csrf: What each form of ours holds.
        """
        self._app = app
        self._token = token
        self._csrf = csrf
        digest = hashlib.sha256(f"coordgate viewer {token}".encode()).hexdigest()
        self._cookie = (f"coordgate-{digest[:8]}", digest[8:])

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or refuse."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1008})
            return

        started = False

        async def send_with_headers(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers[name] = value
                headers.setdefault("Cache-Control", "no-store")
            await send(message)

        refusal = self._refusal(scope)
        if refusal is None and scope["method"] not in {"GET", "HEAD"}:
            body = await _body(receive)
            refusal = self._posting_refusal(scope, body)
            receive = _again(body or b"", receive)
        try:
            await (refusal or self._app)(scope, receive, send_with_headers)
        except Exception:
            if not started:
                sorry = _refused(500, "this page failed; the viewer's own output says why")
                await sorry(scope, receive, send_with_headers)
            raise

    def _refusal(self, scope: Scope) -> Response | None:
        headers = Headers(scope=scope)
        if self._token is None:
            if is_loopback(_host_of(headers.get("host", ""))):
                return None
            return _refused(
                421, "this viewer answers only to this machine's own names, such as 127.0.0.1"
            )
        asked = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
        tokens = [value for name, value in asked if name == "token"]
        if tokens and hmac.compare_digest(
            tokens[0].encode("utf-8", "replace"), self._token.encode()
        ):
            rest = urlencode([(name, value) for name, value in asked if name != "token"])
            target = _path_of(scope) + (f"?{rest}" if rest else "")
            response = RedirectResponse(target, 303)
            response.set_cookie(
                *self._cookie,
                path=scope.get("root_path", "") or "/",
                httponly=True,
                samesite="strict",
                secure=scope.get("scheme") == "https",
            )
            return response
        name, value = self._cookie
        given = cookie_parser(headers.get("cookie", "")).get(name, "")
        if hmac.compare_digest(given.encode("utf-8", "replace"), value.encode()):
            return None
        return _refused(
            401, "this viewer wants its token: open the address that `coordgate view` printed"
        )

    def _posting_refusal(self, scope: Scope, body: bytes | None) -> Response | None:
        headers = Headers(scope=scope)
        if scope["method"] != "POST":
            return _refused(405, "this page can only be read")
        if not _is_same_origin(headers):
            return _refused(403, "this form did not come from a page of this viewer")
        if body is None:
            return _refused(413, f"a form may have at most {MOST_POSTED} bytes")
        kind = headers.get("content-type", "").partition(";")[0].strip()
        if kind != "application/x-www-form-urlencoded":
            return _refused(415, "only forms are taken here")
        given = parse_qs(body.decode("utf-8", "replace")).get("csrf", [""])[0]
        if not hmac.compare_digest(given.encode("utf-8", "replace"), self._csrf.encode()):
            return _refused(403, "this form is of an earlier viewer: load the page again")
        return None


def new_token() -> str:
    """Return a token that nobody guesses."""
    return secrets.token_urlsafe(24)


def is_loopback(host: str) -> bool:
    """Return whether a host name or address can only mean this machine."""
    if host.lower().rstrip(".") == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def _host_of(header: str) -> str:
    try:
        return urlsplit(f"//{header}").hostname or ""
    except ValueError:
        return ""


def _path_of(scope: Scope) -> str:
    """Return the path asked for, which can lead to no other host."""
    path = str(scope.get("raw_path", b"").decode("latin-1").partition("?")[0] or scope["path"])
    return "/" + path.lstrip("/\\")


def _is_same_origin(headers: Headers) -> bool:
    """Return whether a browser says that a page of ours sent this."""
    site = headers.get("sec-fetch-site")
    if site is not None and site != "same-origin":
        return False
    origin = headers.get("origin")
    return origin is not None and urlsplit(origin).netloc == headers.get("host")


async def _body(receive: Receive) -> bytes | None:
    """Return what was posted; None if it is too much."""
    body = bytearray()
    while True:
        message = await receive()
        body += message.get("body", b"")
        if len(body) > MOST_POSTED:
            return None
        if not message.get("more_body", False):  # all of it, or the client has gone
            return bytes(body)


def _again(body: bytes, receive: Receive) -> Receive:
    """Return what gives a body that was read already, and then what else comes."""
    first: Sequence[Message] = [{"type": "http.request", "body": body, "more_body": False}]
    waiting = list(first)

    async def given() -> Message:
        return waiting.pop() if waiting else await receive()

    return given


def _refused(status: int, why: str) -> Response:
    return PlainTextResponse(f"{why}\n", status)
