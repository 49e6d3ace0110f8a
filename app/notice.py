"""Word of a release as it is published, so that no worker waits for its next look. PostgreSQL alone sends it."""

import logging
import selectors
import socket
import threading
import time
from contextlib import suppress

from app.db import listening
from app.errors import KhorgosError
from app.releases import Releases

log = logging.getLogger("khorgos")
FIRST, LONGEST = 0.1, 10.0
"""Seconds before it is listened again: they double, until a connection has lasted that long."""


class Notices:
    """A thread that listens over a connection of its own, and looks for a release whenever one is told.

    It looks too after each connection is made, since what was told before was not heard. Looks in their time go on:
    they find a release where no notice arrives, as through a pooler of transactions.
    """

    def __init__(self, releases: Releases) -> None:
        self._database = releases.databases.primary.database
        self._releases = releases
        self._is_over = threading.Event()
        self._woken, self._waker = socket.socketpair()
        self._thread = threading.Thread(target=self._run, name="khorgos-notices", daemon=True)

    def start(self) -> None:
        """Begin to listen."""
        self._thread.start()

    def close(self) -> None:
        """Listen no longer; a connection that is just being made is not waited for."""
        self._is_over.set()
        self._waker.close()
        self._thread.join(timeout=1)

    def _run(self) -> None:
        pause, is_told = FIRST, False
        while not self._is_over.is_set():
            began = time.monotonic()
            try:
                self._listen()
            except KhorgosError as error:
                if time.monotonic() - began > LONGEST:
                    pause, is_told = FIRST, False
                if not is_told:
                    log.warning("notices of releases are not heard, looks find them: %s", error)
                is_told = True
            self._is_over.wait(pause)
            pause = min(2 * pause, LONGEST)
        self._woken.close()

    def _listen(self) -> None:
        """Listen until it is over. Raises DatabaseUnavailable where the connection is lost."""
        with listening(self._database) as heard, selectors.DefaultSelector() as ready:
            ready.register(heard, selectors.EVENT_READ)
            ready.register(self._woken, selectors.EVENT_READ)
            self._look()
            while not self._is_over.is_set():
                ready.select()
                if not self._is_over.is_set() and heard.take():
                    self._look()

    def _look(self) -> None:
        with suppress(Exception):  # the next look in its time says what is wrong
            self._releases.look()
