"""Answers about exports: a file with its headers, the list of files, and what describes them."""

from collections.abc import Collection, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from typing import IO, Any

from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response

from app.answer import attachment, json_response, unchanged
from app.ask import Ask, Service, asked, installed, refuse_repeats, settle_release
from app.errors import Fault, NoSuchRecord
from app.exports.facts import Facts, Known
from app.exports.files import Built, Files
from app.exports.ranges import OpenFile, ranges_asked
from app.exports.tables import FORMATS, Table, digest, written_by
from app.formats import is_there
from app.formats.base import Format
from app.nearest import nearest
from app.params import Params


class ExportParams(Params):
    """What an export takes: the release alone."""


@dataclass(frozen=True)
class Exports:
    """The exports of a service."""

    service: Service
    tables: tuple[Table, ...]
    files: Files = field(init=False)
    known: Known = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "files", Files(self.service, self.tables))
        object.__setattr__(self, "known", Known(self.service, self.tables))

    def table(self, name: str) -> Table:
        """Give a table by its name. Raises NoSuchRecord with the nearest."""
        if (table := self.files.tables.get(name)) is None:
            raise no_such(name, self.files.tables)
        return table

    @property
    def names(self) -> tuple[str, ...]:
        """The names of every file."""
        return tuple(f"{name}.{form.suffix}" for name in self.files.tables for form in FORMATS.values())


def no_such(name: str, known: Collection[str]) -> NoSuchRecord:
    """Say that there is no such export, and which one is like it."""
    files = [one for one in known if one.rpartition(".")[0] == name.partition(".")[0]]
    where = f"name the file's format, {' or '.join(files)}" if files else "/v1/exports lists them"
    message = f"there is no export {name[:60]!r}; {where}"
    return NoSuchRecord.of(Fault("table", name, message, did_you_mean=files[0] if files else nearest(name, known)))


def exports_of(request: Request) -> Exports:
    """Give the exports of the service that a request came to."""
    exports: Exports = request.app.state.exports
    return exports


def named(request: Request, params: BaseModel, form: str, *, is_lasting: bool = True) -> Ask:
    """Settle a request whose path names the format, whatever it accepts. Raises what is wrong.

    A file is not kept in memory: it may be large, and it is given by ranges.
    """
    service: Service = request.app.state.service
    refuse_repeats(request, type(params))
    ask = Ask(request, service, params, settle_release(request, getattr(params, "release", None)), form)
    if not is_lasting:
        ask.leave_unkept()
    return ask


def answer_table(request: Request, params: ExportParams, name: str, form: Format) -> Response:
    """Answer the file of a table: whole, by ranges, or that it has not changed."""
    exports = exports_of(request)
    table = exports.table(name)
    installed(form.name)
    ask = named(request, params, written_by(form), is_lasting=False)
    if ask.is_known or ask.takes_none:
        return unchanged(ask)
    opened = exports.files.table(table, form, ask.edition.number)
    return file_answer(ask, opened, form.media_type, attachment(table.name.replace("-", "_"), form))


def file_answer(ask: Ask, opened: IO[bytes], media_type: str, headers: Mapping[str, str]) -> Response:
    """Answer a file that is open. Raises RangeNotSatisfiable."""
    with ExitStack() as held:
        held.enter_context(opened)
        size = opened.seek(0, 2)
        opened.seek(0)
        ranges = ranges_asked(ask.request, ask.etag, size)
        held.pop_all()  # the answer closes it
    return OpenFile(opened, ranges, {**ask.headers, **headers}, media_type)


def answer_list(request: Request, params: ExportParams) -> Response:
    """List the exports, with what is known of the files that are built; the tag tells which are."""
    exports = exports_of(request)
    ask = asked(request, params)
    ask.leave_unkept()
    number = ask.edition.number
    forms = [form for form in FORMATS.values() if is_there(form)]
    built = {
        (table, form): exports.files.found(table.name, form.suffix, number)
        for table in exports.tables
        for form in forms
    }
    state = digest(*(f"{table.name} {form.name} {one.sha256}" for (table, form), one in built.items() if one))
    ask = replace(ask, format=f"{ask.format} {state}")
    if ask.is_known:
        return unchanged(ask)
    facts = exports.known.of(number)
    body = [
        row_of(ask, table, facts, [file_of(ask, table, form, built[table, form]) for form in forms])
        for table in exports.tables
    ]
    meta: dict[str, Any] = {"total": len(body), "limit": None, "release": number, "warnings": []}
    return json_response(ask, {"data": body, "meta": meta, "links": {"self": ask.link(), "next": None}})


def row_of(ask: Ask, table: Table, facts: Facts, files: list[dict[str, Any]]) -> dict[str, Any]:
    """Give a table of the list."""
    known = facts.tables[table.name]
    return {
        "table": table.name,
        "title": table.title,
        "description": table.description,
        "release": facts.release,
        "rows": known.rows,
        "key": table.key,
        "columns": [
            {"name": one.name, "type": one.kind.value, "description": one.description or None} for one in known.columns
        ],
        "path": ask.link_to(table.path, {"release": facts.release}),
        "files": files,
    }


def file_of(ask: Ask, table: Table, form: Format, built: Built | None) -> dict[str, Any]:
    """Give a file of the list."""
    return {
        "format": form.name,
        "path": ask.link_to(f"/v1/exports/{table.name}.{form.suffix}", {"release": ask.edition.number}),
        "media_type": form.media_type.partition(";")[0],
        "size": built and built.size,
        "sha256": built and built.sha256,
    }
