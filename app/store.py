"""Answers in memory, by the requests they answer: what was used longest ago goes first, everything counts in bytes."""

from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Self

from starlette.types import Message

from app.compress import TAG

Key = tuple[bytes | None, ...]
"""A request: path, query, Accept, Accept-Encoding, and whether it has an Origin."""
KEPT_BYTES, KEY_BYTES = 4096, 512
"""What an answer takes beside its body, and a request beside its words: objects, lists, places in tables."""
SPELLINGS = 16
"""Requests that may lead to one answer; more are other ways to write the same, which nobody needs by the million."""
WHOLE_ONLY = frozenset(
    (b"content-type", b"content-length", b"content-encoding", b"content-disposition", b"link", b"accept-ranges")
)
"""Headers that 304 leaves out."""


@dataclass(slots=True, eq=False)
class Kept:
    """An answer: whole, or only that it has not changed."""

    release: int
    is_pinned: bool
    route: str
    tag: bytes
    plain: bytes
    start: Message | None
    body: Message
    unchanged: Message
    identity: tuple[tuple[bytes, bytes], ...]
    keys: list[Key] = field(default_factory=list)

    @classmethod
    def of(cls, start: Message, body: bytes, release: int, route: str, *, is_pinned: bool) -> Self:
        """Make what is kept of an answer, 200 or 304, from its messages."""
        headers = [(name.lower(), value) for name, value in start["headers"]]
        tag = dict(headers)[b"etag"]
        found = TAG.fullmatch(tag)
        return cls(
            release=release,
            is_pinned=is_pinned,
            route=route,
            tag=tag,
            plain=b'"' + found[1] + b'"' if found else tag,
            start={**start, "headers": headers} if start["status"] == 200 else None,
            body={"type": "http.response.body", "body": body},
            unchanged=without_body(headers),
            identity=tuple(headers),
        )

    @property
    def size(self) -> int:
        """Bytes it takes, without its keys."""
        return KEPT_BYTES + len(self.body["body"]) + sum(len(name) + len(value) for name, value in self.identity)

    def unchanged_as(self, tag: bytes) -> Message:
        """Give the 304 with another tag of the same answer."""
        headers = [(name, tag if name == b"etag" else value) for name, value in self.unchanged["headers"]]
        return {**self.unchanged, "headers": headers}


def without_body(headers: list[tuple[bytes, bytes]]) -> Message:
    """Give the start of a 304 from the headers of an answer."""
    kept = [(name, value) for name, value in headers if name not in WHOLE_ONLY]
    return {"type": "http.response.start", "status": 304, "headers": kept}


class Store:
    """Answers up to `most` bytes. Not for several threads."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.bytes = 0
        self._by_key: dict[Key, Kept] = {}
        self._alike: dict[tuple[tuple[bytes, bytes], ...], Kept] = {}
        self._used: OrderedDict[Kept, None] = OrderedDict()

    def __len__(self) -> int:
        return len(self._used)

    def get(self, key: Key) -> Kept | None:
        """Give the answer to a request."""
        kept = self._by_key.get(key)
        if kept is not None:
            self._used.move_to_end(kept)
        return kept

    def put(self, made: Kept, *keys: Key) -> None:
        """Keep an answer for its requests; one with the same headers, tag and coding among them, is kept once."""
        kept = self._alike.get(made.identity)
        if kept is None:
            kept = self._alike[made.identity] = made
            self._used[made] = None
            self.bytes += made.size
        for key in keys:
            self.add(kept, key)
        self._shrink()

    def add(self, kept: Kept, key: Key) -> None:
        """Let a further request lead to an answer that is kept."""
        if kept not in self._used or (before := self._by_key.get(key)) is kept:
            return
        if before is not None:
            self._forget(key)
            before.keys.remove(key)
        if len(kept.keys) == SPELLINGS:
            self._forget(kept.keys.pop(0))
        kept.keys.append(key)
        self._by_key[key] = kept
        self.bytes += size_of(key)
        self._shrink()

    def clear(self) -> None:
        """Keep nothing."""
        self._by_key.clear()
        self._alike.clear()
        self._used.clear()
        self.bytes = 0

    def _forget(self, key: Key) -> None:
        del self._by_key[key]
        self.bytes -= size_of(key)

    def _shrink(self) -> None:
        """Let go what was used longest ago until the rest has its place."""
        while self.bytes > self.most and self._used:
            kept, _ = self._used.popitem(last=False)
            del self._alike[kept.identity]
            self.bytes -= kept.size
            for key in kept.keys:
                self._forget(key)


def size_of(key: Key) -> int:
    """Bytes a request takes as a key."""
    return KEY_BYTES + sum(len(part) for part in key if part)
