"""The Harmonized System is served as the tree it is, and every area of trade statistics has a row of its own."""

import csv
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from time import perf_counter

import pytest
from conftest import SEEDS
from sqlalchemy import func, select
from starlette.testclient import TestClient
from test_contract import body, refused, rows

from app.db import Database
from app.ingest.seeds import read_folder
from app.models import Country, Release
from app.names import load_names, visible

TREE = list(csv.DictReader((SEEDS / "harmonized-system" / "products.csv").read_text("utf-8").splitlines()))
CODES = {row["code"]: row for row in TREE}
SHARED = Path(__file__).parent.parent.parent / "shared" / "data"
"""Tables that are not ours to give out; where they lie beside the checkout, more is proved."""
TABLES = {
    "comtrade_partner": (SHARED / "reference" / "comtrade_partner.csv", "PartnerCode"),
    "comtrade_reporter": (SHARED / "reference" / "comtrade_reporter.csv", "reporterCode"),
    "baci_V202201": (SHARED / "baci" / "country_codes_V202201.csv", "country_code"),
    "baci_V202301": (SHARED / "baci" / "country_codes_V202301.csv", "country_code"),
}
UNKNOWN: dict[int, str] = {}
"""Numbers of those tables that lead to no row, with the reason; there are none."""


def codes(client: TestClient, query: str) -> list[str]:
    """Give the codes of products."""
    return [row["code"] for row in rows(client, f"/v1/products?fields=code&limit=1000&{query}")]


# The seed


def test_the_tree_has_every_level() -> None:
    counted = {level: sum(row["level"] == level for row in TREE) for level in ("0", "2", "4", "6")}
    assert counted == {"0": 1, "2": 97, "4": 1229, "6": 5613}
    assert len(CODES) == len(TREE) == 6940


def test_every_code_is_as_long_as_its_level_and_begins_as_its_parent() -> None:
    wrong = [
        code
        for code, row in CODES.items()
        if code != "TOTAL"
        and not (
            code.isdigit()
            and len(code) == int(row["level"])
            and row["parent"] in CODES
            and row["parent"] == (code[:-2] or "TOTAL")
        )
    ]
    assert wrong == [] and CODES["TOTAL"]["parent"] == ""


def test_every_code_is_in_the_section_of_its_chapter() -> None:
    wrong = [
        code for code, row in CODES.items() if row["section"] != CODES[code[:2] if code != "TOTAL" else code]["section"]
    ]
    assert wrong == []
    assert {code for code, row in CODES.items() if not row["section"]} == {"TOTAL", "99", "9999", "999999"}


def test_a_section_has_one_name() -> None:
    named = {(row["section"], row["section_name"]) for row in TREE if row["section"]}
    assert len(named) == len(dict(named)) == 21


def test_rows_stand_in_the_order_of_their_codes() -> None:
    assert TREE[0]["code"] == "TOTAL"
    assert all(one["code"] < next_one["code"] for one, next_one in pairwise(TREE[1:]))


def test_the_tree_is_read_quickly() -> None:
    began = perf_counter()
    folder = read_folder(SEEDS / "harmonized-system")
    assert perf_counter() - began < 2 and folder.faults == []  # 0.2 seconds on two cores


def test_names_are_read_quickly_with_products_among_them(seeded: Database) -> None:
    with seeded.read() as connection:
        newest = connection.execute(select(func.max(Release.id))).scalar_one()
        began = perf_counter()
        names = load_names(connection, newest)
    assert perf_counter() - began < 1  # 0.05 seconds on two cores
    assert names.label("product", "2709") == CODES["2709"]["description"]


# The list


