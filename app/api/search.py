"""Search: across everything that has words."""

from enum import StrEnum
from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import Field
from sqlalchemy import Integer, cast
from starlette.requests import Request
from starlette.responses import Response

from app.answer import answer
from app.ask import Ask
from app.envelope import listing
from app.filters import Clause, Where, WhereBy
from app.models import SearchEntry
from app.params import ListParams, Many, Sources, Text
from app.query import Made, Resource, Row, each, every_row, select_rows
from app.routes import TableRoute
from app.search import WORDED, matching, score

router = APIRouter(prefix="/v1", tags=["Search"], route_class=TableRoute)
PAGES = {
    "checks": None,
    "countries": "countries",
    "events": "events",
    "experts": "experts",
    "figures": "figures",
    "indicators": "indicators",
    "organizations": "organizations",
    "products": "products",
    "programmes": "programmes",
    "projects": "projects",
    "project_portfolios": None,
    "quotes": "quotes",
    "risks": "risks",
    "sources": "sources",
    "topics": "topics",
}
"""Records that are found, with the path each has a page under."""
LISTED = {"checks": "/v1/checks", "project_portfolios": "/v1/projects/portfolios"}
"""Lists of the records that have no page of their own."""
Found = StrEnum("Found", {model.__tablename__.upper(): model.__tablename__ for model in WORDED})  # type: ignore[misc]  # made from a table
"""Kinds of records that are found."""


class SearchParams(ListParams):
    """What to search for."""

    q: Annotated[Text, WhereBy(lambda text, _: matching(text))] = Field(
        description='words that all occur; `depend*` for a beginning, `"dry port"` for a phrase', examples=["khorgos"]
    )
    record: Annotated[Many[Found], Where(SearchEntry.record)] = Field((), description="kinds of records")
    source: Annotated[Sources, Where(SearchEntry.source)] = ()


def path_of(ask: Ask, record: str, key: str) -> str:
    """Give the path of a record that was found."""
    page = PAGES[record]
    return ask.link_to(f"/v1/{page}/{key}" if page else LISTED[record], {})


class SearchRow(Row):
    """A record that has the words."""

    record: str = Field(description="kind of record")
    record_key: str = Field(description="its slug or id")
    title: str
    body: str = Field(description="its words")
    score: int = Field(description="how often the words occur")
    source: str
    path: Annotated[str, Made(each(path_of), ("record", "record_key"))]


ENTRIES = Resource("search_entries", SearchRow, SearchEntry, (SearchEntry.record, SearchEntry.record_key), ())


def scored(ask: Ask, resource: Resource, clauses: tuple[Clause, ...]) -> tuple[Resource, tuple[Clause, ...]]:
    """Count the words in the entries that have them, most first."""
    params: Any = ask.params
    counted = cast(score(params.q), Integer).label("score")
    names = ("record", "record_key", "title", "body", "source")
    columns = [*(getattr(SearchEntry, name) for name in names), counted]
    found = select_rows(resource, clauses, ask.edition.number, columns).subquery()
    key = (found.c.record, found.c.record_key)
    order = ("-score", "record", "record_key")
    return Resource("search", SearchRow, found, key, order, visible=every_row), ()


@router.get("/search", operation_id="search", **listing(SearchRow))
def search(request: Request, params: Annotated[SearchParams, Query()]) -> Response:
    """Search every record that has words; those that say them most often first."""
    return answer(request, params, ENTRIES, scored)
