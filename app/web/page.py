"""A page: it settles its release, asks `/v1` from within, and is HTML of a template, tagged like any other answer."""

import hashlib
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from email.utils import format_datetime
from functools import cached_property
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, parse_qsl, quote, urlencode, urlsplit

import anyio
import orjson
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

import app
from app.ask import Service, settle_release
from app.errors import RETRY_AFTER, Fault, InvalidValue, KhorgosError, UnknownParameter, respond
from app.guard import EXPLORER_POLICY
from app.nearest import nearest
from app.releases import Edition
from app.web import words
from app.within import Refused, read

HTML = "text/html; charset=utf-8"
RELEASE = re.compile(r"[1-9][0-9]{0,8}")
TEMPLATES = Path(__file__).parent / "templates"
STATIC = Path(__file__).parent.parent / "static"


def fingerprint(name: str) -> str:
    """Give a short hash of a static file, so that its address changes with it."""
    return hashlib.sha256((STATIC / name).read_bytes()).hexdigest()[:8]


TEMPLATE = Environment(
    loader=FileSystemLoader(TEMPLATES), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
)
TEMPLATE.filters |= words.FILTERS
TEMPLATE.globals |= {"css": fingerprint("explorer.css"), "js": fingerprint("explorer.js"), "version": app.__version__}


Query = Mapping[str, Any]
"""Parameters of a request: null is left out, a list is joined by commas."""
ALL = 1000
"""Rows of a page where every row is asked for."""


def cursor_of(found: Mapping[str, Any]) -> str | None:
    """Give the cursor of the page after an answer, if there is one."""
    link = found["links"]["next"]
    return parse_qs(urlsplit(link).query)["cursor"][0] if link else None


def spelled(query: Query) -> str:
    """Give a query as a URL has it."""
    kept = {}
    for name, value in query.items():
        if value is None or value == "":
            continue
        kept[name] = ",".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
    return urlencode(kept, safe=",/")


@dataclass
class Page:
    """A request for a page, of one release."""

    request: Request
    edition: Edition
    is_pinned: bool
    sources: dict[str, dict[str, Any]] = field(default_factory=dict)  # every source by its slug, as /v1 has it

    @property
    def at(self) -> str:
        """The prefix of every path, where a reverse proxy strips one."""
        return str(self.request.scope.get("root_path", ""))

    @property
    def base(self) -> str:
        """Scheme and host of this service: as the settings have them, else of the socket that was asked.

        Never the Host header, which anyone can forge: a kept page is given to all. The script of the pages puts in
        the address by which the reader has come.
        """
        settings = self.request.app.state.service.settings
        host, port = self.request.scope.get("server") or (settings.host, settings.port)
        name = f"[{host}]" if ":" in host else host
        return str(settings.public_url) or f"http://{name}:{port}"

    @property
    def path(self) -> str:
        """Its own path, without the prefix."""
        return str(self.request.scope["path"]).removeprefix(self.at)

    @cached_property
    def query(self) -> dict[str, str]:
        """Its parameters but for the release; what is given twice is a list; empty fields of a form are none."""
        found: dict[str, list[str]] = {}
        for name, value in self.request.query_params.multi_items():
            if name != "release" and value.strip():
                found.setdefault(name, []).append(value.strip())
        return {name: ",".join(values) for name, values in found.items()}

    @property
    def release(self) -> dict[str, int]:
        """The parameter that pins links to the release of this page, where the reader pinned it."""
        return {"release": self.edition.number} if self.is_pinned else {}

    def link(self, path: str, query: Query | None = None) -> str:
        """Give a path of this service, with the release where the reader pinned it."""
        words = spelled({**(query or {}), **self.release})
        return f"{quote(self.at + path)}?{words}" if words else quote(self.at + path)

    async def answer(self, path: str, query: Query | None = None) -> dict[str, Any]:
        """Give what /v1 answers at a path, of the release of this page. Raises Refused."""
        return await read(self.request, quote(path), spelled({**(query or {}), "release": self.edition.number}))

    async def every(self, path: str, query: Query) -> list[dict[str, Any]]:
        """Give every row of a list, page after page. Raises Refused."""
        rows: list[dict[str, Any]] = []
        cursor = None
        while True:
            found = await self.answer(path, {**query, "limit": ALL, "cursor": cursor})
            rows += found["data"]
            cursor = cursor_of(found)
            if cursor is None:
                return rows

    async def answers(self, **asks: tuple[str, Query]) -> dict[str, dict[str, Any]]:
        """Give several answers, asked side by side, by their names. Raises Refused."""
        found: dict[str, dict[str, Any]] = {}
        refused: list[Refused] = []

        async def one(name: str, path: str, query: Query) -> None:
            try:
                found[name] = await self.answer(path, query)
            except Refused as error:
                refused.append(error)

        async with anyio.create_task_group() as group:
            for name, (path, query) in asks.items():
                group.start_soon(one, name, path, query)
        if refused:
            raise refused[0]
        return found

    def source(self, slug: str) -> str:
        """Give what a source is called in a line: an article by its publisher, a dataset by its title."""
        source = self.sources.get(slug)
        if source is None:
            return slug
        return str(source["publisher"] if source["kind"] == "article" else source["title"])

    @cached_property
    def etag(self) -> str:
        """A strong tag of release, request and version."""
        settings = self.request.app.state.service.settings
        parts = [app.__version__, TEMPLATE.globals["css"], TEMPLATE.globals["js"], settings.root_path, self.base]
        parts += [settings.page_limit, settings.count_limit, self.edition.mark, self.path, sorted(self.query.items())]
        return f'"{hashlib.sha256(orjson.dumps(parts)).hexdigest()[:32]}"'

    @property
    def headers(self) -> dict[str, str]:
        """Headers of a page that was made from data."""
        age = "max-age=31536000, immutable" if self.is_pinned else "no-cache"
        return {
            "ETag": self.etag,
            "Last-Modified": format_datetime(self.edition.published_at, usegmt=True),
            "Cache-Control": f"public, {age}",
            "Content-Security-Policy": EXPLORER_POLICY,  # of 304 too: a browser keeps the policy that it is told last
        }


