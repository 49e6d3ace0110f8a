"""No documented way into the trade flows reads the whole table: the plan of what each request asks, on both engines."""

import json
import re
from collections.abc import Callable, Iterator
from datetime import date
from typing import Any

import pytest
from conftest import NOW, Workshop
from sqlalchemy import event
from starlette.testclient import TestClient
from test_http import SOURCE, flow

from app.codes import ReleaseKind
from app.db import Database
from app.ingest.publish import Dataset, publish
from app.main import create_app
from app.models import Source, TradeFlow
from app.settings import Settings

COUNTRIES = ("KAZ", "CHN", "UZB", "KGZ", "TJK", "TKM", "RUS", "DEU", "FRA", "ITA", "TUR", "IND", "JPN", "KOR", "USA")
PRODUCTS = ("TOTAL", "27", "2709", "270900", "271019", "740311", "860900", "100199")
MANY = (*PRODUCTS, *(f"84{number:04}" for number in range(100)))
YEARS, MUCH = range(2010, 2022), 2020
Plan = Callable[[str], list[str]]

WAYS = {
    "reporter and year": "flows?reporter=KAZ&year=2020",
    "reporter and years": "flows?reporter=KAZ&year=2019,2020",
    "reporter and years from": "flows?reporter=KAZ&year_from=2019",
    "partner and year": "flows?partner=KAZ&year=2020",
    "product and year": "flows?product=270900&year=2020",
    "source and year": "flows?source=sampled&year=2020",
    "country and year": "flows?country=UZB&year=2019",
    "reporter and partner": "flows?reporter=KAZ&partner=CHN",
    "reporter and a group": "flows?reporter=KAZ&partner=central-asia",
    "reporter and parts": "flows?reporter=KAZ&year=2020&breakdowns=true",
    "members of a chapter in a year": "flows?product=27&level=6&year=2020",
    "members of a chapter of a reporter": "flows?reporter=KAZ&product=27&level=6&year=2020",
    "latest of a reporter": "flows?reporter=KAZ&latest=true",
    "latest of a pair": "flows?reporter=KAZ&partner=CHN&latest=true",
    "series of a pair": "flows?reporter=KAZ&partner=CHN&shape=wide&frequency=A",
    "series of a reporter": "flows?reporter=KAZ&product=270900&shape=wide",
    "a pair compared": "compare?reporter=KAZ&partner=CHN",
    "a pair compared in a year": "compare?reporter=KAZ&partner=CHN&year=2020&product=270900,TOTAL",
    "totals of a reporter in a year": "totals?reporter=KAZ&year=2020&group_by=partner",
    "the largest partners of a reporter": "totals?reporter=KAZ&year=2020&group_by=partner&top=3&share=partner",
    "totals of a product": "totals?product=27&level=6&year=2020&group_by=product&flow=export",
    "coverage of a reporter": "coverage?reporter=KAZ&year=2020",
}
"""Requests by what they go in by."""


def flows() -> Iterator[dict[str, Any]]:
    """Give invented flows: every pair in every year, of few products but in one year; most are from one source."""
    keys = (
        (year, reporter, partner, product)
        for year in YEARS
        for reporter in COUNTRIES
        for partner in COUNTRIES
        if partner != reporter
        for product in (MANY if year == MUCH and "KAZ" in (reporter, partner) else PRODUCTS)
    )
    for number, (year, reporter, partner, product) in enumerate(keys):
        dates = {"period_start": date(year, 1, 1), "period_end": date(year, 12, 31), "year": year}
        sides = {"reporter": reporter, "partner": partner}
        of_many = {"product": product, "classification": "H5", "source": "invented" if number % 25 else "sampled"}
        yield flow(number, period=str(year), **dates, **sides, **of_many)


@pytest.fixture(scope="module")
def planned(engine: str, workshop: Workshop) -> Iterator[Database]:
    """Give a seeded database with some 23 000 more flows whose statistics the engine knows."""
    database = workshop.copy(engine)
    sources = [{**SOURCE, "slug": slug, "source": slug, "title": slug} for slug in ("invented", "sampled")]
    records = {Source: sources, TradeFlow: list(flows())}
    with database.publishing() as connection:
        publish(connection, Dataset("invented", ReleaseKind.IMPORT, ("invented", "sampled"), "0" * 64, records), NOW)
    with database.writer.connect() as connection:
        connection.exec_driver_sql("ANALYZE")
        connection.commit()
    yield database
    workshop.remove(database)


