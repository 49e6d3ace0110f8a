"""A country, a group or a person answers to every name it has, in any spelling, and to no name of another."""

from collections import defaultdict
from collections.abc import Callable, Iterator

import pytest
import yaml
from conftest import SEEDS
from hypothesis import given
from hypothesis import strategies as some
from sqlalchemy import func, select

from app.db import Database
from app.errors import UnknownName
from app.models import Country, CountryGroup, Expert, Organization, Product, Release, Source, Topic
from app.names import Names, fold, load_names, visible

COUNTRIES = [
    record
    for name in ("countries", "areas")
    for record in yaml.safe_load((SEEDS / "reference" / f"{name}.yaml").read_text("utf-8"))["countries"]
]
GROUPS = yaml.safe_load((SEEDS / "reference" / "groups.yaml").read_text("utf-8"))["country_groups"]
CASES = (str.upper, str.lower, str.title, str.swapcase, str.casefold)


@pytest.fixture(scope="module")
def newest(seeded: Database) -> int:
    """Give the number of the newest release."""
    with seeded.read() as connection:
        return connection.execute(select(func.max(Release.id))).scalar_one()


@pytest.fixture(scope="module")
def names(seeded: Database, newest: int) -> Names:
    """Give the names of the newest release."""
    with seeded.read() as connection:
        return load_names(connection, newest)


def country(names: Names, word: str) -> tuple[str, ...]:
    return names.resolve("country", "reporter", [word])


def spellings(record: dict[str, object]) -> Iterator[str]:
    for field in ("iso3", "iso2", "m49", "slug", "name", "official_name"):
        if record.get(field):
            yield record[field]
    yield from record["aliases"]


@pytest.mark.parametrize(
    ("text", "folded"),
    [
        ("Kazakhstan", "kazakhstan"),
        ("KAZAKHSTAN", "kazakhstan"),
        ("Türkiye", "turkiye"),
        ("Côte d'Ivoire", "cote d ivoire"),
        ("Côte d’Ivoire", "cote d ivoire"),
        ("Curaçao", "curacao"),
        ("Straße", "strasse"),
        ("İstanbul", "istanbul"),
        ("The Gambia", "gambia"),
        ("the", "the"),
        ("Theatre", "theatre"),
        ("Guinea-Bissau", "guinea bissau"),
        ("  Hong   Kong,  China ", "hong kong china"),
        ("Congo (Dem. Rep.)", "congo dem rep"),
        ("\uff2b\uff41\uff5a", "kaz"),
        ("Қазақстан", "қазақстан"),
        ("Йемен", "иемен"),
        ("-", ""),
        ("", ""),
    ],
)
def test_spellings_are_folded_to_what_they_share(text: str, folded: str) -> None:
    assert fold(text) == folded


@given(some.text())
def test_a_folded_name_has_neither_case_nor_outer_blanks(text: str) -> None:
    folded = fold(text)
    assert folded == folded.strip()
    assert fold(f"  {text}\t") == folded


@given(some.text(some.characters(codec="ascii")))
def test_folding_a_latin_name_twice_changes_nothing_more(text: str) -> None:
    once = fold(text)
    assert fold(once) == once or once.startswith("the ")


@given(some.text(some.characters(codec="ascii")), some.sampled_from(CASES))
def test_folding_is_deaf_to_case(text: str, case: Callable[[str], str]) -> None:
    assert fold(case(text)) == fold(text)


@pytest.mark.parametrize("case", CASES)
def test_every_country_answers_to_each_spelling_in_any_case(names: Names, case: Callable[[str], str]) -> None:
    wrong = [
        (word, record["iso3"])
        for record in COUNTRIES
        for word in spellings(record)
        if country(names, case(word)) != (record["iso3"],)
    ]
    assert wrong == []


def test_every_country_answers_to_its_number_without_zeros(names: Names) -> None:
    numbered = {record["m49"].lstrip("0"): (record["iso3"],) for record in COUNTRIES if record["m49"]}
    assert {number: country(names, number) for number in numbered} == numbered


