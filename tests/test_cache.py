"""Finished answers in memory: the same as fresh ones, never of a past release, within their bytes, one for a burst."""

import asyncio
import itertools
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from conftest import ONE_ID, Workshop, run
from fastapi import FastAPI
from sqlalchemy import event
from starlette.testclient import TestClient
from test_http import FLOWS, assert_problem, flow, publish_invented, service, within, without_places

from app.db import Database
from app.main import create_app
from app.models import TradeFlow
from app.settings import Settings
from app.store import KEPT_BYTES, KEY_BYTES, SPELLINGS

CODINGS = ("zstd", "br", "gzip", "identity")
URLS = (
    FLOWS,
    f"{FLOWS}?limit=3&fields=id,value_usd",
    f"{FLOWS}?limit=3&format=csv",
    f"{FLOWS}?limit=3&format=ndjson",
    f"{FLOWS}?release=1",
    "/v1/topics?limit=2",
    "/v1/countries/KAZ",
    "/v1/checks",
    "/v1/checks?format=csv",
    "/v1/trade/compare?reporter=KAZ&partner=CHN&year=2024",
)
TAGGED = ("etag", "last-modified", "cache-control", "vary")


@contextmanager
def remembering(database: Database, **settings: Any) -> Iterator[TestClient]:
    """Give a client of a service that takes the current release on trust for a while."""
    made = create_app(Settings(database_url=database.settings.database_url, **{"release_ttl": 3600, **settings}))
    with TestClient(made, raise_server_exceptions=False, headers=ONE_ID) as client:
        yield client


def given_again(client: TestClient) -> int:
    """Count the answers that were given from memory."""
    lines = client.get("/metrics").text.splitlines()
    return int(float(next(line for line in lines if line.startswith("khorgos_cached_answers_total")).split()[1]))


@pytest.fixture(scope="module")
def fresh(seeded: Database) -> Iterator[TestClient]:
    """Give a client of a service that keeps nothing."""
    with service(seeded, cache_bytes=0) as client:
        yield client


@pytest.fixture(scope="module")
def keeping(seeded: Database) -> Iterator[TestClient]:
    """Give a client of a service that keeps its answers."""
    with remembering(seeded) as client:
        yield client


# The same answer


@pytest.mark.parametrize("origin", [{}, {"Origin": "https://example.org"}], ids=["here", "elsewhere"])
@pytest.mark.parametrize("coding", CODINGS)
@pytest.mark.parametrize("url", URLS)
def test_kept_answer_is_the_fresh_one(
    fresh: TestClient, keeping: TestClient, url: str, coding: str, origin: dict[str, str]
) -> None:
    headers = {"Accept-Encoding": coding, **origin}
    expected = fresh.get(url, headers=headers)
    first = keeping.get(url, headers=headers)
    before = given_again(keeping)
    again = keeping.get(url, headers=headers)
    assert given_again(keeping) == before + 1
    for one in (first, again):
        assert (one.status_code, one.headers, one.content) == (200, expected.headers, expected.content)


@pytest.mark.parametrize("coding", CODINGS)
@pytest.mark.parametrize("url", URLS)
def test_kept_answer_to_head_is_the_fresh_one(fresh: TestClient, keeping: TestClient, url: str, coding: str) -> None:
    headers = {"Accept-Encoding": coding}
    keeping.get(url, headers=headers)
    before = given_again(keeping)
    headed = keeping.head(url, headers=headers)
    assert given_again(keeping) == before + 1
    assert (headed.status_code, headed.content) == (200, b"")
    assert headed.headers == fresh.head(url, headers=headers).headers == fresh.get(url, headers=headers).headers


@pytest.mark.parametrize("verb", ["GET", "HEAD"])
@pytest.mark.parametrize("coding", CODINGS)
@pytest.mark.parametrize("form", ["{tag}", "W/{tag}", '"other", {tag}', "*"])
def test_kept_304_is_the_fresh_one(fresh: TestClient, keeping: TestClient, form: str, coding: str, verb: str) -> None:
    tag = keeping.get(FLOWS, headers={"Accept-Encoding": coding}).headers["etag"]
    headers = {"Accept-Encoding": coding, "If-None-Match": form.format(tag=tag), "Origin": "https://example.org"}
    keeping.get(FLOWS, headers=headers)  # of HEAD alone nothing is kept
    before = given_again(keeping)
    answers = [keeping.request(verb, FLOWS, headers=headers) for _ in range(2)]
    assert given_again(keeping) == before + 2
    expected = fresh.request(verb, FLOWS, headers=headers)
    for one in (*answers, expected):
        assert (one.status_code, one.content, one.headers) == (304, b"", expected.headers)


