"""Compare: every statement of one trade side by side, with the gap between its two sides.

What a source has reconciled from both sides' reports stands beside them, a third voice that is on neither side.
"""

from collections import defaultdict
from collections.abc import Sequence
from enum import StrEnum
from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field
from sqlalchemy import Connection, and_, or_, union_all
from starlette.requests import Request
from starlette.responses import Response

from app import codes
from app.answer import answer_rows
from app.ask import Ask
from app.empty import why_empty
from app.envelope import listing
from app.errors import Contradiction, Fault, OverLimit
from app.evidence import EvidenceItem, evidence_of
from app.filters import Clause, Where
from app.flows import FLOW_ID, FLOWS, IS_WHOLE, Product
from app.models import TradeFlow
from app.params import Many, Name, NotListed, Params, TableParams, Text, Year, Years
from app.query import Row, select_rows, unless_open
from app.routes import TableRoute

router = APIRouter(prefix="/v1/trade", tags=["Trade"], route_class=TableRoute)

FREIGHT_PERCENT = 10.0
"""Up to about what freight and insurance add to a trade value: CIF over FOB, in percent of FOB."""
MIRROR = {
    codes.Flow.EXPORT: codes.Flow.IMPORT,
    codes.Flow.IMPORT: codes.Flow.EXPORT,
    codes.Flow.TOTAL: codes.Flow.TOTAL,
}
"""The same trade as the other side has it; re-exports and other parts have no mirror."""
CELL = ("period", "frequency", "year", "product")
STATEMENTS_MAX = 2000


class CompareFilters(Params):
    """Whose trade with whom, and when."""

    reporter: Annotated[Text, Name("country"), NotListed()] = Field(
        description="one country, by any name or code", examples=["KAZ"]
    )
    partner: Annotated[Text, Name("country"), NotListed()] = Field(
        description="one country, by any name or code", examples=["CHN"]
    )
    year: Annotated[Years, NotListed()] = Field((), description="calendar years; else all", examples=[[2024]])
    year_from: Annotated[Year | None, NotListed()] = None
    year_to: Annotated[Year | None, NotListed()] = None
    product: Annotated[Many[Product], NotListed()] = Field(
        (codes.TOTAL,), description="codes of the classification, or TOTAL; each is compared within its own edition"
    )


class CompareParams(CompareFilters, TableParams):
    """Whose trade with whom, and when, as a table."""


class Voice(StrEnum):
    """Whose statement of a trade it is."""

    REPORTER = "reporter"
    MIRROR = "mirror"
    RECONCILED = "reconciled"


class Statement(BaseModel):
    """One statement of a trade, as it was made."""

    flow_id: str
    side: Voice = Field(
        description="reporter; mirror, the partner's own record of the same trade; or reconciled, a source's own "
        "reading of both, which is on neither side"
    )
    reporter: str
    partner: str
    flow: codes.Flow = Field(description="as the reporter of the statement sees it")
    classification: str | None
    value_usd: int
    to_reconciled: float | None = Field(
        description="value_usd over that of the reconciled statement, where there is one; of several the last by source"
    )
    valuation: codes.Valuation
    method: codes.Method
    source: str
    stated_by: str | None
    stated_by_name: str | None
    note: str | None
    evidence: list[EvidenceItem]


class Gap(BaseModel):
    """How far the smallest and the largest statement of one trade lie apart, those that are reconciled left out."""

    usd: int
    percent: float = Field(description="of the larger")
    ratio: float | None = Field(description="the larger over the smaller")
    formula: str
    lineage: list[str] = Field(description="ids of the two flows")
    valuation_could_explain: bool = Field(
        description="whether freight and insurance, CIF against FOB, could be all of it"
    )
    valuation_note: str = Field(description="imports are valued CIF as a rule, exports FOB")


class CompareRow(Row):
    """Statements of one trade in one period, seen from the reporter; parts that have no mirror stand alone."""

    reporter: str
    reporter_name: str | None
    partner: str
    partner_name: str | None
    flow: codes.Flow
    product: str
    classification: str | None = Field(
        description="that of the product; TOTAL is all goods in each classification of goods"
    )
    frequency: codes.Frequency | None
    period: str | None = Field(
        description="null where the source states none; such statements are compared with no other"
    )
    year: int | None
    gap: Gap | None = Field(description="null where the sides have one statement, or no period")
    statements: list[Statement]


