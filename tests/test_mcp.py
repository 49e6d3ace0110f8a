"""The way in for assistants, /mcp: what a client of the Model Context Protocol is told, answered and refused."""

import asyncio
import http.client
import json
import re
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest
from conftest import serve
from mcp import Client
from mcp.shared.exceptions import MCPError
from starlette.testclient import TestClient
from test_http import assert_problem, served, without_places

from app.api.compare import CompareParams
from app.api.projects import ProjectParams
from app.api.quotes import QuoteParams
from app.api.search import SearchParams
from app.api.trade import FlowParams
from app.db import Database
from app.mcp import BODY_BYTES, ROWS, TOOLS
from app.params import RecordParams

MODES = ("auto", "legacy")
"""Ways a client begins: of the newest revision, where each request stands alone, and with the handshake before it."""
MODELS = {
    "search": SearchParams,
    "trade_flows": FlowParams,
    "compare_trade": CompareParams,
    "projects": ProjectParams,
    "quotes": QuoteParams,
    "figure": RecordParams,
}
CALLS: dict[str, tuple[dict[str, Any], str]] = {
    "search": (
        {"q": "khorgos", "record": ["projects", "quotes"]},
        "/v1/search?q=khorgos&record=projects,quotes&limit=20",
    ),
    "trade_flows": (
        {"country": ["kazakhstan"], "year": [2024, 2025], "latest": True, "sort": ["-value_usd"]},
        "/v1/trade/flows?country=kazakhstan&year=2024,2025&latest=true&sort=-value_usd&limit=20",
    ),
    "compare_trade": (
        {"reporter": "KAZ", "partner": "CHN", "year": [2024]},
        "/v1/trade/compare?reporter=KAZ&partner=CHN&year=2024",
    ),
    "projects": ({"country": ["KAZ"], "limit": 3}, "/v1/projects?country=KAZ&limit=3"),
    "quotes": ({"q": "depend*", "release": 3}, "/v1/quotes?q=depend*&release=3&limit=20"),
    "figure": ({"id": "at-2024-kaz-chn-total"}, "/v1/figures/at-2024-kaz-chn-total"),
}
"""A call of each tool, and the request that it is."""
LIST_TOOLS = {"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {}}
HEADERS = {"content-type": "application/json", "accept": "application/json, text/event-stream"}
DOCS = Path(__file__).parent.parent / "docs"


@pytest.fixture(scope="module")
def port(seeded: Database) -> Iterator[int]:
    """Give the port of a real server."""
    with served(seeded) as (port, _):
        yield port


@pytest.fixture(params=MODES)
def mode(request: pytest.FixtureRequest) -> str:
    """Give each way a client begins."""
    return request.param


def with_client(port: int, mode: str, use: Callable[[Client], Awaitable[Any]], path: str = "/mcp") -> Any:
    """Give what a client of the protocol, connected to a server, is used for."""

    async def connected() -> Any:
        async with Client(f"http://127.0.0.1:{port}{path}", mode=mode) as client:
            return await use(client)

    return asyncio.run(connected())


def call(port: int, mode: str, tool: str, arguments: dict[str, Any], path: str = "/mcp") -> Any:
    """Give the result of one call."""
    return with_client(port, mode, lambda client: client.call_tool(tool, arguments), path)


def get(port: int, path: str) -> Any:
    """Give what the service answers to GET."""
    with urlopen(f"http://127.0.0.1:{port}{path}") as answer:
        return json.load(answer)


def refused(port: int, mode: str, tool: str, arguments: dict[str, Any], code: str) -> dict[str, Any]:
    """Give the problem that a call is refused with."""
    result = call(port, mode, tool, arguments)
    assert result.is_error
    assert json.loads(result.content[0].text) == result.structured_content
    assert result.structured_content["code"] == code, result.structured_content
    return result.structured_content


# What there is


def test_a_client_is_told_how_to_use_what_it_finds(port: int, mode: str) -> None:
    async def told(client: Client) -> Any:
        return client.server_info, client.instructions, client.server_capabilities, await client.list_tools()

    info, instructions, capabilities, listed = with_client(port, mode, told)
    assert info.name == "khorgos" and info.version
    assert all(word in instructions for word in ("evidence", "figure", "Never add", "compare_trade"))
    assert capabilities.resources is None and capabilities.prompts is None
    assert [tool.name for tool in listed.tools] == list(TOOLS) == list(CALLS)
    for tool in listed.tools:
        assert tool.annotations.read_only_hint and tool.annotations.idempotent_hint
        assert not tool.annotations.destructive_hint and not tool.annotations.open_world_hint


@pytest.mark.parametrize("name", TOOLS)
def test_a_tool_takes_the_parameters_of_its_route(port: int, name: str) -> None:
    (tool,) = [one for one in with_client(port, "auto", lambda client: client.list_tools()).tools if one.name == name]
    properties, model = tool.input_schema["properties"], MODELS[name]
    expected = {*model.model_fields} - {"format", "shape"} | ({"id"} if name == "figure" else set())
    assert properties.keys() == expected
    assert tool.input_schema["additionalProperties"] is False
    assert "$ref" not in json.dumps(tool.input_schema)
    for one, field in model.model_fields.items():
        if one in expected - {"limit", "fields"}:
            assert properties[one].get("description") == field.description, one
    required = {one for one, field in model.model_fields.items() if field.is_required()}
    assert {*tool.input_schema["required"]} == required | ({"id"} if name == "figure" else set())
    if "limit" in properties:
        assert properties["limit"]["default"] == ROWS and f"{ROWS} rows" in tool.description


# Answers


@pytest.mark.parametrize("name", CALLS)
def test_a_tool_answers_what_its_route_answers(port: int, mode: str, name: str) -> None:
    arguments, path = CALLS[name]
    result = call(port, mode, name, arguments)
    assert not result.is_error and result.structured_content["data"]
    assert result.structured_content == json.loads(result.content[0].text) == get(port, path)


@pytest.mark.parametrize(("name", "fields"), [("trade_flows", "period"), ("projects", "status"), ("quotes", "text")])
def test_every_row_has_its_evidence_whatever_fields_are_asked(port: int, name: str, fields: str) -> None:
    for arguments in ({"limit": 500}, {"limit": 500, "fields": [fields]}):
        rows = call(port, "auto", name, arguments).structured_content["data"]
        assert len(rows) > 3
        for row in rows:
            assert fields in row and row["source"]
            assert row["evidence"] and all(item["exact"] and item["end"] > item["start"] for item in row["evidence"])


def test_every_statement_that_is_compared_has_its_evidence(port: int) -> None:
    arguments = {"reporter": "kazakhstan", "partner": "china", "fields": ["year"]}
    rows = call(port, "auto", "compare_trade", arguments).structured_content["data"]
    assert rows and all(one["evidence"] for row in rows for one in row["statements"])


def test_a_figure_found_as_evidence_has_its_receipt(port: int) -> None:
    (row, *_) = call(port, "auto", "trade_flows", {"limit": 1}).structured_content["data"]
    receipt = call(port, "auto", "figure", {"id": row["evidence"][0]["figure"], "fields": ["value"]})
    assert receipt.structured_content["data"]["exact"] == row["evidence"][0]["exact"]
    assert receipt.structured_content["data"]["citation"]["text"]


@pytest.mark.parametrize("name", ["search", "trade_flows", "projects", "quotes"])
def test_a_list_is_short_unless_more_is_asked(port: int, name: str) -> None:
    arguments = {"q": "kazakhstan"} if name == "search" else {}
    assert call(port, "auto", name, arguments).structured_content["meta"]["limit"] == ROWS
    assert call(port, "auto", name, {**arguments, "limit": 50}).structured_content["meta"]["limit"] == 50


def test_pages_follow_each_other_by_the_cursor_in_next(port: int) -> None:
    found: list[Any] = []
    cursor = None
    while cursor is not None or not found:
        body = call(port, "auto", "trade_flows", {"limit": 10, "cursor": cursor}).structured_content
        found += body["data"]
        onward = re.search(r"cursor=([^&]+)", body["links"]["next"] or "")
        cursor = onward and onward[1]
    assert found == get(port, "/v1/trade/flows?limit=1000")["data"]


def test_arguments_may_be_left_out_as_null_or_as_an_empty_list(port: int) -> None:
    arguments = {"reporter": ["KAZ"], "partner": [], "year_from": None}
    assert call(port, "auto", "trade_flows", arguments).structured_content == get(
        port, "/v1/trade/flows?reporter=KAZ&limit=20"
    )


def test_an_empty_answer_says_why(port: int) -> None:
    result = call(port, "auto", "trade_flows", {"reporter": ["KAZ"], "year": [1999]})
    assert not result.is_error
    assert result.structured_content["meta"]["why_empty"]["nearest"] == [2024, 2025]


# Refusals


def test_an_unknown_argument_is_refused_with_the_nearest(port: int, mode: str) -> None:
    problem = refused(port, mode, "trade_flows", {"yeer": [2024]}, "KHG104")
    (fault,) = problem["errors"]
    assert (fault["parameter"], fault["did_you_mean"]) == ("yeer", "year")
    assert "format" not in fault["allowed"] and "reporter" in fault["allowed"]
    refused(port, mode, "trade_flows", {"yeer": None}, "KHG104")


@pytest.mark.parametrize(("parameter", "value"), [("format", "csv"), ("shape", "wide")])
def test_an_answer_has_no_other_layout(port: int, parameter: str, value: str) -> None:
    refused(port, "auto", "trade_flows", {parameter: value}, "KHG104")


def test_an_unknown_country_is_refused_with_the_nearest(port: int, mode: str) -> None:
    problem = refused(port, mode, "trade_flows", {"reporter": ["Kazakstan"]}, "KHG102")
    assert problem["errors"][0]["did_you_mean"] == "Kazakhstan"
    assert "did you mean 'Kazakhstan'?" in problem["detail"]


@pytest.mark.parametrize(
    ("tool", "arguments", "code"),
    [
        ("trade_flows", {"flow": ["exprot"]}, "KHG101"),
        ("trade_flows", {"year": [2024.5]}, "KHG101"),
        ("trade_flows", {"limit": 0}, "KHG101"),
        ("trade_flows", {"limit": 1001}, "KHG106"),
        ("trade_flows", {"limit": [1, 2]}, "KHG105"),
        ("trade_flows", {"reporter": {"code": "KAZ"}}, "KHG101"),
        ("trade_flows", {"reporter": [["KAZ"]]}, "KHG101"),
        ("trade_flows", {"fields": ["valu_usd"]}, "KHG101"),
        ("trade_flows", {"cursor": "x"}, "KHG107"),
        ("trade_flows", {"year_from": 2025, "year_to": 2024}, "KHG115"),
        ("trade_flows", {"source": ["x" * 190] * 60}, "KHG113"),
        ("search", {}, "KHG103"),
        ("search", {"q": "a\u0000b"}, "KHG114"),
        ("compare_trade", {"reporter": "KAZ"}, "KHG103"),
        ("figure", {}, "KHG103"),
        ("figure", {"id": ""}, "KHG103"),
        ("figure", {"id": "at-2024-kaz-chn-totl"}, "KHG111"),
        ("figure", {"id": "../trade/flows"}, "KHG110"),
        ("figure", {"id": "at-2024-kaz-chn-total?release=1"}, "KHG111"),
        ("figure", {"id": "at-2024-kaz-chn-total", "release": 99}, "KHG101"),
    ],
)
def test_a_wrong_call_is_refused_as_the_request_would_be(
    port: int, tool: str, arguments: dict[str, Any], code: str
) -> None:
    refused(port, "auto", tool, arguments, code)


def test_an_unknown_tool_is_refused_with_the_nearest(port: int, mode: str) -> None:
    async def ask(client: Client) -> None:
        with pytest.raises(MCPError, match="did you mean 'trade_flows'"):
            await client.call_tool("trade_flow", {})

    with_client(port, mode, ask)


def test_text_that_is_no_unicode_is_refused(client: TestClient) -> None:
    for arguments in (r'{"q": "\ud800"}', r'{"\ud800": 1}', r'{"q": ["\ud800"]}'):
        params = f'{{"name": "search", "arguments": {arguments}, "_meta": {json.dumps(META)}}}'
        body = f'{{"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {params}}}'
        for headers in (HEADERS, modern("tools/call", "search")):
            answer = client.post("/mcp", content=body, headers=headers)
            told = answer.json()
            assert "error" in told or told["result"]["structuredContent"]["code"] in ("KHG104", "KHG114"), told


META = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientCapabilities": {},
}


