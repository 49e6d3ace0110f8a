"""The log: a line for each request and event, and nothing that a request holds can forge one."""

import io
import json
import logging
import logging.config
import re
import socket
from collections.abc import Iterator
from typing import Any

import pytest
from conftest import Workshop
from direct import Direct, direct
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from typer.testing import CliRunner

import app.plan
from app import logs, server
from app.cli import cli
from app.errors import InvalidSetting
from app.refusals import invalid_setting
from app.settings import Settings

FORMS = {"text": logs.TextLines, "json": logs.JsonLines}
BREAKS = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202e]")
"""What could begin a line, colour a terminal, or turn what is read around."""
HOSTILE = (
    "\r\n2026-01-01T00:00:00.000Z INFO khorgos.access forged",
    "\n",
    "\r",
    "\x0b\x0c\x1c\x1d\x1e",
    "\x85",
    "\u2028forged",
    "\u2029forged",
    "\x1b[31mred\x1b[0m",
    "\x9b31m",
    "\u202eturned",
    '"}\n{"level":"error"',
    '" forged "',
    "\\n",
    "\0",
    "é日本",
    "%0d%0a",
)


@pytest.fixture(params=FORMS)
def form(request: pytest.FixtureRequest) -> str:
    """Give each form of the log in turn."""
    return request.param


@pytest.fixture
def written(form: str) -> Iterator[io.StringIO]:
    """Give what is logged in a form, from debug on."""
    text = io.StringIO()
    handler = logging.StreamHandler(text)
    handler.setFormatter(FORMS[form]())
    logger = logging.getLogger("khorgos")
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    yield text
    logger.removeHandler(handler)
    logger.setLevel(level)


@pytest.fixture(scope="module")
def asked(workshop: Workshop) -> Iterator[Direct]:
    """Give the service, asked without a socket."""
    with direct(workshop.seeded("sqlite")) as found:
        yield found


def lines(text: io.StringIO) -> list[str]:
    """Give the lines there are, as a program would read them, and forget them."""
    found = text.getvalue()
    text.seek(0)
    text.truncate()
    assert found.endswith("\n")
    assert not BREAKS.search(found.replace("\n", ""))
    return found[:-1].split("\n")


def read(form: str, line: str) -> dict[str, Any]:
    """Read the line of a request."""
    if form == "json":
        return json.loads(line)
    pattern = (
        r"(?P<time>\S+) (?P<level>\S+) (?P<logger>\S+) (?P<request>\S+) (?P<client>\S+) (?P<method>\S+) (?P<path>\S+) "
        r'(?P<status>\d+) (?P<ms>[\d.e-]+)ms (?P<bytes>\d+)B "(?P<agent>(?:[^"\\]|\\.)*)"'
    )
    found = re.fullmatch(pattern, line)
    assert found, line
    told: dict[str, Any] = found.groupdict()
    return {**told, "status": int(told["status"]), "bytes": int(told["bytes"]), "ms": float(told["ms"])}


def test_a_request_is_one_line_with_all_that_is_asked_of_it(asked: Direct, written: io.StringIO, form: str) -> None:
    for _ in ("fresh", "kept"):
        answer = asked.ask("/v1/topics?limit=2", headers=[("X-Request-Id", "mine"), ("User-Agent", "curl/8.0")])
        (line,) = lines(written)
        told = read(form, line)
        assert (told["request"], told["client"], told["method"]) == ("mine", "127.0.0.1", "GET")
        assert (told["path"], told["status"]) == ("/v1/topics?limit=2", 200)
        assert (told["bytes"], told["agent"]) == (len(answer.body), "curl/8.0")
        assert told["ms"] >= 0 and re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", told["time"])
        assert (told["level"].lower(), told["logger"]) == ("info", "khorgos.access")


def test_every_kind_of_answer_has_its_line(asked: Direct, written: io.StringIO, form: str) -> None:
    tag = dict(asked.ask("/v1/topics").headers)["etag"]
    asked.ask("/v1/topics", headers=[("If-None-Match", tag)])
    asked.ask("/v1/topics", "HEAD")
    asked.ask("/v1/topics", "OPTIONS")
    asked.ask("/v1/topics", "DELETE")
    asked.ask("/nothing")
    asked.ask("/v1/topics", headers=[(f"x-{one}", "1") for one in range(70)])
    asked.ask("/trade")
    told = [read(form, line) for line in lines(written)]
    assert [one["status"] for one in told] == [200, 304, 200, 204, 405, 404, 431, 200]
    assert told[2]["bytes"] == 0


def test_who_looks_whether_it_lives_is_not_in_the_log(asked: Direct, written: io.StringIO) -> None:
    for path in ("/healthz", "/readyz"):
        assert asked.ask(path).status == 200
    assert written.getvalue() == ""


def test_a_higher_level_leaves_requests_out(asked: Direct, written: io.StringIO) -> None:
    logging.getLogger("khorgos").setLevel(logging.WARNING)
    asked.ask("/v1/topics")
    assert written.getvalue() == ""


@pytest.mark.parametrize("hostile", HOSTILE)
def test_a_request_cannot_forge_a_line(asked: Direct, written: io.StringIO, form: str, hostile: str) -> None:
    raw = hostile.encode().decode("latin-1")
    for target in (f"/{hostile.replace(' ', '%20')}", f"/v1/topics?q={hostile.replace(' ', '%20')}"):
        asked.ask(target, headers=[("X-Request-Id", raw), ("User-Agent", raw), ("Host", raw), ("Referer", raw)])
        (line,) = lines(written)
        told = read(form, line)
        assert told["status"] >= 400 and re.fullmatch("[0-9a-f]{32}", told["request"])