def test_304_is_kept_where_nobody_asked_for_the_whole(keeping: TestClient) -> None:
    headers = {"Accept-Encoding": "gzip"}
    tag = keeping.get("/v1/risks", headers=headers).headers["etag"]
    keeping.app.state.store.clear()
    before = given_again(keeping)
    answers = [keeping.get("/v1/risks", headers={**headers, "If-None-Match": tag}) for _ in range(3)]
    assert [one.status_code for one in answers] == [304, 304, 304]
    assert given_again(keeping) == before + 2
    assert keeping.get("/v1/risks", headers=headers).status_code == 200
    assert keeping.get("/v1/risks", headers={**headers, "If-None-Match": '"other"'}).status_code == 200


def test_a_client_may_not_ask_for_a_fresh_one(keeping: TestClient) -> None:
    keeping.get(FLOWS)
    before = given_again(keeping)
    assert keeping.get(FLOWS, headers={"Cache-Control": "no-cache"}).status_code == 200
    assert given_again(keeping) == before + 1


def test_a_range_is_left_to_the_routes(fresh: TestClient, keeping: TestClient) -> None:
    keeping.get(FLOWS)
    before = given_again(keeping)
    expected, found = (client.get(FLOWS, headers={"Range": "bytes=0-9"}) for client in (fresh, keeping))
    assert (found.status_code, found.headers, found.content) == (
        expected.status_code,
        expected.headers,
        expected.content,
    )
    assert given_again(keeping) == before


def test_kept_answers_are_counted_by_their_route(seeded: Database) -> None:
    with remembering(seeded) as client:
        for _ in range(3):
            client.get("/v1/countries/KAZ")
        client.head("/v1/countries/KAZ")
        metrics = client.get("/metrics").text
    assert 'khorgos_requests_total{route="/v1/countries/{code}",status="200"} 4.0' in metrics
    assert 'khorgos_request_seconds_count{route="/v1/countries/{code}"} 4.0' in metrics


def test_a_service_may_keep_nothing(seeded: Database) -> None:
    with remembering(seeded, cache_bytes=0) as client:
        bodies = [client.get(FLOWS).content for _ in range(2)]
        assert (bodies[0], len(client.app.state.store), given_again(client)) == (bodies[1], 0, 0)


# What enters


def test_spellings_of_one_request_count_once(seeded: Database) -> None:
    with remembering(seeded) as client:
        filters = ("year=2024", "reporter=KAZ", "flow=export")
        urls = [f"{FLOWS}?{'&'.join(one)}" for one in itertools.permutations(filters)]
        urls += [f"{FLOWS}?year=2024&reporter=kazakhstan&flow=X", f"{FLOWS}?year=2024&reporter=398&flow=Export"]
        bodies = {client.get(url).content for url in urls}
        store = client.app.state.store
        assert (len(bodies), len(store)) == (1, 1)
        assert store.bytes < KEPT_BYTES + 2 * len(bodies.pop()) + (len(urls) + 2) * 2 * KEY_BYTES


def test_another_order_of_parameters_is_the_same_answer(keeping: TestClient) -> None:
    keeping.get("/v1/quotes?limit=2&count=true")
    before = given_again(keeping)
    keeping.get("/v1/quotes?count=true&limit=2")
    assert given_again(keeping) == before + 1


@pytest.mark.parametrize("name", ["sort", "%73ort"])
def test_values_of_one_parameter_keep_their_order(fresh: TestClient, keeping: TestClient, name: str) -> None:
    for query in (f"sort=year&{name}=-value_usd", f"{name}=-value_usd&sort=year", f"sort=-value_usd&{name}=year"):
        assert keeping.get(f"{FLOWS}?{query}").content == fresh.get(f"{FLOWS}?{query}").content


@pytest.mark.parametrize("accept", [["application/json", "text/csv"], ["text/csv", "application/json"]])
def test_a_header_given_twice_is_answered_as_ever(fresh: TestClient, keeping: TestClient, accept: list[str]) -> None:
    headers = [("Accept", one) for one in accept]
    expected = fresh.get("/v1/topics?limit=2", headers=headers)
    for _ in range(2):
        found = keeping.get("/v1/topics?limit=2", headers=headers)
        assert (found.headers, found.content) == (expected.headers, expected.content)


