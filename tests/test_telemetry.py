"""Traces: a span for each request and each statement in it, and no value in any."""

import sys
from collections.abc import Iterator

import pytest
from conftest import Workshop
from direct import Direct, direct
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode
from sqlalchemy import text
from test_http import break_answers

from app import telemetry
from app.errors import NotInstalled, SchemaMismatch
from app.main import create_app
from app.settings import Settings

SECRET = "kazakhstan"


@pytest.fixture
def kept(monkeypatch: pytest.MonkeyPatch) -> InMemorySpanExporter:
    """Give what keeps spans in memory."""
    exporter = InMemorySpanExporter()
    monkeypatch.setattr(telemetry, "processor", lambda: SimpleSpanProcessor(exporter))
    return exporter


@pytest.fixture
def traced(workshop: Workshop, kept: InMemorySpanExporter, engine: str) -> Iterator[Direct]:
    """Give a service that traces."""
    with direct(workshop.seeded(engine), otel=True) as asked:
        yield asked
        asked.app.state.traces.close()


def spans(kept: InMemorySpanExporter) -> list[ReadableSpan]:
    """Give the spans so far, and forget them."""
    found = list(kept.get_finished_spans())
    kept.clear()
    return found


def test_a_request_is_a_span_with_its_statements_in_it(traced: Direct, kept: InMemorySpanExporter) -> None:
    spans(kept)
    answer = traced.ask(f"/v1/trade/flows?country={SECRET}&year=2024", headers=[("X-Request-Id", "mine")])
    *statements, request = spans(kept)
    assert (answer.status, request.name, request.kind) == (200, "GET /v1/trade/flows", SpanKind.SERVER)
    assert dict(request.attributes) == {
        "http.request.method": "GET",
        "http.route": "/v1/trade/flows",
        "http.response.status_code": 200,
        "khorgos.request": "mine",
    }
    assert statements and all(one.parent.span_id == request.context.span_id for one in statements)
    for one in statements:
        assert one.name == "SELECT" and one.attributes["db.system.name"] in ("sqlite", "postgresql")
        assert not {"2024", "KAZ", SECRET} & set(one.attributes["db.query.text"].replace("'", " ").split())


def test_a_kept_answer_has_its_route_and_no_statement(traced: Direct, kept: InMemorySpanExporter) -> None:
    traced.ask("/v1/topics/technology")
    spans(kept)
    traced.ask("/v1/topics/technology")
    (request,) = spans(kept)
    assert request.name == "GET /v1/topics/{slug}"


def test_a_page_is_one_span_of_a_request(traced: Direct, kept: InMemorySpanExporter) -> None:
    traced.ask("/trade")
    assert [one.name for one in spans(kept) if one.kind is SpanKind.SERVER] == ["GET /trade"]


def test_a_caller_s_trace_goes_on(traced: Direct, kept: InMemorySpanExporter) -> None:
    traced.ask("/nothing", headers=[("traceparent", f"00-{'a' * 32}-{'b' * 16}-01")])
    (request,) = [one for one in spans(kept) if one.kind is SpanKind.SERVER]
    assert f"{request.context.trace_id:032x}" == "a" * 32
    assert (request.attributes["http.response.status_code"], request.name) == (404, "GET")


def test_a_statement_that_fails_is_an_error_without_its_values(traced: Direct, kept: InMemorySpanExporter) -> None:
    service = traced.app.state.service
    spans(kept)
    with (
        traced.app.state.traces.tracer.start_as_current_span("request"),
        pytest.raises(SchemaMismatch),
        service.database.read() as connection,
    ):
        connection.execute(text("SELECT :secret FROM nowhere"), {"secret": SECRET})
    statement, _ = spans(kept)
    assert (statement.status.status_code, statement.name) == (StatusCode.ERROR, "SELECT")
    assert SECRET not in statement.to_json()


def test_a_request_that_fails_is_an_error(
    traced: Direct, kept: InMemorySpanExporter, monkeypatch: pytest.MonkeyPatch
) -> None:
    break_answers(monkeypatch)
    assert traced.ask("/v1/quotes?sort=id").status == 500
    assert spans(kept)[-1].status.status_code is StatusCode.ERROR


def test_a_missing_library_is_told_with_the_line_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace", None)
    with pytest.raises(NotInstalled, match=r"pip install 'khorgos\[otel\]'"):
        create_app(Settings(database_url="sqlite:///never-opened.db", otel=True))


def test_without_the_setting_nothing_is_traced(workshop: Workshop, kept: InMemorySpanExporter) -> None:
    with direct(workshop.seeded("sqlite")) as asked:
        asked.ask("/v1/topics")
    assert spans(kept) == []
