"""A request, settled: its release, its names looked up, its format, its one spelling and its ETag."""

import asyncio
import base64
import binascii
import hashlib
import threading
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from email.utils import format_datetime
from functools import cached_property
from typing import Any, TypeVar, get_origin
from urllib.parse import quote, urlencode

import orjson
from anyio import CapacityLimiter
from pydantic import BaseModel
from starlette.requests import Request

import app
from app.codes import NOT_STATED
from app.db import Database
from app.errors import (
    Busy,
    Contradiction,
    Fault,
    InvalidCursor,
    InvalidValue,
    NotAcceptable,
    OverLimit,
    RepeatedParameter,
    UnknownParameter,
)
from app.filters import bind
from app.formats import ARRAY, JSON, JSON_MEDIA, WRITTEN, formats_of, is_there, media_types
from app.names import OWN_VOICE
from app.nearest import nearest
from app.params import TableParams, given, vocabulary
from app.recent import Recent
from app.releases import Edition, Releases
from app.replica import Reading
from app.settings import Settings

T = TypeVar("T")
KEPT = 512
"""Forms of requests whose statements are kept."""


@dataclass
class Service:
    """What every request shares."""

    settings: Settings
    database: Database
    releases: Releases
    queries: asyncio.Semaphore = field(init=False)
    exports: threading.BoundedSemaphore = field(init=False)
    drawings: CapacityLimiter = field(default_factory=lambda: CapacityLimiter(1))
    """Places for charts that are drawn: the library that draws does so one at a time."""
    prepared: Recent[Any] = field(default_factory=lambda: Recent(KEPT))
    """What `plan` has prepared, by the form of the requests that it serves."""

    def __post_init__(self) -> None:
        self.queries = asyncio.Semaphore(self.settings.queries)
        self.exports = threading.BoundedSemaphore(self.settings.exports)

    @asynccontextmanager
    async def admitted(self) -> AsyncIterator[None]:
        """Hold one of the places for requests; who waits for one takes no thread. Raises Busy when none comes free."""
        if self.queries.locked():
            try:
                async with asyncio.timeout(self.settings.wait):
                    await self.queries.acquire()
            except TimeoutError:
                raise full() from None
        else:
            await self.queries.acquire()
        try:
            yield
        finally:
            self.queries.release()

    @contextmanager
    def exporting(self) -> Iterator[None]:
        """Hold one of the places for exports. Raises Busy when none is free in time, TooManyRequests."""
        if count := COUNTED.get():
            count()
        if not self.exports.acquire(timeout=self.settings.wait):
            raise full()
        try:
            yield
        finally:
            self.exports.release()


def full() -> Busy:
    """The answer where every place is taken."""
    return Busy("the service answers as many requests as it can: try again shortly")


COUNTED: ContextVar[Callable[[], None] | None] = ContextVar("counted", default=None)
"""Counts an export of the request at hand, where a rate is held. Raises TooManyRequests."""
SETTLED = "khorgos.settled"
"""Where a request's scope holds what becomes known of it."""


@dataclass
class Settled:
    """What becomes known of a request on its way, for who keeps its answer."""

    release: int | None = None
    is_pinned: bool = False
    is_lasting: bool = True
    """False where another time may tell more: such an answer is not kept."""