@pytest.mark.parametrize(
    ("url", "status"),
    [
        (f"{FLOWS}?yeer=2024", 422),
        (f"{FLOWS}?year=2024&year=x", 422),
        (f"{FLOWS}?release=99", 422),
        ("/v1/topics/nothing", 404),
        ("/v1/nothing", 404),
        ("/v1/problems", 200),
        ("/v1", 200),
        ("/healthz", 200),
        ("/readyz", 200),
        ("/metrics", 200),
        ("/openapi.json", 200),
        (f"{FLOWS}?format=csv", 200),
        (f"{FLOWS}?format=ndjson", 200),
    ],
)
def test_what_is_no_answer_of_a_release_or_a_stream_never_enters(seeded: Database, url: str, status: int) -> None:
    with remembering(seeded) as client:
        for _ in range(2):
            assert client.get(url).status_code == status
        assert (len(client.app.state.store), client.app.state.store.bytes) == (0, 0)


def test_an_unknown_parameter_is_refused_beside_a_kept_answer(keeping: TestClient) -> None:
    keeping.get(f"{FLOWS}?year=2024")
    for _ in range(2):
        assert_problem(keeping.get(f"{FLOWS}?year=2024&yeer=2024"), 422, "KHG104")
        assert_problem(keeping.get(f"{FLOWS}?year=2024&_=1"), 422, "KHG104")


def test_an_error_is_not_kept(seeded: Database) -> None:
    with remembering(seeded, pool_wait=0.05, queries=1) as client:
        with without_places(client.app):
            assert client.get("/v1/topics").status_code == 503
        assert client.get("/v1/topics").status_code == 200


# How much


def test_memory_is_bounded_and_what_was_used_longest_ago_goes_first(seeded: Database) -> None:
    most = 150_000
    with remembering(seeded, cache_bytes=most) as client:
        urls = [f"{FLOWS}?limit=2&value_min={number}" for number in range(120)]
        for url in urls:
            assert client.get(url).status_code == 200
            assert client.get(urls[0]).status_code == 200
            assert client.app.state.store.bytes <= most
        assert 5 < len(client.app.state.store) < len(urls)
        before = given_again(client)
        client.get(urls[0])
        client.get(urls[-1])
        assert given_again(client) == before + 2
        client.get(urls[1])
        assert given_again(client) == before + 2


def test_spellings_do_not_grow_for_ever(seeded: Database) -> None:
    with remembering(seeded) as client:
        for number in range(5 * SPELLINGS):
            client.get("/v1/topics?limit=1", headers={"Accept": f"*/*;q=0.{number + 1}"})
        store = client.app.state.store
        assert len(store) == 1
        assert store.bytes < KEPT_BYTES + 5000 + SPELLINGS * 2 * KEY_BYTES
        store.clear()
        assert (len(store), store.bytes) == (0, 0)


def test_a_large_answer_takes_no_place_of_others(seeded: Database) -> None:
    with remembering(seeded, cache_bytes=40_000) as client:
        body = client.get(FLOWS, headers={"Accept-Encoding": "identity"}).content
        assert len(body) > 5_000
        assert len(client.app.state.store) == 0


# A new release


def publish_flow(database: Database, number: int) -> None:
    """Publish an invented flow as the next release."""
    publish_invented(database, {TradeFlow: [flow(one) for one in range(number)]})


CHANGING = (
    f"{FLOWS}?source=invented&limit=5",
    f"{FLOWS}?source=invented&limit=5&format=csv",
    f"{FLOWS}?source=invented&limit=5&format=ndjson",
    "/v1/trade/totals?group_by=source&source=invented",
    "/v1/trade/coverage?source=invented",
)


def test_a_new_release_is_seen_at_once_where_nothing_is_taken_on_trust(private_seeded: Database) -> None:
    publish_flow(private_seeded, 1)
    with service(private_seeded) as client, service(private_seeded, cache_bytes=0) as fresh:
        for number in (2, 3):
            for url in CHANGING * 2:
                client.get(url)
            publish_flow(private_seeded, number)
            for url in CHANGING:
                expected, found = fresh.get(url), client.get(url)
                assert (found.headers, found.content) == (expected.headers, expected.content)


def test_no_stale_answer_is_given_a_second_after_a_release_by_any_service(private_seeded: Database) -> None:
    publish_flow(private_seeded, 1)
    url = f"{FLOWS}?source=invented&limit=5"
    with remembering(private_seeded, release_ttl=0.5) as one, remembering(private_seeded, release_ttl=0.5) as other:
        old = {client.get(url).json()["meta"]["release"] for client in (one, other) for _ in range(3)}
        publish_flow(private_seeded, 2)
        published, seen = time.monotonic(), []
        while time.monotonic() < published + 1.3:
            for client in (one, other):
                asked = time.monotonic()
                seen.append((asked - published, client.get(url).json()["meta"]["release"]))
        new = max(release for _, release in seen)
    assert old == {new - 1}
    assert {release for asked, release in seen if asked > 1} == {new}
    assert len(seen) > 50


