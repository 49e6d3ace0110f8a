"""What stands before all else, kept answers too: a request's id, its line in the log, its size, its client's rate.

Plain ASGI. It must cost little: an answer from memory takes but a few microseconds in all.
"""

import time
from typing import TYPE_CHECKING

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app import ids, logs
from app.ask import COUNTED
from app.errors import HeadersTooLarge, TooManyRequests
from app.guard import BODY, REFUSED
from app.settings import Settings

if TYPE_CHECKING:
    from app.rate import Rate, Visit

BODIES = frozenset((b"content-length", b"transfer-encoding"))
"""Headers that say there is a body."""
LINE = 4
"""Bytes of a header beside its name and value."""
HEALTH = ("/healthz", "/readyz")
"""Asked every few seconds by who watches the service: not in the log, and not counted by the rate limit."""


class Edge:
    """Names each request, refuses what is too large or too frequent, and writes its line when it is answered.

    What is refused, and what has a body, goes past the kept answers to the guard, which answers it as all it refuses.
    """

    def __init__(self, front: ASGIApp, inner: ASGIApp, settings: Settings, rate: "Rate | None") -> None:
        self.front = front
        self.inner = inner
        self.rate = rate
        self.header_bytes = settings.header_bytes
        self.max_headers = settings.max_headers
        self.quiet = frozenset((*HEALTH, *(settings.root_path + path for path in HEALTH)))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer; a request from within is known already and is not looked at again."""
        if scope["type"] != "http" or ids.KEY in scope:
            await self.front(scope, receive, send)
            return
        started = time.perf_counter()
        given, agent = self.measure(scope)
        scope[ids.KEY] = number = ids.choose(given)
        is_quiet = scope["path"] in self.quiet
        visit = None if self.rate is None or is_quiet else count(self.rate, scope)
        app = self.inner if BODY in scope or REFUSED in scope else self.front
        status, sent = 0, 0

        async def sending(message: Message) -> None:
            nonlocal status, sent
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = [*message["headers"], (ids.HEADER, number)]
                if visit is not None:
                    headers += visit.headers()
                message = {**message, "headers": headers}
            else:
                sent += len(message.get("body", b""))
            await send(message)

        try:
            await app(scope, receive, sending)
        except Exception as error:
            error.add_note(f"request {number.decode()}")
            raise
        finally:
            if not is_quiet and logs.ACCESS.isEnabledFor(logs.LEVEL):
                logs.tell(scope, status, time.perf_counter() - started, sent, agent)

    def measure(self, scope: Scope) -> tuple[bytes | None, bytes | None]:
        """Refuse headers that are too many or too large, note a body, and give the id and program that are told."""
        given = agent = None
        size = 0
        headers = scope["headers"]
        for name, value in headers:
            size += len(name) + len(value) + LINE
            if name == ids.HEADER:
                given = value
            elif name == b"user-agent":
                agent = value
            elif name in BODIES:
                scope[BODY] = True
        if size > self.header_bytes or len(headers) > self.max_headers:
            scope[REFUSED] = HeadersTooLarge(
                f"there are more than {self.max_headers} headers, or {self.header_bytes} bytes of them"
            )
        return given, agent


def count(rate: "Rate", scope: Scope) -> "Visit":
    """Count a request, and refuse it where its client asks too often."""
    visit = rate.visit(scope)
    COUNTED.set(visit.export)
    try:
        visit.count()
    except TooManyRequests as error:
        scope.setdefault(REFUSED, error)
    return visit
