"""One import is one release: read, staged, and published by one transaction at the end, or not at all."""

import csv
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import polars as pl
from sqlalchemy import Connection, select

from app import fault
from app.codes import Method, ReleaseKind
from app.db import Database, analyze, publish_staged
from app.errors import ImportInvalid, TooManyBadRows
from app.ingest import baci, comtrade, staging
from app.ingest.archives import opened
from app.ingest.blocks import BAD_SCHEMA, Block, Header, read_blocks, read_header
from app.ingest.flows_read import Read
from app.ingest.publish import Changes, Dataset, add_release, compare, digest, next_release, with_words, write
from app.models import Country, Release, SearchEntry, Source, TradeFlow
from app.sums import sha256_of

AGAIN = "the same row again"
TWO_VALUES = "its key is there with another value too, and which one holds is not said"
SHA256 = re.compile(r"[0-9a-fA-F]{64}")
Parse = Callable[[pl.DataFrame, Mapping[str, str]], Read]


@dataclass(frozen=True)
class Format:
    """How files of one dataset are read."""

    known: Mapping[str, str]
    check_header: Callable[[str, Header], None]
    parse_of: Callable[[str], Parse]  # by the file's name
    source: Mapping[str, Any]
    method: Method
    options: str | None = None


def comtrade_format(all_breakdowns: bool) -> Format:
    """Give how UN Comtrade files are read."""
    parse = partial(comtrade.parse, all_breakdowns=all_breakdowns)
    options = "all-breakdowns" if all_breakdowns else None
    return Format(
        comtrade.KNOWN, comtrade.check_header, lambda _: parse, comtrade.SOURCE, Method.STATED, options=options
    )


def baci_format(version: str, hs: str | None, codes: Sequence[Path]) -> Format:
    """Give how BACI files of a version are read. Raises ImportInvalid."""
    found, tables = baci.read_version(version), baci.read_codes(codes)

    def parse_of(name: str) -> Parse:
        edition = baci.edition_of(name, found, hs)
        return partial(baci.parse, codes=tables, edition=edition, version=found)

    told = [*([f"hs {hs}"] if hs else []), *([f"codes {digest_of_all(codes)[:12]}"] if codes else [])]
    options = ", ".join(told) or None
    return Format(baci.KNOWN, baci.check_header, parse_of, found.source, Method.RECONCILED, options=options)


@dataclass
class Summary:
    """What came of an import, row by row."""

    read: int = 0
    added: int = 0
    unchanged: int = 0
    revised: int = 0
    bad: int = 0
    left_out: Counter[str] = field(default_factory=Counter)
    release: int | None = None
    again: int | None = None  # release that has these very files
    report: Path | None = None

    @property
    def bad_share(self) -> float:
        """Share of the rows read that are bad, from 0 to 1."""
        return self.bad / self.read if self.read else 0.0

    def lines(self, dry_run: bool) -> list[str]:
        """Tell it to a person; the counts add up to the rows read."""
        if self.again:
            return [f"nothing to do: release {self.again} is of these very files"]
        loaded = f"{self.added} added, {self.revised} revised, {self.unchanged} unchanged"
        told = [f"read {self.read} rows: {loaded}, {self.left_out.total()} left out, {self.bad} bad"]
        told += [f"  left out: {count} rows, {why}" for why, count in sorted(self.left_out.items())]
        if self.report:
            told.append(f"  bad rows with file, line and reason: {self.report}")
        if dry_run:
            return [*told, "nothing was published: it was a dry run"]
        return [*told, f"published release {self.release}" if self.release else "published nothing: no row changed"]


