"""Trade: flows, shares and what there is of them."""

from enum import StrEnum
from typing import Annotated

from fastapi import APIRouter, Path, Query
from pydantic import Field
from sqlalchemy import Integer, and_, case, cast, false, func, select
from starlette.requests import Request
from starlette.responses import Response

from app import codes
from app.answer import answer, answer_one
from app.ask import Ask
from app.envelope import listing, single
from app.errors import Contradiction, Fault, OverLimit
from app.evidence import EvidenceItem
from app.filters import Clause, Where
from app.flows import FLOWS, FlowFilters, FlowRow, ProductName
from app.models import TradeFlow, TradeShare
from app.params import (
    Countries,
    Flows,
    Frequencies,
    ListParams,
    Methods,
    NotListed,
    Percent,
    RecordParams,
    Sources,
    Speakers,
    Truth,
    Years,
)
from app.query import Label, Open, Resource, Row, Spread, every_row, select_rows
from app.routes import TableRoute

router = APIRouter(prefix="/v1/trade", tags=["Trade"], route_class=TableRoute)


class Shape(StrEnum):
    """How flows are laid out."""

    LONG = "long"
    WIDE = "wide"
    ARRAY = "array"


class FlowParams(FlowFilters, ListParams):
    """Filters and page of trade flows."""

    shape: Annotated[Shape, NotListed()] = Field(  # type: ignore[assignment]  # it has one shape more than lists have
        Shape.LONG,
        description="long is a row a flow; wide a row a series with a value in US dollars a period: members of "
        "`values` in json and ndjson, columns in the others; the periods must be of one frequency; array is long "
        "without envelope, a bare JSON array",
    )

    latest: Annotated[Truth, NotListed()] = Field(False, description="only the most recent period of each series")


SERIES = tuple(name for name in TradeFlow.key if name != "period")
"""Key of a series: a flow's without its period."""


OF_VALUE = frozenset({"value_min", "value_max", "method"})
"""Filters that look at what a flow says, not at which it is: they do not make an older period the latest."""


def latest_only(ask: Ask, resource: Resource, clauses: tuple[Clause, ...]) -> tuple[Resource, tuple[Clause, ...]]:
    """Narrow flows to the most recent period of each series, where that is asked; undated flows have none."""
    if not getattr(ask.params, "latest", False):
        return resource, clauses
    series = [getattr(TradeFlow, name) for name in SERIES]
    place = func.rank().over(partition_by=series, order_by=TradeFlow.period_end.desc())
    kept = and_(TradeFlow.value_usd >= 0, *(clause.condition for clause in clauses if clause.parameter in OF_VALUE))
    columns = [one.column.label(name) for name, one in resource.fields.items() if one.column is not None]
    keys = [getattr(TradeFlow, name).label(f"key_{name}") for name in TradeFlow.key]
    marks = [place.label("place"), case((kept, 1), else_=0).label("kept")]
    which = [clause for clause in clauses if clause.parameter not in OF_VALUE]
    dated = select_rows(resource, which, ask.edition.number, [*columns, *keys, *marks])
    ranked = dated.where(TradeFlow.period_end.is_not(None)).subquery()
    key = tuple(ranked.c[f"key_{name}"] for name in TradeFlow.key)
    newest = and_(ranked.c.place == 1, ranked.c.kept == 1)
    return Resource(resource.record, FlowRow, ranked, key, (), "id", lambda _: newest), ()


class SeriesRow(Row):
    """A series of trade flows: one row for all its periods."""

    reporter: str
    reporter_name: Annotated[str | None, Label("country", "reporter")]
    partner: str
    partner_name: Annotated[str | None, Label("country", "partner")]
    flow: codes.Flow
    product: str
    product_name: ProductName
    classification: Annotated[str | None, Open()]
    frequency: Annotated[codes.Frequency | None, Open()]
    source: str
    stated_by: Annotated[str | None, Open()]
    stated_by_name: Annotated[str | None, Label("speaker", "stated_by")]
    breakdown: Annotated[str | None, Open()]
    values: Annotated[dict[str, int | None], Spread()] = Field(
        description="whole current US dollars by period, null where there is no flow; in csv a column a period"
    )


PERIODS_MAX = 200
"""Periods that a wide answer may have."""


