"""Totals over imported statistics: members of products, the largest and the rest, parts of flows."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from typing import Any

import pytest
from conftest import NOW, Workshop, serve
from starlette.testclient import TestClient
from test_http import SOURCE
from test_http import flow as invented

from app.codes import ReleaseKind
from app.ingest.publish import Dataset, publish
from app.models import Source, TradeFlow

TOTALS = "/v1/trade/totals"
MADE = "source=comtrade-made"


def flow(value: int, **changes: Any) -> dict[str, Any]:
    """Give an invented trade flow, of 2022 unless told."""
    period = changes.get("period", "2022")
    year, _, month = period.partition("-")
    dates = {
        "period_start": date(int(year), int(month or 1), 1),
        "period_end": date(int(year), int(month or 12), 28),
        "year": int(year),
    }
    usual = {"product": "TOTAL", "frequency": "M" if month else "A", "source": "comtrade-made", "value_usd": value}
    return invented(0, **{"period": period, **dates, **usual, **changes})


@contextmanager
def over(engine: str, workshop: Workshop, flows: list[dict[str, Any]]) -> Iterator[TestClient]:
    """Give a client of a service over the seeded data and invented flows."""
    database = workshop.copy(engine)
    slugs = tuple(sorted({one["source"] for one in flows}))
    sources = [{**SOURCE, "slug": slug, "source": slug, "title": f"Made: {slug}"} for slug in slugs]
    with database.publishing() as connection:
        publish(
            connection, Dataset("made", ReleaseKind.IMPORT, slugs, "0" * 64, {Source: sources, TradeFlow: flows}), NOW
        )
    with serve(database) as client:
        yield client
    workshop.remove(database)


PARTNERS = {"CHN": 50, "RUS": 30, "UZB": 12, "KGZ": 5, "TJK": 3}
FLOWS = [
    *(flow(value, partner=partner) for partner, value in PARTNERS.items()),
    *(flow(2 * value, partner=partner, period="2023") for partner, value in PARTNERS.items() if partner != "RUS"),
    flow(45, partner="RUS", period="2023"),
    flow(100, partner="WLD"),
    flow(185, partner="WLD", period="2023"),
    flow(40, product="27", partner="CHN"),
    flow(25, product="2709", partner="CHN"),
    flow(24, product="270900", partner="CHN"),
    flow(9, product="271019", partner="CHN"),
    flow(4, product="271112", partner="CHN"),
    flow(7, product="280100", partner="CHN"),
    flow(6, product="270900", partner="CHN", classification="S4"),
    flow(30, partner="CHN", breakdown="0_C00_0_1000"),
    flow(20, partner="CHN", breakdown="0_C00_0_2000"),
    *(flow(month, partner="MNG", period=f"2022-{month:02}") for month in range(1, 4)),
    *(flow(month, partner="GEO", period=f"2022-{month:02}") for month in range(2, 5)),
    flow(9, partner="ARM", period="2022-02"),
    flow(60, flow="total", source="mirror-made"),
    flow(61, flow="total", source="mirror-made", reporter="CHN", partner="KAZ"),
]


@pytest.fixture(scope="module")
def made(engine: str, workshop: Workshop) -> Iterator[TestClient]:
    with over(engine, workshop, FLOWS) as client:
        yield client


def rows(client: TestClient, query: str, path: str = TOTALS) -> list[dict[str, Any]]:
    response = client.get(f"{path}?{MADE}&{query}")
    assert response.status_code == 200, response.text
    return response.json()["data"]


def refused(client: TestClient, query: str, path: str = TOTALS) -> dict[str, Any]:
    response = client.get(f"{path}?{MADE}&{query}")
    assert response.status_code == 422, response.text
    return response.json()


def products(client: TestClient, query: str) -> list[str]:
    return [row["product"] for row in rows(client, f"{query}&sort=product", "/v1/trade/flows")]


# Members of products


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("product=27", ["27"]),
        ("product=27&level=2", ["27"]),
        ("product=27&level=4", ["2709"]),
        ("product=27&level=6", ["270900", "271019", "271112"]),
        ("product=27,2709&level=6", ["270900", "271019", "271112"]),
        ("product=2709,280100&level=6", ["270900", "280100"]),
        ("product=TOTAL&level=6", ["270900", "271019", "271112", "280100"]),
        ("level=6", ["270900", "271019", "271112", "280100"]),
        ("product=TOTAL&level=0&partner=CHN&year=2022", ["TOTAL"]),
        ("product=27&level=6&classification=H6", ["270900", "271019", "271112"]),
    ],
)
def test_level_gives_stored_members_and_never_the_product_with_them(
    made: TestClient, query: str, found: list[str]
) -> None:
    assert products(made, query) == found


@pytest.mark.parametrize("query", ["product=2709&level=2", "product=27&level=0", "product=123&level=6"])
def test_a_level_that_a_product_has_no_members_of_is_refused(made: TestClient, query: str) -> None:
    assert refused(made, query, "/v1/trade/flows")["code"] == "KHG115"


def test_a_level_there_is_not_is_refused_with_those_there_are(made: TestClient) -> None:
    assert refused(made, "level=3", "/v1/trade/flows")["errors"][0]["allowed"] == ["0", "2", "4", "6"]


def test_level_holds_for_totals_and_coverage(made: TestClient) -> None:
    (total,) = rows(made, "product=27&level=6&group_by=year")
    assert (total["value_usd"], total["rows"], total["product_level"], total["classification"]) == (37, 3, 6, "H6")
    (covered,) = rows(made, "product=27&level=6", "/v1/trade/coverage")
    assert covered["flows"] == 3


# The largest, and the rest


def test_top_keeps_the_largest_and_adds_the_others_in_one_row(made: TestClient) -> None:
    found = rows(made, "group_by=partner&top=2&year=2022&product=TOTAL&frequency=A&share=partner")
    got = [(row["partner"], row["rest"], row["value_usd"], row["rows"], row["share_percent"]) for row in found]
    assert got == [
        ("WLD", False, 100, 1, None),
        ("CHN", False, 50, 1, 50.0),
        ("RUS", False, 30, 1, 30.0),
        (None, True, 20, 3, 20.0),
    ]


def test_top_ranks_within_each_combination_of_the_other_dimensions(made: TestClient) -> None:
    found = rows(made, "group_by=partner,year&top=2&product=TOTAL&frequency=A&economies=partner&growth=true")
    got = [(row["year"], row["partner"], row["value_usd"], row["growth_percent"]) for row in found]
    assert got == [
        (2022, "CHN", 50, None),
        (2022, "RUS", 30, None),
        (2022, None, 20, None),
        (2023, "CHN", 100, 100.0),
        (2023, "RUS", 45, 50.0),
        (2023, None, 40, None),
    ]


def test_a_rest_counts_a_period_of_several_members_once(made: TestClient) -> None:
    found = rows(made, "group_by=partner&top=1&frequency=M")
    got = [(row["partner"], row["value_usd"], row["rows"], row["periods"]) for row in found]
    assert got == [("ARM", 9, 1, 1), (None, 15, 6, 4)] or got == [("GEO", 9, 3, 3), (None, 15, 4, 3)]
    assert got[0][0] == "ARM"  # of equals the first by code


def test_a_top_that_takes_all_leaves_no_rest(made: TestClient) -> None:
    found = rows(made, "group_by=product&top=100&product=27&level=6")
    assert [(row["product"], row["rest"]) for row in found] == [("270900", False), ("271019", False), ("271112", False)]


def test_products_are_ranked_within_their_level(made: TestClient) -> None:
    found = rows(made, "group_by=product&top=1&year=2022&partner=CHN&classification=H6")
    assert [(row["product_level"], row["product"], row["rest"]) for row in found if row["product_level"] in (2, 6)] == [
        (2, "27", False),
        (6, "270900", False),
        (6, None, True),
    ]


def test_lineage_of_a_rest_lists_the_totals_that_it_ends(made: TestClient) -> None:
    rest = rows(made, "group_by=partner&top=2&year=2022&product=TOTAL&frequency=A")[-1]
    ranked = made.get(rest["lineage"]).json()["data"]
    assert sum(row["value_usd"] for row in ranked[2:]) == rest["value_usd"]
    assert rest["formula"] == "sum of value_usd of 3 trade flows beyond the first 2 rows of lineage"


def test_lineage_of_a_rest_of_one_period_ranks_over_all_of_them(engine: str, workshop: Workshop) -> None:
    flows = [
        *(flow(value, reporter="KAZ", partner="CHN", period=str(year)) for year, value in ((2021, 90), (2022, 1))),
        *(flow(value, reporter="UZB", partner="CHN", period=str(year)) for year, value in ((2021, 80), (2022, 1))),
        flow(70, reporter="KGZ", partner="CHN", period="2022"),
    ]
    with over(engine, workshop, flows) as made:
        rest = rows(made, "group_by=reporter&top=2")[-1]
        ranked = made.get(rest["lineage"]).json()["data"]
    assert (rest["rest"], rest["period"], rest["value_usd"]) == (True, "2022", 70)
    assert [row["value_usd"] for row in ranked[2:]] == [70]


def test_lineage_of_what_is_kept_lists_its_flows(made: TestClient) -> None:
    for row in rows(made, "group_by=partner,year&top=2&product=TOTAL&frequency=A"):
        if not row["rest"]:
            found = made.get(row["lineage"]).json()["data"]
            assert (sum(one["value_usd"] for one in found), len(found)) == (row["value_usd"], row["rows"])


def test_a_share_of_another_dimension_is_as_without_top(made: TestClient) -> None:
    query = "group_by=partner,year&product=TOTAL&frequency=A&share=year&sort=year,partner"
    whole = {(row["partner"], row["year"]): row["share_percent"] for row in rows(made, query)}
    for row in rows(made, f"{query}&top=2"):
        assert row["share_percent"] == (None if row["rest"] else whole[row["partner"], row["year"]])


def test_pages_of_a_top_are_the_whole(made: TestClient) -> None:
    query = "group_by=partner,year&top=2&product=TOTAL&frequency=A"
    whole, url, paged = rows(made, query), f"{TOTALS}?{MADE}&{query}&limit=3", []
    while url:
        answer = made.get(url).json()
        assert answer["meta"]["total"] == len(whole)
        paged += answer["data"]
        url = answer["links"]["next"]
    assert paged == whole


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("group_by=reporter,partner&top=2", "KHG115"),
        ("group_by=year&top=2", "KHG115"),
        ("group_by=partner&top_of=partner", "KHG115"),
        ("group_by=partner&top=2&top_of=product", "KHG115"),
        ("group_by=source&top=2&top_of=source", "KHG108"),
        ("group_by=partner&top=0", "KHG101"),
        ("group_by=partner&top=101", "KHG101"),
    ],
)
def test_a_top_of_nothing_or_of_what_is_never_added_is_refused(made: TestClient, query: str, code: str) -> None:
    assert refused(made, query)["code"] == code


@pytest.mark.parametrize(
    "query", ["group_by=product&top=1", "group_by=product", "group_by=partner&top=1&share=partner"]
)
def test_turnover_of_both_sides_is_refused_with_a_request_that_works(made: TestClient, query: str) -> None:
    problem = made.get(f"{TOTALS}?source=mirror-made&{query}").json()
    assert problem["code"] == "KHG108"
    assert made.get(problem["corrected"]).status_code == 200


def test_top_of_says_which_of_several(made: TestClient) -> None:
    found = rows(made, "group_by=reporter,partner&top=1&top_of=partner&year=2022&product=TOTAL&frequency=A")
    assert [(row["reporter"], row["partner"]) for row in found] == [("KAZ", "WLD"), ("KAZ", "CHN"), ("KAZ", None)]


# Parts of flows


def test_parts_are_no_rows_unless_they_are_asked(made: TestClient) -> None:
    query = "partner=CHN&product=TOTAL&year=2022"
    assert [row["breakdown"] for row in rows(made, query, "/v1/trade/flows")] == [None]
    found = rows(made, f"{query}&breakdowns=true", "/v1/trade/flows")
    assert [row["breakdown"] for row in found] == [None, "0_C00_0_1000", "0_C00_0_2000"]


def test_parts_are_not_added_to_the_whole(made: TestClient) -> None:
    query = "partner=CHN&product=TOTAL&year=2022&group_by=partner"
    assert [row["value_usd"] for row in rows(made, query)] == [50]
    found = rows(made, f"{query}&breakdowns=true")
    got = [(row["breakdown"], row["value_usd"]) for row in found]
    assert sorted(got, key=str) == [("0_C00_0_1000", 30), ("0_C00_0_2000", 20), (None, 50)]
    for row in found:
        (one,) = made.get(row["lineage"]).json()["data"]
        assert (one["breakdown"], one["value_usd"]) == (row["breakdown"], row["value_usd"])


def test_coverage_and_latest_count_wholes(made: TestClient) -> None:
    (covered,) = rows(made, "partner=CHN&product=TOTAL&year=2022", "/v1/trade/coverage")
    assert covered["flows"] == 1
    found = rows(made, "partner=CHN&product=TOTAL&latest=true", "/v1/trade/flows")
    assert [(row["period"], row["breakdown"]) for row in found] == [("2023", None)]


@pytest.mark.parametrize("breakdowns", ["", "breakdown=0_C00_0_2000"])
def test_an_id_leads_to_its_flow_whole_or_part(made: TestClient, breakdowns: str) -> None:
    (found,) = rows(made, f"partner=CHN&product=TOTAL&year=2022&{breakdowns}".rstrip("&"), "/v1/trade/flows")
    assert len(found["id"].split(".")) == (10 if breakdowns else 9)
    assert made.get(f"/v1/trade/flows/{found['id']}").json()["data"] == found


def test_the_key_of_a_whole_has_one_spelling(made: TestClient) -> None:
    known = "/v1/trade/flows/KAZ.CHN.export.TOTAL.H6.A.2022.comtrade-made.-"
    assert (made.get(known).status_code, made.get(f"{known}.-").status_code) == (200, 404)


def test_products_of_hs_2022_have_names(made: TestClient) -> None:
    found = {
        (row["product"], row["classification"]): row["product_name"]
        for row in rows(made, "partner=CHN&year=2022", "/v1/trade/flows")
    }
    assert found["27", "H6"] and found["TOTAL", "H6"] and found["270900", "S4"] is None


# Sums of more than 64 bits

MOST = 2**63 - 1
LARGE = [
    *(flow(MOST, partner=partner, period=period) for partner in ("CHN", "RUS") for period in ("2022", "2023")),
    flow(1, partner="UZB"),
    flow(MOST - 1, partner="KGZ", period="2023"),
    flow(1, partner="TJK", period="2023"),
]


@pytest.fixture(scope="module")
def large(engine: str, workshop: Workshop) -> Iterator[TestClient]:
    with over(engine, workshop, LARGE) as client:
        yield client


@pytest.mark.parametrize("more", ["", "&growth=true", "&sort=-value_usd", "&top=2&top_of=partner", "&format=csv"])
def test_the_largest_value_is_a_total(large: TestClient, more: str) -> None:
    response = large.get(f"{TOTALS}?{MADE}&group_by=partner,year{more}")
    assert (response.status_code, response.text.count(str(MOST))) == (200, 4 + ("top=2" in more))


def test_growth_of_the_largest_value_is_right(large: TestClient) -> None:
    found = {row["partner"]: row for row in rows(large, "group_by=partner,year&growth=true&year=2023&partner=CHN,RUS")}
    assert [row["value_usd"] for row in found.values()] == [MOST, MOST]
    grown = rows(large, "group_by=partner,year&growth=true&partner=CHN&sort=year")
    assert [row["growth_percent"] for row in grown] == [None, 0]


@pytest.mark.parametrize("form", ["json", "csv", "ndjson", "parquet", "xlsx"])
@pytest.mark.parametrize(
    "query", ["group_by=year", "group_by=partner", "group_by=partner,year&share=partner", "group_by=partner,year&top=1"]
)
def test_a_sum_of_more_than_64_bits_is_refused(large: TestClient, query: str, form: str) -> None:
    problem = refused(large, f"{query}&format={form}")
    assert (problem["code"], problem["type"]) == ("KHG118", "/v1/problems/sum-too-large")
    assert f"{MOST:,}" in problem["detail"]


def test_what_is_left_of_a_sum_by_filters_is_given(large: TestClient) -> None:
    assert [row["value_usd"] for row in rows(large, "group_by=year&partner=KGZ,TJK")] == [MOST]
