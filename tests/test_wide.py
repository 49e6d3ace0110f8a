"""The wide shape of flows: a row a series, a column a period."""

import csv
import io
import json
from collections.abc import Iterator
from typing import Any

import pytest
from conftest import Workshop
from starlette.testclient import TestClient
from test_totals_scale import flow, over

FLOWS = "/v1/trade/flows?source=comtrade-made&shape=wide"
MADE = [
    flow(1, period="2020"),
    flow(3, period="2022"),
    flow(5, partner="RUS", period="2021"),
    flow(7, partner="RUS", period="2022", product="27"),
    flow(8, partner="UZB", period="2022-01"),
    flow(9, partner="UZB", period="2022-03"),
    flow(2, partner="UZB", period="2022-03", breakdown="0_C00_0_1000"),
]


@pytest.fixture(scope="module")
def made(engine: str, workshop: Workshop) -> Iterator[TestClient]:
    with over(engine, workshop, MADE) as client:
        yield client


def wide(client: TestClient, query: str) -> list[dict[str, Any]]:
    response = client.get(f"{FLOWS}&{query}")
    assert response.status_code == 200, response.text
    return response.json()["data"]


def test_a_series_is_one_row_with_a_value_a_period(made: TestClient) -> None:
    found = wide(made, "frequency=A&fields=partner,product,values")
    assert found == [
        {"partner": "CHN", "product": "TOTAL", "values": {"2020": 1, "2021": None, "2022": 3}},
        {"partner": "RUS", "product": "27", "values": {"2020": None, "2021": None, "2022": 7}},
        {"partner": "RUS", "product": "TOTAL", "values": {"2020": None, "2021": 5, "2022": None}},
    ]


def test_columns_are_the_periods_that_the_filters_leave(made: TestClient) -> None:
    assert [row["values"] for row in wide(made, "year=2021")] == [{"2021": 5}]


def test_csv_has_a_column_a_period(made: TestClient) -> None:
    content = made.get(f"{FLOWS}&frequency=A&fields=partner_name,product,values&format=csv").text
    assert list(csv.reader(io.StringIO(content))) == [
        ["partner_name", "product", "2020", "2021", "2022"],
        ["China", "TOTAL", "1", "", "3"],
        ["Russia", "27", "", "", "7"],
        ["Russia", "TOTAL", "", "5", ""],
    ]


def test_ndjson_has_the_rows_of_json(made: TestClient) -> None:
    content = made.get(f"{FLOWS}&frequency=A&format=ndjson").text
    assert [json.loads(line) for line in content.splitlines()] == wide(made, "frequency=A")


def test_pages_are_of_series(made: TestClient) -> None:
    url, paged = f"{FLOWS}&frequency=A&limit=1", []
    while url:
        answer = made.get(url).json()
        assert (len(answer["data"]), answer["meta"]["total"]) == (1, 3)
        paged += answer["data"]
        url = answer["links"]["next"]
    assert paged == wide(made, "frequency=A")


def test_several_frequencies_are_refused_with_a_request_that_works(made: TestClient) -> None:
    response = made.get(FLOWS)
    assert (response.status_code, response.json()["code"]) == (422, "KHG115")
    assert len(made.get(response.json()["corrected"]).json()["data"]) == 3


def test_months_are_columns_too_and_parts_are_rows_when_asked(made: TestClient) -> None:
    found = wide(made, "frequency=M&breakdowns=true&fields=breakdown,values")
    assert found == [
        {"breakdown": None, "values": {"2022-01": 8, "2022-03": 9}},
        {"breakdown": "0_C00_0_1000", "values": {"2022-01": None, "2022-03": 2}},
    ]


def test_more_periods_than_fit_are_refused(made: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.api.trade.PERIODS_MAX", 2)
    response = made.get(f"{FLOWS}&frequency=A&limit=99")
    assert (response.status_code, response.json()["code"]) == (422, "KHG106")


@pytest.mark.parametrize(
    ("query", "code"), [("latest=true", "KHG115"), ("sort=value_usd", "KHG101"), ("fields=2022", "KHG101")]
)
def test_what_a_series_does_not_have_is_refused(made: TestClient, query: str, code: str) -> None:
    response = made.get(f"{FLOWS}&frequency=A&{query}")
    assert (response.status_code, response.json()["code"]) == (422, code)


def test_nothing_is_wide_too(made: TestClient) -> None:
    answer = made.get(f"{FLOWS}&year=1999").json()
    assert (answer["data"], answer["meta"]["why_empty"]["parameter"]) == ([], "year")
    header = made.get(f"{FLOWS}&year=1999&format=csv&fields=partner,values").text
    assert header == "partner\r\n"


def test_who_holds_the_answer_is_told_so(made: TestClient) -> None:
    tag = made.get(f"{FLOWS}&frequency=A").headers["etag"]
    assert made.get(f"{FLOWS}&frequency=A", headers={"If-None-Match": tag}).status_code == 304