def modern(method: str, name: str | None = None) -> dict[str, str]:
    """Give the headers of a request of the newest revision."""
    named = {"mcp-name": name} if name else {}
    return {**HEADERS, "mcp-protocol-version": "2026-07-28", "mcp-method": method, **named}


# The way in


@pytest.mark.parametrize("verb", ["GET", "HEAD", "DELETE", "PUT", "PATCH"])
def test_the_way_in_takes_post_alone(client: TestClient, verb: str) -> None:
    answer = client.request(verb, "/mcp")
    assert answer.status_code == 405
    assert answer.headers["allow"] == "POST, OPTIONS"
    if verb != "HEAD":
        assert_problem(answer, 405, "KHG112")


@pytest.mark.parametrize("path", ["/", "/mcp/", "/mcp/x", "/v1", "/v1/mcp", "/v1/trade/flows", "/docs", "/healthz"])
def test_nothing_else_takes_post(client: TestClient, path: str) -> None:
    answer = client.post(path, json=LIST_TOOLS)
    assert_problem(answer, 405, "KHG112")
    assert answer.headers["allow"] == "GET, HEAD, OPTIONS"


def test_options_tells_how_to_ask(client: TestClient) -> None:
    assert client.options("/mcp").headers["allow"] == "POST, OPTIONS"


