"""The gate before every route: what cannot be a request is refused here, and HEAD, OPTIONS and headers are the same
for all. Plain ASGI; no database is touched."""

import time
from urllib.parse import unquote_to_bytes

from starlette.datastructures import Headers, MutableHeaders
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.errors import (
    BodyTooLarge,
    Fault,
    KhorgosError,
    OverLimit,
    Unreadable,
    UrlTooLong,
    failed,
    method_not_allowed,
    respond,
)
from app.metrics import Metrics
from app.settings import Settings

READS = ("GET", "HEAD")
MCP = "/mcp"
"""The one path that is posted to: calls of assistants, which write nothing either."""
SECURITY = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "cross-origin",
}
"""Of every answer. Strict-Transport-Security is for the proxy that ends TLS: said without TLS it means nothing."""
DATA_POLICY = "default-src 'none'; frame-ancestors 'none'"
PAGE_POLICY = (
    "default-src 'self'; script-src 'self'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; worker-src 'self' blob:; connect-src 'self'; frame-ancestors 'none'"
)
PAGES = ("/docs", "/redoc", "/static/")
"""Documentation made by libraries, which writes scripts and styles into the page."""
EXPLORER_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
HTML = "text/html"
REFUSED = "khorgos.refused"
"""Where a scope holds what stands before the guard has refused a request for, and leaves to the guard to answer."""
BODY = "khorgos.body"
"""Whether a request has a body."""
BODY_BYTES = 1024
"""Bytes of a body that are read and left aside where none is needed."""
LINGER = 2**20
"""Bytes of a body that are thrown away before it is refused, since an answer to who still sends may never be read."""


class Guard:
    """Refuses what no route could answer, answers OPTIONS, makes HEAD of GET, and counts."""

    def __init__(self, app: ASGIApp, settings: Settings, metrics: Metrics) -> None:
        self.app = app
        self.settings = settings
        self.metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        if self.settings.root_path:
            scope["root_path"] = self.settings.root_path
        started, is_head = time.perf_counter(), scope["method"] == "HEAD"
        status: int | None = None

        async def sending(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                add_headers(scope, message)
            elif is_head and message["type"] == "http.response.body":
                message = {**message, "body": b""}
            await send(message)

        try:
            await self.pass_on(scope, receive, sending)
        except Exception as error:
            if status is not None:
                raise
            await failed(Request(scope), error)(scope, receive, sending)
        finally:
            route = getattr(scope.get("route"), "path", "none")
            self.metrics.tally(route, status).count(time.perf_counter() - started)

    async def pass_on(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer what is no reading, refuse what is no request, hand on the rest."""
        size = 0
        if scope.get(BODY) and path_of(scope) != MCP:
            size, receive = await leave_aside(scope, receive)
        try:
            self.check(scope)
            if size > BODY_BYTES:
                raise BodyTooLarge(f"the body is longer than {BODY_BYTES} bytes, and none is read here")
        except KhorgosError as error:
            await respond(Request(scope), error)(scope, receive, send)
            return
        if scope["method"] == "OPTIONS":
            await Response(status_code=204, headers={"Allow": ", ".join(methods_of(scope))})(scope, receive, send)
            return
        if scope["method"] != "HEAD":
            await self.app(scope, receive, send)
            return
        inner = {**scope, "method": "GET", "khorgos.head": True}
        try:
            await self.app(inner, receive, send)
        finally:
            scope["route"] = inner.get("route")

    def check(self, scope: Scope) -> None:
        """Raise what is wrong with the request line, or was found wrong before."""
        if REFUSED in scope:
            raise scope[REFUSED]
        if scope["method"] not in (allowed := methods_of(scope)):
            raise method_not_allowed(allowed)
        path, query = scope.get("raw_path") or scope["path"].encode(), scope["query_string"]
        if len(path) + len(query) > self.settings.url_bytes:
            raise UrlTooLong(f"the URL is longer than {self.settings.url_bytes} bytes")
        for part in (path, query.replace(b"+", b" ")):
            check_readable(unquote_to_bytes(part))
        if query.count(b"&") >= self.settings.max_parameters:
            message = f"there are more than {self.settings.max_parameters} parameters"
            raise OverLimit.of(Fault("query", None, message))


def methods_of(scope: Scope) -> tuple[str, ...]:
    """Give the methods that a path takes."""
    return ("POST", "OPTIONS") if path_of(scope) == MCP else (*READS, "OPTIONS")


def path_of(scope: Scope) -> str:
    """Give the path of a request without the prefix that a reverse proxy strips."""
    return str(scope["path"]).removeprefix(scope.get("root_path", ""))


async def leave_aside(scope: Scope, receive: Receive) -> tuple[int, Receive]:
    """Read a body that nobody needs, and give its size with what is received after it.

    What is told to be too large to be thrown away is not read, nor is what a client asks whether it may send.
    """
    headers = Headers(scope=scope)
    told = headers.get("content-length", "")
    size = int(told) if told.isdecimal() else 0
    if size > LINGER or (size > BODY_BYTES and "expect" in headers):
        return size, receive
    size, more = 0, True
    while more and size <= LINGER:
        message = await receive()
        size += len(message.get("body", b""))
        more = message.get("more_body", False)
    unread: list[Message] = [{"type": "http.request", "body": b"", "more_body": False}]

    async def following() -> Message:
        return unread.pop() if unread else await receive()

    return size, following


class Preflight(CORSMiddleware):
    """CORS whose own answers have the headers that every answer has."""

    def preflight_response(self, request_headers: Headers) -> Response:
        """Answer a browser that asks whether a page may ask."""
        response = super().preflight_response(request_headers)
        response.headers.update({**SECURITY, "Content-Security-Policy": DATA_POLICY})
        return response


def check_readable(text: bytes) -> None:
    """Refuse control characters and bytes that are not UTF-8. Raises Unreadable."""
    try:
        decoded = text.decode()
    except UnicodeDecodeError:
        raise Unreadable("the URL is not UTF-8") from None
    if any(ord(char) < 32 or 127 <= ord(char) < 160 for char in decoded):
        raise Unreadable("the URL holds control characters")


def add_headers(scope: Scope, message: Message) -> None:
    """Add the headers that every answer has."""
    headers = MutableHeaders(scope=message)
    for name, value in SECURITY.items():
        headers[name] = value
    policy = EXPLORER_POLICY if headers.get("content-type", "").startswith(HTML) else DATA_POLICY
    if path_of(scope).startswith(PAGES):
        headers["Content-Security-Policy"] = PAGE_POLICY
    else:
        headers.setdefault("Content-Security-Policy", policy)
