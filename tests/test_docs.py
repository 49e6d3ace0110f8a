"""What a user reads is true: docs are held to the code, commands are run, and no file says what it must not."""

import http.client
import importlib.util
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import typer.main
import yaml
from conftest import SEEDS, Workshop

from app.checks import compute
from app.cli import cli
from app.errors import leaves
from app.ingest.seeds import read_seeds, record_key
from app.main import create_app
from app.models import Base, Check, Country, CountryGroup, Evidence, Figure, Quote
from app.settings import Settings
from app.verify import verify

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
README = (ROOT / "README.md").read_text("utf-8")
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", ROOT / "CONTRIBUTING.md", *sorted(DOCS.glob("*.md"))]
METHOD = (DOCS / "sources-and-method.md").read_text("utf-8")
ARTICLE = ROOT.parent / "shared" / "source" / "astana-times-2025-06.txt"
"""Not ours to give out; where it lies beside the checkout, more is proved."""
HERE = "localhost:8000"


def cells(page: str) -> Iterator[list[str]]:
    """Give the cells of every row of a page's tables."""
    for line in page.splitlines():
        if line.startswith("| "):
            yield [cell.strip() for cell in line.strip("|").split(" |")]


def blocks(page: str) -> list[tuple[str, str, str, str]]:
    """Give language and body of each code block, and of the one that follows it with nothing between."""
    found = list(re.finditer(r"^```(\w+)\n(.*?)^```$", page, re.MULTILINE | re.DOTALL))
    following = [*found[1:], None]
    shown = [
        (after[1], after[2]) if after and not page[block.end() : after.start()].strip() else ("", "")
        for block, after in zip(found, following, strict=True)
    ]
    return [(block[1], block[2], *after) for block, after in zip(found, shown, strict=True)]


def seeded_records() -> dict[type[Any], list[dict[str, Any]]]:
    """Give every record of the seeds by its model."""
    found: dict[type[Any], list[dict[str, Any]]] = {}
    for folder in read_seeds(SEEDS):
        for model, records in folder.dataset.records.items():
            found.setdefault(model, []).extend(records)
    return found


RECORDS = seeded_records()
FIGURES = {figure["id"]: figure for figure in RECORDS[Figure]}


# README: what it shows is run


STAND_IN = """#!{python}
import argparse, http.client, sys
from urllib.parse import urlsplit

parser = argparse.ArgumentParser()
parser.add_argument("url")
parser.add_argument("-s", action="store_true")
parser.add_argument("-I", dest="head", action="store_true")
parser.add_argument("-H", dest="headers", action="append", default=[])
parser.add_argument("-D", dest="dump")
asked = parser.parse_args()
at = urlsplit("http://" + asked.url)
connection = http.client.HTTPConnection(at.hostname, at.port)
headers = dict(header.split(": ", 1) for header in asked.headers)
connection.request("HEAD" if asked.head else "GET", at.path + "?" + at.query, headers=headers)
answer = connection.getresponse()
head = "".join(f"{{name}}: {{value}}\\r\\n" for name, value in answer.getheaders())
head = f"HTTP/1.1 {{answer.status}} {{answer.reason}}\\r\\n{{head}}\\r\\n"
if asked.dump:
    open(asked.dump, "w").write(head)
sys.stdout.buffer.write(head.encode() if asked.head else answer.read())
"""
"""A curl of the few options that the README uses, for machines that have none."""
CURLS = ["stand-in", *(["curl"] if shutil.which("curl") else [])]


@dataclass(frozen=True)
class Running:
    """A service that runs, and the environment that commands about it need."""

    address: str
    environment: Mapping[str, str]

    def status(self, path: str) -> int:
        """Give the status of a path."""
        connection = http.client.HTTPConnection(self.address, timeout=10)
        try:
            connection.request("GET", path)
            return connection.getresponse().status
        finally:
            connection.close()


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """Give the service as `khorgos serve` starts it on a machine that has nothing."""
    folder = tmp_path_factory.mktemp("served")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("KHORGOS_")},
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "KHORGOS_DATABASE_URL": f"sqlite:///{folder / 'khorgos.db'}",
    }
    log = folder / "log"
    with log.open("wb") as said:
        process = subprocess.Popen(
            ["khorgos", "serve", "--port", str(port)], env=environment, cwd=folder, stdout=said, stderr=said
        )
    served = Running(f"127.0.0.1:{port}", environment)
    try:
        wait_until_ready(served, process, log)
        yield served
    finally:
        process.terminate()
        process.wait(timeout=30)


