"""Quotes: what was said, verbatim or paraphrased, and the topics, risks and mitigations it speaks of."""

from typing import Annotated

from fastapi import APIRouter, Path, Query
from pydantic import Field
from sqlalchemy import ColumnElement, func, select
from starlette.requests import Request
from starlette.responses import Response

from app import codes
from app.answer import answer, answer_one
from app.envelope import listing, single
from app.evidence import EvidenceItem
from app.filters import Where, WhereBy, key_is
from app.models import Quote, Risk, SearchEntry, Topic
from app.names import visible
from app.params import CodeOf, Experts, ListParams, Many, RecordParams, Sources, Text, Topics
from app.query import Label, Resource, Row
from app.releases import Edition
from app.routes import TableRoute
from app.search import matching

router = APIRouter(prefix="/v1", tags=["Quotes"], route_class=TableRoute)


def has_words(text: str, edition: Edition) -> ColumnElement[bool]:
    """Narrow quotes to those whose words, as of the release, match."""
    found = select(SearchEntry.record_key).where(
        SearchEntry.record == Quote.__tablename__, visible(SearchEntry, edition.number), matching(text)
    )
    return Quote.id.in_(found)


class QuoteParams(ListParams):
    """Filters of quotes."""

    expert: Annotated[Experts, Where(Quote.expert)] = Field(
        (), description="slug or name", examples=[["gulnar-shaimergenova"]]
    )
    topic: Annotated[Topics, Where(Quote.topics)] = Field((), description="slug or name", examples=[["technology"]])
    kind: Annotated[Many[Annotated[codes.QuoteKind, CodeOf(codes.QuoteKind)]], Where(Quote.kind)] = ()
    speaker_basis: Annotated[Many[Annotated[codes.Basis, CodeOf(codes.Basis)]], Where(Quote.speaker_basis)] = ()
    source: Annotated[Sources, Where(Quote.source)] = ()
    q: Annotated[Text | None, WhereBy(has_words)] = Field(
        None,
        description='words that all occur; `depend*` for a beginning, `"long term"` for a phrase',
        examples=["dependence"],
    )


class QuoteRow(Row):
    """Words said."""

    id: str
    expert: str
    expert_name: Annotated[str | None, Label("expert", "expert")]
    kind: codes.QuoteKind
    text: str = Field(description="verbatim if direct, our own words if paraphrase")
    topics: list[str]
    source: str
    section: str | None = Field(description="heading it stands under")
    start: int = Field(description="code points from the start of the text")
    end: int = Field(description="exclusive")
    exact: str = Field(description="verbatim: the quote, or the fragment that a paraphrase is of")
    continues: str | None = Field(description="id of the quote that this one carries on")
    speaker_basis: codes.Basis = Field(description="whether the speaker is named or follows from a pronoun")
    evidence: list[EvidenceItem]


QUOTES = Resource("quotes", QuoteRow, Quote, (Quote.id,), ("source", "start"), "id")


@router.get("/quotes", operation_id="list_quotes", **listing(QuoteRow))
def list_quotes(request: Request, params: Annotated[QuoteParams, Query()]) -> Response:
    """List quotes in the order of the text."""
    return answer(request, params, QUOTES)


@router.get("/quotes/{id}", operation_id="get_quote", **single(QuoteRow))
def get_quote(
    request: Request,
    id: Annotated[str, Path(examples=["q-shaimergenova-equipment"])],
    params: Annotated[RecordParams, Query()],
) -> Response:
    """Get a quote."""
    return answer_one(request, params, QUOTES, key_is("quote", Quote.id, id))


class TopicParams(ListParams):
    """Filters of topics."""

    source: Annotated[Sources, Where(Topic.source)] = ()


class TopicRow(Row):
    """A subject of quotes."""

    slug: str
    name: str
    summary: str | None
    source: str


TOPICS = Resource("topics", TopicRow, Topic, (Topic.slug,), ("slug",))


@router.get("/topics", operation_id="list_topics", **listing(TopicRow))
def list_topics(request: Request, params: Annotated[TopicParams, Query()]) -> Response:
    """List the topics that quotes and risks go by."""
    return answer(request, params, TOPICS)


@router.get("/topics/{slug}", operation_id="get_topic", **single(TopicRow))
def get_topic(
    request: Request,
    slug: Annotated[str, Path(examples=["technology"])],
    params: Annotated[RecordParams, Query()],
) -> Response:
    """Get a topic."""
    return answer_one(request, params, TOPICS, key_is("topic", Topic.slug, slug))


class RiskParams(ListParams):
    """Filters of risks and mitigations."""

    kind: Annotated[Many[Annotated[codes.RiskKind, CodeOf(codes.RiskKind)]], Where(Risk.kind)] = Field(
        (), examples=[["mitigation"]]
    )
    theme: Annotated[Topics, Where(Risk.theme)] = Field((), description="topic")
    raised_by: Annotated[Experts, Where(func.coalesce(Risk.raised_by, codes.NOT_STATED))] = ()
    source: Annotated[Sources, Where(Risk.source)] = ()


class RiskRow(Row):
    """A risk, or a mitigation, that a source names."""

    slug: str
    kind: codes.RiskKind
    theme: str
    theme_name: Annotated[str | None, Label("topic", "theme")]
    summary: str = Field(description="our words")
    raised_by: str | None = Field(description="null where the source speaks in its own voice")
    raised_by_name: Annotated[str | None, Label("expert", "raised_by")]
    quotes: list[str] = Field(description="ids of quotes that say so")
    source: str
    evidence: list[EvidenceItem]


RISKS = Resource("risks", RiskRow, Risk, (Risk.slug,), ("kind", "slug"), "slug")


@router.get("/risks", operation_id="list_risks", **listing(RiskRow))
def list_risks(request: Request, params: Annotated[RiskParams, Query()]) -> Response:
    """List risks and mitigations, with who raised them."""
    return answer(request, params, RISKS)


@router.get("/risks/{slug}", operation_id="get_risk", **single(RiskRow))
def get_risk(
    request: Request,
    slug: Annotated[str, Path(examples=["technological-dependence"])],
    params: Annotated[RecordParams, Query()],
) -> Response:
    """Get a risk or mitigation."""
    return answer_one(request, params, RISKS, key_is("risk", Risk.slug, slug))
