"""Charts over HTTP: the list of them, and each as SVG, as PNG and as a Vega-Lite specification."""

from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field
from starlette.requests import Request
from starlette.responses import Response

from app.answer import json_response, unchanged
from app.ask import asked
from app.charts.answers import CHARTS, answer
from app.charts.draw import DRAWINGS, is_there
from app.charts.params import (
    CompareChart,
    CompareImage,
    ProjectsChart,
    ProjectsImage,
    TradeChart,
    TradeImage,
)
from app.envelope import HEADERS, OTHER, UNCHANGED, Page, named, problems
from app.errors import Fault, NoSuchRecord
from app.nearest import nearest
from app.params import Params
from app.routes import TableRoute

router = APIRouter(prefix="/v1", tags=["Charts"])
lists = APIRouter(route_class=TableRoute)


class ChartParams(Params):
    """What the list of charts takes: the release alone."""


class ChartFormat(BaseModel):
    """A way to have a chart."""

    format: str
    path: str = Field(description="of this release, with the parameters of the example")
    media_type: str
    is_served: bool = Field(description="false where the library that draws is not installed")


class ChartItem(BaseModel):
    """A chart."""

    name: str = Field(description="its name in the paths of its pictures")
    title: str
    description: str
    rows: str = Field(description="path of the answer that it draws, whose filters it takes")
    formats: list[ChartFormat]
    example: str = Field(description="path of an example")


@lists.get(
    "/charts",
    operation_id="list_charts",
    response_model=named(Page, ChartItem),
    responses={200: {"description": "Charts", "headers": HEADERS}, **UNCHANGED, **problems(406, 422, 503), **OTHER},
)
def list_charts(request: Request, params: Annotated[ChartParams, Query()]) -> Response:
    """List the charts, with what each shows, its formats and an example."""
    ask = asked(request, params)
    if ask.is_known:
        return unchanged(ask)
    body = []
    for chart in CHARTS.values():
        query = {**chart.example, "release": ask.edition.number}
        formats = [
            {
                "format": one.suffix,
                "path": ask.link_to(f"/v1/charts/{chart.name}.{one.suffix}", query),
                "media_type": one.media_type,
                "is_served": is_there() or not one.is_drawn,
            }
            for one in DRAWINGS.values()
        ]
        told = {"name": chart.name, "title": chart.title, "description": chart.description}
        rows = next(iter(chart.asks.values())).path
        body.append({**told, "rows": ask.link_to(rows, {}), "formats": formats, "example": formats[0]["path"]})
    meta: dict[str, Any] = {"total": len(body), "limit": None, "release": ask.edition.number, "warnings": []}
    return json_response(ask, {"data": body, "meta": meta, "links": {"self": ask.link(), "next": None}})


router.include_router(lists)


def a_picture(suffix: str) -> dict[str, Any]:
    """Declare a route that answers a chart."""
    media_type = DRAWINGS[suffix].media_type
    schema = {"svg": {"type": "string"}, "png": {"type": "string", "format": "binary"}}.get(suffix, {"type": "object"})
    return {
        "response_class": Response,
        "responses": {
            200: {"description": "The chart", "content": {media_type: {"schema": schema}}, "headers": HEADERS},
            **UNCHANGED,
            **problems(406, 422, 503),
            **OTHER,
        },
    }


@router.get("/charts/trade.svg", operation_id="draw_trade_svg", **a_picture("svg"))
async def draw_trade_svg(request: Request, params: Annotated[TradeChart, Query()]) -> Response:
    """Draw trade flows as SVG: lines over time, a bar a statement, or a panel a speaker; never one line of two."""
    return await answer(request, params, CHARTS["trade"], DRAWINGS["svg"])


@router.get("/charts/trade.png", operation_id="draw_trade_png", **a_picture("png"))
async def draw_trade_png(request: Request, params: Annotated[TradeImage, Query()]) -> Response:
    """Draw trade flows as PNG: lines over time, a bar a statement, or a panel a speaker; never one line of two."""
    return await answer(request, params, CHARTS["trade"], DRAWINGS["png"])


@router.get("/charts/trade.vl.json", operation_id="describe_trade_chart", **a_picture("vl.json"))
async def describe_trade_chart(request: Request, params: Annotated[TradeChart, Query()]) -> Response:
    """Get the chart of trade flows as a Vega-Lite specification, its data in it."""
    return await answer(request, params, CHARTS["trade"], DRAWINGS["vl.json"])


@router.get("/charts/compare.svg", operation_id="draw_compare_svg", **a_picture("svg"))
async def draw_compare_svg(request: Request, params: Annotated[CompareChart, Query()]) -> Response:
    """Draw every statement of the trade of two countries by year, and the gap over time, as SVG."""
    return await answer(request, params, CHARTS["compare"], DRAWINGS["svg"])


@router.get("/charts/compare.png", operation_id="draw_compare_png", **a_picture("png"))
async def draw_compare_png(request: Request, params: Annotated[CompareImage, Query()]) -> Response:
    """Draw every statement of the trade of two countries by year, and the gap over time, as PNG."""
    return await answer(request, params, CHARTS["compare"], DRAWINGS["png"])


@router.get("/charts/compare.vl.json", operation_id="describe_compare_chart", **a_picture("vl.json"))
async def describe_compare_chart(request: Request, params: Annotated[CompareChart, Query()]) -> Response:
    """Get the chart of a comparison as a Vega-Lite specification, its data in it."""
    return await answer(request, params, CHARTS["compare"], DRAWINGS["vl.json"])


@router.get("/charts/projects.svg", operation_id="draw_projects_svg", **a_picture("svg"))
async def draw_projects_svg(request: Request, params: Annotated[ProjectsChart, Query()]) -> Response:
    """Draw projects by status as SVG: what portfolios state, and apart from it the named projects."""
    return await answer(request, params, CHARTS["projects"], DRAWINGS["svg"])


@router.get("/charts/projects.png", operation_id="draw_projects_png", **a_picture("png"))
async def draw_projects_png(request: Request, params: Annotated[ProjectsImage, Query()]) -> Response:
    """Draw projects by status as PNG: what portfolios state, and apart from it the named projects."""
    return await answer(request, params, CHARTS["projects"], DRAWINGS["png"])


@router.get("/charts/projects.vl.json", operation_id="describe_projects_chart", **a_picture("vl.json"))
async def describe_projects_chart(request: Request, params: Annotated[ProjectsChart, Query()]) -> Response:
    """Get the chart of projects by status as a Vega-Lite specification, its data in it."""
    return await answer(request, params, CHARTS["projects"], DRAWINGS["vl.json"])


@router.get("/charts/{file}", include_in_schema=False)
def no_such_chart(file: str) -> Response:
    """Say which chart is like one that there is not."""
    known = [f"{name}.{suffix}" for name in CHARTS for suffix in DRAWINGS]
    message = f"there is no chart {file[:60]!r}; /v1/charts lists them"
    raise NoSuchRecord.of(Fault("chart", file, message, did_you_mean=nearest(file, known)))
