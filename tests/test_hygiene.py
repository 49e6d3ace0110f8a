"""HTTP hygiene over sockets and without: guards alike on both parsers, nothing reflected, ids, headers of all kinds."""

import csv
import http.client
import io
import re
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import Any

import pytest
import uvicorn
from conftest import Workshop
from direct import Answer, Direct, direct
from fastapi import FastAPI
from hypothesis import example, given, settings
from hypothesis import strategies as st
from test_http import assert_problem, raw, service, within, without_places

from app import guard, ids, server
from app.formats.base import Column, Kind, Sheet
from app.formats.csv import FORMULA, CsvWriter
from app.main import create_app
from app.server import Patient
from app.settings import Settings

TOPICS = b"GET /v1/topics"
END = b" HTTP/1.1\r\nHost: x\r\nX-Request-Id: test\r\nConnection: close\r\n"
PARSERS = {"httptools": Patient, "h11": "h11"}
CHUNKED = b"Transfer-Encoding: chunked\r\n\r\n"
BAD = b"Invalid HTTP request received."


@contextmanager
def listening(made: FastAPI, parser: Any, **options: Any) -> Iterator[int]:
    """Give the port of a server that reads by a parser."""
    config = uvicorn.Config(
        made,
        port=0,
        http=parser,
        ws="none",
        log_level="critical",
        h11_max_incomplete_event_size=server.HEAD_BYTES,
        **options,
    )
    running = uvicorn.Server(config)
    thread = threading.Thread(target=running.run)
    thread.start()
    try:
        assert within(10, lambda: running.started)
        yield running.servers[0].sockets[0].getsockname()[1]
    finally:
        running.should_exit = True
        thread.join()


@pytest.fixture(scope="module")
def ports(workshop: Workshop) -> Iterator[dict[str, int]]:
    """Give the ports of the service over each parser."""
    url = workshop.seeded("sqlite").settings.database_url
    with ExitStack() as stack:
        yield {
            name: stack.enter_context(listening(create_app(Settings(database_url=url)), parser))
            for name, parser in PARSERS.items()
        }


@pytest.fixture(scope="module")
def asked(workshop: Workshop) -> Iterator[Direct]:
    """Give the service, asked without a socket."""
    with direct(workshop.seeded("sqlite")) as found:
        yield found


def parts(answer: bytes) -> tuple[int, bytes]:
    """Give status and body of an answer."""
    head, _, body = answer.partition(b"\r\n\r\n")
    return int(head.split(b" ", 2)[1]), body


def headers(count: int) -> bytes:
    """Give so many headers."""
    return b"".join(b"X-%d: 1\r\n" % number for number in range(count))


ATTACKS = {
    "a URL of 9 kB": (TOPICS + b"?q=" + b"a" * 9000 + END + b"\r\n", 414, b"KHG113"),
    "a path of 9 kB": (b"GET /" + b"a" * 9000 + END + b"\r\n", 414, b"KHG113"),
    "66 headers": (TOPICS + END + headers(63) + b"\r\n", 431, b"KHG119"),
    "1000 headers": (TOPICS + END + headers(1000) + b"\r\n", 431, b"KHG119"),
    "a header of 17 kB": (TOPICS + END + b"Cookie: " + b"a" * 17_000 + b"\r\n\r\n", 431, b"KHG119"),
    "headers beside no route": (b"GET /nothing" + END + headers(1000) + b"\r\n", 431, b"KHG119"),
    "headers of a call": (b"POST /mcp" + END + headers(1000) + b"Content-Length: 0\r\n\r\n", 431, b"KHG119"),
    "65 parameters": (TOPICS + b"?" + b"&".join([b"a=1"] * 65) + END + b"\r\n", 422, b"KHG106"),
    "5000 parameters": (TOPICS + b"?" + b"&".join([b"a"] * 5000) + END + b"\r\n", 414, b"KHG113"),
    "a body of 2 kB": (TOPICS + END + b"Content-Length: 2000\r\n\r\n" + b"a" * 2000, 413, b"KHG116"),
    "a body of 500 kB": (TOPICS + END + b"Content-Length: 500000\r\n\r\n" + b"a" * 500_000, 413, b"KHG116"),
    "a body of petabytes": (TOPICS + END + b"Content-Length: 9223372036854775807\r\n\r\n", 413, b"KHG116"),
    "a body in chunks": (TOPICS + END + CHUNKED + b"7d0\r\n" + b"a" * 2000 + b"\r\n0\r\n\r\n", 413, b"KHG116"),
    "a body of a HEAD": (b"HEAD /v1/topics" + END + b"Content-Length: 2000\r\n\r\n" + b"a" * 2000, 413, b""),
    "a body of nothing": (b"GET /nothing" + END + b"Content-Length: 2000\r\n\r\n" + b"a" * 2000, 413, b"KHG116"),
    "may I send": (TOPICS + END + b"Expect: 100-continue\r\nContent-Length: 5000\r\n\r\n", 413, b"KHG116"),
    "a long call": (b"POST /mcp" + END + b"Content-Length: 70000\r\n\r\n" + b"a" * 70_000, 413, b"KHG116"),
    "a post": (b"POST /v1/topics" + END + b"Content-Length: 5\r\n\r\nhello", 405, b"KHG112"),
    "a long post": (b"POST /v1/topics" + END + b"Content-Length: 2000\r\n\r\n" + b"a" * 2000, 405, b"KHG112"),
    "TRACE": (b"TRACE /v1/topics" + END + b"\r\n", 405, b"KHG112"),
    "PROPFIND": (b"PROPFIND /v1/topics" + END + b"\r\n", 405, b"KHG112"),
    "a control character": (TOPICS + b"?q=%00" + END + b"\r\n", 422, b"KHG114"),
    "a path of another host": (b"GET //evil.example/v1/topics" + END + b"\r\n", 404, b"KHG110"),
}


