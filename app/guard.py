"""The gate before every route: what cannot be a request is refused here, and HEAD, OPTIONS and headers are the same
for all. Plain ASGI; no database is touched."""

import time
from urllib.parse import unquote_to_bytes

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.errors import (
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
        try:
            self.check(scope)
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
        """Raise what is wrong with the request line."""
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
    is_called = scope["path"].removeprefix(scope.get("root_path", "")) == MCP
    return ("POST", "OPTIONS") if is_called else (*READS, "OPTIONS")


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
    is_page = scope["path"].removeprefix(scope.get("root_path", "")).startswith(PAGES)
    policy = EXPLORER_POLICY if headers.get("content-type", "").startswith(HTML) else DATA_POLICY
    headers["Content-Security-Policy"] = PAGE_POLICY if is_page else policy
