"""Every error the service tells, with its stable code; translated to RFC 9457 problems here and nowhere else.

What FastAPI, Pydantic and the router refuse becomes one of them in `refusals`.

Codes go by stage, 1xx request, 2xx data, 3xx import, 5xx server, and are never used again for something else.

    KhorgosError
    +-- RequestError   a request that cannot be answered as it stands
    +-- DataError      seed files, sources, settings and database that do not fit
    +-- ServerError    the service cannot answer now
"""

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import orjson
from starlette.requests import Request
from starlette.responses import Response

from app.ids import id_of

log = logging.getLogger("khorgos")
PROBLEM_JSON = "application/problem+json"


@dataclass(frozen=True)
class Fault:
    """One thing wrong with one parameter."""

    parameter: str
    value: Any
    message: str
    allowed: tuple[str, ...] | None = None
    did_you_mean: str | None = None

    def __str__(self) -> str:
        return self.message + (f"; did you mean {self.did_you_mean!r}?" if self.did_you_mean else "")


class KhorgosError(Exception):
    """Root of all. Raise a subclass that has a code."""

    code: ClassVar[str] = ""
    status: ClassVar[int] = 500
    problem: ClassVar[str] = ""
    title: ClassVar[str] = ""
    repair: ClassVar[str] = ""

    def __init__(
        self, detail: str, *, faults: Sequence[Fault] = (), headers: dict[str, str] | None = None, **more: Any
    ):
        super().__init__(detail)
        self.detail = detail
        self.faults = tuple(faults)
        self.headers = headers or {}
        self.more = more

    def __str__(self) -> str:
        return f"{self.code} {self.detail}"


class RequestError(KhorgosError):
    """The request cannot be answered as it stands."""

    status = 422

    @classmethod
    def of(cls, *faults: Fault, **more: Any) -> Self:
        """Make the error whose detail is what its faults say."""
        return cls("; ".join(dict.fromkeys(map(str, faults))), faults=faults, **more)


class InvalidValue(RequestError):
    code, problem, title = "KHG101", "invalid-value", "A parameter has a value it cannot take"
    repair = "Use a value that `allowed` or the parameter's description names."


class UnknownName(RequestError):
    code, problem, title = "KHG102", "unknown-name", "A country, source, topic or other name is not known"
    repair = "Take `did_you_mean`, or look the name up in the list that holds it, such as /v1/countries."


class MissingParameter(RequestError):
    code, problem, title = "KHG103", "missing-parameter", "A required parameter is missing"
    repair = "Add the parameter."


class UnknownParameter(RequestError):
    code, problem, title = "KHG104", "unknown-parameter", "A parameter is not known here"
    repair = "Take `did_you_mean`, or one of `allowed`. Unknown parameters are never ignored."


class RepeatedParameter(RequestError):
    code, problem, title = "KHG105", "repeated-parameter", "A parameter that takes one value is given twice"
    repair = "Give it once. Only list parameters may be repeated."


class OverLimit(RequestError):
    code, problem, title = "KHG106", "over-limit", "A parameter exceeds a limit of the service"
    repair = "Ask for less, or page on with `links.next`. Nothing is cut silently."


class InvalidCursor(RequestError):
    code, problem, title = "KHG107", "invalid-cursor", "The cursor does not belong to this request"
    repair = "Follow `links.next` as it is; start again without `cursor` when you change a filter or the sort."


class WouldDoubleCount(RequestError):
    code, problem, title = "KHG108", "would-double-count", "The sum would count the same trade twice"
    repair = "Follow `corrected`, which keeps the two sides apart, or narrow the filters to one of them."


class NotAcceptable(RequestError):
    code, problem, title = "KHG109", "not-acceptable", "No format that the Accept header takes is served"
    status = 406
    repair = "Ask for one of `allowed`, or use `format=`."


class NoSuchPath(RequestError):
    code, problem, title = "KHG110", "no-such-path", "There is nothing at this path"
    status = 404
    repair = "Take `did_you_mean`; GET /v1 lists the resources."


class NoSuchRecord(RequestError):
    code, problem, title = "KHG111", "no-such-record", "There is no such record in this release"
    status = 404
    repair = "Take `did_you_mean`, or look in the list."