@pytest.mark.parametrize("attack", ATTACKS)
def test_an_attack_is_refused_alike_by_both_parsers(ports: dict[str, int], attack: str) -> None:
    request, status, code = ATTACKS[attack]
    answers = [parts(raw(port, request)) for port in ports.values()]
    assert answers[0] == answers[1]
    assert answers[0][0] == status and code in answers[0][1]


SMALL = {
    "told": b"Content-Length: 5\r\n\r\nhello",
    "in chunks": CHUNKED + b"5\r\nhello\r\n0\r\n\r\n",
    "none": b"Content-Length: 0\r\n\r\n",
    "as large as may be": b"Content-Length: 1024\r\n\r\n" + b"a" * 1024,
}


@pytest.mark.parametrize("body", SMALL)
@pytest.mark.parametrize("parser", PARSERS)
def test_a_small_body_is_read_and_left_aside(ports: dict[str, int], parser: str, body: str) -> None:
    head = TOPICS + b" HTTP/1.1\r\nHost: x\r\n"
    answer = raw(ports[parser], head + SMALL[body] + TOPICS + END + b"\r\n")
    found = re.findall(rb"^HTTP/1.1 (\d+)|HTTP/1.1 (\d+) ", answer)
    assert [one or other for one, other in found] == [b"200", b"200"]


NO_REQUEST = {
    "two lengths": b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
    "a negative length": b"Content-Length: -5\r\n\r\n",
    "a length in words": b"Content-Length: five\r\n\r\n",
    "a length with a sign": b"Content-Length: +5\r\n\r\nhello",
    "an unknown coding": b"Transfer-Encoding: gzip\r\n\r\n",
    "NUL in a header": b"X: a\0b\r\n\r\n",
    "a space in a name": b"X Y: 1\r\n\r\n",
}


@pytest.mark.parametrize("attack", NO_REQUEST)
@pytest.mark.parametrize("parser", PARSERS)
def test_what_is_no_http_is_told_so_by_the_parser(ports: dict[str, int], parser: str, attack: str) -> None:
    assert parts(raw(ports[parser], TOPICS + END + NO_REQUEST[attack])) == (400, BAD)


def test_where_parsers_differ_neither_answers_with_data(ports: dict[str, int]) -> None:
    verb = b"KHORGOS /v1/topics" + END + b"\r\n"
    assert parts(raw(ports["httptools"], verb)) == (400, BAD)
    assert parts(raw(ports["h11"], verb))[0] == 405
    long = TOPICS + b"?q=" + b"a" * 70_000 + END + b"\r\n"
    assert parts(raw(ports["httptools"], long)) == (400, BAD)
    assert parts(raw(ports["h11"], long))[0] == 414


@pytest.mark.parametrize("parser", PARSERS)
def test_a_head_without_end_is_cut_off(ports: dict[str, int], parser: str) -> None:
    started = time.monotonic()
    with suppress(ConnectionError):  # what is not read any more breaks the connection off
        assert parts(raw(ports[parser], TOPICS + END + b"X: " + b"a" * 1_000_000))[0] == 400
    assert time.monotonic() - started < server.ARRIVAL / 2