def test_a_pinned_answer_outlives_a_release(private_seeded: Database) -> None:
    with service(private_seeded) as client:
        before = client.get(f"{FLOWS}?release=1")
        publish_flow(private_seeded, 1)
        after = client.get(f"{FLOWS}?release=1")
    assert (before.headers, before.content) == (after.headers, after.content)


def test_a_release_lets_go_all_that_was_kept(private_seeded: Database) -> None:
    with service(private_seeded) as client:
        for number in range(1, 8):
            client.get(f"{FLOWS}?limit={number}")
        assert len(client.app.state.store) == 7
        publish_flow(private_seeded, 1)
        client.get(f"{FLOWS}?limit=1")
        assert len(client.app.state.store) == 1


@contextmanager
def held_statements(database: Database, timeout: float | None = None) -> Iterator[tuple[list[str], threading.Event]]:
    """Give the statements over trade flows from now on, and what lets them run; each waits for it."""
    taken: list[str] = []
    may_run = threading.Event()

    def hold(connection: Any, cursor: Any, statement: str, *_: Any) -> None:
        if "trade_flows" in statement:
            taken.append(statement)
            may_run.wait(10)

    engine = database.reader(timeout or database.settings.statement_timeout)
    event.listen(engine, "before_cursor_execute", hold)
    try:
        yield taken, may_run
    finally:
        may_run.set()
        event.remove(engine, "before_cursor_execute", hold)


def test_an_answer_that_a_release_overtakes_is_not_kept(private_seeded: Database) -> None:
    publish_flow(private_seeded, 1)
    url = f"{FLOWS}?source=invented&fields=id"
    with service(private_seeded) as client:
        client.get(f"{url}&limit=1")
        found: list[Any] = []
        with held_statements(client.app.state.service.database) as (taken, may_run):
            slow = threading.Thread(target=lambda: found.append(client.get(url).json()["meta"]["release"]))
            slow.start()
            assert within(5, lambda: bool(taken))
            publish_flow(private_seeded, 2)
            assert client.get("/readyz").json()["release"] == client.app.state.service.releases.newest()
            may_run.set()
            slow.join()
        assert client.get(url).json()["meta"]["release"] == found[0] + 1


@pytest.mark.parametrize("lost", ["sqlite", "postgres"])
def test_without_the_database_only_pinned_answers_are_given(workshop: Workshop, postgres_url: str, lost: str) -> None:
    database = workshop.copy(lost)
    name = database.url.database
    with service(database, pool_wait=0.2) as client:
        pinned = [client.get(f"/v1/topics?release=1&limit={number}").content for number in (1, 2)]
        assert client.get("/v1/topics").status_code == 200
        client.app.state.service.database.close()
        if lost == "sqlite":
            Path(name).rename(f"{name}-away")
        else:
            run(postgres_url, f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'")
            run(postgres_url, f"ALTER DATABASE {name} RENAME TO {name}_away")
        gone = client.get("/v1/topics")
        given = [client.get(f"/v1/topics?release=1&limit={number}").content for number in (1, 2)]
        if lost == "sqlite":
            Path(f"{name}-away").rename(name)
        else:
            run(postgres_url, f"ALTER DATABASE {name}_away RENAME TO {name}")
        back = client.get("/v1/topics").status_code
    workshop.remove(database)
    assert_problem(gone, 503, "KHG503")
    assert (given, back) == (pinned, 200)


# Many at once


async def ask(made: FastAPI, url: str, headers: dict[str, str] | None = None, leave: bool = False) -> tuple[int, bytes]:
    """Give status and body of an answer of the application itself; `leave` is a client that is gone by then."""
    path, _, query = url.partition("?")
    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "root_path": "",
        "headers": [(name.lower().encode(), value.encode()) for name, value in (headers or {}).items()],
        "server": ("testserver", 80),
        "client": ("testclient", 1),
    }
    status, body = 0, b""

    async def receive() -> dict[str, Any]:
        await asyncio.Event().wait()
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        nonlocal status, body
        if leave:
            raise OSError
        status = message.get("status", status)
        body += message.get("body", b"")

    await made(scope, receive, send)
    return status, body


