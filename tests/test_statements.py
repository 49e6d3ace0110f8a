"""How many SQL statements an answer takes: few, and no more of them with more rows. Run with -s for a table."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from conftest import Workshop
from sqlalchemy import event
from starlette.testclient import TestClient
from test_http import BIG, FLOWS, LISTS, OPERATIONS, URLS, flow, publish_invented

from app.db import Database
from app.main import create_app
from app.models import Evidence, TradeFlow
from app.settings import Settings

STATEMENTS = {
    "/v1/trade/totals": 2,  # whether one turnover is there from both sides; the sums
    "/v1/search": 1,  # a page that is not the whole takes one more, to count
    "/v1/trade/coverage": 1,  # every row tells how many there are
    "/v1/trade/compare": 2,  # statements; their words
    "/v1/projects/summary": 2,  # portfolios; named projects
    "/v1/checks": 2,  # checks; their figures
    "/v1/trade/flows/{id}": 2,  # the record; its words
    "/v1/projects/{slug}": 2,
    "/v1/programmes/{slug}": 2,
    "/v1/quotes/{id}": 2,
    "/v1/risks/{slug}": 2,
    "/v1/organizations/{slug}": 2,
    "/v1/events/{slug}": 2,
    "/v1/topics/{slug}": 1,
    "/v1/releases/{id}": 3,
    "/v1/groups/{slug}": 1,
    "/v1/countries/{code}": 2,  # the record; its groups
    "/v1/products/{code}": 2,  # the record; its place in the tree
    "/v1/experts/{slug}": 3,  # the record; its words; the quotes
    "/v1/indicators/{slug}": 4,  # the record; its words; the observations; their words
    "/v1/figures/{id}": 3,  # the record; what it supports; its source
    "/v1/sources/{slug}": 3,  # the record; its figures; its quotes
    "/v1/exports": 0,  # what tables hold is looked up once a release
    "/v1/exports/{table}.csv": 0,
    "/v1/exports/{table}.parquet": 0,
    "/v1/charts": 0,
    **{f"/v1/charts/trade.{form}": 2 for form in ("svg", "png", "vl.json")},  # flows; sources
    **{f"/v1/charts/compare.{form}": 3 for form in ("svg", "png", "vl.json")},  # statements; their words; sources
    **{f"/v1/charts/projects.{form}": 5 for form in ("svg", "png", "vl.json")},  # the summary's two; three lists
    "/v1/datapackage.json": 0,
    "/v1/datapackage.zip": 0,
    "/catalog.jsonld": 0,
    "/v1": 0,
    "/v1/problems": 0,
    "/v1/problems/{name}": 0,
    "/healthz": 0,
    "/readyz": 3,  # the version of the schema, two; which release is current
}
"""Statements of each path that is no plain list; a plain list is one, and one more for the words of its rows."""


class Counted:
    """A client that knows which statements its requests took."""

    def __init__(self, client: TestClient) -> None:
        self.client = client
        self.statements: list[str] = []
        database = client.app.state.service.database
        settings = database.settings
        for timeout in {settings.statement_timeout, settings.export_timeout, settings.search_timeout}:
            event.listen(database.reader(timeout), "before_cursor_execute", self.note)

    def note(self, connection: Any, cursor: Any, statement: str, *_: Any) -> None:
        """Take down a statement."""
        self.statements.append(statement)

    def get(self, url: str, status: int = 200, **headers: str) -> list[str]:
        """Give the statements that an answer takes when it is asked for again."""
        for _ in range(2):
            self.statements.clear()
            response = self.client.get(url, headers=headers)
            assert response.status_code == status, response.text
        return list(self.statements)


@contextmanager
def counted(database: Database, **settings: Any) -> Iterator[Counted]:
    """Give a client that counts, of a service that remembers which release is current."""
    usual = {"release_ttl": 3600, "cache_bytes": 0}
    made = create_app(Settings(database_url=database.settings.database_url, **{**usual, **settings}))
    with TestClient(made) as client:
        yield Counted(client)


@pytest.fixture(scope="module")
def counting(seeded: Database) -> Iterator[Counted]:
    """Give a client that counts, over the seeded data."""
    with counted(seeded) as found:
        yield found


WORDS = {
    **{"record": "trade_flows", "record_key": "none", "field": "value_usd", "figure": None, "source": "invented"},
    **{"start": 0, "end": 4, "exact": "2023"},
}
"""Words of the invented source: without any, its rows are not asked for words."""


@pytest.fixture(scope="module")
def counting_big(engine: str, workshop: Workshop) -> Iterator[Counted]:
    """Give a client that counts, over a large table."""
    database = workshop.copy(engine)
    publish_invented(database, {TradeFlow: [flow(number) for number in range(BIG)], Evidence: [WORDS]})
    with counted(database) as found:
        yield found
    workshop.remove(database)


def has_words(counting: Counted, path: str) -> bool:
    """Whether the rows of a list carry their words."""
    return "evidence" in counting.client.get(URLS[path]).json()["data"][0]


def more(path: str, query: str) -> str:
    """Give a request with a further parameter."""
    return f"{URLS[path]}{'&' if '?' in URLS[path] else '?'}{query}"


PLAIN = [path for path in LISTS if path not in STATEMENTS]


def test_every_path_is_counted() -> None:
    assert {*STATEMENTS, *PLAIN} == set(OPERATIONS)


@pytest.mark.parametrize("path", PLAIN)
def test_a_list_is_one_statement_and_one_for_its_words(counting: Counted, path: str) -> None:
    assert len(counting.get(more(path, "limit=1000"))) == 1 + has_words(counting, path)


@pytest.mark.parametrize("path", PLAIN)
def test_a_page_of_a_list_is_one_statement_and_one_for_its_words(counting: Counted, path: str) -> None:
    assert len(counting.get(more(path, "limit=1"))) == 1 + has_words(counting, path)


@pytest.mark.parametrize("path", PLAIN)
def test_words_that_are_not_asked_are_not_read(counting: Counted, path: str) -> None:
    field = next(name for name in counting.client.get(URLS[path]).json()["data"][0] if name != "evidence")
    assert len(counting.get(more(path, f"limit=1000&fields={field}"))) == 1


@pytest.mark.parametrize("path", STATEMENTS)
def test_a_record_or_computed_table_takes_few(counting: Counted, path: str) -> None:
    assert len(counting.get(URLS[path])) == STATEMENTS[path]


@pytest.mark.parametrize("path", [path for path in OPERATIONS if path.startswith("/v1/") and "problems" not in path])
def test_an_answer_that_is_known_takes_none(counting: Counted, path: str) -> None:
    tag = counting.client.get(URLS[path]).headers["etag"]
    assert counting.get(URLS[path], 304, **{"If-None-Match": tag}) == []


def test_the_release_is_looked_up_by_one_short_statement(seeded: Database) -> None:
    with counted(seeded, release_ttl=0) as found:
        tag = found.client.get("/v1/topics").headers["etag"]
        taken = found.get("/v1/topics", 304, **{"If-None-Match": tag})
    (statement,) = taken
    assert re.fullmatch(
        r"SELECT [a-z0-9_., ]+ FROM releases ORDER BY releases.id DESC LIMIT .+", " ".join(statement.split())
    )


@pytest.mark.parametrize("path", ["/v1/trade/flows", "/v1/quotes", "/v1/figures"])
def test_statements_do_not_grow_with_rows(counting: Counted, path: str) -> None:
    assert len(counting.get(more(path, "limit=2&count=true"))) == len(counting.get(more(path, "limit=5&count=true")))


@pytest.mark.parametrize("limit", [1, 100, 1000])
def test_statements_of_a_page_are_two_however_large_the_table(counting_big: Counted, limit: int) -> None:
    assert len(counting_big.get(f"{FLOWS}?limit={limit}")) == 2


@pytest.mark.parametrize("table", ["csv", "ndjson"])
def test_an_export_takes_one_and_one_a_batch_for_its_words(counting_big: Counted, table: str) -> None:
    assert len(counting_big.get(f"{FLOWS}?source=invented&format={table}")) == 1 + 3


@pytest.mark.parametrize("table", ["csv", "ndjson"])
def test_an_export_without_words_takes_one(counting_big: Counted, table: str) -> None:
    assert len(counting_big.get(f"{FLOWS}?format={table}&fields=id,value_usd")) == 1


BANNED = ("ROLLUP", "LATERAL", "OFFSET ", "GROUPING SETS", " JOIN ")
"""What no statement over the trade flows has."""


def test_no_query_over_trade_flows_does_what_citus_cannot(counting: Counted) -> None:
    paths = [path for path in OPERATIONS if path.startswith("/v1/trade/")]
    taken = [
        statement.upper().replace("LIMIT ? OFFSET ?", "LIMIT ?")  # what SQLAlchemy writes of any limit on SQLite
        for path in paths
        for query in ("limit=1", "limit=1&sort=-year")
        for statement in counting.get(more(path, query) if path in LISTS else URLS[path])
    ]
    assert [word for word in BANNED for statement in taken if word in statement] == []


@pytest.mark.parametrize(
    ("url", "number"),
    [
        ("flows?reporter=CHN&shape=wide&frequency=A", 2),  # the periods; the series
        ("flows?reporter=CHN&shape=wide&frequency=A&limit=1", 3),  # and how many there are
        ("flows?product=TOTAL&level=0&latest=true", 2),  # the flows; their words
        ("totals?group_by=year&limit=1", 2),  # every sum tells how many there are
        ("totals?group_by=year&flow=export", 1),  # no turnover can be there from both sides
        ("totals?reporter=CHN&group_by=partner&top=2&share=partner", 2),
        ("compare?reporter=KAZ&partner=CHN&year_from=2023&product=TOTAL,27", 2),
    ],
)
def test_a_further_way_to_ask_of_trade_takes_few(counting: Counted, url: str, number: int) -> None:
    taken = counting.get(f"/v1/trade/{url}")
    assert len(taken) == number
    written = " ".join(taken).upper().replace("LIMIT ? OFFSET ?", "LIMIT ?")
    assert [word for word in BANNED if word in written] == []