@pytest.mark.parametrize(
    ("word", "iso3"),
    [
        ("Turkey", "TUR"),
        ("Turkiye", "TUR"),
        ("TÜRKİYE", "TUR"),
        ("Republic of Turkey", "TUR"),
        ("Russia", "RUS"),
        ("Russian Federation", "RUS"),
        ("the Russian Federation", "RUS"),
        ("Kyrgyz Republic", "KGZ"),
        ("kyrgyzstan", "KGZ"),
        ("Macau", "MAC"),
        ("Macao", "MAC"),
        ("China, Macao SAR", "MAC"),
        ("Viet Nam", "VNM"),
        ("Vietnam", "VNM"),
        ("China", "CHN"),
        ("cn", "CHN"),
        ("156", "CHN"),
        ("4", "AFG"),
        ("Cote d'Ivoire", "CIV"),
        ("Ivory Coast", "CIV"),
        ("Curacao", "CUW"),
        ("The Gambia", "GMB"),
        ("World", "WLD"),
        ("W00", "WLD"),
        ("XCA", "XCA"),
        ("no", "NOR"),
        ("USSR", "SUN"),
        ("former ussr", "SUN"),
        ("XK", "XKX"),
        ("Areas, nes", "XNS"),
        ("India, excluding Sikkim", "XIN"),
        ("356", "IND"),
        ("492", "MCO"),
        ("EUN", "EUN"),
    ],
)
def test_a_country_answers_to_its_usual_names(names: Names, word: str, iso3: str) -> None:
    assert country(names, word) == (iso3,)


def test_a_group_stands_for_its_members(names: Names) -> None:
    groups = {group["slug"]: tuple(group["members"]) for group in GROUPS}
    assert {slug: country(names, slug) for slug in groups} == groups


def test_central_asia_is_its_members_and_not_the_aggregate(names: Names) -> None:
    assert country(names, "Central Asia") == ("KAZ", "KGZ", "TJK", "TKM", "UZB")


@pytest.mark.parametrize("case", CASES)
def test_every_group_answers_to_each_spelling_in_any_case(names: Names, case: Callable[[str], str]) -> None:
    wrong = [
        (word, group["slug"])
        for group in GROUPS
        for word in spellings(group)
        if country(names, case(word)) != tuple(group["members"])
    ]
    assert wrong == []


def test_no_spelling_stands_for_two_things() -> None:
    meanings = defaultdict(set)
    for record in (*COUNTRIES, *GROUPS):
        for word in spellings(record):
            meanings[fold(word)].add(record.get("iso3") or record["slug"])
        if record.get("m49"):
            meanings[record["m49"].lstrip("0")].add(record["iso3"])
    assert {word: found for word, found in meanings.items() if len(found) > 1 or not word} == {}


def test_members_of_groups_are_economies() -> None:
    economies = {record["iso3"] for record in COUNTRIES if record["kind"] == "economy"}
    assert {group["slug"]: set(group["members"]) - economies for group in GROUPS} == {
        group["slug"]: set() for group in GROUPS
    }


def test_every_economy_of_iso_3166_is_there() -> None:
    assert len([record for record in COUNTRIES if record["kind"] == "economy"]) == 249


def test_no_number_of_comtrade_leads_to_two_rows() -> None:
    found = defaultdict(set)
    for record in COUNTRIES:
        for number in (record["comtrade_code"], *map(int, record.get("comtrade_also", ()))):
            found[number].add(record["iso3"])
    del found[None]
    assert {number: codes for number, codes in found.items() if len(codes) > 1} == {}


def test_what_is_no_economy_is_kept_from_sums_of_economies(names: Names) -> None:
    assert names.aggregates == {record["iso3"] for record in COUNTRIES if record["kind"] != "economy"}
    assert names.aggregates >= {"WLD", "XCA", "EUN", "XNS", "XKX", "SUN"}


def test_an_area_has_no_code_that_iso_3166_gives_to_another() -> None:
    areas = [record for record in COUNTRIES if record["kind"] == "area"]
    withdrawn = {
        "ANT",
        "ATB",
        "CSK",
        "DDR",
        "MID",
        "NTZ",
        "PCI",
        "PCZ",
        "PUS",
        "SCG",
        "SKM",
        "SUN",
        "VDR",
        "WAK",
        "YMD",
    }
    assert {area["iso3"] for area in areas if not area["iso3"].startswith("X")} == {*withdrawn, "YUG"}


@pytest.mark.parametrize("field", ["iso3", "iso2", "m49", "comtrade_code", "name"])
def test_no_two_countries_share_a_code(field: str) -> None:
    values = [record[field] for record in COUNTRIES if record[field] is not None]
    assert len(values) == len(set(values))


@pytest.mark.parametrize(
    ("word", "suggestion"),
    [
        ("Kazakstan", "Kazakhstan"),
        ("Kazahkstan", "Kazakhstan"),
        ("Uzbekstan", "Uzbekistan"),
        ("Chnia", "China"),
        ("Rusia", "Russia"),
        ("Turky", "Turkey"),
    ],
)
def test_a_misspelt_country_is_refused_with_the_nearest_name(names: Names, word: str, suggestion: str) -> None:
    with pytest.raises(UnknownName) as refusal:
        country(names, word)
    (fault,) = refusal.value.faults
    assert (fault.parameter, fault.value, fault.did_you_mean) == ("reporter", word, suggestion)


