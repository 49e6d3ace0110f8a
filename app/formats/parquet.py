"""Apache Parquet: typed columns, codes by dictionary, row groups of a size that readers skip by."""

from collections.abc import Callable, Iterable, Sequence
from datetime import date, datetime
from typing import Any

from app.formats.base import Columns, Format, Kind, Repeated, Sheet, change

GROUP = 16_384
"""Rows of a row group: what is held in memory. Four times as many took 40 MiB of it, and made files a tenth smaller."""


class Pipe:
    """A file that is only written; what was written is taken out bit by bit."""

    closed = False

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._written = 0

    def write(self, part: bytes) -> int:
        """Take bytes."""
        self._parts.append(bytes(part))
        self._written += len(part)
        return len(part)

    def tell(self) -> int:
        """Give how much was written."""
        return self._written

    def flush(self) -> None:
        """Do nothing: all is taken out."""

    def close(self) -> None:
        """Do nothing: the writer of the format ends it."""

    def taken(self) -> bytes:
        """Take out what was written since."""
        parts, self._parts = self._parts, []
        return b"".join(parts)


class ParquetWriter:
    """Row groups as they fill, and the footer at the end."""

    def __init__(self, sheet: Sheet) -> None:
        import pyarrow as pa  # type: ignore[import-untyped]
        from pyarrow import parquet

        types = {
            Kind.TEXT: pa.string(),
            Kind.OBJECT: pa.string(),
            Kind.INTEGER: pa.int64(),
            Kind.NUMBER: pa.float64(),
            Kind.TRUTH: pa.bool_(),
            Kind.DAY: pa.date32(),
            Kind.MOMENT: pa.timestamp("us", tz="UTC"),
            Kind.LIST: pa.list_(pa.string()),
        }
        about = {"khorgos.release": str(sheet.release), "khorgos.link": sheet.link}
        fields = [
            pa.field(one.name, types[one.kind], metadata={"description": one.description}) for one in sheet.columns
        ]
        self._schema = pa.schema(fields, metadata=about)
        self._kinds = [column.kind for column in sheet.columns]
        self._batch = pa.record_batch
        self._array = pa.array
        self._table = pa.Table.from_batches
        self._pipe = Pipe()
        self._file = parquet.ParquetWriter(pa.PythonFile(self._pipe, mode="w"), self._schema, compression="zstd")
        self._waiting: list[Any] = []
        self._rows = 0

    def start(self) -> bytes:
        """Give the mark that a file begins with."""
        return self._pipe.taken()

    def rows(self, columns: Columns) -> bytes:
        """Take rows; give the row group that they fill, if they do."""
        if columns:
            fields = zip(columns, self._kinds, self._schema, strict=True)
            places: dict[int, Any] = {}  # of columns that repeat together, made once
            arrays = [self.array(typed(kind, values), field.type, places) for values, kind, field in fields]
            self._waiting.append(self._batch(arrays, schema=self._schema))
            self._rows += len(columns[0])
            while self._rows >= GROUP:
                self.write_group()
        return self._pipe.taken()

    def array(self, values: Sequence[Any], kind: Any, known: dict[int, Any]) -> Any:
        """Give a column as an array; values that repeat are read once."""
        if not isinstance(values, Repeated):
            return self._array(values, kind)
        places = known.setdefault(id(values.places), None)
        if places is None:
            places = known[id(values.places)] = self._array(values.places)
        return self._array(values.values, kind).take(places)

    def write_group(self) -> None:
        """Write what waits as one row group; what is more than one waits for the next."""
        waiting = self._table(self._waiting, self._schema)
        self._file.write_table(waiting.slice(0, GROUP))
        self._waiting = waiting.slice(GROUP).to_batches()
        self._rows = max(0, self._rows - GROUP)

    def end(self) -> Iterable[bytes]:
        """Give the last row group and the footer."""
        if self._rows:
            self.write_group()
        self._file.close()
        return [self._pipe.taken()]


def typed(kind: Kind, values: Sequence[Any]) -> Sequence[Any]:
    """Give days, moments and numbers as such: a table may have the first as text, whole numbers as integers."""
    read, others = READ.get(kind, (None, ()))
    if read is None or not any(
        issubclass(one, others) for one in set(map(type, values.values if isinstance(values, Repeated) else values))
    ):
        return values
    return change(lambda found: [read(value) if isinstance(value, others) else value for value in found], values)


READ: dict[Kind, tuple[Callable[[Any], Any], Any]] = {
    Kind.DAY: (date.fromisoformat, str),
    Kind.MOMENT: (datetime.fromisoformat, str),
    Kind.NUMBER: (float, int),
}
"""How the values of a kind are read, and of which type they may be beside their own."""


MEDIA = "application/vnd.apache.parquet"
PARQUET = Format("parquet", "parquet", MEDIA, (MEDIA,), ParquetWriter, spreads=True, library="pyarrow", extra="parquet")
