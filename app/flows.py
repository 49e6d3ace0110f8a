"""Trade flows as every answer about trade reads them: filters, row, key and table."""

from collections.abc import Iterable, Sequence
from enum import StrEnum
from typing import Annotated, Any

from pydantic import AfterValidator, Field, StringConstraints
from pydantic_core import PydanticCustomError
from sqlalchemy import ColumnElement, and_, case, func, or_

from app import codes
from app.errors import Contradiction, Fault
from app.evidence import EvidenceItem
from app.filters import Where, WhereBy, WhereOf
from app.formats.base import distinct, join
from app.models import TradeFlow
from app.params import (
    DIGITS,
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
    Text,
    Truth,
    Year,
    Years,
)
from app.query import Is, Label, Made, Open, Resource, Row
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
    + case((TradeFlow.breakdown == codes.NOT_STATED, ""), else_="." + TradeFlow.breakdown)
)  # fmt: skip
"""A flow's key in one word, a breakdown last where it is one; evidence and addresses have it."""


def name_flows(_: Any, *key: Sequence[str]) -> Iterable[str]:
    """Give the key of flows in one word, as `FLOW_ID` does."""
    product = TradeFlow.key.index("product")
    return join(".".join, (join(".".join, key[:product]), key[product], join(name_rest, key[product + 1 :])))


def name_rest(key: tuple[str, ...]) -> str:
    """Give what stands behind the product in the name of a flow: no breakdown where it is the whole."""
    classification, frequency, period, *rest, breakdown = key
    parts = () if breakdown == codes.NOT_STATED else (breakdown,)
    return ".".join((classification, frequency, period.replace("/", "_"), *rest, *parts))


LEVEL = case((TradeFlow.product == codes.TOTAL, 0), else_=func.length(TradeFlow.product))
"""How fine a product code is: its length, 0 for TOTAL. Codes of one level have no part in one another."""


LEVELS = (0, 2, 4, 6)
"""Lengths of the codes of the Harmonized System; 0 is TOTAL."""


def one_of_levels(value: int) -> int:
    """Refuse a length that no code of the Harmonized System has."""
    if value not in LEVELS:
        allowed = list(map(str, LEVELS))
        message = "it must be one of {choice}"
        raise PydanticCustomError("code", message, {"choice": ", ".join(allowed), "allowed": allowed})
    return value


HsLevel = Annotated[int, AfterValidator(one_of_levels), Field(json_schema_extra={"enum": list(LEVELS)}), DIGITS]


def members_asked(params: Any) -> ColumnElement[bool] | None:
    """Narrow flows to products of a level that begin with the codes asked, each an index range."""
    if not params.product or params.level is None:
        return None
    asked = params.product
    for code in asked:
        refuse_coarser(code, params.level)
    if codes.TOTAL in asked and params.level:
        return TradeFlow.product != codes.TOTAL
    widest = [code for code in asked if not any(code != one and code.startswith(one) for one in asked)]
    same = [code for code in widest if len(code) == params.level or code == codes.TOTAL]
    ranges = [begins_with(code) for code in widest if code not in same]
    return or_(*ranges, TradeFlow.product.in_(same)) if same else or_(*ranges)


def refuse_coarser(code: str, level: int) -> None:
    """Refuse members of a product that it cannot have. Raises Contradiction."""
    length = 0 if code == codes.TOTAL else len(code)
    if code != codes.TOTAL and not (length in LEVELS and code.isdecimal()):
        message = f"product {code!r} is no code of the Harmonized System: 2, 4 or 6 digits, or TOTAL"
        raise Contradiction.of(Fault("product", code, message), Fault("level", level, f"level is {level}"))
    if length > level:
        finer = tuple(str(one) for one in LEVELS if one >= length)
        message = f"level is {level}, coarser than product {code!r}, whose members have {length} digits or more"
        raise Contradiction.of(Fault("level", level, message, finer))


def begins_with(code: str) -> ColumnElement[bool]:
    """Narrow flows to products that begin with a code: a range, as digits are ordered by code point."""
    return and_(TradeFlow.product >= code, TradeFlow.product < code[:-1] + chr(ord(code[-1]) + 1))


def of_level(params: Any) -> ColumnElement[bool] | None:
    """Narrow flows to one length of the codes of the Harmonized System; TOTAL is in every classification."""
    if params.level is None:
        return None
    if params.level == 0:
        return TradeFlow.product == codes.TOTAL
    is_hs = and_(TradeFlow.classification >= "H", TradeFlow.classification < "I")
    return and_(is_hs, func.length(TradeFlow.product) == params.level, TradeFlow.product != codes.TOTAL)


