"""A request from within: pages, charts and assistants ask `/v1` as anyone does, and have no private way in."""

from urllib.parse import unquote

import anyio
from starlette.requests import Request
from starlette.types import Message

from app.formats import JSON_MEDIA

PASSED_ON = ("type", "asgi", "http_version", "scheme", "server", "client", "root_path")
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
