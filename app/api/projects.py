"""Projects: those that sources name, the portfolios they state of many, both by status, and the programmes behind."""

from collections import defaultdict
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Query
from pydantic import BaseModel, Field
from sqlalchemy import Connection, func, select
from starlette.requests import Request
from starlette.responses import Response

from app import codes
from app.answer import answer, answer_one, answer_rows
from app.ask import Ask
from app.envelope import listing, single
from app.evidence import EvidenceItem
from app.filters import Where, key_is
from app.models import Programme, Project, ProjectPortfolio
from app.names import visible
from app.params import (
    CodeOf,
    Countries,
    ListParams,
    Many,
    Money,
    NotListed,
    Params,
    Programmes,
    RecordParams,
    Sources,
    Speakers,
    Statuses,
    TableParams,
)
from app.query import Label, Resource, Row
from app.routes import TableRoute

router = APIRouter(prefix="/v1", tags=["Projects"], route_class=TableRoute)


class ProjectParams(ListParams):
    """Filters of named projects."""

    status: Annotated[Statuses, Where(Project.status)] = Field((), examples=[["operational"]])
    country: Annotated[Countries, Where(Project.countries)] = Field((), examples=[["KAZ"]])
    kind: Annotated[Many[Annotated[codes.ProjectKind, CodeOf(codes.ProjectKind)]], Where(Project.kind)] = ()
    programme: Annotated[Programmes, Where(Project.programme)] = Field((), description="slug or name")
    source: Annotated[Sources, Where(Project.source)] = ()
    value_min: Annotated[Money | None, Where(Project.value_usd, op=">=")] = Field(None, description="US dollars")
    value_max: Annotated[Money | None, Where(Project.value_usd, op="<=")] = Field(None, description="US dollars")


class ProjectRow(Row):
    """A joint project that a source names."""

    slug: str
    name: str
    kind: codes.ProjectKind
    status: codes.ProjectStatus = Field(description="not_stated where the source does not say")
    countries: list[str]
    value_usd: int | None = Field(description="whole current US dollars")
    jobs: int | None
    programme: str | None
    programme_name: Annotated[str | None, Label("programme", "programme")]
    summary: str
    aliases: list[str]
    method: codes.Method
    inferred: list[str] = Field(description="fields that are our conclusion")
    source: str
    note: str | None
    evidence: list[EvidenceItem]


PROJECTS = Resource("projects", ProjectRow, Project, (Project.slug,), ("slug",), "slug")


@router.get("/projects", operation_id="list_projects", **listing(ProjectRow))
def list_projects(request: Request, params: Annotated[ProjectParams, Query()]) -> Response:
    """List named projects; what sources state of many projects at once is in portfolios."""
    return answer(request, params, PROJECTS)


class PortfolioParams(ListParams):
    """Filters of portfolios."""

    status: Annotated[Statuses, Where(ProjectPortfolio.status)] = Field((), examples=[["completed"]])
    country: Annotated[Countries, Where(ProjectPortfolio.countries)] = ()
    source: Annotated[Sources, Where(ProjectPortfolio.source)] = ()
    stated_by: Annotated[Speakers, Where(func.coalesce(ProjectPortfolio.stated_by, codes.NOT_STATED))] = Field(
        (), description="expert or organization; `self` is the source's own voice"
    )


class PortfolioRow(Row):
    """An aggregate that a source states of many projects without naming them."""

    slug: str
    name: str
    status: codes.ProjectStatus
    countries: list[str]
    project_count: int | None
    value_usd: int | None = Field(description="whole current US dollars")
    jobs: int | None
    source: str
    stated_by: str | None = Field(description="null where the source speaks in its own voice")
    stated_by_name: Annotated[str | None, Label("speaker", "stated_by")]
    note: str | None
    evidence: list[EvidenceItem]


PORTFOLIOS = Resource(
    "project_portfolios",
    PortfolioRow,
    ProjectPortfolio,
    (ProjectPortfolio.slug,),
    ("slug",),
    "slug",
)


@router.get("/projects/portfolios", operation_id="list_project_portfolios", **listing(PortfolioRow))
def list_project_portfolios(request: Request, params: Annotated[PortfolioParams, Query()]) -> Response:
    """List what sources state of many projects: how many, their value, jobs. Portfolios may overlap."""
    return answer(request, params, PORTFOLIOS)


