"""Names of a release: which country, source, person or topic a word means, and what each is called."""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, or_, select

from app.codes import NOT_STATED, CountryKind
from app.errors import Fault, UnknownName
from app.letters import bare
from app.models import (
    Country,
    CountryGroup,
    Evidence,
    Expert,
    Organization,
    Product,
    Programme,
    Source,
    Topic,
)
from app.nearest import nearest

OWN_VOICE = "self"
"""The word that asks for what a source states in its own voice."""
FEW = 40
"""Names of a vocabulary up to which an error lists all of them."""


def visible(model: Any, release: int) -> ColumnElement[bool]:
    """Narrow a published table to its rows as of a release."""
    return and_(model.release <= release, or_(model.superseded_by.is_(None), model.superseded_by > release))


def fold(text: str) -> str:
    """Give a name without case, accents, punctuation and a leading article: what two spellings share."""
    if text.isascii() and text.isalnum():  # as codes are, of which there are thousands
        return text.lower()
    words = re.findall(r"\w+", bare(text))
    return " ".join(words[1:] if words[:1] == ["the"] and len(words) > 1 else words)


@dataclass
class Vocabulary:
    """Words of one kind: what each spelling stands for, and what each code is called."""

    kind: str
    where: str
    labels: dict[str, str] = field(default_factory=dict)
    meanings: dict[str, tuple[str, ...]] = field(default_factory=dict)
    spellings: dict[str, str] = field(default_factory=dict)

    def add(self, codes: tuple[str, ...], spellings: Iterable[str | None]) -> None:
        """Let spellings stand for codes; the first that took a spelling keeps it."""
        for spelling in filter(None, spellings):
            folded = fold(spelling)
            self.meanings.setdefault(folded, codes)
            self.spellings.setdefault(folded, spelling)

    def entry(self, code: str, label: str, *spellings: str | None) -> None:
        """Add one code with its label and other spellings."""
        self.labels[code] = label
        self.add((code,), (code, label, *spellings))

    def fault(self, parameter: str, word: str) -> Fault:
        """Say that a word is not known, what is like it, and what there is."""
        like = self.like(word)
        allowed = tuple(sorted(self.labels)) if len(self.labels) <= FEW else None
        message = f"{parameter} {word[:60]!r} is not a known {self.kind}; {self.where} lists them"
        return Fault(parameter, word, message, allowed, like)

    def like(self, word: str) -> str | None:
        """Give the spelling most like a word that is none."""
        found = nearest(fold(word), self.meanings)
        return self.spellings[found] if found else None


class ProductCodes(Vocabulary):
    """Codes of the Harmonized System, some of which begin with a zero that spreadsheets lose."""

    def like(self, word: str) -> str | None:
        """Give the code with its zero again, else the code that is known of what it is part of, else one like it."""
        digits = word.strip()
        part_of = (f"0{digits}", digits[:4], digits[:2]) if digits.isdigit() else ()
        return next((code for code in part_of if code in self.labels), None) or super().like(word)


@dataclass(frozen=True)
class Names:
    """Every vocabulary of one release."""

    vocabularies: Mapping[str, Vocabulary]
    aggregates: frozenset[str]
    """What is no economy: sums of economies, and areas beside them."""
    proved: frozenset[str]
    """Sources whose records have words behind them."""

    def label(self, vocabulary: str, code: str | None) -> str | None:
        """Give what a code is called."""
        return None if code is None else self.vocabularies[vocabulary].labels.get(code)

    def resolve(self, vocabulary: str, parameter: str, words: Iterable[str]) -> tuple[str, ...]:
        """Give the codes of several words, each once. Raises UnknownName for all that are unknown."""
        book = self.vocabularies[vocabulary]
        faults = [book.fault(parameter, word) for word in words if fold(word) not in book.meanings]
        if faults:
            raise UnknownName.of(*faults)
        return tuple(dict.fromkeys(code for word in words for code in book.meanings[fold(word)]))


Rows = Callable[..., Iterable[Any]]
"""Reads columns of a table's rows as of one release, in the order of the first column."""