def test_a_product_is_given_with_its_place(client: TestClient) -> None:
    assert rows(client, "/v1/products?code=0101") == [
        {
            "code": "0101",
            "level": 4,
            "parent": "01",
            "section": "I",
            "section_name": "Live animals; animal products",
            "description": "Horses, asses, mules and hinnies; live",
            "source": "harmonized-system",
        }
    ]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("level=0", ["TOTAL"]),
        ("level=2&section=V", ["25", "26", "27"]),
        ("level=2&section=v,iii", ["15", "25", "26", "27"]),
        ("level=2&section=mineral products", ["25", "26", "27"]),
        ("level=0,2&code=27,TOTAL", ["27", "TOTAL"]),
        ("code=2709,27", ["27", "2709"]),
        ("code=total", ["TOTAL"]),
        ("parent=0101", ["010121", "010129", "010130", "010190"]),
        ("parent=2709", ["270900"]),
        ("q=oils petroleum crude&level=4", ["2709", "2710"]),
        ("q=2709", ["2709"]),
        ("q=horses asses&level=4", ["0101", "0205", "0206"]),
    ],
)
def test_products_are_found_by_level_parent_section_code_and_words(
    client: TestClient, query: str, expected: list[str]
) -> None:
    assert codes(client, query) == expected


def test_chapters_are_the_parts_of_all_commodities(client: TestClient) -> None:
    assert codes(client, "parent=TOTAL") == codes(client, "level=2") == [c for c in CODES if len(c) == 2]


def test_the_whole_tree_is_one_csv(client: TestClient) -> None:
    lines = client.get("/v1/products?format=csv&fields=code,level,parent,section,section_name,description").text
    assert sorted(csv.DictReader(lines.splitlines()), key=lambda row: (row["code"] != "TOTAL", row["code"])) == TREE


def test_both_engines_give_the_same_page(clients: dict[str, TestClient]) -> None:
    pages = [one.get("/v1/products?q=oil*&sort=-level,description&limit=50").json()["data"] for one in clients.values()]
    assert pages[0] == pages[1] and len(pages[0]) == 50


@pytest.mark.parametrize(
    ("query", "parameter", "meant"),
    [
        ("code=101", "code", "0101"),
        ("parent=1", "parent", "01"),
        ("code=852812", "code", "8528"),
        ("section=XXL", "section", "XX"),
        ("lvel=2", "lvel", "level"),
    ],
)
def test_what_no_product_has_is_refused_with_what_was_meant(
    client: TestClient, query: str, parameter: str, meant: str
) -> None:
    fault = refused(client, f"/v1/products?{query}")["errors"][0]
    assert (fault["parameter"], fault["did_you_mean"]) == (parameter, meant)


@pytest.mark.parametrize("level", ["1", "3", "5", "8", "-2", "02", "2.0", "two", " 2"])
def test_a_level_there_is_not_is_refused_with_those_there_are(client: TestClient, level: str) -> None:
    fault = refused(client, f"/v1/products?level={level}")["errors"][0]
    assert (fault["parameter"], fault["allowed"]) == ("level", ["0", "2", "4", "6"])


def test_why_no_product_is_there_is_said(client: TestClient) -> None:
    answer = body(client, "/v1/products?parent=0101&level=4")
    assert answer["data"] == [] and answer["meta"]["why_empty"]["parameter"] in {"level", "parent"}


# One product


def test_a_product_has_what_it_is_part_of_and_what_is_part_of_it(client: TestClient) -> None:
    found = body(client, "/v1/products/2711")["data"]
    assert [one["code"] for one in found["ancestors"]] == ["27", "TOTAL"]
    assert [one["code"] for one in found["children"]] == [code for code in CODES if CODES[code]["parent"] == "2711"]
    assert found["children"][0] == {"code": "271111", "description": CODES["271111"]["description"]}


@pytest.mark.parametrize(
    ("code", "ancestors", "children"),
    [
        ("TOTAL", [], 97),
        ("27", ["TOTAL"], 16),
        ("270900", ["2709", "27", "TOTAL"], 0),
        ("999999", ["9999", "99", "TOTAL"], 0),
    ],
)
def test_the_path_leads_up_to_all_commodities(
    client: TestClient, code: str, ancestors: list[str], children: int
) -> None:
    found = body(client, f"/v1/products/{code}")["data"]
    assert ([one["code"] for one in found["ancestors"]], len(found["children"])) == (ancestors, children)


