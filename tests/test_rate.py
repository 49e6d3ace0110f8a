"""How often one client may ask: 429 with when to come back, and the limits on every answer."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from conftest import Workshop
from direct import Answer, Direct, direct
from test_http import raw
from test_hygiene import listening

from app import rate
from app.guard import SECURITY
from app.main import create_app
from app.rate import Rate, Windows, client_of
from app.server import Patient
from app.settings import Settings


@pytest.fixture
def asked(workshop: Workshop, request: pytest.FixtureRequest) -> Iterator[Direct]:
    """Give a service with the limits of a test."""
    with direct(workshop.seeded("sqlite"), **request.param) as found:
        yield found


def limited(**settings: Any) -> pytest.MarkDecorator:
    """Let a test have a service with these settings."""
    return pytest.mark.parametrize("asked", [settings], indirect=True)


def told(answer: Answer) -> dict[str, str]:
    """Give the headers of an answer."""
    return dict(answer.headers)


@limited(rate_limit="3/minute")
def test_who_asks_too_often_is_told_when_to_come_back(asked: Direct) -> None:
    answers = [asked.ask("/v1/topics") for _ in range(5)]
    assert [one.status for one in answers] == [200, 200, 200, 429, 429]
    refused, headers = answers[3], told(answers[3])
    assert (refused.json()["code"], refused.json()["status"]) == ("KHG120", 429)
    assert refused.json()["detail"] == "more than 3 in 60 seconds requests came from this address"
    assert headers["content-type"] == "application/problem+json" and headers["cache-control"] == "no-store"
    assert 1 <= int(headers["retry-after"]) <= 60
    assert {name: headers[name.lower()] for name in SECURITY} == SECURITY


@limited(rate_limit="3/minute")
def test_every_answer_tells_the_limits_and_what_is_left(asked: Direct) -> None:
    targets = ("/v1/topics", "/nothing", "/v1/topics", "/v1/topics")
    for left, target in zip((2, 1, 0, 0), targets, strict=True):
        headers = told(asked.ask(target))
        assert headers["ratelimit-policy"] == '"requests-60s";q=3;w=60'
        found = re.fullmatch(r'"requests-60s";r=(\d+);t=(\d+)', headers["ratelimit"])
        assert found and int(found[1]) == left and 1 <= int(found[2]) <= 60


@limited(rate_limit="600/minute; 2/second")
def test_several_limits_hold_at_once(asked: Direct) -> None:
    answers = [asked.ask("/v1/topics") for _ in range(3)]
    assert told(answers[0])["ratelimit-policy"] == '"requests-1s";q=2;w=1, "requests-60s";q=600;w=60'
    assert [one.status for one in answers][:2] == [200, 200] and answers[2].status in (200, 429)


@limited()
def test_without_a_setting_nothing_is_counted(asked: Direct) -> None:
    assert asked.app.front.rate is None
    assert not {"ratelimit", "ratelimit-policy"} & told(asked.ask("/v1/topics")).keys()


@limited(rate_limit="1/hour")
def test_health_is_not_counted(asked: Direct) -> None:
    assert [asked.ask(path).status for path in ("/healthz", "/readyz") * 3] == [200] * 6
    assert [asked.ask("/metrics").status for _ in range(2)] == [200, 429]


@limited(rate_limit="3/hour")
def test_methods_and_refusals_count_alike(asked: Direct) -> None:
    statuses = [asked.ask("/v1/topics", method).status for method in ("POST", "HEAD", "OPTIONS", "GET", "DELETE")]
    assert statuses == [405, 200, 204, 429, 429]


@limited(rate_limit="1/hour")
def test_what_a_page_asks_from_within_is_not_counted_again(asked: Direct) -> None:
    assert [asked.ask("/trade").status for _ in range(2)] == [200, 429]


@limited(export_rate_limit="2/hour", cache_bytes=0)
def test_exports_have_a_limit_of_their_own(asked: Direct) -> None:
    answers = [asked.ask(f"/v1/topics?format={one}") for one in ("csv", "ndjson", "parquet", "csv")]
    assert [one.status for one in answers] == [200, 200, 429, 429]
    assert told(answers[0])["ratelimit-policy"] == '"exports-3600s";q=2;w=3600'
    assert told(answers[0])["ratelimit"].startswith('"exports-3600s";r=1;t=')
    assert answers[2].json()["code"] == "KHG120" and int(told(answers[2])["retry-after"]) > 60
    page = asked.ask("/v1/topics")
    assert page.status == 200 and "ratelimit" not in told(page)
    assert asked.ask("/v1/topics?format=csv", "HEAD").status == 200  # takes no place


@pytest.mark.parametrize(("trusted", "status"), [("", b"429"), ("192.0.2.0/24", b"429"), ("127.0.0.0/8", b"200")])
def test_an_address_that_a_header_names_is_believed_of_trusted_proxies_alone(
    workshop: Workshop, trusted: str, status: bytes
) -> None:
    url = workshop.seeded("sqlite").settings.database_url
    made = create_app(Settings(database_url=url, rate_limit="2/hour", forwarded_allow_ips=trusted))
    told = {"proxy_headers": bool(trusted), "forwarded_allow_ips": trusted}  # as `khorgos serve` tells it
    with listening(made, Patient, **told) as port:
        statuses = [
            raw(
                port,
                f"GET /v1 HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 198.51.100.{number}\r\n"
                f"Forwarded: for=198.51.100.{number}\r\nX-Real-IP: 198.51.100.9\r\nConnection: close\r\n\r\n".encode(),
            ).split(b" ", 2)[1]
            for number in range(4)
        ]
    assert statuses == [b"200", b"200", status, status]


@pytest.mark.parametrize(
    ("one", "other", "is_same"),
    [
        ("192.0.2.1", "192.0.2.2", False),
        ("2001:db8:1:2::1", "2001:db8:1:2:ffff::9", True),
        ("2001:db8:1:2::1", "2001:db8:1:3::1", False),
        ("::ffff:192.0.2.1", "192.0.2.1", True),
        ("fe80::1%eth0", "fe80::2%eth1", True),
        ("not:an:address", "not:an:address", True),
    ],
)
def test_an_ipv6_address_counts_by_its_network(one: str, other: str, is_same: bool) -> None:
    clients = [client_of({"client": (host, 1)}) for host in (one, other)]
    assert (clients[0] == clients[1]) is is_same


def test_who_has_no_address_counts_as_one() -> None:
    assert client_of({"client": None}) == client_of({}) == "-"


def test_addresses_by_the_thousand_fill_no_memory() -> None:
    held = Rate("5/hour;9/day", "", most=100)
    for number in range(5000):
        held.visit({"client": (f"2001:db8:{number:x}::1", 1)}).count()
    assert len(held.windows) == 100


def test_a_window_ends_and_another_begins(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1000.0]
    monkeypatch.setattr(rate.time, "time", lambda: now[0])
    windows = Windows()
    assert [windows.incr("a", 60) for _ in range(3)] == [1, 2, 3]
    assert (windows.get("a"), windows.get_expiry("a")) == (3, 1060.0)
    now[0] = 1060.0
    assert windows.get("a") == 0
    assert windows.incr("a", 60) == 1
    windows.clear("a")
    assert (len(windows), windows.get("a"), windows.reset(), windows.check()) == (0, 0, 0, True)
