"""What the service is over HTTP: methods, conditions, formats, refusals, limits, and how it fails."""

import asyncio
import csv
import http.client
import io
import json
import random
import socket
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import uvicorn
from conftest import NOW, ONE_ID, Workshop, run
from fastapi import FastAPI
from pyarrow import parquet
from sqlalchemy import func, literal, select
from starlette.testclient import TestClient

import app.answer
import app.plan
from app import schema
from app.codes import ReleaseKind
from app.db import Database
from app.ingest.publish import Dataset, publish
from app.main import create_app
from app.models import Project, Source, TradeFlow
from app.server import Patient
from app.settings import Settings

DESCRIPTION = create_app(Settings(database_url="sqlite:///never-opened.db")).openapi()
OPERATIONS = {path: methods["get"] for path, methods in DESCRIPTION["paths"].items()}
EXAMPLES = {"name": "invalid-value"}
BIG = 2500
"""Rows of the large table: three batches of a stream."""
FLOWS = "/v1/trade/flows"
NUMBERS = select(literal(1).label("x")).cte("numbers", recursive=True)
NUMBERS = NUMBERS.union_all(select(NUMBERS.c.x + 1).where(NUMBERS.c.x < 100_000_000))
PARQUET = "application/vnd.apache.parquet"
XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
HEAVY = select(func.count()).select_from(NUMBERS)
"""A query of about a minute, on either engine."""


def example_of(path: str) -> str:
    """Give a request that a path answers, from the examples of its description."""
    query = []
    for parameter in OPERATIONS[path].get("parameters", ()):
        value = parameter.get("example", EXAMPLES.get(parameter["name"]))
        value = ",".join(map(str, value)) if isinstance(value, list) else value
        if parameter["in"] == "path":
            path = path.replace(f"{{{parameter['name']}}}", str(value))
        elif parameter["required"]:
            query.append(f"{parameter['name']}={value}")
    return f"{path}?{'&'.join(query)}" if query else path


URLS = {path: example_of(path) for path in OPERATIONS}
LISTS = [path for path, one in OPERATIONS.items() if any(p["name"] == "cursor" for p in one.get("parameters", ()))]
DATA = [path for path, one in OPERATIONS.items() if any(p["name"] == "release" for p in one.get("parameters", ()))]


def flow(number: int, **changes: Any) -> dict[str, Any]:
    """Give an invented trade flow."""
    return {
        "reporter": "KAZ",
        "partner": "CHN",
        "flow": "export",
        "product": f"{number:06}",
        "classification": "H6",
        "frequency": "A",
        "period": "2023",
        "source": "invented",
        "stated_by": "-",
        "breakdown": "-",
        "net_weight_estimated": None,
        "period_start": NOW.date().replace(year=2023),
        "period_end": NOW.date().replace(year=2023, month=12, day=31),
        "year": 2023,
        "value_usd": 1000 + number,
        "net_weight_kg": None,
        "valuation": "FOB",
        "obs_status": "A",
        "method": "stated",
        "inferred": (),
        "note": None,
        **changes,
    }


SOURCE = {
    "slug": "invented",
    "kind": "dataset",
    "title": "An invented dataset",
    "publisher": "Nobody",
    "language": "en",
    "source": "invented",
    **dict.fromkeys(("url", "published_on", "licence", "sha256", "length", "note")),
}


def publish_invented(database: Database, records: dict[type[Any], list[dict[str, Any]]]) -> None:
    """Publish invented records as the next release."""
    dataset = Dataset("invented", ReleaseKind.IMPORT, ("invented",), "0" * 64, {Source: [SOURCE], **records})
    with database.publishing() as connection:
        publish(connection, dataset, NOW)


@contextmanager
def service(database: Database, **settings: Any) -> Iterator[TestClient]:
    """Give a client of a service of one's own, which gives a failure as its answer."""
    made = create_app(Settings(database_url=database.settings.database_url, release_ttl=0, **settings))
    with TestClient(made, raise_server_exceptions=False, headers=ONE_ID) as client:
        yield client


@contextmanager
def served(database: Database, **settings: Any) -> Iterator[tuple[int, FastAPI]]:
    """Give the port of a real server over a database, and its application."""
    made = create_app(Settings(database_url=database.settings.database_url, release_ttl=0, **settings))
    config = uvicorn.Config(made, port=0, http=Patient, log_level="critical", ws="none", timeout_graceful_shutdown=5)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        assert within(10, lambda: server.started)
        yield server.servers[0].sockets[0].getsockname()[1], made
    finally:
        server.should_exit = True
        thread.join()


def within(seconds: float, holds: Callable[[], bool]) -> bool:
    """Whether something comes to hold in time."""
    end = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > end:
            return False
        time.sleep(0.01)
    return True


def free_exports(made: FastAPI) -> int:
    """Count the free places for exports, without keeping any."""
    exports = made.state.service.exports
    taken = 0
    while exports.acquire(blocking=False):
        taken += 1
    for _ in range(taken):
        exports.release()
    return taken


@contextmanager
def without_places(made: FastAPI) -> Iterator[None]:
    """Take every place for requests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(made.state.service, "queries", asyncio.Semaphore(0))
        yield


def is_idle(made: FastAPI) -> bool:
    """Whether no place for an export and no connection is held."""
    running = made.state.service
    pools = [running.database.reader(running.settings.export_timeout).pool]
    pools.append(running.database.reader(running.settings.statement_timeout).pool)
    return free_exports(made) == running.settings.exports and all(pool.checkedout() == 0 for pool in pools)


@contextmanager
def many_flows(workshop: Workshop, engine: str) -> Iterator[Database]:
    """Give a seeded database of one's own with a table of several batches."""
    database = workshop.copy(engine)
    publish_invented(database, {TradeFlow: [flow(number) for number in range(BIG)]})
    yield database
    workshop.remove(database)