@given(st.text(max_size=60), st.text(max_size=60))
def test_any_message_is_one_line_and_any_traceback_stands_behind_bars(message: str, reason: str) -> None:
    try:
        raise ValueError(reason)
    except ValueError as error:
        failure = (ValueError, error, error.__traceback__)
    record = logging.LogRecord("khorgos", logging.ERROR, "", 0, "%s", (message,), failure)
    first, *rest = logs.TextLines().format(record).split("\n")
    assert not BREAKS.search(first) and re.match(r"\d{4}-\S+ ERROR khorgos", first)
    assert rest and all(line.startswith("  | ") and not BREAKS.search(line) for line in rest)
    line = logs.JsonLines().format(record)
    assert line.isascii() and len(line.splitlines()) == 1
    assert json.loads(line)["message"] == message


def test_an_unforeseen_failure_is_told_by_the_id_that_its_problem_has(
    workshop: Workshop, written: io.StringIO, form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any) -> None:
        raise RuntimeError("secret\n2026-01-01T00:00:00.000Z INFO forged")

    monkeypatch.setattr(app.plan, "prepare_rows", broken)
    with direct(workshop.seeded("sqlite")) as service:
        answer = service.ask("/v1/topics", headers=[("X-Request-Id", "the-one")])
    assert (answer.status, answer.json()["instance"]) == (500, "urn:khorgos:request:the-one")
    assert b"secret" not in answer.body
    found = lines(written)
    assert "the-one" in found[0] and "unforeseen failure" in found[0]
    assert any("RuntimeError: secret" in line for line in found)
    assert not any(line.startswith("2026-01-01T00:00:00.000Z INFO forged") for line in found)
    assert read(form, found[-1])["status"] == 500


def test_a_failure_after_the_first_byte_has_the_id(workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any) -> None:
        raise RuntimeError("midway")

    with direct(workshop.seeded("sqlite")) as service:
        monkeypatch.setattr("app.logs.ACCESS.disabled", True)
        monkeypatch.setattr("app.formats.csv.CsvWriter.rows", broken)
        with pytest.raises(RuntimeError) as failure:
            service.ask("/v1/topics?format=csv&fields=slug", headers=[("X-Request-Id", "the-one")])
    assert failure.value.__notes__ == ["request the-one"]


@pytest.mark.parametrize("level", ["debug", "info", "warning", "error", "critical"])
def test_the_configuration_is_one_that_python_takes(form: str, level: str) -> None:
    root, handlers = logging.getLogger(), list(logging.getLogger().handlers)
    levels = {name: logging.getLogger(name).level for name in (None, "khorgos", "uvicorn")}
    try:
        logging.config.dictConfig(logs.config(Settings(log_format=form, log_level=level)))
        assert logging.getLogger("khorgos.access").isEnabledFor(logging.INFO) == (level in ("debug", "info"))
        assert isinstance(root.handlers[0].formatter, FORMS[form])
        assert not logging.getLogger("another").isEnabledFor(logging.INFO)
    finally:
        root.handlers = handlers
        for name, before in levels.items():
            logging.getLogger(name).setLevel(before)


def test_serve_hands_its_settings_to_the_server(workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    told: dict[str, Any] = {}

    def run(sockets: list[socket.socket], *_: Any, **options: Any) -> None:
        for one in sockets:
            one.close()
        told.update(options)

    monkeypatch.setattr(server, "run", run)
    monkeypatch.setenv("KHORGOS_LOG_FORMAT", "JSON")
    monkeypatch.setenv("KHORGOS_DATABASE_URL", workshop.seeded("sqlite").settings.database_url)
    for trusted in ("", "10.0.0.0/8,192.0.2.1"):
        monkeypatch.setenv("KHORGOS_FORWARDED_ALLOW_IPS", trusted)
        done = CliRunner().invoke(cli, ["serve", "--no-setup", "--port", "0"])
        assert done.exit_code == 0, done.output
        assert (told["proxy_headers"], told["forwarded_allow_ips"]) == (bool(trusted), trusted)
        assert told["log_config"]["formatters"] == {"lines": {"()": "app.logs.JsonLines"}}
        assert told["access_log"] is False


WRONG = {
    "log_format": ("xml", "it takes text, json"),
    "log_level": ("loud", "it takes debug, info, warning, error, critical"),
    "rate_limit": ("ten", "it must be a number in a span of time, such as 10/second, several joined by ;"),
    "export_rate_limit": ("0/minute", "it must be a number in a span of time, such as 10/second, several joined by ;"),
    "forwarded_allow_ips": ("proxy", "it must be addresses or networks, joined by commas, such as 10.0.0.0/8"),
    "max_headers": ("3", "it must be at least 8"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_setting_is_told_in_words(name: str) -> None:
    value, reason = WRONG[name]
    with pytest.raises(ValidationError) as found:
        Settings(**{name: value})
    error = invalid_setting(found.value, "KHORGOS_")
    assert isinstance(error, InvalidSetting)
    assert str(error) == f"KHG206 KHORGOS_{name.upper()} cannot be {value!r}: {reason}"