Build = Callable[[Page], Awaitable[dict[str, Any]]]
"""Gives a template what it shows. Raises Refused."""


@dataclass(frozen=True)
class View:
    """A page by its path."""

    path: str
    template: str
    build: Build
    takes: tuple[str, ...] | None = ()  # its parameters beside release; null where /v1 says which there are

    @property
    def prefix(self) -> str:
        """What the paths of it begin with."""
        return self.path.partition("{")[0]

    def route(self) -> Route:
        """Give its route."""
        return Route(self.path, self.answer, name=f"page {self.path}", include_in_schema=False)

    async def answer(self, request: Request) -> Response:
        """Answer with the page, with 304, or with a page of what is wrong."""
        request.scope["route"] = self  # by its path requests are counted, as those of FastAPI's routes are
        try:
            page = await anyio.to_thread.run_sync(settled, request)
            refuse_unknown(page, self.takes)
            held = request.headers.get("if-none-match", "")
            if page.etag in held:
                return Response(status_code=304, headers=page.headers)
            sources = await page.answer("/v1/sources", {"limit": 1000})
            page.sources = {source["slug"]: source for source in sources["data"]}
            found = await self.build(page)
            frame = {"page": page, "at": page.at, "number": page.edition.number, "here": self.prefix.rstrip("/") or "/"}
            content = await anyio.to_thread.run_sync(render, self.template, {**frame, **found})
        except Refused as refused:
            return problem(request, refused.status, refused.problem)
        except KhorgosError as error:
            told = respond(request, error)
            return problem(request, told.status_code, orjson.loads(bytes(told.body)), dict(error.headers))
        if held.strip() == "*":
            return Response(status_code=304, headers=page.headers)
        return Response(content, headers=page.headers, media_type=HTML)


def settled(request: Request) -> Page:
    """Settle the release of a page. Raises InvalidValue, NotReady."""
    given = request.query_params.getlist("release")
    if len(given) > 1 or (given and not RELEASE.fullmatch(given[0])):
        raise InvalidValue.of(Fault("release", given[0], "release takes one number, such as 1"))
    edition = settle_release(request, int(given[0]) if given else None)
    return Page(request, edition, bool(given))


def refuse_unknown(page: Page, takes: tuple[str, ...] | None) -> None:
    """Refuse parameters that a page does not have. Raises UnknownParameter."""
    known = (*(takes or ()), "release")
    unknown = [name for name in page.query if takes is not None and name not in takes]
    if unknown:
        raise UnknownParameter.of(
            *(Fault(name, None, f"unknown parameter {name[:60]!r}", known, nearest(name, known)) for name in unknown)
        )


def render(template: str, found: dict[str, Any]) -> bytes:
    """Give the bytes of a page."""
    return TEMPLATE.get_template(template).render(found).encode()


def corrected(query: Query, fault: Mapping[str, Any]) -> dict[str, str] | None:
    """Give a query with what was probably meant in place of what was wrong; nothing where that is not known."""
    name, meant = fault["parameter"], fault["did_you_mean"]
    if meant is None or name not in query or meant == "cursor":  # no page of another interface is a cursor
        return None
    kept = {key: str(value) for key, value in query.items() if key != "cursor"}
    if fault["message"].startswith("unknown parameter"):
        kept[meant] = kept.pop(name)
        return kept
    if "=" in meant:  # other parameters are meant
        del kept[name]
        return {**kept, **dict(parse_qsl(meant))}
    parts = [meant if one.strip().lstrip("-") == str(fault["value"]) else one for one in kept[name].split(",")]
    kept[name] = ",".join(parts) if meant in parts else meant
    return kept


def problem(request: Request, status: int, told: dict[str, Any], headers: Mapping[str, str] | None = None) -> Response:
    """Answer with a page that says what is wrong, in the words of /v1, and what was probably meant."""
    service: Service = request.app.state.service
    number = service.releases.last[0]
    given = dict(request.query_params)
    meant = [(fault, corrected(given, fault)) for fault in told.get("errors", ())]
    links = [(fault, query and f"?{urlencode(query, safe=',/')}") for fault, query in meant]
    at = str(request.scope.get("root_path", ""))
    frame = {"at": at, "number": number, "here": ""}
    content = render("problem.html", {**frame, "status": status, "told": told, "links": links})
    kept = {"Cache-Control": "no-store", **(headers or {})}
    if status == HTTPStatus.SERVICE_UNAVAILABLE:
        kept.setdefault("Retry-After", RETRY_AFTER)
    return Response(content, status, kept, HTML)
