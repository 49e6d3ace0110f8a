"""CSV files as blocks of text columns with line numbers, plain, .gz or .zip: in constant memory, no row lost.

A line is a row: no format read here has line ends inside a field. A line whose fields are not as many as the header
says, or whose quotes do not close, is told with its number, and the lines around it are read all the same.
"""

import csv
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import IO

import polars as pl

from app.errors import ImportInvalid
from app.ingest.archives import refuse_bomb, whole

BLOCK = 4 * 2**20
"""Bytes read at once."""
PIECE = re.compile(rb"(?:[^\n]*+\n){1,131072}+")
"""Lines that are parsed at once: a file of blank ones would otherwise take a thousand times its bytes as a table."""
LINE_MAX = 2**20
"""Longest line; a longer one is no row of such a file."""
FIRST_LINES = 20
"""Lines that tell whether rows end in a comma; one of them may be blank or broken."""
END = "~"
"""Field added to each line: it stands in its column only where a line has as many fields as the header."""
LINE, REASON, TEXT = "line", "reason", "text"
BAD_SCHEMA = {LINE: pl.Int64, REASON: pl.String, TEXT: pl.String}


@dataclass(frozen=True)
class Block:
    """Some rows of a file: their fields as text by column with their `line`, and the lines that are no rows."""

    rows: pl.DataFrame
    bad: pl.DataFrame
    taken: int  # bytes of the file read so far, as it lies on disk

    @property
    def read(self) -> int:
        """Rows the block has, bad ones included."""
        return self.rows.height + self.bad.height


@dataclass(frozen=True)
class Header:
    """Names of the columns that are kept, by their place, and how many fields a row has."""

    fields: int
    kept: Mapping[int, str]


def plain(name: str) -> str:
    """Give a column's name without case, blanks and signs: what spellings of one name share."""
    return re.sub(r"[^a-z0-9]", "", name.casefold())


def read_header(name: str, text: IO[bytes], known: Mapping[str, str]) -> Header:
    """Read the first line: `known` gives a column by its plain name. Raises ImportInvalid."""
    with whole(name):
        line = text.readline(LINE_MAX)
    if b"\0" in line:
        raise ImportInvalid(f"{name}: the file is no text in UTF-8 or ISO-8859-1: save it as CSV UTF-8")
    names = cells(decoded(line).removeprefix("\ufeff"))
    if len(names) < 2:
        raise ImportInvalid(f"{name}: the first line names no columns of a CSV file")
    kept = {place: known[plain(one)] for place, one in enumerate(names) if plain(one) in known}
    doubled = sorted({one for one in kept.values() if list(kept.values()).count(one) > 1})
    if doubled:
        raise ImportInvalid(f"{name}: the header names {', '.join(doubled)} twice")
    return Header(len(names), kept)


def cells(line: str) -> list[str]:
    """Give the fields of a line as far as it has any: none where it is no CSV."""
    try:
        return next(csv.reader([line]), [])
    except csv.Error:
        return []


def decoded(text: bytes) -> str:
    """Give text in UTF-8, or else in ISO-8859-1, which every byte is."""
    try:
        return text.decode("utf-8")
    except UnicodeDecodeError:
        return text.decode("latin-1")


def read_blocks(name: str, text: IO[bytes], disk: IO[bytes], header: Header) -> Iterator[Block]:
    """Give the rows after the header, block by block.

    Raises ImportInvalid for a line that has no end, and for an archive that is broken or grows beyond measure.
    """
    rest, line = b"", 2
    fields = header.fields
    while True:
        with whole(name):
            chunk = text.read(BLOCK)
        refuse_bomb(name, text.tell(), disk.tell())
        lines, newline, rest = (rest + chunk).rpartition(b"\n")
        if not chunk:
            lines, newline, rest = rest, b"\n" if rest else b"", b""
        if len(rest) > LINE_MAX:
            raise ImportInvalid(f"{name}: a line after line {line} is longer than {LINE_MAX} bytes")
        if lines:
            if line == 2:
                fields = fields_of_rows(lines + newline + rest, header.fields)
            for piece in PIECE.findall((lines + newline).replace(b"\r\n", b"\n")):
                yield read_block(piece, line, Header(fields, header.kept), disk.tell())
                line += piece.count(b"\n")
        if not chunk:
            return


def fields_of_rows(lines: bytes, named: int) -> int:
    """Tell how many fields rows have: as many as the header, or one more where half of them end in a comma."""
    first = [raw.strip(b"\r ") for raw in lines.split(b"\n", FIRST_LINES)[:FIRST_LINES]]
    rows = [cells(decoded(raw)) for raw in first if raw]
    ended = sum(len(row) == named + 1 and row[-1] == "" for row in rows)
    return named + 1 if ended and 2 * ended >= len(rows) else named


def read_block(lines: bytes, line: int, header: Header, taken: int) -> Block:
    """Read whole lines, vectorised; where the parser stumbles over one, line by line."""
    names = [f"c{place}" for place in range(header.fields)] + [END, "more"]
    count = lines.count(b"\n")
    text = ",".join(names).encode() + b"\n" + lines.replace(b"\n", f",{END}\n".encode())
    try:
        found = pl.read_csv(
            io.BytesIO(text),
            infer_schema=False,
            truncate_ragged_lines=True,
            encoding="utf8-lossy",
            empty_string_is_null=False,
            columns=[*(f"c{place}" for place in header.kept), END],
        )
    except pl.exceptions.PolarsError:
        return read_lines(lines, line, header, taken)
    if found.height != count or not (found[END] == END).all():
        return read_lines(lines, line, header, taken)
    rows = found.drop(END).rename({f"c{place}": name for place, name in header.kept.items()})
    return Block(rows.with_row_index(LINE, line), pl.DataFrame(schema=BAD_SCHEMA), taken)


def read_lines(lines: bytes, line: int, header: Header, taken: int) -> Block:
    """Read lines one by one, so that one bad line costs no other."""
    good: list[tuple[str | int, ...]] = []
    bad: list[tuple[int, str, str]] = []
    for number, raw in enumerate(lines.removesuffix(b"\n").split(b"\n"), line):
        text = decoded(raw)
        reason, fields = split_line(text, header.fields)
        if reason:
            bad.append((number, reason, text[:500]))
        elif fields:
            good.append((number, *(fields[place] for place in header.kept)))
    schema = {LINE: pl.Int64, **dict.fromkeys(header.kept.values(), pl.String)}
    return Block(pl.DataFrame(good, schema, orient="row"), pl.DataFrame(bad, BAD_SCHEMA, orient="row"), taken)


def split_line(text: str, count: int) -> tuple[str | None, Sequence[str]]:
    """Give the fields of a line, or why it is no row; a blank line is neither."""
    if not text.strip(" \r"):
        return None, ()
    try:
        fields = next(csv.reader([text], strict=True), [])
    except csv.Error as error:
        return f"the line is no CSV: {error}", ()
    return (None, fields) if len(fields) == count else (f"{len(fields)} fields, not {count}", ())