def test_a_request_too_large_is_refused_where_its_answer_is_kept(asked: Direct) -> None:
    assert asked.ask("/v1/groups").status == 200
    assert asked.ask("/v1/groups", headers=[(f"x-{one}", "1") for one in range(70)]).status == 431
    assert asked.ask("/v1/groups", headers=[("content-length", "2000")], body=b"a" * 2000).status == 413


# Nothing is reflected

MARK = "evil.example"
PATHS = (
    *(f"//{MARK}", f"//{MARK}/", f"///{MARK}", f"/\\{MARK}", f"/%5C{MARK}", f"/%2F{MARK}", f"/{MARK}", f"/.{MARK}"),
    *(f"/%2e%2e/{MARK}", f"/../{MARK}", f"/v1/../{MARK}", f"/v1/%2e%2e%2f{MARK}", f"/v1//{MARK}", f"/v1/{MARK}"),
    *(
        f"/%00{MARK}",
        f"/{MARK}%00",
        f"/%0d%0aLocation:%20https://{MARK}",
        f"/%0aSet-Cookie:{MARK}",
        f"/%e2%80%a8{MARK}",
    ),
    *(f"/static/../{MARK}", f"/static/%2e%2e/{MARK}", f"/static//{MARK}", f"/static/{MARK}", f"/static/%5c{MARK}"),
    *(f"/https://{MARK}", f"/https:/{MARK}", f"/@{MARK}", f"/v1@{MARK}", f"/;{MARK}", f"/v1;{MARK}", f"/v1/;{MARK}/"),
    *(f"/<script>{MARK}</script>", f"/%3Cscript%3E{MARK}", f"/'%22{MARK}", f"/{{{{{MARK}}}}}", f"/${{{MARK}}}"),
    *(f"/docs/{MARK}", f"/redoc/{MARK}", f"/mcp/{MARK}", f"/sdmx/{MARK}", f"/metrics/{MARK}/", f"/healthz/{MARK}"),
    *(f"/v1/exports/{MARK}/", f"/v1/charts/{MARK}/", f"/trade/{MARK}", f"/people//{MARK}", f"/%F0%9F%98%80{MARK}"),
    *(f"/{MARK}/..", f"/{MARK}/.", f"/{MARK}//", f"/v1/problems//{MARK}", f"/openapi.json/{MARK}", f"/{MARK}?a=1"),
)
FORGED = (
    ("Host", MARK),
    ("Host", f"{MARK}:80@x"),
    ("X-Forwarded-Host", MARK),
    ("X-Forwarded-For", MARK),
    ("X-Forwarded-Proto", MARK),
    ("X-Forwarded-Prefix", f"//{MARK}"),
    ("X-Forwarded-Server", MARK),
    ("X-Original-URL", f"//{MARK}"),
    ("X-Rewrite-URL", f"//{MARK}"),
    ("X-Host", MARK),
    ("Forwarded", f"host={MARK};proto=https"),
    ("Referer", f"https://{MARK}/"),
)
PLACES = (
    *("/", "/trade", "/people", "/docs", "/redoc", "/openapi.json", "/catalog.jsonld", "/v1", "/v1/topics?limit=1"),
    *("/v1/exports", "/v1/datapackage.json", "/sdmx/2.1/dataflow", "/nothing", "/v1/topics/nothing", "/mcp"),
)


def assert_unreflected(answer: Answer) -> None:
    """Hold an answer to have nothing of the mark, to lead nowhere and to be no failure."""
    assert answer.status < 500 and not 300 <= answer.status < 304, answer
    assert MARK not in str(answer.headers) and MARK.encode() not in answer.body, answer
    assert not {"location", "refresh", "set-cookie"} & {name.lower() for name, _ in answer.headers}


@pytest.mark.parametrize("path", PATHS)
def test_no_answer_holds_its_path(asked: Direct, path: str) -> None:
    for media in ("application/json", "text/html"):
        for method in ("GET", "HEAD", "OPTIONS", "POST"):
            assert_unreflected(asked.ask(path, method, [("Host", MARK), ("Accept", media)]))


@pytest.mark.parametrize("header", FORGED, ids=lambda one: "-".join(one))
def test_no_answer_holds_its_host(asked: Direct, header: tuple[str, str]) -> None:
    for place in PLACES:
        assert_unreflected(asked.ask(place, headers=[header]))