def wait_until_ready(served: Running, process: subprocess.Popen[bytes], log: Path) -> None:
    """Wait for the service; fail with what it said."""
    for _ in range(300):
        assert process.poll() is None, log.read_text("utf-8")
        try:
            if served.status("/readyz") == 200:
                return
        except OSError:
            time.sleep(0.1)
    pytest.fail(f"the service is not ready after 30 s: {log.read_text('utf-8')}")


TESTED = [block for block in blocks(README) if block[0] == "sh"]


@pytest.mark.parametrize("curl", CURLS)
@pytest.mark.parametrize("block", TESTED, ids=[body.splitlines()[0] for _, body, *_ in TESTED])
def test_a_command_of_the_readme_gives_what_is_shown(
    running: Running, block: tuple[str, str, str, str], curl: str, tmp_path: Path
) -> None:
    _, body, language, shown = block
    environment = dict(running.environment)
    if curl == "stand-in":
        program = tmp_path / "bin" / "curl"
        program.parent.mkdir()
        program.write_text(STAND_IN.format(python=sys.executable))
        program.chmod(0o755)
        environment["PATH"] = f"{program.parent}{os.pathsep}{environment['PATH']}"
    done = subprocess.run(
        ["sh", "-e", "-c", body.replace(HERE, running.address)],
        env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    if language == "json":
        assert_shown(json.loads(shown), json.loads(done.stdout))
    else:
        real = [line.strip() for line in done.stdout.splitlines()]
        assert done.stdout and [line for line in shown.splitlines() if line.strip() not in real] == []


def assert_shown(shown: Any, real: Any, at: str = "answer") -> None:
    """Hold an abridged answer against the whole: what it shows is there, in its order."""
    if isinstance(shown, dict):
        assert isinstance(real, dict) and shown.keys() <= real.keys(), f"{at}: {real}"
        for name, value in shown.items():
            assert_shown(value, real[name], f"{at}.{name}")
    elif isinstance(shown, list) and shown:
        rest = iter(real)
        for number, item in enumerate(shown):
            assert any(is_shown(item, one) for one in rest), f"{at}[{number}] is not in {real}"
    else:
        assert shown == real, at


def is_shown(shown: Any, real: Any) -> bool:
    """Whether an abridged answer shows a real one."""
    try:
        assert_shown(shown, real)
    except AssertionError:
        return False
    return True


def test_every_curl_of_the_docs_is_run() -> None:
    run = "".join(body for _, body, *_ in TESTED)
    assert sum(page.read_text("utf-8").count("curl ") for page in PAGES) == run.count("curl ")


def test_every_address_elsewhere_in_the_docs_answers(running: Running) -> None:
    text = "".join(re.sub(r"^```sh\n.*?^```$", "", page.read_text("utf-8"), flags=re.M | re.S) for page in PAGES)
    paths = re.findall(rf"{HERE}(/[^\s\"'<>`)]*)", text)
    assert paths and {path: running.status(path) for path in paths} == dict.fromkeys(paths, 200)


def test_the_error_shown_is_a_real_one(running: Running) -> None:
    (shown,) = [json.loads(body) for language, body, *_ in blocks((DOCS / "errors.md").read_text("utf-8"))]
    connection = http.client.HTTPConnection(running.address, timeout=10)
    connection.request("GET", "/v1/trade/flows?yeer=2024", headers={"X-Request-Id": shown["instance"].split(":")[-1]})
    assert_shown(shown, json.loads(connection.getresponse().read()))
    connection.close()


@pytest.mark.parametrize("target", ["serve", "test"])
def test_make_does_what_the_readme_says(target: str) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
    asked = ["make", "--dry-run", "--always-make", target]
    done = subprocess.run(asked, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
    told = done.stdout.replace("--disable-pip-version-check -qq ", "")
    (plain,) = [body for _, body, *_ in blocks(README) if "pip install" in body]
    for command in plain.split("\n\n")[target == "test"].splitlines():
        assert command.replace("venv .venv", "venv --clear .venv") in told


# README: what it lists is there


@pytest.mark.parametrize("name", Settings.model_fields)
def test_readme_has_every_setting(name: str) -> None:
    field = Settings.model_fields[name]
    default = f" `{field.default}` " if field.default != "" else " "
    assert f"| `KHORGOS_{name.upper()}` |{default}| {field.description} |" in README


def test_readme_has_no_setting_that_is_not_there() -> None:
    known = {f"KHORGOS_{name.upper()}" for name in Settings.model_fields}
    assert set(re.findall(r"KHORGOS_[A-Z_]+", README)) - known == set()


def commands(command: Any, path: str) -> Iterator[tuple[str, Any]]:
    """Give every command of the program."""
    for name, one in getattr(command, "commands", {}).items():
        yield from commands(one, f"{path} {name}")
    if not hasattr(command, "commands"):
        yield path, command


COMMANDS = dict(commands(typer.main.get_command(cli), "khorgos"))


@pytest.mark.parametrize("command", COMMANDS)
def test_readme_has_every_command(command: str) -> None:
    assert re.search(rf"^{command}\b", README, re.MULTILINE)


def test_readme_has_no_command_that_is_not_there() -> None:
    listed = re.findall(r"^khorgos (?:db |import )?\w+", README, re.MULTILINE)
    assert set(listed) == set(COMMANDS)


WITH_OPTIONS = ["khorgos serve", "khorgos import comtrade", "khorgos import baci", "khorgos restore"]


@pytest.mark.parametrize("command", WITH_OPTIONS)
def test_readme_has_every_option(command: str) -> None:
    options = [name for option in COMMANDS[command].params for name in option.opts if name.startswith("--")]
    assert [name for name in options if name not in README and name.replace("--", "--no-") not in README] == []


def test_readme_has_every_path() -> None:
    listed = {path for first, *_ in cells(README) for path in re.findall(r"`(/v1[^`]*)`", first)}
    real = create_app(Settings(database_url="sqlite:///unused.db")).openapi()["paths"]
    assert listed == {path for path in real if path.startswith("/v1")}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text("utf-8"))
    assert [link for link in links if not (page.parent / link).exists()] == []


# docs/


def test_errors_page_has_every_error_as_it_is() -> None:
    rows = [row for row in cells((DOCS / "errors.md").read_text("utf-8")) if row[0].startswith("`KHG")]
    told = [(code.strip("`"), name.strip("`"), status, repair) for code, name, status, _, repair in rows]
    assert told == [(error.code, error.problem, str(error.status), error.repair) for error in leaves()]
    assert all(when for _, _, _, when, _ in rows)


def test_code_map_has_every_file_and_nothing_else() -> None:
    page = (DOCS / "architecture.md").read_text("utf-8")
    rows = [(row[0].strip("`"), row[1]) for row in cells(page) if row[0].startswith(("`app/", "`migrations/"))]
    files = {str(path.relative_to(ROOT)) for top in ("app", "migrations") for path in (ROOT / top).rglob("*.py")}
    assert sorted(name for name, _ in rows) == sorted({*files, "app/static/", "app/web/templates/"})
    assert all(line for _, line in rows)


def test_architecture_names_what_is_there() -> None:
    page = (DOCS / "architecture.md").read_text("utf-8")
    sources: dict[str, str] = {}
    for path in (ROOT / "app").rglob("*.py"):
        sources[path.stem] = sources.get(path.stem, "") + path.read_text("utf-8")
    everything = "".join(sources.values())
    for _, module, word in re.findall(r"`(app\.|api\.|ingest\.)?(?!app\.)(\w+)\.([A-Za-z_]+)(?=[.`(])", page):
        if word not in ("py", "md"):
            source = sources[module] if module.islower() else everything
            assert re.search(rf"^ *(?:class |def |async def )?{word}\b", source, re.MULTILINE), f"{module}.{word}"


def test_data_model_page_is_drawn_from_the_models() -> None:
    spec = importlib.util.spec_from_file_location("draw_model", DOCS / "draw_model.py")
    assert spec and spec.loader
    drawer = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(drawer)
    page = (DOCS / "data-model.md").read_text("utf-8")
    assert drawer.draw(page) == page


def test_data_model_leaves_no_column_without_a_meaning() -> None:
    rows = [row for row in cells((DOCS / "data-model.md").read_text("utf-8")) if len(row) == 4]
    assert rows and [row for row in rows if not all(row)] == []


def test_foreign_keys_lead_to_releases_alone() -> None:
    led = {(table.name, key.column.table.name) for table in Base.metadata.tables.values() for key in table.foreign_keys}
    others = set(Base.metadata.tables) - {"releases", "trade_flows"}
    assert led == {(table, "releases") for table in others}


def test_method_page_has_everything_inferred_and_nothing_else() -> None:
    real = {
        record_key(model, record): list(record["inferred"])
        for model, records in RECORDS.items()
        for record in records
        if record.get("inferred")
    }
    rows = [row for row in cells(section(METHOD, "What was concluded")) if row[0].startswith("`")]
    assert {key.strip("`"): fields.split(", ") for key, fields, _ in rows} == real
    assert all(why for *_, why in rows)


def section(page: str, heading: str) -> str:
    """Give a page's part under a heading, its own headings included."""
    return re.split(r"^## ", page.partition(f"## {heading}\n")[2], maxsplit=1, flags=re.MULTILINE)[0]


def test_method_page_names_every_inferred_year_of_an_event() -> None:
    real = {record["slug"] for records in RECORDS.values() for record in records if record.get("year_inferred")}
    assert {slug for slug in real if f"`{slug}`" not in section(METHOD, "What was concluded")} == set()


def test_method_page_names_every_inferred_speaker() -> None:
    real = {quote["id"] for quote in RECORDS[Quote] if quote["speaker_basis"] == "inferred"}
    (told,) = [line for line in METHOD.splitlines() if line.startswith("`speaker_basis`")]
    assert set(re.findall(r"`(q-[a-z-]+)`", told)) == real


def test_method_page_has_intervals_as_they_are() -> None:
    rows = [row for row in cells(section(METHOD, "How a figure is read")) if row[0].startswith("`at-")]
    assert rows
    for name, words, lower, upper in rows:
        figure = FIGURES[name.strip("`")]
        ends = [float(end.replace(",", "")) for end in (lower, upper)]
        assert (words, *ends) == (figure["as_stated"], figure["lower"], figure["upper"])


def test_method_page_has_every_verdict() -> None:
    real = {check["slug"]: str(compute(check, FIGURES)["verdict"]) for check in RECORDS[Check]}
    rows = [row for row in cells(section(METHOD, "Contradictions that are kept")) if row[0] != "check"]
    assert {check.strip("`"): verdict.strip("`") for check, verdict in rows if check.startswith("`")} == real


def test_method_page_counts_countries_and_names_groups() -> None:
    economies = sum(country["kind"] == "economy" for country in RECORDS[Country])
    part = section(METHOD, "Countries")
    assert part.strip().startswith(f"{len(RECORDS[Country])} rows: the {economies} economies")
    assert [group["slug"] for group in RECORDS[CountryGroup] if f"`{group['slug']}`" not in part] == []


def test_method_page_counts_what_is_proved() -> None:
    counted = [(Figure, "figures stand"), (Quote, "quotes stand"), (Evidence, "pieces of evidence stand")]
    told = section(METHOD, "What verify proves")
    for model, what in counted:
        number = len(RECORDS[model])
        assert f"  {number} of {number} {what} where they say\n" in told
    silent = {figure["id"] for figure in RECORDS[Figure] if not any(map(str.isdigit, figure["as_stated"]))}
    assert set(re.findall(r"`(at-[a-z0-9-]+)`", told)) == silent


def test_source_is_told_as_it_is_recorded() -> None:
    (article,) = [record for records in RECORDS.values() for record in records if record.get("kind") == "article"]
    assert f"`{article['sha256']}`" in METHOD and f"{article['length']:,} code points" in METHOD


# Containers and locks


COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text("utf-8"))
IMAGE = (ROOT / "Dockerfile").read_text("utf-8")


