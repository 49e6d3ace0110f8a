"""Trade: flows, shares and what there is of them."""

from enum import StrEnum
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query
from pydantic import AfterValidator, Field, StringConstraints
from sqlalchemy import ColumnElement, and_, case, cast, false, func, select, true
from sqlalchemy import Integer as SqlInteger
from starlette.requests import Request
from starlette.responses import Response

from app import codes
from app.answer import answer, answer_one
from app.api.envelope import listing, single
from app.ask import Ask
from app.evidence import EvidenceItem
from app.models import Country, TradeFlow, TradeShare
from app.params import (
    Count,
    Countries,
    Flows,
    Frequencies,
    ListParams,
    Many,
    Methods,
    Money,
    NotListed,
    Params,
    Percent,
    Periods,
    RecordParams,
    Sources,
    Speakers,
    Truth,
    Year,
    Years,
)
from app.query import Clause, Is, Label, Resource, Row, Where, WhereBy, select_rows

router = APIRouter(prefix="/v1/trade", tags=["Trade"])

Product = Annotated[
    str,
    StringConstraints(pattern=r"^[A-Za-z0-9]{1,12}$"),
    AfterValidator(str.upper),
    Field(description="code of the classification, leading zeros kept, or TOTAL"),
]
FLOW_ID = (
    TradeFlow.reporter + "." + TradeFlow.partner + "." + TradeFlow.flow + "." + TradeFlow.product + "."
    + TradeFlow.classification + "." + TradeFlow.frequency + "." + func.replace(TradeFlow.period, "/", "_") + "."
    + TradeFlow.source + "." + TradeFlow.stated_by
)  # fmt: skip
"""A flow's key in one word; evidence and addresses have it."""


LEVEL = case((TradeFlow.product == codes.TOTAL, 0), else_=func.length(TradeFlow.product))
"""How fine a product code is: its length, 0 for TOTAL. Codes of one level have no part in one another."""


class Side(StrEnum):
    """A side of a flow."""

    REPORTER = "reporter"
    PARTNER = "partner"


def are_economies(sides: tuple[Side, ...]) -> ColumnElement[bool]:
    """Narrow flows to those whose sides are economies, no aggregates."""
    aggregates = select(Country.iso3).where(Country.kind == codes.CountryKind.AGGREGATE)
    return and_(*(getattr(TradeFlow, side).not_in(aggregates) for side in sides))


def unless_open(column: Any) -> Any:
    """Give a key column, null where the source leaves it open."""
    return func.nullif(column, codes.NOT_STATED)


class FlowFilters(Params):
    """Filters of trade flows, wherever flows are asked."""

    reporter: Annotated[Countries, Where(TradeFlow.reporter)] = Field(
        (), description="whose record it is: any name or code of a country or group, such as KAZ"
    )
    partner: Annotated[Countries, Where(TradeFlow.partner)] = Field(
        (),
        description="the other side; central-asia means its members, XCA the aggregate's own row",
        examples=[["CHN"]],
    )
    country: Annotated[Countries, Where(TradeFlow.reporter, TradeFlow.partner)] = Field(
        (), description="either side, such as kazakhstan"
    )
    flow: Annotated[Flows, Where(TradeFlow.flow)] = Field((), description="also by UN Comtrade code: X, M, RX ...")
    product: Annotated[Many[Product], Where(TradeFlow.product)] = ()
    classification: Annotated[Many[Product], Where(TradeFlow.classification)] = Field(
        (), description="H0 to H6, S1 to S4, EB ..."
    )
    product_level: Annotated[Many[Count], Where(LEVEL)] = Field(
        (), description="length of product codes, 2, 4 or 6 in HS; 0 is TOTAL"
    )
    economies: Annotated[Many[Side], WhereBy(are_economies)] = Field(
        (), description="sides that must be economies, no aggregates such as WLD"
    )
    year: Annotated[Years, Where(TradeFlow.year)] = Field(
        (), description="calendar year the period lies in", examples=[[2024]]
    )
    year_from: Annotated[Year | None, Where(TradeFlow.year, op=">=")] = None
    year_to: Annotated[Year | None, Where(TradeFlow.year, op="<=")] = None
    period: Annotated[Periods, Where(TradeFlow.period)] = Field(
        (), description="2024, 2024-Q1, 2024-03 or 2025-01/2025-04"
    )
    frequency: Annotated[Frequencies, Where(TradeFlow.frequency)] = ()
    source: Annotated[Sources, Where(TradeFlow.source)] = Field((), description="slug or title")
    stated_by: Annotated[Speakers, Where(TradeFlow.stated_by)] = Field(
        (), description="expert or organization; `self` is the source's own voice"
    )
    method: Annotated[Methods, Where(TradeFlow.method)] = ()
    value_min: Annotated[Money | None, Where(TradeFlow.value_usd, op=">=")] = Field(None, description="US dollars")
    value_max: Annotated[Money | None, Where(TradeFlow.value_usd, op="<=")] = Field(None, description="US dollars")