@pytest.mark.parametrize("parser", PARSERS)
def test_no_answer_over_a_socket_holds_its_host(ports: dict[str, int], parser: str) -> None:
    for target in (f"//{MARK}/v1", f"/\\{MARK}", f"http://{MARK}/v1/topics?limit=1", f"/%0d%0a{MARK}", f"/%00{MARK}"):
        answer = raw(ports[parser], f"GET {target} HTTP/1.1\r\nHost: {MARK}\r\nConnection: close\r\n\r\n".encode())
        assert MARK.encode() not in answer and b"\r\nlocation:" not in answer.lower() and parts(answer)[0] < 500


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=30))
@settings(max_examples=150)
def test_no_path_is_told_back(asked: Direct, text: str) -> None:
    answer = asked.ask(f"/{MARK}{text.replace('?', '')}", headers=[("Accept", "text/html, application/json")])
    assert_unreflected(answer)
    assert answer.status in (404, 414, 422)


def test_a_path_that_is_meant_is_told_by_its_route(asked: Direct) -> None:
    (error,) = asked.ask("/v1/topics/technology/").json()["errors"]
    assert (error["value"], error["did_you_mean"]) == (None, "/v1/topics/technology")
    (error,) = asked.ask("/v1/topics/%3Cb%3E/").json()["errors"]
    assert error["did_you_mean"] is None or "<" not in error["did_you_mean"]


# Ids


@pytest.mark.parametrize("given_id", ["a", "A.b_c-9", "x" * 64])
def test_a_request_keeps_the_id_that_it_is_given(asked: Direct, given_id: str) -> None:
    for target in ("/v1/topics", "/nothing"):
        answer = asked.ask(target, headers=[("X-Request-Id", given_id)])
        assert dict(answer.headers)["x-request-id"] == given_id
    assert answer.json()["instance"] == f"urn:khorgos:request:{given_id}"


@pytest.mark.parametrize("bad", ["", "x" * 65, "a b", "a\r\nb", "a\x1b[31m", "é", "<b>", "a,b", '"'])
def test_an_id_that_is_no_word_is_replaced(asked: Direct, bad: str) -> None:
    answer = asked.ask("/nothing", headers=[("X-Request-Id", bad)])
    found = dict(answer.headers)["x-request-id"]
    assert re.fullmatch("[0-9a-f]{32}", found)
    assert answer.json()["instance"] == f"urn:khorgos:request:{found}"


def test_every_request_has_an_id_of_its_own() -> None:
    assert len({ids.choose(None) for _ in range(1000)}) == 1000


def test_kept_answers_and_304_have_the_id_of_their_request(asked: Direct) -> None:
    first = asked.ask("/v1/risks", headers=[("X-Request-Id", "one")])
    again = asked.ask("/v1/risks", headers=[("X-Request-Id", "two")])
    tag = dict(first.headers)["etag"]
    held = asked.ask("/v1/risks", headers=[("X-Request-Id", "three"), ("If-None-Match", tag)])
    assert [dict(one.headers)["x-request-id"] for one in (first, again, held)] == ["one", "two", "three"]
    assert (first.body, held.status, held.body) == (again.body, 304, b"")


def test_a_page_and_what_it_asks_are_one_request(asked: Direct) -> None:
    answer = asked.ask("/trade?reporter=nowhere", headers=[("X-Request-Id", "mine")])
    assert answer.status == 422
    assert [value for name, value in answer.headers if name == "x-request-id"] == ["mine"]


# Headers of every kind of answer

KINDS = {
    "JSON": "/v1/topics",
    "record": "/v1/topics/technology",
    "problem": "/v1/topics?no=1",
    "no path": "/nothing",
    "page": "/trade",
    "page of a problem": "/trade?reporter=nowhere",
    "CSV": "/v1/topics?format=csv",
    "NDJSON": "/v1/topics?format=ndjson",
    "PNG": "/v1/charts/projects.png?width=320",
    "SVG": "/v1/charts/projects.svg?width=320",
    "static": "/static/explorer.css",
    "docs": "/docs",
    "reference": "/redoc",
    "export": "/v1/exports/topics.csv",
    "SDMX": "/sdmx/2.1/dataflow",
    "metrics": "/metrics",
    "health": "/healthz",
    "description": "/openapi.json",
}


def assert_secure(found: Answer) -> None:
    """Hold an answer to have the headers that keep a browser from taking it for what it is not."""
    told = dict(found.headers)
    assert {name: told.get(name.lower()) for name in guard.SECURITY} == guard.SECURITY, found
    assert told["x-request-id"]
    policy = told["content-security-policy"]
    assert "default-src" in policy and "frame-ancestors 'none'" in policy and "unsafe-eval" not in policy
    assert "server" not in told and "strict-transport-security" not in told


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_answer_has_the_headers_that_keep_it_safe(asked: Direct, kind: str) -> None:
    got = asked.ask(KINDS[kind])
    for answer in (got, asked.ask(KINDS[kind], "HEAD"), asked.ask(KINDS[kind], "OPTIONS")):
        assert_secure(answer)
    if tag := dict(got.headers).get("etag"):
        unchanged = asked.ask(KINDS[kind], headers=[("If-None-Match", tag)])
        assert unchanged.status == 304
        assert_secure(unchanged)
        assert dict(unchanged.headers)["content-security-policy"] == dict(got.headers)["content-security-policy"]


