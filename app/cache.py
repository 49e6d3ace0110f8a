"""Finished answers, kept in memory up to a number of bytes: who asks again gets the same bytes and no route runs.

An answer is a function of release and request, so one that is kept is right while its release is current, and for ever
where the release is pinned. Which one is current is known for `KHORGOS_RELEASE_TTL`; then a look decides, and without
one nothing unpinned is given. Plain ASGI, the outermost; all of it runs on the thread of the event loop.
"""

import asyncio
import time
from urllib.parse import unquote_to_bytes

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.ask import SETTLED, Settled
from app.compress import held_tags
from app.guard import READS
from app.ids import ROUTE
from app.metrics import Metrics
from app.releases import Releases
from app.settings import Settings
from app.store import Kept, Key, Store

PATHS = ("/v1/", "/sdmx/")
HEADERS = frozenset((b"accept", b"accept-encoding", b"origin", b"if-none-match", b"range"))
SHARE = 8
"""No answer takes more of the memory than one part in so many."""
PINNED = 5.0
"""Seconds after which, while only pinned answers are given, it is looked whether the database is still the same one."""
NO_BODY: Message = {"type": "http.response.body", "body": b""}


Asked = tuple[Key, bytes | None]
"""A request as far as an answer depends on it, and the tags that its client holds."""


class Look:
    """Tells which release is current; many requests wait for one look."""

    def __init__(self, releases: Releases, ttl: float) -> None:
        self._releases = releases
        self._ttl = ttl
        self._running: asyncio.Future[int] | None = None
        self._began = float("-inf")

    def known(self) -> int | None:
        """Give the current release if it was looked up a short while ago; half way on it is looked up ahead."""
        number, looked = self._releases.last
        age = time.monotonic() - looked
        if age > self._ttl:
            return None
        if age > self._ttl / 2 and not self._is_running():
            self._start()
        return number

    def refresh(self) -> None:
        """Look anew where nobody has for long; who is answered does not wait."""
        if time.monotonic() - self._releases.last[1] > self._ttl + PINNED and not self._is_running():
            self._start()

    async def newest(self, arrived: float) -> int | None:
        """Give the release that is current for a request that came at a time; nothing when it cannot be told."""
        loop = asyncio.get_running_loop()
        while (look := self._running) is None or look.get_loop() is not loop or self._began < arrived - self._ttl:
            if look is not None and self._is_running():
                await asyncio.wait([look])
            else:
                self._start()
        await asyncio.wait([look])
        return None if look.cancelled() or look.exception() else look.result()

    def _is_running(self) -> bool:
        """Whether a look is under way; one of an event loop that was closed never ends."""
        look = self._running
        return look is not None and not look.done() and look.get_loop() is asyncio.get_running_loop()

    def _start(self) -> None:
        # Not among the threads of the routes: who is answered from memory does not wait for slow queries.
        self._began = time.monotonic()
        self._running = asyncio.get_running_loop().run_in_executor(None, self._releases.look)
        self._running.add_done_callback(lambda look: look.cancelled() or look.exception())  # told to who waits