@pytest.fixture(scope="module")
def client(planned: Database) -> Iterator[TestClient]:
    settings = Settings(database_url=planned.settings.database_url, release_ttl=3600, cache_bytes=0)
    with TestClient(create_app(settings)) as opened:
        yield opened


@pytest.fixture(scope="module")
def plan(client: TestClient, planned: Database, engine: str) -> Plan:
    """Give what tells the plans of the statements about trade flows that a request takes."""
    database = client.app.state.service.database
    reader = database.reader(database.settings.statement_timeout)

    def plans(url: str) -> list[str]:
        taken: list[tuple[str, Any]] = []

        def note(connection: Any, cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
            taken.append((statement, parameters))

        event.listen(reader, "before_cursor_execute", note)
        try:
            response = client.get(f"/v1/trade/{url}")
        finally:
            event.remove(reader, "before_cursor_execute", note)
        assert response.status_code == 200, response.text
        assert response.json()["data"], url
        return [explained(planned, *one) for one in taken if "trade_flows" in one[0]]

    return plans


def explained(database: Database, statement: str, parameters: Any) -> str:
    """Give the plan of a statement as text, one step a line."""
    explain = "EXPLAIN QUERY PLAN " if database.is_sqlite else "EXPLAIN (FORMAT JSON) "
    with database.reader(5.0).connect() as connection:
        found = connection.exec_driver_sql(explain + statement, parameters).all()
    if database.is_sqlite:
        return "\n".join(row[3] for row in found)
    return "\n".join(steps(found[0][0][0]["Plan"]))


def steps(node: dict[str, Any], counting: bool = False) -> Iterator[str]:
    """Give the steps of a plan of PostgreSQL; those of the count beside a page, which ends at its limit, are marked."""
    counting = counting or node.get("Parent Relationship") == "InitPlan"
    told = [node[name] for name in ("Node Type", "Relation Name", "Index Name", "Index Cond") if name in node]
    yield " ".join([*(["count:"] if counting else []), *map(str, told)])
    for child in node.get("Plans", ()):
        yield from steps(child, counting)


def reads_all(text: str) -> list[str]:
    """Give the steps that read the whole table, or a whole index of it: on PostgreSQL one without a condition."""
    lines = [step.removeprefix("count: ") for step in text.splitlines()]
    whole = [step for step in lines if step.startswith(("SCAN trade_flows", "Seq Scan trade_flows"))]
    return whole + [step for step in lines if re.search(r"Index (Only )?Scan .*_trade_flows\w*$", step)]


@pytest.mark.parametrize("way", WAYS)
def test_a_way_in_reads_no_whole_table(plan: Plan, way: str) -> None:
    found = plan(WAYS[way])
    assert found
    assert [step for text in found for step in reads_all(text)] == [], found


@pytest.mark.parametrize("way", ["country and year", "a pair compared"])
def test_either_side_takes_an_index_each(plan: Plan, engine: str, way: str) -> None:
    text = plan(WAYS[way])[0]
    indexes = {step.split("INDEX ")[1].split(" ")[0] for step in text.splitlines() if "USING INDEX" in step}
    searched = [step for step in text.splitlines() if "USING INDEX" in step or "Index Scan" in step]
    assert len(searched) >= 2, text
    assert engine != "sqlite" or len(indexes) == (2 if "country" in way else 1), text


DEEP = ("flows?reporter=KAZ&year=2020", "flows?partner=KAZ&year=2020", "flows?source=invented&year=2020", "flows?")


@pytest.mark.parametrize("url", DEEP)
def test_a_deep_page_begins_where_the_one_before_ended(client: TestClient, plan: Plan, engine: str, url: str) -> None:
    following = client.get(f"/v1/trade/{url}&limit=50").json()["links"]["next"]
    told = plan(following.removeprefix("/v1/trade/"))[0]
    text = "\n".join(step for step in told.splitlines() if not step.startswith("count:"))
    assert "Seq Scan" not in text
    if engine == "sqlite":
        assert "SEARCH trade_flows" in text, text
        assert "USE TEMP B-TREE FOR ORDER BY" not in text, text
    else:
        assert "Sort" not in [step.split(" trade_flows")[0] for step in text.splitlines()], text


def test_steps_of_a_plan_are_told_in_their_order() -> None:
    node = json.loads('{"Node Type": "Limit", "Plans": [{"Node Type": "Seq Scan", "Relation Name": "trade_flows"}]}')
    assert list(steps(node)) == ["Limit", "Seq Scan trade_flows"]