class Report:
    """The bad rows of an import as CSV; the file is made when there is one."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.rows = 0
        self._stack = ExitStack()
        self._writer: Any = None

    def __enter__(self) -> "Report":
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def add(self, name: str, rows: pl.DataFrame) -> None:
        """Write bad rows of a file."""
        if rows.is_empty():
            return
        if self._writer is None:
            file = self._stack.enter_context(self.path.open("w", newline="", encoding="utf-8"))
            self._writer = csv.writer(file)
            self._writer.writerow(("file", "line", "reason", "row"))
        fault.point("import.report")
        self._writer.writerows((name, *row) for row in rows.select(list(BAD_SCHEMA)).iter_rows())
        self.rows += rows.height


@dataclass(frozen=True)
class Job:
    """What is to be imported, and how strictly."""

    paths: Sequence[Path]
    format: Format
    report: Path
    max_bad: float = 0.001
    dry_run: bool = False
    progress: Callable[[int, int], None] | None = None  # told the rows and bytes of the files read
    sha256: Sequence[str] = ()  # what the files must have, in their order; none, or one for each


def run_import(database: Database, job: Job) -> Summary:
    """Import files as one release; nothing is published unless all of it is.

    Raises ImportInvalid, TooManyBadRows, PublishBusy, DatabaseUnavailable.
    """
    slug = job.format.source["slug"]
    found = [sha256_of(path) for path in job.paths]
    refuse_other(job, found)
    sha256 = together(found)
    fault.point("import.hashed")
    with database.read() as connection:
        areas = read_areas(connection)
        again = last_import(connection, slug, sha256, job.format.options)
    if again is not None:
        return Summary(again=again)
    summary = Summary()
    with database.staging() as connection, staging.tables(connection), Report(job.report) as report:
        names = read_files(connection, job, areas, summary, report)
        settle(connection, names, summary, report)
        refuse_bad(summary, report, job.max_bad)
        fault.point("import.settled")
        publish_staged(connection)
        fault.point("import.publishing")
        publish(connection, job, sha256, summary)
        fault.point("import.commit")
        if job.dry_run:
            connection.rollback()
            summary.release = None
        else:
            connection.commit()
            fault.point("import.committed")
    if summary.release:
        analyze(database, TradeFlow.__tablename__)
    return summary


def digest_of_all(paths: Sequence[Path]) -> str:
    """Give the SHA-256 of a file, or of the hashes of several one after the other."""
    return together([sha256_of(path) for path in paths])


def together(digests: Sequence[str]) -> str:
    """Give one hash for those of several files; that of one is its own."""
    return digests[0] if len(digests) == 1 else digest(f"{one}\n".encode() for one in digests)


def refuse_other(job: Job, found: Sequence[str]) -> None:
    """Refuse files that are not those that were meant. Raises ImportInvalid."""
    if job.sha256 and len(job.sha256) != len(job.paths):
        told = f"{len(job.sha256)} for {len(job.paths)} files"
        raise ImportInvalid(f"--sha256 is given {told}: give one for each file, in their order")
    for meant in job.sha256:
        if not SHA256.fullmatch(meant):
            raise ImportInvalid(f"--sha256 {meant[:80]!r} is no SHA-256: it has 64 hexadecimal digits")
    for path, meant, digest_found in zip(job.paths, job.sha256, found, strict=False):
        if meant.lower() != digest_found:
            raise ImportInvalid(
                f"{path.name}: its SHA-256 is {digest_found}, not {meant.lower()}: it is not the file that was meant, "
                "or it was damaged on its way; nothing was read"
            )


def read_areas(connection: Connection) -> dict[str, str]:
    """Give the code of every area number that UN Comtrade and BACI use; zero, the World, has no digit left."""
    areas: dict[str, str] = {}
    query = select(Country.iso3, Country.comtrade_code, Country.comtrade_also).where(Country.superseded_by.is_(None))
    for iso3, code, also in connection.execute(query):
        for number in (*(() if code is None else (str(code),)), *also):
            areas[number.lstrip("0")] = iso3
    return areas


def last_import(connection: Connection, slug: str, sha256: str, options: str | None) -> int | None:
    """Give the release of these very files, if it is the last word of its source and read all of their rows."""
    query = select(*Release.__table__.c).where(Release.source == slug).order_by(Release.id.desc()).limit(1)
    last = connection.execute(query).first()
    told = (sha256, options, ReleaseKind.IMPORT, 0)
    same = last and (last.sha256, last.options, last.kind, last.rows_rejected) == told
    return last.id if last and same else None


def read_files(
    connection: Connection, job: Job, areas: Mapping[str, str], summary: Summary, report: Report
) -> list[str]:
    """Read and stage every file; give the names of the files read, in the order of their numbers."""
    names: list[str] = []
    before = 0
    for path in job.paths:
        being_read = None
        for place, name, block in blocks_of(path, job.format):
            if place != being_read:
                being_read = place
                names.append(name)
                parse = job.format.parse_of(name)
            found = parse(block.rows, areas)
            fault.point("import.parsed")
            report.add(name, block.bad)
            report.add(name, found.bad)
            summary.read += block.read
            summary.bad += block.bad.height + found.bad.height
            summary.left_out.update(found.left_out)
            staging.stage(connection, found.flows, len(names) - 1)
            fault.point("import.staged")
            if job.progress:
                job.progress(summary.read, before + block.taken)
        before += path.stat().st_size
    if not summary.read:
        raise ImportInvalid(f"{', '.join(path.name for path in job.paths)}: there is no row")
    return names


def blocks_of(path: Path, form: Format) -> Iterator[tuple[int, str, Block]]:
    """Give the blocks of every file that a path holds, each with the file's place and name; two may have one name."""
    with opened(path) as files:
        for place, (name, text, disk) in enumerate(files):
            header = read_header(name, text, form.known)
            form.check_header(name, header)
            for block in read_blocks(name, text, disk, header):
                yield place, name, block


