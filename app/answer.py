"""From a settled request to its answer: 304, page, evidence, bytes. What is the same for every resource.

An answer is a function of release, request and format. A list is one SELECT (a count and the evidence of the page are
one more each); a table without a limit streams, its first rows fetched before the headers are sent, and a failure
after that breaks the connection so that no short file passes for a whole one.
"""

import re
import time
from collections.abc import AsyncIterator, Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from itertools import chain
from typing import Any, cast

import anyio
import orjson
from anyio.lowlevel import checkpoint
from pydantic import BaseModel
from sqlalchemy import Connection
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Message, Receive, Scope, Send

from app.ask import Ask, asked
from app.cursors import read_cursor, write_cursor
from app.db import BATCH
from app.empty import why_empty
from app.errors import Contradiction, Fault, NoSuchRecord, OverLimit, QueryTimeout
from app.evidence import cited
from app.filters import Clause, clauses_of
from app.formats import JSON, JSON_MEDIA, WRITTEN, flat
from app.formats.base import Cited, Column, Format, Kind, Sheet
from app.nearest import nearest
from app.params import ListParams, RecordParams, TableParams, refuse_unknown_fields
from app.plan import Plan, Selected, plan_list, plan_record
from app.query import Resource, chosen, column_of, select_rows

Narrow = Callable[[Ask, Resource, tuple[Clause, ...]], tuple[Resource, tuple[Clause, ...]]]
"""Makes a resource of its own out of a request, where the table alone does not answer it."""


def unchanged(ask: Ask) -> Response:
    """Tell a client that it holds the answer."""
    return Response(status_code=304, headers=ask.headers)


def answer(request: Request, params: ListParams, resource: Resource, narrow: Narrow | None = None) -> Response:
    """Answer a list: a page in JSON, a page or all of it in the other formats."""
    ask = asked(request, params, resource.record)
    bound: Any = ask.params
    origin = (resource, clauses_of(bound, ask.edition))
    resource, clauses = narrow(ask, *origin) if narrow else origin
    refuse_shape(ask, resource)
    plan = plan_list(ask, resource, clauses, origin)
    after = read_cursor(bound.cursor, plan) if bound.cursor else None
    if ask.is_known:
        return unchanged(ask)
    if ask.format != JSON and bound.limit is None:
        return at_once(plan, after) if WRITTEN[ask.format].most_rows else stream(plan, after)
    timeout = ask.service.settings.search_timeout if getattr(bound, "q", None) else None
    with ask.read(timeout) as connection:
        return page(connection, plan, after)


def answer_rows(
    request: Request,
    params: TableParams,
    row: type[BaseModel],
    make: Callable[[Connection, Ask], tuple[list[dict[str, Any]], dict[str, Any]]],
) -> Response:
    """Answer a short table that is computed, whole; `make` gives its rows and more of `meta`."""
    ask = asked(request, params)
    names = tuple(row.model_fields)
    refuse_unknown_fields(params.fields, names)
    if ask.is_known:
        return unchanged(ask)
    with ask.read() as connection:
        found, more = make(connection, ask)
        kept = params.fields or names
        if ask.format != JSON:
            columns = tuple(column_of(name, row.model_fields[name]) for name in kept)
            cite, stated = cited_by(connection, ask), sources_in(found)
            edition = ask.edition
            sheet = Sheet(
                row.__name__,
                columns,
                edition.number,
                ask.link(),
                lambda slugs: cite(slugs | stated),
                edition.published_at,
            )
            return written(ask, sheet, [cells_of(one, found) for one in columns] if found else [])
    body = [{name: one[name] for name in kept} for one in found]
    meta = {"total": len(body), "limit": None, "release": ask.edition.number, "warnings": [], **more}
    return json_response(ask, {"data": body, "meta": meta, "links": {"self": ask.link(), "next": None}})


def cells_of(column: Column, found: Sequence[Mapping[str, Any]]) -> list[Any]:
    """Give a column of a computed table: in one of text, what is nested is JSON."""
    values = [one[column.name] for one in found]
    return list(map(flat, values)) if column.kind is Kind.TEXT else values


def sources_in(value: Any) -> set[str]:
    """Give the sources that rows name, and what is nested in them does."""
    if isinstance(value, dict):
        own = {str(value["source"])} if value.get("source") else set()
        return own.union(*map(sources_in, value.values()))
    return set().union(*map(sources_in, value)) if isinstance(value, list | tuple) else set()


