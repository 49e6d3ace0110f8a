"""JSON without an envelope: one object a line, or all of them in one array."""

from collections.abc import Iterable, Iterator

import orjson

from app.formats.base import Columns, Format, Sheet, Whole

JSON_MEDIA = "application/json"


class LineWriter(Whole):
    """One object a line, nothing around them."""

    def rows(self, columns: Columns) -> bytes:
        """Give one object a line."""
        return b"".join(one + b"\n" for one in self.objects(columns))

    def objects(self, columns: Columns) -> Iterator[bytes]:
        """Give rows as objects."""
        for row in zip(*columns, strict=True):
            yield orjson.dumps(dict(zip(self.names, row, strict=True)))


class ArrayWriter(LineWriter):
    """One array of objects."""

    def __init__(self, sheet: Sheet) -> None:
        super().__init__(sheet)
        self._before = b"["

    def rows(self, columns: Columns) -> bytes:
        """Give objects with a comma between them."""
        text = b",".join(self.objects(columns))
        before, self._before = self._before, b","
        return before + text

    def end(self) -> Iterable[bytes]:
        """Close the array, which an empty table has too."""
        return [b"[]" if self._before == b"[" else b"]"]


NDJSON = Format("ndjson", "ndjson", "application/x-ndjson", ("application/x-ndjson", "application/jsonl"), LineWriter)
ARRAY = Format("array", "json", JSON_MEDIA, (), ArrayWriter, nests=True)
