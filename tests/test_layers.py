"""The shape of the program: imports point downwards, libraries are known where they must be, nothing grows too long."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
LAYERS = (
    {"ids"},
    {"app", "codes", "errors", "fault", "nearest", "settings", "stop"},
    {"sqlstates"},
    {
        *("compress", "db", "formats", "letters", "logs", "metrics", "models", "periods", "rate", "recent"),
        *("refusals", "sums", "telemetry", "wording"),
    },
    {"citus"},
    {"fetch", "names", "params", "replica", "schema", "search", "store", "within"},
    {"backup", "checks", "evidence", "ingest", "releases", "verify"},
    {"filters", "notice"},
    {"ask", "query"},
    {"empty", "plan"},
    {"cursors"},
    {"answer"},
    {"envelope", "exports", "flows", "routes"},
    {"sdmx"},
    {"api", "guard", "openapi"},
    {"cache", "charts", "edge", "mcp", "tables", "web"},
    {"main", "server"},
    {"cli"},
)
"""Rooms from the bottom up; docs/architecture.md says why."""
LEVEL = {room: level for level, rooms in enumerate(LAYERS) for room in rooms}
WITHIN_API: frozenset[str] = frozenset()
"""What files of api/ may take from each other: nothing."""
KNOWS = {
    "fastapi": {"openapi", "routes", "api", "charts", "main", "refusals"},
    "sqlalchemy": {
        *(
            "backup",
            "models",
            "checks",
            "db",
            "names",
            "search",
            "evidence",
            "fetch",
            "filters",
            "query",
            "empty",
            "plan",
            "cursors",
            "flows",
            "exports",
            "releases",
            "replica",
            "schema",
            "sqlstates",
            "verify",
            "ingest",
            "answer",
            "sdmx",
            "api",
            "citus",
            "cli",
            "telemetry",
        ),
    },
    "alembic": {"schema"},
    "limits": {"rate", "settings"},
    "opentelemetry": {"telemetry"},
    "mcp": {"mcp"},
    "mcp_types": {"mcp"},
    "polars": {"ingest"},
    "jinja2": {"web"},
    "typer": {"cli"},
    "vl_convert": {"charts"},
}
ONE_PAGE = "models.py"
"""Holds every table on one page, and may be long."""
FILE_LINES, FUNCTION_LINES = 400, 50

FILES = {
    ".".join(path.relative_to(ROOT / "app").with_suffix("").parts).removesuffix("__init__").rstrip(".") or "app": path
    for path in sorted((ROOT / "app").rglob("*.py"))
}
"""Every module of app by its name, `app` left out."""


LIBRARY = "library "
"""What stands before the name of a library in `imports`: one of them has the name of a room."""


def room(module: str) -> str:
    """Give the room a module is in: its folder, or itself."""
    return module.partition(".")[0]


def imports(module: str) -> Iterator[str]:
    """Give what a module imports: ours by their names in FILES, libraries by their package."""
    for node in ast.walk(ast.parse(FILES[module].read_text("utf-8"))):
        named = []
        if isinstance(node, ast.Import):
            named = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module} imports by a relative path"
            named = [f"{node.module}.{alias.name}" for alias in node.names]
        for name in named:
            yield ours(name) if room(name) == "app" else LIBRARY + room(name)


def ours(name: str) -> str:
    """Give the module of app that an imported name is, or is in."""
    inner = name.removeprefix("app").removeprefix(".")
    while inner and inner not in FILES:
        inner = inner.rpartition(".")[0]
    return inner or "app"


def test_every_module_is_in_a_room() -> None:
    assert {room(module) for module in FILES} == set(LEVEL)


@pytest.mark.parametrize("module", FILES)
def test_imports_point_downwards(module: str) -> None:
    level = LEVEL[room(module)]
    taken = {one for one in imports(module) if one in FILES and room(one) != room(module)}
    assert {one for one in taken if LEVEL[room(one)] >= level} == set()


def test_imports_make_no_circle() -> None:
    left = {module: {one for one in imports(module) if one in FILES} - {module} for module in FILES}
    while free := [module for module, taken in left.items() if not taken & set(left)]:
        for module in free:
            del left[module]
    assert left == {}


@pytest.mark.parametrize("module", [module for module in FILES if room(module) == "api"])
def test_a_resource_takes_nothing_from_another(module: str) -> None:
    assert {one for one in imports(module) if room(one) == "api"} <= WITHIN_API


@pytest.mark.parametrize("library", KNOWS)
def test_a_library_is_known_where_it_must_be_and_nowhere_else(library: str) -> None:
    assert {room(module) for module in FILES if LIBRARY + library in imports(module)} == KNOWS[library]


def test_the_architecture_page_has_the_layers() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text("utf-8")
    listed = [
        set(re.findall(r"`(\w+)`", line)) for line in re.findall(r"^\d+\. (`\w+`(?:, `\w+`)*)$", page, re.MULTILINE)
    ]
    assert listed == list(LAYERS)


@pytest.mark.parametrize("module", FILES)
def test_a_file_is_no_longer_than_400_lines(module: str) -> None:
    path = FILES[module]
    assert path.name == ONE_PAGE or len(path.read_text("utf-8").splitlines()) <= FILE_LINES


@pytest.mark.parametrize("module", FILES)
def test_a_function_is_no_longer_than_50_lines(module: str) -> None:
    long = {
        f"{node.name}: {length}"
        for node in ast.walk(ast.parse(FILES[module].read_text("utf-8")))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (length := (node.end_lineno or 0) - node.lineno + 1) > FUNCTION_LINES
    }
    assert long == set()
