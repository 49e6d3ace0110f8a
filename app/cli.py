"""The command line: parses, calls, prints. No logic."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from pydantic import ValidationError
from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, TaskProgressColumn, TextColumn, TimeRemainingColumn
from sqlalchemy import select

from app import __version__, fault, logs, schema, server
from app.backup import Progress as Told
from app.backup import backup as make_backup
from app.backup import restore as put_back
from app.codes import Verdict
from app.db import Database
from app.errors import InvalidSetting, KhorgosError
from app.ingest.seeds import seed as publish_seeds
from app.models import Release
from app.releases import Releases
from app.replica import replica_of
from app.settings import Settings
from app.stop import Stop
from app.verify import verify as prove

if TYPE_CHECKING:
    from app.ingest.importer import Job

# What most commands do without is imported where it is used: together it takes a third of the time to start.

cli = typer.Typer(
    no_args_is_help=True, add_completion=False, help="Khorgos: trade and projects, traced to their words."
)
db = typer.Typer(no_args_is_help=True, help="The schema of the database.")
cli.add_typer(db, name="db")
take_in = typer.Typer(no_args_is_help=True, help="Take in files of statistics; each import is one release.")
cli.add_typer(take_in, name="import")
Files = Annotated[list[Path], typer.Argument(help=".csv, .gz or .zip", exists=True, dir_okay=False)]
DryRun = Annotated[bool, typer.Option("--dry-run", help="read and check all, publish nothing")]
MaxBad = Annotated[float, typer.Option(help="share of bad rows up to which the rest is published", min=0, max=1)]
ReportTo = Annotated[Path, typer.Option("--report", help="file for the bad rows, with reason and line")]
Hashes = Annotated[
    list[str] | None, typer.Option("--sha256", help="SHA-256 of a file in hexadecimal; one for each, in their order")
]
BAD_ROWS = Path("khorgos-bad-rows.csv")
Directory = Annotated[Path | None, typer.Argument(help="seed folders; else those that ship with Khorgos")]


class ExportFormat(StrEnum):
    """How tables are written to a folder."""

    CSV = "csv"
    PARQUET = "parquet"


def database() -> Database:
    """Open the database that the settings name."""
    settings = read_settings()
    try:
        fault.arm(settings.fault)
    except ValueError as error:
        raise InvalidSetting(f"KHORGOS_FAULT cannot be {settings.fault[:40]!r}: {error}") from error
    return Database(settings)


def read_settings() -> Settings:
    """Read the settings from the environment. Raises InvalidSetting with all that are wrong."""
    try:
        return Settings()
    except ValidationError as error:
        from app.refusals import invalid_setting

        raise invalid_setting(error, Settings.model_config["env_prefix"]) from error


def shown(*columns: ProgressColumn) -> Progress:
    """Give a progress bar on stderr, which is there for a terminal alone."""
    console = Console(stderr=True)
    return Progress(*columns, console=console, transient=True, disable=not console.is_terminal)


def prepare(directory: Path | None = None) -> None:
    """Bring schema and seeds up to date."""
    opened = database()
    schema.upgrade(opened)
    publish_folder(opened, directory)
    opened.close()


def publish_folder(opened: Database, directory: Path | None) -> None:
    """Publish seeds and say what came of it."""
    numbers = publish_seeds(opened, directory or schema.folder("seeds"))
    print(f"published release {', '.join(map(str, numbers))}" if numbers else "seeds: nothing changed")


@cli.command()
def serve(
    host: Annotated[str | None, typer.Option(help="address; else KHORGOS_HOST")] = None,
    port: Annotated[int | None, typer.Option(help="port; else KHORGOS_PORT", min=0, max=65535)] = None,
    workers: Annotated[int, typer.Option(help="processes", min=1)] = 1,
    setup: Annotated[bool, typer.Option(help="migrate and seed before serving")] = True,
) -> None:
    """Serve the data; on an empty machine, create the database, migrate and seed it first."""
    settings = read_settings()
    replica_of(settings)  # refused here if it cannot be one
    host = host or settings.host
    sockets = server.listen(host, settings.port if port is None else port)
    if setup:
        prepare()
    url = server.url_of(host, sockets)
    print(f"Khorgos {__version__} on {url}\n  {url}/docs")
    print(f"  {url}/v1/trade/flows?country=kazakhstan&year=2024")
    print(f"  {url}/v1/trade/compare?reporter=KAZ&partner=CHN&year=2024", flush=True)
    Stop.forget()  # the server hears them itself
    server.run(
        sockets,
        settings.stop_timeout,
        workers,
        log_config=logs.config(settings),
        access_log=False,  # ours has the line of each request
        proxy_headers=bool(settings.forwarded_allow_ips),
        forwarded_allow_ips=settings.forwarded_allow_ips,
    )


@db.command()
def upgrade(revision: Annotated[str, typer.Argument()] = "head") -> None:
    """Bring the schema to a revision."""
    schema.upgrade(database(), revision)


@db.command()
def downgrade(revision: Annotated[str, typer.Argument(help="a revision, or base, which empties the database")]) -> None:
    """Take the schema back to a revision."""
    schema.downgrade(database(), revision)


@db.command()
def current() -> None:
    """Print the schema's revision and the one this program reads."""
    print(f"database {schema.current(database()) or 'none'}, program {schema.head()}")


