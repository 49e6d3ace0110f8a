"""The application: middleware, error handlers, routers. Assembly only."""

import logging
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from anyio import to_thread
from fastapi import FastAPI
from fastapi.openapi.docs import get_redoc_html
from starlette.requests import Request
from starlette.responses import HTMLResponse
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Receive, Scope, Send

from app import __version__, errors, mcp, openapi, refusals, schema, web
from app.api import (
    catalog,
    checks,
    compare,
    countries,
    events,
    exports,
    figures,
    health,
    index,
    people,
    products,
    projects,
    quotes,
    releases,
    sdmx,
    search,
    totals,
    trade,
)
from app.ask import Service
from app.cache import Cache
from app.charts import routes as charts
from app.compress import Compress
from app.db import Database
from app.edge import Edge
from app.exports.answers import Exports
from app.guard import Guard, Preflight
from app.metrics import Metrics
from app.notice import Notices
from app.releases import Releases
from app.replica import Reach, replica_of
from app.settings import Settings
from app.store import Store
from app.tables import TABLES
from app.telemetry import Traces

if TYPE_CHECKING:
    from app.rate import Rate

log = logging.getLogger("khorgos")
STATIC = Path(__file__).parent / "static"
EXPOSED = (
    *("Link", "ETag", "Last-Modified", "Retry-After", "Content-Disposition", "Accept-Ranges", "Content-Range"),
    *("X-Request-Id", "RateLimit", "RateLimit-Policy"),
)
THREADS = 16
"""Threads beside those of the requests and exports there are places for: pages, charts, looks for a new release."""
REPLAY = 5.0
"""Seconds a replica has for a revision of the schema that the primary got just now."""
ROUTERS = (
    *(trade, totals, compare, projects, quotes, people, events, figures, checks),
    *(countries, products, search, releases, exports, charts, catalog, sdmx, index, health),
)


class Application(FastAPI):
    """FastAPI with a front before it: what is answered from memory does not take its way in, of some microseconds."""

    def __init__(self, **options: Any) -> None:  # Any: handed on to FastAPI
        super().__init__(**options)
        self.front: ASGIApp = super().__call__

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer."""
        await self.front(scope, receive, send)


def create_app(settings: Settings | None = None) -> FastAPI:
    """Build the application."""
    settings = settings or Settings()
    database = Database(settings)
    current = Releases(database, settings.release_ttl, replica_of(settings))
    metrics = Metrics()
    traces = Traces() if settings.otel else None

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        to_thread.current_default_thread_limiter().total_tokens = settings.queries + settings.exports + THREADS
        with opened(current):
            yield
        if traces:
            await to_thread.run_sync(traces.close)

    app = Application(
        title="Khorgos",
        version=__version__,
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    app.state.service = Service(settings, database, current)
    app.state.exports = Exports(app.state.service, TABLES)
    app.state.metrics = metrics
    app.state.store = Store(settings.cache_bytes)
    app.state.traces = traces
    refusals.install(app)
    for module in ROUTERS:
        app.include_router(module.router)
    add_pages(app)
    app.router.routes.append(mcp.route())
    app.router.routes.extend(view.route() for view in web.VIEWS)
    app.openapi = lambda: openapi.describe(app)  # type: ignore[method-assign]  # FastAPI's own way to extend it
    app.add_middleware(Compress)
    app.add_middleware(Guard, settings=settings, metrics=metrics)
    app.add_middleware(
        Preflight,
        allow_origins=["*"],
        allow_methods=["GET", "HEAD", "POST"],  # POST is for /mcp; elsewhere the guard refuses it
        allow_headers=["*"],
        expose_headers=EXPOSED,
    )
    set_front(app)
    return app


def set_front(app: Application) -> None:
    """Put before FastAPI what stands before it: kept answers, then the edge, then traces."""
    service: Service = app.state.service
    settings, inner = service.settings, app.front
    if settings.cache_bytes:
        pages = tuple(view.prefix for view in web.VIEWS)
        app.front = Cache(inner, settings, service.releases, app.state.metrics, app.state.store, pages)
    app.front = Edge(app.front, inner, settings, rate_of(settings))
    if app.state.traces:
        app.front = app.state.traces.follow(app.front)


def rate_of(settings: Settings) -> "Rate | None":
    """Give what counts the requests of each client, where the settings ask for it."""
    if not settings.rate_limit and not settings.export_rate_limit:
        return None
    from app.rate import Rate  # its library takes a tenth of a second to start

    return Rate(settings.rate_limit, settings.export_rate_limit)


@contextmanager
def opened(current: Releases) -> Iterator[None]:
    """Check the databases, hear of releases meanwhile, and let every connection go at the end."""
    with closing(current.databases) as databases:
        for one in databases.all:
            check_schema(one)
        if databases.primary.database.is_sqlite:
            yield
            return
        with closing(Notices(current)) as notices:
            notices.start()
            yield


def check_schema(reach: Reach) -> None:
    """Refuse to start on a database of another version; one that cannot be reached may come back.

    A replica that has not yet got a revision is waited for a while.
    """
    end = time.monotonic() + (REPLAY if reach.name == "replica" else 0)
    while True:
        try:
            return schema.require_head(reach.database)
        except errors.DatabaseUnavailable as error:
            return log.warning("not ready: %s: %s", reach.name, error)
        except errors.SchemaMismatch:
            if time.monotonic() > end:
                raise
        time.sleep(0.1)


def add_pages(app: FastAPI) -> None:
    """Add static files and the reference, which ask nothing of any other host."""
    app.mount("/static", StaticFiles(directory=STATIC), "static")

    @app.get("/redoc", include_in_schema=False)
    def redoc(request: Request) -> HTMLResponse:
        at = request.scope.get("root_path", "")
        return get_redoc_html(
            openapi_url=f"{at}/openapi.json",
            title="Khorgos: reference",
            redoc_js_url=f"{at}/static/redoc.standalone.js",
            redoc_favicon_url=f"{at}/static/favicon.svg",
            with_google_fonts=False,
        )
