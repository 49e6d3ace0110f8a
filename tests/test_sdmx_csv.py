"""Trade flows as SDMX-CSV: the same observations as the dataflow TRADE."""

import csv
import io

import pytest
from conftest import serve
from starlette.testclient import TestClient
from test_http import assert_problem, flow, publish_invented

from app.db import Database
from app.models import TradeFlow

FLOWS = "/v1/trade/flows"
MEDIA = "application/vnd.sdmx.data+csv"


def observations(text: str) -> list[dict[str, str]]:
    """Read a message."""
    return list(csv.DictReader(io.StringIO(text)))


def test_the_list_is_the_dataflow(client: TestClient) -> None:
    ours = client.get(f"{FLOWS}?format=sdmx-csv")
    theirs = client.get("/sdmx/2.1/data/TRADE", headers={"Accept": f"{MEDIA};version=1.0.0"})
    assert ours.headers["content-type"] == theirs.headers["content-type"] == f"{MEDIA};version=1.0.0"
    assert sorted(ours.text.splitlines()) == sorted(theirs.text.splitlines())
    assert ours.text.splitlines()[0] == theirs.text.splitlines()[0]
    dated = [row["id"] for row in client.get(f"{FLOWS}?limit=1000").json()["data"] if row["period"] is not None]
    assert sorted(one["KHORGOS_ID"] for one in observations(ours.text)) == sorted(dated)


def test_accept_asks_for_it(client: TestClient) -> None:
    assert client.get(FLOWS, headers={"Accept": MEDIA}).text == client.get(f"{FLOWS}?format=sdmx-csv").text


def test_filters_and_pages_hold(client: TestClient) -> None:
    found = observations(client.get(f"{FLOWS}?format=sdmx-csv&reporter=KAZ&flow=export&limit=1").text)
    (row,) = client.get(f"{FLOWS}?reporter=KAZ&flow=export&limit=1").json()["data"]
    assert [(one["KHORGOS_ID"], int(one["OBS_VALUE"])) for one in found] == [(row["id"], row["value_usd"])]
    assert found[0]["FIGURE"] in {item["figure"] for item in row["evidence"]}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"period": "2025-01/2025-04", "frequency": "YTD"}, {"FREQ": "YTD", "TIME_PERIOD": "2025-01-01/P4M"}),
        ({"classification": "-"}, {"CLASSIFICATION": "_X", "BREAKDOWN": "_T", "STATED_BY": "_Z"}),
        ({"breakdown": "RUS_C00_0_0"}, {"BREAKDOWN": "RUS_C00_0_0"}),
        ({"flow": "re_export"}, {"TRADE_FLOW": "RX"}),
    ],
)
def test_codes_are_those_of_sdmx(private_seeded: Database, changes: dict[str, str], expected: dict[str, str]) -> None:
    publish_invented(private_seeded, {TradeFlow: [flow(1, **changes)]})
    with serve(private_seeded) as client:
        (one,) = observations(client.get(f"{FLOWS}?format=sdmx-csv&source=invented&breakdowns=true").text)
    assert expected.items() <= one.items()


def test_a_flow_without_a_period_is_no_observation(private_seeded: Database) -> None:
    undated = {"period": "-", "period_start": None, "period_end": None, "year": None}
    publish_invented(private_seeded, {TradeFlow: [flow(1), flow(2, **undated)]})
    with serve(private_seeded) as client:
        found = observations(client.get(f"{FLOWS}?format=sdmx-csv&source=invented").text)
    assert [one["PRODUCT"] for one in found] == ["000001"]


@pytest.mark.parametrize("query", ["fields=id", "shape=wide"])
def test_its_columns_are_its_own(client: TestClient, query: str) -> None:
    assert_problem(client.get(f"{FLOWS}?format=sdmx-csv&reporter=KAZ&frequency=A&{query}"), 422, "KHG115")


def test_other_tables_have_none(client: TestClient) -> None:
    assert_problem(client.get("/v1/topics?format=sdmx-csv"), 422, "KHG101")


def test_an_empty_one_is_its_header(client: TestClient) -> None:
    assert len(client.get(f"{FLOWS}?year=1999&format=sdmx-csv").text.splitlines()) == 1
