"""The process that listens: its sockets, how long it waits for a request to arrive, and how it ends."""

import asyncio
import errno
import math
import os
import signal
import socket
import sys
from asyncio import TimerHandle, Transport
from collections.abc import Sequence
from contextlib import suppress
from multiprocessing import parent_process
from threading import Thread
from typing import Any

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.supervisors import Multiprocess

from app.errors import CannotListen

ARRIVAL = 10.0
"""Seconds a request may take to arrive, its body included; who sends it byte by byte is let go."""
GRACE = 0.5
"""Seconds that a connection which was just made has for its request while the process ends."""
CONNECTIONS = 1000
"""Connections of a worker above which the next is told at once to come back: the last fence."""
HEAD_BYTES = 128 * 1024
"""Bytes of a request's head that are read, far above those that the guard lets through."""


class Patient(HttpToolsProtocol):
    """HTTP whose requests arrive in time and whose heads end, or whose connection is closed."""

    _arriving: TimerHandle | None = None
    _is_in_head = False
    _head = 0
    _is_leaving = False

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override]  # uvicorn's own type
        """Begin to wait for the first request."""
        super().connection_made(transport)
        self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no longer."""
        self._arrived()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Read on; who sends a head without end is let go."""
        was_in_head = self._is_in_head
        super().data_received(data)
        if was_in_head and self._is_in_head:
            self._head += len(data)
            if self._head > HEAD_BYTES and not self.transport.is_closing():
                self.send_400_response("The head of the request is too long.")

    def on_message_begin(self) -> None:
        """Begin to wait for the rest of a request."""
        super().on_message_begin()
        self._is_in_head, self._head = True, 0
        self._wait()

    def on_headers_complete(self) -> None:
        """Answer; where the process ends, nothing more is asked over this connection."""
        super().on_headers_complete()
        self._is_in_head = False
        if self._is_leaving and self.cycle is not None:
            self.cycle.keep_alive = False

    def shutdown(self) -> None:
        """End as uvicorn does, but answer who has just come: their request may be on its way."""
        if self.cycle is not None:
            super().shutdown()
            return
        self._is_leaving = True
        self.loop.call_later(GRACE, self._leave)

    def _leave(self) -> None:
        if self.cycle is None:
            self.transport.close()

    def on_message_complete(self) -> None:
        """A request is there."""
        self._arrived()
        super().on_message_complete()

    def _wait(self) -> None:
        if self._arriving is None:
            self._arriving = self.loop.call_later(ARRIVAL, self.transport.close)

    def _arrived(self) -> None:
        if self._arriving is not None:
            self._arriving.cancel()
            self._arriving = None


class Parting(uvicorn.Server):
    """A server that takes in who is connected already when it ends: to stop listening would break them off."""

    def __init__(self, config: uvicorn.Config, listening: Sequence[socket.socket]) -> None:
        super().__init__(config)
        self.listening = listening

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Let nobody new in, take in who waits, then end."""
        for server in self.servers:
            server.close()
        for one in self.listening:
            one.listen(0)
        for one in self.listening:
            await self._take_in(one)
        await super().shutdown(sockets)

    async def _take_in(self, listening: socket.socket) -> None:
        """Take in who is connected, then stop to listen."""
        waiting = []
        listening.setblocking(False)
        with suppress(OSError):
            while True:
                waiting.append(listening.accept()[0])
        listening.close()
        for one in waiting:
            with suppress(OSError):
                await asyncio.get_running_loop().connect_accepted_socket(self._protocol, one)

    def _protocol(self) -> asyncio.Protocol:
        return Patient(self.config, self.server_state, self.lifespan.state)


class Config(uvicorn.Config):
    """What a process serves by; a worker, which loads it, ends when whoever would replace it is gone.

    Else workers of a killed supervisor went on, watched by nobody, and kept their port from the next start.
    """

    def load(self) -> None:
        """Make the application, and watch the supervisor where there is one."""
        super().load()
        if supervisor := parent_process():

            def follow() -> None:
                supervisor.join()
                os.kill(os.getpid(), signal.SIGTERM)

            Thread(target=follow, name="supervisor", daemon=True).start()


def listen(host: str, port: int) -> list[socket.socket]:
    """Bind every address of a host. Raises CannotListen where one is taken or not to be had."""
    bound: list[socket.socket] = []
    try:
        for family, kind, protocol, _, address in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM):
            one = socket.socket(family, kind, protocol)
            bound.append(one)
            one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            one.bind(address)
            one.set_inheritable(True)
            port = port or one.getsockname()[1]  # the others take the one that was found free
    except OSError as error:
        for one in bound:
            one.close()
        if error.errno == errno.EADDRINUSE:
            raise CannotListen(f"port {port} is in use: --port names another") from error
        raise CannotListen(f"{host}:{port} cannot be listened at: {error.strerror}") from error
    return bound


def url_of(host: str, sockets: Sequence[socket.socket]) -> str:
    """Give the address that a host is reached at."""
    return f"http://{f'[{host}]' if ':' in host else host}:{sockets[0].getsockname()[1]}"


def run(sockets: Sequence[socket.socket], farewell: float, workers: int = 1, **options: Any) -> None:
    """Serve until told to end, and then for `farewell` seconds at most.

    A process that could not begin ends with a status that is not 0.
    """
    config = Config(
        "app.main:create_app",
        factory=True,
        http=Patient,
        ws="none",
        workers=workers,
        server_header=False,
        limit_concurrency=CONNECTIONS,
        timeout_graceful_shutdown=math.ceil(farewell),
        **options,
    )
    if workers > 1:
        Multiprocess(config, sockets=list(sockets)).run()
        return
    server = Parting(config, sockets)
    try:
        server.run(sockets=[one.dup() for one in sockets])
    except KeyboardInterrupt:  # raised again by uvicorn once all is closed
        sys.exit(130)
    except OSError as error:  # another process began to listen since
        raise CannotListen(f"the port cannot be listened at: {error.strerror}") from error
    if not server.started:
        sys.exit(3)