def test_a_word_like_no_country_is_refused_without_a_suggestion(names: Names) -> None:
    with pytest.raises(UnknownName) as refusal:
        country(names, "qqqqqqqq")
    assert refusal.value.faults[0].did_you_mean is None


@pytest.mark.parametrize("word", ["", " ", "-", "%", "'", "🚂"])
def test_a_word_without_letters_is_refused(names: Names, word: str) -> None:
    with pytest.raises(UnknownName):
        country(names, word)


def test_every_unknown_word_is_named(names: Names) -> None:
    with pytest.raises(UnknownName) as refusal:
        names.resolve("country", "partner", ["China", "Chnia", "Rusia"])
    assert [fault.value for fault in refusal.value.faults] == ["Chnia", "Rusia"]


def test_several_words_for_one_country_give_it_once(names: Names) -> None:
    assert names.resolve("country", "partner", ["China", "CHN", "156", "central-asia", "KAZ"]) == (
        "CHN",
        "KAZ",
        "KGZ",
        "TJK",
        "TKM",
        "UZB",
    )


def test_an_error_of_a_small_vocabulary_lists_all_of_it(names: Names) -> None:
    with pytest.raises(UnknownName) as refusal:
        names.resolve("expert", "expert", ["nobody"])
    assert refusal.value.faults[0].allowed == tuple(sorted(names.vocabularies["expert"].labels))


def test_an_error_of_a_large_vocabulary_lists_none_of_it(names: Names) -> None:
    with pytest.raises(UnknownName) as refusal:
        country(names, "nowhere at all")
    assert refusal.value.faults[0].allowed is None


@pytest.mark.parametrize(
    ("vocabulary", "model", "key", "label"),
    [
        ("country", Country, Country.iso3, Country.name),
        ("group", CountryGroup, CountryGroup.slug, CountryGroup.name),
        ("expert", Expert, Expert.slug, Expert.name),
        ("organization", Organization, Organization.slug, Organization.name),
        ("source", Source, Source.slug, Source.title),
        ("topic", Topic, Topic.slug, Topic.name),
        ("product", Product, Product.code, Product.description),
    ],
)
def test_every_code_has_its_label(
    seeded: Database, newest: int, names: Names, vocabulary: str, model: object, key: object, label: object
) -> None:
    with seeded.read() as connection:
        expected = dict(connection.execute(select(key, label).where(visible(model, newest))).all())
    assert expected and {code: names.label(vocabulary, code) for code in expected} == expected


@pytest.mark.parametrize("code", [None, "ZZZ"])
def test_a_code_that_is_not_known_has_no_label(names: Names, code: str | None) -> None:
    assert names.label("country", code) is None


@pytest.mark.parametrize("word", ["gulnar-shaimergenova", "Gulnar Shaimergenova", "GULNAR SHAIMERGENOVA", "kaz-bns"])
def test_a_speaker_is_a_person_or_a_body(names: Names, word: str) -> None:
    assert names.resolve("speaker", "stated_by", [word])[0] in {"gulnar-shaimergenova", "kaz-bns"}


def test_a_release_knows_no_name_of_a_later_one(seeded: Database) -> None:
    with seeded.read() as connection:
        first = load_names(connection, 1)
    with pytest.raises(UnknownName):
        first.resolve("expert", "expert", ["gulnar-shaimergenova"])


def test_a_product_goes_by_its_code_alone(names: Names) -> None:
    assert names.resolve("product", "code", ["0101", "TOTAL", "total"]) == ("0101", "TOTAL")
    with pytest.raises(UnknownName):
        names.resolve("product", "code", ["Animals; live"])


@pytest.mark.parametrize(
    ("word", "suggestion"),
    [
        ("101", "0101"),
        ("1", "01"),
        ("10121", "010121"),
        ("852812", "8528"),
        ("8599", "85"),
        ("27O9", "2709"),
        ("totl", "TOTAL"),
        ("qqqqqq", None),
    ],
)
def test_a_product_there_is_not_is_refused_with_the_one_meant(names: Names, word: str, suggestion: str | None) -> None:
    with pytest.raises(UnknownName) as refusal:
        names.resolve("product", "code", [word])
    assert refusal.value.faults[0].did_you_mean == suggestion