@pytest.fixture(scope="module")
def big(engine: str, workshop: Workshop) -> Iterator[Database]:
    """Give a seeded database with a table of several batches, to read from only."""
    with many_flows(workshop, engine) as database:
        yield database


@pytest.fixture(scope="module")
def big_client(big: Database) -> Iterator[TestClient]:
    """Give a client of the service over the large table."""
    with service(big) as client:
        yield client


def assert_problem(response: Any, status: int, code: str | None = None) -> None:
    """Hold an answer to be a whole problem."""
    assert response.status_code == status, (response.url, response.text)
    assert response.headers["content-type"] == "application/problem+json"
    assert response.headers["cache-control"] == "no-store"
    problem = response.json()
    assert {"type", "title", "status", "code", "detail", "instance", "errors"} <= problem.keys()
    assert problem["status"] == status
    assert code is None or problem["code"] == code, problem


# Methods


@pytest.mark.parametrize("path", URLS)
def test_head_has_the_headers_of_get_and_no_body(client: TestClient, path: str) -> None:
    got, headed = client.get(URLS[path]), client.head(URLS[path])
    assert (headed.status_code, headed.content) == (200, b"")
    assert headed.headers == got.headers


STREAMED = ("format=csv", "format=ndjson", "format=parquet", "shape=array")
WHOLE = ("format=xlsx", "format=json-stat")


@pytest.mark.parametrize("table", [*STREAMED, *WHOLE])
def test_head_of_an_export_has_the_headers_of_get(client: TestClient, table: str) -> None:
    got, headed = client.get(f"{FLOWS}?{table}"), client.head(f"{FLOWS}?{table}")
    assert (got.status_code, headed.status_code, headed.content) == (200, 200, b"")
    assert headed.headers == got.headers


@pytest.mark.parametrize("table", STREAMED)
def test_head_of_an_export_takes_no_place(seeded: Database, table: str) -> None:
    with service(seeded, exports=1, pool_wait=0.05) as client, client.app.state.service.exports:
        assert client.head(f"{FLOWS}?{table}").status_code == 200


@pytest.mark.parametrize("url", [f"{FLOWS}?yeer=2024", "/v1/topics/nothing", "/nothing", f"{FLOWS}?year=%00"])
def test_head_of_an_error_has_no_body(client: TestClient, url: str) -> None:
    got, headed = client.get(url), client.head(url)
    assert (headed.status_code, headed.content, headed.headers) == (got.status_code, b"", got.headers)


def test_options_tells_the_methods_of_every_path(client: TestClient) -> None:
    for url in URLS.values():
        response = client.options(url)
        assert (response.status_code, response.content) == (204, b"")
        assert response.headers["allow"] == "GET, HEAD, OPTIONS"


@pytest.mark.parametrize("verb", ["POST", "PUT", "PATCH", "DELETE", "TRACE", "CONNECT", "QUERY", "KHORGOS"])
def test_every_other_method_is_refused_on_every_path(client: TestClient, verb: str) -> None:
    for url in (*URLS.values(), "/", "/docs", "/redoc", "/openapi.json", "/metrics", "/static/favicon.svg", "/nothing"):
        response = client.request(verb, url)
        assert_problem(response, 405, "KHG112")
        assert response.headers["allow"] == "GET, HEAD, OPTIONS"


# Conditions