@pytest.mark.parametrize("service", COMPOSE["services"])
def test_a_container_can_do_little(service: str) -> None:
    one = COMPOSE["services"][service]
    user = one.get("user") or re.findall(r"^USER (\S+)$", IMAGE.rpartition("FROM ")[2], re.MULTILINE)[-1]
    assert int(user.partition(":")[0]) > 0
    assert (one["read_only"], one["cap_drop"]) == (True, ["ALL"])
    assert "no-new-privileges:true" in one["security_opt"]


@pytest.mark.parametrize("service", COMPOSE["services"])
def test_a_container_tells_its_health(service: str) -> None:
    one = COMPOSE["services"][service]
    assert one["healthcheck"]["test"] if "healthcheck" in one else re.search(r"^HEALTHCHECK .*CMD", IMAGE, re.M | re.S)


@pytest.mark.parametrize("lock", ["requirements.lock", "requirements-dev.lock"])
def test_a_lock_has_a_hash_for_everything_and_names_no_place(lock: str) -> None:
    text = (ROOT / lock).read_text("utf-8")
    pinned = re.split(r"^(?=\S)", text, flags=re.MULTILINE)[1:]
    assert pinned and [one for one in pinned if "==" not in one.splitlines()[0] or "--hash=sha256:" not in one] == []
    assert "://" not in text


