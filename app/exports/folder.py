"""The same files in a folder of one's own, with their description where they are CSV."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import orjson

from app.ask import installed
from app.errors import ExportNotWritten
from app.exports.answers import Exports
from app.exports.files import PARTS, Built, Write, whole
from app.exports.package import descriptor
from app.exports.tables import FORMATS, Table, parts, planned

ABOUT = "datapackage.json"


@dataclass(frozen=True)
class Written:
    """A file that was written, and the rows in it."""

    path: Path
    rows: int | None
    size: int


def write_folder(
    exports: Exports,
    folder: Path,
    names: Sequence[str],
    form: str,
    release: int | None,
    progress: Callable[[str, int], None],
) -> Iterator[Written]:
    """Write tables, all unless some are named, each put in its place when it is whole.

    Raises NoSuchRecord for a table that is not known, NotAcceptable where the format is not installed, InvalidValue for
    a release there is not, ExportNotWritten.
    """
    tables = tuple(map(exports.table, dict.fromkeys(names))) or exports.tables
    edition = exports.service.releases.edition(release)
    installed(form)
    made: dict[str, Built] = {}
    for table in tables:
        rows = Rows(exports, table, form, edition.number, progress)
        built = made[table.name] = put(folder, f"{table.name}.{FORMATS[form].suffix}", rows.write)
        yield Written(built.path, rows.count, built.size)
    if form == "csv":
        facts = exports.known.of(edition.number)

        def told(table: Table) -> dict[str, object]:
            built = made[table.name]
            return {"path": built.path.name, "bytes": built.size, "hash": f"sha256:{built.sha256}"}

        about = orjson.dumps(descriptor(tables, facts, told), option=orjson.OPT_INDENT_2)
        built = put(folder, ABOUT, lambda out: out.write(about))
        yield Written(built.path, None, built.size)


class Rows:
    """Writes the rows of a table and counts them."""

    def __init__(
        self, exports: Exports, table: Table, form: str, release: int, progress: Callable[[str, int], None]
    ) -> None:
        self.count = 0
        self._name, self._form, self._progress = table.name, FORMATS[form], progress
        self._plan = planned(exports.service, table, self._form, release)

    def write(self, out: IO[bytes]) -> None:
        """Write them."""
        for part, rows in parts(self._plan):
            out.write(part)
            self.count += rows
            self._progress(self._name, self.count)


def put(folder: Path, name: str, write: Write) -> Built:
    """Write a file and put it in its place. Raises ExportNotWritten."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return whole(folder / f".{name}{PARTS}", lambda _: folder / name, write)
    except OSError as error:
        raise ExportNotWritten(f"{folder / name} cannot be written: {error.strerror}") from error
