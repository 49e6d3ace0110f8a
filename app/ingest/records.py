"""What a seed record of each table may hold: made from the table's columns, with what the loader works out itself."""

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StrictInt, create_model
from sqlalchemy import BigInteger, Column, Table

from app.codes import NOT_STATED, TOTAL, Code, Frequency, Method, ObsStatus, Qualifier, Unit, Valuation
from app.ingest.figures import interval, stated_value
from app.ingest.publish import MODELS
from app.models import Codes, Event, Evidence, Figure, SearchEntry, TradeFlow, TradeShare
from app.periods import parse_period

TABLES: Mapping[str, type[Any]] = {
    model.__tablename__: model for model in MODELS if model not in (Evidence, SearchEntry)
}
OF_PERIOD = frozenset({"frequency", "period_start", "period_end", "year", "method"})
OF_FIGURE: Mapping[str, str] = {"qualifier": "qualifier", "share_lower": "lower", "share_upper": "upper"}
"""Columns of a share that its figure gives, once what proves it is settled."""
DERIVED: Mapping[str, frozenset[str]] = {
    "figures": frozenset({"lower", "upper"}),
    "trade_flows": OF_PERIOD,
    "trade_shares": OF_PERIOD | OF_FIGURE.keys(),
    "observations": OF_PERIOD,
    "projects": frozenset({"method"}),
}
"""Columns that the loader works out, so that a seed file cannot contradict itself."""
DEFAULTS: Mapping[str, Mapping[str, Any]] = {
    "trade_flows": {
        "product": TOTAL,
        "classification": NOT_STATED,
        "period": None,
        "stated_by": NOT_STATED,
        "breakdown": NOT_STATED,
        "net_weight_estimated": None,
        "valuation": Valuation.UNSPECIFIED,
        "obs_status": ObsStatus.NORMAL,
    },
    "observations": {"obs_status": ObsStatus.NORMAL},
}
UNKNOWN_MONTHS = re.compile(r"--(0[1-9]|1[0-2])/--(0[1-9]|1[0-2])")
PARTIAL_DATE = re.compile(
    r"\d{4}(-(0[1-9]|1[0-2])(-(0[1-9]|[12]\d|3[01]))?)?|--(0[1-9]|1[0-2])(-(0[1-9]|[12]\d|3[01]))?"
)
"""ISO 8601 as far as a source states a date: 2023, 2025-06, 2025-06-16, --06, --06-16."""


UNREADABLE = re.compile(r"[\0-\t\x0b-\x1f\x7f-\x9f\ud800-\udfff]")
"""Controls but for the end of a line, and halves of a UTF-16 pair: Cc and Cs of Unicode."""


def readable(text: str) -> str:
    """Refuse what no source prints and no database keeps alike. Raises ValueError."""
    if UNREADABLE.search(text):
        raise ValueError("the text holds control characters")
    return text


def one_of_a_set(text: str) -> str:
    """Refuse what cannot stand in a set of codes. Raises ValueError."""
    if not text or "|" in text:
        raise ValueError("a member of a list is not blank and holds no |")
    return text


Text = Annotated[str, AfterValidator(readable)]
Member = Annotated[str, AfterValidator(readable), AfterValidator(one_of_a_set)]
Small = Annotated[StrictInt, Field(ge=-(2**31), le=2**31 - 1)]
Large = Annotated[StrictInt, Field(ge=-(2**63), le=2**63 - 1)]
Number = Annotated[float, Field(allow_inf_nan=False)]


def make_record(table: Table) -> type[BaseModel]:
    """Make the Pydantic model of a table's seed records from its columns."""
    left_out = {"release", "superseded_by"} | DERIVED.get(table.name, frozenset())
    columns = [column for column in table.columns if column.name not in left_out]
    fields: dict[str, Any] = {column.name: field_of(table.name, column) for column in columns}
    return create_model(f"{table.name}_seed", __config__=ConfigDict(extra="forbid"), **fields)


