"""Exports: every table whole, as a file that is built once a release and read by ranges."""

from typing import Annotated, Any

from fastapi import APIRouter, Path, Query
from pydantic import BaseModel, Field
from starlette.requests import Request
from starlette.responses import Response

from app.envelope import HEADERS, OTHER, UNCHANGED, Page, named, problems
from app.exports.answers import ExportParams, answer_list, answer_table, exports_of, no_such
from app.exports.tables import FORMATS
from app.routes import TableRoute

router = APIRouter(prefix="/v1", tags=["Exports"], route_class=TableRoute)
Name = Annotated[str, Path(examples=["trade-flows"], description="name of the table, as /v1/exports lists it")]


class ExportColumn(BaseModel):
    """A column of an export."""

    name: str
    type: str = Field(description="text, integer, number, truth, day, moment, list or object")
    description: str | None


class ExportFile(BaseModel):
    """A file of an export."""

    format: str
    path: str = Field(description="of this release, for ever the same")
    media_type: str
    size: int | None = Field(description="bytes; null of a file that nobody has asked for yet")
    sha256: str | None = Field(description="of its bytes; null of a file that nobody has asked for yet")


class ExportItem(BaseModel):
    """A table that is exported whole."""

    table: str = Field(description="its name in the paths of its files")
    title: str
    description: str
    release: int = Field(description="release whose state the files are")
    rows: int
    key: list[str] = Field(description="columns that tell its rows apart")
    columns: list[ExportColumn]
    path: str = Field(description="path of the same rows as a list, with filters and pages")
    files: list[ExportFile]


def a_file(media_type: str) -> dict[int | str, dict[str, Any]]:
    """Declare the answers of a file."""
    content = {media_type: {"schema": {"type": "string", "format": "binary"}}}
    told = {**HEADERS, "Accept-Ranges": {"description": "bytes", "schema": {"type": "string"}}}
    return {
        200: {"description": "The file", "content": content, "headers": told},
        206: {"description": "The bytes that Range asks for", "content": content, "headers": told},
        **UNCHANGED,
        **problems(404, 406, 416, 422, 503),
        **OTHER,
    }


@router.get(
    "/exports",
    operation_id="list_exports",
    response_model=named(Page, ExportItem),
    responses={200: {"description": "Tables", "headers": HEADERS}, **UNCHANGED, **problems(406, 422, 503), **OTHER},
)
def list_exports(request: Request, params: Annotated[ExportParams, Query()]) -> Response:
    """List the tables that can be had whole as files, with their columns, rows and links."""
    return answer_list(request, params)


@router.get(
    "/exports/{table}.csv",
    operation_id="get_export_csv",
    response_class=Response,
    responses=a_file("text/csv"),
)
def get_export_csv(request: Request, table: Name, params: Annotated[ExportParams, Query()]) -> Response:
    """Get a whole table as a CSV file, all of it or by ranges; the bytes are those of its list with `format=csv`."""
    return answer_table(request, params, table, FORMATS["csv"])


@router.get(
    "/exports/{table}.parquet",
    operation_id="get_export_parquet",
    response_class=Response,
    responses=a_file(FORMATS["parquet"].media_type),
)
def get_export_parquet(request: Request, table: Name, params: Annotated[ExportParams, Query()]) -> Response:
    """Get a whole table as a Parquet file: readers that ask by ranges take the columns and row groups they need."""
    return answer_table(request, params, table, FORMATS["parquet"])


@router.get("/exports/{file}", include_in_schema=False)
def no_such_export(request: Request, file: str) -> Response:
    """Say which file is like one that there is not."""
    raise no_such(file, exports_of(request).names)
