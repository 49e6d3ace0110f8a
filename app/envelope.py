"""The shape of every answer, and how a route is declared with it."""

from functools import cache
from typing import Any, Generic, TypeVar, get_args

from pydantic import BaseModel, Field, create_model

from app.errors import PROBLEM_JSON
from app.formats import TABLE_FORMATS

T = TypeVar("T")


class WhyEmpty(BaseModel):
    """Why a valid request has no rows."""

    parameter: str = Field(description="the first filter that leaves nothing")
    value: list[str] = Field(description="what was asked of it")
    nearest: list[str | int | float] = Field(description="values nearest to it that exist beside the filters before it")
    note: str | None = Field(None, description="what is known of the value that was asked, where anything is")


class Meta(BaseModel):
    """What an answer says of itself."""

    release: int = Field(description="release the answer is of")
    warnings: list[str] = Field(description="what a careful reader should know")


class PageMeta(Meta):
    """What a list says of itself."""

    total: int | None = Field(description="rows in all; null where they are many and `count=true` was not asked")
    limit: int | None = Field(description="rows of a page; null where the answer is whole")
    why_empty: WhyEmpty | None = Field(None, description="only where there are no rows; null where a reason takes long")


class Links(BaseModel):
    """Path of this answer."""

    self: str


class PageLinks(Links):
    """Paths of this page and the next."""

    next: str | None = Field(description="path of the next page; null on the last")


class Page(BaseModel, Generic[T]):
    """A list, or a page of one."""

    data: list[T]
    meta: PageMeta
    links: PageLinks


class One(BaseModel, Generic[T]):
    """A single record."""

    data: T
    meta: Meta
    links: Links


class Problem(BaseModel):
    """An error, as RFC 9457 has it."""

    type: str = Field(description="path of the problem's description")
    title: str
    status: int
    code: str = Field(description="stable code of the error", examples=["KHG104"])
    detail: str
    instance: str = Field(description="this request: its id, the `X-Request-Id` of the answer, as a URN")
    errors: list["ProblemFault"]
    corrected: str | None = Field(None, description="a request that can be answered, where there is one")


class ProblemFault(BaseModel):
    """One thing wrong with one parameter."""

    parameter: str
    value: str | None
    message: str
    allowed: list[str] | None = Field(description="values that can be taken, where they are few")
    did_you_mean: str | None


@cache
def named(shape: Any, row: Any) -> type[BaseModel]:
    """Give the shape of answers that hold such rows, named for people who read it: `PageOfFlowRowOrSeriesRow`."""
    names = [one.__name__ for one in get_args(row) or (row,)]
    return create_model(f"{shape.__name__}Of{'Or'.join(names)}", __base__=shape[row], __doc__=shape.__doc__)


PROBLEM: dict[str, Any] = {PROBLEM_JSON: {"schema": {"$ref": "#/components/schemas/Problem"}}}
SAYS = {
    404: "No such record",
    406: "No format that Accept takes is served",
    416: "The Range header asks for no bytes of the file",
    422: "A parameter is unknown or has a value it cannot take",
    503: "The service cannot answer now",
}
HEADERS = {
    "ETag": {"description": "tag of release, request and format", "schema": {"type": "string"}},
    "Last-Modified": {"description": "when the release was published", "schema": {"type": "string"}},
}

TABLES: dict[str, Any] = {
    one.accepts[0]: {"schema": {"type": "string"} | ({"format": "binary"} if one.library else {})}
    for one in TABLE_FORMATS.values()
    if one.accepts
}
"""What a table is in formats other than JSON; what a library writes is no text."""


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Declare the errors of a route."""
    return {status: {"description": SAYS[status], "content": PROBLEM} for status in statuses}


UNCHANGED: dict[int | str, dict[str, Any]] = {304: {"description": "The client holds the answer"}}
OTHER: dict[int | str, dict[str, Any]] = {"default": {"description": "Any other error", "content": PROBLEM}}


def listing(row: Any) -> dict[str, Any]:
    """Declare a route that answers a table in every format."""
    return {
        "response_model": named(Page, row),
        "responses": {
            200: {"description": "Rows", "content": TABLES, "headers": HEADERS},
            **UNCHANGED,
            **problems(406, 422, 503),
            **OTHER,
        },
    }


def single(row: Any) -> dict[str, Any]:
    """Declare a route that answers one record."""
    return {
        "response_model": named(One, row),
        "responses": {
            200: {"description": "The record", "headers": HEADERS},
            **UNCHANGED,
            **problems(404, 406, 422, 503),
            **OTHER,
        },
    }