@pytest.mark.parametrize("path", DATA)
def test_answer_from_data_is_304_to_who_holds_it(client: TestClient, path: str) -> None:
    first = client.get(URLS[path])
    again = client.get(URLS[path], headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    for name in ("etag", "last-modified", "cache-control", "vary"):
        assert again.headers[name] == first.headers[name]
    assert "content-type" not in again.headers


@pytest.mark.parametrize("form", ["{tag}", "W/{tag}", '"other", {tag}', '"other" ,W/{tag}', "*"])
def test_if_none_match_is_read_in_every_form(client: TestClient, form: str) -> None:
    tag = client.get("/v1/topics").headers["etag"]
    response = client.get("/v1/topics", headers={"If-None-Match": form.format(tag=tag)})
    assert response.status_code == 304


@pytest.mark.parametrize("tag", ['"other"', "", "W/", "nonsense"])
def test_another_tag_is_answered_whole(client: TestClient, tag: str) -> None:
    assert client.get("/v1/topics", headers={"If-None-Match": tag}).status_code == 200


def test_head_is_304_too(client: TestClient) -> None:
    tag = client.get("/v1/topics").headers["etag"]
    response = client.head("/v1/topics", headers={"If-None-Match": tag})
    assert (response.status_code, response.content) == (304, b"")


def test_tag_differs_by_format(client: TestClient) -> None:
    tags = {client.get("/v1/topics", headers={"Accept": media}).headers["etag"] for media in ("*/*", "text/csv")}
    assert len(tags) == 2


@pytest.mark.parametrize("changed", [{"page_limit": 2}, {"count_limit": 5}, {"root_path": "/khorgos"}])
def test_tag_differs_by_what_is_answered_unasked(seeded: Database, changed: dict[str, Any]) -> None:
    tags = []
    for settings in ({}, changed):
        with service(seeded, **settings) as client:
            tags.append(client.get("/v1/topics").headers["etag"])
    assert tags[0] != tags[1]


def test_every_value_of_an_unknown_parameter_is_told(client: TestClient) -> None:
    (error,) = client.get(f"{FLOWS}?yeer=2024&yeer=2023").json()["errors"]
    assert (error["parameter"], error["value"]) == ("yeer", "['2024', '2023']")


@pytest.mark.parametrize("path", [FLOWS, "/v1/trade/compare?reporter=KAZ&partner=CHN&x"])
@pytest.mark.parametrize("bounds", ["year=2024&year_from=2025", "year=2024,2023&year_to=2022"])
def test_values_beyond_their_bounds_are_refused(client: TestClient, path: str, bounds: str) -> None:
    url = path.replace("&x", f"&{bounds}") if "&x" in path else f"{path}?{bounds}"
    answer = client.get(url)
    assert_problem(answer, 422, "KHG115")
    assert answer.json()["errors"][0]["parameter"] == "year"


@pytest.mark.parametrize("url", ["/v1/projects/nothing", "/v1/trade/compare?reporter=KAZ&partner=KAZ"])
def test_an_error_is_never_304(client: TestClient, url: str) -> None:
    assert client.get(url, headers={"If-None-Match": "*"}).status_code == client.get(url).status_code >= 400


@pytest.mark.parametrize("url", [FLOWS, f"{FLOWS}?format=csv", "/v1/topics/technology", "/v1/checks"])
def test_tag_is_a_promise_of_the_same_bytes(client: TestClient, url: str) -> None:
    first, second = client.get(url), client.get(url)
    assert (first.headers["etag"], first.content) == (second.headers["etag"], second.content)


# Formats

JSON, CSV, NDJSON = "application/json", "text/csv; charset=utf-8; header=present", "application/x-ndjson"


@pytest.mark.parametrize(
    ("accept", "media"),
    [
        ("*/*", JSON),
        ("application/*", JSON),
        ("text/*", CSV),
        ("text/csv", CSV),
        ("TEXT/CSV", CSV),
        ("text/csv; charset=utf-8", CSV),
        ("application/x-ndjson", NDJSON),
        ("application/jsonl", NDJSON),
        (PARQUET, PARQUET),
        (XLSX, XLSX),
        (f"{XLSX};q=0.4, {PARQUET};q=0.5, text/csv;q=0.3", PARQUET),
        (f"{PARQUET};q=0.1, application/json;q=0.2", JSON),
        (f"application/json;q=0, application/x-ndjson;q=0, application/jsonl;q=0, {PARQUET};q=0, application/*", XLSX),
        ("application/json;q=0.5, text/csv", CSV),
        ("application/json;q=0.5, text/csv;q=0.4", JSON),
        ("application/json;q=0, */*;q=0.1", CSV),
        ("text/html, application/xhtml+xml, */*;q=0.8", JSON),
        ("text/csv;q=nonsense, application/json;q=0.1", JSON),
        ("text/csv;q=0.9;header=present, */*;q=0.1", CSV),
    ],
)
def test_accept_is_weighed(client: TestClient, accept: str, media: str) -> None:
    response = client.get("/v1/topics", headers={"Accept": accept})
    assert (response.status_code, response.headers["content-type"]) == (200, media)


@pytest.mark.parametrize("accept", ["text/html", "image/*", "application/json;q=0", "application/xml, text/html;q=0.9"])
def test_what_is_not_served_is_406_with_what_is(client: TestClient, accept: str) -> None:
    response = client.get("/v1/topics", headers={"Accept": accept})
    assert_problem(response, 406, "KHG109")
    served = ["application/json", "text/csv", "application/x-ndjson", "application/jsonl", PARQUET, XLSX]
    assert response.json()["errors"] == [
        {
            "parameter": "Accept",
            "value": accept,
            "message": f"Accept takes none of {', '.join(served)}",
            "allowed": served,
            "did_you_mean": None,
        }
    ]


def test_single_record_is_json_alone(client: TestClient) -> None:
    assert_problem(client.get("/v1/topics/technology", headers={"Accept": "text/csv"}), 406, "KHG109")


@pytest.mark.parametrize(("name", "media"), [("csv", CSV), ("json", JSON), ("ndjson", NDJSON), ("CSV", CSV)])
def test_format_overrules_accept(client: TestClient, name: str, media: str) -> None:
    response = client.get(f"/v1/topics?format={name}", headers={"Accept": "text/html"})
    assert (response.status_code, response.headers["content-type"]) == (200, media)


def test_unknown_format_is_refused_with_the_one_meant(client: TestClient) -> None:
    response = client.get("/v1/topics?format=cvs")
    assert_problem(response, 422, "KHG101")
    assert response.json()["errors"][0]["did_you_mean"] == "csv"


@pytest.mark.parametrize("path", DATA)
def test_answer_says_that_it_varies_by_accept(client: TestClient, path: str) -> None:
    assert "Accept" in client.get(URLS[path]).headers["vary"]


# Other origins

ORIGIN = {"Origin": "https://example.org"}


@pytest.mark.parametrize("asked", ["If-None-Match", "Accept", "X-Anything"])
def test_preflight_lets_any_page_read(client: TestClient, asked: str) -> None:
    headers = ORIGIN | {"Access-Control-Request-Method": "GET", "Access-Control-Request-Headers": asked}
    response = client.options(FLOWS, headers=headers)
    assert response.status_code in (200, 204)
    assert response.headers["access-control-allow-origin"] == "*"
    assert "GET" in response.headers["access-control-allow-methods"]
    allowed = response.headers["access-control-allow-headers"].lower()
    assert asked.lower() in allowed or allowed == "*"


@pytest.mark.parametrize(
    ("url", "status"),
    [
        ("/v1/topics", 200),
        ("/v1/topics/nothing", 404),
        ("/nothing", 404),
        (f"{FLOWS}?yeer=1", 422),
        (f"{FLOWS}?year=%00", 422),
        (f"{FLOWS}?q={'a' * 9000}", 414),
    ],
)
def test_any_page_may_read_any_answer(client: TestClient, url: str, status: int) -> None:
    response = client.get(url, headers=ORIGIN)
    assert response.status_code == status
    assert response.headers["access-control-allow-origin"] == "*"
    assert "access-control-allow-credentials" not in response.headers


def test_other_origins_see_the_headers_they_page_and_cache_by(client: TestClient) -> None:
    exposed = client.get("/v1/topics", headers=ORIGIN).headers["access-control-expose-headers"]
    assert {"Link", "ETag", "Last-Modified", "Retry-After"} <= {name.strip() for name in exposed.split(",")}


# Refusals


@pytest.mark.parametrize("path", [*OPERATIONS, "/metrics"])
def test_unknown_parameter_is_refused_on_every_path(client: TestClient, path: str) -> None:
    url = URLS.get(path, path)
    response = client.get(f"{url}{'&' if '?' in url else '?'}unheard_of=1")
    assert_problem(response, 422, "KHG104")
    assert response.json()["errors"][0]["parameter"] == "unheard_of"


@pytest.mark.parametrize("bad", ["%00", "%0A", "%1F", "%7F", "%C2%85", "%FF", "%C3%28", "%ED%A0%80", "%F5%80%80%80"])
@pytest.mark.parametrize("url", ["/v1/quotes?q=a{}", FLOWS + "?{}=1", "/v1/topics/{}", "/v1/countries/a{}b", "/{}"])
def test_what_is_no_text_is_refused_everywhere(client: TestClient, url: str, bad: str) -> None:
    assert_problem(client.get(url.format(bad)), 422, "KHG114")


@pytest.mark.parametrize("url", ["/v1/topics/" + "a" * 9000, f"{FLOWS}?reporter=" + "a" * 9000])
def test_long_url_is_414(client: TestClient, url: str) -> None:
    assert_problem(client.get(url), 414, "KHG113")


def test_parameters_are_at_most_64(client: TestClient) -> None:
    assert client.get(f"{FLOWS}?" + "&".join(["year=2024"] * 64)).status_code == 200
    assert_problem(client.get(f"{FLOWS}?" + "&".join(["year=2024"] * 65)), 422, "KHG106")


def test_values_of_a_list_are_at_most_200(client: TestClient) -> None:
    products = [f"{number:06}" for number in range(201)]
    assert client.get(f"{FLOWS}?product={','.join(products[:200])}").status_code == 200
    assert_problem(client.get(f"{FLOWS}?product={','.join(products)}"), 422, "KHG106")


@pytest.mark.parametrize("url", ["/v1/quotes?q={}", FLOWS + "?reporter={}", "/v1/countries?region={}"])
def test_text_is_at_most_200_characters(client: TestClient, url: str) -> None:
    assert_problem(client.get(url.format("a" * 201)), 422, "KHG106")
    assert client.get(url.format("a" * 200)).json().get("code") != "KHG106"


ODD_INTEGERS = [
    "1_000",
    "1.0",
    "%2B1",
    "%D9%A3",
    "NaN",
    "1e3",
    "0x7e8",
    "",
    "%201",
    "1%20",
    "01",
    "-0",
    "null",
    "%EF%BC%99",
]


@pytest.mark.parametrize("odd", [*ODD_INTEGERS, str(2**63), str(10**19), str(10**400), "-1"])
@pytest.mark.parametrize("name", ["year", "year_from", "value_min", "limit", "release", "product_level"])
def test_what_is_no_plain_integer_in_bounds_is_refused(client: TestClient, name: str, odd: str) -> None:
    response = client.get(f"{FLOWS}?{name}={odd}")
    assert_problem(response, 422)
    assert response.json()["errors"][0]["parameter"] == name


@pytest.mark.parametrize("odd", [*ODD_INTEGERS, "0", "-1", str(2**31), str(2**63), str(10**400)])
def test_a_release_is_named_by_a_plain_integer(client: TestClient, odd: str) -> None:
    response = client.get(f"/v1/releases/{odd}") if odd else client.get("/v1/releases/")
    assert response.status_code in (404, 422), response.text
    assert response.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("name", ["value_min", "value_max"])
def test_money_is_read_to_its_last_digit(client: TestClient, name: str) -> None:
    assert client.get(f"{FLOWS}?{name}={2**63 - 1}").status_code == 200


@pytest.mark.parametrize(
    "odd", ["NaN", "Infinity", "-Infinity", "1e999", "1e2", ".5", "5.", "+5", "1_0", "100.1", "-1"]
)
def test_what_is_no_plain_number_in_bounds_is_refused(client: TestClient, odd: str) -> None:
    assert_problem(client.get("/v1/trade/shares", params={"share_min": odd}), 422)


@pytest.mark.parametrize("name", ["latest", "count"])
@pytest.mark.parametrize("odd", ["1", "yes", "True", "on", ""])
def test_truth_is_true_or_false(client: TestClient, name: str, odd: str) -> None:
    assert_problem(client.get(f"{FLOWS}?{name}={odd}"), 422)


@pytest.mark.parametrize("name", ["limit", "format", "year_from", "count", "cursor"])
def test_scalar_given_twice_is_refused(client: TestClient, name: str) -> None:
    cursor = client.get(f"{FLOWS}?limit=1").json()["links"]["next"].split("cursor=")[1]
    value = {"format": "csv", "count": "true", "year_from": "2024", "cursor": cursor}.get(name, "1")
    assert_problem(client.get(f"{FLOWS}?{name}={value}&{name}={value}"), 422, "KHG105")


@pytest.mark.parametrize("value", ["", ",", "KAZ,", ",KAZ", "KAZ,,CHN", "%20"])
def test_blank_value_of_a_list_is_refused(client: TestClient, value: str) -> None:
    assert_problem(client.get(f"{FLOWS}?reporter={value}"), 422)


HOSTILE = [
    *(
        "'%20OR%201=1--",
        "%22;DROP%20TABLE%20topics;",
        "..%2F..%2Fetc%2Fpasswd",
        "%25",
        "%252e",
        "a" * 3000,
        "%F0%9F%98%80",
    ),
    *("%7Bslug%7D", "%3Cscript%3E", "*", "%25%25", "_", "-", ".", "....", "%5C", "%E2%80%AE", "a.b.c.d.e.f.g.h.i"),
]


@pytest.mark.parametrize("path", [path for path in OPERATIONS if "{" in path])
def test_hostile_path_is_a_problem_like_any_other(client: TestClient, path: str) -> None:
    for word in HOSTILE:
        response = client.get(path[: path.index("{")] + word)
        if response.url.path != path[: path.index("{") - 1]:  # what a client makes of a single dot
            assert response.status_code in (404, 422), (word, response.text)
            assert response.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize(
    "word", ["'", '"', "\\", "%25", "_", "*", '"unclosed', "a' & !b", "(((", ":*", "NEAR(a b)", "a OR b"]
)
def test_search_takes_any_text(client: TestClient, word: str) -> None:
    for path in ("/v1/search", "/v1/quotes"):
        assert client.get(path, params={"q": word}).status_code in (200, 422)


def test_wildcards_of_the_database_match_nothing(client: TestClient) -> None:
    for word in ("%", "_", "%25KAZ%25", "K_Z"):
        assert_problem(client.get("/v1/projects", params={"country": word}), 422, "KHG102")


# Failures


def leaks(text: str) -> list[str]:
    """Give the words of the inside that a text holds."""
    told = ("SELECT", "select ", "Traceback", "/app/", ".py", "sqlite", "psycopg", "RuntimeError", "secret", "File ")
    return [word for word in told if word in text]


def break_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make every answer from data fail for a reason nobody foresaw."""

    def broken(*_: Any) -> None:
        raise RuntimeError("SELECT secret FROM /etc/passwd")

    monkeypatch.setattr(app.plan, "prepare_rows", broken)


def test_unforeseen_failure_tells_nothing_of_the_inside(seeded: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    break_answers(monkeypatch)
    with service(seeded) as client:
        response = client.get("/v1/topics")
    assert_problem(response, 500, "KHG500")
    assert leaks(response.text + str(response.headers)) == []


def test_unforeseen_failure_has_the_headers_of_every_answer(seeded: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    break_answers(monkeypatch)
    with service(seeded) as client:
        response = client.get("/v1/topics", headers=ORIGIN)
    assert response.headers["x-content-type-options"] == "nosniff"
    assert response.headers["access-control-allow-origin"] == "*"


def test_unforeseen_failure_of_head_has_no_body(seeded: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    break_answers(monkeypatch)
    with service(seeded) as client:
        response = client.head("/v1/topics")
    assert (response.status_code, response.content) == (500, b"")


def test_unforeseen_failure_holds_nothing(seeded: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    with service(seeded, queries=1, connections=1, exports=1, pool_wait=0.05) as client:
        with monkeypatch.context() as broken:
            break_answers(broken)
            for url in ("/v1/topics", "/v1/topics?format=csv", "/v1/topics/technology"):
                assert client.get(url).status_code == 500
        assert client.get("/v1/topics").status_code == 200
        assert is_idle(client.app)


def assert_retry(response: Any, code: str) -> None:
    """Hold an answer to be a 503 that says when to come again."""
    assert_problem(response, 503, code)
    assert int(response.headers["retry-after"]) >= 1
    assert leaks(response.text) == []


def test_a_database_that_is_gone_is_503_until_it_is_back(workshop: Workshop, postgres_url: str) -> None:
    database = workshop.copy("postgres")
    name = database.url.database
    with service(database, pool_wait=0.2) as client:
        assert client.get("/v1/topics").status_code == 200
        run(postgres_url, f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'")
        run(postgres_url, f"ALTER DATABASE {name} RENAME TO {name}_away")
        gone = [client.get(url) for url in ("/v1/topics", "/v1/topics?format=csv", "/readyz")]
        alive = client.get("/healthz").status_code
        run(postgres_url, f"ALTER DATABASE {name}_away RENAME TO {name}")
        back = client.get("/v1/topics").status_code
    workshop.remove(database)
    for response in gone:
        assert_retry(response, "KHG503")
    assert (alive, back) == (200, 200)


def test_a_connection_that_was_cut_is_made_anew(workshop: Workshop, postgres_url: str) -> None:
    database = workshop.copy("postgres")
    with service(database) as client:
        assert client.get("/v1/topics").status_code == 200
        cut = f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{database.url.database}'"
        run(postgres_url, cut)
        answers = [client.get("/v1/topics").status_code for _ in range(3)]
    workshop.remove(database)
    assert answers == [200, 200, 200]


@pytest.mark.parametrize("content", [None, b"", b"no database", "half"], ids=["missing", "empty", "text", "half"])
def test_a_file_that_is_no_database_is_503_until_it_is_back(workshop: Workshop, content: bytes | str | None) -> None:
    database = workshop.copy("sqlite")
    path = Path(database.url.database)
    kept = path.read_bytes()
    with service(database) as client:
        assert client.get("/v1/topics").status_code == 200
        client.app.state.service.database.close()
        path.unlink()
        if content is not None:
            path.write_bytes(kept[: len(kept) // 2 + 100] if content == "half" else content)
        gone = [client.get(url) for url in ("/v1/quotes", "/v1/quotes?format=csv")]
        client.app.state.service.database.close()
        path.write_bytes(kept)
        back = client.get("/v1/quotes").status_code
    workshop.remove(database)
    for response in gone:
        assert_retry(response, "KHG203" if content == b"" else "KHG503")
    assert back == 200


def test_a_file_that_another_process_locks_is_503(workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.db.LOCK_WAIT", 0.05)
    database = workshop.copy("sqlite")
    with service(database) as client:
        client.app.state.service.database.close()
        other = sqlite3.connect(database.url.database, isolation_level=None)
        other.execute("PRAGMA journal_mode = DELETE")
        other.execute("BEGIN EXCLUSIVE")
        response = client.get("/v1/topics")
        other.close()
    workshop.remove(database)
    assert_problem(response, 503)
    assert "retry-after" in response.headers


def test_an_empty_database_is_not_ready(make_database: Callable[[str], Database], engine: str) -> None:
    database = make_database(engine)
    schema.upgrade(database)
    with service(database) as client:
        assert_retry(client.get("/readyz"), "KHG504")
        assert_retry(client.get("/v1/topics"), "KHG504")


def slow(connection: Any, _: Any) -> Any:
    """Run what takes far longer than any limit of the tests."""
    return [{} for _ in connection.execute(HEAVY)], {}


def test_a_query_over_its_time_is_503_and_leaves_its_connection_usable(
    seeded: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    with service(seeded, statement_timeout=0.4, connections=1, queries=1, pool_wait=0.2, cache_bytes=0) as client:
        assert client.get("/v1/checks").status_code == 200
        with monkeypatch.context() as slowed:
            slowed.setattr("app.api.checks.checked", slow)
            started = time.monotonic()
            response = client.get("/v1/checks")
            taken = time.monotonic() - started
        after = client.get("/v1/checks").status_code
        idle = is_idle(client.app)
    assert_retry(response, "KHG501")
    assert response.json()["type"] == "/v1/problems/query-timeout"
    assert (after, idle) == (200, True)
    assert taken < 3


@pytest.mark.parametrize("table", [*STREAMED, "format=xlsx"])
def test_an_export_over_its_time_fails_before_its_first_byte(
    seeded: Database, table: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"/v1/topics?{table}"
    with service(seeded, export_timeout=0.3, connections=1, exports=1, pool_wait=0.2) as client:
        assert client.get(url).status_code == 200
        with monkeypatch.context() as slowed:
            slowed.setattr(app.plan, "ordered", lambda *_: HEAVY)
            response = client.get(f"{url}&sort=-slug")
        assert client.get(url).status_code == 200
        assert is_idle(client.app)
    assert_retry(response, "KHG501")


def test_a_search_has_a_time_of_its_own(seeded: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    with service(seeded, search_timeout=0.2, statement_timeout=2, cache_bytes=0) as client:
        assert client.get("/v1/search?q=trade").status_code == 200
        monkeypatch.setattr(app.plan, "ordered", lambda *_: HEAVY)
        started = time.monotonic()
        response = client.get("/v1/search?q=trade")
        taken = time.monotonic() - started
    assert_retry(response, "KHG501")
    assert taken < 1.5


def test_no_free_connection_is_503(seeded: Database) -> None:
    with service(seeded, connections=1, pool_wait=0.1) as client:
        with client.app.state.service.database.read():
            response = client.get("/v1/topics")
        assert client.get("/v1/topics").status_code == 200
    assert_retry(response, "KHG502")


@pytest.mark.parametrize("url", ["/v1/topics", "/v1/topics?format=csv&limit=1", "/v1/topics/technology", "/v1/checks"])
def test_no_free_place_for_a_query_is_503(seeded: Database, url: str) -> None:
    with service(seeded, queries=1, pool_wait=0.1) as client:
        with without_places(client.app):
            response = client.get(url)
        assert client.get(url).status_code == 200
    assert_retry(response, "KHG502")


@pytest.mark.parametrize("table", [*STREAMED, *WHOLE])
def test_no_free_place_for_an_export_is_503(seeded: Database, table: str) -> None:
    with service(seeded, exports=1, pool_wait=0.1) as client:
        with client.app.state.service.exports:
            response = client.get(f"{FLOWS}?{table}")
        assert client.get(f"{FLOWS}?{table}").status_code == 200
    assert_retry(response, "KHG502")


@pytest.mark.parametrize(
    ("setting", "url"),
    [
        ({"page_limit_max": 5}, "/v1/topics?limit=6"),
        ({"list_values": 2}, f"{FLOWS}?year=2023,2024,2025"),
        ({"text_length": 5}, "/v1/quotes?q=abcdef"),
        ({"max_parameters": 1}, f"{FLOWS}?year=2024&flow=X"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_limit_is_a_setting_that_holds(seeded: Database, setting: dict[str, int], url: str) -> None:
    with service(seeded, **setting) as client:
        assert client.get(url).status_code == 422


def test_page_of_no_asked_size_is_a_setting(seeded: Database) -> None:
    with service(seeded, page_limit=2) as client:
        answer = client.get("/v1/topics").json()
    assert (answer["meta"]["limit"], len(answer["data"])) == (2, 2)


def test_total_of_a_big_table_is_counted_only_when_asked(seeded: Database) -> None:
    with service(seeded, count_limit=3) as client:
        totals = [client.get(f"/v1/topics?limit=1{more}").json()["meta"]["total"] for more in ("", "&count=true")]
    assert totals[0] is None
    assert totals[1] > 3


# Tables

NAMES = ["=1+1", "+1", "-1", "@now", "\ttab", "a,b", 'say "so"', "two\nlines", "return\r", "plain", "日本 – “é”"]


def project(number: int, name: str) -> dict[str, Any]:
    """Give an invented project."""
    empty = dict.fromkeys(("value_usd", "jobs", "programme", "note"))
    return {
        "slug": f"invented-{number:02}",
        "name": name,
        "kind": "other",
        "status": "planned",
        "countries": ("CHN", "KAZ"),
        "summary": "Invented.",
        "aliases": (),
        "method": "stated",
        "inferred": (),
        "source": "invented",
        **empty,
        "value_usd": -0 if number else None,
    }


@pytest.fixture(scope="module")
def odd_csv(engine: str, workshop: Workshop) -> Iterator[bytes]:
    """Give the CSV of projects with odd names."""
    database = workshop.copy(engine)
    publish_invented(database, {Project: [project(number, name) for number, name in enumerate(NAMES)]})
    with service(database) as client:
        yield client.get("/v1/projects?source=invented&format=csv&fields=slug,name,countries,value_usd").content
    workshop.remove(database)


def cells(content: bytes) -> list[list[str]]:
    """Read CSV as RFC 4180 has it."""
    return list(csv.reader(io.StringIO(content.decode(), newline=""), strict=True))


def test_csv_neutralises_text_that_a_spreadsheet_would_run(odd_csv: bytes) -> None:
    risky = ("=", "+", "-", "@", "\t", "\r")
    assert [row[1] for row in cells(odd_csv)[1:]] == [f"'{name}" if name.startswith(risky) else name for name in NAMES]


def test_csv_ends_every_record_in_cr_lf(odd_csv: bytes) -> None:
    assert odd_csv.startswith(b"slug,name,countries,value_usd\r\n")
    assert odd_csv.endswith(b"\r\n")
    assert odd_csv.count(b"\r\n") == len(NAMES) + 1


def test_csv_quotes_what_must_be_quoted(odd_csv: bytes) -> None:
    assert b',"a,b",' in odd_csv
    assert b',"say ""so""",' in odd_csv
    assert b',"two\nlines",' in odd_csv


def test_csv_joins_a_list_in_one_cell(odd_csv: bytes) -> None:
    assert {row[2] for row in cells(odd_csv)[1:]} == {"CHN;KAZ"}


def test_csv_leaves_missing_cells_empty_and_zero_a_number(odd_csv: bytes) -> None:
    assert [row[3] for row in cells(odd_csv)[1:]] == ["", *["0"] * (len(NAMES) - 1)]


def test_csv_leaves_numbers_alone(client: TestClient) -> None:
    found = cells(client.get("/v1/checks?format=csv&fields=slug,actual").content)
    assert ["kaz-chn-jan-apr-exports-change", "-21.3808"] in found


@pytest.mark.parametrize("path", LISTS)
def test_csv_has_the_columns_of_json(client: TestClient, path: str) -> None:
    url = URLS[path]
    table = client.get(f"{url}{'&' if '?' in url else '?'}format=csv&limit=1").content
    assert cells(table)[0] == list(client.get(url).json()["data"][0])


@pytest.mark.parametrize("more", ["", "&limit=5"])
def test_csv_has_a_header_when_empty(client: TestClient, more: str) -> None:
    assert (
        client.get(f"{FLOWS}?year=1999&format=csv&fields=reporter,value_usd{more}").content == b"reporter,value_usd\r\n"
    )


def test_csv_of_a_computed_table_has_its_columns_when_empty(client: TestClient) -> None:
    url = "/v1/trade/compare?reporter=ITA&partner=JPN&format=csv&fields=flow,gap"
    assert client.get(url).content == b"flow,gap\r\n"


def test_ndjson_is_one_row_a_line(client: TestClient) -> None:
    lines = client.get(f"{FLOWS}?format=ndjson&limit=1000").text.splitlines()
    wanted = client.get(f"{FLOWS}?limit=1000").json()["data"]
    for row in wanted:
        row["evidence"] = list(dict.fromkeys(one["figure"] for one in row["evidence"] if one["figure"]))
    assert [json.loads(line) for line in lines] == wanted


def test_ndjson_is_empty_when_there_is_nothing(client: TestClient) -> None:
    response = client.get(f"{FLOWS}?year=1999&format=ndjson")
    assert (response.status_code, response.content) == (200, b"")


def test_table_is_a_file_with_a_name(client: TestClient) -> None:
    disposition = client.get(f"{FLOWS}?format=csv").headers["content-disposition"]
    assert disposition == 'attachment; filename="khorgos-trade-flows.csv"'


RECORDS: dict[str, Callable[[bytes], list[dict[str, Any]]]] = {
    "format=csv": lambda content: list(csv.DictReader(io.StringIO(content.decode(), newline=""))),
    "format=ndjson": lambda content: [json.loads(line) for line in content.splitlines()],
    "format=parquet": lambda content: parquet.read_table(io.BytesIO(content)).to_pylist(),
    "shape=array": json.loads,
    "format=xlsx": lambda content: pd.read_excel(io.BytesIO(content), keep_default_na=False).to_dict("records"),
}
"""How the rows of each table that all lists have are read."""


@pytest.mark.parametrize("table", RECORDS)
def test_table_without_limit_gives_every_row_once(big_client: TestClient, table: str) -> None:
    keys = [row["id"] for row in RECORDS[table](big_client.get(f"{FLOWS}?source=invented&{table}").content)]
    assert len(keys) == BIG
    assert keys == sorted(set(keys))


@pytest.mark.parametrize("table", STREAMED)
def test_stream_is_the_pages_one_after_the_other(big_client: TestClient, table: str) -> None:
    url, rows, pages = f"{FLOWS}?{table}&fields=id,value_usd&sort=-value_usd", [], 0
    whole = RECORDS[table](big_client.get(url).content)
    url += "&limit=1000"
    while url:
        response = big_client.get(url)
        rows += RECORDS[table](response.content)
        pages += 1
        url = response.links.get("next", {}).get("url")
    assert pages == 3
    assert rows == whole


@pytest.mark.parametrize("table", RECORDS)
def test_table_goes_on_from_a_cursor(big_client: TestClient, table: str) -> None:
    following = big_client.get(f"{FLOWS}?limit=10&fields=id").json()["links"]["next"]
    rest = RECORDS[table](big_client.get(following.replace("limit=10&", "") + f"&{table}").content)
    assert len(rest) == big_client.get(f"{FLOWS}?count=true").json()["meta"]["total"] - 10


def test_numbers_of_a_page_lose_nothing(private_seeded: Database) -> None:
    draw = random.Random(1)
    weights = [draw.random() * 10 ** draw.randint(-3, 15) for _ in range(900)]
    flows = [flow(number, net_weight_kg=weight) for number, weight in enumerate(weights)]
    publish_invented(private_seeded, {TradeFlow: flows})
    with service(private_seeded) as client:
        rows = client.get(f"{FLOWS}?source=invented&limit=1000&fields=net_weight_kg,product&sort=product").json()[
            "data"
        ]
    assert [row["net_weight_kg"] for row in rows] == weights


# A real server


def raw(port: int, request: bytes) -> bytes:
    """Send bytes to a server and give all that it answers."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(request)
        found = b""
        while part := connection.recv(65536):
            found += part
    return found


def assert_breaks_off(port: int, path: str, headers: dict[str, str] | None = None) -> None:
    """Hold an answer to begin well, and to be seen to break."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request("GET", path, headers=headers or {})
    response = connection.getresponse()
    assert response.status == 200
    with pytest.raises(http.client.IncompleteRead):
        response.read()
    connection.close()


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[threading.Event, threading.Event]]:
    """Hold exports at their second batch: the first event says that one is there, the second lets it go on."""
    reached, going = threading.Event(), threading.Event()
    written = app.answer.cells
    batches = iter(range(1000))

    def waiting(*given: Any) -> Any:
        if next(batches):
            reached.set()
            going.wait(20)
        return written(*given)

    monkeypatch.setattr(app.answer, "cells", waiting)
    yield reached, going
    going.set()


