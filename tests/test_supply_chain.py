"""What the program is made of is pinned, listed and watched, and its container may do little."""

import json
import re
import subprocess
import sys
import threading
import tomllib
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from importlib.metadata import PackageNotFoundError, requires
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.version import Version

ROOT = Path(__file__).parent.parent
LOCKS = {path.name: path.read_text("utf-8") for path in ROOT.glob("requirements*.lock")}
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
DOCKERFILE = (ROOT / "Dockerfile").read_text("utf-8").replace("\\\n", " ")
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text("utf-8"))
FLOORS = {
    "fastapi": "0.165",
    "starlette": "1.10",
    "uvicorn": "0.54",
    "h11": "0.16",
    "httptools": "0.8",
    "sqlalchemy": "2.1",
    "pydantic": "2.13",
    "psycopg": "3.3",
    "pyarrow": "23.0.1",
    "alembic": "1.20",
    "mako": "1.3.12",
    "jinja2": "3.1.6",
    "orjson": "3.9.15",
    "python-multipart": "0.0.27",
}
"""Versions below which something is known of a library."""


def pins(lock: str) -> dict[str, set[str]]:
    """Give the versions that a lock has of each package; several where platforms differ."""
    found: dict[str, set[str]] = {}
    for name, version in re.findall(r"^([a-z0-9-]+)(?:\[[^\]]*\])?==([^ ;]+)", LOCKS[lock], re.MULTILINE):
        found.setdefault(name, set()).add(version)
    return found


@pytest.mark.parametrize("lock", LOCKS)
def test_every_line_of_a_lock_is_a_pin_with_hashes(lock: str) -> None:
    entries = re.split(r"\n(?=[^ ])", LOCKS[lock].strip())
    for entry in entries:
        first, *hashes = entry.replace("\\\n", "\n").splitlines()
        assert re.match(r"[a-z0-9-]+(\[[a-z0-9,-]+\])?==[^ ]+( ;.*)?$", first.strip()), first
        assert hashes and all(re.fullmatch(r" +--hash=sha256:[0-9a-f]{64} *", one) for one in hashes), first


def test_the_locks_agree() -> None:
    assert set(LOCKS) == {"requirements.lock", "requirements-build.lock", "requirements-dev.lock"}
    every = pins("requirements-dev.lock")
    for lock in LOCKS:
        assert {name: versions for name, versions in pins(lock).items() if not versions <= every[name]} == {}


@pytest.mark.parametrize("name", FLOORS)
def test_what_is_known_of_a_library_is_below_its_floor_and_the_lock(name: str) -> None:
    project = PROJECT["project"]
    asked = [Requirement(one) for one in sum(project["optional-dependencies"].values(), project["dependencies"])]
    (floor,) = [spec.version for one in asked if one.name == name for spec in one.specifier if spec.operator == ">="]
    locked = pins("requirements.lock")[name]
    assert Version(FLOORS[name]) <= Version(floor) <= min(map(Version, locked))


def test_what_builds_the_program_is_locked() -> None:
    build = pins("requirements-build.lock")
    needed = {Requirement(one).name for one in PROJECT["build-system"]["requires"]} | {"editables"}
    assert needed <= set(build)
    extra = PROJECT["project"]["optional-dependencies"]["dev"]
    assert set(PROJECT["dependency-groups"]["build"]) <= set(extra)
    assert set(PROJECT["build-system"]["requires"]) <= set(extra)


def test_pip_is_never_let_fetch_without_a_hash() -> None:
    pages = ("Makefile", "Dockerfile", "README.md", ".ci/run")
    text = "\n".join((ROOT / page).read_text("utf-8").replace("\\\n", " ") for page in pages)
    ran = re.findall(r"^\S*(?:\s*@|RUN |.*&& )?.*?(?:pip|PIP\)) (?:install|wheel) [^&\n]*", text, re.MULTILINE)
    told = [one for line in ran for one in line.split("&&")]
    ours = [one for one in told if re.search(r"(-r|--requirement|--editable|/wheels)\b", one)]
    assert len(ours) >= 10
    for one in ours:
        is_whole = "--no-deps" in one and re.search("--no-build-isolation|--no-index", one)
        is_extra = re.search(r"--editable '\.\[", one)  # told to who adds a format by hand
        assert "--require-hashes" in one or is_whole or is_extra, one


