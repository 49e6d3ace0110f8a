"""What a format of a table is."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Format:
    """How rows become bytes: a start, then any number of runs of rows."""

    name: str
    media_type: str
    accepts: tuple[str, ...]
    start: Callable[[Sequence[str]], bytes]
    rows: Callable[[Sequence[str], Iterable[Sequence[Any]]], bytes]