def burst(
    made: FastAPI, urls: list[str], may_run: threading.Event, first: Callable[["asyncio.Task[Any]"], Any] | None = None
) -> list[Any]:
    """Ask for all at once, let the statements run when all have asked, and give what came of each."""

    async def asked() -> list[Any]:
        tasks = [asyncio.create_task(ask(made, url)) for url in urls]
        while len(made.front.front.flights) == 0:
            await asyncio.sleep(0)
        for _ in range(20):
            await asyncio.sleep(0)
        if first is not None:
            first(tasks[0])
        may_run.set()
        return await asyncio.gather(*tasks, return_exceptions=True)

    return asyncio.run(asked())


@pytest.fixture
def made(seeded: Database) -> Iterator[FastAPI]:
    """Give an application that knows its release and has answered before."""
    found = create_app(Settings(database_url=seeded.settings.database_url, release_ttl=3600))
    asyncio.run(ask(found, f"{FLOWS}?fields=id&limit=1"))
    yield found
    found.state.service.database.close()


def test_a_burst_of_equal_requests_runs_one_statement(made: FastAPI) -> None:
    urls = [f"{FLOWS}?fields=id&year=2024", f"{FLOWS}?year=2024&fields=id"] * 10
    with held_statements(made.state.service.database) as (taken, may_run):
        answers = burst(made, urls, may_run)
    assert len(taken) == 1
    assert {status for status, _ in answers} == {200}
    assert len({body for _, body in answers}) == 1
    assert made.front.front.flights == {}


def test_a_first_one_that_is_cancelled_takes_no_other_with_it(made: FastAPI) -> None:
    urls = [f"{FLOWS}?fields=id&year=2023"] * 5
    with held_statements(made.state.service.database) as (_, may_run):
        cancelled, *others = burst(made, urls, may_run, lambda task: task.cancel())
    assert isinstance(cancelled, asyncio.CancelledError)
    assert {status for status, _ in others} == {200}
    assert made.front.front.flights == {}


def test_a_first_one_whose_client_is_gone_takes_no_other_with_it(made: FastAPI) -> None:
    url = f"{FLOWS}?fields=id&year=2025"

    async def asked() -> list[Any]:
        return await asyncio.gather(
            ask(made, url, leave=True), *(ask(made, url) for _ in range(4)), return_exceptions=True
        )

    with held_statements(made.state.service.database) as (taken, may_run):
        may_run.set()
        _, *others = asyncio.run(asked())
    assert {status for status, _ in others} == {200}
    assert len(taken) == 1


@pytest.mark.parametrize(
    ("url", "status"), [(f"{FLOWS}?yeer=1", 422), ("/v1/topics/nothing", 404), ("/v1/problems", 200)]
)
def test_a_burst_of_what_is_not_kept_is_answered_each(made: FastAPI, url: str, status: int) -> None:
    async def asked() -> list[Any]:
        return await asyncio.gather(*(ask(made, url) for _ in range(20)))

    assert {found for found, _ in asyncio.run(asked())} == {status}
    assert made.front.front.flights == {}


def test_a_burst_of_exports_is_answered_each(made: FastAPI) -> None:
    async def asked() -> list[Any]:
        return await asyncio.gather(*(ask(made, f"{FLOWS}?format=csv") for _ in range(4)))

    answers = asyncio.run(asked())
    assert {status for status, _ in answers} == {200}
    assert len({body for _, body in answers}) == 1


def test_one_of_a_failing_burst_after_the_other_tries(seeded: Database) -> None:
    made = create_app(Settings(database_url=seeded.settings.database_url, release_ttl=3600, queries=1, pool_wait=0.05))

    async def asked() -> list[Any]:
        return await asyncio.gather(*(ask(made, "/v1/topics") for _ in range(4)))

    with without_places(made):
        assert {status for status, _ in asyncio.run(asked())} == {503}
    assert {status for status, _ in asyncio.run(asked())} == {200}
    made.state.service.database.close()
    assert made.front.front.flights == {}


def test_a_burst_with_tags_runs_one_statement(made: FastAPI) -> None:
    url = f"{FLOWS}?fields=id,year&year=2024"

    async def asked() -> list[Any]:
        return await asyncio.gather(*(ask(made, url, {"If-None-Match": '"of-another-release"'}) for _ in range(20)))

    with held_statements(made.state.service.database) as (taken, may_run):
        may_run.set()
        answers = asyncio.run(asked())
    assert len(taken) == 1
    assert {status for status, _ in answers} == {200}