def test_the_way_in_takes_no_query(client: TestClient) -> None:
    assert_problem(client.post("/mcp?release=1", json=LIST_TOOLS, headers=HEADERS), 422, "KHG104")


def test_a_page_of_any_origin_may_ask(client: TestClient) -> None:
    origin = {"origin": "https://elsewhere.example", "host": "khorgos.example"}
    asked = {"access-control-request-method": "POST", "access-control-request-headers": "mcp-protocol-version"}
    allowed = client.options("/mcp", headers={**origin, **asked})
    assert allowed.status_code == 200 and "POST" in allowed.headers["access-control-allow-methods"]
    answer = client.post("/mcp", json=LIST_TOOLS, headers={**HEADERS, **origin})
    assert answer.headers["access-control-allow-origin"] == "*"
    assert len(answer.json()["result"]["tools"]) == len(TOOLS)


@pytest.mark.parametrize("chunked", [False, True], ids=["declared", "chunked"])
def test_a_long_body_is_refused(port: int, chunked: bool) -> None:
    body = json.dumps(LIST_TOOLS).encode()
    for length, status in ((BODY_BYTES, 200), (BODY_BYTES + 1, 413)):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        padded = body.ljust(length)
        sent: Any = iter([padded[:1000], padded[1000:]]) if chunked else padded
        connection.request("POST", "/mcp", body=sent, headers=HEADERS, encode_chunked=chunked)
        answer = connection.getresponse()
        told = json.loads(answer.read())
        connection.close()
        assert answer.status == status, told
        assert status == 200 or (told["code"], answer.getheader("content-type")) == (
            "KHG116",
            "application/problem+json",
        )


