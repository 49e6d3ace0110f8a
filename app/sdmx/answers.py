"""From an SDMX request to its answer: data streamed, what codes there are, structures; each with its tag."""

from collections.abc import Generator, Iterator
from contextlib import ExitStack, closing, nullcontext
from dataclasses import dataclass
from functools import partial
from itertools import chain

from sqlalchemy import Connection
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from app.answer import Export, in_turn, unchanged
from app.ask import Ask
from app.db import BATCH
from app.errors import Fault, NoSuchRecord, QueryTimeout
from app.sdmx.asking import (
    ALL,
    DATA_FORMATS,
    LATEST,
    STRUCTURE_FORMATS,
    AvailableParams,
    DataParams,
    Served,
    StructureParams,
    asked,
    check_provider,
    cube_of,
    found_in,
    no_such_version,
    parts_of,
    select_of,
)
from app.sdmx.cube import TIME, Cube, Obs, Runs, Selection
from app.sdmx.lists import LISTS, Labels, Occurring, occurring
from app.sdmx.messages import WRITERS, Message
from app.sdmx.structures import EVERY, Key, closure, style_of, write_available, write_structures

NOTHING = Occurring((), (), (), {}, ())


def answer_data(request: Request, params: DataParams, rest: str) -> Response:
    """Answer `data/{flow}[/{key}[/{provider}]]`. Raises NoSuchRecord where nothing is found."""
    flow, key, provider = defaulted(parts_of(rest, 3), "", "all", "all")
    ask, served = asked(request, params, DATA_FORMATS)
    cube = cube_of(flow)
    check_provider(provider)
    selection = select_of(cube, key, params, ask)
    if params.detail in ("serieskeysonly", "nodata"):
        selection = one_of_each(selection)
    if ask.is_known:
        return unchanged(ask)
    question = Question(ask, served, cube, selection, params)
    # What is narrowed is mostly short, and need not wait until an export has ended.
    return (short(question) if any(selection.codes) else None) or stream(question)


def defaulted(parts: list[str], *defaults: str) -> list[str]:
    """Give parts of a path, and defaults for those that are not there or blank."""
    given = [part or default for part, default in zip(parts, defaults, strict=False)]
    return [*given, *defaults[len(given) :]]


def one_of_each(selection: Selection) -> Selection:
    """Select one observation of each series, which stands for it."""
    return Selection(selection.edition, selection.codes, selection.start, selection.end, last=1)


@dataclass(frozen=True)
class Question:
    """A request for data, settled."""

    ask: Ask
    served: Served
    cube: Cube
    selection: Selection
    params: DataParams

    @property
    def headers(self) -> dict[str, str]:
        """Headers of its answer; CSV is saved as a file."""
        name = f'attachment; filename="khorgos-{self.cube.id.lower()}.csv"'
        return self.ask.headers | ({"Content-Disposition": name} if self.served.name == "csv" else {})

    def read(self, connection: Connection) -> Runs:
        """Begin to give the observations."""
        return self.cube.read(connection, self.selection)

    def write(self, connection: Connection, runs: Iterator[list[Obs]]) -> Generator[bytes, None, None]:
        """Begin to give the message of observations."""
        is_flat = self.params.dimensionAtObservation != TIME and self.params.detail in ("full", "dataonly")
        again = partial(self.read, connection)
        return WRITERS[self.served.name](Message(self.cube, self.ask.edition, self.params.detail, is_flat, again), runs)


def short(question: Question) -> Response | None:
    """Answer what is no more than one run; null where there is more, or a statement has no time to tell."""
    try:
        with question.ask.read() as connection, closing(question.read(connection)) as runs:
            first = next(runs, None)
            return None if first and len(first) >= BATCH else at_once(question, connection, first)
    except QueryTimeout:
        return None


def at_once(question: Question, connection: Connection, found: list[Obs] | None) -> Response:
    """Answer observations at hand. Raises NoSuchRecord where there are none."""
    if found is None:
        raise nothing(question.cube, question.ask)
    if question.ask.takes_none:
        return unchanged(question.ask)
    content = b"".join(question.write(connection, iter((found,))))
    return Response(content, headers=question.headers, media_type=question.served.media_type)