@dataclass(frozen=True)
class Ask:
    """A request whose names are looked up and whose format is settled."""

    request: Request
    service: Service
    params: BaseModel
    edition: Edition
    format: str

    def read(self, timeout: float | None = None) -> Reading:
        """Give a read-only connection to a database that has the release. Raises what `Database.read` does."""
        return self.service.releases.read(self.edition, timeout)

    @cached_property
    def canonical(self) -> tuple[tuple[str, str], ...]:
        """The request's parameters in one spelling: by name, defaults left out, lists in order."""
        found = []
        fields = type(self.params).model_fields
        for name in sorted(self.params.model_fields_set):
            value = getattr(self.params, name)
            if value in (None, ()) or value == fields[name].default:
                continue
            if vocabulary(type(self.params), name) == "speaker":
                value = sorted(OWN_VOICE if one == NOT_STATED else one for one in value)
            found.append((name, spell(value)))
        return tuple(found)

    def spelled(self, name: str) -> str:
        """Give the value of a parameter as a URL has it."""
        return spell(getattr(self.params, name))

    def link_to(self, path: str, query: Mapping[str, Any]) -> str:
        """Give a path of this service with a query; null values are left out."""
        kept = {name: spell(value) for name, value in query.items() if value is not None}
        root = quote(self.request.scope.get("root_path", "") + path)
        return f"{root}?{urlencode(kept, safe=',/')}" if kept else root

    def link(self, **changes: Any) -> str:
        """Give the path of this request with parameters changed; null takes one out."""
        return self.link_to(self.request.scope["path"], {**dict(self.canonical), **changes})

    @cached_property
    def etag(self) -> str:
        """A strong tag of release, request, format, version and what is answered unasked; the body is not looked at."""
        path, settings = self.request.scope["path"], self.service.settings
        unasked = (app.__version__, settings.page_limit, settings.count_limit, settings.root_path)
        key = orjson.dumps([unasked, self.edition.mark, path, self.canonical, self.format])
        return f'"{hashlib.sha256(key).hexdigest()[:32]}"'

    @property
    def headers(self) -> dict[str, str]:
        """Headers of every answer from data."""
        pinned = getattr(self.params, "release", None) is not None
        age = "max-age=31536000, immutable" if pinned else f"max-age={self.service.settings.max_age}"
        return {
            "ETag": self.etag,
            "Last-Modified": format_datetime(self.edition.published_at, usegmt=True),
            "Cache-Control": f"public, {age}",
            "Vary": "Accept",
        }

    def leave_unkept(self) -> None:
        """Say that the answer is not to be kept: asked again, it may say more."""
        if settled := self.request.scope.get(SETTLED):
            settled.is_lasting = False

    @property
    def is_known(self) -> bool:
        """Whether the client holds this answer already. Its tag is asked, not its date: two releases may share one."""
        return self.etag in self.held

    @property
    def takes_none(self) -> bool:
        """Whether the client wants no answer at all, if there is one."""
        return "*" in self.held

    @cached_property
    def held(self) -> tuple[str, ...]:
        """Tags of the answers that the client holds."""
        tags = self.request.headers.get("if-none-match", "")
        return tuple(tag.strip().removeprefix("W/") for tag in tags.split(","))


