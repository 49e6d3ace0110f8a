"""Full-text search reads words as they are written and finds the same records on each engine."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import ENGINES, Workshop
from hypothesis import given
from hypothesis import strategies as some
from sqlalchemy import func, select

from app.db import Database
from app.errors import InvalidValue
from app.ingest.seeds import seed
from app.models import Release, SearchEntry
from app.names import visible
from app.search import Term, matching, read_terms, score, words

Found = list[tuple[str, str]]

TEXTS = {
    "accents": "Türkiye, Curaçao and São Tomé met in Xi’an.",
    "cyrillic": "Торговля между Казахстаном и Китаем растёт",
    "kazakh": "Қазақстан мен Қытай саудасы",
    "chinese": "中国 哈萨克斯坦",
    "numbers": "It was 30.05 billion in 2024, or 15.5% (№ 5).",
    "operators": "near or not and",
    "hyphens": "A trade-off for long-term, self_made goods",
    "sharp": "Große Straße",
    "apart": "The off season of trade",
    "twice": "debt, then more debt and debts",
    "emoji": "A train 🚂 runs",
}
EXTRA = (
    "sources:\n  - {slug: words, kind: article, title: Words, publisher: Nobody, language: en}\n\ntopics:\n"
    + "".join(f'  - {{slug: w-{slug}, name: {slug}, summary: "{text}"}}\n' for slug, text in TEXTS.items())
)
HOSTILE = [
    "'",
    '"',
    '"trade',
    'trade"',
    '""',
    '"" trade',
    '"trade" "',
    "''trade''",
    "*",
    "**",
    "*trade",
    "tra*de",
    "trade**",
    "^trade",
    "trade^2",
    "NEAR",
    "NEAR(trade, china)",
    "trade NEAR/2 china",
    "trade OR debt",
    "trade AND debt",
    "trade NOT debt",
    "NOT trade",
    "OR",
    "words:trade",
    "words : trade",
    "{words}: trade",
    "-words: trade",
    "rowid:1",
    "trade + china",
    "+trade",
    "-trade",
    "(trade",
    "trade)",
    "trade & china",
    "trade | debt",
    "!trade",
    "trade <-> china",
    "trade:*",
    "trade:A",
    "%",
    "%trade%",
    "tra%",
    "100%",
    "_",
    "tr_de",
    "\\",
    "trade\\",
    "\\'trade",
    "trade; DROP TABLE search_entries",
    "trade -- china",
    "trade /* china */",
    ":trade",
    "%(trade)s",
    "?",
    "$1",
    "{trade}",
    "[trade]",
    "\x01",
    "trade\x1fchina",
    "trade\tchina",
    "trade\u2028china",
    "\u200btrade",
    "🚂",
    "trade 🚂",
    "\u202etrade",
    "ﷺ",
    "a" * 200,
    '"' * 200,
    "* " * 100,
    "\ufffd",
    "e\u0301",
    "\u0301",
]


@pytest.fixture(scope="module")
def worded(workshop: Workshop, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Database]]:
    """Give the seeds and a source of difficult words, on both engines."""
    directory = tmp_path_factory.mktemp("words")
    (directory / "words").mkdir()
    Path(directory, "words", "words.yaml").write_text(EXTRA, "utf-8")
    databases = {engine: workshop.copy(engine) for engine in ENGINES}
    for database in databases.values():
        seed(database, directory)
    yield databases
    for database in databases.values():
        workshop.remove(database)


@pytest.fixture(scope="module")
def entries(worded: dict[str, Database]) -> dict[tuple[str, str], list[str]]:
    """Give the words of every entry."""
    with worded["sqlite"].read() as connection:
        rows = connection.execute(select(SearchEntry.record, SearchEntry.record_key, SearchEntry.words)).all()
    return {(record, key): text.split() for record, key, text in rows}


def find(database: Database, text: str, release: int | None = None) -> Found:
    with database.read() as connection:
        at = release or connection.execute(select(func.max(Release.id))).scalar_one()
        query = (
            select(SearchEntry.record, SearchEntry.record_key)
            .where(matching(text), visible(SearchEntry, at))
            .order_by(SearchEntry.record, SearchEntry.record_key)
        )
        return [tuple(row) for row in connection.execute(query)]


def topics(found: Found) -> list[str]:
    """Give the texts of ours that were found."""
    return [key.removeprefix("w-") for record, key in found if record == "topics" and key.startswith("w-")]


def has(entry: list[str], term: Term) -> bool:
    """Tell in plain Python whether an entry has the words of a term in a row."""
    *whole, last = term.words
    rows = [entry[start : start + len(term.words)] for start in range(len(entry) - len(term.words) + 1)]
    return any(row[:-1] == whole and (row[-1].startswith(last) if term.is_prefix else row[-1] == last) for row in rows)


def expected(entries: dict[tuple[str, str], list[str]], text: str) -> Found:
    terms = read_terms(text)
    return sorted(key for key, entry in entries.items() if all(has(entry, term) for term in terms))


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("Trade Dynamics", ["trade", "dynamics"]),
        ("trade-off", ["trade", "off"]),
        ("Xi’an", ["xi", "an"]),
        ("Türkiye", ["turkiye"]),
        ("Tu\u0308rkiye", ["turkiye"]),
        ("GROSSE Straße", ["grosse", "strasse"]),
        ("растёт", ["растет"]),
        ("Қазақстан", ["қазақстан"]),
        ("30.05 billion", ["30", "05", "billion"]),
        ("15.5%", ["15", "5"]),
        ("self_made", ["self", "made"]),
        ("中国", ["中国"]),
        ("\ufb01ne", ["fine"]),
        ("№ 5", ["no", "5"]),
        ("\uff34rade", ["trade"]),
        ("🚂", []),
        ("", []),
        ("*\"'^%_\\", []),
    ],
)
def test_words_are_read_without_case_accents_and_signs(text: str, read: list[str]) -> None:
    assert words(text) == read


@given(some.text())
def test_words_read_again_are_the_same_words(text: str) -> None:
    assert words(" ".join(words(text))) == words(text)


@given(some.text(some.characters(codec="ascii")))
def test_words_are_deaf_to_case(text: str) -> None:
    assert words(text.upper()) == words(text.lower())


@pytest.mark.parametrize(
    ("text", "terms"),
    [
        ("trade", [Term(("trade",), False)]),
        ("Trade CHINA", [Term(("trade",), False), Term(("china",), False)]),
        ("tra*", [Term(("tra",), True)]),
        ("tra* china", [Term(("tra",), True), Term(("china",), False)]),
        ('"central asia"', [Term(("central", "asia"), False)]),
        ('"central asia" trade', [Term(("central", "asia"), False), Term(("trade",), False)]),
        ('"central as*"', [Term(("central", "as"), False)]),
        ("trade-off", [Term(("trade", "off"), False)]),
        ("long-te*", [Term(("long", "te"), True)]),
        ("*trade", [Term(("trade",), False)]),
        ("tra*de", [Term(("tra", "de"), False)]),
        ('"unclosed trade', [Term(("unclosed",), False), Term(("trade",), False)]),
        ("% trade _", [Term(("trade",), False)]),
        ('"" trade', [Term(("trade",), False)]),
        ("NEAR", [Term(("near",), False)]),
        ("растёт", [Term(("растет",), False)]),
    ],
)
def test_a_search_is_read_as_words_beginnings_and_phrases(text: str, terms: list[Term]) -> None:
    assert list(read_terms(text)) == terms


@pytest.mark.parametrize("text", ["", " ", "*", '"', '""', "%", "_", "\\", "🚂", "\x01", "\u0301", "- ' ^"])
def test_a_search_without_a_word_is_refused(text: str) -> None:
    with pytest.raises(InvalidValue) as refusal:
        read_terms(text)
    assert (refusal.value.faults[0].parameter, refusal.value.faults[0].value) == ("q", text)


@pytest.mark.parametrize(
    "text",
    [
        "trade",
        "dependence",
        "Dependence",
        "china",
        "kazakhstan china",
        "tra*",
        "k*",
        "transparen* govern*",
        '"central asia"',
        '"central asia" china',
        '"asia central"',
        "long-term",
        "infrastructure",
        "2013",
        "nowhere",
    ],
)
def test_both_engines_find_what_a_plain_reading_finds(
    worded: dict[str, Database], entries: dict[tuple[str, str], list[str]], text: str
) -> None:
    assert {engine: find(database, text) for engine, database in worded.items()} == dict.fromkeys(
        ENGINES, expected(entries, text)
    )


def test_dependence_is_found_in_a_quote(seeded: Database) -> None:
    assert "quotes" in {record for record, _ in find(seeded, "dependence")}


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("turkiye", ["accents"]),
        ("Türkiye", ["accents"]),
        ("TU\u0308RKIYE", ["accents"]),
        ("sao tome", ["accents"]),
        ("xi'an", ["accents"]),
        ("торговля", ["cyrillic"]),
        ("ТОРГОВЛЯ казахст*", ["cyrillic"]),
        ("растет", ["cyrillic"]),
        ("растёт", ["cyrillic"]),
        ('"Казахстаном и Китаем"', ["cyrillic"]),
        ('"Китаем и Казахстаном"', []),
        ("қазақстан", ["kazakh"]),
        ("中国", ["chinese"]),
        ("中*", ["chinese"]),
        ("30.05", ["numbers"]),
        ("15.5%", ["numbers"]),
        ("no", ["numbers"]),
        ("near or not", ["operators"]),
        ("NEAR OR NOT AND", ["operators"]),
        ('"or not"', ["operators"]),
        ("trade-off", ["hyphens"]),
        ('"trade off"', ["hyphens"]),
        ("long-te*", ["hyphens"]),
        ("self_made", ["hyphens"]),
        ("strasse", ["sharp"]),
        ("GROSSE", ["sharp"]),
        ("off trade", ["apart", "hyphens"]),
        ("debts", ["twice"]),
        ("runs", ["emoji"]),
        ("urkiye", []),
        ("turkiy", []),
        ("turk_ye", []),
        ("turk%", []),
    ],
)
def test_a_text_is_found_by_its_words(worded: dict[str, Database], engine: str, text: str, found: list[str]) -> None:
    assert topics(find(worded[engine], text)) == found


@pytest.mark.parametrize("text", HOSTILE)
def test_signs_mean_nothing_to_either_engine(
    worded: dict[str, Database], entries: dict[tuple[str, str], list[str]], text: str
) -> None:
    if not words(text):
        with pytest.raises(InvalidValue):
            matching(text)
        return
    assert {engine: find(database, text) for engine, database in worded.items()} == dict.fromkeys(
        ENGINES, expected(entries, text)
    )


SIGNS = some.sampled_from(['"', "*", "'", "-", "^", "(", ")", ":", "%", "_", "\\", " OR ", " NEAR ", "🚂", "\x1f", " "])
PIECES = some.sampled_from(["trade", "Central", "asia", "chi", "DEBT", "торговля", "türkiye", "no", "2024", "off"])


@given(some.lists(some.one_of(PIECES, SIGNS, PIECES), min_size=1, max_size=8).map("".join))
def test_any_mixture_of_words_and_signs_is_found_alike(
    worded: dict[str, Database], entries: dict[tuple[str, str], list[str]], text: str
) -> None:
    if words(text):
        assert {engine: find(database, text) for engine, database in worded.items()} == dict.fromkeys(
            ENGINES, expected(entries, text)
        )


@given(some.text(some.characters(codec="utf-8", exclude_characters="\0"), max_size=200))
def test_any_text_is_searched_alike_on_both_engines(worded: dict[str, Database], text: str) -> None:
    if words(text):
        found = [find(database, text) for database in worded.values()]
        assert found[0] == found[1]


def scores(database: Database, text: str) -> list[Any]:
    with database.read() as connection:
        query = select(SearchEntry.record, SearchEntry.record_key, score(text)).where(matching(text))
        return sorted(tuple(row) for row in connection.execute(query))


@pytest.mark.parametrize(
    "text", ["trade", "tra*", '"central asia"', "china kazakhstan", "растёт", "no", "long-term deb*"]
)
def test_both_engines_weigh_alike(worded: dict[str, Database], text: str) -> None:
    assert scores(worded["sqlite"], text) == scores(worded["postgres"], text)


@pytest.mark.parametrize("engine", ENGINES)
def test_a_weight_is_a_whole_number(worded: dict[str, Database], engine: str) -> None:
    assert {type(weight) for _, _, weight in scores(worded[engine], "trade china")} == {int}


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    ("text", "count"), [("debt", 2), ("deb*", 3), ("then", 1), ('"more debt"', 1), ("debt then", 3), ("debts", 1)]
)
def test_a_record_weighs_as_often_as_it_has_the_words(
    worded: dict[str, Database], engine: str, text: str, count: int
) -> None:
    weighed = {key: weight for _, key, weight in scores(worded[engine], text)}
    assert weighed["w-twice"] == count


# Releases


def test_words_of_an_ended_version_are_found_in_its_release_alone(private_seeded: Database, tmp_path: Path) -> None:
    (tmp_path / "words").mkdir()
    path = tmp_path / "words" / "words.yaml"
    path.write_text(EXTRA, "utf-8")
    (old,) = seed(private_seeded, tmp_path)
    path.write_text(EXTRA.replace("A train", "A lorry"), "utf-8")
    (new,) = seed(private_seeded, tmp_path)
    found = [topics(find(private_seeded, word, at)) for word in ("train runs", "lorry") for at in (old, new)]
    assert found == [["emoji"], [], [], ["emoji"]]


def test_a_record_without_words_is_no_fault(private_seeded: Database, tmp_path: Path) -> None:
    (tmp_path / "words").mkdir()
    (tmp_path / "words" / "words.yaml").write_text(EXTRA + '  - {slug: w-mute, name: "🚂"}\n', "utf-8")
    (number,) = seed(private_seeded, tmp_path)
    assert topics(find(private_seeded, "runs", number)) == ["emoji"]