# What no file may say


def written() -> dict[str, str]:
    """Give the text of every file of the repository that people write."""
    asked = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(asked, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\0")
    kept = [name for name in names if name and not name.startswith("app/static/") and (ROOT / name).is_file()]
    return {name: (ROOT / name).read_text("utf-8", errors="replace") for name in kept}


def registries(text: str) -> bool:
    """Whether a package registry's host is named."""
    return bool(re.search(r"[\w.-]*\b(?:py" r"pi|python" r"hosted|npm" r"js|crates)\.(?:org|com|io)\b", text))


def machines(text: str) -> bool:
    """Whether a path of somebody's machine is named: a home, or where this checkout lies."""
    lies = ROOT.parent
    places = ["home", "Users", "root", *([str(lies)[1:]] if len(lies.parts) > 1 and lies != Path("/tmp") else [])]
    return bool(re.search(rf"(?<![\w./:])/(?:{'|'.join(map(re.escape, places))})/\w", text))


def prose(text: str) -> bool:
    """Whether 220 characters of the article stand in a row, its quotations apart."""
    article, text = (" ".join(one.split()) for one in (ARTICLE.read_text("utf-8"), text))
    spoken = re.findall("“([^”]*)”", article)
    pieces = (article[at : at + 220] for at in range(0, len(article) - 219, 44))
    return any(piece in text and not any(piece in said for said in spoken) for piece in pieces)


FORBIDDEN: dict[str, Callable[[str], bool]] = {"a registry": registries, "a machine": machines}
if ARTICLE.exists():
    FORBIDDEN["the article"] = prose


@pytest.mark.parametrize("what", FORBIDDEN)
def test_no_file_names(what: str) -> None:
    assert [name for name, text in written().items() if FORBIDDEN[what](text)] == []


def test_what_is_proved_of_the_text_is_told(workshop: Workshop) -> None:
    told = section(METHOD, "What verify proves")
    texts = [ARTICLE.read_bytes()] if ARTICLE.exists() else []
    for text in texts:
        with workshop.seeded("sqlite").read() as connection:
            slug, counts = verify(connection, text)
        assert "\n".join((f"{slug}: the text is the one that was read", *(f"  {count}" for count in counts))) in told
