"""Releases: the publications of data, each a state that stays readable."""

from typing import Annotated

from fastapi import APIRouter, Path, Query
from pydantic import Field
from starlette.requests import Request
from starlette.responses import Response

from app import codes
from app.answer import answer, answer_one
from app.envelope import listing, single
from app.models import Release
from app.params import CodeOf, ListParams, Many, RecordParams, ReleaseNumber
from app.query import Resource, Row, Where, key_is

router = APIRouter(prefix="/v1", tags=["Releases"])


class ReleaseParams(ListParams):
    """Filters of releases."""

    kind: Annotated[Many[Annotated[codes.ReleaseKind, CodeOf(codes.ReleaseKind)]], Where(Release.kind)] = Field(
        (), examples=[["seed"]]
    )


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
    rows_rejected: int


RELEASES = Resource(
    "releases", ReleaseRow, Release, (Release.id,), ("-id",), visible=lambda number: Release.id <= number
)


@router.get("/releases", operation_id="list_releases", **listing(ReleaseRow))
def list_releases(request: Request, params: Annotated[ReleaseParams, Query()]) -> Response:
    """List publications of data, the newest first."""
    return answer(request, params, RELEASES)


@router.get("/releases/{id}", operation_id="get_release", **single(ReleaseRow))
def get_release(
    request: Request,
    id: Annotated[ReleaseNumber, Path(examples=[1])],
    params: Annotated[RecordParams, Query()],
) -> Response:
    """Get one publication."""
    return answer_one(request, params, RELEASES, key_is("release", Release.id, id))
