"""What the stack does by itself with hostile input, by the numbers of our notes, and that we do not."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

import pytest
from bare_stack import bare
from conftest import ENGINES, Workshop
from direct import Answer, Direct, direct
from sqlalchemy import Engine, create_engine

from app.db import Database
from app.settings import Settings

NOBODY = "postgresql+psycopg://nobody@127.0.0.1:1/nothing?connect_timeout=2"
"""A database that cannot be reached."""
OPERATORS = ("'", "%22", "*", "%5C", "a AND", "NEAR(", "a OR", "(", ")", "a:b", "-a", "{a}", "%2Ba")
"""Words that full text of SQLite takes for its own language."""
MANY = ",".join(f"a{number}" for number in range(1001))
BARE = {
    "M4": ("postgres", ("/text?q=%00",), 500),
    "M5": ("sqlite", ("/number?n=9223372036854775808",), 500),
    "M6": ("sqlite", ("/echo?x=NaN", "/echo?x=1e999", "/echo?x=-Infinity"), 500),
    "M7": ("sqlite", ("/number?n=1_000", "/number?n=1.0", "/number?n=%2B1", "/number?n=%201"), 200),
    "M16": ("sqlite", tuple(f"/words?q={word}" for word in OPERATORS), 500),
    "M17": ("sqlite", (f"/list?slugs={MANY}",), 500),
}
"""Defects of the stack by itself: on which engine, what is asked, and what it answers."""
FLOWS = "/v1/trade/flows"
OURS = {
    "M4": (("/v1/search?q=%00", f"{FLOWS}?product=%00", "/v1/topics/%00", "/v1/quotes?q=a%00b"), 422),
    "M5": (
        (f"{FLOWS}?value_min=9223372036854775808", f"{FLOWS}?year=99999999999999999999", f"{FLOWS}?limit=1" + "0" * 40),
        422,
    ),
    "M6": (tuple(f"/v1/trade/shares?share_min={word}" for word in ("NaN", "1e999", "-Infinity", "inf", "nan")), 422),
    "M7": (
        tuple(
            f"{FLOWS}?{name}={odd}"
            for name in ("year", "limit", "value_min")
            for odd in ("1_000", "1.0", "%2B1", "%201")
        ),
        422,
    ),
    "M16": (
        tuple(
            f"/v1/{where}?q={word}"
            for where in ("search", "quotes", "products")
            for word in (*OPERATORS[4:7], *OPERATORS[9:])
        ),
        200,
    ),
    "M17": (
        tuple(
            f"/v1/{where}={MANY[:990].rsplit(',', 1)[0]}"
            for where in ("trade/flows?product", "topics?fields", "projects?country")
        ),
        422,
    ),
}
"""The same asked of us, on both engines."""


def status(service: Direct, target: str, method: str = "GET") -> int:
    """Give the status that a bare application answers; what it raises is a 500 to a client."""
    try:
        return service.ask(target, method).status
    except Exception:
        return 500


@contextmanager
def bare_over(url: Any, **options: Any) -> Iterator[tuple[Direct, Engine]]:
    """Give a bare application over a database."""
    engine = create_engine(url, **options)
    with closing(Direct(bare(engine))) as service:
        yield service, engine
    engine.dispose()


@pytest.fixture(scope="module")
def asked(workshop: Workshop) -> Iterator[dict[str, Direct]]:
    """Give our service over each engine."""
    with direct(workshop.seeded("sqlite")) as embedded, direct(workshop.seeded("postgres")) as server:
        yield {"sqlite": embedded, "postgres": server}


@pytest.mark.parametrize("defect", BARE)
def test_a_bare_stack_has_the_defect(workshop: Workshop, defect: str) -> None:
    engine, targets, expected = BARE[defect]
    with bare_over(workshop.seeded(engine).url) as (service, _):
        assert {target: status(service, target) for target in targets} == dict.fromkeys(targets, expected)


@pytest.mark.parametrize("defect", OURS)
def test_we_do_not_have_the_defect(asked: dict[str, Direct], defect: str) -> None:
    targets, expected = OURS[defect]
    for target in targets:
        answers = [asked[engine].ask(target.replace(" ", "%20")) for engine in ENGINES]
        assert [one.status for one in answers] == [expected] * 2, (target, answers[0].body[:300])
        assert answers[0].said == answers[1].said, target


def test_m10_a_bare_stack_refuses_head_and_options_and_we_answer_them(
    workshop: Workshop, asked: dict[str, Direct]
) -> None:
    with bare_over(workshop.seeded("sqlite").url) as (service, _):
        assert [status(service, "/echo?x=1", method) for method in ("GET", "HEAD", "OPTIONS")] == [200, 405, 405]
    for ours in asked.values():
        assert [ours.ask("/v1/topics", method).status for method in ("GET", "HEAD", "OPTIONS")] == [200, 200, 204]


def test_m8_a_bare_stack_fails_where_no_connection_is_free_and_we_say_when_to_come_back(workshop: Workshop) -> None:
    database = workshop.seeded("sqlite")
    with bare_over(database.url, pool_size=1, max_overflow=0, pool_timeout=0.05) as (service, engine):
        with engine.connect():
            assert status(service, "/text?q=a") == 500
        assert status(service, "/text?q=a") == 200
    with direct(database, connections=1, pool_wait=0.1) as ours:
        running = ours.app.state.service
        assert ours.ask("/v1/topics").status == 200
        with running.database.reader(running.settings.statement_timeout).connect():
            held(ours.ask("/v1/topics?limit=2"))
        assert ours.ask("/v1/topics?limit=2").status == 200


def test_m9_a_bare_stack_fails_without_its_database_and_we_say_when_to_come_back() -> None:
    with bare_over(NOBODY) as (service, _):
        assert status(service, "/text?q=a") == 500
    with direct(Database(Settings(database_url=NOBODY))) as ours:
        held(ours.ask("/v1/topics"))
        held(ours.ask("/readyz"))
        assert ours.ask("/healthz").status == 200


def held(answer: Answer) -> None:
    """Hold an answer to be a problem that tells when to come back."""
    told = dict(answer.headers)
    assert (answer.status, told["content-type"]) == (503, "application/problem+json"), answer.body
    assert int(told["retry-after"]) >= 1
