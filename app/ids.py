"""What a request is known by: its id, by which log, answer and problem name it."""

import re
from collections.abc import MutableMapping
from random import getrandbits
from typing import Any

HEADER = b"x-request-id"
KEY = "khorgos.id"
"""Where a request's scope holds its id; a request from within has that of the one that it is asked by."""
ROUTE = "khorgos.route"
"""Where it holds the route of an answer from memory, which none of the routes gave."""
GIVEN = re.compile(rb"[A-Za-z0-9._-]{1,64}")
"""What a client may call its request."""


def choose(given: bytes | None) -> bytes:
    """Give the id of a request: the client's own where it is a plain word, else one that no other has."""
    return given if given is not None and GIVEN.fullmatch(given) else b"%032x" % getrandbits(128)


def id_of(scope: MutableMapping[str, Any]) -> str:
    """Give the id of a request; one that came past the front gets its own here."""
    found: bytes = scope.setdefault(KEY, b"") or choose(None)
    scope[KEY] = found
    return found.decode()