def test_fields_choose_among_the_tree_too(client: TestClient) -> None:
    assert body(client, "/v1/products/010121?fields=code,ancestors")["data"] == {
        "code": "010121",
        "ancestors": [{"code": one, "description": CODES[one]["description"]} for one in ("0101", "01", "TOTAL")],
    }


def test_all_commodities_go_by_their_code_in_any_case(client: TestClient) -> None:
    assert body(client, "/v1/products/total")["data"]["code"] == "TOTAL"


@pytest.mark.parametrize(
    ("code", "meant"), [("101", "0101"), ("9", "09"), ("852812", "8528"), ("27O9", "2709"), ("☃", None)]
)
def test_a_code_there_is_not_is_404_with_the_one_meant(client: TestClient, code: str, meant: str | None) -> None:
    problem = refused(client, f"/v1/products/{code}", 404)
    assert problem["errors"][0]["did_you_mean"] == meant


def test_before_its_release_there_is_no_product(client: TestClient) -> None:
    assert rows(client, "/v1/products?release=1") == []
    refused(client, "/v1/products/2709?release=1", 404)


def test_search_leads_to_a_product(client: TestClient) -> None:
    (found,) = rows(client, "/v1/search?q=2709&record=products")
    assert (found["title"], found["path"]) == (CODES["2709"]["description"], "/v1/products/2709")


# Areas


def numbers(path: Path, column: str) -> Iterator[int]:
    """Give the numbers of a code table."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        yield from (int(row[column]) for row in csv.DictReader(file))


def known(database: Database) -> dict[int, list[str]]:
    """Give the rows that each number of UN Comtrade leads to."""
    found: dict[int, list[str]] = {}
    with database.read() as connection:
        newest = connection.execute(select(func.max(Release.id))).scalar_one()
        query = select(Country.iso3, Country.comtrade_code, Country.comtrade_also).where(visible(Country, newest))
        for iso3, number, also in connection.execute(query):
            for one in ([] if number is None else [number]) + list(map(int, also)):
                found.setdefault(one, []).append(iso3)
    return found


def test_a_number_leads_to_one_row(seeded: Database) -> None:
    assert {number: rows for number, rows in known(seeded).items() if len(rows) > 1} == {}


@pytest.mark.parametrize(
    ("number", "iso3"),
    [
        (842, "USA"), (840, "USA"), (841, "XUP"), (699, "IND"), (356, "XIN"), (251, "FRA"), (250, "FRA"), (757, "CHE"),
        (756, "CHE"), (579, "NOR"), (578, "NOR"), (380, "ITA"), (381, "ITA"), (490, "TWN"), (158, "TWN"), (58, "XBL"),
        (276, "DEU"), (280, "XDW"), (278, "DDR"), (729, "SDN"), (736, "XSD"), (231, "ETH"), (230, "XET"), (492, "XEU"),
        (711, "XCU"), (710, "ZAF"), (850, "VIR"), (810, "SUN"), (643, "RUS"), (899, "XNS"), (837, "XBK"), (838, "XFZ"),
        (839, "XSC"), (412, "XKX"), (97, "EUN"), (0, "WLD"), (887, "YEM"), (886, "XYE"), (720, "YMD"),
    ],
)  # fmt: skip
def test_a_number_leads_to_what_it_stands_for(seeded: Database, number: int, iso3: str) -> None:
    assert known(seeded)[number] == [iso3]


@pytest.mark.parametrize(
    ("path", "column"), [pytest.param(*one, id=name) for name, one in TABLES.items() if one[0].exists()]
)
def test_every_number_of_a_table_is_known(seeded: Database, path: Path, column: str) -> None:
    listed = set(numbers(path, column))
    assert listed and listed - set(known(seeded)) == set(UNKNOWN) & listed


def test_an_area_is_a_country_of_its_kind(client: TestClient) -> None:
    found = rows(client, "/v1/countries?kind=area&fields=iso3,name,region&limit=1000")
    assert {"iso3": "XNS", "name": "Areas, not elsewhere specified", "region": None} in found
    assert len(found) == 56
