"""A request for a chart to its answer: what `/v1` answers is asked from within, pinned to one release, and drawn.

A chart has no way to the data but the one that everybody has. What `/v1` refuses is handed on as it is.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import anyio
from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response

from app.answer import unchanged
from app.ask import Ask, Service, asked
from app.charts.compare import compare
from app.charts.draw import Drawing, drawn_by, refuse_undrawn
from app.charts.frame import Picture, specification
from app.charts.given import Given
from app.charts.params import OF_CHARTS
from app.charts.projects import projects
from app.charts.rows import sources_of
from app.charts.trade import trade
from app.errors import PROBLEM_JSON, RETRY_AFTER, Busy
from app.within import Refused, read

FLOW_FIELDS = (
    "reporter,reporter_name,partner,partner_name,flow,product,product_name,classification,frequency,period,value_usd,"
    "obs_status,method,source,stated_by,stated_by_name,breakdown"
)
PAGE = 1000
"""Most rows that a chart is made of."""
Query = Mapping[str, str]


@dataclass(frozen=True)
class Asked:
    """A request to `/v1` that a chart is made of: the filters of the chart, and these parameters."""

    path: str
    more: Query
    is_page: bool = True


@dataclass(frozen=True)
class Chart:
    """A chart that there is."""

    name: str
    title: str
    description: str
    example: Query
    asks: Mapping[str, Asked]  # the first has the rows that the picture names as its own
    build: Callable[[Given], Picture]


CHARTS = {
    chart.name: chart
    for chart in (
        Chart(
            "trade",
            "Trade flows",
            "Trade values as each source has them: lines over time, a bar a statement, or a panel a speaker.",
            {"partner": "CHN", "kind": "bars"},
            {"flows": Asked("/v1/trade/flows", {"fields": FLOW_FIELDS})},
            trade,
        ),
        Chart(
            "compare",
            "Trade compared",
            "Every statement of the trade of two countries, both sides and third voices, and the gap over time.",
            {"reporter": "KAZ", "partner": "CHN"},
            {"trades": Asked("/v1/trade/compare", {}, is_page=False)},
            compare,
        ),
        Chart(
            "projects",
            "Projects by status",
            "What sources state of many projects at once, and apart from it the projects that they name.",
            {},
            {
                "summary": Asked("/v1/projects/summary", {}, is_page=False),
                "portfolios": Asked(
                    "/v1/projects/portfolios",
                    {"fields": "slug,name,status,project_count,value_usd,source,stated_by,stated_by_name"},
                ),
                "projects": Asked("/v1/projects", {"fields": "slug,name,source"}),
            },
            projects,
        ),
    )
}


async def answer(request: Request, params: BaseModel, chart: Chart, drawing: Drawing) -> Response:
    """Answer with a chart, 304, or what `/v1` refuses. Raises what is wrong with the request, Busy, NotAcceptable."""
    ask = await anyio.to_thread.run_sync(settled, request, params, drawing)
    if ask.is_known:
        return unchanged(ask)
    try:
        answers = await asked_within(ask, chart)
    except Refused as refused:
        headers = {"Cache-Control": "no-store"}
        if refused.status == HTTPStatus.SERVICE_UNAVAILABLE:
            headers["Retry-After"] = RETRY_AFTER
        return Response(refused.body, refused.status, headers, PROBLEM_JSON)
    body = await in_turn(ask.service, lambda: made(ask, chart, drawing, answers))
    if ask.takes_none:
        return unchanged(ask)
    return Response(body, headers=ask.headers, media_type=drawing.media_type)


def settled(request: Request, params: BaseModel, drawing: Drawing) -> Ask:
    """Settle a request whose path names the format, whatever it accepts. Raises what is wrong."""
    refuse_undrawn(drawing)
    return asked(request, params, form=f"{drawing.suffix} {drawn_by() if drawing.is_drawn else ''}")


def filters_of(ask: Ask) -> dict[str, str]:
    """Give the parameters of a chart that the answer which is drawn takes, too."""
    return {name: value for name, value in ask.canonical if name not in OF_CHARTS}


async def asked_within(ask: Ask, chart: Chart) -> dict[str, dict[str, Any]]:
    """Give the answers that a chart is made of, and every source. Raises Refused."""
    release = {"release": str(ask.edition.number)}
    limit = {"limit": str(min(PAGE, ask.service.settings.page_limit_max))}
    found = {}
    for name, one in {**chart.asks, "sources": Asked("/v1/sources", {})}.items():
        filters = {} if name == "sources" else filters_of(ask)
        query = {**filters, **one.more, **(limit if one.is_page else {}), **release}
        found[name] = await read(ask.request, one.path, ask.link_to("", query).partition("?")[2])
    return found


async def in_turn(service: Service, draw: Callable[[], bytes]) -> bytes:
    """Draw in a thread, once it is its turn: the library draws one at a time. Raises Busy when that takes long."""
    with anyio.move_on_after(service.settings.pool_wait):
        await service.drawings.acquire_on_behalf_of(draw)
        try:
            with anyio.CancelScope(shield=True):
                return await anyio.to_thread.run_sync(draw)
        finally:
            service.drawings.release_on_behalf_of(draw)
    raise Busy("the service draws as many charts as it can: try again shortly")


def made(ask: Ask, chart: Chart, drawing: Drawing, answers: Mapping[str, Mapping[str, Any]]) -> bytes:
    """Give the bytes of a chart. Raises OverLimit."""
    params: Any = ask.params
    sources = sources_of(answers["sources"]["data"])
    names = ask.edition.names
    picture = chart.build(Given(params, answers, sources, lambda code: names.label("country", code) or code))
    path = next(iter(chart.asks.values())).path
    link = ask.link_to(path, {**filters_of(ask), "release": ask.edition.number})
    lines = [sources[slug].line if slug in sources else f"Source: {slug}" for slug in picture.sources]
    meta = {"khorgos": {"release": ask.edition.number, "link": link, "sources": list(picture.sources), "lines": lines}}
    cited = [*lines, f"Khorgos release {ask.edition.number}, rows at {link}"]
    found = specification(picture, params.theme, params.width, cited, meta)
    return drawing.write(found, getattr(params, "scale", 1.0))