@pytest.mark.parametrize("coding", ["identity", "gzip", "zstd"])
@pytest.mark.parametrize("table", STREAMED)
def test_stream_that_fails_midway_is_seen_to_fail(
    big: Database, table: str, coding: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    written, batches = app.answer.cells, iter(range(1000))

    def failing(*given: Any) -> Any:
        if next(batches):
            raise RuntimeError("in the second batch")
        return written(*given)

    monkeypatch.setattr(app.answer, "cells", failing)
    with served(big) as (port, made):
        assert_breaks_off(port, f"{FLOWS}?{table}", {"Accept-Encoding": coding})
        assert within(5, lambda: is_idle(made))


@pytest.mark.parametrize("table", STREAMED)
def test_client_that_leaves_midway_frees_its_place(
    big: Database, table: str, gate: tuple[threading.Event, threading.Event]
) -> None:
    reached, going = gate
    with served(big, exports=1) as (port, made):
        with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
            connection.sendall(f"GET {FLOWS}?{table} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            assert connection.recv(100).startswith(b"HTTP/1.1 200")
            assert reached.wait(10)
            assert free_exports(made) == 0
        going.set()
        assert within(5, lambda: is_idle(made))


@pytest.mark.parametrize("table", [*STREAMED, "format=xlsx"])
def test_client_that_leaves_before_the_first_byte_frees_its_place(
    big: Database, table: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    reached, going, order = threading.Event(), threading.Event(), app.plan.ordered

    def waiting(*given: Any) -> Any:
        reached.set()
        going.wait(20)
        return order(*given)

    monkeypatch.setattr(app.plan, "ordered", waiting)
    with served(big, exports=1) as (port, made):
        with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
            connection.sendall(f"GET {FLOWS}?{table} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            assert reached.wait(10)
        time.sleep(0.1)
        going.set()
        assert within(5, lambda: is_idle(made))


def test_an_export_does_not_keep_others_waiting(big: Database, gate: tuple[threading.Event, threading.Event]) -> None:
    reached, going = gate
    with (
        served(big, exports=1, pool_wait=0.1) as (port, _),
        socket.create_connection(("127.0.0.1", port), timeout=10) as connection,
    ):
        connection.sendall(f"GET {FLOWS}?format=csv HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        assert reached.wait(10)
        other = raw(port, b"GET /v1/topics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        second = raw(port, f"GET {FLOWS}?format=csv HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
        going.set()
        while not connection.recv(65536).endswith(b"0\r\n\r\n"):
            pass
    assert other.startswith(b"HTTP/1.1 200")
    assert second.startswith(b"HTTP/1.1 503")


@pytest.mark.parametrize("target", [b"/v1/quotes?q=\xff", b"/v1/topics/\xff\xfe", b"/v1/quotes?q=\xc3\x28"])
def test_raw_bytes_that_are_no_text_are_refused(seeded: Database, target: bytes) -> None:
    with served(seeded) as (port, _):
        answer = raw(port, b"GET " + target + b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    assert answer.split(b" ", 2)[1] in (b"400", b"422")


def test_head_over_a_wire_has_no_body(seeded: Database) -> None:
    with served(seeded) as (port, _):
        answer = raw(port, b"HEAD /v1/topics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 200")
    assert answer.endswith(b"\r\n\r\n")


def test_server_is_ready_for_the_next_request_of_a_connection(seeded: Database) -> None:
    with served(seeded) as (port, _):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        statuses = []
        for method, url in (("HEAD", "/v1/topics"), ("POST", "/v1/topics"), ("GET", "/v1/topics"), ("OPTIONS", "/v1")):
            connection.request(method, url, body=b"{}" if method == "POST" else None)
            response = connection.getresponse()
            response.read()
            statuses.append(response.status)
        connection.close()
    assert statuses == [200, 405, 200, 204]
