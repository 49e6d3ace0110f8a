"""People and bodies: experts and organizations that speak or are named."""

from typing import Annotated, Any

from fastapi import APIRouter, Path, Query
from pydantic import Field
from sqlalchemy import Connection, select
from starlette.requests import Request
from starlette.responses import Response

from app import codes
from app.answer import answer, answer_one
from app.ask import Ask
from app.envelope import listing, single
from app.evidence import EvidenceItem
from app.filters import Where, key_is
from app.models import Expert, Organization, Quote
from app.names import visible
from app.params import CodeOf, Countries, ListParams, Many, Organizations, RecordParams, Sources
from app.query import Label, Resource, Row
from app.routes import TableRoute

router = APIRouter(prefix="/v1", tags=["People"], route_class=TableRoute)


class ExpertParams(ListParams):
    """Filters of experts."""

    role: Annotated[Many[Annotated[codes.Role, CodeOf(codes.Role)]], Where(Expert.role)] = Field(
        (), examples=[["official"]]
    )
    country: Annotated[Countries, Where(Expert.country)] = ()
    organization: Annotated[Organizations, Where(Expert.organization)] = Field((), description="slug or name")
    source: Annotated[Sources, Where(Expert.source)] = ()


class ExpertRow(Row):
    """A person who speaks in a source."""

    slug: str
    name: str
    title: str | None = Field(description="office, from the words of the source")
    organization: str | None
    organization_name: Annotated[str | None, Label("organization", "organization")]
    country: str | None
    country_name: Annotated[str | None, Label("country", "country")]
    role: codes.Role
    inferred: list[str] = Field(description="fields that are our conclusion")
    source: str
    note: str | None
    evidence: list[EvidenceItem]


class ExpertRecord(ExpertRow):
    """A person with what they said."""

    quotes: list[str] = Field(description="ids of their quotes, in the order of the text")
    topics: list[str] = Field(description="topics of those quotes")


EXPERTS = Resource("experts", ExpertRow, Expert, (Expert.slug,), ("slug",), "slug")
EXPERT = Resource("experts", ExpertRecord, Expert, (), (), "slug", extras=frozenset({"quotes", "topics"}))


def said(connection: Connection, ask: Ask, record: dict[str, Any]) -> dict[str, Any]:
    """Give the quotes and topics of an expert."""
    query = select(Quote.id, Quote.topics).where(Quote.expert == record["slug"], visible(Quote, ask.edition.number))
    found = connection.execute(query.order_by(Quote.source, Quote.start)).all()
    return {"quotes": [id for id, _ in found], "topics": sorted({topic for _, topics in found for topic in topics})}


@router.get("/experts", operation_id="list_experts", **listing(ExpertRow))
def list_experts(request: Request, params: Annotated[ExpertParams, Query()]) -> Response:
    """List the people who speak, with their office."""
    return answer(request, params, EXPERTS)


@router.get("/experts/{slug}", operation_id="get_expert", **single(ExpertRecord))
def get_expert(
    request: Request,
    slug: Annotated[str, Path(examples=["gulnar-shaimergenova"])],
    params: Annotated[RecordParams, Query()],
) -> Response:
    """Get a person with the ids of their quotes."""
    found = key_is("expert", Expert.slug, slug)
    return answer_one(request, params, EXPERT, found, said)


class OrganizationParams(ListParams):
    """Filters of organizations."""

    kind: Annotated[
        Many[Annotated[codes.OrganizationKind, CodeOf(codes.OrganizationKind)]], Where(Organization.kind)
    ] = Field((), examples=[["international"]])
    country: Annotated[Countries, Where(Organization.country)] = ()
    source: Annotated[Sources, Where(Organization.source)] = ()


class OrganizationRow(Row):
    """A body that a source names."""

    slug: str
    name: str
    kind: codes.OrganizationKind
    country: str | None
    country_name: Annotated[str | None, Label("country", "country")]
    summary: str | None
    aliases: list[str]
    inferred: list[str] = Field(description="fields that are our conclusion")
    source: str
    note: str | None
    evidence: list[EvidenceItem]


ORGANIZATIONS = Resource("organizations", OrganizationRow, Organization, (Organization.slug,), ("slug",), "slug")


@router.get("/organizations", operation_id="list_organizations", **listing(OrganizationRow))
def list_organizations(request: Request, params: Annotated[OrganizationParams, Query()]) -> Response:
    """List the bodies that sources name."""
    return answer(request, params, ORGANIZATIONS)


@router.get("/organizations/{slug}", operation_id="get_organization", **single(OrganizationRow))
def get_organization(
    request: Request,
    slug: Annotated[str, Path(examples=["kaz-bns"])],
    params: Annotated[RecordParams, Query()],
) -> Response:
    """Get an organization."""
    found = key_is("organization", Organization.slug, slug)
    return answer_one(request, params, ORGANIZATIONS, found)