def test_what_is_no_call_is_an_error_of_the_protocol(client: TestClient) -> None:
    for body in (b"", b"{", b"[]", b"[" * 60_000, json.dumps([LIST_TOOLS]).encode(), b'{"jsonrpc": "2.0"}'):
        for headers in (HEADERS, {**HEADERS, "mcp-protocol-version": "2026-07-28"}):
            answer = client.post("/mcp", content=body, headers=headers)
            assert answer.status_code == 400, (body[:40], answer.text)
            assert "error" in answer.json()


def test_a_subscription_is_refused_at_once(client: TestClient) -> None:
    asked = {
        "jsonrpc": "2.0",
        "id": 1,
        "method": "subscriptions/listen",
        "params": {"_meta": META, "notifications": {}},
    }
    answer = client.post("/mcp", json=asked, headers=modern("subscriptions/listen"))
    assert "error" in answer.json()


def test_a_notification_is_taken_and_dropped(client: TestClient) -> None:
    said = {"jsonrpc": "2.0", "method": "notifications/initialized"}
    answer = client.post("/mcp", json=said, headers=HEADERS)
    assert (answer.status_code, answer.content.strip()) in ((202, b""), (202, b"null"))
    assert "mcp-session-id" not in answer.headers


def test_it_works_again_after_a_restart_and_in_two_services_at_once(seeded: Database) -> None:
    first, second = serve(seeded), serve(seeded)
    for _ in range(2):
        with first, second:
            for client in (first, second, first):
                answer = client.post("/mcp", json=LIST_TOOLS, headers=HEADERS)
                assert [tool["name"] for tool in answer.json()["result"]["tools"]] == list(TOOLS)


