"""Releases that are told as they are published: every worker sees them at once, without a look in its time."""

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from conftest import ONE_ID, Workshop, run
from sqlalchemy import text
from starlette.testclient import TestClient
from test_http import flow, publish_invented, within
from tiny import newest
from trade_files import comtrade_text, take, written

from app import notice
from app.db import Database
from app.ingest.withdraw import withdraw
from app.main import create_app
from app.models import TradeFlow
from app.settings import Settings

TOPICS = "/v1/topics?limit=1"
AT_ONCE = 1.0
"""Seconds within which a release is seen; looks in their time come after an hour."""
LISTENS = "FROM pg_stat_activity WHERE query LIKE 'LISTEN%' AND datname = current_database()"


@pytest.fixture
def database(workshop: Workshop) -> Iterator[Database]:
    """Give a seeded database of PostgreSQL that the test may publish to."""
    found = workshop.copy("postgres")
    yield found
    workshop.remove(found)


@contextmanager
def patient(url: str) -> Iterator[TestClient]:
    """Give a client of a service that hears of releases, or looks after an hour."""
    with TestClient(create_app(Settings(database_url=url, release_ttl=3600)), headers=ONE_ID) as client:
        yield client


def release(client: TestClient) -> int:
    """Give the release that is answered of."""
    return int(client.get(TOPICS).json()["meta"]["release"])


def listeners(database: Database) -> list[int]:
    """Give the sessions that listen."""
    with database.read() as connection:
        return list(connection.execute(text(f"SELECT pid {LISTENS}")).scalars())


def is_listening(database: Database) -> bool:
    """Whether a worker listens."""
    return len(listeners(database)) == 1


def threads() -> set[threading.Thread]:
    """Give the threads that listen, those of other tests' services among them."""
    return {one for one in threading.enumerate() if one.name == "khorgos-notices"}


@pytest.mark.parametrize("how", ["seeds", "import", "withdrawal"])
def test_a_release_is_seen_at_once_without_a_look(database: Database, tmp_path: Path, how: str) -> None:
    publishes: dict[str, Callable[[], object]] = {
        "seeds": lambda: publish_invented(database, {TradeFlow: [flow(1)]}),
        "import": lambda: take(database, written(tmp_path / "a.csv", comtrade_text({}))),
        "withdrawal": lambda: withdraw(database, newest(database)),
    }
    if how == "withdrawal":
        publishes["import"]()
    with patient(database.settings.database_url) as client:
        before = release(client)
        assert release(client) == before == newest(database)
        assert within(5, lambda: is_listening(database))
        publishes[how]()
        assert within(AT_ONCE, lambda: release(client) == before + 1)


def test_a_listener_whose_session_ends_comes_back_and_says_so_once(
    database: Database, postgres_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    with patient(database.settings.database_url) as client, caplog.at_level(logging.INFO, "khorgos"):
        before = release(client)
        assert within(5, lambda: is_listening(database))
        (lost,) = listeners(database)
        run(postgres_url, f"SELECT pg_terminate_backend({lost})")
        assert within(5, lambda: bool(set(listeners(database)) - {lost}))
        publish_invented(database, {TradeFlow: [flow(1)]})
        assert within(AT_ONCE, lambda: release(client) == before + 1)
    assert len([one for one in caplog.messages if "notices" in one]) == 1


def test_what_was_published_while_nobody_listened_is_seen_once_somebody_does(
    database: Database, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notice, "FIRST", 1.0)
    with patient(database.settings.database_url) as client:
        before = release(client)
        assert within(5, lambda: is_listening(database))
        run(postgres_url, f"SELECT pg_terminate_backend({listeners(database)[0]})")
        assert within(5, lambda: not listeners(database))
        publish_invented(database, {TradeFlow: [flow(1)]})
        assert not listeners(database)
        assert within(5, lambda: release(client) == before + 1)


def test_a_service_ends_promptly_and_leaves_no_thread(database: Database) -> None:
    others = threads()
    with patient(database.settings.database_url) as client:
        release(client)
        assert within(5, lambda: is_listening(database))
        assert threads() - others
        began = time.monotonic()
    assert time.monotonic() - began < 2
    assert threads() <= others
    assert within(5, lambda: not listeners(database))


def test_a_service_whose_database_is_gone_ends_promptly_too(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    others = threads()
    with patient(f"postgresql://nobody@/nothing?host={tmp_path}") as client:
        assert client.get(TOPICS).status_code == 503
        time.sleep(0.5)  # several tries to listen
        began = time.monotonic()
    assert time.monotonic() - began < 2
    assert threads() <= others
    assert len([one for one in caplog.messages if "notices" in one]) == 1


def test_nobody_listens_where_there_is_no_notice(workshop: Workshop) -> None:
    others = threads()
    with patient(workshop.seeded("sqlite").settings.database_url) as client:
        assert release(client) > 0
        assert threads() <= others
