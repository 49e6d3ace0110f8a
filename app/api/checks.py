"""Checks: the arithmetic of published figures, computed when asked."""

from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field
from sqlalchemy import Connection, select
from starlette.requests import Request
from starlette.responses import Response

from app import codes
from app.answer import answer_rows, whole
from app.ask import Ask
from app.checks import compute
from app.envelope import listing
from app.models import Check, Figure
from app.names import visible
from app.params import CodeOf, Many, NotListed, Sources, TableParams
from app.query import Clause, Resource, Row, why_empty

router = APIRouter(prefix="/v1", tags=["Figures and sources"])


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
COLUMNS = ("slug", "title", "kind", "figures", "expected", "direction", "source", "note")
FIGURE = ("id", "as_stated", "value", "unit", "lower", "upper", "stated_by", "exact")


def checked(connection: Connection, ask: Ask) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Compute the checks that are asked."""
    params: Any = ask.params
    query = select(*(getattr(Check, name) for name in COLUMNS)).where(visible(Check, ask.edition.number))
    if params.kind:
        query = query.where(Check.kind.in_(params.kind))
    if params.source:
        query = query.where(Check.source.in_(params.source))
    checks = [
        dict(zip(COLUMNS, row, strict=True)) for row in connection.execute(query.order_by(Check.source, Check.slug))
    ]
    ids = {name for check in checks for name in (*check["figures"], check["expected"]) if name}
    found = select(*(getattr(Figure, name) for name in FIGURE)).where(
        Figure.id.in_(ids), visible(Figure, ask.edition.number)
    )
    figures = {row[0]: dict(zip(FIGURE, row, strict=True)) for row in connection.execute(found)}
    rows = [row_of(check, figures) for check in checks]
    kept = [row for row in rows if not params.verdict or row["verdict"] in params.verdict]
    return kept, {} if kept else {"why_empty": why_no_check(connection, ask, rows)}


def why_no_check(connection: Connection, ask: Ask, rows: list[dict[str, Any]]) -> dict[str, Any] | None:
    """Give the filter that leaves no check: the verdict, or one that the table itself is asked by."""
    params: Any = ask.params
    if rows:
        near = sorted({str(row["verdict"]) for row in rows})
        return {"parameter": "verdict", "value": list(params.verdict), "nearest": near}
    clauses = [
        Clause("kind", params.kind, Check.kind.in_(params.kind), (Check.kind,)),
        Clause("source", params.source, Check.source.in_(params.source), (Check.source,)),
    ]
    return why_empty(connection, CHECKS, [clause for clause in clauses if clause.value], ask.edition.number)


def row_of(check: dict[str, Any], figures: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Put a check, its figures and what it finds in a row."""
    roles = [
        *((name, "operand") for name in check["figures"]),
        *([(check["expected"], "expected")] if check["expected"] else []),
    ]
    used = [{**figures[name], "role": role} for name, role in roles]
    for figure in used:
        figure |= {name: whole(figure[name]) for name in ("value", "lower", "upper")}
    row = {**check, **compute(check, figures), "figures": used}
    return {name: row[name] for name in CheckRow.model_fields}


@router.get("/checks", operation_id="list_checks", **listing(CheckRow))
def list_checks(request: Request, params: Annotated[CheckParams, Query()]) -> Response:
    """List checks: sums, shares, changes and conflicts among stated figures, with the verdict."""
    return answer_rows(request, params, CheckRow, checked)
