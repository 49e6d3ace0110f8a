"""Hostile values in every parameter: an answer or a refusal in our words, the same on both engines, nothing written."""

import json
from collections import Counter
from collections.abc import Iterator
from itertools import product
from typing import Any
from urllib.parse import unquote

import orjson
import pytest
from conftest import ENGINES, TORTURE, Workshop, times
from direct import Answer, Direct, unchanged
from hostile import HOSTILE
from test_http import OPERATIONS, example_of

from app.mcp import TOOLS

ANSWERS = {200, 404, 406, 414, 422}
PROBLEM = "application/problem+json"
LEAST, MOST = 8, 64
"""Operations that share a parameter divide the values in the short form, into so many parts at least and at most."""
SLOW = ("/v1/charts/", "/v1/datapackage.zip", "/v1/products")
"""Paths that draw, pack, or look for what was meant among thousands of names: a share of the values in any case."""
STEP = 40
"""In the short form values that are refused before any statement are asked of PostgreSQL once in so many."""
ELSEWHERE = (
    *(
        "/trade?reporter=\0",
        "/trade?year=\0",
        "/trade?\0=1",
        "/compare?reporter=KAZ&partner=\0",
        "/projects?country=\0",
    ),
    *(
        "/people?topic=\0",
        "/people/\0",
        "/figures/\0",
        "/sources/\0",
        "/search?q=\0",
        "/search?release=\0",
        "/\0",
        "/v1/\0",
    ),
    *("/static/\0", "/sdmx/2.1/data/\0", "/sdmx/2.1/data/TRADE/\0", "/sdmx/2.1/data/TRADE/all?startPeriod=\0"),
    *("/sdmx/2.1/data/TRADE/all?detail=\0", "/sdmx/2.1/data/TRADE/all/\0", "/sdmx/2.1/codelist/KHORGOS/\0"),
    *("/sdmx/2.1/dataflow/\0", "/sdmx/2.1/availableconstraint/TRADE/\0", "/sdmx/2.1/\0", "/docs?\0=\0"),
)
"""Pages, software for statistics and paths of no operation, each with a hole for a value."""
CALL = {"jsonrpc": "2.0", "id": 1, "method": "tools/call"}
SPOKEN = (("content-type", "application/json"), ("accept", "application/json, text/event-stream"))


@pytest.fixture(scope="module")
def asked(workshop: Workshop) -> Iterator[dict[str, Direct]]:
    """Give the service over each engine; at the end no row and no byte of its database may be another."""
    with unchanged({engine: workshop.seeded(engine) for engine in ENGINES}) as found:
        yield found


def targets(path: str) -> Iterator[tuple[str, str]]:
    """Give each parameter of an operation with a request whose value for it is a hole."""
    parameters = OPERATIONS[path].get("parameters", ())
    example = example_of(path)
    for parameter in parameters:
        name = parameter["name"]
        if parameter["in"] == "path":
            yield name, path.replace(f"{{{name}}}", "\0")
        elif parameter["required"]:
            bare, _, query = example.partition("?")
            kept = [one for one in query.split("&") if not one.startswith(f"{name}=")]
            yield name, f"{bare}?{'&'.join((*kept, f'{name}=' + chr(0)))}"
        else:
            yield name, f"{example}{'&' if '?' in example else '?'}{name}=\0"


def held(answer: Answer, target: str) -> None:
    """Hold an answer to be one of those that there are, and whole."""
    assert answer.status in ANSWERS, (target, answer.status, answer.body[:500])
    if answer.status != 200:
        told = dict(answer.headers)
        assert told["content-type"] == PROBLEM, target
        assert orjson.loads(answer.body)["status"] == answer.status, target


def repeated(service: Direct, answer: Answer, target: str) -> None:
    """Hold the link of an answer to itself to give the same answer."""
    if answer.status != 200 or not answer.body.startswith(b'{"data"'):
        return
    link = orjson.loads(answer.body)["links"]["self"]
    again = service.ask(link)
    assert (again.status, again.body) == (200, answer.body), (target, link)


def reaches(answer: Answer) -> bool:
    """Whether the value of a request went into a statement: it was answered, or no record was found."""
    return answer.status in (200, 404)


