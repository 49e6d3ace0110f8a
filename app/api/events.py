"""Events and indicators: what happened, and measures over time that are no trade flow."""

from typing import Annotated, Any

from fastapi import APIRouter, Path, Query
from pydantic import BaseModel, Field
from sqlalchemy import Connection, func, select
from starlette.requests import Request
from starlette.responses import Response

from app import codes
from app.answer import answer, answer_one
from app.ask import Ask
from app.envelope import listing, single
from app.evidence import EvidenceItem, evidence_of
from app.filters import Where, key_is
from app.models import Event, Indicator, Observation
from app.names import visible
from app.params import CodeOf, Countries, ListParams, Many, RecordParams, Sources, Year, Years
from app.plan import whole
from app.query import Resource, Row
from app.routes import TableRoute

router = APIRouter(prefix="/v1", tags=["Events and indicators"], route_class=TableRoute)
EVENT_YEAR = func.coalesce(Event.year, Event.year_inferred)


class EventParams(ListParams):
    """Filters of events."""

    kind: Annotated[Many[Annotated[codes.EventKind, CodeOf(codes.EventKind)]], Where(Event.kind)] = Field(
        (), examples=[["forum"]]
    )
    country: Annotated[Countries, Where(Event.countries)] = Field(
        (), description="country that takes part, as stated; events of Central Asia as one have XCA"
    )
    year: Annotated[Years, Where(EVENT_YEAR)] = Field(
        (), description="year; where the source names none, the one inferred, shown as year_inferred"
    )
    year_from: Annotated[Year | None, Where(EVENT_YEAR, op=">=")] = None
    year_to: Annotated[Year | None, Where(EVENT_YEAR, op="<=")] = None
    source: Annotated[Sources, Where(Event.source)] = ()


class EventRow(Row):
    """Something that happened, dated as precisely as the source does."""

    slug: str
    name: str
    kind: codes.EventKind
    date: str | None = Field(description="ISO 8601 as far as stated: 2023, --06-16")
    year: int | None
    year_inferred: int | None = Field(description="our conclusion where the source names no year")
    place: str | None
    countries: list[str]
    agreements_count: int | None
    agreements_value_usd: int | None = Field(description="whole current US dollars")
    summary: str
    source: str
    note: str | None
    evidence: list[EvidenceItem]


EVENTS = Resource("events", EventRow, Event, (Event.slug,), ("year", "slug"), "slug")


@router.get("/events", operation_id="list_events", **listing(EventRow))
def list_events(request: Request, params: Annotated[EventParams, Query()]) -> Response:
    """List events."""
    return answer(request, params, EVENTS)


@router.get("/events/{slug}", operation_id="get_event", **single(EventRow))
def get_event(
    request: Request,
    slug: Annotated[str, Path(examples=["china-central-asia-summit-2023"])],
    params: Annotated[RecordParams, Query()],
) -> Response:
    """Get an event."""
    return answer_one(request, params, EVENTS, key_is("event", Event.slug, slug))


class IndicatorParams(ListParams):
    """Filters of indicators."""

    unit: Annotated[Many[Annotated[codes.Unit, CodeOf(codes.Unit)]], Where(Indicator.unit)] = Field(
        (), examples=[["tons"]]
    )
    country: Annotated[Countries, Where(Indicator.countries)] = ()
    source: Annotated[Sources, Where(Indicator.source)] = ()


class IndicatorRow(Row):
    """A measure over time."""

    slug: str
    name: str
    unit: codes.Unit
    countries: list[str]
    description: str
    source: str
    evidence: list[EvidenceItem]


class ObservationItem(BaseModel):
    """One value of an indicator, or the direction alone where the source gives no number."""

    slug: str
    value: float | None = Field(description="in the indicator's unit")
    direction: codes.Direction | None
    as_stated: str
    frequency: codes.Frequency | None
    period: str | None
    year: int | None
    stated_by: str | None
    stated_by_name: str | None
    obs_status: codes.ObsStatus
    method: codes.Method
    inferred: list[str]
    source: str
    note: str | None
    evidence: list[EvidenceItem]


class IndicatorRecord(IndicatorRow):
    """A measure with its values."""

    observations: list[ObservationItem]


INDICATORS = Resource("indicators", IndicatorRow, Indicator, (Indicator.slug,), ("slug",), "slug")
INDICATOR = Resource("indicators", IndicatorRecord, Indicator, (), (), "slug", extras=frozenset({"observations"}))
MADE_LATER = frozenset({"stated_by_name", "evidence"})


def observed(connection: Connection, ask: Ask, record: dict[str, Any]) -> dict[str, Any]:
    """Give the observations of an indicator by period."""
    names = [name for name in ObservationItem.model_fields if name not in MADE_LATER]
    query = (
        select(*(getattr(Observation, name) for name in names))
        .where(Observation.indicator == record["slug"], visible(Observation, ask.edition.number))
        .order_by(Observation.period_start.nulls_last(), Observation.slug)
    )
    found = [dict(zip(names, row, strict=True)) for row in connection.execute(query)]
    proofs = evidence_of(connection, "observations", [one["slug"] for one in found], ask.edition.number)
    for one in found:
        one["value"] = whole(one["value"])
        one["stated_by_name"] = ask.edition.names.label("speaker", one["stated_by"])
        one["evidence"] = proofs.get(one["slug"], [])
    return {"observations": [{name: one[name] for name in ObservationItem.model_fields} for one in found]}


@router.get("/indicators", operation_id="list_indicators", **listing(IndicatorRow))
def list_indicators(request: Request, params: Annotated[IndicatorParams, Query()]) -> Response:
    """List measures over time; one of them has its values."""
    return answer(request, params, INDICATORS)


@router.get("/indicators/{slug}", operation_id="get_indicator", **single(IndicatorRecord))
def get_indicator(
    request: Request,
    slug: Annotated[str, Path(examples=["kaz-chn-cargo-volume"])],
    params: Annotated[RecordParams, Query()],
) -> Response:
    """Get a measure with its values."""
    found = key_is("indicator", Indicator.slug, slug)
    return answer_one(request, params, INDICATOR, found, observed)