class FlowParams(FlowFilters, ListParams):
    """Filters and page of trade flows."""

    latest: Annotated[Truth, NotListed()] = Field(False, description="only the most recent period of each series")


class FlowRow(Row):
    """A value of trade, as one source has it."""

    id: Annotated[str, Is(FLOW_ID)] = Field(description="the flow's key in one word")
    reporter: str = Field(description="whose record it is, ISO 3166-1 alpha-3")
    reporter_name: Annotated[str | None, Label("country", "reporter")]
    partner: str = Field(description="the other side, ISO 3166-1 alpha-3")
    partner_name: Annotated[str | None, Label("country", "partner")]
    flow: codes.Flow
    product: str = Field(description="code of the classification, or TOTAL")
    classification: Annotated[str | None, Is(unless_open(TradeFlow.classification))]
    frequency: Annotated[codes.Frequency | None, Is(unless_open(TradeFlow.frequency))]
    period: Annotated[str | None, Is(unless_open(TradeFlow.period))] = Field(description="null where it is not stated")
    period_start: str | None = Field(json_schema_extra={"format": "date"})
    period_end: str | None = Field(json_schema_extra={"format": "date"}, description="inclusive")
    year: int | None = Field(description="calendar year the period lies in")
    value_usd: int = Field(description="whole current US dollars")
    net_weight_kg: float | None
    valuation: codes.Valuation
    obs_status: codes.ObsStatus = Field(description="SDMX CL_OBS_STATUS")
    method: codes.Method
    inferred: list[str] = Field(description="fields that are our conclusion")
    source: str
    stated_by: Annotated[str | None, Is(unless_open(TradeFlow.stated_by))] = Field(
        description="null where the source speaks in its own voice"
    )
    stated_by_name: Annotated[str | None, Label("speaker", "stated_by")]
    note: str | None
    evidence: list[EvidenceItem]


FLOWS = Resource(
    "trade_flows",
    FlowRow,
    TradeFlow,
    tuple(getattr(TradeFlow, name) for name in TradeFlow.key),
    (),
    FLOW_ID,
)
SERIES = tuple(name for name in TradeFlow.key if name != "period")
"""Key of a series: a flow's without its period."""


def latest_only(ask: Ask, resource: Resource, clauses: tuple[Clause, ...]) -> tuple[Resource, tuple[Clause, ...]]:
    """Narrow flows to the most recent period of each series, where that is asked."""
    if not getattr(ask.params, "latest", False):
        return resource, clauses
    series = [getattr(TradeFlow, name) for name in SERIES]
    place = func.rank().over(partition_by=series, order_by=TradeFlow.period_end.desc().nulls_last())
    columns = [one.column.label(name) for name, one in resource.fields.items() if one.column is not None]
    keys = [getattr(TradeFlow, name).label(f"key_{name}") for name in TradeFlow.key]
    ranked = select_rows(resource, clauses, ask.edition.number, [*columns, *keys, place.label("place")]).subquery()
    key = tuple(ranked.c[f"key_{name}"] for name in TradeFlow.key)
    newest = ranked.c.place == 1
    return Resource(resource.record, FlowRow, ranked, key, resource.sort, ranked.c.id, lambda _: newest), ()


@router.get("/flows", operation_id="list_trade_flows", **listing(FlowRow))
def list_trade_flows(request: Request, params: Annotated[FlowParams, Query()]) -> Response:
    """List trade flows: every statement of every source, apart, with its words where they are known."""
    return answer(request, params, FLOWS, latest_only)


@router.get("/flows/{id}", operation_id="get_trade_flow", **single(FlowRow))
def get_trade_flow(
    request: Request,
    id: Annotated[str, Path(examples=["KAZ.CHN.total.TOTAL.-.A.2024.astana-times-2025-06.kaz-bns"])],
    params: Annotated[RecordParams, Query()],
) -> Response:
    """Get one trade flow."""
    parts = id.split(".")
    named = zip(TradeFlow.key, parts, strict=len(parts) == len(TradeFlow.key))
    same = [getattr(TradeFlow, name) == (part.replace("_", "/") if name == "period" else part) for name, part in named]
    condition = and_(*same) if len(parts) == len(TradeFlow.key) else false()
    return answer_one(request, params, FLOWS, lambda _: Clause("id", id, condition, ()))


