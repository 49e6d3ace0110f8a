"""The shape of every answer, and how a route is declared with it."""

from typing import Any, Generic, TypeVar

from pydantic import BaseModel, Field

from app.errors import PROBLEM_JSON

T = TypeVar("T")


class WhyEmpty(BaseModel):
    """Why a valid request has no rows."""

    parameter: str = Field(description="the first filter that leaves nothing")
    value: list[str] = Field(description="what was asked of it")
    nearest: list[Any] = Field(description="values nearest to it that exist beside the filters before it")


class Meta(BaseModel):
    """What an answer says of itself."""

    total: int | None = Field(None, description="rows in all; null where they are many and `count=true` was not asked")
    limit: int | None = Field(None, description="rows of a page; null where the answer is whole")
    release: int = Field(description="release the answer is of")
    warnings: list[str] = Field(description="what a careful reader should know")
    why_empty: WhyEmpty | None = None


class Links(BaseModel):
    """Paths of this answer and the next page."""

    self: str
    next: str | None = None


class Page(BaseModel, Generic[T]):
    """A list, or a page of one."""

    data: list[T]
    meta: Meta
    links: Links


class One(BaseModel, Generic[T]):
    """A single record."""

    data: T
    meta: Meta
    links: Links


PROBLEM: dict[str, Any] = {PROBLEM_JSON: {"schema": {"$ref": "#/components/schemas/Problem"}}}
SAYS = {
    404: "No such record",
    406: "No format that Accept takes is served",
    422: "A parameter is unknown or has a value it cannot take",
    503: "The service cannot answer now",
}
HEADERS = {
    "ETag": {"description": "tag of release, request and format", "schema": {"type": "string"}},
    "Last-Modified": {"description": "when the release was published", "schema": {"type": "string"}},
}


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Declare the errors of a route."""
    return {status: {"description": SAYS[status], "content": PROBLEM} for status in statuses}


OTHER: dict[int | str, dict[str, Any]] = {"default": {"description": "Any other error", "content": PROBLEM}}


def listing(row: Any) -> dict[str, Any]:
    """Declare a route that answers a table in every format."""
    text = {"schema": {"type": "string"}}
    tables = {"text/csv": text, "application/x-ndjson": text}
    return {
        "response_model": Page[row],
        "responses": {
            200: {"description": "Rows", "content": tables, "headers": HEADERS},
            304: {"description": "The client holds the answer"},
            **problems(406, 422, 503),
            **OTHER,
        },
    }


def single(row: Any) -> dict[str, Any]:
    """Declare a route that answers one record."""
    return {
        "response_model": One[row],
        "responses": {
            200: {"description": "The record", "headers": HEADERS},
            304: {"description": "The client holds the answer"},
            **problems(404, 406, 422, 503),
            **OTHER,
        },
    }
