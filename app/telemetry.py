"""Traces by OpenTelemetry, where they are asked for: a span for each request, and one for each statement in it.

Where they go and how many are kept is told by the standard OTEL_* variables. No value of a statement is ever told.
"""

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, event
from sqlalchemy.engine import Engine
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.errors import NotInstalled
from app.ids import KEY, ROUTE, id_of

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import SpanProcessor

INSTALL = "pip install 'khorgos[otel]'"


def processor() -> "SpanProcessor":
    """Give what sends spans on, by OTLP over HTTP."""
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    return BatchSpanProcessor(OTLPSpanExporter())


class Traces:
    """The spans of one application. Raises NotInstalled where the libraries are missing."""

    def __init__(self) -> None:
        try:
            from opentelemetry import propagate, trace
            from opentelemetry.sdk.resources import Resource
            from opentelemetry.sdk.trace import TracerProvider

            made = processor()
        except ImportError as error:
            raise NotInstalled(f"KHORGOS_OTEL needs libraries that are not installed: {INSTALL}") from error
        name = {} if os.environ.get("OTEL_SERVICE_NAME") else {"service.name": "khorgos"}
        self.provider = TracerProvider(resource=Resource.create(name))
        self.provider.add_span_processor(made)
        self.tracer = self.provider.get_tracer("khorgos")
        self.trace, self.propagate = trace, propagate
        self.hooks: dict[str, Callable[..., Any]] = {
            "before_cursor_execute": self.begin,
            "after_cursor_execute": self.end,
            "handle_error": self.fail,
        }
        for when, hook in self.hooks.items():
            event.listen(Engine, when, hook)

    def follow(self, app: ASGIApp) -> ASGIApp:
        """Give an application each of whose requests is a span; those from within are part of theirs."""

        async def followed(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] != "http" or KEY in scope:
                await app(scope, receive, send)
                return
            headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
            caller = self.propagate.extract(headers)
            with self.tracer.start_as_current_span(scope["method"], caller, self.trace.SpanKind.SERVER) as span:

                async def sending(message: Message) -> None:
                    if message["type"] == "http.response.start":
                        span.set_attribute("http.response.status_code", message["status"])
                        if message["status"] >= 500:
                            span.set_status(self.trace.StatusCode.ERROR)
                    await send(message)

                try:
                    await app(scope, receive, sending)
                finally:
                    route = getattr(scope.get("route"), "path", scope.get(ROUTE))
                    span.set_attribute("http.request.method", scope["method"])
                    span.set_attribute("khorgos.request", id_of(scope))
                    if route:
                        span.update_name(f"{scope['method']} {route}")
                        span.set_attribute("http.route", route)

        return followed

    def begin(self, connection: Connection, _: Any, statement: str, *more: Any) -> None:
        """Begin the span of a statement within a request; others, such as looks for a release, have none."""
        if self.trace.get_current_span().get_span_context().is_valid and more[1] is not None:
            told = {"db.system.name": connection.dialect.name, "db.query.text": statement}
            word = statement.split(None, 1)[0].upper()
            more[1].khorgos_span = self.tracer.start_span(word, None, self.trace.SpanKind.CLIENT, told)

    def end(self, _: Connection, __: Any, ___: str, ____: Any, context: Any, *_____: Any) -> None:
        """End the span of a statement."""
        if span := getattr(context, "khorgos_span", None):
            span.end()

    def fail(self, failure: Any) -> None:
        """End the span of a statement that failed, with the kind of its error alone: its text may have values."""
        if span := getattr(failure.execution_context, "khorgos_span", None):
            span.set_status(self.trace.StatusCode.ERROR, type(failure.original_exception).__name__)
            span.end()

    def close(self) -> None:
        """Send what is left, and trace no more."""
        for when, hook in self.hooks.items():
            event.remove(Engine, when, hook)
        self.provider.shutdown()