def sharers() -> dict[tuple[str, str], list[str]]:
    """Give the operations that take a parameter, declared alike."""
    found: dict[tuple[str, str], list[str]] = {}
    for path, operation in OPERATIONS.items():
        for parameter in operation.get("parameters", ()):
            found.setdefault((parameter["name"], str(parameter["schema"])), []).append(path)
    return found


def shares() -> dict[tuple[str, str], tuple[str, ...]]:
    """Give the values that each parameter of each operation gets: all, or in the short form a share of them."""
    found = {}
    for kind, ((name, _), paths) in enumerate(sharers().items()):
        quick = [path for path in paths if not path.startswith(SLOW)]
        for number, path in enumerate(sorted(paths, key=lambda one: one.startswith(SLOW)), kind):
            parts = max(LEAST, min(len(quick), MOST)) if path in quick else MOST
            found[path, name] = HOSTILE if TORTURE else HOSTILE[number % parts :: parts]
    return found


SHARES = shares()


def test_there_are_five_hundred_values_and_each_is_put_into_every_parameter_that_several_take() -> None:
    assert len(HOSTILE) >= 500
    for (name, _), paths in sharers().items():
        if len([path for path in paths if not path.startswith(SLOW)]) >= LEAST:
            assert {value for path in paths for value in SHARES[path, name]} == set(HOSTILE), name


@pytest.mark.torture
@pytest.mark.parametrize("path", OPERATIONS)
def test_hostile_values_are_answered_or_refused_alike(
    path: str, asked: dict[str, Direct], record_property: Any
) -> None:
    sent: Counter[str] = Counter()
    for name, target in targets(path):
        for number, value in enumerate(SHARES[path, name]):
            request = target.replace("\0", value)
            answer = asked["sqlite"].ask(request)
            held(answer, request)
            repeated(asked["sqlite"], answer, request)
            sent["sqlite"] += 1
            if TORTURE or reaches(answer) or number % STEP == 0:
                other = asked["postgres"].ask(request)
                assert (other.status, other.said) == (answer.status, answer.said), request
                sent["postgres"] += 1
    for engine, number in sent.items():
        record_property("count", (f"hostile requests on {engine}", number))


@pytest.mark.torture
@pytest.mark.parametrize("target", ELSEWHERE)
def test_hostile_values_elsewhere_are_answered_or_refused_alike(
    target: str, asked: dict[str, Direct], record_property: Any
) -> None:
    values = HOSTILE[:: times(12, 1)]
    for value in values:
        request = target.replace("\0", value)
        answer, other = (asked[engine].ask(request) for engine in ENGINES)
        assert answer.status in ANSWERS | {303, 307, 400, 413, 501}, (request, answer.status)
        assert (other.status, other.said) == (answer.status, answer.said), request
        location = dict(answer.headers).get("location", "/")
        assert location.startswith("/") and not location.startswith(("//", "/\\")), (request, location)
    record_property("count", ("hostile requests elsewhere, on each engine", len(values)))


def text_of(value: str) -> str:
    """Give a value as JSON can hold it: half characters as they are, bytes that are no text as half characters."""
    try:
        return unquote(value, errors="surrogatepass")
    except UnicodeDecodeError:
        return unquote(value, errors="surrogateescape")


@pytest.mark.torture
@pytest.mark.parametrize("tool", TOOLS)
def test_hostile_arguments_of_tools_are_answered_or_refused_alike(
    tool: str, asked: dict[str, Direct], record_property: Any
) -> None:
    values = [text_of(value) for value in HOSTILE[:: times(60, 5)]]
    names = [one["name"] for one in OPERATIONS[TOOLS[tool].path]["parameters"]]
    for name, value in product(names, values):
        told = {"reporter": "KAZ", "partner": "CHN"} if tool == "compare_trade" else {}
        arguments = {**told, **({"id": "x"} if tool == "figure" else {}), **({"q": "x"} if tool == "search" else {})}
        call = {**CALL, "params": {"name": tool, "arguments": {**arguments, name: value}}}
        body = json.dumps(call).encode()
        answer, other = (asked[engine].ask("/mcp", "POST", SPOKEN, body) for engine in ENGINES)
        assert answer.status in {200, 400, 413, 422}, (call, answer.status, answer.body[:300])
        assert b"KHG5" not in answer.body, (call, answer.body[:500])
        assert (other.status, other.said) == (answer.status, answer.said), call
    record_property("count", ("hostile calls of tools, on each engine", len(names) * len(values)))