def series(ask: Ask, _: Resource, clauses: tuple[Clause, ...]) -> tuple[Resource, tuple[Clause, ...]]:
    """Group flows by series, with the value of each period that the filters leave; undated flows have none."""
    if getattr(ask.params, "latest", False):
        raise Contradiction.of(Fault("latest", "true", "latest leaves a series one period: ask for it in shape=long"))
    dated = Clause.of("period", ("dated",), TradeFlow.period != codes.NOT_STATED, ())
    values = {
        period: func.max(case((TradeFlow.period == period, TradeFlow.value_usd))) for period in periods(ask, clauses)
    }
    key = tuple(getattr(TradeFlow, name) for name in SERIES)
    return Resource("trade_series", SeriesRow, TradeFlow, key, (), grouped=key, spread=values), (*clauses, dated)


def periods(ask: Ask, clauses: tuple[Clause, ...]) -> list[str]:
    """Give the periods of a wide answer, none where the client holds it. Raises Contradiction, OverLimit."""
    if ask.is_known:
        return []
    columns = (TradeFlow.frequency, TradeFlow.period)
    query = select_rows(FLOWS, clauses, ask.edition.number, columns).where(TradeFlow.period != codes.NOT_STATED)
    with ask.read() as connection:
        found = connection.execute(query.distinct()).all()
    frequencies = sorted({str(frequency) for frequency, _ in found})
    if len(frequencies) > 1:
        message = f"a wide answer has periods of one frequency, these flows have {', '.join(frequencies)}"
        fault = Fault("frequency", None, message, tuple(frequencies))
        askable = next(one for one in frequencies if one != codes.NOT_STATED)
        raise Contradiction.of(fault, corrected=ask.link(frequency=askable, cursor=None))
    if len(found) > PERIODS_MAX:
        message = f"these flows are of {len(found)} periods, a wide answer has at most {PERIODS_MAX}: name years"
        raise OverLimit.of(Fault("year", None, message))
    return sorted(period for _, period in found)


def laid_out(ask: Ask, resource: Resource, clauses: tuple[Clause, ...]) -> tuple[Resource, tuple[Clause, ...]]:
    """Give flows in the shape that is asked."""
    is_wide = getattr(ask.params, "shape", Shape.LONG) == Shape.WIDE
    return (series if is_wide else latest_only)(ask, resource, clauses)


@router.get("/flows", operation_id="list_trade_flows", **listing(FlowRow | SeriesRow))
def list_trade_flows(request: Request, params: Annotated[FlowParams, Query()]) -> Response:
    """List trade flows: every statement of every source, apart, with its words where they are known."""
    return answer(request, params, FLOWS, laid_out)


@router.get("/flows/{id}", operation_id="get_trade_flow", **single(FlowRow))
def get_trade_flow(
    request: Request,
    id: Annotated[str, Path(examples=["KAZ.CHN.total.TOTAL.-.A.2024.astana-times-2025-06.kaz-bns"])],
    params: Annotated[RecordParams, Query()],
) -> Response:
    """Get one trade flow."""
    parts = id.split(".")
    if len(parts) == len(TradeFlow.key) - 1:
        parts.append(codes.NOT_STATED)
    elif parts[-1] == codes.NOT_STATED:
        parts = []
    named = zip(TradeFlow.key, parts, strict=len(parts) == len(TradeFlow.key))
    same = [getattr(TradeFlow, name) == (part.replace("_", "/") if name == "period" else part) for name, part in named]
    condition = and_(*same) if len(parts) == len(TradeFlow.key) else false()
    return answer_one(request, params, FLOWS, lambda _: Clause.of("id", id, condition, ()))


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
    qualifier: codes.Qualifier | None = Field(description="how exactly the share is stated: nearly, around ...")
    share_lower: float | None = Field(description="least share that digits and qualifier allow")
    share_upper: float | None = Field(description="greatest share that digits and qualifier allow")
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


SHARES = Resource("trade_shares", ShareRow, TradeShare, (TradeShare.slug,), ("reporter", "flow", "slug"), "slug")


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
    columns = [*dimensions, *(cast(count, Integer).label(name) for name, count in counts.items())]
    groups = select_rows(resource, clauses, ask.edition.number, columns).group_by(*dimensions).subquery()
    counted = select(groups, func.count().over().label("there_are")).subquery()
    key = tuple(counted.c[name] for name in COVERED)
    order = ("reporter", "partner", "year")
    found = Resource("trade_coverage", CoverageRow, counted, key, order, visible=every_row, counted=counted.c.there_are)
    return found, ()


@router.get("/coverage", operation_id="list_trade_coverage", **listing(CoverageRow))
def list_trade_coverage(request: Request, params: Annotated[CoverageParams, Query()]) -> Response:
    """List which reporters, partners, years and sources have data, with counts."""
    return answer(request, params, FLOWS, count_flows)