class MethodNotAllowed(RequestError):
    code, problem, title = "KHG112", "method-not-allowed", "The service is read-only"
    status = 405
    repair = "Use GET, HEAD or OPTIONS; at /mcp POST."


class UrlTooLong(RequestError):
    code, problem, title = "KHG113", "url-too-long", "The URL is longer than the service reads"
    status = 414
    repair = "Shorten lists of values, or ask in several requests."


class Unreadable(RequestError):
    code, problem, title = "KHG114", "unreadable", "The URL holds control characters or bytes that are not UTF-8"
    repair = "Percent-encode text as UTF-8 and leave control characters out."


class Contradiction(RequestError):
    code, problem, title = "KHG115", "contradiction", "Parameters contradict each other"
    repair = "Change one of the parameters that the errors name."


class BodyTooLarge(RequestError):
    code, problem, title = "KHG116", "body-too-large", "The body of the request is longer than the service reads"
    status = 413
    repair = "Leave the body out. Only /mcp reads one: ask for less in one call."


class RangeNotSatisfiable(RequestError):
    code, problem, title = "KHG117", "range-not-satisfiable", "The Range header asks for no bytes of the file"
    status = 416
    repair = "Ask for bytes that the file has; Content-Range tells how many there are."


class SumTooLarge(RequestError):
    code, problem, title = "KHG118", "sum-too-large", "A sum is larger than the whole numbers that are given"
    repair = "Narrow the filters, or name more dimensions in `group_by`; look for a wrong value with `sort=-value_usd`."


class HeadersTooLarge(RequestError):
    code, problem, title = "KHG119", "headers-too-large", "The headers of the request are more than the service reads"
    status = 431
    repair = "Leave headers out that the service does not read, such as cookies."


class TooManyRequests(RequestError):
    code, problem, title = "KHG120", "too-many-requests", "More requests came from this address than are answered"
    status = 429
    repair = "Wait for Retry-After seconds; RateLimit and RateLimit-Policy tell the limits and what is left of them."


class DataError(KhorgosError):
    """Seed files, sources, settings or the database do not fit."""


class SeedInvalid(DataError):
    code, problem, title = "KHG201", "seed-invalid", "A seed file does not hold what it must"
    repair = "Correct the file at the line named; nothing was published."


class TextMismatch(DataError):
    code, problem, title = "KHG202", "text-mismatch", "A source's text is not the one its figures were read from"
    repair = "Give the text whose SHA-256 the source record has."


class SchemaMismatch(DataError):
    status = 503
    code, problem, title = "KHG203", "schema-mismatch", "The database has another version of the schema"
    repair = "Run `khorgos db upgrade`, or use the version of Khorgos that made the database."


class BadDatabase(DataError):
    code, problem, title = "KHG204", "bad-database", "The database URL cannot be used"
    repair = "Give an SQLite file or PostgreSQL 15 or newer in KHORGOS_DATABASE_URL."


class PublishBusy(DataError):
    code, problem, title = "KHG205", "publish-busy", "Another process is publishing or migrating"
    repair = "Wait until it ends and run the command again."


class InvalidSetting(DataError):
    code, problem, title = "KHG206", "invalid-setting", "A setting has a value it cannot take"
    repair = "Correct the variable that the message names; the README lists what each setting takes."


class BackupInvalid(DataError):
    code, problem, title = "KHG207", "backup-invalid", "A file is no backup that this database can take"
    repair = "Give an undamaged file that `khorgos backup` made of the same engine; the database is what it was."


class BackupRefused(DataError):
    code, problem, title = "KHG208", "backup-refused", "A backup or restore would replace what is there"
    repair = "Name another file or an empty database, or say --force."


class BackupFailed(DataError):
    code, problem, title = "KHG209", "backup-failed", "A backup or restore could not be done"
    repair = "Mend what the message names, such as a full disk, and run the command again."


class NoBackupTool(DataError):
    code, problem, title = "KHG210", "no-backup-tool", "The programs that back PostgreSQL up are missing or too old"
    repair = "Install PostgreSQL's client programs of the server's version or newer, and have them on the PATH."


class ImportRefused(KhorgosError):
    """A file cannot be taken in; nothing of it is published."""


