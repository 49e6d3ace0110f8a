"""What was probably meant: the known word nearest to one that is not known."""

import re
from collections.abc import Iterable

from rapidfuzz import fuzz, process

HABITS = {
    **dict.fromkeys(("page", "page_number", "offset", "skip", "start", "after"), "cursor"),
    **dict.fromkeys(("per_page", "page_size", "pagesize", "size"), "limit"),
    **dict.fromkeys(("order", "order_by", "orderby", "ordering", "sort_by", "sortby"), "sort"),
    **dict.fromkeys(("columns", "select"), "fields"),
    **dict.fromkeys(("search", "query"), "q"),
    **dict.fromkeys(("hs", "hs_code", "hscode", "cmd_code", "commodity"), "product"),
    **dict.fromkeys(("from", "start_year", "from_year"), "year_from"),
    **dict.fromkeys(("to", "end_year", "to_year"), "year_to"),
    **dict.fromkeys(("annual", "annually", "yearly", "year"), "A"),
    **dict.fromkeys(("quarterly", "quarter"), "Q"),
    **dict.fromkeys(("monthly", "month"), "M"),
    "excel": "xlsx",
    **dict.fromkeys(("jsonl", "jsonlines", "json-lines"), "ndjson"),
    "tsv": "csv",
}
"""What other interfaces call what has another name here."""
ALIKE, ALIKE_THOUGH_FIRST_DIFFERS = 75, 80
"""Percent of letters that a suggestion shares with what was asked, where both begin with one letter or with two."""
SHORTEST = 3
"""Letters from which on the beginning of a word is taken for it."""
CONSIDERED = 5
"""Words most like what was asked among which a suggestion is looked for."""


def nearest(value: str, known: Iterable[str]) -> str | None:
    """Give the known word that was meant, or null where none is like the value.

    It is what a habit from elsewhere stands for, else the word most like the value, else one of its letters in another
    order, else the only one that has it as a part: trade-flows for flows, description for descr.
    """
    words, asked = list(known), value.casefold()
    if (habit := HABITS.get(asked)) in words:
        return habit
    for word, score, _ in process.extract(
        value, words, scorer=fuzz.ratio, processor=str.casefold, score_cutoff=ALIKE, limit=CONSIDERED
    ):
        if score >= ALIKE_THOUGH_FIRST_DIFFERS or word[:1].casefold() == asked[:1]:
            return word
    same = [word for word in words if word[:1].casefold() == asked[:1] and sorted(word.casefold()) == sorted(asked)]
    wanted = spaced(value)
    having = [word for word in words if is_part(wanted, spaced(word))]
    return next(iter(same or (having if len(having) == 1 else ())), None)


def is_part(wanted: str, word: str) -> bool:
    """Whether what is wanted begins a word or ends it after a space, or goes on after the word and a space."""
    begins = len(wanted) >= SHORTEST and word.startswith(wanted)
    return begins or word.endswith(f" {wanted}") or wanted.startswith(f"{word} ")


def spaced(word: str) -> str:
    """Give the letters and digits of a word, each run parted by a space."""
    return re.sub(r"[\W_]+", " ", word).strip().casefold()