class Cache:
    """Gives kept answers, lets one of equal requests at once be answered for all, and keeps what may be kept."""

    def __init__(
        self,
        app: ASGIApp,
        settings: Settings,
        releases: Releases,
        metrics: Metrics,
        store: Store,
        pages: tuple[str, ...] = (),
    ) -> None:
        self.app = app
        self.releases = releases
        self.metrics = metrics
        self.store = store
        self.look = Look(releases, settings.release_ttl)
        self.lineage = releases.lineage
        self.flights: dict[Key, asyncio.Future[bool]] = {}
        self.paths = with_root((*PATHS, *(path for path in pages if path != "/" and path.endswith("/"))), settings)
        self.pages = frozenset(with_root(pages, settings))
        self.patience = settings.statement_timeout + settings.pool_wait

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer from memory, or pass a request on and keep its answer."""
        started = time.perf_counter()
        if (
            scope["type"] != "http"
            or scope["method"] not in READS
            or not (scope["path"].startswith(self.paths) or scope["path"] in self.pages)
            or (asked := read(scope)) is None
        ):
            await self.app(scope, receive, send)
            return
        if self.lineage != self.releases.lineage:
            self.start_anew()
        kept = self.store.get(asked[0])
        if kept is not None and kept.is_pinned:
            self.look.refresh()
        is_right = kept is not None and (kept.is_pinned or kept.release == self.look.known())
        if kept is None or not is_right or not await self.give(kept, asked, scope, send, started):
            await self.find(asked, scope, receive, send)

    def start_anew(self) -> None:
        """Keep nothing of a database that is another since: the number of a release may be given again."""
        self.lineage = self.releases.lineage
        self.store.clear()
        self.flights.clear()

    async def find(self, asked: Asked, scope: Scope, receive: Receive, send: Send) -> None:
        """Look which release is current, wait for an equal request that is under way, or answer anew."""
        arrived, started = time.monotonic(), time.perf_counter()
        key, alike = asked[0], spelled_alike(asked[0])
        while True:
            kept = self.store.get(key) or self.store.get(alike)
            if kept and await self.is_current(kept, arrived) and await self.give(kept, asked, scope, send, started):
                self.store.add(kept, key)
                return
            flight = self.flights.get(alike)
            if scope["method"] != "HEAD" and (flight is None or flight.get_loop() is not asyncio.get_running_loop()):
                await self.lead(key, alike, scope, receive, send)
                return
            left = arrived + self.patience - time.monotonic()
            if flight is None or left <= 0 or not await landed(flight, left):
                await self.app(scope, receive, send)
                return

    async def is_current(self, kept: Kept, arrived: float) -> bool:
        """Whether an answer is right for a request that came at a time; a new release ends all that was kept."""
        if kept.is_pinned:
            return True
        number = self.look.known() or await self.look.newest(arrived)
        if self.lineage != self.releases.lineage:
            self.start_anew()
            return False
        if number is not None and number != kept.release:
            self.store.clear()
        return number == kept.release

    async def give(self, kept: Kept, asked: Asked, scope: Scope, send: Send, started: float) -> bool:
        """Answer from memory: 304, or whole if the answer is kept whole. Whether it could be done."""
        start, body = kept.start, kept.body
        status = 200
        if asked[1] is not None and (unchanged := unchanged_for(kept, asked)):
            status, start, body = 304, unchanged, NO_BODY
        if start is None:
            return False
        scope[ROUTE] = kept.route
        await send(start)
        await send(NO_BODY if scope["method"] == "HEAD" else body)
        self.metrics.tally(kept.route, status).count(time.perf_counter() - started)
        self.metrics.cached += 1
        return True

    async def lead(self, key: Key, alike: Key, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer anew, keep the answer if it may be kept, and tell those who wait before the client has read it."""
        flight = self.flights[alike] = asyncio.get_running_loop().create_future()
        settled = scope[SETTLED] = Settled()
        lineage = self.lineage
        start: Message | None = None

        def land(*, look_again: bool) -> None:
            if self.flights.get(alike) is flight:
                del self.flights[alike]
            if not flight.done():
                flight.set_result(look_again)

        async def sending(message: Message) -> None:
            nonlocal start
            if message["type"] == "http.response.start":
                if self.may_keep(message, settled):
                    start = message
                    return
                land(look_again=message["status"] >= 500)
            elif start is not None:
                begun, start = start, None
                is_whole = not message.get("more_body", False)
                if is_whole and lineage == self.releases.lineage:
                    self.keep(key, alike, scope, settled, begun, message)
                land(look_again=is_whole)
                await send(begun)
            await send(message)

        try:
            await self.app(scope, receive, sending)
        finally:
            land(look_again=True)

    def may_keep(self, start: Message, settled: Settled) -> bool:
        """Whether an answer that begins so may be kept: whole, of a known release, with a tag, and not too large."""
        if release_of(settled) is None or start["status"] not in (200, 304):
            return False
        headers = dict(start["headers"])
        length = int(headers.get(b"content-length", -1 if start["status"] == 200 else 0))
        return b"etag" in headers and 0 <= length <= self.store.most // SHARE

    def keep(self, key: Key, alike: Key, scope: Scope, settled: Settled, start: Message, body: Message) -> None:
        """Keep an answer for both spellings of its request, unless a newer release is known."""
        release = release_of(settled)
        if release is None or (not settled.is_pinned and release != self.releases.last[0]):
            return
        route = getattr(scope.get("route"), "path", "none")
        made = Kept.of(start, body.get("body", b""), release, route, is_pinned=settled.is_pinned)
        self.store.put(made, alike, key)


def with_root(paths: tuple[str, ...], settings: Settings) -> tuple[str, ...]:
    """Give paths as they are and as a reverse proxy that strips nothing passes them on."""
    return (*paths, *(settings.root_path + path for path in paths))


def release_of(settled: Settled) -> int | None:
    """Give the release that an answer is of, if it may be kept."""
    return settled.release if settled.is_lasting else None


def read(scope: Scope) -> Asked | None:
    """Give what an answer depends on.

    Nothing where a header is given twice, which routes and codings read apart, or where a part is asked by Range.
    """
    accept = coding = origin = held = None
    for name, value in scope["headers"]:
        if name not in HEADERS:
            continue
        if name == b"accept" and accept is None:
            accept = value
        elif name == b"accept-encoding" and coding is None:
            coding = value
        elif name == b"if-none-match" and held is None:
            held = value
        elif name == b"origin" and origin is None:
            origin = b"*"
        else:
            return None
    path = scope.get("raw_path") or scope["path"].encode()
    return (path, scope["query_string"], accept, coding, origin), held


def spelled_alike(key: Key) -> Key:
    """Give the key of requests whose parameters stand in another order; those of one name stay in theirs."""
    path, query, *headers = key
    if b"&" not in (query or b""):
        return key
    parts = sorted((query or b"").split(b"&"), key=lambda part: unquote_to_bytes(part.partition(b"=")[0]))
    return (path, b"&".join(parts), *headers)


def unchanged_for(kept: Kept, asked: Asked) -> Message | None:
    """Give the 304 for a client that holds the answer, with the tag that the client was given."""
    key, held = asked
    if held is None or held == kept.tag:
        return kept.unchanged
    accepted = key[3]
    found = next((one.given for one in held_tags(held, accepted) if one.plain == kept.plain), None)
    if found is None and b"*" in (part.strip() for part in held.split(b",")):
        found = kept.plain
    return kept.unchanged_as(found) if found else None


async def landed(flight: "asyncio.Future[bool]", patience: float) -> bool:
    """Wait for an equal request. Whether to look again: what it gave may be kept, or the next one may try."""
    done, _ = await asyncio.wait([flight], timeout=patience)
    return bool(done) and flight.result()
