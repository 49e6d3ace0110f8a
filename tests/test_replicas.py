"""A read replica: it answers what the primary would, never an older answer, and each stands in for the other."""

import itertools
import logging
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest
from conftest import ONE_ID, Workshop, run
from sqlalchemy import Connection, Engine, event
from standby import Pair
from starlette.testclient import TestClient
from test_http import URLS, flow, publish_invented, within
from test_overload import running
from test_refusals import khorgos
from tiny import newest

import app.main
from app.db import Database
from app.errors import DatabaseUnavailable, InvalidSetting, SchemaMismatch
from app.main import create_app
from app.models import TradeFlow
from app.settings import Settings

ROWS = 7
FLOWS = "/v1/trade/flows?source=invented&limit=3"
numbers = itertools.count(1)


@pytest.fixture(scope="module")
def both() -> Iterator[Pair]:
    """Give a primary and its standby."""
    made = Pair()
    yield made
    made.close()


@pytest.fixture
def pair(both: Pair) -> Iterator[Pair]:
    """Give the two as they run, and start what the test has ended."""
    publish(both)
    both.caught_up()
    yield both
    both.database.close()
    both.start()


def publish(pair: Pair) -> int:
    """Publish flows whose values are of this publication alone; give the number of the release."""
    values = [next(numbers) for _ in range(ROWS)]
    publish_invented(pair.database, {TradeFlow: [flow(n, value_usd=value) for n, value in enumerate(values)]})
    number = newest(pair.database)
    pair.values[number] = values
    return number


@contextmanager
def service(pair: Pair, **settings: Any) -> Iterator[TestClient]:
    """Give a client of a service over both, which keeps no answer and remembers nothing for long."""
    usual = {"release_ttl": 0, "cache_bytes": 0}
    made = create_app(Settings(**pair.urls, **{**usual, **settings}))
    with TestClient(made, raise_server_exceptions=False, headers=ONE_ID) as client:
        yield client


def walk(client: Any, path: str = FLOWS) -> tuple[int, list[int]]:
    """Read a list to its end; give the one release of all its pages, and the values."""
    releases, values = set(), []
    while path:
        answer = client.get(path)
        assert answer.status_code == 200, answer.text
        page = answer.json()
        releases.add(page["meta"]["release"])
        values += [row["value_usd"] for row in page["data"]]
        path = page["links"]["next"]
    (release,) = releases
    return release, sorted(values)


@contextmanager
def answering(pair: Pair) -> Iterator[set[str]]:
    """Give which of the two are asked for flows meanwhile."""
    found: set[str] = set()
    names = {url.rpartition("=")[2]: name for name, url in zip(("primary", "replica"), pair.urls.values(), strict=True)}

    def note(connection: Connection, cursor: Any, statement: str, *_: Any) -> None:
        if "FROM trade_flows" in statement:
            found.add(names[str(connection.engine.url.query["host"])])

    event.listen(Engine, "before_cursor_execute", note)
    try:
        yield found
    finally:
        event.remove(Engine, "before_cursor_execute", note)


def ready(client: TestClient) -> dict[str, Any]:
    """Give what `/readyz` says."""
    answer = client.get("/readyz")
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


# Both are there


def test_answers_come_from_the_replica(pair: Pair) -> None:
    number = newest(pair.database)
    values = pair.values[number]
    with service(pair) as client, answering(pair) as asked:
        assert walk(client) == (number, values)
        for path in (f"{FLOWS}&format=csv", "/v1/trade/totals?group_by=year", "/sdmx/2.1/data/TRADE"):
            assert client.get(path).status_code == 200
        assert ready(client) == {"status": "ready", "release": number}
    assert asked == {"replica"}


