"""A file as an answer: whole, by ranges, or its headers alone. The file is open before its size is told."""

import os
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import IO, Any

import anyio
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import FileResponse
from starlette.types import Receive, Scope, Send

from app.compress import AS_IS
from app.errors import Fault, RangeNotSatisfiable

RANGE = re.compile(r"\s*(\d{0,18})-(\d{0,18})\s*", re.ASCII)
UNIT = re.compile(r"\s*bytes\s*=(.*)", re.IGNORECASE | re.DOTALL)


class OpenFile(FileResponse):
    """An answer from a file that is open: who takes the file away meanwhile, or puts another in its place, is no harm.

    A Range is heeded for GET, and where If-Range holds the tag; a date is not enough, two releases may have one second.
    It is never compressed, so that its length is told and its tag is that of its ranges.
    """

    def __init__(self, file: IO[bytes], ranges: str | None, headers: Mapping[str, str], media_type: str) -> None:
        self.file = file
        self.ranges = ranges
        stat = os.fstat(file.fileno())
        super().__init__(file.name, headers={**headers, **AS_IS}, media_type=media_type, stat_result=stat)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send, then let the file go, however it ends."""
        kept = [(name, value) for name, value in scope["headers"] if name not in (b"range", b"if-range")]
        if self.ranges is not None:
            kept.append((b"range", self.ranges.encode()))
        method = "HEAD" if scope.get("khorgos.head") else scope["method"]
        # No extension of the server: it would open the file again by its path.
        inner = {**scope, "headers": kept, "extensions": {}, "method": method}
        try:
            await super().__call__(inner, receive, send)
        finally:
            self.file.close()

    @asynccontextmanager
    async def _open_file(self) -> AsyncIterator[Any]:
        yield anyio.wrap_file(self.file)


def ranges_asked(request: Request, etag: str, size: int) -> str | None:
    """Give the ranges to send, those that lie in the file; null for all of it. Raises RangeNotSatisfiable.

    A unit that is not known is not heeded, as RFC 9110 has it; what is no range of bytes is refused.
    """
    asked = Headers(scope=request.scope).get("range")
    condition = request.headers.get("if-range")
    if asked is None or request.scope.get("khorgos.head") or condition not in (None, etag):
        return None
    if (found := UNIT.fullmatch(asked)) is None:
        return None
    spans = [span_of(part, asked, size) for part in found[1].split(",")]
    inside = [f"{start}-{end}" for start, end in spans if start < size]
    if not inside:
        raise unsatisfiable(asked, size, f"it lies outside of the file, which has {size} bytes")
    return f"bytes={','.join(inside)}"


def span_of(part: str, asked: str, size: int) -> tuple[int, int]:
    """Read one range as first and last byte; one that lies outside begins at the size. Raises RangeNotSatisfiable."""
    found = RANGE.fullmatch(part)
    if found is None or found[1] == found[2] == "":
        raise unsatisfiable(asked, size, "it takes bytes=first-last, bytes=first- or bytes=-length")
    first, last = found[1], found[2]
    if first == "":
        length = int(last)
        return (max(size - length, 0), size - 1) if length else (size, size)
    if last and int(last) < int(first):
        raise unsatisfiable(asked, size, "the last byte is before the first")
    return int(first), min(int(last or size), size - 1)


def unsatisfiable(asked: str, size: int, why: str) -> RangeNotSatisfiable:
    """Say why a range cannot be sent."""
    message = f"Range cannot be {asked[:60]!r}: {why}"
    return RangeNotSatisfiable.of(Fault("Range", asked, message), headers={"Content-Range": f"bytes */{size}"})
