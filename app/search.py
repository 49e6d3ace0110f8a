"""Full text: the words of records, folded by ourselves so that each engine finds the same ones.

`a b` finds records with both words, `a*` words that begin so, `"a b"` the words in a row. SQLite serves it by FTS5,
PostgreSQL by tsvector; both hold the folded words as they are, without stemming.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import BindParameter, Boolean, ColumnElement, Integer, and_, bindparam, func, literal
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler

from app.errors import Fault, InvalidValue
from app.letters import bare
from app.models import (
    Check,
    Country,
    Event,
    Expert,
    Figure,
    Indicator,
    Organization,
    Product,
    Programme,
    Project,
    ProjectPortfolio,
    Quote,
    Risk,
    SearchEntry,
    Source,
    Topic,
)

WORD = re.compile(r"[^\W_]+")
TERM = re.compile(r'"(?P<phrase>[^"]*)"|(?P<word>\S+)')
WORDED: Mapping[type[Any], tuple[str, tuple[str, ...]]] = {
    Check: ("title", ("note",)),
    Country: ("name", ("official_name", "aliases")),
    Event: ("name", ("summary", "place", "note")),
    Expert: ("name", ("title",)),
    Figure: ("as_stated", ("exact",)),
    Indicator: ("name", ("description",)),
    Organization: ("name", ("summary", "aliases")),
    Product: ("description", ("code",)),
    Programme: ("name", ("summary", "aliases")),
    Project: ("name", ("summary", "aliases", "note")),
    ProjectPortfolio: ("name", ("note",)),
    Quote: ("expert", ("text", "exact")),
    Risk: ("theme", ("summary",)),
    Source: ("title", ("publisher", "note")),
    Topic: ("name", ("summary",)),
}
"""Tables that have words: the field that titles a record, and the fields that hold the rest."""


def words(text: str) -> list[str]:
    """Give the words of a text, without case and accents."""
    return WORD.findall(bare(text))


def entry(model: type[Any], record: Mapping[str, Any]) -> dict[str, Any]:
    """Give the search entry of a published record."""
    title_field, fields = WORDED[model]
    found = [record[name] for name in fields if record[name]]
    texts = dict.fromkeys(value if isinstance(value, str) else "; ".join(value) for value in found)
    body = "\n".join(texts)  # a direct quote is its own fragment, and stands once
    title = record[title_field]
    return {
        "record": model.__tablename__,
        "record_key": record[model.key[0]],
        "title": title,
        "body": body,
        "words": " ".join(["", *words(f"{title}\n{body}"), ""]),
        "source": record["source"],
    }


@dataclass(frozen=True)
class Term:
    """One thing that is searched for: words in a row, the last perhaps only begun."""

    words: tuple[str, ...]
    is_prefix: bool

    @property
    def pattern(self) -> str:
        """The words as they stand among the words of an entry."""
        return " " + " ".join(self.words) + ("" if self.is_prefix else " ")


def read_terms(text: str) -> tuple[Term, ...]:
    """Read what is searched for. Raises InvalidValue when it has no word."""
    found = []
    for match in TERM.finditer(text):
        said = match["phrase"] if match["phrase"] is not None else match["word"]
        if parts := tuple(words(said)):
            found.append(Term(parts, match["phrase"] is None and said.endswith("*")))
    if not found:
        raise InvalidValue.of(
            Fault("q", text, 'q has no word to search for; it takes words, begun* words and "phrases"')
        )
    return tuple(found)


class Matches(ColumnElement[bool]):
    """Whether the full-text index has every one of some words for an entry."""

    inherit_cache = False
    type = Boolean()

    def __init__(self, terms: Iterable[Term]) -> None:
        self.wanted = [(word, term.is_prefix and word == term.words[-1]) for term in terms for word in term.words]


@compiles(Matches, "sqlite")
def match_fts5(element: Matches, compiler: SQLCompiler, **options: Any) -> str:
    """Ask FTS5, each word quoted so that none is an operator."""
    asked: BindParameter[str] = bindparam(
        None, " ".join(f'"{word}"' + "*" * begun for word, begun in element.wanted), unique=True
    )
    bound = compiler.process(asked, **options)
    return f"search_entries.id IN (SELECT rowid FROM search_index WHERE search_index MATCH {bound})"


@compiles(Matches, "postgresql")
def match_tsvector(element: Matches, compiler: SQLCompiler, **options: Any) -> str:
    """Ask the index over the words themselves, without PostgreSQL's parser and its locale."""
    asked: BindParameter[str] = bindparam(
        None, " & ".join(f"'{word}'" + ":*" * begun for word, begun in element.wanted), unique=True
    )
    bound = compiler.process(asked, **options)
    return f"array_to_tsvector(string_to_array(trim(search_entries.words), ' ')) @@ CAST({bound} AS tsquery)"


def matching(text: str) -> ColumnElement[bool]:
    """Narrow search entries to those that have every term. Raises InvalidValue."""
    terms = read_terms(text)
    phrases = [SearchEntry.words.contains(term.pattern, autoescape=True) for term in terms if len(term.words) > 1]
    return and_(Matches(terms), *phrases)


def score(text: str) -> ColumnElement[int]:
    """Count how often the terms stand in an entry."""
    counts: list[Any] = []
    for term in read_terms(text):
        shorter = func.length(func.replace(SearchEntry.words, term.pattern, " "), type_=Integer)
        counts.append(
            (func.length(SearchEntry.words, type_=Integer) - shorter) // literal(len(term.pattern) - 1, Integer)
        )
    total = counts[0]
    for count in counts[1:]:
        total = total + count
    return total  # type: ignore[no-any-return]  # a sum of integer columns
