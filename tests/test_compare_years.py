"""Comparison over years and products, with what is reconciled as a voice of its own."""

from collections.abc import Iterator
from typing import Any

import pytest
from conftest import Workshop
from starlette.testclient import TestClient
from test_totals_scale import flow, over

COMPARE = "/v1/trade/compare"


def mirror(value: int, **changes: Any) -> dict[str, Any]:
    """Give China's own record of what Kazakhstan exports to it."""
    return flow(value, reporter="CHN", partner="KAZ", flow="import", valuation="CIF", **changes)


def reconciled(value: int, **changes: Any) -> dict[str, Any]:
    """Give what a source makes of both sides' records."""
    return flow(value, source="baci-made", method="reconciled", **changes)


OIL = {"product": "270900"}
FLOWS = [
    flow(1000, **OIL),
    mirror(1050, **OIL),
    reconciled(1020, **OIL),
    flow(900, period="2021", classification="H5", **OIL),
    mirror(1800, period="2021", classification="H5", **OIL),
    flow(800, period="2020", classification="H4", **OIL),
    mirror(880, period="2020", classification="H5", **OIL),
    flow(10_000),
    mirror(10_500, classification="H5"),
    flow(300, classification="EB10"),
    flow(77, product="2709"),
    flow(5, breakdown="0_C00_0_1000", **OIL),
    reconciled(40, reporter="CHN", partner="KAZ", product="860900"),
]


@pytest.fixture(scope="module")
def made(engine: str, workshop: Workshop) -> Iterator[TestClient]:
    with over(engine, workshop, FLOWS) as client:
        yield client


def trades(client: TestClient, query: str, sides: str = "reporter=KAZ&partner=CHN") -> list[dict[str, Any]]:
    response = client.get(f"{COMPARE}?{sides}&{query}")
    assert response.status_code == 200, response.text
    return [row for row in response.json()["data"] if row["period"] is not None]


def told(row: dict[str, Any]) -> list[tuple[str, int]]:
    return [(one["side"], one["value_usd"]) for one in row["statements"]]


def test_what_is_reconciled_is_a_third_voice_and_in_no_gap(made: TestClient) -> None:
    (row,) = trades(made, "year=2022&product=270900")
    assert sorted(told(row)) == [("mirror", 1050), ("reconciled", 1020), ("reporter", 1000)]
    assert (row["gap"]["usd"], row["gap"]["ratio"]) == (50, 1.05)
    ratios = {one["side"]: one["to_reconciled"] for one in row["statements"]}
    assert ratios == {"mirror": 1.0294, "reconciled": 1.0, "reporter": 0.9804}


def test_freight_and_insurance_are_told_where_they_could_be_the_gap(made: TestClient) -> None:
    gaps = {row["year"]: row["gap"] for row in trades(made, "year=2021,2022&product=270900")}
    assert [gaps[year]["valuation_could_explain"] for year in (2021, 2022)] == [False, True]
    assert "freight and insurance" in gaps[2022]["valuation_note"]


def test_a_product_is_compared_within_its_edition_alone(made: TestClient) -> None:
    found = trades(made, "year=2020&product=270900")
    got = [(row["classification"], told(row), row["gap"]) for row in found]
    assert got == [("H4", [("reporter", 800)], None), ("H5", [("mirror", 880)], None)]


def test_all_goods_are_compared_across_editions_and_services_are_apart(made: TestClient) -> None:
    found = [row for row in trades(made, "year=2022") if row["flow"] == "export"]
    got = {row["classification"]: told(row) for row in found}
    assert got == {None: [("reporter", 10_000), ("mirror", 10_500)], "EB10": [("reporter", 300)]} or got == {
        None: [("mirror", 10_500), ("reporter", 10_000)],
        "EB10": [("reporter", 300)],
    }


def test_years_and_products_may_be_several(made: TestClient) -> None:
    found = trades(made, "year=2021,2022&product=270900,2709")
    assert [(row["year"], row["product"]) for row in found] == [(2021, "270900"), (2022, "2709"), (2022, "270900")]


@pytest.mark.parametrize(
    ("bounds", "years"),
    [("year_from=2021", [2021, 2022]), ("year_to=2021", [2020, 2020, 2021]), ("year_from=2021&year_to=2021", [2021])],
)
def test_years_may_be_bounded(made: TestClient, bounds: str, years: list[int]) -> None:
    assert [row["year"] for row in trades(made, f"{bounds}&product=270900")] == years


def test_a_reconciled_flow_alone_has_no_gap_from_either_side(made: TestClient) -> None:
    (import_,) = trades(made, "product=860900")
    (export,) = trades(made, "product=860900", "reporter=CHN&partner=KAZ")
    assert (import_["flow"], export["flow"]) == ("import", "export")
    assert [(row["gap"], told(row)) for row in (import_, export)] == [(None, [("reconciled", 40)])] * 2


def test_parts_are_not_compared_with_wholes(made: TestClient) -> None:
    (row,) = trades(made, "year=2022&product=270900")
    assert ("reporter", 5) not in told(row)


def test_why_nothing_is_there_names_the_filter(made: TestClient) -> None:
    empty = made.get(f"{COMPARE}?reporter=KAZ&partner=CHN&product=999999").json()["meta"]["why_empty"]
    assert empty["parameter"] == "product"


def test_more_statements_than_can_be_read_are_refused(made: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.api.compare.STATEMENTS_MAX", 3)
    response = made.get(f"{COMPARE}?reporter=KAZ&partner=CHN&product=270900")
    assert (response.status_code, response.json()["code"]) == (422, "KHG106")
