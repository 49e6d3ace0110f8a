"""Totals: sums of trade flows that never count one trade twice.

What a sum would mix is kept apart instead: source and speaker, flow, classification and level of product, frequency,
periods that overlap, and aggregates such as the World beside the economies. What cannot be kept apart without changing
the question, one turnover reported from both sides, is refused with a corrected request.
"""

from collections.abc import Iterable
from enum import StrEnum
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import Field
from sqlalchemy import (
    BigInteger,
    Connection,
    Float,
    Integer,
    String,
    case,
    cast,
    false,
    func,
    literal,
    null,
    or_,
    select,
)
from starlette.requests import Request
from starlette.responses import Response

from app import codes
from app.answer import answer
from app.ask import Ask
from app.envelope import listing
from app.errors import Contradiction, Fault, WouldDoubleCount
from app.filters import Clause
from app.flows import FLOWS, LEVEL, FlowFilters, Side
from app.models import TradeFlow
from app.names import OWN_VOICE
from app.params import ListParams, Many, NotListed, TopCount, Truth
from app.query import Label, Made, Resource, Row, each, every_row, select_rows, unless_open
from app.routes import TableRoute

router = APIRouter(prefix="/v1/trade", tags=["Trade"], route_class=TableRoute)


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
    top: Annotated[TopCount | None, NotListed()] = Field(
        None,
        description="keep the largest, at most 100, of each combination of the other dimensions and add the others up "
        "in one row whose `rest` is true; aggregates such as WLD are not ranked",
    )
    top_of: Annotated[Dimension | None, NotListed()] = Field(
        None, description="which dimension `top` ranks: reporter, partner or product; needed where group_by has several"
    )


def rows_added(ask: Ask, *values: Any) -> str:
    """Give the path that lists the very flows a total is the sum of; of a rest, the totals whose last it is."""
    total = dict(zip((*LINEAGE, *MORE_LINEAGE), values, strict=True))
    params: Any = ask.params
    own: dict[str, Any] = {name: total[name] for name in LINEAGE if total[name] is not None}
    own["stated_by"] = total["stated_by"] or OWN_VOICE
    own["classification"] = total["classification"] or codes.NOT_STATED
    if params.breakdowns:
        own["breakdown"] = total["breakdown"] or codes.NOT_STATED
    # What is left of a ranking over all periods may be of one by chance: its lineage is over all of them, too.
    is_of_period = total["period"] is not None and not total["rest"]
    if is_of_period or total["frequency"] in (None, codes.Frequency.YEAR_TO_DATE):
        own["period"] = total["period"] or codes.NOT_STATED
    own["economies"] = tuple(side for side in Side if total[side] is None) or None
    asked = {name: value for name, value in ask.canonical if name in FlowFilters.model_fields}
    kept = {**asked, **own, "release": ask.edition.number}
    if not total["rest"]:
        return ask.link_to("/v1/trade/flows", kept)
    return ask.link_to("/v1/trade/totals", {**kept, "group_by": params.group_by, "sort": "-value_usd"})


def told(ask: Ask, rows: int, rest: bool) -> str:
    """Say how a total was made."""
    params: Any = ask.params
    beyond = f" beyond the first {params.top} rows of lineage" if rest else ""
    return f"sum of value_usd of {rows} trade flows{beyond}"


LINEAGE = ("reporter", "partner", "flow", "product", "product_level", "frequency", "year", "source")
MORE_LINEAGE = ("classification", "period", "stated_by", "breakdown", "rest")


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
    breakdown: str | None = Field(description="the part, with `breakdowns=true`; null of wholes")
    year: int | None
    period: str | None = Field(description="the one period, where only one is added")
    periods: int = Field(description="periods added")
    source: str
    stated_by: str | None = Field(description="null where the source speaks in its own voice")
    stated_by_name: Annotated[str | None, Label("speaker", "stated_by")]
    value_usd: int = Field(description="whole current US dollars")
    rest: bool = Field(description="whether it is all beyond the first `top`; the ranked dimension is null in it")
    rows: int = Field(description="flows added")
    rows_inferred: int = Field(description="those of them that are in part our conclusion")
    share_of_usd: int | None = Field(description="the sums that differ in the dimension of `share` only, added")
    share_percent: float | None = Field(description="of share_of_usd; an aggregate such as WLD is no part and has none")
    growth_percent: float | None = Field(description="change from the sum of the year before")
    formula: Annotated[str, Made(each(told), ("rows", "rest"))]
    lineage: Annotated[str, Made(each(rows_added), (*LINEAGE, *MORE_LINEAGE))] = Field(
        description="path that lists the flows added"
    )