class ImportInvalid(ImportRefused):
    code, problem, title = "KHG301", "import-invalid", "A file is not of a format that is imported"
    repair = "Give the file as its publisher has it; the message names what does not fit."


class TooManyBadRows(ImportRefused):
    code, problem, title = "KHG302", "too-many-bad-rows", "More rows of the file are bad than may be left out"
    repair = "Read the report of bad rows and mend the file, or allow a larger share with --max-bad."


class CannotWithdraw(ImportRefused):
    code, problem, title = "KHG303", "cannot-withdraw", "The release cannot be taken back"
    repair = "Name an import that is not withdrawn yet, the later before the earlier; `khorgos releases` lists them."


class ServerError(KhorgosError):
    """The service cannot answer now."""

    status = 503


class Internal(ServerError):
    code, problem, title = "KHG500", "internal", "The service failed"
    status = 500
    repair = "Report it with the `instance`, which the log of the service has too."


class QueryTimeout(ServerError):
    code, problem, title = "KHG501", "query-timeout", "The query took longer than its limit"
    repair = "Narrow the filters, or ask for an export in csv or ndjson."


class Busy(ServerError):
    code, problem, title = "KHG502", "busy", "The service answers as many requests as it can"
    repair = "Try again after Retry-After seconds."


class DatabaseUnavailable(ServerError):
    code, problem, title = "KHG503", "database-unavailable", "The database cannot be reached"
    repair = "Try again after Retry-After seconds."


class NotReady(ServerError):
    code, problem, title = "KHG504", "not-ready", "No data have been published yet"
    repair = "Run `khorgos seed`."


class NotInstalled(ServerError):
    code, problem, title = "KHG505", "not-installed", "The service runs without the library that this needs"
    status = 501
    repair = "Install what the message names, and start the service again."


class ExportNotWritten(ServerError):
    code, problem, title = "KHG506", "export-not-written", "The export file cannot be written"
    repair = "Make room on the disk, or name a folder that can be written in KHORGOS_EXPORT_FOLDER."


class CannotListen(ServerError):
    code, problem, title = "KHG507", "cannot-listen", "The service cannot listen at its address"
    status = 500
    repair = "Name another port with --port, another address with --host, or end what listens there."


def leaves(root: type[KhorgosError] = KhorgosError) -> Iterable[type[KhorgosError]]:
    """Give every error that has a code, in the order of the codes."""
    found = [leaf for child in root.__subclasses__() for leaf in leaves(child)]
    return sorted([*found, root] if root.code else found, key=lambda error: error.code)


def respond(request: Request, error: KhorgosError) -> Response:
    """Answer with the error as a problem."""
    body = {
        "type": f"/v1/problems/{error.problem}",
        "title": error.title,
        "status": error.status,
        "code": error.code,
        "detail": error.detail,
        "instance": f"urn:khorgos:request:{id_of(request.scope)}",
        "errors": [
            {
                "parameter": fault.parameter[:200],
                "value": None if fault.value is None else str(fault.value)[:200],
                "message": fault.message,
                "allowed": fault.allowed,
                "did_you_mean": fault.did_you_mean,
            }
            for fault in error.faults
        ],
        **error.more,
    }
    headers = {"Cache-Control": "no-store", **error.headers}
    if error.status == ServerError.status:
        headers.setdefault("Retry-After", RETRY_AFTER)
    return Response(orjson.dumps(body), error.status, headers, PROBLEM_JSON)


RETRY_AFTER = "2"
"""Seconds after which what is 503 may be asked again."""


def method_not_allowed(allowed: Sequence[str] = ("GET", "HEAD", "OPTIONS")) -> MethodNotAllowed:
    """The answer to every method that a path does not take."""
    why = "/mcp is for clients of the Model Context Protocol" if "POST" in allowed else "the service is read-only"
    detail = f"{why}: use {', '.join(allowed[:-1])} or {allowed[-1]}"
    return MethodNotAllowed(detail, headers={"Allow": ", ".join(allowed)})


def failed(request: Request, error: Exception) -> Response:
    """Answer a failure nobody foresaw, without a word of its inside."""
    log.exception("unforeseen failure", exc_info=error, extra={"request": id_of(request.scope)})
    return respond(request, Internal("the request failed for a reason that is not the request's"))