def stream(question: Question) -> Response:
    """Answer data in constant memory; what is wrong before the first observation is still a clean error."""
    service, media_type = question.ask.service, question.served.media_type
    with ExitStack() as opening:
        opening.enter_context(service.exporting())
        connection = opening.enter_context(question.ask.read(service.settings.export_timeout))
        runs = opening.enter_context(closing(question.read(connection)))
        first = next(runs, None)
        if first is None or len(first) < BATCH:
            return at_once(question, connection, first)
        if question.ask.takes_none:
            return unchanged(question.ask)
        if question.ask.request.scope.get("khorgos.head"):
            return StreamingResponse(iter(()), headers=question.headers, media_type=media_type)
        content = opening.enter_context(closing(question.write(connection, chain((first,), runs))))
        held = opening.pop_all()
    return Export(in_turn(content), held, service.settings.stall_timeout, question.headers, media_type)


def nothing(cube: Cube, ask: Ask) -> NoSuchRecord:
    """Say that nothing is found, as SDMX does: with 404."""
    message = f"nothing of {cube.id} is found for this key and these periods in release {ask.edition.number}"
    return NoSuchRecord.of(Fault("key", None, message))


def answer_available(request: Request, params: AvailableParams, rest: str) -> Response:
    """Answer `availableconstraint/{flow}[/{key}[/{provider}[/{component}]]]`: the codes that there are."""
    flow, key, provider, component = defaulted(parts_of(rest, 4), "", "all", "all", "all")
    ask, served = asked(request, params, STRUCTURE_FORMATS)
    cube = cube_of(flow)
    check_provider(provider)
    selection = select_of(cube, key, params, ask)
    names = {name: name for name in (*cube.key, TIME)}
    wanted = tuple(names)
    if component not in ALL:
        wanted = tuple(found_in(names, one, "component", NoSuchRecord) for one in component.split("+"))
    if ask.is_known:
        return unchanged(ask)
    service = ask.service
    is_narrow = any(selection.codes)
    with (
        nullcontext() if is_narrow else service.exporting(),
        ask.read(None if is_narrow else service.settings.export_timeout) as connection,
    ):
        found = cube.available(connection, selection, wanted)
    if not found:
        raise nothing(cube, ask)
    return whole(ask, served, write_available(cube, found, ask.edition))


def answer_structures(request: Request, params: StructureParams, kind: str, rest: str) -> Response:
    """Answer `{kind}[/{agency}[/{id}[/{version}]]]` with what `references` asks beside it."""
    _, ids, version = defaulted(parts_of(rest, 3), "all", "all", "latest")
    ask, served = asked(request, params, STRUCTURE_FORMATS)
    if version not in LATEST:
        raise no_such_version(version)
    wanted = keys_of(kind, ids)
    if ask.is_known:
        return unchanged(ask)
    found = closure(wanted, params.references)
    style = style_of(params.detail, wanted, found, ask.link_to("/sdmx/2.1", {}))
    lists = [what for kind_of, what in found if kind_of == "codelist" and (kind_of, what) not in style.stubs]
    return whole(ask, served, write_structures(found, style, labels_of(lists, ask), ask.edition))


def keys_of(kind: str, ids: str) -> tuple[Key, ...]:
    """Give the structures asked: one, several joined by `+`, or all of a kind. Raises NoSuchRecord."""
    known = {what: (kind, what) for kind_of, what in EVERY if kind_of == kind}
    if ids in ALL:
        return tuple(known.values())
    return tuple(found_in(known, one, kind, NoSuchRecord) for one in ids.split("+"))


def labels_of(lists: list[str], ask: Ask) -> dict[str, Labels]:
    """Give the codes of codelists; the rows are looked at for open ones alone."""
    is_open = any(LISTS[one].closed is None for one in lists)
    found = occurring(ask) if is_open else NOTHING
    return {one: LISTS[one].labels(ask.edition, found) for one in lists}


def whole(ask: Ask, served: Served, content: str) -> Response:
    """Answer with a message at hand."""
    if ask.takes_none:
        return unchanged(ask)
    return Response(content.encode(), headers=ask.headers, media_type=served.media_type)