def sums(ask: Ask, resource: Resource, clauses: tuple[Clause, ...]) -> tuple[Resource, tuple[Clause, ...]]:
    """Sum the flows that the filters leave, by the dimensions asked and all that must stay apart."""
    params: Any = ask.params
    refuse_unknown_base(params, ask.link(share=None))
    ranked = ranked_dimension(params, ask.link(top=None, top_of=None))
    sides_apart = {Dimension.REPORTER, Dimension.PARTNER} & set(params.group_by) - {params.share}
    has_turnover = not params.flow or codes.Flow.TOTAL in params.flow
    refuse = partial(refuse_mirrors, ask, resource, clauses) if has_turnover and not sides_apart else None
    aggregates = ask.edition.names.aggregates
    one_pass = by_period(ask, resource, clauses)
    kept = kept_apart(params, one_pass)
    parts = select(*(column.label(name) for name, column in kept.items()), *named(one_pass, ADDENDS)).subquery()
    parts = with_bases(params, parts, tuple(kept), aggregates)
    keys = {name: parts.c[name] for name in kept}
    rest: Any = literal(0)
    if ranked:
        parts = with_places(parts, tuple(kept), ranked, aggregates)
        keys = {name: parts.c[name] for name in kept}
        own, is_rest = parts.c[ranked], parts.c.place > params.top
        rest, keys[ranked] = case((is_rest, 1), else_=0), case((is_rest, null()), else_=own)
    summed = by_key(parts, keys, rest, is_merged=bool(ranked))
    rated = rates(params, summed, ranked)
    others = [name for name in ("year", "reporter", "partner", "flow", "product") if name in kept and name != ranked]
    order = (*others, "rest", "-value_usd") if ranked else tuple(others)
    key = tuple(rated.c[name] for name in kept)
    found = Resource(
        "trade_totals", TotalRow, rated, key, order, visible=every_row, refuse=refuse, counted=rated.c.there_are
    )
    return found, ()


ADDENDS = ("period", "value_usd", "rows", "rows_inferred")
"""What one pass over the flows gives of each group beside its key."""


def named(table: Any, names: Iterable[str]) -> list[Any]:
    """Give columns of a subquery."""
    return [table.c[name] for name in names]


def by_period(ask: Ask, resource: Resource, clauses: tuple[Clause, ...]) -> Any:
    """Add flows up by what is stored of them, in the one pass over the rows; all that follows is over its few groups.

    The period is one of the keys: a group is of one period, so that nothing distinct need be counted in the pass.
    """
    params: Any = ask.params
    flow, aggregates = TradeFlow, sorted(ask.edition.names.aggregates)
    stored = {"period": flow.period, "product_level": LEVEL, "flow": flow.flow, "family": flow.classification}
    if Dimension.YEAR in params.group_by:
        stored["year"] = flow.year
    if Dimension.PRODUCT in params.group_by:
        stored["product"] = flow.product
    for side in (Dimension.REPORTER, Dimension.PARTNER):
        column = getattr(flow, side)
        stored[side] = column if side in params.group_by else case((column.in_(aggregates), column))
    stored |= {"rhythm": flow.frequency, "source": flow.source, "voice": flow.stated_by}
    if params.breakdowns or params.breakdown:
        stored["part"] = flow.breakdown
    columns = [
        *(column.label(name) for name, column in stored.items()),
        cast(func.sum(flow.value_usd), BigInteger).label("value_usd"),
        cast(func.count(), Integer).label("rows"),
        cast(func.sum(case((flow.inferred != "", 1), else_=0)), Integer).label("rows_inferred"),
    ]
    return select_rows(resource, clauses, ask.edition.number, columns).group_by(*stored.values()).subquery()