@db.command()
def distribute(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="print the statements, run none")] = False,
) -> None:
    """Spread what is local over the nodes of Citus, as `upgrade` does."""
    opened = database()
    schema.require_head(opened)
    run = schema.distribute(opened, dry_run)
    print("\n".join(f"{one};" for one in run) or "nothing to do: no table is local, or the database is not Citus")


@cli.command()
def seed(directory: Directory = None) -> None:
    """Publish the seed folders that changed."""
    opened = database()
    schema.require_head(opened)
    publish_folder(opened, directory)


@take_in.command("comtrade")
def import_comtrade(
    files: Files,
    all_breakdowns: Annotated[
        bool, typer.Option("--all-breakdowns", help="keep rows by second partner, customs procedure and transport too")
    ] = False,
    dry_run: DryRun = False,
    max_bad: MaxBad = 0.001,
    report: ReportTo = BAD_ROWS,
    sha256: Hashes = None,
) -> None:
    """Import UN Comtrade CSV files, of today's layout and the two before it."""
    from app.ingest.importer import Job, comtrade_format

    take(Job(files, comtrade_format(all_breakdowns), report, max_bad, dry_run, sha256=sha256 or ()))


@take_in.command("baci")
def import_baci(
    files: Files,
    version: Annotated[str, typer.Option(help="version of BACI, such as V202401: each is a source of its own")],
    codes: Annotated[list[Path] | None, typer.Option(help="BACI's country or product table", exists=True)] = None,
    hs: Annotated[str | None, typer.Option(help="HS edition, such as 92, where the file's name does not say")] = None,
    dry_run: DryRun = False,
    max_bad: MaxBad = 0.001,
    report: ReportTo = BAD_ROWS,
    sha256: Hashes = None,
) -> None:
    """Import CEPII BACI files of one version."""
    from app.ingest.importer import Job, baci_format

    take(Job(files, baci_format(version, hs, codes or ()), report, max_bad, dry_run, sha256=sha256 or ()))


def take(job: "Job") -> None:
    """Import files and print what came of it."""
    from app.ingest.importer import run_import

    opened = database()
    schema.require_head(opened)
    size = sum(path.stat().st_size for path in job.paths)
    columns = (BarColumn(), TaskProgressColumn(), TextColumn("{task.fields[rows]:,} rows, {task.fields[rate]:,.0f}/s"))
    with shown(*columns, TimeRemainingColumn()) as bar:
        task = bar.add_task("", total=size, rows=0, rate=0.0)

        def progress(rows: int, taken: int) -> None:
            bar.update(task, completed=taken, rows=rows, rate=rows / max(bar.tasks[task].elapsed or 0.0, 0.001))

        done = run_import(opened, replace(job, progress=progress))
    print("\n".join(done.lines(job.dry_run)))


@cli.command()
def withdraw(release: Annotated[int, typer.Argument(help="number of an import's release", min=1)]) -> None:
    """Take an import back: what it revised holds again, and its own state stays readable."""
    from app.ingest.withdraw import withdraw as take_back

    opened = database()
    schema.require_head(opened)
    print(f"published release {take_back(opened, release)}, which takes release {release} back")