def field_of(table: str, column: Column[Any]) -> tuple[Any, Any]:
    """Give type and default of one seed field."""
    if isinstance(column.type, Codes):
        return tuple[Member, ...], ()
    default = DEFAULTS.get(table, {}).get(column.name, ...)
    kind = kind_of(column)
    if column.nullable or default is None:
        return kind | None, None if default is ... else default
    return kind, default


def kind_of(column: Column[Any]) -> Any:
    """Give the type of a column's values, as narrow as the database holds it."""
    members: type[Code] | None = column.info.get("codes")
    if members is not None:
        return Literal[tuple(str(member) for member in members)]
    plain: type = column.type.python_type
    if plain is int:
        return Large if isinstance(column.type, BigInteger) else Small
    return {str: Text, float: Number}.get(plain, plain)


RECORDS: Mapping[str, type[BaseModel]] = {name: make_record(model.__table__) for name, model in TABLES.items()}
"""The seed record of each table."""


class Unfit(ValueError):
    """A field of a record does not fit the others."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


def complete(model: type[Any], values: dict[str, Any]) -> dict[str, Any]:
    """Work out the derived columns. Raises Unfit."""
    if "inferred" in values:
        method = method_of(model, values)
        values |= {"method": method} if "method" in model.__table__.columns else {}
    if model is TradeShare:
        values |= dict.fromkeys(OF_FIGURE)
    if "period" in values:
        values |= dated(model, values["period"])
    if model is Figure:
        values |= bounded(values)
    if model is Event and values["date"] is not None and not PARTIAL_DATE.fullmatch(values["date"]):
        raise Unfit("date", f"{values['date']!r} is no date such as 2023, 2025-06-16 or --06-16")
    return {name: str(value) if isinstance(value, Code) else value for name, value in values.items()}


def method_of(model: type[Any], values: Mapping[str, Any]) -> str:
    """Tell a stated record from an inferred one. Raises Unfit."""
    for name in values["inferred"]:
        if name not in model.__table__.columns and name != "indicator":
            raise Unfit("inferred", f"inferred names {name!r}, which is no field here")
    if values["inferred"] and not values.get("note"):
        raise Unfit("inferred", "what is inferred needs a note that says how")
    return str(Method.INFERRED if values["inferred"] else Method.STATED)


def dated(model: type[Any], text: str | None) -> dict[str, Any]:
    """Give the columns of a period; of none, or of months without a year, as much as is known. Raises Unfit."""
    unknown = {"period_start": None, "period_end": None, "year": None, "frequency": None}
    if text is None:
        sentinel = NOT_STATED if model is TradeFlow else None
        return {**unknown, "period": sentinel, "frequency": sentinel}
    if model is TradeShare and (months := UNKNOWN_MONTHS.fullmatch(text)):
        return {**unknown, "period": text, "frequency": str(Frequency.YEAR_TO_DATE) if months[1] == "01" else None}
    try:
        period = parse_period(text)
    except ValueError as error:
        raise Unfit("period", str(error)) from error
    return {
        "period": period.code,
        "frequency": str(period.frequency),
        "period_start": period.start,
        "period_end": period.end,
        "year": period.year,
    }


def bounded(values: Mapping[str, Any]) -> dict[str, Any]:
    """Give the interval of a figure, its words and number being held against each other. Raises Unfit."""
    words, value, exact = values["as_stated"], Decimal(str(values["value"])), values["exact"]
    if exact.count(words) != 1:
        raise Unfit(
            "as_stated", f"figure {values['id']}: {words!r} stands {exact.count(words)} times in exact, not once"
        )
    printed = stated_value(words)
    if printed is not None and printed != value:
        raise Unfit("value", f"figure {values['id']}: {words!r} prints {printed:f}, but value is {value:f}")
    lower, upper = interval(words, value, Unit(values["unit"]), Qualifier(values["qualifier"]))
    return {
        "lower": None if lower is None else float(lower),
        "upper": None if upper is None else float(upper),
        "value": float(value),
    }
