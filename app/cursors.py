"""Where a page ended, as the next one is asked: a cursor is of one list, one order and one release."""

import base64
import hashlib
from datetime import date, datetime
from typing import Any

import orjson
from sqlalchemy import BigInteger

from app.ask import broken_cursor, cursor_state
from app.formats import ARRAY
from app.plan import Plan, Selected
from app.query import Order

PAGING = frozenset({"cursor", "limit", "fields", "format", "count", "release"})
"""Parameters that may change from page to page of one list."""


def fingerprint(plan: Plan) -> str:
    """Tell one list from another: what a cursor must have been made for."""
    canonical = plan.ask.canonical
    kept = [(name, value) for name, value in canonical if name not in PAGING and (name, value) != ("shape", ARRAY)]
    key = orjson.dumps([plan.ask.request.scope["path"], plan.ask.edition.number, kept])
    return hashlib.sha256(key).hexdigest()[:12]


def write_cursor(plan: Plan, rows: Selected) -> str:
    """Write where a page ended: release, list, and the keys of its last row."""
    state = [plan.ask.edition.number, fingerprint(plan), plan.last_keys(rows)]
    return base64.urlsafe_b64encode(orjson.dumps(state)).decode().rstrip("=")


def read_cursor(text: str, plan: Plan) -> list[Any]:
    """Read where the page before ended. Raises InvalidCursor."""
    _, made_for, keys = cursor_state(text)
    if made_for != fingerprint(plan):
        raise broken_cursor(text, "it was made for another list, order or release")
    try:
        return [typed(value, key) for value, key in zip(keys, plan.prepared.order, strict=True)]
    except (ValueError, TypeError) as error:
        raise broken_cursor(text, "it is not one that this service wrote") from error


def typed(value: Any, key: Order) -> Any:
    """Give a cursor's value in the type of its key. Raises TypeError, ValueError."""
    expected = key.column.type.python_type
    if value is None and key.nullable:
        return None
    if expected in (date, datetime):
        return expected.fromisoformat(value)
    if expected is float and isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    if type(value) is not expected:
        raise TypeError
    bits = 63 if isinstance(key.column.type, BigInteger) else 31
    if expected is int and not -(2**bits) <= value < 2**bits:
        raise ValueError
    if expected is str and b"\0" in value.encode():
        raise ValueError
    return value