def test_calls_at_once_do_not_mix(port: int, mode: str) -> None:
    years = [year for year in (1999, 2024, 2025) for _ in range(5)]

    async def at_once(client: Client) -> list[Any]:
        return await asyncio.gather(*(client.call_tool("trade_flows", {"year": [year]}) for year in years))

    expected = {year: get(port, f"/v1/trade/flows?year={year}&limit=20") for year in set(years)}
    results = with_client(port, mode, at_once)
    assert [one.structured_content for one in results] == [expected[year] for year in years]


# Limits


def test_a_call_waits_for_a_place_as_a_request_does(seeded: Database) -> None:
    with served(seeded, queries=1, pool_wait=0.05) as (port, made):
        with without_places(made):
            refused(port, "auto", "projects", {}, "KHG502")
        assert not call(port, "auto", "projects", {}).is_error


def test_the_default_length_keeps_to_the_settings(seeded: Database) -> None:
    with served(seeded, page_limit_max=5) as (port, _):
        assert call(port, "auto", "trade_flows", {}).structured_content["meta"]["limit"] == 5
        refused(port, "auto", "trade_flows", {"limit": 6}, "KHG106")


def test_links_keep_the_prefix_of_a_proxy(seeded: Database) -> None:
    with served(seeded, root_path="/khorgos") as (port, _):
        for path in ("/mcp", "/khorgos/mcp"):
            body = call(port, "auto", "figure", {"id": "at-2024-kaz-chn-total"}, path).structured_content
            assert body["links"]["self"] == "/khorgos/v1/figures/at-2024-kaz-chn-total"


def test_calls_are_counted_with_the_route_that_answers(seeded: Database) -> None:
    with serve(seeded) as client:
        params = {"name": "projects", "arguments": {}}
        client.post("/mcp", json={**LIST_TOOLS, "method": "tools/call", "params": params}, headers=HEADERS)
        told = client.get("/metrics").text
    assert 'route="/mcp"' in told and 'route="/v1/projects"' in told


# Without the library


def test_without_its_library_it_says_what_to_install(seeded: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] in ("mcp", "mcp_types")]:
        monkeypatch.setitem(sys.modules, name, None)
    with serve(seeded) as client:
        answer = client.post("/mcp", json=LIST_TOOLS, headers=HEADERS)
        assert_problem(answer, 501, "KHG505")
        assert "pip install 'khorgos[mcp]'" in answer.json()["detail"]
        assert client.get("/v1/projects").status_code == 200
        assert_problem(client.get("/mcp"), 405, "KHG112")


def test_the_service_starts_without_the_library() -> None:
    check = "import sys, app.main; assert not {'mcp', 'mcp_types'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", check], check=True, cwd=Path(__file__).parent.parent)


# What the page says


def test_the_page_names_every_tool_and_its_route() -> None:
    page = (DOCS / "mcp.md").read_text("utf-8")
    assert re.findall(r"^\| `(\w+)` \| `(\S+)` \|", page, re.MULTILINE) == [
        (one.name, one.path) for one in TOOLS.values()
    ]


def test_the_client_on_the_page_works(port: int, capsys: pytest.CaptureFixture[str]) -> None:
    (code,) = re.findall(r"^```python\n(.*?)^```$", (DOCS / "mcp.md").read_text("utf-8"), re.MULTILINE | re.DOTALL)
    exec(compile(code.replace("127.0.0.1:8000", f"127.0.0.1:{port}"), "mcp.md", "exec"), {})
    assert "trade with China reached $30.05 billion" in capsys.readouterr().out