def load_names(connection: Connection, release: int) -> Names:
    """Read every vocabulary of a release: one short statement each."""

    def rows(model: Any, *columns: Any) -> Iterable[Any]:
        return connection.execute(select(*columns).where(visible(model, release)).order_by(columns[0]))

    places, aggregates = read_places(rows)
    vocabularies = {**places, **read_speakers(rows), **read_subjects(rows), **read_products(rows)}
    proved = connection.execute(select(Evidence.source).where(visible(Evidence, release)).distinct()).scalars()
    return Names(vocabularies, aggregates, frozenset(proved))


def read_places(rows: Rows) -> tuple[dict[str, Vocabulary], frozenset[str]]:
    """Read countries, groups and regions, and which countries are no economies."""
    country, group = Vocabulary("country or group", "/v1/countries"), Vocabulary("group of countries", "/v1/groups")
    region, subregion = Vocabulary("region", "/v1/countries"), Vocabulary("sub-region", "/v1/countries")
    aggregates = set()
    table = Country
    columns = (table.iso3, table.kind, table.name, table.iso2, table.m49, table.official_name, table.region)
    for iso3, kind, name, iso2, m49, official, area, part, aliases in rows(
        table, *columns, table.subregion, table.aliases
    ):
        if kind != CountryKind.ECONOMY:
            aggregates.add(iso3)
        country.entry(iso3, name, iso2, m49, m49 and m49.lstrip("0"), official, *aliases)
        for book, found in ((region, area), (subregion, part)):
            if found:
                book.entry(found, found)
    sets = CountryGroup
    for slug, name, members, aliases in rows(sets, sets.slug, sets.name, sets.members, sets.aliases):
        country.add(members, (slug, name, *aliases))
        group.labels[slug] = name
        group.add(members, (slug, name, *aliases))
    return {"country": country, "group": group, "region": region, "subregion": subregion}, frozenset(aggregates)


def read_speakers(rows: Rows) -> dict[str, Vocabulary]:
    """Read who speaks: experts, organizations, and both together."""
    speaker = Vocabulary("expert or organization", "/v1/experts and /v1/organizations")
    speaker.add((NOT_STATED,), (OWN_VOICE,))
    expert, organization = Vocabulary("expert", "/v1/experts"), Vocabulary("organization", "/v1/organizations")
    for slug, name in rows(Expert, Expert.slug, Expert.name):
        expert.entry(slug, name)
        speaker.entry(slug, name)
    for slug, name, aliases in rows(Organization, Organization.slug, Organization.name, Organization.aliases):
        organization.entry(slug, name, *aliases)
        speaker.entry(slug, name, *aliases)
    return {"speaker": speaker, "expert": expert, "organization": organization}


def read_subjects(rows: Rows) -> dict[str, Vocabulary]:
    """Read sources, topics and programmes."""
    source, topic = Vocabulary("source", "/v1/sources"), Vocabulary("topic", "/v1/topics")
    programme = Vocabulary("programme", "/v1/programmes")
    for slug, title in rows(Source, Source.slug, Source.title):
        source.entry(slug, title)
    for slug, name in rows(Topic, Topic.slug, Topic.name):
        topic.entry(slug, name)
    for slug, name, aliases in rows(Programme, Programme.slug, Programme.name, Programme.aliases):
        programme.entry(slug, name, *aliases)
    return {"source": source, "topic": topic, "programme": programme}


def read_products(rows: Rows) -> dict[str, Vocabulary]:
    """Read products and the sections they are in; a product goes by its code alone."""
    product = ProductCodes("product of the Harmonized System", "/v1/products")
    section = Vocabulary("section of the Harmonized System", "/v1/products")
    table = Product
    for code, description, number, name in rows(
        table, table.code, table.description, table.section, table.section_name
    ):
        product.labels[code] = description
        product.add((code,), (code,))
        if number and number not in section.labels:
            section.entry(number, name or number, name)
    return {"product": product, "section": section}