def spell(value: Any) -> str:
    """Give a parameter's value as a URL has it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, tuple | list):
        return ",".join(map(str, value))
    return str(value)


def asked(request: Request, params: BaseModel, record: str | None = None, form: str | None = None) -> Ask:
    """Settle release, names and format of a request. Raises what is wrong.

    A table, named by its record, may have formats of its own; `form` is given where the path names the format.
    """
    service: Service = request.app.state.service
    refuse_repeats(request, type(params))
    edition = settle_release(request, pinned_release(params))
    refuse_excess(params, service.settings)
    refuse_contradictions(params)
    form = form or format_asked(request, params, record)
    return Ask(request, service, bind(params, edition.names), edition, form)


def format_asked(request: Request, params: BaseModel, record: str | None) -> str:
    """Give the format that a request asks for. Raises InvalidValue, NotAcceptable, Contradiction."""
    is_table, wanted = isinstance(params, TableParams), getattr(params, "format", None)
    found = negotiate(request, wanted, record) if is_table else negotiate_json(request)
    if getattr(params, "shape", None) == ARRAY:
        found = as_array(found)
    if found != JSON and getattr(params, "count", False):
        raise Contradiction.of(Fault("count", "true", f"count has no place in {found}: ask for it in json"))
    return found


def settle_release(request: Request, pinned: int | None) -> Edition:
    """Give the pinned release or the current one, noted for who keeps the answer. Raises InvalidValue, NotReady."""
    service: Service = request.app.state.service
    edition = service.releases.edition(pinned)
    if settled := request.scope.get(SETTLED):
        settled.release, settled.is_pinned = edition.number, pinned is not None
    return edition


def pinned_release(params: BaseModel) -> int | None:
    """Give the release that is asked, or that a cursor was made in: pages of one list are of one release."""
    release: int | None = getattr(params, "release", None)
    cursor: str | None = getattr(params, "cursor", None)
    return cursor_state(cursor)[0] if cursor and release is None else release


def take_no_parameters(request: Request) -> None:
    """Refuse every query parameter of a route that takes none. Raises UnknownParameter."""
    if names := sorted(set(request.query_params)):
        raise UnknownParameter.of(*(Fault(name, None, f"unknown parameter {name[:60]!r}", ()) for name in names))


def refuse_repeats(request: Request, model: type[BaseModel]) -> None:
    """Refuse a parameter given twice where it takes one value: none of the two is silently dropped."""
    names = [name for name, _ in request.query_params.multi_items()]
    repeated = {name for name in names if names.count(name) > 1}
    twice = sorted(name for name in repeated if get_origin(model.model_fields[name].annotation) is not tuple)
    if twice:
        raise RepeatedParameter.of(*(Fault(name, None, f"{name} takes one value, it is given twice") for name in twice))


def refuse_excess(params: BaseModel, settings: Settings) -> None:
    """Refuse more than the settings allow: rows of a page, values of a list, characters of a text. Raises OverLimit."""
    faults = []
    for name in given(params):
        value = getattr(params, name)
        texts = [one for one in (value if isinstance(value, tuple) else (value,)) if isinstance(one, str)]
        if name == "limit" and value is not None and value > settings.page_limit_max:
            faults.append(Fault(name, value, f"limit is {value}, at most {settings.page_limit_max} rows make a page"))
        if isinstance(value, tuple) and len(value) > settings.list_values:
            faults.append(Fault(name, None, f"{name} has {len(value)} values, at most {settings.list_values} are read"))
        if name != "cursor" and any(len(text) > settings.text_length for text in texts):
            faults.append(Fault(name, None, f"{name} is longer than {settings.text_length} characters"))
    if faults:
        raise OverLimit.of(*faults)


BOUNDS = (("_from", "_to"), ("_min", "_max"))
"""Ends of the names of parameters that bound one thing from below and above."""


def refuse_contradictions(params: BaseModel) -> None:
    """Refuse bounds that nothing lies between, or no value asked: an empty answer would not say why."""
    for low_end, high_end in BOUNDS:
        for stem in dict.fromkeys(name.removesuffix(end) for name in given(params) for end in (low_end, high_end)):
            low, high = getattr(params, stem + low_end, None), getattr(params, stem + high_end, None)
            if low is not None and high is not None and low > high:
                message = f"{stem + low_end} is {low}, above {stem + high_end}, which is {high}"
                raise Contradiction.of(Fault(stem + low_end, low, message), Fault(stem + high_end, high, message))
            for end, bound in ((low_end, low), (high_end, high)):
                refuse_values_beyond(params, stem, end, bound, is_low=end == low_end)


def refuse_values_beyond(params: BaseModel, stem: str, end: str, bound: Any, *, is_low: bool) -> None:
    """Refuse a bound that none of the values asked keeps. Raises Contradiction."""
    values = getattr(params, stem, None)
    if bound is None or not values or not isinstance(values, tuple):
        return
    if all(value < bound if is_low else value > bound for value in values):
        message = f"{stem} is {spell(values)}, {'below' if is_low else 'above'} {stem + end}, which is {bound}"
        raise Contradiction.of(Fault(stem, spell(values), message), Fault(stem + end, bound, message))


def negotiate(request: Request, wanted: str | None, record: str | None) -> str:
    """Give the format that `format=` or else Accept asks for. Raises InvalidValue, NotAcceptable."""
    allowed = tuple(formats_of(record))
    if wanted is None:
        return installed(accepted(request, media_types(record)))
    if wanted.casefold() not in allowed:
        message = f"format cannot be {wanted[:60]!r} here: it takes {', '.join(allowed)}"
        raise InvalidValue.of(Fault("format", wanted, message, allowed, nearest(wanted, allowed)))
    return installed(wanted.casefold())


def installed(name: str) -> str:
    """Give a format that can be written. Raises NotAcceptable with what installs it."""
    if name != JSON and not is_there(form := WRITTEN[name]):
        message = f"{name} needs {form.library}, which is not installed here: pip install 'khorgos[{form.extra}]'"
        raise NotAcceptable.of(Fault("format", name, message, (JSON, "csv", "ndjson")))
    return name


def as_array(name: str) -> str:
    """Give the format of a bare array. Raises Contradiction where another than JSON is asked."""
    if name != JSON:
        message = f"a bare array is JSON, and format is {name}"
        raise Contradiction.of(Fault("shape", ARRAY, message), Fault("format", name, message))
    return ARRAY


def negotiate_json(request: Request) -> str:
    """Give JSON, which a single record has only. Raises NotAcceptable."""
    return accepted(request, {JSON_MEDIA: JSON})


def accepted(request: Request, served: Mapping[str, str]) -> str:
    """Give the format that the Accept header weighs most, the earlier of equals."""
    weights = [weigh(part) for part in request.headers.get("accept", "*/*").split(",") if part.strip()]
    best = weightiest(
        (name, [one for one in weights if matches_media(one[0], media)]) for media, name in served.items()
    )
    if best is None:
        allowed = tuple(served)
        message = f"Accept takes none of {', '.join(allowed)}"
        raise NotAcceptable.of(Fault("Accept", request.headers.get("accept"), message, allowed))
    return best


def weightiest(choices: Iterable[tuple[T, list[tuple[str, float]]]]) -> T | None:
    """Give the choice whose narrowest range weighs most, the earlier of equals; null where none weighs anything."""
    best, best_weight = None, 0.0
    for choice, ranges in choices:
        weight = max(((len(pattern.rstrip("*")), weight) for pattern, weight in ranges), default=(0, 0.0))[1]
        if weight > best_weight:
            best, best_weight = choice, weight
    return best


def weigh(part: str) -> tuple[str, float]:
    """Read one range of an Accept header with its weight; a weight that is no number is none."""
    media, *options = part.split(";")
    weight = next((one.strip()[2:] for one in options if one.strip().startswith("q=")), "1")
    return media.strip().lower(), float(weight) if weight.replace(".", "", 1).isdecimal() else 0.0


def matches_media(pattern: str, media: str) -> bool:
    """Whether a media type is in a range."""
    return pattern in ("*/*", media) or (pattern.endswith("/*") and media.startswith(pattern[:-1]))


def cursor_state(text: str) -> tuple[int, str, list[Any]]:
    """Read a cursor: the release and the list it was made for, and the keys of the row it ended at.

    Raises InvalidCursor.
    """
    try:
        release, made_for, keys = orjson.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    except (binascii.Error, ValueError, TypeError) as error:
        raise broken_cursor(text, "it is not one that this service wrote") from error
    if type(release) is not int or type(keys) is not list or not 1 <= release < 2**31:
        raise broken_cursor(text, "it is not one that this service wrote")
    return release, made_for, keys


def broken_cursor(text: str, why: str) -> InvalidCursor:
    """Say why a cursor cannot be followed."""
    return InvalidCursor.of(Fault("cursor", text, f"cursor cannot be followed: {why}"))
