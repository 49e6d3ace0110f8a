"""Proof against a source's text: every figure, quote and fragment stands where it says, and nothing is left out."""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, func, select

from app.codes import QuoteKind
from app.errors import TextMismatch
from app.models import Evidence, Figure, Quote, Release, Source
from app.names import visible

DIGIT_TOKEN = re.compile(r"\S*\d\S*")
QUOTATION = re.compile("“([^”]*)”")
AROUND = ".,;:!?)(”“’‘"
"""Marks beside a token that are no part of its number."""


@dataclass(frozen=True)
class Count:
    """How many of some things are as they must be, and which are not."""

    what: str
    total: int
    wrong: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.total - len(self.wrong)} of {self.total} {self.what}"


def verify(connection: Connection, text: bytes) -> tuple[str, list[Count]]:
    """Hold the current figures of a source against its text; give the source and the counts. Raises TextMismatch."""
    release = connection.execute(select(func.max(Release.id))).scalar() or 0
    sha256 = hashlib.sha256(text).hexdigest()
    known = select(Source.slug).where(Source.sha256 == sha256, visible(Source, release))
    slug = connection.execute(known).scalar()
    if slug is None:
        raise TextMismatch(f"no source has a text with SHA-256 {sha256}")
    decoded = text.decode()

    def rows(model: Any, *columns: Any) -> Sequence[Any]:
        return connection.execute(select(*columns).where(model.source == slug, visible(model, release))).all()

    figures = rows(Figure, Figure.id, Figure.start, Figure.end, Figure.exact, Figure.as_stated)
    quotes = rows(Quote, Quote.id, Quote.start, Quote.end, Quote.exact, Quote.kind)
    fragments = rows(Evidence, Evidence.record_key, Evidence.start, Evidence.end, Evidence.exact)
    numbers = [
        (start + exact.find(words), start + exact.find(words) + len(words)) for _, start, _, exact, words in figures
    ]
    direct = {(start, end) for _, start, end, _, kind in quotes if kind == QuoteKind.DIRECT}
    return slug, [
        misplaced("figures stand where they say", figures, decoded),
        misplaced("quotes stand where they say", quotes, decoded),
        misplaced("pieces of evidence stand where they say", fragments, decoded),
        uncovered_tokens(decoded, numbers),
        uncovered_quotations(decoded, direct),
    ]


def misplaced(what: str, rows: Sequence[Any], text: str) -> Count:
    """Count the rows whose words stand at their place."""
    wrong = tuple(f"{name}: [{start}:{end}]" for name, start, end, exact, *_ in rows if text[start:end] != exact)
    return Count(what, len(rows), wrong)


def uncovered_tokens(text: str, numbers: Sequence[tuple[int, int]]) -> Count:
    """Count the tokens with digits that are part of a figure."""
    tokens = []
    for match in DIGIT_TOKEN.finditer(text):
        start = match.end() - len(match[0].lstrip(AROUND))
        tokens.append((start, start + len(match[0].strip(AROUND))))
    wrong = [(a, b) for a, b in tokens if not any(start <= a and b <= end for start, end in numbers)]
    return Count("tokens with digits are figures", len(tokens), tuple(f"{text[a:b]!r} at {a}" for a, b in wrong))


def uncovered_quotations(text: str, direct: set[tuple[int, int]]) -> Count:
    """Count the quotations that are quotes, to the character."""
    spans = [match.span(1) for match in QUOTATION.finditer(text)]
    wrong = tuple(f"{text[a : a + 40]!r} at {a}" for a, b in spans if (a, b) not in direct)
    return Count("quotations are quotes", len(spans), wrong)