def kept_apart(params: Any, one_pass: Any) -> dict[str, Any]:
    """Give the expressions that a sum is by: what is asked, and what must not be added."""
    c, nothing = one_pass.c, cast(null(), String)
    by_year = Dimension.YEAR in params.group_by
    months = func.replace(c.period, cast(c.year, String), "") if by_year else c.period
    overlapping = or_(c.rhythm == codes.Frequency.YEAR_TO_DATE, c.rhythm == codes.NOT_STATED)
    total = case((c.product_level == 0, literal(codes.TOTAL, String)), else_=nothing)
    return {
        "reporter": c.reporter,
        "partner": c.partner,
        "flow": c.flow,
        "product": c.product if Dimension.PRODUCT in params.group_by else total,
        "product_level": c.product_level,
        "family": c.family,
        "rhythm": c.rhythm,
        "year": c.year if by_year else cast(null(), Integer),
        "months": case((overlapping, months), else_=nothing),
        "source": c.source,
        "voice": c.voice,
        "part": c.part if "part" in c else nothing,
    }


def with_bases(params: Any, parts: Any, keys: tuple[str, ...], aggregates: frozenset[str]) -> Any:
    """Add what shares and growth are of, before anything is put into a rest: the whole, and the year before."""
    before: Any = cast(null(), BigInteger)
    if params.growth:
        same = named(parts, (name for name in keys if name != "year"))
        earlier = func.sum(parts.c.value_usd).over(partition_by=same, order_by=parts.c.year, range_=(-1, -1))
        before = cast(case((parts.c.year.is_not(None), earlier)), BigInteger)
    whole = whole_of(params, parts, keys, aggregates)
    return select(parts, whole.label("whole"), before.label("before")).subquery()


def whole_of(params: Any, parts: Any, keys: tuple[str, ...], aggregates: frozenset[str]) -> Any:
    """Give the sum of all sums that differ in one dimension only; an aggregate is no part of it and has no share."""
    if params.share is None:
        return cast(null(), BigInteger)
    no_part = is_aggregate(parts, params.share, aggregates)
    others = named(parts, (name for name in keys if name != params.share))
    added = func.sum(case((no_part, null()), else_=parts.c.value_usd)).over(partition_by=others)
    return cast(case((no_part, null()), else_=added), BigInteger)


def with_places(parts: Any, keys: tuple[str, ...], ranked: Dimension, aggregates: frozenset[str]) -> Any:
    """Add the place of each sum among those that differ in the ranked dimension alone; aggregates have none."""
    total = func.sum(parts.c.value_usd).over(partition_by=named(parts, keys))
    summed = select(parts, total.label("total")).subquery()
    unranked = case((is_aggregate(summed, ranked, aggregates), 1), else_=0)
    others = named(summed, (name for name in keys if name != ranked))
    largest = [summed.c.total.desc(), summed.c[ranked]]
    place = func.dense_rank().over(partition_by=[*others, unranked], order_by=largest)
    return select(summed, case((unranked == 1, 0), else_=place).label("place")).subquery()


def is_aggregate(table: Any, dimension: Dimension, aggregates: frozenset[str]) -> Any:
    """Tell whether the member of a dimension is an aggregate; sides of trade alone can be."""
    is_side = dimension in (Dimension.REPORTER, Dimension.PARTNER)
    return table.c[dimension].in_(sorted(aggregates)) if is_side else false()


def by_key(parts: Any, keys: dict[str, Any], rest: Any, is_merged: bool) -> Any:
    """Add the periods of each key up. Several keys that are merged into a rest may have one period twice."""
    c = parts.c
    one_period = case((func.min(c.period) == func.max(c.period), unless_open(func.min(c.period))))
    counted = func.count(c.period.distinct()) if is_merged else func.count()
    columns = [
        *(column.label(name) for name, column in keys.items()),
        rest.label("is_rest"),
        one_period.label("period"),
        cast(counted, Integer).label("periods"),
        *(cast(func.sum(c[name]), c[name].type).label(name) for name in ("value_usd", "rows", "rows_inferred")),
        *(func.max(c[name]).label(name) for name in ("whole", "before")),
    ]
    return select(*columns).group_by(*keys.values(), *([rest] if is_merged else [])).subquery()


