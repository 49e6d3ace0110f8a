"""Checks: the arithmetic of published figures, computed when asked."""

from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field
from sqlalchemy import Connection
from starlette.requests import Request
from starlette.responses import Response

from app import codes
from app.answer import answer_rows
from app.ask import Ask
from app.checks import findings
from app.empty import why_empty
from app.envelope import listing
from app.filters import Clause
from app.models import Check
from app.params import CodeOf, Many, NotListed, Sources, TableParams
from app.query import Resource, Row
from app.routes import TableRoute

router = APIRouter(prefix="/v1", tags=["Figures and sources"], route_class=TableRoute)


class CheckParams(TableParams):
    """Which checks to give."""

    verdict: Annotated[Many[Annotated[codes.Verdict, CodeOf(codes.Verdict)]], NotListed()] = Field(
        (), examples=[["conflicts"]]
    )
    kind: Annotated[Many[Annotated[codes.CheckKind, CodeOf(codes.CheckKind)]], NotListed()] = ()
    source: Annotated[Sources, NotListed()] = ()


class CheckedFigure(BaseModel):
    """A figure that a check reads."""

    id: str
    role: str = Field(description="operand or expected")
    as_stated: str
    value: float
    unit: codes.Unit
    lower: float | None
    upper: float | None
    stated_by: str | None
    exact: str


class CheckRow(Row):
    """One check with its figures and what it finds."""

    slug: str
    title: str
    kind: codes.CheckKind
    verdict: codes.Verdict
    formula: str
    actual: float = Field(description="in the unit of the expected figure; changes in percent")
    actual_lower: float | None
    actual_upper: float | None
    direction: codes.Direction | None = Field(description="the change that the source's words claim")
    expected: float | None
    expected_lower: float | None
    expected_upper: float | None
    difference: float | None = Field(description="actual less expected")
    tolerance: float | None = Field(description="what printed digits and qualifiers leave open")
    figures: list[CheckedFigure]
    source: str
    note: str | None


CHECKS = Resource("checks", Row, Check, (Check.slug,), ())


def checked(connection: Connection, ask: Ask) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Compute the checks that are asked."""
    clauses = asked_of(ask)
    found = findings(connection, ask.edition.number, *(clause.condition for clause in clauses))
    params: Any = ask.params
    kept = [row for row in found if not params.verdict or row["verdict"] in params.verdict]
    rows = [{name: row[name] for name in CheckRow.model_fields} for row in kept]
    return rows, {} if rows else {"why_empty": why_no_check(connection, ask, clauses, found)}


def asked_of(ask: Ask) -> list[Clause]:
    """Give the filters that the table itself is asked by."""
    params: Any = ask.params
    clauses = [
        Clause.of("kind", params.kind, Check.kind.in_(params.kind), (Check.kind,)),
        Clause.of("source", params.source, Check.source.in_(params.source), (Check.source,)),
    ]
    return [clause for clause in clauses if clause.value]


def why_no_check(
    connection: Connection, ask: Ask, clauses: list[Clause], found: list[dict[str, Any]]
) -> dict[str, Any] | None:
    """Give the filter that leaves no check: the verdict, or one that the table itself is asked by."""
    if not found:
        return why_empty(connection, CHECKS, clauses, ask.edition)
    near = sorted({str(row["verdict"]) for row in found})
    return {"parameter": "verdict", "value": list(ask.params.verdict), "nearest": near}  # type: ignore[attr-defined]  # CheckParams


@router.get("/checks", operation_id="list_checks", **listing(CheckRow))
def list_checks(request: Request, params: Annotated[CheckParams, Query()]) -> Response:
    """List checks: sums, shares, changes and conflicts among stated figures, with the verdict."""
    return answer_rows(request, params, CheckRow, checked)