COLUMNS = {
    "flow_id": FLOW_ID,
    "reporter": TradeFlow.reporter,
    "partner": TradeFlow.partner,
    "flow": TradeFlow.flow,
    "product": TradeFlow.product,
    "classification": unless_open(TradeFlow.classification),
    "frequency": unless_open(TradeFlow.frequency),
    "period": unless_open(TradeFlow.period),
    "year": TradeFlow.year,
    "value_usd": TradeFlow.value_usd,
    "valuation": TradeFlow.valuation,
    "method": TradeFlow.method,
    "source": TradeFlow.source,
    "stated_by": unless_open(TradeFlow.stated_by),
    "note": TradeFlow.note,
}


def compared(connection: Connection, ask: Ask) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Give the trades of the two countries with their statements, and what a reader should know."""
    params: Any = ask.params
    refuse_itself(params)
    found = statements_of(connection, ask)
    proofs = evidence_of(connection, "trade_flows", [row["flow_id"] for row in found], ask.edition.number)
    trades: dict[tuple[Any, ...], list[dict[str, Any]]] = defaultdict(list)
    for row in found:
        own = row["reporter"] == params.reporter
        seen = row["flow"] if own else MIRROR.get(row["flow"])
        partner_only = None if seen else row["reporter"]
        row |= {"side": side_of(row, own), "evidence": proofs.get(row["flow_id"], [])}
        row["stated_by_name"] = ask.edition.names.label("speaker", row["stated_by"])
        key = (*(row[name] for name in CELL), family_of(row), partner_only, str(seen or row["flow"]))
        trades[key].append(row)
    rows = [trade(ask, key, statements) for key, statements in trades.items()]
    if not rows:
        return [], {"why_empty": why_empty(connection, FLOWS, narrowed(params), ask.edition)}
    undated = sum(row["period"] is None for row in rows)
    warning = f"{undated} of the trades below state no period; they are compared with no other"
    return rows, {"warnings": [warning] if undated else []}


def refuse_itself(params: Any) -> None:
    """Refuse a country beside itself. Raises Contradiction."""
    if params.reporter == params.partner:
        raise Contradiction.of(Fault("partner", params.partner, "partner is the same country as reporter"))


def statements_of(connection: Connection, ask: Ask) -> list[dict[str, Any]]:
    """Give the statements of both sides in order, each side read by an index of its own. Raises OverLimit."""
    params: Any = ask.params
    pair = (params.reporter, params.partner)
    columns = [column.label(name) for name, column in {**COLUMNS, "period_start": TradeFlow.period_start}.items()]
    sides = (
        select_rows(FLOWS, [one_way(*way), *within(params)], ask.edition.number, columns) for way in (pair, pair[::-1])
    )
    query = union_all(*sides).limit(STATEMENTS_MAX + 1)
    found = [dict(row._mapping) for row in connection.execute(query)]
    if len(found) > STATEMENTS_MAX:
        message = f"there are over {STATEMENTS_MAX} statements: name fewer years or products"
        raise OverLimit.of(Fault("year", None, message), Fault("product", None, message))
    return sorted(found, key=in_order)


def in_order(row: dict[str, Any]) -> tuple[Any, ...]:
    """Give the place of a statement: by period, then by who states it; nothing after what is not stated."""
    when = (row["year"] is None, row["year"], row["period_start"] is None, str(row["period_start"]))
    names = ("product", "period", "source", "stated_by", "classification", "reporter", "flow")
    return (*when, *(row[name] or codes.NOT_STATED for name in names))


def side_of(row: dict[str, Any], own: bool) -> Voice:
    """Tell whose statement it is."""
    if row["method"] == codes.Method.RECONCILED:
        return Voice.RECONCILED
    return Voice.REPORTER if own else Voice.MIRROR


def family_of(row: dict[str, Any]) -> str | None:
    """Give the classification that statements must share to be of one product.

    All goods are TOTAL in each classification of goods; the TOTAL of services is none of them.
    """
    is_all_goods = row["product"] == codes.TOTAL and not (row["classification"] or "").startswith(SERVICES)
    return None if is_all_goods else row["classification"]


SERVICES = "E"
"""How the names of classifications of services begin: EB, EB02, EB10."""


def one_way(reporter: str, partner: str) -> Clause:
    """Narrow flows to those of one country with the other."""
    flow = TradeFlow
    every = flow.flow.in_(list(codes.Flow))  # true of all; with it the primary key leads on to the product
    return Clause.of(
        "partner", partner, and_(flow.reporter == reporter, flow.partner == partner, every), (flow.partner,)
    )


def within(params: Any) -> list[Clause]:
    """Give the filters of a comparison beside the pair: product, and the years or none stated."""
    flow = TradeFlow
    found = [Clause.of("product", params.product, flow.product.in_(params.product), (flow.product,))]
    bounds = {"year": "in", "year_from": ">=", "year_to": "<="}
    for name, op in bounds.items():
        if asked := getattr(params, name):
            condition = or_(Where(flow.year, op=op).condition(asked), flow.year.is_(None))
            found.append(Clause.of(name, asked, condition, (flow.year,)))
    return [*found, Clause.of("partner", params.partner, IS_WHOLE, ())]


def narrowed(params: Any) -> list[Clause]:
    """Give the filters of a comparison one after the other, to tell which leaves nothing."""
    flow = TradeFlow
    sides = (flow.reporter, flow.partner)
    either = or_(*(side == params.reporter for side in sides))
    pair = or_(
        one_way(params.reporter, params.partner).condition,
        one_way(params.partner, params.reporter).condition,
    )
    return [
        Clause.of("reporter", params.reporter, either, sides),
        Clause.of("partner", params.partner, pair, sides),
        *within(params),
    ]


def trade(ask: Ask, key: tuple[Any, ...], statements: list[dict[str, Any]]) -> dict[str, Any]:
    """Put the statements of one trade in a row."""
    params: Any = ask.params
    period, frequency, year, product, classification, partner_only, flow = key
    sides = (params.partner, params.reporter) if partner_only else (params.reporter, params.partner)
    dated = statements if period is not None else []
    reconciled = [one for one in dated if one["side"] == Voice.RECONCILED]
    for one in statements:
        one["to_reconciled"] = ratio(one["value_usd"], reconciled[-1]["value_usd"]) if reconciled else None
    return {
        "reporter": sides[0],
        "reporter_name": ask.edition.names.label("country", sides[0]),
        "partner": sides[1],
        "partner_name": ask.edition.names.label("country", sides[1]),
        "flow": flow,
        "product": product,
        "classification": classification,
        "frequency": frequency,
        "period": period,
        "year": year,
        "gap": gap([one for one in dated if one["side"] != Voice.RECONCILED]),
        "statements": [{name: one[name] for name in Statement.model_fields} for one in statements],
    }


def ratio(value: int, base: int) -> float | None:
    """Give one value over another; null over nothing."""
    return round(value / base, 4) if base else None


def gap(statements: Sequence[dict[str, Any]]) -> dict[str, Any] | None:
    """Give the gap between the smallest and the largest of several statements; null for one."""
    if len(statements) < 2:
        return None
    ordered = sorted(statements, key=lambda one: (one["value_usd"], one["flow_id"]))
    small, large = ordered[0], ordered[-1]
    usd = large["value_usd"] - small["value_usd"]
    percent = 100.0 * usd / large["value_usd"] if large["value_usd"] else 0.0
    could, note = valuation_could_explain(small, large)
    return {
        "usd": usd,
        "percent": round(percent, 4),
        "ratio": ratio(large["value_usd"], small["value_usd"]),
        "formula": "largest value_usd - smallest value_usd",
        "lineage": [large["flow_id"], small["flow_id"]],
        "valuation_could_explain": could,
        "valuation_note": note,
    }


def valuation_could_explain(small: dict[str, Any], large: dict[str, Any]) -> tuple[bool, str]:
    """Tell whether CIF against FOB could be the whole gap, and why."""
    above = (
        100.0 * (large["value_usd"] - small["value_usd"]) / small["value_usd"] if small["value_usd"] else float("inf")
    )
    valuations = {small["valuation"], large["valuation"]}
    if valuations <= {codes.Valuation.FOB} or valuations <= {codes.Valuation.CIF}:
        return False, "both are valued alike"
    if small["valuation"] == codes.Valuation.CIF or large["valuation"] == codes.Valuation.FOB:
        return False, "the side that contains freight and insurance is the smaller one"
    if above > FREIGHT_PERCENT:
        most = f"freight and insurance add up to about {FREIGHT_PERCENT:.0f} %"
        return False, f"the larger is {above:.1f} % above the smaller; {most}"
    known = "" if codes.Valuation.UNSPECIFIED not in valuations else ", though the valuation is not stated of both"
    return True, f"the larger is {above:.1f} % above the smaller, within what freight and insurance may add{known}"


@router.get("/compare", operation_id="compare_trade", **listing(CompareRow))
def compare_trade(request: Request, params: Annotated[CompareParams, Query()]) -> Response:
    """Compare every statement of the trade of two countries: each source, both mirror sides, what is reconciled."""
    return answer_rows(request, params, CompareRow, compared)