class ShareParams(ListParams):
    """Filters of trade shares."""

    reporter: Annotated[Countries, Where(TradeShare.reporter)] = Field((), examples=[["KAZ"]])
    partner: Annotated[Countries, Where(TradeShare.partner)] = Field((), examples=[["CHN"]])
    country: Annotated[Countries, Where(TradeShare.reporter, TradeShare.partner)] = Field((), description="either side")
    within: Annotated[Countries, Where(TradeShare.within)] = Field((), description="whose trade is the whole")
    flow: Annotated[Flows, Where(TradeShare.flow)] = ()
    year: Annotated[Years, Where(func.coalesce(TradeShare.year, TradeShare.year_inferred))] = Field(
        (), description="year of the period; where the source names none, the one inferred, shown as year_inferred"
    )
    frequency: Annotated[Frequencies, Where(TradeShare.frequency)] = ()
    source: Annotated[Sources, Where(TradeShare.source)] = ()
    stated_by: Annotated[Speakers, Where(func.coalesce(TradeShare.stated_by, codes.NOT_STATED))] = Field(
        (), description="expert or organization; `self` is the source's own voice"
    )
    method: Annotated[Methods, Where(TradeShare.method)] = ()
    share_min: Annotated[Percent | None, Where(TradeShare.share_percent, op=">=")] = None
    share_max: Annotated[Percent | None, Where(TradeShare.share_percent, op="<=")] = None


class ShareRow(Row):
    """A partner's share of a reporter's trade, or its rank in it."""

    slug: str
    reporter: str
    reporter_name: Annotated[str | None, Label("country", "reporter")]
    partner: str
    partner_name: Annotated[str | None, Label("country", "partner")]
    flow: codes.Flow
    within: str = Field(description="the whole is the reporter's trade with this partner: WLD, XCA ...")
    share_percent: float | None
    rank: int | None = Field(description="only where stated")
    frequency: codes.Frequency | None
    period: str | None = Field(description="--01/--04 is January to April of a year that is not stated")
    period_start: str | None = Field(json_schema_extra={"format": "date"})
    period_end: str | None = Field(json_schema_extra={"format": "date"})
    year: int | None
    year_inferred: int | None = Field(description="our conclusion where the source names no year")
    method: codes.Method
    inferred: list[str] = Field(description="fields that are our conclusion")
    source: str
    stated_by: str | None
    stated_by_name: Annotated[str | None, Label("speaker", "stated_by")]
    note: str | None
    evidence: list[EvidenceItem]


SHARES = Resource(
    "trade_shares", ShareRow, TradeShare, (TradeShare.slug,), ("reporter", "flow", "slug"), TradeShare.slug
)


@router.get("/shares", operation_id="list_trade_shares", **listing(ShareRow))
def list_trade_shares(request: Request, params: Annotated[ShareParams, Query()]) -> Response:
    """List shares of trade and ranks, as they are stated."""
    return answer(request, params, SHARES)


class CoverageParams(FlowFilters, ListParams):
    """Filters and page of coverage."""


class CoverageRow(Row):
    """How much a source has of one reporter's trade with one partner in one year."""

    reporter: str
    reporter_name: Annotated[str | None, Label("country", "reporter")]
    partner: str
    partner_name: Annotated[str | None, Label("country", "partner")]
    year: int | None
    source: str
    flows: int = Field(description="trade flows there are")
    products: int = Field(description="products among them, TOTAL included")
    periods: int = Field(description="periods among them")


COVERED = ("reporter", "partner", "year", "source")


def count_flows(ask: Ask, resource: Resource, clauses: tuple[Clause, ...]) -> tuple[Resource, tuple[Clause, ...]]:
    """Count the flows that the filters leave by reporter, partner, year and source."""
    dimensions = [getattr(TradeFlow, name) for name in COVERED]
    counts = {
        "flows": func.count(),
        "products": func.count(TradeFlow.product.distinct()),
        "periods": func.count(TradeFlow.period.distinct()),
    }
    columns = [*dimensions, *(cast(count, SqlInteger).label(name) for name, count in counts.items())]
    counted = select_rows(resource, clauses, ask.edition.number, columns).group_by(*dimensions).subquery()
    key = tuple(counted.c[name] for name in COVERED)
    return Resource(
        "trade_coverage", CoverageRow, counted, key, ("reporter", "partner", "year"), visible=lambda _: true()
    ), ()


@router.get("/coverage", operation_id="list_trade_coverage", **listing(CoverageRow))
def list_trade_coverage(request: Request, params: Annotated[CoverageParams, Query()]) -> Response:
    """List which reporters, partners, years and sources have data, with counts."""
    return answer(request, params, FLOWS, count_flows)