def rates(params: Any, summed: Any, ranked: Dimension | None) -> Any:
    """Add shares and growth. A rest has no growth, and no share but of the ranked dimension: who is in it differs."""
    c = summed.c
    is_rest = c.is_rest == 1
    whole = c.whole if params.share == ranked else case((is_rest, null()), else_=c.whole)
    value, before = cast(c.value_usd, Float), cast(c.before, Float)
    change = 100.0 * (value - before) / func.nullif(before, 0.0)
    columns = [
        is_rest.label("rest"),
        cast(whole, BigInteger).label("share_of_usd"),
        (100.0 * value / func.nullif(cast(whole, Float), 0.0)).label("share_percent"),
        case((is_rest, null()), else_=change).label("growth_percent"),
        unless_open(c.voice).label("stated_by"),
        unless_open(c.family).label("classification"),
        unless_open(c.rhythm).label("frequency"),
        unless_open(c.part).label("breakdown"),
        func.count().over().label("there_are"),
    ]
    return select(summed, *columns).subquery()


RANKED = (Dimension.REPORTER, Dimension.PARTNER, Dimension.PRODUCT)
"""Dimensions whose largest can be kept and the others added."""


def ranked_dimension(params: Any, without_top: str) -> Dimension | None:
    """Give the dimension whose largest are kept. Raises Contradiction, WouldDoubleCount."""
    if params.top is None:
        if params.top_of is not None:
            raise Contradiction.of(Fault("top_of", params.top_of, "top_of needs top, the number of rows that are kept"))
        return None
    if params.top_of in MIXED:
        message = f"a rest of each {params.top_of} would add what is never added: a total and its parts, or two sources"
        fault = Fault("top_of", params.top_of, message, tuple(map(str, RANKED)))
        raise WouldDoubleCount.of(fault, corrected=without_top)
    there = tuple(one for one in RANKED if one in params.group_by)
    if params.top_of is None and len(there) == 1:
        return there[0]
    if params.top_of is not None and params.top_of in there:
        return Dimension(params.top_of)
    asked = "top needs top_of" if params.top_of is None else f"top_of is {params.top_of}"
    choice = ", ".join(there) or f"none of {', '.join(RANKED)}"
    raise Contradiction.of(Fault("top_of", params.top_of, f"{asked}: of group_by, it can be {choice}", there or None))


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
    same = (flow.source, flow.stated_by, flow.classification, flow.frequency, flow.period, flow.product, flow.breakdown)
    query = (
        select_rows(resource, clauses, ask.edition.number, (one.label("one"), other.label("other")))
        .where(flow.flow == codes.Flow.TOTAL)
        .group_by("one", "other", *same)
        .having(func.min(flow.reporter) < func.max(flow.reporter))
        .order_by("one", "other")
        .limit(NAMED_PAIRS)
    )
    twice = dict.fromkeys(tuple(row) for row in connection.execute(query))
    if twice:
        pairs = ", ".join(f"{a} with {b}" for a, b in twice)
        message = f"the total trade of {pairs} is there from both sides: a sum would count it twice"
        params: Any = ask.params
        mended: dict[str, Any] = {"share": None}
        if not params.share:
            mended = {"group_by": (*params.group_by, Dimension.REPORTER)}
            mended["top_of"] = ranked_dimension(params, "")
        corrected = ask.link(**mended)
        raise WouldDoubleCount.of(Fault("group_by", None, message, did_you_mean="reporter"), corrected=corrected)


@router.get("/totals", operation_id="list_trade_totals", **listing(TotalRow))
def list_trade_totals(request: Request, params: Annotated[TotalsParams, Query()]) -> Response:
    """List sums of trade flows; what cannot be added is kept apart or refused."""
    return answer(request, params, FLOWS, sums)
