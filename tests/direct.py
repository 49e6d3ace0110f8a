"""The service asked without a socket, a client or a thread between, and what a database holds as one hash."""

import asyncio
import hashlib
import re
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import anyio
import orjson
from sqlalchemy import Connection, text

from app.db import Database
from app.main import create_app
from app.settings import Settings

INSTANCE = re.compile(rb'\\*"instance\\*":\\*"[^"\\]*\\*",?')
Headers = Iterable[tuple[str, str]]


@dataclass(frozen=True)
class Answer:
    """Status, headers as they were sent, and body of an answer."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes

    @property
    def said(self) -> bytes:
        """The body without what is of this one request: a problem has a name of its own each time."""
        return INSTANCE.sub(b"", self.body)

    def json(self) -> Any:
        """Read the body."""
        return orjson.loads(self.body)


class Direct:
    """Asks an application in its own event loop; a request that is refused takes about a quarter of a millisecond."""

    def __init__(self, application: Any) -> None:
        self.app = application
        self._loop = asyncio.new_event_loop()
        self._keeper = self._loop.create_task(self._keep_a_thread())
        self._loop.run_forever()

    async def _keep_a_thread(self) -> None:
        """Make the thread that works for every request: it lives as long as the task that it was made for."""
        await anyio.to_thread.run_sync(int)
        self._loop.stop()
        await asyncio.Event().wait()

    def ask(self, target: str, method: str = "GET", headers: Headers = (), body: bytes = b"") -> Answer:
        """Send a request, whose target is a path and a query as they stand on the request line."""
        path, _, query = target.partition("?")
        scope = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": unquote(path),
            "raw_path": path.encode(),
            "root_path": "",
            "query_string": query.encode(),
            "headers": [
                (b"x-request-id", b"test"),
                *((name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers),
            ],
            "server": ("testserver", 80),
            "client": ("127.0.0.1", 50000),
        }
        return self._loop.run_until_complete(self._answer(scope, body))

    async def _answer(self, scope: dict[str, Any], body: bytes) -> Answer:
        unread = [{"type": "http.request", "body": body, "more_body": False}]
        sent: list[Any] = []

        async def receive() -> Any:
            if unread:
                return unread.pop()
            return await asyncio.Event().wait()

        async def send(message: Any) -> None:
            sent.append(message)

        await self.app(scope, receive, send)
        headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in sent[0].get("headers", ())]
        return Answer(sent[0]["status"], headers, b"".join(message.get("body", b"") for message in sent[1:]))

    def close(self) -> None:
        """End the event loop and let the connections go."""
        self._keeper.cancel()
        self._loop.run_until_complete(asyncio.wait((self._keeper,)))
        self._loop.run_until_complete(self._loop.shutdown_asyncgens())
        self._loop.close()


@contextmanager
def direct(database: Database, **settings: Any) -> Iterator[Direct]:
    """Give the service over a database, asked directly; the current release is looked up once."""
    options = {"database_url": database.settings.database_url, "release_ttl": 3600, **settings}
    asked = Direct(create_app(Settings(**options)))
    try:
        yield asked
    finally:
        asked.close()
        asked.app.state.service.database.close()


def content_hash(database: Database) -> str:
    """Give a hash of every row of every table, those of full text and of migrations too; on SQLite of the file too."""
    found = hashlib.sha256()
    with database.read() as connection:
        for table in tables_of(connection):
            rows = connection.execute(text(f'SELECT * FROM "{table}"')).all()
            found.update(f"{table} {len(rows)}\n".encode())
            for row in sorted(map(repr, rows)):
                found.update(row.encode())
    if database.is_sqlite:
        for end in ("", "-wal"):
            path = Path(f"{database.url.database}{end}")
            found.update(path.read_bytes() if path.exists() else b"")
    return found.hexdigest()


def tables_of(connection: Connection) -> list[str]:
    """Give the tables there are, by name; PostgreSQL's own are left out."""
    if connection.dialect.name == "sqlite":
        query = "SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name"
    else:
        query = "SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY tablename"
    return list(connection.execute(text(query)).scalars())


@contextmanager
def unchanged(databases: dict[str, Database]) -> Iterator[dict[str, Direct]]:
    """Give the service over each database; at the end no row and no byte of one may be another."""
    before = {name: content_hash(database) for name, database in databases.items()}
    with ExitStack() as stack:
        yield {name: stack.enter_context(direct(database)) for name, database in databases.items()}
    assert {name: content_hash(database) for name, database in databases.items()} == before
