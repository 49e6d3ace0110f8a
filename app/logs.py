"""The log: a line for each request and for each event, as text for people or as JSON for programs.

Whatever a request holds, it cannot begin a line of its own: what does not print is escaped, in JSON all but ASCII is.
"""

import json
import logging
import time
from typing import Any

import orjson
from starlette.types import Scope

from app.ids import id_of
from app.settings import Settings

ACCESS = logging.getLogger("khorgos.access")
LEVEL = logging.INFO
"""Level of the lines of requests; a higher KHORGOS_LOG_LEVEL leaves them out."""
FIELDS = "fields"
"""Where the record of a request has what is told of it."""
AGENT = 200
"""Bytes of a User-Agent that are told."""


def tell(scope: Scope, status: int, seconds: float, sent: int, agent: bytes | None) -> None:
    """Write the line of a request; status 0 is an answer that never began."""
    path = scope.get("raw_path") or scope["path"].encode()
    query = scope["query_string"]
    client = scope.get("client")
    record = logging.LogRecord(ACCESS.name, LEVEL, "", 0, "request", (), None)
    record.__dict__[FIELDS] = {
        "request": id_of(scope),
        "client": client[0] if client else None,
        "method": scope["method"],
        "path": (path + b"?" + query if query else path).decode("latin-1"),
        "status": status,
        "ms": round(seconds * 1000, 3),
        "bytes": sent,
        "agent": agent[:AGENT].decode("latin-1") if agent else None,
    }
    ACCESS.handle(record)


class Clock(logging.Formatter):
    """What both forms share: the time in UTC, whose seconds are written once each."""

    def __init__(self) -> None:
        super().__init__()
        self._second = 0
        self._written = ""

    def at(self, record: logging.LogRecord) -> str:
        """Give the time of a record, to the millisecond."""
        second = int(record.created)
        if second != self._second:
            self._written = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))
            self._second = second
        return f"{self._written}.{int(record.msecs):03}Z"

    def traceback(self, record: logging.LogRecord) -> str:
        """Give the traceback of an event, if it has one."""
        told = [self.formatException(record.exc_info)] if record.exc_info else []
        return "\n".join([*told, *([self.formatStack(record.stack_info)] if record.stack_info else [])])


class TextLines(Clock):
    """A line a request or event; the lines of a traceback stand under it, each behind a bar."""

    def format(self, record: logging.LogRecord) -> str:
        """Give the line of a record."""
        head = f"{self.at(record)} {record.levelname} {record.name}"
        told: dict[str, Any] | None = record.__dict__.get(FIELDS)
        if told is not None:
            agent = (told["agent"] or "-").replace("\\", "\\\\").replace('"', '\\"')
            return (
                f"{head} {told['request']} {printable(told['client'] or '-')} {printable(told['method'])} "
                f'{printable(told["path"])} {told["status"]} {told["ms"]}ms {told["bytes"]}B "{printable(agent)}"'
            )
        request = record.__dict__.get("request")
        lines = [f"{head} {f'{request} ' if request else ''}{printable(record.getMessage())}"]
        lines += [f"  | {printable(line)}" for line in self.traceback(record).splitlines()]
        return "\n".join(lines)


class JsonLines(Clock):
    """A JSON object a request or event, on one line."""

    def format(self, record: logging.LogRecord) -> str:
        """Give the line of a record."""
        told: dict[str, Any] = {"time": self.at(record), "level": record.levelname.lower(), "logger": record.name}
        if FIELDS in record.__dict__:
            told |= record.__dict__[FIELDS]
        else:
            told["message"] = record.getMessage()
            if request := record.__dict__.get("request"):
                told["request"] = request
            if traceback := self.traceback(record):
                told["traceback"] = traceback
        try:
            line = orjson.dumps(told)
        except TypeError:  # half of a surrogate pair
            return json.dumps(told)
        return line.decode() if line.isascii() else json.dumps(told)


def printable(text: str) -> str:
    """Give a text whose control characters, line separators and marks of direction are escaped."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def config(settings: Settings) -> dict[str, Any]:
    """Give what `logging.config.dictConfig` takes: all goes to standard error, libraries speak from warnings on."""
    form = JsonLines if settings.log_format == "json" else TextLines
    level = settings.log_level.upper()
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"lines": {"()": f"{form.__module__}.{form.__name__}"}},
        "handlers": {"error": {"class": "logging.StreamHandler", "formatter": "lines"}},
        "root": {"handlers": ["error"], "level": max(LEVEL + 10, logging.getLevelName(level))},
        "loggers": {name: {"level": level} for name in ("uvicorn", "khorgos")},
    }
