"""Trade flows as every answer about trade reads them: filters, row, key and table."""

from enum import StrEnum
from typing import Annotated, Any

from pydantic import AfterValidator, Field, StringConstraints
from sqlalchemy import ColumnElement, and_, case, func

from app import codes
from app.evidence import EvidenceItem
from app.models import TradeFlow
from app.params import (
    Count,
    Countries,
    Flows,
    Frequencies,
    Many,
    Methods,
    Money,
    Params,
    Periods,
    Sources,
    Speakers,
    Year,
    Years,
)
from app.query import Is, Label, Resource, Row, Where, WhereBy
from app.releases import Edition

Product = Annotated[
    str,
    StringConstraints(pattern=r"^(-|[A-Za-z0-9]{1,12})$"),
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


def are_economies(sides: tuple[Side, ...], edition: Edition) -> ColumnElement[bool]:
    """Narrow flows to those whose sides are economies, no aggregates."""
    return and_(*(getattr(TradeFlow, side).not_in(sorted(edition.names.aggregates)) for side in sides))


def unless_open(column: Any) -> Any:
    """Give a key column, null where the source leaves it open."""
    return func.nullif(column, codes.NOT_STATED, type_=column.type)


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
        (), description="H0 to H6, S1 to S4, EB ...; `-` is not stated"
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