def answer_one(
    request: Request,
    params: RecordParams,
    resource: Resource,
    find: Callable[[Ask], Clause],
    more: Callable[[Connection, Ask, dict[str, Any]], dict[str, Any]] | None = None,
) -> Response:
    """Answer a single record, with `more` of it that no list shows. Raises NoSuchRecord."""
    ask = asked(request, params)
    wanted = params.fields or (*chosen(resource, ()), *sorted(resource.extras))
    chosen(resource, [name for name in wanted if name not in resource.extras])
    extra = [name for name in wanted if name in resource.extras]
    clause = find(ask)
    plan = plan_record(ask, resource, clause, () if extra else wanted)
    if ask.is_known:
        return unchanged(ask)
    with ask.read() as connection:
        found = plan.records(connection, plan.page(connection, None, 1)[0])
        if not found:
            raise no_such(connection, plan, clause)
        record = found[0]
        if more is not None and extra:
            record |= more(connection, ask, record)
    body = {name: record[name] for name in (params.fields or record)}
    meta = {"release": ask.edition.number, "warnings": []}
    return json_response(ask, {"data": body, "meta": meta, "links": {"self": ask.link()}})


def no_such(connection: Connection, plan: "Plan", clause: Clause) -> NoSuchRecord:
    """Say that a record does not exist, and which one is like it."""
    known: list[str] = []
    if len(clause.columns) == 1:
        query = select_rows(plan.resource, (), plan.ask.edition.number, clause.columns).distinct().limit(BATCH)
        known = [str(value) for (value,) in connection.execute(query)]
    message = f"there is no {clause.parameter} {str(clause.value)[:60]!r} in release {plan.ask.edition.number}"
    suggestion = nearest(str(clause.value), known)
    return NoSuchRecord.of(Fault(clause.parameter, clause.value, message, did_you_mean=suggestion))


def page(connection: Connection, plan: Plan, after: list[Any] | None) -> Response:
    """Answer one page, in JSON or in the format asked."""
    params: Any = plan.ask.params
    limit = params.limit or plan.ask.service.settings.page_limit
    plan.refuse(connection)
    found, count = plan.page(connection, after, limit + 1)
    size = len(found[0]) if found else 0
    more = size > limit
    rows = [column[:limit] for column in found] if more else found
    following = plan.ask.link(cursor=write_cursor(plan, rows)) if more else None
    headers = {"Link": f'<{following}>; rel="next"'} if following else {}
    if plan.ask.format != JSON:
        return written(plan.ask, sheet_of(plan, connection), cells(plan, connection, rows), headers)
    total = size if after is None and not more else plan.total(connection, rows, count)
    meta: dict[str, Any] = {"total": total, "limit": limit, "release": plan.ask.edition.number, "warnings": []}
    if not rows and after is None:
        meta["why_empty"] = explain_empty(plan)
    links = {"self": plan.ask.link(), "next": following}
    body = {"data": plan.records(connection, rows), "meta": meta, "links": links}
    return json_response(plan.ask, body, headers)


def explain_empty(plan: Plan) -> dict[str, Any] | None:
    """Say why a list is empty; null where looking would take long: the answer itself is right without it."""
    try:
        with plan.ask.read(LOOK) as connection:
            return why_empty(connection, *plan.origin, plan.ask.edition)
    except QueryTimeout:
        plan.ask.leave_unkept()  # the next one may find the reason
        return None


LOOK = 1.0
"""Seconds a look for the reason of an empty list may take, each statement."""


def cells(plan: Plan, connection: Connection, rows: Selected) -> list[Sequence[Any]]:
    """Give rows for a format, column by column: in most, evidence is the ids of its figures."""
    found = plan.made(connection, rows)
    if "evidence" not in plan.fields or WRITTEN[plan.ask.format].nests or not found:
        return found
    place = plan.fields.index("evidence")
    if not any(found[place]):
        return found
    return [*found[:place], list(map(figures_of, found[place])), *found[place + 1 :]]


def figures_of(evidence: Iterable[Mapping[str, Any]]) -> list[str]:
    """Give the figures of evidence, each once."""
    return list(dict.fromkeys(item["figure"] for item in evidence if item["figure"]))


def refuse_shape(ask: Ask, resource: Resource) -> None:
    """Refuse fields and shapes that a format is not made of. Raises Contradiction."""
    form, params = WRITTEN.get(ask.format), cast("Any", ask.params)
    if form is None or not form.reads:
        return
    for name in ("fields", "shape"):
        if (name == "fields" and params.fields) or (name == "shape" and resource.record != form.record):
            value = ask.spelled(name)
            message = f"{form.name} has its own columns: leave {name} out"
            raise Contradiction.of(Fault(name, value, message), Fault("format", form.name, message))


def sheet_of(plan: Plan, connection: Connection) -> Sheet:
    """Tell a format what table it writes."""
    ask = plan.ask
    cite, edition = cited_by(connection, ask), ask.edition
    return Sheet(plan.resource.record, plan.columns, edition.number, ask.link(), cite, edition.published_at)


def cited_by(connection: Connection, ask: Ask) -> Callable[[set[str]], list[Cited]]:
    """Give what cites sources."""
    return lambda slugs: cited(connection, slugs, ask.edition.number)


def written(
    ask: Ask, sheet: Sheet, columns: Sequence[Sequence[Any]], headers: Mapping[str, str] | None = None
) -> Response:
    """Answer a table whole in the format asked."""
    form = WRITTEN[ask.format]
    writer = form.writer(sheet)
    content = b"".join((writer.start(), writer.rows(columns), *writer.end()))
    told = {**ask.headers, **attachment(sheet.name, form), **(headers or {})}
    return Response(content, headers=told, media_type=form.media_type)