def wholes_only(params: Any) -> ColumnElement[bool] | None:
    """Leave out parts of flows by second partner, customs procedure and transport, unless they are asked for."""
    return None if params.breakdowns or params.breakdown else IS_WHOLE


IS_WHOLE = TradeFlow.breakdown == codes.NOT_STATED


class Side(StrEnum):
    """A side of a flow."""

    REPORTER = "reporter"
    PARTNER = "partner"


def are_economies(sides: tuple[Side, ...], edition: Edition) -> ColumnElement[bool]:
    """Narrow flows to those whose sides are economies, no aggregates."""
    return and_(*(getattr(TradeFlow, side).not_in(sorted(edition.names.aggregates)) for side in sides))


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
    product: Annotated[
        Many[Product],
        Where(TradeFlow.product, unless="level"),
        WhereOf(members_asked, ("product", "level"), (TradeFlow.product,)),
    ] = ()
    level: Annotated[HsLevel | None, WhereOf(of_level, ("level",))] = Field(
        None,
        description="2, 4 or 6: the stored members of that many digits of the products asked (of all, where none is), "
        "in the Harmonized System, never together with the products themselves; 0 is TOTAL",
    )
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
    breakdown: Annotated[Many[Text], Where(TradeFlow.breakdown)] = Field(
        (), description="the parts of this second partner, customs procedure and transport; `-` is the whole"
    )
    breakdowns: Annotated[Truth, WhereOf(wholes_only, ("breakdown", "breakdowns"))] = Field(
        False, description="true gives the parts of each flow beside the whole; never add the two"
    )
    value_min: Annotated[Money | None, Where(TradeFlow.value_usd, op=">=")] = Field(None, description="US dollars")
    value_max: Annotated[Money | None, Where(TradeFlow.value_usd, op="<=")] = Field(None, description="US dollars")


def name_products(ask: Any, products: Sequence[str], classifications: Sequence[str]) -> Iterable[str | None]:
    """Give what products of HS 2022, or TOTAL, are called; codes of other editions may mean something else."""
    book = ask.edition.names.vocabularies.get("product")
    labels = book.labels if book else {}
    if distinct(classifications) <= {NAMED}:
        return map(labels.get, products)
    rows = zip(products, classifications, strict=True)
    return (labels.get(code) if edition == NAMED or code == codes.TOTAL else None for code, edition in rows)


NAMED = "H6"
"""The classification whose products have names here: HS 2022."""
ProductName = Annotated[str | None, Made(name_products, ("product", "classification"))]


class FlowRow(Row):
    """A value of trade, as one source has it."""

    id: Annotated[str, Is(FLOW_ID), Made(name_flows, TradeFlow.key)] = Field(description="the flow's key in one word")
    reporter: str = Field(description="whose record it is, ISO 3166-1 alpha-3")
    reporter_name: Annotated[str | None, Label("country", "reporter")]
    partner: str = Field(description="the other side, ISO 3166-1 alpha-3")
    partner_name: Annotated[str | None, Label("country", "partner")]
    flow: codes.Flow
    product: str = Field(description="code of the classification, or TOTAL")
    product_name: ProductName = Field(description="of TOTAL and of HS 2022, which is H6; null in other classifications")
    classification: Annotated[str | None, Open()]
    frequency: Annotated[codes.Frequency | None, Open()]
    period: Annotated[str | None, Open()] = Field(description="null where it is not stated")
    period_start: str | None = Field(json_schema_extra={"format": "date"})
    period_end: str | None = Field(json_schema_extra={"format": "date"}, description="inclusive")
    year: int | None = Field(description="calendar year the period lies in")
    value_usd: int = Field(description="whole current US dollars")
    net_weight_kg: float | None
    net_weight_estimated: bool | None = Field(description="whether the source says that the weight is its estimate")
    valuation: codes.Valuation
    obs_status: codes.ObsStatus = Field(description="SDMX CL_OBS_STATUS")
    method: codes.Method
    inferred: list[str] = Field(description="fields that are our conclusion")
    source: str
    stated_by: Annotated[str | None, Open()] = Field(description="null where the source speaks in its own voice")
    stated_by_name: Annotated[str | None, Label("speaker", "stated_by")]
    breakdown: Annotated[str | None, Open()] = Field(
        description="second partner, customs procedure, mode of supply and transport of a part; null of the whole"
    )
    note: str | None
    evidence: list[EvidenceItem]


FLOWS = Resource(
    "trade_flows",
    FlowRow,
    TradeFlow,
    tuple(getattr(TradeFlow, name) for name in TradeFlow.key),
    (),
    "id",
    repeats=tuple(
        getattr(TradeFlow, column.key)
        for column in TradeFlow.__table__.c
        if column.key not in ("product", "value_usd", "net_weight_kg")
    ),
)
