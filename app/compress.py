"""Text made smaller for who takes it, with a tag of its own for each coding.

A tag is strong, so the bytes of one coding are another representation: `"abc"` is sent as `"abc-zstd"`. Inside, routes
know the plain tag alone. Plain ASGI; the coding itself is done by starlette-compress.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette_compress import CompressMiddleware, add_compress_type

CODINGS = ("zstd", "br", "gzip")
"""Content codings, the one sent first first."""
TAG = re.compile(rb'\s*(?:W/)?"([^",]*?)(?:-(zstd|br|gzip))?"\s*')
TEXTS = (
    "application/problem+json",
    "application/x-ndjson",
    "application/jsonl",
    "application/ld+json",
    "application/schema+json",
    "application/linkset+json",
    "application/yaml",
    "application/vnd.oai.openapi+json",
    "application/vnd.sdmx.data+json",
    "application/vnd.sdmx.data+csv",
    "application/vnd.sdmx.data+xml",
    "application/vnd.sdmx.genericdata+xml",
    "application/vnd.sdmx.structurespecificdata+xml",
    "application/vnd.sdmx.structure+json",
    "application/vnd.sdmx.structure+csv",
    "application/vnd.sdmx.structure+xml",
    "application/vnd.sdmx.generic+xml",
    "application/vnd.sdmx.schema+xml",
    "text/csv",
    "text/tab-separated-values",
    "text/turtle",
)
"""Media types that starlette-compress does not know to be text; binary formats are packed already."""

AS_IS = {"Content-Encoding": "as-is"}
"""What an answer tells `Compress` that is sent as it is, whatever a client takes; no client is told."""

for text in TEXTS:
    add_compress_type(text)


@dataclass(frozen=True)
class Held:
    """A tag that a client holds: as routes know it, and as the client was given it."""

    plain: bytes
    given: bytes


class Compress:
    """Compresses what is text, tells codings apart in tags, and says in Vary that the coding was asked."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = CompressMiddleware(Whole(app))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on with the tags that routes know, and give the answer the tags of its coding."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        held = plain_tags(scope)

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                mark(message, held)
            await send(message)

        await self.app(scope, receive, sending)


class Whole:
    """Makes HEAD of a stream look like the stream, which is compressed whatever its size."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on."""
        if not scope.get("khorgos.head"):
            await self.app(scope, receive, send)
            return
        is_stream = False

        async def sending(message: Message) -> None:
            nonlocal is_stream
            if message["type"] == "http.response.start":
                is_stream = all(name.lower() != b"content-length" for name, _ in message["headers"])
            elif is_stream and not message.get("more_body", False):
                await send({**message, "more_body": True})
                message = {"type": "http.response.body", "body": b""}
            await send(message)

        await self.app(scope, receive, sending)


def plain_tags(scope: Scope) -> tuple[Held, ...]:
    """Give the tags that the client holds, and leave in the request what routes know of them.

    A tag of a coding that the client does not take now is left as it is: nothing has it.
    """
    given = header(scope, b"if-none-match")
    if given is None:
        return ()
    accepted = header(scope, b"accept-encoding")
    held = tuple(held_tags(given, accepted))
    plain = b", ".join([*(one.plain for one in held), *others(given, accepted)])
    scope["headers"] = [(name, plain if name == b"if-none-match" else value) for name, value in scope["headers"]]
    return held


def header(scope: Scope, name: bytes) -> bytes | None:
    """Give a header of a request, one list if it is given twice."""
    found = [value for one, value in scope["headers"] if one == name]
    return b", ".join(found) if found else None


def held_tags(given: bytes, accepted: bytes | None) -> Iterator[Held]:
    """Give the tags of an If-None-Match whose coding the client takes."""
    for part in given.split(b","):
        if (found := TAG.fullmatch(part)) and takes(accepted, found[2]):
            yield Held(b'"' + found[1] + b'"', part.strip().removeprefix(b"W/"))


def others(given: bytes, accepted: bytes | None) -> Iterator[bytes]:
    """Give the parts of an If-None-Match that are no tags of ours, such as *, or of a coding that is not taken."""
    for part in given.split(b","):
        found = TAG.fullmatch(part)
        if found is None or not takes(accepted, found[2]):
            yield part.strip()


def takes(accepted: bytes | None, coding: bytes | None) -> bool:
    """Whether a client takes a coding; one that says nothing of codings takes any (RFC 9110, 12.5.3)."""
    return coding is None or accepted is None or coding.decode() in codings(accepted)


@lru_cache(256)
def codings(accepted: bytes) -> frozenset[str]:
    """Give those of our codings that an Accept-Encoding takes."""
    weights = {}
    for part in accepted.decode("latin-1").lower().split(","):
        name, *options = part.split(";")
        weight = next((one.strip()[2:] for one in options if one.strip().startswith("q=")), "1")
        weights[name.strip()] = weight.strip("0.") != ""
    return frozenset(name for name in CODINGS if weights.get(name, weights.get("*", False)))


def mark(message: Message, held: tuple[Held, ...]) -> None:
    """Give an answer the tag of its coding, and a 304 the tag that the client was given."""
    headers = MutableHeaders(scope=message)
    if headers.get("content-encoding") == AS_IS["Content-Encoding"]:
        del headers["content-encoding"]
    tag = headers.get("etag")
    if tag is None:
        return
    if "accept-encoding" not in headers.get("vary", "").lower():
        headers.add_vary_header("Accept-Encoding")
    if message["status"] == 304:
        given = next((one.given for one in held if one.plain == tag.encode("latin-1")), None)
        headers["ETag"] = given.decode("latin-1") if given else tag
    elif coding := headers.get("content-encoding"):
        headers["ETag"] = f'{tag[:-1]}-{coding}"'
        if "accept-ranges" in headers:
            del headers["accept-ranges"]  # a range is of the bytes that are not compressed, which have another tag