def at_once(plan: Plan, after: list[Any] | None) -> Response:
    """Answer a whole list in a format that takes so many rows. Raises OverLimit for more."""
    service, form = plan.ask.service, WRITTEN[plan.ask.format]
    with (
        service.exporting(),
        plan.ask.read(service.settings.export_timeout) as connection,
    ):
        plan.refuse(connection)
        if after is None:  # what is refused should not be written first
            count = connection.execute(plan.prepared.count(form.most_rows), plan.values_asked()).scalar_one()
            refuse_more(form, count)
        content, taken = [], 0
        with closing(parts(connection, plan, after)) as found:
            for part, rows in found:
                refuse_more(form, taken := taken + rows)
                content.append(part)
    headers = {**plan.ask.headers, **attachment(plan.resource.record, form)}
    return Response(b"".join(content), headers=headers, media_type=form.media_type)


def parts(
    connection: Connection, plan: Plan, after: list[Any] | None = None
) -> Generator[tuple[bytes, int], None, None]:
    """Give the bytes of a whole list bit by bit, each with how many rows it is of; rows are there from the first on."""
    ends = time.monotonic() + plan.ask.service.settings.export_timeout
    with closing(plan.runs(connection, after, BATCH)) as runs:
        rows = runs.following()
        writer = WRITTEN[plan.ask.format].writer(sheet_of(plan, connection))
        yield writer.start(), 0
        while rows:
            if time.monotonic() > ends:  # the engine's own limit is of each statement
                raise QueryTimeout("the export took longer than its limit")
            yield writer.rows(cells(plan, connection, rows)), len(rows[0])
            rows = runs.following()
        for end in writer.end():
            yield end, 0


def refuse_more(form: Format, rows: int) -> None:
    """Refuse more rows than a format takes. Raises OverLimit."""
    if form.most_rows is not None and rows > form.most_rows:
        more = f"{form.name} takes {form.most_rows:,} rows, and there are more"
        raise OverLimit.of(Fault("format", form.name, f"{more}: narrow the request, or ask for parquet or csv"))


def json_response(ask: Ask, body: dict[str, Any], headers: Mapping[str, str] | None = None) -> Response:
    """Answer in JSON."""
    if ask.takes_none:
        return unchanged(ask)
    return Response(orjson.dumps(body), headers={**ask.headers, **(headers or {})}, media_type=JSON_MEDIA)


def attachment(name: str, form: Format) -> dict[str, str]:
    """Name the file that a browser saves; JSON is shown."""
    if form.media_type == JSON_MEDIA:
        return {}
    words = re.sub(r"(?<=[a-z])(?=[A-Z])|_", "-", name).lower()
    return {"Content-Disposition": f'attachment; filename="khorgos-{words}.{form.suffix}"'}


def stream(plan: Plan, after: list[Any] | None) -> Response:
    """Answer a whole table in constant memory; a failure before the first row is still a clean error."""
    form = WRITTEN[plan.ask.format]
    headers = {**plan.ask.headers, **attachment(plan.resource.record, form)}
    if plan.ask.request.scope.get("khorgos.head"):
        return StreamingResponse(iter(()), headers=headers, media_type=form.media_type)
    service = plan.ask.service
    with ExitStack() as opening:
        opening.enter_context(service.exporting())
        connection = opening.enter_context(plan.ask.read(service.settings.export_timeout))
        plan.refuse(connection)
        found = opening.enter_context(closing(parts(connection, plan, after)))
        first, _ = next(found)
        held = opening.pop_all()
    content = chain((first,), (part for part, _ in found))
    return Export(in_turn(content), held, service.settings.stall_timeout, headers, form.media_type)


async def in_turn(content: Iterator[bytes]) -> AsyncIterator[bytes]:
    """Give parts as they are made, each in a thread; a part may be empty, and is not the end."""
    while (part := await anyio.to_thread.run_sync(next, content, None)) is not None:
        if part:
            yield part


class Export(StreamingResponse):
    """A stream that holds a place and a connection, and lets them go however it ends."""

    def __init__(
        self,
        body: AsyncIterator[bytes],
        held: ExitStack,
        patience: float,
        headers: dict[str, str],
        media_type: str,
    ) -> None:
        super().__init__(body, headers=headers, media_type=media_type)
        self.held = held
        self.patience = patience

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Stream, then let go: a client that leaves before the first byte, or does not read, is no exception."""

        async def sending(message: Message) -> None:
            with anyio.fail_after(self.patience):
                await send(message)
                await checkpoint()  # sending to a client that is gone waits for nothing, and nobody else would run

        try:
            await super().__call__(scope, receive, sending)
        finally:
            with anyio.CancelScope(shield=True):
                await anyio.to_thread.run_sync(self.held.close)