def test_refusals_of_every_kind_have_them_too(asked: Direct) -> None:
    preflight = [("Origin", "https://example.org"), ("Access-Control-Request-Method", "GET")]
    call = b'{"jsonrpc":"2.0","id":1,"method":"tools/list"}'
    media = [("Content-Type", "application/json"), ("Accept", "application/json, text/event-stream")]
    with without_places(asked.app):
        busy = asked.ask("/v1/experts?limit=3")
    answers = {
        503: busy,
        405: asked.ask("/v1/topics", "DELETE"),
        431: asked.ask("/v1/topics", headers=[(f"x-{one}", "1") for one in range(70)]),
        414: asked.ask("/v1/topics?q=" + "a" * 9000),
        200: asked.ask("/mcp", "POST", [*media, ("Content-Length", str(len(call)))], call),
    }
    assert {status: one.status for status, one in answers.items()} == {status: status for status in answers}
    for answer in (*answers.values(), asked.ask("/v1/topics", "OPTIONS", preflight)):
        assert_secure(answer)


def test_a_page_that_is_revalidated_keeps_its_policy(workshop: Workshop) -> None:
    with direct(workshop.seeded("sqlite"), cache_bytes=0) as fresh:
        got = fresh.ask("/trade")
        held = fresh.ask("/trade", headers=[("If-None-Match", dict(got.headers)["etag"])])
    assert held.status == 304
    assert dict(held.headers)["content-security-policy"] == guard.EXPLORER_POLICY


def test_scripts_of_any_origin_may_read_the_id(workshop: Workshop) -> None:
    with service(workshop.seeded("sqlite")) as client:
        exposed = client.get("/v1/topics", headers={"Origin": "https://example.org"})
        refused = client.get("/v1/topics", headers={f"x-{one}": "1" for one in range(70)} | {"Origin": "https://a.b"})
    told = {name.strip() for name in exposed.headers["access-control-expose-headers"].split(",")}
    assert {"X-Request-Id", "RateLimit", "RateLimit-Policy"} <= told
    assert_problem(refused, 431, "KHG119")
    assert refused.headers["access-control-allow-origin"] == "*"


# CSV that a spreadsheet does not run

COLUMNS = (Column("text", Kind.TEXT), Column("whole", Kind.INTEGER), Column("part", Kind.NUMBER))
CELLS = st.lists(
    st.tuples(
        st.one_of(st.none(), st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12)),
        st.one_of(st.none(), st.integers(-(2**63), 2**63 - 1)),
        st.one_of(st.none(), st.floats(allow_nan=False, allow_infinity=False)),
    ),
    min_size=1,
    max_size=12,
)


@given(CELLS)
@example([("=1+1", -5, -0.5), ("'=1", None, 1e-9), ("\r\n", 0, None), ("", 1, 2.0), (None, None, None)])
@settings(max_examples=300)
def test_csv_gives_back_what_it_was_given_and_runs_nothing(rows: list[tuple[Any, ...]]) -> None:
    writer = CsvWriter(Sheet("t", COLUMNS, 1, "/", lambda _: []))
    content = writer.start() + writer.rows(list(zip(*rows, strict=True)))
    header, *found = csv.reader(io.StringIO(content.decode(), newline=""), strict=True)
    assert header == ["text", "whole", "part"]
    for (text, whole, part), (text_cell, whole_cell, part_cell) in zip(rows, found, strict=True):
        assert not text_cell.startswith(FORMULA)
        assert text_cell == (f"'{text}" if text and text.startswith(FORMULA) else text or "")
        assert whole_cell == ("" if whole is None else str(whole))
        assert (None if part_cell == "" else float(part_cell)) == part


def test_a_connection_lives_on_after_a_refusal(ports: dict[str, int]) -> None:
    for port in ports.values():
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        statuses = []
        for body in (b"a" * 2000, None, b"a" * 100_000, None):
            connection.request("GET", "/v1/topics", body=body)
            response = connection.getresponse()
            response.read()
            statuses.append(response.status)
        connection.close()
        assert statuses == [413, 200, 413, 200]
