"""A request from within: pages, charts and assistants ask `/v1` as anyone does, and have no private way in."""

from http import HTTPStatus
from typing import Any
from urllib.parse import unquote

import anyio
import orjson
from starlette.requests import Request
from starlette.types import Message

from app import ids
from app.formats import JSON_MEDIA

PASSED_ON = ("type", "asgi", "http_version", "scheme", "server", "client", "root_path", ids.KEY)
"""What a request from within has of the one that it is asked by."""


async def ask(request: Request, path: str, query: str) -> tuple[int, bytes]:
    """Ask the application that a request came to for a path of its own, encoded; give status and body.

    It goes through the gate and all else that a request from outside does, so what holds there holds here.
    """
    scope = {
        **{name: request.scope[name] for name in PASSED_ON if name in request.scope},
        "method": "GET",
        "path": unquote(path),
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "headers": [(b"accept", JSON_MEDIA.encode())],
    }
    status, body = 0, bytearray()
    unread: list[Message] = [{"type": "http.request", "body": b"", "more_body": False}]

    async def receive() -> Message:
        if not unread:
            await anyio.sleep_forever()
        return unread.pop()

    async def send(message: Message) -> None:
        nonlocal status
        if message["type"] == "http.response.start":
            status = message["status"]
        else:
            body.extend(message.get("body", b""))

    await request.app(scope, receive, send)
    return status, bytes(body)


class Refused(Exception):
    """What was answered in place of what was asked for: a problem, as it came."""

    def __init__(self, status: int, body: bytes) -> None:
        super().__init__(status)
        self.status = status
        self.body = body

    @property
    def problem(self) -> dict[str, Any]:
        """The problem, read."""
        found: dict[str, Any] = orjson.loads(self.body)
        return found


async def read(request: Request, path: str, query: str) -> dict[str, Any]:
    """Ask as `ask` does, and read the answer. Raises Refused."""
    status, body = await ask(request, path, query)
    if status != HTTPStatus.OK:
        raise Refused(status, body)
    found: dict[str, Any] = orjson.loads(body)
    return found