class SummaryFilters(Params):
    """Whose projects."""

    country: Annotated[Countries, NotListed()] = Field((), description="projects and portfolios of a country")


class SummaryParams(SummaryFilters, TableParams):
    """What the summary is by."""

    by: Annotated[Literal["status"], NotListed()] = Field("status", description="what to summarise by")


class StatedPortfolio(BaseModel):
    """A portfolio as the summary shows it."""

    slug: str
    project_count: int | None
    value_usd: int | None
    stated_by: str | None
    source: str


class SummaryRow(Row):
    """One status: what portfolios state of it, and which projects are named; never added to each other."""

    status: codes.ProjectStatus
    label: str
    portfolios: list[StatedPortfolio]
    projects: list[str] = Field(description="slugs of the named projects")
    projects_named: int = Field(description="how many are named")


def summarise(connection: Connection, ask: Ask) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Give every status with its portfolios and its named projects."""
    params: Any = ask.params
    portfolios, projects = defaultdict(list), defaultdict(list)
    table, fields = ProjectPortfolio, ("slug", "project_count", "value_usd", "stated_by", "source")
    query = select(table.status, *(getattr(table, name) for name in fields)).where(visible(table, ask.edition.number))
    named = select(Project.status, Project.slug).where(visible(Project, ask.edition.number))
    if params.country:
        query = query.where(Where(table.countries).condition(params.country))
        named = named.where(Where(Project.countries).condition(params.country))
    for status, *values in connection.execute(query.order_by(table.slug)):
        portfolios[status].append(dict(zip(fields, values, strict=True)))
    for status, slug in connection.execute(named.order_by(Project.slug)):
        projects[status].append(slug)
    rows = [
        {
            "status": status,
            "label": status.label,
            "portfolios": portfolios[status],
            "projects": projects[status],
            "projects_named": len(projects[status]),
        }
        for status in codes.ProjectStatus
    ]
    warning = "portfolios may overlap, and name no projects: neither add them, nor the named projects to them"
    return rows, {"warnings": [warning]}


@router.get("/projects/summary", operation_id="summarise_projects", **listing(SummaryRow))
def summarise_projects(request: Request, params: Annotated[SummaryParams, Query()]) -> Response:
    """Summarise by status: what portfolios state (count, value), and which projects are named."""
    return answer_rows(request, params, SummaryRow, summarise)


@router.get("/projects/{slug}", operation_id="get_project", **single(ProjectRow))
def get_project(
    request: Request,
    slug: Annotated[str, Path(examples=["khorgos-dry-port"])],
    params: Annotated[RecordParams, Query()],
) -> Response:
    """Get a named project."""
    found = key_is("project", Project.slug, slug)
    return answer_one(request, params, PROJECTS, found)


class ProgrammeParams(ListParams):
    """Filters of programmes."""

    part_of: Annotated[Programmes, Where(Programme.part_of)] = ()
    source: Annotated[Sources, Where(Programme.source)] = ()


class ProgrammeRow(Row):
    """A policy programme that projects belong to."""

    slug: str
    name: str
    part_of: str | None = Field(description="the programme it is a part of")
    summary: str
    aliases: list[str]
    source: str
    evidence: list[EvidenceItem]


PROGRAMMES = Resource("programmes", ProgrammeRow, Programme, (Programme.slug,), ("slug",), "slug")


@router.get("/programmes", operation_id="list_programmes", **listing(ProgrammeRow))
def list_programmes(request: Request, params: Annotated[ProgrammeParams, Query()]) -> Response:
    """List programmes, such as the Belt and Road Initiative."""
    return answer(request, params, PROGRAMMES)


@router.get("/programmes/{slug}", operation_id="get_programme", **single(ProgrammeRow))
def get_programme(
    request: Request,
    slug: Annotated[str, Path(examples=["belt-and-road-initiative"])],
    params: Annotated[RecordParams, Query()],
) -> Response:
    """Get a programme."""
    found = key_is("programme", Programme.slug, slug)
    return answer_one(request, params, PROGRAMMES, found)
