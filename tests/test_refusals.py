"""How errors speak: in plain words, with what was meant where that is clear, and with no suggestion where it is not."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from conftest import Workshop
from direct import direct
from starlette.testclient import TestClient
from test_http import OPERATIONS

from app.db import Database
from app.formats import TABLE_FORMATS
from app.main import create_app
from app.nearest import nearest
from app.openapi import DESCRIPTION
from app.settings import Settings

FLOWS = "/v1/trade/flows"
SDMX = "/sdmx/2.1/data"
PYDANTIC = (
    "Input should",
    "String should",
    "Tuple should",
    "List should",
    "Value should",
    "Value error",
    "ensure this",
)
"""How Pydantic's own words begin."""


def problem(client: TestClient, path: str, status: int = 422) -> dict[str, Any]:
    """Give the problem that answers a request."""
    response = client.get(path)
    assert response.status_code == status, response.text
    found: dict[str, Any] = response.json()
    return found


def meant(client: TestClient, path: str, status: int = 422) -> list[str | None]:
    """Give what the errors that answer a request suggest."""
    return [fault["did_you_mean"] for fault in problem(client, path, status)["errors"]]


# The command line


def khorgos(folder: Path, *words: str, **settings: str) -> "subprocess.CompletedProcess[str]":
    """Run a command in an empty folder, with settings of its own alone."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("KHORGOS_")}
    environment = kept | settings | {"PYTHONPATH": str(Path(__file__).parent.parent)}
    asked = [sys.executable, "-c", "from app.cli import main; main()", *words]
    return subprocess.run(asked, env=environment, cwd=folder, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize(
    ("words", "settings", "said"),
    [
        (["serve"], {"KHORGOS_PORT": "abc"}, "KHORGOS_PORT cannot be 'abc': it must be a whole number"),
        (["serve"], {"KHORGOS_PORT": "99999"}, "KHORGOS_PORT cannot be '99999': it must be at most 65535"),
        (["releases"], {"KHORGOS_PAGE_LIMIT": "abc"}, "KHORGOS_PAGE_LIMIT cannot be 'abc': it must be a whole number"),
        (
            ["check"],
            {"KHORGOS_PAGE_LIMIT": "0", "KHORGOS_POOL_WAIT": "0"},
            "KHORGOS_PAGE_LIMIT cannot be '0': it must be at least 1; "
            "KHORGOS_POOL_WAIT cannot be '0': it must be above 0",
        ),
        (
            ["check"],
            {"KHORGOS_PUBLIC_URL": "khorgos.example"},
            "KHORGOS_PUBLIC_URL cannot be 'khorgos.example': it must be a scheme and a host without a path, "
            "such as https://khorgos.example",
        ),
    ],
)
def test_a_wrong_setting_is_told_in_one_line(
    tmp_path: Path, words: list[str], settings: dict[str, str], said: str
) -> None:
    done = khorgos(tmp_path, *words, **settings)
    assert (done.returncode, done.stdout, done.stderr) == (1, "", f"KHG206 {said}\n")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_port_in_use_is_told_before_anything_is_done(tmp_path: Path, workers: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        done = khorgos(tmp_path, "serve", "--port", port, "--workers", workers)
    said = f"KHG507 port {port} is in use: --port names another\n"
    assert (done.returncode, done.stdout, done.stderr) == (1, "", said)
    assert list(tmp_path.iterdir()) == []


def test_an_address_that_is_none_of_this_machine_is_told(tmp_path: Path) -> None:
    done = khorgos(tmp_path, "serve", "--host", "192.0.2.1")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("KHG507 192.0.2.1:8000 cannot be listened at: ")


# Values and parameters


@pytest.mark.parametrize(
    ("path", "said"),
    [
        (f"{FLOWS}?year=24", "year cannot be '24': it must be at least 1900"),
        (f"{FLOWS}?year=2500", "year cannot be '2500': it must be at most 2100"),
        (f"{FLOWS}?limit=0", "limit cannot be '0': it must be at least 1"),
        (f"{FLOWS}?limit=ten", "limit cannot be 'ten': it must be a whole number, in digits"),
        (f"{FLOWS}?product=", "product cannot be '': a value of the list is blank"),
        ("/v1/trade/totals?group_by=year&top=0", "top cannot be '0': it must be at least 1"),
        ("/v1/trade/shares?share_max=101", "share_max cannot be '101': it must be at most 100"),
        ("/v1/search?q=", "q cannot be '': it is empty"),
        (f"/v1/search?q={'a' * 201}", f"q cannot be '{'a' * 60}...': it has more than 200 characters"),
        ("/v1/trade/totals?group_by=country", "group_by cannot be 'country': it takes reporter, partner, flow, year, "),
    ],
)
def test_what_is_wrong_with_a_value_is_said_in_plain_words(client: TestClient, path: str, said: str) -> None:
    found = problem(client, path)
    assert found["detail"].startswith(said)
    assert len(found["errors"]) == 1


WRONG = ("", "0", "-1", "999999999999999999999", "1.5", "x", "x" * 300, "☃", "2024-2025")


def test_no_refusal_is_in_the_words_of_a_library(seeded: Database) -> None:
    with direct(seeded) as service:
        for path, operation in OPERATIONS.items():
            names = [one["name"] for one in operation.get("parameters", ()) if one["in"] == "query"]
            for name, value in product(names if "{" not in path else (), WRONG):
                text = service.ask(f"{path}?{urlencode({name: value, 'limit': '0'})}").body.decode()
                assert not [word for word in PYDANTIC if word in text], (path, name, value)


@pytest.mark.parametrize(
    ("query", "suggested"),
    [
        ("page=2", "cursor"),
        ("offset=100", "cursor"),
        ("per_page=50", "limit"),
        ("order_by=year", "sort"),
        ("hs_code=27", "product"),
        ("year=2024-2025", "year_from=2024&year_to=2025"),
        ("year=2024:2025", "year_from=2024&year_to=2025"),
        ("sort=value_usd desc", "-value_usd"),
        ("sort=value_usd:asc", "value_usd"),
        ("sort=-value", "-value_usd"),
        ("format=excel", "xlsx"),
        ("format=xls", "xlsx"),
        ("frequency=annual", "A"),
        ("frequency=monthly", "M"),
        ("flow=imports", "import"),
        ("fields=value", "value_usd"),
        ("source=astana-times", "astana-times-2025-06"),
        ("reporter=Kazakstan", "Kazakhstan"),
        ("reporter=England", None),
        ("yeer=2024", "year"),
    ],
)
def test_habits_from_elsewhere_are_told_what_they_are_here(
    client: TestClient, query: str, suggested: str | None
) -> None:
    assert meant(client, f"{FLOWS}?{query}") == [suggested]


def test_who_asks_for_a_page_by_number_is_told_how_pages_follow(client: TestClient) -> None:
    assert "`links.next`" in problem(client, f"{FLOWS}?page=2")["detail"]
    assert meant(client, "/v1/trade/compare?reporter=KAZ&partner=CHN&page=2") == [None]


@pytest.mark.parametrize(
    ("value", "known", "found"),
    [
        ("yeer", ["period", "year", "year_from"], "year"),
        ("flows", ["quotes", "trade-flows", "trade-shares"], "trade-flows"),
        ("trade", ["quotes", "trade-flows", "trade-shares"], None),
        ("value", ["valuation", "value_usd"], "value_usd"),
        ("descr", ["code", "description"], "description"),
        ("json-stat", ["csv", "json"], "json"),
        ("cvs", ["csv", "json"], "csv"),
        ("england", ["finland", "greenland", "poland"], None),
        ("katar", ["qatar"], "qatar"),
        ("X", ["A", "Q", "_X", "_Z"], None),
        ("format", ["fields", "sort"], None),
        ("", ["a", "-"], None),
    ],
)
def test_a_suggestion_is_what_was_meant_or_none(value: str, known: list[str], found: str | None) -> None:
    assert nearest(value, known) == found


# Paths


@pytest.mark.parametrize(
    ("path", "suggested"),
    [
        (f"{FLOWS}/", FLOWS),
        ("/v1/", "/v1"),
        ("/v1/countries/KAZ/", "/v1/countries/KAZ"),
        ("/v1/country", "/v1/countries"),
        ("/v1/trade", FLOWS),
        ("/trade/flows", FLOWS),
        ("/v1/trade/flow", FLOWS),
        ("/v1/exports/trade-flows", "trade-flows.csv"),
        ("/v1/exports/trade-flows.xlsx", "trade-flows.csv"),
        ("/v1/exports/trade-flow.csv", "trade-flows"),
        ("/static/nothing.js", None),
        ("/nothing/here", None),
    ],
)
def test_a_path_there_is_not_is_404_with_the_one_meant(client: TestClient, path: str, suggested: str | None) -> None:
    assert meant(client, path, 404) == [suggested]


@pytest.mark.parametrize("name", ["trade-flows", "trade-flows.xlsx"])
def test_an_export_without_a_format_that_is_served_is_told_its_formats(client: TestClient, name: str) -> None:
    detail = problem(client, f"/v1/exports/{name}", 404)["detail"]
    assert "name the file's format, trade-flows.csv or trade-flows.parquet" in detail


@pytest.fixture(scope="module")
def prefixed(workshop: Workshop) -> Iterator[TestClient]:
    """Give a client of a service behind a proxy that strips a prefix."""
    url = workshop.seeded("sqlite").settings.database_url
    with TestClient(create_app(Settings(database_url=url, root_path="/khorgos"))) as made:
        yield made


@pytest.mark.parametrize("path", ["/v1/trade/flows/", "/khorgos/trade/flows", "/trade/flow"])
def test_a_path_that_was_meant_has_the_prefix_of_the_proxy(prefixed: TestClient, path: str) -> None:
    assert meant(prefixed, path, 404) == [f"/khorgos{FLOWS}"]


# SDMX


@pytest.mark.parametrize(
    ("key", "suggested"),
    [
        ("A.KAZAKHSTAN.......", "KAZ"),
        ("A.KZ.......", "KAZ"),
        ("A.Russia.......", "RUS"),
        ("A.Kazakstan.......", "KAZ"),
        ("A.KAZZ.......", "KAZ"),
        ("A.central-asia.......", None),
        ("A.England.......", None),
        ("A.KAZ.CHN.export.....", "X"),
        ("annual.KAZ.......", "A"),
        ("X.KAZ.......", None),
    ],
)
def test_a_code_of_no_list_is_refused_with_the_one_meant(client: TestClient, key: str, suggested: str | None) -> None:
    assert meant(client, f"{SDMX}/TRADE/{key}") == [suggested]


def test_a_short_codelist_is_told_and_a_long_one_named(client: TestClient) -> None:
    short, long = problem(client, f"{SDMX}/TRADE/X.KAZZ.......")["errors"]
    assert short["message"] == "FREQ has no code 'X': it has A, Q, M, YTD, _X, _Z"
    assert short["allowed"] == ["A", "Q", "M", "YTD", "_X", "_Z"]
    path = "/sdmx/2.1/codelist/KHORGOS/CL_AREA"
    assert (long["message"], long["allowed"]) == (f"REPORTER has no code 'KAZZ': {path} lists them", None)
    assert client.get(path).status_code == 200


# Empty answers


@pytest.mark.parametrize(
    ("query", "note"),
    [
        ("product=ABC", "ABC: in none of the data, and no code of HS 2022"),
        ("product=9876,2709", "9876: in none of the data, and no code of HS 2022"),
        ("reporter=KAZ&product=9876", "9876: in none of the data, and no code of HS 2022"),
        ("product=2709", None),
        ("reporter=UZB&product=TOTAL&year=1999", None),
    ],
)
def test_an_empty_answer_tells_a_product_that_there_is_not(client: TestClient, query: str, note: str | None) -> None:
    why = client.get(f"{FLOWS}?{query}").json()["meta"]["why_empty"]
    assert why.get("note") == note


# The description


def test_the_description_names_every_format() -> None:
    assert [name for name in ("json", *TABLE_FORMATS) if f"`{name}`" not in DESCRIPTION] == []


def test_each_operation_is_summed_up_by_what_it_says(client: TestClient) -> None:
    described = client.get("/openapi.json").json()
    for methods in described["paths"].values():
        assert methods["get"]["description"].removesuffix(".").startswith(methods["get"]["summary"])
    assert described["paths"][FLOWS]["get"]["summary"].startswith("List trade flows")
    assert described["info"]["summary"] not in described["info"]["description"]
