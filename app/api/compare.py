"""Compare: every statement of one trade side by side, from both sides and every source, with the gap between them."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field
from sqlalchemy import Connection, and_, or_
from starlette.requests import Request
from starlette.responses import Response

from app import codes
from app.answer import answer_rows
from app.ask import Ask
from app.envelope import listing
from app.errors import Contradiction, Fault, OverLimit
from app.evidence import EvidenceItem, evidence_of
from app.flows import FLOW_ID, FLOWS, Product, unless_open
from app.models import TradeFlow
from app.params import Name, NotListed, TableParams, Text, Year
from app.query import Clause, Row, select_rows, why_empty

router = APIRouter(prefix="/v1/trade", tags=["Trade"])

FREIGHT_PERCENT = 10.0
"""Up to about what freight and insurance add to a trade value: CIF over FOB, in percent of FOB."""
MIRROR = {
    codes.Flow.EXPORT: codes.Flow.IMPORT,
    codes.Flow.IMPORT: codes.Flow.EXPORT,
    codes.Flow.TOTAL: codes.Flow.TOTAL,
}
"""The same trade as the other side has it; re-exports and other parts have no mirror."""
CELL = ("period", "frequency", "year")
STATEMENTS_MAX = 2000


class CompareParams(TableParams):
    """Whose trade with whom, and when."""

    reporter: Annotated[Text, Name("country"), NotListed()] = Field(
        description="one country, by any name or code", examples=["KAZ"]
    )
    partner: Annotated[Text, Name("country"), NotListed()] = Field(
        description="one country, by any name or code", examples=["CHN"]
    )
    year: Annotated[Year | None, NotListed()] = Field(None, description="calendar year; else all", examples=[2024])
    product: Annotated[Product, NotListed()] = Field(codes.TOTAL, description="code of the classification, or TOTAL")


class Statement(BaseModel):
    """One statement of a trade, as it was made."""

    flow_id: str
    side: str = Field(description="reporter, or mirror: the partner's own record of the same trade")
    reporter: str
    partner: str
    flow: codes.Flow = Field(description="as the reporter of the statement sees it")
    classification: str | None
    value_usd: int
    valuation: codes.Valuation
    method: codes.Method
    source: str
    stated_by: str | None
    stated_by_name: str | None
    note: str | None
    evidence: list[EvidenceItem]


class Gap(BaseModel):
    """How far the smallest and the largest statement of one trade lie apart."""

    usd: int
    percent: float = Field(description="of the larger")
    ratio: float | None = Field(description="the larger over the smaller")
    formula: str
    lineage: list[str] = Field(description="ids of the two flows")
    valuation_could_explain: bool = Field(
        description="whether freight and insurance, CIF against FOB, could be all of it"
    )
    valuation_note: str


class CompareRow(Row):
    """Statements of one trade in one period, seen from the reporter; parts that have no mirror stand alone."""

    reporter: str
    reporter_name: str | None
    partner: str
    partner_name: str | None
    flow: codes.Flow
    product: str
    classification: str | None = Field(description="that of the product; all commodities are TOTAL in each")
    frequency: codes.Frequency | None
    period: str | None = Field(
        description="null where the source states none; such statements are compared with no other"
    )
    year: int | None
    gap: Gap | None = Field(description="null where there is one statement, or no period")
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
    if params.reporter == params.partner:
        raise Contradiction.of(Fault("partner", params.partner, "partner is the same country as reporter"))
    flow, clauses = TradeFlow, narrowed(params)
    columns = [column.label(name) for name, column in COLUMNS.items()]
    query = (
        select_rows(FLOWS, clauses, ask.edition.number, columns)
        .order_by(flow.year.nulls_last(), flow.period_start.nulls_last(), flow.period, flow.source)
        .order_by(flow.stated_by, flow.classification, flow.reporter, flow.flow)
        .limit(STATEMENTS_MAX + 1)
    )
    found = [dict(row._mapping) for row in connection.execute(query)]
    if len(found) > STATEMENTS_MAX:
        raise OverLimit.of(Fault("year", None, f"there are over {STATEMENTS_MAX} statements: name a year"))
    proofs = evidence_of(connection, "trade_flows", [row["flow_id"] for row in found], ask.edition.number)
    trades: dict[tuple[Any, ...], list[dict[str, Any]]] = defaultdict(list)
    for row in found:
        own = row["reporter"] == params.reporter
        seen = row["flow"] if own else MIRROR.get(row["flow"])
        row["partner_only"] = None if seen else row["reporter"]
        row |= {"side": "reporter" if own else "mirror", "evidence": proofs.get(row["flow_id"], [])}
        row["stated_by_name"] = ask.edition.names.label("speaker", row["stated_by"])
        trades[(*(row[name] for name in CELL), of_product(row), row["partner_only"], str(seen or row["flow"]))].append(
            row
        )
    rows = [trade(ask, key, statements) for key, statements in trades.items()]
    if not rows:
        return [], {"why_empty": why_empty(connection, FLOWS, clauses, ask.edition.number)}
    undated = sum(row["period"] is None for row in rows)
    warning = f"{undated} of the trades below state no period; they are compared with no other"
    return rows, {"warnings": [warning] if undated else []}


def of_product(row: dict[str, Any]) -> str | None:
    """Give the classification that statements must share to be of one product; all commodities are so in each."""
    return None if row["product"] == codes.TOTAL else row["classification"]


def narrowed(params: Any) -> list[Clause]:
    """Give the filters of a comparison: the pair from either side, product, and the year or none stated."""
    flow = TradeFlow
    sides = (flow.reporter, flow.partner)
    either = or_(*(side == params.reporter for side in sides))
    pair = or_(
        and_(flow.reporter == params.reporter, flow.partner == params.partner),
        and_(flow.reporter == params.partner, flow.partner == params.reporter),
    )
    found = [
        Clause("reporter", params.reporter, either, sides),
        Clause("partner", params.partner, pair, sides),
        Clause("product", params.product, flow.product == params.product, (flow.product,)),
    ]
    if params.year is not None:
        found.append(Clause("year", params.year, or_(flow.year == params.year, flow.year.is_(None)), (flow.year,)))
    return found


def trade(ask: Ask, key: tuple[Any, ...], statements: list[dict[str, Any]]) -> dict[str, Any]:
    """Put the statements of one trade in a row."""
    params: Any = ask.params
    period, frequency, year, classification, partner_only, flow = key
    sides = (params.partner, params.reporter) if partner_only else (params.reporter, params.partner)
    return {
        "reporter": sides[0],
        "reporter_name": ask.edition.names.label("country", sides[0]),
        "partner": sides[1],
        "partner_name": ask.edition.names.label("country", sides[1]),
        "flow": flow,
        "product": params.product,
        "classification": classification,
        "frequency": frequency,
        "period": period,
        "year": year,
        "gap": gap(statements) if period is not None else None,
        "statements": [{name: one[name] for name in Statement.model_fields} for one in statements],
    }


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
        "ratio": round(large["value_usd"] / small["value_usd"], 4) if small["value_usd"] else None,
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
    """Compare every statement of the trade of two countries: each source, both mirror sides, and the gap."""
    return answer_rows(request, params, CompareRow, compared)