def test_every_answer_is_the_same_from_both(pair: Pair, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    paths = [url for path, url in URLS.items() if path.startswith(("/v1", "/sdmx")) and "charts" not in path]
    with (
        service(pair, export_folder=str(tmp_path / "replica")) as from_replica,
        TestClient(
            create_app(
                Settings(database_url=pair.urls["database_url"], cache_bytes=0, export_folder=str(tmp_path / "primary"))
            ),
            headers=ONE_ID,
        ) as from_primary,
    ):
        assert len(paths) > 40
        for path in (*paths, FLOWS, f"{FLOWS}&format=ndjson", "/v1/trade/flows?format=csv"):
            one, other = from_replica.get(path), from_primary.get(path)
            assert one.status_code < 500
            assert (one.status_code, one.content, dict(one.headers)) == (
                *(other.status_code, other.content),
                dict(other.headers),
            ), path


# The replica lags


def test_a_release_is_seen_at_once_though_the_replica_lags(pair: Pair) -> None:
    with service(pair) as client:
        before, old = walk(client)
        pair.hold()
        after = publish(pair)
        values = pair.values[after]
        assert values != old
        assert walk(client) == (after, values)
        assert walk(client, f"{FLOWS}&release={after}") == (after, values)
        assert walk(client, f"{FLOWS}&release={before}") == (before, old)
        assert ready(client) == {"status": "ready", "release": after}
        pair.go_on()
        time.sleep(0.1)  # for so long it is not asked again
        with answering(pair) as asked:
            assert walk(client) == (after, values)
        assert asked == {"replica"}


def test_a_cursor_is_followed_in_its_release_whichever_answers(pair: Pair) -> None:
    with service(pair) as client:
        before, old = walk(client)
        first = client.get(FLOWS).json()
        pair.hold()
        after = publish(pair)
        second = client.get(FLOWS).json()
        rest = [walk(client, one["links"]["next"]) for one in (first, second)]
        pair.go_on()
        again = [walk(client, one["links"]["next"]) for one in (first, second)]
    assert [one["meta"]["release"] for one in (first, second)] == [before, after]
    for (release, values), one, whole in zip(rest, (first, second), (old, pair.values[after]), strict=True):
        assert release == one["meta"]["release"]
        assert sorted(values + [row["value_usd"] for row in one["data"]]) == whole
    assert again == rest


def test_past_releases_are_read_from_a_replica_that_lags(pair: Pair) -> None:
    before = newest(pair.database)
    pair.hold()
    after = publish(pair)
    with service(pair) as client:
        with answering(pair) as asked:
            assert walk(client)[0] == after
        assert asked == {"primary"}
        with answering(pair) as asked:
            assert walk(client, f"{FLOWS}&release={before}")[0] == before
        assert asked == {"replica"}


def test_a_replica_that_is_set_back_does_not_answer_of_what_it_had(pair: Pair) -> None:
    pair.keep()
    after = publish(pair)
    values = pair.values[after]
    pair.caught_up()
    with service(pair) as client:
        with answering(pair) as asked:
            assert walk(client) == (after, values)
        assert asked == {"replica"}
        pair.set_back()
        assert [walk(client), walk(client, f"{FLOWS}&release={after}")] == [(after, values)] * 2
        assert walk(client, f"{FLOWS}&release={after - 1}")[0] == after - 1


def test_a_standby_alone_is_served_and_its_silence_is_told_once(pair: Pair, caplog: pytest.LogCaptureFixture) -> None:
    made = create_app(Settings(database_url=pair.urls["read_database_url"], release_ttl=0))
    with TestClient(made) as client:
        before = walk(client)
        time.sleep(0.5)  # several tries to listen
        after = publish(pair)
        pair.caught_up()
        assert before[0] < after
        assert walk(client) == (after, pair.values[after])
    assert len([one for one in caplog.messages if "notices" in one]) == 1


# One of them is lost


def test_the_primary_answers_while_the_replica_is_lost(pair: Pair, caplog: pytest.LogCaptureFixture) -> None:
    with service(pair) as client, caplog.at_level(logging.INFO, "khorgos"):
        before = walk(client)
        pair.stop(pair.replica)
        assert [walk(client) for _ in range(5)] == [before] * 5
        assert ready(client) == {"status": "degraded", "release": before[0], "lost": ["replica"]}
        after = publish(pair)
        assert walk(client) == (after, pair.values[after])
        pair.start()
        assert within(5, lambda: ready(client)["status"] == "ready")
        assert walk(client) == (after, pair.values[after])
    assert [one for one in caplog.messages if "replica" in one] == [
        "the replica cannot be reached: the other database answers",
        "the replica is back",
    ]


def test_the_replica_answers_while_the_primary_is_lost(pair: Pair) -> None:
    with service(pair) as client:
        before = walk(client)
        pair.stop(pair.primary)
        assert [walk(client) for _ in range(5)] == [before] * 5
        assert walk(client, f"{FLOWS}&release={before[0] - 1}")[0] == before[0] - 1
        assert ready(client) == {"status": "degraded", "release": before[0], "lost": ["primary"]}
        with service(pair) as fresh:
            assert walk(fresh) == before
        pair.start()
        assert within(5, lambda: ready(client)["status"] == "ready")
        after = publish(pair)
        assert walk(client) == (after, pair.values[after])


def test_no_older_release_is_current_than_was_told_before_the_primary_was_lost(pair: Pair) -> None:
    with service(pair) as client:
        before, old = walk(client)
        pair.hold()
        after = publish(pair)
        values = pair.values[after]
        assert walk(client) == (after, values)
        assert pair.has_received()
        pair.stop(pair.primary)
        lacking = client.get(FLOWS)
        assert (lacking.status_code, lacking.json()["code"]) == (503, "KHG503")
        assert "Retry-After" in lacking.headers
        assert walk(client, f"{FLOWS}&release={before}") == (before, old)
        assert ready(client) == {"status": "degraded", "release": after, "lost": ["primary"]}
        run(pair.replica.get_uri(), "SELECT pg_wal_replay_resume()")
        assert within(5, lambda: client.get(FLOWS).status_code == 200)
        assert walk(client) == (after, values)


def test_both_lost_are_503_until_one_is_back(pair: Pair) -> None:
    with service(pair) as client:
        before = walk(client)
        for server in (pair.primary, pair.replica):
            pair.stop(server)
        answers = [client.get(path) for path in (FLOWS, "/readyz", FLOWS)]
        assert [(one.status_code, one.json()["code"]) for one in answers] == [(503, "KHG503")] * 3
        pair.replica.ensure_postgres_running()
        assert within(10, lambda: client.get(FLOWS).status_code == 200)
        assert walk(client) == before


def test_a_query_that_the_replica_ends_to_keep_up_is_503(pair: Pair) -> None:
    standby = Database(Settings(database_url=pair.urls["read_database_url"]))
    change = "BEGIN; LOCK TABLE topics IN ACCESS EXCLUSIVE MODE; COMMIT"
    changing = threading.Timer(0.3, lambda: run(pair.urls["database_url"], change))
    changing.start()
    with pytest.raises(DatabaseUnavailable, match="keep up"), standby.read() as connection:
        connection.exec_driver_sql("SELECT count(*), pg_sleep(4) FROM topics")
    changing.join()
    standby.close()


# What cannot be a replica


@pytest.mark.parametrize(
    ("main", "read", "said"),
    [
        ("postgresql://u:secret@h/d", "sqlite:///a.db", "KHORGOS_READ_DATABASE_URL must be the URL of a standby"),
        ("postgresql://u:secret@h/d", "mysql://u:secret@h/d", "KHORGOS_READ_DATABASE_URL must be the URL of a standby"),
        ("postgresql://u:secret@h/d", "no url: secret", "KHORGOS_READ_DATABASE_URL must be the URL of a standby"),
        ("sqlite:///a.db", "postgresql://u:secret@h/d", "and KHORGOS_DATABASE_URL names SQLite"),
    ],
)
def test_what_cannot_be_a_replica_is_refused(main: str, read: str, said: str) -> None:
    with pytest.raises(InvalidSetting) as refused:
        create_app(Settings(database_url=main, read_database_url=read))
    assert said in refused.value.detail
    assert "secret" not in refused.value.detail


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_service_does_not_start_with_a_wrong_replica(tmp_path: Path, workers: str) -> None:
    url = "postgresql://u:secret@h/d"
    done = khorgos(tmp_path, "serve", "--port", "0", "--workers", workers, KHORGOS_READ_DATABASE_URL=url)
    said = "KHG206 KHORGOS_READ_DATABASE_URL is of a replica, and KHORGOS_DATABASE_URL names SQLite\n"
    assert (done.returncode, done.stdout, done.stderr) == (1, "", said)
    assert list(tmp_path.iterdir()) == []


def test_a_replica_of_another_schema_is_refused(
    pair: Pair, workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app.main, "REPLAY", 0.1)
    other = workshop.make("postgres")
    urls = {**pair.urls, "read_database_url": other.settings.database_url}
    with pytest.raises(SchemaMismatch), TestClient(create_app(Settings(**urls))):
        pass
    workshop.remove(other)


# Many workers under load


PUBLISHES = 10
LATE = 1.0
"""Seconds after which nobody may be answered of the release before."""


def test_four_workers_under_load_show_ten_publications_in_time_and_never_mixed(
    pair: Pair, record_property: Any
) -> None:
    told: list[tuple[float, int]] = [(time.monotonic(), newest(pair.database))]
    seen: list[tuple[float, float, int, list[int]]] = []
    over = threading.Event()
    environment = {"KHORGOS_READ_DATABASE_URL": pair.urls["read_database_url"]}

    def read(port: int) -> None:
        with httpx2.Client(base_url=f"http://127.0.0.1:{port}", timeout=20) as client:
            while not over.is_set():
                began = time.monotonic()
                release, values = walk(client)
                seen.append((began, time.monotonic(), release, values))

    with running(pair.database, "--workers", "4", **environment) as server, ThreadPoolExecutor(4) as pool:
        readers = [pool.submit(read, server.port) for _ in range(4)]
        try:
            for _ in range(PUBLISHES):
                time.sleep(0.4)
                number = publish(pair)
                told.append((time.monotonic(), number))
            time.sleep(LATE + 0.2)
        finally:
            over.set()
        for one in readers:
            one.result()
    assert [one for one in seen if one[3] != pair.values[one[2]]] == []
    delays = [began - at for began, _, release, _ in seen for at, number in told if release < number and began > at]
    assert max(delays, default=0.0) <= LATE
    assert {release for _, _, release, _ in seen} >= {number for _, number in told[1:]}
    figure = f"{len(seen)} lists by 4 workers over {PUBLISHES} publications: the latest of an older one began "
    record_property("figure", f"{figure}{1000 * max(delays, default=0.0):.0f} ms after the next was published")
