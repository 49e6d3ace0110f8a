"""Releases: the publications of data, each a state that stays readable."""

from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Path, Query
from pydantic import BaseModel, Field
from sqlalchemy import ColumnElement, Connection, select
from starlette.requests import Request
from starlette.responses import Response

from app import codes
from app.answer import answer, answer_one
from app.ask import Ask
from app.envelope import listing, single
from app.filters import Where, key_is
from app.models import Release
from app.params import CodeOf, ListParams, Many, RecordParams, ReleaseNumber
from app.query import Resource, Row
from app.routes import TableRoute

router = APIRouter(prefix="/v1", tags=["Releases"], route_class=TableRoute)


class ReleaseParams(ListParams):
    """Filters of releases."""

    kind: Annotated[Many[Annotated[codes.ReleaseKind, CodeOf(codes.ReleaseKind)]], Where(Release.kind)] = Field(
        (), examples=[["seed"]]
    )


class TableChanges(BaseModel):
    """What a release changes in one table."""

    added: int = Field(description="new keys")
    changed: int = Field(description="new versions of known keys")
    removed: int = Field(description="keys that end")
    unchanged: int | None = Field(None, description="of an import: rows of its files that hold already")
    reporters: list[str] | None = Field(None, description="of an import: whose flows it adds or revises")
    years: list[int] | None = Field(None, description="of an import: years of the flows that it adds or revises")


class ReleaseRow(Row):
    """One publication of data."""

    id: int
    published_at: str = Field(json_schema_extra={"format": "date-time"}, description="UTC")
    kind: codes.ReleaseKind
    source: str = Field(description="seed folder or dataset that was published")
    file_name: str | None
    sha256: str | None = Field(description="of the published bytes")
    rows_added: int
    rows_changed: int
    rows_removed: int
    rows_rejected: int = Field(description="rows of the file that were bad and left out")
    options: str | None = Field(description="what was read of the file beside its ordinary rows: all-breakdowns")
    withdraws: int | None = Field(description="release that this one takes back")


class ReleaseRecord(ReleaseRow):
    """One publication, with what it changed."""

    withdrawn_by: int | None = Field(description="release that takes this one back")
    changes: dict[str, TableChanges] | None = Field(
        description="what it changes, by table; null of one older than this field"
    )


def until(number: int) -> ColumnElement[bool]:
    """Narrow releases to those up to one."""
    return Release.id <= number


RELEASES = Resource("releases", ReleaseRow, Release, (Release.id,), ("-id",), visible=until)
RELEASE = Resource(
    "releases", ReleaseRecord, Release, (Release.id,), (), visible=until, extras=frozenset({"withdrawn_by", "changes"})
)


def what_changed(connection: Connection, ask: Ask, record: dict[str, Any]) -> dict[str, Any]:
    """Give what a release changes, and by which it is taken back."""
    told = connection.execute(select(Release.changes).where(Release.id == record["id"])).scalar_one()
    taken = select(Release.id).where(Release.withdraws == record["id"], Release.id <= ask.edition.number)
    return {
        "changes": orjson.loads(told) if told else None,
        "withdrawn_by": connection.execute(taken).scalar_one_or_none(),
    }


@router.get("/releases", operation_id="list_releases", **listing(ReleaseRow))
def list_releases(request: Request, params: Annotated[ReleaseParams, Query()]) -> Response:
    """List publications of data, the newest first."""
    return answer(request, params, RELEASES)


@router.get("/releases/{id}", operation_id="get_release", **single(ReleaseRecord))
def get_release(
    request: Request,
    id: Annotated[ReleaseNumber, Path(examples=[1])],
    params: Annotated[RecordParams, Query()],
) -> Response:
    """Get one publication, with what it changed."""
    return answer_one(request, params, RELEASE, key_is("release", Release.id, id), what_changed)