def settle(connection: Connection, names: Sequence[str], summary: Summary, report: Report) -> None:
    """Take out what is there twice, and work out the days of the periods."""
    differing, again = staging.take_doubled(connection)
    if again:
        summary.left_out[AGAIN] += again
    summary.bad += len(differing)
    for number, name in enumerate(names):
        rows = [(line, TWO_VALUES, None) for file, line in differing if file == number]
        report.add(name, pl.DataFrame(rows, BAD_SCHEMA, orient="row"))
    staging.settle_periods(connection)


def refuse_bad(summary: Summary, report: Report, max_bad: float) -> None:
    """Refuse an import with too many bad rows. Raises TooManyBadRows."""
    summary.report = report.path if report.rows else None
    if summary.bad_share > max_bad:
        raise TooManyBadRows(
            f"{summary.bad} of {summary.read} rows are bad, {summary.bad_share:.3%}, and --max-bad allows "
            f"{max_bad:.3%}: nothing was published; {report.path} tells each with its line"
        )


def publish(connection: Connection, job: Job, sha256: str, summary: Summary) -> None:
    """Publish what is staged as the next release, unless it changes nothing."""
    slug = job.format.source["slug"]
    number = next_release(connection)
    is_first = not staging.has_rows(connection, slug)
    staged = staging.count(connection)
    summary.revised = 0 if is_first else staging.supersede(connection, slug, number)
    fault.point("import.superseded")
    inserted = staging.add(connection, slug, job.format.method, number, is_first)
    fault.point("import.added")
    summary.added = inserted - summary.revised
    summary.unchanged = staged - inserted
    if not inserted:
        return
    changes = publish_source(connection, job.format.source)
    counts: dict[str, Any] = {model.__tablename__: change.counts for model, change in changes.items() if change}
    counts["trade_flows"] = {
        "added": summary.added,
        "changed": summary.revised,
        "removed": 0,
        "unchanged": summary.unchanged,
        **staging.affected(connection, slug, number),
    }
    names = ", ".join(path.name for path in job.paths)
    add_release(
        connection,
        number,
        ReleaseKind.IMPORT,
        slug,
        sha256,
        counts,
        file_name=names,
        options=job.format.options,
        rows_rejected=summary.bad,
    )
    fault.point("import.released")
    for model, change in changes.items():
        write(connection, model, change, number)
    summary.release = number


def publish_source(connection: Connection, source: Mapping[str, Any]) -> dict[type[Any], Changes]:
    """Give what is new about the source itself and its words."""
    dataset = Dataset(source["slug"], ReleaseKind.IMPORT, (source["slug"],), "")
    dataset.records[Source] = [{**source, "source": source["slug"]}]
    with_words(dataset)
    return {model: compare(connection, model, dataset) for model in (Source, SearchEntry)}