def test_forms_are_read_by_nothing_of_ours() -> None:
    """The library that reads them comes with `mcp`, and has had the most advisories of all."""

    def takes(name: str) -> set[str]:
        try:
            found = map(Requirement, requires(name) or ())
        except PackageNotFoundError:  # of another platform
            return set()
        return {one.name for one in found if one.marker is None or one.marker.evaluate({"extra": ""})}

    assert {name for name in pins("requirements.lock") if "python-multipart" in takes(name)} == {"mcp"}
    reading = re.compile(r"multipart|request\.form\(|from (fastapi|starlette)\S* import .*\b(Form|File|UploadFile)\b")
    assert [path for path in (ROOT / "app").rglob("*.py") if reading.search(path.read_text("utf-8"))] == []


# make audit


class Advisories(BaseHTTPRequestHandler):
    """A source of advisories that knows of one package."""

    def do_POST(self) -> None:  # the name that the library calls
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        known = {"id": "KHG-TEST-1", "modified": "2026-01-01T00:00:00Z", "summary": "bad", "affected": []}
        known["affected"] = [{"package": asked["package"], "ranges": [], "versions": [asked["version"]]}]
        body = json.dumps({"vulns": [known]} if asked["package"]["name"] == "badly" else {}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture(scope="module")
def advisories() -> Iterator[str]:
    """Give the address of a source of advisories."""
    server = HTTPServer(("127.0.0.1", 0), Advisories)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/v1/query"
    server.shutdown()
    thread.join()
    server.server_close()


def audit(tool: str | Path, lock: Path, *options: str) -> tuple[int, list[str]]:
    """Audit a lock: the exit status and the lines."""
    line = [sys.executable, ROOT / ".ci" / "audit.py", tool, lock, "--", *options]
    done = subprocess.run(line, capture_output=True, text=True, check=False)
    assert done.stderr == ""
    return done.returncode, done.stdout.replace(f"{lock}: ", "").splitlines()


@pytest.fixture
def lock(tmp_path: Path) -> Path:
    """Give a lock of two packages and one that is of another platform."""
    path = tmp_path / "some.lock"
    lines = ("goodly==1.0", "badly==2.0", "otherly==3.0 ; sys_platform == 'plan9'")
    path.write_text("".join(f"{line} \\\n    --hash=sha256:{'0' * 64}\n" for line in lines))
    return path


PIP_AUDIT = Path(sys.executable).with_name("pip-audit")


def test_an_audit_tells_what_is_known_and_fails(lock: Path, advisories: str) -> None:
    status, lines = audit(PIP_AUDIT, lock, "-s", "osv", "--osv-url", advisories)
    assert (status, lines) == (
        1,
        ["badly 2.0: KHG-TEST-1", "2 of 2 packages audited", "vulnerable: see above"],
    )


def test_an_audit_of_which_nothing_is_known_passes(lock: Path, advisories: str) -> None:
    lock.write_text(lock.read_text().replace("badly", "wellly"))
    status, lines = audit(PIP_AUDIT, lock, "-s", "osv", "--osv-url", advisories)
    assert (status, lines) == (0, ["2 of 2 packages audited", "audited: nothing is known of any package"])


def test_an_audit_without_a_source_is_no_pass(lock: Path) -> None:
    status, lines = audit(PIP_AUDIT, lock, "-s", "osv", "--osv-url", "http://127.0.0.1:9/v1/query")
    assert status == 3
    assert lines[0].startswith("0 of 2 packages audited: ")
    assert lines[-1] == "not audited: no advisory source could be reached"


def test_a_package_that_could_not_be_audited_is_no_pass(lock: Path, tmp_path: Path) -> None:
    told = {"dependencies": [{"name": "Goodly", "version": "1.0", "vulns": []}, {"name": "badly", "skip_reason": "?"}]}
    tool = tmp_path / "pip-audit"
    tool.write_text(f"#!/bin/sh\ncase \"$*\" in *--strict*) exit 1;; esac\necho '{json.dumps(told)}'\n")
    tool.chmod(0o755)
    assert audit(tool, lock) == (
        2,
        [
            "1 of 2 packages audited",
            "not audited: badly",
            "not audited: the advisories of some packages could not be had",
        ],
    )


def test_make_audit_asks_of_every_lock() -> None:
    told = subprocess.run(["make", "--dry-run", "audit"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert set(re.findall(r"requirements\S*\.lock", told.partition("audit.py")[2])) == set(LOCKS)


# make sbom


def test_the_bill_of_materials_has_every_package_with_its_hashes(tmp_path: Path) -> None:
    path = tmp_path / "out" / "sbom.json"
    line = ["make", "--silent", "--old-file=.venv/.installed-dev", "sbom", f"SBOM={path}"]
    subprocess.run([*line, f"BIN={Path(sys.executable).parent}"], cwd=ROOT, capture_output=True, check=True)
    told = json.loads(path.read_text("utf-8"))
    assert (told["bomFormat"], told["metadata"]["component"]["name"]) == ("CycloneDX", "khorgos")
    listed: dict[str, set[str]] = {}
    for one in told["components"]:
        listed.setdefault(one["name"], set()).add(one["version"])
        (where,) = one["externalReferences"]
        hashes = {found["content"] for found in where["hashes"]}
        assert hashes and all(f"--hash=sha256:{found}" in LOCKS["requirements.lock"] for found in hashes)
        assert one["purl"].startswith(f"pkg:pypi/{one['name']}@{one['version']}")
    assert listed == pins("requirements.lock")


# the container


def steps() -> list[tuple[str, str]]:
    """Give the instructions of the Dockerfile."""
    lines = [line for line in DOCKERFILE.splitlines() if line.strip() and not line.startswith("#")]
    return [(word, rest.strip()) for word, _, rest in (line.partition(" ") for line in lines)]


def test_the_image_is_of_a_named_version_and_runs_as_nobody() -> None:
    bases = [rest.split()[0] for word, rest in steps() if word == "FROM"]
    assert all(re.fullmatch(r"[a-z]+:\d+\.\d+[\w.-]*", base) for base in bases), bases
    last = max(number for number, (word, _) in enumerate(steps()) if word == "FROM")
    (user,) = [rest for word, rest in steps()[last:] if word == "USER"]
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", user)
    after = [word for word, _ in steps()[last:]]
    assert "RUN" not in after[after.index("USER") :]


def test_the_image_fetches_nothing_unpinned_and_holds_no_secret() -> None:
    words = [word for word, _ in steps()]
    assert "ADD" not in words and "ARG" not in words
    fetching = r"\b(curl|wget|git clone|apt-get install)\b"
    assert not [rest for word, rest in steps() if word == "RUN" and re.search(fetching, rest)]
    assert not re.search(r"(?i)password|secret|token", DOCKERFILE)


def test_the_image_is_healthy_while_it_is_ready() -> None:
    (check,) = [rest for word, rest in steps() if word == "HEALTHCHECK"]
    assert "/readyz" in check and "--timeout=" in check


def test_the_image_takes_what_it_copies() -> None:
    sent = (ROOT / ".dockerignore").read_text("utf-8").split()
    for word, rest in steps():
        if word == "COPY" and "--from" not in rest:
            for name in rest.split()[:-1]:
                assert (ROOT / name).exists() and f"!{name}" in sent, name


@pytest.mark.parametrize("service", COMPOSE["services"])
def test_a_container_may_do_little(service: str) -> None:
    told = COMPOSE["services"][service]
    assert told["read_only"] is True
    assert told["cap_drop"] == ["ALL"] and "cap_add" not in told
    assert told["security_opt"] == ["no-new-privileges:true"]
    assert not {"privileged", "network_mode", "pid", "devices"} & set(told)
    assert not [one for one in told.get("volumes", ()) if "docker.sock" in str(one) or str(one).startswith(("/", "."))]
    assert all(str(port).startswith("127.0.0.1:") for port in told.get("ports", ()))
