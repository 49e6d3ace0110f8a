"""A way to PostgreSQL that breaks where a test wants: after so many messages of the protocol, in one way or another."""

import select
import socket
import struct
import threading
import time
from pathlib import Path

from sqlalchemy import URL, make_url

CLOSE, RESET, HOLE = "close", "reset", "hole"
NOW = struct.pack("ii", 1, 0)
"""SO_LINGER of a socket whose closing is a reset."""


class Proxy:
    """Listens on a port of its own and hands messages on; the nth one of all connections is the last of its own."""

    def __init__(self, url: str) -> None:
        self._to = make_url(url)
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._lock = threading.Lock()
        self.break_after(0, CLOSE)
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def port(self) -> int:
        """Port that it listens on."""
        return int(self._listening.getsockname()[1])

    def url_of(self, url: str) -> str:
        """Give the URL of a database as it is reached this way, without TLS, whose messages nobody could count."""
        query = {"sslmode": "disable", "gssencmode": "disable"}
        made: URL = make_url(url).set(host="127.0.0.1", port=self.port, query=query)
        return made.render_as_string(hide_password=False)

    def break_after(self, messages: int, how: str, seconds: float = 0.0) -> None:
        """Break at a message counted from now, 0 never; a hole swallows nothing and lets on after its seconds."""
        self.passed, self._at, self._how, self._seconds = 0, messages, how, seconds

    def close(self) -> None:
        """Listen no longer."""
        self._listening.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listening.accept()
            except OSError:
                return
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=self._carry, args=(client, self._connected()), daemon=True).start()

    def _connected(self) -> socket.socket:
        host = self._to.query.get("host") or self._to.host or "127.0.0.1"
        port = self._to.port or 5432
        if str(host).startswith("/"):
            server = socket.socket(socket.AF_UNIX)
            server.connect(str(Path(str(host)) / f".s.PGSQL.{port}"))
            return server
        return socket.create_connection((str(host), port))

    def _carry(self, client: socket.socket, server: socket.socket) -> None:
        """Hand messages on both ways until one side ends, or the way breaks."""
        rests = {client: b"", server: b""}
        heads = {client: 0, server: 1}  # the first message of a client has no letter before its length
        try:
            while True:
                for one in select.select([client, server], [], [])[0]:
                    other = server if one is client else client
                    got = one.recv(65536)
                    if not got:
                        return
                    rests[one] += got
                    while (size := size_of(rests[one], heads[one])) is not None:
                        other.sendall(rests[one][:size])
                        rests[one], heads[one] = rests[one][size:], 1
                        if self._is_last():
                            self._break(client, server)
                            if self._how != HOLE:
                                return
        except OSError:
            return
        finally:
            client.close()
            server.close()

    def _is_last(self) -> bool:
        with self._lock:
            self.passed += 1
            return self.passed == self._at

    def _break(self, client: socket.socket, server: socket.socket) -> None:
        if self._how == HOLE:
            time.sleep(self._seconds)
        if self._how == RESET:
            for one in (client, server):
                if one.family == socket.AF_INET:
                    one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, NOW)


def size_of(held: bytes, head: int) -> int | None:
    """Give the size of the first message, if all of it is there."""
    if len(held) < head + 4:
        return None
    size = head + int.from_bytes(held[head : head + 4], "big")
    return size if len(held) >= size else None
