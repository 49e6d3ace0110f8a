"""Totals: sums of trade flows that never count one trade twice.

What a sum would mix is kept apart instead: source and speaker, flow, classification and level of product, frequency,
periods that overlap, and aggregates such as the World beside the economies. What cannot be kept apart without changing
the question, one turnover reported from both sides, is refused with a corrected request.
"""

from enum import StrEnum
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import Field
from sqlalchemy import BigInteger, Connection, Float, Integer, String, case, cast, func, literal, null, or_, select
from starlette.requests import Request
from starlette.responses import Response

from app import codes
from app.answer import answer
from app.ask import Ask
from app.envelope import listing
from app.errors import Contradiction, Fault, WouldDoubleCount
from app.flows import FLOWS, LEVEL, FlowFilters, Side, unless_open
from app.models import TradeFlow
from app.names import OWN_VOICE
from app.params import ListParams, Many, NotListed, Truth
from app.query import Clause, Label, Made, Resource, Row, every_row, select_rows

router = APIRouter(prefix="/v1/trade", tags=["Trade"])


class Dimension(StrEnum):
    """What totals can be grouped by."""

    REPORTER = "reporter"
    PARTNER = "partner"
    FLOW = "flow"
    YEAR = "year"
    PRODUCT = "product"
    SOURCE = "source"


MIXED = frozenset({Dimension.FLOW, Dimension.SOURCE})
"""Dimensions whose members are never added to each other."""
ADDED = tuple(one for one in Dimension if one not in MIXED)


class TotalsParams(FlowFilters, ListParams):
    """Filters, grouping and page of totals."""

    group_by: Annotated[Many[Dimension], NotListed()] = Field(
        description="what the sums are by; source, flow and whatever cannot be added are kept apart besides",
        examples=[["year"]],
        min_length=1,
    )
    share: Annotated[Dimension | None, NotListed()] = Field(
        None, description="one of group_by: each sum's share of all sums that differ in it only"
    )
    growth: Annotated[Truth, NotListed()] = Field(
        False, description="change from the year before, in percent; group_by must have year"
    )


def rows_added(total: dict[str, Any], ask: Ask) -> str:
    """Give the path that lists the very flows a total is the sum of."""
    own: dict[str, Any] = {name: total[name] for name in LINEAGE if total[name] is not None}
    own["stated_by"] = total["stated_by"] or OWN_VOICE
    own["classification"] = total["classification"] or codes.NOT_STATED
    if total["frequency"] is None or total["period"] is not None:
        own["period"] = total["period"] or codes.NOT_STATED
    own["economies"] = tuple(side for side in Side if total[side] is None) or None
    asked = {name: value for name, value in ask.canonical if name in FlowFilters.model_fields}
    return ask.link_to("/v1/trade/flows", {**asked, **own, "release": ask.edition.number})


LINEAGE = ("reporter", "partner", "flow", "product", "product_level", "frequency", "year", "source")


class TotalRow(Row):
    """A sum of flows that may be added; a dimension that is summed over is null."""

    reporter: str | None
    reporter_name: Annotated[str | None, Label("country", "reporter")]
    partner: str | None
    partner_name: Annotated[str | None, Label("country", "partner")]
    flow: codes.Flow
    product: str | None
    product_level: int = Field(description="length of the product codes added; 0 is TOTAL")
    classification: str | None
    frequency: codes.Frequency | None
    year: int | None
    period: str | None = Field(description="the one period, where only one is added")
    periods: int = Field(description="periods added")
    source: str
    stated_by: str | None = Field(description="null where the source speaks in its own voice")
    stated_by_name: Annotated[str | None, Label("speaker", "stated_by")]
    value_usd: int = Field(description="whole current US dollars")
    rows: int = Field(description="flows added")
    rows_inferred: int = Field(description="those of them that are in part our conclusion")
    share_of_usd: int | None = Field(description="the sums that differ in the dimension of `share` only, added")
    share_percent: float | None = Field(description="of share_of_usd; an aggregate such as WLD is no part and has none")
    growth_percent: float | None = Field(description="change from the sum of the year before")
    formula: Annotated[str, Made(lambda row, _: f"sum of value_usd of {row['rows']} trade flows", ("rows",))]
    lineage: Annotated[str, Made(rows_added, (*LINEAGE, "classification", "period", "stated_by"))] = Field(
        description="path that lists the flows added"
    )