@cli.command()
def export(
    folder: Annotated[Path, typer.Argument(help="where the files go", file_okay=False)],
    tables: Annotated[list[str] | None, typer.Argument(metavar="[TABLE]...", help="tables; else all")] = None,
    format: Annotated[ExportFormat, typer.Option(help="how tables are written")] = ExportFormat.CSV,
    release: Annotated[int | None, typer.Option(help="the state as of this release; else the current", min=1)] = None,
) -> None:
    """Write whole tables as files, the same bytes as /v1/exports gives; CSV with a datapackage.json beside it."""
    from app.ask import Service
    from app.exports.answers import Exports
    from app.exports.folder import write_folder
    from app.tables import TABLES

    opened = database()
    schema.require_head(opened)
    exports = Exports(Service(opened.settings, opened, Releases(opened, 0)), TABLES)
    with shown(TextColumn("{task.description}"), TextColumn("{task.fields[rows]:,} rows")) as bar:
        task = bar.add_task("", rows=0)

        def progress(name: str, rows: int) -> None:
            bar.update(task, description=name, rows=rows)

        for done in write_folder(exports, folder, tables or (), format, release, progress):
            rows = "" if done.rows is None else f"{done.rows} rows, "
            print(f"{done.path.name}: {rows}{done.size} bytes")


@cli.command()
def backup(
    file: Annotated[Path, typer.Argument(help="where the backup goes", dir_okay=False)],
    force: Annotated[bool, typer.Option("--force", help="replace a file that is there")] = False,
) -> None:
    """Write the database as it is at this moment to one file, with its SHA-256 beside it."""
    with copying() as told:
        done = make_backup(database(), file, force=force, progress=told)
    print(f"{done.path}: {done.size:,} bytes, schema {done.revision}")


@cli.command()
def restore(
    file: Annotated[Path, typer.Argument(help="a file that khorgos backup wrote", dir_okay=False)],
    force: Annotated[bool, typer.Option("--force", help="replace the data that are there")] = False,
) -> None:
    """Put a backup in the place of the database, in one transaction."""
    with copying() as told:
        done = put_back(database(), file, force=force, progress=told)
    print(f"restored {done.path}, schema {done.revision}")
    if not done.has_sum:
        print(f"there is no {done.path.name}.sha256 beside it: its structure was checked, not every byte")
    if done.revision != schema.head():
        print(f"this program reads schema {schema.head()}: run `khorgos db upgrade`")


@contextmanager
def copying() -> Iterator[Told]:
    """Show how far a copy is."""
    with shown(BarColumn(), TaskProgressColumn(), TimeRemainingColumn()) as bar:
        task = bar.add_task("", total=None)
        yield lambda done, of: bar.update(task, completed=done, total=of)


@cli.command()
def check() -> None:
    """Print the arithmetic of the published figures, conflicts marked."""
    from app.checks import findings

    opened = database()
    with opened.read() as connection:
        for found in findings(connection, Releases(opened, 0).newest()):
            mark = "!" if found["verdict"] == Verdict.CONFLICTS else " "
            against = found["direction"] if found["expected"] is None else found["expected"]
            print(f"{mark} {found['verdict']:22} {found['title']}: {found['actual']} against {against}")


@cli.command()
def verify(text: Annotated[Path, typer.Option(help="the source's text, as it was read")]) -> None:
    """Prove that every figure and quote stands where it says, and that no number or quotation is left out."""
    with database().read() as connection:
        slug, counts = prove(connection, text.read_bytes())
    print(f"{slug}: the text is the one that was read")
    for count in counts:
        print(f"  {count}")
        for wrong in count.wrong:
            print(f"    not: {wrong}")
    if any(count.wrong for count in counts):
        raise typer.Exit(1)


@cli.command()
def releases() -> None:
    """Print the publications of data."""
    with database().read() as connection:
        for row in connection.execute(select(*Release.__table__.c).order_by(Release.id)):
            counts = f"{row.rows_added} added, {row.rows_changed} changed, {row.rows_removed} removed"
            print(f"{row.id} {row.published_at:%Y-%m-%d %H:%M:%S} {row.kind} {row.source}: {counts}")


@cli.command()
def version() -> None:
    """Print the version."""
    print(__version__)


def main() -> None:
    """Run a command; what goes wrong is one clear line and an exit status that is not 0."""
    stop = Stop()
    try:
        try:
            stop.listen()
            cli()
        finally:
            stop.forget()
    except BaseException as error:  # a library in whose midst the signal came may make another of it, or let it fall
        if not stop.by and not isinstance(error, KhorgosError | OSError):
            raise
        print(stop if stop.by else told(error), file=sys.stderr)
        sys.exit(stop.status or 1)


def told(error: BaseException) -> str:
    """Give what went wrong as one line."""
    if isinstance(error, OSError) and error.strerror:
        return f"{error.strerror}: {error.filename}" if error.filename else error.strerror
    return str(error)
