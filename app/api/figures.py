"""Figures and sources: the receipt of each number, and each document with all that was read in it."""

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
from app.evidence import Citation, cite
from app.filters import Where, key_is
from app.models import Evidence, Figure, Quote, Source
from app.names import visible
from app.params import CodeOf, ListParams, Many, RecordParams, Sources, Speakers
from app.plan import whole
from app.query import Label, Resource, Row
from app.routes import TableRoute

router = APIRouter(prefix="/v1", tags=["Figures and sources"], route_class=TableRoute)


class FigureParams(ListParams):
    """Filters of figures."""

    source: Annotated[Sources, Where(Figure.source)] = ()
    unit: Annotated[Many[Annotated[codes.Unit, CodeOf(codes.Unit)]], Where(Figure.unit)] = Field((), examples=[["USD"]])
    qualifier: Annotated[Many[Annotated[codes.Qualifier, CodeOf(codes.Qualifier)]], Where(Figure.qualifier)] = ()
    stated_by: Annotated[Speakers, Where(func.coalesce(Figure.stated_by, codes.NOT_STATED))] = Field(
        (), description="expert or organization; `self` is the source's own voice", examples=[["kaz-bns"]]
    )


class FigureRow(Row):
    """One number as a source states it."""

    id: str
    as_stated: str
    value: float
    unit: codes.Unit
    qualifier: codes.Qualifier
    lower: float | None = Field(description="least value that digits and qualifier allow")
    upper: float | None = Field(description="greatest value that digits and qualifier allow")
    source: str
    stated_by: str | None = Field(description="null where the source speaks in its own voice")
    stated_by_name: Annotated[str | None, Label("speaker", "stated_by")]
    section: str | None = Field(description="heading it stands under")
    start: int = Field(description="code points from the start of the text")
    end: int = Field(description="exclusive")
    exact: str = Field(description="verbatim fragment")


class Support(BaseModel):
    """A field of a record that the figure is the evidence of."""

    record: str
    key: str
    field: str


class FigureRecord(FigureRow):
    """The figure receipt."""

    supports: list[Support]
    source_title: str
    publisher: str
    url: str | None
    sha256: str | None = Field(description="of the text that start and end count in")
    citation: Citation


FIGURES = Resource("figures", FigureRow, Figure, (Figure.id,), ("source", "start"))
RECEIPT = frozenset({"supports", "source_title", "publisher", "url", "sha256", "citation"})
FIGURE = Resource("figures", FigureRecord, Figure, (), (), extras=RECEIPT)
CITED = ("title", "publisher", "url", "published_on", "sha256")


def receipt(connection: Connection, ask: Ask, record: dict[str, Any]) -> dict[str, Any]:
    """Give what a figure supports, where it is from and how to cite it."""
    release = ask.edition.number
    supports = (
        select(Evidence.record, Evidence.record_key, Evidence.field)
        .where(Evidence.figure == record["id"], visible(Evidence, release))
        .order_by(Evidence.record, Evidence.record_key, Evidence.field)
    )
    columns = [getattr(Source, name) for name in CITED]
    where = (Source.slug == record["source"], visible(Source, release))
    source = dict(zip(CITED, connection.execute(select(*columns).where(*where)).one(), strict=True))
    return {
        "supports": [{"record": kind, "key": key, "field": field} for kind, key, field in connection.execute(supports)],
        "source_title": source["title"],
        "publisher": source["publisher"],
        "url": source["url"],
        "sha256": source["sha256"],
        "citation": cite(record, source),
    }


@router.get("/figures", operation_id="list_figures", **listing(FigureRow))
def list_figures(request: Request, params: Annotated[FigureParams, Query()]) -> Response:
    """List numbers as they are stated, in the order of the text."""
    return answer(request, params, FIGURES)


@router.get("/figures/{id}", operation_id="get_figure", **single(FigureRecord))
def get_figure(
    request: Request,
    id: Annotated[str, Path(examples=["at-2024-kaz-chn-total"])],
    params: Annotated[RecordParams, Query()],
) -> Response:
    """Get a figure's receipt: the number, its words and their place, who said it, what it supports, how to cite it."""
    return answer_one(request, params, FIGURE, key_is("figure", Figure.id, id), receipt)


class SourceParams(ListParams):
    """Filters of sources."""

    kind: Annotated[Many[Annotated[codes.SourceKind, CodeOf(codes.SourceKind)]], Where(Source.kind)] = Field(
        (), examples=[["article"]]
    )
    source: Annotated[Sources, Where(Source.slug)] = Field((), description="slug or title")


class SourceRow(Row):
    """A document or a dataset."""

    slug: str
    kind: codes.SourceKind
    title: str
    publisher: str
    url: str | None
    published_on: str | None = Field(json_schema_extra={"format": "date"})
    language: str = Field(description="ISO 639-1")
    licence: str | None
    sha256: str | None = Field(description="of the text or file as read")
    length: int | None = Field(description="code points of the text")
    note: str | None


class FigureItem(BaseModel):
    """A figure in the order of the text."""

    id: str
    as_stated: str
    value: float
    unit: codes.Unit
    stated_by: str | None
    start: int
    end: int
    exact: str


class QuoteItem(BaseModel):
    """A quote in the order of the text."""

    id: str
    expert: str
    kind: codes.QuoteKind
    text: str
    start: int
    end: int


class SourceRecord(SourceRow):
    """A source with all that was read in it."""

    figures: list[FigureItem]
    quotes: list[QuoteItem]


SOURCES = Resource("sources", SourceRow, Source, (Source.slug,), ("slug",))
SOURCE = Resource("sources", SourceRecord, Source, (), (), extras=frozenset({"figures", "quotes"}))


def read_in(connection: Connection, ask: Ask, record: dict[str, Any]) -> dict[str, Any]:
    """Give the figures and quotes of a source in the order of the text."""

    def items(model: Any, shape: type[BaseModel]) -> list[dict[str, Any]]:
        names = tuple(shape.model_fields)
        query = select(*(getattr(model, name) for name in names))
        query = query.where(model.source == record["slug"], visible(model, ask.edition.number))
        found = connection.execute(query.order_by(model.start, model.id))
        return [dict(zip(names, row, strict=True)) for row in found]

    figures = items(Figure, FigureItem)
    for figure in figures:
        figure["value"] = whole(figure["value"])
    return {"figures": figures, "quotes": items(Quote, QuoteItem)}


@router.get("/sources", operation_id="list_sources", **listing(SourceRow))
def list_sources(request: Request, params: Annotated[SourceParams, Query()]) -> Response:
    """List the documents and datasets that everything comes from."""
    return answer(request, params, SOURCES)


@router.get("/sources/{slug}", operation_id="get_source", **single(SourceRecord))
def get_source(
    request: Request,
    slug: Annotated[str, Path(examples=["astana-times-2025-06"])],
    params: Annotated[RecordParams, Query()],
) -> Response:
    """Get a source with all its figures and quotes in the order of the text."""
    return answer_one(request, params, SOURCE, key_is("source", Source.slug, slug), read_in)