def sums(ask: Ask, resource: Resource, clauses: tuple[Clause, ...]) -> tuple[Resource, tuple[Clause, ...]]:
    """Sum the flows that the filters leave, by the dimensions asked and all that must stay apart."""
    params: Any = ask.params
    refuse_unknown_base(params, ask.link(share=None))
    sides_apart = {Dimension.REPORTER, Dimension.PARTNER} & set(params.group_by) - {params.share}
    refuse = None if sides_apart else partial(refuse_mirrors, ask, resource, clauses)
    apart = kept_apart(params.group_by, ask.edition.names.aggregates)
    flow = TradeFlow
    one_period = case((func.count(flow.period.distinct()) == 1, func.min(unless_open(flow.period))), else_=null())
    columns = [
        *(column.label(name) for name, column in apart.items()),
        one_period.label("period"),
        cast(func.count(flow.period.distinct()), Integer).label("periods"),
        cast(func.sum(flow.value_usd), BigInteger).label("value_usd"),
        cast(func.count(), Integer).label("rows"),
        cast(func.sum(case((flow.method == codes.Method.INFERRED, 1), else_=0)), Integer).label("rows_inferred"),
    ]
    summed = select_rows(resource, clauses, ask.edition.number, columns).group_by(*apart.values()).subquery()
    c = summed.c
    keys = [c[name] for name in apart]
    whole = whole_of(params, summed, keys, ask.edition.names.aggregates)
    percent = 100.0 * cast(c.value_usd, Float) / func.nullif(cast(whole, Float), 0.0)
    ratios = [
        cast(whole, BigInteger).label("share_of_usd"),
        percent.label("share_percent"),
        growth(params, summed, keys).label("growth_percent"),
    ]
    voice = unless_open(c.voice).label("stated_by")
    family = unless_open(c.family).label("classification")
    rhythm = unless_open(c.rhythm).label("frequency")
    rated = select(summed, *ratios, voice, family, rhythm).subquery()
    order = tuple(name for name in ("year", "reporter", "partner", "flow", "product") if name in apart)
    key = tuple(rated.c[name] for name in apart)
    return Resource("trade_totals", TotalRow, rated, key, order, visible=every_row, refuse=refuse), ()


def kept_apart(group_by: tuple[Dimension, ...], aggregates: frozenset[str]) -> dict[str, Any]:
    """Give the expressions that a sum is by: what is asked, and what must not be added."""
    flow, nothing = TradeFlow, cast(null(), String)
    by_year = Dimension.YEAR in group_by

    def side(column: Any, dimension: Dimension) -> Any:
        return column if dimension in group_by else case((column.in_(aggregates), column), else_=nothing)

    months = func.replace(flow.period, cast(flow.year, String), "") if by_year else flow.period
    overlapping = or_(flow.frequency == codes.Frequency.YEAR_TO_DATE, flow.frequency == codes.NOT_STATED)
    return {
        "reporter": side(flow.reporter, Dimension.REPORTER),
        "partner": side(flow.partner, Dimension.PARTNER),
        "flow": flow.flow,
        "product": flow.product if Dimension.PRODUCT in group_by else case((LEVEL == 0, flow.product), else_=nothing),
        "product_level": LEVEL,
        "family": flow.classification,
        "rhythm": flow.frequency,
        "year": flow.year if by_year else cast(null(), Integer),
        "months": case((overlapping, months), else_=nothing),
        "source": flow.source,
        "voice": flow.stated_by,
    }


def whole_of(params: TotalsParams, summed: Any, keys: list[Any], aggregates: frozenset[str]) -> Any:
    """Give the sum of all sums that differ in one dimension only; an aggregate is no part of it and has no share."""
    if params.share is None:
        return cast(null(), BigInteger)
    asked = summed.c[params.share]
    others = [key for key in keys if key.name != params.share]
    part = case((asked.in_(aggregates), null()), else_=summed.c.value_usd)
    return case((asked.in_(aggregates), null()), else_=func.sum(part).over(partition_by=others))


def growth(params: TotalsParams, summed: Any, keys: list[Any]) -> Any:
    """Give a sum's change from the year before, in percent; null where that year has none."""
    if not params.growth:
        return cast(null(), Float)
    others = [key for key in keys if key.name != "year"]
    before = cast(func.lag(summed.c.value_usd).over(partition_by=others, order_by=summed.c.year), Float)
    year = func.lag(summed.c.year).over(partition_by=others, order_by=summed.c.year)
    change = 100.0 * (cast(summed.c.value_usd, Float) - before) / func.nullif(before, 0.0)
    return case((year == summed.c.year - literal(1), change), else_=cast(null(), Float))


def refuse_unknown_base(params: TotalsParams, without_share: str) -> None:
    """Refuse a share or growth of what the sums are not by or cannot be of. Raises Contradiction, WouldDoubleCount."""
    if params.share is not None and params.share not in params.group_by:
        message = f"share is {params.share}, which group_by does not have"
        raise Contradiction.of(Fault("share", params.share, message, tuple(map(str, params.group_by))))
    if params.share in MIXED:
        message = f"a share by {params.share} would add what is never added: a total and its parts, or two sources"
        fault = Fault("share", params.share, message, tuple(map(str, ADDED)))
        raise WouldDoubleCount.of(fault, corrected=without_share)
    if params.growth and Dimension.YEAR not in params.group_by:
        raise Contradiction.of(Fault("growth", "true", "growth needs year in group_by", ("year",)))


NAMED_PAIRS = 5
"""Pairs that a refusal names."""


def refuse_mirrors(ask: Ask, resource: Resource, clauses: tuple[Clause, ...], connection: Connection) -> None:
    """Refuse to add one turnover as both sides have it. Raises WouldDoubleCount with the pairs and a corrected path."""
    flow = TradeFlow
    swapped = flow.reporter > flow.partner
    one, other = case((swapped, flow.partner), else_=flow.reporter), case((swapped, flow.reporter), else_=flow.partner)
    same = (flow.source, flow.stated_by, flow.classification, flow.frequency, flow.period, flow.product)
    query = (
        select_rows(resource, clauses, ask.edition.number, (one.label("one"), other.label("other")))
        .where(flow.flow == codes.Flow.TOTAL)
        .group_by("one", "other", *same)
        .having(func.count(flow.reporter.distinct()) > 1)
        .order_by("one", "other")
        .limit(NAMED_PAIRS)
    )
    twice = dict.fromkeys(tuple(row) for row in connection.execute(query))
    if twice:
        pairs = ", ".join(f"{a} with {b}" for a, b in twice)
        message = f"the total trade of {pairs} is there from both sides: a sum would count it twice"
        params: Any = ask.params
        mended = {"share": None} if params.share else {"group_by": (*params.group_by, Dimension.REPORTER)}
        corrected = ask.link(**mended)
        raise WouldDoubleCount.of(Fault("group_by", None, message, did_you_mean="reporter"), corrected=corrected)


@router.get("/totals", operation_id="list_trade_totals", **listing(TotalRow))
def list_trade_totals(request: Request, params: Annotated[TotalsParams, Query()]) -> Response:
    """List sums of trade flows; what cannot be added is kept apart or refused."""
    return answer(request, params, FLOWS, sums)
